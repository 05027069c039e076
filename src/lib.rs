//! Inkstone trains handwriting-recognition networks on CPU-only servers and deploys them, quantized, to microcontrollers.
#![cfg_attr(not(feature = "std"), no_std)]

#[cfg(feature = "alloc")]
extern crate alloc;

#[cfg(feature = "std")]
pub mod checkpoint;
#[cfg(feature = "std")]
pub mod data;
pub mod error;
pub mod graph;
pub mod kernels;
pub mod reference;
pub mod shape;
#[cfg(feature = "train")]
pub mod train;
pub mod view;
