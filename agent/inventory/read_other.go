//go:build !windows

package inventory

import (
	"context"
	"errors"
)

// readWindows is asked on Windows only.
func readWindows(context.Context) (windowsMachine, error) {
	return windowsMachine{}, errors.New("this is not Windows")
}
