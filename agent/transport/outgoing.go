package transport

import (
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/steward-rmm/steward/agent/identity"
	"github.com/steward-rmm/steward/agent/spool"
	agentv1 "github.com/steward-rmm/steward/proto/steward/agent/v1"
	"github.com/steward-rmm/steward/proto/wire"
)

const (
	maxClone       = identity.MaxCloneSecret
	maxUnconfirmed = 4 * wire.MaxLeases // jobs that a Hello names; the rest comes with their events
)

// text makes a text one that protobuf takes: valid UTF-8.
func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func texts(in []string) []string {
	out := make([]string, 0, len(in))
	for _, s := range in {
		out = append(out, text(s))
	}
	return out
}

// short is text within the limit of one text.
func short(s string) string {
	if len(s) > wire.MaxText {
		s = s[:wire.MaxText-len("…")-utf8Slack] + "…"
	}
	return text(s)
}

// utf8Slack: replacing a cut rune may lengthen the text by two bytes.
const utf8Slack = 2

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func machineOut(m Machine) *agentv1.Machine {
	return &agentv1.Machine{
		Hostname: short(m.Hostname), Serial: short(m.Serial), BoardUuid: short(m.BoardUUID), OsFamily: short(m.OSFamily),
		OsName: short(m.OSName), OsVersion: short(m.OSVersion), Arch: short(m.Arch), TimeZone: short(m.TimeZone),
	}
}

// eventOut translates an event. One that does not fit a message, which the
// journal never makes, keeps its number and loses its content, so that it does
// not stop those behind it; fits is false then.
func eventOut(e spool.Event) (m *agentv1.AgentMessage, fits bool) {
	out := &agentv1.Event{Seq: e.Seq, AtMs: millis(e.At)}
	switch {
	case e.Job != nil:
		out.Kind = &agentv1.Event_Job{Job: jobEventOut(*e.Job)}
	case e.Inventory != nil:
		out.Kind = &agentv1.Event_Inventory{Inventory: inventoryOut(*e.Inventory)}
	}
	m = &agentv1.AgentMessage{Kind: &agentv1.AgentMessage_Event{Event: out}}
	if proto.Size(m) > wire.MaxMessage {
		out.Kind = nil
		return m, false
	}
	return m, true
}

func inventoryOut(i spool.InventoryEvent) *agentv1.InventoryChange {
	out := &agentv1.InventoryChange{
		Section: string(i.Section), Full: i.Full, Remove: texts(i.Remove), Hash: i.Hash[:], Final: i.Final,
		ScannedAtMs: millis(i.ScannedAt), Cause: short(i.Cause),
	}
	for _, item := range i.Upsert {
		facts := make([]*agentv1.Fact, 0, len(item.Facts))
		for name, value := range item.Facts {
			facts = append(facts, &agentv1.Fact{Name: text(name), Value: text(value)})
		}
		out.Upsert = append(out.Upsert, &agentv1.Item{Key: text(item.Key), Facts: facts})
	}
	return out
}

func jobEventOut(e spool.JobEvent) *agentv1.JobEvent {
	out := &agentv1.JobEvent{JobId: text(e.JobID), Attempt: e.Attempt}
	switch e.Step {
	case spool.StepAccepted:
		out.Step = &agentv1.JobEvent_Accepted{Accepted: &agentv1.Accepted{}}
	case spool.StepRefused:
		out.Step = &agentv1.JobEvent_Refused{Refused: &agentv1.Refused{Code: short(e.Code), Detail: short(e.Detail)}}
	case spool.StepCancelJournaled:
		out.Step = &agentv1.JobEvent_CancelJournaled{CancelJournaled: &agentv1.CancelJournaled{AlreadyStarted: e.AlreadyStarted}}
	case spool.StepStarted:
		out.Step = &agentv1.JobEvent_Started{Started: &agentv1.Started{Alone: e.Alone}}
	case spool.StepProgress:
		out.Step = &agentv1.JobEvent_Progress{Progress: &agentv1.ReleaseProgress{Source: short(e.Source), Package: short(e.Package), Phase: short(e.Phase)}}
	case spool.StepResult:
		out.Step = &agentv1.JobEvent_Result{Result: &agentv1.ReleaseResult{
			Source: short(e.Source), Package: short(e.Package), From: short(e.From), To: short(e.To), State: string(e.State),
			Code: short(e.Code), Detail: short(e.Detail), ExitCode: e.ExitCode, RebootRequired: e.RebootRequired,
			TookS: uint32(min(max(0, e.Took.Round(time.Second)/time.Second), 1<<31)),
		}}
	case spool.StepLog:
		out.Step = &agentv1.JobEvent_Log{Log: &agentv1.Log{Source: short(e.Source), Package: short(e.Package), Part: e.Part, Text: text(e.Text)}}
	case spool.StepFinished:
		out.Step = &agentv1.JobEvent_Finished{Finished: &agentv1.Finished{Rescanned: e.Rescanned, Repaired: e.Repaired}}
	}
	return out
}

// names gives numbers to series for one session.
type names struct {
	ids  map[string]uint32
	full bool // a series found no number
}

func newNames() *names { return &names{ids: map[string]uint32{}} }

// maxNamed is how many series one message names.
const maxNamed = 250

// reportOut translates a report, and before it the names that are new in it.
func (n *names) reportOut(r spool.Report) (named []*agentv1.AgentMessage, report *agentv1.AgentMessage) {
	out := &agentv1.Report{AtS: r.At.Unix()}
	var fresh []*agentv1.Series
	for _, v := range r.Values {
		key := wire.SeriesKey(v.Signal, v.Attributes)
		id, known := n.ids[key]
		if !known {
			if len(n.ids) >= wire.MaxSeries {
				n.full = true
				continue
			}
			id = uint32(len(n.ids) + 1)
			n.ids[key] = id
			fresh = append(fresh, seriesOut(id, v))
		}
		out.Ids = append(out.Ids, id)
		out.Values = append(out.Values, v.Value)
	}
	for len(fresh) > 0 {
		part := fresh[:min(len(fresh), maxNamed)]
		fresh = fresh[len(part):]
		named = append(named, &agentv1.AgentMessage{Kind: &agentv1.AgentMessage_Series{Series: &agentv1.SeriesNames{Series: part}}})
	}
	return named, &agentv1.AgentMessage{Kind: &agentv1.AgentMessage_Report{Report: out}}
}

func seriesOut(id uint32, v spool.Value) *agentv1.Series {
	out := &agentv1.Series{Id: id, Signal: text(v.Signal)}
	for name, value := range v.Attributes {
		out.Attributes = append(out.Attributes, &agentv1.Attribute{Name: text(name), Value: short(value)})
	}
	return out
}

// hello gathers what opens a session.
func (c *Client) hello() (*agentv1.AgentMessage, error) {
	j, facts := c.o.Journal, c.o.Identity.Facts()
	h := &agentv1.Hello{
		ProtocolMin: wire.MinProtocolVersion, ProtocolMax: wire.ProtocolVersion, DeviceId: facts.Device, Tenant: facts.Tenant,
		ClockMs: c.o.Now().UnixMilli(), CloneSecret: c.o.Identity.CloneSecret(), AgentVersion: short(c.o.Version),
		Machine: machineOut(c.o.Machine()), MayInstall: facts.MayInstall, BundleVersion: c.o.Identity.BundleVersion(),
	}
	var err error
	if h.JournalId, err = j.ID(); err != nil {
		return nil, err
	}
	if h.SessionNo, err = j.NextSession(); err != nil {
		return nil, err
	}
	server, err := j.Server()
	if err != nil {
		return nil, err
	}
	h.ServerEpoch, h.DesiredVersion = server.Epoch, server.DesiredVersion
	confirmed, err := j.Confirmed()
	if err != nil {
		return nil, err
	}
	for _, s := range confirmed {
		h.Confirmed = append(h.Confirmed, &agentv1.SectionHash{Section: string(s.Section), Hash: s.Hash[:]})
	}
	jobs, err := j.Unconfirmed()
	if err != nil {
		return nil, err
	}
	for _, s := range jobs[:min(len(jobs), maxUnconfirmed)] {
		h.Unconfirmed = append(h.Unconfirmed, &agentv1.JobState{JobId: s.JobID, Attempt: s.Attempt, State: string(s.State)})
	}
	if h.Leases, err = j.LeaseIDs(); err != nil {
		return nil, err
	}
	if h.NextEvent, _, err = j.EventRange(); err != nil {
		return nil, err
	}
	return &agentv1.AgentMessage{Kind: &agentv1.AgentMessage_Hello{Hello: h}}, nil
}
