package cli

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/steward-rmm/steward/server/fault"
)

// Jobs are the commands of the work of single devices.
type Jobs struct {
	List   jobsList   `cmd:"" help:"List jobs."`
	Show   jobsShow   `cmd:"" help:"A job with its results and its log."`
	Cancel jobsCancel `cmd:"" help:"Withdraw it; what runs on the device cannot be stopped."`
}

type jobsList struct {
	listing
	State      string `placeholder:"STATE" help:"Like running or failed."`
	Device     string `placeholder:"ID" help:"Of this device."`
	OfRun      string `placeholder:"ID" help:"Of this run." name:"run"`
	Deployment string `placeholder:"ID" help:"Of this deployment."`
}

func (c *jobsList) Run(x *call) error {
	return x.list(c.listing, "jobs", c.path("jobs"),
		query("state", c.State, "device", c.Device, "run", c.OfRun, "deployment", c.Deployment), x.jobColumns()...)
}

func (x *call) jobColumns() []column {
	return []column{
		id("ID", "id"), id("CUSTOMER", "tenant"), long("DEVICE", "hostname", "device"), text("KIND", "kind"), state("STATE", "state"),
		number("ATTEMPT", "attempt"), x.at("STARTED", "started_at"), x.at("FINISHED", "finished_at"), long("REASON", "reason"),
	}
}

type jobsShow struct {
	item
}

func (c *jobsShow) Run(x *call) error {
	p, err := x.find("job", c.ID)
	if err != nil {
		return err
	}
	raw, o, err := x.object("GET", p.path(), nil, nil)
	if err != nil {
		return err
	}
	log, err := x.jobLog(p, o)
	if err != nil {
		return err
	}
	if x.JSON {
		x.json(withLog(raw, log))
		return nil
	}
	s := stateCell(o.raw("state"))
	x.say("%s %s  %s  %s", x.paint(strong, o.str("kind")), o.str("id"), x.paint(s.tone, s.text), o.str("reason"))
	x.facts([2]string{"customer", o.str("tenant")}, [2]string{"device", o.first("hostname", "device")}, [2]string{"run", o.str("run")},
		[2]string{"attempt", o.str("attempt")}, [2]string{"not before", x.when(o.raw("not_before"))},
		[2]string{"deadline", x.when(o.raw("deadline"))}, [2]string{"started", x.when(o.raw("started_at"))},
		[2]string{"finished", x.when(o.raw("finished_at"))})
	if results := o.list("results"); len(results) > 0 {
		x.say("")
		x.objects(results, text("SOURCE", "source"), long("PACKAGE", "package"), text("FROM", "from"), text("TO", "to", "version"),
			state("RESULT", "state"), number("EXIT", "exit_code"), long("REASON", "reason"))
	}
	x.log(log)
	return nil
}

// jobLog is the log's parts: those of the job itself, or its own path's. A job
// that never ran has none.
func (x *call) jobLog(p place, o object) ([]json.RawMessage, error) {
	if _, there := o["log"]; there {
		return nil, nil
	}
	parts, err := x.all(p.path("log"), query())
	if fault.Is(err, fault.NotFound) {
		return nil, nil
	}
	return parts, err
}

// withLog adds the log to the job.
func withLog(raw json.RawMessage, log []json.RawMessage) json.RawMessage {
	body := bytes.TrimSuffix(bytes.TrimSpace(raw), []byte("}"))
	if len(log) == 0 || len(body) == len(raw) {
		return raw
	}
	list, err := json.Marshal(log)
	if err != nil {
		return raw
	}
	return fmt.Appendf(bytes.Clone(body), `,"log":%s}`, list)
}

// log prints what the device's package manager said.
func (x *call) log(parts []json.RawMessage) {
	if len(parts) == 0 {
		return
	}
	x.say("")
	x.say("%s", x.paint(strong, "LOG"))
	attempt := ""
	for _, raw := range parts {
		o, err := decode(raw)
		if err != nil {
			continue
		}
		if a := o.str("attempt"); a != attempt {
			attempt = a
			x.say("%s", x.paint(faint, strings.TrimSpace("attempt "+a+" "+x.when(cmp.Or(o.raw("at"), o.raw("time"))))))
		}
		for _, l := range lines(o.raw("text")) {
			x.say("%s", l)
		}
	}
}

type jobsCancel struct {
	item
	because
}

func (c *jobsCancel) Run(x *call) error { return x.act("job", c.ID, "cancel", c.Reason) }
