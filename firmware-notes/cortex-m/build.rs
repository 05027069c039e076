//! Writes `memory.x`, the memory map of the board, where the linker looks for it.

use std::env::var;
use std::fs::write;
use std::path::Path;

/// Feature, flash and RAM.
const BOARDS: [(&str, &str, &str); 2] = [
    ("MPS2_AN386", "ORIGIN = 0x00000000, LENGTH = 4M", "ORIGIN = 0x20000000, LENGTH = 4M"),
    ("MICROBIT", "ORIGIN = 0x00000000, LENGTH = 256K", "ORIGIN = 0x20000000, LENGTH = 16K"),
];

fn main() {
    let board = |(name, _, _): &&(&str, &str, &str)| var(format!("CARGO_FEATURE_{name}")).is_ok();
    let Some((_, flash, ram)) = BOARDS.iter().find(board) else {
        panic!("choose the board: --features mps2-an386 or --features microbit");
    };
    let out = var("OUT_DIR").expect("cargo sets OUT_DIR");
    let memory = format!("MEMORY\n{{\n  FLASH : {flash}\n  RAM : {ram}\n}}\n");
    write(Path::new(&out).join("memory.x"), memory).expect("memory.x can be written to OUT_DIR");
    println!("cargo::rustc-link-search={out}");
    println!("cargo::rerun-if-changed=build.rs");
}
