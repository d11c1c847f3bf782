package pki

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/audit"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
)

type pair struct{ token, key [32]byte }

// memory is a faithful store: one writer, transactions that join and roll
// back, no writes outside of them.
type memory struct {
	mu       sync.Mutex
	rows     map[[32]byte]Enrollment
	redeemed map[pair]ident.DeviceID
	entries  []audit.Entry
}

type inTx struct{}

func (m *memory) Tx(ctx context.Context, do func(context.Context) error) error {
	if ctx.Value(inTx{}) != nil {
		return do(ctx)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	rows, redeemed, entries := maps.Clone(m.rows), maps.Clone(m.redeemed), slices.Clone(m.entries)
	err := do(context.WithValue(ctx, inTx{}, true))
	if err != nil {
		m.rows, m.redeemed, m.entries = rows, redeemed, entries
	}
	return err
}

func (m *memory) lock(ctx context.Context) func() {
	if ctx.Value(inTx{}) != nil {
		return func() {}
	}
	m.mu.Lock()
	return m.mu.Unlock
}

func written(ctx context.Context) error {
	if ctx.Value(inTx{}) == nil {
		return errors.New("a write outside of a transaction")
	}
	return nil
}

func (m *memory) Insert(ctx context.Context, e Enrollment) error {
	m.rows[e.TokenHash] = e
	return written(ctx)
}

func (m *memory) ByHash(ctx context.Context, hash [32]byte) (Enrollment, error) {
	defer m.lock(ctx)()
	e, ok := m.rows[hash]
	if !ok {
		return e, fault.NotFoundf("no such enrollment")
	}
	return e, nil
}

func (m *memory) ByID(_ context.Context, tenant ident.TenantID, id ident.EnrollmentID) (Enrollment, error) {
	for _, e := range m.rows {
		if e.Tenant == tenant && e.ID == id {
			return e, nil
		}
	}
	return Enrollment{}, fault.NotFoundf("no such enrollment")
}

func (m *memory) List(ctx context.Context, scope ident.Scope) ([]Enrollment, error) {
	defer m.lock(ctx)()
	var out []Enrollment
	for _, e := range m.rows {
		if scope.HasSite(e.Tenant, e.Site) {
			out = append(out, e)
		}
	}
	return out, nil
}

func (m *memory) Update(ctx context.Context, e Enrollment) error {
	m.rows[e.TokenHash] = e
	return written(ctx)
}

func (m *memory) Redeemed(_ context.Context, token, key [32]byte) (ident.DeviceID, error) {
	return m.redeemed[pair{token, key}], nil
}

func (m *memory) SaveRedeemed(ctx context.Context, e Enrollment, key [32]byte, device ident.DeviceID, _ time.Time) error {
	if _, ok := m.redeemed[pair{e.TokenHash, key}]; ok {
		return errors.New("redeemed twice")
	}
	m.redeemed[pair{e.TokenHash, key}] = device
	return written(ctx)
}

func (m *memory) Record(ctx context.Context, e audit.Entry) error {
	m.entries = append(m.entries, e)
	return written(ctx)
}

var alice = ident.Actor{Kind: ident.Person, ID: "p-1", Name: "Alice", Tenant: ident.MSP}

func newEnrollments() (*Enrollments, *memory) {
	m := &memory{rows: make(map[[32]byte]Enrollment), redeemed: make(map[pair]ident.DeviceID)}
	return NewEnrollments(EnrollmentOptions{Store: m, Audit: m, Address: "steward.test:8443", RootSPKI: [32]byte{1}}), m
}

func create(t testing.TB, s *Enrollments, d Draft) (Enrollment, [20]byte) {
	t.Helper()
	e, text, err := s.Create(t.Context(), "acme", alice, d, start)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := wire.ParseEnrollment(text)
	if err != nil || TokenHash(parsed.Token) != e.TokenHash || parsed.Address != s.Address || parsed.RootSPKI != s.RootSPKI || parsed.MayInstall != d.MayInstall {
		t.Fatalf("the string says %v, %v", parsed, err)
	}
	return e, parsed.Token
}

func attempt(token [20]byte, key byte) Attempt { return Attempt{token, [32]byte{key}, "192.0.2.1"} }

// enroll names the device after its key.
func enroll(_ context.Context, _ Enrollment, key [32]byte) (ident.DeviceID, error) {
	return ident.DeviceID(fmt.Sprint("d-", key[0])), nil
}

func TestEnrollmentHasDefaultsAndBounds(t *testing.T) {
	s, m := newEnrollments()
	e, _ := create(t, s, Draft{MayInstall: true})
	if e.Site != ident.MainSite || e.Uses != 1 || e.PerMinute != 10 || !e.ExpiresAt.Equal(start.Add(24*time.Hour)) || !e.MayInstall {
		t.Errorf("%+v", e)
	}
	if len(m.entries) != 1 || m.entries[0].Action != "enrollment.created" || m.entries[0].Object.ID != string(e.ID) {
		t.Errorf("recorded %+v", m.entries)
	}
	for field, d := range map[string]Draft{
		"site": {Site: "A B"}, "class": {Class: "toaster"}, "uses": {Uses: -1}, "per_minute": {PerMinute: 1 << 20},
		"expires": {Lasts: time.Second}, "tags": {Tags: []string{"a b"}},
	} {
		var f *fault.Error
		if _, _, err := s.Create(t.Context(), "acme", alice, d, start); !errors.As(err, &f) || f.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if _, _, err := s.Create(t.Context(), ident.MSP, alice, Draft{}, start); !fault.Is(err, fault.Invalid) {
		t.Errorf("devices of the MSP: %v", err)
	}
	s.Address = "nowhere"
	if _, _, err := s.Create(t.Context(), "acme", alice, Draft{}, start); err == nil || len(m.rows) != 1 {
		t.Errorf("without an address: %v", err)
	}
}

func TestRedeemSaysWhyNot(t *testing.T) {
	s, m := newEnrollments()
	e, token := create(t, s, Draft{Uses: 1, PerMinute: 100})
	redeem := func(now time.Time, token [20]byte, key byte) error {
		_, err := s.Redeem(t.Context(), now, attempt(token, key), enroll)
		return err
	}
	if err := redeem(start, [20]byte{9}, 1); !errors.Is(err, ErrUnknown) || !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("unknown: %v", err)
	}
	if err := redeem(e.ExpiresAt, token, 1); !errors.Is(err, ErrExpired) || !fault.Is(err, fault.Forbidden) {
		t.Errorf("expired: %v", err)
	}
	if err := redeem(start, token, 1); err != nil {
		t.Errorf("good: %v", err)
	}
	if err := redeem(start, token, 2); !errors.Is(err, ErrUsedUp) {
		t.Errorf("used up: %v", err)
	}
	if err := s.Revoke(t.Context(), "bolt", alice, e.ID, start); !fault.Is(err, fault.NotFound) {
		t.Errorf("revoked by another tenant: %v", err)
	}
	for range 2 {
		if err := s.Revoke(t.Context(), "acme", alice, e.ID, start); err != nil {
			t.Error(err)
		}
	}
	for key := range byte(3) {
		if err := redeem(start, token, key); !errors.Is(err, ErrRevoked) {
			t.Errorf("revoked, key %d: %v", key, err)
		}
	}
	var actions []string
	for _, entry := range m.entries {
		actions = append(actions, entry.Action)
	}
	if got := strings.Join(actions, " "); got != "enrollment.created enrollment.redeemed enrollment.revoked" {
		t.Errorf("recorded %s", got)
	}
}

func TestListShowsTheScopeOnly(t *testing.T) {
	s, _ := newEnrollments()
	create(t, s, Draft{})
	if list, err := s.List(t.Context(), ident.NewScopeAll()); err != nil || len(list) != 1 {
		t.Error(list, err)
	}
	if list, err := s.List(t.Context(), ident.NewScope(map[ident.TenantID][]ident.SiteID{"bolt": nil})); err != nil || len(list) != 0 {
		t.Error(list, err)
	}
}

func TestFailedDeviceTakesNoUseAndFiveAnHourAreEnough(t *testing.T) {
	s, m := newEnrollments()
	e, token := create(t, s, Draft{Uses: 10, PerMinute: 100})
	fail := func(err error) func(context.Context, Enrollment, [32]byte) (ident.DeviceID, error) {
		return func(context.Context, Enrollment, [32]byte) (ident.DeviceID, error) { return "", err }
	}
	broken := errors.New("disk full")
	for range 20 { // the server's own failures are not the token's
		if _, err := s.Redeem(t.Context(), start, attempt(token, 1), fail(broken)); !errors.Is(err, broken) {
			t.Fatal(err)
		}
	}
	for i := range wire.MaxTokenFailures {
		now := start.Add(time.Duration(i) * time.Minute)
		if _, err := s.Redeem(t.Context(), now, attempt(token, 1), fail(fault.Conflictf("serial in use"))); !fault.Is(err, fault.Conflict) {
			t.Fatal(i, err)
		}
	}
	_, err := s.Redeem(t.Context(), start.Add(10*time.Minute), attempt(token, 2), enroll)
	var l *Limited
	if !errors.As(err, &l) || !errors.Is(err, ErrFailures) || !fault.Is(err, fault.TooMany) || l.After != 50*time.Minute {
		t.Errorf("%v, %+v", err, l)
	}
	if m.rows[e.TokenHash].Used != 0 || len(m.redeemed) != 0 {
		t.Error("a failed attempt took a use")
	}
	if _, err := s.Redeem(t.Context(), start.Add(time.Hour), attempt(token, 2), enroll); err != nil {
		t.Errorf("an hour later: %v", err)
	}
}

func TestRateIsTheStringsOwnAndPerAddress(t *testing.T) {
	s, _ := newEnrollments()
	_, token := create(t, s, Draft{Uses: 1000, PerMinute: 3})
	try := func(token [20]byte, key byte, from string, now time.Time) error {
		_, err := s.Redeem(t.Context(), now, Attempt{token, [32]byte{key}, from}, enroll)
		return err
	}
	for key := range byte(3) {
		if err := try(token, key, "192.0.2.1", start); err != nil {
			t.Error(err)
		}
	}
	var l *Limited
	if err := try(token, 4, "192.0.2.1", start); !errors.Is(err, ErrRate) || !errors.As(err, &l) || l.After != 20*time.Second {
		t.Errorf("the fourth: %v", err)
	}
	if err := try(token, 4, "192.0.2.2", start); err != nil {
		t.Errorf("from elsewhere: %v", err)
	}
	if err := try(token, 5, "192.0.2.1", start.Add(20*time.Second)); err != nil {
		t.Errorf("after the wait: %v", err)
	}
	for i := range byte(wire.MaxEnrollments + 1) {
		err := try([20]byte{i}, 1, "192.0.2.3", start)
		if want := ErrUnknown; i < wire.MaxEnrollments && !errors.Is(err, want) || i == wire.MaxEnrollments && !errors.Is(err, ErrRate) {
			t.Errorf("guess %d: %v", i, err)
		}
	}
}

func TestMemoryOfRefusalsIsBounded(t *testing.T) {
	b, l := newBuckets(50), newFailureLog(50)
	for i := range 1000 {
		now := start.Add(time.Duration(i) * time.Millisecond)
		b.take(fmt.Sprint(i), 10, now)
		l.add([32]byte{byte(i), byte(i >> 8)}, now)
	}
	if len(b.by) > 50 || len(l.by) > 50 {
		t.Errorf("%d addresses, %d tokens", len(b.by), len(l.by))
	}
	if b.take("999", 10, start.Add(-time.Hour)) != 0 {
		t.Error("a clock that was set back blocks")
	}
}

// Any sequence of attempts, repeats and failures, by many keys at once.
func TestEnrollmentIsIdempotentAndNeverAddsMoreThanItsUses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, m := newEnrollments()
		uses := rapid.IntRange(1, 4).Draw(t, "uses")
		e, text, err := s.Create(t.Context(), "acme", alice, Draft{Uses: uses, PerMinute: MaxPerMinute}, start)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := wire.ParseEnrollment(text)
		if err != nil {
			t.Fatal(err)
		}
		made := make(map[byte]ident.DeviceID)
		for range rapid.IntRange(1, 30).Draw(t, "attempts") {
			key := byte(rapid.IntRange(0, 6).Draw(t, "key"))
			breaks := rapid.IntRange(0, 4).Draw(t, "breaks") == 0
			calls := 0
			got, err := s.Redeem(t.Context(), start, attempt(parsed.Token, key), func(ctx context.Context, e Enrollment, k [32]byte) (ident.DeviceID, error) {
				if calls++; breaks {
					return "", errors.New("the store broke")
				}
				return ident.DeviceID(fmt.Sprintf("d-%d-%d", k[0], len(made))), nil
			})
			old, had := made[key]
			switch {
			case had && (err != nil || !got.Repeat || got.Device != old || calls != 0):
				t.Fatalf("repeat of key %d: %+v, %v, %d calls", key, got, err, calls)
			case !had && err == nil:
				made[key] = got.Device
			case !had && len(made) < uses && !breaks:
				t.Fatalf("key %d was refused: %v", key, err)
			}
			if len(made) > uses || m.rows[e.TokenHash].Used != len(made) || len(m.redeemed) != len(made) {
				t.Fatalf("%d devices, %d counted, %d uses", len(made), m.rows[e.TokenHash].Used, uses)
			}
		}
	})
}

func TestLastUseIsTakenOnce(t *testing.T) {
	s, m := newEnrollments()
	e, token := create(t, s, Draft{Uses: 3, PerMinute: 1000})
	errs := make(chan error, 40)
	for i := range 40 {
		go func() {
			_, err := s.Redeem(t.Context(), start, attempt(token, byte(i)), enroll)
			errs <- err
		}()
	}
	good := 0
	for range 40 {
		if err := <-errs; err == nil {
			good++
		} else if !errors.Is(err, ErrUsedUp) {
			t.Error(err)
		}
	}
	if good != 3 || m.rows[e.TokenHash].Used != 3 {
		t.Errorf("%d devices of 3", good)
	}
}
