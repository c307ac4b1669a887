package lifecycle

import (
	"time"

	"signpost/keys"
)

// listedNames are names under which a spec lists one private key: a domain may sign with the
// key of another under its own name (keys_of), and a file may be a copy. Two names are enough
// to see that there is another one.
type listedNames [2]keys.Ref

// other reports whether there is a name besides ref.
func (n listedNames) other(ref keys.Ref) bool {
	return n != listedNames{} && n != listedNames{ref}
}

// listedUnder returns the names of each private key that the spec lists, by
// fingerprint. The caller holds the lock of the tracker.
func (p *Spec) listedUnder() map[string]listedNames {
	if p.names != nil {
		return p.names
	}
	p.names = map[string]listedNames{}
	for _, listed := range p.layout().listed {
		k := listed.key
		if k == nil {
			continue
		}
		n, ref := p.names[k.Fingerprint()], k.Ref()
		switch {
		case n[0] == keys.Ref{}:
			n[0] = ref
		case n[0] != ref && n[1] == keys.Ref{}:
			n[1] = ref
		}
		p.names[k.Fingerprint()] = n
	}
	return p.names
}

// lastNeeded returns when each private key was last needed under any of its names, by
// fingerprint; now, if one of them is listed.
func (l facts) lastNeeded(now time.Time) map[string]time.Time {
	last := map[string]time.Time{}
	for _, f := range l {
		at := f.Unlisted
		if at.IsZero() {
			at = now
		}
		last[f.Fingerprint] = later(last[f.Fingerprint], at)
	}
	return last
}
