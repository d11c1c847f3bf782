package policy

import (
	"path"
	"slices"
	"strconv"
	"time"

	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/inventory"
	"github.com/steward-rmm/steward/server/reason"
)

// Evaluate decides a release under a policy for a tenant: denied by hand, else
// approved by hand, else told to wait by hand, else the first rule that
// matches, else left to a person. It returns the decision and its reason.
func Evaluate(now time.Time, rel inventory.Release, eff *Effective, hand []Manually, tenant ident.TenantID) (Decision, reason.Reason) {
	for _, action := range []Action{Deny, Approve, Wait} {
		for _, m := range hand {
			if m.Action == action && m.Holds(now, rel, tenant) {
				if d, why, decided := m.decide(now, rel); decided {
					return d, why
				}
			}
		}
	}
	if eff == nil {
		return Decision{Action: Manual}, reason.New(reason.NoPolicy, "source", rel.Source)
	}
	for i, r := range eff.Patch.Approvals {
		if r.Match.Matches(rel) {
			return r.decide(now, rel, i, eff.Name)
		}
	}
	return Decision{Action: Manual}, reason.New(reason.NotApproved)
}

// Matches reports whether the release is selected; {} selects everything.
func (m Match) Matches(rel inventory.Release) bool {
	if m.Source != "" && m.Source != rel.Source || m.Severity != "" && m.Severity != rel.Severity {
		return false
	}
	if m.Package != "" {
		if ok, err := path.Match(m.Package, rel.Package); !ok || err != nil {
			return false
		}
	}
	return m.Kind == "" || m.Kind == rel.Kind || m.Kind == inventory.Security && rel.Kind == inventory.SecurityExploited
}

func (r Rule) decide(now time.Time, rel inventory.Release, index int, policy string) (Decision, reason.Reason) {
	rule := strconv.Itoa(index + 1)
	approved := reason.New(reason.ApprovedByRule, "rule", rule, "policy", policy)
	switch r.Action {
	case Approve:
		return Decision{Action: Approve}, approved
	case Deny:
		why := r.Reason
		if why == "" {
			why = "no reason given"
		}
		return Decision{Action: Deny}, reason.New(reason.DeniedByRule, "rule", rule, "policy", policy, "why", why)
	case Wait:
		until := rel.FirstSeen.Add(time.Duration(r.For))
		if !now.Before(until) {
			return Decision{Action: Approve}, approved
		}
		return Decision{Action: Wait, Until: until},
			reason.New(reason.WaitingUntil, "until", reason.Time(until), "why", "rule "+rule+" of "+policy+" waits "+r.For.String())
	}
	return Decision{Action: Manual}, reason.New(reason.NotApproved)
}

// Holds reports whether the decision by hand is about this release and tenant
// and has not expired.
func (m Manually) Holds(now time.Time, rel inventory.Release, tenant ident.TenantID) bool {
	if m.Tenant != tenant && (m.Tenant != ident.MSP || slices.Contains(m.Except, tenant)) {
		return false
	}
	if !m.Expires.IsZero() && !now.Before(m.Expires) || m.Source != rel.Source || m.Version != "" && m.Version != rel.Version {
		return false
	}
	ok, err := path.Match(m.Package, rel.Package)
	return ok && err == nil
}

func (m Manually) decide(now time.Time, rel inventory.Release) (Decision, reason.Reason, bool) {
	switch m.Action {
	case Approve:
		return Decision{Action: Approve}, reason.New(reason.ApprovedByHand, "by", m.By.Name, "why", m.Reason), true
	case Deny:
		return Decision{Action: Deny}, reason.New(reason.DeniedByHand, "by", m.By.Name, "why", m.Reason), true
	case Wait:
		until := rel.FirstSeen.Add(time.Duration(m.Days) * 24 * time.Hour)
		if now.Before(until) {
			return Decision{Action: Wait, Until: until}, reason.New(reason.WaitingUntil, "until", reason.Time(until), "why", m.By.Name+": "+m.Reason), true
		}
	}
	return Decision{}, reason.Reason{}, false
}
