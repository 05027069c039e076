//! The shape of a convolution, checked once.

use crate::error::ShapeError;

/// A two-dimensional convolution of a batch: which sizes, stride, padding and groups.
///
/// Input `[n, c_in, h, w]`, weights `[c_out, c_in / groups, kh, kw]`, output `[n, c_out, oh, ow]` with
/// `oh = ⌊(h + 2·padding − kh) / stride⌋ + 1` and `ow` alike, without gaps: in this order in single precision, channels last for
/// [bytes](crate::kernels::conv_i8). Output channels are cut into `groups` equal parts, each of which sees its own part of the input
/// channels alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv {
    pub(crate) n: usize,
    pub(crate) c_in: usize,
    pub(crate) h: usize,
    pub(crate) w: usize,
    pub(crate) c_out: usize,
    pub(crate) kh: usize,
    pub(crate) kw: usize,
    pub(crate) stride: usize,
    pub(crate) padding: usize,
    pub(crate) groups: usize,
    pub(crate) oh: usize,
    pub(crate) ow: usize,
    /// Channels of a group, on either side.
    group: (usize, usize),
}

/// The product of sizes, if it fits in a sixteenth of the address space: sums of a few such products then fit too.
const fn product(sizes: &[usize]) -> Result<usize, ShapeError> {
    let (mut all, mut i) = (1usize, 0);
    while i < sizes.len() {
        all = match all.checked_mul(sizes[i]) {
            Some(all) if all <= (isize::MAX as usize) / 16 => all,
            _ => return Err(ShapeError::Overflow),
        };
        i += 1;
    }
    Ok(all)
}

const fn at_least_one(what: &'static str, got: usize) -> Result<(), ShapeError> {
    if got == 0 { Err(ShapeError::Range { what, min: 1, max: i64::MAX, got: 0 }) } else { Ok(()) }
}

impl Conv {
    /// Of `input [n, c_in, h, w]` with `weight [c_out, c_in / groups, kh, kw]`; `stride` and `padding` are those of rows and columns
    /// alike, in pixels. `n` may be 0.
    ///
    /// # Errors
    /// [`ShapeError::Range`] for a size, a stride or groups of 0, for a kernel larger than the padded image, and for groups that do not
    /// divide the channels; [`ShapeError::InnerDim`] if input and weights differ in channels; [`ShapeError::Overflow`] if a buffer
    /// would not fit in memory.
    pub const fn new(
        input: [usize; 4],
        weight: [usize; 4],
        stride: usize,
        padding: usize,
        groups: usize,
    ) -> Result<Self, ShapeError> {
        let ([n, c_in, h, w], [c_out, c_group, kh, kw]) = (input, weight);
        let sizes = [
            ("the input channels of a convolution", c_in),
            ("the rows of its images", h),
            ("the columns of its images", w),
            ("the output channels of a convolution", c_out),
            ("the rows of its kernel", kh),
            ("the columns of its kernel", kw),
            ("the stride of a convolution", stride),
            ("the groups of a convolution", groups),
        ];
        let mut i = 0;
        while i < sizes.len() {
            if let Err(error) = at_least_one(sizes[i].0, sizes[i].1) {
                return Err(error);
            }
            i += 1;
        }
        if !c_in.is_multiple_of(groups) || !c_out.is_multiple_of(groups) {
            let (max, got) = (if c_in < c_out { c_in } else { c_out }, groups);
            let what = "the groups of a convolution, which must divide its channels,";
            return Err(ShapeError::Range { what, min: 1, max: max as i64, got: got as i64 });
        }
        // None is 0, but the compiler does not see it, and would link a panic.
        let (Some(group_in), Some(group_out)) = (c_in.checked_div(groups), c_out.checked_div(groups)) else {
            return Err(ShapeError::Overflow);
        };
        if c_group != group_in {
            return Err(ShapeError::InnerDim { a_cols: group_in, b_rows: c_group });
        }
        let [Some(rows), Some(cols)] = [pad(h, padding), pad(w, padding)] else {
            return Err(ShapeError::Overflow);
        };
        if kh > rows {
            let what = "the rows of a kernel, against those of the padded image,";
            return Err(ShapeError::Range { what, min: 1, max: rows as i64, got: kh as i64 });
        }
        if kw > cols {
            let what = "the columns of a kernel, against those of the padded image,";
            return Err(ShapeError::Range { what, min: 1, max: cols as i64, got: kw as i64 });
        }
        let (Some(down), Some(right)) = ((rows - kh).checked_div(stride), (cols - kw).checked_div(stride)) else {
            return Err(ShapeError::Overflow);
        };
        let (oh, ow) = (down + 1, right + 1);
        // A stride beyond the image is as good as one to its end, and no row has to be laid out as long as it.
        let longer = if rows < cols { cols } else { rows };
        let stride = if stride < longer { stride } else { longer };
        let Some(phase) = cols.checked_div(stride) else {
            return Err(ShapeError::Overflow);
        };
        // Everything that is ever allotted: the buffers, and what the ways of computing need for one image.
        let images = if n == 0 { 1 } else { n };
        let (tall, wide) = (h.saturating_add(kh.saturating_mul(2)), w.saturating_add(kw.saturating_mul(2)));
        let (in_strips, out_strips) = (c_in.div_ceil(32), c_out.div_ceil(32));
        // Those of a group: an output channel has weights for its own alone.
        let (group_in_strips, group_out_strips) = (group_in.div_ceil(32), group_out.div_ceil(32));
        let strips = if in_strips < out_strips { out_strips } else { in_strips };
        let planes: [&[usize]; 2] =
            // Bytes are widened with one element more behind them.
            [&[c_in.saturating_add(1), rows, stride, phase.saturating_add(32)], &[c_out, tall, wide.saturating_add(32)]];
        // A kernel of 3x3 may be transformed by Winograd, to 36 numbers.
        let taps = kh.saturating_mul(kw);
        let taps = if taps < 36 { 36 } else { taps };
        let buffers: [&[usize]; 5] = [
            &[images, c_in, h, w],
            &[images, c_out, oh, ow],
            // The weights of the convolution, and those of the input gradient.
            &[out_strips, 32, group_in_strips, 32, taps],
            &[in_strips, 32, group_out_strips, 32, taps],
            // A row of transformed tiles, either way.
            &[strips, 32, wide.saturating_add(8), 36],
        ];
        let mut i = 0;
        while i < planes.len() + buffers.len() {
            // The planes of an image are addressed by 32 bits.
            let (sizes, most) = if i < 2 { (planes[i], u32::MAX as usize) } else { (buffers[i - 2], usize::MAX) };
            match product(sizes) {
                Ok(elements) if elements <= most => i += 1,
                Ok(_) => return Err(ShapeError::Overflow),
                Err(error) => return Err(error),
            }
        }
        Ok(Self { n, c_in, h, w, c_out, kh, kw, stride, padding, groups, oh, ow, group: (group_in, group_out) })
    }

    /// The same for `n` images.
    ///
    /// # Errors
    /// [`ShapeError::Overflow`] if a buffer would not fit in memory.
    pub const fn of_images(&self, n: usize) -> Result<Self, ShapeError> {
        let Self { c_in, h, w, c_out, kh, kw, stride, padding, groups, group, .. } = *self;
        Self::new([n, c_in, h, w], [c_out, group.0, kh, kw], stride, padding, groups)
    }

    /// Sizes of the output: `[n, c_out, oh, ow]`.
    #[must_use]
    pub const fn output(&self) -> [usize; 4] {
        [self.n, self.c_out, self.oh, self.ow]
    }

    /// Elements of the input.
    #[must_use]
    pub const fn input_len(&self) -> usize {
        self.n * self.c_in * self.h * self.w
    }

    /// Elements of the output.
    #[must_use]
    pub const fn output_len(&self) -> usize {
        self.n * self.c_out * self.oh * self.ow
    }

    /// Elements of the weights.
    #[must_use]
    pub const fn weight_len(&self) -> usize {
        self.c_out * self.taps()
    }

    /// Multiply-adds of the definition, those with padding included: as many for each of the two gradients.
    #[must_use]
    pub const fn macs(&self) -> u64 {
        (self.output_len() as u64).saturating_mul(self.taps() as u64)
    }

    /// Weights of one output channel.
    pub(crate) const fn taps(&self) -> usize {
        self.group.0 * self.kh * self.kw
    }

    /// Input channels that an output channel sees, and output channels that share them.
    pub(crate) const fn group(&self) -> (usize, usize) {
        self.group
    }
}

/// Pixels of a side with padding at both ends.
const fn pad(side: usize, padding: usize) -> Option<usize> {
    match padding.checked_mul(2) {
        Some(both) => side.checked_add(both),
        None => None,
    }
}
