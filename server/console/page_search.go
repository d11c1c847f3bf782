package console

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/steward-rmm/steward/server/auth"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/view"
)

// search opens what an id names, else the devices that match the words.
func (c *Console) search(f *frame) error {
	q := strings.TrimSpace(f.r.URL.Query().Get("q"))
	to := f.At("devices")
	if q != "" {
		to += "?" + url.Values{"filter": {q}}.Encode()
	}
	if ident.ValidID(q) {
		kind, tenant, err := c.o.Views.Lookup(f.ctx(), f.scopeOf(auth.ViewRead), q)
		if err != nil {
			return err
		}
		switch kind {
		case view.KindDevice:
			to = devicePath(tenant, ident.DeviceID(q))
		case view.KindJob:
			to = tenantPath(tenant, "jobs", q)
		case view.KindDeployment:
			to = tenantPath(tenant, "deployments", q)
		case view.KindEnrollment:
			to = tenantPath(tenant, "add")
		default:
			to = tenantPath(tenant)
		}
	}
	http.Redirect(f.w, f.r, to, http.StatusSeeOther)
	return nil
}
