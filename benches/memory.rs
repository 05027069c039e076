//! Passes over memory (conversions, requantization, poolings, softmax, activations, optimizer updates, and what lies between the products of
//! quantized networks, or of training) beside plain loops, in one run, on one thread.
//!
//! First a table, timed in turns: microseconds, bytes a second, and their share of the speed of reading as many. Then the same benches
//! through criterion. `cargo bench --bench memory -- --table` prints the table alone; further words choose benches by name.

#[path = "common/driver.rs"]
mod driver;

use inkstone::bench::{Case, memory, memory_i8, memory_train};

fn cases() -> Vec<Case> {
    [memory::cases(), memory_i8::cases(), memory_train::cases()].into_iter().flatten().collect()
}

fn main() {
    driver::main(cases, None);
}
