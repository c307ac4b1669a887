# The load generator, copied and built where nothing of it gets into the project, and our own
# program: sourced by peers.sh and domains.sh, in the project's folder.

generator=${SIGNPOST_BENCH:-../shared/bench}
if [ ! -x "$generator/run.sh" ]; then
	echo "$0: there is no load generator in $generator: set SIGNPOST_BENCH to its folder" >&2
	exit 1
fi
[ "$(id -u)" = 0 ] || { echo "$0: the other milters are started in mount namespaces, which needs root" >&2; exit 1; }

export BENCH_WORK=${BENCH_WORK:-${TMPDIR:-/tmp}/signpost-bench}
export BENCH_DATA=${BENCH_DATA:-$BENCH_WORK/data}
export RIG=$BENCH_WORK/rig BINARY=$BENCH_WORK/signpost
mkdir -p "$RIG"
# What lies there is run as root.
[ -O "$BENCH_WORK" ] && [ ! -L "$BENCH_WORK" ] || { echo "$0: $BENCH_WORK is somebody else's: set BENCH_WORK to a folder of your own" >&2; exit 1; }
cp -R "$generator/." "$RIG/"
chmod -R u+w "$RIG"
(cd "$RIG" && ./run.sh build)
CGO_ENABLED=0 go build -trimpath -tags libcrypto -o "$BINARY" ./cmd/signpost
