#!/usr/bin/env bash
# What takes too long for each change: `make nightly`, as root on Debian. Each step's output goes to a file of its own
# below bin/nightly; the end says which failed.
#
#   CHAOS LEAKS FUZZ_SECONDS FUZZ_TOTAL  as in the Makefile (5000, 100000, 60, 3600)
set -uo pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || { echo "nightly.sh: the end-to-end tests need root" >&2; exit 1; }
apt-get -o DPkg::Lock::Timeout=180 install -y -q --no-install-recommends debootstrap lintian systemd-container chromium >/dev/null
out=bin/nightly
rm -rf "$out"
mkdir -p "$out"
failed=()
step() { # step NAME COMMAND...
	local name=$1 began=$SECONDS
	shift
	printf '%-22s ' "$name"
	if "$@" >"$out/$name.log" 2>&1 </dev/null; then
		echo "ok, $((SECONDS - began)) s"
	else
		echo "FAILED, $((SECONDS - began)) s: $out/$name.log"
		failed+=("$name")
	fi
}
step deb-bookworm env SUITE=bookworm bash e2e/package.sh
step deb-trixie env SUITE=trixie bash e2e/package.sh
step firsthour-bookworm env SUITE=bookworm bash e2e/firsthour.sh
step firsthour-trixie env SUITE=trixie bash e2e/firsthour.sh
step deb-arm64 make deb ARCH=arm64
step deb-static make deb KIND=static
step release make release
step systemd make systemd
step chaos make chaos CHAOS="${CHAOS:-5000}"
step leaks make leaks LEAKS="${LEAKS:-100000}"
step page env SIGNPOST_E2E=require go test -count=1 -run ThePageOfTheReports ./e2e
step why make why
step fuzz make fuzz FUZZ_SECONDS="${FUZZ_SECONDS:-60}" FUZZ_TOTAL="${FUZZ_TOTAL:-3600}"
if [ "${#failed[@]}" -gt 0 ]; then
	echo "failed: ${failed[*]}"
	exit 1
fi
echo "all passed"
