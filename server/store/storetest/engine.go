package storetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/store"
)

// Run holds a database to what the engine promises of transactions. open gives
// a fresh store that is closed when its test ends.
func Run(t *testing.T, open func(t *testing.T) *store.Store) {
	cases := []struct {
		name string
		run  func(t *testing.T, s *store.Store)
	}{
		{"committed work is read by all", committed},
		{"an error leaves nothing", failed},
		{"a panic leaves nothing and reaches the caller", panicked},
		{"a goroutine that ends inside leaves nothing", exited},
		{"a nested Tx joins", nested},
		{"a cancelled context runs nothing", cancelled},
		{"a context that ends inside fails the next statement", cancelledInside},
		{"one failing unit among many harms no other", isolated},
		{"a failed statement fails the transaction", swallowed},
		{"a transaction's context is dead after it", leaked},
		{"a write outside Tx panics", outside},
		{"NUL and invalid UTF-8 are refused", badText},
		{"after Close nothing is accepted", closed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

var errWanted = errors.New("wanted")

func set(s *store.Store, key, value string) func(context.Context) error {
	return func(ctx context.Context) error { return s.SetMeta(ctx, key, value) }
}

// want checks a value; the empty text means that it must not exist.
func want(t *testing.T, ctx context.Context, s *store.Store, key, value string) {
	t.Helper()
	got, ok, err := s.Meta(ctx, key)
	if err != nil || got != value || ok != (value != "") {
		t.Errorf("meta %s = %q, %v, %v; want %q", key, got, ok, err, value)
	}
}

func committed(t *testing.T, s *store.Store) {
	ctx := t.Context()
	err := s.Tx(ctx, func(ctx context.Context) error {
		if err := s.SetMeta(ctx, "a", "1"); err != nil {
			return err
		}
		want(t, ctx, s, "a", "1")        // inside, its own writes are seen
		want(t, t.Context(), s, "a", "") // outside, they are not
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want(t, ctx, s, "a", "1")
}

func failed(t *testing.T, s *store.Store) {
	err := s.Tx(t.Context(), func(ctx context.Context) error {
		return errors.Join(s.SetMeta(ctx, "a", "1"), errWanted)
	})
	if !errors.Is(err, errWanted) {
		t.Errorf("error = %v", err)
	}
	want(t, t.Context(), s, "a", "")
}

func panicked(t *testing.T, s *store.Store) {
	func() {
		defer func() {
			if got := recover(); got != "wanted" {
				t.Errorf("recovered %v", got)
			}
		}()
		_ = s.Tx(t.Context(), func(ctx context.Context) error {
			if err := s.SetMeta(ctx, "a", "1"); err != nil {
				t.Error(err)
			}
			panic("wanted")
		})
	}()
	want(t, t.Context(), s, "a", "")
	if err := s.Tx(t.Context(), set(s, "b", "1")); err != nil {
		t.Errorf("after a panic: %v", err)
	}
}

func exited(t *testing.T, s *store.Store) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Tx(t.Context(), func(ctx context.Context) error {
			if err := s.SetMeta(ctx, "a", "1"); err != nil {
				t.Error(err)
			}
			runtime.Goexit()
			return nil
		})
	}()
	<-done
	want(t, t.Context(), s, "a", "")
	if err := s.Tx(t.Context(), set(s, "b", "1")); err != nil {
		t.Errorf("after a goroutine's end: %v", err)
	}
}

func nested(t *testing.T, s *store.Store) {
	ctx := t.Context()
	err := s.Tx(ctx, func(ctx context.Context) error {
		if err := s.Tx(ctx, set(s, "inner", "1")); err != nil {
			return err
		}
		return errWanted
	})
	if !errors.Is(err, errWanted) {
		t.Errorf("error = %v", err)
	}
	want(t, ctx, s, "inner", "")
	err = s.Tx(ctx, func(ctx context.Context) error {
		return errors.Join(s.SetMeta(ctx, "outer", "1"), s.Tx(ctx, set(s, "inner", "1")))
	})
	if err != nil {
		t.Fatal(err)
	}
	want(t, ctx, s, "outer", "1")
	want(t, ctx, s, "inner", "1")
}

func cancelled(t *testing.T, s *store.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := s.Tx(ctx, func(context.Context) error {
		t.Error("ran")
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v", err)
	}
}

func cancelledInside(t *testing.T, s *store.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := s.Tx(ctx, func(ctx context.Context) error {
		if err := s.SetMeta(ctx, "a", "1"); err != nil {
			t.Error(err)
		}
		cancel()
		return s.SetMeta(ctx, "b", "1")
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v", err)
	}
	want(t, t.Context(), s, "a", "")
}

func isolated(t *testing.T, s *store.Store) {
	const units = 300
	errs := make([]error, units)
	var wg sync.WaitGroup
	for i := range units {
		wg.Go(func() {
			errs[i] = s.Tx(t.Context(), func(ctx context.Context) error {
				err := s.SetMeta(ctx, fmt.Sprintf("k%03d", i), "1")
				if i%10 == 3 {
					return errors.Join(err, errWanted)
				}
				return err
			})
		})
	}
	wg.Wait()
	for i, err := range errs {
		value := "1"
		if i%10 == 3 {
			value = ""
			if !errors.Is(err, errWanted) {
				t.Errorf("unit %d: %v", i, err)
			}
		} else if err != nil {
			t.Errorf("unit %d: %v", i, err)
		}
		want(t, t.Context(), s, fmt.Sprintf("k%03d", i), value)
	}
}

func swallowed(t *testing.T, s *store.Store) {
	err := s.Tx(t.Context(), func(ctx context.Context) error {
		if err := s.SetMeta(ctx, "a", "1"); err != nil {
			return err
		}
		_ = s.SetMeta(ctx, "b", "bad\x00text")
		return nil
	})
	if !fault.Is(err, fault.Invalid) {
		t.Errorf("error = %v", err)
	}
	want(t, t.Context(), s, "a", "")
}

func leaked(t *testing.T, s *store.Store) {
	var kept context.Context
	if err := s.Tx(t.Context(), func(ctx context.Context) error { kept = ctx; return nil }); err != nil {
		t.Fatal(err)
	}
	if err := s.SetMeta(kept, "a", "1"); err == nil {
		t.Error("a statement ran after its transaction")
	}
	if err := s.Tx(kept, set(s, "a", "1")); err == nil {
		t.Error("a Tx joined a transaction that was over")
	}
}

func outside(t *testing.T, s *store.Store) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	_ = s.SetMeta(t.Context(), "a", "1")
}

func badText(t *testing.T, s *store.Store) {
	for _, bad := range []string{"a\x00b", "\xff", "\xed\xa0\x80"} {
		if err := s.Tx(t.Context(), set(s, "a", bad)); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: error = %v", bad, err)
		}
		if _, _, err := s.Meta(t.Context(), bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q as a key: error = %v", bad, err)
		}
	}
	good := "grün ☂ \u202e\t\U0001F600"
	if err := s.Tx(t.Context(), set(s, "a", good)); err != nil {
		t.Error(err)
	}
	want(t, t.Context(), s, "a", good)
}

func closed(t *testing.T, s *store.Store) {
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Tx(t.Context(), set(s, "a", "1")); err == nil {
		t.Error("a closed store wrote")
	}
}
