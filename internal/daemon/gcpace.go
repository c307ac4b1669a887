package daemon

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
)

// Go's own rule is as much garbage as there is live heap. The heap of a small daemon is
// a few megabytes and would be collected every few hundred messages; that of one with
// thousands of domains is their keys, and half as much again is garbage enough.
const (
	leastGarbage = 8 << 20
	leastPercent = 50
)

// paceCollector keeps to these until stop is called. What the administrator says in
// GOGC goes before.
func paceCollector() (stop func()) {
	var stopped atomic.Bool
	if os.Getenv("GOGC") == "" {
		pace(&stopped)
	}
	return func() { stopped.Store(true) }
}

// pace sets the pace by what the last collection found alive, now and after each one
// to come.
func pace(stopped *atomic.Bool) {
	if stopped.Load() {
		return
	}
	heap := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/gogc:percent"}}
	metrics.Read(heap)
	percent := collectorPercent(heap[0].Value.Uint64())
	// The world is stopped to set it.
	if now := int(heap[1].Value.Uint64()); percent > now+now/8 || percent < now-now/8 {
		debug.SetGCPercent(percent)
	}
	type mark struct{ _ *mark } // what has no pointer may share its memory with others
	runtime.AddCleanup(new(mark), pace, stopped)
}

// collectorPercent is how much garbage there may be for a live heap, as a percentage
// of it. The runtime collects at 4 MB times that, if that is more than both together.
func collectorPercent(live uint64) int {
	const runtimes = 4 << 20
	live = min(max(live, 1), 1<<40)
	return max(leastPercent, int(min(leastGarbage*100/live, (live+leastGarbage)*100/runtimes)))
}
