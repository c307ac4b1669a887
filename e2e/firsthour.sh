#!/usr/bin/env bash
# A newcomer's way in a Debian of its own, timed: `make firsthour`, as root on Debian (debootstrap, systemd-container).
# The package is installed, `signpost init --apply` is run with Debian's own Postfix and a toy DNS server, and its advice is
# followed until a message is signed. Then what an administrator tries next: the same again, as a user, Ctrl-C, the commands
# that ask the daemon, all of its files and sockets within the unit's sandbox, a unix socket in Postfix' chroot, opendkim
# beside it, no MTA. Nothing of this machine changes but bin/.
#
#   SUITE    the Debian release (bookworm)
#   PACKAGE  a package that is there, instead of a new one
#   KEEP     a folder for the logs of the container
set -euo pipefail
cd "$(dirname "$0")/.."
. e2e/debianroot.sh
needs systemd-nspawn systemd-container
unpack_release
package=${PACKAGE:-$(deploy/debian/build.sh | tail -n 1)}

mount_over "$base"
cp "$package" "$root/signpost_trial.deb"
CGO_ENABLED=0 ${GO:-go} build -o "$root/usr/local/bin/toydns" ./internal/dns/toydns
cat >"$root/zone" <<'Z'
example.com.        3600 IN TXT "v=spf1 a:mx.example.com -all"
_dmarc.example.com. 3600 IN TXT "v=DMARC1; p=none; rua=mailto:dmarc@example.com"
example.com.        3600 IN MX  10 mx.example.com.
mx.example.com.     3600 IN A   127.0.0.1
Z
rm -f "$root/etc/resolv.conf"
echo "nameserver 127.0.0.1" >"$root/etc/resolv.conf"

echo "== the first hour on Debian $suite"
status=0
boot 300 <<'S' || status=1
exits() { want=$1; shift; "$@" && got=0 || got=$?; [ "$got" = "$want" ] || { echo "exit $got, want $want"; return 1; }; }
narrow() { "$@" | awk 'length > 80 { print "wide: " $0; bad = 1 } END { exit bad }'; }
send() { printf 'From: Alice <alice@example.com>\nTo: alice@mx.example.com\nSubject: %s\n\nhello\n' "$1" | sendmail -i -f alice@example.com alice@mx.example.com; }
arrived() { grep -q "^Subject: $1\$" /var/mail/alice; }
# signed TEXT: the message with this subject has two signatures of example.com.
signed() { awk -v s="Subject: $1" '/^From / { n = 0 } /^DKIM-Signature:/ { n++ } $0 == s { exit n == 2 ? 0 : 1 } ' /var/mail/alice; }
says() { grep -qF -- "$1" /init.log || { cat /init.log; return 1; }; }
publish() { grep -A 8 '_domainkey.example.com\. 3600 IN TXT' /init.log | awk '/^[^ ]*_domainkey.* \(/ { open = 1 } /^[^ ]*_domainkey/ || open { print } /\)/ { open = 0 }' >>/zone; }
sums() { find /etc/signpost /etc/postfix /var/lib/signpost/keys -type f -exec sha256sum {} + | sort; }

useradd -m alice
systemd-run -q --unit toydns /usr/local/bin/toydns 127.0.0.1:53 /zone
postconf -e 'myhostname=mx.example.com' 'mydestination=mx.example.com' 'inet_interfaces=loopback-only' 'maillog_file=/var/log/mail.log' 'alias_maps='
systemctl restart postfix
step "Postfix' smtpd is chrooted, as Debian has it" sh -c 'postconf -F smtp/inet/chroot | grep -q "= y"'

began=$(date +%s%N)
step "apt install" env DEBIAN_FRONTEND=noninteractive apt-get install -y /signpost_trial.deb
step "a user is told to run it as root" sh -c '! runuser -u alice -- signpost init example.com >/user.log 2>&1; cat /user.log; grep -q "sudo signpost init example.com" /user.log && ! grep -q check-config /user.log'
sleep 60 | signpost init example.com >/init.log 2>&1 & init=$!
step "it asks before it makes anything" until_true says "Make what is new? [Y/n]"
init=$(pgrep -x signpost); kill -INT "$init"
step "Ctrl-C at the question ends it" until_true says "Nothing was made."
until_true fails pgrep -x signpost
signpost init --yes --apply example.com >/init.log 2>&1 & init=$!
step "it waits for DNS" until_true says "[ ] DNS has the records"
kill -INT $init; exits 1 wait $init
step "Ctrl-C says how to go on" says "To go on: signpost init --yes --apply example.com"
signpost init --yes --apply example.com >/init.log 2>&1 & init=$!
step "it names the command that starts the daemon" until_true says "systemctl enable --now signpost"
step "that works" systemctl enable --now signpost
publish
step "DNS has the records" until_true says "[x] DNS has the records"
step "the MTA is connected" until_true says "[x] the MTA is connected"
step "it waits for a message" until_true says "[ ] a message was signed"
until_true sh -c 'signpost keys list | grep -q s2'
send first
step "the message arrives" until_true arrived first
step "it is signed twice" signed first
step "init says so and ends" exits 0 timeout 30 tail --pid=$init -f /dev/null
step "with the last step ticked" says "[x] a message was signed"
echo "      from apt install to signed mail: $((($(date +%s%N) - began) / 1000000)) ms"
step "no line of init is too wide but records, commands and paths" sh -c "grep -v '_domainkey\|^	\"\|^  *Value\|^[-+ ]\|smtpd_milters\|The old file' /init.log | awk 'length > 80 { print; bad = 1 } END { exit bad }'"
before=$(sums)
step "init again finds all done" sh -c 'signpost init --apply --no-wait example.com >/again.log && ! grep -F "[ ]" /again.log'
step "and changes nothing" [ "$before" = "$(sums)" ]

step "status" exits 0 narrow signpost status
step "status --ready" exits 0 signpost status --ready
step "status --json" exits 0 signpost status --json
step "explain --last" exits 0 narrow signpost explain --last 1
id=$(sed -n 's/.*: \([0-9A-F]*\): from=<alice.*/\1/p' /var/log/mail.log | head -n 1)
step "explain --queue-id" sh -c "signpost explain --queue-id $id | grep -q 's2'"
step "explain of an unknown id" exits 1 signpost explain --queue-id NONE
step "doctor has nothing above low" exits 0 signpost doctor

mv /zone /zone.away
systemctl restart signpost
step "DNS down: the milter is ready" until_true signpost status --ready
step "and status needs a person" until_true exits 1 signpost status
send silent; step "mail arrives" until_true arrived silent
step "signed, for DNS was seen to have the record" signed silent
mv /zone.away /zone
step "DNS is back, and status is well" until_true exits 0 signpost status
echo >>/etc/signpost/signpost.yaml
step "a changed file: status says so" sh -c 'signpost status | grep -qi "reload"'
step "a reload" systemctl reload signpost
step "and all is well" until_true exits 0 signpost status
rm /run/signpost/control.sock
step "a socket removed: status exits 1 and says what to do" sh -c '! signpost status >/gone 2>&1 && grep -q signpost /gone'
systemctl restart signpost

# All that the daemon may be asked to do, within the unit's sandbox.
addgroup --quiet web 2>/dev/null || groupadd web
usermod -aG web signpost
cat >>/etc/signpost/signpost.yaml <<'C'
reports:
  out: { org_name: Example, from: reports@example.com }
  in: { addresses: [dmarc@example.com] }
  page: { listen: "unix:/run/signpost/page.sock", group: web, hosts: [reports.example.com] }
metrics: { listen: "127.0.0.1:9891" }
C
step "check-config" signpost check-config
step "a start with everything on" systemctl restart signpost
step "the database is in state/" until_true test -s /var/lib/signpost/state/reports.db
step "the page's socket is its group's" sh -c '[ "$(stat -c %U:%G:%a /run/signpost/page.sock)" = signpost:web:660 ]'
step "the control socket its own" sh -c '[ "$(stat -c %U:%G:%a /run/signpost/control.sock)" = signpost:signpost-admin:660 ]'
send everything; step "mail arrives" until_true arrived everything
step "signed" signed everything
step "no right is missing" sh -c 'journalctl --sync; ! journalctl --no-pager -u signpost | grep -i "denied\|not permitted\|read-only"'
step "report list" signpost report list
step "status is well" until_true exits 0 signpost status

# A unix socket that the chrooted smtpd reaches.
systemctl stop signpost
mv /etc/signpost/signpost.yaml /tcp.yaml
postconf -X smtpd_milters non_smtpd_milters
signpost init --yes --apply --no-wait --listen unix:/var/spool/postfix/signpost/milter.sock example.com >/init.log 2>&1
sed -n 's/^ *\(\(install\|systemd-tmpfiles\|cp\) .*\)/\1/p' /init.log >/folder.sh
step "a unix socket in the chroot: the commands for its folder" sh -ec '[ -s /folder.sh ]; sh -ex /folder.sh'
step "start" systemctl restart signpost
send chroot; step "mail arrives" until_true arrived chroot
step "signed" signed chroot
smtp() { exec 3<>/dev/tcp/127.0.0.1/25; for line in "HELO mx.example.com" "MAIL FROM:<alice@example.com>" "RCPT TO:<alice@mx.example.com>" DATA; do read -r <&3; printf '%s\r\n' "$line" >&3; done; read -r <&3; printf 'From: alice@example.com\r\nSubject: %s\r\n\r\nhello\r\n.\r\nQUIT\r\n' "$1" >&3; cat <&3; exec 3>&-; }
step "over SMTP" smtp chrootsmtp
step "arrives" until_true arrived chrootsmtp
step "signed" signed chrootsmtp

# opendkim is connected.
postconf -e 'smtpd_milters=inet:localhost:8899' 'non_smtpd_milters=inet:localhost:8899'
mkdir -p /etc/opendkim; echo 'Socket inet:8899@localhost' >/etc/opendkim.conf
signpost init --dry-run example.com >/init.log 2>&1
echo "== opendkim beside it"; cat /init.log
step "opendkim is said" says opendkim

# No MTA.
DEBIAN_FRONTEND=noninteractive dpkg -P postfix >/dev/null 2>&1; rm -rf /etc/postfix
rm /etc/signpost/signpost.yaml
step "without an MTA" exits 0 sh -c 'signpost init --yes --no-wait --apply example.com >/init.log 2>&1'
echo "== no MTA"; cat /init.log
step "it is said" says "MTA: none"
finish 'cat /user.log; journalctl --no-pager -u signpost | tail -n 60; tail -n 20 /var/log/mail.log'
S
[ -z "${KEEP:-}" ] || { mkdir -p "$KEEP"; cp "$root"/*.log "$KEEP/"; }
exit "$status"
