//! Convolutions of bytes, beside the same shapes in single precision and the naive loops, in one run, on one thread.
//!
//! First a table, timed in turns: microseconds, effective operations a second (those of the definition), their share of the peak of
//! 16-bit products summed in pairs, and how many times as fast as ours in f32 and as the naive loops. Then the same benches
//! through criterion. `cargo bench --bench conv_i8 -- --table` prints the table alone; further words choose benches by name.

#[path = "common/driver.rs"]
mod driver;

use inkstone::bench::conv_i8;

fn main() {
    driver::main(conv_i8::cases, None);
}
