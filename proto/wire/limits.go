package wire

import "time"

// The limits of the protocol, used by both sides. The agent stays below them,
// the server refuses what passes them, with a reason and a time to come back.
const (
	MaxMessage         = 256 << 10 // bytes of one message
	MaxInventory       = 4 << 20   // bytes of one section over all its chunks
	MaxChunkItems      = 500       // items in one inventory message
	MaxText            = 1 << 10   // bytes of one text
	MaxSoftware        = 5000      // items of SectionSoftware
	MaxUpdates         = 2000      // items of SectionUpdates
	MaxOtherItems      = 512       // items of any other section
	MaxFacts           = 48        // facts of one item
	MaxSignals         = 300       // distinct signals of a device
	MaxSeries          = 1000      // signal and attribute sets of a device
	MaxStepLog         = 64 << 10  // bytes of log of one step of a job
	MaxJobLog          = 1 << 20   // bytes of log of one job
	MaxJob             = 64 << 10  // bytes of one encoded job
	MaxJobReleases     = 200       // releases in one job
	MaxCSR             = 4 << 10   // bytes of a certificate request
	MaxStreams         = 4         // concurrent streams of a device
	MaxOpens           = 10        // session opens of a device, per minute
	MaxReportBurst     = 120       // reports a device may send at once
	MaxReportBacklog   = 20        // reports a device may send, per second, while catching up
	MaxEnrollments     = 10        // enrollments from one address, per minute
	MaxTokenFailures   = 5         // failed enrollments of one token, per hour
	MaxDeniedPackages  = 2000      // entries of a lease's deny list
	MaxLeases          = 64        // leases a device may hold
	MaxTags            = 64        // tags of a device
	MaxSpoolBytes      = 50 << 20  // bytes of unsent reports on the device
	MaxRebootsPerDay   = 2         // reboots that jobs may cause on one device
	MinProtocolVersion = 1
	ProtocolVersion    = 1
)

// Times of the protocol.
const (
	MinReportInterval     = 5 * time.Second
	DefaultReportInterval = 30 * time.Second
	MaxSpoolAge           = 72 * time.Hour
	MinInventoryInterval  = time.Minute     // between changes of one section
	MaxScanAge            = 24 * time.Hour  // of the agent's own scan, for a job to rely on
	MaxClockSkew          = 2 * time.Minute // no changing job starts beyond it
	MaxWallClockTrust     = 72 * time.Hour  // after a reboot without contact
	MayStartTimeout       = 30 * time.Second
	AloneSilence          = 2 * time.Minute // without a session after not_before, before an alone lease starts
	MaxLeaseAhead         = 24 * time.Hour
	LeaseGrace            = 15 * time.Minute // after the deadline an alone lease still counts
	UnknownAfter          = time.Hour        // after the deadline without a report
	StepTimeout           = 60 * time.Minute
	StoredThroughEvery    = 5 * time.Minute // acknowledgement of reports
	CertificateLife       = 30 * 24 * time.Hour
	CertificateBackdate   = 48 * time.Hour
	RenewAfter            = 20 * 24 * time.Hour
	MaxRenewExpired       = 400 * 24 * time.Hour
)
