package gateway

import (
	"testing"
	"time"

	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/session"
	"github.com/steward-rmm/steward/server/session/sessiontest"
)

// Devices that do not read hold the places of those who tell. Nobody else may
// pay for it: a revoked device is cut off all the same.
func TestDevicesThatDoNotReadDelayNoRevocation(t *testing.T) {
	d := serve(t)
	dev, other := d.active(t), d.Device(t, session.Machine{Hostname: "pc-2", Serial: "S2", BoardUUID: "U2"})
	s := d.connect(t, dev)
	d.connect(t, other)
	for range cap(d.gateway.push) {
		d.gateway.push <- struct{}{}
	}
	defer func() {
		for range cap(d.gateway.push) {
			<-d.gateway.push
		}
	}()
	d.Hub.Wake(session.DesiredTopic(other.Row.ID))
	<-time.After(3 * d.gateway.o.Tick) // somebody waits for a place by now
	began := time.Now()
	by := ident.Actor{Kind: ident.Person, ID: "p", Name: "Priya"}
	if _, err := d.Fleet.Revoke(t.Context(), d.now(), by, "acme", dev.Row.ID, "stolen"); err != nil {
		t.Fatal(err)
	}
	code, err := bye(t, s)
	if took := time.Since(began); code != session.ByeRevoked || err == nil || took > 2*time.Second {
		t.Errorf("%q, %v after %v", code, err, took)
	}
}

func TestNothingIsToldToADeviceThatDoesNotRead(t *testing.T) {
	st := &stream{}
	now := sessiontest.Start
	if st.stuck(now) {
		t.Error("nothing goes out, and it counts as stuck")
	}
	st.sending.Store(now.UnixMilli())
	if st.stuck(now.Add(time.Second)) || !st.stuck(now.Add(stuckAfter+time.Second)) {
		t.Error("a message that just goes out is none that nobody reads")
	}
}
