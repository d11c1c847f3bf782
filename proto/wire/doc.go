// Package wire is plain Go for what agent and server must compute alike: the
// job's deterministic encoding and its signature, the enrollment string,
// hashes of inventory sections, signal names with unit and resolution, codes
// of refusal, and the table of limits. It performs no I/O, knows no protobuf,
// and both sides import it.
package wire
