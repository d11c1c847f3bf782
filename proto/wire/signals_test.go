package wire

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The table is what stored samples mean: no row may change, only be added.
func TestSignalsAreTheOnesThatSamplesWereStoredBy(t *testing.T) {
	var b strings.Builder
	for _, s := range Signals() {
		fmt.Fprintf(&b, "%s\t%s\t%g\t%s\t%s\n", s.Name, s.Unit, s.Resolution, strings.Join(s.Attributes, ","), s.Kind)
	}
	want, err := os.ReadFile("testdata/signals.golden")
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("the table changed:\n%s\nwant\n%s", b.String(), want)
	}
}

func TestSignalsAreNamedOnceAndWhole(t *testing.T) {
	name := regexp.MustCompile(`^(system|process|steward)(\.[a-z0-9_]+)+$`)
	seen := map[string]bool{}
	for _, s := range Signals() {
		if seen[s.Name] {
			t.Errorf("%s: twice in the table", s.Name)
		}
		seen[s.Name] = true
		if !name.MatchString(s.Name) || s.Unit == "" || s.Resolution <= 0 || (s.Kind != KindGauge && s.Kind != KindRate) {
			t.Errorf("row not whole: %+v", s)
		}
		if got, ok := SignalByName(s.Name); !ok || got.Unit != s.Unit || got.Resolution != s.Resolution {
			t.Errorf("SignalByName(%q) = %+v, %v", s.Name, got, ok)
		}
		if (s.Kind == KindRate) != (strings.HasSuffix(s.Unit, "/s") || s.Name == SignalCPUUtilization || s.Name == SignalDiskIOTime || s.Name == SignalAgentCPU) {
			t.Errorf("%s: kind %s does not fit unit %s", s.Name, s.Kind, s.Unit)
		}
	}
	if _, ok := SignalByName("system.cpu"); ok {
		t.Error("SignalByName found a name that is not in the table")
	}
	if len(seen) > MaxSignals {
		t.Errorf("%d signals, the limit of a device is %d", len(seen), MaxSignals)
	}
}

func TestSeriesKeyReads(t *testing.T) {
	for _, c := range []struct {
		name  string
		attrs map[string]string
		want  string
	}{
		{"system.uptime", nil, `system.uptime`},
		{"system.uptime", map[string]string{}, `system.uptime`},
		{"system.disk.io", map[string]string{"direction": "read", "device": "sda"}, `system.disk.io{device="sda",direction="read"}`},
		{"system.filesystem.utilization", map[string]string{"mountpoint": `C:\a "b"`}, `system.filesystem.utilization{mountpoint="C:\\a \"b\""}`},
		{`a{b="c"}`, nil, `"a{b=\"c\"}"`},
	} {
		if got := SeriesKey(c.name, c.attrs); got != c.want {
			t.Errorf("SeriesKey(%q, %v) = %s, want %s", c.name, c.attrs, got, c.want)
		}
	}
}

func TestDifferentSeriesHaveDifferentKeys(t *testing.T) {
	text := rapid.SampledFrom([]string{"", "a", "b", `"`, "=", ",", "{", "}", `a"`, `a="b`, "\xff", "�", "a,b", `\`})
	series := rapid.Custom(func(t *rapid.T) map[string]string { return rapid.MapOfN(text, text, 0, 3).Draw(t, "attrs") })
	rapid.Check(t, func(t *rapid.T) {
		n1, a1 := text.Draw(t, "n1"), series.Draw(t, "a1")
		n2, a2 := text.Draw(t, "n2"), series.Draw(t, "a2")
		same := n1 == n2 && maps.Equal(a1, a2)
		if got := SeriesKey(n1, a1) == SeriesKey(n2, a2); got != same {
			t.Fatalf("%q %v and %q %v: same series %v, same key %v", n1, a1, n2, a2, same, got)
		}
	})
}

func TestSignalsHandsOutACopy(t *testing.T) {
	a := Signals()
	a[2].Attributes[0] = "changed"
	if slices.Contains(Signals()[2].Attributes, "changed") {
		t.Error("the table can be changed from outside")
	}
}
