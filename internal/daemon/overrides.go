package daemon

import (
	"fmt"
	"slices"
	"strings"

	"signpost/internal/config"
	"signpost/milter"
)

// resolveListeners writes the listeners of verifier.overrides in the form that an envelope
// has, and reports those that milter.listen does not have.
func (c Config) resolveListeners(src *config.Source) {
	var known []string
	for _, l := range c.Milter.Listen {
		known = append(known, l.Address.String())
	}
	seen, written := map[string]int{}, map[string]string{}
	for i := range c.Verifier.Overrides {
		o := &c.Verifier.Overrides[i]
		if o.Listener == "" {
			continue
		}
		name := ListenerName(o.Listener)
		if !slices.Contains(known, name) {
			src.Bad(fmt.Sprintf("verifier.overrides[%d].listener", i),
				fmt.Sprintf("%q is no address of milter.listen: write one of %s", o.Listener, strings.Join(known, ", ")))
			continue
		}
		// Two entries in the same words are reported by the verifier.
		if first, twice := seen[name]; twice && written[name] != o.Listener {
			src.Bad(fmt.Sprintf("verifier.overrides[%d].listener", i), fmt.Sprintf("%q is the listener of overrides[%d], written in another way: keep one of the two", o.Listener, first))
		}
		seen[name], written[name] = i, o.Listener
		o.Listener = name
	}
}

// ListenerName is the address of a listener as an envelope has it, from any form that
// milter.listen allows.
func ListenerName(address string) string {
	var a milter.Address
	if err := a.UnmarshalText([]byte(address)); err != nil {
		return address
	}
	return a.String()
}
