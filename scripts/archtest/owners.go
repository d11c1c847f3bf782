package main

// owners says which store file writes which tables: the file's name without
// .go, and the tables of its noun. Every table of server/store/migrations has
// exactly one owner. A file that is not listed writes nothing.
var owners = map[string][]string{
	"audit":      {"audit_checkpoints", "audit_entries", "audit_heads"},
	"auth":       {"links", "people", "sessions", "tokens"},
	"deployment": {"deployment_history", "deployment_members", "deployment_rings", "deployments"},
	"fleet":      {"devices", "presence", "sites", "tenants"},
	"inventory":  {"inventory_history", "inventory_items", "inventory_sections", "releases"},
	"job":        {"job_history", "job_log", "job_releases", "jobs", "runs"},
	"meta":       {"meta"},
	"patch":      {"durations", "update_history", "updates"},
	"pki":        {"enrollment_uses", "enrollments"},
	"policy":     {"decisions", "policies", "policy_revisions"},
	"samples":    {"block", "series", "tail"},
	"session":    {"device_secrets", "device_sessions"},
}
