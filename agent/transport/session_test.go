package transport

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"pgregory.net/rapid"

	"github.com/steward-rmm/steward/agent/identity"
	"github.com/steward-rmm/steward/agent/spool"
	agentv1 "github.com/steward-rmm/steward/proto/steward/agent/v1"
	"github.com/steward-rmm/steward/proto/wire"
)

func TestHelloTellsWhatTheJournalHolds(t *testing.T) {
	inBubble(t, func(w *world) {
		w.scan(wire.SectionSoftware, "a", "b")
		w.fake.welcome = func(_ *agentv1.Hello, m *agentv1.Welcome) { m.ServerEpoch = "7" }
		w.start()
		w.wantEvents(1)
		w.stop()
		w.start()
		w.until("a second session", time.Minute, func() bool { return len(w.fake.hellos) == 2 })
		one, two := w.fake.hellos[0], w.fake.hellos[1]
		if one.GetDeviceId() != "dev-1" || one.GetTenant() != "acme" || one.GetProtocolMax() != wire.ProtocolVersion || one.GetAgentVersion() != "test" || one.GetBundleVersion() != 1 {
			t.Errorf("hello %v", one)
		}
		if one.GetNextEvent() != 1 || two.GetNextEvent() != 2 || two.GetSessionNo() <= one.GetSessionNo() || two.GetJournalId() != one.GetJournalId() {
			t.Errorf("numbers %v %v", one, two)
		}
		if two.GetServerEpoch() != "7" || len(two.GetConfirmed()) != 1 || string(two.GetCloneSecret()) != "secret-1" || len(one.GetCloneSecret()) != 0 {
			t.Errorf("what was learned: %v", two)
		}
		if w.fake.resumed != 1 {
			t.Errorf("%d sessions resumed, want the second", w.fake.resumed)
		}
		if !slices.Equal(w.every, []time.Duration{30 * time.Second, 30 * time.Second}) {
			t.Errorf("intervals %v", w.every)
		}
	})
}

func TestTheCloneSecretIsKeptBeforeAnythingIsSent(t *testing.T) {
	inBubble(t, func(w *world) {
		w.scan(wire.SectionOS, "a")
		w.fake.take = func(*fakeStream, *agentv1.AgentMessage) error {
			if got := string(w.id.CloneSecret()); got != "secret-1" {
				w.fake.wrong("a message came while the secret was %q", got)
			}
			return nil
		}
		w.start()
		w.wantEvents(1)
	})
}

func TestEventsGoInABoundedWindow(t *testing.T) {
	inBubble(t, func(w *world) {
		for i := range 3 * inFlight {
			w.scan(wire.SectionOS, fmt.Sprint(i))
		}
		_, next, err := w.journal.EventRange()
		w.must(err)
		n := int(next - 1)
		held := []*agentv1.AgentMessage{}
		hold := true
		w.fake.take = func(_ *fakeStream, m *agentv1.AgentMessage) error {
			if hold && m.GetEvent() != nil {
				held = append(held, m)
				return errSkip
			}
			return nil
		}
		w.start()
		time.Sleep(time.Minute)
		synctest.Wait()
		if n <= inFlight || len(held) != inFlight {
			t.Fatalf("%d of %d events in flight, want %d", len(held), n, inFlight)
		}
		hold = false // the first ones are lost: a gap once more come, or silence
		w.wantEvents(n)
	})
}

func TestASilentServerIsLeft(t *testing.T) {
	inBubble(t, func(w *world) {
		w.scan(wire.SectionOS, "a")
		silent := true
		w.fake.take = func(*fakeStream, *agentv1.AgentMessage) error {
			if silent {
				return errSkip
			}
			return nil
		}
		w.start()
		time.Sleep(ackTimeout + time.Second)
		silent = false
		w.wantEvents(1)
		if len(w.fake.hellos) < 2 {
			t.Error("no new session")
		}
	})
}

// weather bends one message of the session: what the agent sent is lost or cut
// off, what the server answers comes twice or late.
type weather byte

const (
	fair weather = iota
	lost
	cut
	twice
	stale
	silly
)

func (w *world) weathered(plan []weather) {
	i := 0
	w.fake.take = func(st *fakeStream, m *agentv1.AgentMessage) error {
		if i >= len(plan) {
			return nil
		}
		i++
		switch plan[i-1] {
		case lost:
			if m.GetEvent() != nil { // what the numbers are for
				return errSkip
			}
		case cut:
			return status.Error(codes.Unavailable, "cut")
		case twice:
			if m.GetEvent() != nil {
				_ = w.fake.message(&fakeStream{BidiStreamingServer: st.BidiStreamingServer, hello: st.hello, names: st.names}, m)
			}
		case stale:
			return w.fake.say(st, &agentv1.EventAck{Through: 0})
		case silly: // messages of no consequence
			_ = w.fake.say(st, &agentv1.StartAnswer{Request: 99, JobId: "x", Verdict: agentv1.StartAnswer_VERDICT_START})
			_ = st.Send(&agentv1.ServerMessage{})
		}
		return nil
	}
}

// deliver runs a plan of weather and returns what is wrong afterwards.
func deliver(t *testing.T, plan []weather) (problem string) {
	synctest.Test(t, func(t *testing.T) {
		bubble(t, wire.CertificateLife, func(w *world) {
			w.weathered(plan)
			w.start()
			var reports []int64
			for i := range 12 {
				w.scan(wire.SectionOS, fmt.Sprint(i))
				reports = append(reports, w.report(3).Unix())
				time.Sleep(7 * time.Second)
			}
			for end := time.Now().Add(6 * time.Hour); !w.empty() && time.Now().Before(end); time.Sleep(10 * time.Second) {
			}
			time.Sleep(time.Minute)
			w.stop()
			seqs := w.seqs()
			if !slices.Equal(seqs, inOrder(len(seqs))) || !w.empty() {
				problem = fmt.Sprintf("events %v, all told: %v", seqs, w.empty())
			}
			for _, at := range reports {
				if w.fake.reports[at] == 0 {
					problem = fmt.Sprintf("the report of %d is missing", at)
				}
			}
		})
	})
	return problem
}

func TestPropertyEventsArriveOnceAndInOrderWhateverHappens(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		plan := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) weather {
			return weather(rapid.IntRange(int(fair), int(silly)).Draw(rt, "weather"))
		}), 0, 25).Draw(rt, "plan")
		if problem := deliver(t, plan); problem != "" {
			rt.Fatal(problem)
		}
	})
}

func TestAStreamCutAtEveryMessage(t *testing.T) {
	for at := range 12 {
		plan := make([]weather, at+1)
		plan[at] = cut
		if problem := deliver(t, plan); problem != "" {
			t.Errorf("cut at message %d: %s", at, problem)
		}
	}
}

func TestDesiredIsAcknowledgedOnceJournaledAndMayRepeat(t *testing.T) {
	inBubble(t, func(w *world) {
		w.start()
		w.until("a session", time.Minute, w.connected)
		lease := &agentv1.Lease{JobId: "job-1", Attempt: 1, Job: []byte("job"), Signature: []byte("sig"), KeyVersion: 1}
		say := func(version uint64, leases ...*agentv1.Lease) {
			w.must(w.fake.say(w.fake.live, &agentv1.Desired{Version: version, Leases: leases, Settings: &agentv1.Settings{ReportIntervalS: 60}}))
			synctest.Wait()
		}
		say(3, lease)
		say(3, lease)
		say(2)
		held, err := w.journal.Held()
		w.must(err)
		if len(held) != 1 || held[0].JobID != "job-1" || string(held[0].Bytes) != "job" || held[0].KeyVersion != 1 {
			t.Fatalf("held %v", held)
		}
		w.until("acknowledgements", time.Minute, func() bool { return len(w.fake.acks) > 0 && w.fake.acks[len(w.fake.acks)-1] == 3 })
		if w.every[len(w.every)-1] != time.Minute {
			t.Errorf("intervals %v", w.every)
		}
		say(4)
		if held, _ := w.journal.Held(); len(held) != 0 {
			t.Errorf("held after all was withdrawn: %v", held)
		}
		w.wantEvents(1) // accepted
	})
}

func TestMayStartNeedsAnAnswerToTheSameQuestion(t *testing.T) {
	inBubble(t, func(w *world) {
		ctx := context.Background()
		if _, err := w.client.MayStart(ctx, "job-1", 1); !errors.Is(err, ErrNoSession) {
			t.Fatalf("without a session: %v", err)
		}
		w.start()
		w.until("a session", time.Minute, w.connected)
		if a, err := w.client.MayStart(ctx, "job-1", 1); err != nil || a.Verdict != VerdictStart {
			t.Fatalf("start: %v %v", a, err)
		}
		if ok, retry, err := w.client.MayScan(ctx, "apt"); err != nil || !ok || retry != 7*time.Second {
			t.Fatalf("scan: %v %v %v", ok, retry, err)
		}
		for name, answer := range map[string]func(r *agentv1.StartRequest) *agentv1.StartAnswer{
			"none": func(*agentv1.StartRequest) *agentv1.StartAnswer { return nil },
			"other request": func(r *agentv1.StartRequest) *agentv1.StartAnswer {
				return &agentv1.StartAnswer{Request: r.GetRequest() + 1, JobId: r.GetJobId(), Attempt: r.GetAttempt(), Verdict: agentv1.StartAnswer_VERDICT_START}
			},
			"other job": func(r *agentv1.StartRequest) *agentv1.StartAnswer {
				return &agentv1.StartAnswer{Request: r.GetRequest(), JobId: "job-2", Attempt: r.GetAttempt(), Verdict: agentv1.StartAnswer_VERDICT_START}
			},
			"other attempt": func(r *agentv1.StartRequest) *agentv1.StartAnswer {
				return &agentv1.StartAnswer{Request: r.GetRequest(), JobId: r.GetJobId(), Attempt: 9, Verdict: agentv1.StartAnswer_VERDICT_START}
			},
		} {
			synctest.Wait()
			w.fake.take = func(st *fakeStream, m *agentv1.AgentMessage) error {
				if r := m.GetStartRequest(); r != nil {
					if a := answer(r); a != nil {
						w.must(w.fake.say(st, a))
					}
					return errSkip
				}
				return nil
			}
			began := time.Now()
			if a, err := w.client.MayStart(ctx, "job-1", 1); err == nil || a.Verdict == VerdictStart || time.Since(began) != wire.MayStartTimeout {
				t.Errorf("%s: %v %v after %v", name, a, err, time.Since(began))
			}
		}
		synctest.Wait()
		w.fake.take = func(st *fakeStream, m *agentv1.AgentMessage) error {
			r := m.GetStartRequest()
			if r == nil {
				return nil
			}
			w.must(w.fake.say(st, &agentv1.StartAnswer{Request: r.GetRequest(), JobId: r.GetJobId(), Attempt: r.GetAttempt(), Verdict: 77}))
			return errSkip
		}
		if a, err := w.client.MayStart(ctx, "job-1", 1); err != nil || a.Verdict != VerdictNone {
			t.Errorf("a verdict of a newer server: %v %v", a, err)
		}
		synctest.Wait()
		w.fake.take = func(_ *fakeStream, m *agentv1.AgentMessage) error {
			if m.GetStartRequest() != nil {
				return status.Error(codes.Unavailable, "gone")
			}
			return nil
		}
		if _, err := w.client.MayStart(ctx, "job-1", 1); !errors.Is(err, ErrNoSession) {
			t.Errorf("a session that ends: %v", err)
		}
	})
}

func TestWantedSectionsAreToldInFull(t *testing.T) {
	inBubble(t, func(w *world) {
		w.scan(wire.SectionSoftware, "a", "b")
		w.start()
		w.wantEvents(1)
		want := &agentv1.WantSections{Sections: []string{"software", "cpu", "of a newer server"}}
		for range 20 { // however often it asks
			w.must(w.fake.say(w.fake.live, want))
		}
		w.until("told again", time.Minute, func() bool { return len(w.fake.events) == 2 })
		if i := w.fake.nth(1).GetInventory(); !i.GetFull() || len(i.GetUpsert()) != 2 {
			t.Errorf("not in full: %v", i)
		}
		if !slices.Contains(w.missing, wire.SectionCPU) || slices.Contains(w.missing, wire.SectionSoftware) {
			t.Errorf("missing %v", w.missing)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := w.fake.told(); n > 3 {
			t.Errorf("told %d times", n)
		}
	})
}

func TestAFirstSessionTellsEachSectionOnce(t *testing.T) {
	inBubble(t, func(w *world) {
		w.scan(wire.SectionSoftware, "a", "b")
		w.fake.welcome = func(_ *agentv1.Hello, m *agentv1.Welcome) { m.WantFull = []string{"software"} }
		w.start()
		w.wantEvents(1)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if w.fake.told() != 1 {
			t.Errorf("%d events", w.fake.told())
		}
	})
}

func TestABacklogOfReportsIsPaced(t *testing.T) {
	inBubble(t, func(w *world) {
		const n = 200
		for range n {
			w.report(25)
			time.Sleep(30 * time.Second)
		}
		w.start()
		w.until("all reports", 5*time.Minute, func() bool { return len(w.fake.arrived) == n })
		for i := wire.MaxReportBacklog; i < n; i++ {
			if d := w.fake.arrived[i].Sub(w.fake.arrived[i-wire.MaxReportBacklog]); d < time.Second {
				t.Fatalf("%d reports in %v", wire.MaxReportBacklog, d)
			}
		}
		left, err := w.journal.Reports(time.Time{}, 10)
		if err != nil || len(left) != 0 {
			t.Errorf("left %v %v", left, err)
		}
		at := w.report(25)
		synctest.Wait()
		w.until("a fresh report", 3*time.Second, func() bool { return w.fake.reports[at.Unix()] == 1 })
	})
}

func TestReportsStoredAreNotSentAgain(t *testing.T) {
	inBubble(t, func(w *world) {
		a := w.report(1)
		time.Sleep(30 * time.Second)
		b := w.report(1)
		w.fake.welcome = func(_ *agentv1.Hello, m *agentv1.Welcome) { m.ReportsThroughMs = a.UnixMilli() }
		w.start()
		w.until("the second", time.Minute, func() bool { return w.fake.reports[b.Unix()] == 1 })
		if w.fake.reports[a.Unix()] != 0 {
			t.Error("the first was sent again")
		}
	})
}

func TestASeriesTooManyBeginsASessionAnew(t *testing.T) {
	inBubble(t, func(w *world) {
		w.start()
		w.until("a session", time.Minute, w.connected)
		time.Sleep(namesAge)
		w.report(wire.MaxSeries)
		time.Sleep(30 * time.Second)
		r := spool.Report{At: time.Now(), Values: []spool.Value{{Signal: wire.SignalDiskIO, Attributes: map[string]string{"device": "new"}, Value: 1}}}
		w.must(w.journal.AppendReport(r))
		time.Sleep(time.Minute)
		at := w.report(1)
		w.until("a report with new names", time.Hour, func() bool { return len(w.fake.hellos) >= 2 && w.fake.reports[at.Unix()] > 0 })
	})
}

func TestGoodbyeSaysWhenToComeAgain(t *testing.T) {
	for _, c := range []struct {
		bye      *agentv1.Goodbye
		from, to time.Duration
	}{
		{&agentv1.Goodbye{Code: ByeShutdown, RetryAfterS: 40}, 40 * time.Second, 45 * time.Second},
		{&agentv1.Goodbye{Code: ByeShutdown}, time.Second, 6 * time.Second},
		{&agentv1.Goodbye{Code: ByeConflict, RetryAfterS: 600}, 600 * time.Second, 661 * time.Second},
		{&agentv1.Goodbye{Code: ByeRevoked}, time.Minute, 2*time.Minute + time.Second},
		{&agentv1.Goodbye{Code: ByeSuperseded}, time.Minute, 2*time.Minute + time.Second},
		{&agentv1.Goodbye{Code: "of a newer server"}, time.Second, 6 * time.Second},
		{&agentv1.Goodbye{Code: ByeLimit, RetryAfterS: 1 << 31}, 24 * time.Hour, 27 * time.Hour},
	} {
		inBubble(t, func(w *world) {
			w.start()
			w.until("a session", time.Minute, w.connected)
			w.must(w.fake.say(w.fake.live, c.bye))
			synctest.Wait()
			began := time.Now()
			if up, since := w.client.Contact(); up || !since.Equal(began) {
				t.Errorf("%v: connected %v since %v", c.bye, up, since)
			}
			w.until("a second session", 30*time.Hour, func() bool { return len(w.fake.hellos) == 2 })
			if d := w.dials[len(w.dials)-1].Sub(began); d < c.from || d > c.to {
				t.Errorf("%v: came again after %v", c.bye, d)
			}
		})
	}
}

func TestARetiredDeviceErasesItsKey(t *testing.T) {
	inBubble(t, func(w *world) {
		w.start()
		w.until("a session", time.Minute, w.connected)
		w.must(w.fake.say(w.fake.live, &agentv1.Goodbye{Code: ByeRetired}))
		if err := <-w.ended; !errors.Is(err, ErrRetired) {
			t.Fatal(err)
		}
		w.cancel = nil
		if len(w.fake.hellos) != 1 {
			t.Error("it came again")
		}
	})
}

func TestBackoffGrowsToFiveMinutesAndBeginsAnew(t *testing.T) {
	inBubble(t, func(w *world) {
		up := false
		w.net = func() bool { return up }
		w.start()
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		for i := 1; i < len(w.dials); i++ {
			if d := w.dials[i].Sub(w.dials[i-1]); d < minWait || d > maxWait+time.Second {
				t.Fatalf("dial %d came after %v", i, d)
			}
		}
		if n := len(w.dials); n < 24 || n > 150 {
			t.Errorf("%d dials in two hours", n)
		}
		w.mu.Lock()
		up = true
		w.mu.Unlock()
		w.until("a session", maxWait+time.Minute, w.connected)
	})
}

func TestAnOlderJournalCountsAnew(t *testing.T) {
	inBubble(t, func(w *world) {
		w.scan(wire.SectionOS, "a")
		id, err := w.journal.ID()
		w.must(err)
		w.fake.through[id] = 50 // the machine was set back to an older image
		w.start()
		w.until("another journal", time.Hour, func() bool { return len(w.fake.events) == 1 })
		if w.fake.hellos[0].GetJournalId() == w.fake.hellos[1].GetJournalId() {
			t.Error("the same journal")
		}
		if d := w.dials[1].Sub(w.dials[0]); d < slowWait {
			t.Errorf("it came after %v, before the server noticed", d)
		}
	})
}

func TestSessionNumbersThatAreBehindForGoodCountAnew(t *testing.T) {
	inBubble(t, func(w *world) {
		id, err := w.journal.ID()
		w.must(err)
		refused := 0
		w.fake.refuseHello = func(h *agentv1.Hello) *agentv1.Goodbye {
			if h.GetJournalId() == id {
				refused++
				return &agentv1.Goodbye{Code: ByeSuperseded}
			}
			return nil
		}
		w.start()
		w.until("a session", time.Hour, w.connected)
		if refused != manyOlder {
			t.Errorf("after %d refusals", refused)
		}
	})
}

func TestAServerThatLostEventsGetsANewJournal(t *testing.T) {
	inBubble(t, func(w *world) {
		w.scan(wire.SectionOS, "a")
		w.start()
		w.wantEvents(1)
		w.stop()
		w.fake.through, w.fake.events = map[string]uint64{}, nil
		w.start()
		w.until("a new journal", time.Hour, func() bool { return len(w.fake.hellos) >= 3 })
		if w.fake.hellos[1].GetJournalId() == w.fake.hellos[2].GetJournalId() {
			t.Error("the same journal")
		}
	})
}

// shortLife of certificates: a renewal is due after two hours, at the latest 12
// minutes later.
const shortLife = 3 * time.Hour

func inShortLife(t *testing.T, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { bubble(t, shortLife, test) })
}

func TestRenewalOverAnOpenSession(t *testing.T) {
	inShortLife(t, func(w *world) {
		old := w.id.Current().ID()
		w.start()
		w.until("a session", time.Minute, w.connected)
		time.Sleep(2*time.Hour - time.Minute)
		synctest.Wait()
		if len(w.fake.used) != 1 {
			t.Error("renewed too early")
		}
		w.until("a session with the new key", time.Hour, func() bool {
			return w.fake.used[len(w.fake.used)-1] != old && w.connected()
		})
		if w.id.Next() != nil || w.id.Current().ID() == old || w.id.BundleVersion() != 2 {
			t.Error("the new key does not count")
		}
		if _, known := w.id.JobKey(2); !known {
			t.Error("the new job key is not known")
		}
	})
}

func TestALaptopFromTheDrawerRenewsFirst(t *testing.T) {
	inBubble(t, func(w *world) {
		old := w.id.Current().ID()
		time.Sleep(200 * 24 * time.Hour)
		w.start()
		w.until("a session", 10*time.Minute, w.connected)
		if len(w.fake.used) != 1 || w.fake.used[0] == old {
			t.Error("a session with the expired certificate")
		}
	})
}

func TestARefusedNewKeyFallsBackToTheOldOne(t *testing.T) {
	inShortLife(t, func(w *world) {
		old := w.id.Current().ID()
		w.fake.refuse = func(key [32]byte) error {
			if key != old { // the database was restored from before the renewal
				return status.Error(codes.Unauthenticated, "unknown key")
			}
			return nil
		}
		w.start()
		time.Sleep(2 * time.Hour)
		w.until("the old key works again", 40*time.Minute, func() bool { return len(w.fake.used) >= 2 && w.connected() && w.id.Next() == nil })
		synctest.Wait()
		w.fake.refuse = nil
		w.until("a renewal that counts", 3*time.Hour, func() bool { return w.id.Current().ID() != old && w.connected() })
	})
}

func TestAServerOfAnotherRootGetsNothing(t *testing.T) {
	inBubble(t, func(w *world) {
		stranger := w.fake.authority.Stranger(time.Now())
		id, err := stranger.Enrolled(identity.Memory(), time.Now())
		w.must(err)
		w.client.o.Identity = id
		w.start()
		time.Sleep(time.Hour)
		synctest.Wait()
		if _, problem := w.client.LastContact(); len(w.fake.hellos) != 0 || problem == "" {
			t.Errorf("%d hellos, problem %q", len(w.fake.hellos), problem)
		}
	})
}
