package identity_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/steward-rmm/steward/agent/identity"
	"github.com/steward-rmm/steward/agent/identity/identitytest"
	"github.com/steward-rmm/steward/proto/wire"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func enrolled(t *testing.T, v identity.Vault) (*identitytest.Authority, *identity.Identity) {
	t.Helper()
	a := identitytest.New(start)
	id, err := a.Enrolled(v, start)
	if err != nil {
		t.Fatal(err)
	}
	return a, id
}

func TestEnrollmentSurvivesARestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "identity")
	_, id := enrolled(t, identity.Directory(dir))
	if err := id.KeepClone([]byte("secret")); err != nil {
		t.Fatal(err)
	}
	again, err := identity.Open(identity.Directory(dir))
	if err != nil {
		t.Fatal(err)
	}
	f := again.Facts()
	if f.Device != "dev-1" || f.Tenant != "acme" || f.Site != "main" || f.Address != "steward.example:7443" || f.MayInstall {
		t.Fatalf("facts after a restart: %+v", f)
	}
	if again.Current().ID() != id.Current().ID() || string(again.CloneSecret()) != "secret" {
		t.Fatal("the key or the clone secret changed")
	}
	if _, known := again.JobKey(1); !known {
		t.Fatal("the job key is gone")
	}
	if _, known := again.JobKey(2); known {
		t.Fatal("an unknown job key is known")
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		info, err := file.Info()
		if err != nil {
			t.Fatal(err)
		}
		if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", file.Name(), info.Mode())
		}
		if strings.Contains(file.Name(), "pending") {
			t.Errorf("%s is left", file.Name())
		}
	}
	info, err := os.Stat(dir)
	if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o700 {
		t.Errorf("directory: %v %v", info.Mode(), err)
	}
}

func TestASecondTryWithTheSameStringIsTheSameKey(t *testing.T) {
	a, v := identitytest.New(start), identity.Memory()
	one, err := identity.Prepare(v, a.String("h:1"))
	if err != nil {
		t.Fatal(err)
	}
	two, err := identity.Prepare(v, a.String("h:1"))
	if err != nil {
		t.Fatal(err)
	}
	if one.Credential().ID() != two.Credential().ID() {
		t.Fatal("another key")
	}
	other := a.String("h:1")
	other.Token[0]++
	three, err := identity.Prepare(v, other)
	if err != nil {
		t.Fatal(err)
	}
	if three.Credential().ID() == one.Credential().ID() {
		t.Fatal("another token took the same key")
	}
}

func TestEnrollmentRefusesWhatIsNotTheServers(t *testing.T) {
	a, b := identitytest.New(start), identitytest.New(start)
	for name, change := range map[string]func(g *identity.Granted, csr []byte){
		"bundle of another root":  func(g *identity.Granted, _ []byte) { g.Bundle = b.Bundle("acme", 1) },
		"bundle of other tenant":  func(g *identity.Granted, _ []byte) { g.Bundle = a.Bundle("other", 1) },
		"bundle cut":              func(g *identity.Granted, _ []byte) { g.Bundle = g.Bundle[:20] },
		"certificate of another":  func(g *identity.Granted, csr []byte) { g.Chain, _ = b.Device(start, csr, time.Hour) },
		"no certificate":          func(g *identity.Granted, _ []byte) { g.Chain = nil },
		"certificate of no sense": func(g *identity.Granted, _ []byte) { g.Chain = [][]byte{{1, 2}} },
		"no device id":            func(g *identity.Granted, _ []byte) { g.Device = "" },
		"long device id":          func(g *identity.Granted, _ []byte) { g.Device = strings.Repeat("x", 5000) },
		"many tags":               func(g *identity.Granted, _ []byte) { g.Tags = make([]string, 1000) },
		"certificate for other key": func(g *identity.Granted, _ []byte) {
			p, _ := identity.Prepare(identity.Memory(), a.String("h:1"))
			csr, _ := p.Credential().CSR()
			g.Chain, _ = a.Device(start, csr, time.Hour)
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := identity.Memory()
			p, err := identity.Prepare(v, a.String("h:1"))
			if err != nil {
				t.Fatal(err)
			}
			csr, err := p.Credential().CSR()
			if err != nil {
				t.Fatal(err)
			}
			chain, err := a.Device(start, csr, time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			g := identity.Granted{Device: "d", Tenant: "acme", Chain: chain, Bundle: a.Bundle("acme", 1)}
			change(&g, csr)
			if _, err := p.Complete(start, g); err == nil {
				t.Fatal("accepted")
			}
			if _, err := identity.Open(v); !errors.Is(err, identity.ErrNotEnrolled) {
				t.Fatalf("it counts as enrolled: %v", err)
			}
		})
	}
}

func TestEnrollmentIsMayInstallOnlyWhenBothSayIt(t *testing.T) {
	a := identitytest.New(start)
	for _, text := range []bool{false, true} {
		for _, answer := range []bool{false, true} {
			s := a.String("h:1")
			s.MayInstall = text
			p, err := identity.Prepare(identity.Memory(), s)
			if err != nil {
				t.Fatal(err)
			}
			csr, _ := p.Credential().CSR()
			chain, _ := a.Device(start, csr, time.Hour)
			id, err := p.Complete(start, identity.Granted{Device: "d", Tenant: "acme", MayInstall: answer, Chain: chain, Bundle: a.Bundle("acme", 1)})
			if err != nil {
				t.Fatal(err)
			}
			if id.Facts().MayInstall != (text && answer) {
				t.Errorf("string %v, answer %v: %v", text, answer, id.Facts().MayInstall)
			}
		}
	}
}

func TestRenewalIsDueFromDay20AndSpread(t *testing.T) {
	_, id := enrolled(t, identity.Memory())
	day := 24 * time.Hour
	for _, c := range []struct {
		after time.Duration
		due   bool
	}{{0, false}, {19 * day, false}, {20*day - time.Minute, false}, {22*day + time.Minute, true}, {29 * day, true}, {300 * day, true}} {
		if got := id.RenewDue(start.Add(c.after)); got != c.due {
			t.Errorf("after %v: %v", c.after, got)
		}
	}
}

func TestARenewedKeyCountsOnceItOpenedASession(t *testing.T) {
	v := identity.Memory()
	a, id := enrolled(t, v)
	later := start.Add(25 * 24 * time.Hour)
	fresh, err := id.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	csr, _ := fresh.CSR()
	chain, _ := a.Device(later, csr, wire.CertificateLife)
	if err := id.Stage(fresh, chain, a.Bundle("acme", 2)); err != nil {
		t.Fatal(err)
	}
	old := id.Current().ID()
	again, err := identity.Open(v)
	if err != nil {
		t.Fatal(err)
	}
	if again.Current().ID() != old || again.Next() == nil || again.Next().ID() != fresh.ID() || again.RenewDue(later) {
		t.Fatal("the staged key is not beside the old one")
	}
	if err := again.Opened(again.Current()); err != nil || again.Next() == nil {
		t.Fatal("a session with the old key dropped the new one")
	}
	if err := again.Opened(again.Next()); err != nil {
		t.Fatal(err)
	}
	last, err := identity.Open(v)
	if err != nil {
		t.Fatal(err)
	}
	if last.Current().ID() != fresh.ID() || last.Next() != nil || last.RenewDue(later) {
		t.Fatal("the new key does not count")
	}
}

func TestABundleRotatesRootsTogether(t *testing.T) {
	a, id := enrolled(t, identity.Memory())
	b := identitytest.New(start)
	state := func(by *identitytest.Authority) tls.ConnectionState {
		s := by.Server(start)
		var cs tls.ConnectionState
		for _, der := range s.Certificate {
			c, err := x509.ParseCertificate(der)
			if err != nil {
				t.Fatal(err)
			}
			cs.PeerCertificates = append(cs.PeerCertificates, c)
		}
		return cs
	}
	trusts := func(by *identitytest.Authority) bool { return id.Trust().Verify(state(by), start) == nil }
	if !trusts(a) || trusts(b) {
		t.Fatal("before: the first root alone")
	}
	if err := id.TakeBundle(b.Bundle("acme", 2)); !errors.Is(err, wire.ErrUntrusted) {
		t.Fatalf("a bundle of a stranger: %v", err)
	}
	if err := id.TakeBundle(a.Bundle("acme", 2, b)); err != nil || !trusts(a) || !trusts(b) {
		t.Fatalf("both: %v", err)
	}
	if err := id.TakeBundle(a.Bundle("acme", 1)); err == nil {
		t.Fatal("an older bundle was taken")
	}
	if err := id.TakeBundle(b.Bundle("acme", 3)); err != nil || trusts(a) || !trusts(b) {
		t.Fatalf("the second alone: %v", err)
	}
	if id.Trust().Knows(a.Pin()) || !id.Trust().Knows(b.Pin()) {
		t.Fatal("the pins are not those of the bundle")
	}
}

func TestTheServerIsKnownByItsRoot(t *testing.T) {
	a, b := identitytest.New(start), identitytest.New(start)
	parse := func(c tls.Certificate) (cs tls.ConnectionState) {
		for _, der := range c.Certificate {
			cert, err := x509.ParseCertificate(der)
			if err != nil {
				t.Fatal(err)
			}
			cs.PeerCertificates = append(cs.PeerCertificates, cert)
		}
		return cs
	}
	good := parse(a.Server(start))
	grafted := parse(b.Server(start)) // a stranger that shows our root
	grafted.PeerCertificates = append(grafted.PeerCertificates, a.Root)
	for name, c := range map[string]struct {
		cs   tls.ConnectionState
		at   time.Time
		good bool
	}{
		"ours":                     {good, start, true},
		"a stranger":               {parse(b.Server(start)), start, false},
		"a stranger with our root": {grafted, start, false},
		"a device of ours":         {parse(a.Server(start, x509.ExtKeyUsageClientAuth)), start, false},
		"expired":                  {good, start.Add(400 * 24 * time.Hour), false},
		"nothing":                  {tls.ConnectionState{}, start, false},
	} {
		err := identity.Pinned(a.Pin()).Verify(c.cs, c.at)
		if (err == nil) != c.good || err != nil && !errors.Is(err, identity.ErrServer) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEraseLeavesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "identity")
	_, id := enrolled(t, identity.Directory(dir))
	if err := errors.Join(id.KeepClone([]byte("x")), id.Erase()); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 0 {
		t.Fatalf("left: %v %v", files, err)
	}
}

func TestADamagedFileIsSaid(t *testing.T) {
	for _, name := range []string{"identity.json", "device.pem", "bundle"} {
		dir := t.TempDir()
		enrolled(t, identity.Directory(dir))
		if err := os.WriteFile(filepath.Join(dir, name), []byte("garbage"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := identity.Open(identity.Directory(dir)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	v := identity.Memory()
	if _, err := identitytest.New(start).Enrolled(v, start); err != nil {
		f.Fatal(err)
	}
	read := func(name string) []byte {
		raw, err := v.Read(name)
		if err != nil {
			f.Fatal(err)
		}
		return raw
	}
	facts, device, bundle := read("identity.json"), read("device.pem"), read("bundle")
	f.Add(facts, device, bundle)
	f.Add([]byte("{}"), device, bundle)
	f.Fuzz(func(t *testing.T, facts, device, bundle []byte) {
		m := identity.Memory()
		for name, data := range map[string][]byte{"identity.json": facts, "device.pem": device, "bundle": bundle, "tls-session": bundle} {
			if err := m.Write(name, data); err != nil {
				t.Fatal(err)
			}
		}
		id, err := identity.Open(m)
		if err != nil {
			return
		}
		if id.Facts().Device == "" || id.Current().Leaf() == nil {
			t.Fatal("an identity without device or certificate")
		}
		id.RenewDue(start)
		id.Sessions(id.Current()).Get("x")
	})
}
