//! Dot products of the output's gradient with the planes that each tap meets, along the rows of pixels.

use crate::kernels::Isa;
use crate::kernels::conv::planes::Planes;
use crate::kernels::conv::shape::Conv;
use crate::kernels::simd::{Kernel, Simd};

/// Output channels and taps of a register tile.
const ROWS: usize = 4;
const TAPS: usize = 3;

/// For any kernel, stride, padding and groups.
#[derive(Clone, Copy)]
pub(super) struct Dots {
    conv: Conv,
    planes: Planes,
}

impl Dots {
    pub(super) const fn of(conv: &Conv) -> Self {
        Self { conv: *conv, planes: Planes::of_input(conv) }
    }

    /// Elements of the offsets that all threads share.
    pub(super) const fn prepared_len(&self) -> usize {
        self.conv.taps()
    }

    /// Elements of scratch for one part.
    pub(super) const fn scratch_len(&self) -> usize {
        self.planes.len()
    }

    pub(super) fn prepare(&self, prepared: &mut [f32]) {
        self.planes.taps(&self.conv, bytemuck::cast_slice_mut(&mut prepared[..self.conv.taps()]));
    }

    /// Adds images `from..to` to `sums`, which are ordered as the weights.
    #[inline]
    pub(super) fn images(
        &self,
        isa: Isa,
        (from, to): (usize, usize),
        prepared: &[f32],
        (input, d_out): (&[f32], &[f32]),
        sums: &mut [f32],
        scratch: &mut [f32],
    ) {
        let conv = &self.conv;
        let (group_in, group_out) = conv.group();
        let (input_len, d_out_len) = (group_in * conv.h * conv.w, group_out * conv.oh * conv.ow);
        let offsets: &[u32] = bytemuck::cast_slice(&prepared[..conv.taps()]);
        for image in from..to {
            for (group, sums) in sums.chunks_exact_mut(group_out * conv.taps()).enumerate() {
                let index = image * conv.groups + group;
                self.planes.fill(&input[index * input_len..][..input_len], scratch);
                isa.run(Image {
                    planes: &scratch[..self.planes.len()],
                    step: self.planes.step(),
                    offsets,
                    d_out: &d_out[index * d_out_len..][..d_out_len],
                    size: (conv.oh, conv.ow),
                    sums,
                });
            }
        }
    }
}

/// One group of one image.
struct Image<'p, 's> {
    planes: &'p [f32],
    step: usize,
    offsets: &'p [u32],
    d_out: &'p [f32],
    size: (usize, usize),
    /// `[channels][taps]`, added to.
    sums: &'s mut [f32],
}

impl Kernel for Image<'_, '_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let taps = self.offsets.len();
        let plane = self.size.0 * self.size.1;
        let rows = self.d_out.chunks(ROWS * plane).zip(self.sums.chunks_mut(ROWS * taps));
        for (d_out, sums) in rows {
            if sums.len() == ROWS * taps {
                all_taps::<S, ROWS>(simd, self.planes, self.step, self.offsets, d_out, self.size, sums);
            } else {
                for (d_out, sums) in d_out.chunks_exact(plane).zip(sums.chunks_exact_mut(taps)) {
                    all_taps::<S, 1>(simd, self.planes, self.step, self.offsets, d_out, self.size, sums);
                }
            }
        }
    }
}

/// `R` channels, all taps.
#[inline(always)]
fn all_taps<S: Simd, const R: usize>(
    simd: S,
    planes: &[f32],
    step: usize,
    offsets: &[u32],
    d_out: &[f32],
    size: (usize, usize),
    sums: &mut [f32],
) {
    let taps = offsets.len();
    let mut t = 0;
    while t < taps {
        let wide = t + TAPS <= taps;
        let offsets = &offsets[t..];
        let part = Part { planes, step, offsets, d_out, size, sums: &mut *sums, taps, t };
        if wide {
            simd.outline(Tile::<R, TAPS>(part));
            t += TAPS;
        } else {
            simd.outline(Tile::<R, 1>(part));
            t += 1;
        }
    }
}

struct Part<'p, 's> {
    planes: &'p [f32],
    step: usize,
    offsets: &'p [u32],
    d_out: &'p [f32],
    size: (usize, usize),
    sums: &'s mut [f32],
    taps: usize,
    t: usize,
}

/// `sums[i][t] += Σ_{y,x} d_out[i][y][x] · planes[offsets[t] + y · step + x]` for `R` channels and `C` taps.
struct Tile<'p, 's, const R: usize, const C: usize>(Part<'p, 's>);

impl<const R: usize, const C: usize> Kernel for Tile<'_, '_, R, C> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let Part { planes, step, offsets, d_out, size: (h, w), sums, taps, t } = self.0;
        let mut acc = [[simd.splat(0.0); C]; R];
        for y in 0..h {
            let mut gradients: [&[f32]; R] = [&[]; R];
            for i in 0..R {
                gradients[i] = &d_out[(i * h + y) * w..][..w];
            }
            let mut pixels: [&[f32]; C] = [&[]; C];
            for j in 0..C {
                pixels[j] = &planes[offsets[j] as usize + y * step..][..w];
            }
            let mut x = 0;
            while x + S::LANES <= w {
                let mut row = [simd.splat(0.0); C];
                for j in 0..C {
                    row[j] = simd.load(&pixels[j][x..x + S::LANES]);
                }
                for i in 0..R {
                    let gradient = simd.load(&gradients[i][x..x + S::LANES]);
                    for j in 0..C {
                        acc[i][j] = simd.mul_add(gradient, row[j], acc[i][j]);
                    }
                }
                x += S::LANES;
            }
            if x < w {
                let mut row = [simd.splat(0.0); C];
                for j in 0..C {
                    row[j] = simd.load_partial(&pixels[j][x..]);
                }
                for i in 0..R {
                    let gradient = simd.load_partial(&gradients[i][x..]);
                    for j in 0..C {
                        acc[i][j] = simd.mul_add(gradient, row[j], acc[i][j]);
                    }
                }
            }
        }
        for i in 0..R {
            for j in 0..C {
                sums[i * taps + t + j] += simd.sum(acc[i][j]);
            }
        }
    }
}
