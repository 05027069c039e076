//! Matrices over borrowed slices: shape and strides, checked once when the view is built, so that kernels need not.

use crate::error::ShapeError;

/// A read-only matrix: `rows` by `cols` elements of a slice, in either order.
#[derive(Clone, Copy, Debug)]
pub struct Mat<'a, T = f32> {
    data: &'a [T],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize, // one of the two strides is 1
}

/// Elements that `rows` rows of `cols` columns span at `row_stride`.
const fn span(rows: usize, cols: usize, row_stride: usize) -> Result<usize, ShapeError> {
    if row_stride < cols {
        return Err(ShapeError::Stride { row_stride, cols });
    }
    if rows == 0 || cols == 0 {
        return Ok(0);
    }
    match (rows - 1).checked_mul(row_stride) {
        Some(last) => match last.checked_add(cols) {
            Some(span) => Ok(span),
            None => Err(ShapeError::Overflow),
        },
        None => Err(ShapeError::Overflow),
    }
}

/// What kernels take for the distance of rows. Where no row follows another any one is legal, and a huge one would overflow in the first
/// product with it.
#[inline]
const fn distance(rows: usize, cols: usize, row_stride: usize) -> usize {
    if rows > 1 && cols > 0 { row_stride } else { cols }
}

impl<'a, T> Mat<'a, T> {
    /// Rows that follow each other without a gap.
    ///
    /// # Errors
    /// [`ShapeError::TooShort`] if `data` holds fewer than `rows * cols` elements, [`ShapeError::Overflow`] if that product overflows.
    #[inline]
    pub const fn new(data: &'a [T], rows: usize, cols: usize) -> Result<Self, ShapeError> {
        Self::with_row_stride(data, rows, cols, cols)
    }

    /// Rows that start `row_stride` elements apart.
    ///
    /// # Errors
    /// [`ShapeError::Stride`] if rows would overlap, [`ShapeError::TooShort`] if `data` ends before the last row does.
    #[inline]
    pub const fn with_row_stride(
        data: &'a [T],
        rows: usize,
        cols: usize,
        row_stride: usize,
    ) -> Result<Self, ShapeError> {
        match span(rows, cols, row_stride) {
            Ok(needed) if needed <= data.len() => {
                Ok(Self { data, rows, cols, row_stride: distance(rows, cols, row_stride), col_stride: 1 })
            }
            Ok(needed) => Err(ShapeError::TooShort { what: "a matrix", needed, got: data.len() }),
            Err(error) => Err(error),
        }
    }

    /// The transpose: the same elements, rows and columns exchanged.
    #[inline]
    #[must_use]
    pub const fn t(self) -> Self {
        Self {
            data: self.data,
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
        }
    }

    /// Number of rows.
    #[inline]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    #[inline]
    pub const fn cols(&self) -> usize {
        self.cols
    }

    /// Rows `from..to`.
    ///
    /// # Panics
    /// If the range does not lie inside the matrix.
    #[inline(always)]
    #[must_use]
    pub fn rows_range(self, from: usize, to: usize) -> Self {
        assert!(from <= to && to <= self.rows);
        Self { data: self.data.get(from * self.row_stride..).unwrap_or_default(), rows: to - from, ..self }
    }

    /// Columns `from..to`.
    ///
    /// # Panics
    /// If the range does not lie inside the matrix.
    #[inline(always)]
    #[must_use]
    pub fn cols_range(self, from: usize, to: usize) -> Self {
        self.t().rows_range(from, to).t()
    }

    #[inline(always)]
    pub(crate) const fn data(&self) -> &'a [T] {
        self.data
    }

    #[inline(always)]
    pub(crate) const fn row_stride(&self) -> usize {
        self.row_stride
    }

    #[inline(always)]
    pub(crate) const fn col_stride(&self) -> usize {
        self.col_stride
    }
}

/// A matrix to write to: row-major, rows `row_stride` elements apart.
#[derive(Debug)]
pub struct MatMut<'a, T = f32> {
    data: &'a mut [T],
    rows: usize,
    cols: usize,
    row_stride: usize,
}

impl<'a, T> MatMut<'a, T> {
    /// Rows that follow each other without a gap.
    ///
    /// # Errors
    /// As [`Mat::new`].
    #[inline]
    pub const fn new(data: &'a mut [T], rows: usize, cols: usize) -> Result<Self, ShapeError> {
        Self::with_row_stride(data, rows, cols, cols)
    }

    /// Rows that start `row_stride` elements apart; what lies between them is left alone.
    ///
    /// # Errors
    /// As [`Mat::with_row_stride`].
    #[inline]
    pub const fn with_row_stride(
        data: &'a mut [T],
        rows: usize,
        cols: usize,
        row_stride: usize,
    ) -> Result<Self, ShapeError> {
        match span(rows, cols, row_stride) {
            Ok(needed) if needed <= data.len() => {
                Ok(Self { data, rows, cols, row_stride: distance(rows, cols, row_stride) })
            }
            Ok(needed) => Err(ShapeError::TooShort { what: "the output", needed, got: data.len() }),
            Err(error) => Err(error),
        }
    }

    /// Number of rows.
    #[inline]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    #[inline]
    pub const fn cols(&self) -> usize {
        self.cols
    }

    #[inline(always)]
    pub(crate) fn into_parts(self) -> (&'a mut [T], usize, usize, usize) {
        (self.data, self.rows, self.cols, self.row_stride)
    }
}
