#!/usr/bin/env bash
# Compiles the C of `inkstone export MODEL.ink --format c --name digits --out DIR` for a board and runs its self-test in QEMU:
# run.sh DIR [microbit|mps2-an386]
set -euo pipefail
notes=$(cd "$(dirname "$0")" && pwd)
dir=${1:?which folder? run.sh DIR [microbit|mps2-an386]} board=${2:-microbit}
case $board in
microbit) cpu=cortex-m0 ;;
mps2-an386) cpu=cortex-m4 ;;
*) echo "which board? microbit (Cortex-M0) or mps2-an386 (Cortex-M4)" >&2 && exit 2 ;;
esac
build=$(mktemp -d)
trap 'rm -r "$build"' EXIT
flags=(-mcpu=$cpu -mthumb -Os -std=c99 -Wall -Wextra -Werror -DINKSTONE_NO_MAIN -I"$dir")
for source in "$dir/model.c" "$dir/selftest.c" "$notes/board.c"; do
    arm-none-eabi-gcc "${flags[@]}" -c "$source" -o "$build/$(basename "$source" .c).o"
done
arm-none-eabi-gcc "${flags[@]}" -nostartfiles -T"$notes/board.ld" "$build"/*.o -o "$build/board.elf"
echo "the model alone:"
arm-none-eabi-size "$build/model.o"
qemu-system-arm -machine "$board" -nographic -semihosting-config enable=on,target=native -kernel "$build/board.elf" || {
    echo "$board: it ended with $?: the logits of a golden digit are others than inkstone's, or it crashed" >&2
    exit 1
}
echo "$board: the logits of every golden digit are those of inkstone"
