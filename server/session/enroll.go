package session

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/pki"
)

// EnrollRequest is a device's wish to be added.
type EnrollRequest struct {
	Token        []byte // 20 bytes, from the enrollment string
	CSR          []byte // DER
	Machine      Machine
	Class        string // empty: the string's, else guessed
	Tags         []string
	AgentVersion string
	From         string // the address it came from, without the port
}

// Enrolled is a device that was added, with its certificates.
type Enrolled struct {
	Device       fleet.Device
	Certificates [][]byte // DER, the leaf first
	Bundle       []byte   // wire.SignedBundle, encoded
	Now          time.Time
}

// Enroll adds a device. The same token with the same key gives the same device
// again. Class and tags of the enrollment win, those of the request fill in.
func (s *Service) Enroll(ctx context.Context, now time.Time, r EnrollRequest) (Enrolled, error) {
	if len(r.Token) != 20 {
		return Enrolled{}, fault.Invalidf("token", "has %d bytes, not 20", len(r.Token)).WithNext("copy the whole enrollment string")
	}
	if err := checkTags(r.Tags); err != nil {
		return Enrolled{}, err
	}
	if r.Class != "" {
		if err := fleet.CheckClass(fleet.Class(r.Class)); err != nil {
			return Enrolled{}, err
		}
	}
	csr, err := pki.CheckCSR(r.CSR)
	if err != nil {
		return Enrolled{}, err
	}
	got, err := s.o.Enrollments.Redeem(ctx, now, pki.Attempt{Token: [20]byte(r.Token), KeyHash: csr.KeyHash, From: r.From},
		func(ctx context.Context, e pki.Enrollment, key [32]byte) (ident.DeviceID, error) {
			if _, known := s.o.Fleet.ByKey(key); known {
				return "", fault.Conflictf("this key belongs to a device already").WithNext("make a new key and enroll again")
			}
			d, err := s.o.Fleet.Enroll(ctx, now, newDevice(e, key, r))
			if err == nil && s.connected(now, fleet.Ref{Tenant: d.Tenant, Device: d.ID}, key) {
				err = fault.New(fault.Unavailable, "a machine with this serial number and board is connected with another key").
					WithNext("stop the agent there and wait %v, or retire that device first", aliveFor)
			}
			return d.ID, err
		})
	if err != nil {
		return Enrolled{}, err
	}
	d, err := s.o.Fleet.Device(ctx, got.Enrollment.Tenant, got.Device)
	if err != nil {
		return Enrolled{}, err
	}
	if err := mayHaveKey(d); err != nil {
		return Enrolled{}, err
	}
	if d.KeyHash != csr.KeyHash && d.NextKeyHash != csr.KeyHash {
		return Enrolled{}, fault.Conflictf("the device has another key by now").WithNext("make a new key and enroll again")
	}
	out := Enrolled{Device: d, Now: now}
	out.Certificates, out.Bundle, err = s.issue(now, d, r.CSR)
	return out, err
}

func mayHaveKey(d fleet.Device) error {
	if bye := refusal(d); bye != nil {
		return fault.New(fault.Forbidden, "the device is %s: %s", d.State, bye.Message).WithNext("ask the people who run the server")
	}
	return nil
}

func checkTags(tags []string) error {
	if len(tags) > wire.MaxTags {
		return fault.Invalidf("tags", "%d, at most %d", len(tags), wire.MaxTags)
	}
	for _, tag := range tags {
		if !ident.ValidSlug(tag) {
			return fault.Invalidf("tags", "%q: want a-z, 0-9 and inner hyphens, at most 63", tag)
		}
	}
	return nil
}

func newDevice(e pki.Enrollment, key [32]byte, r EnrollRequest) fleet.Device {
	f := facts(r.Machine, r.AgentVersion)
	d := fleet.Device{
		Tenant: e.Tenant, Site: e.Site, Hostname: f.Hostname, Class: fleet.Class(e.Class), Tags: append([]string{}, e.Tags...), KeyHash: key,
		Serial: f.Serial, BoardUUID: f.BoardUUID, OS: f.OS, Arch: f.Arch, TimeZone: f.TimeZone, AgentVersion: f.AgentVersion,
		MayInstall: e.MayInstall, Enrollment: e.ID,
	}
	if len(d.Tags) == 0 {
		d.Tags = append(d.Tags, r.Tags...)
	}
	if d.Class == "" {
		d.Class = fleet.Class(r.Class)
	}
	if d.Class == "" {
		d.Class = guess(f.OS)
	}
	if d.Hostname == "" {
		d.Hostname = "unnamed"
	}
	return d
}

// guess is the class of a device of which nobody said it: what carries the
// name of a server, and Linux, is a server.
func guess(os fleet.OS) fleet.Class {
	if os.Family == "linux" || strings.Contains(strings.ToLower(os.Name), "server") {
		return fleet.Server
	}
	return fleet.Workstation
}

func (s *Service) issue(now time.Time, d fleet.Device, csr []byte) (certificates [][]byte, encoded []byte, err error) {
	trusted, err := s.bundle(now, d.Tenant)
	if err != nil {
		return nil, nil, err
	}
	certificates, err = s.o.Keys.IssueDevice(csr, d.Tenant, d.ID, now)
	return certificates, trusted.encoded, err
}

// RenewNonce begins a renewal by the holder of a key.
func (s *Service) RenewNonce(now time.Time, key [32]byte) []byte {
	return s.o.Keys.RenewNonce(key, now)
}

// Renew gives a device a certificate for a new key. The old key stays good
// until the new one has opened a session.
func (s *Service) Renew(ctx context.Context, now time.Time, r pki.Renewal) (Enrolled, error) {
	renewed, err := s.o.Keys.CheckRenewal(r, now)
	if err != nil {
		return Enrolled{}, err
	}
	d, ok := s.o.Fleet.ByKey(renewed.OldKey)
	if !ok {
		return Enrolled{}, fault.New(fault.Unauthenticated, "this server does not know the device").WithNext("enroll the device again")
	}
	if renewed.Device != d.ID || renewed.Tenant != d.Tenant {
		err := s.o.Tx(ctx, func(ctx context.Context) error {
			return s.record(ctx, now, d, "device.refused", map[string]string{
				"why": "its certificate has another name", "certificate_device": string(renewed.Device), "certificate_tenant": string(renewed.Tenant)})
		})
		if err == nil {
			err = fault.New(fault.Unauthenticated, "this server does not know the device").WithNext("enroll the device again")
		}
		return Enrolled{}, err
	}
	if err := mayHaveKey(d); err != nil {
		return Enrolled{}, err
	}
	if d.State == fleet.Conflict {
		// A copy that renews would leave the real machine without its key.
		return Enrolled{}, fault.New(fault.Unavailable, "two machines use this key").WithNext("a technician decides which one is real")
	}
	if owner, known := s.o.Fleet.ByKey(renewed.New.KeyHash); known && (owner.ID != d.ID || owner.Tenant != d.Tenant) {
		return Enrolled{}, fault.Conflictf("this key belongs to a device already").WithNext("make a new key")
	}
	if after := s.mayRenew(now, fleet.Ref{Tenant: d.Tenant, Device: d.ID}); after > 0 {
		s.count(limitRenewals)
		return Enrolled{}, fault.New(fault.TooMany, "more than %d renewals of a device in %v", renewBurst, renewBurst*renewEvery).
			WithNext("try again in %v", after).WithCause(&pki.Limited{After: after, Why: errRenewals})
	}
	err = s.tx(ctx, d.Tenant, func(ctx context.Context) error {
		if err := s.o.Fleet.NextKey(ctx, now, d.Tenant, d.ID, renewed.New.KeyHash); err != nil {
			return err
		}
		return s.record(ctx, now, d, "device.renewed", nil)
	})
	if err != nil {
		return Enrolled{}, err
	}
	out := Enrolled{Device: d, Now: now}
	out.Certificates, out.Bundle, err = s.issue(now, d, r.CSR)
	return out, err
}

var errRenewals = errors.New("too many renewals of a device")

// mayRenew takes one of the device's renewals, each of which is signed and goes
// on the record, or says how long to wait.
func (s *Service) mayRenew(now time.Time, ref fleet.Ref) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.renews[ref]
	if b == nil {
		b = &bucket{}
		s.renews[ref] = b
	}
	if after := b.take(now, renewBurst, renewEvery); after > 0 {
		return wholeSeconds(after)
	}
	return 0
}

// connected reports whether a session of the device with another key seems to
// be open. Who only says the serial number of a machine does not push it out.
func (s *Service) connected(now time.Time, ref fleet.Ref, key [32]byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.live[ref]
	return l != nil && l.key != key && l.Ended() == nil && now.Sub(time.UnixMilli(l.heard.Load())) <= aliveFor
}
