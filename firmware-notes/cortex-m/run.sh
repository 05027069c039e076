#!/usr/bin/env bash
# Builds a program for a board, looks at what is linked, and runs it in QEMU: run.sh BOARD [digits|exported|kernels] [release|small]
#
# digits classifies the first DIGITS (200) digits of the test set by the image INKSTONE_MODEL (models/cnn-tiny.ink), a path from this folder;
# exported by the module models/cnn_8_16.rs, which was written from models/cnn-8-16.ink. With LINK_ONLY=1 neither is run.
set -euo pipefail
cd "$(dirname "$0")"
board=${1:-} program=${2:-digits} profile=${3:-release}
case $board in
microbit) target=thumbv6m-none-eabi qemu=(-machine microbit) ;;
mps2-an385) target=thumbv7m-none-eabi qemu=(-machine mps2-an385) ;;
mps2-an386) target=thumbv7em-none-eabihf qemu=(-machine mps2-an386) ;;
mps2-an500) target=thumbv7em-none-eabihf qemu=(-machine mps2-an500) ;;
mps2-an505) target=thumbv8m.main-none-eabi qemu=(-machine mps2-an505) ;;
*) echo "which board? microbit (Cortex-M0), mps2-an385 (M3), mps2-an386 (M4F), mps2-an500 (M7) or mps2-an505 (M33)" >&2 && exit 2 ;;
esac
# What is not there is named with where it comes from.
need() { command -v "$1" >/dev/null || { echo "run.sh: $1 not found: it comes with $2" >&2 && exit 127; }; }
need arm-none-eabi-ld "Debian's binutils-arm-none-eabi"
[ -n "${LINK_ONLY:-}" ] || need qemu-system-arm "Debian's qemu-system-arm"
export RUSTFLAGS="-C linker=arm-none-eabi-ld -C linker-flavor=ld -C link-arg=-Tlink.x"
# Boards that are built one after the other may share a folder, and with it what they have in common.
dir=${BUILD_DIR:-target/$board}
words=(build --locked --profile "$profile" --bin "$program" --target "$target" --features "$board" --target-dir "$dir")
if rustup target list --installed 2>/dev/null | grep -qx "$target"; then
    cargo "${words[@]}"
else # Debian's compiler, which brings the source of `core`
    need /usr/bin/cargo "\`rustup target add $target\`, or with Debian's cargo-web, rustc-web and rust-web-src"
    RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 /usr/bin/cargo "${words[@]}" -Zbuild-std=core
fi
elf=$dir/$target/$profile/$program

symbols=$(arm-none-eabi-nm --demangle --print-size "$elf")
grep -q inkstone <<<"$symbols" || { echo "no symbol of inkstone in $elf: is it stripped?" >&2 && exit 1; }
if grep -E '__rust_(alloc|dealloc|realloc)|__rdl_|__rg_|alloc::|\b(malloc|free|sbrk)\b' <<<"$symbols"; then
    echo "$elf links an allocator" >&2
    exit 1
fi
emulate() {
    timeout 120 qemu-system-arm "${qemu[@]}" -nographic -icount shift=0 -semihosting-config enable=on,target=native -kernel "$1"
}
if [ "$program" = kernels ]; then
    arm-none-eabi-size "$elf"
    emulate "$elf"
    exit
fi

if grep -E 'core::fmt::(num|float|builders|Formatter|write)' <<<"$symbols"; then
    echo "$elf links the formatting code of core" >&2
    exit 1
fi
# The program's handler is linked with the first function that panics, whatever it is called.
if grep -E 'begin_unwind|core::.*(panic|_fail)' <<<"$symbols"; then
    echo "$elf links panics" >&2
    exit 1
fi
# What a core without floats would call; comparisons alone are left, of the scales that an image must have.
if grep -E '__aeabi_[fd](r?sub|add|mul|div)|float::(add|sub|mul|div)' <<<"$symbols"; then
    echo "$elf links arithmetic of floats" >&2
    exit 1
fi
if [ -n "${LINK_ONLY:-}" ]; then
    echo "$elf links neither an allocator nor a panic"
    exit
fi
# Names of functions that were not inlined: what is inlined in `main` counts as the program's.
own=0
while read -r _ size _ name; do
    [[ $name == *inkstone::* || $name == exported::run ]] && own=$((own + 16#$size))
done < <(grep -E '^[0-9a-f]+ [0-9a-f]+ [tT] ' <<<"$symbols")
read -r text data _ < <(arm-none-eabi-size "$elf" | tail -n 1)

# The digits lie where the program runs, as its files have fixed names.
data_dir=${INKSTONE_DATA:-../../data/mnist}
work=target/$board/run-$profile
rm -rf "$work"
mkdir -p "$work"
count=${DIGITS:-200}
# Where the file $1 lies, by any of the names that copies of the data set have: with a dash or a dot, plain or compressed.
find_idx() {
    local file
    for file in "$data_dir/$1" "$data_dir/$1.gz" "$data_dir/${1/-idx/.idx}" "$data_dir/${1/-idx/.idx}.gz"; do
        if [ -f "$file" ]; then
            echo "$file"
            return
        fi
    done
    echo "no file $1 or $1.gz in $data_dir" >&2
    return 1
}
images=$(find_idx t10k-images-idx3-ubyte)
labels=$(find_idx t10k-labels-idx1-ubyte)
zcat --force "$images" 2>/dev/null | head -c $((16 + 784 * count)) | tail -c +17 >"$work/digits.bin" || true
zcat --force "$labels" 2>/dev/null | head -c $((8 + count)) | tail -c +9 >"$work/labels.bin" || true
path=$(realpath "$elf")
(cd "$work" && emulate "$path" 2>&1 | tee output.txt)
{ echo "flash: $((text + data)) bytes, $own of them code of inkstone in $profile, no panic linked"; } | tee -a "$work/output.txt"

# What stands in the lists is of the committed images, whatever others are called.
image=${INKSTONE_MODEL:-models/cnn-tiny.ink}
[ "$program" = exported ] && image=models/cnn-8-16.ink
model=$(basename "$image")
cmp -s "$image" "models/$model" || model="another image"
# On every machine the same logits: the host's stand in the list.
want=$(awk -v model="$model" -v count="$count" '$1 == model && $2 == count { print $3 }' models/logits.txt)
got=$(awk '$1 == "logits" { print $2 }' "$work/output.txt")
if [ -n "$want" ] && [ "$want" != "$got" ]; then
    echo "the logits of $model are not the host's: $got instead of $want" >&2
    exit 1
fi
[ "$program" = exported ] && model=cnn_8_16.rs
# Nothing may grow by three parts in a hundred; what shrinks does so in silence.
ram=$(awk '$1 == "RAM:" && $2 == "all" { static = $4 } $2 == "stack" { stack = $3 } END { print static + stack }' "$work/output.txt")
if [ "$ram" -le 0 ]; then
    echo "$board says nothing of its RAM" >&2
    exit 1
fi
instructions=$(awk '/ instructions a digit$/ { print $1 }' "$work/output.txt")
found=("$((text + data))" "$ram" "${instructions:-0}")
echo "$board $profile $model ${found[*]}"
recorded=$(awk -v board="$board" -v profile="$profile" -v model="$model" \
    '$1 == board && $2 == profile && $3 == model { print $4, $5, $6 }' sizes.txt)
if [ -z "$recorded" ] || [ -z "$want" ]; then
    echo "no recorded size or logits of it: nothing to compare with"
    [ -z "${MUST_COMPARE:-}" ] || exit 1 # tests, whose boards and images are recorded
    exit 0
fi
read -ra before <<<"$recorded"
what=("bytes of flash" "bytes of RAM" "instructions a digit")
for i in 0 1 2; do
    if [ $((100 * found[i])) -gt $((103 * before[i])) ]; then
        echo "$board: ${found[i]} ${what[i]}, recorded ${before[i]}" >&2
        exit 1
    fi
done
