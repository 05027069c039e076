//! Why a bench was not timed.

use crate::error::ShapeError;

/// A way to compute a case refused its operands, or its answer is wrong: nothing of the case is timed then.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{place}: {cause}")]
pub struct BenchError {
    /// The case, and the way: `gemm_f32/64x64x64, inkstone-avx2`.
    pub place: String,
    /// What is wrong there.
    pub cause: Cause,
}

/// What is wrong with a way.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// It refused its operands.
    #[error("{0}")]
    Shape(ShapeError),
    /// Its answer is not that of the plain loops.
    #[error("element {at} of the answer: expected {expected} within {tolerance:e}, found {found}")]
    Answer {
        /// Which element.
        at: usize,
        /// What it should be.
        expected: f64,
        /// How far off it may be.
        tolerance: f64,
        /// What it is.
        found: f64,
    },
}

impl From<ShapeError> for Cause {
    fn from(error: ShapeError) -> Self {
        Self::Shape(error)
    }
}

impl From<ShapeError> for BenchError {
    /// While the operands are made, before there is a way.
    fn from(error: ShapeError) -> Self {
        Self { place: "operands".to_owned(), cause: error.into() }
    }
}
