package outgoing

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"unicode"

	"signpost/internal/message"
)

// Config is the section `reports.out`. Without org_name and from, no reports are sent.
type Config struct {
	// OrgName is the name of this organization in the reports, and From the address that they
	// come from. Its domain is their Submitter, and a key of ours signs for it. All hosts of a
	// fleet have the same.
	OrgName string `yaml:"org_name"`
	From    string `yaml:"from"`
	// SMTP is the local MTA, which queues them: HOST:PORT on loopback.
	SMTP string `yaml:"smtp"`
	// PerDay limits the reports about one day.
	PerDay int `yaml:"per_day"`
}

// Defaults is the section of an empty file: no reports.
func Defaults() Config { return Config{SMTP: "127.0.0.1:25", PerDay: 10000} }

// On tells whether reports are sent.
func (c Config) On() bool { return c.OrgName != "" && c.From != "" }

// Author is From in its two parts; empty if it is no address.
func (c Config) Author() message.Address {
	address, err := plainAddress(c.From)
	if err != nil {
		return message.Address{}
	}
	at := strings.LastIndexByte(address, '@')
	return message.Address{Local: address[:at], Domain: address[at+1:]}
}

// Submitter is the name of the reporting host in reports: the domain of From.
func (c Config) Submitter() string { return c.Author().Domain }

const (
	maxOrgName = 200
	maxPerDay  = 1000000
)

// Validate reports every mistake with its path within the section. database says that reports
// are kept at all.
func (c Config) Validate(database bool, bad func(path, problem string)) {
	if c.OrgName == "" && c.From == "" {
		if c.SMTP != Defaults().SMTP || c.PerDay != Defaults().PerDay {
			bad("", "reports are sent only with a name and an address: write org_name and from as well")
		}
		return
	}
	switch {
	case c.OrgName == "":
		bad("org_name", "it is missing: write the name of your organization, which the reports show")
	case len(c.OrgName) > maxOrgName || strings.IndexFunc(c.OrgName, unicode.IsControl) >= 0:
		bad("org_name", fmt.Sprintf("it is one line of at most %d octets", maxOrgName))
	}
	c.validateFrom(bad)
	c.validateSMTP(bad)
	if c.PerDay < 1 || c.PerDay > maxPerDay {
		bad("per_day", fmt.Sprintf("%d is out of range: write a number from 1 to %d", c.PerDay, maxPerDay))
	}
	if !database {
		bad("", "reports are made of what is counted: name a database in reports.database, or take reports.out away")
	}
}

func (c Config) validateFrom(bad func(path, problem string)) {
	if c.From == "" {
		bad("from", "it is missing: write an address such as dmarc-reports@example.com, for whose domain this host signs")
		return
	}
	address, err := plainAddress(c.From)
	switch {
	case err != nil:
		bad("from", fmt.Sprintf("%q is no address: %v; write one such as dmarc-reports@example.com", c.From, err))
	case !ascii(address):
		bad("from", "its local part has letters beyond ASCII, which many MTAs refuse: write another address")
	case strings.Contains(address[:strings.LastIndexByte(address, '@')], "+"):
		bad("from", "its local part has a +, after which the address for bounces has its token: write an address without")
	case strings.LastIndexByte(address, '@') > maxFromLocal:
		bad("from", fmt.Sprintf("its local part is longer than %d octets: the address for bounces has a token besides, and 64 in all", maxFromLocal))
	}
}

// validateSMTP wants a loopback address: reports go there without TLS and without a login.
func (c Config) validateSMTP(bad func(path, problem string)) {
	host, port, err := net.SplitHostPort(c.SMTP)
	n, portErr := strconv.ParseUint(port, 10, 16)
	ip, ipErr := netip.ParseAddr(host)
	if err != nil || portErr != nil || n == 0 || ipErr != nil || !ip.Unmap().IsLoopback() {
		bad("smtp", fmt.Sprintf("%q is not a loopback address and a port: write 127.0.0.1:25, where the MTA of this host listens", c.SMTP))
	}
}

func ascii(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 }) < 0
}
