package e2e

import (
	"bytes"
	"crypto"
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/dkim"
)

// strangersZone is the DNS of foreign senders. Each domain is named after the expected
// result; all authorize only 192.0.2.1.
func strangersZone() string {
	var zone strings.Builder
	add := func(name, text string) { zone.WriteString(txtLine(name, text)) }
	key := theirKey()
	for _, domain := range []string{"good.example", "strict.example", "doubt.example", "spftemp.example", "dkimtemp.example", "dmarctemp.example"} {
		if domain != "spftemp.example" {
			add(domain, "v=spf1 ip4:192.0.2.1 -all")
		}
		if domain != "dkimtemp.example" {
			zone.WriteString(key.line(domain))
		}
	}
	add("_dmarc.good.example", "v=DMARC1; p=none")
	add("_dmarc.strict.example", "v=DMARC1; p=reject")
	add("_dmarc.doubt.example", "v=DMARC1; p=quarantine")
	add("_dmarc.spftemp.example", "v=DMARC1; p=reject")
	add("_dmarc.dkimtemp.example", "v=DMARC1; p=reject")
	zone.WriteString("spftemp.example. TXT TIMEOUT\n")
	zone.WriteString("sel._domainkey.dkimtemp.example. TXT TIMEOUT\n")
	zone.WriteString("_dmarc.dmarctemp.example. TXT SERVFAIL\n")
	return zone.String()
}

// letter is a message from a foreign sender.
type letter struct {
	from   string // the author's address, and the reverse-path unless sender is set
	sender string
	signed bool     // by the author's domain
	forged bool     // and altered after that
	extra  []string // fields on top, each with its CRLF
}

func (l letter) reversePath() string {
	if l.sender != "" {
		return l.sender
	}
	return l.from
}

// text is the message to this recipient. go-msgauth signs it.
func (l letter) text(t *testing.T, rcpt string) string {
	t.Helper()
	msg := "From: <" + l.from + ">\r\nTo: <" + rcpt + ">\r\nSubject: from a stranger\r\n" +
		"Date: Sat, 03 Jan 2026 10:00:00 +0000\r\nMessage-ID: <" + rcpt + ">\r\n\r\nHello.\r\n"
	if l.signed {
		msg = sign(t, msg, l.from[strings.LastIndexByte(l.from, '@')+1:])
	}
	if l.forged {
		msg = strings.Replace(msg, "Hello.", "Pay me.", 1)
	}
	return strings.Join(l.extra, "") + msg
}

func sign(t *testing.T, msg, domain string) string {
	t.Helper()
	key := theirKey()
	var out bytes.Buffer
	check(t, dkim.Sign(&out, strings.NewReader(msg), &dkim.SignOptions{
		Domain: domain, Selector: key.selector, Signer: key.signer, Hash: crypto.SHA256,
		HeaderCanonicalization: dkim.CanonicalizationSimple,
		BodyCanonicalization:   dkim.CanonicalizationSimple,
		HeaderKeys:             []string{"From", "To", "Subject", "Date", "Message-ID"},
	}))
	return out.String()
}
