//go:build e2e

package chaos_test

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"
)

// transition is one row of a job's history.
type transition struct {
	attempt  int
	from, to string
	at       time.Time
}

// verdict judges a fleet at the end of its story: what must hold whatever was
// killed. scripts is how often each package's script may have begun; a repair
// after a power cut runs it again, nothing else does.
func (f *fleet) verdict(scripts int) {
	f.t.Helper()
	states, err := f.states()
	if err != nil {
		f.t.Error(err)
	}
	for _, pkg := range f.packages {
		want := map[bool]string{true: "1.1.0", false: "1.0.0"}[states[pkg] == "verified"]
		if version, state := f.repo.Installed(pkg); version != want || state != "installed" {
			f.t.Errorf("dpkg says that %s is %s %s, the server says %s", pkg, version, state, states[pkg])
		}
		if want == "1.0.0" {
			continue
		}
		if ran := f.scriptRan(pkg); len(ran) == 0 || ran[len(ran)-1] != "end" || strings.Count(fmt.Sprint(ran), "begin") > scripts {
			f.t.Errorf("the script of %s: %v; it may begin %d times", pkg, ran, scripts)
		}
	}
	if out, errs, code := f.server.Try("audit", "verify"); code != 0 {
		f.t.Errorf("audit verify: exit %d\n%s%s", code, out, errs)
	}
	f.agent.Stop()
	f.server.Stop()
	db := database(f.t, f.server.Data, "steward.db")
	f.jobsEndOnce(db)
	f.nothingLost(db)
	for what, want := range map[string]int{"policies": 1, "deployments": len(f.packages)} {
		if n := count(f, db, what); n != want {
			f.t.Errorf("%d rows in %s, want %d: something was done twice, or never", n, what, want)
		}
	}
}

func count(f *fleet, db *sql.DB, table string) (n int) {
	rows(f.t, db, "SELECT count(*) FROM "+table, func(r *sql.Rows) error { return r.Scan(&n) })
	return n
}

// jobsEndOnce: each job ends once, each attempt starts at most once and inside
// the window, and the row says what the history says.
func (f *fleet) jobsEndOnce(db *sql.DB) {
	f.t.Helper()
	state := map[string]string{}
	rows(f.t, db, "SELECT job_id, state FROM jobs", func(r *sql.Rows) error {
		var id, s string
		defer func() { state[id] = s }()
		return r.Scan(&id, &s)
	})
	history := map[string][]transition{}
	rows(f.t, db, "SELECT job_id, attempt, from_state, to_state, at FROM job_history ORDER BY job_id, seq", func(r *sql.Rows) error {
		var id string
		var tr transition
		var at int64
		err := r.Scan(&id, &tr.attempt, &tr.from, &tr.to, &at)
		tr.at = time.UnixMilli(at)
		history[id] = append(history[id], tr)
		return err
	})
	if len(state) == 0 {
		f.t.Error("there is no job")
	}
	for id, s := range state {
		h := history[id]
		ends, starts := 0, map[int]int{}
		for _, tr := range h {
			switch {
			case tr.from == tr.to: // only the reason of waiting changed
			case final(tr.to):
				ends++
			case tr.to == "running":
				starts[tr.attempt]++
				if tr.at.Before(f.opens) || tr.at.After(f.opens.Add(windowLength)) {
					f.t.Errorf("job %s started %v, outside its window that opened %v", id, tr.at, f.opens)
				}
			}
		}
		again := slices.ContainsFunc(h, func(tr transition) bool { return starts[tr.attempt] > 1 })
		if ends != 1 || again || len(h) == 0 || h[len(h)-1].to != s || !final(s) {
			f.t.Errorf("job %s is %s; its history: %+v", id, s, h)
		}
	}
}

// nothingLost: the server has taken in every event that the agent numbered, of
// the same journal, and the agent knows it.
func (f *fleet) nothingLost(db *sql.DB) {
	f.t.Helper()
	j := journalOf(f.t, f.agent.Data)
	var id string
	var through uint64
	rows(f.t, db, "SELECT journal, through FROM device_sessions", func(r *sql.Rows) error { return r.Scan(&id, &through) })
	// The server may have stored what its last breath could not acknowledge.
	if id != j.ID || through < j.Acked || through >= j.NextEvent {
		f.t.Errorf("the server stored %d events of journal %s; the agent has %+v", through, id, j)
	}
	if j.Dropped != 0 && !f.mayDrop {
		f.t.Errorf("the agent dropped %d reports", j.Dropped)
	}
}
