package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/steward-rmm/steward/server/ident"
)

// The contexts begin what is hashed or signed, so that no bytes of one sort
// can be taken for another. docs/formats/audit.md describes each byte.
const (
	payloadMagic      = "steward audit payload v1\x00"
	entryContext      = "steward audit entry v1\x00"
	genesisContext    = "steward audit chain v1\x00"
	headContext       = "steward audit head v1\x00"
	checkpointContext = "steward audit checkpoint v1\x00"
)

const saltSize = 16

// maxPayload is above what the limits of an entry allow.
const maxPayload = 128 << 10

var errPayload = errors.New("audit payload is malformed")

// payload is the part of an entry that can be erased.
type payload struct {
	salt       [saltSize]byte // keeps an erased payload from being guessed by its hash
	actorName  string
	objectName string
	reason     string
	detail     map[string]string
}

func appendText(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
	return append(b, s...)
}

// clip makes s valid UTF-8 of at most maxText bytes, with a mark where it was cut.
func clip(s string) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	if len(s) <= maxText {
		return s
	}
	const mark = "…"
	end := maxText - len(mark)
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + mark
}

// encodePayload returns the payload's one byte form. Texts are clipped and
// detail is in the order of its keys.
func encodePayload(p payload) []byte {
	b := append([]byte(payloadMagic), p.salt[:]...)
	b = appendText(b, clip(p.actorName))
	b = appendText(b, clip(p.objectName))
	b = appendText(b, clip(p.reason))
	b = binary.BigEndian.AppendUint16(b, uint16(len(p.detail)))
	for _, k := range slices.Sorted(maps.Keys(p.detail)) {
		b = appendText(b, k)
		b = appendText(b, clip(p.detail[k]))
	}
	return b
}

// decodePayload reads what encodePayload wrote and nothing else.
func decodePayload(b []byte) (payload, error) {
	var p payload
	rest, ok := bytes.CutPrefix(b, []byte(payloadMagic))
	if !ok || len(b) > maxPayload || len(rest) < saltSize {
		return p, errPayload
	}
	copy(p.salt[:], rest)
	rest = rest[saltSize:]
	text := func() (s string) {
		if len(rest) < 2 || len(rest)-2 < int(binary.BigEndian.Uint16(rest)) {
			ok = false
			return ""
		}
		n := 2 + int(binary.BigEndian.Uint16(rest))
		s, rest = string(rest[2:n]), rest[n:]
		return s
	}
	p.actorName, p.objectName, p.reason = text(), text(), text()
	if !ok || len(rest) < 2 {
		return payload{}, errPayload
	}
	n := int(binary.BigEndian.Uint16(rest))
	rest = rest[2:]
	for i := 0; i < n && ok; i++ {
		if p.detail == nil {
			p.detail = make(map[string]string)
		}
		key := text()
		p.detail[key] = text()
	}
	// Writing it again is the cheapest proof that order and lengths are ours.
	if !ok || !bytes.Equal(encodePayload(p), b) {
		return payload{}, errPayload
	}
	return p, nil
}

// genesis is what the first entry of a tenant's chain follows.
func genesis(tenant ident.TenantID) Hash {
	return sha256.Sum256(appendText([]byte(genesisContext), string(tenant)))
}

// chainHash returns the hash of a row whose Seq and Prev are set.
func chainHash(r Row) Hash {
	b := make([]byte, 0, 320)
	b = append(b, entryContext...)
	b = binary.BigEndian.AppendUint64(b, r.Seq)
	b = append(b, r.Prev[:]...)
	b = appendText(b, string(r.Tenant))
	b = appendText(b, string(r.ID))
	b = binary.BigEndian.AppendUint64(b, uint64(r.At.UnixMilli()))
	b = appendText(b, string(r.ActorKind))
	b = appendText(b, r.ActorID)
	b = appendText(b, string(r.ActorTenant))
	b = appendText(b, r.Action)
	b = appendText(b, r.ObjectKind)
	b = appendText(b, r.ObjectID)
	b = append(b, r.PayloadHash[:]...)
	return sha256.Sum256(b)
}

// seal returns the row with its place behind the tip.
func seal(r Row, tip Tip) Row {
	r.Seq, r.Prev = tip.Seq+1, tip.Hash
	r.Hash = chainHash(r)
	return r
}

// newRow makes the unsealed row of an entry.
func newRow(e Entry, salt [saltSize]byte) Row {
	body := encodePayload(payload{salt, e.Actor.Name, e.Object.Name, e.Reason, e.Detail})
	return Row{
		Tenant: e.Tenant, ID: e.ID, At: e.At,
		ActorKind: e.Actor.Kind, ActorID: e.Actor.ID, ActorTenant: e.Actor.Tenant,
		Action: e.Action, ObjectKind: e.Object.Kind, ObjectID: e.Object.ID,
		Payload: body, PayloadHash: sha256.Sum256(body),
	}
}

// entry gives the row back as it was recorded; without its payload when that
// was erased.
func (r Row) entry() (Entry, error) {
	e := Entry{
		Tenant: r.Tenant, ID: r.ID, At: r.At, Action: r.Action,
		Actor:  ident.Actor{Kind: r.ActorKind, ID: r.ActorID, Tenant: r.ActorTenant},
		Object: Object{Kind: r.ObjectKind, ID: r.ObjectID},
	}
	if r.Payload == nil {
		return e, nil
	}
	p, err := decodePayload(r.Payload)
	if err != nil {
		return e, fmt.Errorf("audit entry %s: %w", r.ID, err)
	}
	e.Actor.Name, e.Object.Name, e.Reason, e.Detail = p.actorName, p.objectName, p.reason, p.detail
	return e, nil
}

func signedPlace(context string, tenant ident.TenantID, seq uint64, hash Hash, atMilli int64) []byte {
	b := appendText([]byte(context), string(tenant))
	b = binary.BigEndian.AppendUint64(b, seq)
	b = append(b, hash[:]...)
	return binary.BigEndian.AppendUint64(b, uint64(atMilli))
}
