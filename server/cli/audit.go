package cli

import (
	"encoding/json"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/steward-rmm/steward/server/fault"
)

// Audit are the commands of the record of who did what.
type Audit struct {
	List   auditList   `cmd:"" help:"List entries, the newest first."`
	Verify auditVerify `cmd:"" help:"Check every hash, number and signature."`
	Head   auditHead   `cmd:"" help:"The signed end of the record, to keep elsewhere."`
}

type auditList struct {
	listing
	Action string `placeholder:"A" help:"Like deployment.halted."`
	Actor  string `placeholder:"ID" help:"Of this person, token or device."`
	Object string `placeholder:"ID" help:"About this thing."`
	Since  span   `placeholder:"24h" help:"How far back."`
}

func (c *auditList) Run(x *call) error {
	from := ""
	if c.Since != "" {
		from = x.Now().Add(-c.Since.duration()).UTC().Format(time.RFC3339)
	}
	return x.list(c.listing, "entries", c.path("audit"),
		query("action", c.Action, "actor", c.Actor, "object", c.Object, "from", from),
		column{title: "SEQ", right: true, give: firm, show: sealed}, x.at("WHEN", "at"), id("CUSTOMER", "tenant"), text("WHO", "actor"), text("DID", "action"),
		long("TO", "object"), long("REASON", "reason"))
}

// sealed is an entry's place in the record; it has none in its first second.
func sealed(o object) cell {
	if o.number("seq") == 0 {
		return cell{}
	}
	return cell{text: o.str("seq")}
}

var headForm = regexp.MustCompile(`^[1-9][0-9]{0,18}:[0-9a-fA-F]{64}$`)

type auditVerify struct {
	whose
	Head string `placeholder:"SEQ:HASH" help:"A head that was kept elsewhere; shows whether the end was cut off."`
}

func (c *auditVerify) Validate() error {
	if c.Head == "" {
		return nil
	}
	if !headForm.MatchString(c.Head) {
		return fault.New(fault.Invalid, "--head: write it as audit head prints it, SEQ:HASH")
	}
	if c.Tenant == "" {
		return fault.New(fault.Invalid, "--head: of which record? Give --tenant, * for the server's own")
	}
	return nil
}

// Run prints what was found; a record that does not add up is exit 1.
func (c *auditVerify) Run(x *call) error {
	raw, list, err := x.chains(c.Tenant, "verify", query("head", c.Head))
	if err != nil {
		return err
	}
	if x.JSON {
		x.json(raw)
	}
	var broken []string
	for _, o := range list {
		name := o.first("tenant")
		if at := o.number("first_bad"); at > 0 || o.get("good") == false {
			broken = append(broken, strings.TrimSuffix(name+" at "+strconv.Itoa(at)+": "+o.str("problem"), ": "))
		}
		if !x.JSON {
			x.verdict(name, o)
		}
	}
	if len(broken) > 0 {
		return fault.New(fault.Conflict, "the record does not add up: first bad sequence of %s", strings.Join(broken, "; of ")).
			WithNext("compare it with a backup and with heads kept elsewhere")
	}
	return nil
}

// chains asks about one record, or about each that the token may read: the
// server's own and those of the customers.
func (x *call) chains(of tenant, what string, q url.Values) (json.RawMessage, []object, error) {
	if of != "" {
		raw, o, err := x.object("GET", whose{of}.path("audit", what), q, nil)
		return raw, []object{o}, err
	}
	all, err := x.all([]string{"audit", what}, q)
	if err != nil {
		return nil, nil, err
	}
	list := make([]object, len(all))
	for i, raw := range all {
		if list[i], err = decode(raw); err != nil {
			return nil, nil, err
		}
	}
	if all == nil {
		all = []json.RawMessage{}
	}
	raw, err := json.Marshal(all)
	return raw, list, err
}

func (x *call) verdict(name string, o object) {
	say := x.paint(good, "good")
	if at := o.number("first_bad"); at > 0 || o.get("good") == false {
		say = x.paint(bad, "BAD at "+strconv.Itoa(at)) + ": " + o.str("problem")
	}
	x.say("%s: %s", name, say)
	facts := []string{o.first("sealed") + " sealed", o.first("unsealed") + " unsealed", o.first("pruned") + " pruned"}
	if n := o.number("erased"); n > 0 {
		facts = append(facts, itoa(n)+" without their text")
	}
	if o.number("restored") > 0 {
		facts = append(facts, "restored from a backup at "+o.str("restored"))
	}
	for i, f := range facts {
		if strings.HasPrefix(f, " ") {
			facts[i] = "0" + f
		}
	}
	x.say("  %s", strings.Join(facts, ", "))
	if head := o.str("head"); head != "" {
		x.say("  head %s", head)
	}
}

type auditHead struct {
	whose
}

// Run prints SEQ:HASH alone for one record, a table over all.
func (c *auditHead) Run(x *call) error {
	raw, list, err := x.chains(c.Tenant, "head", query())
	if err != nil {
		return err
	}
	if x.JSON {
		x.json(raw)
		return nil
	}
	if c.Tenant == "" {
		x.objects(list, id("RECORD", "tenant"), id("HEAD", "head"), x.at("SIGNED", "at"))
		return nil
	}
	head := list[0].str("head")
	if head == "" {
		return fault.NotFoundf("no head of %s is signed yet", c.Tenant).WithNext("heads are signed as entries come")
	}
	x.say("%s", head)
	return nil
}
