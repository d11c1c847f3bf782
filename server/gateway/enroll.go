package gateway

import (
	"context"
	"errors"
	"net"
	"runtime/debug"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/steward-rmm/steward/proto/steward/agent/v1"
	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/pki"
)

// RetryAfter is the trailer with the seconds to wait before the next attempt.
const RetryAfter = "retry-after"

// unary bounds the time of a call and keeps a panic to itself.
func (g *Gateway) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (out any, err error) {
	defer func() {
		if p := recover(); p != nil {
			g.o.Log.Error("a call panicked", "method", info.FullMethod, "panic", p, "stack", string(debug.Stack()))
			out, err = nil, status.Error(codes.Internal, "the server failed; it was logged")
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, err = handle(ctx, req)
	if err != nil {
		return nil, g.failure(ctx, info.FullMethod, err)
	}
	return out, nil
}

// failure turns an error into a status: what the device's people can mend is
// told, everything else is logged here, once.
func (g *Gateway) failure(ctx context.Context, what string, err error) error {
	var m *malformed
	if errors.As(err, &m) {
		return status.Error(codes.InvalidArgument, m.Error())
	}
	code := codes.Internal
	switch fault.KindOf(err) {
	case fault.Invalid:
		code = codes.InvalidArgument
	case fault.NotFound:
		code = codes.NotFound
	case fault.Conflict:
		code = codes.FailedPrecondition
	case fault.Forbidden:
		code = codes.PermissionDenied
	case fault.Unauthenticated:
		code = codes.Unauthenticated
	case fault.TooMany:
		code = codes.ResourceExhausted
	case fault.Unavailable:
		code = codes.Unavailable
	case fault.NotYet:
		code = codes.Unimplemented
	}
	var limited *pki.Limited
	if errors.As(err, &limited) {
		_ = grpc.SetTrailer(ctx, metadata.Pairs(RetryAfter, strconv.Itoa(int(limited.After.Seconds())))) // a hint only
	}
	var shown *fault.Error
	if code == codes.Internal || !errors.As(err, &shown) {
		if ctx.Err() != nil {
			return status.FromContextError(ctx.Err()).Err()
		}
		g.o.Log.Error("the agents' door failed", "what", what, "error", err)
		return status.Error(codes.Internal, "the server failed; it was logged")
	}
	safe := *shown
	safe.Err = nil // the cause is the operator's
	return status.Error(code, safe.Error())
}

// enrollment is the service of devices without a good certificate.
type enrollment struct {
	agentv1.UnimplementedEnrollmentServiceServer
	g *Gateway
}

// Enroll implements EnrollmentService.
func (e enrollment) Enroll(ctx context.Context, r *agentv1.EnrollRequest) (*agentv1.EnrollResponse, error) {
	plain, err := enrollRequest(r)
	if err != nil {
		return nil, err
	}
	if v := r.GetProtocolVersion(); v < wire.MinProtocolVersion || v > wire.ProtocolVersion+100 {
		return nil, fault.Invalidf("protocol_version", "%d is too old for this server", v).WithNext("install a newer agent")
	}
	plain.From = address(ctx)
	out, err := e.g.o.Session.Enroll(ctx, e.g.o.Now(), plain)
	if err != nil {
		return nil, err
	}
	d := out.Device
	return &agentv1.EnrollResponse{
		DeviceId: string(d.ID), Tenant: string(d.Tenant), Site: string(d.Site), Certificates: out.Certificates, Bundle: out.Bundle,
		ServerTimeMs: out.Now.UnixMilli(), MayInstall: d.MayInstall, Class: string(d.Class), Tags: d.Tags,
	}, nil
}

// address is where a call came from, without the port.
func address(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return ""
	}
	host, _, err := net.SplitHostPort(p.Addr.String())
	if err != nil {
		return p.Addr.String()
	}
	return host
}

// holder is the certificate of a call's connection.
func (e enrollment) holder(ctx context.Context) (pki.Peer, error) {
	info, ok := connection(ctx)
	if !ok {
		return pki.Peer{}, fault.New(fault.Unauthenticated, "no TLS")
	}
	p := e.g.o.Keys.PeerState(info.state, e.g.o.Now())
	if !p.Presented || !p.ChainOK {
		return p, fault.New(fault.Unauthenticated, "a renewal needs the old certificate").WithNext("enroll the device again")
	}
	return p, nil
}

// RenewNonce implements EnrollmentService.
func (e enrollment) RenewNonce(ctx context.Context, _ *agentv1.RenewNonceRequest) (*agentv1.RenewNonceResponse, error) {
	p, err := e.holder(ctx)
	if err != nil {
		return nil, err
	}
	now := e.g.o.Now()
	return &agentv1.RenewNonceResponse{Nonce: e.g.o.Session.RenewNonce(now, p.SPKI), ServerTimeMs: now.UnixMilli()}, nil
}

// Renew implements EnrollmentService.
func (e enrollment) Renew(ctx context.Context, r *agentv1.RenewRequest) (*agentv1.RenewResponse, error) {
	if _, err := e.holder(ctx); err != nil {
		return nil, err
	}
	chain := [][]byte{r.GetOldCertificate()}
	if info, ok := connection(ctx); ok {
		for i, c := range info.state.PeerCertificates {
			if i > 0 && i < 3 { // those above it, for an issuing certificate that only another server knows
				chain = append(chain, c.Raw)
			}
		}
	}
	out, err := e.g.o.Session.Renew(ctx, e.g.o.Now(), pki.Renewal{Chain: chain, CSR: r.GetCsr(), Nonce: r.GetNonce(), Signature: r.GetSignature()})
	if err != nil {
		return nil, err
	}
	return &agentv1.RenewResponse{Certificates: out.Certificates, Bundle: out.Bundle, ServerTimeMs: out.Now.UnixMilli()}, nil
}
