package source

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestSimulationsAreReadAsRecorded(t *testing.T) {
	for name, want := range map[string]struct {
		changes []string // package from>to action
		kept    []string
		phased  []string
	}{
		"simulate-one":            {changes: []string{"steward-sample-a 1.0.0>1.1.0 upgrade"}},
		"simulate-new-dependency": {changes: []string{"steward-sample-new >1.0.0 install", "steward-sample-dep 1.0.0>1.1.0 upgrade"}},
		"simulate-removal":        {changes: []string{"steward-sample-brk 1.0.0>1.1.0 upgrade", "steward-sample-victim 1.0.0> remove"}},
		"downgrade-allowed":       {changes: []string{"steward-sample-a 1.1.0>1.0.0 downgrade"}},
		"already":                 {},
		"not-installed":           {},
		"simulate-upgrade": {changes: []string{"steward-sample-a 1.0.0>1.1.0 upgrade", "steward-sample-arch 1:1.0.0-1>1:1.1.0-1 upgrade", "steward-sample-bad 1.0.0>1.1.0 upgrade",
			"steward-sample-new >1.0.0 install", "steward-sample-dep 1.0.0>1.1.0 upgrade"}, kept: []string{"steward-sample-brk", "steward-sample-held", "steward-sample-ph"}},
		// A half configured package is a change, too.
		"simulate-half-configured": {changes: []string{"steward-sample-arch 1:1.0.0-1>1:1.1.0-1 upgrade", "steward-sample-new >1.0.0 install", "steward-sample-dep 1.0.0>1.1.0 upgrade",
			"steward-sample-bad 1.1.0>1.1.0 configure"}, kept: []string{"steward-sample-brk", "steward-sample-held", "steward-sample-ph"}},
		"ubuntu-phased": {changes: []string{"libssl3:i386 3.0.2-0ubuntu1.15>3.0.2-0ubuntu1.16 upgrade", "libssl3 3.0.2-0ubuntu1.15>3.0.2-0ubuntu1.16 upgrade"},
			kept: []string{"fwupd", "gcc-12-base", "libfwupd2", "linux-generic"}, phased: []string{"fwupd", "gcc-12-base", "libfwupd2"}},
		"apt3-layout": {changes: []string{"curl 8.14.1-2>8.14.1-2+deb13u2 upgrade"},
			kept: []string{"qemu-guest-agent", "qemu-utils", "htop"}, phased: []string{"qemu-guest-agent", "qemu-utils"}},
	} {
		sim, err := parseSimulation(load(t, name).stdout)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got []string
		for _, c := range sim.plan().Changes {
			got = append(got, c.Package+" "+c.From+">"+c.To+" "+string(c.Action))
		}
		if !slices.Equal(got, want.changes) || !slices.Equal(sim.keptBack, want.kept) || !slices.Equal(sim.phased, want.phased) {
			t.Errorf("%s:\n got %q kept %q phased %q\nwant %q kept %q phased %q", name, got, sim.keptBack, sim.phased, want.changes, want.kept, want.phased)
		}
	}
}

// simulate-own-machine is what a Debian machine with real sources printed:
// lists of broken dependencies behind the line, several origins, all arches.
func TestSecurityOriginsOfARealMachine(t *testing.T) {
	sim, err := parseSimulation(load(t, "simulate-own-machine").stdout)
	if err != nil {
		t.Fatal(err)
	}
	by := map[string]Update{}
	for _, st := range sim.steps {
		if st.verb == "Inst" {
			by[st.name] = aptUpdate(st, false)
		}
	}
	for name, want := range map[string]Update{
		"libssl3":           {Installed: "3.0.19-1~deb12u2", Available: "3.0.20-1~deb12u1", Arch: "amd64", Kind: KindAppPatch, Origin: "Debian:12.14/oldstable"},
		"libpam-runtime":    {Installed: "1.5.2-6+deb12u1", Available: "1.5.2-6+deb12u2", Arch: "all", Kind: KindAppPatch, Origin: "Debian:12.14/oldstable"},
		"systemd":           {Installed: "252.38-1~deb12u1", Available: "252.39-1~deb12u2", Arch: "amd64", Kind: KindAppMinor, Origin: "Debian:12.14/oldstable", RebootLikely: true},
		"libgnutls-dane0":   {Installed: "3.7.9-2+deb12u6", Available: "3.7.9-2+deb12u7", Arch: "amd64", Kind: KindSecurity, Origin: "Debian-Security:12/oldstable-security"},
		"openjdk-17-jre":    {Arch: "amd64", Kind: KindSecurity, Origin: "Debian:12.14/oldstable, Debian-Security:12/oldstable-security"},
		"libpam-modules":    {Installed: "1.5.2-6+deb12u1", Available: "1.5.2-6+deb12u2", Arch: "amd64", Kind: KindAppPatch, Origin: "Debian:12.14/oldstable"},
		"python3.11-dev":    {Installed: "3.11.2-6+deb12u6", Available: "3.11.2-6+deb12u7", Arch: "amd64", Kind: KindAppPatch, Origin: "Debian:12.14/oldstable"},
		"login":             {Installed: "1:4.13+dfsg1-1+deb12u1", Available: "1:4.13+dfsg1-1+deb12u2", Arch: "amd64", Kind: KindAppPatch, Origin: "Debian:12.14/oldstable"},
		"perl-modules-5.36": {Installed: "5.36.0-7+deb12u2", Available: "5.36.0-7+deb12u3", Arch: "all", Kind: KindAppPatch, Origin: "Debian:12.14/oldstable"},
	} {
		got := by[name]
		want.Source, want.Package = "apt", name
		if want.Installed == "" {
			want.Installed, want.Available = got.Installed, got.Available
		}
		if got != want {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, want)
		}
	}
	for origin, want := range map[string]bool{
		"Debian-Security:12/stable-security": true, "Debian-Security:10/oldstable": true, "Ubuntu:22.04/jammy-security": true,
		"UbuntuESM:22.04/jammy-infra-security": true, "Debian:12.14/oldstable": false, "Google LLC:1.0/stable": false, "localhost": false, "security:1/stable": false,
	} {
		if isSecurity([]string{origin}) != want {
			t.Errorf("security of %q is not %v", origin, want)
		}
	}
}

func TestOutputThatIsNotAWholeSimulationIsRefused(t *testing.T) {
	whole := string(load(t, "simulate-upgrade").stdout)
	for name, out := range map[string]string{
		"nothing":           "",
		"something else":    string(load(t, "garbage").stdout),
		"lost its end":      whole[:strings.Index(whole, "5 upgraded")+1],
		"lost its summary":  strings.ReplaceAll(whole, "not upgraded.", ""),
		"lost a step":       strings.Replace(whole, "Inst steward-sample-a ", "Xnst steward-sample-a ", 1),
		"lost a removal":    strings.Replace(string(load(t, "simulate-removal").stdout), "Remv ", "Xemv ", 1),
		"step without end":  strings.Replace(whole, "[all])", "[all", 1),
		"option as package": strings.Replace(whole, "Inst steward-sample-a ", "Inst --steward-sample-a ", 1),
		"control bytes":     strings.Replace(whole, "Inst steward-sample-a ", "Inst steward\x1b[0m ", 1),
		"kept back options": strings.Replace(whole, "  steward-sample-brk", "  --steward-sample-brk", 1),
		"two megabytes":     strings.Repeat("no such thing as an update\n", 80_000),
	} {
		if _, err := parseSimulation([]byte(out)); CodeOf(err) != CodeGarbage {
			t.Errorf("%s: %v, want %s", name, err, CodeGarbage)
		}
	}
}

func TestTablesAreReadAsRecorded(t *testing.T) {
	rows, err := parseDpkgTable(load(t, "table").stdout)
	if err != nil {
		t.Fatal(err)
	}
	by := map[string]dpkgRow{}
	for _, r := range rows {
		by[r.name] = r
	}
	if r := by["dpkg"]; r.sizeKiB != 6409 || !r.whole() || r.held() || r.arch != "amd64" {
		t.Errorf("dpkg: %+v", r)
	}
	if r := by["libc6:amd64"]; !r.whole() {
		t.Errorf("libc6:amd64: %+v", r)
	}
	if r := by["steward-sample-held"]; !r.held() || !r.whole() || r.sizeKiB != 0 {
		t.Errorf("held: %+v", r)
	}
	half, err := parseDpkgTable(load(t, "table-half-configured").stdout)
	if err != nil || len(half) != 1 || half[0].whole() || !half[0].present() || half[0].state() != "half configured" {
		t.Errorf("half configured: %+v, %v", half, err)
	}
	gone, err := parseDpkgTable([]byte("old\t1.0\tall\t\trc \nnever\t\t\t\tun \n"))
	if err != nil || len(gone) != 2 || gone[0].present() || gone[1].present() {
		t.Errorf("removed packages: %+v, %v", gone, err)
	}
	for _, bad := range []string{"x", "a\tb\tc\td\te\n", "dpkg\t1\tall\t12\tii\n", "dpkg\t1\tall\t-1\tii \n", "-x\t1\tall\t1\tii \n", "dpkg\t\tall\t1\tii \n"} {
		if _, err := parseDpkgTable([]byte(bad)); CodeOf(err) != CodeGarbage {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if held, err := parseNames(load(t, "showhold").stdout); err != nil || !slices.Equal(held, []string{"steward-sample-held"}) {
		t.Errorf("showhold: %q, %v", held, err)
	}
	if _, err := parseNames([]byte("E: something\n")); CodeOf(err) != CodeGarbage {
		t.Errorf("an error passed for a list of names: %v", err)
	}
}

func TestPolicyAndSizesAreReadAsRecorded(t *testing.T) {
	p, err := parsePolicy(load(t, "policy").stdout)
	if err != nil {
		t.Fatal(err)
	}
	repo := []string{"file:/tmp/steward-sample/repo ./"}
	if want := (map[string]aptPolicy{
		"steward-sample-brk":  {"1.0.0", "1.1.0", repo, -1},
		"steward-sample-held": {"1.0.0", "1.1.0", repo, -1},
		"steward-sample-ph":   {"1.0.0", "1.1.0", repo, 0},
		"steward-sample-new":  {"", "1.0.0", repo, -1},
	}); !reflect.DeepEqual(p, want) {
		t.Errorf("policy:\n got %+v\nwant %+v", p, want)
	}
	p, err = parsePolicy(load(t, "policy-security").stdout)
	if err != nil || p["openssl"].candidate != "3.0.18-1~deb12u1" || !isSecurityPolicy(p["openssl"].origins) {
		t.Errorf("policy-security: %+v, %v", p, err)
	}
	if _, err := parsePolicy([]byte("N: Unable to locate package x\n")); CodeOf(err) != CodeGarbage {
		t.Errorf("a notice passed for a policy: %v", err)
	}
	want := []aptSize{{"steward-sample-a", "1.1.0", "all", 736}, {"steward-sample-arch", "1:1.1.0-1", "amd64", 744}}
	if got := parseSizes(load(t, "show").stdout); !slices.EqualFunc(got, want, func(x, y aptSize) bool {
		return x.name == y.name && x.version == y.version && x.arch == y.arch && x.bytes > 0
	}) {
		t.Errorf("sizes %+v, want %+v", got, want)
	}
}

func TestStatusLinesAreReadAsRecorded(t *testing.T) {
	for line, want := range map[string]aptStatus{
		"dlstatus:1:0.0000:Retrieving file 1 of 2":                                               {"dlstatus", "1", 0, "Retrieving file 1 of 2"},
		"pmstatus:steward-sample-a:20.0000:Unpacking steward-sample-a (amd64)":                   {"pmstatus", "steward-sample-a", 20, "Unpacking steward-sample-a (amd64)"},
		"pmstatus:libc6:amd64:57.1429:Configuring libc6:amd64":                                   {"pmstatus", "libc6:amd64", 57.1429, "Configuring libc6:amd64"},
		"pmerror:steward-sample-bad:60.0000:installed steward-sample-bad package: exit status 3": {"pmerror", "steward-sample-bad", 60, "installed steward-sample-bad package: exit status 3"},
		"pmconffile:/etc/x.conf:40.0000:'/etc/x.conf' '/etc/x.conf.dpkg-new' 1 1":                {"pmconffile", "/etc/x.conf", 40, "'/etc/x.conf' '/etc/x.conf.dpkg-new' 1 1"},
		"pmstatus:dpkg-exec:900.0000:Running dpkg":                                               {"pmstatus", "dpkg-exec", 100, "Running dpkg"},
	} {
		if got, ok := parseStatus(line); !ok || got != want {
			t.Errorf("%q: %+v, %v", line, got, ok)
		}
	}
	for _, line := range []string{"", "media-change: x:y", "pmstatus", "pmstatus:x", "pmstatus:x:y:z", "pmstatus:x:20:z"} {
		if got, ok := parseStatus(line); ok {
			t.Errorf("%q was read as %+v", line, got)
		}
	}
	for _, name := range []string{"install", "script-failed", "install-other-failed"} {
		for _, l := range lines(load(t, name).status) {
			if _, ok := parseStatus(l); !ok {
				t.Errorf("%s: cannot read %q", name, l)
			}
		}
	}
}

// An update of a Multi-Arch package is offered without the native architecture
// (`apt-get -s upgrade`: "Inst libcap2 [1:2.66-4] …") and listed by dpkg-query
// with it ("libcap2:amd64"): both must be the same name, or nothing proves it.
func TestInstalledNamesAreThoseOfUpdates(t *testing.T) {
	rows, err := parseDpkgTable([]byte("dpkg\t1.21.22\tamd64\t6000\tii \nlibcap2:amd64\t1:2.66-4\tamd64\t90\tii \nlibcap2:i386\t1:2.66-4\ti386\t90\tii \n"))
	if err != nil {
		t.Fatal(err)
	}
	native := nativeArch(rows)
	var names []string
	for _, r := range rows {
		names = append(names, strings.TrimSuffix(r.name, ":"+native))
	}
	if got := strings.Join(names, " "); got != "dpkg libcap2 libcap2:i386" {
		t.Errorf("names are %s", got)
	}
}
