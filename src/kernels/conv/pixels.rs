//! Rows of pixels with their channels last: what lies side by side in a register belongs to one pixel.

use crate::kernels::simd::{MAX_LANES, Simd};

/// Where a row of an image lies, and where it goes.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) channels: usize,
    /// Elements from one channel of the image to the next.
    pub(super) plane: usize,
    /// Pixels in a row of the image.
    pub(super) width: usize,
    /// Zero pixels before them.
    pub(super) left: usize,
    /// Pixels in a row of the copy, zeros behind those of the image.
    pub(super) pitch: usize,
}

impl Shape {
    /// Elements of a pixel: the channels, zeros up to whole registers.
    #[inline(always)]
    pub(super) const fn depth(&self, lanes: usize) -> usize {
        self.channels.next_multiple_of(lanes)
    }

    /// Elements of a row.
    pub(super) const fn row_len(&self, lanes: usize) -> usize {
        self.pitch * self.depth(lanes)
    }

    /// Elements behind the last row that may be written to.
    pub(super) const fn slack(&self, lanes: usize) -> usize {
        lanes * self.depth(lanes)
    }

    /// Copies the row that begins at `image[at]` in the first channel to `dst[..row_len]`; what follows may be overwritten too.
    #[inline(always)]
    pub(super) fn row<S: Simd>(&self, simd: S, image: &[f32], at: usize, dst: &mut [f32]) {
        match S::LANES {
            1 => self.blocks::<S, 1>(simd, image, at, dst),
            4 => self.blocks::<S, 4>(simd, image, at, dst),
            8 => self.blocks::<S, 8>(simd, image, at, dst),
            _ => self.blocks::<S, MAX_LANES>(simd, image, at, dst),
        }
        let depth = self.depth(S::LANES);
        dst[..self.left * depth].fill(0.0);
        dst[(self.left + self.width) * depth..self.pitch * depth].fill(0.0);
    }

    /// `R` channels by `R` pixels at a time, `R` of them in a register.
    #[inline(always)]
    fn blocks<S: Simd, const R: usize>(&self, simd: S, image: &[f32], at: usize, dst: &mut [f32]) {
        let depth = self.depth(R);
        for c in (0..self.channels).step_by(R) {
            let count = R.min(self.channels - c);
            for x in (0..self.width).step_by(R) {
                let mut registers = [simd.splat(0.0); R];
                for (i, register) in registers.iter_mut().enumerate().take(count) {
                    let src = &image[(c + i) * self.plane + at + x..];
                    *register =
                        if self.width - x >= R { simd.load(src) } else { simd.load_partial(&src[..self.width - x]) };
                }
                simd.transpose(registers, &mut dst[(self.left + x) * depth + c..], depth);
            }
        }
    }
}
