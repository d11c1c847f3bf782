//go:build e2e

// Package browser drives a real browser against the console: it takes pictures
// of pages in both themes and sizes, and tells what the page's own console said.
package browser

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Browser is one running browser with its own, fresh profile.
type Browser struct {
	base   string
	ctx    context.Context
	cancel []context.CancelFunc
	mu     sync.Mutex
	said   []string
}

// Start starts the machine's Chromium for the console at base.
func Start(base string) (*Browser, error) {
	profile, err := os.MkdirTemp("", "steward-browser-")
	if err != nil {
		return nil, err
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(),
		chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck, chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("hide-scrollbars", true), chromedp.UserDataDir(profile))
	ctx, end := chromedp.NewContext(allocator)
	b := &Browser{base: strings.TrimSuffix(base, "/"), ctx: ctx, cancel: []context.CancelFunc{func() { _ = os.RemoveAll(profile) }, stop, end}}
	err = chromedp.Do(ctx, chromedp.Navigate("about:blank"))
	if err == nil {
		err = chromedp.Listen(ctx, b.listen)
	}
	if err == nil {
		_, err = chromedp.Call(ctx, log.Enable, cdp.Empty{})
	}
	if err != nil {
		b.Close()
		return nil, fmt.Errorf("start the browser: %w", err)
	}
	return b, nil
}

func (b *Browser) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case log.EventEntryAdded:
		b.said = append(b.said, string(e.Entry.Level)+": "+e.Entry.Text+" "+e.Entry.URL)
	case *log.EventEntryAdded:
		b.said = append(b.said, string(e.Entry.Level)+": "+e.Entry.Text+" "+e.Entry.URL)
	case runtime.EventExceptionThrown:
		b.said = append(b.said, "exception: "+said(e.ExceptionDetails))
	case *runtime.EventExceptionThrown:
		b.said = append(b.said, "exception: "+said(e.ExceptionDetails))
	}
}

func said(d *runtime.ExceptionDetails) string {
	text := d.Text + " " + d.URL
	if d.Exception != nil {
		text += " " + d.Exception.Description
	}
	return text
}

// Said returns what pages wrote to the browser's console since the last call:
// errors of scripts, and what the content security policy refused.
func (b *Browser) Said() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := b.said
	b.said = nil
	return out
}

// Close ends the browser and removes its profile.
func (b *Browser) Close() {
	for i := len(b.cancel) - 1; i >= 0; i-- {
		b.cancel[i]()
	}
}

// Context is the browser's, for steps that this package does not know.
func (b *Browser) Context() context.Context { return b.ctx }

// SetCookie gives the browser a cookie of the console.
func (b *Browser) SetCookie(name, value string) error {
	_, err := chromedp.Call(b.ctx, network.SetCookie, network.SetCookieParams{Name: name, Value: value, URL: b.base})
	return err
}

// Look is a size and a theme. Scripts off is a browser without JavaScript.
type Look struct {
	Width, Height int64
	Dark          bool
	ScriptsOff    bool
	Whole         bool // the picture holds the page to its end
}

// Picture loads a path of the console, takes the steps, and returns the page
// as a PNG.
func (b *Browser) Picture(path string, look Look, steps ...chromedp.Action[chromedp.Void]) ([]byte, error) {
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	scheme := "light"
	if look.Dark {
		scheme = "dark"
	}
	_, size := chromedp.Call(ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: look.Width, Height: look.Height, DeviceScaleFactor: 1, Mobile: look.Width < 700})
	_, theme := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	_, scripts := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: look.ScriptsOff})
	if err := errors.Join(size, theme, scripts); err != nil {
		return nil, fmt.Errorf("set up a picture of %s: %w", path, err)
	}
	// Fonts, charts and the stream settle after the load.
	all := append([]chromedp.Action[chromedp.Void]{chromedp.Navigate(b.base + path), chromedp.Sleep(600 * time.Millisecond)}, steps...)
	if err := chromedp.Do(ctx, all...); err != nil {
		return nil, fmt.Errorf("load %s: %w", path, err)
	}
	if look.Whole {
		return chromedp.Run(ctx, chromedp.FullScreenshot(100))
	}
	return chromedp.Run(ctx, chromedp.CaptureScreenshot())
}
