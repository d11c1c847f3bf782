package cli

import (
	"bufio"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"
)

// maxEvent is the most bytes of one event; a transition has a few hundred.
const maxEvent = 1 << 20

var errEvent = errors.New("an event of the server is too large")

// event is one server-sent event. A comment, which only says that the server
// is there, comes as an event without data.
type event struct {
	id   string // the last one that was sent
	name string
	data string
}

func (e event) comment() bool { return e.name == "" && e.data == "" }

// events reads a stream of server-sent events (WHATWG HTML, section 9.2.6).
type events struct {
	r     *bufio.Reader
	id    string
	retry time.Duration // what the server asks to wait before it is called again; 0: nothing
	begun bool
	crlf  bool // the last line ended in CR, an LF that follows belongs to it
}

func readEvents(r io.Reader) *events { return &events{r: bufio.NewReader(r)} }

// next returns the next event or comment. An event that the stream's end cut
// off is dropped, as it will be sent again.
func (s *events) next() (event, error) {
	var name string
	var data []string
	size := 0
	for {
		l, err := s.line()
		if err != nil {
			return event{}, err
		}
		if size += len(l); size > maxEvent {
			return event{}, errEvent
		}
		if l == "" {
			if data == nil {
				name, size = "", 0
				continue
			}
			if name == "" {
				name = "message"
			}
			return event{s.id, name, strings.Join(data, "\n")}, nil
		}
		field, value, _ := strings.Cut(l, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "":
			if data == nil && name == "" {
				return event{id: s.id}, nil
			}
		case "event":
			name = value
		case "data":
			data = append(data, value)
		case "id":
			if !strings.ContainsRune(value, 0) {
				s.id = value
			}
		case "retry":
			if n, err := strconv.ParseUint(value, 10, 31); err == nil {
				s.retry = time.Duration(n) * time.Millisecond
			}
		}
	}
}

// line reads one line, which ends in LF, CR or both. It never waits for what
// comes after a CR.
func (s *events) line() (string, error) {
	var b strings.Builder
	for {
		c, err := s.r.ReadByte()
		if err != nil {
			return "", err // an unfinished line is no line
		}
		after := s.crlf
		s.crlf = false
		switch {
		case c == '\n' && after:
			continue
		case c == '\n', c == '\r':
			s.crlf = c == '\r'
			l := strings.ToValidUTF8(b.String(), "\uFFFD")
			if !s.begun {
				s.begun = true
				l = strings.TrimPrefix(l, "\uFEFF")
			}
			return l, nil
		}
		if b.Len() >= maxEvent {
			return "", errEvent
		}
		b.WriteByte(c)
	}
}
