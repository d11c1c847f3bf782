package runner

import (
	"context"
	"testing"
	"time"

	"github.com/steward-rmm/steward/agent/spool"
	"github.com/steward-rmm/steward/proto/wire"
)

var verified = []string{
	"started", "progress openssl downloading", "progress openssl installing", "result openssl verified", "finished",
}

func TestAJobIsVerifiedByAScanAfterwards(t *testing.T) {
	inRig(t, func(t *testing.T, g *rig) {
		g.run()
		scans, _ := g.apt.seen()
		l := g.lease(g.job("openssl"))
		g.give(l)
		g.pass(5 * time.Minute)
		g.want(verified...)
		if len(g.apt.scans) != scans+1 || len(g.apt.installs) != 1 || len(g.word.asked) != 1 {
			t.Fatalf("%d scans, %d installs, %d questions", len(g.apt.scans)-scans, len(g.apt.installs), len(g.word.asked))
		}
		if got := g.section(wire.SectionUpdates); len(got) != 0 {
			t.Fatalf("updates afterwards %v", got)
		}
		g.give(l) // the server has not read the end yet
		g.pass(time.Hour)
		g.want(verified...)
	})
}

func TestRefusesBeforeItAsks(t *testing.T) {
	for name, c := range map[string]struct {
		change func(g *rig, j *wire.Job, l *spool.Lease)
		want   wire.Refusal
	}{
		"a signature of another key": {func(_ *rig, _ *wire.Job, l *spool.Lease) { l.Signature[3] ^= 1 }, wire.RefusedSignature},
		"one changed byte":           {func(_ *rig, _ *wire.Job, l *spool.Lease) { l.Bytes[5] ^= 1 }, wire.RefusedSignature},
		"an unknown key":             {func(_ *rig, _ *wire.Job, l *spool.Lease) { l.KeyVersion = 9 }, wire.RefusedSignature},
		"no signature":               {func(_ *rig, _ *wire.Job, l *spool.Lease) { l.Signature = nil }, wire.RefusedSignature},
		"a key that was not yet good": {func(_ *rig, j *wire.Job, _ *spool.Lease) {
			j.IssuedAt = j.IssuedAt.Add(-23*time.Hour - 59*time.Minute)
			j.NotBefore = j.IssuedAt
		}, ""},
		"issued before the key": {func(_ *rig, j *wire.Job, _ *spool.Lease) {
			j.IssuedAt = j.IssuedAt.Add(-25 * time.Hour)
			j.NotBefore = j.IssuedAt
		}, wire.RefusedSignature},
		"bytes that are no job": {func(g *rig, _ *wire.Job, l *spool.Lease) {
			l.Bytes = append(l.Bytes, 0)
			l.Signature = wire.SignJob(g.private, l.Bytes)
		}, wire.RefusedMalformed},
		"another envelope": {func(_ *rig, _ *wire.Job, l *spool.Lease) { l.JobID = "other" }, wire.RefusedMalformed},
		"another device":   {func(_ *rig, j *wire.Job, _ *spool.Lease) { j.Device = "d2" }, wire.RefusedOtherDevice},
		"another tenant":   {func(_ *rig, j *wire.Job, _ *spool.Lease) { j.Tenant = "globex" }, wire.RefusedOtherTenant},
		"a reboot":         {func(_ *rig, j *wire.Job, _ *spool.Lease) { j.Kind = wire.JobReboot }, wire.RefusedUnsupported},
		"a closed window": {func(_ *rig, j *wire.Job, _ *spool.Lease) {
			j.NotBefore = j.NotBefore.Add(-time.Hour)
			j.StartBy, j.Deadline = j.NotBefore, j.NotBefore
		}, wire.RefusedExpired},
		"a late start": {func(_ *rig, j *wire.Job, _ *spool.Lease) {
			j.NotBefore = j.NotBefore.Add(-time.Hour)
			j.StartBy = j.NotBefore
		}, wire.RefusedOutsideWindow},
	} {
		t.Run(name, func(t *testing.T) {
			inRig(t, func(t *testing.T, g *rig) {
				j := g.job("openssl")
				c.change(g, &j, &spool.Lease{Bytes: make([]byte, 9), Signature: make([]byte, 64)})
				l := g.lease(j)
				c.change(g, &wire.Job{}, &l)
				g.run()
				g.give(l)
				g.pass(10 * time.Minute)
				if c.want == "" {
					g.want(verified...)
					return
				}
				g.want("refused " + string(c.want))
				if len(g.word.asked)+len(g.apt.installs) != 0 {
					t.Fatalf("asked %d times, installed %v", len(g.word.asked), g.apt.installs)
				}
			})
		})
	}
}

func TestWaitsForItsWindow(t *testing.T) {
	inRig(t, func(t *testing.T, g *rig) {
		j := g.job("openssl")
		for _, at := range []*time.Time{&j.NotBefore, &j.StartBy, &j.Deadline} {
			*at = at.Add(5*time.Hour + 17*time.Second)
		}
		g.run()
		g.give(g.lease(j))
		g.pass(5 * time.Hour)
		g.want()
		g.pass(10 * time.Minute)
		g.want(verified...)
		if at := g.word.asked[0]; at.Before(j.NotBefore) || at.After(j.NotBefore.Add(2*time.Second)) {
			t.Fatalf("asked at %s, the window opens at %s", at, j.NotBefore)
		}
	})
}

func TestWaitsWhenTheServerSaysSo(t *testing.T) {
	inRig(t, func(t *testing.T, g *rig) {
		waits := 2
		g.word.answer = func(context.Context, string) (Answer, error) {
			if waits--; waits >= 0 {
				return Answer{Verdict: VerdictWait, RetryAfter: 10 * time.Minute}, nil
			}
			return Answer{Verdict: VerdictStart}, nil
		}
		g.run()
		g.give(g.lease(g.job("openssl")))
		g.pass(19 * time.Minute)
		g.want()
		g.pass(10 * time.Minute)
		g.want(verified...)
		if n := len(g.word.asked); n != 3 || g.word.asked[2].Sub(g.word.asked[0]) < 20*time.Minute {
			t.Fatalf("asked at %v", g.word.asked)
		}
	})
}

func TestACancellationEndsTheJob(t *testing.T) {
	inRig(t, func(t *testing.T, g *rig) {
		g.word.answer = func(context.Context, string) (Answer, error) {
			return Answer{Verdict: VerdictCancelled, Reason: "halted"}, nil
		}
		g.run()
		g.give(g.lease(g.job("openssl")))
		g.pass(time.Hour)
		g.want("refused cancelled")
	})
}

func TestACancelThatComesWhileAskingWins(t *testing.T) {
	inRig(t, func(t *testing.T, g *rig) {
		l := g.lease(g.job("openssl"))
		g.word.answer = func(context.Context, string) (Answer, error) {
			g.version++
			d := spool.Desired{Version: g.version, Cancels: []spool.Cancel{{Key: l.Key}}}
			if _, err := g.j.ApplyDesired(time.Now(), d); err != nil {
				t.Error(err)
			}
			return Answer{Verdict: VerdictStart}, nil
		}
		g.run()
		g.give(l)
		g.pass(time.Hour)
		g.want("cancel_journaled")
		if len(g.apt.installs) != 0 {
			t.Fatal("installed what was cancelled")
		}
	})
}

func TestNoAnswerIn30SecondsIsNoStart(t *testing.T) {
	inRig(t, func(t *testing.T, g *rig) {
		var waited time.Duration
		g.word.answer = func(ctx context.Context, _ string) (Answer, error) {
			began := time.Now()
			<-ctx.Done()
			waited = time.Since(began)
			return Answer{Verdict: VerdictStart}, nil // too late
		}
		j := g.job("openssl")
		j.Alone = true // a session is open, so it does not count
		g.run()
		g.give(g.lease(j))
		g.pass(3 * time.Hour)
		g.want("refused " + string(wire.RefusedOutsideWindow))
		if waited != wire.MayStartTimeout {
			t.Fatalf("waited %s", waited)
		}
	})
}

func TestAnAnswerAfterTheLatestStartIsNoStart(t *testing.T) {
	inRig(t, func(t *testing.T, g *rig) {
		g.word.answer = func(context.Context, string) (Answer, error) {
			lasts(20 * time.Second)
			return Answer{Verdict: VerdictStart}, nil
		}
		j := g.job("openssl")
		j.StartBy = j.NotBefore.Add(10 * time.Second)
		g.run()
		g.give(g.lease(j))
		g.pass(time.Hour)
		g.want("refused " + string(wire.RefusedOutsideWindow))
	})
}

func TestStartsAloneOnlyAfterTwoMinutesOfSilence(t *testing.T) {
	for name, c := range map[string]struct {
		alone     bool
		connected bool
		want      bool
	}{
		"alone without a session":     {true, false, true},
		"alone with a session":        {true, true, false},
		"not alone without a session": {false, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			inRig(t, func(t *testing.T, g *rig) {
				g.word.answer, g.word.connected = offline, c.connected
				g.word.since = time.Now().Add(-time.Hour)
				j := g.job("openssl")
				j.Alone = c.alone
				g.run()
				g.give(g.lease(j))
				g.pass(time.Minute + 59*time.Second)
				g.want()
				g.pass(10 * time.Minute)
				if c.want {
					g.want(append([]string{"started alone"}, verified[1:]...)...)
				} else {
					g.want()
				}
			})
		})
	}
}

func TestALateSilenceCountsFromItsBeginning(t *testing.T) {
	inRig(t, func(t *testing.T, g *rig) {
		g.word.answer, g.word.connected = offline, false
		j := g.job("openssl")
		j.Alone = true
		g.word.since = time.Now().Add(2*time.Hour - time.Minute) // the session broke just before the latest start
		g.run()
		g.give(g.lease(j))
		g.pass(4 * time.Hour)
		g.want("refused " + string(wire.RefusedOutsideWindow))
	})
}

func TestNothingStartsByAWrongClock(t *testing.T) {
	inRig(t, func(t *testing.T, g *rig) {
		if err := g.j.Welcome("e", spool.Anchor{Server: time.Now().Add(3 * time.Minute), BootID: "boot"}); err != nil {
			t.Fatal(err)
		}
		g.run()
		g.give(g.lease(g.job("openssl")))
		g.pass(time.Hour)
		g.want()
		boot, id := g.o.Machine.BootClock()
		if err := g.j.Welcome("e", spool.Anchor{Server: time.Now(), Boot: boot, BootID: id}); err != nil {
			t.Fatal(err)
		}
		g.pass(10 * time.Minute)
		g.want(verified...)
	})
}

func TestOneChangingJobAtATime(t *testing.T) {
	inRig(t, func(t *testing.T, g *rig) {
		g.apt.offer("curl", "1.0", "1.1")
		a, b := g.job("openssl"), g.job("curl")
		b.ID = "k"
		g.run()
		g.give(g.lease(b), g.lease(a))
		g.pass(10 * time.Minute)
		g.want("started", "progress openssl downloading", "progress openssl installing", "result openssl verified", "finished",
			"started", "progress curl downloading", "progress curl installing", "result curl verified", "finished")
	})
}
