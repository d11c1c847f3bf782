package auth

import (
	"context"
	"time"

	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
)

// refused is the one answer to every sign-in that fails, whatever the cause:
// who asks must not learn which addresses have an account.
func refused() error {
	return fault.New(fault.Unauthenticated, "the e-mail address or the password is wrong").
		WithNext("after %d failures an account rests for %d minutes; an owner can unlock it or send a new link",
			LockoutFailures, int(LockoutFor.Minutes()))
}

// Why a sign-in was refused, for the audit record only.
const (
	whyUnknown = "unknown"
	whyLocked  = "locked"
	whyWrong   = "wrong_password"
)

// refuses says why the person cannot come in with a password that was found
// right or not against password number no; empty means that they can.
func (p Person) refuses(now time.Time, right bool, no int) string {
	switch {
	case p.State != Active:
		return string(p.State)
	case p.Lockout.Locked(now):
		return whyLocked
	case !right || p.PasswordNo != no:
		return whyWrong
	}
	return ""
}

// SignIn opens a session with a new token. Unknown, locked, disabled and
// mistaken callers cost the same one hash and get the same Unauthenticated;
// TooMany and Unavailable mean that nothing was tried. addr is an IP address,
// with or without a port.
func (s *Service) SignIn(ctx context.Context, now time.Time, email, password, addr, userAgent string) (Secret, Session, error) {
	if wait := s.addresses.take(now, addr); wait > 0 {
		s.count("paced")
		return Secret{}, Session{}, fault.New(fault.TooMany, "too many failures from this address").
			WithNext("try again in %d seconds", int(wait.Seconds())+1)
	}
	known, email, err := s.byEmail(ctx, email)
	if err != nil {
		s.addresses.giveBack(addr)
		return Secret{}, Session{}, err
	}
	right, fresh, err := s.verify(ctx, known, password)
	if err != nil {
		s.addresses.giveBack(addr)
		s.count("busy")
		return Secret{}, Session{}, err
	}
	var (
		token   Secret
		session Session
		why     string
	)
	err = s.tx(ctx, func(ctx context.Context) error {
		// Judged on the row as it is now: of many tries at once only those
		// before the lock count.
		p, err := s.reload(ctx, known)
		if err != nil {
			return err
		}
		if p.ID == "" {
			why = whyUnknown
		} else {
			why = p.refuses(now, right, known.PasswordNo)
		}
		if why != "" {
			return s.refuse(ctx, now, p, "session.refused", email, addr, why)
		}
		if fresh != "" || len(p.Lockout.Failures) > 0 || !p.Lockout.Until.IsZero() {
			p.Lockout = Lockout{}
			if fresh != "" {
				p.PasswordHash = fresh
			}
			if err := s.people.Save(ctx, p); err != nil {
				return err
			}
		}
		token, session, err = s.open(ctx, now, p, addr, userAgent, "password")
		return err
	})
	switch {
	case err != nil:
		return Secret{}, Session{}, err
	case why != "":
		s.count("refused")
		return Secret{}, Session{}, refused()
	}
	s.addresses.giveBack(addr)
	s.count("ok")
	return token, session, nil
}

// byEmail finds the person; nobody is a zero Person, not an error. The address
// comes back in its normal form, or empty when it is none: people type
// passwords into the wrong field, and those must not reach the record.
func (s *Service) byEmail(ctx context.Context, email string) (Person, string, error) {
	email, err := NormalEmail(email)
	if err != nil {
		return Person{}, "", nil
	}
	p, err := s.people.ByEmail(ctx, email)
	if fault.Is(err, fault.NotFound) {
		return Person{}, email, nil
	}
	return p, email, err
}

// verify does one hash's work for anybody, and a second for who was right and
// whose stored hash has old costs; that one is returned to be stored.
func (s *Service) verify(ctx context.Context, p Person, password string) (right bool, fresh string, err error) {
	if len(password) > 4*PasswordMax {
		password = "" // longer than any can be; never right
	}
	right, stale, err := s.hasher.Verify(ctx, p.PasswordHash, password)
	if err != nil || !right || !stale {
		return right, "", err
	}
	// The old hash is still good: when the queue is full the next sign-in
	// makes the new one.
	fresh, err = s.hasher.Hash(ctx, password)
	if fault.Is(err, fault.Unavailable) {
		err = nil
	}
	return true, fresh, err
}

// reload reads the person inside the transaction; gone is a zero Person.
func (s *Service) reload(ctx context.Context, known Person) (Person, error) {
	if known.ID == "" {
		return Person{}, nil
	}
	p, err := s.people.ByID(ctx, known.Tenant, known.ID)
	if fault.Is(err, fault.NotFound) {
		return Person{}, nil
	}
	return p, err
}

// refuse counts a wrong password and records the refusal.
func (s *Service) refuse(ctx context.Context, now time.Time, p Person, action, email, addr, why string) error {
	object := Object{Kind: "person", Name: email, Tenant: ident.MSP}
	detail := map[string]string{"address": printable(addr, 64)}
	if p.ID != "" {
		object = p.object()
		if why == whyWrong {
			p.Lockout = p.Lockout.Failed(now)
			if err := s.people.Save(ctx, p); err != nil {
				return err
			}
			if p.Lockout.Locked(now) {
				detail["locked_until"] = p.Lockout.Until.UTC().Format(time.RFC3339)
			}
		}
	}
	// Who tried is not known, so the system is the actor.
	return s.record(ctx, now, ident.Steward("auth"), action, object, why, detail)
}

// open makes a session and ends the person's oldest beyond the limit.
func (s *Service) open(ctx context.Context, now time.Time, p Person, addr, userAgent, how string) (Secret, Session, error) {
	all, err := s.sessions.OfPerson(ctx, p.Tenant, p.ID)
	if err != nil {
		return Secret{}, Session{}, err
	}
	for _, old := range Surplus(now, all) {
		if err := s.end(ctx, now, p.actor(), old, "too many at once"); err != nil {
			return Secret{}, Session{}, err
		}
	}
	token, digest := newSecret(sessionPrefix)
	session := Session{
		ID: ident.SessionID(ident.New(now)), Tenant: p.Tenant, Person: p.ID, Hash: digest,
		CreatedAt: now, SeenAt: now, Address: printable(addr, 64), UserAgent: printable(userAgent, 256),
	}
	if err := s.sessions.Add(ctx, session); err != nil {
		return Secret{}, Session{}, err
	}
	detail := map[string]string{"address": session.Address, "user_agent": session.UserAgent}
	return token, session, s.record(ctx, now, p.actor(), "session.started", session.object(), how, detail)
}

// end deletes one session and records why.
func (s *Service) end(ctx context.Context, now time.Time, by ident.Actor, session Session, why string) error {
	if err := s.sessions.Delete(ctx, session.ID); err != nil {
		return err
	}
	return s.record(ctx, now, by, "session.ended", session.object(), why, map[string]string{"person": string(session.Person)})
}

// endSessions ends all of a person's sessions but one.
func (s *Service) endSessions(ctx context.Context, now time.Time, by ident.Actor, p Person, keep ident.SessionID, why string) error {
	all, err := s.sessions.OfPerson(ctx, p.Tenant, p.ID)
	if err != nil {
		return err
	}
	for _, session := range all {
		if session.ID == keep {
			continue
		}
		if err := s.end(ctx, now, by, session, why); err != nil {
			return err
		}
	}
	return nil
}

// SignOut ends the session of the token. An unknown token is no error.
func (s *Service) SignOut(ctx context.Context, now time.Time, token string) error {
	digest, ok := parseSecret(sessionPrefix, token)
	if !ok {
		return nil
	}
	return s.tx(ctx, func(ctx context.Context) error {
		session, err := s.sessions.ByHash(ctx, digest)
		if fault.Is(err, fault.NotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		by := ident.Actor{Kind: ident.Person, ID: string(session.Person), Tenant: session.Tenant}
		if p, err := s.people.ByID(ctx, session.Tenant, session.Person); err == nil {
			by = p.actor()
		}
		return s.end(ctx, now, by, session, "signed out")
	})
}

// Session returns who the token belongs to, with their rights of this moment,
// and counts the use. Anything but a live session of an active person is
// Unauthenticated.
func (s *Service) Session(ctx context.Context, now time.Time, token string) (Principal, Session, error) {
	over := fault.New(fault.Unauthenticated, "your session has ended").WithNext("sign in again")
	digest, ok := parseSecret(sessionPrefix, token)
	if !ok {
		return Principal{}, Session{}, over
	}
	session, err := s.sessions.ByHash(ctx, digest)
	if fault.Is(err, fault.NotFound) {
		return Principal{}, Session{}, over
	}
	if err != nil {
		return Principal{}, Session{}, err
	}
	if !session.Hash.equal(digest) || !session.Live(now) {
		return Principal{}, Session{}, over
	}
	p, err := s.reload(ctx, Person{ID: session.Person, Tenant: session.Tenant})
	if err != nil {
		return Principal{}, Session{}, err
	}
	if p.State != Active {
		return Principal{}, Session{}, over
	}
	if now.Sub(session.SeenAt) >= sessionStep {
		session.SeenAt = now
		s.touch(ctx, "session", func(ctx context.Context) error { return s.sessions.Touch(ctx, session.ID, now) })
	}
	return Principal{Actor: p.actor(), Grants: p.rights(), Session: session.ID, TimeZone: p.TimeZone}, session, nil
}

// touch notes a last use. A disk that is full must not keep people from
// looking, so a failure is logged and the request goes on.
func (s *Service) touch(ctx context.Context, what string, f func(context.Context) error) {
	if err := s.tx(ctx, f); err != nil {
		s.log.WarnContext(ctx, "last use not noted", "of", what, "error", err)
	}
}
