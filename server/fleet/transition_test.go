package fleet

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/reason"
)

var at = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func states() []State { return []State{Pending, Active, Stale, Conflict, Revoked, Retired} }

func TestMoveFollowsTheStateMachine(t *testing.T) {
	legal := map[State][]State{
		Pending:  {Active, Conflict, Revoked, Retired},
		Active:   {Pending, Stale, Conflict, Revoked, Retired},
		Stale:    {Pending, Active, Conflict, Revoked, Retired},
		Conflict: {Pending, Active, Revoked, Retired},
		Revoked:  {Pending, Active, Retired},
		Retired:  nil,
	}
	why := reason.New(reason.DeviceBack)
	for _, from := range states() {
		for _, to := range states() {
			before := Device{State: from, Since: at.Add(-time.Hour)}
			got, changed, err := before.Move(to, why, at)
			switch {
			case from == to:
				if changed || err != nil || !got.Since.Equal(before.Since) {
					t.Errorf("staying %s: changed %v, %v", from, changed, err)
				}
			case slices.Contains(legal[from], to):
				if !changed || err != nil || got.State != to || !got.Since.Equal(at) || got.Reason.Code != why.Code {
					t.Errorf("%s to %s: %+v, %v", from, to, got, err)
				}
			default:
				if changed || !fault.Is(err, fault.Conflict) || got.State != from {
					t.Errorf("%s to %s was allowed: %v", from, to, err)
				}
			}
		}
	}
}

func TestRetiredIsFinal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := Device{State: rapid.SampledFrom(states()).Draw(t, "first")}
		retired := d.State == Retired
		for _, to := range rapid.SliceOfN(rapid.SampledFrom(states()), 1, 20).Draw(t, "moves") {
			next, _, err := d.Move(to, reason.New(reason.DeviceBack), at)
			if err == nil {
				d = next
			}
			if retired = retired || d.State == Retired; retired && d.State != Retired {
				t.Fatalf("came back as %s", d.State)
			}
		}
	})
}

func TestSilence(t *testing.T) {
	day := 24 * time.Hour
	cases := []struct {
		name   string
		class  Class
		state  State
		silent time.Duration
		online bool
		want   State
	}{
		{"a server just before", Server, Active, 3*day - time.Second, false, Active},
		{"a server after 3 days", Server, Active, 3 * day, false, Stale},
		{"a laptop after 3 days", Laptop, Active, 3 * day, false, Active},
		{"a laptop after 14 days", Laptop, Active, 14 * day, false, Stale},
		{"a workstation after 14 days", Workstation, Active, 14 * day, false, Stale},
		{"an open session that says little", Server, Active, 30 * day, true, Active},
		{"back in contact", Server, Stale, time.Second, false, Active},
		{"still silent", Server, Stale, 30 * day, false, Stale},
		{"pending stays", Server, Pending, 30 * day, false, Pending},
		{"revoked stays", Server, Revoked, 0, false, Revoked},
		{"conflict stays", Server, Conflict, 30 * day, false, Conflict},
		{"retired stays", Server, Retired, 0, true, Retired},
	}
	for _, c := range cases {
		d := Device{Class: c.class, State: c.state, LastSeen: at.Add(-c.silent), Online: c.online, Reason: reason.New(reason.DeviceInventory)}
		got, why := Silence(d, at)
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		if changed := got != c.state; changed == (why.Code == reason.DeviceInventory) {
			t.Errorf("%s: reason %v", c.name, why)
		}
	}
}

func TestSilenceOnlyNamesLegalMoves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := Device{Class: rapid.SampledFrom([]Class{Workstation, Laptop, Server}).Draw(t, "class"), State: rapid.SampledFrom(states()).Draw(t, "state"),
			LastSeen: at.Add(-time.Duration(rapid.Int64Range(0, int64(60*24*time.Hour)).Draw(t, "silent"))), Online: rapid.Bool().Draw(t, "online")}
		to, why := Silence(d, at)
		moved, _, err := d.Move(to, why, at)
		if err != nil {
			t.Fatal(err)
		}
		if again, _ := Silence(moved, at); again != to {
			t.Fatalf("%s wants to be %s, and then %s", d.State, to, again)
		}
	})
}

func TestSameMachineIsSerialAndBoardNeverTheName(t *testing.T) {
	old := []Device{
		{ID: "d1", Hostname: "pc", Serial: "S1", BoardUUID: "U1", State: Active},
		{ID: "d2", Hostname: "pc", Serial: "S2", BoardUUID: "U2", State: Retired},
		{ID: "d3", Hostname: "pc", Serial: "S3", BoardUUID: "U3", State: Revoked},
		{ID: "d4", Hostname: "pc", State: Active},
	}
	cases := []struct {
		name string
		d    Device
		want string
	}{
		{"both equal", Device{Hostname: "renamed", Serial: "S1", BoardUUID: "U1"}, "d1"},
		{"serial alone", Device{Hostname: "pc", Serial: "S1", BoardUUID: "U9"}, ""},
		{"board alone", Device{Hostname: "pc", Serial: "S9", BoardUUID: "U1"}, ""},
		{"nothing known but the name", Device{Hostname: "pc"}, ""},
		{"serial known, board not", Device{Hostname: "pc", Serial: "S1"}, ""},
		{"a retired one", Device{Hostname: "pc", Serial: "S2", BoardUUID: "U2"}, ""},
		{"a revoked one", Device{Hostname: "pc", Serial: "S3", BoardUUID: "U3"}, ""},
	}
	for _, c := range cases {
		got, same := sameMachine(old, c.d)
		if string(got.ID) != c.want || same != (c.want != "") {
			t.Errorf("%s: %q, %v", c.name, got.ID, same)
		}
	}
}

func TestFactsOverlayOnlyWhatIsKnown(t *testing.T) {
	d := Device{Hostname: "pc", Serial: "S1", OS: OS{Family: "windows", Version: "10"}, TimeZone: "Europe/Paris"}
	got := Facts{Hostname: "pc2", OS: OS{Version: "11"}}.over(d)
	if got.Hostname != "pc2" || got.Serial != "S1" || got.OS.Family != "windows" || got.OS.Version != "11" || got.TimeZone != "Europe/Paris" {
		t.Errorf("%+v", got)
	}
	if (Facts{}).over(d).same(d) != true || got.same(d) {
		t.Error("what changed and what did not is mixed up")
	}
}

func TestChecksRefuseWhatCouldNotBeStoredOrShown(t *testing.T) {
	good := Tenant{ID: "acme", Name: "Acme", TimeZone: "Europe/Paris", Mode: Live}
	if err := CheckTenant(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Tenant){
		"slug": func(x *Tenant) { x.ID = "Acme Corp" }, "name": func(x *Tenant) { x.Name = "" }, "no zone": func(x *Tenant) { x.TimeZone = "" },
		"zone": func(x *Tenant) { x.TimeZone = "Mars/Base" }, "local": func(x *Tenant) { x.TimeZone = "Local" }, "mode": func(x *Tenant) { x.Mode = "off" },
	} {
		bad := good
		change(&bad)
		if err := CheckTenant(bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	pilot := good
	pilot.Mode = Pilot
	if err := CheckTenant(pilot); !fault.Is(err, fault.NotYet) {
		t.Errorf("pilot: %v", err)
	}
	if err := CheckSite(Site{ID: "lyon", Name: "Lyon"}); err != nil {
		t.Error(err)
	}
	if err := CheckSite(Site{ID: "lyon", Name: "Lyon", TimeZone: "nowhere"}); !fault.Is(err, fault.Invalid) {
		t.Errorf("a site nowhere: %v", err)
	}
	if CheckClass(Laptop) != nil || CheckClass("toaster") == nil {
		t.Error("classes")
	}
}

func TestLocationFallsThrough(t *testing.T) {
	tenant, site, device := Tenant{TimeZone: "Europe/Paris"}, Site{TimeZone: "America/Lima"}, Device{TimeZone: "Asia/Tokyo"}
	cases := []struct {
		t    Tenant
		s    Site
		d    Device
		want string
	}{
		{tenant, site, device, "Asia/Tokyo"},
		{tenant, site, Device{TimeZone: "Mars/Base"}, "America/Lima"},
		{tenant, Site{}, Device{}, "Europe/Paris"},
		{Tenant{}, Site{TimeZone: "Local"}, Device{}, "UTC"},
	}
	for _, c := range cases {
		if got := Location(c.t, c.s, c.d).String(); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}
