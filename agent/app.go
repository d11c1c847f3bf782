package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"time"

	"github.com/steward-rmm/steward/agent/identity"
	"github.com/steward-rmm/steward/agent/runner"
	"github.com/steward-rmm/steward/agent/spool"
	"github.com/steward-rmm/steward/agent/telemetry"
	"github.com/steward-rmm/steward/agent/transport"
	"github.com/steward-rmm/steward/proto/wire"
)

// Options of an App.
type Options struct {
	Dir      string // the data directory
	Version  string
	Settings Settings
	Log      *slog.Logger
	Now      func() time.Time                                            // nil: the clock
	Dial     func(ctx context.Context, address string) (net.Conn, error) // nil: the network
	Hook     func(point string)                                          // of the journal, see spool.Options; nil but in tests
}

// App is the running agent.
type App struct {
	o       Options
	lock    *os.File
	id      *identity.Identity
	journal *spool.Journal
	machine *machine

	client   *transport.Client
	runner   *runner.Runner
	scanner  *scanner
	reporter *reporter
	teller   *teller
	actors   *actors
}

// New opens the data directory and wires the rooms. It is ErrRunning when
// another agent works there, and identity.ErrNotEnrolled when there is no
// device. Call Stop also when Start was not called.
func New(o Options) (_ *App, err error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	a := &App{o: o, machine: newMachine()}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.close())
		}
	}()
	if a.id, err = identity.Open(Vault(o.Dir)); err != nil {
		return nil, err
	}
	if a.lock, err = takeLock(o.Dir); err != nil {
		return nil, err
	}
	if a.journal, err = spool.Open(o.Dir, spool.Options{Hook: o.Hook}); err != nil {
		return nil, err
	}
	if aside := a.journal.SetAside(); aside != "" {
		o.Log.Error("the journal was damaged; a new one begins, and the server asks for everything", "kept", aside)
	}
	for _, why := range o.Settings.Ignored {
		o.Log.Warn("a setting is ignored", "why", why)
	}
	return a, a.wire()
}

// wire makes the rooms and what connects them.
func (a *App) wire() (err error) {
	o, facts := a.o, a.id.Facts()
	a.scanner = &scanner{journal: a.journal, collector: newCollector(o.Now), machine: a.machine, now: o.Now, log: o.Log.With("actor", "scanner"), want: make(chan string, 1)}
	a.reporter = &reporter{
		journal: a.journal, collector: telemetry.New(telemetry.Options{}), now: o.Now,
		log: o.Log.With("actor", "reporter"), changed: make(chan struct{}, 1), every: wire.DefaultReportInterval,
	}
	if s, err := a.journal.Server(); err == nil && s.Settings.ReportInterval > 0 {
		a.reporter.every = max(s.Settings.ReportInterval, wire.MinReportInterval)
	}
	if a.client, err = transport.New(transport.Options{
		Identity: a.id, Journal: a.journal, Version: o.Version, Machine: a.machine.Facts, Now: o.Now, Boot: a.machine.BootClock,
		Dial: o.Dial, Missing: a.missing, Interval: a.reporter.set, Log: o.Log.With("actor", "transport"),
	}); err != nil {
		return err
	}
	sources, err := machineSources(o.Settings, o.Now)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSettings, err)
	}
	if a.runner, err = runner.New(runner.Options{
		Journal: a.journal, Sources: sources, Keys: a.id, Starter: starter{a.client}, Machine: a.machine,
		Device: facts.Device, Tenant: facts.Tenant, Local: o.Settings.Local, Now: o.Now,
		Jitter: func(d time.Duration) time.Duration { return time.Duration(rand.Float64() * float64(d)) },
		Log:    o.Log.With("actor", "runner"),
	}); err != nil {
		return err
	}
	a.teller = &teller{
		dir: o.Dir, version: o.Version, ignored: o.Settings.Ignored, identity: a.id, journal: a.journal, client: a.client,
		now: o.Now, log: o.Log.With("actor", "status"), ended: func() { a.scanner.soon("job") },
	}
	return nil
}

// missing asks for a scan of what the server wants and the journal has not.
func (a *App) missing(sections []wire.Section) {
	for _, s := range sections {
		switch s {
		case wire.SectionSoftware, wire.SectionUpdates, wire.SectionSources:
			a.runner.ScanSoon("wanted")
		default:
			a.scanner.soon("wanted")
		}
	}
}

// Start looks at the machine once, for the first Hello, and starts the actors:
// transport, runner, scanner, reporter, status.
func (a *App) Start(ctx context.Context) error {
	if err := a.scanner.runOnce(ctx, a.o.Now(), "start"); err != nil {
		return fmt.Errorf("inventory: %w", err)
	}
	retired := func(err error) bool { return errors.Is(err, transport.ErrRetired) }
	a.actors = startActors(a.o.Log, retired,
		actor{"transport", a.client.Run},
		actor{"runner", a.runner.Run},
		actor{"scanner", a.scanner.run},
		actor{"reporter", a.reporter.run},
		actor{"status", a.teller.run},
	)
	return nil
}

// Done is closed when the agent ended by itself: its device was retired, and
// Err says so.
func (a *App) Done() <-chan struct{} { return a.actors.done }

// Err returns why the agent ended by itself.
func (a *App) Err() error {
	a.actors.mu.Lock()
	defer a.actors.mu.Unlock()
	return a.actors.final
}

// Stop ends the actors, waits for them until ctx ends, and closes the journal.
// An actor that does not stop is named in the error, and the journal stays open
// for it: a package manager may be at work that must not be killed.
func (a *App) Stop(ctx context.Context) error {
	if a.actors != nil {
		if err := a.actors.stop(ctx); err != nil {
			return err
		}
	}
	return a.close()
}

func (a *App) close() error {
	var errs []error
	if a.journal != nil {
		errs = append(errs, a.journal.Close())
	}
	if a.lock != nil {
		errs = append(errs, a.lock.Close())
	}
	return errors.Join(errs...)
}
