#!/usr/bin/env bash
# Runs the unit under a real systemd, in a container over this machine's own files: `make systemd`, as
# root on Debian (apt-get install systemd-container). Nothing of this machine changes but bin/: what the
# container writes goes to memory, and it has a network of its own with loopback only.
#
# The container does what docs/by-hand.md says, and then: a message, a reload, a reload
# with a bad configuration, a kill, a key as a credential, a stop. Each step prints a line.
set -euo pipefail
cd "$(dirname "$0")/.."
. e2e/debianroot.sh
needs systemd-nspawn systemd-container
mount_over /

make install DESTDIR="$root" >"$memory/install.log" 2>&1 || { cat "$memory/install.log" >&2; exit 1; }
rm -f "$root"/etc/systemd/system/*.wants/*.service # nothing else is to start
rm -rf "$root/var/lib/signpost" "$root/etc/systemd/system/signpost.service.d"
cat >"$root/etc/signpost/signpost.yaml" <<'C'
milter: { listen: ["inet:127.0.0.1:8891"] }
dns: { zone_file: /etc/signpost/dns.zone }
verifier: { authserv_id: mx.test.example }
signer:
  domains:
    - { domain: example.com, selectors: [s1] }
C
: >"$root/etc/signpost/dns.zone"
printf '%s\r\n' 'From: Alice <alice@example.com>' 'Date: Sat, 21 Nov 2026 10:00:00 +0000' '' 'hello' >"$root/trial.eml"

boot 120 <<'S'
signs() { signpost probe inet:127.0.0.1:8891 /trial.eml --login alice --from alice@example.com | grep -q "s=$1;"; }
of() { systemctl show signpost --value -p "$1"; }
logged() { journalctl --sync; journalctl --no-pager -u signpost | grep -q -e "$1"; }
restarted() { [ "$(of NRestarts)" -gt 0 ] && [ "$(of ActiveState)" = active ]; }

step "user and folders" sh -ec "systemd-sysusers; systemd-tmpfiles --create"
step "a key" signpost keys generate example.com s1
step "its file is nobody else's" sh -c '[ "$(stat -c %U:%G:%a /var/lib/signpost/keys/example.com/s1.pem)" = root:signpost:640 ]'
step "nor are its folders" sh -c '[ "$(stat -c %U:%G:%a /var/lib/signpost /var/lib/signpost/keys /var/lib/signpost/keys/example.com | sort -u)" = root:signpost:750 ]'
step "start: it is ready when systemctl returns" systemctl start signpost
step "only state/ is the daemon's" sh -c '[ "$(find /var/lib/signpost -user signpost -printf "%P " | tr " " "\n" | cut -d/ -f1 | sort -u | xargs)" = state ]'
step "it keeps its state there" test -s /var/lib/signpost/state/keys.json
step "it may not be dumped" sh -c '[ "$(stat -c %U /proc/$(systemctl show signpost --value -p MainPID)/mem)" = root ]'
step "it runs as its user" sh -c '[ "$(ps -o user= -p $(systemctl show signpost --value -p MainPID))" = signpost ]'
step "it signs" signs s1
step "the control socket is for its group" sh -c '[ "$(stat -c %U:%G:%a /run/signpost/control.sock)" = signpost:signpost-admin:660 ]'
step "a member of signpost-admin asks it" sh -ec 'useradd -M -G signpost-admin admin1; runuser -u admin1 -- signpost status --ready'
stranger() { useradd -M stranger1 && ! runuser -u stranger1 -- signpost status --ready >/stranger 2>&1 && grep -q "usermod -aG signpost-admin stranger1" /stranger; }
step "another user may not" stranger
step "a member may read no key" sh -c '! runuser -u admin1 -- cat /var/lib/signpost/keys/example.com/s1.pem'
usermod -aG signpost mail
step "a mail user in the group that reads keys is warned of" sh -c 'runuser -u signpost -- signpost check-config | grep -q "the user mail is in the group signpost"'
gpasswd -d mail signpost >/dev/null
runuser -u mail -- signpost check-config >/other 2>&1
step "another user is not told to change a folder" sh -c 'grep -q "run this as root, or as root: runuser -u signpost" /other && ! grep -q "chmod\|chgrp\|chown" /other'
step "all rules of the unit let it use libcrypto where there is one" sh -c '! ldconfig -p | grep -q libcrypto.so.3 || journalctl -u signpost | grep -q signing_backend=.openssl'
step "reload" systemctl reload signpost
step "the reload was one" logged msg=reloaded
sed -i 's/^signer:/singer:/' /etc/signpost/signpost.yaml
systemctl reload signpost
step "a bad configuration is refused" logged "reload refused.*singer"
step "and the old one stays in force" signs s1
sed -i 's/^singer:/signer:/' /etc/signpost/signpost.yaml
kill -9 "$(of MainPID)"
step "after a kill it comes again" until_true restarted
step "and signs" signs s1
step "stop" systemctl stop signpost
step "it said so" logged "msg=stopped"
mkdir -p /etc/systemd/system/signpost.service.d
printf '[Service]\nLoadCredential=c1._domainkey.example.com:/etc/signpost/c1.pem\n' >/etc/systemd/system/signpost.service.d/local.conf
mv /var/lib/signpost/keys/example.com/s1.pem /etc/signpost/c1.pem
chown root:root /etc/signpost/c1.pem; chmod 600 /etc/signpost/c1.pem
sed -i 's/selectors: \[s1\]/selectors: [c1]/' /etc/signpost/signpost.yaml
step "a key as a credential" sh -ec "systemctl daemon-reload; systemctl start signpost"
step "signs" signs c1
# The layout of an earlier version, in which all was the daemon's.
cp /etc/signpost/c1.pem /var/lib/signpost/keys/example.com/old.pem
chmod 600 /var/lib/signpost/keys/example.com/old.pem
chown -R signpost:signpost /var/lib/signpost
runuser -u signpost -- ln -s /etc/signpost/c1.pem /var/lib/signpost/keys/example.com/link.pem
step "a start with keys of the daemon's own" systemctl restart signpost
step "warns of them" logged "/var/lib/signpost belongs to the daemon's user signpost.*systemd-tmpfiles --create signpost.conf"
refuses() { ! signpost keys generate example.org s1 >/refused 2>&1 && grep -q "/var/lib/signpost belongs to the user signpost.*systemd-tmpfiles --create signpost.conf" /refused; }
step "and root makes no key there" refuses
step "systemd-tmpfiles gives them to root" sh -ec 'systemd-tmpfiles --create signpost.conf; [ "$(find /var/lib/signpost -not -path "*/state*" -printf "%u:%g " | tr " " "\n" | sort -u | xargs)" = root:signpost ]'
step "and lets the group read them" sh -c '[ "$(stat -c %a /var/lib/signpost/keys/example.com/old.pem)" = 640 ]'
step "and follows no link that the daemon's user made" sh -c '[ "$(stat -c %U:%G:%a /etc/signpost/c1.pem)" = root:root:600 ]'
step "and the state stays the daemon's" sh -c '[ "$(stat -c %U /var/lib/signpost/state /var/lib/signpost/state/keys.json | sort -u)" = signpost ]'
step "then a key is made" signpost keys generate example.org s1
sed -i 's/.*domain: example.com.*/&\n    - { domain: example.org, selectors: [s1] }/' /etc/signpost/signpost.yaml
systemctl reload signpost
step "and a reload reads it" until_true logged "msg=reloaded.*domains=2"
finish 'journalctl --no-pager -u signpost'
S
