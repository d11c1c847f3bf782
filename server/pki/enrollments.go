package pki

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/audit"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
)

// Store keeps enrollments and what became of them. Every write happens inside
// Tx, which joins a transaction that ctx already carries.
type Store interface {
	Tx(ctx context.Context, do func(ctx context.Context) error) error
	// Insert adds an enrollment; fault.NotFound when its tenant or site is
	// missing.
	Insert(ctx context.Context, e Enrollment) error
	// ByHash returns the enrollment of a token's hash, or fault.NotFound.
	// Inside Tx no other transaction may change it until this one ends.
	ByHash(ctx context.Context, tokenHash [32]byte) (Enrollment, error)
	// ByID returns a tenant's enrollment, or fault.NotFound; locked as ByHash.
	ByID(ctx context.Context, tenant ident.TenantID, id ident.EnrollmentID) (Enrollment, error)
	// List returns what the scope covers, newest first.
	List(ctx context.Context, scope ident.Scope) ([]Enrollment, error)
	// Update writes Used and RevokedAt.
	Update(ctx context.Context, e Enrollment) error
	// Redeemed returns the device that a key enrolled with a token, or "".
	Redeemed(ctx context.Context, tokenHash, keyHash [32]byte) (ident.DeviceID, error)
	// SaveRedeemed keeps it; token and key together are unique.
	SaveRedeemed(ctx context.Context, e Enrollment, keyHash [32]byte, device ident.DeviceID, at time.Time) error
}

// Recorder is the audit record; it joins the transaction in ctx.
type Recorder interface {
	Record(ctx context.Context, e audit.Entry) error
}

// EnrollmentOptions are what the service needs.
type EnrollmentOptions struct {
	Store    Store
	Audit    Recorder
	Address  string // where agents reach the server, host:port
	RootSPKI [32]byte
}

// Enrollments is the service.
type Enrollments struct {
	EnrollmentOptions
	rate     *buckets
	failures *failureLog
}

// NewEnrollments returns the service.
func NewEnrollments(o EnrollmentOptions) *Enrollments {
	return &Enrollments{EnrollmentOptions: o, rate: newBuckets(maxTracked), failures: newFailureLog(maxTracked)}
}

// maxTracked bounds the memory for addresses and tokens.
const maxTracked = 10_000

// Create makes an enrollment and returns it with its string, which cannot be
// shown again.
func (s *Enrollments) Create(ctx context.Context, tenant ident.TenantID, by ident.Actor, d Draft, now time.Time) (Enrollment, string, error) {
	if tenant == ident.MSP || !ident.ValidSlug(string(tenant)) {
		return Enrollment{}, "", fault.Invalidf("tenant", "devices belong to a customer")
	}
	d, err := d.complete()
	if err != nil {
		return Enrollment{}, "", err
	}
	token := [20]byte(random(20))
	e := Enrollment{
		ID: ident.EnrollmentID(ident.New(now)), Tenant: tenant, Site: d.Site, Class: d.Class, Tags: slices.Clone(d.Tags),
		Uses: d.Uses, PerMinute: d.PerMinute, ExpiresAt: now.UTC().Add(d.Lasts).Truncate(time.Second), MayInstall: d.MayInstall,
		CreatedBy: by, CreatedAt: now.UTC().Truncate(time.Second), TokenHash: TokenHash(token),
	}
	text := wire.Enrollment{Address: s.Address, RootSPKI: s.RootSPKI, Token: token, MayInstall: e.MayInstall}
	if err := text.Check(); err != nil {
		return Enrollment{}, "", fmt.Errorf("create enrollment: the server's address for agents: %w", err)
	}
	err = s.Store.Tx(ctx, func(ctx context.Context) error {
		if err := s.Store.Insert(ctx, e); err != nil {
			return err
		}
		return s.record(ctx, e, by, "enrollment.created", now, map[string]string{
			"site": string(e.Site), "uses": fmt.Sprint(e.Uses), "expires": stamp(e.ExpiresAt), "may_install": fmt.Sprint(e.MayInstall),
		})
	})
	if err != nil {
		return Enrollment{}, "", fmt.Errorf("create enrollment: %w", err)
	}
	return e, text.String(), nil
}

// List returns the enrollments that the scope covers, newest first.
func (s *Enrollments) List(ctx context.Context, scope ident.Scope) ([]Enrollment, error) {
	list, err := s.Store.List(ctx, scope)
	if err != nil {
		return nil, fmt.Errorf("list enrollments: %w", err)
	}
	return list, nil
}

// Revoke ends an enrollment. Devices that it added stay. Doing it twice is
// doing it once.
func (s *Enrollments) Revoke(ctx context.Context, tenant ident.TenantID, by ident.Actor, id ident.EnrollmentID, now time.Time) error {
	err := s.Store.Tx(ctx, func(ctx context.Context) error {
		e, err := s.Store.ByID(ctx, tenant, id)
		if err != nil || !e.RevokedAt.IsZero() {
			return err
		}
		e.RevokedAt = now.UTC().Truncate(time.Second)
		if err := s.Store.Update(ctx, e); err != nil {
			return err
		}
		return s.record(ctx, e, by, "enrollment.revoked", now, map[string]string{"used": fmt.Sprint(e.Used)})
	})
	if err != nil {
		return fmt.Errorf("revoke enrollment: %w", err)
	}
	return nil
}

func (s *Enrollments) record(ctx context.Context, e Enrollment, by ident.Actor, action string, now time.Time, detail map[string]string) error {
	return s.Audit.Record(ctx, audit.Entry{
		Tenant: e.Tenant, At: now, Actor: by, Action: action,
		Object: audit.Object{Kind: "enrollment", ID: string(e.ID)}, Detail: detail,
	})
}

// Attempt is a device's wish to be enrolled.
type Attempt struct {
	Token   [20]byte
	KeyHash [32]byte // of the request that CheckCSR read
	From    string   // the address it came from, without the port
}

// Redeemed is a granted attempt.
type Redeemed struct {
	Enrollment Enrollment
	Device     ident.DeviceID
	// Repeat: this key redeemed this token before, nothing was used or made.
	// The device may have been revoked since; its row decides.
	Repeat bool
}

// Redeem takes one use of a token for a key and calls enroll, in the same
// transaction, to make the device. The same token and key again, as after a
// lost answer, gives the same device and takes nothing. Errors have one of
// ErrUnknown, ErrRevoked, ErrExpired, ErrUsedUp, ErrFailures, ErrRate in their
// chain, or come from enroll.
func (s *Enrollments) Redeem(ctx context.Context, now time.Time, a Attempt,
	enroll func(ctx context.Context, e Enrollment, keyHash [32]byte) (ident.DeviceID, error),
) (Redeemed, error) {
	hash := TokenHash(a.Token)
	e, err := s.Store.ByHash(ctx, hash)
	unknown := fault.Is(err, fault.NotFound)
	if err != nil && !unknown {
		return Redeemed{}, fmt.Errorf("redeem enrollment: %w", err)
	}
	if err := s.limit(now, a.From, e, unknown); err != nil {
		return Redeemed{}, err
	}
	if unknown {
		return Redeemed{}, unknownToken()
	}
	var out Redeemed
	err = s.Store.Tx(ctx, func(ctx context.Context) error {
		out, err = s.redeem(ctx, now, hash, a.KeyHash, enroll)
		return err
	})
	if err != nil {
		s.noteFailure(now, hash, err)
		return Redeemed{}, fmt.Errorf("redeem enrollment: %w", err)
	}
	return out, nil
}

func unknownToken() error {
	return fault.New(fault.Unauthenticated, "this server does not know this enrollment string").
		WithNext("create a new one with: steward enrollments create").WithCause(ErrUnknown)
}

// limit applies the rate: the string's own, or the common one per address.
func (s *Enrollments) limit(now time.Time, from string, e Enrollment, unknown bool) error {
	key, rate := from, wire.MaxEnrollments
	if !unknown {
		key, rate = from+" "+string(e.ID), e.PerMinute
	}
	if after := s.rate.take(key, rate, now); after > 0 {
		return limited(ErrRate, after, "more than %d enrollments a minute from one address", rate)
	}
	return nil
}

func (s *Enrollments) redeem(ctx context.Context, now time.Time, hash, key [32]byte,
	enroll func(context.Context, Enrollment, [32]byte) (ident.DeviceID, error),
) (Redeemed, error) {
	e, err := s.Store.ByHash(ctx, hash) // again, now that it cannot change
	if fault.Is(err, fault.NotFound) {
		return Redeemed{}, unknownToken()
	}
	if err != nil {
		return Redeemed{}, err
	}
	device, err := s.Store.Redeemed(ctx, hash, key)
	if err != nil {
		return Redeemed{}, err
	}
	if device != "" && e.RevokedAt.IsZero() {
		return Redeemed{e, device, true}, nil
	}
	if err := Decide(now, e, s.failures.of(hash)); err != nil {
		return Redeemed{}, err
	}
	e.Used++
	if err := s.Store.Update(ctx, e); err != nil {
		return Redeemed{}, err
	}
	if device, err = enroll(ctx, e, key); err != nil {
		return Redeemed{}, err
	}
	if err := s.Store.SaveRedeemed(ctx, e, key, device, now); err != nil {
		return Redeemed{}, err
	}
	by := ident.Actor{Kind: ident.Device, ID: string(device), Tenant: e.Tenant}
	err = s.record(ctx, e, by, "enrollment.redeemed", now, map[string]string{"used": fmt.Sprintf("%d of %d", e.Used, e.Uses)})
	return Redeemed{e, device, false}, err
}

// noteFailure counts what the caller did wrong; what the server did is not
// held against the token, nor is being told to wait.
func (s *Enrollments) noteFailure(now time.Time, hash [32]byte, err error) {
	if kind := fault.KindOf(err); kind == fault.Internal || kind == fault.Unavailable || errors.Is(err, ErrFailures) {
		return
	}
	s.failures.add(hash, now)
}
