package doctor

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strings"
	"time"

	"signpost/internal/mta"
)

// maxGreeting limits the octets of a relay host's replies.
const maxGreeting = 64 << 10

// relayConversion looks whether the relay host takes 8-bit mail. Where it does not, smtp(8) encodes it anew.
func (p *postfix) relayConversion() {
	relay := p.Value("relayhost")
	host, port, err := net.SplitHostPort(relay)
	if err != nil {
		host, port = relay, "25"
	}
	// Without brackets the host is found by MX records, which are not looked up here.
	if !strings.HasPrefix(relay, "[") || p.Value("disable_mime_output_conversion") == "yes" || p.Value("force_mime_input_conversion") == "yes" || p.Value("smtp_tls_wrappermode") == "yes" {
		return
	}
	if !lacks8BITMIME(net.JoinHostPort(strings.Trim(host, "[]"), port), p.Value("myhostname")) {
		return
	}
	c := &chain{p: p, service: mta.Service{}}
	p.find(Finding{ID: "postfix.mime-conversion", Subject: "relayhost",
		Finding: fmt.Sprintf("the relay host %s does not say that it takes 8-bit mail (8BITMIME)", relay),
		Remedy:  p.set(c, "Let 8-bit mail go out as it was signed:", "disable_mime_output_conversion", "yes")})
}

// lacks8BITMIME asks an SMTP server by EHLO. One that cannot be asked, or that may say more after STARTTLS, does
// not count.
func lacks8BITMIME(addr, name string) bool {
	conn, err := net.DialTimeout("tcp", addr, patience.relay)
	if err != nil {
		return false
	}
	defer conn.Close()
	if conn.SetDeadline(time.Now().Add(patience.relay)) != nil {
		return false
	}
	in := textproto.NewReader(bufio.NewReader(io.LimitReader(conn, maxGreeting)))
	if _, _, err := in.ReadResponse(220); err != nil {
		return false
	}
	if _, err := fmt.Fprintf(conn, "EHLO %s\r\n", name); err != nil {
		return false
	}
	_, said, err := in.ReadResponse(250)
	_, _ = io.WriteString(conn, "QUIT\r\n")
	said = strings.ToUpper(said)
	return err == nil && !strings.Contains(said, "8BITMIME") && !strings.Contains(said, "STARTTLS")
}
