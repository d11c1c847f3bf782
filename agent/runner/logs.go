package runner

import (
	"fmt"
	"strings"

	"github.com/steward-rmm/steward/proto/wire"
)

const (
	logPart   = 16 << 10            // bytes of one part
	logHead   = wire.MaxStepLog / 2 // bytes of a step told as they come
	logMarker = 64                  // bytes kept for the line that says what is missing
)

// stepLog gathers the log of one release within the limits of a step and of the
// job: the first half is told as it comes, of the rest the end is kept, since
// that is where an installer says why it failed.
type stepLog struct {
	emit   func(part uint32, text string)
	budget *int // bytes left for the whole job
	part   uint32
	told   int
	buf    strings.Builder
	tail   []byte
	cut    int
}

// line takes one line of output.
func (l *stepLog) line(text string) {
	text = strings.ToValidUTF8(text, "\uFFFD") + "\n"
	if len(l.tail) == 0 && l.cut == 0 && l.told+l.buf.Len()+len(text) <= min(logHead, *l.budget) {
		if l.buf.Len() > 0 && l.buf.Len()+len(text) > logPart {
			l.flush()
		}
		l.buf.WriteString(text)
		return
	}
	l.tail = append(l.tail, text...)
	if limit := wire.MaxStepLog - logHead - logMarker; len(l.tail) > 2*limit {
		l.shorten(limit)
	}
}

func (l *stepLog) shorten(limit int) {
	if over := len(l.tail) - limit; over > 0 {
		l.cut += over
		l.tail = append(l.tail[:0], l.tail[over:]...)
	}
}

func (l *stepLog) flush() {
	for text := l.buf.String(); text != ""; {
		piece := text
		if len(piece) > logPart {
			piece = strings.ToValidUTF8(piece[:logPart], "")
		}
		text = text[len(piece):]
		if piece == "" {
			break
		}
		l.part++
		l.told += len(piece)
		*l.budget -= len(piece)
		l.emit(l.part, piece)
	}
	l.buf.Reset()
}

// end tells what is left.
func (l *stepLog) end() {
	l.flush()
	l.shorten(max(0, min(wire.MaxStepLog-logHead, *l.budget)-logMarker))
	if l.cut > 0 && *l.budget > logMarker {
		fmt.Fprintf(&l.buf, "... %d bytes left out ...\n", l.cut)
	}
	l.buf.WriteString(strings.ToValidUTF8(string(l.tail), ""))
	l.flush()
	l.tail = nil
}
