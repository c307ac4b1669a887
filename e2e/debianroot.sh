# Sourced by package.sh, firsthour.sh and systemd.sh: a Debian of its own in a container. What the container writes goes
# to memory, and its network is loopback alone. All of it is undone when the script ends.
#
#   SUITE              the Debian release (bookworm)
#   SIGNPOST_E2E_CACHE where unpacked releases are kept (/var/cache/signpost-e2e)
suite=${SUITE:-bookworm} cache=${SIGNPOST_E2E_CACHE:-/var/cache/signpost-e2e}

die() { echo "${0##*/}: $*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || die "mounting needs root"

needs() { # needs PROGRAM PACKAGE
	command -v "$1" >/dev/null || die "$1 is missing: apt-get install $2"
}

# base is the folder of the unpacked release, which has systemd and Postfix. It is made once.
unpack_release() {
	base=$cache/debian-$suite
	[ ! -e "$base/.whole" ] || return 0
	needs debootstrap debootstrap
	echo "== Debian $suite, once"
	rm -rf "$base"
	mkdir -p "$cache"
	local libssl=libssl3t64 mirror
	[ "$suite" != bookworm ] || libssl=libssl3
	mirror=$(cat /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null | sed -n 's/^URIs: *//p; s/^deb \(\[.*\] \)\?\(http[^ ]*\).*/\2/p' | head -n 1 || true)
	debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,init-system-helpers,postfix,$libssl,procps,iproute2,man-db \
		"$suite" "$base" ${mirror:+"$mirror"} >"$cache/debootstrap.log" 2>&1 || { tail -n 5 "$cache/debootstrap.log" >&2; exit 1; }
	rm -f "$base"/var/cache/apt/archives/*.deb
	: >"$base/.whole"
}

unmount() {
	umount -q "$root" || true
	umount -q "$memory" || true
	rmdir "$memory"
}

# mount_over FOLDER shows it at $root, and keeps what is written there in memory, below $memory.
mount_over() {
	memory=$(mktemp -d)
	root=$memory/root
	trap unmount EXIT
	mount -t tmpfs -o size=1g signpost "$memory"
	mkdir "$memory/up" "$memory/work" "$root"
	mount -t overlay -o "lowerdir=$1,upperdir=$memory/up,workdir=$memory/work" overlay "$root"
}

# boot SECONDS boots $root, runs the bash script on standard input in it, and shows what it printed. The script calls step
# for each step, and finish at its end, with commands that show more where a step has failed.
boot() {
	{ cat <<'S'; cat; } >"$root/trial.sh"
exec >/trial.log 2>&1
failed=0
step() { # step NAME COMMAND...: the command has to succeed
	name=$1; shift
	if output=$("$@" 2>&1); then echo "ok    $name"; else echo "FAIL  $name: $output"; failed=1; fi
}
fails() { ! "$@"; }
until_true() { for _ in $(seq 300); do "$@" >/dev/null 2>&1 && return; sleep 0.1; done; "$@"; }
finish() { if [ "$failed" = 0 ]; then echo PASSED; else eval "$1"; fi; }
S
	cat >"$root/etc/systemd/system/trial.service" <<'U'
[Unit]
After=basic.target
[Service]
Type=oneshot
ExecStart=/bin/bash /trial.sh
ExecStopPost=/bin/systemctl --no-block poweroff
U
	mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
	ln -sf /dev/null "$root/etc/systemd/system/systemd-resolved.service"
	ln -sf /etc/systemd/system/trial.service "$root/etc/systemd/system/multi-user.target.wants/trial.service"
	timeout "$1" systemd-nspawn -q -b -D "$root" --private-network --resolv-conf=off --register=no --keep-unit --machine="signpost-$(basename "$0" .sh)" \
		</dev/null >"$memory/console.log" 2>&1 || true
	[ -e "$root/trial.log" ] || { cat "$memory/console.log" >&2; die "the container did not come so far as to run anything"; }
	cat "$root/trial.log"
	grep -qx PASSED "$root/trial.log"
}
