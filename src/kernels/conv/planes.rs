//! Zero-padded copies of image planes, laid out so that a tap of a convolution meets neighbouring pixels in neighbouring places.

use super::shape::Conv;
use crate::kernels::simd::MAX_LANES;

/// Elements behind the last plane that a whole register may read and nothing uses.
const SLACK: usize = 2 * MAX_LANES;

/// How a plane of `rows x cols` is stored: rows after each other, in each of them the columns 0, `phases`, `2·phases`.. first, then
/// 1, `phases + 1`.. and so on. Pixel `i` of the image, in either direction, lies at `first + i · dilation`.
#[derive(Clone, Copy)]
pub(super) struct Planes {
    channels: usize,
    height: usize,
    width: usize,
    rows: usize,
    cols: usize,
    phases: usize,
    top: isize,
    left: isize,
    dilation: usize,
}

impl Planes {
    /// Of the input, for a convolution or its weight gradient.
    pub(super) const fn of_input(conv: &Conv) -> Self {
        Self {
            channels: conv.c_in / conv.groups,
            height: conv.h,
            width: conv.w,
            rows: conv.h + 2 * conv.padding,
            cols: conv.w + 2 * conv.padding,
            phases: conv.stride,
            top: conv.padding as isize,
            left: conv.padding as isize,
            dilation: 1,
        }
    }

    /// Of the output's gradient, for the input's: a convolution of stride 1 with the flipped kernel, zeros between the pixels.
    pub(super) const fn of_d_out(conv: &Conv) -> Self {
        Self {
            channels: conv.c_out / conv.groups,
            height: conv.oh,
            width: conv.ow,
            rows: conv.h + conv.kh - 1,
            cols: conv.w + conv.kw - 1,
            phases: 1,
            top: conv.kh as isize - 1 - conv.padding as isize,
            left: conv.kw as isize - 1 - conv.padding as isize,
            dilation: conv.stride,
        }
    }

    /// Elements from one phase of a row to the next.
    const fn pitch(&self) -> usize {
        self.cols.div_ceil(self.phases)
    }

    /// Elements from one row to the next.
    const fn row_len(&self) -> usize {
        self.pitch() * self.phases
    }

    /// Elements of all planes and what lies behind them.
    pub(super) const fn len(&self) -> usize {
        self.channels * self.rows * self.row_len() + SLACK
    }

    /// Elements from one row of the output to the next.
    pub(super) const fn step(&self) -> usize {
        self.phases.saturating_mul(self.row_len()) // of a stride as long as the image there is no second row
    }

    /// Where the tap at row `dy` and column `dx` of channel `channel` lies, seen from an output pixel.
    pub(super) const fn tap(&self, channel: usize, dy: usize, dx: usize) -> usize {
        (channel * self.rows + dy) * self.row_len() + dx % self.phases * self.pitch() + dx / self.phases
    }

    /// The offsets of all taps: channels, rows and columns of the kernel.
    pub(super) fn taps(&self, conv: &Conv, offsets: &mut [u32]) {
        let kernel = conv.kh * conv.kw;
        for (t, offset) in offsets.iter_mut().enumerate() {
            *offset = self.tap(t / kernel, t % kernel / conv.kw, t % conv.kw) as u32; // `Conv::new` checked that it fits
        }
    }

    /// Copies the channels of one group of one image. `dst` is overwritten as a whole.
    pub(super) fn fill(&self, image: &[f32], dst: &mut [f32]) {
        let (plane, row_len, pitch) = (self.height * self.width, self.row_len(), self.pitch());
        let (dst, slack) = dst[..self.len()].split_at_mut(self.len() - SLACK);
        slack.fill(0.0);
        for (image, dst) in image.chunks_exact(plane).zip(dst.chunks_exact_mut(self.rows * row_len)) {
            for (r, dst) in dst.chunks_exact_mut(row_len).enumerate() {
                let Some(row) = self.source(r as isize - self.top, self.height) else {
                    dst.fill(0.0);
                    continue;
                };
                let src = &image[row * self.width..][..self.width];
                if self.phases == 1 && self.dilation == 1 && self.left >= 0 {
                    // One copy between two borders.
                    let left = (self.left as usize).min(self.cols);
                    let count = self.width.min(self.cols - left);
                    dst[..left].fill(0.0);
                    dst[left..left + count].copy_from_slice(&src[..count]);
                    dst[left + count..].fill(0.0);
                } else {
                    dst.fill(0.0);
                    for (i, pixel) in src.iter().enumerate() {
                        let col = self.left + (i * self.dilation) as isize;
                        if (0..self.cols as isize).contains(&col) {
                            dst[col as usize % self.phases * pitch + col as usize / self.phases] = *pixel;
                        }
                    }
                }
            }
        }
    }

    /// The row of the image at `at` from where the image begins, if there is one.
    fn source(&self, at: isize, height: usize) -> Option<usize> {
        let at = usize::try_from(at).ok()?;
        (at.is_multiple_of(self.dilation) && at / self.dilation < height).then(|| at / self.dilation)
    }
}
