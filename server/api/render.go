package api

import (
	"time"

	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/reason"
	"github.com/steward-rmm/steward/server/view"
)

// stamp is a time in UTC, null when it is not known.
func stamp(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	u := t.UTC()
	return &u
}

// words is a reason as a sentence, times in UTC.
func words(r reason.Reason) string { return r.Text(time.UTC) }

// filled is never null in JSON.
func filled[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

type osJSON struct {
	Family  string `json:"family"`
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Device is a device as lists and show have it in common. Types that others
// embed are exported, so that the description has their fields.
type Device struct {
	ID           ident.DeviceID `json:"id"`
	Tenant       ident.TenantID `json:"tenant"`
	Site         ident.SiteID   `json:"site"`
	Hostname     string         `json:"hostname"`
	Class        fleet.Class    `json:"class"`
	Tags         []string       `json:"tags"`
	OS           osJSON         `json:"os"`
	State        fleet.State    `json:"state"`
	Reason       string         `json:"reason"`
	ReasonCode   reason.Code    `json:"reason_code"`
	Since        *time.Time     `json:"since"`
	Online       bool           `json:"online"`
	LastSeen     *time.Time     `json:"last_seen"`
	AgentVersion string         `json:"agent_version"`
	Serial       string         `json:"serial"`
	TimeZone     string         `json:"time_zone"`
}

// deviceRowJSON is a device in a list.
type deviceRowJSON struct {
	Device
	UpdatesAvailable int                 `json:"updates_available"`
	Updates          map[view.Word]int   `json:"updates_by_word" doc:"updates by the word that lists show: needs_you, running, restart_needed, tonight, waiting, done"`
	Worst            patch.State         `json:"worst_state"`
	WorstReason      string              `json:"worst_reason"`
	States           map[patch.State]int `json:"update_states"`
}

func renderDeviceRow(d view.DeviceRow) deviceRowJSON {
	out := deviceRowJSON{
		Device: Device{ID: d.ID, Tenant: d.Tenant, Site: d.Site, Hostname: d.Hostname, Class: d.Class, Tags: filled(d.Tags), OS: osJSON(d.OS),
			State: d.State, Reason: words(d.Reason), ReasonCode: d.Reason.Code, Since: stamp(d.Since), Online: d.Online, LastSeen: stamp(d.LastSeen),
			AgentVersion: d.AgentVersion, Serial: d.Serial, TimeZone: d.TimeZone},
		UpdatesAvailable: d.Available, Updates: map[view.Word]int{}, Worst: d.Worst, WorstReason: words(d.WorstReason), States: d.States,
	}
	for _, w := range view.Words() {
		out.Updates[w] = d.States.Word(w)
	}
	return out
}

func renderDevice(d fleet.Device, zone string) Device {
	return Device{ID: d.ID, Tenant: d.Tenant, Site: d.Site, Hostname: d.Hostname, Class: d.Class, Tags: filled(d.Tags), OS: osJSON(d.OS),
		State: d.State, Reason: words(d.Reason), ReasonCode: d.Reason.Code, Since: stamp(d.Since), Online: d.Online, LastSeen: stamp(d.LastSeen),
		AgentVersion: d.AgentVersion, Serial: d.Serial, TimeZone: zone}
}

// Update is an update on a device.
type Update struct {
	Source     string      `json:"source"`
	Package    string      `json:"package"`
	Installed  string      `json:"installed_version"`
	Available  string      `json:"available_version"`
	Kind       string      `json:"kind"`
	Severity   string      `json:"severity"`
	State      patch.State `json:"state"`
	Word       view.Word   `json:"word" doc:"the word that lists show"`
	Reason     string      `json:"reason"`
	ReasonCode reason.Code `json:"reason_code"`
	Since      *time.Time  `json:"since"`
	FirstSeen  *time.Time  `json:"first_seen"`
	Held       bool        `json:"held"`
	Offered    bool        `json:"offered"`
	Tries      int         `json:"tries"`
	LastError  string      `json:"last_error"`
	Job        ident.JobID `json:"job"`
}

func renderUpdate(u patch.Update) Update {
	return Update{Source: u.Source, Package: u.Package, Installed: u.Installed, Available: u.Version, Kind: string(u.Kind), Severity: u.Severity,
		State: u.State, Word: view.WordOf(u.State), Reason: words(u.Reason), ReasonCode: u.Reason.Code, Since: stamp(u.Since), FirstSeen: stamp(u.FirstSeen),
		Held: u.Held, Offered: u.Offered, Tries: u.Tries, LastError: u.LastError, Job: u.Job}
}

type actorJSON struct {
	Kind ident.ActorKind `json:"kind"`
	ID   string          `json:"id"`
	Name string          `json:"name"`
}

func renderActor(a ident.Actor) actorJSON { return actorJSON{a.Kind, a.ID, a.Name} }

// whyIn is the body of an action that says why.
type whyIn struct {
	Body struct {
		Reason string `json:"reason" minLength:"1" maxLength:"1000"`
	}
}

type noneIn struct{}

type okOut struct {
	Body struct {
		OK bool `json:"ok"`
	}
}

func okay() *okOut {
	out := &okOut{}
	out.Body.OK = true
	return out
}
