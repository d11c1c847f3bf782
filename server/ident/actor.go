package ident

// ActorKind is the sort of who acts.
type ActorKind string

// The four sorts of actors.
const (
	Person ActorKind = "person"
	Token  ActorKind = "token"
	Device ActorKind = "device"
	System ActorKind = "system"
)

// Actor is who did something: it stands in the audit record, in histories and
// beside decisions. Name is what a person reads; ID is what is compared.
type Actor struct {
	Kind   ActorKind `json:"kind"`
	ID     string    `json:"id"`
	Name   string    `json:"name"`
	Tenant TenantID  `json:"tenant,omitempty"` // of a device or a tenant's person; MSP for technicians
}

// Steward is the system itself, acting through the named part ("deployment").
func Steward(part string) Actor {
	return Actor{Kind: System, ID: part, Name: "Steward", Tenant: MSP}
}
