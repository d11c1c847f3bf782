package pki

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/audit"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var _ audit.Signer = (*Keys)(nil)

// newKeys returns a key set that can serve 127.0.0.1 and steward.test.
func newKeys(t testing.TB) *Keys {
	t.Helper()
	k, err := Create(filepath.Join(t.TempDir(), "keys"), start)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Maintain(start, []string{"steward.test:8443", "127.0.0.1"}); err != nil {
		t.Fatal(err)
	}
	return k
}

func reload(t testing.TB, k *Keys) *Keys {
	t.Helper()
	again, err := Load(k.dir)
	if err != nil {
		t.Fatal(err)
	}
	return again
}

func TestKeysAreTheSameAfterLoading(t *testing.T) {
	k := newKeys(t)
	again := reload(t, k)
	if !maps.Equal(k.Fingerprints(), again.Fingerprints()) || k.SecretsKey() != again.SecretsKey() || len(k.Fingerprints()) != 4 {
		t.Error("the lasting keys differ")
	}
	if !bytes.Equal(k.leaf.Leaf.Raw, again.leaf.Leaf.Raw) || !again.leaf.Leaf.NotBefore.Before(start) {
		t.Error("the server's certificate differs")
	}
	if err := again.Verify(k.Fingerprints()); err != nil {
		t.Error(err)
	}
	if signature := k.SignAudit([]byte("head")); !again.CheckAudit([]byte("head"), signature) || again.CheckAudit([]byte("heed"), signature) {
		t.Error("the audit key does not check")
	}
}

func TestKeysOfAnotherDatabaseAreRefused(t *testing.T) {
	k, other := newKeys(t), newKeys(t)
	for name := range k.Fingerprints() {
		stored := k.Fingerprints()
		stored[name] = other.Fingerprints()[name]
		err := k.Verify(stored)
		if !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if k.Verify(nil) == nil {
		t.Error("a database without fingerprints was accepted")
	}
}

func TestFingerprintsDoNotHoldTheSecrets(t *testing.T) {
	k := newKeys(t)
	for name, print := range k.Fingerprints() {
		if print == hex.EncodeToString(k.secrets[:]) || print == hex.EncodeToString(k.job.Seed) || len(print) != 64 {
			t.Errorf("%s: %s", name, print)
		}
	}
}

func TestCreateNeverReplacesKeys(t *testing.T) {
	k := newKeys(t)
	if _, err := Create(k.dir, start); !fault.Is(err, fault.Conflict) {
		t.Errorf("over existing keys: %v", err)
	}
	dir := filepath.Join(t.TempDir(), "data", "keys")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir+".new", 0o700); err != nil { // of a start that was killed
		t.Fatal(err)
	}
	if _, err := Create(dir, start); err != nil {
		t.Errorf("into an empty directory: %v", err)
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 7 {
		t.Errorf("%d files, %v", len(entries), err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", e.Name(), info.Mode(), err)
		}
	}
}

func TestKeysThatOthersMayReadAreRefused(t *testing.T) {
	k := newKeys(t)
	for _, name := range []string{"", fileRootKey, fileIssuing, fileJob, fileAudit, fileSecrets, fileTickets, fileServer} {
		path, mode := filepath.Join(k.dir, name), os.FileMode(0o600)
		if name == "" {
			mode = 0o700
		}
		if err := os.Chmod(path, mode|0o040); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(k.dir); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "chmod") {
			t.Errorf("%q: %v", name, err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	target := filepath.Join(t.TempDir(), "elsewhere")
	if err := errors.Join(os.Rename(filepath.Join(k.dir, fileJob), target), os.Symlink(target, filepath.Join(k.dir, fileJob))); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(k.dir); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a link: %v", err)
	}
}

func TestDamagedKeysAreRefusedWithoutShowingThem(t *testing.T) {
	k, other := newKeys(t), newKeys(t)
	for _, name := range []string{fileRootKey, fileRootCert, fileIssuing, fileServer, fileJob, fileAudit, fileSecrets, fileTickets} {
		path := filepath.Join(k.dir, name)
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		foreign, err := os.ReadFile(filepath.Join(other.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		cases := map[string][]byte{"empty": {}, "cut": good[:len(good)/2], "noise": []byte("[{\"key\":7}]")}
		if name == fileRootKey || name == fileRootCert || name == fileIssuing {
			cases["foreign"] = foreign
		}
		for what, data := range cases {
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Load(k.dir)
			if err == nil || !strings.Contains(err.Error(), "load keys from") {
				t.Errorf("%s %s: %v", name, what, err)
			}
			if err != nil && len(data) > 200 && strings.Contains(err.Error(), string(data[100:140])) {
				t.Errorf("%s %s: the error shows the key", name, what)
			}
		}
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	reload(t, k)
}

func TestJobKeysAreOfOneTenantAndVersion(t *testing.T) {
	k := newKeys(t)
	k.job.Seed = bytes.Repeat([]byte{7}, 32)
	want, err := os.ReadFile("testdata/jobkey-v1.hex")
	got := hex.EncodeToString(k.JobPublicKey("acme", 1))
	if err != nil || strings.TrimSpace(string(want)) != got {
		t.Errorf("the derivation changed: got %s, want %s %v", got, want, err)
	}
	seen := make(map[string]bool)
	for _, tenant := range []ident.TenantID{"acme", "acme0", "bolt"} {
		for v := range 3 {
			seen[string(k.JobPublicKey(tenant, v))] = true
		}
	}
	if len(seen) != 9 {
		t.Error("two tenants or versions share a key")
	}
	signer, err := k.JobSigner("acme", start)
	if err != nil {
		t.Fatal(err)
	}
	if signature := signer.Sign([]byte("job")); !wire.VerifyJob(k.JobPublicKey("acme", signer.Version), []byte("job"), signature) ||
		wire.VerifyJob(k.JobPublicKey("bolt", signer.Version), []byte("job"), signature) {
		t.Error("the signature checks with the wrong keys")
	}
	if !signer.Public().Equal(k.JobPublicKey("acme", 1)) {
		t.Error("the signer has another key")
	}
	if _, err := k.JobSigner("acme", start.AddDate(20, 0, 0)); !fault.Is(err, fault.Unavailable) {
		t.Errorf("after its end: %v", err)
	}
}

func TestBundleIsTrustedByTheEnrollmentString(t *testing.T) {
	k := newKeys(t)
	signed, err := k.Bundle("acme")
	if err != nil {
		t.Fatal(err)
	}
	again, err := reload(t, k).Bundle("acme")
	if err != nil || !bytes.Equal(signed.Signature, again.Signature) || !bytes.Equal(signed.Bytes, again.Bytes) {
		t.Errorf("not deterministic: %v", err)
	}
	b, err := signed.Verify([][32]byte{k.RootSPKI()}, "acme", 0)
	if err != nil || len(b.JobKeys) != 1 || !ed25519.PublicKey(b.JobKeys[0].Public[:]).Equal(k.JobPublicKey("acme", 1)) {
		t.Errorf("%+v %v", b, err)
	}
	if _, err := signed.Verify([][32]byte{newKeys(t).RootSPKI()}, "acme", 0); !errors.Is(err, wire.ErrUntrusted) {
		t.Errorf("by a foreign root: %v", err)
	}
}

func TestRootMayBeMovedAway(t *testing.T) {
	k := newKeys(t)
	if err := os.Remove(filepath.Join(k.dir, fileRootKey)); err != nil {
		t.Fatal(err)
	}
	k = reload(t, k)
	if k.HasRootKey() {
		t.Error("the root's key is still there")
	}
	if _, err := k.IssueDevice(newCSR(t, newKey(t)), "acme", "d-1", start); err != nil {
		t.Errorf("devices: %v", err)
	}
	if _, err := k.Bundle("acme"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("bundle: %v", err)
	}
	late := start.Add(issuingLife - 100*day)
	if err := k.Maintain(late, []string{"steward.test"}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("renewal of the issuing certificate: %v", err)
	}
	if k.leaf.Leaf.NotAfter.Sub(late) < serverRenew {
		t.Error("the server's certificate was not renewed because something else failed")
	}
	if _, err := k.IssueDevice(newCSR(t, newKey(t)), "acme", "d-1", start.Add(issuingLife)); !fault.Is(err, fault.Unavailable) {
		t.Errorf("after the issuing certificate's end: %v", err)
	}
}

func TestMaintainDoesWhatIsDueAndNothingElse(t *testing.T) {
	k := newKeys(t)
	addresses := []string{"127.0.0.1:8443", "STEWARD.test"}
	state := func() [3]string {
		return [3]string{string(k.leaf.Leaf.Raw), string(k.issuing.certs[0].Raw), string(k.tickets[0].Key)}
	}
	step := func(name string, at time.Time, addresses []string, leaf, issuing, tickets bool) {
		t.Helper()
		before := state()
		if err := k.Maintain(at, addresses); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for i, want := range []bool{leaf, issuing, tickets} {
			if (before[i] != state()[i]) != want {
				t.Errorf("%s: %s changed: %v, want %v", name, []string{"leaf", "issuing", "tickets"}[i], !want, want)
			}
		}
		if k2 := reload(t, k); state() != [3]string{string(k2.leaf.Leaf.Raw), string(k2.issuing.certs[0].Raw), string(k2.tickets[0].Key)} {
			t.Errorf("%s: the directory holds something else", name)
		}
	}
	step("an hour later", start.Add(time.Hour), addresses, false, false, false)
	step("a new address", start.Add(2*time.Hour), append(addresses, "[2001:db8::1]:8443"), true, false, false)
	step("its order changes", start.Add(2*time.Hour), []string{"2001:db8::1", "steward.test", "127.0.0.1"}, false, false, false)
	step("a day later", start.Add(25*time.Hour), append(addresses, "2001:db8::1"), false, false, true)
	step("two months later", start.Add(62*day), append(addresses, "2001:db8::1"), true, false, true)
	step("near the issuing one's end", start.Add(issuingLife-100*day), append(addresses, "2001:db8::1"), true, true, true)
	if len(k.issuing.certs) != 2 || len(k.tickets) != 1 {
		t.Errorf("%d issuing certificates, %d tickets", len(k.issuing.certs), len(k.tickets))
	}
	for i := range 5 {
		step("each day", start.Add(issuingLife-100*day+time.Duration(i+1)*day), append(addresses, "2001:db8::1"), false, false, true)
	}
	if len(k.tickets) != 3 {
		t.Errorf("%d tickets, want 3", len(k.tickets))
	}
	for _, bad := range [][]string{nil, {"a b"}, {"https://x"}, {"*.example.net"}, {""}} {
		if err := k.Maintain(start.Add(issuingLife-90*day), bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
