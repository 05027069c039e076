//! Says which targets have vectors, and which have instructions that no stable `cfg` tells of.

fn main() {
    println!("cargo::rerun-if-changed=src/build.rs");
    println!(
        "cargo::rustc-check-cfg=cfg(inkstone_armv8m, inkstone_dsp, inkstone_few_registers, inkstone_thumb, inkstone_vectors)"
    );
    // Where there are none, `wide` pretends: slower than plain code, and flash is scarce. A sanitizer has no use for it either, as all of
    // it is safe code: `--cfg inkstone_no_baseline` takes a third off its build.
    let features = std::env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    let wanted = std::env::var_os("CARGO_CFG_INKSTONE_NO_BASELINE").is_none();
    if wanted && features.split(',').any(|feature| ["sse2", "neon", "simd128"].contains(&feature)) {
        println!("cargo::rustc-cfg=inkstone_vectors");
    }
    let target = std::env::var("TARGET").unwrap_or_default();
    // Cortex-M of every kind.
    if ["thumbv6m-", "thumbv7m-", "thumbv7em-", "thumbv8m."].iter().any(|cores| target.starts_with(cores)) {
        println!("cargo::rustc-cfg=inkstone_thumb");
    }
    // Cortex-M0 and M23: most of their instructions reach eight registers.
    if target.starts_with("thumbv6m-") || target.starts_with("thumbv8m.base-") {
        println!("cargo::rustc-cfg=inkstone_few_registers");
    }
    // Cortex-M4 and M7: the DSP extension is what their names have before `thumbv7m`'s. M33 and its successors may have it or not, and
    // their target promises nothing: the processor that is compiled for does, as in `-C target-cpu=cortex-m33`.
    if target.starts_with("thumbv7em-") {
        println!("cargo::rustc-cfg=inkstone_dsp");
    } else if target.starts_with("thumbv8m.main-") && flags_promise_dsp() {
        println!("cargo::rustc-cfg=inkstone_dsp");
        println!("cargo::rustc-cfg=inkstone_armv8m");
    }
}

/// Whether the flags of the compiler name a processor with the DSP extension, or the extension.
fn flags_promise_dsp() -> bool {
    const CORES: [&str; 4] = ["cortex-m33", "cortex-m35p", "cortex-m55", "cortex-m85"];
    println!("cargo::rerun-if-env-changed=CARGO_ENCODED_RUSTFLAGS");
    let flags = std::env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let mut promised = false;
    // As words of their own or behind `-C`; of several the last counts, and an extension over a processor.
    let words = || flags.split('\u{1f}').map(|word| word.strip_prefix("-C").unwrap_or(word));
    for core in words().filter_map(|word| word.strip_prefix("target-cpu=")) {
        promised = CORES.contains(&core);
    }
    for feature in words().filter_map(|word| word.strip_prefix("target-feature=")).flat_map(|list| list.split(',')) {
        match feature {
            "+dsp" => promised = true,
            "-dsp" => promised = false,
            _ => {}
        }
    }
    promised
}
