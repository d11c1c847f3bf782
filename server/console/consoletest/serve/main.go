//go:build e2e

// Command serve serves the console over invented data on a free port, and
// prints its address, for browsers that look at pages from outside. Beside the
// pages it has /-/move?device=ID, after which that device of the running
// deployment has failed, and /-/cut, which breaks all connections.
package main

import (
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/console"
	"github.com/steward-rmm/steward/server/console/consoletest"
	"github.com/steward-rmm/steward/server/deployment"
	"github.com/steward-rmm/steward/server/ident"
)

const running = "0199a1b2-0000-7000-8000-000000000900"

func main() {
	kind := flag.String("kind", "full", "full, empty or hostile")
	flag.Parse()
	pages, deps, hub, err := consoletest.New(consoletest.Kind(*kind), func(o *console.Options) { o.Poll = time.Second })
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	mux := http.NewServeMux()
	server := httptest.NewUnstartedServer(mux)
	mux.Handle("/", pages)
	mux.HandleFunc("/-/move", func(_ http.ResponseWriter, r *http.Request) {
		deps.Move(deployment.Member{Device: ident.DeviceID(r.FormValue("device")), Ring: 3, Result: wire.ResultFailed, EndedAt: consoletest.Now})
		hub.Wake(deployment.Topic(running))
	})
	mux.HandleFunc("/-/cut", func(http.ResponseWriter, *http.Request) { go server.CloseClientConnections() })
	server.Start()
	fmt.Println(server.URL)
	// Until whoever started this closes the input, or ends.
	_, _ = os.Stdin.Read(make([]byte, 1))
}
