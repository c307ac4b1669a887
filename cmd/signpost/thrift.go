package main

import (
	"os"
	"runtime/debug"
)

// manyDomains is from how many on most of the heap is what lies there for good.
const manyDomains = 2000

// thrift sets how much garbage may gather, as a share of what is in use. With thousands
// of domains the half of it is enough: that is still the garbage of a thousand
// messages. What GOGC in the environment says holds.
func thrift(domains int) {
	if os.Getenv("GOGC") != "" {
		return
	}
	percent := 100
	if domains >= manyDomains {
		percent = 50
	}
	debug.SetGCPercent(percent)
}
