#!/usr/bin/env bash
# Compiles the C of `inkstone export MODEL.ink --format c --name digits --out DIR` for a board, looks at what is linked, and runs it in
# QEMU: run.sh DIR [BOARD] [-Os|-O2]
#
# It runs the self-test, classifies the first DIGITS (200) digits of the test set, and counts the instructions of each step.
set -euo pipefail
usage="run.sh DIR [microbit|mps2-an385|mps2-an386|mps2-an500|mps2-an505] [-Os|-O2]"
dir=$(realpath "${1:?which folder? $usage}") board=${2:-microbit} level=${3:--Os}
cd "$(dirname "$0")"
. ../boards.sh
# HALVES: see host.c. Where nothing else is said, flash and RAM are those of a microbit.
mps2=(-Wl,--defsym=flash_bytes=0x400000,--defsym=ram_bytes=0x400000)
case $board in
microbit) cpu=cortex-m0 halves=125 memory=() ;;
mps2-an385) cpu=cortex-m3 halves=80 memory=("${mps2[@]}") ;;
mps2-an386) cpu=cortex-m4 halves=80 memory=("${mps2[@]}") ;;
mps2-an500) cpu=cortex-m7 halves=80 memory=("${mps2[@]}") ;;
# It starts in the secure state, whose addresses have bit 28 set.
mps2-an505) cpu=cortex-m33 halves=100 memory=("${mps2[@]}" -Wl,--defsym=flash=0x10000000,--defsym=ram=0x38000000) ;;
*) echo "which board? $usage" >&2 && exit 2 ;;
esac
need arm-none-eabi-gcc "Debian's gcc-arm-none-eabi and libnewlib-arm-none-eabi"
need qemu-system-arm "Debian's qemu-system-arm"
grep -qs '^#define DIGITS_CRC32 ' "$dir/model.h" || { echo "$dir/model.h is not of --name digits" >&2 && exit 2; }

build=$(mktemp -d)
trap 'rm -r "$build"' EXIT
# The comment above each step becomes a call that counts, for a program of its own: what is measured and gated is model.c as it is.
sed -E 's|^    /\* (.*: [0-9]+ x .* -> .*) \*/$|    step("\1");|; s|^#include "model.h"$|&\nvoid step(const char *name);|' \
    "$dir/model.c" >"$build/steps.c"
grep -q '^    step("' "$build/steps.c" || { echo "$dir/model.c has no comments of steps" >&2 && exit 1; }
flags=(-mcpu=$cpu -mthumb "$level" -std=c99 -Wall -Wextra -Werror -Wconversion -pedantic -DINKSTONE_NO_MAIN -DHALVES=$halves -I"$dir" -I.)
for source in "$dir/model.c" "$dir/selftest.c" "$build/steps.c" board.c host.c digits.c layers.c; do
    arm-none-eabi-gcc "${flags[@]}" -c "$source" -o "$build/$(basename "$source" .c).o"
done
# PROGRAM MODEL
link() {
    arm-none-eabi-gcc "${flags[@]}" -nostartfiles -Tboard.ld "${memory[@]}" "$build"/{"$1","$2",selftest,board,host}.o -o "$build/$1.elf"
}
link digits model
link layers steps

elf=$build/digits.elf
symbols=$(arm-none-eabi-nm "$elf")
grep -qw digits_run <<<"$symbols" || { echo "no digits_run in $elf: is it stripped?" >&2 && exit 1; }
refuse '\b_?(malloc|calloc|realloc|free|sbrk)(_r)?$' "an allocator"
refuse 'printf|\bf?put[cs]\b|putchar|_write' "what prints with the C library"
refuse '__aeabi_([fdh]|u?[il]2[fd])|__[a-z]+[sdt]f[0-9]?$' "arithmetic of floats"

count=${DIGITS:-200}
write_digits "$build" "$count"
(cd "$build" && emulate digits.elf 2>&1 | tee output.txt) || {
    echo "$board: it ended with $?: logits of golden digits are others than inkstone's, or it crashed" >&2
    exit 1
}
echo "instructions of each step of a digit:"
(cd "$build" && emulate layers.elf 2>&1)
read -r text data _ < <(arm-none-eabi-size "$elf" | tail -n 1)
read -r own own_data _ < <(arm-none-eabi-size "$build/model.o" | tail -n 1)
echo "flash: $((text + data)) bytes, $((own + own_data)) of them model.c at $level, the golden digits among the others"

# What stands in the lists is of the committed images, which model.h knows by a checksum.
crc=$(sed -n 's/^#define DIGITS_CRC32 0x\([0-9a-f]*\)u$/\1/p' "$dir/model.h")
model="another image"
for image in ../cortex-m/models/*.ink; do
    [ "$(od -An -t x4 --endian=little -j 60 -N 4 "$image" | tr -d ' ')" != "$crc" ] || model=$(basename "$image")
done
same_logits ../cortex-m/models/logits.txt "$model" "$count" "$build/output.txt"
ram=$(ram_of "$build/output.txt")
instructions=$(instructions_of "$build/output.txt")
found=("$((text + data))" "$ram" "${instructions:-0}" "$((own + own_data))")
what=("bytes of flash" "bytes of RAM" "instructions a digit" "bytes of model.c")
gate "$level" "$model"
