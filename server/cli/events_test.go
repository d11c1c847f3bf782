package cli

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func readAll(r io.Reader) (out []event, err error) {
	s := readEvents(r)
	for {
		e, err := s.next()
		if err != nil {
			return out, err
		}
		out = append(out, e)
	}
}

func TestEvents(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []event
	}{
		"one":             {"event: transition\nid: 1\ndata: {}\n\n", []event{{"1", "transition", "{}"}}},
		"no name":         {"data: x\n\n", []event{{"", "message", "x"}}},
		"several lines":   {"data: a\ndata:b\ndata\n\n", []event{{"", "message", "a\nb\n"}}},
		"CR, CRLF":        {"id: 1\rdata: a\r\rid: 2\r\ndata: b\r\n\r\n", []event{{"1", "message", "a"}, {"2", "message", "b"}}},
		"comment":         {": still here\n\n", []event{{}}},
		"comment between": {"data: a\n: x\ndata: b\n\n", []event{{"", "message", "a\nb"}}},
		"id stays":        {"id: 7\ndata: a\n\ndata: b\n\n", []event{{"7", "message", "a"}, {"7", "message", "b"}}},
		"id with NUL":     {"id: 1\nid: 2\x003\ndata: a\n\n", []event{{"1", "message", "a"}}},
		"cut off":         {"data: a\n\nid: 9\ndata: b\n", []event{{"", "message", "a"}}},
		"without data":    {"event: x\nid: 3\n\ndata: a\n\n", []event{{"3", "message", "a"}}},
		"byte order mark": {"\uFEFFdata: a\n\n", []event{{"", "message", "a"}}},
		"unknown field":   {"colour: red\ndata: a\n\n", []event{{"", "message", "a"}}},
	} {
		got, err := readAll(strings.NewReader(c.text))
		if !errors.Is(err, io.EOF) || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %q, %v, want %q", name, got, err, c.want)
		}
	}
}

func TestEventsAreBounded(t *testing.T) {
	for name, text := range map[string]string{
		"a line": "data: " + strings.Repeat("x", 2*maxEvent), "lines": strings.Repeat("data: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n", maxEvent/16),
	} {
		if _, err := readAll(strings.NewReader(text)); !errors.Is(err, errEvent) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRetryOfTheServer(t *testing.T) {
	s := readEvents(strings.NewReader("retry: 2500\nretry: soon\nretry: -1\n: x\n\n"))
	if _, err := s.next(); err != nil || s.retry != 2500*time.Millisecond {
		t.Errorf("%v, %v", s.retry, err)
	}
}

// However the bytes arrive, the events are the same; and what was read can be
// written and read again.
func FuzzEvents(f *testing.F) {
	f.Add("event: transition\nid: 1\ndata: {\"seq\":1}\n\n: still here\n\n")
	f.Add("id: 1\rdata: a\r\n\r\ndata\n\n")
	f.Add("\uFEFFdata: \xff\x00\n\nretry: 10\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := readAll(strings.NewReader(text))
		slow, _ := readAll(iotest.OneByteReader(strings.NewReader(text)))
		if !reflect.DeepEqual(got, slow) {
			t.Fatalf("%q: %q, byte by byte %q", text, got, slow)
		}
		if err == nil {
			t.Fatal("no end")
		}
		var again strings.Builder
		for _, e := range got {
			if e.comment() {
				fmt.Fprintf(&again, "id: %s\n:\n\n", e.id)
				continue
			}
			fmt.Fprintf(&again, "id: %s\nevent: %s\n", e.id, e.name)
			for l := range strings.SplitSeq(e.data, "\n") {
				again.WriteString("data: " + l + "\n")
			}
			again.WriteString("\n")
		}
		if twice, _ := readAll(strings.NewReader(again.String())); !reflect.DeepEqual(got, twice) {
			t.Fatalf("%q: %q, again %q", text, got, twice)
		}
	})
}
