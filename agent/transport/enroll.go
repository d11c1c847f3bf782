package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
	"unicode"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/steward-rmm/steward/agent/identity"
	agentv1 "github.com/steward-rmm/steward/proto/steward/agent/v1"
	"github.com/steward-rmm/steward/proto/wire"
)

// Enrollment is a request to be let in.
type Enrollment struct {
	String  wire.Enrollment
	CSR     []byte
	Machine Machine
	Class   string
	Tags    []string
	Version string
	Now     func() time.Time
	Dial    func(ctx context.Context, address string) (net.Conn, error) // as in Options
}

// RefusedError is a server's no to an enrollment or renewal. Its text is the
// server's, made printable.
type RefusedError struct {
	Text string
	// Final: asking again with the same string gets the same answer.
	Final bool
}

// Error implements error.
func (r *RefusedError) Error() string { return r.Text }

// Enroll asks the server that the string names. It is a *RefusedError when the
// server says no; any other error may have lost a yes, so ask again with the
// same key.
func Enroll(ctx context.Context, e Enrollment) (identity.Granted, error) {
	dial := e.Dial
	if dial == nil {
		dial = NewDialer(ProxyFromEnvironment())
	}
	trust := identity.Pinned(e.String.RootSPKI)
	conn, err := connection{
		address: e.String.Address, trust: func() identity.Trust { return trust }, dial: dial, now: e.Now,
	}.client()
	if err != nil {
		return identity.Granted{}, err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer, err := agentv1.NewEnrollmentServiceClient(conn).Enroll(ctx, &agentv1.EnrollRequest{
		ProtocolVersion: wire.ProtocolVersion, Token: e.String.Token[:], Csr: e.CSR, Machine: machineOut(e.Machine),
		Class: text(e.Class), Tags: texts(e.Tags), AgentVersion: text(e.Version),
	})
	if err != nil {
		return identity.Granted{}, refusal(e.String.Address, err)
	}
	return identity.Granted{
		Device: answer.GetDeviceId(), Tenant: answer.GetTenant(), Site: answer.GetSite(), Class: answer.GetClass(),
		Tags: answer.GetTags(), MayInstall: answer.GetMayInstall(), Chain: answer.GetCertificates(), Bundle: answer.GetBundle(),
	}, nil
}

// refusal tells a server's no from a failure on the way.
func refusal(address string, err error) error {
	s, ok := status.FromError(err)
	if !ok {
		return fmt.Errorf("server %s: %w", address, err)
	}
	said := printable(s.Message())
	switch s.Code() {
	case codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.PermissionDenied, codes.FailedPrecondition, codes.Unauthenticated, codes.Unimplemented:
		return &RefusedError{Text: "the server refuses: " + said, Final: true}
	case codes.ResourceExhausted:
		return &RefusedError{Text: "the server asks to come later: " + said}
	case codes.DeadlineExceeded:
		return fmt.Errorf("server %s: no answer in %v (is the address right, and does a firewall let it through?): %s", address, callTimeout, said)
	}
	return fmt.Errorf("server %s: %s", address, said)
}

// maxSaid bounds what is shown of a server's text, in bytes.
const maxSaid = 500

// printable makes a foreign text fit for a terminal.
func printable(s string) string {
	if len(s) > maxSaid {
		s = s[:maxSaid] + "…"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, " "))
}

// renew gets a certificate for a new key over a connection that presented the
// old one, and stages it.
func (c *Client) renew(ctx context.Context, conn *grpc.ClientConn, old *identity.Credential) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	door, address := agentv1.NewEnrollmentServiceClient(conn), c.o.Identity.Facts().Address
	nonce, err := door.RenewNonce(ctx, &agentv1.RenewNonceRequest{})
	if err != nil {
		return refusal(address, err)
	}
	if n := len(nonce.GetNonce()); n == 0 || n > wire.MaxText {
		return fmt.Errorf("server %s: a nonce of %d bytes", address, n)
	}
	fresh, err := c.o.Identity.NewKey()
	if err != nil {
		return err
	}
	csr, err := fresh.CSR()
	if err != nil {
		return err
	}
	signature, err := old.SignRenewal(nonce.GetNonce(), csr)
	if err != nil {
		return err
	}
	answer, err := door.Renew(ctx, &agentv1.RenewRequest{
		OldCertificate: old.Leaf(), Csr: csr, Nonce: nonce.GetNonce(), Signature: signature,
	})
	if err != nil {
		return refusal(address, err)
	}
	if len(answer.GetCertificates()) == 0 {
		return errors.New("the server answered a renewal without a certificate")
	}
	if err := c.o.Identity.Stage(fresh, answer.GetCertificates(), answer.GetBundle()); err != nil {
		return err
	}
	c.o.Log.Info("the certificate is renewed; it counts once it opened a session")
	return nil
}
