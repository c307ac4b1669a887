package doctor

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"signpost/internal/mta"
)

// A setup is one mail host: signpost.yaml, main.cf and master.cf. In all of them, @ stands for the host's own
// folder, which has the queue directory @/queue with the folder signpost.
type setup struct {
	name               string
	yaml, main, master string
	sockets            []string          // unix sockets that something listens at
	listen             []string          // TCP addresses, the same
	files              map[string]string // of other programs
	links              map[string]string // symbolic ones, and where they lead
}

const (
	signing = `
signer:
  domains: [{domain: example.com, selectors: [s2026]}]
`
	ordinaryMain = `
compatibility_level = 3.6
myhostname = mx.example.com
myorigin = example.com
mydestination = example.com, localhost
mynetworks = 127.0.0.0/8
queue_directory = @/queue
mail_owner = postfix
smtpd_milters = inet:127.0.0.1:8891
non_smtpd_milters = $smtpd_milters
internal_mail_filter_classes = bounce
milter_default_action = tempfail
`
	ordinaryMaster = `
smtp      inet  n - y - - smtpd
submission inet n - y - - smtpd
  -o syslog_name=postfix/submission
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
  -o milter_macro_daemon_name=ORIGINATING
pickup    unix  n - y 60 1 pickup
cleanup   unix  n - y - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
bounce    unix  - - y - 0 bounce
smtp      unix  - - y - - smtp
relay     unix  - - y - - smtp
`
	amavisMaster = ordinaryMaster + `
smtp-amavis unix - - y - 2 smtp
  -o disable_mime_output_conversion=yes
127.0.0.1:10025 inet n - y - - smtpd
  -o content_filter=
  -o receive_override_options=no_milters,no_header_body_checks
  -o smtpd_relay_restrictions=permit_mynetworks,reject
  -o mynetworks=127.0.0.0/8
`
	socketYAML = signing + "milter: {listen: [unix:@/queue/signpost/m.sock]}\n"
	twoYAML    = signing + `milter:
  listen:
    - {address: "inet:127.0.0.1:8892", role: verify}
    - {address: "inet:127.0.0.1:8893", role: sign}
`
	twoMaster = `
smtp      inet  n - y - - smtpd
submission inet n - y - - smtpd
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
  -o content_filter=smtp-amavis:[127.0.0.1]:10026
  -o smtpd_milters=
  -o receive_override_options=no_address_mappings
pickup    unix  n - y 60 1 pickup
cleanup   unix  n - y - 0 cleanup
smtp      unix  - - y - - smtp
smtp-amavis unix - - y - 2 smtp
127.0.0.1:10025 inet n - y - - smtpd
  -o content_filter=
  -o smtpd_milters=
  -o mynetworks=127.0.0.0/8
127.0.0.1:10027 inet n - y - - smtpd
  -o content_filter=
  -o smtpd_milters=inet:127.0.0.1:8893
  -o mynetworks=127.0.0.0/8
`
)

// ordinary is the set-up of docs/postfix.md: TCP, one listener.
var ordinary = setup{name: "TCP", yaml: signing, main: ordinaryMain, master: ordinaryMaster}

// inChroot has the socket below the queue directory.
var inChroot = setup{name: "unix socket in the chroot", yaml: socketYAML,
	main: strings.ReplaceAll(ordinaryMain, "inet:127.0.0.1:8891", "unix:signpost/m.sock"), master: ordinaryMaster, sockets: []string{"queue/signpost/m.sock"}}

// twoListeners is the content filter with a way of its own for users' mail.
var twoListeners = setup{name: "two listeners with a content filter", yaml: twoYAML, master: twoMaster,
	main: replaced(ordinaryMain, "smtpd_milters = inet:127.0.0.1:8891", "smtpd_milters = inet:127.0.0.1:8892", "non_smtpd_milters = $smtpd_milters", "non_smtpd_milters = inet:127.0.0.1:8893") +
		"content_filter = smtp-amavis:[127.0.0.1]:10024\n"}

func replaced(text string, pairs ...string) string {
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			panic("nothing to replace: " + pairs[i])
		}
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	return text
}

// healthy are hosts without any fault.
var healthy = []setup{
	ordinary,
	inChroot,
	twoListeners,
	{name: "one listener, a content filter", yaml: signing, main: ordinaryMain + "content_filter = smtp-amavis:[127.0.0.1]:10024\n", master: amavisMaster},
	{name: "relayhost", yaml: signing, main: ordinaryMain + "relayhost = [smtp.provider.example]:587\n", master: ordinaryMaster},
	{name: "null client", yaml: signing, main: replaced(ordinaryMain, "mydestination = example.com, localhost", "mydestination =\ninet_interfaces = loopback-only\nrelayhost = [smtp.example.com]"), master: ordinaryMaster},
	{name: "verify only", yaml: "verifier: {authserv_id: mx.example.com}\n", main: replaced(ordinaryMain, "non_smtpd_milters = $smtpd_milters", "", "internal_mail_filter_classes = bounce", ""),
		master: strings.Replace(ordinaryMaster, "submission inet n - y - - smtpd", "submission inet n - y - - smtpd\n  -o smtpd_milters=", 1)},
	{name: "sign only, submission alone", yaml: signing + "milter: {listen: [{address: \"inet:127.0.0.1:8893\", role: sign}]}\n",
		main:   replaced(ordinaryMain, "smtpd_milters = inet:127.0.0.1:8891", "", "non_smtpd_milters = $smtpd_milters", "non_smtpd_milters = inet:127.0.0.1:8893"),
		master: strings.Replace(ordinaryMaster, "submission inet n - y - - smtpd", "submission inet n - y - - smtpd\n  -o smtpd_milters=inet:127.0.0.1:8893", 1)},
	{name: "sign only, an outgoing relay", yaml: signing + "milter: {listen: [{address: \"inet:127.0.0.1:8893\", role: sign}]}\n",
		main: replaced(ordinaryMain, "inet:127.0.0.1:8891", "inet:127.0.0.1:8893", "mydestination = example.com, localhost", ""), master: ordinaryMaster},
	{name: "container, by a name that only Postfix knows", yaml: signing + "milter: {listen: [\"inet:0.0.0.0:8891\"], peers: [172.16.0.0/12]}\n",
		main: replaced(ordinaryMain, "inet:127.0.0.1:8891", "inet:signpost.invalid:8891"), master: ordinaryMaster},
	{name: "dual stack", yaml: signing + "milter: {listen: [\"inet:127.0.0.1:8891\", \"inet:[::1]:8891\"]}\n",
		main: replaced(ordinaryMain, "inet:127.0.0.1:8891", "inet:localhost:8891") + "inet_protocols = all\nmynetworks = 127.0.0.0/8 [::1]/128\n", master: ordinaryMaster},
	{name: "rspamd as a spam filter alone", yaml: signing, main: replaced(ordinaryMain, "inet:127.0.0.1:8891", "inet:127.0.0.1:8891, inet:127.0.0.1:11332"), master: ordinaryMaster,
		files: map[string]string{"etc/rspamd/local.d/dkim_signing.conf": "enabled = false;\n"}},
	{name: "rspamd without keys", yaml: signing, main: replaced(ordinaryMain, "inet:127.0.0.1:8891", "{ inet:127.0.0.1:8891, default_action=tempfail }, { inet:127.0.0.1:11332, default_action=accept }"), master: ordinaryMaster,
		files: map[string]string{"etc/rspamd/rspamd.conf": ""}},
	{name: "opendkim, enabled, and asked by no MTA", yaml: signing, main: ordinaryMain, master: ordinaryMaster,
		files: map[string]string{"etc/opendkim.conf": "Mode sv\nSocket local:/run/opendkim/opendkim.sock\n", "etc/systemd/system/multi-user.target.wants/opendkim.service": ""}},
	{name: "postscreen in front", yaml: signing, main: ordinaryMain, master: replaced(ordinaryMaster, "smtp      inet  n - y - - smtpd\n", "smtp inet n - y - 1 postscreen\nsmtpd pass - - y - - smtpd\ntlsproxy unix - - y - 0 tlsproxy\n")},
	{name: "a proxy filter, judged behind it", yaml: twoYAML,
		main: replaced(ordinaryMain, "smtpd_milters = inet:127.0.0.1:8891", "", "non_smtpd_milters = $smtpd_milters", "non_smtpd_milters = inet:127.0.0.1:8893"),
		master: replaced(ordinaryMaster, "smtp      inet  n - y - - smtpd\n", "smtp inet n - y - - smtpd\n  -o smtpd_proxy_filter=127.0.0.1:10024\n127.0.0.1:10025 inet n - y - - smtpd\n  -o smtpd_proxy_filter=\n  -o smtpd_milters=inet:127.0.0.1:8892\n  -o mynetworks=127.0.0.0/8\n",
			"  -o smtpd_sasl_auth_enable=yes", "  -o smtpd_milters=inet:127.0.0.1:8893\n  -o smtpd_sasl_auth_enable=yes")},
	{name: "without chroot, the socket outside", yaml: signing + "milter: {listen: [unix:@/run/m.sock]}\n", sockets: []string{"run/m.sock"},
		main: strings.ReplaceAll(ordinaryMain, "inet:127.0.0.1:8891", "unix:@/run/m.sock"), master: strings.ReplaceAll(ordinaryMaster, " y - ", " n - ")},
	{name: "signing at submission alone, beside a program that judges", yaml: signing,
		main:   replaced(ordinaryMain, "smtpd_milters = inet:127.0.0.1:8891", "smtpd_milters = inet:127.0.0.1:11332", "non_smtpd_milters = $smtpd_milters", "non_smtpd_milters = inet:127.0.0.1:8891"),
		master: strings.Replace(ordinaryMaster, "submission inet n - y - - smtpd", "submission inet n - y - - smtpd\n  -o smtpd_milters=inet:127.0.0.1:8891", 1)},
	{name: "a content filter whose way back is in smtpd_milter_maps", yaml: signing, main: ordinaryMain + "content_filter = smtp-amavis:[127.0.0.1]:10024\nsmtpd_milter_maps = inline:{ {127.0.0.1 = DISABLE} }\n",
		master: replaced(amavisMaster, "no_milters,no_header_body_checks", "no_header_body_checks")},
	{name: "a folder by another name, and the daemon is down", yaml: signing + "milter: {listen: [unix:@/queue/signpost/m.sock]}\n",
		main: strings.ReplaceAll(ordinaryMain, "inet:127.0.0.1:8891", "unix:link/m.sock"), master: ordinaryMaster, links: map[string]string{"queue/link": "signpost"}},
	{name: "list software beside a content filter", yaml: signing + "  arc: {seal: forwarded, domain: example.com, selector: s2026, list_networks: [127.0.0.1/32]}\nmilter: {listen: [\"inet:127.0.0.1:8891\", {address: \"inet:127.0.0.1:8894\", role: seal}]}\n",
		main: ordinaryMain + "content_filter = smtp-amavis:[127.0.0.1]:10024\n", master: amavisMaster + "127.0.0.1:10026 inet n - y - - smtpd\n  -o content_filter=\n  -o smtpd_milters=inet:127.0.0.1:8894\n"},
	{name: "users' mail signed in front of the content filter", yaml: twoYAML,
		main:   replaced(ordinaryMain, "smtpd_milters = inet:127.0.0.1:8891", "smtpd_milters = inet:127.0.0.1:8892", "non_smtpd_milters = $smtpd_milters", "non_smtpd_milters = inet:127.0.0.1:8893") + "content_filter = smtp-amavis:[127.0.0.1]:10024\n",
		master: replaced(amavisMaster, "  -o smtpd_sasl_auth_enable=yes", "  -o smtpd_milters=inet:127.0.0.1:8893\n  -o smtpd_sasl_auth_enable=yes")},
	{name: "no sendmail(1)", yaml: signing, main: replaced(ordinaryMain, "non_smtpd_milters = $smtpd_milters", ""), master: replaced(ordinaryMaster, "pickup    unix  n - y 60 1 pickup\n", "")},
	{name: "a way in for a program of the host alone", yaml: signing, main: ordinaryMain, master: ordinaryMaster + "127.0.0.1:10588 inet n - y - - smtpd\n  -o smtpd_milters=\n"},
}

func TestAHealthyPostfixGivesNoFinding(t *testing.T) {
	for _, s := range healthy {
		t.Run(s.name, func(t *testing.T) {
			r := s.look(t)
			for _, f := range r.Findings {
				t.Errorf("%s (%s) %s: %s\n%s", f.ID, f.Severity, f.Subject, f.Finding, f.Remedy)
			}
			for _, u := range r.Unseen {
				t.Errorf("not seen: %s: %s", u.What, u.Reason)
			}
		})
	}
}

// faults break one thing each.
var faults = []struct {
	id, what string
	base     setup
	yaml     []string // pairs, as for replaced
	main     []string
	master   []string
	change   func(t *testing.T, dir string)
	remedy   string // a part of it
}{
	{id: "postfix.not-connected", what: "no milter at all", base: ordinary,
		main: []string{"smtpd_milters = inet:127.0.0.1:8891", "", "non_smtpd_milters = $smtpd_milters", ""}, remedy: "-e 'smtpd_milters = inet:127.0.0.1:8891'"},
	{id: "postfix.not-connected", what: "other milters alone", base: inChroot,
		main: []string{"unix:signpost/m.sock", "unix:other/m.sock"}, change: other, remedy: "-e 'smtpd_milters = unix:signpost/m.sock, unix:other/m.sock'"},
	{id: "postfix.not-connected", what: "no_milters for all", base: ordinary, main: []string{"compatibility_level", "receive_override_options = no_milters, no_address_mappings\ncompatibility_level"}, remedy: "receive_override_options = no_address_mappings"},
	{id: "postfix.not-connected", what: "a map for all", base: ordinary, main: []string{"compatibility_level", "smtpd_milter_maps = static:DISABLE\ncompatibility_level", "non_smtpd_milters = $smtpd_milters", ""}, master: []string{"pickup    unix  n - y 60 1 pickup\n", ""}, remedy: "smtpd_milter_maps ="},
	{id: "postfix.service-without-milter", what: "a map for all", base: ordinary, main: []string{"compatibility_level", "smtpd_milter_maps = static:DISABLE\ncompatibility_level"}, remedy: "smtpd_milter_maps ="},
	{id: "postfix.not-connected", what: "dead milters of others", base: ordinary, main: []string{"inet:127.0.0.1:8891", "unix:/run/clamav/milter.sock"}, remedy: "smtpd_milters = inet:127.0.0.1:8891, unix:/run/clamav/milter.sock"},
	{id: "postfix.not-connected", what: "the socket is outside of the chroot", base: healthyNamed("without chroot, the socket outside"),
		main: []string{"smtpd_milters = unix:@/run/m.sock", "", "non_smtpd_milters = $smtpd_milters", ""}, master: []string{"smtp      inet  n - n", "smtp      inet  n - y"}, remedy: "-F smtp/inet/chroot=n"},
	{id: "postfix.not-connected", what: "another milter in the list that the other list refers to", base: ordinary, main: []string{"inet:127.0.0.1:8891", "inet:127.0.0.1:11332"},
		remedy: "-e 'smtpd_milters = inet:127.0.0.1:8891, inet:127.0.0.1:11332'\npostfix"},
	{id: "postfix.not-connected", what: "services with lists of their own", base: ordinary, main: []string{"inet:127.0.0.1:8891", "inet:127.0.0.1:11332"},
		master: []string{"-o smtpd_sasl_auth_enable=yes", "-o smtpd_sasl_auth_enable=yes -o smtpd_milters=inet:127.0.0.1:7357"}, remedy: "-P submission/inet/smtpd_milters=inet:127.0.0.1:8891,inet:127.0.0.1:7357"},
	{id: "postfix.service-without-milter", what: "submission has other milters", base: ordinary,
		master: []string{"-o smtpd_sasl_auth_enable=yes", "-o smtpd_sasl_auth_enable=yes -o { smtpd_milters = { inet:127.0.0.1:7357, default_action=accept }, inet:127.0.0.1:11332 }"},
		remedy: "smtpd_milters=inet:127.0.0.1:8891,{inet:127.0.0.1:7357,default_action=accept},inet:127.0.0.1:11332"},
	{id: "postfix.local-mail-unsigned", what: "no non_smtpd_milters", base: ordinary, main: []string{"non_smtpd_milters = $smtpd_milters", ""}, remedy: "-e 'non_smtpd_milters = inet:127.0.0.1:8891'"},
	{id: "postfix.local-mail-unsigned", what: "pickup has no_milters", base: ordinary, master: []string{"1 pickup", "1 pickup -o receive_override_options=no_milters"}, remedy: "-P pickup/unix/receive_override_options="},
	{id: "postfix.local-mail-unsigned", what: "127.0.0.1 is not ours", base: ordinary, yaml: []string{"signer:", "signer:\n  ours: {networks: [10.0.0.0/8]}"}, remedy: "networks: [10.0.0.0/8, 127.0.0.0/8"},
	{id: "postfix.bounces-unsigned", what: "no class", base: ordinary, main: []string{"internal_mail_filter_classes = bounce", ""}, remedy: "-e 'internal_mail_filter_classes = bounce'"},
	{id: "postfix.bounces-unsigned", what: "another class", base: ordinary, main: []string{"internal_mail_filter_classes = bounce", "internal_mail_filter_classes = notify"}, remedy: "= notify, bounce'"},
	{id: "postfix.service-without-milter", what: "submission has an empty list", base: ordinary, master: []string{"-o smtpd_sasl_auth_enable=yes", "-o smtpd_sasl_auth_enable=yes -o smtpd_milters="}, remedy: "-P submission/inet/smtpd_milters=inet:127.0.0.1:8891"},
	{id: "postfix.service-without-milter", what: "submission has no_milters", base: ordinary, master: []string{"-o smtpd_sasl_auth_enable=yes", "-o smtpd_sasl_auth_enable=yes -o receive_override_options=no_milters,no_address_mappings"}, remedy: "receive_override_options=no_address_mappings"},
	{id: "postfix.service-without-milter", what: "port 25 has an empty list", base: ordinary, master: []string{"smtp      inet  n - y - - smtpd", "smtp inet n - y - - smtpd -o smtpd_milters="}},
	{id: "postfix.wrong-role", what: "strangers at the listener that signs", base: twoListeners, main: []string{"smtpd_milters = inet:127.0.0.1:8892", "smtpd_milters = inet:127.0.0.1:8893"}, remedy: "inet:127.0.0.1:8892"},
	{id: "postfix.wrong-role", what: "local mail at the listener that judges", base: twoListeners, main: []string{"non_smtpd_milters = inet:127.0.0.1:8893", "non_smtpd_milters = inet:127.0.0.1:8892"}, remedy: "-e 'non_smtpd_milters = inet:127.0.0.1:8893'"},
	{id: "postfix.wrong-role", what: "users at the listener that judges", base: twoListeners, master: []string{"-o smtpd_milters=\n  -o receive_override_options=no_address_mappings", "-o smtpd_milters=inet:127.0.0.1:8892"}, remedy: "-P submission/inet/smtpd_milters=inet:127.0.0.1:8893"},
	{id: "postfix.wrong-address", what: "a wrong port", base: ordinary, main: []string{"inet:127.0.0.1:8891", "inet:127.0.0.1:1"}, remedy: "-e 'smtpd_milters = inet:127.0.0.1:8891'"},
	{id: "postfix.wrong-address", what: "a wrong port, behind a dead milter of others", base: ordinary, main: []string{"inet:127.0.0.1:8891", "inet:127.0.0.1:11332, inet:127.0.0.1:1"}, remedy: "-e 'smtpd_milters = inet:127.0.0.1:11332, inet:127.0.0.1:8891'"},
	{id: "postfix.wrong-address", what: "in a parameter of the administrator's own", base: ordinary, main: []string{"compatibility_level", "users_milters = inet:127.0.0.1:1\ncompatibility_level"},
		master: []string{"-o smtpd_sasl_auth_enable=yes", "-o smtpd_sasl_auth_enable=yes -o smtpd_milters=$users_milters"}, remedy: "-e 'users_milters = inet:127.0.0.1:8891'"},
	{id: "postfix.wrong-address", what: "libmilter's form", base: ordinary, main: []string{"inet:127.0.0.1:8891", "inet:8891@127.0.0.1"}, remedy: "-e 'smtpd_milters = inet:127.0.0.1:8891'"},
	{id: "postfix.wrong-address", what: "a wrong path, among others", base: inChroot, main: []string{"smtpd_milters = unix:signpost/m.sock", "smtpd_milters = unix:signpost/milter.sock, unix:other/m.sock"}, change: other, remedy: "'smtpd_milters = unix:signpost/m.sock, unix:other/m.sock'"},
	{id: "postfix.wrong-address", what: "of local mail alone", base: ordinary, main: []string{"non_smtpd_milters = $smtpd_milters", "non_smtpd_milters = { inet:127.0.0.1:1, default_action=tempfail }"}, remedy: "{ inet:127.0.0.1:8891, default_action=tempfail }"},
	{id: "postfix.wrong-address", what: "of one service", base: ordinary, master: []string{"-o smtpd_sasl_auth_enable=yes", "-o smtpd_sasl_auth_enable=yes -o smtpd_milters=inet:127.0.0.1:1"}, remedy: "-P submission/inet/smtpd_milters=inet:127.0.0.1:8891"},
	{id: "postfix.default-action", what: "accept", base: ordinary, main: []string{"= tempfail", "= accept"}, remedy: "-e 'milter_default_action = tempfail'"},
	{id: "postfix.default-action", what: "accept, in the lists of two services", base: ordinary,
		master: []string{"submission inet n - y - - smtpd", "submission inet n - y - - smtpd -o smtpd_milters={inet:127.0.0.1:8891,default_action=accept}",
			"pickup", "465 inet n - y - - smtpd -o smtpd_milters={inet:127.0.0.1:8891,default_action=accept}\npickup"}, remedy: "{inet:127.0.0.1:8891,default_action=tempfail}"},
	{id: "postfix.default-action", what: "reject, of our milter alone", base: ordinary, main: []string{"smtpd_milters = inet:127.0.0.1:8891", "smtpd_milters = { inet:127.0.0.1:8891, default_action=reject }, inet:127.0.0.1:11332"}, remedy: "{ inet:127.0.0.1:8891, default_action=tempfail }, inet:127.0.0.1:11332"},
	{id: "postfix.old-protocol", what: "2", base: ordinary, main: []string{"compatibility_level", "milter_protocol = 2\ncompatibility_level"}, remedy: "-e 'milter_protocol = 6'"},
	{id: "postfix.macros-overridden", what: "an old tutorial's", base: ordinary, main: []string{"compatibility_level", "milter_mail_macros = i {mail_addr} {client_addr}\ncompatibility_level"}, remedy: "-X milter_mail_macros"},
	{id: "postfix.daemon-name-mismatch", what: "a name that nobody states", base: ordinary, yaml: []string{"signer:", "signer:\n  ours: {daemon_names: [ORIGINATE]}"}, remedy: "submission/inet/milter_macro_daemon_name=ORIGINATE"},
	{id: "postfix.daemon-name-mismatch", what: "a service whose name does not count", base: ordinary, master: []string{"pickup ", "2525 inet n - y - - smtpd\n  -o milter_macro_daemon_name=RELAY\n  -o smtpd_client_restrictions=permit_mynetworks,reject\npickup "}, remedy: "daemon_names: [RELAY]"},
	{id: "postfix.daemon-name-mismatch", what: "the name of port 25", base: ordinary, yaml: []string{"signer:", "signer:\n  ours: {daemon_names: [mx.example.com]}"}, remedy: "smtp/inet/milter_macro_daemon_name=MX"},
	{id: "postfix.chroot-socket", what: "an absolute path, into the queue directory", base: inChroot, main: []string{"unix:signpost/m.sock", "unix:@/queue/signpost/m.sock"}, remedy: "-e 'smtpd_milters = unix:signpost/m.sock'"},
	{id: "postfix.chroot-socket", what: "the chroot's path, without a chroot", base: inChroot, main: []string{"unix:signpost/m.sock", "unix:/signpost/m.sock"}, master: []string{"smtp      inet  n - y", "smtp      inet  n - n", "submission inet n - y", "submission inet n - n", "cleanup   unix  n - y", "cleanup   unix  n - n"}},
	{id: "postfix.wrong-address", what: "a path from queue_directory to a socket outside", base: healthyNamed("without chroot, the socket outside"),
		main: []string{"unix:@/run/m.sock", "unix:run/m.sock"}, master: []string{"smtp      inet  n - n", "smtp      inet  n - y", "submission inet n - n", "submission inet n - y", "cleanup   unix  n - n", "cleanup   unix  n - y"},
		remedy: "-F submission/inet/chroot=n"},
	{id: "postfix.chroot-socket", what: "a socket outside", base: healthyNamed("without chroot, the socket outside"), master: []string{"smtp      inet  n - n", "smtp      inet  n - y"}, remedy: "-F smtp/inet/chroot=n"},
	{id: "postfix.socket-permission", what: "the socket", base: inChroot, change: func(t *testing.T, dir string) { must(t, os.Chmod(dir+"/queue/signpost/m.sock", 0o600)) }, remedy: "chmod g+w"},
	{id: "postfix.socket-permission", what: "the folder", base: inChroot, change: func(t *testing.T, dir string) {
		must(t, os.Chmod(dir+"/queue/signpost", 0o700))
		must(t, os.Chown(dir+"/queue/signpost", 0, 0))
	}, remedy: "chgrp postfix"},
	{id: "postfix.second-signer", what: "opendkim", base: ordinary, main: []string{"inet:127.0.0.1:8891", "inet:127.0.0.1:8891, unix:opendkim/opendkim.sock"}, remedy: "-e 'smtpd_milters = inet:127.0.0.1:8891'"},
	{id: "postfix.second-signer", what: "Signpost twice, by a list and its name", base: ordinary, main: []string{"= $smtpd_milters", "= inet:127.0.0.1:8891, $smtpd_milters"}, remedy: "-e 'non_smtpd_milters = $smtpd_milters'"},
	{id: "postfix.second-signer", what: "Signpost twice, by two spellings", base: ordinary, main: []string{"inet:127.0.0.1:8891", "inet:127.0.0.1:8891, inet:localhost:8891"}, remedy: "-e 'smtpd_milters = inet:127.0.0.1:8891'"},
	{id: "postfix.second-signer", what: "rspamd with keys", base: healthyNamed("rspamd without keys"), change: func(t *testing.T, dir string) {
		file(t, dir+"/system/var/lib/rspamd/dkim/example.com.dkim.key", "")
	}, remedy: "enabled = false;"},
	{id: "postfix.second-signer", what: "amavis with keys", base: healthyNamed("one listener, a content filter"), change: func(t *testing.T, dir string) {
		file(t, dir+"/system/etc/amavis/conf.d/50-user", "$enable_dkim_signing = 1;\ndkim_key('example.com', 's', '/var/k.pem');\n")
	}, remedy: "$enable_dkim_signing = 0;"},
	{id: "postfix.second-signer", what: "opendkim, enabled and not running", base: healthyNamed("opendkim, enabled, and asked by no MTA"),
		main: []string{"inet:127.0.0.1:8891", "inet:127.0.0.1:8891, unix:opendkim/opendkim.sock"}, remedy: "-e 'smtpd_milters = inet:127.0.0.1:8891'"},
	{id: "opendkim.still-there", what: "opendkim that verifies", base: ordinary, main: []string{"inet:127.0.0.1:8891", "inet:127.0.0.1:8891, unix:opendkim/opendkim.sock"}, change: func(t *testing.T, dir string) {
		file(t, dir+"/system/etc/opendkim.conf", "Mode v\nSocket local:/run/opendkim/opendkim.sock\n")
	}, remedy: "systemctl disable --now opendkim"},
	{id: "postfix.reinjection", what: "the way back asks us", base: healthyNamed("one listener, a content filter"), master: []string{"no_milters,no_header_body_checks", "no_header_body_checks"}, remedy: "-P 127.0.0.1:10025/inet/smtpd_milters="},
	{id: "postfix.reinjection", what: "the first of two ways back asks us", base: healthyNamed("one listener, a content filter"),
		master: []string{"no_milters,no_header_body_checks", "no_header_body_checks"},
		change: func(t *testing.T, dir string) {
			text, err := os.ReadFile(dir + "/etc/master.cf")
			must(t, err)
			file(t, dir+"/etc/master.cf", string(text)+"127.0.0.1:10027 inet n - y - - smtpd\n  -o content_filter=\n  -o smtpd_milters=\n")
		}, remedy: "-P 127.0.0.1:10025/inet/smtpd_milters="},
	{id: "postfix.reinjection", what: "strangers' way back signs", base: twoListeners, master: []string{"-o content_filter=\n  -o smtpd_milters=\n", "-o content_filter=\n  -o smtpd_milters=inet:127.0.0.1:8893\n"}},
	{id: "postfix.proxy-filter", what: "in front of port 25", base: ordinary, master: []string{"smtp      inet  n - y - - smtpd\n", "smtp inet n - y - - smtpd\n  -o smtpd_proxy_filter=127.0.0.1:10024\n127.0.0.1:10025 inet n - y - - smtpd\n  -o smtpd_proxy_filter=\n  -o smtpd_milters=\n"}},
	{id: "postfix.proxy-filter", what: "behind it, all mail is signed", base: ordinary, master: []string{"smtp      inet  n - y - - smtpd\n", "smtp inet n - y - - smtpd\n  -o smtpd_proxy_filter=127.0.0.1:10024\n127.0.0.1:10025 inet n - y - - smtpd\n  -o smtpd_proxy_filter=\n"}},
	{id: "postfix.proxy-filter", what: "for all services", base: ordinary, main: []string{"compatibility_level", "smtpd_proxy_filter = 127.0.0.1:10024\ncompatibility_level"}},
	{id: "postfix.timeouts", what: "content", base: ordinary, main: []string{"compatibility_level", "milter_content_timeout = 5s\ncompatibility_level"}, remedy: "-e 'milter_content_timeout = 300s'"},
	{id: "postfix.timeouts", what: "commands, of our milter", base: ordinary, main: []string{"smtpd_milters = inet:127.0.0.1:8891", "smtpd_milters = { inet:127.0.0.1:8891, command_timeout = 1s }"}, remedy: "{ inet:127.0.0.1:8891, command_timeout=30s }"},
	{id: "postfix.message-size", what: "larger than ours", base: ordinary, main: []string{"compatibility_level", "message_size_limit = 200000000\ncompatibility_level"}, remedy: "max_message_bytes: 200000000"},
	{id: "postfix.message-size", what: "no limit, refusals", base: ordinary, yaml: []string{"signer:", "verifier: {mode: enforce}\nsigner:"}, main: []string{"compatibility_level", "message_size_limit = 0\ncompatibility_level"}, remedy: "message_size_limit = 150000000"},
	{id: "postfix.mime-conversion", what: "8BITMIME is ignored", base: ordinary, main: []string{"compatibility_level", "smtp_discard_ehlo_keywords = silent-discard, 8BITMIME\ncompatibility_level"}, remedy: "disable_mime_output_conversion = yes"},
	{id: "postfix.process-limit", what: "more processes than connections", base: ordinary, main: []string{"compatibility_level", "default_process_limit = 3000\ncompatibility_level"}, remedy: "max_connections: 7500"},
	{id: "postfix.process-limit", what: "of one peer", base: ordinary, yaml: []string{"signer:", "milter: {max_connections_per_peer: 50}\nsigner:"}, remedy: "max_connections_per_peer: 250"},
}

// Where the relay host takes no 8-bit mail, Postfix encodes it anew.
func TestARelayHostWithout8BITMIME(t *testing.T) {
	for offers, want := range map[string]bool{"8BITMIME": false, "SIZE 1000": true, "STARTTLS": false} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				fmt.Fprint(c, "220 relay.example ESMTP\r\n250-relay.example\r\n250 "+offers+"\r\n221 bye\r\n")
				_, _ = io.Copy(io.Discard, c)
				c.Close()
			}
		}()
		s := ordinary
		s.main += "relayhost = [127.0.0.1]:" + strconv.Itoa(l.Addr().(*net.TCPAddr).Port) + "\n"
		r := s.look(t)
		if found := len(r.Findings) == 1 && r.Findings[0].ID == "postfix.mime-conversion"; found != want || len(r.Findings) > 1 {
			t.Errorf("%s: %+v", offers, r.Findings)
		}
	}
}

func healthyNamed(name string) setup {
	return healthy[slices.IndexFunc(healthy, func(s setup) bool { return s.name == name })]
}

// other is a milter of another program, which is alive.
func other(t *testing.T, dir string) {
	must(t, os.MkdirAll(dir+"/queue/other", 0o755))
	listenAt(t, "unix", dir+"/queue/other/m.sock")
}

func TestEachFaultOfPostfixIsNamed(t *testing.T) {
	for _, c := range faults {
		t.Run(c.id+": "+c.what, func(t *testing.T) {
			s := c.base
			s.yaml, s.main, s.master = replaced(s.yaml, c.yaml...), replaced(s.main, c.main...), replaced(s.master, c.master...)
			dir := s.make(t, c.change)
			r := lookAt(t, dir)
			found := false
			for _, f := range r.Findings {
				switch {
				case f.ID == c.id:
					found = true
					if !strings.Contains(strings.ReplaceAll(f.Remedy.String(), "'", ""), strings.ReplaceAll(c.remedy, "'", "")) {
						t.Errorf("want %q in the remedy:\n%s", c.remedy, f.Remedy)
					}
					if f.Finding == "" || f.Consequence == "" || f.Reference == "" || f.Remedy.String() == "" {
						t.Errorf("something is empty: %+v", f)
					}
				case f.Severity != Low:
					t.Errorf("%s (%s) %s: %s", f.ID, f.Severity, f.Subject, f.Finding)
				}
			}
			if !found {
				t.Errorf("not found; %d findings, not seen: %v", len(r.Findings), r.Unseen)
			}
			if !mend(t, dir, r) {
				return
			}
			for _, f := range lookAt(t, dir).Findings {
				t.Errorf("after the remedy: %s %s: %s", f.ID, f.Subject, f.Finding)
			}
		})
	}
}

// mend runs the commands of all remedies. It reports whether each remedy has commands, and these alone.
func mend(t *testing.T, dir string, r Report) bool {
	t.Helper()
	if os.Getuid() != 0 || mta.Program("postconf") == "" {
		return false
	}
	for _, f := range r.Findings {
		if len(f.Remedy.Commands) == 0 || len(f.Remedy.Lines) > 0 {
			return false
		}
		for _, words := range f.Remedy.Commands {
			if words[0] == "postfix" || words[0] == "systemctl" {
				continue // nothing runs here
			}
			if out, err := exec.Command(mta.Program(words[0]), words[1:]...).CombinedOutput(); err != nil {
				t.Fatalf("%q: %v %s", words, err, out)
			}
		}
	}
	for _, name := range []string{"etc/main.cf", "etc/master.cf"} {
		old := time.Now().Add(-time.Minute)
		must(t, os.Chtimes(filepath.Join(dir, name), old, old))
	}
	return true
}

// look writes the host's files and runs the checks of the MTA.
func (s setup) look(t *testing.T, changes ...func(*testing.T, string)) Report {
	t.Helper()
	return lookAt(t, s.make(t, changes...))
}

// make writes the host's files.
func (s setup) make(t *testing.T, changes ...func(*testing.T, string)) (dir string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "d")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	for _, sub := range []string{"etc", "queue", "queue/signpost", "run", "system"} {
		must(t, os.Mkdir(filepath.Join(dir, sub), 0o755))
	}
	for name, text := range map[string]string{"signpost.yaml": s.yaml, "etc/main.cf": s.main, "etc/master.cf": s.master} {
		file(t, filepath.Join(dir, name), strings.ReplaceAll(text, "@", dir))
	}
	for name, text := range s.files {
		file(t, filepath.Join(dir, "system", name), text)
	}
	for name, to := range s.links {
		must(t, os.Symlink(to, filepath.Join(dir, name)))
	}
	for _, path := range s.sockets {
		listenAt(t, "unix", filepath.Join(dir, path))
		groupOfPostfix(t, filepath.Join(dir, path))
	}
	for _, addr := range s.listen {
		listenAt(t, "tcp", addr)
	}
	for _, change := range changes {
		if change != nil {
			change(t, dir)
		}
	}
	return dir
}

// lookAt runs the checks of the MTA.
func lookAt(t *testing.T, dir string) Report {
	t.Helper()
	o := patient()
	o.Config, o.Postfix, o.root = filepath.Join(dir, "signpost.yaml"), filepath.Join(dir, "etc"), filepath.Join(dir, "system")
	return findingsOf(t, o, lookAtMTA)
}

// findingsOf returns what one group of checks finds, without the keys.
func findingsOf(t *testing.T, o Options, look func(context.Context, *Host)) Report {
	t.Helper()
	h, err := newHost(o)
	must(t, err)
	h.report = Report{}
	look(t.Context(), h)
	h.report.sort()
	return h.report
}

// groupOfPostfix makes a socket as deploy/tmpfiles.d does: of the group postfix, mode 0660.
func groupOfPostfix(t *testing.T, path string) {
	t.Helper()
	g, err := user.LookupGroup("postfix")
	if err != nil || os.Getuid() != 0 {
		t.Skip("needs root and the group postfix")
	}
	gid, err := strconv.Atoi(g.Gid)
	must(t, err)
	must(t, os.Chown(path, -1, gid))
	must(t, os.Chmod(path, 0o660))
}

func listenAt(t *testing.T, network, addr string) {
	t.Helper()
	l, err := net.Listen(network, addr)
	must(t, err)
	t.Cleanup(func() { l.Close() })
}

// file writes a file with an older time stamp: Postfix takes one of the last two seconds for unfinished.
func file(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(text), 0o644))
	old := time.Now().Add(-time.Minute)
	must(t, os.Chtimes(path, old, old))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Two instances: the null client for this host's programs, which relays to the one that signs.
func TestSeveralInstances(t *testing.T) {
	dir, err := os.MkdirTemp("", "d")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	file(t, dir+"/out/main.cf", ordinaryMain+"multi_instance_enable = yes\nmulti_instance_name = postfix-out\n")
	file(t, dir+"/out/master.cf", ordinaryMaster+"127.0.0.1:10026 inet n - y - - smtpd\n")
	file(t, dir+"/off/main.cf", "multi_instance_enable = no\n")
	file(t, dir+"/off/master.cf", ordinaryMaster)
	file(t, dir+"/signpost.yaml", signing)
	first := "compatibility_level = 3.6\nmyhostname = mx.example.com\nmaster_service_disable = inet\ninternal_mail_filter_classes = bounce\nmulti_instance_directories = " + dir + "/out " + dir + "/off\n"
	for _, c := range []struct{ name, main, id string }{
		{"the null client relays to the other", first + "relayhost = [127.0.0.1]:10026\n", ""},
		{"the null client delivers by itself", first, "postfix.local-mail-unsigned"},
		{"the null client relays to a program that is none of ours", first + "relayhost = [127.0.0.1]:2525\n", "postfix.local-mail-unsigned"},
	} {
		file(t, dir+"/null/main.cf", c.main)
		file(t, dir+"/null/master.cf", ordinaryMaster)
		o := patient()
		o.Config, o.Postfix, o.root = dir+"/signpost.yaml", dir+"/null", dir+"/system"
		if r := findingsOf(t, o, lookAtMTA); ids(r) != c.id || len(r.Findings) > 1 {
			t.Errorf("%s: want %q\n%+v", c.name, c.id, r.Findings)
		}
	}
}
