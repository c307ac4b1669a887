#!/usr/bin/env bash
# What very many domains with shared keys cost, and what a reload and a quiet daemon cost: `make bench-tables`; as
# root, on a quiet machine.
#
#   ENTRIES         lines of the table, all with keys_of (100000)
#   RATE            messages per second while the p99 is measured (200)
#   SIGNPOST_BENCH BENCH_WORK BACKEND  as in peers.sh
#
# Printed: start to first signature, memory, p99 without and with reloads of the whole table, and the processor time
# of 64 idle connections in 30 seconds.
set -euo pipefail
cd "$(dirname "$0")/../.."
. e2e/bench/rig.sh

entries=${ENTRIES:-100000} rate=${RATE:-200}
work=$(mktemp -d "$BENCH_WORK/tables.XXXX")
pid= holder=
trap '[ -z "$holder" ] || kill "$holder"; [ -z "$pid" ] || kill "$pid"; rm -rf "$work"' EXIT
socket=$work/signpost.sock

for i in 1 2 3 4 5 6 7 8 9 10; do
	key=$(printf '%s\n' "$BENCH_DATA"/keys/*.rsa.pem | sed -n "${i}p")
	mkdir -p "$work/keys/owner$i.ex"
	install -m 600 "$key" "$work/keys/owner$i.ex/s1.pem"
	echo "    - { domain: owner$i.ex, selectors: [s1] }" >>"$work/owners"
done
# table SUFFIX: another one makes every line of the table another one.
table() {
	awk -v n="$entries" -v s="$1" 'BEGIN { for (i = 1; i <= n; i++) printf "d%d.ex s1 keys_of=owner%d.ex%s\n", i, 1 + i % 10, s }' >"$work/table.new"
	chmod 640 "$work/table.new"
	mv "$work/table.new" "$work/table"
}
table ""
cat >"$work/signpost.yaml" <<C
milter: { listen: [{ address: "unix:$socket", role: sign }] }
dns: { servers: ["127.0.0.1:9"] }
keys: { dir: "$work/keys", backend: ${BACKEND:-auto}, insecure_mode: warn, state: "$work/keys.json" }
log: { level: error }
signer:
  require_published: false
  tables: [ "$work/table" ]
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

send -d 10s -c 64 -rate "$rate"
echo "undisturbed: $(grep -i p99 "$work/out")"
(for i in 1 2 3 4; do sleep 2; table "$( [ $((i % 2)) = 1 ] && echo ' subdomains')" ; kill -HUP "$pid"; done) &
send -d 10s -c 64 -rate "$rate"
echo "four reloads: $(grep -i p99 "$work/out")"
wait %2 2>/dev/null || true
awk '/^Vm(HWM|RSS)/ { a[$1] = $2 / 1024 } END { printf "memory %.0f MB, peak %.0f MB\n", a["VmRSS:"], a["VmHWM:"] }' "/proc/$pid/status"

python3 - "$socket" <<'PY' &
import socket, sys, time
held = []
for _ in range(64):
    s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
    s.sendall(b"\0\0\0\x0dO\0\0\0\6\0\0\1\xff\0\x1f\xff\xff"); s.recv(4096); held.append(s)
time.sleep(600)
PY
holder=$!
sleep 20 # the state of the keys is written once more after a reload
ticks() { awk '{ print $14 + $15 }' "/proc/$pid/stat"; }
switches() { cat /proc/"$pid"/task/*/status | awk '/ctxt_switches/ { s += $2 } END { print s }'; }
c=$(ticks) w=$(switches)
sleep 30
echo "64 idle connections: $(($(ticks) - c)) ticks of 10 ms and $(($(switches) - w)) thread switches in 30 s"
