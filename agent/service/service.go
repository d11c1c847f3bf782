// Package service makes the agent a service of the system: Windows' service
// manager, launchd or systemd. This version starts no service yet: run the agent
// by the system's own means, such as a unit file that calls `steward-agent run`.
package service

import "errors"

// ErrNotInVersion is the answer of everything here.
var ErrNotInVersion = errors.New("not in this version")

// Install registers and starts the service with a data directory.
func Install(string) error { return ErrNotInVersion }

// Uninstall stops and removes the service.
func Uninstall() error { return ErrNotInVersion }
