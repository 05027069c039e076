//! Convolutions in single precision and their gradients, and those of one image with half-precision weights, beside the naive loops,
//! in one run.
//!
//! First a table, timed in turns: microseconds, effective operations a second (those of the definition, so a transform that saves some
//! can pass the peak), their share of the peak of the threads used, which is timed in the same turns, and for half precision how many
//! times as fast as ours in f32. Then the same benches through criterion. `cargo bench --bench conv_f32 -- --table` prints the table
//! alone; further words choose benches by name.

#[path = "common/driver.rs"]
mod driver;

use inkstone::bench::{Case, conv_f16, conv_f32};

fn main() {
    driver::main(cases, None);
}

fn cases() -> Vec<Case> {
    conv_f32::cases().into_iter().chain(conv_f16::cases()).collect()
}
