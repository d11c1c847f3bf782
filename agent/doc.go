// Package agent wires the rooms of the agent into one process. App runs it as a
// few named actors; Scan, Enroll and ReadStatus are what the commands do without
// them. Settings are the machine's own, which no server can change.
package agent
