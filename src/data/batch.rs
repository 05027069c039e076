//! Rows of normalised pixels for the trainer.

use super::augment;
use super::dataset::Dataset;
use super::normalize::Normalize;
use crate::error::ShapeError;
use crate::kernels::columns::{self, Columns};
use crate::kernels::{Isa, elementwise};

/// Images before which one is asked for: in the order of an epoch none lies near the one before. Into the second cache, as the first has room for
/// fewer requests: 128 images are copied in 10 us; in 15 to 16 if they are asked for into the first, in 21 if they are not (EPYC 9004).
const AHEAD: usize = 8;

/// Asks for the image that comes [`AHEAD`] images after number `i` of `indices`.
#[inline]
fn ask_ahead(isa: Isa, data: &Dataset, indices: &[u32], i: usize) {
    if let Some(next) = indices.get(i + AHEAD).map(|next| *next as usize).filter(|next| *next < data.len()) {
        elementwise::prefetch(isa, data.image(next));
    }
}

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
    for (i, (&index, row)) in indices.iter().zip(out.chunks_exact_mut(data.pixels())).enumerate() {
        ask_ahead(isa, data, indices, i);
        let image = data.image(checked(data, index)?);
        let (scale, offset) = normalize.affine(image);
        elementwise::pixels_to_f32(isa, image, scale, offset, row)?;
    }
    Ok(())
}

/// Copies the raw pixels of the images `indices` one after the other. Does not allocate.
///
/// # Shapes
/// `out [indices, pixels]`.
/// # Errors
/// As [`fill`].
pub fn fill_pixels(isa: Isa, data: &Dataset, indices: &[u32], out: &mut [u8]) -> Result<(), ShapeError> {
    let expected = indices.len().checked_mul(data.pixels()).ok_or(ShapeError::Overflow)?;
    if out.len() != expected {
        return Err(ShapeError::Length { what: "the batch", expected, got: out.len() });
    }
    for (i, (&index, row)) in indices.iter().zip(out.chunks_exact_mut(data.pixels())).enumerate() {
        ask_ahead(isa, data, indices, i);
        row.copy_from_slice(data.image(checked(data, index)?));
    }
    Ok(())
}

/// [`fill`] of these columns of each image alone. Does not allocate.
///
/// # Shapes
/// `out [indices, columns]`.
/// # Errors
/// As [`fill`], and [`ShapeError::Length`] if the columns are not of the images.
pub fn fill_columns(
    isa: Isa,
    data: &Dataset,
    normalize: &Normalize,
    columns: Columns<'_>,
    indices: &[u32],
    out: &mut [f32],
) -> Result<(), ShapeError> {
    let expected = indices.len().checked_mul(columns.count()).ok_or(ShapeError::Overflow)?;
    if out.len() != expected {
        return Err(ShapeError::Length { what: "the batch", expected, got: out.len() });
    }
    for (i, (&index, row)) in indices.iter().zip(out.chunks_exact_mut(columns.count().max(1))).enumerate() {
        ask_ahead(isa, data, indices, i);
        let image = data.image(checked(data, index)?);
        let (scale, offset) = normalize.affine(image);
        columns::pixels_to_f32(isa, columns, image, scale, offset, row)?;
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

/// [`fill`] with each image moved by `[down, right]` pixels; what comes in from beyond the edge has the value of a pixel 0. Does not allocate.
///
/// # Shapes
/// `out [indices, pixels]`.
/// # Errors
/// As [`fill`].
pub fn fill_moved(
    isa: Isa,
    data: &Dataset,
    normalize: &Normalize,
    indices: &[u32],
    out: &mut [f32],
    [down, right]: [isize; 2],
) -> Result<(), ShapeError> {
    let expected = indices.len().checked_mul(data.pixels()).ok_or(ShapeError::Overflow)?;
    if out.len() != expected {
        return Err(ShapeError::Length { what: "the batch", expected, got: out.len() });
    }
    let cols = data.cols();
    let kept = cols.saturating_sub(right.unsigned_abs());
    let (from, to) = if right < 0 { (cols - kept, 0) } else { (0, cols - kept) };
    for (&index, image) in indices.iter().zip(out.chunks_exact_mut(data.pixels())) {
        let pixels = data.image(checked(data, index)?);
        let (scale, offset) = normalize.affine(pixels);
        for (r, row) in image.chunks_exact_mut(cols).enumerate() {
            row.fill(offset);
            let source = down.checked_neg().and_then(|up| r.checked_add_signed(up));
            if let Some(r) = source.filter(|&r| r < data.rows()) {
                let pixels = &pixels[r * cols + from..][..kept];
                elementwise::pixels_to_f32(isa, pixels, scale, offset, &mut row[to..to + kept])?;
            }
        }
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
        let runs = [1..3, 4..5];
        let columns = Columns::new(&runs, 6).unwrap();
        let (mut all, mut some) = ([f32::NAN; 24], [f32::NAN; 12]);
        fill(Isa::best(), &data, &Normalize::Image, &[2, 0, 1, 2], &mut all).unwrap();
        fill_columns(Isa::best(), &data, &Normalize::Image, columns, &[2, 0, 1, 2], &mut some).unwrap();
        let want: Vec<f32> = all.chunks(6).flat_map(|row| [row[1], row[2], row[4]]).collect();
        assert_eq!(some[..], want);
        let mut bytes = [9; 24];
        fill_pixels(Isa::best(), &data, &[2, 0, 1, 2], &mut bytes).unwrap();
        assert_eq!(bytes[..], [data.image(2), data.image(0), data.image(1), data.image(2)].concat());
        assert!(fill_pixels(Isa::best(), &data, &[3], &mut bytes[..6]).is_err());
        assert!(fill_pixels(Isa::best(), &data, &[2], &mut bytes[..7]).is_err());
        assert!(fill_columns(Isa::best(), &data, &Normalize::Image, columns, &[3], &mut some[..3]).is_err());
        assert!(fill_columns(Isa::best(), &data, &Normalize::Image, columns, &[2], &mut some[..4]).is_err());
        let mut labels = [9; 4];
        fill_labels(&data, &[2, 0, 1, 2], &mut labels).unwrap();
        assert_eq!(labels, [2, 3, 1, 2]);
    }

    /// Every move of images of 2 by 3 pixels, those that push them out included, against the definition.
    #[test]
    fn moved_rows_are_the_image_elsewhere() {
        let data = small();
        for isa in Isa::available() {
            for normalize in [Normalize::Unit, Normalize::Image, Normalize::mean_std(0.25, 0.5).unwrap()] {
                for (down, right) in (-3..=3isize).flat_map(|down| (-4..=4isize).map(move |right| (down, right))) {
                    let (mut still, mut out) = ([f32::NAN; 12], [f32::NAN; 12]);
                    fill(isa, &data, &normalize, &[2, 1], &mut still).unwrap();
                    fill_moved(isa, &data, &normalize, &[2, 1], &mut out, [down, right]).unwrap();
                    for (i, index) in [2, 1].into_iter().enumerate() {
                        let background = normalize.affine(data.image(index)).1;
                        for (r, c) in (0..2isize).flat_map(|r| (0..3isize).map(move |c| (r, c))) {
                            let (from_r, from_c) = (r - down, c - right);
                            let inside = (0..2).contains(&from_r) && (0..3).contains(&from_c);
                            let pixel = |r: isize, c: isize| i * 6 + (r * 3 + c) as usize;
                            let want = if inside { still[pixel(from_r, from_c)] } else { background };
                            let got = out[pixel(r, c)];
                            assert!(
                                (got - want).abs() <= want.abs() * 1e-6,
                                "{isa} {normalize} {down} {right}: {got} {want}"
                            );
                        }
                    }
                }
            }
        }
        let mut out = [0.0; 6];
        assert!(fill_moved(Isa::SCALAR, &data, &Normalize::Unit, &[0], &mut out[1..], [0, 0]).is_err());
        assert!(fill_moved(Isa::SCALAR, &data, &Normalize::Unit, &[3], &mut out, [0, 0]).is_err());
        fill_moved(Isa::SCALAR, &data, &Normalize::Unit, &[1], &mut out, [isize::MIN, isize::MIN]).unwrap();
        assert_eq!(out, [0.0; 6]);
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
