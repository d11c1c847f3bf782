package transport

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/net/http/httpproxy"
)

const (
	dialTimeout  = 20 * time.Second
	maxProxyHead = 16 << 10 // bytes of a proxy's answer
)

// ProxyFromEnvironment returns the proxy for an address, nil for none, by
// HTTPS_PROXY and NO_PROXY in either case; localhost never goes through one.
func ProxyFromEnvironment() func(address string) (*url.URL, error) {
	find := httpproxy.FromEnvironment().ProxyFunc()
	return func(address string) (*url.URL, error) { return find(&url.URL{Scheme: "https", Host: address}) }
}

// NewDialer returns a function that connects to host:port, through a proxy by
// CONNECT where there is one.
//
// TCP keep-alive is off: with it Linux aborts a connection when a single probe
// stays unanswered, because grpc sets TCP_USER_TIMEOUT. grpc's own keep-alive
// does the work.
func NewDialer(proxy func(address string) (*url.URL, error)) func(context.Context, string) (net.Conn, error) {
	direct := &net.Dialer{Timeout: dialTimeout, KeepAlive: -1}
	return func(ctx context.Context, address string) (net.Conn, error) {
		via, err := proxy(address)
		if err != nil {
			return nil, fmt.Errorf("proxy: %w", withoutPassword(err))
		}
		if via == nil {
			return direct.DialContext(ctx, "tcp", address)
		}
		conn, err := dialProxy(ctx, direct, via)
		if err != nil {
			return nil, fmt.Errorf("proxy %s: %w", via.Host, err)
		}
		tunnel, err := throughProxy(ctx, conn, via, address)
		if err != nil {
			conn.Close()
			return nil, fmt.Errorf("proxy %s: %w", via.Host, err)
		}
		return tunnel, nil
	}
}

func withoutPassword(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

func dialProxy(ctx context.Context, d *net.Dialer, via *url.URL) (net.Conn, error) {
	port := via.Port()
	switch via.Scheme {
	case "http":
		if port == "" {
			port = "80"
		}
	case "https":
		if port == "" {
			port = "443"
		}
	default:
		return nil, fmt.Errorf("scheme %q: want http or https", via.Scheme)
	}
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(via.Hostname(), port))
	if err != nil || via.Scheme == "http" {
		return conn, err
	}
	secure := tls.Client(conn, &tls.Config{ServerName: via.Hostname(), MinVersion: tls.VersionTLS12})
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secure, nil
}

// throughProxy asks the proxy for a tunnel to the address.
func throughProxy(ctx context.Context, conn net.Conn, via *url.URL, address string) (net.Conn, error) {
	deadline := time.Now().Add(dialTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	request := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: http.Header{"User-Agent": {"steward-agent"}}}
	if u := via.User; u != nil {
		password, _ := u.Password()
		request.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(u.Username()+":"+password)))
	}
	if err := request.Write(conn); err != nil {
		return nil, err
	}
	in := bufio.NewReaderSize(&limited{conn, maxProxyHead}, 1024)
	answer, err := http.ReadResponse(in, request)
	if err != nil {
		return nil, fmt.Errorf("its answer: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it refuses the way to %s: %s", address, answer.Status)
	}
	// A TLS server says nothing before the client does.
	if in.Buffered() > 0 {
		return nil, errors.New("it sent something behind its answer")
	}
	return conn, conn.SetDeadline(time.Time{})
}

// limited reads at most left bytes.
type limited struct {
	conn net.Conn
	left int
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, errors.New("its answer is too long")
	}
	n, err := l.conn.Read(p[:min(len(p), l.left)])
	l.left -= n
	return n, err
}
