package doctor

import (
	"context"
	"fmt"
	"time"

	"signpost/keys"
	"signpost/keys/lifecycle"
)

// lookAtRetired looks for the records of keys that no entry uses any more.
func lookAtRetired(ctx context.Context, h *Host) {
	var retired []lifecycle.Status
	for _, k := range h.Keys {
		if f := k.Fact; !k.Listed && f.State == lifecycle.Retired && f.Domain != keys.AnyDomain && len(k.Users) == 0 && !h.usedElsewhere(f) && h.Now.Sub(f.Unlisted) >= h.RetiredFor {
			retired = append(retired, k)
		}
	}
	each(ctx, h, "the records of retired keys", retired, func(ctx context.Context, k lifecycle.Status) {
		f := k.Fact
		name := k.Ref.RecordName()
		h.judge(ctx, name, keyName(k.Ref), func(records []string) []fault {
			if keys.CompareRecord(f.Fingerprint, records).Answer != keys.Found {
				return nil
			}
			return []fault{{id: "key.retired-published", text: fmt.Sprintf("still has the key, which is out of use since %s (--retired-days %d)", since(f.Unlisted), int(h.RetiredFor/day)),
				remedy: publish("Revoke it by this record, or delete the record:", keys.ZoneLine(name, keys.RevokedRecord))}}
		})
	})
}

// usedElsewhere reports whether a key of a fact is listed under another name. Its file may be
// gone, so that the inventory does not know.
func (h *Host) usedElsewhere(f lifecycle.Fact) bool {
	for _, k := range h.Keys {
		if k.Listed && k.Ref.Domain == f.Domain && fingerprint(k) == f.Fingerprint {
			return true
		}
	}
	return false
}

func since(t time.Time) string {
	if t.IsZero() {
		return "an unknown day"
	}
	return t.UTC().Format("2006-01-02")
}
