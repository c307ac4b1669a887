#!/usr/bin/env bash
# What very many domains with shared keys cost, and what a reload and a quiet daemon cost: `make bench-tables`; as
# root, on a quiet machine.
#
#   ENTRIES         lines of the table, all with keys_of (100000)
#   RATE            messages per second while the p99 is measured (200)
#   TIME            seconds of each measurement (15)
#   RELOADS         of the whole table, one each 2.5 seconds (TIME / 2.5)
#   SIGNPOST_BENCH BENCH_WORK BACKEND  as in peers.sh
#
# Printed: start to first signature, memory, p99 without, with and again without reloads, their ratio, the processor
# time of a reload, and that of 64 idle connections in 30 seconds.
set -euo pipefail
cd "$(dirname "$0")/../.."
. e2e/bench/rig.sh

entries=${ENTRIES:-100000} rate=${RATE:-200} time=${TIME:-15}
reloads=${RELOADS:-$((time * 2 / 5))}
work=$(mktemp -d "$BENCH_WORK/tables.XXXX")
pid= holder=
trap '[ -z "$holder" ] || kill "$holder"; [ -z "$pid" ] || { kill "$pid"; wait "$pid" || true; }; rm -rf "$work"' EXIT
socket=$work/signpost.sock

for i in 1 2 3 4 5 6 7 8 9 10; do
	key=$(printf '%s\n' "$BENCH_DATA"/keys/*.rsa.pem | sed -n "${i}p")
	mkdir -p "$work/keys/owner$i.ex"
	install -m 600 "$key" "$work/keys/owner$i.ex/s1.pem"
	echo "    - { domain: owner$i.ex, selectors: [s1] }" >>"$work/owners"
done
# Two tables of which every line differs are made beforehand: making one takes processor time too.
for suffix in "" " subdomains"; do
	awk -v n="$entries" -v s="$suffix" 'BEGIN { for (i = 1; i <= n; i++) printf "d%d.ex s1 keys_of=owner%d.ex%s\n", i, 1 + i % 10, s }' >"$work/table${suffix# }"
	chmod 640 "$work/table${suffix# }"
done
# table SUFFIX puts the one with this suffix in place.
table() {
	cp -p "$work/table$1" "$work/new"
	mv "$work/new" "$work/current"
}
table ""
cat >"$work/signpost.yaml" <<C
milter: { listen: [{ address: "unix:$socket", role: sign }] }
dns: { servers: ["127.0.0.1:9"] }
keys: { dir: "$work/keys", backend: ${BACKEND:-auto}, insecure_mode: warn, state: "$work/keys.json" }
log: { level: error }
signer:
  require_published: false
  tables: [ "$work/current" ]
  domains:
$(cat "$work/owners")
C

before=$(date +%s%N)
"$BINARY" serve --config "$work/signpost.yaml" >"$work/log" 2>&1 &
pid=$!
until [ -S "$socket" ]; do
	kill -0 "$pid" 2>/dev/null || { cat "$work/log" >&2; pid=; exit 1; }
	sleep 0.001
done
send() { "$RIG/bin/milterload" -addr "unix:$socket" -data "$BENCH_DATA" -size 2k -warmup 0 -pid "$pid" -from "$(seq -f 'd%.0f.ex' -s, 100 1000)" "$@" >"$work/out" || { cat "$work/out" "$work/log" >&2; exit 1; }; }
send -n 1 -c 1
first=$(date +%s%N)
send -n 1 -c 1
echo "$entries entries: start to first signature $(((2 * first - before - $(date +%s%N)) / 1000000)) ms"
awk '/^Vm(HWM|RSS)/ { a[$1] = $2 / 1024 } END { printf "memory %.0f MB, peak %.0f MB\n", a["VmRSS:"], a["VmHWM:"] }' "/proc/$pid/status"

ticks() { awk '{ print $14 + $15 }' "/proc/$pid/stat"; }
# quiet waits until the daemon has used no processor time for 1.5 seconds: a start and a reload end with work in the
# background, such as writing the state of the keys.
quiet() {
	local still=0 was now
	was=$(ticks)
	until [ "$still" = 3 ]; do
		sleep 0.5
		now=$(ticks)
		if [ "$now" = "$was" ]; then still=$((still + 1)); else still=0; fi
		was=$now
	done
}
# p99 NAME [COMMAND]: measures, while the command runs. cpu is what the daemon used, in ticks of 10 ms.
p99() {
	quiet
	cpu=$(ticks)
	if [ -n "${2:-}" ]; then "$2" & fi
	send -d "${time}s" -c 64 -rate "$rate"
	cpu=$(($(ticks) - cpu))
	echo "$1: $(grep -i p99 "$work/out")"
	latency=$(sed -n 's/.*latency.* p99 \([0-9.]*\) .*/\1/p' "$work/out" | head -1)
}
reload() {
	local i
	for ((i = 1; i <= reloads; i++)); do
		sleep 1.2
		table "$( [ $((i % 2)) = 1 ] && echo subdomains)"
		kill -HUP "$pid"
		sleep 1.3
	done
}
p99 "undisturbed"
before=$latency base=$cpu
p99 "$reloads reloads" reload
during=$latency
awk -v c="$((cpu - base))" -v n="$reloads" 'BEGIN { printf "a reload: %.2f s of processor time\n", c / 100 / n }'
awk '/^Vm(HWM|RSS)/ { a[$1] = $2 / 1024 } END { printf "memory %.0f MB, peak %.0f MB\n", a["VmRSS:"], a["VmHWM:"] }' "/proc/$pid/status"
p99 "undisturbed again"
awk -v d="$during" -v b="$before" -v a="$latency" 'BEGIN { printf "p99 with reloads: %.1f times undisturbed\n", 2 * d / (a + b) }'

python3 - "$socket" <<'PY' &
import socket, sys, time
held = []
for _ in range(64):
    s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
    s.sendall(b"\0\0\0\x0dO\0\0\0\6\0\0\1\xff\0\x1f\xff\xff"); s.recv(4096); held.append(s)
time.sleep(600)
PY
holder=$!
quiet
switches() { cat /proc/"$pid"/task/*/status | awk '/ctxt_switches/ { s += $2 } END { print s }'; }
c=$(ticks) w=$(switches)
sleep 30
echo "64 idle connections: $(($(ticks) - c)) ticks of 10 ms and $(($(switches) - w)) thread switches in 30 s"
