package wire_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"flag"
	"os"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/steward-rmm/steward/proto/wire"
)

var update = flag.Bool("update", false, "write the golden files anew")

func sampleJob() wire.Job {
	at := func(s int64) time.Time { return time.Unix(1_795_000_000+s, 0).UTC() }
	return wire.Job{
		ID: "0199aa00-0000-7000-8000-000000000001", Attempt: 2, Run: "r1", Tenant: "acme", Device: "d1", Kind: wire.JobInstall,
		IssuedAt: at(0), NotBefore: at(60), StartBy: at(600), Deadline: at(1200), Alone: true,
		Releases: []wire.JobRelease{{Source: "apt", Package: "bash", From: "5.1", Version: "5.2", Expected: 15 * time.Minute}},
		Denied:   []wire.Denied{{Source: "apt", Package: "linux-*", Rule: "kernels by hand"}},
	}
}

func TestJobBytesArePinned(t *testing.T) {
	const file = "testdata/job.golden"
	got := sampleJob().Encode()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("encoding changed:\n got %x\nwant %x", got, want)
	}
	back, err := wire.DecodeJob(want)
	if err != nil || !reflect.DeepEqual(back, sampleJob()) {
		t.Fatalf("decoded %+v, %v", back, err)
	}
}

func TestASignedJobIsOnlyWhatWasSigned(t *testing.T) {
	public, private, _ := ed25519.GenerateKey(nil)
	encoded := sampleJob().Encode()
	signature := wire.SignJob(private, encoded)
	if !wire.VerifyJob(public, encoded, signature) {
		t.Fatal("own signature refused")
	}
	rapid.Check(t, func(t *rapid.T) {
		changed := bytes.Clone(encoded)
		i := rapid.IntRange(0, len(changed)-1).Draw(t, "byte")
		changed[i] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
		if wire.VerifyJob(public, changed, signature) {
			t.Fatalf("a change at byte %d passed", i)
		}
	})
	if wire.VerifyJob(public, encoded, ed25519.Sign(private, encoded)) {
		t.Fatal("a signature without the context passed")
	}
}

func TestDecodeJobRefuses(t *testing.T) {
	good := sampleJob().Encode()
	cases := map[string][]byte{
		"nothing":         nil,
		"another version": append([]byte{9}, good[1:]...),
		"cut":             good[:len(good)-1],
		"trailing":        append(bytes.Clone(good), 0),
		"huge":            make([]byte, wire.MaxJob+1),
	}
	for name, data := range cases {
		if _, err := wire.DecodeJob(data); !errors.Is(err, wire.ErrJob) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// What decodes encodes to the same bytes: there is one form of each job.
func FuzzDecodeJob(f *testing.F) {
	f.Add(sampleJob().Encode())
	f.Add([]byte{1, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		j, err := wire.DecodeJob(data)
		if err == nil && !bytes.Equal(j.Encode(), data) {
			t.Fatalf("two forms of one job: %x and %x", data, j.Encode())
		}
	})
}
