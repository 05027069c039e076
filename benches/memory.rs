//! Passes over memory (conversions, requantization, poolings, softmax, activations, optimizer updates) beside plain loops, in one run, on
//! one thread.
//!
//! First a table, timed in turns: microseconds, bytes a second, and their share of the speed of reading as many. Then the same benches
//! through criterion. `cargo bench --bench memory -- --table` prints the table alone; further words choose benches by name.

#[path = "common/driver.rs"]
mod driver;

use inkstone::bench::memory;

fn main() {
    driver::main(memory::cases, u64::MAX, None);
}
