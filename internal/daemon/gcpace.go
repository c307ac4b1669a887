package daemon

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
)

// By default, Go collects when there is as much garbage as live heap. A small daemon has a
// few megabytes of live heap, and would collect every few hundred messages. A daemon with
// thousands of domains has mostly keys there; half as much garbage is enough. While a reload
// builds the next generation, nearly all that is allocated stays: collections on the way free
// little, and take processors from messages.
const (
	leastGarbage  = 8 << 20
	leastPercent  = 50
	reloadPercent = 200
	// largeHeap is how many octets of objects, with garbage, are worth a collection after a reload.
	largeHeap = 64 << 20
)

var (
	pacing    atomic.Bool // paceCollector is in force
	reloading atomic.Bool
)

// paceCollector applies these limits until stop is called. The environment variable GOGC
// overrides them.
func paceCollector() (stop func()) {
	var stopped atomic.Bool
	if os.Getenv("GOGC") == "" {
		pacing.Store(true)
		pace(&stopped)
	}
	return func() {
		stopped.Store(true)
		pacing.Store(false)
	}
}

// easeCollector allows as much garbage as a reload needs, until done is called. The pace
// follows at the next collection; see Service.collect.
func easeCollector() (done func()) {
	if !pacing.Load() {
		return func() {}
	}
	reloading.Store(true)
	setPercent()
	return func() { reloading.Store(false) }
}

// heapObjects is the memory of all objects and garbage, in octets.
func heapObjects() uint64 {
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(heap)
	return heap[0].Value.Uint64()
}

// pace sets the percentage for the live heap of the last collection, now and after each
// collection.
func pace(stopped *atomic.Bool) {
	if stopped.Load() {
		return
	}
	setPercent()
	type mark struct{ _ *mark } // an object without pointers may share its memory, and then has no cleanup
	runtime.AddCleanup(new(mark), pace, stopped)
}

// setPercent sets the percentage for the live heap of the last collection.
func setPercent() {
	heap := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/gogc:percent"}}
	metrics.Read(heap)
	percent := collectorPercent(heap[0].Value.Uint64())
	if reloading.Load() {
		percent = max(percent, reloadPercent)
	}
	// SetGCPercent stops the world.
	if now := int(heap[1].Value.Uint64()); percent > now+now/8 || percent < now-now/8 {
		debug.SetGCPercent(percent)
	}
}

// collectorPercent is the limit of garbage as a percentage of the live heap. The runtime
// does not collect below 4 MB times the percentage.
func collectorPercent(live uint64) int {
	const runtimes = 4 << 20
	live = min(max(live, 1), 1<<40)
	return max(leastPercent, int(min(leastGarbage*100/live, (live+leastGarbage)*100/runtimes)))
}
