package server

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/pki"
)

// The tenant, the owner and the enrollment of --dev.
const (
	devTenant     ident.TenantID = "home"
	devOwner                     = "owner@localhost.localdomain"
	devEnrollment                = "dev-enrollment"
	devUses                      = 100
	devLasts                     = 30 * 24 * time.Hour
)

// PrepareDev makes a server for one's own machine where there is none.
func PrepareDev(ctx context.Context, d Data, now time.Time, log *slog.Logger) error {
	if _, err := Init(ctx, d, devOwner, "", now, log); err != nil && !fault.Is(err, fault.Conflict) {
		return err
	}
	return nil
}

// Dev makes tenant home, live, and its enrollment string in DIR/dev-enrollment,
// and returns a link that signs the owner in without a password.
func (a *App) Dev(ctx context.Context) (link string, err error) {
	now, by := a.now(), ident.Steward("dev")
	zone := localZone()
	err = a.fleet.CreateTenant(ctx, now, by, fleet.Tenant{ID: devTenant, Name: "Home", TimeZone: zone, Mode: fleet.Live})
	if err != nil && !fault.Is(err, fault.Conflict) {
		return "", err
	}
	if err := a.devEnrollment(ctx, now, by); err != nil {
		return "", err
	}
	secret, err := a.base.auth.DevLink(ctx, now)
	if err != nil {
		return "", err
	}
	return signInURL(a.consoleURL, secret), nil
}

// devEnrollment keeps the string that is there while it is good and names this
// server, and makes another otherwise.
func (a *App) devEnrollment(ctx context.Context, now time.Time, by ident.Actor) error {
	file := filepath.Join(a.cfg.Data.Dir, devEnrollment)
	enrollments := pki.NewEnrollments(pki.EnrollmentOptions{Store: a.base.store.PKI(), Audit: a.base.audit, Address: a.agentsAddress(), RootSPKI: a.base.keys.RootSPKI()})
	text, err := os.ReadFile(file)
	if err == nil {
		if good, err := a.stillGood(ctx, now, strings.TrimSpace(string(text))); err != nil || good {
			return err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	_, fresh, err := enrollments.Create(ctx, devTenant, by, pki.Draft{Site: ident.MainSite, Uses: devUses, PerMinute: devUses, Lasts: devLasts}, now)
	if err != nil {
		return err
	}
	return os.WriteFile(file, []byte(fresh+"\n"), 0o600)
}

func (a *App) stillGood(ctx context.Context, now time.Time, text string) (bool, error) {
	parsed, err := wire.ParseEnrollment(text)
	if err != nil || parsed.Address != a.agentsAddress() {
		return false, nil // it is replaced
	}
	e, err := a.base.store.PKI().ByHash(ctx, pki.TokenHash(parsed.Token))
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	return err == nil && pki.Decide(now, e, nil) == nil, err
}

// agentsAddress is what enrollment strings name.
func (a *App) agentsAddress() string {
	if a.cfg.PublicAgents != "" {
		return a.cfg.PublicAgents
	}
	return a.agents.Addr().String()
}

// agentAddresses are all that the server's certificate names.
func (a *App) agentAddresses() []string {
	return []string{a.agentsAddress(), a.agents.Addr().String()}
}

// localZone is this machine's time zone by name, or UTC.
func localZone() string {
	if target, err := os.Readlink("/etc/localtime"); err == nil {
		if _, zone, found := strings.Cut(target, "zoneinfo/"); found && fleet.CheckZone("time_zone", zone) == nil {
			return zone
		}
	}
	return "UTC"
}
