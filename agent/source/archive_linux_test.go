package source

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/steward-rmm/steward/agent/osexec"
)

const lockWait = "DPkg::Lock::Timeout=120"

// need fails, and says what to do, where the real thing is missing.
func need(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test installs packages: run it as root on Debian or Ubuntu")
	}
	for program, pkg := range map[string]string{"apt-get": "apt", "dpkg-deb": "dpkg", "dpkg-scanpackages": "dpkg-dev"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%s is missing: apt-get -o DPkg::Lock::Timeout=600 install -y --no-install-recommends %s", program, pkg)
		}
	}
}

// command runs a tool of the test's own and returns what it printed.
func command(t testing.TB, name string, args ...string) string {
	t.Helper()
	c := exec.Command(name, args...)
	c.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// archive is a repository in a temporary folder.
type archive struct {
	t       *testing.T
	dir     string
	options []string
	names   []string
}

// newArchive makes an empty repository for packages of the given names, and
// sees to it that none of them is installed before or after the test.
func newArchive(t *testing.T, names ...string) *archive {
	need(t)
	purge(t, names)
	t.Cleanup(func() { purge(t, names) })
	a := &archive{t: t, dir: t.TempDir(), names: names}
	for _, d := range []string{"repo", "lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(a.dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	a.write("sample.list", "deb [trusted=yes] file:"+a.dir+"/repo ./\n", 0o644)
	a.options = []string{"Dir::Etc::SourceList=" + a.dir + "/sample.list", "Dir::Etc::SourceParts=-",
		"Dir::State::Lists=" + a.dir + "/lists", "Dir::Cache=" + a.dir + "/cache", "DPkg::Options::=--force-unsafe-io", lockWait}
	return a
}

// purge removes those of the packages that dpkg knows, in whatever state.
func purge(t *testing.T, names []string) {
	t.Helper()
	// Ends with 1 when one of the names is unknown, which is as well.
	out, _ := exec.Command("dpkg-query", append([]string{"-W", "-f", "${Package}\n", "--"}, names...)...).Output()
	if known := strings.Fields(string(out)); len(known) > 0 {
		command(t, "apt-get", append([]string{"-o", lockWait, "-y", "--allow-change-held-packages", "purge"}, known...)...)
	}
}

// install installs packages of the repository at their newest version.
func (a *archive) install(names ...string) {
	a.t.Helper()
	var args []string
	for _, o := range a.options {
		args = append(args, "-o", o)
	}
	command(a.t, "apt-get", append(append(args, "-y", "install"), names...)...)
}

func (a *archive) write(name, text string, mode os.FileMode) {
	a.t.Helper()
	path := filepath.Join(a.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		a.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		a.t.Fatal(err)
	}
}

// put builds a package into the repository.
func (a *archive) put(name, version, control, postinst string) {
	a.t.Helper()
	d := "build/" + name + "-" + version
	a.write(d+"/DEBIAN/control", "Package: "+name+"\nVersion: "+version+"\nArchitecture: all\nInstalled-Size: 4\nMaintainer: Steward <steward@example.com>\nDescription: sample\n"+control, 0o644)
	a.write(d+"/usr/share/"+name+"/version", version+"\n", 0o644)
	if postinst != "" {
		a.write(d+"/DEBIAN/postinst", "#!/bin/sh\n"+postinst, 0o755)
	}
	command(a.t, "dpkg-deb", "--root-owner-group", "-b", a.dir+"/"+d, a.dir+"/repo/"+name+"_"+version+".deb")
	if !slices.Contains(a.names, name) {
		a.t.Fatalf("%s would not be purged", name)
	}
}

func (a *archive) index() {
	a.t.Helper()
	c := exec.Command("dpkg-scanpackages", "-m", ".")
	c.Dir = a.dir + "/repo"
	out, err := c.Output()
	if err != nil {
		a.t.Fatalf("dpkg-scanpackages: %v", err)
	}
	a.write("repo/Packages", string(out), 0o644)
}

func (a *archive) apt(o AptOptions) *Apt {
	a.t.Helper()
	o.Runner, o.Now, o.Options = osexec.System{}, time.Now, append(slices.Clone(a.options), o.Options...)
	apt, err := NewApt(o)
	if err != nil {
		a.t.Fatal(err)
	}
	return apt
}

// status is dpkg's word on a package, such as "ii  1.1.0".
func status(t *testing.T, name string) string {
	return command(t, "dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Version}", name)
}
