//! The instruction sets: each file implements [`Simd`](super::simd::Simd) for one. The only `unsafe` code of the crate is in here.

mod baseline;
mod scalar;
#[cfg(target_arch = "x86_64")]
mod x86_64;

pub(crate) mod band;
pub(crate) mod split;

pub(crate) use baseline::Baseline;
pub(crate) use scalar::{Scalar, half_to_single};
#[cfg(target_arch = "x86_64")]
pub(crate) use x86_64::Avx2;
