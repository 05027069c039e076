//! The kernels that know threads: the same arithmetic, split over the current rayon pool, the same bits for any number of threads.

pub use super::gemm_f32::threads::{matmul, matmul_scratch_len};
