package wire

import (
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
)

// ErrMalformed is in the chain of every error of the decoders for text and
// bytes that people and servers hand over. The wrapped text says what is wrong
// and never repeats the input, which may hold a secret.
var ErrMalformed = errors.New("malformed")

// Enrollment is what a device needs to find its server, to know it when it
// answers, and to be let in. Its text form is the enrollment string: one token
// that survives mail, chat and a registry value.
//
// The string is "stw1-" and then, in Crockford's base 32 in lower case
// (https://www.crockford.com/base32.html), these bytes; numbers are big-endian:
//
//	1   version, 1
//	1   allowances: bit 0 update (always set), bit 1 install; others zero
//	32  SHA-256 of the root certificate's SubjectPublicKeyInfo
//	20  token
//	1   number of approvers, 0 to 4
//	32× SHA-256 of each approver's SubjectPublicKeyInfo
//	1   length of the address
//	n   address, host:port
//	4   CRC-32C (Castagnoli) of all bytes before
//
// The checksum finds every change of up to six neighbouring characters; the
// exact length finds a cut or a lengthened string. It is no protection against
// forgery: whoever makes a string chooses the server.
type Enrollment struct {
	Address    string     // of the server's door for agents, host:port
	RootSPKI   [32]byte   // SHA-256 of the root's SubjectPublicKeyInfo
	Token      [20]byte   // the secret; the server keeps its hash only
	MayInstall bool       // new packages from the device's own list may be installed
	Approvers  [][32]byte // SHA-256 of the approvers' SubjectPublicKeyInfo; at most MaxApprovers
}

// MaxApprovers is the largest number of approvers that one string names.
const MaxApprovers = 4

const (
	enrollmentPrefix    = "stw1-"
	enrollmentVersion   = 1
	enrollmentFixed     = 1 + 1 + 32 + 20 + 1 // bytes before the approvers
	enrollmentMaxText   = 2048                // characters, with whatever spaces a mail added
	maxEnrollmentHost   = 253                 // a DNS name in text form, RFC 1035 section 2.3.4
	allowUpdate         = 1 << 0
	allowInstall        = 1 << 1
	crockfordLower      = "0123456789abcdefghjkmnpqrstvwxyz"
	maxEnrollmentLength = 255
)

func crockford() *base32.Encoding {
	return base32.NewEncoding(crockfordLower).WithPadding(base32.NoPadding)
}

// Check reports what makes e unfit for a string, or nil.
func (e Enrollment) Check() error {
	if len(e.Approvers) > MaxApprovers {
		return fmt.Errorf("enrollment: %w: %d approvers, at most %d", ErrMalformed, len(e.Approvers), MaxApprovers)
	}
	return CheckAddress(e.Address)
}

// String returns the enrollment string. It holds the token: show it to the
// person who asked for it and to nobody else. It is empty when Check fails.
func (e Enrollment) String() string {
	if e.Check() != nil {
		return ""
	}
	b := make([]byte, 0, enrollmentFixed+32*len(e.Approvers)+1+len(e.Address)+4)
	allow := byte(allowUpdate)
	if e.MayInstall {
		allow |= allowInstall
	}
	b = append(b, enrollmentVersion, allow)
	b = append(b, e.RootSPKI[:]...)
	b = append(b, e.Token[:]...)
	b = append(b, byte(len(e.Approvers)))
	for _, a := range e.Approvers {
		b = append(b, a[:]...)
	}
	b = append(b, byte(len(e.Address)))
	b = append(b, e.Address...)
	b = binary.BigEndian.AppendUint32(b, enrollmentSum(b))
	return enrollmentPrefix + crockford().EncodeToString(b)
}

// GoString keeps the token out of debugging output.
func (e Enrollment) GoString() string { return "wire.Enrollment{" + e.Address + "}" }

func enrollmentSum(b []byte) uint32 {
	return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
}

// ParseEnrollment reads an enrollment string as people paste it: upper and
// lower case, spaces, line breaks, hyphens and surrounding quotes do not
// matter, and o, i and l are read as 0, 1 and 1. Every error has ErrMalformed
// in its chain and says what to do.
func ParseEnrollment(text string) (Enrollment, error) {
	body, err := enrollmentBody(text)
	if err != nil {
		return Enrollment{}, fmt.Errorf("enrollment string: %w: %w", ErrMalformed, err)
	}
	raw, err := crockford().DecodeString(body)
	// The last character may carry unused bits; only zeros are the string
	// that was made.
	if err != nil || crockford().EncodeToString(raw) != body {
		return Enrollment{}, fmt.Errorf("enrollment string: %w: its end is missing or mistyped; copy it again in full", ErrMalformed)
	}
	e, err := decodeEnrollment(raw)
	if err != nil {
		return Enrollment{}, fmt.Errorf("enrollment string: %w: %w", ErrMalformed, err)
	}
	return e, nil
}

// enrollmentBody strips what does not matter and returns the base 32 text.
func enrollmentBody(text string) (string, error) {
	if len(text) > enrollmentMaxText {
		return "", fmt.Errorf("%d bytes long, at most %d", len(text), enrollmentMaxText)
	}
	plain := strings.ToLower(strings.Map(dropFiller, text))
	switch {
	case plain == "":
		return "", errors.New("it is empty; create one with: steward enrollments create")
	case len(plain) < 4 || !strings.HasPrefix(plain, "stw"):
		return "", errors.New("it does not begin with stw1-; copy it again from its first character")
	case plain[3] >= '2' && plain[3] <= '9':
		return "", fmt.Errorf("it is of version %c and this program knows version 1; install a newer agent", plain[3])
	case plain[3] != '1':
		return "", errors.New("it does not begin with stw1-; copy it again from its first character")
	}
	body := []byte(plain[4:])
	for i, c := range body {
		switch c {
		case 'o':
			body[i] = '0'
		case 'i', 'l':
			body[i] = '1'
		default:
			if strings.IndexByte(crockfordLower, c) < 0 {
				return "", fmt.Errorf("character %d after stw1- cannot be part of one; copy it again", i+1)
			}
		}
	}
	return string(body), nil
}

// dropFiller removes what mail programs and people put into a long word.
func dropFiller(r rune) rune {
	switch {
	case unicode.IsSpace(r), r == '-', r >= '\u2010' && r <= '\u2015', r == '\u2212':
		return -1
	case r == '"', r == '\'', r == '`', r == '\u00ad', r == '\u200b', r == '\ufeff':
		return -1
	}
	return r
}

func decodeEnrollment(b []byte) (Enrollment, error) {
	var e Enrollment
	if len(b) < enrollmentFixed+1+4 {
		return e, errors.New("it is cut off; copy it again in full")
	}
	body, sum := b[:len(b)-4], binary.BigEndian.Uint32(b[len(b)-4:])
	if enrollmentSum(body) != sum {
		return e, errors.New("its checksum does not fit: something is missing or mistyped; copy it again in full")
	}
	if body[0] != enrollmentVersion {
		return e, fmt.Errorf("inner version %d, this program knows %d", body[0], enrollmentVersion)
	}
	allow := body[1]
	if allow&^(allowUpdate|allowInstall) != 0 || allow&allowUpdate == 0 {
		return e, fmt.Errorf("allowances %#02x are unknown; install a newer agent", allow)
	}
	e.MayInstall = allow&allowInstall != 0
	copy(e.RootSPKI[:], body[2:34])
	copy(e.Token[:], body[34:54])
	n, rest := int(body[54]), body[enrollmentFixed:]
	if n > MaxApprovers || len(rest) < 32*n+1 {
		return Enrollment{}, fmt.Errorf("%d approvers do not fit", n)
	}
	for range n {
		e.Approvers = append(e.Approvers, [32]byte(rest[:32]))
		rest = rest[32:]
	}
	if len(rest)-1 != int(rest[0]) {
		return Enrollment{}, errors.New("the address has the wrong length")
	}
	e.Address = string(rest[1:])
	if err := CheckAddress(e.Address); err != nil {
		return Enrollment{}, err
	}
	return e, nil
}

// CheckAddress reports what keeps address from being one a device can dial. It
// accepts host:port with a DNS name or an IP address, as
// net.JoinHostPort writes it, and a port from 1 to 65535 without leading zeros.
func CheckAddress(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil || len(address) > maxEnrollmentLength {
		return fmt.Errorf("address: %w: want host:port", ErrMalformed)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
		return fmt.Errorf("address: %w: want a port from 1 to 65535", ErrMalformed)
	}
	if net.JoinHostPort(host, port) != address {
		return fmt.Errorf("address: %w: want host:port, an IPv6 address in brackets", ErrMalformed)
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	if !validHost(host) {
		return fmt.Errorf("address: %w: the host is no DNS name and no IP address", ErrMalformed)
	}
	return nil
}

// validHost reports whether host is made of DNS labels (RFC 1123 section 2.1;
// the underscore is let through because Windows networks use it).
func validHost(host string) bool {
	if host == "" || len(host) > maxEnrollmentHost {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(host, "."), ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if !(c == '-' || c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z') {
				return false
			}
		}
	}
	return true
}
