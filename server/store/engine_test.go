package store_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/steward-rmm/steward/server/store"
	"github.com/steward-rmm/steward/server/store/storetest"
)

func TestEngineOnPostgres(t *testing.T) {
	if os.Getenv(storetest.Variable) == "" {
		return
	}
	storetest.Run(t, func(t *testing.T) *store.Store { return storetest.OpenPostgres(t) })
}

func TestEngineOnSQLite(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	storetest.Run(t, func(t *testing.T) *store.Store { return storetest.Open(t) })
}
