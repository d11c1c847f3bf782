package policy

import (
	"errors"
	"maps"
	"slices"

	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
)

// Check refuses a document that could not be resolved: unknown fields, values
// out of range, locks on what is no field. Field of the error names where.
func Check(d Document) error {
	if d.Name == "" || len(d.Name) > maxText {
		return fault.Invalidf("name", "1 to %d bytes are needed", maxText)
	}
	if d.Tenant == ident.MSP && d.Site != "" {
		return fault.Invalidf("site", "a document of all customers has no site")
	}
	p := Default()
	for _, name := range slices.Sorted(maps.Keys(d.Fields)) {
		read, ok := fields[name]
		if !ok {
			return fault.Invalidf(name, "a PatchPolicy has no such field").WithNext("known: %v", FieldNames())
		}
		if err := read(d.Fields[name], &p); err != nil {
			return err
		}
	}
	for _, name := range d.Lock {
		if _, ok := fields[name]; !ok {
			return fault.Invalidf("lock", "%q is no field", name).WithNext("known: %v", FieldNames())
		}
		if d.Site != "" {
			return fault.Invalidf("lock", "nothing lies below a site that could be locked")
		}
	}
	return nil
}

// prefix puts where in front of the field of a fault.
func prefix(where string, err error) error {
	var f *fault.Error
	if !errors.As(err, &f) {
		return fault.Invalidf(where, "%s", err)
	}
	out := *f
	if out.Field == "" {
		out.Field = where
	} else {
		out.Field = where + "." + out.Field
	}
	return &out
}
