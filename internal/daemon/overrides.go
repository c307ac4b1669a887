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
