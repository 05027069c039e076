//! Convolutions in single precision and their gradients, beside the naive loops, in one run.
//!
//! First a table, timed in turns: microseconds, effective operations a second (those of the definition, so a transform that saves some
//! can pass the peak) and their share of the peak of the threads used, which is timed in the same turns. Then the same benches
//! through criterion. `cargo bench --bench conv_f32 -- --table` prints the table alone; further words choose benches by name.

#[path = "common/driver.rs"]
mod driver;

use inkstone::bench::conv_f32;

fn main() {
    driver::main(conv_f32::cases, u64::MAX, None);
}
