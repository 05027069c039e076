//! PNG files, grey.

use super::{Grey, border, check_size, quantile};
use crate::data::error::DataError;
use ::png::{ColorType, Decoder, DecodingError, Transformations};
use std::io::Cursor;
use std::path::Path;

/// Deflate cannot shrink by more.
const MAX_RATIO: u64 = 1032;

/// Any PNG: palettes and few bits are widened, 16 bits cut to 8, the first frame of an animation taken.
pub(super) fn read(bytes: &[u8], path: &Path) -> Result<Grey, DataError> {
    let failed = |error: DecodingError| DataError::file(path, "the PNG file", "whole and undamaged", error);
    let mut decoder = Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(Transformations::normalize_to_color8());
    let info = decoder.read_header_info().map_err(failed)?;
    let (rows, cols) = check_size(info.height.into(), info.width.into(), path)?;
    if info.raw_bytes() as u64 > (bytes.len() as u64).saturating_mul(MAX_RATIO) {
        let expected = format!("no more pixels than {} bytes can hold", bytes.len());
        return Err(DataError::file(path, "the size of a picture", expected, format!("{cols} x {rows}")));
    }
    let mut reader = decoder.read_info().map_err(failed)?;
    let len = reader.output_buffer_size().ok_or_else(|| failed(DecodingError::LimitsExceeded))?;
    let mut samples = vec![0; len];
    let frame = reader.next_frame(&mut samples).map_err(failed)?;
    if [frame.height as usize, frame.width as usize] != [rows, cols] {
        let found = format!("{} x {}", frame.width, frame.height);
        return Err(DataError::file(path, "the size of the first frame", format!("{cols} x {rows}"), found));
    }
    let pixels = match frame.color_type {
        ColorType::Grayscale => samples,
        ColorType::Rgb => samples.chunks_exact(3).map(luma).collect(),
        ColorType::GrayscaleAlpha => over_background(samples.chunks_exact(2).map(|p| (p[0], p[1])), rows, cols),
        ColorType::Rgba => over_background(samples.chunks_exact(4).map(|p| (luma(p), p[3])), rows, cols),
        other => {
            return Err(DataError::file(path, "the colours of the PNG file", "a known kind", format!("{other:?}")));
        }
    };
    if pixels.len() != rows * cols {
        return Err(DataError::file(path, "the PNG file", format!("{} pixels", rows * cols), pixels.len()));
    }
    Ok(Grey { rows, cols, pixels })
}

/// Brightness of red, green and blue by ITU-R BT.601.
fn luma(p: &[u8]) -> u8 {
    ((299 * u32::from(p[0]) + 587 * u32::from(p[1]) + 114 * u32::from(p[2]) + 500) / 1000) as u8
}

/// Lays half-transparent pixels over a background, as bright as the opaque part of the border; where the border is mostly
/// transparent, white under dark ink and black under bright ink.
fn over_background(pixels: impl Iterator<Item = (u8, u8)>, rows: usize, cols: usize) -> Vec<u8> {
    let (mut grey, alpha): (Vec<u8>, Vec<u8>) = pixels.unzip();
    let opaque: Vec<u8> = border(rows, cols).filter(|&i| alpha[i] >= 128).map(|i| grey[i]).collect();
    let background = if 2 * opaque.len() > border(rows, cols).count() {
        quantile(&opaque, 1, 2)
    } else {
        let weight: u64 = alpha.iter().map(|&a| u64::from(a)).sum();
        let ink: u64 = grey.iter().zip(&alpha).map(|(&g, &a)| u64::from(g) * u64::from(a)).sum();
        if ink > 127 * weight { 0 } else { 255 }
    };
    for (grey, alpha) in grey.iter_mut().zip(alpha) {
        let (g, a) = (u32::from(*grey), u32::from(alpha));
        *grey = ((g * a + u32::from(background) * (255 - a) + 127) / 255) as u8;
    }
    grey
}
