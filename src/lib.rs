//! Inkstone trains handwriting-recognition networks on CPU-only servers: one crate, one command, the real MNIST digits included.
//!
//! # The tour
//! The rooms stand in the order in which data passes through them; arrows between them point one way.
//!
//! | room | what comes in | what goes out |
//! |---|---|---|
//! | [`data`] | IDX files, gzip, pictures | normalised, shuffled batches |
//! | [`graph`] | a list of operations | shapes, parameters, one arena planned by lifetime |
//! | [`train`] | a graph and batches | weights, metrics, checkpoints |
//! | [`study`] | the name of a published report | its figures beside ours, its claims decided |
//! | [`report`] | results of studies | one page of plots and tables |
//! | [`checkpoint`] | weights and optimizer state | safetensors that PyTorch reads, runs that resume to the same bytes |
//! | [`quant`] | a graph, weights, training images | a program for a device, in bytes or floats, and what it loses |
//! | [`export`] | that program | an image; the same as C, Rust, ONNX |
//! | [`runtime`] | an image and pixels | logits, without an allocator, the same integers everywhere |
//! | [`bench`](mod@bench) | instruction sets and threads | speeds of the kernels, in percent of what the machine does at most |
//!
//! Under them all lie [`kernels`] (arithmetic on slices, compiled once for each instruction set), [`view`] and [`shape`] (sizes,
//! checked once), [`error`], and [`reference`](mod@reference): the plain loops that the kernels are tested and timed against.
//!
//! # Features
//! One additive chain; each link holds all before it.
//!
//! | feature | adds |
//! |---|---|
//! | (none) | `no_std`, no allocator: kernels, views, the runtime of images, operations and their shapes |
//! | `alloc` | graphs and plans |
//! | `std` | files: data sets, checkpoints, images; detection of instruction sets at run time |
//! | `train` | training on all cores, gradient checks |
//! | `cli` (default) | the command `inkstone`, the page of the studies |
//!
//! Beside the chain stands `peers`: two other crates' matrix products in `inkstone bench`.
//!
//! # One product
//! ```
//! use inkstone::kernels::{Epilogue, matmul, matmul_scratch_len};
//! use inkstone::view::{Mat, MatMut};
//!
//! let (a, b, mut c) = ([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0], [0.0; 4]);
//! let mut scratch = [0.0; matmul_scratch_len(2, 2, 2)];
//! let (a, b) = (Mat::new(&a, 2, 2)?, Mat::new(&b, 2, 2)?);
//! matmul(MatMut::new(&mut c, 2, 2)?, a, b, Epilogue::default(), &mut scratch)?;
//! assert_eq!(c, [19.0, 22.0, 43.0, 50.0]);
//! # Ok::<(), inkstone::error::ShapeError>(())
//! ```
#![cfg_attr(not(feature = "std"), no_std)]

#[cfg(feature = "alloc")]
extern crate alloc;

#[cfg(feature = "train")]
pub mod bench;
#[cfg(feature = "std")]
pub mod checkpoint;
#[cfg(feature = "std")]
pub mod data;
pub mod error;
#[cfg(feature = "std")]
pub mod export;
pub mod graph;
pub mod kernels;
#[cfg(feature = "std")]
mod nearest;
#[cfg(feature = "std")]
pub mod quant;
pub mod reference;
#[cfg(feature = "cli")]
pub mod report;
pub mod runtime;
pub mod shape;
#[cfg(feature = "train")]
pub mod study;
#[cfg(feature = "train")]
pub mod train;
pub mod view;

/// The code of that page compiles.
#[cfg(all(doctest, feature = "std"))]
#[doc = include_str!("../firmware-notes/UPDATING.md")]
struct Updating;
