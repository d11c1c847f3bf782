//go:build unix

package main

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
)

func TestTally(t *testing.T) {
	for _, c := range []struct {
		name   string
		events string
		want   string
		prints []string
		hides  []string
	}{
		{"passing tests are counted and quiet", `
{"Action":"run","Package":"p","Test":"A"}
{"Action":"output","Package":"p","Test":"A","Output":"noise\n"}
{"Action":"pass","Package":"p","Test":"A"}
{"Action":"skip","Package":"p","Test":"B"}
{"Action":"output","Package":"p","Output":"ok p\n"}
{"Action":"pass","Package":"p"}`, "1 passed, 0 failed, 1 skipped", nil, []string{"noise", "ok p"}},
		{"a test counts by its subtests", `
{"Action":"run","Package":"p","Test":"A"}
{"Action":"run","Package":"p","Test":"A/x"}
{"Action":"run","Package":"p","Test":"A/y"}
{"Action":"pass","Package":"p","Test":"A/x"}
{"Action":"pass","Package":"p","Test":"A/y"}
{"Action":"pass","Package":"p","Test":"A"}
{"Action":"pass","Package":"p"}`, "2 passed, 0 failed, 0 skipped", nil, nil},
		{"one broken subtest is one failure, printed in full", `
{"Action":"run","Package":"p","Test":"A"}
{"Action":"run","Package":"p","Test":"A/x"}
{"Action":"run","Package":"p","Test":"A/x/deep"}
{"Action":"output","Package":"p","Test":"A/x/deep","Output":"got 1\n"}
{"Action":"output","Package":"p","Test":"A/x/deep","Output":"want 2\n"}
{"Action":"fail","Package":"p","Test":"A/x/deep"}
{"Action":"fail","Package":"p","Test":"A/x"}
{"Action":"fail","Package":"p","Test":"A"}
{"Action":"output","Package":"p","Output":"FAIL p\n"}
{"Action":"fail","Package":"p"}`, "0 passed, 1 failed, 0 skipped", []string{"got 1\nwant 2\n", "FAIL p"}, nil},
		{"the parent's own failure counts", `
{"Action":"run","Package":"p","Test":"A"}
{"Action":"run","Package":"p","Test":"A/x"}
{"Action":"pass","Package":"p","Test":"A/x"}
{"Action":"output","Package":"p","Test":"A","Output":"leaked\n"}
{"Action":"fail","Package":"p","Test":"A"}
{"Action":"fail","Package":"p"}`, "1 passed, 1 failed, 0 skipped", []string{"leaked"}, nil},
		{"a package that does not build", `
{"ImportPath":"p [p.test]","Action":"build-output","Output":"p.go:3: undefined: x\n"}
{"ImportPath":"p [p.test]","Action":"build-fail"}
{"Action":"output","Package":"p","Output":"FAIL\tp [build failed]\n"}
{"Action":"fail","Package":"p","FailedBuild":"p [p.test]"}`, "0 passed, 1 failed, 0 skipped", []string{"undefined: x", "[build failed]"}, nil},
		{"a process that dies outside of a test", `
{"Action":"output","Package":"p","Output":"panic: in TestMain\n"}
{"Action":"fail","Package":"p"}`, "0 passed, 1 failed, 0 skipped", []string{"panic: in TestMain"}, nil},
		{"what is no event is shown", "go: cannot find main module\n{}\n", "0 passed, 0 failed, 0 skipped", []string{"cannot find", "{}"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			tl := newTally(&out)
			if err := tl.read(strings.NewReader(c.events)); err != nil {
				t.Fatal(err)
			}
			if got := tl.count.String(); got != c.want {
				t.Errorf("count is %s, want %s", got, c.want)
			}
			for _, p := range c.prints {
				if !strings.Contains(out.String(), p) {
					t.Errorf("does not print %q:\n%s", p, out.String())
				}
			}
			for _, h := range c.hides {
				if strings.Contains(out.String(), h) {
					t.Errorf("prints %q:\n%s", h, out.String())
				}
			}
		})
	}
}

func TestChoose(t *testing.T) {
	for _, c := range []struct {
		args, e2e, want []string
		err             string
	}{
		{nil, []string{"apt", "browser"}, []string{"setup", "build", "unit", "databases", "race", "cross", "e2e/apt"}, ""},
		{[]string{"all"}, nil, []string{"setup", "build", "unit", "databases", "race", "cross"}, ""},
		{[]string{"fast"}, []string{"apt"}, []string{"fast"}, ""},
		{[]string{"soak"}, []string{"apt", "chaos"}, []string{"setup", "build", "properties", "e2e/chaos"}, ""},
		{[]string{"race", "e2e/apt"}, []string{"apt", "chaos"}, []string{"race", "e2e/apt"}, ""},
		{[]string{"rcae"}, nil, nil, `no leg "rcae"; there are all, fast, soak, setup`},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			legs, err := choose(c.args, c.e2e)
			if c.err != "" {
				if err == nil || !strings.HasPrefix(err.Error(), c.err) {
					t.Fatalf("choose = %v, want %s", err, c.err)
				}
				return
			}
			if err != nil || !slices.Equal(legNames(legs), c.want) {
				t.Errorf("choose = %v, %v; want %v", legNames(legs), err, c.want)
			}
		})
	}
}

// TestRunAddsUp checks the summary: legs with seconds, and the closing line.
func TestRunAddsUp(t *testing.T) {
	ends := func(name string, c count, err error) leg {
		return leg{name, "", func(context.Context, *suite) (count, error) { return c, err }}
	}
	for _, c := range []struct {
		name string
		legs []leg
		last string
		code int
	}{
		{"good", []leg{ends("a", count{3, 0, 1}, nil), ends("b", count{4, 0, 0}, nil)}, "7 passed, 0 failed, 1 skipped", 0},
		{"a failed test", []leg{ends("a", count{3, 2, 1}, nil), ends("b", count{4, 0, 0}, nil)}, "7 passed, 2 failed, 1 skipped", 1},
		{"a failed leg", []leg{ends("a", count{}, context.DeadlineExceeded), ends("b", count{4, 0, 0}, nil)}, "4 passed, 1 failed, 0 skipped", 1},
		{"setup ends the run", []leg{ends("setup", count{}, context.DeadlineExceeded), ends("b", count{4, 0, 0}, nil)}, "0 passed, 1 failed, 0 skipped", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			code := (&suite{out: &out}).run(t.Context(), c.legs)
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			if code != c.code || lines[len(lines)-1] != c.last {
				t.Errorf("code %d, last line %q; want %d, %q", code, lines[len(lines)-1], c.code, c.last)
			}
		})
	}
}
