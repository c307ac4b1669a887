package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// leastGarbage is how much garbage may gather before it is collected. The heap of a
// small daemon is a few megabytes; Go's own rule, as much garbage as there is live
// heap, would have it collected every few hundred messages.
const leastGarbage = 8 << 20

// paceCollector keeps to leastGarbage from now on. What the administrator says in
// GOGC goes before.
func paceCollector() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectorPercent(0))
		paceAfterCollection()
	}
}

// paceAfterCollection sets the pace after each collection, by what it found alive.
func paceAfterCollection() {
	type mark struct{ _ *mark } // what has no pointer may share its memory with others
	runtime.AddCleanup(new(mark), func(struct{}) {
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/gogc:percent"}}
		metrics.Read(live)
		percent := collectorPercent(live[0].Value.Uint64())
		// The world is stopped to set it.
		if now := int(live[1].Value.Uint64()); percent > now+now/8 || percent < now-now/8 {
			debug.SetGCPercent(percent)
		}
		paceAfterCollection()
	}, struct{}{})
}

// collectorPercent is how much garbage there may be for a live heap, as a percentage
// of it. The runtime takes no live heap for smaller than 4 MB.
func collectorPercent(live uint64) int {
	const usual, smallest = 100, 4 << 20
	return max(usual, int(leastGarbage*100/max(live, smallest)))
}
