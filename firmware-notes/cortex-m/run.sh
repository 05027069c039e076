#!/usr/bin/env bash
# Builds the kernels for a board, makes sure that nothing allocates, and runs them in QEMU: run.sh mps2-an386|microbit
set -euo pipefail
cd "$(dirname "$0")"
case ${1:-} in
mps2-an386) target=thumbv7em-none-eabihf qemu=(-cpu cortex-m4 -machine mps2-an386) ;;
microbit) target=thumbv6m-none-eabi qemu=(-machine microbit) ;;
*) echo "which board? run.sh mps2-an386 (Cortex-M4) or run.sh microbit (Cortex-M0)" >&2 && exit 2 ;;
esac
export RUSTFLAGS="-C linker=arm-none-eabi-ld -C linker-flavor=ld -C link-arg=-Tlink.x"
words=(build --locked --release --target "$target" --features "$1" --target-dir "target/$1")
if rustup target list --installed 2>/dev/null | grep -qx "$target"; then
    cargo "${words[@]}"
else # Debian's compiler, which brings the source of `core`
    RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 /usr/bin/cargo "${words[@]}" -Zbuild-std=core
fi
program=target/$1/$target/release/inkstone-cortex-m
symbols=$(arm-none-eabi-nm --demangle "$program")
grep -q inkstone <<<"$symbols" || { echo "no symbol of inkstone in $program: is it stripped?" >&2 && exit 1; }
if grep -E '__rust_(alloc|dealloc|realloc)|__rdl_|__rg_|alloc::|\b(malloc|free|sbrk)\b' <<<"$symbols"; then
    echo "$program links an allocator" >&2
    exit 1
fi
arm-none-eabi-size "$program"
timeout 120 qemu-system-arm "${qemu[@]}" -nographic -icount shift=0 -semihosting-config enable=on,target=native -kernel "$program"
