package cli

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"

	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
)

// pageSize is the most rows that the API gives at once.
const pageSize = 500

// tenant is a customer's slug on the command line, * for the MSP itself.
type tenant string

// Validate is called by kong with what was given.
func (t tenant) Validate() error {
	if t == "" || t == tenant(ident.MSP) || ident.ValidSlug(string(t)) {
		return nil
	}
	return fault.New(fault.Invalid, "%q is no customer's slug: 1 to 63 of a-z, 0-9 and inner hyphens", line(string(t)))
}

// whose narrows a command to one customer.
type whose struct {
	Tenant tenant `placeholder:"T" help:"Only this customer; without it all that the token may see."`
}

// path is where the noun lies: below the customer, or over all of them.
func (w whose) path(noun ...string) []string {
	if w.Tenant == "" {
		return noun
	}
	return append([]string{"tenants", string(w.Tenant)}, noun...)
}

// listing is the flags of every list.
type listing struct {
	whose
	Limit *int `placeholder:"N" xor:"rows" help:"Only the first N rows."`
	Count bool `xor:"rows" help:"Only how many there are."`
}

// Validate is called by kong.
func (l listing) Validate() error {
	if l.Limit != nil && *l.Limit < 1 {
		return fault.New(fault.Invalid, "--limit: want at least 1, not %d", *l.Limit)
	}
	return nil
}

// query makes a query of names and values, leaving out what is empty.
func query(pairs ...string) url.Values {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	return q
}

// list reads a list to its end and prints it: the rows themselves as they
// come, or a table. what is its plural for people.
func (x *call) list(l listing, what string, path []string, q url.Values, cols ...column) error {
	if l.Count {
		return x.count(path, q)
	}
	var table [][]cell
	printed := 0
	err := x.walk(path, q, l.Limit, func(raw json.RawMessage) error {
		if x.JSON {
			sep := ",\n"
			if printed == 0 {
				sep = "["
			}
			printed++
			_, err := fmt.Fprintf(x.out, "%s%s", sep, x.clean(raw))
			return err
		}
		o, err := decode(raw)
		if err != nil {
			return err
		}
		cells := make([]cell, len(cols))
		for i, c := range cols {
			cells[i] = c.show(o)
		}
		table = append(table, cells)
		return nil
	})
	switch {
	case err != nil:
		return err
	case x.JSON && printed == 0:
		x.say("[]")
	case x.JSON:
		x.say("]")
	case len(table) == 0:
		x.say("No %s.", what)
	default:
		x.table(cols, table)
	}
	return nil
}

// walk gives each row of a list to f, page after page.
func (x *call) walk(path []string, q url.Values, limit *int, f func(json.RawMessage) error) error {
	api, err := x.server()
	if err != nil {
		return err
	}
	left := -1
	if limit != nil {
		left = *limit
	}
	seen := map[string]bool{}
	for {
		q.Set("limit", strconv.Itoa(pageSize))
		if left >= 0 {
			q.Set("limit", strconv.Itoa(min(left, pageSize)))
		}
		raw, err := api.json(x.ctx, request{method: "GET", path: path, query: q})
		if err != nil {
			return err
		}
		items, err := rows(raw)
		if err != nil {
			return err
		}
		for _, item := range items {
			if left == 0 {
				return nil
			}
			left--
			if err := f(item); err != nil {
				return err
			}
		}
		var page struct {
			Next string `json:"next_cursor"`
		}
		_ = json.Unmarshal(raw, &page) // a bare list is its own last page
		if page.Next == "" || left == 0 {
			return nil
		}
		if seen[page.Next] {
			return fault.New(fault.Unavailable, "the server's list does not end").WithNext("are steward and the server of one version?")
		}
		seen[page.Next] = true
		q.Set("cursor", page.Next)
	}
}

// all reads a list to its end.
func (x *call) all(path []string, q url.Values) ([]json.RawMessage, error) {
	var list []json.RawMessage
	err := x.walk(path, q, nil, func(raw json.RawMessage) error {
		list = append(list, raw)
		return nil
	})
	return list, err
}

func (x *call) count(path []string, q url.Values) error {
	q.Set("count", "only")
	raw, err := x.ask("GET", path, q, nil)
	if err != nil {
		return err
	}
	var n struct {
		Count *int `json:"count"`
	}
	if err := json.Unmarshal(raw, &n); err != nil || n.Count == nil {
		return fault.New(fault.Unavailable, "the server did not count").WithNext("are steward and the server of one version?")
	}
	if x.JSON {
		x.say(`{"count": %d}`, *n.Count)
		return nil
	}
	x.say("%d", *n.Count)
	return nil
}
