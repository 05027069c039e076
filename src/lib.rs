//! Inkstone trains handwriting-recognition networks on CPU-only servers and deploys them, quantized, to microcontrollers.
#![cfg_attr(not(feature = "std"), no_std)]

#[cfg(feature = "alloc")]
extern crate alloc;

pub mod error;
pub mod kernels;
pub mod view;
