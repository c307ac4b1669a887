package daemon

import (
	"context"
	"time"

	"signpost/internal/tablesource"
)

// tableWatch queries the databases of one generation's tables until one has changed.
type tableWatch struct {
	changed <-chan struct{}
	stop    context.CancelFunc
}

// watchTables starts a watch; without databases it never reports a change.
func watchTables(tables tablesource.Tables, every time.Duration) tableWatch {
	ctx, cancel := context.WithCancel(context.Background())
	changed := make(chan struct{}, 1)
	w := tableWatch{changed, cancel}
	if !tables.HasDatabases() {
		return w
	}
	go func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if tables.Changed(ctx) {
				changed <- struct{}{}
				return
			}
		}
	}()
	return w
}
