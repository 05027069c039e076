//! The instruction sets: each file implements [`Simd`](super::simd::Simd) for one. The only `unsafe` code of the crate is in
//! here: also that of strided views, and the calls of other crates' products that benches make (`peers.rs`, which they include).

#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
mod aarch64;
#[cfg(inkstone_thumb)]
mod arm;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(inkstone_vectors)]
mod baseline;
mod scalar;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod wasm32;
#[cfg(target_arch = "x86_64")]
mod x86_64;

pub(crate) mod band;
pub(crate) mod split;

#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
pub(crate) use aarch64::Neon;
#[cfg(target_arch = "x86_64")]
pub(crate) use avx512::Avx512;
#[cfg(inkstone_vectors)]
pub(crate) use baseline::Baseline;
pub(in crate::kernels) use scalar::scale;
pub(crate) use scalar::{Scalar, half_to_single};
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub(crate) use wasm32::Simd128;
#[cfg(target_arch = "x86_64")]
pub(crate) use x86_64::Avx2;
