// Package runner does the jobs that the journal holds, and looks what the
// machine's update sources offer.
//
// One loop does one thing at a time. It checks a lease's signature over the
// opaque bytes, decodes only then, lets agent/policy refuse, asks the server
// for the start, journals the start (the point of no return), and takes release
// by release: policy at its turn, a simulation, the installation. Afterwards it
// scans again and tells what is true; nothing is verified without that scan.
//
// A journaled start is never run again. What a crash interrupted is repaired,
// scanned and told as it is.
//
// The machine's sources, the server's word, the keys and the clocks are small
// interfaces stated here, so that simulated devices run this same code.
package runner
