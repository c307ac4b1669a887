package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
)

func TestCollectorPercent(t *testing.T) {
	for _, tt := range []struct {
		live uint64
		want int
	}{{0, 200}, {1 << 20, 200}, {4 << 20, 200}, {5 << 20, 160}, {8 << 20, 100}, {100 << 20, 100}, {1 << 63, 100}} {
		if got := collectorPercent(tt.live); got != tt.want {
			t.Errorf("%d live: %d, want %d", tt.live, got, tt.want)
		}
	}
}

// The pace follows what is alive, up and down.
func TestPaceCollector(t *testing.T) {
	t.Setenv("GOGC", "")
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	paceCollector()
	reaches := func(want func(percent uint64) bool) bool {
		for range 1000 {
			runtime.GC() // cleanups run beside it
			sample := []metrics.Sample{{Name: "/gc/gogc:percent"}}
			if metrics.Read(sample); want(sample[0].Value.Uint64()) {
				return true
			}
			runtime.Gosched()
		}
		return false
	}
	large := make([]byte, 64<<20)
	if !reaches(func(percent uint64) bool { return percent == 100 }) {
		t.Error("with 64 MB alive there is still more garbage allowed than that")
	}
	runtime.KeepAlive(large)
	if large = nil; !reaches(func(percent uint64) bool { return percent > 100 }) {
		t.Error("with little alive garbage is collected early")
	}
}
