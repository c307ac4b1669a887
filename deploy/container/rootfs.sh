#!/bin/sh
# Assembles the content of the container image: deploy/container/rootfs.sh DIR. The static program, one user without
# rights, and the folders that the program writes. Needs Go; ARCH chooses amd64 or arm64.
set -eu
root=${1:?usage: rootfs.sh DIR}
cd "$(dirname "$0")/../.."
mkdir -p "$root/usr/bin" "$root/etc/signpost" "$root/var/lib/signpost/keys" "$root/var/lib/signpost/state" "$root/run/signpost" "$root/tmp"
make -s binary KIND=static OUT="$root/usr/bin/signpost"
echo 'signpost:x:65532:65532:Signpost milter:/var/lib/signpost:/nonexistent' >"$root/etc/passwd"
echo 'signpost:x:65532:' >"$root/etc/group"
chmod 1777 "$root/tmp"
chmod 750 "$root/var/lib/signpost" "$root/var/lib/signpost/keys" "$root/var/lib/signpost/state"
if [ "$(id -u)" = 0 ]; then
	chown -R 0:65532 "$root/var/lib/signpost"
	chown 65532:65532 "$root/var/lib/signpost/state" "$root/run/signpost"
fi
