package console

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/steward-rmm/steward/server/auth"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/pki"
)

type addBody struct {
	Customers   []addCustomer // when none is chosen yet
	Sites       []fleet.Site
	String      string // shown once
	Agents      string
	Enrollment  pki.Enrollment
	Steps       []addStep
	Came        []fleet.Device
	Open        []openEnrollment
	Path        string
	First       bool
	Live        string
	Problem     *problem
	Uses, Hours int
	Zone        string
}

type addCustomer struct{ Name, Href string }

type openEnrollment struct {
	pki.Enrollment
	State mark
}

type addStep struct{ Name, Text, Class string }

// add asks for whom, then where and for how many.
func (c *Console) add(f *frame) error {
	b := addBody{Uses: 1, Hours: 24}
	if f.tenant.ID == "" {
		scope := auth.Scope(f.who, auth.EnrollmentCreate)
		for _, t := range f.customers() {
			if scope.Has(t.ID) {
				b.Customers = append(b.Customers, addCustomer{t.Name, tenantPath(t.ID, "add")})
			}
		}
		if len(b.Customers) == 1 {
			http.Redirect(f.w, f.r, b.Customers[0].Href, http.StatusSeeOther)
			return nil
		}
		return c.showAdd(f, http.StatusOK, b)
	}
	if err := c.fillAdd(f, &b); err != nil {
		return err
	}
	return c.showAdd(f, http.StatusOK, b)
}

func (c *Console) showAdd(f *frame, status int, b addBody) error {
	return f.answer(status, "add", page{Title: "Add a device", Nav: "devices", Live: b.Live, Body: b, Crumbs: []crumb{{"Devices", f.At("devices")}, {"Add", ""}}})
}

func (c *Console) fillAdd(f *frame, b *addBody) error {
	b.Path, b.Agents = tenantPath(f.tenant.ID, "add"), c.o.Agents
	sites, err := c.o.Customers.Sites(f.ctx(), f.tenant.ID)
	if err != nil {
		return err
	}
	b.Sites = sites
	list, err := c.o.Enrollments.List(f.ctx(), f.scopeOf(auth.EnrollmentRead))
	if err != nil {
		return err
	}
	for _, e := range list {
		if !e.RevokedAt.IsZero() || f.now.After(e.ExpiresAt) || e.Used >= e.Uses {
			continue
		}
		b.Open = append(b.Open, openEnrollment{e, mark{"circle-check", "open", "good"}})
	}
	for _, t := range f.customers() {
		if t.ID == f.tenant.ID {
			b.First = t.Devices == 0
		}
	}
	return nil
}

// createEnrollment makes the string and shows it: it cannot be shown again.
func (c *Console) createEnrollment(f *frame) error {
	var b addBody
	var err error
	d := pki.Draft{Site: ident.SiteID(f.field("site")), Class: f.field("class"), Tags: tagsOf(f.field("tags"))}
	d.Uses, err = strconv.Atoi(f.field("uses"))
	hours, herr := strconv.Atoi(f.field("hours"))
	d.Lasts = time.Duration(hours) * time.Hour
	if err != nil || herr != nil || d.Uses < 1 || hours < 1 {
		err = fault.Invalidf("uses", "how many devices, and for how many hours, are whole numbers from 1 on")
	}
	if err == nil {
		b.Enrollment, b.String, err = c.o.Enrollments.Create(f.ctx(), f.tenant.ID, f.who.Actor, d, f.now)
	}
	if ferr := c.fillAdd(f, &b); ferr != nil {
		return ferr
	}
	b.Uses, b.Hours = max(d.Uses, 1), max(hours, 1)
	if err != nil {
		p, status, ok := problemOf(err)
		if !ok {
			return err
		}
		b.Problem = p
		return c.showAdd(f, status, b)
	}
	b.Live = tenantPath(f.tenant.ID, "add", string(b.Enrollment.ID), "live")
	b.Steps = addSteps(f, b.Enrollment, nil)
	return c.showAdd(f, http.StatusOK, b)
}

func tagsOf(s string) []string {
	tags := strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
	slices.Sort(tags)
	return slices.Compact(tags)
}

// addSteps is how far the devices of a string are.
func addSteps(f *frame, e pki.Enrollment, came []fleet.Device) []addStep {
	ends := f.stamps()
	steps := []addStep{{"String made", "good until " + full(e.ExpiresAt, ends.loc, f.now), "done"}, {"Device knocks", "it checks this server's fingerprint first", "now"},
		{"First inventory", "hardware, software, open updates", ""}, {"Ready", "you see its health and what it lacks", ""}}
	if len(came) > 0 {
		steps[1] = addStep{"Device came", plural(len(came), "device", "devices") + " of " + num(max(e.Uses, len(came))) + ", each with a key of its own", "done"}
		steps[2].Class = "now"
	}
	if slices.ContainsFunc(came, func(d fleet.Device) bool { return d.State == fleet.Active }) {
		steps[2].Class, steps[3].Class = "done", "done"
	}
	return steps
}

func (c *Console) addLive(f *frame) error {
	id := ident.EnrollmentID(f.r.PathValue("enrollment"))
	return f.stream(feed{topics: []string{fleet.DevicesTopic(f.tenant.ID)}, every: time.Second, next: differences(func(ctx context.Context) (pieces, error) {
		list, err := c.o.Enrollments.List(ctx, f.scopeOf(auth.EnrollmentRead))
		if err != nil {
			return nil, err
		}
		at := slices.IndexFunc(list, func(e pki.Enrollment) bool { return e.ID == id && e.Tenant == f.tenant.ID })
		if at < 0 {
			return nil, fault.NotFoundf("no such enrollment")
		}
		devices, err := c.o.Devices.Devices(ctx, f.tenant.ID)
		if err != nil {
			return nil, err
		}
		b := addBody{Enrollment: list[at]}
		for _, d := range devices {
			if d.Enrollment == id {
				b.Came = append(b.Came, d)
			}
		}
		b.Steps = addSteps(f, b.Enrollment, b.Came)
		html, err := f.part("add", "p-waiting", page{Body: b})
		return pieces{"waiting": html}, err
	})})
}

func (c *Console) revokeEnrollment(f *frame) error {
	if err := c.o.Enrollments.Revoke(f.ctx(), f.tenant.ID, f.who.Actor, ident.EnrollmentID(f.r.PathValue("enrollment")), f.now); err != nil {
		return err
	}
	return f.to(tenantPath(f.tenant.ID, "add"), "The string is withdrawn. Devices that came with it stay.")
}
