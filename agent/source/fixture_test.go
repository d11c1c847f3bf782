package source

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/steward-rmm/steward/agent/osexec"
)

// fixture is one recorded command: testdata/apt/NAME.txt. Its first line says
// whether it was recorded, and on what, or written, and after what.
type fixture struct {
	exit                   int
	stdout, stderr, status []byte
}

func load(t testing.TB, name string) fixture {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "apt", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	head := string(b[:min(len(b), 12)])
	if !strings.HasPrefix(head, "# recorded: ") && !strings.HasPrefix(head, "# written: ") {
		t.Fatalf("fixture %s does not say where it comes from", name)
	}
	parts := map[string][]byte{}
	section := ""
	for line := range strings.Lines(string(b)) {
		if s, ok := strings.CutPrefix(line, "-- "); ok && strings.HasSuffix(s, " --\n") {
			section = strings.TrimSuffix(s, " --\n")
			continue
		}
		parts[section] = append(parts[section], line...)
	}
	exit, err := strconv.Atoi(strings.TrimSpace(string(parts["exit"])))
	if err != nil {
		t.Fatalf("fixture %s: %v", name, err)
	}
	return fixture{exit: exit, stdout: parts["stdout"], stderr: parts["stderr"], status: parts["status"]}
}

func fixtureNames(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "apt", "*.txt"))
	if err != nil || len(files) < 40 {
		t.Fatalf("found %d fixtures, %v", len(files), err)
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(filepath.Base(f), ".txt")
	}
	return files
}

func (f fixture) result() osexec.Result {
	return osexec.Result{PID: 4711, ExitCode: f.exit, Stdout: f.stdout, Stderr: f.stderr}
}

// answer is what the replayed system does for commands whose line holds want.
type answer struct {
	want string
	fixture
	res *osexec.Result
	err error
}

// replay is a Runner that plays recorded commands: the first answer that fits
// is given, and removed when once is set.
type replay struct {
	t       testing.TB
	answers []answer
	ran     []string
	cmds    []osexec.Command
}

func (r *replay) Run(_ context.Context, c osexec.Command) (osexec.Result, error) {
	line := filepath.Base(c.Path) + " " + strings.Join(c.Args, " ")
	r.ran, r.cmds = append(r.ran, line), append(r.cmds, c)
	i := slices.IndexFunc(r.answers, func(a answer) bool { return strings.Contains(line, a.want) })
	if i < 0 {
		r.t.Fatalf("nobody expected %q", line)
	}
	a := r.answers[i]
	r.answers = slices.Delete(slices.Clone(r.answers), i, i+1)
	if c.StatusFD != nil {
		for _, l := range lines(a.status) {
			c.StatusFD(l)
		}
	}
	if c.OnStdout != nil {
		for _, l := range lines(a.stdout) {
			c.OnStdout(l)
		}
	}
	if a.res != nil || a.err != nil {
		res := osexec.Result{PID: 4711, ExitCode: -1}
		if a.res != nil {
			res = *a.res
		}
		return res, a.err
	}
	return a.result(), nil
}

var testNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// replayed is an Apt on a machine of recorded answers, with an empty root.
func replayed(t testing.TB, answers ...answer) (*Apt, *replay) {
	t.Helper()
	r := &replay{t: t, answers: answers}
	a, err := NewApt(AptOptions{Runner: r, Now: testNowFunc, Root: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return a, r
}

func play(t testing.TB, want, name string) answer { return answer{want: want, fixture: load(t, name)} }

func testNowFunc() time.Time { return testNow }
