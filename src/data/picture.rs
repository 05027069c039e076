//! Pictures of single digits, made like those of MNIST: PNG or PGM of any size in, 28 x 28 grey pixels out.
//!
//! MNIST's digits are white on black, fit a box of 20 x 20 with their proportions kept, and lie so that their centre of mass is
//! within half a pixel of row 14, column 14 (counted from 0; measured on the train set: every mean is in 13.5 to 14.5).

use super::error::DataError;
use png::{ColorType, Decoder, DecodingError, Transformations};
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

/// Rows and columns of the result.
pub const SIDE: usize = 28;
/// The longer side of a digit in it.
const BOX: usize = 20;
/// The row and the column of its centre of mass.
const CENTRE: f64 = 14.0;
/// Most pixels of a picture: 64 million.
pub const MAX_PIXELS: u64 = 64_000_000;
/// Most bytes of a picture file: 256 MiB.
pub const MAX_BYTES: u64 = 1 << 28;
/// Deflate cannot shrink by more.
const MAX_RATIO: u64 = 1032;
/// Least difference between ink and background, of 255.
const MIN_CONTRAST: u8 = 16;
/// A 28 x 28 picture whose border is darker than this is taken as it is.
const DARK: u8 = 32;

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
        read_png(bytes, path)?
    } else if bytes.starts_with(b"P5") || bytes.starts_with(b"P2") {
        read_pgm(bytes, path)?
    } else {
        let found = match bytes {
            [] => "an empty file".to_owned(),
            [0xff, 0xd8, ..] => "a JPEG file".to_owned(),
            _ => format!("a file that begins with {:02x?}", &bytes[..bytes.len().min(4)]),
        };
        return Err(DataError::file(path, "the format of a picture", "PNG or PGM (P2 or P5)", found));
    };
    normalise(&grey).map_err(|found| {
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

/// Any PNG: palettes and few bits are widened, 16 bits cut to 8, the first frame of an animation taken.
fn read_png(bytes: &[u8], path: &Path) -> Result<Grey, DataError> {
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

/// A portable grey map, as text (`P2`) or bytes (`P5`), of 8 or 16 bits.
fn read_pgm(bytes: &[u8], path: &Path) -> Result<Grey, DataError> {
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

/// The digit of a grey picture, like one of MNIST; `Err` says what was found if nothing stands out.
///
/// 1. A 28 x 28 picture with a dark border is taken as it is.
/// 2. If the border is bright (its median), everything is inverted.
/// 3. What is not brighter than the border's noise becomes 0, the brightest 255.
/// 4. The ink's bounding box is cut out and averaged by area so that its longer side is 20 pixels.
/// 5. It is moved by whole pixels so that the centre of mass is nearest to row 14, column 14.
fn normalise(picture: &Grey) -> Result<[u8; SIDE * SIDE], String> {
    let edge: Vec<u8> = border(picture.rows, picture.cols).map(|i| picture.pixels[i]).collect();
    let median = quantile(&edge, 1, 2);
    let (low, high) = picture.pixels.iter().fold((255, 0), |(low, high), &p| (p.min(low), p.max(high)));
    if high - low < MIN_CONTRAST {
        return Err(format!("a blank picture (its pixels are {low} to {high})"));
    }
    if picture.rows == SIDE && picture.cols == SIDE && median < DARK {
        let mut pixels = [0; SIDE * SIDE];
        pixels.copy_from_slice(&picture.pixels);
        return Ok(pixels);
    }
    let (ink, least) = ink(picture, &edge)?;
    let Some(area) = bounding_box(picture, &ink, least) else {
        return Err("no ink".to_owned()); // the brightest pixel is ink: not reached
    };
    let (digit, rows, cols) = scale(picture, &ink, area);
    Ok(place(&digit, rows, cols))
}

/// What each grey level is worth as ink, and from which value on it counts for the bounding box.
fn ink(picture: &Grey, edge: &[u8]) -> Result<([u8; 256], u8), String> {
    let inverted = quantile(edge, 1, 2) > 127;
    let flip = |p: u8| if inverted { 255 - p } else { p };
    let edge: Vec<u8> = edge.iter().map(|&p| flip(p)).collect();
    let background = quantile(&edge, 1, 2);
    let brightest = picture.pixels.iter().map(|&p| flip(p)).max().unwrap_or(0);
    if brightest.saturating_sub(background) < MIN_CONTRAST {
        return Err(format!("a background of {background} and ink of {brightest}"));
    }
    // Six times the upper quartile is four standard deviations of Gaussian noise; a digit may touch a quarter of the border.
    let noise = (quantile(&edge, 3, 4) - background).saturating_mul(6).min((brightest - background) / 2);
    let floor = background + noise;
    let mut levels = [0; 256];
    for (p, level) in (0..=255).zip(&mut levels) {
        let above = u32::from(flip(p).saturating_sub(floor));
        let range = u32::from(brightest - floor); // at least half the contrast
        *level = ((above * 255 + range / 2) / range).min(255) as u8;
    }
    Ok((levels, if noise == 0 { 16 } else { 64 }))
}

/// Where the ink is: `[first row, last row + 1, first column, last column + 1]`.
fn bounding_box(picture: &Grey, ink: &[u8; 256], least: u8) -> Option<[usize; 4]> {
    let [mut top, mut bottom, mut left, mut right] = [picture.rows, 0, picture.cols, 0];
    for (r, row) in picture.pixels.chunks_exact(picture.cols).enumerate() {
        let is_ink = |&p: &u8| ink[usize::from(p)] >= least;
        if let (Some(first), Some(last)) = (row.iter().position(is_ink), row.iter().rposition(is_ink)) {
            top = top.min(r);
            bottom = r + 1;
            left = left.min(first);
            right = right.max(last + 1);
        }
    }
    (top < bottom).then_some([top, bottom, left, right])
}

/// Averages the box by area so that its longer side is [`BOX`] pixels: `(pixels, rows, cols)`, the brightest 255.
fn scale(picture: &Grey, ink: &[u8; 256], [top, bottom, left, right]: [usize; 4]) -> (Vec<f64>, usize, usize) {
    let (h, w) = (bottom - top, right - left);
    let longer = h.max(w);
    let fit = |side: usize| ((2 * side * BOX + longer) / (2 * longer)).max(1); // rounded
    let (rows, cols) = (fit(h), fit(w));
    let mut out = vec![0.0; rows * cols];
    let mut line = vec![0.0; cols];
    let columns: Vec<Cover> = (0..cols).map(|i| Cover::new(i, cols, w)).collect();
    for (r, out) in out.chunks_exact_mut(cols).enumerate() {
        let cover = Cover::new(r, rows, h);
        for (y, weight) in cover.weights() {
            let source = &picture.pixels[(top + y) * picture.cols..][left..right];
            for (sum, cover) in line.iter_mut().zip(&columns) {
                *sum = cover.weights().map(|(x, weight)| weight * f64::from(ink[usize::from(source[x])])).sum();
            }
            for (out, sum) in out.iter_mut().zip(&line) {
                *out += weight * sum;
            }
        }
    }
    let brightest = out.iter().fold(0.0, |a: f64, &b| a.max(b));
    for value in &mut out {
        *value *= 255.0 / brightest; // the box holds ink: above 0
    }
    (out, rows, cols)
}

/// The part of a side of `from` source pixels that target pixel `i` of `to` covers: `[i·from/to, (i+1)·from/to)`.
struct Cover {
    start: f64,
    end: f64,
    last: usize,
}

impl Cover {
    fn new(i: usize, to: usize, from: usize) -> Self {
        let at = |i: usize| i as f64 * from as f64 / to as f64;
        Self { start: at(i), end: at(i + 1), last: from - 1 }
    }

    /// The source pixels and their shares, which add up to 1.
    fn weights(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        let first = self.start as usize;
        let last = (self.end.ceil() as usize).saturating_sub(1).clamp(first, self.last);
        let length = self.end - self.start;
        (first..=last).map(move |x| {
            let overlap = self.end.min((x + 1) as f64) - self.start.max(x as f64);
            (x, overlap.max(0.0) / length)
        })
    }
}

/// Puts the digit where its centre of mass is nearest to the middle, and wholly inside.
fn place(digit: &[f64], rows: usize, cols: usize) -> [u8; SIDE * SIDE] {
    let (mut mass, mut y, mut x) = (0.0, 0.0, 0.0);
    for (r, line) in digit.chunks_exact(cols).enumerate() {
        for (c, value) in line.iter().enumerate() {
            mass += value;
            y += value * r as f64;
            x += value * c as f64;
        }
    }
    let first = |sum: f64, side: usize| ((CENTRE - sum / mass).round().max(0.0) as usize).min(SIDE - side);
    let (top, left) = (first(y, rows), first(x, cols));
    let mut pixels = [0; SIDE * SIDE];
    for (line, out) in digit.chunks_exact(cols).zip(pixels.chunks_exact_mut(SIDE).skip(top)) {
        for (value, out) in line.iter().zip(&mut out[left..]) {
            *out = value.round() as u8; // `as` saturates
        }
    }
    pixels
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
mod tests {
    use super::super::dataset::tests::mnist;
    use super::*;
    use png::{BitDepth, Encoder};
    use proptest::prelude::*;

    const NAME: &str = "picture-under-test";

    fn read(bytes: &[u8]) -> Result<[u8; 784], DataError> {
        from_bytes(bytes, Path::new(NAME))
    }

    fn error(bytes: &[u8]) -> String {
        let message = read(bytes).unwrap_err().to_string();
        assert!(message.starts_with("picture-under-test: "), "{message}");
        message
    }

    fn png(cols: usize, rows: usize, color: ColorType, depth: BitDepth, data: &[u8], palette: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, cols as u32, rows as u32);
        encoder.set_color(color);
        encoder.set_depth(depth);
        if !palette.is_empty() {
            encoder.set_palette(palette.to_vec());
        }
        encoder.write_header().unwrap().write_image_data(data).unwrap();
        bytes
    }

    fn pgm(cols: usize, rows: usize, white: u32, data: &[u8]) -> Vec<u8> {
        [format!("P5\n# a comment\n{cols} {rows}\n{white}\n").as_bytes(), data].concat()
    }

    /// A digit drawn `zoom` times as large, `margin` pixels of background around it, more on the left and at the top.
    fn render(image: &[u8], zoom: usize, margin: usize) -> (Vec<u8>, usize, usize) {
        let (rows, cols) = (28 * zoom + 4 * margin, 28 * zoom + 3 * margin);
        let mut out = vec![0; rows * cols];
        for r in 0..28 * zoom {
            for c in 0..28 * zoom {
                out[(r + 3 * margin) * cols + c + 2 * margin] = image[r / zoom * 28 + c / zoom];
            }
        }
        (out, rows, cols)
    }

    /// Mean absolute difference over the pixels, of 255.
    fn distance(a: &[u8], b: &[u8]) -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a.abs_diff(b))).sum::<f64>() / 784.0
    }

    /// Real digits, larger, shifted, inverted, paler, come back as they were.
    #[test]
    fn digits_come_back() {
        let test = &mnist().test;
        let mut worst: f64 = 0.0;
        let mut sum = 0.0;
        for i in 0..100 {
            let image = test.image(i);
            let (large, rows, cols) = render(image, 3 + i % 5, i % 7);
            let inverted: Vec<u8> = large.iter().map(|p| 255 - p).collect();
            let pale: Vec<u8> = large.iter().map(|p| 230 - p / 2).collect(); // grey ink on greyish paper
            let from_png = read(&png(cols, rows, ColorType::Grayscale, BitDepth::Eight, &large, &[])).unwrap();
            let from_pgm = read(&pgm(cols, rows, 255, &inverted)).unwrap();
            assert_eq!(from_png, from_pgm, "{i}: inverted");
            let from_pale = read(&pgm(cols, rows, 255, &pale)).unwrap();
            assert!(distance(&from_pale, &from_png) < 2.0, "{i}: pale");
            let away = distance(&from_png, image);
            sum += away;
            worst = worst.max(away);
        }
        // Not exact: faint pixels at the edge of the box are cut off, and then the rest is scaled a little.
        assert!(sum / 100.0 < 0.05 && worst < 0.5, "mean {} worst {worst}", sum / 100.0);
    }

    /// What every digit of MNIST's train set obeys: white at 255, a box of 20 pixels, centre of mass within half a pixel of 14.
    #[test]
    fn results_obey_the_conventions_of_mnist() {
        for i in 0..50 {
            let (large, rows, cols) = render(mnist().train.image(i), 7, 11);
            let noisy: Vec<u8> = large.iter().enumerate().map(|(i, p)| 245 - p / 2 - (i * 7919 % 13) as u8).collect();
            let got = read(&pgm(cols, rows, 255, &noisy)).unwrap();
            assert!(got.iter().max().unwrap() >= &250);
            let (mut mass, mut y, mut x) = (0.0, 0.0, 0.0);
            let (mut row_ink, mut col_ink) = ([false; 28], [false; 28]);
            for (i, &p) in got.iter().enumerate() {
                mass += f64::from(p);
                y += f64::from(p) * (i / 28) as f64;
                x += f64::from(p) * (i % 28) as f64;
                row_ink[i / 28] |= p > 0;
                col_ink[i % 28] |= p > 0;
            }
            assert!((y / mass - 14.0).abs() < 0.52 && (x / mass - 14.0).abs() < 0.52, "{i}: {} {}", y / mass, x / mass);
            let side =
                |ink: [bool; 28]| ink.iter().rposition(|&b| b).unwrap() + 1 - ink.iter().position(|&b| b).unwrap();
            let longer = side(row_ink).max(side(col_ink));
            assert!((18..=20).contains(&longer), "{i}: {longer}");
        }
    }

    #[test]
    fn every_kind_of_png_reads_alike() {
        // A vertical bar, a little longer than wide, on white.
        let grey: Vec<u8> = (0..40 * 30)
            .map(|i| if (10..16).contains(&(i % 30)) && (5..35).contains(&(i / 30)) { 0 } else { 255 })
            .collect();
        let want = read(&pgm(30, 40, 255, &grey)).unwrap();
        assert_eq!(want[14 * 28 + 14], 255);
        assert_eq!(want[14 * 28 + 20], 0);
        let each = |f: &dyn Fn(u8) -> Vec<u8>| grey.iter().flat_map(|&p| f(p)).collect::<Vec<u8>>();
        let eight = BitDepth::Eight;
        let bits: Vec<u8> = grey
            .chunks(30)
            .flat_map(|row| row.chunks(8))
            .map(|bits| bits.iter().enumerate().map(|(i, &p)| (p & 1) << (7 - i)).sum())
            .collect();
        for (what, file) in [
            ("grey", png(30, 40, ColorType::Grayscale, eight, &grey, &[])),
            ("grey 16", png(30, 40, ColorType::Grayscale, BitDepth::Sixteen, &each(&|p| vec![p, p]), &[])),
            ("grey 1", png(30, 40, ColorType::Grayscale, BitDepth::One, &bits, &[])),
            ("rgb", png(30, 40, ColorType::Rgb, eight, &each(&|p| vec![p; 3]), &[])),
            ("rgb 16", png(30, 40, ColorType::Rgb, BitDepth::Sixteen, &each(&|p| vec![p; 6]), &[])),
            ("rgba", png(30, 40, ColorType::Rgba, eight, &each(&|p| vec![p, p, p, 255]), &[])),
            ("black ink on nothing", png(30, 40, ColorType::Rgba, eight, &each(&|p| vec![0, 0, 0, 255 - p]), &[])),
            (
                "white ink on nothing",
                png(30, 40, ColorType::GrayscaleAlpha, eight, &each(&|p| vec![255, 255 - p]), &[]),
            ),
            ("holes in black paper", png(30, 40, ColorType::GrayscaleAlpha, eight, &each(&|p| vec![0, p]), &[])),
            ("palette", png(30, 40, ColorType::Indexed, eight, &each(&|p| vec![p & 1]), &[0, 0, 0, 255, 255, 255])),
        ] {
            match read(&file) {
                Ok(got) => assert_eq!(got, want, "{what}"),
                // Nothing tells what a hole in black paper shows.
                Err(error) => {
                    assert!(what == "holes in black paper" && error.to_string().contains("blank"), "{what}: {error}")
                }
            }
        }
        // Orange ink on blue paper: only the brightness counts.
        let colours = each(&|p| if p == 0 { vec![255, 160, 0] } else { vec![0, 0, 120] });
        assert_eq!(read(&png(30, 40, ColorType::Rgb, eight, &colours, &[])).unwrap(), want);
    }

    #[test]
    fn every_kind_of_pgm_reads_alike() {
        let grey: Vec<u8> =
            (0..400).map(|i| if (7..11).contains(&(i % 20)) && i > 100 && i < 300 { 15 } else { 0 }).collect();
        let want = read(&pgm(20, 20, 15, &grey)).unwrap();
        let wide: Vec<u8> = grey.iter().flat_map(|&p| (u16::from(p) * 1000).to_be_bytes()).collect();
        assert_eq!(read(&pgm(20, 20, 15_000, &wide)).unwrap(), want);
        let text: String = grey.iter().map(|p| format!("{p}\n")).collect();
        assert_eq!(read(format!("P2 20 20 # fifteen\n15\n{text}").as_bytes()).unwrap(), want);
        assert_eq!(read(format!("P2 20 20 15 {}# the end", text.trim_end()).as_bytes()).unwrap(), want);
    }

    #[test]
    fn a_picture_like_mnist_is_taken_as_it_is() {
        let image = mnist().test.image(3);
        assert_eq!(read(&pgm(28, 28, 255, image)).unwrap(), image);
        assert_eq!(read(&png(28, 28, ColorType::Grayscale, BitDepth::Eight, image, &[])).unwrap(), image);
        let corner: Vec<u8> = (0..784).map(|i| if i % 28 < 4 && i > 100 && i < 300 { 200 } else { 0 }).collect();
        assert_eq!(read(&pgm(28, 28, 255, &corner)).unwrap(), corner[..]);
    }

    #[test]
    fn extreme_shapes() {
        // A line one pixel wide, a single dot, one row, one column.
        let line: Vec<u8> = (0..100 * 50).map(|i| if i % 50 == 20 && i > 1000 && i < 4000 { 255 } else { 0 }).collect();
        let got = read(&pgm(50, 100, 255, &line)).unwrap();
        assert_eq!(got.iter().filter(|&&p| p == 255).count(), 20);
        let dot: Vec<u8> = (0..100).map(|i| if i == 55 { 255 } else { 0 }).collect();
        assert_eq!(read(&pgm(10, 10, 255, &dot)).unwrap().iter().filter(|&&p| p == 255).count(), 400);
        assert!(read(&pgm(9, 1, 255, &[0, 0, 0, 255, 0, 0, 0, 0, 0])).is_ok());
        assert!(read(&pgm(1, 9, 255, &[0, 0, 0, 255, 0, 0, 0, 0, 0])).is_ok());
    }

    #[test]
    fn pictures_that_show_nothing() {
        for level in [0, 128, 255] {
            let message = error(&pgm(40, 40, 255, &[level; 1600]));
            assert!(message.contains("the picture shows something: expected ink that differs"), "{message}");
            assert!(
                message.ends_with(&format!("found a blank picture (its pixels are {level} to {level})")),
                "{message}"
            );
        }
        assert!(error(&pgm(1, 1, 255, &[9])).contains("blank"));
        assert!(error(&pgm(28, 28, 255, &[0; 784])).contains("blank"));
        // The only thing that differs is darker than a dark border.
        let darker: Vec<u8> = (0..900).map(|i| if i == 450 { 0 } else { 100 }).collect();
        assert!(error(&pgm(30, 30, 255, &darker)).contains("a background of 100 and ink of 100"));
    }

    #[test]
    fn unreadable_pictures() {
        assert!(error(b"").ends_with("the format of a picture: expected PNG or PGM (P2 or P5), found an empty file"));
        assert!(error(b"\xff\xd8\xff\xe0").ends_with("found a JPEG file"));
        assert!(error(b"GIF89a").ends_with("found a file that begins with [47, 49, 46, 38]"));
        assert!(error(b"P6 1 1 255 aaa").contains("expected PNG or PGM"));
        let whole = png(30, 40, ColorType::Grayscale, BitDepth::Eight, &[100; 1200], &[]);
        for cut in 8..whole.len() - 12 {
            assert!(error(&whole[..cut]).contains("PNG file"), "{cut}");
        }
        for (pgm, rule) in [
            (&b"P5"[..], "a blank after P2 or P5"),
            (b"P55 5 255", "a blank after P2 or P5"),
            (b"P5 ", "the width in the PGM header: expected a number of at most 4294967295, found none"),
            (b"P5 99999999999 1 255 ", "the width"),
            (b"P5 -1 1 255 ", "the width"),
            (b"P5 4294967295 4294967295 255 ", "expected 1 to 64000000 pixels, found 4294967295 x 4294967295"),
            (b"P5 0 5 255 ", "found 0 x 5"),
            (b"P5 2 2 0 aaaa", "the white level in the PGM header: expected 1 to 65535, found 0"),
            (b"P5 2 2 65536 aaaa", "the white level"),
            (b"P5 2 2 255", "expected a blank and 4 bytes after the header, found 0 bytes"),
            (b"P5 2 2 255 aaa", "found 3 bytes"),
            (b"P5 2 2 255 aaaaa", "found 5 bytes"),
            (b"P5 2 2 256 aaaa", "8 bytes"),
            (b"P5 2 2 10 aaaa", "a pixel of the PGM file: expected at most 10, found 97"),
            (b"P2 2 2 10 1 2 3", "a pixel of the PGM file: expected a number of at most 10, found none"),
            (b"P2 2 2 10 1 2 3 11", "found 11"),
            (b"P2 2 2 10 1 2 3 4 5", "found more"),
            (b"P2 8000 8000 10 1", "found fewer"),
        ] {
            assert!(error(pgm).contains(rule), "{}: {}", String::from_utf8_lossy(pgm), error(pgm));
        }
        let dir = tempfile::tempdir().unwrap();
        assert!(super::read(dir.path()).unwrap_err().to_string().ends_with("expected a file, found a folder"));
        assert!(
            super::read(&dir.path().join("absent.png")).unwrap_err().to_string().contains("absent.png: cannot be read")
        );
    }

    /// A header of 60 bytes that promises 36 million pixels must not reserve them.
    #[test]
    fn a_png_that_promises_too_much() {
        for (side, rule) in [(6000, "expected no more pixels than"), (60_000, "expected 1 to 64000000 pixels")] {
            let mut bytes = Vec::new();
            let mut encoder = Encoder::new(&mut bytes, side, side);
            encoder.set_color(ColorType::Rgba);
            drop(encoder.write_header().unwrap());
            assert!(error(&bytes).contains(rule), "{}", error(&bytes));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// Any bytes, also behind a good beginning or with good bytes flipped, give `Ok` or `Err`.
        #[test]
        fn any_bytes(
            mut bytes in prop::collection::vec(any::<u8>(), 0..300),
            flips in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 1..4),
        ) {
            for start in [&b"\x89PNG\r\n\x1a\n"[..], b"P5 ", b"P2 ", b"P5 4 4 255 ", b""] {
                let _ = read(&[start, &bytes].concat());
            }
            for byte in &mut bytes {
                *byte = b"0123456789 \n#P"[usize::from(*byte) % 14];
            }
            let _ = read(&[b"P2 ", &bytes[..]].concat());
            let data: Vec<u8> = (0..48).map(|i| i * 5).collect();
            for color in [ColorType::Grayscale, ColorType::GrayscaleAlpha, ColorType::Rgb, ColorType::Rgba] {
                let mut file = png(4, 12 / color.samples(), color, BitDepth::Eight, &data, &[]);
                for (at, flip) in &flips {
                    let at = at.index(file.len());
                    file[at] ^= flip;
                }
                let _ = read(&file);
            }
        }

        /// Any picture with contrast at all gives a digit in range or says why not.
        #[test]
        fn any_picture(cols in 1usize..60, rows in 1usize..60, seed: u64) {
            let mut random = crate::data::random::Random::new(seed, "picture", 0);
            let style = random.below(3);
            let data: Vec<u8> = (0..rows * cols).map(|_| match style {
                0 => random.bits() as u8,
                1 => if random.below(10) == 0 { 255 } else { 0 },
                _ => 200 + random.below(40) as u8,
            }).collect();
            if let Ok(got) = read(&pgm(cols, rows, 255, &data)) {
                prop_assert!(got.iter().any(|&p| p > 0));
            }
        }
    }
}
