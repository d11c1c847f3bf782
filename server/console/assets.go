package console

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
)

//go:embed assets/*.js assets/*.css assets/*.svg assets/*.woff2 assets/css/*.css
var assetFiles embed.FS

// assets are the embedded files under an address that holds a hash of them
// all, so that browsers may keep them for good.
type assets struct {
	prefix string // "/assets/HASH/"
	files  map[string]asset
}

type asset struct {
	kind   string
	plain  []byte
	packed []byte // nil when packing does not pay
}

var assetKinds = map[string]string{".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml", ".woff2": "font/woff2"}

func loadAssets() (*assets, error) {
	a := &assets{files: map[string]asset{}}
	var style []byte
	sum := sha256.New()
	err := fs.WalkDir(assetFiles, "assets", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := assetFiles.ReadFile(name)
		if err != nil {
			return err
		}
		sum.Write(data)
		if path.Dir(name) == "assets/css" {
			style = append(style, data...) // in order of name
			return nil
		}
		return a.add(path.Base(name), data)
	})
	if err != nil {
		return nil, fmt.Errorf("load assets: %w", err)
	}
	a.prefix = "/assets/" + hex.EncodeToString(sum.Sum(nil))[:12] + "/"
	return a, a.add("console.css", style)
}

func (a *assets) add(name string, data []byte) error {
	one := asset{kind: assetKinds[path.Ext(name)], plain: data}
	if path.Ext(name) != ".woff2" {
		var out bytes.Buffer
		zip, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
		if err != nil {
			return err
		}
		if _, err := zip.Write(data); err != nil {
			return err
		}
		if err := zip.Close(); err != nil {
			return err
		}
		one.packed = out.Bytes()
	}
	a.files[name] = one
	return nil
}

// serve answers for a file. An address of another version is answered too,
// but not kept: a page from before an update still finds its style.
func (a *assets) serve(w http.ResponseWriter, r *http.Request) {
	file, ok := a.files[path.Base(r.URL.Path)]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", file.kind)
	h.Set("Vary", "Accept-Encoding")
	if strings.HasPrefix(r.URL.Path, a.prefix) {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		h.Set("Cache-Control", "no-cache")
	}
	body := file.plain
	if file.packed != nil && acceptsGzip(r) {
		h.Set("Content-Encoding", "gzip")
		body = file.packed
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // the reader went away
}

func acceptsGzip(r *http.Request) bool {
	return slices.ContainsFunc(strings.Split(r.Header.Get("Accept-Encoding"), ","), func(s string) bool {
		name, quality, _ := strings.Cut(strings.TrimSpace(s), ";")
		return name == "gzip" && strings.TrimSpace(quality) != "q=0"
	})
}
