package transport

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/steward-rmm/steward/agent/spool"
	agentv1 "github.com/steward-rmm/steward/proto/steward/agent/v1"
	"github.com/steward-rmm/steward/proto/wire"
)

func goodWelcome() *agentv1.Welcome {
	return &agentv1.Welcome{Protocol: 1, ServerTimeMs: 1, ServerEpoch: "1", NextCloneSecret: []byte("x")}
}

func serverMessages() []*agentv1.ServerMessage {
	return []*agentv1.ServerMessage{
		{Kind: &agentv1.ServerMessage_Welcome{Welcome: goodWelcome()}},
		{Kind: &agentv1.ServerMessage_EventAck{EventAck: &agentv1.EventAck{Through: 3}}},
		{Kind: &agentv1.ServerMessage_Resend{Resend: &agentv1.Resend{From: 2}}},
		{Kind: &agentv1.ServerMessage_Desired{Desired: &agentv1.Desired{Version: 4, Leases: []*agentv1.Lease{{JobId: "j", Attempt: 1, Job: []byte("b"), Signature: []byte("s")}},
			Cancels: []*agentv1.Cancel{{JobId: "c", Attempt: 2, Reason: "r"}}, Settings: &agentv1.Settings{ReportIntervalS: 1, ScanIntervalS: 10}}}},
		{Kind: &agentv1.ServerMessage_ReportsStored{ReportsStored: &agentv1.ReportsStored{ThroughS: 5}}},
		{Kind: &agentv1.ServerMessage_StartAnswer{StartAnswer: &agentv1.StartAnswer{Request: 1, JobId: "j", Verdict: agentv1.StartAnswer_VERDICT_WAIT}}},
		{Kind: &agentv1.ServerMessage_ScanAnswer{ScanAnswer: &agentv1.ScanAnswer{Request: 1, RetryAfterS: math.MaxUint32}}},
		{Kind: &agentv1.ServerMessage_WantSections{WantSections: &agentv1.WantSections{Sections: []string{"cpu", "none"}}}},
		{Kind: &agentv1.ServerMessage_Goodbye{Goodbye: &agentv1.Goodbye{Code: "shutdown", Message: "a\x1b[2Jb\u202e"}}},
		{},
	}
}

func TestMessagesOverTheLimitsAreRefused(t *testing.T) {
	long := strings.Repeat("x", wire.MaxText+1)
	welcome := func(change func(*agentv1.Welcome)) *agentv1.ServerMessage {
		w := goodWelcome()
		change(w)
		return &agentv1.ServerMessage{Kind: &agentv1.ServerMessage_Welcome{Welcome: w}}
	}
	desired := func(d *agentv1.Desired) *agentv1.ServerMessage {
		return &agentv1.ServerMessage{Kind: &agentv1.ServerMessage_Desired{Desired: d}}
	}
	lease := func(l *agentv1.Lease) *agentv1.ServerMessage {
		return desired(&agentv1.Desired{Leases: []*agentv1.Lease{l}})
	}
	for name, m := range map[string]*agentv1.ServerMessage{
		"protocol 0":            welcome(func(w *agentv1.Welcome) { w.Protocol = 0 }),
		"protocol 99":           welcome(func(w *agentv1.Welcome) { w.Protocol = 99 }),
		"no epoch":              welcome(func(w *agentv1.Welcome) { w.ServerEpoch = "" }),
		"long epoch":            welcome(func(w *agentv1.Welcome) { w.ServerEpoch = long }),
		"no clone secret":       welcome(func(w *agentv1.Welcome) { w.NextCloneSecret = nil }),
		"long clone secret":     welcome(func(w *agentv1.Welcome) { w.NextCloneSecret = make([]byte, 65) }),
		"many drops":            welcome(func(w *agentv1.Welcome) { w.DropLeases = make([]string, 300) }),
		"a long drop":           welcome(func(w *agentv1.Welcome) { w.DropLeases = []string{long} }),
		"many sections":         welcome(func(w *agentv1.Welcome) { w.WantFull = make([]string, 65) }),
		"time before 1970":      welcome(func(w *agentv1.Welcome) { w.ServerTimeMs = -1 }),
		"time after 9999":       welcome(func(w *agentv1.Welcome) { w.ReportsThroughMs = math.MaxInt64 }),
		"all events":            welcome(func(w *agentv1.Welcome) { w.EventsThrough = math.MaxUint64 }),
		"a large bundle":        welcome(func(w *agentv1.Welcome) { w.Bundle = make([]byte, 64<<10) }),
		"many leases":           desired(&agentv1.Desired{Leases: make([]*agentv1.Lease, wire.MaxLeases+1)}),
		"many cancels":          desired(&agentv1.Desired{Cancels: make([]*agentv1.Cancel, maxCancels+1)}),
		"a long reason":         desired(&agentv1.Desired{Cancels: []*agentv1.Cancel{{JobId: "j", Reason: long}}}),
		"no job id":             lease(&agentv1.Lease{Job: []byte("x")}),
		"a long job id":         lease(&agentv1.Lease{JobId: long, Job: []byte("x")}),
		"no job":                lease(&agentv1.Lease{JobId: "j"}),
		"a large job":           lease(&agentv1.Lease{JobId: "j", Job: make([]byte, wire.MaxJob+1)}),
		"a long signature":      lease(&agentv1.Lease{JobId: "j", Job: []byte("x"), Signature: make([]byte, 129)}),
		"resend from 0":         {Kind: &agentv1.ServerMessage_Resend{Resend: &agentv1.Resend{}}},
		"stored in the past":    {Kind: &agentv1.ServerMessage_ReportsStored{ReportsStored: &agentv1.ReportsStored{ThroughS: math.MinInt64}}},
		"an answer for none":    {Kind: &agentv1.ServerMessage_StartAnswer{StartAnswer: &agentv1.StartAnswer{Request: 1}}},
		"wanted by a long name": {Kind: &agentv1.ServerMessage_WantSections{WantSections: &agentv1.WantSections{Sections: []string{long}}}},
	} {
		if got, err := readMessage(m); !errors.Is(err, errProtocol) {
			t.Errorf("%s: %v %v", name, got, err)
		}
	}
	for i, m := range serverMessages() {
		if _, err := readMessage(m); err != nil {
			t.Errorf("message %d: %v", i, err)
		}
	}
}

func FuzzReadMessage(f *testing.F) {
	for _, m := range serverMessages() {
		raw, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var m agentv1.ServerMessage
		if proto.Unmarshal(raw, &m) != nil {
			return
		}
		got, err := readMessage(&m)
		if err != nil {
			if !errors.Is(err, errProtocol) {
				t.Fatalf("another error: %v", err)
			}
			return
		}
		switch got := got.(type) {
		case welcome:
			if got.epoch == "" || len(got.nextClone) == 0 || len(got.nextClone) > maxClone || len(got.dropLeases) > maxDrops || len(got.wantFull) > len(wire.Sections()) {
				t.Fatalf("%+v", got)
			}
			checkInterval(t, got.interval)
		case desired:
			if len(got.Leases) > wire.MaxLeases || len(got.Cancels) > maxCancels {
				t.Fatalf("%d leases, %d cancels", len(got.Leases), len(got.Cancels))
			}
			for _, l := range got.Leases {
				if l.JobID == "" || len(l.Bytes) > wire.MaxJob {
					t.Fatalf("%+v", l)
				}
			}
			checkInterval(t, got.Settings.ReportInterval)
		case startAnswer:
			if got.retry < 0 || got.retry > maxRetry {
				t.Fatalf("%+v", got)
			}
		case *Goodbye:
			if got.RetryAfter < 0 || got.RetryAfter > maxRetry || strings.ContainsAny(got.Error(), "\x1b\n\u202e") {
				t.Fatalf("%+v", got)
			}
		case wantSections:
			for _, s := range got.sections {
				if !slices.Contains(wire.Sections(), s) {
					t.Fatalf("unknown section %q", s)
				}
			}
		}
	})
}

func checkInterval(t *testing.T, d time.Duration) {
	t.Helper()
	if d != 0 && (d < wire.MinReportInterval || d > maxReport) {
		t.Fatalf("an interval of %v", d)
	}
}

func TestEveryEventIsTranslated(t *testing.T) {
	at := time.UnixMilli(1234567).UTC()
	bad := "a\xffb" + strings.Repeat("ü", wire.MaxText)
	for _, step := range []spool.Step{spool.StepAccepted, spool.StepRefused, spool.StepCancelJournaled, spool.StepStarted, spool.StepProgress, spool.StepResult, spool.StepLog, spool.StepFinished} {
		e := spool.Event{Seq: 7, At: at, Job: &spool.JobEvent{
			Key: spool.Key{JobID: "j", Attempt: 2}, Step: step, AlreadyStarted: true, Alone: true, Source: "apt", Package: "p", Phase: "installing",
			From: "1", To: "2", State: wire.ResultVerified, Code: "c", Detail: bad, ExitCode: -1, RebootRequired: true, Took: 90 * time.Second,
			Part: 3, Text: "log\xff", Rescanned: true, Repaired: true,
		}}
		m, fits := eventOut(e)
		raw, err := proto.Marshal(m)
		if err != nil || !fits {
			t.Fatalf("%s: %v", step, err)
		}
		var back agentv1.AgentMessage
		if err := proto.Unmarshal(raw, &back); err != nil {
			t.Fatal(err)
		}
		got := back.GetEvent()
		if got.GetSeq() != 7 || got.GetAtMs() != at.UnixMilli() || got.GetJob().GetJobId() != "j" || got.GetJob().GetAttempt() != 2 || got.GetJob().GetStep() == nil {
			t.Errorf("%s: %v", step, got)
		}
		if r := got.GetJob().GetResult(); step == spool.StepResult && (r.GetTookS() != 90 || r.GetState() != "verified" || len(r.GetDetail()) > wire.MaxText || !utf8.ValidString(r.GetDetail()) || !r.GetRebootRequired()) {
			t.Errorf("result %v", r)
		}
	}
	hash := wire.HashItems(nil)
	m, fits := eventOut(spool.Event{Seq: 8, At: at, Inventory: &spool.InventoryEvent{
		Section: wire.SectionCPU, Full: true, Final: true, Upsert: []wire.Item{{Key: "k\xff", Facts: map[string]string{"a": "b\xff"}}}, Remove: []string{"r"}, Hash: hash, ScannedAt: at, Cause: "start",
	}})
	i := m.GetEvent().GetInventory()
	if _, err := proto.Marshal(m); err != nil || !fits || i.GetSection() != "cpu" || !i.GetFull() || !i.GetFinal() || !bytes.Equal(i.GetHash(), hash[:]) || len(i.GetUpsert()) != 1 || i.GetScannedAtMs() != at.UnixMilli() {
		t.Errorf("inventory %v %v", i, err)
	}
	large := &spool.InventoryEvent{Section: wire.SectionSoftware, Upsert: make([]wire.Item, 1000)}
	for n := range large.Upsert {
		large.Upsert[n] = wire.Item{Key: strings.Repeat("k", 500)}
	}
	if m, fits := eventOut(spool.Event{Seq: 9, Inventory: large}); fits || m.GetEvent().GetSeq() != 9 || proto.Size(m) > 1000 {
		t.Error("an event that does not fit keeps its number and loses its content")
	}
}

func TestSeriesAreNamedOnceInASession(t *testing.T) {
	n := newNames()
	value := func(device string, v float64) spool.Value {
		return spool.Value{Signal: wire.SignalDiskIO, Attributes: map[string]string{"device": device}, Value: v}
	}
	named, r := n.reportOut(spool.Report{At: time.Unix(60, 0), Values: []spool.Value{value("a", 1), value("b", 2)}})
	if len(named) != 1 || len(named[0].GetSeries().GetSeries()) != 2 || !slices.Equal(r.GetReport().GetIds(), []uint32{1, 2}) || !slices.Equal(r.GetReport().GetValues(), []float64{1, 2}) || r.GetReport().GetAtS() != 60 {
		t.Fatalf("first: %v %v", named, r)
	}
	named, r = n.reportOut(spool.Report{At: time.Unix(90, 0), Values: []spool.Value{value("b", 3), value("c", 4)}})
	if len(named) != 1 || named[0].GetSeries().GetSeries()[0].GetId() != 3 || !slices.Equal(r.GetReport().GetIds(), []uint32{2, 3}) {
		t.Fatalf("second: %v %v", named, r)
	}
	if named, _ = n.reportOut(spool.Report{Values: []spool.Value{value("a", 1)}}); len(named) != 0 {
		t.Fatal("named again")
	}
	var many spool.Report
	for i := range wire.MaxSeries + 5 {
		many.Values = append(many.Values, value(strings.Repeat("x", i+1), 1))
	}
	named, r = newNames().reportOut(many)
	if len(named) != wire.MaxSeries/maxNamed || len(r.GetReport().GetIds()) != wire.MaxSeries {
		t.Fatalf("%d messages of names, %d values", len(named), len(r.GetReport().GetIds()))
	}
	for _, m := range append(named, r) {
		if proto.Size(m) > wire.MaxMessage {
			t.Errorf("a message of %d bytes", proto.Size(m))
		}
	}
}
