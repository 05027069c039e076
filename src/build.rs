//! Says which targets have vectors, and which have instructions that no stable `cfg` tells of.

fn main() {
    println!("cargo::rerun-if-changed=src/build.rs");
    println!("cargo::rustc-check-cfg=cfg(inkstone_dsp, inkstone_few_registers, inkstone_vectors)");
    // Where there are none, `wide` pretends: slower than plain code, and flash is scarce. A sanitizer has no use for it either, as all of
    // it is safe code: `--cfg inkstone_no_baseline` takes a third off its build.
    let features = std::env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    let wanted = std::env::var_os("CARGO_CFG_INKSTONE_NO_BASELINE").is_none();
    if wanted && features.split(',').any(|feature| ["sse2", "neon", "simd128"].contains(&feature)) {
        println!("cargo::rustc-cfg=inkstone_vectors");
    }
    let target = std::env::var("TARGET").unwrap_or_default();
    // Cortex-M0 and M23: most of their instructions reach eight registers.
    if target.starts_with("thumbv6m-") || target.starts_with("thumbv8m.base-") {
        println!("cargo::rustc-cfg=inkstone_few_registers");
    }
    // Cortex-M4 and M7: the DSP extension is what their names have before `thumbv7m`'s.
    if target.starts_with("thumbv7em-") {
        println!("cargo::rustc-cfg=inkstone_dsp");
    }
}
