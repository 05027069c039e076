//! Matrix products with half-precision weights, beside the same products in single precision and, with all in half precision, by a
//! peer, in one run.
//!
//! First a table, timed in turns: microseconds, GFLOP/s, how many times as fast as ours in f32, and the bytes moved as a share of the
//! speed of reading them. Then the same benches through criterion. `cargo bench --bench gemm_f16 -- --table` prints the table alone;
//! further words choose benches by name.

#[path = "common/driver.rs"]
mod driver;
#[path = "../src/kernels/arch/peers.rs"]
mod peers;

use inkstone::bench::gemm_f16;

fn main() {
    driver::main(gemm_f16::cases, Some(peers::PEERS));
}
