package cli

import (
	"encoding/json"
	"strings"

	"github.com/steward-rmm/steward/server/fault"
)

// Devices are the commands of enrolled computers.
type Devices struct {
	List    devicesList    `cmd:"" help:"List devices."`
	Show    devicesShow    `cmd:"" help:"A device with its updates."`
	Why     devicesWhy     `cmd:"" help:"Why its updates are not installed, and what to do."`
	Samples devicesSamples `cmd:"" help:"What was measured."`
	Revoke  devicesRevoke  `cmd:"" help:"Let it connect no more, until it is readmitted."`
	Readmit devicesReadmit `cmd:"" help:"Let a revoked or doubtful device connect again."`
	Retire  devicesRetire  `cmd:"" help:"End it for good: its key never returns."`
}

type devicesList struct {
	listing
	Filter string `placeholder:"TERMS" help:"Like 'os:windows tag:x updates>0 online:true offline:1h'."`
}

func (c *devicesList) Run(x *call) error {
	return x.list(c.listing, "devices", c.path("devices"), query("filter", c.Filter),
		long("HOST", "hostname"), id("CUSTOMER", "tenant"), text("OS", "os.name", "os.family"), state("STATE", "state"),
		column{title: "CONTACT", give: firm, show: online}, x.at("LAST SEEN", "last_seen"),
		number("UPDATES", "updates_available"), id("ID", "id"))
}

func online(o object) cell {
	switch o.get("online") {
	case true:
		return cell{text: "online", tone: good}
	case false:
		return cell{text: "offline", tone: faint}
	}
	return cell{}
}

type devicesShow struct {
	item
}

func (c *devicesShow) Run(x *call) error {
	p, err := x.find("device", c.ID)
	if err != nil {
		return err
	}
	raw, o, err := x.object("GET", p.path(), nil, nil)
	if err != nil {
		return err
	}
	if x.JSON {
		x.json(raw)
		return nil
	}
	s, contact := stateCell(o.raw("state")), online(o)
	x.say("%s  %s  %s", x.paint(strong, o.first("hostname", "id")), x.paint(s.tone, s.text), x.paint(contact.tone, contact.text))
	if why := o.str("reason"); why != "" {
		x.say("%s", why)
	}
	x.facts([2]string{"id", o.str("id")}, [2]string{"customer", o.str("tenant")}, [2]string{"site", o.str("site")},
		[2]string{"class", o.str("class")}, [2]string{"tags", o.str("tags")},
		[2]string{"system", strings.TrimSpace(o.first("os.name", "os.family") + " " + o.str("os.version"))},
		[2]string{"serial", o.str("serial")}, [2]string{"time zone", o.str("time_zone")},
		[2]string{"agent", o.str("agent_version")}, [2]string{"last seen", x.when(o.raw("last_seen"))})
	updates := o.list("updates")
	if len(updates) == 0 {
		x.say("No updates.")
		return nil
	}
	x.say("")
	x.objects(updates, text("SOURCE", "source"), long("PACKAGE", "package"), text("INSTALLED", "installed_version"),
		text("AVAILABLE", "available_version"), text("KIND", "kind"), state("STATE", "state"), long("REASON", "reason"))
	return nil
}

// objects prints objects that were read as part of another as a table.
func (x *call) objects(list []object, cols ...column) {
	table := make([][]cell, len(list))
	for i, o := range list {
		for _, c := range cols {
			table[i] = append(table[i], c.show(o))
		}
	}
	x.table(cols, table)
}

type devicesWhy struct {
	item
}

func (c *devicesWhy) Run(x *call) error {
	p, err := x.find("device", c.ID)
	if err != nil {
		return err
	}
	list, err := x.all(p.path("why"), query())
	if err != nil {
		return err
	}
	if x.JSON {
		x.array(list)
		return nil
	}
	if len(list) == 0 {
		x.say("%s: no update is open on this device.", x.paint(good, "Nothing to do"))
		return nil
	}
	var updates []object
	held := 0
	for _, r := range list {
		o, err := decode(r)
		if err != nil {
			return err
		}
		updates = append(updates, o)
		if len(o.list("blockers")) > 0 {
			held++
		}
	}
	x.say("%s: %d held back, %d free to start.", plural(len(updates), "open update"), held, len(updates)-held)
	for _, o := range updates {
		x.why(o)
	}
	return nil
}

// why prints one update: the verdict, then everything that stands in its way,
// in the order in which it is answered.
func (x *call) why(o object) {
	name := strings.TrimSpace(o.str("source") + " " + o.str("package") + " " + o.str("available_version"))
	blockers := o.list("blockers")
	x.say("")
	if len(blockers) == 0 {
		x.say("%s: %s", x.paint(strong, name), x.paint(good, "nothing stands in its way"))
		return
	}
	x.say("%s: %s", x.paint(strong, name), x.paint(care, blockers[0].first("text", "code")))
	for i, b := range blockers {
		until := ""
		if raw := b.raw("until"); raw != "" && !strings.HasPrefix(raw, "0001-") {
			until = " (until " + x.when(raw) + ")"
		}
		x.say("  %d. %s%s", i+1, b.first("text", "code"), until)
		if next := b.str("next_step"); next != "" {
			x.say("     → %s", next)
		}
	}
}

// array prints rows as a JSON array, one a line.
func (x *call) array(list []json.RawMessage) {
	if len(list) == 0 {
		x.say("[]")
		return
	}
	for i, r := range list {
		before, after := "", ","
		if i == 0 {
			before = "["
		}
		if i == len(list)-1 {
			after = "]"
		}
		x.say("%s%s%s", before, x.clean(r), after)
	}
}

type devicesSamples struct {
	item
	Signal string `required:"" placeholder:"S" help:"Like system.cpu.utilization."`
	Since  span   `default:"1h" placeholder:"1h" help:"How far back."`
}

func (c *devicesSamples) Run(x *call) error {
	p, err := x.find("device", c.ID)
	if err != nil {
		return err
	}
	return x.list(listing{}, "samples", p.path("samples"), query("signal", c.Signal, "since", string(c.Since)),
		x.at("TIME", "time"), number("VALUE", "value"), column{title: "OF", give: flex, show: attributes})
}

func attributes(o object) cell {
	m, _ := o.get("attributes").(map[string]any)
	return cell{text: strings.Join(pairs(m), " ")}
}

type devicesRevoke struct {
	item
	because
}

func (c *devicesRevoke) Run(x *call) error { return x.act("device", c.ID, "revoke", c.Reason) }

type devicesReadmit struct {
	item
	because
}

func (c *devicesReadmit) Run(x *call) error { return x.act("device", c.ID, "readmit", c.Reason) }

type devicesRetire struct {
	item
	because
}

func (c *devicesRetire) Run(x *call) error { return x.act("device", c.ID, "retire", c.Reason) }

// choice is for whom a decision holds.
type choice struct {
	Tenant     tenant   `placeholder:"T" xor:"whom" help:"For this customer."`
	AllTenants bool     `xor:"whom" help:"For all customers."`
	Except     []tenant `placeholder:"T" help:"With --all-tenants: but not for these."`
}

func (c choice) check() error {
	if c.Tenant == "" && !c.AllTenants {
		return fault.New(fault.Invalid, "for whom? give --tenant T or --all-tenants")
	}
	if len(c.Except) > 0 && !c.AllTenants {
		return fault.New(fault.Invalid, "--except: only with --all-tenants")
	}
	for _, t := range c.Except {
		if err := t.Validate(); err != nil || t == "" {
			return fault.New(fault.Invalid, "--except: %q is no customer's slug", line(string(t)))
		}
	}
	return nil
}
