#!/usr/bin/env bash
# Measures signpost beside OpenDKIM, OpenDMARC and rspamd with an independent load generator, and
# prints ratios: `make bench-peers`, as root on Debian with two processors or more.
#
#   SIGNPOST_BENCH  the generator's folder (../shared/bench); it is copied and built elsewhere
#   BENCH_WORK      where to (a folder below TMPDIR)
#   BENCH_ROUNDS SECS  how often, how many seconds for each cell (3, 2.5)
#   SIZES CONC      sizes of messages and sessions at once ("2k 200k", "64")
#   TARGETS         what to run; all by default, without those whose program is not installed
#   MILTER_CPU RIG_CPU  the processors of the milters and of the rig (0, 1; empty: any)
#   BENCH_DATA BENCH_DNS  the corpus's folder, and the address of the rig's DNS server
#   BACKEND LOG_LEVEL  signpost's keys.backend and log.level (auto, warn)
#
# The targets of one task run one after the other in each round, so that what else the machine does
# falls on all of them. Everything stays on loopback and unix sockets.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."

. e2e/bench/rig.sh
export ROUNDS=1 SECS=${SECS:-2.5} SIZES=${SIZES:-2k 200k} CONC=${CONC:-64}
export OUT=$BENCH_WORK/results-$(date +%H%M%S).jsonl
rounds=${BENCH_ROUNDS:-3}
go build -o "$BENCH_WORK/ratios" ./e2e/bench/ratios

# ours TARGET: the cells of signpost-sign-rsa and its like.
ours() {
	local kind=${1#signpost-} flags=() out
	case $kind in
	*-1cpu) kind=${kind%-1cpu}; local -x MILTER_CPU=${MILTER_CPU:-0} RIG_CPU=${MILTER_CPU:-0} SIZES=2k ;; # one, with the rig
	*-2cpu) kind=${kind%-2cpu}; local -x MILTER_CPU= RIG_CPU= SIZES=2k ;; # all, with the rig
	*-go) kind=${kind%-go}; local -x BACKEND=go ;;
	esac
	[ "$kind" = verify-ed ] && flags=(-corpus ed25519)
	(cd "$RIG" && ./run.sh dns start >/dev/null)
	out=$("$here/signpost.sh" start "$kind")
	(cd "$RIG" && LABEL=$1 ./run.sh load "$(sed -n 's/^ADDR=//p' <<<"$out")" "${kind%-*}" \
		"$(sed -n 's/^PID=//p' <<<"$out")" "${flags[@]}") || echo "bench-peers: $1: wrong answers, see above" >&2
	"$here/signpost.sh" stop
	(cd "$RIG" && ./run.sh dns stop >/dev/null)
}

# crypto: what libcrypto's RSA-2048 costs, as CPU time, for the floor.
crypto() {
	taskset -c "${MILTER_CPU-0}" openssl speed -seconds 2 -mr rsa2048 2>/dev/null | awk -F: '/^\+F2/ {
		printf "{\"label\":\"libcrypto-sign\",\"size\":\"2k\",\"c\":0,\"cpu_ms_per_msg\":%.4f}\n", 1000 / $4
		printf "{\"label\":\"libcrypto-verify\",\"size\":\"2k\",\"c\":0,\"cpu_ms_per_msg\":%.4f}\n", 1000 / $5 }' >>"$OUT"
}

all="noop-goraw crypto
	signpost-sign-rsa opendkim-sign-rsa rspamd-sign-rsa
	signpost-sign-ed opendkim-sign-ed rspamd-sign-ed
	signpost-verify-rsa opendkim+opendmarc-rsa rspamd-verify-rsa
	signpost-sign-rsa-1cpu signpost-sign-rsa-2cpu signpost-verify-rsa-1cpu signpost-verify-rsa-2cpu"
errors=$BENCH_WORK/errors
say() { echo "bench-peers: $*" >&3; }
# tidy stops whatever is left over when the script ends early.
tidy() {
	local rc=$? name
	trap - EXIT INT TERM
	(cd "$RIG" && . peers/lib.sh && for name in "$RUN"/*.pid; do
		[ -e "$name" ] && stop "$(basename "$name" .pid)"
	done) || true
	[ $rc = 0 ] || { tail -n 20 "$errors"; say "ended early ($rc); the last lines of $errors are above"; } >&3
	exit $rc
}
exec 3>&2
trap tidy EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# there PROGRAM...: whether all of them are installed.
there() {
	local program
	for program; do
		PATH=$PATH:/usr/sbin command -v "$program" >/dev/null || { [ "$round" -gt 1 ] || say "$target left out: $program is not installed"; return 1; }
	done
}

for round in $(seq "$rounds"); do
	for target in ${TARGETS:-$all}; do
		say "round $round of $rounds: $target, load $(cut -d' ' -f1-3 /proc/loadavg)"
		case $target in
		crypto) there openssl && crypto; continue ;;
		signpost-*) ours "$target"; continue ;;
		opendkim+opendmarc*) there opendkim opendmarc || continue ;;
		opendkim*) there opendkim || continue ;;
		rspamd*) there rspamd || continue ;;
		esac
		(cd "$RIG" && ./run.sh matrix "$target") || true
	done
done >"$BENCH_WORK/log" 2>"$errors"
# A peer that did not start, or answered wrongly, must not go missing in silence.
grep -E '^bench-peers|did not start|unknown target' "$errors" | sort | uniq -c >&3 || true
[ -s "$OUT" ] || { say "nothing was measured"; exit 1; }
"$BENCH_WORK/ratios" "$OUT"
say "the single results are in $OUT"
