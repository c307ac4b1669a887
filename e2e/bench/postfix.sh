#!/usr/bin/env bash
# Measures signpost behind a real Postfix, beside a Go server that does nothing and the peers that are
# installed, with postfix.sh of the load rig: `make bench-postfix`, as root on Debian, on a quiet machine.
#
#   ROUNDS N  how often the targets take turns, and messages for each (3, 2000)
#   TARGETS   what to run beside Postfix alone and signpost (goraw opendkim rspamd)
#   EVERYTHING=1  signpost with a control socket, metrics and ARC as well; EVERYTHING=tail: and with a reader of signpost tail
#   MODES     what it does ("verify sign")
#
# The other variables are those of peers.sh. Everything stays on loopback and unix sockets.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."

. e2e/bench/rig.sh
export ROUNDS=${ROUNDS:-3} N=${N:-2000}
if [ -n "${EVERYTHING-}" ]; then
	export EVERYTHING SIGNPOST=$BINARY
	BINARY=$here/everything.sh
fi
for mode in ${MODES:-verify sign}; do
	# shellcheck disable=SC2086 # TARGETS is a list
	bash "$RIG/postfix.sh" "$mode" "$BINARY" ${TARGETS:-goraw opendkim rspamd}
done
