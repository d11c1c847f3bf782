package auth

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"golang.org/x/crypto/argon2"

	"github.com/steward-rmm/steward/server/fault"
)

func TestHashAndVerify(t *testing.T) {
	ctx := context.Background()
	h, err := NewHasher(cheap(), 0, 0)
	must(t, err)
	stored, err := h.Hash(ctx, "Grüße aus Köln am Rhein") // composed
	must(t, err)
	if again, _ := h.Hash(ctx, "Grüße aus Köln am Rhein"); again == stored {
		t.Error("two hashes share a salt")
	}
	other, err := NewHasher(Params{Memory: 16, Passes: 2, Threads: 1}, 0, 0)
	must(t, err)
	for name, c := range map[string]struct {
		h               *Hasher
		stored, pw      string
		wantOK, wantOld bool
	}{
		"right":          {h, stored, "Grüße aus Köln am Rhein", true, false},
		"decomposed":     {h, stored, "Gru\u0308ße aus Ko\u0308ln am Rhein", true, false},
		"wrong":          {h, stored, "Grüße aus Köln am Rhin", false, false},
		"empty":          {h, stored, "", false, false},
		"nobody":         {h, "", "Grüße aus Köln am Rhein", false, false},
		"other costs":    {other, stored, "Grüße aus Köln am Rhein", true, true},
		"wrong, and old": {other, stored, "x", false, true},
	} {
		ok, old, err := c.h.Verify(ctx, c.stored, c.pw)
		if err != nil || ok != c.wantOK || old != c.wantOld {
			t.Errorf("%s: %v %v %v", name, ok, old, err)
		}
	}
	if _, _, err := h.Verify(ctx, "damaged", "x"); fault.KindOf(err) != fault.Internal {
		t.Errorf("a damaged row: %v", err)
	}
	for _, p := range []Params{{Memory: 7, Passes: 1, Threads: 1}, {Memory: 8, Passes: 0, Threads: 1}, {Memory: 1 << 21, Passes: 1, Threads: 1}, {Memory: 8, Passes: 99, Threads: 1}, {Memory: 64, Passes: 1, Threads: 99}} {
		if _, err := NewHasher(p, 1, 1); err == nil {
			t.Errorf("%+v passed", p)
		}
	}
}

// TestKnownAnswer pins the stored form: what is written today must be read by
// every later version. The key is that of the reference library's test for
// argon2id, m=64, t=1, p=1, password "password", salt "somesalt".
func TestKnownAnswer(t *testing.T) {
	key, err := hex.DecodeString("655ad15eac652dc59f7170a7332bf49b8469be1fdb9c28bb")
	must(t, err)
	stored := "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$" + base64.RawStdEncoding.EncodeToString(key)
	h, err := NewHasher(cheap(), 1, 1)
	must(t, err)
	if ok, old, err := h.Verify(context.Background(), stored, "password"); err != nil || !ok || !old {
		t.Errorf("got %v %v %v", ok, old, err)
	}
}

func TestHashesWaitTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, err := NewHasher(cheap(), 2, 3)
		must(t, err)
		hold := make(chan struct{})
		running := make(chan struct{}, 10)
		h.onRun = func() { running <- struct{}{}; <-hold }
		done := make(chan error, 10)
		ctx, cancel := context.WithCancel(t.Context())
		for range 2 {
			go func() { _, err := h.Hash(t.Context(), "x"); done <- err }()
		}
		synctest.Wait()
		for range 3 {
			go func() { _, err := h.Hash(ctx, "x"); done <- err }()
		}
		synctest.Wait()
		if len(running) != 2 {
			t.Errorf("%d run at once, want 2", len(running))
		}
		_, err = h.Hash(t.Context(), "x")
		wantKind(t, err, fault.Unavailable) // the queue is full
		cancel()
		for range 3 {
			wantKind(t, <-done, fault.Unavailable) // whoever leaves, leaves the queue
		}
		close(hold)
		for range 2 {
			must(t, <-done)
		}
		_, err = h.Hash(t.Context(), "x")
		must(t, err)
		if h.waiting.Load() != 0 {
			t.Errorf("%d are still counted", h.waiting.Load())
		}
	})
}

func FuzzParseHash(f *testing.F) {
	salt, key := "c29tZXNhbHQ", "ZVrRXqxlLcWfcXCnMyv0m4Rpvh/bnCi7"
	for _, s := range []string{
		"$argon2id$v=19$m=64,t=1,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=4294967296,t=1,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=064,t=1,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=64,t=1,p=257$" + salt + "$" + key,
		"$argon2id$v=18$m=64,t=1,p=1$" + salt + "$" + key,
		"$argon2i$v=19$m=64,t=1,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=64,t=1$" + salt + "$" + key,
		"$argon2id$v=19$m=64,t=1,p=1$" + salt + "=$" + key,
		"$argon2id$v=19$m=64,t=1,p=1$$", "", "$$$$$", strings.Repeat("$", 600),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h, err := parseHash(s)
		if err != nil {
			return
		}
		if h.String() != s || !h.params.valid() || len(h.salt) < 8 || len(h.key) < 16 {
			t.Errorf("%q was read as %+v", s, h)
		}
	})
}

func BenchmarkArgon2id(b *testing.B) {
	for _, p := range []Params{DefaultParams(), {Memory: 46 * 1024, Passes: 1, Threads: 1}, {Memory: 64 * 1024, Passes: 3, Threads: 1}} {
		b.Run(fmt.Sprintf("m=%dMiB,t=%d,p=%d", p.Memory/1024, p.Passes, p.Threads), func(b *testing.B) {
			b.ReportAllocs()
			salt := make([]byte, saltBytes)
			for b.Loop() {
				argon2.IDKey([]byte(good), salt, p.Passes, p.Memory, p.Threads, keyBytes)
			}
		})
	}
}
