package signer

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"signpost/internal/config"
	"signpost/internal/dkim"
	"signpost/keys"
)

// Config is the section `signer` of the configuration.
type Config struct {
	// Outbound says which mail is ours, so that it is signed and not judged.
	Outbound OutboundRule `yaml:"ours"`
	// Domains are the entries: an author domain, and the selectors that sign for it.
	Domains []Domain `yaml:"domains"`
	// Tables are the sources of further entries; see package tablesource.
	Tables []Table `yaml:"tables"`
	// TablesEvery is how often databases are asked for changes.
	TablesEvery time.Duration `yaml:"tables_every"`
	// OnError decides about a message of ours that we fail to sign.
	OnError OnError `yaml:"on_error"`
	// Canonicalization is header/body, each relaxed or simple.
	Canonicalization Canonicalization `yaml:"canonicalization"`
	// Fields changes which header fields the signatures cover.
	Fields Fields `yaml:"fields"`
	// RequirePublished lets a key sign only when DNS has its record; see
	// lifecycle.Tracker. Otherwise every listed key signs.
	RequirePublished bool `yaml:"require_published"`
	// SelfCheck is n, to verify every n-th signed message in the background, with the key
	// from DNS. 0 switches it off.
	SelfCheck int `yaml:"self_check"`
	// Senders restricts the authors that a login or a network may use.
	Senders Senders `yaml:"senders"`
	// ARC says which mail that this host forwards is sealed.
	ARC ARC `yaml:"arc"`
}

// OutboundRule says which connections bring mail of ours. Header fields never count. One
// match of the three is enough. opendkim calls Networks InternalHosts.
type OutboundRule struct {
	Networks      []netip.Prefix `yaml:"networks"`
	Authenticated bool           `yaml:"authenticated"`
	DaemonNames   []string       `yaml:"daemon_names"`
}

// Selector is one key of a domain. In the file it is a name, or a mapping of both fields.
type Selector struct {
	Selector string `yaml:"selector"`
	// ActiveFrom is when the key replaces the other keys of its algorithm; zero: as soon as
	// it may sign.
	ActiveFrom Moment `yaml:"active_from"`
}

// UnmarshalText reads the short form, only the name.
func (s *Selector) UnmarshalText(text []byte) error {
	*s = Selector{Selector: string(text)}
	return nil
}

// Moment is a point in time. In the file it is a day, which begins at 00:00 UTC, or a
// time in the form of RFC 3339.
type Moment struct{ time.Time }

// UnmarshalText reads either form.
func (m *Moment) UnmarshalText(text []byte) error {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, string(text)); err == nil {
			m.Time = t
			return nil
		}
	}
	return fmt.Errorf("%q is not a moment: write a day, 2027-01-31, or a time, 2027-01-31T08:00:00Z", text)
}

// AnyDomain is the entry for all author domains that have no other entry.
const AnyDomain = keys.AnyDomain

// OnError says what happens to a message that could not be signed.
type OnError string

const (
	OnErrorTempfail OnError = "tempfail" // 451: the client tries again, nothing leaves unsigned
	OnErrorUnsigned OnError = "unsigned" // it leaves unsigned, with an error in the log
)

// Canonicalization is a pair of DKIM canonicalizations (RFC 6376 §3.4).
type Canonicalization struct{ Header, Body dkim.Canonicalization }

// UnmarshalText reads the form of the c= tag. Both parts are required.
func (c *Canonicalization) UnmarshalText(text []byte) error {
	header, body, both := strings.Cut(string(text), "/")
	h, b := dkim.Canonicalization(header), dkim.Canonicalization(body)
	if !both || !known(h) || !known(b) {
		return fmt.Errorf("%q is not a canonicalization: write relaxed/relaxed, relaxed/simple, simple/relaxed or simple/simple", text)
	}
	*c = Canonicalization{h, b}
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (c Canonicalization) MarshalText() ([]byte, error) {
	return []byte(string(c.Header) + "/" + string(c.Body)), nil
}

func known(c dkim.Canonicalization) bool { return c == dkim.Relaxed || c == dkim.Simple }

// Defaults returns the section for an empty file.
func Defaults() Config {
	return Config{
		Outbound: OutboundRule{
			Networks:      []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
			Authenticated: true,
		},
		OnError:          OnErrorTempfail,
		Senders:          Senders{Mode: SendersOff},
		ARC:              ARC{Seal: SealOff},
		TablesEvery:      time.Minute,
		RequirePublished: true,
		Canonicalization: Canonicalization{dkim.Relaxed, dkim.Relaxed},
	}
}

// Validate reports every mistake in the values, with its path within the section and the
// remedy. It does not look at the addresses of databases; see tablesource.Validate.
func (c Config) Validate(bad func(path, problem string)) {
	config.OneOf(bad, "on_error", c.OnError, OnErrorTempfail, OnErrorUnsigned)
	if c.SelfCheck < 0 || c.SelfCheck > maxSelfCheckEvery {
		bad("self_check", fmt.Sprintf("%d: write 0 for none, 1 for every message, n for every n-th, up to %d", c.SelfCheck, maxSelfCheckEvery))
	}
	c.Fields.validate(bad)
	c.Senders.validate(bad)
	c.ARC.validate(bad)
	c.validateDomains(bad)
	for i, t := range c.Tables {
		if problem := t.problem(); problem != "" {
			bad(fmt.Sprintf("tables[%d]", i), problem)
		}
	}
	if c.TablesEvery < time.Second || c.TablesEvery > 24*time.Hour {
		bad("tables_every", fmt.Sprintf("%s is out of range: write a time from 1s to 24h, as 1m", c.TablesEvery))
	}
}

// validateDomains reports the mistakes in the entries, each by itself and all together.
func (c Config) validateDomains(bad func(path, problem string)) {
	seen := make(map[string]int32, len(c.Domains))
	patterns := 0
	for i, d := range c.Domains {
		d.validate(fmt.Sprintf("domains[%d]", i), bad)
		name, k := entryName(d.Domain)
		if first, dup := seen[name]; dup && name != "" {
			bad(fmt.Sprintf("domains[%d].domain", i), fmt.Sprintf("%q stands already in domains[%d]: put all its selectors there", d.Domain, first))
			continue
		}
		seen[name] = int32(i)
		if k == domainGlob {
			patterns++
		}
	}
	if patterns > maxPatterns {
		bad("domains", fmt.Sprintf("%d patterns are more than the %d that are tried for a message: write the domains out, in a file of signer.tables", patterns, maxPatterns))
	}
	if len(c.Tables) > 0 {
		return // an entry that sdid names may be in a table
	}
	index := Index{c.Domains, seen}
	for i, d := range c.Domains {
		if problem := index.sdidProblem(d); problem != "" {
			bad(fmt.Sprintf("domains[%d].sdid", i), problem)
		}
	}
}

// maxPatterns bounds how many patterns are tried for one message.
const maxPatterns = 1000
