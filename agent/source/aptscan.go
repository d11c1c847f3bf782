package source

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"time"
)

// Refresh fetches the lists of available packages (`apt-get update`). An error
// is told and is not the end: the lists of the sources that answered are new,
// the others are as old as before, and a scan works with them. apt itself
// answers 0 when every source failed and warns only; here that is an error
// with CodeNetwork (fixture offline).
func (a *Apt) Refresh(ctx context.Context) error {
	// Error-Mode exists since apt 2.2; older ones ignore it and warn.
	args := append(a.options("APT::Update::Error-Mode=any"), "-q", "update")
	res, err := a.run(ctx, call{path: a.o.AptGet, args: args, timeout: a.o.FetchTimeout})
	if err != nil {
		return err
	}
	for _, l := range lines(res.Stderr) {
		if strings.HasPrefix(l, "W: Failed to fetch") || strings.HasPrefix(l, "W: Some index files failed") {
			return classify("apt-get update", res.ExitCode, nil, res.Stderr)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refreshed = a.o.Now()
	return nil
}

// Scan tells what is offered, without taking a lock or changing anything. The
// updates are those of `apt-get -s --with-new-pkgs upgrade`, and besides them
// the packages that it keeps back, with the reason where apt gives one.
// With an error there are no updates; reboot, busy and the age of the lists are
// told all the same.
func (a *Apt) Scan(ctx context.Context) (Scan, error) {
	s := Scan{Busy: a.busy(), LastRefresh: a.lastRefresh()}
	s.RebootRequired, s.RebootPackages = a.RebootRequired()

	args := append(a.options("Debug::NoLocking=1"), "-q", "-s", "--with-new-pkgs", "upgrade")
	res, err := a.run(ctx, call{path: a.o.AptGet, args: args, timeout: a.o.ReadTimeout})
	if err != nil {
		return s, err
	}
	sim, err := parseSimulation(res.Stdout)
	if err != nil {
		return s, err
	}
	held, err := a.held(ctx)
	if err != nil {
		return s, err
	}
	kept, err := a.keptBack(ctx, sim, held)
	if err != nil {
		return s, err
	}
	for _, st := range sim.steps {
		if st.verb == "Inst" && st.old != "" && CompareDebian(st.new, st.old) > 0 {
			s.Updates = append(s.Updates, aptUpdate(st, held[st.name]))
		}
	}
	s.Updates = append(s.Updates, kept...)
	a.fillSizes(ctx, s.Updates)
	slices.SortFunc(s.Updates, func(x, y Update) int { return strings.Compare(x.Package, y.Package) })
	return s, nil
}

func aptUpdate(st aptStep, held bool) Update {
	u := Update{
		Source: "apt", Package: st.name, Arch: st.arch, Installed: st.old, Available: st.new,
		Kind: StepKind(st.old, st.new), Origin: strings.Join(st.origins, ", "),
		Held: held, RebootLikely: rebootLikely(st.name),
	}
	if isSecurity(st.origins) {
		u.Kind = KindSecurity
	}
	return u
}

func (a *Apt) held(ctx context.Context) (map[string]bool, error) {
	res, err := a.run(ctx, call{path: a.o.AptMark, args: append(a.options(), "showhold"), timeout: a.o.ReadTimeout})
	if err != nil {
		return nil, err
	}
	names, err := parseNames(res.Stdout)
	if err != nil {
		return nil, err
	}
	held := map[string]bool{}
	for _, n := range names {
		held[n] = true
	}
	return held, nil
}

// keptBack looks up what the packages that an upgrade leaves alone could
// become: `apt-get -s` names them without versions.
func (a *Apt) keptBack(ctx context.Context, sim aptSimulation, held map[string]bool) ([]Update, error) {
	var out []Update
	for names := range slices.Chunk(sim.keptBack, 200) {
		args := append(append(a.options(), "policy"), names...)
		res, err := a.run(ctx, call{path: a.o.AptCache, args: args, timeout: a.o.ReadTimeout})
		if err != nil {
			return nil, err
		}
		policies, err := parsePolicy(res.Stdout)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			p := policies[name]
			if p.installed == "" || p.candidate == "" || CompareDebian(p.candidate, p.installed) <= 0 {
				continue
			}
			u := Update{
				Source: "apt", Package: name, Installed: p.installed, Available: p.candidate,
				Kind: StepKind(p.installed, p.candidate), Origin: strings.Join(p.origins, ", "),
				Held: held[name], KeptBack: true, RebootLikely: rebootLikely(name),
				Phased: slices.Contains(sim.phased, name) || p.phased >= 0 && p.phased < 100,
			}
			if isSecurityPolicy(p.origins) {
				u.Kind = KindSecurity
			}
			out = append(out, u)
		}
	}
	return out, nil
}

// fillSizes asks for the sizes of the downloads. Without an answer they stay
// unknown; a scan is worth having without them.
func (a *Apt) fillSizes(ctx context.Context, updates []Update) {
	for part := range slices.Chunk(updates, 200) {
		args := append(a.options(), "show")
		for _, u := range part {
			args = append(args, u.Package+"="+u.Available)
		}
		res, err := a.run(ctx, call{path: a.o.AptCache, args: args, timeout: a.o.ReadTimeout})
		if err != nil {
			continue
		}
		sizes := parseSizes(res.Stdout)
		for i, u := range part {
			name, arch, _ := strings.Cut(u.Package, ":")
			for _, s := range sizes {
				if s.name == name && s.version == u.Available && (s.arch == u.Arch || u.Arch == "" && (arch == "" || arch == s.arch)) {
					part[i].SizeBytes, part[i].Arch = s.bytes, s.arch
					break
				}
			}
		}
	}
}

// rebootLikely guesses from the name. The list is that of packages whose new
// files the running system keeps using until a restart, and whose scripts
// commonly write reboot-required.
func rebootLikely(name string) bool {
	name, _, _ = strings.Cut(name, ":")
	for _, p := range []string{"linux-image-", "linux-modules-", "linux-firmware", "linux-base", "firmware-"} {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return slices.Contains([]string{"libc6", "systemd", "dbus", "udev", "intel-microcode", "amd64-microcode", "grub-efi-amd64-signed", "shim-signed"}, name)
}

// Installed lists the packages on the machine, whole or half installed ones
// alike; what was removed and left configuration files behind is not one.
func (a *Apt) Installed(ctx context.Context) ([]Installed, error) {
	res, err := a.run(ctx, call{path: a.o.DpkgQuery, args: []string{"-W", "-f", dpkgFormat}, timeout: a.o.ReadTimeout})
	if err != nil {
		return nil, err
	}
	rows, err := parseDpkgTable(res.Stdout)
	if err != nil {
		return nil, err
	}
	native := nativeArch(rows)
	out := make([]Installed, 0, len(rows))
	for _, r := range rows {
		if r.present() {
			i := Installed{Source: "apt", Name: strings.TrimSuffix(r.name, ":"+native), Version: r.version, Arch: r.arch, SizeBytes: r.sizeKiB * 1024}
			if !r.whole() {
				i.Broken = r.state()
			}
			out = append(out, i)
		}
	}
	if len(out) == 0 {
		return nil, fail(CodeGarbage, "dpkg-query lists no installed package, not even itself")
	}
	return out, nil
}

// nativeArch is the machine's own architecture, which is dpkg's. dpkg names
// packages that may be there for several architectures with theirs
// ("libc6:amd64"), apt leaves the native one out when it offers an update.
func nativeArch(rows []dpkgRow) string {
	for _, r := range rows {
		if r.name == "dpkg" {
			return r.arch
		}
	}
	return ""
}

// RebootRequired reads /var/run/reboot-required, which packages write when
// only a restart completes them, and which of them did.
func (a *Apt) RebootRequired() (bool, []string) {
	if _, err := os.Stat(a.file("var/run/reboot-required")); err != nil {
		return false, nil
	}
	b, err := os.ReadFile(a.file("var/run/reboot-required.pkgs"))
	if err != nil {
		return true, nil
	}
	var names []string
	for _, l := range lines(b) {
		if l = strings.TrimSpace(l); validDebianPackage(l) && !slices.Contains(names, l) && len(names) < 500 {
			names = append(names, l)
		}
	}
	return true, names
}

// lastRefresh is the newest of what tells of a fetch: our own Refresh, the
// stamps of Debian's timer and of update-notifier, and the directory into
// which lists are downloaded. The files of the lists themselves do not tell:
// apt gives them the server's date.
func (a *Apt) lastRefresh() time.Time {
	a.mu.Lock()
	newest := a.refreshed
	a.mu.Unlock()
	lists := a.file("var/lib/apt/lists")
	for _, pair := range a.o.Options {
		if key, value, _ := strings.Cut(pair, "="); strings.EqualFold(key, "Dir::State::Lists") {
			lists = value
		}
	}
	for _, f := range []string{lists + "/partial", a.file("var/lib/apt/periodic/update-success-stamp"), a.file("var/lib/apt/periodic/update-stamp")} {
		if st, err := os.Stat(f); err == nil && st.ModTime().After(newest) {
			newest = st.ModTime()
		}
	}
	return newest
}

// busy looks who holds one of the locks that apt and dpkg take, without
// touching them.
func (a *Apt) busy() *Busy {
	for _, f := range []string{"var/lib/dpkg/lock-frontend", "var/lib/dpkg/lock", "var/lib/apt/lists/lock", "var/cache/apt/archives/lock"} {
		if b := lockHolder(a.file(f)); b != nil {
			return b
		}
	}
	return nil
}

// row asks dpkg for one package. A package that dpkg does not know is a zero
// row and false.
func (a *Apt) row(ctx context.Context, name string) (dpkgRow, bool, error) {
	res, err := a.run(ctx, call{path: a.o.DpkgQuery, args: []string{"-W", "-f", dpkgFormat, "--", name}, timeout: a.o.ReadTimeout})
	if err != nil {
		if strings.Contains(string(res.Stderr), "no packages found matching") {
			return dpkgRow{}, false, nil
		}
		return dpkgRow{}, false, err
	}
	rows, err := parseDpkgTable(res.Stdout)
	if err != nil {
		return dpkgRow{}, false, err
	}
	rows = slices.DeleteFunc(rows, func(r dpkgRow) bool { return !r.present() })
	if len(rows) > 1 { // several architectures: the machine's own is meant
		res, err := a.run(ctx, call{path: a.o.Dpkg, args: []string{"--print-architecture"}, timeout: a.o.ReadTimeout})
		if err != nil {
			return dpkgRow{}, false, err
		}
		native := strings.TrimSpace(string(res.Stdout))
		rows = slices.DeleteFunc(rows, func(r dpkgRow) bool { return r.arch != native && r.arch != "all" })
	}
	if len(rows) == 0 {
		return dpkgRow{}, false, nil
	}
	return rows[0], true, nil
}

// asError returns err as an *Error.
func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: CodeFailed, ExitCode: -1, Message: clip(err.Error()), Err: err}
}
