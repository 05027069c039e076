#!/usr/bin/env bash
# Builds a program for a board, looks at what is linked, and runs it in QEMU: run.sh BOARD [digits|kernels] [release|small]
#
# digits classifies the first DIGITS (200) digits of the test set by the image INKSTONE_MODEL (models/cnn-tiny.ink), from this folder.
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
export RUSTFLAGS="-C linker=arm-none-eabi-ld -C linker-flavor=ld -C link-arg=-Tlink.x"
words=(build --locked --profile "$profile" --bin "$program" --target "$target" --features "$board" --target-dir "target/$board")
if rustup target list --installed 2>/dev/null | grep -qx "$target"; then
    cargo "${words[@]}"
else # Debian's compiler, which brings the source of `core`
    RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 /usr/bin/cargo "${words[@]}" -Zbuild-std=core
fi
elf=target/$board/$target/$profile/$program
