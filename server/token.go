package server

import (
	"context"
	"errors"
	"time"

	"github.com/steward-rmm/steward/server/auth"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
)

// CreateToken makes an API token on the server's machine, also while the server
// runs, and returns its plain text, which is shown once.
func CreateToken(ctx context.Context, d Data, name, role string, tenant ident.TenantID, now time.Time) (plain string, err error) {
	f, err := d.open(ctx, openOptions{})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.store.Close()) }()
	grants := auth.Everywhere(auth.Role(role))
	if tenant != "" {
		if err := checkTenant(ctx, f.store.Fleet(), tenant); err != nil {
			return "", err
		}
		grants = auth.InTenant(auth.Role(role), tenant)
	}
	_, secret, err := f.auth.CreateToken(ctx, now, auth.Local(), auth.NewToken{Name: name, Grants: grants})
	if err != nil {
		return "", err
	}
	return secret.Reveal(), nil
}

func checkTenant(ctx context.Context, s fleet.TenantStore, id ident.TenantID) error {
	all, err := s.Tenants(ctx)
	if err != nil {
		return err
	}
	for _, t := range all {
		if t.ID == id {
			return nil
		}
	}
	return fault.NotFoundf("there is no customer %q", id)
}
