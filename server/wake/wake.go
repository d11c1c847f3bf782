// Package wake tells whoever waits on a topic that looking again may pay.
//
// A wake-up is a hint and never a payload: it may be lost with the process, and
// several may melt into one. Who is woken reads the truth from the store; who
// is not woken finds it at the next poll.
package wake

import "sync"

// Hub passes hints by topic. Its zero value is ready, and all its methods may
// be called from any goroutine. It must not be copied.
type Hub struct {
	mu     sync.RWMutex
	topics map[string]map[chan struct{}]struct{}
}

// Subscribe returns a channel that holds at most one hint for any of the
// topics. The cancel function takes the channel off the hub and may be called
// again; the channel is never closed, so a reader that is late only waits.
func (h *Hub) Subscribe(topics ...string) (hints <-chan struct{}, cancel func()) {
	slot := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.topics == nil {
		h.topics = make(map[string]map[chan struct{}]struct{})
	}
	for _, topic := range topics {
		slots := h.topics[topic]
		if slots == nil {
			slots = make(map[chan struct{}]struct{})
			h.topics[topic] = slots
		}
		slots[slot] = struct{}{}
	}
	topics = append([]string(nil), topics...) // the caller may reuse its slice
	return slot, func() { h.remove(slot, topics) }
}

func (h *Hub) remove(slot chan struct{}, topics []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, topic := range topics {
		slots := h.topics[topic]
		delete(slots, slot)
		if len(slots) == 0 {
			delete(h.topics, topic) // topics come and go with devices and pages
		}
	}
}

// Wake leaves a hint in every slot of the topic that has none, and returns at
// once, whoever listens.
func (h *Hub) Wake(topic string) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for slot := range h.topics[topic] {
		select {
		case slot <- struct{}{}:
		default: // a hint is waiting already
		}
	}
}
