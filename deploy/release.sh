#!/usr/bin/env bash
# Makes what is published for a release in bin/release: `make release`. For amd64 and arm64 the Debian package and the
# static program in an archive; the source; SHA256SUMS of all. The version is that of the tag.
set -euo pipefail
cd "$(dirname "$0")/.."
read -r version epoch < <(deploy/version.sh)
case $version in
*.changed) echo "release.sh: files differ from the commit, so this is $version and not for publishing" >&2 ;;
*+*) echo "release.sh: this commit has no tag, so this is $version and not for publishing" >&2 ;;
esac
out=bin/release
rm -rf "$out"
mkdir -p "$out"
archive() { # archive FOLDER NAME: reproducible
	tar --sort=name --mtime="@$epoch" --owner=0 --group=0 --numeric-owner --mode=go=rX,u+rw -C "$1" -cf - "$2" | gzip -9n
}
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
for arch in amd64 arm64; do
	mv "$(deploy/debian/build.sh "$arch" | tail -n 1)" "$out/"
	name=signpost-$version-linux-$arch
	make -s binary ARCH=$arch KIND=static OUT="$stage/signpost" VERSION="$version"
	make -s install-files BINARY="$stage/signpost" DESTDIR="$stage/$name" PREFIX=/usr
	cp LICENSE README.md CHANGELOG.md "$stage/$name/"
	archive "$stage" "$name" >"$out/$name.tar.gz"
done
name=signpost-$version
if git rev-parse --git-dir >/dev/null 2>&1; then
	mkdir "$stage/$name"
	git archive HEAD | tar -x -C "$stage/$name"
	echo "$version $epoch" >"$stage/$name/deploy/version"
	archive "$stage" "$name" >"$out/$name.tar.gz"
fi
(cd "$out" && sha256sum -- * >SHA256SUMS)
ls -l "$out"
