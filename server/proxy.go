package server

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// trustProxy believes X-Forwarded-For and -Proto of the proxies that were
// named, and takes them away from everyone else's requests.
func (a *App) trustProxy(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil || !a.isProxy(peer.Addr().Unmap()) {
			if r.Header.Get("X-Forwarded-For") != "" { // somebody stands between, whom nobody named
				r = r.WithContext(context.WithValue(r.Context(), forwardedKey{}, true))
			}
			r.Header.Del("X-Forwarded-For")
			r.Header.Del("X-Forwarded-Proto")
			next.ServeHTTP(w, r)
			return
		}
		// The last address is the one that our proxy saw; those before it are
		// the client's own claims.
		list := strings.Split(r.Header.Get("X-Forwarded-For"), ",")
		if client, err := netip.ParseAddr(strings.TrimSpace(list[len(list)-1])); err == nil {
			r.RemoteAddr = net.JoinHostPort(client.String(), "0")
		}
		next.ServeHTTP(w, r)
	})
}

// forwardedKey is the context key of requests that say they were forwarded.
type forwardedKey struct{}

// local reports whether a request came from this machine itself, and through
// nobody.
func local(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && peer.Addr().Unmap().IsLoopback() && r.Header.Get("X-Forwarded-For") == "" && r.Context().Value(forwardedKey{}) == nil
}

func (a *App) isProxy(addr netip.Addr) bool {
	for _, p := range a.cfg.BehindProxy {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// bearer is the token of an Authorization header, or "".
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}
