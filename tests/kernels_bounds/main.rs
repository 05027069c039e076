//! Every public kernel stays within its slices, on every instruction set: nothing outside of an output or a scratch is written, no input
//! is changed, nothing but inputs decides what comes out. Lengths and sizes that do not fit, zero and overflowing ones among them, are
//! refused with an error before an output is begun, and nothing panics.

mod batch_norm;
mod bytes;
mod conv;
mod elementwise;
mod frame;
mod gemm_f32;
mod gemm_i8;
mod pixels;
mod pool;
mod resampling;
mod size;
#[cfg(feature = "train")]
mod threads;
#[cfg(feature = "train")]
mod update;
