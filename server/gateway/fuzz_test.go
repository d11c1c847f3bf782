package gateway

import (
	"reflect"
	"testing"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/steward-rmm/steward/proto/steward/agent/v1"
	"github.com/steward-rmm/steward/proto/wire"
)

// checkTexts looks at every text in a plain value: bounded, UTF-8, and without
// what hides or turns it.
func checkTexts(t *testing.T, v reflect.Value, path string) {
	switch v.Kind() {
	case reflect.String:
		s := v.String()
		lines := path == ".Job.Text"
		limit := wire.MaxText
		if lines {
			limit = wire.MaxStepLog
		}
		if len(s) > limit || !utf8.ValidString(s) {
			t.Errorf("%s: %d bytes, valid %v", path, len(s), utf8.ValidString(s))
		}
		for _, r := range s {
			if unicode.Is(unicode.Bidi_Control, r) || unicode.IsControl(r) && !(lines && (r == '\n' || r == '\t')) {
				t.Errorf("%s holds %U", path, r)
			}
		}
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() && v.Type().String() != "*time.Location" && path != ".Malformed" {
			checkTexts(t, v.Elem(), path)
		}
	case reflect.Struct:
		if v.Type().String() == "time.Time" {
			return
		}
		for i := range v.NumField() {
			checkTexts(t, v.Field(i), path+"."+v.Type().Field(i).Name)
		}
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return
		}
		for i := range v.Len() {
			checkTexts(t, v.Index(i), path)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			checkTexts(t, key, path)
			checkTexts(t, v.MapIndex(key), path)
		}
	}
}

func evil() string { return "a\u202eb\x1b[2J\x00\nc" }

// samples has every message that an agent sends, and every step of a job.
func samples() []*agentv1.AgentMessage {
	const id = "0192f1a0-0000-7000-8000-000000000001"
	out := []*agentv1.AgentMessage{
		{Kind: &agentv1.AgentMessage_Hello{Hello: &agentv1.Hello{ProtocolMin: 1, ProtocolMax: 1, DeviceId: evil(), Tenant: "acme", JournalId: evil(), SessionNo: 3,
			Confirmed: []*agentv1.SectionHash{{Section: "os", Hash: make([]byte, 32)}}, Unconfirmed: []*agentv1.JobState{{JobId: id, Attempt: 1, State: evil()}},
			Leases: []string{evil()}, ClockMs: 1, Machine: &agentv1.Machine{Hostname: evil(), OsName: evil()}, NextEvent: 5}}},
		{Kind: &agentv1.AgentMessage_Series{Series: &agentv1.SeriesNames{Series: []*agentv1.Series{{Id: 1, Signal: "system.cpu.utilization",
			Attributes: []*agentv1.Attribute{{Name: "device", Value: evil()}}}}}}},
		{Kind: &agentv1.AgentMessage_Report{Report: &agentv1.Report{AtS: 1 << 40, Ids: []uint32{1}, Values: []float64{2}}}},
		{Kind: &agentv1.AgentMessage_DesiredAck{DesiredAck: &agentv1.DesiredAck{Version: 4}}},
		{Kind: &agentv1.AgentMessage_StartRequest{StartRequest: &agentv1.StartRequest{JobId: id, Attempt: 1, Request: 1}}},
		{Kind: &agentv1.AgentMessage_ScanRequest{ScanRequest: &agentv1.ScanRequest{Source: evil()}}},
		{Kind: &agentv1.AgentMessage_Event{Event: &agentv1.Event{Seq: 1, AtMs: 5, Kind: &agentv1.Event_Inventory{Inventory: &agentv1.InventoryChange{Section: "os", Hash: make([]byte, 32),
			Upsert: []*agentv1.Item{{Key: evil(), Facts: []*agentv1.Fact{{Name: evil(), Value: evil()}}}}, Remove: []string{evil()}, Cause: evil()}}}}},
	}
	for _, step := range []*agentv1.JobEvent{
		{Step: &agentv1.JobEvent_Accepted{Accepted: &agentv1.Accepted{}}},
		{Step: &agentv1.JobEvent_Refused{Refused: &agentv1.Refused{Code: evil(), Detail: evil()}}},
		{Step: &agentv1.JobEvent_CancelJournaled{CancelJournaled: &agentv1.CancelJournaled{AlreadyStarted: true}}},
		{Step: &agentv1.JobEvent_Started{Started: &agentv1.Started{Alone: true}}},
		{Step: &agentv1.JobEvent_Progress{Progress: &agentv1.ReleaseProgress{Source: "apt", Package: evil(), Phase: "installing"}}},
		{Step: &agentv1.JobEvent_Result{Result: &agentv1.ReleaseResult{Source: "apt", Package: evil(), State: "verified", Detail: evil(), TookS: 1 << 31}}},
		{Step: &agentv1.JobEvent_Log{Log: &agentv1.Log{Source: "apt", Text: evil()}}},
		{Step: &agentv1.JobEvent_Finished{Finished: &agentv1.Finished{Rescanned: true}}},
	} {
		step.JobId, step.Attempt = id, 1
		out = append(out, &agentv1.AgentMessage{Kind: &agentv1.AgentMessage_Event{Event: &agentv1.Event{Seq: 1, AtMs: 1, Kind: &agentv1.Event_Job{Job: step}}}})
	}
	return out
}

// translate gives the plain value of any message of an agent, nil when it is refused.
func translate(m *agentv1.AgentMessage) any {
	var v any
	var err error
	switch k := m.GetKind().(type) {
	case *agentv1.AgentMessage_Hello:
		v, err = hello(k.Hello)
	case *agentv1.AgentMessage_Event:
		v = event(k.Event)
	case *agentv1.AgentMessage_Series:
		v, err = series(k.Series)
	case *agentv1.AgentMessage_Report:
		v = report(k.Report)
	case *agentv1.AgentMessage_ScanRequest:
		v, err = text("source", k.ScanRequest.GetSource())
	}
	if err != nil {
		return nil
	}
	return v
}

func TestEveryMessageIsTranslatedAndCleaned(t *testing.T) {
	for _, m := range samples() {
		v := translate(m)
		switch m.GetKind().(type) {
		case *agentv1.AgentMessage_DesiredAck, *agentv1.AgentMessage_StartRequest:
			continue // numbers, and an id that is checked
		}
		if v == nil {
			t.Errorf("refused: %v", m)
			continue
		}
		checkTexts(t, reflect.ValueOf(v), "")
		if e := m.GetEvent(); e != nil {
			if got := event(e); got.Malformed != nil || got.Job == nil && got.Inventory == nil {
				t.Errorf("%v: %+v", e, got)
			}
		}
	}
}

func FuzzAgentMessage(f *testing.F) {
	for _, m := range samples() {
		raw, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var m agentv1.AgentMessage
		if proto.Unmarshal(raw, &m) != nil {
			return
		}
		if v := translate(&m); v != nil {
			checkTexts(t, reflect.ValueOf(v), "")
		}
	})
}

func FuzzEnrollRequest(f *testing.F) {
	raw, err := proto.Marshal(&agentv1.EnrollRequest{Token: make([]byte, 20), Csr: []byte("x"), Machine: &agentv1.Machine{Hostname: evil()}, Class: evil(), Tags: []string{evil()}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		var m agentv1.EnrollRequest
		if proto.Unmarshal(raw, &m) != nil {
			return
		}
		if r, err := enrollRequest(&m); err == nil {
			checkTexts(t, reflect.ValueOf(r), "")
		}
	})
}
