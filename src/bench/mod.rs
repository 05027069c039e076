//! What the benches time: products, convolutions and passes over memory of real layers, every answer checked before its clock starts; of
//! passes that write several things (maxima and their places, weights and moments) the first: tests hold the others.
//!
//! In come a [`Setup`] (instruction sets, threads) and a [`Pace`]; out go [`Row`]s: seconds, operations and bytes a second, and their
//! share of what the machine does at most, timed in the same turns. The command `inkstone bench` and the criterion benches share this
//! room; no other room calls it.
//!
//! A family is a file with a function `cases`.

mod case;
pub mod conv_f16;
pub mod conv_f32;
pub mod conv_i8;
mod cost;
mod error;
mod family;
pub mod gemm_f16;
pub mod gemm_f32;
pub mod gemm_i8;
pub mod inference;
mod measure;
pub mod memory;
pub mod memory_i8;
pub mod memory_train;
pub mod operands;
mod pass;
mod peer;
pub mod pixels;
mod plain;
mod row;
mod setup;
#[cfg(test)]
mod tests;
pub mod thresholds;
pub mod timing;
mod verify;
mod way;

pub use case::{Case, Then};
pub use cost::{Arithmetic, Bound, Cost};
pub use error::{BenchError, Cause};
pub use family::Family;
pub use measure::{Meter, Peaks};
pub use peer::{Peer, Peers, Product, Write};
pub use row::Row;
pub use setup::Setup;
pub use timing::Pace;
pub use way::{Variant, Way};

/// Every case of every family, in the order of [`Family::ALL`].
#[must_use]
pub fn cases() -> Vec<Case> {
    let families = [
        gemm_f32::cases,
        pixels::cases,
        gemm_f16::cases,
        gemm_i8::cases,
        conv_f32::cases,
        conv_f16::cases,
        conv_i8::cases,
        memory::cases,
        memory_i8::cases,
        memory_train::cases,
        inference::cases,
    ];
    families.into_iter().flat_map(|cases| cases()).collect()
}
