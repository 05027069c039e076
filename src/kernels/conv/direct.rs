//! The general way: register tiles of output channels by pixels, straight from padded planes, no matrix of patches between.
//!
//! Serves any kernel, stride, padding and groups, and the input gradient too, which is a convolution with the flipped kernel.

use super::planes::Planes;
use super::shape::Conv;
use crate::kernels::arch::split::Tile;
use crate::kernels::cut::Panels;
use crate::kernels::element::Element;
use crate::kernels::gemm_f32::tile::{self, MR, NV, Sums};
use crate::kernels::simd::{Kernel, MAX_LANES, Simd};
use crate::kernels::{Activation, Epilogue, Isa, elementwise};
use crate::reference::gamma;
use crate::view::MatMut;

/// A correlation of stride 1 or more over padded planes: what a convolution and its input gradient have in common.
#[derive(Clone, Copy)]
pub(super) struct Correlation {
    conv: Conv,
    planes: Planes,
    /// Whether it is the input gradient.
    flipped: bool,
}

impl Correlation {
    pub(super) const fn forward(conv: &Conv) -> Self {
        Self { conv: *conv, planes: Planes::of_input(conv), flipped: false }
    }

    pub(super) const fn d_input(conv: &Conv) -> Self {
        Self { conv: *conv, planes: Planes::of_d_out(conv), flipped: true }
    }

    /// Channels that come in and go out, in each group.
    const fn channels(&self) -> (usize, usize) {
        let (group_in, group_out) = self.conv.group();
        if self.flipped { (group_out, group_in) } else { (group_in, group_out) }
    }

    /// Rows and columns of what goes out.
    const fn size(&self) -> (usize, usize) {
        if self.flipped { (self.conv.h, self.conv.w) } else { (self.conv.oh, self.conv.ow) }
    }

    /// Elements of a group of an image that comes in, and of one that goes out.
    const fn group_lens(&self) -> (usize, usize) {
        let ((c_in, c_out), (h, w)) = (self.channels(), self.size());
        let (src_h, src_w) = if self.flipped { (self.conv.oh, self.conv.ow) } else { (self.conv.h, self.conv.w) };
        (c_in * src_h * src_w, c_out * h * w)
    }

    /// Products in each sum.
    const fn taps(&self) -> usize {
        self.channels().0 * self.conv.kh * self.conv.kw
    }

    /// The factor of the error bound: `|error| ≤ factor · (Σ|x·w| + |out| + |bias|)`.
    pub(super) const fn error_factor(&self) -> f64 {
        gamma(self.taps() + 2)
    }

    /// Elements of an image that comes in, and of one that goes out.
    #[cfg(feature = "train")]
    pub(super) const fn image_lens(&self) -> (usize, usize) {
        let (src, dst) = self.group_lens();
        (self.conv.groups * src, self.conv.groups * dst)
    }

    /// Elements that [`prepare`](Self::prepare) writes.
    pub(super) const fn prepared_len(&self) -> usize {
        self.conv.weight_len() + self.taps()
    }

    /// Elements of scratch for one thread.
    pub(super) const fn scratch_len(&self) -> usize {
        self.planes.len()
    }

    /// The weights in panels, as `[panel][taps][rows]` for each group, and the offsets of the taps.
    pub(super) fn prepare<E: Element>(&self, isa: Isa, weight: &[E], prepared: &mut [f32]) {
        let (panels, offsets) = prepared.split_at_mut(self.conv.weight_len());
        self.planes.taps(&self.conv, bytemuck::cast_slice_mut(&mut offsets[..self.taps()]));
        isa.run(Prepare { way: *self, weight, panels });
    }

    /// Any number of images, one after the other: `dst = activation(correlate(src, weights) + bias)`.
    #[inline]
    pub(super) fn images(
        &self,
        isa: Isa,
        prepared: &[f32],
        epilogue: Epilogue<'_>,
        src: &[f32],
        dst: &mut [f32],
        scratch: &mut [f32],
    ) {
        let (panels, offsets) = prepared.split_at(self.conv.weight_len());
        let offsets: &[u32] = bytemuck::cast_slice(&offsets[..self.taps()]);
        let ((_, c_out), (h, w), (src_len, dst_len)) = (self.channels(), self.size(), self.group_lens());
        let groups = src.chunks_exact(src_len).zip(dst.chunks_exact_mut(dst_len));
        for (index, (src, dst)) in groups.enumerate() {
            let group = index % self.conv.groups;
            self.planes.fill(src, scratch);
            let Ok(out) = MatMut::new(dst, c_out, h * w) else {
                unreachable!("a group's output is as long as its shape says");
            };
            let bias = epilogue.bias.map(|bias| &bias[group * c_out..][..c_out]);
            isa.run(Image {
                out: Tile::whole(out),
                size: (h, w),
                panels: &panels[group * c_out * self.taps()..][..c_out * self.taps()],
                offsets,
                planes: &scratch[..self.planes.len()],
                step: self.planes.step(),
                epilogue: Epilogue { bias, ..epilogue },
            });
        }
    }
}

/// The weights in panels.
struct Prepare<'a, 'p, E> {
    way: Correlation,
    weight: &'a [E],
    panels: &'p mut [f32],
}

impl<E: Element> Kernel for Prepare<'_, '_, E> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let Self { way, weight, panels } = self;
        let ((_, c_out), taps, kernel) = (way.channels(), way.taps(), way.conv.kh * way.conv.kw);
        let (group_in, group_out) = way.conv.group();
        let cut = Panels::of(c_out, MR);
        for (group, panels) in panels.chunks_exact_mut(c_out * taps).enumerate() {
            for p in 0..cut.count {
                let (row, rows) = (cut.start(p), cut.height(p));
                let panel = &mut panels[row * taps..][..rows * taps];
                if way.flipped {
                    for (t, column) in panel.chunks_exact_mut(rows).enumerate() {
                        for (i, out) in column.iter_mut().enumerate() {
                            // Channel `t / kernel` of the output's gradient, the kernel from its end.
                            let oc = group * group_out + t / kernel;
                            *out = weight[(oc * group_in + row + i) * kernel + kernel - 1 - t % kernel].single();
                        }
                    }
                } else {
                    let filters = &weight[(group * group_out + row) * taps..][..rows * taps];
                    for (i, filter) in filters.chunks_exact(taps).enumerate() {
                        scatter(simd, filter, &mut panel[i..], rows);
                    }
                }
            }
        }
    }
}

/// `dst[t · step] = src[t]`, a register converted at a time.
#[inline(always)]
fn scatter<S: Simd, E: Element>(simd: S, src: &[E], dst: &mut [f32], step: usize) {
    let mut lanes = [0.0; MAX_LANES];
    for (src, dst) in src.chunks(S::LANES).zip(dst.chunks_mut(S::LANES * step)) {
        let register = if src.len() == S::LANES { E::load(simd, src) } else { E::load_partial(simd, src) };
        simd.store(register, &mut lanes);
        for (lane, dst) in lanes[..src.len()].iter().zip(dst.iter_mut().step_by(step)) {
            *dst = *lane;
        }
    }
}

/// All output channels of one group of one image.
struct Image<'p, 'c> {
    out: Tile<'c>,
    size: (usize, usize),
    panels: &'p [f32],
    offsets: &'p [u32],
    planes: &'p [f32],
    step: usize,
    epilogue: Epilogue<'p>,
}

impl Kernel for Image<'_, '_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(mut self, simd: S) {
        let cut = Panels::of(self.out.rows(), MR);
        // Row by row: the rows of the planes that meet it stay in the first cache while all panels pass.
        for y in 0..self.size.0 {
            for (from, to) in [(0, cut.taller), (cut.taller, cut.count)] {
                if from >= to {
                    continue;
                }
                let row = Row {
                    out: self.out.reborrow(),
                    panels: self.panels,
                    offsets: self.offsets,
                    planes: &self.planes[y * self.step..],
                    at: y * self.size.1,
                    width: self.size.1,
                    channels: (cut.start(from), cut.start(to)),
                    epilogue: self.epilogue,
                };
                match cut.height(from) {
                    6 => simd.outline(Rows::<6>(row)),
                    5 => simd.outline(Rows::<5>(row)),
                    4 => simd.outline(Rows::<4>(row)),
                    3 => simd.outline(Rows::<3>(row)),
                    2 => simd.outline(Rows::<2>(row)),
                    _ => simd.outline(Rows::<1>(row)),
                }
            }
        }
    }
}

/// One row of the output of some channels.
struct Row<'p, 'c> {
    out: Tile<'c>,
    panels: &'p [f32],
    offsets: &'p [u32],
    planes: &'p [f32],
    /// First element of the row in each channel.
    at: usize,
    width: usize,
    channels: (usize, usize),
    epilogue: Epilogue<'p>,
}

/// The same in panels of `M` channels.
struct Rows<'p, 'c, const M: usize>(Row<'p, 'c>);

impl<const M: usize> Kernel for Rows<'_, '_, M> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let Row { mut out, panels, offsets, planes, at, width, channels: (from, to), epilogue } = self.0;
        let taps = offsets.len();
        for channel in (from..to).step_by(M) {
            let panel = &panels[channel * taps..][..M * taps];
            for x in (0..width).step_by(NV * S::LANES) {
                let (planes, cols) = (&planes[x..], (NV * S::LANES).min(width - x));
                let place = (channel, at + x, cols);
                if cols > S::LANES {
                    let acc = taps_tile::<S, M, NV>(simd, panel, planes, offsets);
                    tile::store(
                        simd,
                        add_bias(simd, acc, channel, epilogue.bias),
                        &mut out,
                        place,
                        epilogue.accumulate,
                    );
                } else {
                    let acc = taps_tile::<S, M, 1>(simd, panel, planes, offsets);
                    tile::store(
                        simd,
                        add_bias(simd, acc, channel, epilogue.bias),
                        &mut out,
                        place,
                        epilogue.accumulate,
                    );
                }
            }
            if epilogue.activation != Activation::Identity {
                for row in out.rows_mut::<M>(channel, at, at + width) {
                    elementwise::activate_simd(simd, epilogue.activation, row);
                }
            }
        }
    }
}

/// `acc[i][j] = Σₜ panel[t][i] · planes[offsets[t] + j]`.
#[inline(always)]
fn taps_tile<S: Simd, const M: usize, const N: usize>(
    simd: S,
    panel: &[f32],
    planes: &[f32],
    offsets: &[u32],
) -> Sums<S, M, N> {
    let mut acc = [[simd.splat(0.0); N]; M];
    for (weights, offset) in panel.as_chunks::<M>().0.iter().zip(offsets) {
        let pixels = &planes[*offset as usize..][..N * S::LANES];
        let mut row = [simd.load(pixels); N];
        for j in 1..N {
            row[j] = simd.load(&pixels[j * S::LANES..]);
        }
        for i in 0..M {
            let weight = simd.splat(weights[i]);
            for j in 0..N {
                acc[i][j] = simd.mul_add(weight, row[j], acc[i][j]);
            }
        }
    }
    acc
}

#[inline(always)]
fn add_bias<S: Simd, const M: usize, const N: usize>(
    simd: S,
    mut acc: Sums<S, M, N>,
    channel: usize,
    bias: Option<&[f32]>,
) -> Sums<S, M, N> {
    if let Some(bias) = bias {
        let bias = &bias[channel..][..M];
        for i in 0..M {
            for j in 0..N {
                acc[i][j] = simd.add(acc[i][j], simd.splat(bias[i]));
            }
        }
    }
    acc
}
