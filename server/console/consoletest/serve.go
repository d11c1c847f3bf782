package consoletest

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/steward-rmm/steward/server/auth"
	"github.com/steward-rmm/steward/server/console"
	"github.com/steward-rmm/steward/server/deployment"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/reason"
	"github.com/steward-rmm/steward/server/wake"
)

// Accounts are people and tokens. A session's token is the person's first
// name: "owner" may everything, "viewer" looks at nordlicht, "tech" works for
// ashgrove, "nobody" has no right at all.
type Accounts struct{ *World }

// Principal is who a token belongs to.
func Principal(token string) (auth.Principal, bool) {
	grants, ok := map[string]auth.Grants{
		"owner": auth.Everywhere(auth.Owner), "viewer": auth.InTenant(auth.Viewer, "nordlicht"), "tech": auth.InTenant(auth.Technician, "ashgrove"), "nobody": nil,
	}[token]
	p := auth.Principal{Actor: ident.Actor{Kind: ident.Person, ID: id(1), Name: "Dana Okafor", Tenant: ident.MSP}, Grants: grants, Session: "s", TimeZone: "Europe/Berlin"}
	return p, ok
}

// Session finds who signed in.
func (s Accounts) Session(_ context.Context, _ time.Time, token string) (auth.Principal, auth.Session, error) {
	p, ok := Principal(token)
	if !ok {
		return p, auth.Session{}, fault.New(fault.Unauthenticated, "sign in first")
	}
	return p, auth.Session{ID: "s"}, nil
}

// SignIn refuses everybody: no secret can be made outside of package auth.
func (s Accounts) SignIn(_ context.Context, _ time.Time, email, _, _, _ string) (auth.Secret, auth.Session, error) {
	if email == "broken@example.net" {
		return auth.Secret{}, auth.Session{}, fmt.Errorf("the disk is on fire")
	}
	return auth.Secret{}, auth.Session{}, fault.New(fault.Unauthenticated, "e-mail address or password are wrong")
}

// SignOut does nothing.
func (s Accounts) SignOut(context.Context, time.Time, string) error { return nil }

// PeekLink knows the link "good".
func (s Accounts) PeekLink(_ context.Context, now time.Time, plain string) (auth.Person, auth.Link, error) {
	if plain != "good" && plain != "dev" {
		return auth.Person{}, auth.Link{}, fault.New(fault.Unauthenticated, "this link was used, or is too old").WithNext("ask an owner for a new one")
	}
	purpose := auth.Invitation
	if plain == "dev" {
		purpose = auth.Dev
	}
	return auth.Person{Name: s.name("Tomas Lindqvist"), Email: "tomas@example.net"}, auth.Link{Purpose: purpose, ExpiresAt: now.Add(time.Hour)}, nil
}

// RedeemLink refuses short passwords and takes the rest.
func (s Accounts) RedeemLink(_ context.Context, _ time.Time, _, password, _, _ string) (auth.Secret, auth.Session, error) {
	if len(password) < auth.PasswordMin {
		return auth.Secret{}, auth.Session{}, fault.Invalidf("password", "a password needs at least %d characters", auth.PasswordMin)
	}
	return auth.Secret{}, auth.Session{}, nil
}

// SetPassword does nothing.
func (s Accounts) SetPassword(context.Context, time.Time, auth.Principal, string, string) error {
	return nil
}

// List lists people.
func (s Accounts) List(_ context.Context, scope ident.Scope) ([]auth.Person, error) {
	var out []auth.Person
	for i, n := range []string{"Dana Okafor", "Priya Nair", "Tomas Lindqvist", "Mara Weiss"} {
		p := auth.Person{ID: ident.PersonID(id(600 + i)), Tenant: ident.MSP, Name: s.name(n), Email: fmt.Sprintf("person%d@example.net", i), State: []auth.State{auth.Active, auth.Active, auth.Invited, auth.Disabled}[i], StateSince: Now.AddDate(0, 0, -i*9), Grants: auth.Everywhere(auth.Technician), CreatedAt: Now.AddDate(0, -1, 0)}
		if i == 1 {
			p.Lockout.Until = Now.Add(10 * time.Minute)
		}
		out = append(out, p)
	}
	return out, nil
}

// Invite adds nobody.
func (s Accounts) Invite(_ context.Context, t ident.TenantID, _ time.Time, _ auth.Principal, n auth.NewPerson) (auth.Person, auth.Secret, error) {
	email, err := auth.NormalEmail(n.Email)
	return auth.Person{Tenant: t, Email: email, Name: n.Name}, auth.Secret{}, err
}

// Disable does nothing.
func (s Accounts) Disable(context.Context, ident.TenantID, time.Time, auth.Principal, ident.PersonID, string) error {
	return nil
}

// Enable does nothing.
func (s Accounts) Enable(context.Context, ident.TenantID, time.Time, auth.Principal, ident.PersonID, string) error {
	return nil
}

// Unlock does nothing.
func (s Accounts) Unlock(context.Context, ident.TenantID, time.Time, auth.Principal, ident.PersonID, string) error {
	return nil
}

// CreateLink makes an empty one.
func (s Accounts) CreateLink(context.Context, ident.TenantID, time.Time, auth.Principal, ident.PersonID, auth.Purpose) (auth.Secret, error) {
	return auth.Secret{}, nil
}

// ListTokens lists one.
func (s Accounts) ListTokens(context.Context, auth.Principal) ([]auth.Token, error) {
	if s.kind == Empty {
		return nil, nil
	}
	return []auth.Token{{ID: ident.TokenID(id(700)), Tenant: ident.MSP, Name: s.name("nightly report"), Grants: auth.Everywhere(auth.Viewer), Maker: ident.PersonID(id(600)), CreatedAt: Now.AddDate(0, 0, -3), ExpiresAt: Now.AddDate(0, 0, 87), LastUsedAt: Now.Add(-9 * time.Hour)}}, nil
}

// CreateToken makes an empty one.
func (s Accounts) CreateToken(_ context.Context, now time.Time, _ auth.Principal, n auth.NewToken) (auth.Token, auth.Secret, error) {
	return auth.Token{Name: n.Name, ExpiresAt: now.Add(n.Life)}, auth.Secret{}, nil
}

// RevokeToken does nothing.
func (s Accounts) RevokeToken(context.Context, ident.TenantID, time.Time, auth.Principal, ident.TokenID, string) error {
	return nil
}

// Deployments has a history that Move lengthens.
type Deployments struct {
	*World
	mu     sync.Mutex
	moved  []deployment.Transition
	reads  int
	result map[ident.DeviceID]deployment.Member
}

func (s *Deployments) copyOf(i int) deployment.Deployment {
	d := s.deps[i]
	d.Rings, d.Members = slices.Clone(d.Rings), slices.Clone(d.Members)
	for n, m := range d.Members {
		if now, ok := s.result[m.Device]; ok {
			d.Members[n] = now
		}
	}
	d.Seq += int64(len(s.moved))
	return d
}

// Deployment finds one.
func (s *Deployments) Deployment(_ context.Context, t ident.TenantID, id ident.DeploymentID) (deployment.Deployment, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	for i, d := range s.deps {
		if d.ID == id && d.Tenant == t {
			return s.copyOf(i), nil
		}
	}
	return deployment.Deployment{}, missing()
}

// Reads is how often a deployment was read.
func (s *Deployments) Reads() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads
}

// List lists.
func (s *Deployments) List(_ context.Context, scope ident.Scope, f deployment.Filter, _ string, _ int) ([]deployment.Deployment, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []deployment.Deployment
	for i, d := range s.deps {
		if scope.Has(d.Tenant) && (f.State == "" || f.State == d.State) {
			one := s.copyOf(i)
			one.Members = nil
			out = append(out, one)
		}
	}
	return out, "", nil
}

// Events tails.
func (s *Deployments) Events(_ context.Context, t ident.TenantID, id ident.DeploymentID, after int64, limit int) ([]deployment.Transition, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kind == Empty {
		return nil, missing()
	}
	all := []deployment.Transition{}
	for i := int64(1); i <= 120; i++ {
		all = append(all, deployment.Transition{Seq: i, At: Now.Add(-time.Duration(130-i) * time.Minute), Subject: deployment.OfJob, ID: "job", Device: ident.DeviceID(fmt.Sprintf("0199a1b2-0000-7000-8000-%012d", 10000+i)), From: "running", To: "succeeded", Reason: reason.New(reason.JobFinished, "verified", "1", "failed", "0", "other", "0")})
	}
	all = append(all, s.moved...)
	all = slices.DeleteFunc(all, func(e deployment.Transition) bool { return e.Seq <= after })
	return all[:min(len(all), limit)], nil
}

// Move gives a member another end and writes a line of history.
func (s *Deployments) Move(m deployment.Member) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.result == nil {
		s.result = map[ident.DeviceID]deployment.Member{}
	}
	s.result[m.Device] = m
	seq := int64(121 + len(s.moved))
	s.moved = append(s.moved, deployment.Transition{Seq: seq, At: Now, Subject: deployment.OfJob, ID: string(m.Job), Device: m.Device, From: string(job.Running), To: string(job.Failed), Reason: reason.New(reason.JobFailed, "error", "exit "+strconv.FormatInt(seq, 10))})
	return seq
}

func (s *Deployments) legal(id ident.DeploymentID, from ...deployment.State) error {
	for _, d := range s.deps {
		if d.ID == id && !slices.Contains(from, d.State) {
			return fault.Conflictf("the deployment is %s", d.State)
		}
	}
	return nil
}

// Pause takes running ones.
func (s *Deployments) Pause(_ context.Context, _ time.Time, _ ident.Actor, _ ident.TenantID, id ident.DeploymentID, _ string) error {
	return s.legal(id, deployment.Running)
}

// Resume takes paused and halted ones.
func (s *Deployments) Resume(_ context.Context, _ time.Time, _ ident.Actor, _ ident.TenantID, id ident.DeploymentID, _ string) error {
	return s.legal(id, deployment.Paused, deployment.Halted)
}

// Halt takes running and paused ones.
func (s *Deployments) Halt(_ context.Context, _ time.Time, _ ident.Actor, _ ident.TenantID, id ident.DeploymentID, _ string) error {
	return s.legal(id, deployment.Running, deployment.Paused)
}

// Cancel takes all that have not ended.
func (s *Deployments) Cancel(_ context.Context, _ time.Time, _ ident.Actor, _ ident.TenantID, id ident.DeploymentID, _ string) error {
	return s.legal(id, deployment.Running, deployment.Paused, deployment.Halted)
}

// Why explains each update.
func (s *Deployments) Why(_ context.Context, now time.Time, t ident.TenantID, d ident.DeviceID) ([]deployment.Explained, error) {
	var out []deployment.Explained
	opens := reason.Time(Now.Add(25 * time.Hour))
	for i, u := range s.updates(t, d) {
		e := deployment.Explained{Update: u}
		switch {
		case i == 0:
			e.Blockers = []deployment.Blocker{{Reason: reason.New(reason.OutsideWindow, "until", opens), Until: Now.Add(25 * time.Hour)}, {Reason: reason.New(reason.RebootFirst)}}
			e.Checks = []deployment.Check{
				{About: "approval", Passed: true, At: Now.Add(-50 * time.Hour), Reason: reason.New(reason.ApprovedByRule, "rule", "1", "policy", s.name("desktops-weekly"))}, {About: "deployment", Passed: true, Reason: reason.New(reason.Started)},
				{About: "approval", Passed: true, At: Now.Add(-12 * time.Hour), Reason: reason.New(reason.ApprovedByRule, "rule", "1", "policy", s.name("desktops-weekly"))}, {About: "window", Reason: reason.New(reason.OutsideWindow, "until", opens)},
				{About: "window", Reason: reason.New(reason.RebootFirst, "until", opens)}, {About: "deployment", Passed: true, Reason: reason.New(reason.Started)},
			}
		case u.State == patch.Verified:
			continue
		case u.State == patch.Denied || u.State == patch.Available:
			e.Blockers = []deployment.Blocker{{Reason: u.Reason}}
		case u.State == patch.Failed:
			e.Blockers = []deployment.Blocker{{Reason: reason.New(reason.FailedBefore, "error", "exit 1603", "times", "2")}}
		case u.State == patch.RebootPending:
			e.Blockers = []deployment.Blocker{{Reason: u.Reason}}
		}
		out = append(out, e)
	}
	return out, nil
}

// Plan opens a window each Tuesday and Sunday.
func (s *Deployments) Plan(_ context.Context, now time.Time, t ident.TenantID, days int) ([]deployment.Planned, error) {
	var out []deployment.Planned
	for i := range days {
		opens := time.Date(2026, 11, 13+i, 22, 0, 0, 0, time.UTC)
		switch opens.Weekday() {
		case time.Tuesday:
			out = append(out, deployment.Planned{Policy: "desktops-weekly", Site: ident.MainSite, Opens: opens, Closes: opens.Add(4 * time.Hour), Devices: make([]ident.DeviceID, 412), ExpectedMinutes: 190})
		case time.Sunday:
			out = append(out, deployment.Planned{Policy: "desktops-weekly", Site: ident.MainSite, Opens: opens, Closes: opens.Add(2 * time.Hour), Devices: make([]ident.DeviceID, 100), Conflicts: []string{s.name("meets servers-3-nights on 4 devices")}})
		}
	}
	if s.kind == Empty {
		return nil, nil
	}
	return out, nil
}

// New makes the console over the data of a kind. The fakes come along, so that
// a test can move things.
func New(kind Kind, change func(*console.Options)) (*console.Console, *Deployments, *wake.Hub, error) {
	w := NewWorld(kind)
	hub := &wake.Hub{}
	deps := &Deployments{World: w}
	o := console.Options{
		SignIns: Accounts{w}, People: Accounts{w}, Tokens: Accounts{w}, Customers: Fleet{w}, Devices: Fleet{w}, Views: Reads{w}, Rows: Lists{w}, Policies: Policies{w},
		Jobs: Jobs{w}, Deployments: deps, Control: deps, Answers: deps, Samples: Samples{w}, Record: Record{w}, Enrollments: Enrollments{w}, Applier: Applier{w},
		Wake: hub, Now: func() time.Time { return Now }, Log: slog.New(slog.DiscardHandler), URL: "http://steward.test", Agents: "steward.example.net:7443", Version: "0.1.0",
	}
	if change != nil {
		change(&o)
	}
	c, err := console.New(o)
	return c, deps, hub, err
}

// Door is Accounts whose sessions all end at once with Shut.
type Door struct {
	Accounts
	shut atomic.Bool
}

// Shut ends every session.
func (d *Door) Shut() { d.shut.Store(true) }

// Session finds who signed in, nobody once the door is shut.
func (d *Door) Session(ctx context.Context, now time.Time, token string) (auth.Principal, auth.Session, error) {
	if d.shut.Load() {
		return auth.Principal{}, auth.Session{}, fault.New(fault.Unauthenticated, "sign in first")
	}
	return d.Accounts.Session(ctx, now, token)
}
