package verifier

import (
	"fmt"
	"net/netip"

	"signpost/internal/config"
	"signpost/internal/dmarc"
)

// Config is the section `verifier` of the configuration.
type Config struct {
	// AuthservID names us in Authentication-Results (RFC 8601 §2.5). If empty, it is the
	// MTA's own host name, macro j.
	AuthservID string `yaml:"authserv_id"`
	// Mode is monitor or enforce.
	Mode   Mode   `yaml:"mode"`
	Author Author `yaml:"author"`
	DMARC  DMARC  `yaml:"dmarc"`
	SPF    SPF    `yaml:"spf"`
	DKIM   DKIM   `yaml:"dkim"`
	ARC    ARC    `yaml:"arc"`
	// IPRev looks up whether a name of the client's address leads back to it.
	IPRev bool `yaml:"iprev"`
	// Auth selects the parts of a client's login that are written, into mail that is judged
	// and into mail that is signed.
	Auth AuthMode `yaml:"auth"`
	// Forwarders are hosts whose mail is judged and not refused.
	Forwarders []Forwarder `yaml:"forwarders"`
	// Overrides decide about failing messages of some author domains or listeners.
	Overrides []Override `yaml:"overrides"`
	// OwnDomains says whether mail from outside may claim one of our signing domains
	// although nothing authenticates it.
	OwnDomains OwnDomains `yaml:"own_domains"`
	// OnUndecided is the action of enforce mode in three cases: the author domain's policy
	// would refuse or hold a failing message, but a look-up for SPF or for a DKIM key failed
	// that could have made it pass (the sender chooses these names); the record of a
	// subdomain could not be looked up, and that of the organizational domain has such a
	// policy; this host could not make a look-up at all. It is tempfail or accept.
	OnUndecided Action `yaml:"on_undecided"`
	// OnTempError is the action of enforce mode if DNS did not answer for the policy itself:
	// accept or tempfail.
	OnTempError Action  `yaml:"on_temperror"`
	Trusted     Trusted `yaml:"trusted"`
}

// Mode says whether decisions are carried out.
type Mode string

const (
	Monitor Mode = "monitor" // write the results, refuse nothing, log what would have been done
	Enforce Mode = "enforce" // do what the policy says
)

// Action is the effect of enforce mode on a message.
type Action string

const (
	ActAccept     Action = "accept"
	ActTag        Action = "tag"        // accept, with the field X-Signpost-Disposition on top
	ActQuarantine Action = "quarantine" // hold in the MTA's queue
	ActReject     Action = "reject"     // 550
	ActTempfail   Action = "tempfail"   // 451
)

// DMARC configures the actions for a failed evaluation (RFC 9989).
type DMARC struct {
	OnReject     Action       `yaml:"on_reject"`     // where the domain's policy is reject
	OnQuarantine Action       `yaml:"on_quarantine"` // where it is quarantine
	Discovery    dmarc.Method `yaml:"discovery"`
}

// SPF configures the action for spf=fail without a DMARC record.
type SPF struct {
	OnFail Action `yaml:"on_fail"`
}

// DKIM bounds the work for one message.
type DKIM struct {
	MaxSignatures int `yaml:"max_signatures"`
	MinRSABits    int `yaml:"min_rsa_bits"`
}

// Trusted configures hosts whose results are used in place of ours.
type Trusted struct {
	// Networks are relays of our own, such as a backup MX, that have judged the mail they
	// send here. It passes: no field is removed or added, and no message refused.
	Networks []netip.Prefix `yaml:"networks"`
	// AuthservIDs are further authserv-ids that programs behind us trust. Fields from
	// outside that claim one are removed like those that claim ours.
	AuthservIDs []string `yaml:"authserv_ids"`
}

// Defaults returns the section with all default values.
func Defaults() Config {
	return Config{
		Mode:        Monitor,
		Author:      Author{OnAmbiguous: ActReject},
		DMARC:       DMARC{OnReject: ActReject, OnQuarantine: ActTag, Discovery: dmarc.TreeWalk},
		SPF:         SPF{OnFail: ActAccept},
		DKIM:        DKIM{MaxSignatures: 8, MinRSABits: 1024},
		Auth:        AuthOff,
		OwnDomains:  ownDomainsOff,
		OnUndecided: ActTempfail,
		OnTempError: ActAccept,
	}
}

// Validate reports every invalid value, with its path within the section and what to write
// instead.
func (c Config) Validate(bad func(path, problem string)) {
	config.OneOf(bad, "mode", c.Mode, Monitor, Enforce)
	config.OneOf(bad, "author.on_ambiguous", c.Author.OnAmbiguous, ActReject, ActTag, ActAccept)
	config.OneOf(bad, "dmarc.on_reject", c.DMARC.OnReject, ActReject, ActQuarantine, ActTag, ActAccept)
	config.OneOf(bad, "dmarc.on_quarantine", c.DMARC.OnQuarantine, ActReject, ActQuarantine, ActTag, ActAccept)
	config.OneOf(bad, "dmarc.discovery", c.DMARC.Discovery, dmarc.TreeWalk, dmarc.PSL)
	config.OneOf(bad, "spf.on_fail", c.SPF.OnFail, ActAccept, ActReject)
	config.OneOf(bad, "auth", c.Auth, AuthOff, AuthMethod, AuthUser)
	validateOverrides(c.Overrides, bad)
	validateForwarders(c.Forwarders, bad)
	config.OneOf(bad, "own_domains", c.OwnDomains, ownDomainsOff, ownDomainsProtect)
	config.OneOf(bad, "on_undecided", c.OnUndecided, ActTempfail, ActAccept)
	config.OneOf(bad, "on_temperror", c.OnTempError, ActAccept, ActTempfail)
	c.ARC.validate(bad)
	if n := c.DKIM.MaxSignatures; n < 1 || n > 100 {
		bad("dkim.max_signatures", fmt.Sprintf("%d is out of range: write a number from 1 to 100", n))
	}
	if n := c.DKIM.MinRSABits; n < 1024 || n > 4096 {
		bad("dkim.min_rsa_bits", fmt.Sprintf("%d is out of range: write a number from 1024 (RFC 8301 §3.2) to 4096", n))
	}
	if !plain(c.AuthservID) {
		bad("authserv_id", fmt.Sprintf("%q has characters that cannot stand in a header field: write a host name such as mx.example.com", c.AuthservID))
	}
	for i, id := range c.Trusted.AuthservIDs {
		if id == "" || !plain(id) {
			bad(fmt.Sprintf("trusted.authserv_ids[%d]", i), fmt.Sprintf("%q is no authserv-id: write a host name such as mx.example.com", id))
		}
	}
}

// plain says that a configured name needs no quoting in a header field.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '(' || c == ')' || c == ';' {
			return false
		}
	}
	return true
}
