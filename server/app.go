package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/steward-rmm/steward/server/api"
	"github.com/steward-rmm/steward/server/apply"
	"github.com/steward-rmm/steward/server/console"
	"github.com/steward-rmm/steward/server/deployment"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/gateway"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/inventory"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/loop"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/pki"
	"github.com/steward-rmm/steward/server/policy"
	"github.com/steward-rmm/steward/server/session"
	"github.com/steward-rmm/steward/server/telemetry"
	"github.com/steward-rmm/steward/server/view"
	"github.com/steward-rmm/steward/server/wake"
)

// Config is what serve was told.
type Config struct {
	Data         Data
	Agents       string // host:port for agents
	Console      string // host:port for people and scripts
	PublicAgents string // host:port that enrollment strings name; "" is Agents as bound
	ConsoleURL   string // "" is made from Console as bound
	TLSCert      string // with TLSKey: the console speaks TLS
	TLSKey       string
	BehindProxy  []netip.Prefix // whose X-Forwarded-For and -Proto are believed
	Dev          bool
	Version      string
	Log          *slog.Logger
	Hook         func(point string) // nil; tests end the process at named points
}

// App is a running server.
type App struct {
	cfg      Config
	now      func() time.Time
	cleanups []cleanup // run last to first by Stop

	base       *foundation
	hub        *wake.Hub
	registry   *prometheus.Registry
	fleet      *fleet.Service
	policy     *policy.Service
	patch      *patch.Service
	jobs       *job.Service
	deploy     *deployment.Service
	samples    *telemetry.Service
	sessions   *session.Service
	gateway    *gateway.Gateway
	handler    http.Handler
	loops      *loop.Group
	agents     net.Listener
	people     net.Listener
	consoleURL string
	failed     chan error // a listener that ended by itself

	stopping sync.Once
}

type cleanup struct {
	name string
	run  func(ctx context.Context) error
}

func (a *App) onStop(name string, run func(ctx context.Context) error) {
	a.cleanups = append(a.cleanups, cleanup{name, run})
}

// New opens the data, builds every room and binds the listeners, so that a
// wrong address fails here; Start lets them be served. It is one straight
// function on purpose: who is made of what is read from top to bottom.
func New(ctx context.Context, cfg Config) (app *App, err error) {
	a := &App{cfg: cfg, now: time.Now, hub: &wake.Hub{}, registry: prometheus.NewRegistry(), failed: make(chan error, 2)}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Stop(ctx))
		}
	}()
	log := cfg.Log
	a.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	a.base, err = cfg.Data.open(ctx, openOptions{exclusive: true, log: log, registerer: a.registry, hook: cfg.Hook})
	if err != nil {
		return nil, err
	}
	db, keys, record := a.base.store, a.base.keys, a.base.audit
	a.onStop("store", func(context.Context) error { return db.Close() })

	if a.agents, err = gateway.Listen(ctx, cfg.Agents); err != nil {
		return nil, fmt.Errorf("listen for agents on %s: %w", cfg.Agents, err)
	}
	a.onStop("agents' listener", closing(a.agents))
	if a.people, err = gateway.Listen(ctx, cfg.Console); err != nil {
		return nil, fmt.Errorf("listen for people on %s: %w", cfg.Console, err)
	}
	a.onStop("console's listener", closing(a.people))
	if err := a.nameItself(ctx); err != nil {
		return nil, err
	}
	if err := keys.Maintain(a.now(), a.agentAddresses()); err != nil {
		return nil, fmt.Errorf("certificates: %w", err)
	}

	a.fleet = fleet.New(fleet.Options{Tenants: db.Fleet(), Devices: db.Fleet(), Tx: db.Tx, After: db.After, Audit: record, Wake: a.hub, Log: log,
		Changed: func(tenant ident.TenantID) { a.deploy.Dirty(tenant) }})
	pictures := inventory.New(inventory.Options{Store: db.Inventory(), Catalogue: db.Inventory(), Tx: db.Tx})
	a.policy = policy.New(policy.Options{Store: db.Policy(), Tx: db.Tx, After: db.After, Audit: record, Wake: a.hub})
	if a.samples, err = telemetry.New(db.Samples(), telemetry.Options{Logger: log, Registerer: a.registry}); err != nil {
		return nil, err
	}
	a.onStop("samples", func(context.Context) error { a.samples.Close(); return nil })
	a.patch = patch.New(patch.Options{Store: db.Patch(), Scans: pictures, Policies: a.policy, Devices: a.fleet, Tx: db.Tx, After: db.After, Wake: a.hub,
		Changed: func(tenant ident.TenantID) { a.deploy.Dirty(tenant) }})
	a.jobs = job.New(job.Options{Store: db.Job(), Runs: db.Job(), Logs: db.Job(), Reads: db.Job(), Scans: pictures, Tx: db.Tx, After: db.After,
		Wake: a.hub, Audit: record, Keys: jobKeys{keys}, Moved: a.jobMoved, Log: log, Registerer: a.registry})
	a.deploy = deployment.New(deployment.Options{Store: db.Deployments(), Lists: db.Deployments(), Fleet: a.fleet, Policies: a.policy, Inventory: pictures,
		Updates: a.patch, Jobs: a.jobs, Tx: db.Tx, After: db.After, Audit: record, Wake: a.hub, Log: log, Registerer: a.registry})
	a.jobs.SetGatekeeper(a.deploy)
	enrollments := pki.NewEnrollments(pki.EnrollmentOptions{Store: db.PKI(), Audit: record, Address: a.agentsAddress(), RootSPKI: keys.RootSPKI()})
	a.sessions = session.New(session.Options{Store: db.Session(), Fleet: a.fleet, Keys: keys, Enrollments: enrollments, Inventory: pictures, Patches: a.patch,
		Jobs: a.jobs, Samples: a.samples, Audit: record, Tx: db.Tx, Wake: a.hub, Log: log, Registerer: a.registry, Epoch: a.base.epoch})
	documents := apply.New(apply.Options{Fleet: a.fleet, Policies: a.policy, Updates: a.patch, Catalogue: pictures, Tx: db.Tx})
	views := view.New(view.Options{Store: db.View(), Fleet: a.fleet, Inventory: pictures, Policies: a.policy, Updates: a.patch, Deployments: a.deploy,
		Samples: a.samples, Record: record})

	a.gateway = gateway.New(gateway.Options{Session: a.sessions, Keys: keys, Now: a.now, Log: log})
	people := a.base.auth
	scripts := api.New(api.Options{Auth: people, People: people, Fleet: a.fleet, View: views, Policies: a.policy, Apply: documents, Deployments: a.deploy,
		Planner: a.deploy, Jobs: a.jobs, Samples: a.samples, Enrollments: enrollments, Audit: record, Wake: a.hub, Version: cfg.Version, Now: a.now, Log: log,
		Link: func(secret string) string { return a.consoleURL + "/link/" + secret }})
	pages, err := console.New(console.Options{SignIns: people, People: people, Tokens: people, Customers: a.fleet, Devices: a.fleet, Views: views, Rows: views,
		Policies: a.policy, Jobs: a.jobs, Deployments: a.deploy, Control: a.deploy, Answers: a.deploy, Samples: a.samples, Record: record,
		Enrollments: enrollments, Applier: documents, Wake: a.hub, Now: a.now, Log: log, URL: a.consoleURL, Agents: a.agentsAddress(), Version: cfg.Version})
	if err != nil {
		return nil, err
	}
	a.handler = a.front(scripts, pages)

	if err := a.fleet.Load(ctx); err != nil {
		return nil, fmt.Errorf("load devices: %w", err)
	}
	a.sessions.Expect(a.now(), a.fleet.Online())
	if err := a.samples.Refill(ctx); err != nil {
		return nil, fmt.Errorf("latest samples: %w", err)
	}
	return a, nil
}

// nameItself finds the address people use: as told, as told to init, or as bound.
func (a *App) nameItself(ctx context.Context) error {
	stored, _, err := a.base.store.Meta(ctx, metaConsoleURL)
	if err != nil {
		return err
	}
	scheme := "http"
	if a.cfg.TLSCert != "" {
		scheme = "https"
	}
	a.consoleURL = strings.TrimSuffix(a.cfg.ConsoleURL, "/")
	if a.consoleURL == "" && !a.cfg.Dev {
		a.consoleURL = strings.TrimSuffix(stored, "/")
	}
	if a.consoleURL == "" {
		a.consoleURL = scheme + "://" + a.people.Addr().String()
	}
	return nil
}

// jobMoved is told of each transition of a job inside its transaction.
func (a *App) jobMoved(ctx context.Context, now time.Time, j job.Job, from job.State) error {
	if err := a.deploy.JobMoved(ctx, now, j, from); err != nil {
		return err
	}
	if j.State == job.Unknown {
		if err := a.patch.Lost(ctx, now, j.Tenant, j.Device, j.ID); err != nil {
			return err
		}
	}
	a.base.store.After(ctx, func() {
		a.deploy.Dirty(j.Tenant)
		a.hub.Wake(session.DesiredTopic(j.Device))
	})
	return nil
}

// Start serves agents and people and starts the loops.
func (a *App) Start() error {
	group, err := loop.NewGroup(loop.Options{Log: a.cfg.Log, Registerer: a.registry})
	if err != nil {
		return err
	}
	a.loops = group
	a.onStop("loops", group.Stop)
	if err := group.Start(a.list()...); err != nil {
		return err
	}
	a.servePeople()
	a.serveAgents()
	return nil
}

// Stop ends what was started, the mirror of how it was made, and says what
// failed. It may be called again.
func (a *App) Stop(ctx context.Context) error {
	var errs []error
	a.stopping.Do(func() {
		for i := len(a.cleanups) - 1; i >= 0; i-- {
			c := a.cleanups[i]
			if err := c.run(ctx); err != nil {
				errs = append(errs, fmt.Errorf("stop %s: %w", c.name, err))
			}
		}
	})
	return errors.Join(errs...)
}

// Failed yields the error of a listener that ended by itself.
func (a *App) Failed() <-chan error { return a.failed }

// Addr are the addresses as bound: for agents, and for people and scripts.
func (a *App) Addr() (agents, people string) {
	return a.agents.Addr().String(), a.people.Addr().String()
}

// ConsoleURL is the address that people use.
func (a *App) ConsoleURL() string { return a.consoleURL }
