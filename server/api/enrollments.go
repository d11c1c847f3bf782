package api

import (
	"context"
	"time"

	"github.com/steward-rmm/steward/server/auth"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/pki"
	"github.com/steward-rmm/steward/server/policy"
)

// Enrollment lets devices in; its string is told once, when it is made.
type Enrollment struct {
	ID         ident.EnrollmentID `json:"id"`
	Tenant     ident.TenantID     `json:"tenant"`
	Site       ident.SiteID       `json:"site"`
	Class      string             `json:"class"`
	Tags       []string           `json:"tags"`
	Uses       int                `json:"uses"`
	Used       int                `json:"used"`
	PerMinute  int                `json:"per_minute"`
	ExpiresAt  *time.Time         `json:"expires_at"`
	MayInstall bool               `json:"may_install"`
	CreatedBy  actorJSON          `json:"created_by"`
	CreatedAt  *time.Time         `json:"created_at"`
	RevokedAt  *time.Time         `json:"revoked_at"`
}

func renderEnrollment(e pki.Enrollment) Enrollment {
	return Enrollment{e.ID, e.Tenant, e.Site, e.Class, filled(e.Tags), e.Uses, e.Used, e.PerMinute, stamp(e.ExpiresAt), e.MayInstall,
		renderActor(e.CreatedBy), stamp(e.CreatedAt), stamp(e.RevokedAt)}
}

type enrollmentMadeJSON struct {
	Enrollment
	String string `json:"string" doc:"the enrollment string; it cannot be shown again"`
}

type enrollmentIn struct {
	Body struct {
		Site       string   `json:"site,omitempty" maxLength:"63"`
		Class      string   `json:"class,omitempty" maxLength:"20"`
		Tags       []string `json:"tags,omitempty" maxItems:"100"`
		Uses       int      `json:"uses,omitempty"`
		PerMinute  int      `json:"per_minute,omitempty"`
		Expires    string   `json:"expires,omitempty" maxLength:"20" doc:"a duration such as 24h or 7d"`
		MayInstall bool     `json:"may_install,omitempty" doc:"jobs may install new packages from the device's own list"`
	}
}

func (a *api) enrollments() {
	both(a, "enrollments", auth.EnrollmentRead, false, "Enrollments, newest first", a.listEnrollments)
	register(a, Route{Method: "POST", Path: "/tenants/{tenant}/enrollments", Action: auth.EnrollmentCreate, Creates: true, Status: 201, Summary: "Let devices in"}, a.createEnrollment)
	register(a, Route{Method: "POST", Path: "/tenants/{tenant}/enrollments/{id}/revoke", Action: auth.EnrollmentCreate, Summary: "End an enrollment"}, a.revokeEnrollment)
}

func (a *api) listEnrollments(ctx context.Context, c *caller, in *ListIn) (*pageOut[Enrollment], error) {
	list, err := a.o.Enrollments.List(ctx, c.scope)
	if err != nil {
		return nil, err
	}
	seen := list[:0:0]
	for _, e := range list {
		if c.scope.HasSite(e.Tenant, e.Site) {
			seen = append(seen, e)
		}
	}
	return whole(in, seen, func(e pki.Enrollment) string { return string(e.ID) }, renderEnrollment)
}

func (a *api) createEnrollment(ctx context.Context, c *caller, in *enrollmentIn) (*bodyOut[enrollmentMadeJSON], error) {
	b := in.Body
	d := pki.Draft{Site: ident.SiteID(b.Site), Class: b.Class, Tags: b.Tags, Uses: b.Uses, PerMinute: b.PerMinute, MayInstall: b.MayInstall}
	if b.Expires != "" {
		lasts, err := policy.ParseDuration(b.Expires)
		if err != nil {
			return nil, fault.Invalidf("expires", "this is no duration").WithNext("write 30m, 24h or 7d")
		}
		d.Lasts = time.Duration(lasts)
	}
	e, text, err := a.o.Enrollments.Create(ctx, c.tenant, c.Actor, d, c.now)
	if fault.Is(err, fault.NotFound) { // the tenant is there: its site is not
		err = fault.Invalidf("site", "the customer has no such site")
	}
	if err != nil {
		return nil, err
	}
	return &bodyOut[enrollmentMadeJSON]{enrollmentMadeJSON{renderEnrollment(e), text}}, nil
}

func (a *api) revokeEnrollment(ctx context.Context, c *caller, _ *noneIn) (*okOut, error) {
	return okay(), a.o.Enrollments.Revoke(ctx, c.tenant, c.Actor, ident.EnrollmentID(c.id), c.now)
}
