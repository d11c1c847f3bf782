package inventory

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// encode writes a structure as DSP0134, section 6.1, wants it.
func encode(kind byte, handle uint16, body []byte, texts ...string) []byte {
	out := append([]byte{kind, byte(4 + len(body)), byte(handle), byte(handle >> 8)}, body...)
	for _, s := range texts {
		out = append(append(out, s...), 0)
	}
	if len(texts) == 0 {
		out = append(out, 0)
	}
	return append(out, 0)
}

// module is the body of a type 17 structure of version 3.3.
func module(size uint16, extended uint32, kind byte, speed, configured uint16) []byte {
	b := make([]byte, 0x5C-4)
	at := func(offset int) []byte { return b[offset-4:] }
	binary.LittleEndian.PutUint16(at(0x0C), size)
	at(0x0E)[0] = 0x0D
	at(0x10)[0], at(0x11)[0] = 1, 2
	at(0x12)[0] = kind
	binary.LittleEndian.PutUint16(at(0x15), speed)
	at(0x17)[0], at(0x18)[0], at(0x1A)[0] = 3, 4, 5
	binary.LittleEndian.PutUint32(at(0x1C), extended)
	binary.LittleEndian.PutUint16(at(0x20), configured)
	return b
}

func processorBody(status, cores, threads byte) []byte {
	b := make([]byte, 0x30-4)
	b[0x04-4], b[0x07-4], b[0x10-4] = 1, 2, 3
	binary.LittleEndian.PutUint16(b[0x14-4:], 4700)
	b[0x18-4] = status
	b[0x23-4], b[0x25-4] = cores, threads
	binary.LittleEndian.PutUint16(b[0x2A-4:], 300)
	binary.LittleEndian.PutUint16(b[0x2E-4:], 600)
	return b
}

var rawUUID = []byte{0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}

// notebook is the table of a made-up notebook.
func notebook(serial string) []byte {
	system := append(append([]byte{1, 2, 3, 4}, rawUUID...), 6, 5, 6)
	return slicesOf(
		encode(0, 0, append([]byte{1, 2, 0, 0, 3, 0xFF}, make([]byte, 8)...), "Acme Firmware", "1.24", "02/29/2024"),
		encode(1, 1, system, "Acme", "Book 14", "Gen 3", serial, "SKU-1", "Book"),
		encode(2, 2, []byte{1, 2, 3, 4}, "Acme", "0XYZ", "A00", "Default string"),
		encode(3, 3, []byte{1, 0x80 | 10, 2, 3, 4}, "Acme", "A1", "CH123", "No Asset Tag"),
		encode(4, 4, processorBody(0x41, 8, 16), "U3E1", "Acme Corp.", "Acme CPU 7"),
		encode(4, 5, processorBody(0x01, 0, 0), "U3E2"),
		encode(17, 6, module(0x7FFF, 32768, 0x22, 5600, 4800), "DIMM A", "BANK 0", "Samsung", "12AB34CD", "M425R4GA3BB0"),
		encode(17, 7, module(0, 0, 2, 0, 0), "DIMM B", "BANK 1", "NO DIMM", "NO DIMM", "NO DIMM"),
		encode(127, 8, nil),
	)
}

func slicesOf(parts ...[]byte) (out []byte) {
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// tree writes files, links (-> target) and directories (a trailing slash).
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		switch target, link := strings.CutPrefix(content, "-> "); {
		case strings.HasSuffix(name, "/"):
			must(t, os.MkdirAll(path, 0o755))
		case link:
			must(t, os.Symlink(target, path))
		default:
			must(t, os.WriteFile(path, []byte(content), 0o644))
		}
	}
	return root
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fixed is a Collector over a tree, with made-up mounts and interfaces.
func fixed(root, goos string) *Collector {
	c := New(Options{Root: root})
	c.goos, c.goarch = goos, "amd64"
	c.volumes = func(context.Context) ([]Volume, error) {
		return []Volume{{"/", "/dev/sda1", "ext4", false}, {"/tank", "tank", "zfs", true}, {"/gone", "/dev/sdb1", "xfs", false}}, nil
	}
	c.capacity = func(_ context.Context, mountpoint string) (uint64, error) {
		if mountpoint == "/gone" {
			return 0, errors.New("stale handle")
		}
		return 1000, nil
	}
	c.interfaces = func() ([]networkInterface, error) {
		address := func(cidr string) net.Addr {
			ip, n, err := net.ParseCIDR(cidr)
			if err != nil {
				return nil
			}
			return &net.IPNet{IP: ip, Mask: n.Mask}
		}
		mac, err := net.ParseMAC("02:00:00:00:00:01")
		return []networkInterface{
			{net.Interface{Name: "lo", MTU: 65536, Flags: net.FlagLoopback | net.FlagUp}, nil},
			{net.Interface{Name: "eth0", MTU: 1500, HardwareAddr: mac, Flags: net.FlagUp | net.FlagRunning},
				[]net.Addr{address("2001:db8::1/64"), address("192.0.2.7/24"), address("2001:db8::dead/64")}},
			{net.Interface{Name: "veth0", MTU: 1500}, nil},
		}, err
	}
	return c
}

func factsOf(t *testing.T, inv Inventory, section wire.Section, key string) map[string]string {
	t.Helper()
	for _, it := range inv[section] {
		if it.Key == key {
			return it.Facts
		}
	}
	t.Fatalf("no item %q in section %s: %v", key, section, inv[section])
	return nil
}

// wants checks facts; the value "" means that the fact must be absent.
func wants(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if v, ok := got[name]; v != value || ok != (value != "") {
			t.Errorf("%s: %s = %q (there: %v), want %q", what, name, v, ok, value)
		}
	}
}

func said(problems []Problem, section wire.Section, fact, text string) bool {
	for _, p := range problems {
		if p.Section == section && p.Fact == fact && strings.Contains(p.Text, text) {
			return true
		}
	}
	return false
}
