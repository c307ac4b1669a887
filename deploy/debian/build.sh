#!/usr/bin/env bash
# Builds a Debian package: `make deb`, or
#
#   deploy/debian/build.sh [ARCH] [static]
#
# ARCH is amd64 or arm64, by default this machine's; Go compiles for both anywhere. The program loads libcrypto for RSA
# where the host has it; with `static` it is one file that needs no library. Two builds of one commit with one Go release
# give the same package to the octet. Printed at the end: the file. Needs Go, git and dpkg-deb, no root.
set -euo pipefail
cd "$(dirname "$0")/../.."

arch=${1:-$(dpkg --print-architecture)}
kind=${2:-}
case $arch in amd64 | arm64) ;; *) echo "build.sh: packages are made for amd64 and arm64, not for $arch" >&2; exit 2 ;; esac
case $kind in '' | static) ;; *) echo "build.sh: the second argument is static or nothing, not $kind" >&2; exit 2 ;; esac
command -v dpkg-deb >/dev/null || { echo "build.sh: dpkg-deb is missing: this needs Debian, or its package dpkg" >&2; exit 1; }

read -r version epoch < <(deploy/version.sh)
export SOURCE_DATE_EPOCH=$epoch
umask 022
maintainer=${MAINTAINER:-The Signpost authors <signpost@localhost>}
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
root=$stage/root out=bin/signpost_${version}_$arch.deb
[ -z "$kind" ] || out=bin/signpost-static_${version}_$arch.deb
mkdir -p bin "$root/DEBIAN"

make -s binary ARCH="$arch" KIND="$kind" OUT="$stage/signpost" VERSION="$version"
make -s install-files BINARY="$stage/signpost" DESTDIR="$root" PREFIX=/usr
doc=$root/usr/share/doc/signpost
install -m 644 deploy/debian/copyright "$doc/copyright"
{ printf '\nThe program contains these Go modules, under their own licences.\n'; CGO_ENABLED=0 go run ./deploy/licenses ./cmd/signpost; } >>"$doc/copyright"
gzip -9n <CHANGELOG.md >"$doc/CHANGELOG.md.gz"
{
	printf 'signpost (%s) unstable; urgency=medium\n\n  * See CHANGELOG.md.gz.\n\n' "$version"
	printf ' -- %s  %s\n' "$maintainer" "$(LC_ALL=C date -u -R -d "@$epoch")"
} | gzip -9n >"$doc/changelog.gz"
install -D -m 644 deploy/debian/lintian-overrides "$root/usr/share/lintian/overrides/signpost"
if [ -n "$kind" ]; then
	echo "signpost: statically-linked-binary [usr/bin/signpost]" >>"$root/usr/share/lintian/overrides/signpost"
fi

for script in postinst prerm postrm; do
	install -m 755 "deploy/debian/$script" "$root/DEBIAN/$script"
done
depends="init-system-helpers (>= 1.54), systemd | systemd-standalone-sysusers, systemd | systemd-standalone-tmpfiles"
[ -n "$kind" ] || depends="libc6, $depends"
size=$(find "$root" -path "$root/DEBIAN" -prune -o -type f -printf '%s\n' | awk '{ s += int(($1 + 1023) / 1024) } END { print s }')
sed -e "s/@VERSION@/$version/; s/@ARCH@/$arch/; s/@SIZE@/$size/; s/@DEPENDS@/$depends/; s/@MAINTAINER@/$maintainer/" deploy/debian/control.in >"$root/DEBIAN/control"
(cd "$root" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
find "$root" -exec touch -h -d "@$epoch" {} +
dpkg-deb --root-owner-group -Zxz --build "$root" "$out" >/dev/null
echo "$out"
