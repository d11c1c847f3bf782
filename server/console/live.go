package console

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/steward-rmm/steward/server/fault"
)

// feed is what a live page watches: the topics that wake it, and what changed
// since a number. Polling is the truth, a wake-up only a hint.
type feed struct {
	topics []string
	every  time.Duration // least time between two looks; 0 is 200 ms
	// next returns the number that the page stands at now and the fragments
	// that changed since after; none when nothing did.
	next func(ctx context.Context, after string) (number string, fragments []byte, err error)
	// done reports that nothing will change any more.
	done func() bool
}

// Times of a stream: at most five messages a second, and a comment often
// enough that no proxy between closes it.
const (
	streamEvery   = 200 * time.Millisecond
	streamComment = 15 * time.Second
)

// stream answers with events until the reader goes away. Last-Event-ID, or
// else the page's own number in ?after, says where to go on.
func (f *frame) stream(d feed) error {
	flush, ok := f.w.(http.Flusher)
	if !ok {
		return fault.New(fault.Unavailable, "this connection cannot carry events")
	}
	after := f.r.Header.Get("Last-Event-ID")
	if after == "" {
		after = f.r.URL.Query().Get("after")
	}
	hints, cancel := f.c.o.Wake.Subscribe(d.topics...)
	defer cancel()
	h := f.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	f.started = true
	f.w.WriteHeader(http.StatusOK)
	flush.Flush()

	pause := max(d.every, streamEvery)
	poll := time.NewTicker(f.c.o.Poll)
	defer poll.Stop()
	comment := time.NewTicker(streamComment)
	defer comment.Stop()
	for {
		f.now = f.c.o.Now()
		number, html, err := d.next(f.ctx(), after)
		if err != nil {
			return f.endStream(flush, err)
		}
		if len(html) > 0 {
			if err := writeEvent(f.w, "fragments", number, html); err != nil {
				return nil // the reader went away
			}
			flush.Flush()
		}
		after = number
		if d.done != nil && d.done() {
			pause = f.c.o.Poll
		}
		if !f.wait(flush, hints, poll.C, comment.C, pause) {
			return nil
		}
		// A session that ended, or lost its right, takes its streams with it
		// before they tell anything more.
		err = f.c.identify(f)
		if err == nil {
			err = f.c.authorize(f.route, f)
		}
		if err != nil {
			return f.endStream(flush, err)
		}
	}
}

// wait returns when it may pay to look again, false when the reader is gone.
func (f *frame) wait(flush http.Flusher, hints <-chan struct{}, poll, comment <-chan time.Time, pause time.Duration) bool {
	rest := time.NewTimer(pause)
	defer rest.Stop()
	select {
	case <-rest.C:
	case <-f.ctx().Done():
		return false
	}
	for {
		select {
		case <-hints:
			return true
		case <-poll:
			return true
		case <-comment:
			if _, err := fmt.Fprint(f.w, ": still here\n\n"); err != nil {
				return false
			}
			flush.Flush()
		case <-f.ctx().Done():
			return false
		}
	}
}

// endStream tells the page to load itself again where that helps: the session
// ended, or what it shows is gone.
func (f *frame) endStream(flush http.Flusher, err error) error {
	switch fault.KindOf(err) {
	case fault.Unauthenticated, fault.NotFound, fault.Forbidden:
		_ = writeEvent(f.w, "gone", "", []byte("reload"))
		flush.Flush()
	default:
		f.c.o.Log.Error("console: stream", "path", f.r.URL.Path, "error", err)
	}
	return nil
}

func writeEvent(w http.ResponseWriter, name, id string, data []byte) error {
	var out bytes.Buffer
	out.WriteString("event: " + name + "\n")
	if id != "" {
		out.WriteString("id: " + strings.Map(oneLine, id) + "\n")
	}
	for line := range bytes.Lines(data) {
		out.WriteString("data: ")
		out.Write(bytes.TrimRight(line, "\r\n"))
		out.WriteByte('\n')
	}
	out.WriteByte('\n')
	_, err := w.Write(out.Bytes())
	return err
}

func oneLine(r rune) rune {
	if r < ' ' {
		return -1
	}
	return r
}

// pieces are the fragments of a page by the id of their element.
type pieces map[string][]byte

// join is the pieces of the ids, in that order.
func (p pieces) join(ids []string) []byte {
	var out []byte
	for _, id := range ids {
		out = append(out, p[id]...)
	}
	return out
}

// fragments keeps what was rendered once per number, topic and view, for all
// who watch the same.
type fragments struct {
	mu   sync.Mutex
	kept map[string]*fragment
	ring []string
}

type fragment struct {
	once sync.Once
	made pieces
	err  error
}

// keepFragments is how many are kept.
const keepFragments = 256

func newFragments() *fragments { return &fragments{kept: map[string]*fragment{}} }

// get returns what make gave for the key, called once whoever asks. A failure
// is not kept.
func (s *fragments) get(key string, make func() (pieces, error)) (pieces, error) {
	s.mu.Lock()
	one, ok := s.kept[key]
	if !ok {
		one = &fragment{}
		s.kept[key] = one
		s.ring = append(s.ring, key)
		if len(s.ring) > keepFragments {
			delete(s.kept, s.ring[0])
			s.ring = s.ring[1:]
		}
	}
	s.mu.Unlock()
	one.once.Do(func() { one.made, one.err = make() })
	if one.err != nil {
		s.mu.Lock()
		if s.kept[key] == one {
			delete(s.kept, key)
		}
		s.mu.Unlock()
	}
	return one.made, one.err
}

// differences returns a feed's next for pages without a number of their own:
// the pieces that differ from what this reader was sent, numbered by a hash.
func differences(look func(ctx context.Context) (pieces, error)) func(ctx context.Context, after string) (string, []byte, error) {
	sent := map[string][32]byte{}
	return func(ctx context.Context, after string) (string, []byte, error) {
		now, err := look(ctx)
		if err != nil {
			return after, nil, err
		}
		whole := sha256.New()
		var out []byte
		for _, id := range slices.Sorted(maps.Keys(now)) {
			sum := sha256.Sum256(now[id])
			whole.Write(sum[:])
			if sent[id] != sum {
				sent[id] = sum
				out = append(out, now[id]...)
			}
		}
		number := hex.EncodeToString(whole.Sum(nil)[:8])
		if number == after {
			return number, nil, nil
		}
		return number, out, nil
	}
}
