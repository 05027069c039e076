//! The sizes and the map of a resampling, checked once.

use crate::error::ShapeError;

/// Largest side of an image: a coordinate that far out is rounded by up to a sixteenth of a pixel.
pub const MAX_SIDE: usize = 1 << 20;

/// Sizes of a resampling: of images `[h, w]` to images `[oh, ow]`, one channel each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Warp {
    pub(super) h: usize,
    pub(super) w: usize,
    pub(super) oh: usize,
    pub(super) ow: usize,
}

impl Warp {
    /// From images of `input` rows and columns to such of `output` rows and columns.
    ///
    /// # Errors
    /// [`ShapeError::Range`] for a side of 0 or above [`MAX_SIDE`], [`ShapeError::Overflow`] for an image of more than `2³¹ − 1` pixels.
    pub const fn new(input: [usize; 2], output: [usize; 2]) -> Result<Self, ShapeError> {
        let ([h, w], [oh, ow]) = (input, output);
        let sides = [h, w, oh, ow];
        let mut i = 0;
        while i < sides.len() {
            if sides[i] == 0 || sides[i] > MAX_SIDE {
                let (what, max) = ("a side of an image to resample", MAX_SIDE as i64);
                return Err(ShapeError::Range { what, min: 1, max, got: sides[i] as i64 });
            }
            i += 1;
        }
        match (h.checked_mul(w), oh.checked_mul(ow)) {
            (Some(image), Some(out)) if image <= i32::MAX as usize && out <= i32::MAX as usize => {
                Ok(Self { h, w, oh, ow })
            }
            _ => Err(ShapeError::Overflow),
        }
    }

    /// Pixels of an image that goes in.
    #[must_use]
    pub const fn input_len(&self) -> usize {
        self.h * self.w
    }

    /// Pixels of an image that comes out.
    #[must_use]
    pub const fn output_len(&self) -> usize {
        self.oh * self.ow
    }
}

/// An inverse affine map: where the centre of an output pixel lies in the input.
///
/// Pixel `(row, column)` has its centre at `y = row`, `x = column`, in both images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine {
    pub(super) x: [f32; 3],
    pub(super) y: [f32; 3],
}

impl Affine {
    /// Every pixel where it was.
    pub const IDENTITY: Self = Self { x: [1.0, 0.0, 0.0], y: [0.0, 1.0, 0.0] };

    /// `x_in = m[0][0]·x + m[0][1]·y + m[0][2]` and `y_in = m[1][0]·x + m[1][1]·y + m[1][2]`.
    ///
    /// # Errors
    /// [`ShapeError::Number`] if a number is infinite or NaN.
    pub fn new(matrix: [[f32; 3]; 2]) -> Result<Self, ShapeError> {
        let [x, y] = matrix;
        match x.iter().chain(&y).find(|number| !number.is_finite()) {
            None => Ok(Self { x, y }),
            Some(number) => {
                let (what, expected) = ("a number of an affine map", "a finite one");
                Err(ShapeError::Number { what, expected, got: number.to_bits() })
            }
        }
    }
}

/// Images of one channel, row by row.
#[derive(Clone, Copy, Debug)]
pub enum Pixels<'a> {
    /// Bytes, which come out as 0 to 255.
    U8(&'a [u8]),
    /// Floats.
    F32(&'a [f32]),
}

impl Pixels<'_> {
    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::U8(pixels) => pixels.len(),
            Self::F32(pixels) => pixels.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<'a> From<&'a [u8]> for Pixels<'a> {
    fn from(pixels: &'a [u8]) -> Self {
        Self::U8(pixels)
    }
}

impl<'a> From<&'a [f32]> for Pixels<'a> {
    fn from(pixels: &'a [f32]) -> Self {
        Self::F32(pixels)
    }
}
