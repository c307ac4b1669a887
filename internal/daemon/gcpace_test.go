package daemon

import (
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
)

func TestCollectorPercent(t *testing.T) {
	for _, tt := range []struct {
		live uint64
		want int
	}{{0, 200}, {2 << 20, 250}, {3 << 20, 266}, {4 << 20, 200}, {5 << 20, 160}, {8 << 20, 100}, {16 << 20, 50}, {100 << 20, 50}, {math.MaxUint64, 50}} {
		if got := collectorPercent(tt.live); got != tt.want {
			t.Errorf("%d live: %d, want %d", tt.live, got, tt.want)
		}
	}
}

// The pace follows what is alive, up and down.
func TestPaceCollector(t *testing.T) {
	t.Setenv("GOGC", "")
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	defer paceCollector()()
	follows := func() bool {
		for range 1000 {
			runtime.GC() // cleanups run beside it
			heap := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/gogc:percent"}}
			metrics.Read(heap)
			want, got := collectorPercent(heap[0].Value.Uint64()), int(heap[1].Value.Uint64())
			if want <= got+got/8 && want >= got-got/8 {
				return true
			}
			runtime.Gosched()
		}
		return false
	}
	debug.SetGCPercent(1000)
	large := make([]byte, 64<<20)
	if !follows() {
		t.Error("with 64 MB alive there is more garbage allowed than that")
	}
	runtime.KeepAlive(large)
	debug.SetGCPercent(10)
	if large = nil; !follows() {
		t.Error("with little alive garbage is collected early")
	}
}

// A reload of a large configuration is not interrupted by collections that find little.
func TestPaceOfAReload(t *testing.T) {
	t.Setenv("GOGC", "")
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	defer paceCollector()()
	large := make([]byte, 64<<20)
	runtime.GC()
	percent := func() int {
		gogc := []metrics.Sample{{Name: "/gc/gogc:percent"}}
		metrics.Read(gogc)
		return int(gogc[0].Value.Uint64())
	}
	debug.SetGCPercent(leastPercent)
	done := easeCollector()
	if got := percent(); got != reloadPercent {
		t.Errorf("%d while it reloads, want %d", got, reloadPercent)
	}
	done()
	for i := 0; percent() != leastPercent; i++ {
		if runtime.GC(); i > 1000 {
			t.Fatalf("%d after the reload, want %d", percent(), leastPercent)
		}
	}
	runtime.KeepAlive(large)
}

func TestPaceOfTheAdministrator(t *testing.T) {
	t.Setenv("GOGC", "37")
	defer debug.SetGCPercent(debug.SetGCPercent(37))
	defer paceCollector()()
	runtime.GC()
	if got := debug.SetGCPercent(37); got != 37 {
		t.Errorf("GOGC=37 became %d", got)
	}
}
