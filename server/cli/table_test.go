package cli

import (
	"bufio"
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestNarrowTerminalsKeepIDsAndStates(t *testing.T) {
	f := newFake(t)
	for _, width := range []int{200, 120, 100, 80, 20} {
		out := f.terminal(t, width, false, "devices", "list")
		for _, want := range []string{device1, "active", "online", "2 min ago"} {
			if !strings.Contains(out, want) {
				t.Errorf("%d columns: no %s in\n%s", width, want, out)
			}
		}
		for l := range strings.Lines(out) {
			if w := columns(strings.TrimRight(l, "\n")); width >= 120 && w > width {
				t.Errorf("%d columns: a line of %d: %s", width, w, l)
			}
		}
	}
}

func TestColourStandsBesideItsWord(t *testing.T) {
	f := newFake(t)
	out := f.terminal(t, 200, true, "deployments", "list")
	if !strings.Contains(out, "\x1b[31mhalted\x1b[0m") {
		t.Errorf("%q", out)
	}
	if out := f.terminal(t, 200, false, "deployments", "list"); strings.ContainsRune(out, 0x1b) {
		t.Errorf("colour where there is none: %q", out)
	}
}

// Every row of a table has its columns at the same places, whatever is in it.
func TestTablesAreAligned(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		env := world("", &b, &b, nil)
		env.Width = rapid.IntRange(0, 200).Draw(t, "width")
		x := &call{Env: &env, out: bufio.NewWriter(&b)}
		cell1 := rapid.StringMatching(`[a-z日本é ]{0,40}`)
		var list []object
		for range rapid.IntRange(1, 5).Draw(t, "rows") {
			list = append(list, object{"a": cell1.Draw(t, "a"), "b": cell1.Draw(t, "b"), "n": json.Number("12")})
		}
		x.objects(list, long("A", "a"), text("B", "b"), number("N", "n"))
		_ = x.out.Flush()
		want := -1
		for l := range strings.Lines(b.String()) {
			got := columns(strings.TrimRight(l, "\n"))
			if want >= 0 && got != want {
				t.Fatalf("lines of %d and %d columns:\n%s", want, got, b.String())
			}
			want = got
		}
		if env.Width >= 30 && want > env.Width {
			t.Fatalf("%d columns at a terminal of %d", want, env.Width)
		}
	})
}
