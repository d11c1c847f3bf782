package console

import (
	"context"
	"strings"
	"time"

	"github.com/steward-rmm/steward/server/auth"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
)

type actBody struct {
	Do, Verb, Effect string
	Devices          []fleet.Device
	Back             string
	Danger           bool
}

// actionsOnDevices are what the bulk bar and a device's settings offer.
func actionsOnDevices(do string) (actBody, bool) {
	b, ok := map[string]actBody{
		"revoke":  {Verb: "Revoke", Effect: "They are cut off at once and get no jobs. Their inventory and history stay. They can be readmitted.", Danger: true},
		"readmit": {Verb: "Readmit", Effect: "They may connect again with the key they have."},
		"retire":  {Verb: "Retire", Effect: "This is final: the key never returns. To come back, a device is enrolled anew. History stays.", Danger: true},
	}[do]
	b.Do = do
	return b, ok
}

// chosen reads "tenant/device" values and checks the right for each tenant.
func (c *Console) chosen(f *frame, values []string) ([]fleet.Device, error) {
	if len(values) == 0 || len(values) > 500 {
		return nil, fault.Invalidf("id", "no device is selected").WithNext("go back and select 1 to 500")
	}
	var out []fleet.Device
	for _, v := range values {
		tenant, id, _ := strings.Cut(v, "/")
		if err := auth.Authorize(f.who, auth.DeviceManage, ident.TenantID(tenant)); err != nil {
			return nil, err
		}
		d, err := c.o.Devices.Device(f.ctx(), ident.TenantID(tenant), ident.DeviceID(id))
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

// askDevices is the page between the bulk bar and its effect.
func (c *Console) askDevices(f *frame) error {
	b, ok := actionsOnDevices(f.r.URL.Query().Get("do"))
	if !ok {
		return fault.NotFoundf("no such action")
	}
	var err error
	if b.Devices, err = c.chosen(f, f.r.URL.Query()["id"]); err != nil {
		return err
	}
	b.Back = "/devices"
	if len(b.Devices) == 1 {
		b.Back = devicePath(b.Devices[0].Tenant, b.Devices[0].ID)
	}
	title := b.Verb + " " + plural(len(b.Devices), "device", "devices")
	return f.show("act", page{Title: title, Nav: "devices", Crumbs: []crumb{{"Devices", "/devices"}, {title, ""}}, Body: b})
}

func (c *Console) actDevices(f *frame) error {
	b, ok := actionsOnDevices(f.field("do"))
	if !ok {
		return fault.NotFoundf("no such action")
	}
	why, err := f.why()
	if err != nil {
		return err
	}
	devices, err := c.chosen(f, f.r.PostForm["id"])
	if err != nil {
		return err
	}
	act := map[string]func(context.Context, time.Time, ident.Actor, ident.TenantID, ident.DeviceID, string) (fleet.Device, error){
		"revoke": c.o.Devices.Revoke, "readmit": c.o.Devices.Readmit, "retire": c.o.Devices.Retire}[b.Do]
	for i, d := range devices {
		if _, err := act(f.ctx(), f.now, f.who.Actor, d.Tenant, d.ID, why); err != nil {
			if text, _, ok := spoken(err); ok {
				return fault.Conflictf("%s: %s %s were done before it", d.Hostname, strings.TrimSuffix(text, "."), num(i)).WithCause(err)
			}
			return err
		}
	}
	to := "/devices"
	if len(devices) == 1 {
		to = devicePath(devices[0].Tenant, devices[0].ID)
	}
	return f.to(to, b.Verb+": "+plural(len(devices), "device", "devices")+".")
}
