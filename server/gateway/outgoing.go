package gateway

import (
	"time"

	"github.com/steward-rmm/steward/proto/steward/agent/v1"
	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/session"
)

func sectionNames(list []wire.Section) []string {
	out := make([]string, 0, len(list))
	for _, s := range list {
		out = append(out, string(s))
	}
	return out
}

// seconds rounds up, so that nobody comes back too early.
func seconds(d time.Duration) uint32 {
	return uint32(max(0, (d+time.Second-1)/time.Second))
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func welcome(w session.Welcome) *agentv1.ServerMessage {
	return &agentv1.ServerMessage{Kind: &agentv1.ServerMessage_Welcome{Welcome: &agentv1.Welcome{
		Protocol: uint32(w.Protocol), ServerTimeMs: w.Now.UnixMilli(), ServerEpoch: w.Epoch, EventsThrough: w.EventsThrough,
		DropLeases: w.DropLeases, WantFull: sectionNames(w.WantFull), NextCloneSecret: w.NextClone, ReportsThroughMs: millis(w.ReportsThrough),
		ReportIntervalS: seconds(w.ReportInterval), Bundle: w.Bundle,
	}}}
}

func eventAck(through uint64) *agentv1.ServerMessage {
	return &agentv1.ServerMessage{Kind: &agentv1.ServerMessage_EventAck{EventAck: &agentv1.EventAck{Through: through}}}
}

func resend(from uint64) *agentv1.ServerMessage {
	return &agentv1.ServerMessage{Kind: &agentv1.ServerMessage_Resend{Resend: &agentv1.Resend{From: from}}}
}

func wantSections(list []wire.Section) *agentv1.ServerMessage {
	return &agentv1.ServerMessage{Kind: &agentv1.ServerMessage_WantSections{WantSections: &agentv1.WantSections{Sections: sectionNames(list)}}}
}

func reportsStored(through time.Time) *agentv1.ServerMessage {
	return &agentv1.ServerMessage{Kind: &agentv1.ServerMessage_ReportsStored{ReportsStored: &agentv1.ReportsStored{ThroughS: through.Unix()}}}
}

func scanAnswer(request uint64, allowed bool, after time.Duration) *agentv1.ServerMessage {
	return &agentv1.ServerMessage{Kind: &agentv1.ServerMessage_ScanAnswer{ScanAnswer: &agentv1.ScanAnswer{
		Request: request, Allowed: allowed, RetryAfterS: seconds(after)}}}
}

func startAnswer(r *agentv1.StartRequest, a job.Answer) *agentv1.ServerMessage {
	out := &agentv1.StartAnswer{Request: r.GetRequest(), JobId: r.GetJobId(), Attempt: r.GetAttempt(), Reason: string(a.Reason.Code), RetryAfterS: seconds(a.RetryAfter)}
	if !a.Reason.IsZero() {
		out.Text = a.Reason.Text(time.UTC)
	}
	switch a.Verdict {
	case job.Start:
		out.Verdict = agentv1.StartAnswer_VERDICT_START
	case job.Withdrawn:
		out.Verdict = agentv1.StartAnswer_VERDICT_CANCELLED
	default:
		out.Verdict = agentv1.StartAnswer_VERDICT_WAIT
	}
	return &agentv1.ServerMessage{Kind: &agentv1.ServerMessage_StartAnswer{StartAnswer: out}}
}

func desired(d session.Desired) *agentv1.ServerMessage {
	out := &agentv1.Desired{Version: d.Version, Settings: &agentv1.Settings{
		ReportIntervalS: seconds(d.Settings.ReportInterval), ScanIntervalS: seconds(d.Settings.ScanInterval)}}
	for _, l := range d.Leases {
		out.Leases = append(out.Leases, &agentv1.Lease{JobId: string(l.Job), Attempt: uint32(l.Attempt), Job: l.Encoded, Signature: l.Signature, KeyVersion: uint32(l.KeyVersion)})
	}
	for _, c := range d.Cancels {
		out.Cancels = append(out.Cancels, &agentv1.Cancel{JobId: string(c.Job), Attempt: uint32(c.Attempt), Reason: string(c.Reason.Code)})
	}
	return &agentv1.ServerMessage{Kind: &agentv1.ServerMessage_Desired{Desired: out}}
}

func goodbye(g session.Goodbye) *agentv1.ServerMessage {
	return &agentv1.ServerMessage{Kind: &agentv1.ServerMessage_Goodbye{Goodbye: &agentv1.Goodbye{
		Code: g.Code, Message: g.Message, RetryAfterS: seconds(g.RetryAfter)}}}
}
