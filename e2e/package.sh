#!/usr/bin/env bash
# Installs, upgrades, removes and purges the Debian package in a Debian of its own, under a real systemd with a real
# Postfix: `make test-deb`, as root on Debian (debootstrap, systemd-container, lintian). Nothing of this machine changes
# but bin/: the container lives in memory, and has a network of its own with loopback only.
#
# With the argument quick it is installed and purged there once, without systemd and Postfix.
# SUITE is the Debian release (bookworm).
set -euo pipefail
cd "$(dirname "$0")/.."
. e2e/debianroot.sh
mode=${1:-whole}
needs lintian lintian
[ "$mode" = quick ] || needs systemd-nspawn systemd-container

echo "== the package, twice"
package=$(deploy/debian/build.sh | tail -n 1)
first=$(sha256sum <"$package")
[ "$(sha256sum <"$(deploy/debian/build.sh | tail -n 1)")" = "$first" ] || die "two builds differ"
lintian --fail-on error,warning "$package"
echo "ok    reproducible, and lintian is content"

unpack_release
mount_over "$base"
cp "$package" "$root/signpost.deb"
if [ "$mode" = quick ]; then
	echo "== install and purge"
	chroot "$root" bash -euc '
		export DEBIAN_FRONTEND=noninteractive
		mount -t proc proc /proc
		trap "umount /proc" EXIT
		dpkg -i /signpost.deb | tail -n 1
		signpost version
		signpost keys generate example.com s1 >/dev/null
		[ "$(stat -c %U:%G:%a /var/lib/signpost/keys /var/lib/signpost/keys/example.com | uniq)" = root:signpost:750 ]
		man -w signpost signpost-keys-rotate signpost.yaml
		[ -s /usr/share/signpost/signpost.schema.json ] && bash -n /usr/share/bash-completion/completions/signpost
		dpkg -r signpost >/dev/null
		[ -s /var/lib/signpost/keys/example.com/s1.pem ]
		dpkg -P signpost 2>&1 | grep "private keys"
		[ -s /var/lib/signpost/keys/example.com/s1.pem ] && ! [ -e /usr/bin/signpost ]'
	echo PASSED
	exit
fi
# The same, one version later.
mkdir "$memory/next"
dpkg-deb -R "$package" "$memory/next"
sed -i 's/^Version: .*/&.next/' "$memory/next/DEBIAN/control"
dpkg-deb --root-owner-group -Zgzip --build "$memory/next" "$root/next.deb" >/dev/null
rm -rf "$memory/next"

echo "== install, upgrade, remove, purge"
boot 300 <<'S'
install() { DEBIAN_FRONTEND=noninteractive dpkg -i "$@"; }

useradd -m alice
step "install" install /signpost.deb
step "it says what comes next" sh -c 'dpkg -i /signpost.deb 2>&1 | grep -q "signpost init example.com"'
step "the unit is enabled" systemctl is-enabled signpost
step "and does not run without a configuration" fails systemctl is-active signpost
step "and says so when it is started" sh -c 'systemctl start signpost 2>&1 | grep -qi "assertion failed"'
step "nothing has failed" sh -c '[ -z "$(systemctl list-units --failed --plain --no-legend signpost.service)" ]'
step "user and folders" sh -c '[ "$(stat -c %U:%G:%a /var/lib/signpost/keys)" = root:signpost:750 ]'
step "man page" sh -c 'man -w signpost'
step "version" sh -c 'signpost version | grep -q "$(dpkg-query -Wf "\${Version}" signpost) .*backend: openssl"'

signpost keys generate example.com s1 >/dev/null
cat >/etc/signpost/signpost.yaml <<C
milter: { listen: ["inet:127.0.0.1:8891"] }
signer:
  ours: { networks: [127.0.0.0/8] }
  require_published: false
  domains:
    - { domain: example.com, selectors: [s1] }
C
postconf -e 'myhostname=mx.test.example' 'mydestination=mx.test.example' 'inet_interfaces=loopback-only' 'maillog_file=/var/log/mail.log' \
	'alias_maps=' 'smtpd_milters=inet:127.0.0.1:8891' 'non_smtpd_milters=inet:127.0.0.1:8891' 'internal_mail_filter_classes=bounce' 'milter_default_action=tempfail'
step "start" systemctl start signpost
step "Postfix" systemctl restart postfix
send() { printf 'From: Alice <alice@example.com>\nTo: alice@mx.test.example\nSubject: %s\n\nhello\n' "$1" | sendmail -i -f alice@example.com alice@mx.test.example; }
count() { [ "$(grep -c '^Subject: trial' /var/mail/alice)" = "$1" ]; }
signed() { [ "$(grep -c '^DKIM-Signature: v=1; .*a=rsa-sha256' /var/mail/alice)" = "$1" ]; }
send trial1
step "the first message arrives" until_true count 1
step "signed" signed 1

# Mail goes on during the upgrade.
pid=$(systemctl show signpost --value -p MainPID)
(for i in $(seq 2 201); do send "trial$i"; done) & sender=$!
step "upgrade under load" install /next.deb
step "it was restarted" sh -c "[ \"\$(systemctl show signpost --value -p MainPID)\" != $pid ] && systemctl is-active signpost"
wait "$sender"
flushed() { postqueue -f; count 201; }
step "all 200 messages arrive" until_true flushed
step "and all are signed" signed 201
step "configuration and keys are as they were" sh -c 'grep -q "domain: example.com" /etc/signpost/signpost.yaml && [ -s /var/lib/signpost/keys/example.com/s1.pem ]'
echo 'singer: {}' >>/etc/signpost/signpost.yaml
pid=$(systemctl show signpost --value -p MainPID)
step "an upgrade that refuses the configuration says so" sh -c 'dpkg -i /signpost.deb 2>&1 | grep -q "refuses /etc/signpost/signpost.yaml"'
step "and leaves the running one alone" sh -c "[ \"\$(systemctl show signpost --value -p MainPID)\" = $pid ] && systemctl is-active signpost"
sed -i '/^singer/d' /etc/signpost/signpost.yaml

step "remove" dpkg -r signpost
step "it is stopped" fails systemctl is-active signpost
step "configuration and keys stay" sh -c '[ -e /etc/signpost/signpost.yaml ] && [ -s /var/lib/signpost/keys/example.com/s1.pem ]'
step "and are used again" sh -c 'dpkg -i /signpost.deb && systemctl is-active signpost && systemctl is-enabled signpost'
send trial202
step "it signs again" until_true count 202
step "it did" signed 202
step "purge says what stays" sh -c 'dpkg -P signpost 2>&1 | grep -q "rm -r /var/lib/signpost"'
step "the keys" test -s /var/lib/signpost/keys/example.com/s1.pem
step "not the configuration" fails test -e /etc/signpost
step "nor the unit" fails systemctl cat signpost
rm -rf /var/lib/signpost
step "install and purge without keys" sh -c 'dpkg -i /signpost.deb && dpkg -P signpost && ! [ -e /var/lib/signpost ]'
finish 'journalctl --no-pager -u signpost; tail -n 20 /var/log/mail.log'
S
