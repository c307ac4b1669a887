package incoming

import (
	"fmt"
	"strconv"
	"strings"

	"signpost/internal/config"
	"signpost/internal/message"
)

// Config is the section `reports.in`.
type Config struct {
	// Addresses are those to which reports come. Mail to them that passes DMARC is read.
	Addresses []string `yaml:"addresses"`
	// Domains are ours beyond those that sign: reports about them are taken, too.
	Domains []string `yaml:"domains"`
	// After says what happens to the mail whose reports are stored.
	After After `yaml:"after"`
	// MaxRaw bounds the documents that are kept as they came, in octets of all together.
	MaxRaw config.Size `yaml:"max_raw"`
}

// After is what happens to a mail with reports.
type After string

const (
	Deliver After = "deliver" // it goes on as any other
	Discard After = "discard" // the address is taken off its recipients once the report is stored
)

// Defaults is the section of an empty file.
func Defaults() Config { return Config{After: Deliver, MaxRaw: 256 << 20} }

const minRaw = config.Size(1 << 20)

// Validate reports every mistake with its path within the section.
func (c Config) Validate(bad func(path, problem string)) {
	for i, a := range c.Addresses {
		if _, ok := Address(a); !ok {
			bad(fmt.Sprintf("addresses[%d]", i), fmt.Sprintf("%q is not an address: write one such as dmarc@example.com", a))
		}
	}
	for i, d := range c.Domains {
		if _, ok := message.DomainToASCII(d); !ok || !strings.Contains(d, ".") {
			bad(fmt.Sprintf("domains[%d]", i), fmt.Sprintf("%q is not a domain: write one such as example.com; those below it belong to it", d))
		}
	}
	config.OneOf(bad, "after", c.After, Deliver, Discard)
	if c.MaxRaw < minRaw {
		bad("max_raw", fmt.Sprintf("%s is too little: write %s or more, as 256MiB", c.MaxRaw, minRaw))
	}
}

// Address returns the normal form of an address or a path, by which two are compared: in
// lower case, with a domain in A-labels.
func Address(s string) (string, bool) {
	s = strings.Trim(s, "<>")
	at := strings.LastIndexByte(s, '@')
	if at < 1 {
		return "", false
	}
	host, ok := message.DomainToASCII(s[at+1:])
	if !ok || !strings.Contains(host, ".") || strings.ContainsAny(s[:at], " \t\r\n<>,;:\\\"@") {
		return "", false
	}
	return strings.ToLower(s[:at]) + "@" + host, true
}

// Notify is the section `reports.notify`.
type Notify struct {
	// To receives the notices, at most one mail a day; "" sends none.
	To string `yaml:"to"`
	// Over is the failing share of a domain's mail, of what is ours, above which there is a notice.
	Over Share `yaml:"over"`
}

// NotifyDefaults is the section of an empty file.
func NotifyDefaults() Notify { return Notify{Over: 5} }

// Validate reports every mistake with its path within the section.
func (n Notify) Validate(bad func(path, problem string)) {
	if _, ok := Address(n.To); n.To != "" && !ok {
		bad("to", fmt.Sprintf("%q is not an address: write one such as postmaster@example.com", n.To))
	}
	if n.Over <= 0 || n.Over > 100 {
		bad("over", fmt.Sprintf("%s is out of range: write more than 0%% and at most 100%%, as 5%%", n.Over))
	}
}

// Share is a part in per cent: "5%".
type Share float64

// UnmarshalText takes a number and "%".
func (s *Share) UnmarshalText(text []byte) error {
	number, ok := strings.CutSuffix(string(text), "%")
	n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if !ok || err != nil || n < 0 || n > 100 {
		return fmt.Errorf("%q is not a share: write a number and %%, as 5%%", text)
	}
	*s = Share(n)
	return nil
}

func (s Share) String() string { return strconv.FormatFloat(float64(s), 'g', -1, 64) + "%" }

// MarshalText is String.
func (s Share) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
