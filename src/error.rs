//! Why an operation refused its operands: small `Copy` enums, so that a device returns the same value as a server.

use core::fmt;

/// Shapes, strides and buffer lengths that do not fit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShapeError {
    /// The inner sizes of a product differ.
    InnerDim {
        /// Columns of the left operand.
        a_cols: usize,
        /// Rows of the right operand.
        b_rows: usize,
    },
    /// The output has another shape than the product.
    OutputDim {
        /// Rows and columns that the product has.
        expected: [usize; 2],
        /// Rows and columns of the output given.
        got: [usize; 2],
    },
    /// A buffer holds fewer elements than its shape needs.
    TooShort {
        /// What the buffer is for.
        what: &'static str,
        /// Elements needed.
        needed: usize,
        /// Elements given.
        got: usize,
    },
    /// Two operands that go element by element have different lengths.
    Length {
        /// What the second operand is.
        what: &'static str,
        /// Elements expected.
        expected: usize,
        /// Elements given.
        got: usize,
    },
    /// Rows would overlap: the stride between them is smaller than a row.
    Stride {
        /// Elements from one row to the next.
        row_stride: usize,
        /// Columns of the matrix.
        cols: usize,
    },
    /// A number is outside the range that the operation is defined on.
    Range {
        /// What the number is.
        what: &'static str,
        /// Smallest allowed.
        min: i64,
        /// Largest allowed.
        max: i64,
        /// The number given.
        got: i64,
    },
    /// A number that need not be whole is outside the range that the operation is defined on, or NaN.
    Number {
        /// What the number is.
        what: &'static str,
        /// What is allowed, in words.
        expected: &'static str,
        /// The number given, as [`f32::to_bits`] has it: floats are not `Eq`.
        got: u32,
    },
    /// A product of sizes does not fit in `usize`.
    Overflow,
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::InnerDim { a_cols, b_rows } => {
                write!(f, "A has {a_cols} columns but B has {b_rows} rows")
            }
            Self::OutputDim { expected: [m, n], got: [r, c] } => {
                write!(f, "the product is {m} x {n} but the output is {r} x {c}")
            }
            Self::TooShort { what, needed, got } => {
                write!(f, "{what} needs {needed} elements but has {got}")
            }
            Self::Length { what, expected, got } => {
                write!(f, "{what} must have {expected} elements but has {got}")
            }
            Self::Stride { row_stride, cols } => {
                write!(f, "rows of {cols} columns overlap at a row stride of {row_stride}")
            }
            Self::Range { what, min, max, got } => write!(f, "{what}: expected {min} to {max}, found {got}"),
            Self::Number { what, expected, got } => {
                write!(f, "{what}: expected {expected}, found {}", f32::from_bits(got))
            }
            Self::Overflow => write!(f, "the product of the sizes does not fit in a machine word"),
        }
    }
}

impl core::error::Error for ShapeError {}

/// Refuses a buffer of another length.
pub(crate) const fn length(what: &'static str, expected: usize, got: usize) -> Result<(), ShapeError> {
    if got == expected { Ok(()) } else { Err(ShapeError::Length { what, expected, got }) }
}
