package session

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/pki"
	"github.com/steward-rmm/steward/server/reason"
)

// A second journal with the key of an open session is the same machine, whose
// old connection is not known to be dead yet, or another one. It is told to
// come again; if the old session was heard meanwhile there are two machines.
const (
	aliveFor   = 2 * wire.DefaultReportInterval // since the last message; dead beyond
	rivalAgain = aliveFor * 3 / 4
)

// Open opens a session: the Live and its Welcome, or the Goodbye that refuses
// it. fault.Unauthenticated is a certificate that opens nothing.
func (s *Service) Open(ctx context.Context, now time.Time, p Peer, h Hello) (*Live, Welcome, *Goodbye, error) {
	if !p.Trusted {
		return nil, Welcome{}, nil, fault.New(fault.Unauthenticated, "the certificate is missing, not one of this server, or expired").
			WithNext("renew it, or enroll the device")
	}
	d, ok := s.o.Fleet.ByKey(p.KeyHash)
	if !ok {
		bye := unknown()
		return nil, Welcome{}, &bye, nil
	}
	if bye, err := s.admit(ctx, now, d, p, h); bye != nil || err != nil {
		return nil, Welcome{}, bye, err
	}
	ref := fleet.Ref{Tenant: d.Tenant, Device: d.ID}
	if seen, proven := s.rivals(now, ref, p.KeyHash, h.Journal); seen {
		bye, err := s.twoJournals(ctx, now, d, h, proven)
		return nil, Welcome{}, bye, err
	}
	s.mu.Lock()
	since, away := s.leaving[ref]
	delete(s.leaving, ref)
	s.mu.Unlock()
	l, w, bye, err := s.begin(ctx, now, d, p.KeyHash, h)
	if l == nil {
		s.mu.Lock()
		if _, back := s.live[ref]; away && !back {
			s.leaving[ref] = since
		}
		s.mu.Unlock()
		return nil, Welcome{}, bye, err
	}
	s.register(l)
	if bye := l.Ended(); bye != nil {
		l.Close(now)
		return nil, Welcome{}, bye, nil
	}
	return l, w, nil, nil
}

// admit refuses what may not even be looked at closer.
func (s *Service) admit(ctx context.Context, now time.Time, d fleet.Device, p Peer, h Hello) (*Goodbye, error) {
	ref := fleet.Ref{Tenant: d.Tenant, Device: d.ID}
	s.mu.Lock()
	b := s.opens[ref]
	if b == nil {
		b = &bucket{}
		s.opens[ref] = b
	}
	after := b.take(now, wire.MaxOpens, opensEvery)
	s.mu.Unlock()
	if after > 0 {
		s.count(limitOpens)
		return &Goodbye{Code: ByeLimit, Message: fmt.Sprintf("more than %d sessions a minute", wire.MaxOpens), RetryAfter: wholeSeconds(after)}, nil
	}
	if bye := refusal(d); bye != nil {
		return bye, nil
	}
	for _, hint := range [][2]string{
		{string(p.Device), string(d.ID)}, {string(h.Device), string(d.ID)}, {string(p.Tenant), string(d.Tenant)}, {string(h.Tenant), string(d.Tenant)},
	} {
		if hint[0] != "" && hint[0] != hint[1] {
			err := s.o.Tx(ctx, func(ctx context.Context) error {
				return s.record(ctx, now, d, "device.refused", map[string]string{
					"why": "it came under another name", "device": string(h.Device), "tenant": string(h.Tenant),
					"certificate_device": string(p.Device), "certificate_tenant": string(p.Tenant),
				})
			})
			bye := unknown()
			return &bye, err
		}
	}
	if h.ProtocolMin > wire.ProtocolVersion || h.ProtocolMax < wire.MinProtocolVersion {
		return &Goodbye{Code: ByeProtocol, RetryAfter: time.Hour, Message: fmt.Sprintf("the device speaks protocol %d to %d, this server %d to %d",
			h.ProtocolMin, h.ProtocolMax, wire.MinProtocolVersion, wire.ProtocolVersion)}, nil
	}
	const most = 1 << 62
	if h.Journal == "" || len(h.Journal) > 128 || h.Number > most || h.NextEvent > most || h.DesiredVersion > most || len(h.Leases) > 4*wire.MaxLeases {
		s.count(limitMalformed)
		return &Goodbye{Code: ByeProtocol, RetryAfter: time.Hour, Message: "the Hello makes no sense"}, nil
	}
	return nil, nil
}

// rivals reports whether a session of the same key with another journal seems
// to be open, and whether it is proven that both are there.
func (s *Service) rivals(now time.Time, ref fleet.Ref, key [32]byte, journal string) (seen, proven bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.live[ref]
	if l == nil || l.key != key || l.journal == journal || l.Ended() != nil {
		return false, false
	}
	heard := time.UnixMilli(l.heard.Load())
	if l.rival.journal == journal {
		proven = heard.After(l.rival.at)
		return proven || now.Sub(l.rival.at) < rivalAgain, proven // too early to know
	}
	if now.Sub(heard) > aliveFor {
		return false, false
	}
	l.rival = rival{journal, now}
	return true, false
}

// twoJournals answers the second journal, and once it is proven that two
// machines are there puts the device in conflict.
func (s *Service) twoJournals(ctx context.Context, now time.Time, d fleet.Device, h Hello, proven bool) (*Goodbye, error) {
	if !proven {
		return &Goodbye{Code: ByeConflict, Message: "a session with this key is open already", RetryAfter: rivalAgain}, nil
	}
	err := s.tx(ctx, d.Tenant, func(ctx context.Context) error {
		_, err := s.o.Fleet.Transition(ctx, now, d.Tenant, d.ID, fleet.Conflict, conflict("both are connected", d, h.Machine), ident.Steward("session"))
		return err
	})
	return &Goodbye{Code: ByeConflict, Message: "another machine with this key is connected", RetryAfter: 10 * time.Minute}, err
}

// conflict tells of both machines.
func conflict(why string, d fleet.Device, m Machine) reason.Reason {
	name := func(host, serial, board string) string {
		return strings.TrimSpace(fmt.Sprintf("%.64s (serial %.64s, board %.64s)", host, orNone(serial), orNone(board)))
	}
	return reason.New(reason.DeviceConflict, "why",
		fmt.Sprintf("%s: %s and %s", why, name(d.Hostname, d.Serial, d.BoardUUID), name(m.Hostname, m.Serial, m.BoardUUID)))
}

func orNone(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// decide returns the record as the Hello leaves it. anew says that nothing
// known of the device's events and pictures can be relied on: a journal that
// was not known, or a restored server. bye refuses an older session.
func decide(now time.Time, epoch uint64, r Record, found bool, h Hello) (next Record, anew bool, bye *Goodbye) {
	anew = !found || r.Journal != h.Journal || r.Epoch != epoch
	if found && r.Journal == h.Journal && r.Epoch == epoch && h.Number <= r.Number {
		g := superseded()
		return r, false, &g
	}
	next = r
	next.Journal, next.Number, next.Epoch, next.OpenedAt = h.Journal, h.Number, epoch, now
	if anew {
		// What the device no longer has it was told to forget: there is no use
		// in asking for it.
		next.Through, next.ReportsThrough = max(h.NextEvent, 1)-1, time.Time{}
	}
	if h.DesiredVersion > next.Desired {
		next.Desired, next.DesiredHash = h.DesiredVersion, nil // the next one is higher
	}
	return next, anew, nil
}

// wanted lists the sections that the device should send in full, those it was
// asked for before among them.
func wanted(anew bool, r Record, h Hello, have map[wire.Section][32]byte) []wire.Section {
	if anew {
		return wire.Sections()
	}
	// When acknowledgements were lost on the way, what it holds for confirmed is
	// older than what is here.
	current := r.Through < max(h.NextEvent, 1)
	var out []wire.Section
	for _, section := range wire.Sections() {
		hash, told := h.Confirmed[section]
		if slices.Contains(r.Wants, section) || current && told && have[section] != hash {
			out = append(out, section)
		}
	}
	return out
}

// begin is the transaction of a Hello.
func (s *Service) begin(ctx context.Context, now time.Time, d fleet.Device, key [32]byte, h Hello) (l *Live, w Welcome, bye *Goodbye, err error) {
	var lost bool
	trusted, err := s.bundle(now, d.Tenant)
	if err != nil {
		s.o.Log.Error("no bundle for a device", "tenant", d.Tenant, "error", err)
	}
	fresh := pki.NewCloneSecret()
	var rec Record
	err = s.tx(ctx, d.Tenant, func(ctx context.Context) error {
		w = Welcome{Protocol: min(h.ProtocolMax, wire.ProtocolVersion), Now: now, Epoch: s.epoch(), ReportInterval: settings().ReportInterval}
		old, found, err := s.o.Store.Record(ctx, d.Tenant, d.ID)
		if err != nil {
			return err
		}
		if w.NextClone, err = s.present(ctx, now, d, key, h, fresh); err != nil {
			return err
		}
		var anew bool
		if rec, anew, bye = decide(now, s.o.Epoch, old, found, h); bye != nil {
			return nil
		}
		lost = anew
		rec.Tenant, rec.Device = d.Tenant, d.ID
		have, err := s.o.Inventory.Hashes(ctx, d.Tenant, d.ID)
		if err != nil {
			return err
		}
		rec.Wants = wanted(anew, rec, h, have)
		if err := s.o.Store.PutRecord(ctx, rec); err != nil {
			return err
		}
		if found && old.Journal != h.Journal {
			if err := s.journalLost(ctx, now, d); err != nil {
				return err
			}
		}
		if w.DropLeases, err = s.o.Jobs.DropLeases(ctx, now, d.Tenant, d.ID, h.Leases); err != nil {
			return err
		}
		w.WantFull, w.EventsThrough, w.ReportsThrough = rec.Wants, rec.Through, rec.ReportsThrough
		if h.Clock.IsZero() || w.ReportsThrough.After(h.Clock) {
			w.ReportsThrough = time.Time{} // its clock was set back: what it has now may be new
		}
		if err := s.arrive(ctx, now, d, key, h); err != nil || d.State != fleet.Pending || anew {
			return err
		}
		return s.complete(ctx, now, fleet.Ref{Tenant: d.Tenant, Device: d.ID})
	})
	if err != nil || bye != nil {
		return nil, Welcome{}, bye, err
	}
	if trusted.version > h.BundleVersion {
		w.Bundle = trusted.encoded
	}
	if lost {
		s.o.Inventory.Drop(d.Tenant, d.ID) // parts of pictures of another journal
	}
	return s.newLive(now, d, key, h, rec, w.WantFull), w, nil, nil
}

// present judges the clone secret; a copy puts the device in conflict, and is
// offered nothing new: it keeps what it has.
func (s *Service) present(ctx context.Context, now time.Time, d fleet.Device, key [32]byte, h Hello, fresh []byte) (offer []byte, err error) {
	secret, err := s.o.Store.Secret(ctx, d.Tenant, d.ID, key)
	if err != nil {
		return nil, err
	}
	if !secret.ConflictAt.IsZero() && d.State != fleet.Conflict {
		secret = Secret{} // a person decided; the next Hello sets it anew
	}
	verdict, next := pki.Present(secret.Clone, h.CloneSecret, s.o.Epoch, fresh)
	if verdict == pki.OK {
		secret.Clone = next
		return fresh, s.o.Store.PutSecret(ctx, d.Tenant, d.ID, key, secret)
	}
	if secret.ConflictAt.IsZero() {
		secret.ConflictAt = now
		if err := s.o.Store.PutSecret(ctx, d.Tenant, d.ID, key, secret); err != nil {
			return nil, err
		}
	}
	_, err = s.o.Fleet.Transition(ctx, now, d.Tenant, d.ID, fleet.Conflict,
		conflict("an earlier state of it, or a copy, came back", d, h.Machine), ident.Steward("session"))
	return h.CloneSecret, err
}

// journalLost makes unknown what was thought to be leased to the device.
func (s *Service) journalLost(ctx context.Context, now time.Time, d fleet.Device) error {
	if err := s.o.Jobs.JournalLost(ctx, now, d.Tenant, d.ID); err != nil {
		return err
	}
	updates, err := s.o.Patches.Updates(ctx, d.Tenant, d.ID)
	if err != nil {
		return err
	}
	var lost []ident.JobID
	for _, u := range updates {
		if u.State.Open() && u.Job != "" && !slices.Contains(lost, u.Job) {
			lost = append(lost, u.Job)
		}
	}
	for _, id := range lost {
		if err := s.o.Patches.Lost(ctx, now, d.Tenant, d.ID, id); err != nil {
			return err
		}
	}
	return nil
}

// arrive notes in the fleet that the device is there, with its key and facts.
func (s *Service) arrive(ctx context.Context, now time.Time, d fleet.Device, key [32]byte, h Hello) error {
	if d.KeyHash != key {
		if err := s.o.Fleet.KeyUsed(ctx, d.Tenant, d.ID, key); err != nil {
			return err
		}
		if err := s.o.Store.DropSecrets(ctx, d.Tenant, d.ID, key); err != nil {
			return err
		}
	}
	if err := s.o.Fleet.Report(ctx, d.Tenant, d.ID, facts(h.Machine, h.AgentVersion)); err != nil {
		return err
	}
	return s.o.Fleet.Connected(ctx, now, d.Tenant, d.ID)
}

func facts(m Machine, version string) fleet.Facts {
	f := fleet.Facts{Hostname: m.Hostname, Serial: m.Serial, BoardUUID: m.BoardUUID, Arch: m.Arch, AgentVersion: version, OS: m.OS}
	if fleet.CheckZone("time_zone", m.TimeZone) == nil {
		f.TimeZone = m.TimeZone
	}
	return f
}

func (s *Service) newLive(now time.Time, d fleet.Device, key [32]byte, h Hello, rec Record, asked []wire.Section) *Live {
	l := &Live{
		s: s, ref: fleet.Ref{Tenant: d.Tenant, Device: d.ID}, key: key, journal: h.Journal, number: h.Number, through: rec.Through,
		inventory: map[wire.Section]*bucket{}, wants: map[wire.Section]want{},
	}
	if skew := now.Sub(h.Clock); !h.Clock.IsZero() && skew.Abs() > time.Second {
		l.offset = skew
	}
	for _, section := range asked {
		l.wants[section] = wantAsked
	}
	l.stored = stored{told: rec.ReportsThrough, at: now}
	l.desired = desiredState{sent: h.DesiredVersion, due: now}
	l.heard.Store(now.UnixMilli())
	l.hints, l.cancel = s.o.Wake.Subscribe(DesiredTopic(d.ID))
	return l
}
