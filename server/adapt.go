package server

import (
	"context"
	"crypto/ed25519"
	"time"

	"github.com/steward-rmm/steward/server/audit"
	"github.com/steward-rmm/steward/server/auth"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/pki"
)

// recorder lets auth write the record.
type recorder struct{ audit *audit.Service }

// Record implements auth.Recorder.
func (r recorder) Record(ctx context.Context, now time.Time, by ident.Actor, action string, o auth.Object, why string, detail map[string]string) error {
	tenant := o.Tenant
	if tenant == "" {
		tenant = ident.MSP
	}
	return r.audit.Record(ctx, audit.Entry{Tenant: tenant, At: now, Actor: by, Action: action,
		Object: audit.Object{Kind: o.Kind, ID: o.ID, Name: o.Name}, Reason: why, Detail: detail})
}

// jobKeys gives job the key of a tenant that is valid now.
type jobKeys struct {
	keys *pki.Keys
}

// JobKey implements job.Keys: the version that is valid now.
func (k jobKeys) JobKey(tenant ident.TenantID) (ed25519.PrivateKey, int) {
	return k.keys.JobKey(tenant, jobKeyVersion), jobKeyVersion
}

// jobKeyVersion is the one version of job keys that this release makes.
const jobKeyVersion = 1
