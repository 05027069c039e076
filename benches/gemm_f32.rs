//! f32 matrix products of real layers: every instruction set, the naive reference and two peers, in one run.
//!
//! First a table, timed in turns: microseconds, GFLOP/s, percent of the peak (what the multiply-add loop reached on one thread between
//! the same turns, times the threads), and, for one row times a matrix above all, the share of the speed of reading the same bytes.
//! Then the same benches through criterion.
//! `cargo bench --bench gemm_f32 -- --table` prints the table alone; further words choose benches by name.

#[path = "common/driver.rs"]
mod driver;
#[path = "../src/kernels/arch/peers.rs"]
mod peers;

use inkstone::bench::{Case, gemm_f32, pixels};

fn cases() -> Vec<Case> {
    gemm_f32::cases().into_iter().chain(pixels::cases()).collect()
}

fn main() {
    driver::main(cases, Some(peers::PEERS));
}
