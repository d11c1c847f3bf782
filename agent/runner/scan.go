package runner

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/steward-rmm/steward/agent/source"
	"github.com/steward-rmm/steward/agent/spool"
	"github.com/steward-rmm/steward/proto/wire"
)

// view is what a source showed when it was last asked.
type view struct {
	here      bool
	why       string // it is not here, or failed
	code      source.Code
	at        time.Time // of the last scan that worked
	scan      source.Scan
	installed []source.Installed
}

// scan asks the named sources, or all of them, and tells what they show. With
// network it lets them fetch their lists first, where the server allows it.
func (r *Runner) scan(ctx context.Context, cause string, names []string, network bool) error {
	for _, s := range r.o.Sources {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if names == nil || slices.Contains(names, s.Name()) {
			r.look(ctx, s, network)
		}
	}
	if ctx.Err() != nil {
		return ctx.Err() // half a scan is none
	}
	return r.tell(cause)
}

// look asks one source and keeps its answer. A failure keeps the earlier
// answer with its time: what was there did not vanish by it.
func (r *Runner) look(ctx context.Context, s Source, network bool) {
	v := r.scans[s.Name()]
	if v == nil {
		v = &view{}
		r.scans[s.Name()] = v
	}
	v.code = ""
	if v.here, v.why = s.Available(ctx); !v.here {
		v.at, v.scan, v.installed = time.Time{}, source.Scan{}, nil
		return
	}
	err := r.refresh(ctx, s, network)
	scan, scanErr := s.Scan(ctx)
	if scanErr == nil {
		var installed []source.Installed
		if installed, scanErr = s.Installed(ctx); scanErr == nil {
			v.scan, v.installed, v.at = scan, installed, r.o.Now()
		}
	}
	if err = errors.Join(scanErr, err); err != nil && ctx.Err() == nil {
		v.code, v.why = source.CodeOf(err), err.Error()
		r.o.Log.Warn("a source did not answer", "source", s.Name(), "error", err)
	}
}

// refresh fetches a source's lists when that is wanted and allowed.
func (r *Runner) refresh(ctx context.Context, s Source, network bool) error {
	fetcher, can := s.(Refresher)
	if !network || !can {
		return nil
	}
	if ok, _ := r.o.Local.Source(s.Name()); !ok {
		return nil
	}
	asking, stop := context.WithTimeout(ctx, wire.MayStartTimeout)
	defer stop()
	allowed, retry, err := r.o.Starter.MayScan(asking, s.Name())
	switch {
	case err != nil:
		// Nobody answers: an agent without contact keeps its own pace.
	case !allowed:
		if at := r.o.Now().Add(max(retry, time.Minute)); r.fetchAt.IsZero() || at.Before(r.fetchAt) {
			r.fetchAt = at
		}
		return nil
	}
	return fetcher.Refresh(ctx)
}

// tell records what all sources showed last. The time of the sections is that
// of the newest scan; each source's own is a fact of the section of sources.
func (r *Runner) tell(cause string) error {
	now := r.o.Now()
	var updates, software, sources []wire.Item
	var seen []spool.Installed
	var newest time.Time
	for _, s := range r.o.Sources {
		v := r.scans[s.Name()]
		if v == nil {
			sources = append(sources, r.earlier(wire.SectionSources, s.Name())...)
		} else {
			sources = append(sources, SourceItem(s.Name(), v.here, v.why, v.code, v.at, v.scan))
		}
		if v == nil || v.here && v.at.IsZero() {
			// It was not asked since the agent started, or never answered: what
			// it showed before still stands.
			updates = append(updates, r.earlier(wire.SectionUpdates, s.Name())...)
			software = append(software, r.earlier(wire.SectionSoftware, s.Name())...)
			continue
		}
		updates = append(updates, UpdateItems(v.scan.Updates)...)
		software = append(software, SoftwareItems(v.installed)...)
		for _, i := range v.installed {
			seen = append(seen, spool.Installed{Source: s.Name(), Package: i.Name, Version: i.Version})
		}
		if v.at.After(newest) {
			newest = v.at
		}
	}
	if err := r.o.Journal.RecordInstalled(seen); err != nil {
		return err
	}
	for _, section := range []struct {
		name  wire.Section
		items []wire.Item
	}{{wire.SectionSources, sources}, {wire.SectionSoftware, software}, {wire.SectionUpdates, updates}} {
		if _, err := r.o.Journal.RecordInventory(now, section.name, section.items, newest, cause); err != nil {
			return err
		}
	}
	return nil
}

// earlier returns a source's items of the last picture told.
func (r *Runner) earlier(section wire.Section, name string) (items []wire.Item) {
	all, err := r.o.Journal.Picture(section)
	if err != nil {
		r.o.Log.Warn("the last picture cannot be read", "section", section, "error", err)
	}
	for _, it := range all {
		if it.Facts[wire.FactSource] == name || section == wire.SectionSources && it.Key == name {
			items = append(items, it)
		}
	}
	return items
}

// installedVersion returns the version of a package that a scan shows, "" when
// it is not installed. Where a name is installed for several architectures and
// the package names none, the offered one counts, then the lowest.
func (v *view) installedVersion(pkg string, compare func(a, b string) int) string {
	lowest := ""
	for _, i := range v.installed {
		if i.Name == pkg || i.Arch != "" && i.Name+":"+i.Arch == pkg {
			if lowest == "" || compare(i.Version, lowest) < 0 {
				lowest = i.Version
			}
		}
	}
	if u, offered := v.update(pkg); offered && u.Installed != "" {
		return u.Installed
	}
	return lowest
}

// update returns what a scan offers for a package.
func (v *view) update(pkg string) (source.Update, bool) {
	for _, u := range v.scan.Updates {
		if u.Package == pkg {
			return u, true
		}
	}
	return source.Update{}, false
}

// held lists the packages that a scan shows as pinned.
func (v *view) held() (names []string) {
	for _, u := range v.scan.Updates {
		if u.Held {
			names = append(names, u.Package)
		}
	}
	return names
}
