//go:build why

package why

import (
	"bytes"
	"net"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metrics"
	"github.com/miekg/dns"
	"go.yaml.in/yaml/v3"
)

// exchange asks a server on loopback that changes its reply.
func exchange(t *testing.T, change func(*dns.Msg)) (*dns.Msg, error) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		r := new(dns.Msg).SetReply(q)
		change(r)
		w.WriteMsg(r)
	})}
	go s.ActivateAndServe()
	t.Cleanup(func() { s.Shutdown() })
	q := new(dns.Msg).SetQuestion("example.org.", dns.TypeTXT)
	r, _, err := new(dns.Client).Exchange(q, conn.LocalAddr().String())
	return r, err
}

func TestMiekgTakesAReplyToAnotherQuestion(t *testing.T) {
	_, err := exchange(t, func(r *dns.Msg) { r.Question[0].Name = "example.net." })
	if err != nil {
		mended(t, "dns.Client compares the question of a reply: "+err.Error())
	}
}

func TestMiekgDoesNotAskAgainOverTCP(t *testing.T) {
	r, err := exchange(t, func(r *dns.Msg) { r.Truncated = true })
	if err != nil || !r.Truncated {
		mended(t, "dns.Client asks over TCP when a reply is truncated")
	}
}

// The octets of a TXT record come escaped, as in a zone file.
func TestMiekgGivesTXTInPresentationForm(t *testing.T) {
	m := new(dns.Msg)
	m.Answer = []dns.RR{&dns.TXT{Hdr: dns.RR_Header{Name: "example.org.", Rrtype: dns.TypeTXT, Class: dns.ClassINET},
		Txt: []string{`a\007"b`}}}
	wire, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Unpack(wire); err != nil {
		t.Fatal(err)
	}
	if got := m.Answer[0].(*dns.TXT).Txt[0]; got == "a\x07\"b" {
		mended(t, "TXT strings are the octets of the record")
	}
}

// An administrator knows sections and keys, not types of this program.
func TestYAMLNamesGoTypesInItsErrors(t *testing.T) {
	var section struct{ Listen string }
	d := yaml.NewDecoder(strings.NewReader("lisen: x\n"))
	d.KnownFields(true)
	if err := d.Decode(&section); err == nil || !strings.Contains(err.Error(), "type struct") {
		mended(t, "yaml reports unknown keys without Go's type names")
	}
}

func TestMetricsWriteHelpWithoutText(t *testing.T) {
	metrics.ExposeMetadata(true)
	set := metrics.NewSet()
	set.NewCounter("signpost_messages_total").Inc()
	var out bytes.Buffer
	set.WritePrometheus(&out)
	if help, _, _ := strings.Cut(out.String(), "\n"); strings.TrimSpace(help) != "# HELP signpost_messages_total" {
		mended(t, "metrics can have a HELP text: "+help)
	}
}
