//! The same convolutions split over the threads of the current rayon pool: by images, or by parts of the batch that the shape fixes.

use super::shape::Conv;
use super::way::Way;
use super::weight_gradient::{self, Gradient};
use super::{check_bias, check_lens, check_scratch};
use crate::error::ShapeError;
use crate::kernels::element::Element;
use crate::kernels::{Epilogue, Isa};

/// Multiply-adds of the smallest part that is handed over: some 10 us.
const PART: u64 = 500_000;

/// Elements of scratch that [`conv2d`] needs for `threads` threads.
#[must_use]
pub const fn conv2d_scratch_len(conv: &Conv, threads: usize) -> usize {
    let way = Way::forward(conv);
    way.prepared_len().saturating_add(way.scratch_len().saturating_mul(parts(conv, threads)))
}

/// Elements of scratch that [`conv2d_d_input`] needs for `threads` threads.
#[must_use]
pub const fn conv2d_d_input_scratch_len(conv: &Conv, threads: usize) -> usize {
    let way = Way::d_input(conv);
    way.prepared_len().saturating_add(way.scratch_len().saturating_mul(parts(conv, threads)))
}

/// Elements of scratch that [`conv2d_d_weight`] needs, for any number of threads.
#[must_use]
pub const fn conv2d_d_weight_scratch_len(conv: &Conv) -> usize {
    let way = Gradient::of(conv);
    way.prepared_len().saturating_add((way.scratch_len() + way.sums_len()).saturating_mul(way.parts()))
}

/// Parts of the batch for `threads` threads: two for each, where they are large enough.
const fn parts(conv: &Conv, threads: usize) -> usize {
    let worth = conv.macs() / PART;
    let mut parts = threads.saturating_mul(2);
    if worth < parts as u64 {
        parts = worth as usize;
    }
    if conv.n < parts {
        parts = conv.n;
    }
    if parts < 2 || threads < 2 { 1 } else { parts }
}

/// [`conv2d`](super::conv2d) on all threads of the current rayon pool where that pays.
///
/// # Shapes
/// As there; `scratch` needs [`conv2d_scratch_len`] elements for the threads of the pool.
/// # Errors
/// As there.
pub fn conv2d(
    isa: Isa,
    conv: &Conv,
    input: &[f32],
    weight: &[f32],
    epilogue: Epilogue<'_>,
    out: &mut [f32],
    scratch: &mut [f32],
) -> Result<(), ShapeError> {
    forward(isa, conv, input, weight, epilogue, out, scratch)
}

/// [`conv2d`], the weights stored as `E`.
pub(in crate::kernels) fn forward<E: Element>(
    isa: Isa,
    conv: &Conv,
    input: &[f32],
    weight: &[E],
    epilogue: Epilogue<'_>,
    out: &mut [f32],
    scratch: &mut [f32],
) -> Result<(), ShapeError> {
    check_lens(conv, input, weight, out)?;
    check_bias(conv, epilogue.bias)?;
    let threads = rayon::current_num_threads();
    check_scratch(conv2d_scratch_len(conv, threads), scratch)?;
    correlate(isa, &Way::forward(conv), epilogue, (input, weight), out, scratch, parts(conv, threads));
    Ok(())
}

/// [`conv2d_d_input`](super::conv2d_d_input) on all threads of the current rayon pool where that pays.
///
/// # Shapes
/// As there; `scratch` needs [`conv2d_d_input_scratch_len`] elements for the threads of the pool.
/// # Errors
/// As there.
pub fn conv2d_d_input(
    isa: Isa,
    conv: &Conv,
    d_out: &[f32],
    weight: &[f32],
    d_input: &mut [f32],
    scratch: &mut [f32],
) -> Result<(), ShapeError> {
    check_lens(conv, d_input, weight, d_out)?;
    let threads = rayon::current_num_threads();
    check_scratch(conv2d_d_input_scratch_len(conv, threads), scratch)?;
    let way = Way::d_input(conv);
    correlate(isa, &way, Epilogue::default(), (d_out, weight), d_input, scratch, parts(conv, threads));
    Ok(())
}

fn correlate<E: Element>(
    isa: Isa,
    way: &Way,
    epilogue: Epilogue<'_>,
    (src, weight): (&[f32], &[E]),
    dst: &mut [f32],
    scratch: &mut [f32],
    parts: usize,
) {
    let (prepared, scratch) = scratch.split_at_mut(way.prepared_len());
    way.prepare(isa, weight, prepared);
    Images { isa, way, prepared, epilogue }.share(src, dst, scratch, parts);
}

/// What all parts of a batch have in common.
#[derive(Clone, Copy)]
struct Images<'a> {
    isa: Isa,
    way: &'a Way,
    prepared: &'a [f32],
    epilogue: Epilogue<'a>,
}

impl Images<'_> {
    /// Halves the images until there is one part, each with its own scratch.
    #[inline]
    fn share(self, src: &[f32], dst: &mut [f32], scratch: &mut [f32], parts: usize) {
        let Self { isa, way, prepared, epilogue } = self;
        let (src_len, dst_len) = way.image_lens();
        if parts < 2 {
            return way.images(isa, prepared, epilogue, src, dst, scratch);
        }
        let (count, left) = (src.len() / src_len, parts / 2);
        let at = count * left / parts;
        let (src_left, src_right) = src.split_at(at * src_len);
        let (dst_left, dst_right) = dst.split_at_mut(at * dst_len);
        let (mine, other) = scratch.split_at_mut(left * way.scratch_len());
        rayon::join(
            || self.share(src_left, dst_left, mine, left),
            || self.share(src_right, dst_right, other, parts - left),
        );
    }
}

/// [`conv2d_d_weight`](super::conv2d_d_weight) on all threads of the current rayon pool: the same parts, so the same bits.
///
/// # Shapes
/// As there; `scratch` needs [`conv2d_d_weight_scratch_len`] elements.
/// # Errors
/// As there.
pub fn conv2d_d_weight(
    isa: Isa,
    conv: &Conv,
    input: &[f32],
    d_out: &[f32],
    d_weight: &mut [f32],
    scratch: &mut [f32],
) -> Result<(), ShapeError> {
    check_lens(conv, input, d_weight, d_out)?;
    check_scratch(conv2d_d_weight_scratch_len(conv), scratch)?;
    let way = Gradient::of(conv);
    let (prepared, scratch) = scratch.split_at_mut(way.prepared_len());
    way.prepare(prepared);
    let each = way.scratch_len() + way.sums_len();
    let scratch = &mut scratch[..each * way.parts()];
    partial_sums(isa, &way, prepared, (input, d_out), (0, way.parts()), scratch);
    let (sums, parts) = scratch.split_at_mut(each);
    let sums = &mut sums[..way.sums_len()];
    add_up(sums, parts, each, 0);
    finish(&way, sums, d_weight, 0);
    Ok(())
}

/// Elements read in the smallest piece that is handed over when partial sums are added up: some 10 us.
const SUMS_PART: usize = 64 * 1024;
/// Elements of the smallest piece of a gradient that is handed over when it is put in order: some 10 us.
const FINISH_PART: usize = 8 * 1024;
/// Sums that are added up at once: those of a part stay in the first cache until the next part is there.
const SUMS_BLOCK: usize = 4096;

/// Adds to `sums`, which begin at `from`, those of every piece of `each` elements of `parts`, in their order: every element by one thread.
fn add_up(sums: &mut [f32], parts: &[f32], each: usize, from: usize) {
    let blocks = sums.len().div_ceil(SUMS_BLOCK);
    if blocks > 1 && sums.len() * (parts.len() / each) >= 2 * SUMS_PART {
        let at = blocks / 2 * SUMS_BLOCK;
        let (left, right) = sums.split_at_mut(at);
        rayon::join(|| add_up(left, parts, each, from), || add_up(right, parts, each, from + at));
        return;
    }
    for (block, sums) in sums.chunks_mut(SUMS_BLOCK).enumerate() {
        for part in parts.chunks_exact(each) {
            weight_gradient::add(sums, &part[from + block * SUMS_BLOCK..]);
        }
    }
}

/// The gradient of output channels from `first` on, from the sums of all parts.
fn finish(way: &Gradient, sums: &[f32], d_weight: &mut [f32], first: usize) {
    let channel = way.channel_len();
    let channels = d_weight.len() / channel;
    if channels > 1 && d_weight.len() >= 2 * FINISH_PART {
        let at = channels / 2;
        let (left, right) = d_weight.split_at_mut(at * channel);
        rayon::join(|| finish(way, sums, left, first), || finish(way, sums, right, first + at));
        return;
    }
    way.finish(sums, d_weight, first);
}

/// Parts `range.0..range.1`, each into the beginning of its piece of the scratch.
fn partial_sums(
    isa: Isa,
    way: &Gradient,
    prepared: &[f32],
    operands: (&[f32], &[f32]),
    (from, to): (usize, usize),
    scratch: &mut [f32],
) {
    if to - from == 1 {
        let (sums, own) = scratch.split_at_mut(way.sums_len());
        return way.part(isa, from, prepared, operands, sums, own);
    }
    let at = from.midpoint(to);
    let (mine, other) = scratch.split_at_mut(scratch.len() / (to - from) * (at - from));
    rayon::join(
        || partial_sums(isa, way, prepared, operands, (from, at), mine),
        || partial_sums(isa, way, prepared, operands, (at, to), other),
    );
}
