package identity

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"sync"
)

// SessionCache keeps the last TLS session of one key beside it, so that a device
// resumes after a restart. It implements tls.ClientSessionCache; a session that
// cannot be kept or read costs a full handshake and nothing else, so there are
// no errors. The file is protected by its mode alone.
//
// A session belongs to the key that it was opened with: resuming it presents
// the certificate of then, so a renewed key begins with none.
type SessionCache struct {
	vault Vault
	owner [32]byte

	mu    sync.Mutex
	state *tls.ClientSessionState
	read  bool
}

// Sessions returns the cache for a key.
func (id *Identity) Sessions(c *Credential) *SessionCache {
	return &SessionCache{vault: id.vault, owner: c.ID()}
}

// Get implements tls.ClientSessionCache. There is one server, so the key by
// which crypto/tls asks (its address) does not matter.
func (s *SessionCache) Get(string) (*tls.ClientSessionState, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.read {
		s.read = true
		if raw, err := s.vault.Read(fileTLS); err == nil {
			s.state = decodeSession(raw, s.owner)
		}
	}
	return s.state, s.state != nil
}

// Put implements tls.ClientSessionCache; nil forgets the session.
func (s *SessionCache) Put(_ string, state *tls.ClientSessionState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read, s.state = true, state
	if raw := encodeSession(state, s.owner); raw != nil {
		_ = s.vault.Write(fileTLS, raw)
	} else {
		_ = s.vault.Remove(fileTLS)
	}
}

// encodeSession returns owner, length of the ticket, ticket, state; nil when
// there is nothing to keep.
func encodeSession(state *tls.ClientSessionState, owner [32]byte) []byte {
	if state == nil {
		return nil
	}
	ticket, session, err := state.ResumptionState()
	if err != nil || session == nil {
		return nil
	}
	raw, err := session.Bytes()
	if err != nil || len(ticket) > maxFile/2 || len(raw) > maxFile/2-64 {
		return nil
	}
	out := append([]byte(nil), owner[:]...)
	out = binary.BigEndian.AppendUint32(out, uint32(len(ticket)))
	return append(append(out, ticket...), raw...)
}

// decodeSession returns nil for what is not a session of the owner.
func decodeSession(raw []byte, owner [32]byte) *tls.ClientSessionState {
	rest, ok := bytes.CutPrefix(raw, owner[:])
	if !ok || len(rest) < 4 {
		return nil
	}
	n := uint64(binary.BigEndian.Uint32(rest))
	if rest = rest[4:]; n > uint64(len(rest)) {
		return nil
	}
	session, err := tls.ParseSessionState(rest[n:])
	if err != nil {
		return nil
	}
	state, err := tls.NewResumptionState(bytes.Clone(rest[:n]), session)
	if err != nil {
		return nil
	}
	return state
}
