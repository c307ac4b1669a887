# Runs the commands of one document in a host of its own: host.sh DOCUMENT SCRIPT, in fresh namespaces. SCRIPT calls
# block WHERE FILE for each block of commands.
set -u
document=$1 script=$2
ip link set lo up 2>/dev/null || ifconfig lo up 2>/dev/null
mount --make-rprivate /
mount -t tmpfs scratch "$SCRATCH"
for dir in etc var root; do
	mkdir "$SCRATCH/$dir" "$SCRATCH/$dir.work"
	mount -t overlay -o "lowerdir=/$dir,upperdir=$SCRATCH/$dir,workdir=$SCRATCH/$dir.work" overlay "/$dir" || { echo "no overlay over /$dir"; exit 1; }
done
mount -t tmpfs run /run
rm -rf /etc/signpost /var/lib/signpost
mkdir -p /etc/signpost /var/lib/signpost /run/signpost "$SCRATCH/stubs" "$SCRATCH/work"
cd "$SCRATCH/work" || exit 1

# Commands of the host that has no systemd, no mail queue and no users of ours. Each does what can be done here.
stub() { printf '#!/bin/bash\n%s\n' "$2" >"$SCRATCH/stubs/$1" && chmod 755 "$SCRATCH/stubs/$1"; }
stub systemctl 'case "$*" in *reload\ signpost*) kill -HUP "$(cat /run/daemon)" ;; esac'
stub systemd-tmpfiles 'exit 0'
stub runuser 'shift 3; exec "$@"'
stub postfix '[ "$1" = reload ]'
stub usermod 'exit 0'
stub sendmail 'cat >/dev/null'
stub journalctl 'echo "msg=message queue=4dKx5T2Lz9z1X would=reject override gmail.com is in mode monitor"'
# What asks questions is told not to; what runs for ever ends after a while.
real=$(command -v signpost)
stub signpost "case \$1 in
init) exec $real \"\$@\" --yes --no-wait ;;
tail) timeout -s INT 2 $real \"\$@\"; exit 0 ;;
esac
exec $real \"\$@\""
export PATH=$SCRATCH/stubs:$PATH
mkdir -p /etc/postfix && : >>/etc/postfix/main.cf

cat >mail.eml <<M
From: Alice <alice@example.com>
To: bob@example.net
Subject: hello
Date: Mon, 30 Nov 2026 10:00:00 +0000
Message-ID: <1@example.com>

Hello.
M

cp mail.eml out.eml
cp mail.eml message.eml
mkdir -p ~/Maildir/.dmarc/new && cp mail.eml ~/Maildir/.dmarc/new/
{ echo "From alice@example.com Mon Nov 30 10:00:00 2026"; cat mail.eml; } >reports.mbox
: >'google.com!example.com!1793491200!1793577599.zip'

daemon() {
	[ -e /etc/signpost/signpost.yaml ] && ! [ -e /run/daemon ] || return
	"$real" serve >"$SCRATCH/log" 2>&1 &
	echo $! >/run/daemon
	# until it answers, or has ended
	until [ -S /run/signpost/control.sock ] || ! kill -0 $!; do read -rt 0.1 <> <(:); done
}

# A host that has run for a while, for all documents but those that begin with nothing.
case $document in
README.md | by-hand.md | migration.md) ;;
*)
	for selector in s2026a n2026a; do "$real" keys generate example.com $selector; done >/dev/null
	"$real" keys record --format zone example.com s2026a >/etc/signpost/zone
	cat >/etc/signpost/signpost.yaml <<-C
		dns: {zone_file: /etc/signpost/zone}
		signer: {require_published: true, domains: [{domain: example.com, selectors: [s2026a]}]}
		verifier: {authserv_id: mx.example.com}
	C
	daemon
	;;
esac
mkdir -p /etc/dkimkeys
openssl genrsa -out /etc/dkimkeys/old.private 2048 2>/dev/null && chmod 600 /etc/dkimkeys/old.private
printf 'Domain example.com\nSelector old\nKeyFile /etc/dkimkeys/old.private\nSocket inet:8891@localhost\nInternalHosts 127.0.0.1\n' >/etc/opendkim.conf

failed=0
# A command with findings ends with 1; so does one that asks DNS here, or for messages that have not passed.
findings='signpost (status|doctor|keys check|keys import --check|explain --(last|queue-id)|init|report)'
block() {
	timeout 120 bash -e "$2" >"$SCRATCH/out" 2>&1
	code=$?
	allowed=0
	grep -Eq "$findings" "$2" && allowed=1
	if [ $code -gt $allowed ]; then
		echo "$1: exit $code"
		cat "$2" "$SCRATCH/out"
		failed=1
	fi
	daemon
}
. "$script"
[ $failed = 0 ] || { cat "$SCRATCH/log" 2>/dev/null; exit 1; }
