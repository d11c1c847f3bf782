package source

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// seed puts every recorded output before the fuzzer.
func seed(f *testing.F, pick func(fixture) []byte) {
	f.Helper()
	for _, name := range fixtureNames(f) {
		f.Add(pick(load(f, name)))
	}
	f.Add([]byte("Inst \x00 [\n(])"))
}

// What a simulation lets through are names, versions and counts that fit.
func FuzzParseSimulation(f *testing.F) {
	seed(f, func(x fixture) []byte { return x.stdout })
	f.Fuzz(func(t *testing.T, b []byte) {
		sim, err := parseSimulation(b)
		if err != nil {
			if CodeOf(err) != CodeGarbage {
				t.Fatalf("code %s", CodeOf(err))
			}
			return
		}
		for _, c := range sim.plan().Changes {
			if !validDebianPackage(c.Package) || c.Action == "" {
				t.Fatalf("%+v", c)
			}
		}
		for _, n := range sim.keptBack {
			if !validDebianPackage(n) {
				t.Fatalf("kept back %q", n)
			}
		}
	})
}

func FuzzParseTables(f *testing.F) {
	seed(f, func(x fixture) []byte { return x.stdout })
	f.Fuzz(func(t *testing.T, b []byte) {
		rows, err := parseDpkgTable(b)
		if err != nil && CodeOf(err) != CodeGarbage {
			t.Fatalf("code %s", CodeOf(err))
		}
		for _, r := range rows {
			if !validDebianPackage(r.name) || r.state() == "" || r.whole() && !r.present() {
				t.Fatalf("%+v", r)
			}
		}
		if names, err := parseNames(b); err == nil {
			for _, n := range names {
				if !validDebianPackage(n) {
					t.Fatalf("%q", n)
				}
			}
		}
		if policies, err := parsePolicy(b); err == nil {
			for n, p := range policies {
				if !validDebianPackage(n) || p.phased < -1 || p.phased > 999 {
					t.Fatalf("%q %+v", n, p)
				}
			}
		}
		for _, s := range parseSizes(b) {
			if s.name == "" || s.bytes <= 0 {
				t.Fatalf("%+v", s)
			}
		}
	})
}

func FuzzParseStatus(f *testing.F) {
	for _, name := range fixtureNames(f) {
		for _, l := range lines(load(f, name).status) {
			f.Add(l)
		}
	}
	f.Add("pmstatus:a:1e999.0:x")
	f.Fuzz(func(t *testing.T, line string) {
		if s, ok := parseStatus(line); ok && (s.subject == "" && !strings.Contains(line, "::") || s.percent < 0 || s.percent > 100) {
			t.Fatalf("%q: %+v", line, s)
		}
	})
}

// Whatever apt prints ends in one code and one line of a bounded length.
func FuzzClassify(f *testing.F) {
	seed(f, func(x fixture) []byte { return append(append([]byte{}, x.stderr...), x.stdout...) })
	f.Fuzz(func(t *testing.T, b []byte) {
		e := classify("apt-get install", 100, b, nil)
		if e.Code == CodeNone || e.Message == "" || len(e.Message) > 4*600 || strings.ContainsAny(e.Message, "\n\r\x1b\u202e") || !utf8.ValidString(e.Message) {
			t.Fatalf("%s: %q", e.Code, e.Message)
		}
	})
}

func FuzzParseAptOptions(f *testing.F) {
	for _, s := range []string{`-o A::B="c d" --option=E=f`, "-o A", "'", "-oX=1\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		pairs, err := ParseAptOptions(s)
		for _, p := range pairs {
			if err != nil || checkAptOption(p) != nil {
				t.Fatalf("%q: %q, %v", s, p, err)
			}
		}
	})
}

func FuzzCheckDebian(f *testing.F) {
	f.Add("libc6:amd64", "1:2.0~rc1-1+b1")
	f.Add("-y", "1 --purge")
	f.Fuzz(func(t *testing.T, name, version string) {
		if CheckDebian(Request{Package: name, Version: version}) != nil {
			return
		}
		arg := name + "=" + version
		if arg[0] == '-' || strings.ContainsAny(arg, " /*?[]$;|&<>\\\"'`\n\r\t\x00") || strings.Count(arg, "=") != 1 {
			t.Fatalf("%q passed", arg)
		}
		StepKind(version, name)
	})
}

func FuzzCompareDebian(f *testing.F) {
	for _, p := range versionPairs() {
		f.Add(p[0], p[2])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if c := CompareDebian(a, b); c != -CompareDebian(b, a) || c < -1 || c > 1 {
			t.Fatalf("%q and %q: %d", a, b, c)
		}
	})
}
