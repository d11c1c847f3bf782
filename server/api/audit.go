package api

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/steward-rmm/steward/server/audit"
	"github.com/steward-rmm/steward/server/auth"
	"github.com/steward-rmm/steward/server/ident"
)

type auditIn struct {
	ListIn
	From   string `query:"from" maxLength:"40" doc:"a time (RFC 3339), included"`
	To     string `query:"to" maxLength:"40" doc:"a time (RFC 3339), not included"`
	Actor  string `query:"actor" maxLength:"100" doc:"an id"`
	Action string `query:"action" maxLength:"100"`
	Kind   string `query:"object_kind" maxLength:"100"`
	Object string `query:"object" maxLength:"300" doc:"an id"`
}

type objectJSON struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
	Name string `json:"name"`
}

type entryJSON struct {
	ID     ident.EntryID     `json:"id"`
	Tenant ident.TenantID    `json:"tenant"`
	Seq    uint64            `json:"seq" doc:"its place in the chain; 0 until it is sealed, within a second"`
	At     time.Time         `json:"at"`
	Actor  actorJSON         `json:"actor"`
	Action string            `json:"action"`
	Object objectJSON        `json:"object"`
	Reason string            `json:"reason"`
	Detail map[string]string `json:"detail"`
	Hash   string            `json:"hash"`
	Erased bool              `json:"erased"`
}

func renderEntry(e audit.Listed) entryJSON {
	out := entryJSON{e.ID, e.Tenant, e.Seq, e.At.UTC(), renderActor(e.Actor), e.Action, objectJSON(e.Object), e.Reason, e.Detail, "", e.Erased}
	if e.Seq > 0 {
		out.Hash = hex.EncodeToString(e.Hash[:])
	}
	if out.Detail == nil {
		out.Detail = map[string]string{}
	}
	return out
}

type verifyIn struct {
	Head string `query:"head" maxLength:"200" doc:"SEQ:HASH, noted elsewhere before"`
}

type reportJSON struct {
	Tenant   ident.TenantID `json:"tenant"`
	Good     bool           `json:"good"`
	Sealed   uint64         `json:"sealed"`
	Unsealed uint64         `json:"unsealed"`
	Pruned   uint64         `json:"pruned"`
	Erased   uint64         `json:"erased"`
	Heads    int            `json:"heads"`
	Head     string         `json:"head" doc:"the last good place, SEQ:HASH"`
	FirstBad uint64         `json:"first_bad"`
	Problem  string         `json:"problem"`
}

type headJSON struct {
	Tenant ident.TenantID `json:"tenant"`
	Head   string         `json:"head" doc:"SEQ:HASH; empty before the first is signed"`
	At     *time.Time     `json:"at"`
}

func (a *api) audit() {
	both(a, "audit", auth.AuditRead, true, "The audit record, newest first", a.listAudit)
	register(a, Route{Method: "GET", Path: "/tenants/{tenant}/audit/verify", Action: auth.AuditRead, MSP: true, Summary: "Check a chain of the audit record"}, a.verifyAudit)
	register(a, Route{Method: "GET", Path: "/audit/verify", Action: auth.AuditRead, Reach: Anywhere, Summary: "Check all permitted chains"}, a.verifyAll)
	register(a, Route{Method: "GET", Path: "/audit/head", Action: auth.AuditRead, Reach: Anywhere, Summary: "The latest signed heads"}, a.heads)
	register(a, Route{Method: "GET", Path: "/tenants/{tenant}/audit/head", Action: auth.AuditRead, MSP: true, Summary: "The latest signed head of a chain"}, a.auditHead)
}

func (a *api) listAudit(ctx context.Context, c *caller, in *auditIn) (*pageOut[entryJSON], error) {
	f := audit.Filter{ActorID: in.Actor, Action: in.Action, ObjectKind: in.Kind, ObjectID: in.Object}
	var err error
	if f.From, err = moment("from", in.From, c.now); err != nil {
		return nil, err
	}
	if f.To, err = moment("to", in.To, c.now); err != nil {
		return nil, err
	}
	if in.Count != "" {
		return countPages[entryJSON](func(cursor string) (int, string, error) {
			list, next, err := a.o.Audit.List(ctx, c.scope, f, ident.EntryID(cursor), maxRecords)
			return len(list), string(next), err
		})
	}
	list, next, err := a.o.Audit.List(ctx, c.scope, f, ident.EntryID(in.Cursor), in.Limit)
	return rows(list, string(next), renderEntry), err
}

func (a *api) verifyAudit(ctx context.Context, c *caller, in *verifyIn) (*bodyOut[reportJSON], error) {
	var head *audit.Head
	if in.Head != "" {
		h, err := audit.ParseHead(in.Head)
		if err != nil {
			return nil, err
		}
		head = &h
	}
	out, err := a.verified(ctx, c.tenant, head)
	return &bodyOut[reportJSON]{out}, err
}

func (a *api) verified(ctx context.Context, tenant ident.TenantID, head *audit.Head) (reportJSON, error) {
	r, err := a.o.Audit.Verify(ctx, tenant, head)
	if err != nil {
		return reportJSON{}, err
	}
	out := reportJSON{tenant, r.Good(), r.Sealed, r.Unsealed, r.Pruned, r.Erased, r.Heads, "", r.FirstBad, r.Problem}
	if r.Tip.Seq > 0 {
		out.Head = r.Tip.String()
	}
	return out, nil
}

// chains are the chains that the caller may read: of the MSP itself too, for
// those who may read all.
func (a *api) chains(ctx context.Context, c *caller) ([]ident.TenantID, error) {
	ids, err := a.reached(ctx, c)
	if c.scope.All() {
		ids = append([]ident.TenantID{ident.MSP}, ids...)
	}
	return ids, err
}

func (a *api) verifyAll(ctx context.Context, c *caller, in *ListIn) (*pageOut[reportJSON], error) {
	ids, err := a.chains(ctx, c)
	if err != nil {
		return nil, err
	}
	out := make([]reportJSON, len(ids))
	for i, id := range ids {
		if out[i], err = a.verified(ctx, id, nil); err != nil {
			return nil, err
		}
	}
	return whole(in, out, func(r reportJSON) string { return string(r.Tenant) }, same)
}

func (a *api) heads(ctx context.Context, c *caller, in *ListIn) (*pageOut[headJSON], error) {
	ids, err := a.chains(ctx, c)
	if err != nil {
		return nil, err
	}
	out := make([]headJSON, len(ids))
	for i, id := range ids {
		if out[i], err = a.head(ctx, id); err != nil {
			return nil, err
		}
	}
	return whole(in, out, func(h headJSON) string { return string(h.Tenant) }, same)
}

func (a *api) auditHead(ctx context.Context, c *caller, _ *noneIn) (*bodyOut[headJSON], error) {
	h, err := a.head(ctx, c.tenant)
	return &bodyOut[headJSON]{h}, err
}

func (a *api) head(ctx context.Context, tenant ident.TenantID) (headJSON, error) {
	h, found, err := a.o.Audit.Head(ctx, tenant)
	if err != nil || !found {
		return headJSON{Tenant: tenant}, err
	}
	return headJSON{tenant, h.Head().String(), stamp(h.At)}, nil
}
