//! Sums of products on Cortex-M, in assembly: compilers have no registers left for four rows of weights, keep what belongs in them on the
//! stack, and unroll loops until all of it lies there.
//!
//! Here is what is checked before; what is done, in a file for each of three kinds of core: with DSP instructions (M4, M7, M33), without
//! (M3), and those whose instructions mostly reach eight registers (M0, M0+, M23).

#[cfg(inkstone_dsp)]
mod dsp;
#[cfg(inkstone_few_registers)]
mod v6m;
#[cfg(not(any(inkstone_dsp, inkstone_few_registers)))]
mod v7m;

#[cfg(not(inkstone_few_registers))]
use core::arch::asm;
#[cfg(inkstone_dsp)]
pub(super) use dsp::{dot_bytes, smlad, spread};
#[cfg(inkstone_dsp)]
use dsp::{fours_of, rows_of};
#[cfg(inkstone_few_registers)]
use v6m::{fours_of, rows};
#[cfg(not(any(inkstone_dsp, inkstone_few_registers)))]
use v7m::{fours_of, rows};

/// `a · b` in 64 bits, low word first. In assembly, as the compiler would unroll loops over it until registers run out.
#[cfg(not(inkstone_few_registers))]
#[inline(always)]
pub(super) fn smull(a: i32, b: i32) -> [u32; 2] {
    let (low, high);
    // SAFETY: only registers are touched; every Cortex-M but M0 and its like has it, which `cfg(inkstone_few_registers)` says.
    unsafe {
        asm!("smull {0}, {1}, {2}, {3}", out(reg) low, out(reg) high, in(reg) a, in(reg) b, options(pure, nomem, nostack, preserves_flags));
    }
    [low, high]
}

/// `Σ x[i] · w[r · stride + i]` for four rows `r`, wrapping, `x` as [`Simd::spread`](crate::kernels::simd::Simd::spread) left it. Zeros if
/// `w` is shorter.
#[inline(never)] // the compiler takes the loop for shorter than it is, and it needs every register there is
pub(super) fn dot_rows(x: &[[i32; 2]], w: &[i8], stride: usize) -> [i32; 4] {
    let needed = stride.checked_mul(3).and_then(|rows| rows.checked_add(4 * x.len()));
    if needed.is_none_or(|needed| needed > w.len()) {
        debug_assert!(false, "rows {stride} apart of {} weights", w.len());
        return [0; 4];
    }
    if x.is_empty() {
        return [0; 4];
    }
    // SAFETY: what was compared above is four bytes of each row of `w` for each pair of words of `x`, of which there is one.
    unsafe { rows_of(x.as_ptr(), x.len(), w.as_ptr(), stride) }
}

/// `Σ x[i] · w[r · stride + i]` for four rows `r`, `x` of `len` pairs of words.
///
/// # Safety
/// As for [`rows`].
#[cfg(not(inkstone_dsp))]
#[inline(always)]
unsafe fn rows_of(x: *const [i32; 2], len: usize, w: *const i8, stride: usize) -> [i32; 4] {
    let mut sums = [0; 4];
    // SAFETY: the caller's promise is what `rows` asks for, and there are four sums.
    unsafe { rows(x, x.wrapping_add(len), w, stride, &mut sums) };
    sums
}

/// `sums[p · fours + q][r] = Σ x[p · pitch + i] · w`, wrapping, for `fours` pieces of `w`, one after the other, of `steps` words: number
/// `r` of step `i` holds the weights of `x[p · pitch + 2i]` and its neighbour. Nothing if `x` is shorter, or `w` or `sums` are not as long.
#[inline(always)]
pub(super) fn dot_fours(x: &[i16], pitch: usize, w: &[[i32; 4]], steps: usize, sums: &mut [[i32; 4]]) {
    let fours = times(steps, w.len());
    let pixels = times(fours, sums.len());
    let whole = pixels > 0 && pixels * fours == sums.len() && fours * steps == w.len();
    let needed = pitch.checked_mul(pixels.wrapping_sub(1)).and_then(|last| last.checked_add(2 * steps));
    if !whole || needed.is_none_or(|needed| needed > x.len()) {
        return debug_assert!(
            false,
            "{steps} steps of {} words for {} sums of {} numbers",
            w.len(),
            sums.len(),
            x.len()
        );
    }
    let sums = sums.as_mut_ptr_range();
    let (pixel_end, pitch) = (sums.start.wrapping_add(fours), pitch.wrapping_mul(2)); // of one pixel it is not read
    let mut pixels = Pixels { x: x.as_ptr(), pixel_end, end: sums.end, pixel: 16 * fours, w: w.as_ptr(), pitch };
    // SAFETY: neither `steps` nor `fours` is 0, as there is a pixel; what was compared above is sums of whole pixels, at least one,
    // `steps` words of `w` for each of their fours, and twice as many numbers of `x` at the place of every pixel.
    unsafe { fours_of(&mut pixels, steps, sums.start) }
}

/// How often `part` fits in `whole`, 0 if it is nothing itself. By subtraction where a division is a function: both are small.
#[inline(always)]
fn times(part: usize, whole: usize) -> usize {
    if cfg!(not(inkstone_few_registers)) {
        return whole.checked_div(part).unwrap_or(0);
    }
    let (mut left, mut count) = (whole, 0);
    while part > 0 && left >= part {
        (left, count) = (left - part, count + 1);
    }
    count
}

/// Where the patches of some pixels, their weights and their sums are.
#[repr(C)]
pub(super) struct Pixels {
    /// The patch of the first pixel.
    x: *const i16,
    /// The ends of its sums and of all sums, and the bytes of those of a pixel.
    pixel_end: *mut [i32; 4],
    end: *mut [i32; 4],
    pixel: usize,
    w: *const [i32; 4],
    /// Bytes from a patch to the next.
    pitch: usize,
}
