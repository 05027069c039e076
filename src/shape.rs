//! The shape of one sample, and buffer lengths with every product checked.

use crate::error::ShapeError;
use core::fmt;

/// Most dimensions that a [`Shape`] can have.
pub const MAX_RANK: usize = 4;

/// The shape of one sample, without the batch: `1x28x28` for an MNIST digit (channels, rows, columns), `10` for its logits.
///
/// Holds one to [`MAX_RANK`] sizes, each at least 1, whose product fits in a machine word: checked once, by [`Shape::new`].
#[derive(Copy, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "std", serde(try_from = "std::vec::Vec<usize>", into = "std::vec::Vec<usize>"))]
pub struct Shape {
    dims: [usize; MAX_RANK], // unused places hold 1
    rank: u8,
}

impl Shape {
    /// A shape of the given sizes, outermost first.
    ///
    /// # Errors
    /// [`ShapeError::TooShort`] for no size at all or a size of 0, [`ShapeError::Length`] for more than [`MAX_RANK`]
    /// sizes, [`ShapeError::Overflow`] if their product does not fit in `usize`.
    pub const fn new(sizes: &[usize]) -> Result<Self, ShapeError> {
        if sizes.is_empty() {
            return Err(ShapeError::TooShort { what: "the shape of a sample", needed: 1, got: 0 });
        }
        if sizes.len() > MAX_RANK {
            let what = "the shape of a sample (at most four sizes)";
            return Err(ShapeError::Length { what, expected: MAX_RANK, got: sizes.len() });
        }
        let mut dims = [1; MAX_RANK];
        let mut elements: usize = 1;
        let mut i = 0;
        while i < sizes.len() {
            if sizes[i] == 0 {
                return Err(ShapeError::TooShort { what: "a dimension", needed: 1, got: 0 });
            }
            elements = match elements.checked_mul(sizes[i]) {
                Some(product) => product,
                None => return Err(ShapeError::Overflow),
            };
            dims[i] = sizes[i];
            i += 1;
        }
        Ok(Self { dims, rank: sizes.len() as u8 })
    }

    /// The sizes, outermost first.
    pub fn dims(&self) -> &[usize] {
        &self.dims[..usize::from(self.rank)]
    }

    /// Number of elements of one sample: the product of the sizes.
    pub const fn elements(&self) -> usize {
        self.dims[0] * self.dims[1] * self.dims[2] * self.dims[3] // `new` found that this fits
    }

    /// Number of elements of `batch` samples.
    ///
    /// # Errors
    /// [`ShapeError::Overflow`] if the product does not fit in `usize`.
    pub const fn batch_elements(&self, batch: usize) -> Result<usize, ShapeError> {
        match self.elements().checked_mul(batch) {
            Some(elements) => Ok(elements),
            None => Err(ShapeError::Overflow),
        }
    }

    /// The same elements in a single dimension.
    #[must_use]
    pub const fn flattened(&self) -> Self {
        Self { dims: [self.elements(), 1, 1, 1], rank: 1 }
    }
}

impl fmt::Display for Shape {
    /// As "1x28x28".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, size) in self.dims().iter().enumerate() {
            let times = if i == 0 { "" } else { "x" };
            write!(f, "{times}{size}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shape({self})")
    }
}

#[cfg(feature = "std")]
impl TryFrom<std::vec::Vec<usize>> for Shape {
    type Error = ShapeError;

    fn try_from(sizes: std::vec::Vec<usize>) -> Result<Self, ShapeError> {
        Self::new(&sizes)
    }
}

#[cfg(feature = "std")]
impl From<Shape> for std::vec::Vec<usize> {
    fn from(shape: Shape) -> Self {
        shape.dims().to_vec()
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_products() {
        let digit = Shape::new(&[1, 28, 28]).unwrap();
        assert_eq!(digit.dims(), [1, 28, 28]);
        assert_eq!(digit.elements(), 784);
        assert_eq!(digit.batch_elements(200), Ok(156_800));
        assert_eq!(digit.batch_elements(usize::MAX / 2), Err(ShapeError::Overflow));
        assert_eq!(digit.to_string(), "1x28x28");
        assert_eq!(format!("{digit:?}"), "Shape(1x28x28)");
        assert_eq!(digit.flattened(), Shape::new(&[784]).unwrap());
        assert_ne!(digit, Shape::new(&[1, 28, 28, 1]).unwrap(), "a trailing 1 is a dimension");
    }

    #[test]
    fn refusals() {
        let refused = |sizes: &[usize]| Shape::new(sizes).unwrap_err();
        assert!(matches!(refused(&[]), ShapeError::TooShort { .. }));
        assert!(matches!(refused(&[3, 0]), ShapeError::TooShort { .. }));
        assert!(matches!(refused(&[1; 5]), ShapeError::Length { expected: 4, got: 5, .. }));
        assert_eq!(refused(&[usize::MAX, 2]), ShapeError::Overflow);
        assert_eq!(Shape::new(&[usize::MAX]).map(|s| s.elements()), Ok(usize::MAX));
    }

    #[test]
    fn json_is_a_list_and_is_validated() {
        let digit = Shape::new(&[1, 28, 28]).unwrap();
        assert_eq!(serde_json::to_string(&digit).unwrap(), "[1,28,28]");
        assert_eq!(serde_json::from_str::<Shape>("[1,28,28]").unwrap(), digit);
        for bad in ["[]", "[0]", "[1,1,1,1,1]", "[4294967296,4294967296]", "[-1]", "[1.5]", "{}"] {
            assert!(serde_json::from_str::<Shape>(bad).is_err(), "{bad}");
        }
    }
}
