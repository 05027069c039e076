#!/usr/bin/env bash
# Builds a program for a board, looks at what is linked, and runs it in QEMU: run.sh BOARD [digits|exported|kernels] [release|small]
#
# digits classifies the first DIGITS (200) digits of the test set by the image INKSTONE_MODEL (models/cnn-tiny.ink), a path from this folder;
# exported by the module models/cnn_8_16.rs, which was written from models/cnn-8-16.ink; with SELF_TEST=1 it proves itself by the module's
# golden digits first. With LINK_ONLY=1 neither is run.
set -euo pipefail
cd "$(dirname "$0")"
. ../boards.sh
board=${1:-} program=${2:-digits} profile=${3:-release} cpu=
case $board in
microbit) target=thumbv6m-none-eabi ;;
mps2-an385) target=thumbv7m-none-eabi ;;
mps2-an386 | mps2-an500) target=thumbv7em-none-eabihf ;;
mps2-an505) target=thumbv8m.main-none-eabihf cpu=cortex-m33 ;; # the target alone does not promise DSP instructions
*) echo "which board? microbit (Cortex-M0), mps2-an385 (M3), mps2-an386 (M4F), mps2-an500 (M7) or mps2-an505 (M33)" >&2 && exit 2 ;;
esac
[ -z "${SELF_TEST:-}" ] || [ "$program" = exported ] || { echo "SELF_TEST: only exported has golden digits" >&2 && exit 2; }
need arm-none-eabi-ld "Debian's binutils-arm-none-eabi"
[ -n "${LINK_ONLY:-}" ] || need qemu-system-arm "Debian's qemu-system-arm"
export RUSTFLAGS="-C linker=arm-none-eabi-ld -C linker-flavor=ld -C link-arg=-Tlink.x${cpu:+ -C target-cpu=$cpu}"
# Boards that are built one after the other may share a folder, and with it what they have in common.
dir=${BUILD_DIR:-target/$board}
features=$board${SELF_TEST:+,self-test}
words=(build --locked --profile "$profile" --bin "$program" --target "$target" --features "$features" --target-dir "$dir")
if rustup target list --installed 2>/dev/null | grep -qx "$target"; then
    cargo "${words[@]}"
else # Debian's compiler, which brings the source of `core`
    need /usr/bin/cargo "\`rustup target add $target\`, or with Debian's cargo-web, rustc-web and rust-web-src"
    RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 /usr/bin/cargo "${words[@]}" -Zbuild-std=core
fi
elf=$dir/$target/$profile/$program

symbols=$(arm-none-eabi-nm --demangle --print-size "$elf")
grep -q inkstone <<<"$symbols" || { echo "no symbol of inkstone in $elf: is it stripped?" >&2 && exit 1; }
refuse '__rust_(alloc|dealloc|realloc)|__rdl_|__rg_|alloc::|\b(malloc|free|sbrk)\b' "an allocator"
if [ "$program" = kernels ]; then
    arm-none-eabi-size "$elf"
    emulate "$elf"
    exit
fi

refuse 'core::fmt::(num|float|builders|Formatter|write)' "the formatting code of core"
# The program's handler is linked with the first function that panics, whatever it is called.
refuse 'begin_unwind|core::.*(panic|_fail)' panics
# What a core without floats would call; comparisons alone are left, of the scales that an image must have.
refuse '__aeabi_[fd](r?sub|add|mul|div)|float::(add|sub|mul|div)' "arithmetic of floats"
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
work=target/$board/run-$profile
rm -rf "$work"
mkdir -p "$work"
count=${DIGITS:-200}
write_digits "$work" "$count"
path=$(realpath "$elf")
(cd "$work" && emulate "$path" 2>&1 | tee output.txt)
{ echo "flash: $((text + data)) bytes, $own of them code of inkstone in $profile, no panic linked"; } | tee -a "$work/output.txt"

# What stands in the lists is of the committed images, whatever others are called.
image=${INKSTONE_MODEL:-models/cnn-tiny.ink}
[ "$program" = exported ] && image=models/cnn-8-16.ink
model=$(basename "$image")
cmp -s "$image" "models/$model" || model="another image"
same_logits models/logits.txt "$model" "$count" "$work/output.txt"
[ "$program" = exported ] && model=cnn_8_16.rs${SELF_TEST:++self-test}
ram=$(ram_of "$work/output.txt")
instructions=$(instructions_of "$work/output.txt")
found=("$((text + data))" "$ram" "${instructions:-0}")
what=("bytes of flash" "bytes of RAM" "instructions a digit")
gate "$profile" "$model"
