#!/bin/sh
# Searches for bytes that break the engine's parser: libFuzzer under ASan and UBSan, for the given minutes.
# Called by `make fuzz`. Starts from corpus/; inputs that reach new code are added there, minimized. A find is left in
# build/fuzz/, the way to replay it is printed, and the exit code is 1; 3: no clang.
set -eu
minutes=${1:-2}
here=$(cd "$(dirname "$0")" && pwd)
engine=$(dirname "$here")
out=$engine/build/fuzz
most_files=299 # the corpus is committed and replayed by the tests: small enough for both

case $minutes in
'' | *[!0-9]* | 0*) echo "make fuzz: MINUTES is '$minutes', expected a whole number from 1; e.g. make fuzz MINUTES=5" >&2; exit 2 ;;
esac
mkdir -p "$out/new"

compile() {
    clang -std=c11 -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
        -o "$out/answer_fuzz" "$here/answer_fuzz.c" "$engine"/answer*.c
}

if ! command -v clang >/dev/null || ! compile 2>"$out/compile.log"; then
    # The fuzzer's library is a package of its own; its name holds clang's version.
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "make fuzz: no clang with libFuzzer. Run: sudo apt-get install -y clang && sudo apt-get install -y \"libclang-rt-\$(clang -dumpversion | cut -d. -f1)-dev\"" >&2
        exit 3
    fi
    echo "make fuzz: installing clang and its libFuzzer" >&2
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -q && apt-get install -y -q --no-install-recommends clang &&
        apt-get install -y -q --no-install-recommends "libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev"; } >"$out/apt.log" 2>&1 ||
        { echo "make fuzz: clang could not be installed; the log: $out/apt.log" >&2; exit 3; }
    compile || { echo "make fuzz: clang cannot build the fuzzer, see above" >&2; exit 3; }
fi

echo "fuzzing the parser for $minutes min, from $(ls "$here/corpus" | wc -l) inputs" >&2
# The arguments' order counts: new inputs go to the first folder.
if ! "$out/answer_fuzz" -max_total_time=$((minutes * 60)) -max_len=1024 -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
    -dict="$here/answer.dict" -artifact_prefix="$out/" "$out/new" "$here/corpus" >"$out/fuzz.log" 2>&1; then
    grep -E 'ERROR|runtime error|broken:|SUMMARY|Test unit written' "$out/fuzz.log" >&2 || tail -5 "$out/fuzz.log" >&2
    echo "make fuzz: FOUND a fault; the whole log: $out/fuzz.log. Replay: $out/answer_fuzz FILE (the unit written above)." >&2
    echo "When it is mended, keep the unit in $here/corpus/ so that the tests replay it." >&2
    exit 1
fi

# Edges only, no counts of how often: a corpus of dozens, not thousands.
merge() { "$out/answer_fuzz" -merge=1 -use_counters=0 -max_len=1024 "$@" >"$out/merge.log" 2>&1; }
merge "$here/corpus" "$out/new" || { echo "make fuzz: the finds could not be merged; $out/merge.log" >&2; exit 1; }
if [ "$(ls "$here/corpus" | wc -l)" -gt "$most_files" ]; then
    rm -rf "$out/least" && mkdir "$out/least" && merge "$out/least" "$here/corpus"
    rm -f "$here"/corpus/* && cp "$out"/least/* "$here/corpus/"
fi
rm -rf "$out/new"
sed -n 's/^stat::number_of_executed_units: */inputs tried: /p; s/^stat::average_exec_per_sec: */per second: /p' "$out/fuzz.log"
grep -Eo 'cov: [0-9]+ ft: [0-9]+ corp: [0-9]+' "$out/fuzz.log" | tail -1
echo "no fault found; corpus: $(ls "$here/corpus" | wc -l) inputs"
