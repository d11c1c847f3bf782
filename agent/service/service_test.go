package service_test

import (
	"errors"
	"testing"

	"github.com/steward-rmm/steward/agent/service"
)

func TestNotInThisVersion(t *testing.T) {
	if !errors.Is(service.Install("/data"), service.ErrNotInVersion) || !errors.Is(service.Uninstall(), service.ErrNotInVersion) {
		t.Error("another answer")
	}
}
