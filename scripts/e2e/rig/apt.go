//go:build e2e

package rig

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Repository is an apt repository of files, whose packages are purged when the
// test ends. Package names begin with steward-e2e- so that nothing real is
// ever touched.
type Repository struct {
	t        testing.TB
	dir      string
	packages map[string]bool
	house    string // where apt and dpkg keep their state, "" for the machine's own
}

// NewRepository makes an empty repository. It needs root and dpkg-dev.
func NewRepository(t testing.TB) *Repository {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("real installations need root")
	}
	r := &Repository{t: t, dir: t.TempDir(), packages: map[string]bool{}}
	for _, d := range []string{"pool", "lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(r.dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	line := fmt.Sprintf("deb [trusted=yes] file:%s ./\n", filepath.Join(r.dir, "pool"))
	if err := os.WriteFile(filepath.Join(r.dir, "sources.list"), []byte(line), 0o644); err != nil {
		t.Fatal(err)
	}
	// apt reads as user _apt.
	if err := filepath.WalkDir(r.dir, func(path string, d os.DirEntry, err error) error { return os.Chmod(path, 0o755) }); err != nil {
		t.Fatal(err)
	}
	for dir := r.dir; dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
		_ = os.Chmod(dir, 0o755)
	}
	t.Cleanup(func() {
		for name := range r.packages {
			if out, errs, code := r.apt("dpkg", "--purge", "--force-all", name); code != 0 {
				t.Errorf("purge %s: %s%s", name, out, errs)
			}
		}
	})
	return r
}

// NewHouse is a repository with a database of dpkg's and folders of apt's of its
// own: parallel tests do not wait for each other's locks, and what one leaves
// half done harms nobody. It needs the right to mount.
func NewHouse(t testing.TB) *Repository {
	t.Helper()
	r := NewRepository(t)
	r.house = filepath.Join(r.dir, "house")
	for _, d := range []string{"dpkg/info", "dpkg/updates", "dpkg/alternatives", "dpkg/triggers", "apt/lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(r.house, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// A database without dpkg itself is taken for damage; what it depends on is
	// not told, or apt would miss it.
	self, errs, code := Run(t, nil, "", "dpkg-query", "-W", "-f", "Package: dpkg\nStatus: install ok installed\nMaintainer: ${Maintainer}\n"+
		"Architecture: ${Architecture}\nVersion: ${Version}\nEssential: yes\nDescription: package manager\n\n", "dpkg")
	if code != 0 {
		t.Fatalf("dpkg-query: %s", errs)
	}
	r.file(filepath.Join(r.house, "dpkg", "status"), self, 0o644)
	r.file(filepath.Join(r.house, "dpkg", "available"), "", 0o644)
	r.file(filepath.Join(r.house, "dpkg", "info", "dpkg.list"), "/.\n", 0o644)
	return r
}

// inside is the command line in front of a program that shall see the house.
func (r *Repository) inside() []string {
	if r.house == "" {
		return nil
	}
	script := `mount --bind "$0/dpkg" /var/lib/dpkg && mount --bind "$0/apt" /var/lib/apt && mount --bind "$0/cache" /var/cache/apt && exec "$@"`
	return []string{"unshare", "--mount", "--propagation", "private", "sh", "-c", script, r.house}
}

// Name is the full name of a sample package.
func Name(short string) string { return "steward-e2e-" + short }

// Put adds a version of a package; postinst may be "".
func (r *Repository) Put(name, version, postinst string) {
	r.t.Helper()
	root := filepath.Join(r.t.TempDir(), name+"_"+version)
	control := fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: Steward <tests@steward-rmm.org>\nDescription: sample\n", name, version)
	r.file(filepath.Join(root, "DEBIAN", "control"), control, 0o644)
	r.file(filepath.Join(root, "usr", "share", name, "version"), version+"\n", 0o644)
	if postinst != "" {
		r.file(filepath.Join(root, "DEBIAN", "postinst"), "#!/bin/sh\n"+postinst+"\n", 0o755)
	}
	deb := filepath.Join(r.dir, "pool", fmt.Sprintf("%s_%s_all.deb", name, version))
	if out, errs, code := Run(r.t, nil, "", "dpkg-deb", "--root-owner-group", "-b", root, deb); code != 0 {
		r.t.Fatalf("dpkg-deb: %s%s", out, errs)
	}
	r.index()
}

func (r *Repository) file(path, text string, mode os.FileMode) {
	r.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		r.t.Fatal(err)
	}
}

func (r *Repository) index() {
	r.t.Helper()
	out, errs, code := Run(r.t, nil, "", "dpkg-scanpackages", "--multiversion", filepath.Join(r.dir, "pool"))
	if code != 0 {
		r.t.Fatalf("dpkg-scanpackages: %s", errs)
	}
	out = strings.ReplaceAll(out, "Filename: "+filepath.Join(r.dir, "pool")+"/", "Filename: ./")
	r.file(filepath.Join(r.dir, "pool", "Packages"), out, 0o644)
}

// Options are the apt options that make this repository the only one.
func (r *Repository) Options() []string {
	return []string{
		"-o", "Dir::Etc::SourceList=" + filepath.Join(r.dir, "sources.list"), "-o", "Dir::Etc::SourceParts=-",
		"-o", "Dir::State::Lists=" + filepath.Join(r.dir, "lists"), "-o", "Dir::Cache=" + filepath.Join(r.dir, "cache"),
		"-o", "DPkg::Lock::Timeout=120",
	}
}

// Environment is the agent's local setting for this repository.
func (r *Repository) Environment() string {
	return "STEWARD_AGENT_APT_OPTIONS=" + strings.Join(r.Options(), " ")
}

// Install installs a version for real.
func (r *Repository) Install(name, version string) {
	r.t.Helper()
	r.packages[name] = true
	if version, _ := r.Installed(name); version != "" { // a run before was killed
		_, _, _ = r.apt("dpkg", "--purge", "--force-all", name)
	}
	deb := filepath.Join(r.dir, "pool", fmt.Sprintf("%s_%s_all.deb", name, version))
	args := append([]string{"apt-get", "-y"}, r.Options()...)
	if out, errs, code := r.apt(append(args, "install", deb)...); code != 0 {
		r.t.Fatalf("install %s: %s%s", name, out, errs)
	}
}

// Hold holds a package on this machine.
func (r *Repository) Hold(name string) {
	r.t.Helper()
	if out, errs, code := r.apt("apt-mark", "hold", name); code != 0 {
		r.t.Fatalf("hold %s: %s%s", name, out, errs)
	}
}

// Installed is the version that dpkg says is installed, with its state.
func (r *Repository) Installed(name string) (version, state string) {
	r.t.Helper()
	out, _, _ := r.apt("dpkg-query", "-W", "-f=${Version}\t${db:Status-Status}", name)
	version, state, _ = strings.Cut(out, "\t")
	return version, state
}

func (r *Repository) apt(args ...string) (stdout, stderr string, code int) {
	args = append(r.inside(), args...)
	return Run(r.t, []string{"LC_ALL=C", "DEBIAN_FRONTEND=noninteractive"}, "", args[0], args[1:]...)
}
