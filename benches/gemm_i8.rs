//! Matrix products of bytes, beside the same shapes in single precision and the naive loop, in one run, on one thread.
//!
//! First a table, timed in turns: operations a second (multiplications and additions), the same as a share of the peak of 16-bit
//! products summed in pairs, and as a multiple of ours in f32. Then the same benches through criterion.
//! `cargo bench --bench gemm_i8 -- --table` prints the table alone; further words choose benches by name.

#[path = "common/driver.rs"]
mod driver;

use inkstone::bench::gemm_i8;

fn main() {
    driver::main(gemm_i8::cases, None);
}
