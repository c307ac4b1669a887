#!/usr/bin/env bash
# What many domains cost a signpost of our own: from its start to the first signature, and its memory
# once every domain has signed. `make bench-domains`; as root, since the generator is shared with
# peers.sh.
#
#   DOMAINS         how many, in turn ("1000 10000")
#   BENCH_ROUNDS    how often it is started for the first signature (5)
#   SIGNPOST_BENCH BENCH_WORK BACKEND  as in peers.sh
#
# The keys are copies of a hundred; for a signpost, each is one of its own. require_published is off.
set -euo pipefail
cd "$(dirname "$0")/../.."
. e2e/bench/rig.sh

work=$(mktemp -d "$BENCH_WORK/domains.XXXX")
pid=
trap '[ -z "$pid" ] || { kill "$pid"; wait "$pid" || true; }; rm -rf "$work"' EXIT
socket=$work/signpost.sock

# configure N
configure() {
	local originals=("$BENCH_DATA"/keys/*.rsa.pem) i
	for i in $(seq "$1"); do
		mkdir -p "$work/keys/d$i.ex"
		[ -e "$work/keys/d$i.ex/s1.pem" ] || install -m 600 "${originals[i % ${#originals[@]}]}" "$work/keys/d$i.ex/s1.pem"
	done
	cat >"$work/signpost.yaml" <<C
milter: { listen: [{ address: "unix:$socket", role: sign }] }
dns: { servers: ["127.0.0.1:9"] }
keys: { dir: "$work/keys", backend: ${BACKEND:-auto}, insecure_mode: warn, state: "$work/keys.json" }
log: { level: error }
signer:
  require_published: false
  domains:
C
	seq -f '    - { domain: d%.0f.ex, selectors: [s1] }' "$1" >>"$work/signpost.yaml"
}

# start, and wait for the socket
start() {
	rm -f "$socket" "$work/keys.json"
	"$BINARY" serve --config "$work/signpost.yaml" >"$work/log" 2>&1 &
	pid=$!
	until [ -S "$socket" ]; do
		kill -0 "$pid" 2>/dev/null || { cat "$work/log" >&2; pid=; exit 1; }
		sleep 0.001
	done
}

stop() {
	kill "$pid"
	wait "$pid" || true
	pid=
}

# send MESSAGES DOMAINS SESSIONS
send() {
	"$RIG/bin/milterload" -addr "unix:$socket" -data "$BENCH_DATA" -size 2k -c "$3" -n "$1" -warmup 0 -pid "$pid" \
		-from "$(seq -f 'd%.0f.ex' -s, "$2")" >"$work/out" || { cat "$work/out" >&2; exit 1; }
	grep -q ' 0 errors' "$work/out" || { cat "$work/out" >&2; exit 1; }
}

memory() { awk '/^Vm(HWM|RSS)/ { a[$1] = $2 / 1024 } END { printf "%.0f MB, peak %.0f", a["VmRSS:"], a["VmHWM:"] }' "/proc/$pid/status"; }

for domains in ${DOMAINS:-1000 10000}; do
	configure "$domains"
	all=()
	for _ in $(seq "${BENCH_ROUNDS:-5}"); do
		before=$(date +%s%N)
		start
		send 1 "$domains" 1
		first=$(date +%s%N)
		send 1 "$domains" 1
		# less what the generator takes by itself, which the second message shows
		all+=($(((2 * first - before - $(date +%s%N)) / 1000000)))
		stop
	done
	echo "$domains domains: start to first signature ${all[*]} ms"
	start
	send 1 "$domains" 1
	echo "$domains domains: memory after the start $(memory)"
	send $((2 * domains)) "$domains" 64
	echo "$domains domains: memory after two messages of each $(memory);$(sed -n 's/^ *milter *\([0-9.]* CPU ms.msg\).*/ \1/p' "$work/out")"
	stop
done
