package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/steward-rmm/steward/server/auth"
)

// closing closes a listener that its server may have closed already.
func closing(l io.Closer) func(context.Context) error {
	return func(context.Context) error {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	}
}

func (a *App) serveAgents() {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := a.gateway.Serve(context.Background(), a.agents); err != nil {
			a.fail(fmt.Errorf("serve agents: %w", err))
		}
	}()
	a.onStop("gateway", func(ctx context.Context) error {
		a.gateway.Stop(ctx)
		<-ended
		return nil
	})
}

// The times within which a person's request must come and go. A live page's
// stream ends with its context, so there is no time for a whole response.
const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 32 << 10
	bodyTimeout   = 30 * time.Second
)

func (a *App) servePeople() {
	ctx, cancel := context.WithCancel(context.Background())
	srv := &http.Server{
		Handler: a.handler, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    slog.NewLogLogger(a.cfg.Log.Handler(), slog.LevelDebug),
		TLSConfig:   &tls.Config{MinVersion: tls.VersionTLS12},
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		var err error
		if a.cfg.TLSCert != "" {
			err = srv.ServeTLS(a.people, a.cfg.TLSCert, a.cfg.TLSKey)
		} else {
			err = srv.Serve(a.people)
		}
		if !errors.Is(err, http.ErrServerClosed) {
			a.fail(fmt.Errorf("serve people: %w", err))
		}
	}()
	a.onStop("console", func(stop context.Context) error {
		cancel() // live pages end
		err := srv.Shutdown(stop)
		<-ended
		return err
	})
}

func (a *App) fail(err error) {
	select {
	case a.failed <- err:
	default: // an earlier one is being told
	}
}

// front is what people's listener answers: the API, the pages, and how the
// server itself is.
func (a *App) front(scripts, pages http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { plainText(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", a.ready)
	mux.Handle("GET /metrics", a.guardMetrics(promhttp.HandlerFor(a.registry, promhttp.HandlerOpts{})))
	mux.Handle("/api/", scripts)
	mux.Handle("/", pages)
	return a.trustProxy(promptBodies(mux, bodyTimeout))
}

// promptBodies bounds the time in which a request's body comes, whoever reads
// it: net/http itself waits for a body that nobody read. What is done with a
// body that has come may take longer.
func promptBodies(next http.Handler, within time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody {
			control := http.NewResponseController(w)
			// A recorder in a test knows no deadlines.
			_ = control.SetReadDeadline(time.Now().Add(within))
			r.Body = promptBody{r.Body, control}
		}
		next.ServeHTTP(w, r)
	})
}

// promptBody lifts the deadline once the body has come.
type promptBody struct {
	io.ReadCloser
	control *http.ResponseController
}

// Read implements io.Reader.
func (b promptBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		_ = b.control.SetReadDeadline(time.Time{}) // as above
	}
	return n, err
}

func plainText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n")
}

// ready answers 503 when the database does not.
func (a *App) ready(w http.ResponseWriter, r *http.Request) {
	if _, _, err := a.base.store.Meta(r.Context(), metaEpoch); err != nil {
		plainText(w, http.StatusServiceUnavailable, "the database does not answer")
		return
	}
	plainText(w, http.StatusOK, "ready")
}

// guardMetrics lets this machine itself in, and viewers of all tenants.
func (a *App) guardMetrics(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if local(r) {
			next.ServeHTTP(w, r)
			return
		}
		principal, err := a.base.auth.Token(r.Context(), a.now(), bearer(r))
		if err != nil || auth.AuthorizeAll(principal, auth.DeviceRead) != nil {
			plainText(w, http.StatusUnauthorized, "metrics need a viewer's token for all customers")
			return
		}
		next.ServeHTTP(w, r)
	})
}
