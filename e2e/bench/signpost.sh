#!/usr/bin/env bash
# A signpost for the load rig: signpost.sh start sign-rsa|sign-ed|verify-rsa|verify-ed | stop
# Prints ADDR and PID lines as the rig's scripts for the other milters do. It runs in the
# environment of peers.sh: RIG is the built rig, BINARY the signpost.
set -euo pipefail
. "$RIG/peers/lib.sh"
[ "$1" = stop ] && { stop signpost; exit; }

selector=s1 kind=rsa.pem
[ "$2" = sign-ed ] && selector=ed1 kind=ed.pem
role=${2%%-*} # sign, verify
keys=$WORK/signpost-keys
if [ ! -e "$keys/$selector" ]; then
	while read -r domain; do
		mkdir -p "$keys/$domain"
		install -m 600 "$DATA/keys/$domain.$kind" "$keys/$domain/$selector.pem"
	done <"$DATA/domains.txt"
	touch "$keys/$selector"
fi
conf=$RUN/signpost.yaml
cat >"$conf" <<C
milter: { listen: [{ address: "unix:$RUN/signpost.sock", role: $role }], socket_mode: "0666" }
dns: { servers: ["$DNSIP:5353"] }
keys: { dir: "$keys", backend: ${BACKEND:-auto}, insecure_mode: warn, state: "$RUN/signpost-state/keys.json" }
verifier: { authserv_id: mx.bench.example }
log: { level: ${LOG_LEVEL:-warn} }
C
case $2 in sign-*)
	printf 'signer:\n  require_published: false\n  domains:\n' >>"$conf"
	while read -r domain; do printf '    - { domain: %s, selectors: [%s] }\n' "$domain" "$selector"; done <"$DATA/domains.txt" >>"$conf"
esac
rm -f "$RUN/signpost.sock"
bg signpost "${MILTER_CPU-0}" "$BINARY" serve --config "$conf"
wait_sock "unix:$RUN/signpost.sock" || { cat "$RUN/signpost.log"; exit 1; }
echo "ADDR=unix:$RUN/signpost.sock"
echo "PID=$(cat "$RUN/signpost.pid")"
