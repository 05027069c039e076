//! Where one way gives place to another, plain loops, dots, tiles in place, packed tiles and threads, direct and transformed convolutions, tiles
//! and dots of their gradients: every way that is possible, on both sides of each threshold, in one run. The way that is chosen is called `inkstone`; none should beat it by more than noise.
//!
//! `cargo bench --bench thresholds -- --table` prints the table alone; further words choose benches by name.

#[path = "common/driver.rs"]
mod driver;

use inkstone::bench::thresholds;

fn main() {
    driver::main(thresholds::cases, None);
}
