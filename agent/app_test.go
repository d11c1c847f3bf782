package agent

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/steward-rmm/steward/agent/identity"
	"github.com/steward-rmm/steward/agent/identity/identitytest"
	"github.com/steward-rmm/steward/agent/policy"
	"github.com/steward-rmm/steward/proto/wire"
)

// device makes a data directory of an enrolled device.
func device(t *testing.T) (dir string, a *identitytest.Authority) {
	t.Helper()
	dir, a = t.TempDir(), identitytest.New(time.Now())
	if _, err := a.Enrolled(Vault(dir), time.Now()); err != nil {
		t.Fatal(err)
	}
	return dir, a
}

func offline(dir string) Options {
	return Options{
		Dir: dir, Version: "test", Settings: Settings{Local: policy.Local{ForbidSources: []string{"apt"}}, Ignored: []string{"a reason"}},
		Dial: func(context.Context, string) (net.Conn, error) { return nil, errors.New("no route to host") },
	}
}

func stopped(t *testing.T, a *App) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := a.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func TestWithoutAServerTheAgentSpools(t *testing.T) {
	dir, _ := device(t)
	a, err := New(offline(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer stopped(t, a)
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := New(offline(dir)); !errors.Is(err, ErrRunning) {
		t.Errorf("a second one: %v", err)
	}
	var s Status
	for end := time.Now().Add(20 * time.Second); ; <-time.After(50 * time.Millisecond) { // the actors are real
		if s, err = ReadStatus(dir); err != nil {
			t.Fatal(err)
		}
		reports, err := a.journal.Reports(time.Time{}, 1)
		if err != nil {
			t.Fatal(err)
		}
		if s.Problem != "" && len(reports) == 1 && s.WrittenAt != nil || time.Now().After(end) {
			break
		}
	}
	if !s.Running || s.Connected || s.Problem == "" || s.DeviceID != "dev-1" || s.Tenant != "acme" || s.Server != "steward.example:7443" ||
		s.LastContact != nil || s.CertificateExpiresAt == nil || s.Journal.Unreported == 0 || s.SpoolBytes == 0 || len(s.SettingsIgnored) != 1 {
		t.Errorf("status %+v", s)
	}
	items, err := a.journal.Picture(wire.SectionOS)
	if err != nil || len(items) != 1 {
		t.Errorf("os: %v %v", items, err)
	}
	if m := a.machine.Facts(); m.Hostname == "" || m.OSFamily == "" || m.Arch == "" {
		t.Errorf("machine %+v", m)
	}
}

func TestAfterStopTheStatusSaysSo(t *testing.T) {
	dir, _ := device(t)
	a, err := New(offline(dir))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.teller.runOnce(time.Now()); err != nil {
		t.Fatal(err)
	}
	stopped(t, a)
	s, err := ReadStatus(dir)
	if err != nil || s.Running || s.Connected || s.Problem == "" || s.Version != "test" {
		t.Errorf("%+v %v", s, err)
	}
	if a, err = New(offline(dir)); err != nil {
		t.Fatalf("again: %v", err)
	}
	stopped(t, a)
}

func TestWithoutEnrollmentNothingRuns(t *testing.T) {
	dir := t.TempDir()
	if _, err := New(offline(dir)); !errors.Is(err, identity.ErrNotEnrolled) {
		t.Error(err)
	}
	if _, err := ReadStatus(dir); !errors.Is(err, identity.ErrNotEnrolled) {
		t.Error(err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
		t.Errorf("left %v %v", files, err)
	}
}

func TestEnrollAgain(t *testing.T) {
	dir, a := device(t)
	o := EnrollOptions{Dir: dir, String: a.String("elsewhere:1"), Now: time.Now, Dial: offline(dir).Dial}
	if e, err := Enroll(t.Context(), o); err != nil || !e.Already || e.Facts.Device != "dev-1" {
		t.Errorf("with the same server: %+v %v", e, err)
	}
	o.String = identitytest.New(time.Now()).String("elsewhere:1")
	if _, err := Enroll(t.Context(), o); !errors.Is(err, ErrOtherServer) {
		t.Errorf("with another: %v", err)
	}
	fresh := filepath.Join(t.TempDir(), "new")
	o.Dir = fresh
	if _, err := Enroll(t.Context(), o); err == nil {
		t.Error("enrolled without a server")
	}
	if _, err := identity.Open(Vault(fresh)); !errors.Is(err, identity.ErrNotEnrolled) {
		t.Error(err)
	}
}

func TestScanIsTruthful(t *testing.T) {
	found, err := Scan(t.Context(), Settings{Ignored: []string{"why"}, Local: policy.Local{ForbidSources: []string{"apt"}}}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if found.Inventory["os"] == nil || found.Inventory["cpu"] == nil || len(found.Samples) < 10 || found.Refusals[0].Code != CodeIgnored {
		t.Errorf("%v, %d samples, %v", found.Inventory, len(found.Samples), found.Refusals)
	}
	rates := false
	for _, s := range found.Samples {
		rates = rates || s.Signal == wire.SignalCPUUtilization
		if s.Attributes == nil || s.Unit == "" || s.Time.IsZero() {
			t.Errorf("sample %+v", s)
		}
	}
	if !rates {
		t.Error("no rate")
	}
	for goos, want := range map[string]string{"windows": "chocolatey", "darwin": "homebrew", "linux": "dnf"} {
		named := false
		for _, r := range missingSources(goos, func(string) bool { return true }) {
			named = named || r.Subject == want && r.Code == CodeNotInVersion
		}
		if !named {
			t.Errorf("%s does not name %s", goos, want)
		}
	}
}

func TestFactsAreShownAsWhatTheyAre(t *testing.T) {
	for _, c := range []struct {
		name, value string
		want        any
	}{{"size_bytes", "12", int64(12)}, {"cores", "4", int64(4)}, {"held", "true", true}, {"version", "12", "12"}, {"serial", "007", "007"}, {"size_bytes", "x", "x"}} {
		if got := shown(c.name, c.value); got != c.want {
			t.Errorf("%s %s: %v", c.name, c.value, got)
		}
	}
}

func TestBootClock(t *testing.T) {
	m := newMachine()
	if since, id := m.BootClock(); since <= 0 || id == "" {
		t.Errorf("%v %q", since, id)
	}
	if m.FreeBytes() <= 0 {
		t.Errorf("free %d", m.FreeBytes())
	}
}
