package inventory

import (
	"os"
	"os/exec"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
)

func told(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return strings.TrimSpace(string(out))
}

func TestThisMachineAgreesWithItsOwnTools(t *testing.T) {
	c := New(Options{})
	inv, problems := c.Collect(t.Context(), time.Now())
	for _, p := range problems {
		t.Logf("problem: %s", p)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	wants(t, "system", factsOf(t, inv, wire.SectionSystem, "system"), facts{FactHostname: host})
	wants(t, "os", factsOf(t, inv, wire.SectionOS, "os"), facts{FactKernel: told(t, "uname", "-r"), FactFamily: "linux"})
	threads := 0
	for _, p := range inv[wire.SectionCPU] {
		n, err := strconv.Atoi(p.Facts[FactThreads])
		if err != nil {
			t.Errorf("package %s: %v", p.Key, err)
		}
		threads += n
	}
	if want := told(t, "getconf", "_NPROCESSORS_ONLN"); strconv.Itoa(threads) != want {
		t.Errorf("%d threads, the C library says %s", threads, want)
	}
	var info syscall.Sysinfo_t
	must(t, syscall.Sysinfo(&info))
	want := strconv.FormatUint(uint64(info.Totalram)*uint64(info.Unit), 10)
	if total := factsOf(t, inv, wire.SectionMemory, "total")[wire.FactSize]; total != want {
		t.Errorf("memory %s, sysinfo says %s", total, want)
	}
	size := strings.Fields(told(t, "df", "-B1", "--output=size", "/"))
	if got := factsOf(t, inv, wire.SectionVolumes, "/")[wire.FactSize]; got != size[len(size)-1] {
		t.Errorf("/ has %s bytes, df says %s", got, size[len(size)-1])
	}
	again, _ := c.Collect(t.Context(), time.Now())
	for section := range inv {
		if !reflect.DeepEqual(inv[section], again[section]) {
			t.Errorf("section %s changed by itself:\n%v\n%v", section, inv[section], again[section])
		}
	}
	if class, why := DetectClass(inv); class == "" || why == "" {
		t.Errorf("class %q, %q", class, why)
	}
}

func BenchmarkCollect(b *testing.B) {
	c := New(Options{})
	b.ReportAllocs()
	for b.Loop() {
		if inv, _ := c.Collect(b.Context(), time.Now()); len(inv) == 0 {
			b.Fatal("nothing collected")
		}
	}
}
