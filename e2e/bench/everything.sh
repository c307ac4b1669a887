#!/usr/bin/env bash
# A signpost with everything switched on: postfix.sh of the rig starts it in the place of the program,
# `everything.sh serve --config FILE`. To the file are added a control socket, metrics and a trusted sealer of
# ARC; the counters of the reports are on by default. SIGNPOST is the program. With EVERYTHING=tail there is a
# reader of `signpost tail`, too.
set -euo pipefail
[ "$1 $2" = "serve --config" ] || { echo "usage: everything.sh serve --config FILE" >&2; exit 2; }
folder=$(dirname "$3")
config=$folder/everything.yaml socket=$folder/control.sock
grep -q '^verifier: {' "$3" || { echo "everything.sh: $3 has no line that begins with verifier: {" >&2; exit 1; }
{
	grep -v '^control:' "$3" | sed 's/^verifier: {/&arc: {trusted_sealers: [list.example]}, /'
	printf 'control: {listen: "unix:%s", group: ""}\nmetrics: {listen: "127.0.0.1:9899"}\n' "$socket"
} >"$config"
rm -f "$socket"
[ "${EVERYTHING-}" != tail ] || (
	for _ in $(seq 200); do [ ! -S "$socket" ] || break; sleep 0.05; done
	exec "$SIGNPOST" tail --config "$config"
) >"$folder/tail" 2>&1 & # it ends with the daemon
exec "$SIGNPOST" serve --config "$config"
