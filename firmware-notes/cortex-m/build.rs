//! Writes `memory.x`, the memory map of the board, where the linker looks for it, and says which image `digits` includes.

use std::env::var;
use std::fs::write;
use std::path::Path;

/// Feature, flash and RAM.
const BOARDS: [(&str, &str, &str); 5] = [
    ("MICROBIT", "ORIGIN = 0x00000000, LENGTH = 256K", "ORIGIN = 0x20000000, LENGTH = 16K"),
    ("MPS2_AN385", "ORIGIN = 0x00000000, LENGTH = 4M", "ORIGIN = 0x20000000, LENGTH = 4M"),
    ("MPS2_AN386", "ORIGIN = 0x00000000, LENGTH = 4M", "ORIGIN = 0x20000000, LENGTH = 4M"),
    ("MPS2_AN500", "ORIGIN = 0x00000000, LENGTH = 4M", "ORIGIN = 0x20000000, LENGTH = 4M"),
    // It starts in the secure state, whose addresses have bit 28 set.
    ("MPS2_AN505", "ORIGIN = 0x10000000, LENGTH = 4M", "ORIGIN = 0x38000000, LENGTH = 4M"),
];

fn main() {
    let board = |(name, _, _): &&(&str, &str, &str)| var(format!("CARGO_FEATURE_{name}")).is_ok();
    let Some((_, flash, ram)) = BOARDS.iter().find(board) else {
        panic!("choose the board: --features microbit, mps2-an385, mps2-an386, mps2-an500 or mps2-an505");
    };
    let out = var("OUT_DIR").expect("cargo sets OUT_DIR");
    let memory = format!("MEMORY\n{{\n  FLASH : {flash}\n  RAM : {ram}\n}}\n");
    write(Path::new(&out).join("memory.x"), memory).expect("memory.x can be written to OUT_DIR");
    println!("cargo::rustc-link-search={out}");
    println!("cargo::rerun-if-changed=build.rs");

    println!("cargo::rerun-if-env-changed=INKSTONE_MODEL");
    let here = var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let model = var("INKSTONE_MODEL").unwrap_or_else(|_| "models/cnn-tiny.ink".into());
    let model = Path::new(&here).join(model); // an absolute path stays as it is
    println!("cargo::rustc-env=INKSTONE_MODEL={}", model.display());
    println!("cargo::rerun-if-changed={}", model.display());
}
