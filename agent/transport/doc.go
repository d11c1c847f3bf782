// Package transport is the agent's one connection to its server: it enrolls,
// renews, and keeps a session open. Jobs and results meet the runner only in
// agent/spool; this room carries what the journal holds to the server and what
// the server wants into the journal. The one question asked in person is
// MayStart and MayScan.
//
// It is also the only room of the agent that knows protobuf. Every message of
// the server is checked against the limits of proto/wire before anything is done
// with it; one that passes them ends the session.
//
// Two goroutines work a session: one receives and never waits for the other, one
// sends. So a server that stops reading cannot keep us from reading.
package transport
