package source

import (
	"regexp"
	"strconv"
	"strings"
)

// aptStep is one Inst, Conf or Remv line of `apt-get -s`.
type aptStep struct {
	verb     string // Inst, Conf, Remv or Purg
	name     string // with :arch for a foreign architecture
	old, new string
	origins  []string // such as "Debian-Security:12/stable-security"
	arch     string
}

// aptSimulation is the whole output of `apt-get -s`.
type aptSimulation struct {
	steps    []aptStep
	keptBack []string // includes phased and held packages
	phased   []string // told apart by newer versions of apt only
}

// aptSummary is the line that ends every simulation of apt-get, as the recorded
// output in testdata/apt shows it; "downgraded" appears only when there is one.
// The second form is that of apt 3 with its new layout.
var (
	aptSummary    = regexp.MustCompile(`^(\d+) upgraded, (\d+) newly installed, (?:(\d+) reinstalled, )?(?:(\d+) downgraded, )?(\d+) to remove and (\d+) not upgraded\.$`)
	aptSummaryNew = regexp.MustCompile(`^\s*Upgrading: (\d+), Installing: (\d+),(?: Reinstalling: (\d+),)?(?: Downgrading: (\d+),)? Removing: (\d+), Not Upgrading: (\d+)$`)
)

// Headings of the lists of names. The first two and the last are in the
// library of apt 2.6.1 or its recorded output; "deferred due to phasing" is
// printed by Ubuntu's 2.4 to 2.8; the "Not upgrading" forms by apt 2.9 and up.
func aptHeading(line string) (kept, phased, ok bool) {
	switch strings.TrimSpace(line) {
	case "The following packages have been kept back:", "Not upgrading:":
		return true, false, true
	case "The following upgrades have been deferred due to phasing:", "Not upgrading yet due to phasing:":
		return true, true, true
	}
	return false, false, false
}

// parseSimulation reads the output of `apt-get -s`. Output without the summary
// line, or whose lines do not add up to it, is not apt's whole word and is
// refused: a list that lost its middle must not pass for a machine without
// updates.
func parseSimulation(out []byte) (aptSimulation, error) {
	var sim aptSimulation
	var kept, phased bool
	summary := []int(nil)
	for _, line := range lines(out) {
		if k, p, ok := aptHeading(line); ok {
			kept, phased = k, p
			continue
		}
		if strings.HasPrefix(line, "  ") && kept {
			names := strings.Fields(line)
			for _, n := range names {
				if !validDebianPackage(n) {
					return aptSimulation{}, fail(CodeGarbage, "apt-get -s: %q is not a package name", clip(n))
				}
			}
			sim.keptBack = append(sim.keptBack, names...)
			if phased {
				sim.phased = append(sim.phased, names...)
			}
			continue
		}
		kept, phased = false, false
		if n := summaryNumbers(line); n != nil {
			summary = n
			continue
		}
		if step, ok, err := parseStep(line); err != nil {
			return aptSimulation{}, err
		} else if ok {
			sim.steps = append(sim.steps, step)
		}
	}
	return sim, sim.check(summary)
}

// summaryNumbers returns upgraded, installed, reinstalled, downgraded, removed
// and left alone, or nil when the line is no summary.
func summaryNumbers(line string) []int {
	m := aptSummary.FindStringSubmatch(line)
	if m == nil {
		m = aptSummaryNew.FindStringSubmatch(line)
	}
	if m == nil {
		return nil
	}
	out := make([]int, 0, 6)
	for _, s := range m[1:] {
		n, _ := strconv.Atoi(s) // "" is none; the pattern allows digits only
		out = append(out, n)
	}
	return out
}

// check compares the lines with the summary.
func (s aptSimulation) check(summary []int) error {
	if summary == nil {
		return fail(CodeGarbage, "apt-get -s: its output has no summary line such as \"0 upgraded, 0 newly installed, 0 to remove and 0 not upgraded.\"")
	}
	changed, fresh, gone := 0, 0, 0
	for _, st := range s.steps {
		switch {
		case st.verb == "Remv" || st.verb == "Purg":
			gone++
		case st.verb == "Inst" && st.old != "":
			changed++
		case st.verb == "Inst":
			fresh++
		}
	}
	// A package may be taken away and put back within one simulation, so more
	// lines than the summary counts are possible; fewer are not.
	if changed+fresh < summary[0]+summary[1]+summary[2]+summary[3] || gone < summary[4] {
		return fail(CodeGarbage, "apt-get -s: its summary counts %d changes and %d removals, its lines show %d and %d",
			summary[0]+summary[1]+summary[2]+summary[3], summary[4], changed+fresh, gone)
	}
	return nil
}

// parseStep reads, for example,
//
//	Inst libssl3 [3.0.11-1] (3.0.14-1 Debian:12/stable, Debian-Security:12/stable-security [amd64])
//	Inst steward-sample-new (1.0.0 localhost [all])
//	Remv steward-sample-victim [1.0.0]
//	Conf steward-sample-bad (1.1.0 localhost [all])
//
// Lists in brackets may follow and tell which dependencies are broken at that
// point; they are not read. A line that begins so and goes on otherwise is an
// error; any other line is not ours.
func parseStep(line string) (aptStep, bool, error) {
	verb, rest, _ := strings.Cut(line, " ")
	switch verb {
	case "Inst", "Conf", "Remv", "Purg":
	default:
		return aptStep{}, false, nil
	}
	bad := fail(CodeGarbage, "apt-get -s: cannot read the line %q", clip(line))
	st := aptStep{verb: verb}
	st.name, rest, _ = strings.Cut(rest, " ")
	if !validDebianPackage(st.name) {
		return aptStep{}, false, bad
	}
	if strings.HasPrefix(rest, "[") {
		end := strings.IndexByte(rest, ']')
		if end < 0 {
			return aptStep{}, false, bad
		}
		st.old, rest = rest[1:end], strings.TrimPrefix(rest[end+1:], " ")
	}
	if verb == "Remv" || verb == "Purg" {
		return st, true, nil
	}
	if strings.HasPrefix(rest, "broken") { // Conf of a package that cannot be configured
		return st, true, nil
	}
	end := strings.Index(rest, "])")
	if !strings.HasPrefix(rest, "(") || end < 0 {
		return aptStep{}, false, bad
	}
	inner := rest[1:end]
	open := strings.LastIndexByte(inner, '[')
	if open < 0 {
		return aptStep{}, false, bad
	}
	st.arch = inner[open+1:]
	var origins string
	st.new, origins, _ = strings.Cut(strings.TrimSpace(inner[:open]), " ")
	if st.new == "" {
		return aptStep{}, false, bad
	}
	if origins != "" {
		st.origins = strings.Split(origins, ", ")
	}
	return st, true, nil
}

// isSecurity tells whether an origin as `apt-get -s` prints it, label:version/
// suite, is one of security updates: Debian's "Debian-Security:12/stable-security"
// (the label "Debian-Security", before bullseye with a suite without the
// ending) and Ubuntu's "Ubuntu:22.04/jammy-security" and "UbuntuESM…-security".
func isSecurity(origins []string) bool {
	for _, o := range origins {
		o = strings.ToLower(o)
		if strings.HasSuffix(o, "-security") || strings.HasPrefix(o, "debian-security:") {
			return true
		}
	}
	return false
}

// plan turns the steps into changes, one a package.
func (s aptSimulation) plan() Plan {
	p := Plan{KeptBack: s.keptBack}
	seen := map[string]bool{}
	for _, st := range s.steps {
		if st.verb == "Inst" {
			seen[st.name] = true
			p.Changes = append(p.Changes, Change{Package: st.name, Arch: st.arch, From: st.old, To: st.new, Action: action(st.old, st.new)})
		}
	}
	for _, st := range s.steps {
		if seen[st.name] {
			continue
		}
		seen[st.name] = true
		if st.verb == "Conf" {
			p.Changes = append(p.Changes, Change{Package: st.name, Arch: st.arch, From: st.new, To: st.new, Action: ActionConfigure})
		} else {
			p.Changes = append(p.Changes, Change{Package: st.name, From: st.old, Action: ActionRemove})
		}
	}
	return p
}

func action(from, to string) Action {
	switch {
	case from == "":
		return ActionInstall
	case CompareDebian(to, from) < 0:
		return ActionDowngrade
	default:
		return ActionUpgrade
	}
}
