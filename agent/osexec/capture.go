package osexec

import (
	"fmt"
	"sync"
)

// capture keeps the head and the tail of a stream up to a limit and hands its
// lines to a callback. Writing never fails and never blocks on the limit.
type capture struct {
	turn *sync.Mutex // shared by all captures of one command
	each func(string)

	limit int
	head  []byte
	tail  []byte // a ring once it is full
	next  int    // where the ring is written next
	total int64
	line  []byte
	over  bool // finished: later writes are read and dropped
}

func newCapture(limit int, turn *sync.Mutex, each func(string)) *capture {
	return &capture{turn: turn, each: each, limit: limit}
}

// Write implements io.Writer.
func (c *capture) Write(p []byte) (int, error) {
	c.turn.Lock()
	defer c.turn.Unlock()
	if c.over {
		return len(p), nil
	}
	c.keep(p)
	if c.each != nil {
		c.lines(p)
	}
	return len(p), nil
}

func (c *capture) keep(p []byte) {
	c.total += int64(len(p))
	half := (c.limit + 1) / 2
	if room := half - len(c.head); room > 0 {
		n := min(room, len(p))
		c.head = append(c.head, p[:n]...)
		p = p[n:]
	}
	size := c.limit - half
	if len(p) > size {
		p = p[len(p)-size:]
	}
	for len(p) > 0 {
		if len(c.tail) < size {
			n := min(size-len(c.tail), len(p))
			c.tail = append(c.tail, p[:n]...)
			p = p[n:]
			continue
		}
		n := copy(c.tail[c.next:], p)
		c.next = (c.next + n) % size
		p = p[n:]
	}
}

func (c *capture) lines(p []byte) {
	for _, b := range p {
		if b == '\n' || b == '\r' {
			c.flush()
			continue
		}
		c.line = append(c.line, b)
		if len(c.line) >= MaxLine {
			c.flush()
		}
	}
}

// flush hands over a line. Empty ones, such as between \r and \n, are nobody's
// news.
func (c *capture) flush() {
	if len(c.line) > 0 {
		c.each(string(c.line))
		c.line = c.line[:0]
	}
}

// finish hands over a last line without end, stops the callbacks, and returns
// what was kept and whether something was cut.
func (c *capture) finish() ([]byte, bool) {
	c.turn.Lock()
	defer c.turn.Unlock()
	if !c.over && c.each != nil {
		c.flush()
	}
	c.over = true
	cut := c.total - int64(len(c.head)) - int64(len(c.tail))
	out := append([]byte{}, c.head...)
	if cut > 0 {
		out = append(out, fmt.Sprintf("\n[... %d bytes cut ...]\n", cut)...)
	}
	out = append(out, c.tail[c.next:]...)
	return append(out, c.tail[:c.next]...), cut > 0
}
