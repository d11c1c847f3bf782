package main

// owners says which store file writes which tables: the file's name without
// .go, and the tables of its noun. Every table of server/store/migrations has
// exactly one owner. A file that is not listed writes nothing.
var owners = map[string][]string{
	"fleet":     {"devices", "presence", "sites", "tenants"},
	"inventory": {"inventory_history", "inventory_items", "inventory_sections", "releases"},
	"meta":      {"meta"},
	"patch":     {"durations", "update_history", "updates"},
	"policy":    {"decisions", "policies", "policy_revisions"},
	"samples":   {"block", "series", "tail"},
}
