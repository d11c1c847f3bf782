package console

import (
	"html/template"
	"strings"

	"github.com/steward-rmm/steward/server/audit"
	"github.com/steward-rmm/steward/server/ident"
)

type auditBody struct {
	Rows   []auditRow
	Action string
	Pager  pager
	Across bool
}

type auditRow struct {
	audit.Listed
	Customer string
	When     template.HTML
	Verb     string
	Chain    mark
}

func (c *Console) audit(f *frame) error {
	v := f.r.URL.Query()
	b := auditBody{Action: strings.TrimSpace(v.Get("action")), Across: f.tenant.ID == ""}
	rows, next, err := c.o.Record.List(f.ctx(), f.scope, audit.Filter{Action: b.Action, ActorID: v.Get("actor"), ObjectKind: v.Get("kind"), ObjectID: v.Get("id")}, ident.EntryID(v.Get("cursor")), 50)
	if err != nil {
		return err
	}
	for _, e := range rows {
		row := auditRow{Listed: e, Customer: f.levelOf(e.Tenant, ""), When: f.stamps().Clock(e.At), Verb: strings.ReplaceAll(strings.ReplaceAll(e.Action, "_", " "), ".", " "), Chain: mark{"link", "sealed, no. " + num(int(e.Seq)), "idle"}}
		if e.Tenant == ident.MSP {
			row.Customer = "the server"
		}
		if e.Seq == 0 {
			row.Chain = mark{"hourglass", "to be sealed", "idle"}
		}
		if e.Erased {
			row.Object.Name, row.Reason = "erased", "names and reason were removed for privacy"
		}
		b.Rows = append(b.Rows, row)
	}
	b.Pager.Text = plural(len(rows), "record", "records") + ", the newest first"
	if v.Get("cursor") != "" {
		w := f.r.URL.Query()
		w.Del("cursor")
		b.Pager.First = address(f.At("audit"), w)
	}
	if next != "" {
		v.Set("cursor", string(next))
		b.Pager.Next = address(f.At("audit"), v)
	}
	return f.show("audit", page{Title: "Audit log", Nav: "audit", Body: b})
}
