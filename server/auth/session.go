package auth

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"time"

	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
)

// The life of a session.
const (
	SessionLife  = 12 * time.Hour
	SessionIdle  = 60 * time.Minute
	SessionLimit = 3 // at once for one person; the oldest ends
	// sessionStep is how exactly the last use is kept: one write a minute.
	sessionStep = time.Minute
)

// Session is one sign-in of a person at one browser.
type Session struct {
	ID        ident.SessionID
	Tenant    ident.TenantID // the person's home
	Person    ident.PersonID
	Hash      Digest
	CreatedAt time.Time
	SeenAt    time.Time // last use, at most a minute old
	// SteppedUpAt is when the person last proved themselves anew for something
	// grave. Reserved: nothing sets or asks it yet.
	SteppedUpAt time.Time
	Address     string
	UserAgent   string
}

// Sessions is the store of sessions. A session that ended is deleted; the
// audit record keeps that it was. What is not there is a fault.NotFound.
type Sessions interface {
	Add(ctx context.Context, s Session) error
	ByHash(ctx context.Context, hash Digest) (Session, error)
	OfPerson(ctx context.Context, tenant ident.TenantID, person ident.PersonID) ([]Session, error)
	// Touch sets SeenAt, never back; a session that is gone is no error.
	Touch(ctx context.Context, id ident.SessionID, at time.Time) error
	Delete(ctx context.Context, id ident.SessionID) error
	// Prune deletes sessions created, or last seen, at the times or before.
	Prune(ctx context.Context, created, seen time.Time) (int, error)
}

// Live reports whether the session may be used now.
func (s Session) Live(now time.Time) bool {
	return now.Before(s.CreatedAt.Add(SessionLife)) && now.Before(s.SeenAt.Add(SessionIdle))
}

func (s Session) object() Object {
	return Object{Kind: "session", ID: string(s.ID), Tenant: s.Tenant}
}

// Surplus returns which sessions must end so that one more keeps the limit:
// the oldest of those that live.
func Surplus(now time.Time, sessions []Session) []Session {
	live := slices.DeleteFunc(slices.Clone(sessions), func(s Session) bool { return !s.Live(now) })
	slices.SortFunc(live, func(a, b Session) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return live[:max(0, len(live)-SessionLimit+1)]
}

// CSRF returns the token that every form of this session carries. It is bound
// to the session by HMAC under the session's own secret, so nothing is stored
// and a copy of the database does not give it.
func CSRF(session string) string {
	mac := hmac.New(sha256.New, []byte(session))
	mac.Write([]byte("steward console form v1"))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// CheckCSRF reports whether the form was made for this session, comparing in
// constant time. Forms before sign-in have no session: the door checks their
// origin.
func CheckCSRF(session, given string) error {
	if session == "" || !hmac.Equal([]byte(CSRF(session)), []byte(given)) {
		return fault.New(fault.Forbidden, "this form was made for another session").
			WithNext("reload the page and try again")
	}
	return nil
}
