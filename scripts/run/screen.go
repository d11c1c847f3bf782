//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"
)

// screen holds the programs' lines back until the greeting has been printed,
// so that the first URL a person sees is the console's.
type screen struct {
	mu    sync.Mutex
	out   io.Writer
	held  bool
	lines []string // held back, as they will be printed
	said  []string // the held lines without the name before them
	news  chan struct{}
}

func newScreen(out io.Writer) *screen {
	return &screen{out: out, held: true, news: make(chan struct{}, 1)}
}

// add shows a line, or keeps it until release.
func (sc *screen) add(name, line string) {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	text := fmt.Sprintf("%-6s | %s\n", name, line)
	if !sc.held {
		_, _ = io.WriteString(sc.out, text) // a closed terminal is no reason to stop
		return
	}
	sc.lines = append(sc.lines, text)
	sc.said = append(sc.said, line)
	select {
	case sc.news <- struct{}{}:
	default:
	}
}

// release prints the greeting and the held lines; from now on lines are shown
// as they come. A second release does nothing.
func (sc *screen) release(greeting string) {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	if !sc.held {
		return
	}
	sc.held = false
	_, _ = io.WriteString(sc.out, greeting+strings.Join(sc.lines, ""))
	sc.lines, sc.said = nil, nil
}

// links returns the console's address and the sign-in link, which is "" when
// the server has printed none for so long.
func (sc *screen) links(ctx context.Context, console string, patient time.Duration) (address, link string) {
	ctx, cancel := context.WithTimeout(ctx, patient)
	defer cancel()
	for {
		sc.mu.Lock()
		address, link = find(sc.said, console)
		sc.mu.Unlock()
		if link != "" {
			return address, link
		}
		select {
		case <-ctx.Done():
			return address, ""
		case <-sc.news:
		}
	}
}

var urls = regexp.MustCompile(`https?://[^\s"'<>]+`)

// find looks through printed lines for the console's own address and for a
// link into it; both are recognised by the port. Without an address printed,
// it is plain HTTP on the console's address.
func find(lines []string, console string) (address, link string) {
	_, port, err := net.SplitHostPort(console)
	if err != nil {
		return "http://" + console, ""
	}
	for _, line := range lines {
		for _, text := range urls.FindAllString(line, -1) {
			text = strings.TrimRight(text, ".,;:)]")
			u, err := url.Parse(text)
			if err != nil || u.Port() != port {
				continue
			}
			if strings.Trim(u.Path, "/") == "" && u.RawQuery == "" {
				if address == "" {
					address = text
				}
			} else if link == "" {
				link = text
			}
		}
	}
	if address == "" {
		address = "http://" + console
	}
	return address, link
}
