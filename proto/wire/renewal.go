package wire

import (
	"crypto/sha256"
	"encoding/binary"
)

// renewalContext keeps a renewal's signature from being good for anything else.
const renewalContext = "steward renewal v1\x00"

// RenewalDigest returns the SHA-256 digest that a device signs with its old
// key (ECDSA P-256, ASN.1) to have a certificate for a new one: over the
// context, the length of the server's nonce as four big-endian bytes, the
// nonce, and the certificate request in DER.
func RenewalDigest(nonce, csrDER []byte) [32]byte {
	b := make([]byte, 0, len(renewalContext)+4+len(nonce)+len(csrDER))
	b = append(b, renewalContext...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(nonce)))
	b = append(b, nonce...)
	b = append(b, csrDER...)
	return sha256.Sum256(b)
}
