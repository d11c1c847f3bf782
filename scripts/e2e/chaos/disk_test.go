//go:build e2e

package chaos_test

import (
	"bytes"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/steward-rmm/steward/scripts/e2e/rig"
)

// The reserve that a server keeps for its state, in bytes; samples stop at
// twice of it.
const reserve = 16 << 20

// A server's disk fills up: samples stop first and are counted, state goes on
// out of the reserve, what can no longer be done is said, and with room again
// everything goes on.
func TestFullDiskOfTheServer(t *testing.T) {
	t.Parallel()
	disk := rig.NewDisk(t, "128m")
	f := newFleet(t, "disk-server", 1, 1, place{server: filepath.Join(disk.Dir, "server")})
	said := func(text string, limit time.Duration) {
		t.Helper()
		rig.Eventually(t, limit, "the log says "+text, func() (bool, string) {
			return strings.Contains(f.server.Log(), text), fmt.Sprint(disk.Free(), " bytes free")
		})
	}

	disk.Fill(reserve)
	said("disk nearly full: samples are no longer stored", time.Minute)
	f.open()
	f.settle(false) // a whole job, with the disk nearly full

	disk.Fill(0)
	// The files hold some pages that are free; then it needs the reserve.
	rig.Eventually(t, time.Minute, "the reserve is needed", func() (bool, string) {
		status, text := f.bigPolicy("full")
		if status != http.StatusOK {
			t.Fatalf("with a reserve a change is refused: %d %s", status, text)
		}
		return strings.Contains(f.server.Log(), "the reserve is given up"), text
	})
	disk.Fill(0)
	refused := ""
	rig.Eventually(t, time.Minute, "there is no room at all", func() (bool, string) {
		status, text := f.bigPolicy("none")
		refused = text
		return status != http.StatusOK, text
	})
	if !strings.Contains(refused, "disk") && !strings.Contains(refused, "space") {
		t.Errorf("a change without room is refused with %s", refused)
	}
	if f.server.Ended() {
		t.Error("the server ended")
	}
	if out, errs, code := f.server.Try("devices", "list"); code != 0 {
		t.Errorf("nothing can be read: exit %d %s%s", code, out, errs)
	}

	disk.Empty()
	said("disk has room again", time.Minute)
	rig.Eventually(t, time.Minute, "changes are taken again", func() (bool, string) {
		status, text := f.bigPolicy("again")
		return status == http.StatusOK, text
	})
	f.server.Apply("kind: PatchPolicy\ntenant: home\nname: big\nstate: absent\n")
	f.verdict(1)
}

// bigPolicy applies a policy with many rules, none of which matches anything.
func (f *fleet) bigPolicy(word string) (status int, answer string) {
	f.t.Helper()
	var b bytes.Buffer
	b.WriteString("kind: PatchPolicy\ntenant: home\nname: big\nsources: [homebrew]\napprovals:\n")
	for i := range 100 {
		fmt.Fprintf(&b, "  - {match: {source: homebrew, package: %q}, action: deny, reason: %q}\n", fmt.Sprint("p", i), word+strings.Repeat("-", 150)+fmt.Sprint(time.Now().UnixNano()))
	}
	req, err := http.NewRequest("POST", f.server.URL+"/api/v1/apply", &b)
	if err != nil {
		f.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+f.server.Token)
	req.Header.Set("Content-Type", "application/yaml")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		f.t.Fatalf("the server does not answer: %v", err)
	}
	defer func() { _ = resp.Body.Close() }()
	var text bytes.Buffer
	_, _ = text.ReadFrom(resp.Body)
	return resp.StatusCode, text.String()[:min(text.Len(), 500)]
}

// An agent's disk is full before its job: the events of the job are told all
// the same, out of its reserve. Samples are what it may drop.
func TestFullDiskOfTheAgent(t *testing.T) {
	t.Parallel()
	disk := rig.NewDisk(t, "12m")
	f := newFleet(t, "disk-agent", 1, 1, place{agent: filepath.Join(disk.Dir, "agent")})
	disk.Fill(0)
	f.open()
	f.settle(false)
	f.mayDrop = true
	f.verdict(1)
}
