// Package policy is what an agent refuses, whoever asks: the local half of the
// promise that a taken-over server cannot introduce code of its own. A job
// chooses and times; it never adds a package, a source or an argument, and
// installs only what this machine's own scan offers.
//
// Everything here is a pure function over facts that the runner gathered: Check
// for the whole job, CheckRelease for one release at its turn, CheckPlan for
// what its simulation would change. Each refusal is a code of wire.Refusal with
// a detail that a person can read; the empty code means nothing speaks against
// it. The signature is the runner's first step, before anything is decoded.
package policy
