package dns

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func newShard() *shard { return &shard{entries: map[key]*entry{}, flights: map[key]*flight{}} }

var start = time.Unix(1_700_000_000, 0)

func put(s *shard, i int, text string) {
	s.put(key{fmt.Sprint("n", i), 16}, &answer{texts: []string{text}, ttl: time.Hour}, start)
}

// The cache is bounded in entries and bytes.
func TestAShardIsBoundedInEntriesAndBytes(t *testing.T) {
	for name, text := range map[string]string{"many small ones": "x", "fewer large ones": strings.Repeat("x", maxRecordBytes)} {
		t.Run(name, func(t *testing.T) {
			s := newShard()
			for i := range 3 * cacheEntries / cacheShards {
				put(s, i, text)
				if s.get(key{fmt.Sprint("n", i), 16}, start) == nil {
					t.Fatalf("%d was not kept", i)
				}
			}
			if s.ring.Len() > cacheEntries/cacheShards || s.bytes > cacheBytes/cacheShards || len(s.entries) != s.ring.Len() {
				t.Errorf("%d entries (%d in the ring), %d bytes", len(s.entries), s.ring.Len(), s.bytes)
			}
			if s.ring.Len() < 100 {
				t.Errorf("only %d entries", s.ring.Len())
			}
			total := 0
			for _, e := range s.entries {
				total += e.size
			}
			if total != s.bytes {
				t.Errorf("%d bytes are said to be kept, %d are", s.bytes, total)
			}
		})
	}
}

// Names that are looked up repeatedly survive a flood of names looked up once.
func TestWhatIsInUseOutlivesAFlood(t *testing.T) {
	s := newShard()
	put(s, 0, "in use")
	for i := range 10 * cacheEntries / cacheShards {
		put(s, i+1, "once")
		if s.get(key{"n0", 16}, start) == nil {
			t.Fatalf("gone after %d others", i+1)
		}
	}
}

func TestExpiredAnswersGoFirst(t *testing.T) {
	s := newShard()
	put(s, 0, "old")
	s.get(key{"n0", 16}, start)
	later := start.Add(2 * time.Hour)
	s.put(key{"n1", 16}, &answer{ttl: time.Hour}, later)
	s.evict(s.entries[key{"n1", 16}], later)
	if s.entries[key{"n0", 16}] != nil {
		t.Error("an answer that nobody can use was kept")
	}
}

func TestReplacingAnAnswerKeepsOneEntry(t *testing.T) {
	s := newShard()
	put(s, 0, "a longer text")
	put(s, 0, "x")
	if s.ring.Len() != 1 || s.bytes != entryOverhead+len("n0")+16+1 {
		t.Errorf("%d entries, %d bytes", s.ring.Len(), s.bytes)
	}
}
