package setup

import (
	"fmt"
	"net/netip"
	"os"
	"strings"

	"signpost/internal/mta"
	"signpost/internal/shell"
	"signpost/keys"
)

// configText is a new configuration, with comments.
func (p *Plan) configText() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# yaml-language-server: $schema=/usr/share/signpost/signpost.schema.json")
	line("# Written by signpost init. What is not here has its default, which")
	line("# man signpost.yaml explains. After a change:")
	line("#   signpost check-config && systemctl reload signpost")
	line("")
	line("milter:")
	line("  # The MTA connects here.")
	line("  listen: [%s]", p.listenText())
	if p.options.Zone != "" {
		line("\ndns:\n  zone_file: %q     # answers in place of DNS: for a trial, not for real mail", p.options.Zone)
	}
	if p.options.Root != "" {
		line("\nkeys:\n  dir: %q\n  state: %q", p.running.Keys.Dir, p.running.Keys.State)
		line("\ncontrol:\n  listen: %q\n  group: \"\"", p.running.Control.Listen)
	}
	line("\nsigner:")
	line("  # Mail of these clients is ours, and signed by the domain in its From; all")
	line("  # other mail is judged. A header field never decides that.")
	line("  ours:")
	line("    networks: [%s]", strings.Join(p.ourNetworks(), ", "))
	line("    authenticated: true            # a client that logged in")
	if p.options.Zone != "" {
		line("  require_published: true          # sign when the zone file has the key")
	}
	line("  # A key signs once DNS has its record: signpost keys record DOMAIN SELECTOR")
	line("  domains:")
	for _, domain := range p.domains {
		b.WriteString(strings.Join(entryLines(domain, p.Keys), "\n") + "\n")
	}
	line("\nverifier:")
	line("  # This host's name, as Authentication-Results has it.")
	line("  authserv_id: %s", p.hostName())
	line("  # monitor writes results and refuses nothing. What enforce would refuse:")
	line("  #   signpost tail --would-refuse")
	line("  mode: monitor")
	return b.String()
}

// entryLines is the entry of a domain in signer.domains.
func entryLines(domain string, all []Key) []string {
	var selectors []string
	for _, k := range all {
		if k.Domain == domain {
			selectors = append(selectors, k.Selector)
		}
	}
	return []string{"    - domain: " + domain, "      selectors: [" + strings.Join(selectors, ", ") + "]"}
}

func (p *Plan) listenText() string {
	if p.listen.Network == "unix" {
		return fmt.Sprintf("%q", "unix:"+p.listen.Addr)
	}
	return fmt.Sprintf("%q", p.listen.String())
}

// mostNetworks limits the networks that are taken over from the MTA.
const mostNetworks = 50

// ourNetworks are this host and the networks that Postfix relays for.
func (p *Plan) ourNetworks() []string {
	networks := []string{"127.0.0.0/8", `"::1/128"`}
	if p.MTA.postfix == nil {
		return networks
	}
	for _, item := range mta.List(p.MTA.postfix.Value("mynetworks")) {
		n, err := netip.ParsePrefix(strings.NewReplacer("[", "", "]", "").Replace(item))
		if err != nil || n.Addr().Is4In6() || n.Addr().IsLoopback() || n.Bits() == 0 || len(networks) == mostNetworks {
			continue
		}
		networks = append(networks, fmt.Sprintf("%q", n.Masked().String()))
	}
	return networks
}

// hostName is the name by which results of this host are known.
func (p *Plan) hostName() string {
	if p.MTA.postfix != nil {
		if name := p.MTA.postfix.Value("myhostname"); isHostName(name) {
			return name
		}
	}
	if name, err := os.Hostname(); err == nil && isHostName(name) && hasDot(name) {
		return name
	}
	return "mx." + p.domains[0]
}

func isHostName(name string) bool {
	return name != "" && strings.IndexFunc(name, func(r rune) bool {
		return r != '.' && r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) < 0
}

// Command is a command as a line for a shell.
func Command(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = shell.Quote(w)
	}
	return strings.Join(quoted, " ")
}

// Text says in words which key it is.
func (k Key) Text() string {
	kind := "RSA-2048"
	if k.Algorithm == keys.Ed25519 {
		kind = "Ed25519"
	}
	return kind + " key " + k.Selector + " of " + k.Domain
}
