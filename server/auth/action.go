package auth

import "slices"

// Action is something a caller may want to do. Each route declares one.
type Action string

// The closed list of actions.
const (
	TenantRead        Action = "tenant.read"
	TenantCreate      Action = "tenant.create" // ask with AuthorizeAll
	TenantManage      Action = "tenant.manage" // mode, name, limits
	SiteManage        Action = "site.manage"
	FreezeManage      Action = "freeze.manage"
	DeviceRead        Action = "device.read"
	DeviceManage      Action = "device.manage" // tags, revoke, readmit, retire
	SampleRead        Action = "sample.read"
	UpdateRead        Action = "update.read"
	UpdateDecide      Action = "update.decide"
	PolicyRead        Action = "policy.read"
	PolicyApply       Action = "policy.apply"
	DeploymentRead    Action = "deployment.read"
	DeploymentControl Action = "deployment.control" // pause, halt, resume, cancel, agree, emergency
	RunRead           Action = "run.read"
	JobRead           Action = "job.read"
	JobCancel         Action = "job.cancel"
	AlertRead         Action = "alert.read"   // also silences
	AlertManage       Action = "alert.manage" // rules, silences, acknowledge
	ChannelRead       Action = "channel.read" // also routes and deliveries
	ChannelManage     Action = "channel.manage"
	TaskRead          Action = "task.read"
	TaskManage        Action = "task.manage"
	ViewRead          Action = "view.read"   // overview, compliance, saved views
	DataExport        Action = "data.export" // lists as files, reports
	EnrollmentRead    Action = "enrollment.read"
	EnrollmentCreate  Action = "enrollment.create" // also revoke
	AuditRead         Action = "audit.read"
	PeopleRead        Action = "people.read"
	PeopleManage      Action = "people.manage"
	TokenCreate       Action = "token.create" // one's own
	TokenManage       Action = "token.manage" // everyone's
	KeyManage         Action = "key.manage"   // CA, job keys, permits
)

// Role is a set of actions. Roles are ordered: each may all that the one below
// it may, so a role is a number of trust and the table needs one column.
type Role string

// The three roles.
const (
	Owner      Role = "owner"      // runs the place: people, tokens, tenants, keys
	Technician Role = "technician" // does the work
	Viewer     Role = "viewer"     // looks; a customer's contact, a wall screen
)

// rank orders roles; anything that is no role ranks below all of them.
func (r Role) rank() int {
	return slices.Index([]Role{Viewer, Technician, Owner}, r)
}

// Valid reports whether r is one of the three roles.
func (r Role) Valid() bool { return r.rank() >= 0 }

// reach says how much of a tenant a grant must cover.
type reach int

const (
	// part: a grant for some sites is enough; Scope narrows what is shown.
	part reach = iota
	// whole: only a grant for the whole tenant is enough, because the thing
	// touches or shows every site. AuthorizeSite asks about one site instead.
	whole
)

// rule is one line of the table.
type rule struct {
	action Action
	least  Role // the lowest role that may
	reach  reach
}

// rules is the table of roles. What is not in it is denied.
//
// Viewers read, but not the audit record and not who works here. Technicians
// do the daily work, see people (to hand over tasks) and the audit record,
// take data out, and make tokens of their own. Owners alone decide who comes
// in (people, everyone's tokens), which customers exist and how far their
// automation may go (a tenant's mode and limits), and touch keys.
func rules() []rule {
	return []rule{
		{TenantRead, Viewer, part},
		{DeviceRead, Viewer, part},
		{SampleRead, Viewer, part},
		{UpdateRead, Viewer, part},
		{PolicyRead, Viewer, part},
		{DeploymentRead, Viewer, part},
		{RunRead, Viewer, part},
		{JobRead, Viewer, part},
		{AlertRead, Viewer, part},
		{ChannelRead, Viewer, part},
		{TaskRead, Viewer, part},
		{ViewRead, Viewer, part},
		{EnrollmentRead, Viewer, part},

		{DeviceManage, Technician, whole},
		{UpdateDecide, Technician, whole},
		{PolicyApply, Technician, whole},
		{DeploymentControl, Technician, whole},
		{JobCancel, Technician, whole},
		{AlertManage, Technician, whole},
		{ChannelManage, Technician, whole},
		{TaskManage, Technician, whole},
		{SiteManage, Technician, whole},
		{FreezeManage, Technician, whole},
		{EnrollmentCreate, Technician, whole},
		{DataExport, Technician, part},
		{AuditRead, Technician, whole},
		{PeopleRead, Technician, whole},
		{TokenCreate, Technician, part},

		{TenantCreate, Owner, whole},
		{TenantManage, Owner, whole},
		{PeopleManage, Owner, whole},
		{TokenManage, Owner, whole},
		{KeyManage, Owner, whole},
	}
}

// Actions lists every action, in the order of the table.
func Actions() []Action {
	var out []Action
	for _, r := range rules() {
		out = append(out, r.action)
	}
	return out
}

// need looks an action up; false means that nobody may.
func need(a Action) (rule, bool) {
	for _, r := range rules() {
		if r.action == a {
			return r, true
		}
	}
	return rule{}, false
}

// Allows reports whether the role includes the action.
func (r Role) Allows(a Action) bool {
	n, ok := need(a)
	return ok && r.Valid() && r.rank() >= n.least.rank()
}
