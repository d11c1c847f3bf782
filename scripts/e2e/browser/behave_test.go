//go:build e2e

package browser

import (
	"bufio"
	"context"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

const aDeployment = "0199a1b2-0000-7000-8000-000000000900"

// site is the console over invented data, as a process of its own, and a
// browser that is signed in there.
type site struct {
	*Browser
	address string
}

// start builds and starts the process; both end with the test.
func start(t *testing.T, kind string) *site {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "serve")
	build := exec.Command("go", "build", "-tags", "e2e", "-o", binary, "github.com/steward-rmm/steward/server/console/consoletest/serve")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the pages' server: %v\n%s", err, out)
	}
	server := exec.Command(binary, "-kind", kind)
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := server.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = server.Wait() })
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the pages' server said no address: %v", err)
	}
	b, err := Start(strings.TrimSpace(address))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	if err := b.SetCookie("steward", "owner"); err != nil {
		t.Fatal(err)
	}
	return &site{b, strings.TrimSpace(address)}
}

// ask sends a request to the process beside its pages.
func (s *site) ask(t *testing.T, path string) {
	t.Helper()
	answer, err := http.Get(s.address + path)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
}

func (s *site) load(t *testing.T, path string) {
	t.Helper()
	if _, err := s.Picture(path, Look{Width: 1440, Height: 900}); err != nil {
		t.Fatal(err)
	}
}

// until waits for an expression of the page to be true.
func (s *site) until(t *testing.T, what, expression string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), 45*time.Second)
	defer cancel()
	for {
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool](expression))
		if ok {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("%s: not so after 45 s (%v); the page said %v", what, err, s.Said())
		}
		if err := chromedp.Do(ctx, chromedp.Sleep(50*time.Millisecond)); err != nil && ctx.Err() == nil {
			t.Fatal(err)
		}
	}
}

func (s *site) press(t *testing.T, keys string) {
	t.Helper()
	for _, key := range strings.Split(keys, "") {
		if err := chromedp.Do(s.Context(), chromedp.KeyEvent(key)); err != nil {
			t.Fatal(err)
		}
	}
}

func (s *site) move(t *testing.T, n string) {
	t.Helper()
	s.ask(t, "/-/move?device=0199a1b2-0000-7000-8000-0000000"+n)
}

func isFailed(n string) string {
	return `document.getElementById("c-0199a1b2-0000-7000-8000-0000000` + n + `").classList.contains("c-failed")`
}

func TestValuesChangeInPlaceAndComeBackAfterABreak(t *testing.T) {
	s := start(t, "full")
	s.load(t, "/t/nordlicht/deployments/"+aDeployment)
	s.until(t, "live", `document.getElementById("livedot").dataset.state === "live"`)
	s.move(t, "10300")
	s.until(t, "the moved cell is red", isFailed("10300"))
	s.until(t, "the legend counts it", `document.querySelector('#marks [data-v=failed]').textContent === "9"`)
	s.ask(t, "/-/cut")
	s.move(t, "10301")
	s.until(t, "what changed in the break is there", isFailed("10301"))
	s.until(t, "live again", `document.getElementById("livedot").dataset.state === "live"`)
}

func TestACellOpensItsLogBeneath(t *testing.T) {
	s := start(t, "full")
	s.load(t, "/t/nordlicht/deployments/"+aDeployment)
	s.until(t, "no log yet", `!document.querySelector("#log h2")`)
	if _, err := chromedp.Run(s.Context(), chromedp.Evaluate[bool](`document.getElementById("c-0199a1b2-0000-7000-8000-000000010073").click(), true`)); err != nil {
		t.Fatal(err)
	}
	s.until(t, "the log of that device", `document.querySelector("#log h2")?.textContent === "nor-pc-0073"`)
	s.until(t, "the address keeps it", `location.search.includes("000000010073")`)
}

func TestThePreviewComesWithoutLeavingTheEditor(t *testing.T) {
	s := start(t, "full")
	s.load(t, "/t/nordlicht/policies/desktops-weekly/edit")
	if _, err := chromedp.Run(s.Context(), chromedp.Evaluate[bool](`window.stayed = true, document.querySelector("[formaction='/apply/preview']").click(), true`)); err != nil {
		t.Fatal(err)
	}
	s.until(t, "the effects", `window.stayed && document.getElementById("fx").textContent.includes("41 devices move to Tuesday")`)
}

func TestKeysMoveOpenAndSearch(t *testing.T) {
	s := start(t, "full")
	s.load(t, "/devices")
	s.press(t, "j")
	s.until(t, "the first row has the focus", `document.activeElement.closest("tr")?.id === document.querySelector("tbody tr").id`)
	s.press(t, "x")
	s.until(t, "the bulk bar is up", `getComputedStyle(document.querySelector(".bulk")).display === "flex" && document.querySelector(".bulk output").textContent === "1 selected"`)
	s.press(t, "?")
	s.until(t, "the list of keys", `document.getElementById("keys").open`)
	if err := chromedp.Do(s.Context(), chromedp.KeyEvent("\u001b")); err != nil {
		t.Fatal(err)
	}
	s.press(t, "/")
	s.until(t, "search has the focus", `document.activeElement.id === "find"`)
	if err := chromedp.Do(s.Context(), chromedp.KeyEvent("\u001b")); err != nil {
		t.Fatal(err)
	}
	s.press(t, "gu")
	s.until(t, "g u opens the updates", `location.pathname === "/updates"`)
}

func TestPagesAreWholeWithoutScripts(t *testing.T) {
	s := start(t, "full")
	for path, part := range map[string]string{"/devices": "Readmit", "/t/nordlicht/deployments/" + aDeployment: "Choose a square", "/t/ashgrove/devices/0199a1b2-0000-7000-8000-000000000000/health": "Lowest"} {
		picture, err := s.Picture(path, Look{Width: 1440, Height: 900, ScriptsOff: true})
		if err != nil || len(picture) == 0 {
			t.Fatalf("%s: %v", path, err)
		}
		text, err := chromedp.Run(s.Context(), chromedp.Text(chromedp.CSS("main")))
		if err != nil || !strings.Contains(text, part) {
			t.Errorf("%s without scripts has no %q: %v", path, part, err)
		}
	}
}
