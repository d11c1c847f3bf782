package cli

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/steward-rmm/steward/server/fault"
)

// Limits of one exchange.
const (
	requestTimeout = 2 * time.Minute // an apply over a large fleet
	headerTimeout  = time.Minute
	maxAnswer      = 64 << 20 // bytes; a page has at most 500 rows
	maxProblem     = 64 << 10
)

// client speaks to one server as one token.
type client struct {
	base  *url.URL
	token string
	agent string
	http  *http.Client
}

// server returns the client, made at its first use: STEWARD_URL or --url, and
// STEWARD_TOKEN.
func (x *call) server() (*client, error) {
	if x.api != nil {
		return x.api, nil
	}
	address, from := x.url, "--url"
	if address == "" {
		address, from = x.Getenv("STEWARD_URL"), "STEWARD_URL"
	}
	if address == "" {
		return nil, fault.Invalidf("STEWARD_URL", "not set").WithNext("set it to the console's address, or give --url")
	}
	base, err := checkBase(from, address)
	if err != nil {
		return nil, err
	}
	token := strings.TrimSpace(x.Getenv("STEWARD_TOKEN"))
	if token == "" {
		return nil, fault.Invalidf("STEWARD_TOKEN", "not set").WithNext("make one on the server: steward token create")
	}
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, fault.Invalidf("STEWARD_TOKEN", "holds characters that no token has")
	}
	x.api = &client{base: base, token: token, agent: "steward/" + x.Version, http: x.httpClient()}
	return x.api, nil
}

// checkBase refuses what is no address of a console. Without TLS the token
// would travel readable, so plain HTTP is for this machine alone.
func checkBase(from, address string) (*url.URL, error) {
	base, err := url.Parse(address)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, fault.Invalidf(from, "is no address of a console").WithNext("write it like https://steward.example.com")
	}
	if base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return nil, fault.Invalidf(from, "an address of a console has no user, query or fragment")
	}
	host := base.Hostname()
	if base.Scheme == "http" && host != "localhost" {
		if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
			return nil, fault.Invalidf(from, "plain http would show the token to everyone between").WithNext("use https; http is for this machine alone")
		}
	}
	return base, nil
}

func (x *call) httpClient() *http.Client {
	if x.HTTP != nil {
		return x.HTTP
	}
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
			TLSHandshakeTimeout:   10 * time.Second,
			TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
			ResponseHeaderTimeout: headerTimeout,
			IdleConnTimeout:       time.Minute,
			ForceAttemptHTTP2:     true,
		},
		// A redirect would take the token somewhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// request is one exchange: path segments below /api/v1, each still unescaped.
type request struct {
	method string
	path   []string
	query  url.Values
	body   []byte
	kind   string // media type of the body
	accept string // "" is JSON
	after  string // Last-Event-ID
}

// send does the exchange and returns an answer of the 200s; every other one is
// an error. The caller closes the body.
func (c *client) send(ctx context.Context, r request) (*http.Response, error) {
	parts := []string{"api", "v1"}
	for _, p := range r.path {
		parts = append(parts, url.PathEscape(p))
	}
	u := c.base.JoinPath(parts...)
	u.RawQuery = r.query.Encode()
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), bytes.NewReader(r.body))
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("User-Agent", c.agent)
	req.Header.Set("Accept", "application/json, application/problem+json")
	if r.accept != "" {
		req.Header.Set("Accept", r.accept+", application/problem+json")
	}
	if r.kind != "" {
		req.Header.Set("Content-Type", r.kind)
	}
	if r.after != "" {
		req.Header.Set("Last-Event-ID", r.after)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	if resp.StatusCode/100 != 2 {
		defer func() { _ = resp.Body.Close() }()
		return nil, problemOf(resp)
	}
	return resp, nil
}

// json does the exchange and returns the answer, which is JSON or empty.
func (c *client) json(ctx context.Context, r request) (json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	resp, err := c.send(ctx, r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, fault.New(fault.Unavailable, "the answer of %s broke off: %v", c.base.Host, err).WithNext("try again")
	}
	if len(data) > maxAnswer {
		return nil, fault.New(fault.Unavailable, "the answer of %s is larger than %d MiB", c.base.Host, maxAnswer>>20)
	}
	data = bytes.TrimSpace(data)
	if len(data) > 0 && !json.Valid(data) {
		return nil, foreign(c.base.Host, resp)
	}
	return data, nil
}

func foreign(host string, resp *http.Response) error {
	return fault.New(fault.Unavailable, "%s does not answer as Steward (HTTP %d, %s)", host, resp.StatusCode, line(resp.Header.Get("Content-Type"))).
		WithNext("is STEWARD_URL the console's address?")
}

// unreachable says why there was no answer, and what to look at.
func (c *client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() == nil || errors.Is(ctx.Err(), context.DeadlineExceeded) {
		var inner *url.Error
		if errors.As(err, &inner) {
			err = inner.Err // the outer one repeats the address
		}
	}
	f := fault.New(fault.Unavailable, "no answer from %s: %v", c.base.Host, err)
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	switch {
	case errors.As(err, &unknown):
		return f.WithNext("let this machine trust the server's certificate, or set SSL_CERT_FILE to its authority")
	case errors.As(err, &name):
		return f.WithNext("use the name that is in the server's certificate")
	}
	return f.WithNext("is the server running, and STEWARD_URL its console?")
}

// problem is an error of the API (RFC 9457); the last three are Steward's.
type problem struct {
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Field  string `json:"field"` // or line and column
	Next   string `json:"next_step"`
	Errors []struct {
		Location string `json:"location"`
		Message  string `json:"message"`
	} `json:"errors"`
}

// problemOf reads an answer that is no success. What is wrong with the
// request is wrong use; everything else failed at work.
func problemOf(resp *http.Response) error {
	var p problem
	data, _ := io.ReadAll(io.LimitReader(resp.Body, maxProblem))
	if err := json.Unmarshal(data, &p); err != nil || p.Title == "" && p.Detail == "" {
		if resp.StatusCode/100 == 3 {
			return fault.New(fault.Unavailable, "the address answers with a redirect to %s", line(resp.Header.Get("Location"))).
				WithNext("set STEWARD_URL to where it leads")
		}
		if resp.StatusCode < 500 {
			return foreign(resp.Request.URL.Host, resp)
		}
		p.Detail = fmt.Sprintf("%s answers HTTP %d", resp.Request.URL.Host, resp.StatusCode)
	}
	text := p.Detail
	if text == "" {
		text = p.Title
	}
	for _, e := range p.Errors {
		if e.Message != p.Detail { // the first one is often the detail itself
			text += "; " + strings.TrimPrefix(e.Location+" "+e.Message, " ")
		}
	}
	f := fault.New(kindOf(resp.StatusCode), "%s", cut(line(text), 800))
	f.Field, f.Next = line(p.Field), line(p.Next)
	if f.Next == "" {
		f.Next = nextOf(resp)
	}
	return f
}

func kindOf(status int) fault.Kind {
	switch status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return fault.Invalid
	case http.StatusNotImplemented:
		return fault.NotYet
	case http.StatusUnauthorized:
		return fault.Unauthenticated
	case http.StatusForbidden:
		return fault.Forbidden
	case http.StatusNotFound:
		return fault.NotFound
	case http.StatusConflict:
		return fault.Conflict
	case http.StatusTooManyRequests:
		return fault.TooMany
	case http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout:
		return fault.Unavailable
	}
	return fault.Internal
}

// nextOf is what to do about a status when the server did not say.
func nextOf(resp *http.Response) string {
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		return "STEWARD_TOKEN is not accepted: make one with steward token create"
	case http.StatusForbidden:
		return "use a token that may do this"
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		if after := line(resp.Header.Get("Retry-After")); after != "" && len(after) < 10 {
			return "try again in " + after + " s"
		}
		return "try again in a moment"
	case http.StatusInternalServerError:
		return "the server's log has the cause"
	}
	return ""
}
