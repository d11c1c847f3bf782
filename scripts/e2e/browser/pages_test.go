//go:build e2e

package browser

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// paths are the pages of the invented data.
var paths = []string{
	"/sign-in", "/link/good", "/", "/t/nordlicht", "/devices", "/t/nordlicht/devices?filter=class%3Aserver+colour%3Ared",
	"/t/ashgrove/devices/0199a1b2-0000-7000-8000-000000000000",
	"/t/ashgrove/devices/0199a1b2-0000-7000-8000-000000000000/updates", "/t/ashgrove/devices/0199a1b2-0000-7000-8000-000000000000/inventory",
	"/t/ashgrove/devices/0199a1b2-0000-7000-8000-000000000000/software", "/t/ashgrove/devices/0199a1b2-0000-7000-8000-000000000000/health?range=7+d",
	"/t/ashgrove/devices/0199a1b2-0000-7000-8000-000000000000/jobs", "/t/ashgrove/devices/0199a1b2-0000-7000-8000-000000000000/timeline",
	"/t/ashgrove/devices/0199a1b2-0000-7000-8000-000000000000/settings",
	"/t/nordlicht/jobs/0199a1b2-0000-7000-8000-000000005000",
	"/updates", "/updates?source=chocolatey&package=googlechrome&version=154.0.8187.63",
	"/deployments", "/t/nordlicht/deployments/0199a1b2-0000-7000-8000-000000000900?device=0199a1b2-0000-7000-8000-000000010073",
	"/t/nordlicht/deployments/0199a1b2-0000-7000-8000-000000000901", "/t/nordlicht/deployments/0199a1b2-0000-7000-8000-000000000900/halt",
	"/policies", "/t/nordlicht/policies/desktops-weekly", "/t/nordlicht/policies/desktops-weekly/edit",
	"/audit", "/customers", "/customers/new", "/t/nordlicht/settings", "/t/nordlicht/add", "/people", "/you", "/t/nowhere",
	"/devices/act?do=retire&id=ashgrove%2F0199a1b2-0000-7000-8000-000000000000",
}

var notName = regexp.MustCompile(`[^a-z0-9]+`)

// usual are the looks of an ordinary run: both themes and both sizes for the
// full data. PICTURES, LOOK or STEWARD_SOAK bring all of them.
var usual = map[string][]string{"full": {"light", "phonedark"}, "empty": {"light"}, "hostile": {"light", "phone"}}

// TestPagesInABrowser loads every page in both themes and sizes: no script
// fails and the content security policy refuses nothing. With PICTURES=DIR the
// pictures are kept there; with ONLY=TEXT only paths that hold it are loaded.
func TestPagesInABrowser(t *testing.T) {
	for _, kind := range []string{"full", "empty", "hostile"} {
		if only := os.Getenv("KIND"); only != "" && only != kind {
			continue
		}
		b := start(t, kind)
		visit(t, b.Browser, kind)
	}
}

func visit(t *testing.T, b *Browser, kind string) {
	t.Helper()
	looks := map[string]Look{"light": {Width: 1440, Height: 900}, "dark": {Width: 1440, Height: 900, Dark: true}, "phone": {Width: 390, Height: 844}, "phonedark": {Width: 390, Height: 844, Dark: true}, "tablet": {Width: 1120, Height: 800}}
	for _, path := range paths {
		if !strings.Contains(path, os.Getenv("ONLY")) {
			continue
		}
		cookie := "owner"
		if strings.HasPrefix(path, "/sign-in") || strings.HasPrefix(path, "/link") {
			cookie = "none"
		}
		if err := b.SetCookie("steward", cookie); err != nil {
			t.Fatal(err)
		}
		for name, look := range looks {
			if only := os.Getenv("LOOK"); only != "" && only != name {
				continue
			}
			if os.Getenv("LOOK")+os.Getenv("PICTURES")+os.Getenv("STEWARD_SOAK") == "" && !slices.Contains(usual[kind], name) {
				continue
			}
			picture, err := b.Picture(path, look)
			if err != nil {
				t.Fatalf("%s %s: %v", kind, path, err)
			}
			for _, line := range b.Said() {
				if strings.Contains(line, "status of 404") || strings.Contains(line, "status of 422") {
					continue // pages of what is not there
				}
				t.Errorf("%s %s %s: %s", kind, path, name, line)
			}
			if dir := os.Getenv("PICTURES"); dir != "" {
				file := filepath.Join(dir, strings.Trim(notName.ReplaceAllString(strings.ReplaceAll(path, "0199a1b2-0000-7000-8000-000000", ""), "-"), "-")+"-"+name+"-"+kind+".png")
				if err := os.WriteFile(file, picture, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}
