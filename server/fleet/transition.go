package fleet

import (
	"time"

	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/reason"
)

// moves are the legal changes of a device's state. Retired is final.
var moves = map[State][]State{
	Pending:  {Active, Conflict, Revoked, Retired},
	Active:   {Stale, Conflict, Revoked, Retired, Pending},
	Stale:    {Active, Conflict, Revoked, Retired, Pending},
	Conflict: {Active, Pending, Revoked, Retired},
	Revoked:  {Active, Pending, Retired},
}

// Move returns the device in its new state, or fault.Conflict when the state
// machine has no such step. Staying is no move and no error: changed is false.
func (d Device) Move(to State, why reason.Reason, now time.Time) (moved Device, changed bool, err error) {
	if d.State == to {
		return d, false, nil
	}
	for _, legal := range moves[d.State] {
		if legal == to {
			d.State, d.Reason, d.Since = to, why, now
			return d, true, nil
		}
	}
	return d, false, fault.Conflictf("device %s is %s and cannot become %s", d.Hostname, d.State, to)
}

// Silence returns the state a device should be in, judged by its last contact
// alone: active or stale. Other states stay as they are.
func Silence(d Device, now time.Time) (State, reason.Reason) {
	silent := now.Sub(d.LastSeen) >= StaleAfter(d.Class) && !d.Online
	switch {
	case d.State == Active && silent:
		return Stale, reason.New(reason.DeviceSilent, "since", reason.Time(d.LastSeen))
	case d.State == Stale && !silent:
		return Active, reason.New(reason.DeviceBack)
	}
	return d.State, d.Reason
}
