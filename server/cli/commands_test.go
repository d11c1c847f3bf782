package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// everyCommand is each command once, with what it asks and a part of what it
// prints.
func everyCommand(file string) []struct {
	args  string
	asks  string // the last request but for look-ups
	wants []string
} {
	type row = struct {
		args  string
		asks  string
		wants []string
	}
	re := `{"reason":"why"}`
	return []row{
		{"tenants list", "GET /tenants?limit=500", []string{"SLUG", "Acme Dentists", "live", "12"}},
		{"tenants create newco --name New --time-zone Europe/Paris", `POST /tenants {"name":"New","slug":"newco","time_zone":"Europe/Paris"}`, []string{"newco", "observe"}},
		{"tenants mode acme live", `PUT /tenants/acme/mode {"mode":"live"}`, []string{"acme: live"}},
		{"sites list --tenant acme", "GET /tenants/acme/sites?limit=500", []string{"main"}},
		{"sites create annex --tenant acme --name Annex", `POST /tenants/acme/sites {"name":"Annex","slug":"annex","time_zone":""}`, []string{"annex of acme"}},
		{"people list", "GET /people?limit=500", []string{"ann@msp.example", "owner of all customers", "viewer of acme (main)", "disabled"}},
		{"people invite c@x.example --role viewer --tenant acme", `POST /tenants/acme/people {"email":"c@x.example","role":"viewer"}`, []string{"/link/lnk_abc\n"}},
		{"people disable " + person1 + " --reason why", "POST /people/" + person1 + "/disable " + re, []string{"done"}},
		{"tokens list", "GET /tokens?limit=500", []string{"ci", "viewer of all customers"}},
		{"tokens revoke " + person1 + " --reason why", "POST /tokens/" + person1 + "/revoke " + re, []string{"done"}},
		{"enrollments create --tenant acme --class server --tags a,b --uses 5", `POST /tenants/acme/enrollments {"class":"server","expires":"24h","per_minute":10,"tags":["a","b"],"uses":5}`, []string{"stwe1_THESTRING\n"}},
		{"enrollments list", "GET /enrollments?limit=500", []string{"2 of 5", "in 24 h, Sun 22 Nov 13:00 CET", "Ann"}},
		{"enrollments revoke " + enrollment1, "POST /tenants/acme/enrollments/" + enrollment1 + "/revoke", []string{"done"}},
		{"devices list --tenant acme --filter os:windows", "GET /tenants/acme/devices?filter=os%3Awindows&limit=500", []string{"front-desk", "2 min ago, 12:58 CET", "online"}},
		{"devices show " + device1, "GET /tenants/acme/devices/" + device1, []string{"front-desk", "Windows 11 23H2", "firefox", "failed"}},
		{"devices why " + device1, "GET /tenants/acme/devices/" + device1 + "/why?limit=500", []string{"2 open updates: 1 held back, 1 free", "apt curl 8: Held on", "2. Outside its window. (until in 3 d, Tue 24 Nov 22:00 CET)", "→ Take the hold off", "vim 9: nothing stands"}},
		{"devices samples " + device1 + " --signal system.cpu.utilization --since 3d", "GET /tenants/acme/devices/" + device1 + "/samples?limit=500&signal=system.cpu.utilization&since=3d", []string{"0.25", "device=sda mountpoint=/"}},
		{"devices revoke " + device1 + " --reason why", "POST /tenants/acme/devices/" + device1 + "/revoke " + re, []string{"revoked"}},
		{"devices readmit " + device1 + " --reason why", "POST /tenants/acme/devices/" + device1 + "/readmit " + re, []string{device1}},
		{"devices retire " + device1 + " --reason why", "POST /tenants/acme/devices/" + device1 + "/retire " + re, []string{device1}},
		{"updates list --state failed --source chocolatey", "GET /updates?limit=500&source=chocolatey&state=failed", []string{"needs you", "front-desk", "Failed: exit 1603."}},
		{"updates approve --tenant acme --source apt --package curl --version 8 --expires 30d --reason why", `POST /tenants/acme/decisions {"action":"approve","expires":"30d","package":"curl","reason":"why","source":"apt","version":"8"}`, []string{"Approved for acme"}},
		{"updates deny --all-tenants --except zen --source apt --package * --reason why", `POST /decisions {"action":"deny","except":["zen"],"package":"*","reason":"why","source":"apt"}`, []string{"Denied for all customers"}},
		{"updates wait --tenant acme --source apt --package curl --days 3 --reason why", `POST /tenants/acme/decisions {"action":"wait","days":3,"package":"curl","reason":"why","source":"apt"}`, []string{"Waits for acme"}},
		{"apply -f " + file + " --dry-run", "POST /apply?dry_run=true kind: Tenant\n", []string{"create    PatchPolicy acme/workstations", "12 devices are covered", "Dry run, nothing was changed. It would be: 1 created, 1 unchanged."}},
		{"plan --days 7", "GET /sites?limit=500", []string{"Sat 21 Nov 2026", "22:00 CET", "Sun 02:00 CET", "23:00 EST", "! needs 150 min"}},
		{"deployments list --state halted", "GET /deployments?limit=500&state=halted", []string{deployment1, "4 of 10, 3 failed", "halted"}},
		{"deployments show " + deployment1, "GET /tenants/acme/deployments/" + deployment1, []string{"firefox 128  halted", "→ Read the failed devices' logs", "pilots", job1}},
		{"deployments pause " + deployment1 + " --reason why", "GET /tenants/acme/deployments/" + deployment1, []string{"halted"}},
		{"deployments resume " + deployment1 + " --reason why", "GET /tenants/acme/deployments/" + deployment1, []string{"halted"}},
		{"deployments halt " + deployment1 + " --reason why", "GET /tenants/acme/deployments/" + deployment1, []string{"halted"}},
		{"deployments cancel " + deployment1 + " --reason why", "GET /tenants/acme/deployments/" + deployment1, []string{"halted"}},
		{"runs list", "GET /runs?limit=500", []string{"failed=1 succeeded=9"}},
		{"runs show " + run1, "GET /tenants/acme/runs/" + run1, []string{"workstations", job1}},
		{"jobs list --run " + run1 + " --state failed", "GET /jobs?limit=500&run=" + run1 + "&state=failed", []string{job1, "failed"}},
		{"jobs show " + job1, "GET /tenants/acme/jobs/" + job1 + "/log?limit=500", []string{"1603", "LOG", "Downloading 100%\n", "    ERROR: 1603\n"}},
		{"jobs cancel " + job1 + " --reason why", "GET /tenants/acme/jobs/" + job1, []string{"failed"}},
		{"audit list --since 24h --action deployment.halted", "GET /audit?action=deployment.halted&from=2026-11-20T12%3A00%3A00Z&limit=500", []string{"Ann", "firefox 128", "it crashes"}},
		{"audit verify", "GET /audit/verify?limit=500", []string{"*: good", "zen: good", "120 sealed, 2 unsealed, 0 pruned, restored from a backup at 17"}},
		{"audit head --tenant acme", "GET /tenants/acme/audit/head", []string{"120:abab"}},
	}
}

func documents(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "doc.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestEveryCommandAsksTheAPIAndPrintsForPeople(t *testing.T) {
	for _, c := range everyCommand(documents(t, "kind: Tenant\n")) {
		f := newFake(t)
		out := f.must(t, strings.Fields(c.args)...)
		asked := f.calls()
		if got := asked[len(asked)-1]; got != strings.TrimSpace(c.asks) {
			t.Errorf("%s: asked %s, want %s", c.args, got, c.asks)
		}
		for _, want := range c.wants {
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in\n%s", c.args, want, out)
			}
		}
		if strings.ContainsRune(out, 0x1b) {
			t.Errorf("%s: colours without a terminal: %q", c.args, out)
		}
	}
}

func TestEveryCommandPrintsJSON(t *testing.T) {
	lists := []string{"list", "why", "samples", "plan"}
	for _, c := range everyCommand(documents(t, "kind: Tenant\n")) {
		args := append(strings.Fields(c.args), "-o", "json")
		out := newFake(t).must(t, args...)
		var v any
		if err := json.Unmarshal([]byte(out), &v); err != nil {
			t.Errorf("%s: %v in %s", c.args, err, out)
			continue
		}
		_, isList := v.([]any)
		want := c.args == "audit verify" || slices.ContainsFunc(lists, func(w string) bool { return slices.Contains(args[:2], w) })
		if isList != want {
			t.Errorf("%s: a list is %v, want %v: %s", c.args, isList, want, out)
		}
	}
}

func TestActionsSayTheirReason(t *testing.T) {
	for _, verb := range []string{"pause", "resume", "halt", "cancel"} {
		f := newFake(t)
		f.must(t, "deployments", verb, deployment1, "--reason", "it's  so")
		want := "POST /tenants/acme/deployments/" + deployment1 + "/" + verb + ` {"reason":"it's  so"}`
		if !slices.Contains(f.calls(), want) {
			t.Errorf("%s: %v", verb, f.calls())
		}
		if _, errs, code := f.run(t, "deployments", verb, deployment1); code != 2 || !strings.Contains(errs, "--reason") {
			t.Errorf("%s without a reason: %d %s", verb, code, errs)
		}
	}
}

func TestJobLogIsInItsJSON(t *testing.T) {
	var v struct {
		State string
		Log   []struct{ Text string }
	}
	if err := json.Unmarshal([]byte(newFake(t).must(t, "jobs", "show", job1, "-o", "json")), &v); err != nil {
		t.Fatal(err)
	}
	if v.State != "failed" || len(v.Log) != 1 || !strings.Contains(v.Log[0].Text, "\t") {
		t.Errorf("%+v", v)
	}
}

// What the contract names and this version has not.
func TestNotInThisVersion(t *testing.T) {
	f := newFake(t)
	for args, name := range map[string]string{
		"alerts list": "steward alerts list", "alerts ack " + job1: "steward alerts ack", "silences list -o json": "steward silences list",
		"channels test on-call": "steward channels test", "deliveries redeliver x": "steward deliveries redeliver", "rules test FILE": "steward rules test",
		"permit export": "steward permit export", "freeze --tenant acme --reason x": "steward freeze", "unfreeze --all-tenants --reason x": "steward unfreeze",
		"tasks list": "steward tasks list", "baseline diff --dry-run": "steward baseline diff", "deployments agree " + deployment1: "steward deployments agree",
		"deployments create --tenant acme --policy p --now": "steward deployments create", "alerts": "steward alerts",
	} {
		out, errs, code := f.run(t, strings.Fields(args)...)
		if want := name + ": not in this version\n"; code != 2 || errs != want || out != "" {
			t.Errorf("%s: %d %q %q", args, code, out, errs)
		}
	}
	if len(f.calls()) > 0 {
		t.Errorf("asked %v", f.calls())
	}
}

// Wrong use is exit 2 with one line that says what and where, and nothing is asked.
func TestWrongUse(t *testing.T) {
	f := newFake(t)
	for args, want := range map[string]string{
		"":                                       "name a command",
		"nonsense":                               "nonsense",
		"devices":                                "expected one of",
		"devices list --nonsense":                "steward devices list: unknown flag --nonsense",
		"devices show":                           "<id>",
		"devices list --limit 0":                 "--limit: want at least 1",
		"devices list --limit x":                 "--limit",
		"devices list --limit 2 --count":         "--limit",
		"devices list --tenant ../x":             "--tenant",
		"devices list -o xml":                    "--output",
		"devices samples " + device1:             "--signal",
		"devices samples x --signal s --since 5": "--since",
		"tenants create NEW --name n --time-zone UTC":                                "NEW",
		"tenants mode acme turbo":                                                    "turbo",
		"people invite nobody":                                                       "e-mail",
		"people invite a@b --role king":                                              "--role",
		"enrollments create":                                                         "--tenant",
		"enrollments create --tenant acme --uses 0":                                  "--uses",
		"enrollments create --tenant acme --class phone":                             "--class",
		"updates approve --source s --package p --reason r":                          "--tenant T or --all-tenants",
		"updates approve --tenant a --all-tenants --source s --package p --reason r": "--all-tenants",
		"updates approve --tenant acme --except b --source s --package p --reason r": "--except",
		"updates wait --tenant acme --source s --package p --reason r":               "--days",
		"updates deny --tenant acme --source s --package p --reason r --days 2":      "--days",
		"apply":                                  "--file",
		"apply -f /nonexistent/doc.yaml":         "/nonexistent/doc.yaml: cannot be read: no such file",
		"apply -f -":                             "stdin: holds no document",
		"plan --days 0":                          "--days",
		"audit verify --head 1:ab --tenant acme": "--head",
		"audit verify --head 1:" + strings.Repeat("a", 64):      "--tenant",
		"deployments resume " + deployment1:                     "--reason",
		"deployments watch " + deployment1 + " --patience soon": "--patience",
	} {
		out, errs, code := f.run(t, strings.Fields(args)...)
		if code != 2 || out != "" || strings.Count(errs, "\n") != 1 || !strings.HasPrefix(errs, "steward") || !strings.Contains(errs, want) {
			t.Errorf("%q: exit %d, %q %q, want %q", args, code, out, errs, want)
		}
	}
	if len(f.calls()) > 0 {
		t.Errorf("asked %v", f.calls())
	}
}

func TestHelpIsNoFailure(t *testing.T) {
	f := newFake(t)
	for _, args := range []string{"--help", "devices --help", "deployments watch --help"} {
		if out, errs, code := f.run(t, strings.Fields(args)...); code != 0 || errs != "" || !strings.Contains(out, "Usage: steward") {
			t.Errorf("%s: %d %q %q", args, code, out, errs)
		}
	}
}

// A wrong address or token is wrong use, and never printed.
func TestAddressAndToken(t *testing.T) {
	f := newFake(t)
	for name, c := range map[string]struct {
		env  map[string]string
		args string
		want string
		code int
	}{
		"no address":     {map[string]string{"STEWARD_URL": ""}, "devices list", "STEWARD_URL: not set", 2},
		"no token":       {map[string]string{"STEWARD_TOKEN": ""}, "devices list", "STEWARD_TOKEN: not set", 2},
		"flag beats":     {map[string]string{"STEWARD_URL": "nonsense"}, "devices list --url " + f.URL, "", 0},
		"no URL":         {map[string]string{"STEWARD_URL": "steward.example"}, "devices list", "no address", 2},
		"password in it": {map[string]string{"STEWARD_URL": "https://a:hunter2@x"}, "devices list", "no user", 2},
		"plain http":     {map[string]string{"STEWARD_URL": "http://steward.example"}, "devices list", "plain http", 2},
		"broken token":   {map[string]string{"STEWARD_TOKEN": "hunter2\nX: y"}, "devices list", "STEWARD_TOKEN", 2},
		"wrong token":    {map[string]string{"STEWARD_TOKEN": "hunter2"}, "devices list", "make one with steward token create", 1},
	} {
		var out, errs bytes.Buffer
		code := Run(t.Context(), strings.Fields(c.args), world(f.URL, &out, &errs, c.env), nil)
		if code != c.code || !strings.Contains(errs.String(), c.want) || strings.Contains(errs.String(), "hunter2") {
			t.Errorf("%s: %d %q", name, code, errs.String())
		}
	}
}

func TestLocalCommandsAreMergedIn(t *testing.T) {
	var out, errs bytes.Buffer
	var local localCommands
	env := world("", &out, &errs, nil)
	if code := Run(t.Context(), []string{"version", "-o", "json"}, env, &local); code != 0 || out.String() != "json: true\n" {
		t.Errorf("%d %q %q", code, out.String(), errs.String())
	}
	out.Reset()
	if code := Run(t.Context(), []string{"serve", "--date", "x"}, env, &local); code != 2 || !strings.Contains(errs.String(), "steward serve: unknown flag --date, did you mean") {
		t.Errorf("%d %q", code, errs.String())
	}
}
