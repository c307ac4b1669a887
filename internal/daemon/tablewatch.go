package daemon

import (
	"context"
	"time"

	"signpost/signer"
)

// tableWatch asks the databases of one generation's tables for changes, until it has
// found one.
type tableWatch struct {
	changed <-chan struct{}
	stop    context.CancelFunc
}

// watchTables begins; without databases there is never a change.
func watchTables(c signer.Config) tableWatch {
	ctx, cancel := context.WithCancel(context.Background())
	changed := make(chan struct{}, 1)
	w := tableWatch{changed, cancel}
	if !c.HasDatabases() {
		return w
	}
	go func() {
		tick := time.NewTicker(c.TablesEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if c.TablesChanged(ctx) {
				changed <- struct{}{}
				return
			}
		}
	}()
	return w
}
