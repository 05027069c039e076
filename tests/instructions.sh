#!/usr/bin/env bash
# Counts the instructions of three kernels under callgrind and compares them with tests/instructions.txt: 3 % more fails.
# The count of a kernel is the difference between eleven calls and one, a tenth of it. `--record` writes the file anew.
set -euo pipefail
cd "$(dirname "$0")/.."
record=${1:-}
file=tests/instructions.txt
bench=$(cargo bench --locked --bench counted --no-run --message-format=json 2>/dev/null |
    python3 -c 'import json,sys
for line in sys.stdin:
    message = json.loads(line)
    if message.get("executable") and message["target"]["name"] == "counted": print(message["executable"])')

count() { # kernel, calls
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$bench" "$1" "$2" 2>&1 | awk '/Collected/ { print $NF }'
}

failed=0
[ "$record" != --record ] || : >"$file.new"
for kernel in linear-packed linear-dot adam; do
    one=$(count $kernel 1)
    eleven=$(count $kernel 11)
    now=$((( ${eleven:-0} - ${one:-0} ) / 10))
    if [ $now -le 0 ]; then
        echo "$kernel: nothing was counted" >&2
        exit 1
    fi
    if [ "$record" = --record ]; then
        echo "$kernel $now" >>"$file.new"
        echo "$kernel: $now instructions"
        continue
    fi
    before=$(awk -v kernel=$kernel '$1 == kernel { print $2 }' "$file")
    echo "$kernel: $now instructions, recorded $before"
    if [ $((now * 100)) -gt $((before * 103)) ]; then
        echo "$kernel needs over 3 % more instructions than $file says; if that is meant, run tests/instructions.sh --record" >&2
        failed=1
    fi
done
[ "$record" != --record ] || mv "$file.new" "$file"
exit $failed
