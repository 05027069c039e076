#!/usr/bin/env bash
# Everything that must hold, on a bare Debian machine too: builds every link of the feature chain, lints, documents, tests, under
# AddressSanitizer too, fuzzes, counts instructions, and runs the core for other machines. Prints the seconds of each stage.
# `tests/all.sh STAGE..` runs some.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_COLOR=never RUST_BACKTRACE=0
# Nobody looks at lines in backtraces that are not shown: a fifth less to compile and to link.
export CARGO_PROFILE_DEV_DEBUG=0 CARGO_PROFILE_RELEASE_DEBUG=0

stages=("$@")
[ ${#stages[@]} -gt 0 ] ||
    stages=(tools format chain lint doc test page asan fuzz numpy onnx first-run count cortex-m i686 aarch64 wasm)

# The host's cargo knows only the targets that were installed with it. Where those of Debian's compiler are needed, both variables
# are set for that one command: exported, they would change the host's builds.
debian_cargo() { RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 /usr/bin/cargo "$@"; }
has_target() { rustup target list --installed 2>/dev/null | grep -qx "$1"; }

stage_tools() {
    local missing=()
    command -v valgrind >/dev/null || missing+=(valgrind)
    command -v c++ >/dev/null || missing+=(g++)
    command -v chromium >/dev/null || missing+=(chromium)
    command -v qemu-aarch64 >/dev/null || missing+=(qemu-user)
    command -v aarch64-linux-gnu-gcc >/dev/null || missing+=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross)
    [ -x /usr/bin/cargo ] && [ -d /usr/share/doc/rust-web-src ] || missing+=(rustc-web cargo-web rust-web-src)
    command -v qemu-system-arm >/dev/null || missing+=(qemu-system-arm)
    command -v arm-none-eabi-ld >/dev/null || missing+=(binutils-arm-none-eabi)
    command -v clang >/dev/null || missing+=(clang)
    command -v arm-none-eabi-gcc >/dev/null || missing+=(gcc-arm-none-eabi libnewlib-arm-none-eabi)
    command -v node >/dev/null || missing+=(nodejs)
    [ -d /usr/lib/wasm32-wasi ] || has_target wasm32-wasip1 || missing+=(wasi-libc)
    # Not gcc-multilib, which would remove the compiler for aarch64.
    echo 'int main(void) { return 0; }' | gcc -m32 -x c - -o /dev/null 2>/dev/null ||
        missing+=(libc6-dev-i386 "lib32gcc-$(gcc -dumpversion | cut -d. -f1)-dev")
    if [ ${#missing[@]} -gt 0 ]; then
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    fi
    python3 -c 'import numpy' 2>/dev/null || python3 -m pip install --quiet numpy
    python3 -c 'import onnx, onnxruntime' 2>/dev/null || python3 -m pip install --quiet onnx onnxruntime
}

stage_format() { cargo fmt --all -- --check; }

stage_chain() {
    cargo check --locked --lib --no-default-features
    local feature
    for feature in alloc std train cli; do
        cargo check --locked --lib --no-default-features --features "$feature"
    done
}

stage_lint() {
    cargo clippy --locked --lib --no-default-features -- -D warnings
    cargo clippy --locked --all-targets --features peers -- -D warnings
    cargo fmt --manifest-path firmware-notes/cortex-m/Cargo.toml -- --check
    cargo fmt --manifest-path tests/fuzz/Cargo.toml -- --check
}

stage_doc() { RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps; }

stage_test() {
    local status=0
    cargo test --locked --lib --bins --tests -- --nocapture 2>&1 | tee target/tests.log |
        { grep -E '^(test result|failures:|error|isa )|FAILED|panicked' || true; } || status=$?
    if [ $status -ne 0 ]; then
        # What failed says why at the end of its binary's part; an error of the compiler stands at the end of the log.
        grep -A 15 -E 'panicked at|^failures:|^error' target/tests.log | tail -n 150
        return 1
    fi
    local flag
    for flag in avx2 avx512_vnni; do
        ! grep -qw $flag /proc/cpuinfo || must_have_run ${flag%_vnni} target/tests.log
    done
    cargo test --locked --doc
}

# ISA LOG: tests say which instruction sets they found; one that is there and is no longer found would not be tested.
must_have_run() {
    grep -q "isa $1\\b" "$2" || { echo "$2: no test ran on the instruction set $1" >&2 && return 1; }
}

# All studies on a few hundred images, and their page in a browser.
stage_page() { cargo test --locked --test report_page -- --ignored --nocapture; }

# The kernels once more where every access is checked against its allocation: their bounds, and those of their own tests that take less
# than minutes without optimisation, which would take as long to build. As in programs that are released, sums wrap and debug assertions
# are left out. The sanitizer comes with the compiler; its flag is one of
# nightly's, allowed here alone.
stage_asan() {
    local host flags="-Zsanitizer=address --cfg inkstone_unit_tests --cfg inkstone_no_baseline"
    host=$(rustc -vV | sed -n 's/^host: //p')
    # Without `std` instruction sets are those of the target, so that of this machine is named.
    ! grep -qw avx2 /proc/cpuinfo || flags+=" -C target-feature=+avx2,+fma,+f16c"
    ! grep -qw avx512_vnni /proc/cpuinfo || flags+=",+avx512f,+avx512bw,+avx512vl,+avx512dq,+avx512vnni"
    # Of large shapes, all of them.
    local long=() name
    for name in products_around_the_blocks products_with_packed_weights_are weights_in_f16_give activations_in_f16_match \
        nan_and_infinity_propagate infinity_and_nan_among the_largest_sums_are sums_are_those_of sums_are_exact_on_every \
        the_largest_products_of requantized_outputs_are convolutions_match_f64 gradients_match_f64_on_every sums_are_added_to \
        the_naive_loops draws_have_the_right; do
        long+=(--skip "$name")
    done
    # Memory that is never given back is not what this is about.
    RUSTC_BOOTSTRAP=1 RUSTFLAGS=$flags CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_OPT_LEVEL=0 CARGO_PROFILE_DEV_DEBUG=0 \
        CARGO_PROFILE_DEV_DEBUG_ASSERTIONS=false CARGO_PROFILE_DEV_OVERFLOW_CHECKS=false \
        ASAN_OPTIONS=detect_leaks=0 PROPTEST_CASES=8 \
        cargo test --locked --no-default-features --target "$host" --target-dir target/asan --lib --test kernels_bounds -- "${long[@]}"
}

# What reads files, against bytes that libFuzzer makes up: most of the time for images, which devices read.
stage_fuzz() {
    # Its minute passes while the others are built.
    bash tests/fuzz/run.sh 60 image >target/fuzz-image.log 2>&1 &
    local image=$!
    bash tests/fuzz/run.sh 5 idx checkpoint picture model_toml
    wait $image || { cat target/fuzz-image.log >&2 && return 1; }
    cat target/fuzz-image.log
}

# The golden losses of PyTorch, derived once more without it.
stage_numpy() { python3 tests/pytorch/check_numpy.py; }

# ONNX files, in ONNX's checker and in ONNX Runtime.
stage_onnx() { cargo test --locked --test export_onnx -- --ignored --nocapture; }

# A newcomer's first command, shortened. Its program is built with the bench of the next stage, so that both wait for the library once.
stage_first-run() {
    local out
    cargo bench --locked --bench counted --no-run
    out=$(mktemp -d)
    target/release/inkstone train --epochs 1 --out "$out/run"
    target/release/inkstone eval "$out/run" --json
    rm -r "$out"
}

stage_count() { bash tests/instructions.sh; }

# FOLDER BOARD:PROGRAM:PROFILE[:IMAGE]..., one after the other, built in one folder.
on_boards() {
    local folder=$1 run board program profile image
    for run in "${@:2}"; do
        IFS=: read -r board program profile image <<<"$run"
        env MUST_COMPARE=1 BUILD_DIR="target/$folder" ${image:+"INKSTONE_MODEL=models/$image"} \
            bash firmware-notes/cortex-m/run.sh "$board" "$program" "$profile" || return 1
    done
}

# The same digits by generated C, with the same logits.
generated_c() {
    local image board level
    for image in cnn-tiny mlp-128; do
        target/release/inkstone export firmware-notes/cortex-m/models/$image.ink --format c --name digits --out target/c/$image
    done
    for board in microbit mps2-an385 mps2-an386 mps2-an500 mps2-an505; do
        for level in -Os -O2; do
            MUST_COMPARE=1 bash firmware-notes/c/run.sh target/c/cnn-tiny $board $level
        done
    done
    MUST_COMPARE=1 bash firmware-notes/c/run.sh target/c/mlp-128 microbit -Os
}

# The core on chips without an allocator: compared with plain loops there, in an emulator, and no allocator may be linked. Digits are
# classified there, with the logits of this machine; flash and RAM may not grow.
stage_cortex-m() {
    # Each build is one long step of the linker: two at a time.
    on_boards boards mps2-an386:kernels:release mps2-an386:digits:release mps2-an386:digits:release:mlp-128.ink \
        mps2-an500:digits:release mps2-an505:digits:release mps2-an385:digits:release mps2-an385:kernels:release >target/boards.log 2>&1 &
    local others=$!
    on_boards microbit microbit:kernels:release microbit:digits:small microbit:digits:small:mlp-128.ink microbit:exported:small
    SELF_TEST=1 on_boards microbit microbit:exported:small
    # With the images above, every kernel of bytes.
    for image in i8-chain i8-pixels-per-image; do
        INKSTONE_MODEL=../../tests/fuzz/corpus/image/$image.ink LINK_ONLY=1 BUILD_DIR=target/microbit \
            bash firmware-notes/cortex-m/run.sh microbit digits small || return 1
    done
    wait $others || { cat target/boards.log >&2 && return 1; }
    cat target/boards.log
    cargo build --release --locked
    generated_c
    # As users ask for it: by the command, beside the other executors.
    target/release/inkstone validate firmware-notes/cortex-m/models/cnn-tiny.ink --firmware firmware-notes/cortex-m --boards microbit \
        --board-digits 20
}

# The kernels where an address has 32 bits, on this machine itself.
stage_i686() {
    local target=i686-unknown-linux-gnu
    export CARGO_TARGET_I686_UNKNOWN_LINUX_GNU_LINKER=gcc
    export CARGO_TARGET_I686_UNKNOWN_LINUX_GNU_RUSTFLAGS="--cfg inkstone_unit_tests -C debuginfo=0"
    local words=(test --locked --lib --no-default-features --target $target)
    if has_target $target; then
        cargo "${words[@]}" -- --nocapture kernels
    else
        debian_cargo "${words[@]}" -Zbuild-std=std,panic_abort,panic_unwind,test --target-dir target/debian -- --nocapture kernels
    fi
}

# The kernels on another architecture, under emulation: with dot products and half precision (max), and without (cortex-a72).
stage_aarch64() {
    local target=aarch64-unknown-linux-gnu
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS="--cfg inkstone_unit_tests" # nothing that only benches need
    local words=(test --locked --lib --no-default-features --target $target)
    has_target $target || words+=(-Zbuild-std=std,panic_abort,panic_unwind,test --target-dir target/debian)
    local cpu tests cargo=cargo
    has_target $target || cargo=debian_cargo
    for cpu in max cortex-a72; do
        export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -cpu $cpu -L /usr/aarch64-linux-gnu"
        tests=(kernels)
        # What the newer one adds is sums of bytes; the rest would only run twice.
        [ $cpu = max ] || tests=(kernels::isa kernels::gemm_i8 kernels::conv_i8)
        $cargo "${words[@]}" -- --nocapture "${tests[@]}" | tee "target/aarch64-$cpu.log"
        must_have_run neon "target/aarch64-$cpu.log"
    done
    must_have_run dotprod target/aarch64-max.log
}

# The kernels on WebAssembly with simd128, under node; without vectors the core must compile for it too.
stage_wasm() {
    local target=wasm32-wasip1 bare=wasm32-unknown-unknown cargo=cargo words check
    # One big crate, built once: no line tables, and few parts, as each holds copies of what it inlines.
    local flags="--cfg inkstone_unit_tests -C target-feature=+simd128 -C debuginfo=0 -C codegen-units=8"
    words=(test --locked --lib --no-default-features --target $target)
    if ! has_target $target; then
        # The linker is that of the host's toolchain, the C library Debian's: Debian's compiler comes with neither. The library knows
        # no threads, and calls to what it lacks trap.
        local libc=/usr/lib/wasm32-wasi
        CARGO_TARGET_WASM32_WASIP1_LINKER=$(rustc --print sysroot)/lib/rustlib/$(rustc -vV | sed -n 's/^host: //p')/bin/rust-lld
        export CARGO_TARGET_WASM32_WASIP1_LINKER
        flags+=" -C link-self-contained=no -C link-arg=$libc/crt1-command.o -L native=$libc -C link-arg=--unresolved-symbols=ignore-all"
        words+=(-Zbuild-std=std,panic_abort,test --target-dir target/debian)
        cargo=debian_cargo
    fi
    export CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS=$flags
    # Later versions of node need no flag for it.
    export CARGO_TARGET_WASM32_WASIP1_RUNNER="node --no-warnings --experimental-wasi-unstable-preview1 tests/wasm/run.mjs"
    CARGO_INCREMENTAL=0 $cargo "${words[@]}" --no-run
    # Nothing of this one runs.
    export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS="-C opt-level=0 -C debuginfo=0"
    check=(check --locked --lib --no-default-features --target $bare)
    if has_target $bare; then
        cargo "${check[@]}" >target/wasm.log 2>&1 &
    else
        debian_cargo "${check[@]}" -Zbuild-std=core --target-dir target/debian >target/wasm.log 2>&1 &
    fi
    local core=$!
    CARGO_INCREMENTAL=0 $cargo "${words[@]}" -- --nocapture kernels | tee target/wasm-tests.log
    must_have_run simd128 target/wasm-tests.log
    wait $core || { cat target/wasm.log >&2 && return 1; }
}

mkdir -p target
for stage in "${stages[@]}"; do
    start=$(date +%s)
    echo "== $stage"
    "stage_$stage"
    echo "== $stage: $(($(date +%s) - start)) s"
done
echo "all stages passed"
