//! Rows of normalised pixels for the trainer.

use super::augment;
use super::dataset::Dataset;
use super::normalize::Normalize;
use crate::error::ShapeError;
use crate::kernels::{Isa, elementwise};

/// Writes the normalised pixels of the images `indices` one after the other. Does not allocate.
///
/// # Shapes
/// `out [indices, pixels]`.
/// # Errors
/// [`ShapeError::Length`] if `out` has another length, [`ShapeError::TooShort`] if an index is beyond the data set.
pub fn fill(
    isa: Isa,
    data: &Dataset,
    normalize: &Normalize,
    indices: &[u32],
    out: &mut [f32],
) -> Result<(), ShapeError> {
    let expected = indices.len().checked_mul(data.pixels()).ok_or(ShapeError::Overflow)?;
    if out.len() != expected {
        return Err(ShapeError::Length { what: "the batch", expected, got: out.len() });
    }
    for (&index, row) in indices.iter().zip(out.chunks_exact_mut(data.pixels())) {
        let image = data.image(checked(data, index)?);
        let (scale, offset) = normalize.affine(image);
        elementwise::pixels_to_f32(isa, image, scale, offset, row)?;
    }
    Ok(())
}

/// [`fill`] with the images as `epoch` shows them, its changes made before they are normalised. Does not allocate.
///
/// # Shapes
/// `out [indices, pixels]`.
/// # Errors
/// As [`fill`], and [`ShapeError::Length`] if `epoch` or `scratch` is of images of another size.
pub fn fill_augmented(
    isa: Isa,
    data: &Dataset,
    normalize: &Normalize,
    indices: &[u32],
    out: &mut [f32],
    epoch: augment::Epoch<'_>,
    scratch: &mut augment::Scratch,
) -> Result<(), ShapeError> {
    let expected = indices.len().checked_mul(data.pixels()).ok_or(ShapeError::Overflow)?;
    if out.len() != expected {
        return Err(ShapeError::Length { what: "the batch", expected, got: out.len() });
    }
    for (&index, row) in indices.iter().zip(out.chunks_exact_mut(data.pixels())) {
        let image = epoch.image(isa, index, data.image(checked(data, index)?), scratch)?;
        let (scale, offset) = normalize.affine(image);
        elementwise::pixels_to_f32(isa, image, scale, offset, row)?;
    }
    Ok(())
}

/// Writes the labels of the samples `indices`. Does not allocate.
///
/// # Errors
/// [`ShapeError::Length`] if `out` has another length, [`ShapeError::TooShort`] if an index is beyond the data set.
pub fn fill_labels(data: &Dataset, indices: &[u32], out: &mut [u8]) -> Result<(), ShapeError> {
    if out.len() != indices.len() {
        return Err(ShapeError::Length { what: "the labels of the batch", expected: indices.len(), got: out.len() });
    }
    for (&index, out) in indices.iter().zip(out) {
        *out = data.label(checked(data, index)?);
    }
    Ok(())
}

/// The index, if the data set has it.
fn checked(data: &Dataset, index: u32) -> Result<usize, ShapeError> {
    let index = index as usize;
    if index >= data.len() {
        let needed = index.saturating_add(1);
        return Err(ShapeError::TooShort { what: "the data set", needed, got: data.len() });
    }
    Ok(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Dataset {
        Dataset::new((0..18).map(|p| p * 14).collect(), vec![3, 1, 2], 2, 3, 10).unwrap()
    }

    /// Every instruction set and normalisation against the formula.
    #[test]
    fn rows_follow_the_indices() {
        let data = small();
        for isa in Isa::available() {
            for normalize in [Normalize::Unit, Normalize::Image, Normalize::mean_std(0.25, 0.5).unwrap()] {
                let mut out = [f32::NAN; 24];
                fill(isa, &data, &normalize, &[2, 0, 1, 2], &mut out).unwrap();
                for (row, index) in out.chunks_exact(6).zip([2, 0, 1, 2]) {
                    let image = data.image(index);
                    let (mean, std) = super::super::normalize::image_mean_std(image);
                    for (&got, &pixel) in row.iter().zip(image) {
                        let pixel = f64::from(pixel);
                        let want = match normalize {
                            Normalize::Unit => pixel / 255.0,
                            Normalize::Image => (pixel - mean) / std,
                            Normalize::MeanStd { mean, std } => (pixel / 255.0 - mean) / std,
                        };
                        assert!((f64::from(got) - want).abs() < 2e-5, "{normalize} {got} {want}");
                    }
                }
            }
        }
        let mut labels = [9; 4];
        fill_labels(&data, &[2, 0, 1, 2], &mut labels).unwrap();
        assert_eq!(labels, [2, 3, 1, 2]);
    }

    #[test]
    fn wrong_sizes_are_refused() {
        let data = small();
        let fill = |indices: &[u32], len: usize| {
            fill(Isa::SCALAR, &data, &Normalize::Unit, indices, &mut vec![0.0; len]).unwrap_err()
        };
        assert_eq!(fill(&[0], 5), ShapeError::Length { what: "the batch", expected: 6, got: 5 });
        assert_eq!(fill(&[3], 6), ShapeError::TooShort { what: "the data set", needed: 4, got: 3 });
        assert_eq!(
            fill_labels(&data, &[0], &mut []).unwrap_err().to_string(),
            "the labels of the batch must have 1 elements but has 0"
        );
        assert!(fill_labels(&data, &[u32::MAX], &mut [0]).is_err());
    }
}
