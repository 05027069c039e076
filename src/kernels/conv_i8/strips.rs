//! Weights in strips of output channels, widened, in the order in which the register tiles read them.

use crate::kernels::conv::Conv;
use crate::kernels::gemm_i8::tile::NV;

/// Strips of `channels` output channels for registers of `lanes`, the last one filled up with zeros.
///
/// A strip is `[kh][pairs][NV · lanes][2]`: the columns of the kernel and the channels of a group follow each other in a row of it without
/// a gap, two by two; a row of an odd number of weights ends in a zero.
#[derive(Clone, Copy)]
pub(super) struct Strips {
    pub(super) count: usize,
    /// Output channels in each.
    pub(super) width: usize,
    /// Elements of each.
    pub(super) len: usize,
    pub(super) pairs: usize,
    row: usize,
}

impl Strips {
    pub(super) const fn of(conv: &Conv, channels: usize, lanes: usize) -> Self {
        let (row, width) = (conv.group().0 * conv.kw, NV * lanes);
        let pairs = row.div_ceil(2);
        Self { count: channels.div_ceil(width), width, len: conv.kh * pairs * 2 * width, pairs, row }
    }

    /// Elements of all.
    pub(super) const fn all(&self) -> usize {
        self.count * self.len
    }

    /// Packs `weight [channels][kh][kw][c]` into the first elements of `strips`, and returns those.
    pub(super) fn pack<'s>(&self, weight: &[i8], strips: &'s mut [i16]) -> &'s [i16] {
        let Self { width, len, pairs, row, .. } = *self;
        let strips = &mut strips[..self.all()];
        let taps = len / (2 * pairs * width) * row;
        strips.fill(0);
        for (strip, weight) in strips.chunks_exact_mut(len).zip(weight.chunks(width * taps)) {
            for (lane, weight) in weight.chunks_exact(taps).enumerate() {
                for (strip, weight) in strip.chunks_exact_mut(2 * pairs * width).zip(weight.chunks_exact(row)) {
                    for (t, w) in weight.iter().enumerate() {
                        strip[(t / 2 * width + lane) * 2 + t % 2] = i16::from(*w);
                    }
                }
            }
        }
        strips
    }
}
