//! Some columns of a matrix, moved together and back: where the others are known to hold zeros, a product need not see them.

use super::Isa;
use super::map::store;
use super::simd::{Kernel, MAX_LANES, Simd};
use crate::error::ShapeError;
use core::ops::Range;

/// Columns of a matrix, as runs of neighbours from left to right.
#[derive(Clone, Copy, Debug)]
pub struct Columns<'a> {
    runs: &'a [Range<usize>],
    width: usize,
    len: usize,
}

impl<'a> Columns<'a> {
    /// The columns `runs` of a matrix of `width` columns.
    ///
    /// # Errors
    /// [`ShapeError::TooShort`] if a run ends before it begins, begins before the one to its left ends, or reaches beyond the last column.
    pub fn new(runs: &'a [Range<usize>], width: usize) -> Result<Self, ShapeError> {
        let (mut at, mut len) = (0, 0);
        for run in runs {
            if run.start < at {
                let what = "the columns to the left of a run, with the run before it,";
                return Err(ShapeError::TooShort { what, needed: at, got: run.start });
            }
            if run.end < run.start {
                let what = "a run of columns, from its left,";
                return Err(ShapeError::TooShort { what, needed: run.start, got: run.end });
            }
            len += run.end - run.start;
            at = run.end;
        }
        if at > width {
            return Err(ShapeError::TooShort { what: "a row, for its last run of columns,", needed: at, got: width });
        }
        Ok(Self { runs, width, len })
    }

    /// How many columns these are.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.len
    }

    /// Columns of the whole matrix.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Rows of two matrices, the first with all columns and the second with these.
    fn rows(&self, all: usize, some: usize) -> Result<usize, ShapeError> {
        let rows = all.checked_div(self.width).unwrap_or(0);
        for (expected, got) in [(rows * self.width, all), (rows * self.len, some)] {
            if expected != got {
                return Err(ShapeError::Length { what: "a matrix of the same rows", expected, got });
            }
        }
        Ok(rows)
    }
}

/// `out` becomes these columns of `x`. Copies: exact.
///
/// # Shapes
/// `x [rows, width]`, `out [rows, count]`.
/// # Errors
/// [`ShapeError::Length`] if these are not whole matrices of as many rows.
pub fn take(isa: Isa, columns: Columns<'_>, x: &[f32], out: &mut [f32]) -> Result<(), ShapeError> {
    struct Take<'a>(Columns<'a>, &'a [f32], &'a mut [f32]);
    impl Kernel for Take<'_> {
        type Output = ();
        #[inline(always)]
        fn eval<S: Simd>(self, simd: S) {
            let Self(columns, x, out) = self;
            for (row, out) in x.chunks_exact(columns.width).zip(out.chunks_exact_mut(columns.len)) {
                let mut at = 0;
                for run in columns.runs {
                    copy(simd, row, run.clone(), out, at);
                    at += run.end - run.start;
                }
            }
        }
    }
    columns.rows(x.len(), out.len())?;
    if columns.len > 0 {
        isa.run(Take(columns, x, out));
    }
    Ok(())
}

/// `out` gets `x` in these columns and zeros in the others. Copies: exact.
///
/// # Shapes
/// `x [rows, count]`, `out [rows, width]`.
/// # Errors
/// [`ShapeError::Length`] if these are not whole matrices of as many rows.
pub fn put(isa: Isa, columns: Columns<'_>, x: &[f32], out: &mut [f32]) -> Result<(), ShapeError> {
    struct Put<'a>(Columns<'a>, &'a [f32], &'a mut [f32]);
    impl Kernel for Put<'_> {
        type Output = ();
        #[inline(always)]
        fn eval<S: Simd>(self, simd: S) {
            let Self(columns, x, out) = self;
            for (row, out) in x.chunks_exact(columns.len).zip(out.chunks_exact_mut(columns.width)) {
                let (mut from, mut to) = (0, 0);
                for run in columns.runs {
                    clear(simd, &mut out[to..], run.start - to);
                    let len = run.end - run.start;
                    copy(simd, row, from..from + len, out, run.start);
                    (from, to) = (from + len, run.end);
                }
                out[to..].fill(0.0);
            }
        }
    }
    columns.rows(out.len(), x.len())?;
    if columns.len > 0 {
        isa.run(Put(columns, x, out));
    } else {
        out.fill(0.0);
    }
    Ok(())
}

/// `out = pixels · scale + offset` of these columns of one row of pixels, as [`pixels_to_f32`](super::elementwise::pixels_to_f32) has it.
///
/// # Shapes
/// `pixels [width]`, `out [count]`.
/// # Errors
/// [`ShapeError::Length`] if these are not one row.
pub fn pixels_to_f32(
    isa: Isa,
    columns: Columns<'_>,
    pixels: &[u8],
    scale: f32,
    offset: f32,
    out: &mut [f32],
) -> Result<(), ShapeError> {
    struct Pixels<'a>(Columns<'a>, &'a [u8], f32, f32, &'a mut [f32]);
    impl Kernel for Pixels<'_> {
        type Output = ();
        #[inline(always)]
        fn eval<S: Simd>(self, simd: S) {
            let Self(columns, pixels, scale, offset, out) = self;
            let (scale, offset) = (simd.splat(scale), simd.splat(offset));
            let mut at = 0;
            for run in columns.runs {
                let mut from = run.start;
                while from < run.end {
                    let step = BLOCK.min(run.end - from);
                    let room = (pixels.get(from..from + BLOCK), out.get_mut(at..at + BLOCK));
                    if let (Some(pixels), Some(out)) = room {
                        for (pixels, out) in pixels.chunks_exact(S::LANES).zip(out.chunks_exact_mut(S::LANES)) {
                            simd.store(simd.mul_add(simd.load_u8(pixels), scale, offset), out);
                        }
                    } else {
                        pieces(simd, &pixels[from..from + step], scale, offset, &mut out[at..at + step]);
                    }
                    (from, at) = (from + step, at + step);
                }
            }
        }
    }
    for (expected, got) in [(columns.width, pixels.len()), (columns.len, out.len())] {
        if expected != got {
            return Err(ShapeError::Length { what: "a row of pixels", expected, got });
        }
    }
    isa.run(Pixels(columns, pixels, scale, offset, out));
    Ok(())
}

/// Elements that are copied at once, whether a run has as many or not: most runs of a digit have fewer, and then no branch depends on how
/// many. A whole number of registers.
const BLOCK: usize = 32;

/// Copies `row[run]` to `out[at..]` in blocks: what lies up to a block beyond it in `out` is lost.
#[inline(always)]
fn copy<S: Simd>(simd: S, row: &[f32], run: Range<usize>, out: &mut [f32], mut at: usize) {
    let mut from = run.start;
    while from < run.end {
        let step = BLOCK.min(run.end - from);
        match (row.get(from..from + BLOCK), out.get_mut(at..at + BLOCK)) {
            (Some(row), Some(out)) => {
                for (row, out) in row.chunks_exact(S::LANES).zip(out.chunks_exact_mut(S::LANES)) {
                    simd.store(simd.load(row), out);
                }
            }
            _ => out[at..at + step].copy_from_slice(&row[from..from + step]),
        }
        (from, at) = (from + step, at + step);
    }
}

/// Pixels near the end of a row, a register at a time and no further.
#[inline(always)]
fn pieces<S: Simd>(simd: S, pixels: &[u8], scale: S::F32, offset: S::F32, out: &mut [f32]) {
    for (pixels, out) in pixels.chunks(S::LANES).zip(out.chunks_mut(S::LANES)) {
        let mut bytes = [0u8; MAX_LANES];
        bytes[..pixels.len()].copy_from_slice(pixels);
        store(simd, simd.mul_add(simd.load_u8(&bytes), scale, offset), out);
    }
}

/// Clears `out[..len]` in whole registers: what lies up to a register beyond is lost.
#[inline(always)]
fn clear<S: Simd>(simd: S, out: &mut [f32], len: usize) {
    let mut at = 0;
    while at < len {
        let step = S::LANES.min(len - at);
        match out.get_mut(at..at + S::LANES) {
            Some(out) => simd.store(simd.splat(0.0), out),
            None => out[at..at + step].fill(0.0),
        }
        at += step;
    }
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "a list of runs may hold one")]
mod tests {
    extern crate std;
    use super::*;
    use crate::kernels::elementwise;
    use crate::kernels::testing::{bytes, uniform};
    use std::vec::Vec;
    use std::{format, vec};

    /// Runs around a register's edges, beside each other, at both ends, none at all and everything.
    fn choices(width: usize, lanes: usize) -> Vec<Vec<Range<usize>>> {
        let mut choices = vec![vec![], vec![0..width], vec![0..0, 0..width]];
        for len in [1, lanes - 1, lanes, lanes + 1, 2 * lanes + 1] {
            for gap in [0, 1, lanes - 1, lanes, lanes + 1] {
                for first in [0, 1, gap] {
                    let step = (len + gap).max(1);
                    let runs: Vec<_> = (0..).map(|i| first + i * step..first + i * step + len).collect_until(width);
                    choices.push(runs);
                }
            }
            if len <= width {
                choices.push(vec![width - len..width]);
            }
        }
        choices
    }

    trait CollectUntil: Iterator<Item = Range<usize>> + Sized {
        fn collect_until(self, width: usize) -> Vec<Range<usize>> {
            self.take_while(|run| run.start < width).map(|run| run.start..run.end.min(width)).collect()
        }
    }
    impl<I: Iterator<Item = Range<usize>>> CollectUntil for I {}

    fn bits(x: &[f32]) -> Vec<u32> {
        x.iter().map(|x| x.to_bits()).collect()
    }

    #[test]
    fn columns_are_taken_and_put_back_on_every_isa() {
        for isa in Isa::available() {
            for width in [1, 7, 28, 3 * isa.lanes() + 2, 100] {
                for runs in choices(width, isa.lanes()) {
                    let columns = Columns::new(&runs, width).unwrap();
                    let chosen: Vec<usize> = runs.iter().cloned().flatten().collect();
                    assert_eq!((columns.count(), columns.width()), (chosen.len(), width));
                    let (rows, at) = (3, format!("{isa} {width} {runs:?}"));
                    let mut x = uniform(rows * width, 1);
                    x[0] = f32::NAN;
                    let want: Vec<f32> =
                        x.chunks(width).flat_map(|row| chosen.iter().map(|c| row[*c]).collect::<Vec<_>>()).collect();
                    // Guards on both sides.
                    let mut out = vec![f32::NAN; want.len() + 2];
                    take(isa, columns, &x, &mut out[1..=want.len()]).unwrap();
                    assert_eq!(bits(&out[1..=want.len()]), bits(&want), "{at}");
                    assert!(out[0].is_nan() && out[want.len() + 1].is_nan(), "{at}");

                    let mut back = vec![f32::NAN; x.len() + 2];
                    put(isa, columns, &want, &mut back[1..=x.len()]).unwrap();
                    for (i, (got, x)) in back[1..=x.len()].iter().zip(&x).enumerate() {
                        let want = if chosen.contains(&(i % width)) { *x } else { 0.0 };
                        assert_eq!(got.to_bits(), want.to_bits(), "{at} {i}");
                    }
                    assert!(back[0].is_nan() && back[x.len() + 1].is_nan(), "{at}");
                }
            }
        }
    }

    #[test]
    fn pixels_are_those_of_the_whole_row_on_every_isa() {
        for isa in Isa::available() {
            for width in [1, 7, 28, 3 * isa.lanes() + 2, 100] {
                let pixels: Vec<u8> = bytes(width, 3).into_iter().map(|byte| byte as u8).collect();
                let mut all = vec![f32::NAN; width];
                elementwise::pixels_to_f32(isa, &pixels, 1.0 / 255.0, 0.5, &mut all).unwrap();
                for runs in choices(width, isa.lanes()) {
                    let columns = Columns::new(&runs, width).unwrap();
                    let want: Vec<f32> = runs.iter().cloned().flatten().map(|c| all[c]).collect();
                    let mut out = vec![f32::NAN; want.len() + 1];
                    pixels_to_f32(isa, columns, &pixels, 1.0 / 255.0, 0.5, &mut out[..want.len()]).unwrap();
                    assert_eq!(bits(&out[..want.len()]), bits(&want), "{isa} {width} {runs:?}");
                    assert!(out[want.len()].is_nan());
                }
            }
        }
    }

    #[test]
    fn runs_and_matrices_that_do_not_fit_are_refused() {
        let runs = |runs: &[Range<usize>]| Columns::new(runs, 10).map(|columns| columns.count());
        assert_eq!(runs(&[0..3, 3..4, 9..10]), Ok(5));
        let backwards = Range { start: 4, end: 3 };
        for bad in [&[0..11][..], &[backwards], &[3..5, 4..6], &[3..5, 0..1], &[0..usize::MAX, 0..1]] {
            assert!(runs(bad).is_err(), "{bad:?}");
        }
        let (isa, runs) = (Isa::best(), [1..3, 5..6]);
        let columns = Columns::new(&runs, 10).unwrap();
        assert!(take(isa, columns, &[0.0; 20], &mut [0.0; 5]).is_err());
        assert!(take(isa, columns, &[0.0; 19], &mut [0.0; 6]).is_err());
        assert!(put(isa, columns, &[0.0; 6], &mut [0.0; 19]).is_err());
        assert!(put(isa, columns, &[0.0; 5], &mut [0.0; 20]).is_err());
        assert!(pixels_to_f32(isa, columns, &[0; 9], 1.0, 0.0, &mut [0.0; 3]).is_err());
        assert!(pixels_to_f32(isa, columns, &[0; 10], 1.0, 0.0, &mut [0.0; 4]).is_err());
        assert!(take(isa, Columns::new(&[], 0).unwrap(), &[], &mut []).is_ok());
        assert!(take(isa, Columns::new(&[], 0).unwrap(), &[1.0], &mut []).is_err());
    }
}
