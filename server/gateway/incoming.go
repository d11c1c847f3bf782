package gateway

import (
	"fmt"
	"math"
	"time"
	"unicode/utf8"

	"github.com/steward-rmm/steward/proto/steward/agent/v1"
	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/session"
)

// malformed is a message that makes no sense, whatever the state is.
type malformed struct{ why string }

func (m *malformed) Error() string { return m.why }

func bad(format string, args ...any) error { return &malformed{fmt.Sprintf(format, args...)} }

const (
	maxAttempt = 1 << 20
	maxBytes   = 256 // of hashes and secrets
)

// text is one text of a device: refused when it is too long or not UTF-8, and
// without the characters that hide or turn it.
func text(name, s string) (string, error) {
	if len(s) > wire.MaxText {
		return "", bad("%s has %d bytes, at most %d", name, len(s), wire.MaxText)
	}
	if !utf8.ValidString(s) {
		return "", bad("%s is not UTF-8", name)
	}
	return wire.Clean(s), nil
}

// texts reads several texts in place, and stops at the first that is refused.
func texts(fields map[string]*string) error {
	for name, at := range fields {
		clean, err := text(name, *at)
		if err != nil {
			return err
		}
		*at = clean
	}
	return nil
}

// at is a time in milliseconds; 0 and what no calendar has is the zero time.
func at(ms int64) time.Time {
	const year9999 = 253402300799999
	if ms <= 0 || ms > year9999 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func hello(p *agentv1.Hello) (session.Hello, error) {
	if len(p.GetConfirmed()) > 64 || len(p.GetUnconfirmed()) > 4*wire.MaxLeases || len(p.GetLeases()) > 4*wire.MaxLeases || len(p.GetCloneSecret()) > maxBytes {
		return session.Hello{}, bad("a Hello with more than a device can have")
	}
	m, err := machine(p.GetMachine())
	if err != nil {
		return session.Hello{}, err
	}
	device, tenant, journal, epoch, version := p.GetDeviceId(), p.GetTenant(), p.GetJournalId(), p.GetServerEpoch(), p.GetAgentVersion()
	if err := texts(map[string]*string{"device_id": &device, "tenant": &tenant, "journal_id": &journal, "server_epoch": &epoch, "agent_version": &version}); err != nil {
		return session.Hello{}, err
	}
	h := session.Hello{
		ProtocolMin: int(min(p.GetProtocolMin(), math.MaxInt32)), ProtocolMax: int(min(p.GetProtocolMax(), math.MaxInt32)),
		Device: ident.DeviceID(device), Tenant: ident.TenantID(tenant), Journal: journal, Number: p.GetSessionNo(), Epoch: epoch,
		Confirmed: map[wire.Section][32]byte{}, DesiredVersion: p.GetDesiredVersion(), Clock: at(p.GetClockMs()), CloneSecret: p.GetCloneSecret(),
		AgentVersion: version, Machine: m, NextEvent: p.GetNextEvent(), MayInstall: p.GetMayInstall(), BundleVersion: p.GetBundleVersion(),
	}
	for _, c := range p.GetConfirmed() {
		if len(c.GetHash()) != 32 {
			return h, bad("a section's hash has %d bytes", len(c.GetHash()))
		}
		h.Confirmed[wire.Section(wire.Clean(c.GetSection()))] = [32]byte(c.GetHash())
	}
	for _, j := range p.GetUnconfirmed() {
		id, state := j.GetJobId(), j.GetState()
		if err := texts(map[string]*string{"job_id": &id, "state": &state}); err != nil {
			return h, err
		}
		h.Unconfirmed = append(h.Unconfirmed, session.JobState{Job: ident.JobID(id), Attempt: int(min(j.GetAttempt(), maxAttempt)), State: state})
	}
	for _, lease := range p.GetLeases() {
		lease, err := text("lease", lease)
		if err != nil {
			return h, err
		}
		h.Leases = append(h.Leases, lease)
	}
	return h, nil
}

func machine(p *agentv1.Machine) (session.Machine, error) {
	m := session.Machine{
		Hostname: p.GetHostname(), Serial: p.GetSerial(), BoardUUID: p.GetBoardUuid(), Arch: p.GetArch(), TimeZone: p.GetTimeZone(),
		OS: fleet.OS{Family: p.GetOsFamily(), Name: p.GetOsName(), Version: p.GetOsVersion()},
	}
	err := texts(map[string]*string{"hostname": &m.Hostname, "serial": &m.Serial, "board_uuid": &m.BoardUUID, "arch": &m.Arch,
		"time_zone": &m.TimeZone, "os_family": &m.OS.Family, "os_name": &m.OS.Name, "os_version": &m.OS.Version})
	return m, err
}

func enrollRequest(p *agentv1.EnrollRequest) (session.EnrollRequest, error) {
	if len(p.GetToken()) > maxBytes || len(p.GetCsr()) > wire.MaxCSR || len(p.GetTags()) > wire.MaxTags {
		return session.EnrollRequest{}, bad("a request with more than it can have")
	}
	m, err := machine(p.GetMachine())
	if err != nil {
		return session.EnrollRequest{}, err
	}
	r := session.EnrollRequest{Token: p.GetToken(), CSR: p.GetCsr(), Machine: m, Class: p.GetClass(), AgentVersion: p.GetAgentVersion()}
	for _, tag := range p.GetTags() {
		tag, err := text("tag", tag)
		if err != nil {
			return r, err
		}
		r.Tags = append(r.Tags, tag)
	}
	return r, texts(map[string]*string{"class": &r.Class, "agent_version": &r.AgentVersion})
}

// event never fails: what cannot be taken in must still be counted, or the
// device would send it for ever.
func event(p *agentv1.Event) session.Event {
	e := session.Event{Number: p.GetSeq(), At: at(p.GetAtMs())}
	switch k := p.GetKind().(type) {
	case *agentv1.Event_Job:
		step, err := jobStep(e.At, k.Job)
		if err != nil {
			e.Malformed = err
		} else if step.Kind != "" {
			e.Job = &step
		}
	case *agentv1.Event_Inventory:
		c, err := inventoryChange(k.Inventory)
		if err != nil {
			e.Malformed = err
		} else {
			e.Inventory = &c
		}
	}
	return e
}

func inventoryChange(p *agentv1.InventoryChange) (session.InventoryChange, error) {
	c := session.InventoryChange{Final: p.GetFinal(), Scanned: at(p.GetScannedAtMs()), Cause: p.GetCause()}
	section := p.GetSection()
	if err := texts(map[string]*string{"section": &section, "cause": &c.Cause}); err != nil {
		return c, err
	}
	if len(p.GetHash()) != 32 {
		return c, bad("the hash of section %s has %d bytes", section, len(p.GetHash()))
	}
	if n := len(p.GetUpsert()) + len(p.GetRemove()); n > 2*wire.MaxChunkItems {
		return c, bad("section %s has %d items in one message", section, n)
	}
	c.Change = wire.Change{Section: wire.Section(section), Full: p.GetFull(), Hash: [32]byte(p.GetHash())}
	for _, it := range p.GetUpsert() {
		item, err := item(it)
		if err != nil {
			return c, err
		}
		c.Change.Upsert = append(c.Change.Upsert, item)
	}
	for _, key := range p.GetRemove() {
		key, err := text("key", key)
		if err != nil {
			return c, err
		}
		c.Change.Remove = append(c.Change.Remove, key)
	}
	return c, nil
}

func item(p *agentv1.Item) (wire.Item, error) {
	key, err := text("key", p.GetKey())
	if err != nil {
		return wire.Item{}, err
	}
	if len(p.GetFacts()) > wire.MaxFacts {
		return wire.Item{}, bad("item %q has %d facts, at most %d", key, len(p.GetFacts()), wire.MaxFacts)
	}
	out := wire.Item{Key: key, Facts: make(map[string]string, len(p.GetFacts()))}
	for _, f := range p.GetFacts() {
		name, err := text("fact", f.GetName())
		if err != nil {
			return out, err
		}
		if out.Facts[name], err = text(name, f.GetValue()); err != nil {
			return out, err
		}
	}
	return out, nil
}

// jobStep is the zero Step for a kind that this version does not know.
func jobStep(when time.Time, p *agentv1.JobEvent) (job.Step, error) {
	if !ident.ValidID(p.GetJobId()) || p.GetAttempt() == 0 || p.GetAttempt() > maxAttempt {
		return job.Step{}, bad("a step of no job")
	}
	s := job.Step{Job: ident.JobID(p.GetJobId()), Attempt: int(p.GetAttempt()), At: when}
	switch k := p.GetStep().(type) {
	case *agentv1.JobEvent_Accepted:
		s.Kind = job.StepAccepted
	case *agentv1.JobEvent_Refused:
		s.Kind, s.Code, s.Detail = job.StepRefused, k.Refused.GetCode(), k.Refused.GetDetail()
	case *agentv1.JobEvent_CancelJournaled:
		s.Kind, s.AlreadyStarted = job.StepCancelJournaled, k.CancelJournaled.GetAlreadyStarted()
	case *agentv1.JobEvent_Started:
		s.Kind, s.Alone = job.StepStarted, k.Started.GetAlone()
	case *agentv1.JobEvent_Progress:
		s.Kind, s.Source, s.Package, s.Phase = job.StepProgress, k.Progress.GetSource(), k.Progress.GetPackage(), k.Progress.GetPhase()
	case *agentv1.JobEvent_Result:
		r := k.Result
		s.Kind, s.Source, s.Package, s.From, s.To = job.StepResult, r.GetSource(), r.GetPackage(), r.GetFrom(), r.GetTo()
		s.Result, s.Code, s.Detail = wire.ResultState(r.GetState()), r.GetCode(), r.GetDetail()
		s.ExitCode, s.RebootRequired, s.Took = int(r.GetExitCode()), r.GetRebootRequired(), time.Duration(r.GetTookS())*time.Second
		if !knownResult(s.Result) {
			return s, bad("the result %.40q is not known", r.GetState())
		}
	case *agentv1.JobEvent_Log:
		s.Kind, s.Source, s.Package, s.Part = job.StepLog, k.Log.GetSource(), k.Log.GetPackage(), int(min(k.Log.GetPart(), maxAttempt))
		if len(k.Log.GetText()) > wire.MaxStepLog || !utf8.ValidString(k.Log.GetText()) {
			return s, bad("a log of %d bytes, at most %d of UTF-8", len(k.Log.GetText()), wire.MaxStepLog)
		}
		s.Text = wire.CleanLog(k.Log.GetText())
	case *agentv1.JobEvent_Finished:
		s.Kind, s.Rescanned, s.Repaired = job.StepFinished, k.Finished.GetRescanned(), k.Finished.GetRepaired()
	}
	return s, texts(map[string]*string{"code": &s.Code, "detail": &s.Detail, "source": &s.Source, "package": &s.Package,
		"phase": &s.Phase, "from": &s.From, "to": &s.To})
}

func knownResult(r wire.ResultState) bool {
	switch r {
	case wire.ResultVerified, wire.ResultInstalledUnverified, wire.ResultFailed, wire.ResultDeferred, wire.ResultNeedsUser,
		wire.ResultNotApplicable, wire.ResultSuperseded, wire.ResultNotStarted, wire.ResultUnknown:
		return true
	}
	return false
}

func series(p *agentv1.SeriesNames) ([]session.Series, error) {
	if len(p.GetSeries()) > wire.MaxSeries {
		return nil, bad("%d series, at most %d", len(p.GetSeries()), wire.MaxSeries)
	}
	out := make([]session.Series, 0, len(p.GetSeries()))
	for _, s := range p.GetSeries() {
		signal, err := text("signal", s.GetSignal())
		if err != nil {
			return nil, err
		}
		if len(s.GetAttributes()) > 16 {
			return nil, bad("series of %s with %d attributes", signal, len(s.GetAttributes()))
		}
		one := session.Series{ID: s.GetId(), Signal: signal}
		for _, a := range s.GetAttributes() {
			name, value := a.GetName(), a.GetValue()
			if err := texts(map[string]*string{"attribute": &name, "value": &value}); err != nil {
				return nil, err
			}
			if one.Attributes == nil {
				one.Attributes = make(map[string]string, len(s.GetAttributes()))
			}
			one.Attributes[name] = value
		}
		out = append(out, one)
	}
	return out, nil
}

func report(p *agentv1.Report) session.Report {
	const year9999 = 253402300799
	return session.Report{At: time.Unix(max(0, min(p.GetAtS(), year9999)), 0).UTC(), IDs: p.GetIds(), Values: p.GetValues()}
}
