//! Whole networks by the device runtime, one digit at a time and in batches, on one thread, beside the same without vectors.
//!
//! First a table, timed in turns: microseconds, operations a second, and their share of the machine's peak or of reading the constants.
//! Then the same benches through criterion. `cargo bench --bench inference -- --table` prints the table alone; further words choose
//! benches by name.

#[path = "common/driver.rs"]
mod driver;

use inkstone::bench::inference;

fn main() {
    driver::main(inference::cases, None);
}
