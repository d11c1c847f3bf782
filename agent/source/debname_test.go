package source

import (
	"slices"
	"strings"
	"testing"
)

func TestOnlyNamesAndVersionsBecomeArguments(t *testing.T) {
	for _, r := range []Request{
		{Package: "g++", Version: "4:12.2.0-3"}, {Package: "libc6:i386", Version: "2.36-9+deb12u14"}, {Package: "python3.11", Version: "3.11.2-6"},
		{Package: "0ad", Version: "0.0.26-3"}, {Package: "a1", Version: "1:2:3~rc1+x.y-1"},
	} {
		if err := CheckDebian(r); err != nil {
			t.Errorf("%+v: %v", r, err)
		}
	}
	for _, bad := range []string{"", "a", "-a", "--purge", "A1", "a b", "a=1", "a/b", "a*", "a?", "a_b", "a,b", "../a", "a:", "a:-x", "a\n", "a\x00b", "ä1", "~n", "+a", ".a", "a;b", "$(a)", strings.Repeat("a", 300)} {
		if err := CheckDebian(Request{Package: bad, Version: "1.0"}); CodeOf(err) != CodeInvalidRequest {
			t.Errorf("package %q passed: %v", bad, err)
		}
	}
	for _, bad := range []string{"", "-1", "a", "1 0", "1/stable", "1=2", "1*", ":1", "x:1", "1:", "1_0", "1,0", "1\n", "1;a", "1-", "1:-1", "٣", strings.Repeat("1", 300)} {
		if err := CheckDebian(Request{Package: "bash", Version: bad}); CodeOf(err) != CodeInvalidRequest {
			t.Errorf("version %q passed: %v", bad, err)
		}
	}
}

func TestAptOptionsAreReadWithoutAShell(t *testing.T) {
	for in, want := range map[string][]string{
		"":  nil,
		" ": nil,
		`-o Dir::Etc::SourceList=/x/sample.list -o Dir::Etc::SourceParts=-`: {"Dir::Etc::SourceList=/x/sample.list", "Dir::Etc::SourceParts=-"},
		`-oA::B=1 --option=C=2 --option D=3 -o=E=4`:                         {"A::B=1", "C=2", "D=3", "E=4"},
		`-o Acquire::http::Proxy="http://a b:3128" -o 'X::Y=$(reboot)'`:     {"Acquire::http::Proxy=http://a b:3128", "X::Y=$(reboot)"},
		"-o\tA=\n-o B=c=d":                    {"A=", "B=c=d"},
		`-o DPkg::Options::=--force-confmiss`: {"DPkg::Options::=--force-confmiss"},
	} {
		got, err := ParseAptOptions(in)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	for _, bad := range []string{"-o", "-y", "install x", "-o A", "-o =1", "-o 1A=2", `-o "A=1`, "-o A$=1", "--allow-unauthenticated", "-o A=1 remove", "-o A=\x07", "-c=/x", "-t unstable", "-o -o A=1"} {
		if got, err := ParseAptOptions(bad); err == nil {
			t.Errorf("%q passed as %q", bad, got)
		}
	}
}
