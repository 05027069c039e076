//! Bytes in, batches out: IDX files, splits, normalisation, shuffling, and pictures of single digits.
//!
//! In come files that nobody vouches for; out go a checked [`Dataset`] and rows of `f32` pixels.
//! The next room is `train`. Every random choice is a pure function of its seed, see [`random`].

pub mod ascii;
pub mod augment;
pub mod batch;
pub mod dataset;
mod error;
pub mod idx;
pub mod normalize;
pub mod picture;
pub mod random;
pub mod shuffle;
pub mod split;

pub use augment::Augment;
pub use dataset::{Dataset, Source, Splits, find_mnist, load, verify};
pub use error::DataError;
pub use normalize::{Normalize, NormalizeKind};
pub use shuffle::permutation;
pub use split::{ValSize, split};
