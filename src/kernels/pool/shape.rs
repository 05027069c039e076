//! The shape of a pooling, checked once.

use crate::error::{ShapeError, length};
use core::ops::Range;

/// Windows over the planes of a batch: `[n, c, h, w]` to `[n, c, oh, ow]`, `oh = ⌊(h + 2·padding − kh) / stride⌋ + 1` and `ow` alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    n: usize,
    c: usize,
    h: usize,
    w: usize,
    pub(crate) kh: usize,
    pub(crate) kw: usize,
    pub(crate) stride: usize,
    pub(crate) padding: usize,
    oh: usize,
    pub(super) ow: usize,
}

/// A part of a row of the output that one place of the window serves: outputs `from..to`, the first from pixel `start` of the plane, the
/// others a stride further each.
pub(super) struct Run {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) start: usize,
}

impl Pool {
    /// Of `input [n, c, h, w]` by windows of `kernel` rows and columns, `stride` pixels apart. `n` may be 0.
    ///
    /// # Errors
    /// [`ShapeError::Range`] for a size or a stride of 0, for a padding of more than half the window, which would let windows miss the
    /// image, and for a window larger than the padded image; [`ShapeError::Overflow`] if a plane or a window has more than `2³¹ − 1` pixels or a
    /// buffer would not fit in memory.
    pub const fn new(input: [usize; 4], kernel: [usize; 2], stride: usize, padding: usize) -> Result<Self, ShapeError> {
        let ([n, c, h, w], [kh, kw]) = (input, kernel);
        let sizes = [
            ("the channels of a pooling", c),
            ("the rows of its planes", h),
            ("the columns of its planes", w),
            ("the rows of its window", kh),
            ("the columns of its window", kw),
            ("the stride of a pooling", stride),
        ];
        let mut i = 0;
        while i < sizes.len() {
            if sizes[i].1 == 0 {
                return Err(ShapeError::Range { what: sizes[i].0, min: 1, max: i64::MAX, got: 0 });
            }
            i += 1;
        }
        match kh.checked_mul(kw) {
            Some(window) if window <= i32::MAX as usize => {}
            _ => return Err(ShapeError::Overflow),
        }
        let smaller = if kh < kw { kh } else { kw };
        if padding > smaller / 2 {
            let (what, max) = ("the padding of a pooling, at most half its window,", smaller / 2);
            return Err(ShapeError::Range { what, min: 0, max: max as i64, got: padding as i64 });
        }
        let plane = match h.checked_mul(w) {
            Some(plane) if plane <= i32::MAX as usize => plane,
            _ => return Err(ShapeError::Overflow),
        };
        // Padding and sides are at most those of a plane that was just found small, or of the window.
        let [Some(rows), Some(cols)] = [h.checked_add(2 * padding), w.checked_add(2 * padding)] else {
            return Err(ShapeError::Overflow);
        };
        if kh > rows || kw > cols {
            let (max, got) = if kh > rows { (rows, kh) } else { (cols, kw) };
            let what = "a side of the window of a pooling, against that of the padded plane,";
            return Err(ShapeError::Range { what, min: 1, max: max as i64, got: got as i64 });
        }
        // It is not 0, but the compiler does not see it, and would link a panic.
        let (Some(down), Some(right)) = ((rows - kh).checked_div(stride), (cols - kw).checked_div(stride)) else {
            return Err(ShapeError::Overflow);
        };
        let (oh, ow) = (down + 1, right + 1);
        let planes = match n.checked_mul(c) {
            Some(planes) => planes,
            None => return Err(ShapeError::Overflow),
        };
        let larger = match oh.checked_mul(ow) {
            Some(out) if out > plane => out,
            Some(_) => plane,
            None => return Err(ShapeError::Overflow),
        };
        if larger > i32::MAX as usize || planes.checked_mul(larger).is_none() {
            return Err(ShapeError::Overflow);
        }
        Ok(Self { n, c, h, w, kh, kw, stride, padding, oh, ow })
    }

    /// Sizes of the output: `[n, c, oh, ow]`.
    #[must_use]
    pub const fn output(&self) -> [usize; 4] {
        [self.n, self.c, self.oh, self.ow]
    }

    /// Elements of the input.
    #[must_use]
    pub const fn input_len(&self) -> usize {
        self.n * self.c * self.h * self.w
    }

    /// Elements of the output.
    #[must_use]
    pub const fn output_len(&self) -> usize {
        self.n * self.c * self.oh * self.ow
    }

    /// Rows and columns of the window.
    #[must_use]
    pub const fn kernel(&self) -> [usize; 2] {
        [self.kh, self.kw]
    }

    /// Pixels from one window to the next.
    #[must_use]
    pub const fn stride(&self) -> usize {
        self.stride
    }

    /// Pixels around the plane.
    #[must_use]
    pub const fn padding(&self) -> usize {
        self.padding
    }

    pub(in crate::kernels) fn check(&self, input: usize, output: usize) -> Result<(), ShapeError> {
        length("the input of a pooling, or its gradient,", self.input_len(), input)?;
        length("the output of a pooling, or its gradient,", self.output_len(), output)
    }

    /// Elements of a plane of the input, and of the output.
    pub(in crate::kernels) const fn planes(&self) -> (usize, usize) {
        (self.h * self.w, self.oh * self.ow)
    }

    /// The same for `n` images.
    ///
    /// # Errors
    /// [`ShapeError::Overflow`] if a buffer would not fit in memory.
    pub const fn of_images(&self, n: usize) -> Result<Self, ShapeError> {
        let Self { c, h, w, kh, kw, stride, padding, .. } = *self;
        Self::new([n, c, h, w], [kh, kw], stride, padding)
    }

    /// Whether each window is its whole plane.
    pub(crate) const fn is_whole(&self) -> bool {
        self.kh == self.h && self.kw == self.w && self.padding == 0
    }

    /// Channels.
    #[inline(always)]
    pub(in crate::kernels) const fn channels(&self) -> usize {
        self.c
    }

    /// Pixels of a window.
    pub(crate) const fn window_pixels(&self) -> usize {
        self.kh * self.kw
    }

    /// What each pixel of a window counts in its mean.
    pub(super) const fn share(&self) -> f32 {
        1.0 / (self.kh as f32 * self.kw as f32)
    }

    /// Whether windows are 2x2, side by side, without padding.
    pub(in crate::kernels) const fn is_two(&self) -> bool {
        self.kh == 2 && self.kw == 2 && self.stride == 2 && self.padding == 0
    }

    /// Columns of the window.
    pub(super) const fn kw(&self) -> usize {
        self.kw
    }

    /// Outputs of a row whose windows have all their columns in the plane.
    pub(super) fn inside(&self) -> Range<usize> {
        let from = self.padding.div_ceil(self.stride).min(self.ow);
        let to = (self.w + self.padding + 1).saturating_sub(self.kw).div_ceil(self.stride).min(self.ow);
        from..to.max(from)
    }

    /// Whether windows follow each other without overlap, gap or padding.
    #[inline(always)]
    pub(super) const fn is_tiling(&self) -> bool {
        self.kh == self.stride && self.kw == self.stride && self.padding == 0
    }

    /// Pixels of a row.
    #[inline(always)]
    pub(in crate::kernels) const fn width(&self) -> usize {
        self.w
    }

    /// Rows of the window that lie in the plane, for row `y` of the output.
    #[inline(always)]
    pub(in crate::kernels) fn rows(&self, y: usize) -> Range<usize> {
        Self::seen(y * self.stride, self.padding, self.h, self.kh)
    }

    /// Columns of the window that lie in the plane, for column `x` of the output.
    #[inline(always)]
    pub(in crate::kernels) fn columns(&self, x: usize) -> Range<usize> {
        Self::seen(x * self.stride, self.padding, self.w, self.kw)
    }

    #[inline(always)]
    fn seen(start: usize, padding: usize, len: usize, window: usize) -> Range<usize> {
        padding.saturating_sub(start)..(len + padding).saturating_sub(start).min(window)
    }

    /// The pixel that place `(dy, dx)` of the window sees for output `(y, x)`, which must lie in the plane.
    #[inline(always)]
    pub(in crate::kernels) const fn pixel(&self, y: usize, x: usize, dy: usize, dx: usize) -> usize {
        (y * self.stride + dy - self.padding) * self.w + x * self.stride + dx - self.padding
    }

    /// What the places of the window serve in row `y` of the output, rows of the window before columns.
    #[inline(always)]
    pub(super) fn runs(&self, y: usize) -> impl Iterator<Item = Run> + use<> {
        let Self { w, kw, stride, padding, ow, .. } = *self;
        // Columns of the window that some output sees in the plane.
        let columns = padding.saturating_sub((ow - 1) * stride)..kw.min(w + padding);
        self.rows(y).flat_map(move |dy| {
            let row = y * stride + dy - padding;
            columns.clone().filter_map(move |dx| {
                // From the first window whose pixel is not left of the plane to the last whose pixel is not right of it.
                let from = padding.saturating_sub(dx).div_ceil(stride).min(ow);
                let to = (w + padding).saturating_sub(dx).div_ceil(stride).min(ow);
                (from < to).then(|| Run { from, to, start: row * w + from * stride + dx - padding })
            })
        })
    }
}
