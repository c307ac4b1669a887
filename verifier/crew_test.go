package verifier

import (
	"sync"
	"testing"
)

// However many are under way, none waits for another one's end; and those that come
// later run as well.
func TestLookupsNeverWaitForEachOther(t *testing.T) {
	c := crew{work: make(chan func())}
	for range 3 {
		const n = 10 * maxIdle
		var under, over sync.WaitGroup
		under.Add(n)
		over.Add(n)
		all := make(chan struct{})
		for range n {
			c.run(func() {
				defer over.Done()
				under.Done()
				<-all
			})
		}
		under.Wait()
		close(all)
		over.Wait()
	}
}
