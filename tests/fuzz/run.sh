#!/usr/bin/env bash
# Feeds the readers with bytes that libFuzzer makes up, SECONDS for each target: `tests/fuzz/run.sh SECONDS [TARGET..]`.
# Builds what cargo-fuzz would build, without it. Ends with an error, and names the input, if a reader panics, takes more than ten
# seconds or two gigabytes, or touches memory that is not its own.
set -euo pipefail
cd "$(dirname "$0")"

seconds=${1:?seconds for each target}
shift
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(image idx checkpoint picture model_toml)

host=$(rustc -vV | sed -n 's/^host: //p')
# Coverage and the sanitizer are flags of nightly's compiler, allowed here alone; without the baseline set of instructions, all of whose
# code is safe, a third less is built.
flags="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
flags+=" -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
flags+=" --cfg fuzzing --cfg inkstone_no_baseline -Zsanitizer=address"
# Training is built only for what needs it.
plain=() train=()
for target in "${targets[@]}"; do
    if [ "$target" = model_toml ]; then train+=(--bin "$target"); else plain+=(--bin "$target"); fi
done
build() { RUSTC_BOOTSTRAP=1 RUSTFLAGS=$flags cargo build --locked --quiet --release --target "$host" --target-dir target "$@"; }
[ ${#plain[@]} -eq 0 ] || build "${plain[@]}"
[ ${#train[@]} -eq 0 ] || build --features train "${train[@]}"

# Files that readers read lie in memory.
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm
for target in "${targets[@]}"; do
    # What is found new goes to the first folder, and stays for the next time.
    mkdir -p "target/corpus/$target" target/crashes
    log=target/$target.log
    if ! ASAN_OPTIONS=detect_leaks=0 "target/$host/release/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
        -max_len=4096 -artifact_prefix="target/crashes/$target-" -print_final_stats=1 "target/corpus/$target" "corpus/$target" \
        >"$log" 2>&1; then
        grep -avE '^#[0-9]+.*(NEW|REDUCE|pulse|INITED)' "$log" | tail -n 60
        echo "fuzzing $target failed; once more with: tests/fuzz/target/$host/release/$target INPUT, where INPUT is"
        sed -n 's/.*Test unit written to /tests\/fuzz\//p' "$log"
        exit 1
    fi
    echo "$target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs, $(grep -a -o 'cov: [0-9]*' "$log" | tail -n 1), nothing found"
done
