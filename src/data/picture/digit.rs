//! From a grey picture to a digit like those of MNIST.

use super::{Grey, MIN_CONTRAST, SIDE, border, quantile};

/// Pixels of the longer side of the ink.
const BOX: usize = 20;
/// The row and the column of the centre of mass.
const CENTRE: f64 = 14.0;
/// A 28 x 28 picture whose border is darker than this is taken as it is.
const DARK: u8 = 32;

/// The digit of a grey picture, like one of MNIST; `Err` says what was found if nothing stands out.
///
/// 1. A 28 x 28 picture with a dark border is taken as it is.
/// 2. If the border is bright (its median), everything is inverted.
/// 3. What is not brighter than the border's noise becomes 0, the brightest 255.
/// 4. The ink's bounding box is cut out and averaged by area so that its longer side is 20 pixels.
/// 5. It is moved by whole pixels so that the centre of mass is nearest to row 14, column 14.
pub(super) fn of(picture: &Grey) -> Result<[u8; SIDE * SIDE], String> {
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
