//! Arithmetic on slices: knows no layers, files or threads (but for [`parallel`]).
//!
//! Every kernel is written once over the `Simd` trait and compiled for each instruction set; [`Isa`] chooses.
//! Scratch memory is the caller's: a `const fn ..._len` says how much.
//!
//! Three instruction sets of every tile shape are a minute's work for the compiler. With `std` that is done once, in the library, for every
//! program, test and bench. Without it the larger kernels are `#[inline]`: firmware compiles those that it calls and no other.

pub mod affine;
mod arch;
pub mod batch_norm;
pub mod columns;
pub mod conv;
pub mod conv_f16;
pub mod conv_i8;
pub mod convert;
mod cut;
pub mod dropout;
mod element;
pub mod elementwise;
pub mod elementwise_i8;
mod epilogue;
pub mod gemm_f16;
pub mod gemm_f32;
pub mod gemm_i8;
mod isa;
mod map;
#[cfg(feature = "train")]
pub mod parallel;
#[cfg(feature = "train")]
mod parts;
pub mod peak;
mod piece;
pub mod pixels;
pub mod pool;
pub mod pool_i8;
pub mod requantize;
mod simd;
pub mod softmax;
pub mod standardize_i8;
#[cfg(test)]
mod testing;
#[cfg(feature = "train")]
pub mod update;

pub use epilogue::{Activation, Epilogue};
pub use gemm_f32::{matmul, matmul_scratch_len, matmul_with};
pub use half::f16;
pub use isa::{ISA_NAMES, Isa, IsaError};
