#!/bin/sh
# Prints the version of this tree and the time of its last change, in seconds: VERSION and SOURCE_DATE_EPOCH if they are
# set, the file deploy/version of a source archive, else git. A tag v1.2.3 is version 1.2.3; a tree after it is
# 1.2.3+N.HASH, and one without a tag is 0.0.0+N.HASH (N commits). Changed files add ".changed".
set -eu
cd "$(dirname "$0")/.."
if [ -n "${VERSION:-}" ]; then
	echo "${VERSION#v} ${SOURCE_DATE_EPOCH:-0}"
elif [ -f deploy/version ]; then
	cat deploy/version
elif described=$(git describe --tags --match 'v[0-9]*' --long 2>/dev/null); then
	hash=${described##*-g} rest=${described%-g*}
	version=${rest%-*} n=${rest##*-}
	version=${version#v}
	[ "$n" = 0 ] || version=$version+$n.$hash
	[ -z "$(git status --porcelain --untracked-files=no)" ] || version=$version.changed
	echo "$version ${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}"
elif n=$(git rev-list --count HEAD 2>/dev/null); then
	version=0.0.0+$n.$(git rev-parse --short=8 HEAD)
	[ -z "$(git status --porcelain --untracked-files=no)" ] || version=$version.changed
	echo "$version ${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}"
else
	echo "0.0.0+unknown ${SOURCE_DATE_EPOCH:-0}"
fi
