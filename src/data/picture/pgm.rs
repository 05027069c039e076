//! Portable grey maps.

use super::{Grey, check_size};
use crate::data::error::DataError;
use std::path::Path;

/// A portable grey map, as text (`P2`) or bytes (`P5`), of 8 or 16 bits.
pub(super) fn read(bytes: &[u8], path: &Path) -> Result<Grey, DataError> {
    let mut text = PgmText { bytes, at: 2 };
    if !bytes.get(2).is_some_and(|&byte| byte == b'#' || byte.is_ascii_whitespace()) {
        let found = format!("{:02x?}", bytes.get(2));
        return Err(DataError::file(path, "the PGM header", "a blank after P2 or P5", found));
    }
    let mut number = |what: &'static str, most: u32| match text.number() {
        Some(value) if value <= most => Ok(value),
        found => {
            let found = found.map_or_else(|| "none".to_owned(), |value| value.to_string());
            Err(DataError::file(path, what, format!("a number of at most {most}"), found))
        }
    };
    let cols = number("the width in the PGM header", u32::MAX)?;
    let rows = number("the height in the PGM header", u32::MAX)?;
    let (rows, cols) = check_size(rows.into(), cols.into(), path)?;
    let white = number("the white level in the PGM header", 65535)?;
    if white == 0 {
        return Err(DataError::file(path, "the white level in the PGM header", "1 to 65535", 0));
    }
    let count = rows * cols;
    let to_byte = |value: u32| ((value * 255 + white / 2) / white) as u8; // value ≤ white ≤ 65535
    let mut pixels;
    if bytes[1] == b'2' {
        // A number takes two bytes but for the last.
        if count > bytes.len() {
            return Err(DataError::file(path, "the length of the PGM file", format!("{count} pixels"), "fewer"));
        }
        pixels = Vec::with_capacity(count);
        for _ in 0..count {
            pixels.push(to_byte(number("a pixel of the PGM file", white)?));
        }
        text.skip_blank();
        if text.at < bytes.len() {
            return Err(DataError::file(path, "the length of the PGM file", format!("{count} pixels"), "more"));
        }
    } else {
        let width = if white < 256 { 1 } else { 2 };
        let expected = count * width; // at most 128 million
        let body = bytes.get(text.at + 1..).unwrap_or(&[]); // one blank ends the header
        if !bytes.get(text.at).is_some_and(u8::is_ascii_whitespace) || body.len() != expected {
            let found = format!("{} bytes", body.len());
            let expected = format!("a blank and {expected} bytes after the header");
            return Err(DataError::file(path, "the length of the PGM file", expected, found));
        }
        let values = body.chunks_exact(width).map(|v| v.iter().fold(0, |value, &byte| value << 8 | u32::from(byte)));
        pixels = Vec::with_capacity(count);
        for value in values {
            if value > white {
                return Err(DataError::file(path, "a pixel of the PGM file", format!("at most {white}"), value));
            }
            pixels.push(to_byte(value));
        }
    }
    Ok(Grey { rows, cols, pixels })
}

/// The numbers and comments of a PGM file.
struct PgmText<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl PgmText<'_> {
    /// Skips blanks and comments, which run from `#` to the end of the line.
    fn skip_blank(&mut self) {
        while let Some(&byte) = self.bytes.get(self.at) {
            if byte == b'#' {
                while self.bytes.get(self.at).is_some_and(|&byte| byte != b'\n') {
                    self.at += 1;
                }
            } else if byte.is_ascii_whitespace() {
                self.at += 1;
            } else {
                break;
            }
        }
    }

    /// The next number, if there is one and it fits in 32 bits.
    fn number(&mut self) -> Option<u32> {
        self.skip_blank();
        let start = self.at;
        let mut value: u32 = 0;
        while let Some(byte) = self.bytes.get(self.at).filter(|byte| byte.is_ascii_digit()) {
            value = value.checked_mul(10)?.checked_add(u32::from(byte - b'0'))?;
            self.at += 1;
        }
        (self.at > start).then_some(value)
    }
}
