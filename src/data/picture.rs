//! Pictures of single digits, made like those of MNIST: PNG or PGM of any size in, 28 x 28 grey pixels out.
//!
//! MNIST's digits are white on black, fit a box of 20 x 20 with their proportions kept, and lie so that their centre of mass is
//! within half a pixel of row 14, column 14 (counted from 0; measured on the train set: every mean is in 13.5 to 14.5).

mod digit;
mod pgm;
mod png;

use super::error::DataError;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Rows and columns of the result.
pub const SIDE: usize = 28;
/// Most pixels of a picture: 64 million.
pub const MAX_PIXELS: u64 = 64_000_000;
/// Most bytes of a picture file: 256 MiB.
pub const MAX_BYTES: u64 = 1 << 28;
/// Least difference between ink and background, of 255.
const MIN_CONTRAST: u8 = 16;

/// A grey picture of any size.
struct Grey {
    rows: usize,
    cols: usize,
    pixels: Vec<u8>,
}

/// Reads a PNG or PGM file and makes it look like a digit of MNIST.
///
/// # Errors
/// [`DataError`] names the file, the rule, what was expected and what was found.
pub fn read(path: &Path) -> Result<[u8; SIDE * SIDE], DataError> {
    let io = |error| DataError::io(path, error);
    let file = File::open(path).map_err(io)?;
    if file.metadata().map_err(io)?.is_dir() {
        return Err(DataError::file(path, "a picture", "a file", "a folder"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(DataError::file(path, "the size of a picture file", format!("at most {MAX_BYTES} bytes"), "more"));
    }
    from_bytes(&bytes, path)
}

/// [`read`] for bytes already in memory; `path` is for the error messages.
///
/// # Errors
/// [`DataError`] names the file, the rule, what was expected and what was found.
pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<[u8; SIDE * SIDE], DataError> {
    let grey = if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        png::read(bytes, path)?
    } else if bytes.starts_with(b"P5") || bytes.starts_with(b"P2") {
        pgm::read(bytes, path)?
    } else {
        let found = match bytes {
            [] => "an empty file".to_owned(),
            [0xff, 0xd8, ..] => "a JPEG file".to_owned(),
            _ => format!("a file that begins with {:02x?}", &bytes[..bytes.len().min(4)]),
        };
        return Err(DataError::file(path, "the format of a picture", "PNG or PGM (P2 or P5)", found));
    };
    digit::of(&grey).map_err(|found| {
        let expected = format!("ink that differs from the background by at least {MIN_CONTRAST} of 255");
        DataError::file(path, "the picture shows something", expected, found)
    })
}

/// Refuses sizes of 0 and more pixels than [`MAX_PIXELS`].
fn check_size(rows: u64, cols: u64, path: &Path) -> Result<(usize, usize), DataError> {
    match rows.checked_mul(cols) {
        Some(1..=MAX_PIXELS) => Ok((rows as usize, cols as usize)),
        _ => {
            let expected = format!("1 to {MAX_PIXELS} pixels");
            Err(DataError::file(path, "the size of a picture", expected, format!("{cols} x {rows}")))
        }
    }
}

/// The indices of the outermost pixels; none twice but in a picture of one row or column.
fn border(rows: usize, cols: usize) -> impl Iterator<Item = usize> {
    let across = (0..cols).flat_map(move |c| [c, (rows - 1) * cols + c]);
    let down = (1..rows.saturating_sub(1)).flat_map(move |r| [r * cols, r * cols + cols - 1]);
    across.chain(down)
}

/// The value that `of`-ths of the others are below, `part / of` for the lower part; 0 for no values.
fn quantile(values: &[u8], part: usize, of: usize) -> u8 {
    let mut counts = [0usize; 256];
    for &value in values {
        counts[usize::from(value)] += 1;
    }
    let rank = values.len() * part / of;
    let mut seen = 0;
    for (value, count) in (0..=255).zip(counts) {
        seen += count;
        if seen > rank {
            return value;
        }
    }
    0
}

#[cfg(test)]
mod tests;
