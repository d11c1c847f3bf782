package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"

	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
)

// say prints one line. What stops the writer is reported when Run flushes.
func (x *call) say(format string, args ...any) { _, _ = fmt.Fprintf(x.out, format+"\n", args...) }

// clean is JSON fit for where it goes: a terminal gets no character that it
// would act on, a file or a pipe gets the bytes as they are.
func (x *call) clean(raw []byte) []byte {
	if x.Width == 0 {
		return raw
	}
	return safeJSON(raw)
}

// json prints one value, indented.
func (x *call) json(raw json.RawMessage) {
	var b bytes.Buffer
	if len(raw) == 0 {
		raw = []byte("{}") // done, and nothing to tell
	}
	if json.Indent(&b, raw, "", "  ") != nil {
		b.Reset()
		b.Write(raw)
	}
	x.say("%s", x.clean(b.Bytes()))
}

// ask does one exchange; body is sent as JSON unless nil.
func (x *call) ask(method string, path []string, q url.Values, body any) (json.RawMessage, error) {
	api, err := x.server()
	if err != nil {
		return nil, err
	}
	r := request{method: method, path: path, query: q}
	if body != nil {
		if r.body, err = json.Marshal(body); err != nil {
			return nil, fmt.Errorf("encode the request: %w", err)
		}
		r.kind = "application/json"
	}
	return api.json(x.ctx, r)
}

// object does one exchange whose answer is an object.
func (x *call) object(method string, path []string, q url.Values, body any) (json.RawMessage, object, error) {
	raw, err := x.ask(method, path, q, body)
	if err != nil {
		return nil, nil, err
	}
	if len(raw) == 0 {
		return raw, object{}, nil
	}
	o, err := decode(raw)
	return raw, o, err
}

// place is where an id was found.
type place struct {
	kind   string
	tenant string
	id     string
}

// path is the noun's own path, and below it.
func (p place) path(below ...string) []string {
	return append([]string{"tenants", p.tenant, p.kind + "s", p.id}, below...)
}

// find looks an id up; it must name a thing of the kind.
func (x *call) find(kind, id string) (place, error) {
	if !ident.ValidID(id) {
		return place{}, fault.NotFoundf("there is no %s %q", kind, cut(line(id), 80)).WithNext("steward %ss list shows the ids", kind)
	}
	_, o, err := x.object("GET", []string{"lookup", id}, nil, nil)
	if fault.Is(err, fault.NotFound) {
		return place{}, fault.NotFoundf("there is no %s %s that this token may see", kind, id).WithNext("steward %ss list shows the ids", kind)
	}
	if err != nil {
		return place{}, err
	}
	if got := o.raw("kind"); got != kind {
		return place{}, fault.NotFoundf("%s is no %s, it is a %s", id, kind, line(got)).WithNext("see steward %ss --help", line(got))
	}
	slug := o.raw("tenant")
	if tenant(slug).Validate() != nil || slug == "" {
		return place{}, fault.New(fault.Unavailable, "the server names no customer of %s", id)
	}
	return place{kind: kind, tenant: slug, id: id}, nil
}

// item is an id on the command line.
type item struct {
	ID string `arg:"" help:"Its id, as lists show it."`
}

// because is the reason that a change by hand needs.
type because struct {
	Reason string `required:"" placeholder:"TEXT" help:"Why; it stands in the audit record."`
}

// Validate is called by kong.
func (b because) Validate() error {
	if line(b.Reason) == "" {
		return fault.New(fault.Invalid, "--reason: say why")
	}
	return nil
}

// act posts an action on a thing with its reason, if it takes one, and prints
// what became of the thing.
func (x *call) act(kind, id, action, reason string) error {
	p, err := x.find(kind, id)
	if err != nil {
		return err
	}
	var body any
	if reason != "" {
		body = map[string]string{"reason": reason}
	}
	raw, o, err := x.object("POST", p.path(action), nil, body)
	if err != nil {
		return err
	}
	if o.raw("state") == "" && kind != "enrollment" {
		// It is done; that the thing cannot be read again undoes nothing.
		if now, read, err := x.object("GET", p.path(), nil, nil); err == nil {
			raw, o = now, read
		}
	}
	if x.JSON {
		x.json(raw)
		return nil
	}
	if s := o.raw("state"); s != "" {
		x.say("%s %s: %s  %s", kind, id, x.paint(toneOf(s), words(s)), o.str("reason"))
		return nil
	}
	x.say("%s %s: done", kind, id)
	return nil
}

func itoa(n int) string { return strconv.Itoa(n) }

// plural is "1 device", "2 devices".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return itoa(n) + " " + noun + "s"
}
