#!/bin/sh
# Says in words what to do where Go is missing or too old: make runs it first. Go 1.21 and later fetch the release that
# go.mod names by themselves, if GOTOOLCHAIN lets them (the Makefile does, unless the environment decides).
set -u
go=${1:-go}
wanted=$(sed -n 's/^go //p' "$(dirname "$0")/../go.mod")

how() {
	cat >&2 <<T
make: Signpost needs Go ${wanted%.*} to build.
  $1
  Debian 13:  apt install golang-go
  Debian 12:  add the suite bookworm-backports to the sources of apt, then
              apt update && apt install -t bookworm-backports golang-go
  Either fetches Go ${wanted%.*} by itself at the first make.
  Elsewhere:  https://go.dev/doc/install
  Without Go: install the Debian package instead; see README.md.
T
	exit 1
}

command -v "$go" >/dev/null 2>&1 || how "There is no command $go."
# Outside of the module, an old release does not stumble over go.mod, and a new one does not fetch another.
have=$(cd / && GOTOOLCHAIN=local "$go" env GOVERSION 2>/dev/null)
have=${have#go}
minor() { echo "$1" | awk -F. '{ print $1 * 1000 + $2 }'; }
[ -n "$have" ] || how "The command $go is not Go."
[ "$(minor "$have")" -ge "$(minor "$wanted")" ] && exit 0
[ "$(minor "$have")" -ge 1021 ] || how "Go $have is too old, and cannot fetch a newer one."
[ "${GOTOOLCHAIN:-auto}" != local ] || how "Go $have is too old, and may not fetch a newer one: unset GOTOOLCHAIN=local."
echo "make: Go $have fetches Go $wanted for this, once" >&2
