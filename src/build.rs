//! Says which targets have instructions that no stable `cfg` tells of.

fn main() {
    println!("cargo::rerun-if-changed=src/build.rs");
    println!("cargo::rustc-check-cfg=cfg(inkstone_dsp)");
    let target = std::env::var("TARGET").unwrap_or_default();
    // Cortex-M4 and M7: the DSP extension is what their names have before `thumbv7m`'s.
    if target.starts_with("thumbv7em-") {
        println!("cargo::rustc-cfg=inkstone_dsp");
    }
}
