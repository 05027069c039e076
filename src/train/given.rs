//! In which form a batch is given to a network: all of it in floats, some of its columns, or its raw bytes.

use crate::error::ShapeError;
use crate::kernels::columns::Columns;
use crate::kernels::pixels::Pixels;
use std::ops::Range;

/// What the next batch was filled with, but for floats, which lie in the arena.
#[derive(Clone, Debug, Default)]
pub(super) struct Given {
    form: Form,
    /// The columns, if these alone are given.
    runs: Vec<Range<usize>>,
    /// The bytes of all rows, if these are given.
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default)]
enum Form {
    #[default]
    Whole,
    Columns,
    /// Bytes, with the scale and the offset that make numbers of them.
    Pixels([f32; 2]),
}

/// A batch as its first layer sees it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shown<'a> {
    /// All of it lies in the arena.
    Whole,
    /// These columns lie in the arena; the others are 0.
    Columns(Columns<'a>),
    /// Its bytes lie here.
    Pixels(Pixels<'a>),
}

impl Given {
    /// With room for rows of so many elements, and for so many bytes.
    pub(super) fn new(width: usize, bytes: usize) -> Self {
        Self { form: Form::Whole, runs: Vec::with_capacity(width / 2 + 1), bytes: vec![0; bytes] }
    }

    /// Most bytes of a batch.
    pub(super) fn capacity(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn whole(&mut self) {
        self.form = Form::Whole;
    }

    pub(super) fn columns(&mut self, runs: &[Range<usize>]) {
        self.form = Form::Columns;
        self.runs.clear();
        self.runs.extend_from_slice(runs);
    }

    /// Where `len` bytes go.
    pub(super) fn pixels_mut(&mut self, len: usize, affine: [f32; 2]) -> Result<&mut [u8], ShapeError> {
        self.form = Form::Pixels(affine);
        let got = self.bytes.len();
        self.bytes.get_mut(..len).ok_or(ShapeError::TooShort { what: "the bytes of a batch", needed: len, got })
    }

    /// The first `len` bytes, and what makes numbers of them, if bytes are given.
    pub(super) fn given_pixels(&mut self, len: usize) -> Option<(&mut [u8], [f32; 2])> {
        let Form::Pixels(affine) = self.form else { return None };
        Some((self.bytes.get_mut(..len)?, affine))
    }

    /// The batch of `rows` rows of `width` elements.
    pub(super) fn shown(&self, rows: usize, width: usize) -> Result<Shown<'_>, ShapeError> {
        Ok(match self.form {
            Form::Whole => Shown::Whole,
            Form::Columns => Shown::Columns(Columns::new(&self.runs, width)?),
            Form::Pixels([scale, offset]) => {
                let needed = rows.checked_mul(width).ok_or(ShapeError::Overflow)?;
                let got = self.bytes.len();
                let bytes = self.bytes.get(..needed);
                let bytes = bytes.ok_or(ShapeError::TooShort { what: "the bytes of a batch", needed, got })?;
                Shown::Pixels(Pixels::new(bytes, rows, width, scale, offset)?)
            }
        })
    }
}
