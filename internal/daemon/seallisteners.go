package daemon

import (
	"fmt"
	"slices"

	"signpost/internal/config"
	"signpost/internal/message"
	"signpost/milter"
)

func sealListener(l milter.Listen) bool { return l.Role == message.RoleSeal }

// validateSealListeners reports listeners with role seal where nothing could be sealed.
func (c Config) validateSealListeners(src *config.Source) {
	arc := c.Signer.ARC
	for i, l := range c.Milter.Listen {
		if !sealListener(l) {
			continue
		}
		path := fmt.Sprintf("milter.listen[%d].role", i)
		if !arc.On() {
			src.Bad(path, "seal needs a key: write signer.arc with seal: forwarded, domain, selector and list_networks")
		} else if len(arc.ListNetworks) == 0 {
			src.Bad(path, "seal needs signer.arc.list_networks: list the hosts of the list software, such as 127.0.0.1/32")
		}
	}
}

// sealWarnings are about list software that no listener serves, and about a name that may be another one
// where mail comes in.
func (c Config) sealWarnings() []string {
	seals := slices.ContainsFunc(c.Milter.Listen, sealListener)
	switch {
	case !seals && len(c.Signer.ARC.ListNetworks) > 0:
		return []string{"signer.arc.list_networks has no effect: no listener in milter.listen has role: seal"}
	case seals && c.Verifier.AuthservID == "":
		return []string{"a listener has role: seal and verifier.authserv_id is empty: where the MTA calls itself otherwise there than where mail comes in (myhostname), " +
			"strangers can write results that are sealed; set verifier.authserv_id to the name of this host"}
	}
	return nil
}
