# What the run.sh of `cortex-m` and that of `c` share. They say which `board` it is, which `elf`, and which `symbols` are in it.

# What is not there is named with where it comes from.
need() { command -v "$1" >/dev/null || { echo "run.sh: $1 not found: it comes with $2" >&2 && exit 127; }; }

# PATTERN WHAT: nothing of such a name may be linked.
refuse() {
    if grep -E "$1" <<<"$symbols"; then
        echo "$elf links $2" >&2
        exit 1
    fi
}

emulate() {
    timeout 120 qemu-system-arm -machine "$board" -nographic -icount shift=0 -semihosting-config enable=on,target=native -kernel "$1"
}

# Where the file $1 of the data set lies, by any of the names that copies have: with a dash or a dot, plain or compressed.
find_idx() {
    local file data_dir=${INKSTONE_DATA:-../../data/mnist}
    for file in "$data_dir/$1" "$data_dir/$1.gz" "$data_dir/${1/-idx/.idx}" "$data_dir/${1/-idx/.idx}.gz"; do
        if [ -f "$file" ]; then
            echo "$file"
            return
        fi
    done
    echo "no file $1 or $1.gz in $data_dir" >&2
    return 1
}

# FOLDER COUNT: so many digits and labels of the test set, as programs on boards read them: by fixed names, from where QEMU is started.
write_digits() {
    local images labels
    images=$(find_idx t10k-images-idx3-ubyte)
    labels=$(find_idx t10k-labels-idx1-ubyte)
    zcat --force "$images" 2>/dev/null | head -c $((16 + 784 * $2)) | tail -c +17 >"$1/digits.bin" || true
    zcat --force "$labels" 2>/dev/null | head -c $((8 + $2)) | tail -c +9 >"$1/labels.bin" || true
}

# LIST MODEL COUNT OUTPUT: on every machine the same logits; the host's stand in the list. What it has of them is left in `want`.
same_logits() {
    local got
    want=$(awk -v model="$2" -v count="$3" '$1 == model && $2 == count { print $3 }' "$1")
    got=$(awk '$1 == "logits" { print $2 }' "$4")
    if [ -n "$want" ] && [ "$want" != "$got" ]; then
        echo "the logits of $2 are not the host's: $got instead of $want" >&2
        exit 1
    fi
}

# OUTPUT: bytes of variables and of the stack at its deepest.
ram_of() {
    awk '$1 == "RAM:" && $2 == "all" { static = $4 } $2 == "stack" { stack = $3 } END { print static + stack }' "$1"
}

instructions_of() { awk '/ instructions a digit$/ { print $1 }' "$1"; }

# PROFILE MODEL: nothing may grow by three parts in a hundred above sizes.txt; what shrinks does so in silence. `found` has the numbers,
# `what` says of what.
gate() {
    local recorded before i
    if [ "$ram" -le 0 ]; then
        echo "$board says nothing of its RAM" >&2
        exit 1
    fi
    echo "$board $1 $2 ${found[*]}"
    recorded=$(awk -v board="$board" -v profile="$1" -v model="$2" \
        '$1 == board && $2 == profile && $3 == model { $1 = $2 = $3 = ""; print }' sizes.txt)
    if [ -z "$recorded" ] || [ -z "$want" ]; then
        echo "no recorded size or logits of it: nothing to compare with"
        [ -z "${MUST_COMPARE:-}" ] || exit 1 # tests, whose boards and images are recorded
        return 0
    fi
    read -ra before <<<"$recorded"
    for i in "${!what[@]}"; do
        if [ $((100 * found[i])) -gt $((103 * before[i])) ]; then
            echo "$board: ${found[i]} ${what[i]}, recorded ${before[i]}" >&2
            exit 1
        fi
    done
}
