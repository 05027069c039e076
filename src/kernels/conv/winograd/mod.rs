//! Convolutions of 3x3 and stride 1 by Winograd's minimal filtering, F(2x2, 3x3) or F(4x4, 3x3): 2.25 or 4 times fewer products.
//!
//! Blocks of output tiles, rows of them at a time: their inputs are transformed with the channels side by side, each of the 16 or 36
//! places of a tile becomes a product of matrices (tiles by input channels, times output channels), and what comes out is transformed
//! back and turned to planes again.

mod transform;

use super::pixels;
use super::shape::Conv;
use crate::kernels::cut::Panels;
use crate::kernels::element::Element;
use crate::kernels::gemm_f32::tile::{self, MR, NV};
use crate::kernels::simd::{Kernel, MAX_LANES, Simd};
use crate::kernels::{Activation, Epilogue, Isa, elementwise};
use crate::reference::gamma;
use core::marker::PhantomData;
pub(super) use transform::{Four, Two};
use transform::{SIDE, Transform};

/// Elements of transformed input in a block: with what is transformed back and the weights of a strip, half of a second cache.
const BLOCK: usize = 56 << 10;

/// Rows of the tallest tile of products: where sixteen lanes come with 32 registers, twice as many share each load of B.
const fn tallest(lanes: usize) -> usize {
    if lanes == 16 { 2 * MR } else { MR }
}

/// Runs a kernel, which may name its height, in a function of its own for each: those above [`MR`] exist only where tiles are that tall.
macro_rules! outline_by_height {
    ($simd:ident: $isa:ident, $height:expr, $m:ident => $kernel:expr) => {
        match $height {
            12 if const { tallest($isa::LANES) >= 12 } => outline_by_height!(@ $simd, 12, $m => $kernel),
            11 if const { tallest($isa::LANES) >= 11 } => outline_by_height!(@ $simd, 11, $m => $kernel),
            10 if const { tallest($isa::LANES) >= 10 } => outline_by_height!(@ $simd, 10, $m => $kernel),
            9 if const { tallest($isa::LANES) >= 9 } => outline_by_height!(@ $simd, 9, $m => $kernel),
            8 if const { tallest($isa::LANES) >= 8 } => outline_by_height!(@ $simd, 8, $m => $kernel),
            7 if const { tallest($isa::LANES) >= 7 } => outline_by_height!(@ $simd, 7, $m => $kernel),
            6 => outline_by_height!(@ $simd, 6, $m => $kernel),
            5 => outline_by_height!(@ $simd, 5, $m => $kernel),
            4 => outline_by_height!(@ $simd, 4, $m => $kernel),
            3 => outline_by_height!(@ $simd, 3, $m => $kernel),
            2 => outline_by_height!(@ $simd, 2, $m => $kernel),
            _ => outline_by_height!(@ $simd, 1, $m => $kernel),
        }
    };
    (@ $simd:ident, $height:literal, $m:ident => $kernel:expr) => {{
        const $m: usize = $height;
        $simd.outline($kernel)
    }};
}

/// A convolution, or its input gradient, of one group.
#[derive(Clone, Copy)]
pub(super) struct Winograd<T> {
    conv: Conv,
    /// Whether it is the input gradient.
    flipped: bool,
    transform: PhantomData<T>,
}

impl<T: Transform> Winograd<T> {
    /// `None` unless the kernel is 3x3 with stride 1 and one group; nor where more padding than kernel would have to be cut off.
    pub(super) const fn of(conv: &Conv, flipped: bool) -> Option<Self> {
        if conv.kh == 3 && conv.kw == 3 && conv.stride == 1 && conv.groups == 1 && conv.padding <= 2 {
            Some(Self { conv: *conv, flipped, transform: PhantomData })
        } else {
            None
        }
    }

    /// Products of channels for each image: the measure by which sizes are compared.
    pub(super) const fn products(&self) -> usize {
        let (rows, cols) = self.tiles();
        rows * cols * T::ALPHA * T::ALPHA
    }

    /// The factor of the error bound: `|error| ≤ factor · Σ_c max|x_c| · max|w_c|`.
    pub(super) fn error_factor(&self) -> f64 {
        // Roundings: two directions of at most 3 operations and a constant each for the inputs, 4 for the weights, 4 back; the sum.
        gamma(self.channels().0 + 2 * 12 + 2) * T::GROWTH * T::GROWTH
    }

    const fn channels(&self) -> (usize, usize) {
        if self.flipped { (self.conv.c_out, self.conv.c_in) } else { (self.conv.c_in, self.conv.c_out) }
    }

    /// Rows and columns that come in, and that go out.
    const fn sizes(&self) -> ([usize; 2], [usize; 2]) {
        let (input, output) = ([self.conv.h, self.conv.w], [self.conv.oh, self.conv.ow]);
        if self.flipped { (output, input) } else { (input, output) }
    }

    const fn padding(&self) -> usize {
        if self.flipped { 2 - self.conv.padding } else { self.conv.padding }
    }

    /// Rows and columns of tiles of an image.
    const fn tiles(&self) -> (usize, usize) {
        let (_, [h, w]) = self.sizes();
        (h.div_ceil(T::OUT), w.div_ceil(T::OUT))
    }

    /// How a row of pixels of the input is laid out.
    const fn pixels(&self) -> pixels::Shape {
        let [h, w] = self.sizes().0;
        let pitch = self.tiles().1 * T::OUT + 2;
        pixels::Shape { channels: self.channels().0, plane: h * w, width: w, left: self.padding(), pitch }
    }

    /// Rows of tiles in a block.
    const fn block(&self) -> usize {
        let row = self.tiles().1 * T::ALPHA * T::ALPHA * self.channels().0.next_multiple_of(MAX_LANES);
        let rows = BLOCK / row;
        let all = self.tiles().0.saturating_mul(self.conv.n);
        let rows = if rows < all { rows } else { all };
        if rows == 0 { 1 } else { rows }
    }

    /// Tiles of a block, one more if that makes them odd: places then lie an odd number of lines apart, so that those of one tile do not
    /// compete for a place in the first cache.
    const fn apart(&self) -> usize {
        (self.block() * self.tiles().1) | 1
    }

    /// Elements of an image that comes in, and of one that goes out.
    pub(super) const fn image_lens(&self) -> (usize, usize) {
        let ((c_in, c_out), ([h, w], [oh, ow])) = (self.channels(), self.sizes());
        (c_in * h * w, c_out * oh * ow)
    }

    /// Elements that [`prepare`](Self::prepare) writes.
    pub(super) const fn prepared_len(&self) -> usize {
        let (c_in, c_out) = self.channels();
        c_out.next_multiple_of(NV * MAX_LANES) * c_in.next_multiple_of(MAX_LANES) * T::ALPHA * T::ALPHA
    }

    /// Elements of scratch for one thread.
    pub(super) const fn scratch_len(&self) -> usize {
        let (pixels, places) = (self.pixels(), T::ALPHA * T::ALPHA);
        let tiles = self.apart();
        let band = T::ALPHA * pixels.row_len(MAX_LANES) + pixels.slack(MAX_LANES);
        let back = T::OUT * self.back_pitch() * NV * MAX_LANES;
        band + back + tiles * places * (pixels.depth(MAX_LANES) + NV * MAX_LANES)
    }

    /// Pixels of a row that is transformed back, whole registers of them.
    const fn back_pitch(&self) -> usize {
        (self.tiles().1 * T::OUT).next_multiple_of(MAX_LANES)
    }

    /// The instruction set that the channels of both sides fill.
    fn on(&self, isa: Isa) -> Isa {
        isa.for_channels(self.conv.c_in.min(self.conv.c_out))
    }

    /// The transformed weights, as `[strip][place][c_in][NV · LANES]`.
    pub(super) fn prepare<E: Element>(&self, isa: Isa, weight: &[E], prepared: &mut [f32]) {
        self.on(isa).run(Prepare { way: *self, weight, prepared });
    }

    /// Any number of images, one after the other.
    pub(super) fn images(
        &self,
        isa: Isa,
        prepared: &[f32],
        epilogue: Epilogue<'_>,
        src: &[f32],
        dst: &mut [f32],
        scratch: &mut [f32],
    ) {
        self.on(isa).run(Images { way: *self, prepared, epilogue, src, dst, scratch });
    }
}

struct Prepare<'a, 'p, T, E> {
    way: Winograd<T>,
    weight: &'a [E],
    prepared: &'p mut [f32],
}

impl<T: Transform, E: Element> Kernel for Prepare<'_, '_, T, E> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let Self { way, weight, prepared } = self;
        let ((c_in, c_out), depth, nr) = (way.channels(), way.pixels().depth(S::LANES), NV * S::LANES);
        let place_len = depth * nr;
        let strips = prepared.chunks_exact_mut(T::ALPHA * T::ALPHA * place_len).take(c_out.div_ceil(nr));
        for (strip, strips) in strips.enumerate() {
            for (c, part) in (0..depth).flat_map(|c| (0..NV).map(move |part| (c, part))) {
                let first = strip * nr + part * S::LANES;
                // Nine taps of as many filters as a register holds, which converts them as it loads them.
                let mut taps = [[E::default(); MAX_LANES]; 9];
                if c < c_in {
                    for lane in 0..S::LANES.min(c_out.saturating_sub(first)) {
                        let from = if way.flipped { c * c_out + first + lane } else { (first + lane) * c_in + c };
                        let kernel = &weight[9 * from..][..9];
                        for t in 0..9 {
                            taps[t][lane] = kernel[if way.flipped { 8 - t } else { t }];
                        }
                    }
                }
                let mut kernel = [[simd.splat(0.0); 3]; 3];
                for t in 0..9 {
                    kernel[t / 3][t % 3] = E::load(simd, &taps[t]);
                }
                let transformed = transform::filter::<S, T>(simd, kernel);
                for place in 0..T::ALPHA * T::ALPHA {
                    let out = &mut strips[place * place_len + c * nr + part * S::LANES..];
                    simd.store(transformed[place / T::ALPHA][place % T::ALPHA], out);
                }
            }
        }
    }
}

struct Images<'a, 'o, T> {
    way: Winograd<T>,
    prepared: &'a [f32],
    epilogue: Epilogue<'a>,
    src: &'a [f32],
    dst: &'o mut [f32],
    scratch: &'o mut [f32],
}

impl<T: Transform> Kernel for Images<'_, '_, T> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let Self { way, prepared, epilogue, src, dst, scratch } = self;
        let ((rows, cols), pixels, places, nr) = (way.tiles(), way.pixels(), T::ALPHA * T::ALPHA, NV * S::LANES);
        let (depth, (src_len, dst_len)) = (pixels.depth(S::LANES), way.image_lens());
        let (band, rest) = scratch.split_at_mut(T::ALPHA * pixels.row_len(S::LANES) + pixels.slack(S::LANES));
        let (back, rest) = rest.split_at_mut(T::OUT * way.back_pitch() * nr);
        let (inputs, products) = rest.split_at_mut(way.apart() * places * depth);
        let all = src.len() / src_len * rows;
        for first in (0..all).step_by(way.block()) {
            let count = way.block().min(all - first);
            let tiles = count * cols;
            for row in 0..count {
                let (image, ty) = ((first + row) / rows, (first + row) % rows);
                let inputs = &mut inputs[row * cols * depth..];
                let image = &src[image * src_len..][..src_len];
                simd.outline(Forth { way, image, ty, band: &mut *band, inputs, stride: way.apart() * depth });
            }
            for strip in 0..way.channels().1.div_ceil(nr) {
                let weights = &prepared[strip * places * depth * nr..][..places * depth * nr];
                let panels = Panels::of(tiles, tallest(S::LANES));
                for (from, to) in [(0, panels.taller), (panels.taller, panels.count)] {
                    if from >= to {
                        continue;
                    }
                    let range = (panels.start(from), panels.start(to));
                    let part = Part {
                        inputs: &*inputs,
                        weights,
                        products: &mut *products,
                        depth,
                        apart: way.apart(),
                        range,
                        places,
                    };
                    outline_by_height!(simd: S, panels.height(from), M => Products::<M>(part));
                }
                for row in 0..count {
                    let (image, ty) = ((first + row) / rows, (first + row) % rows);
                    simd.outline(Back {
                        way,
                        products: &products[row * cols * nr..],
                        back: &mut *back,
                        image: &mut dst[image * dst_len..][..dst_len],
                        ty,
                        first: strip * nr,
                        epilogue,
                    });
                }
            }
        }
    }
}

/// Transforms the inputs of one row of tiles.
struct Forth<'a, 'v, T> {
    way: Winograd<T>,
    image: &'a [f32],
    ty: usize,
    band: &'v mut [f32],
    /// `[place][tile][c_in]`, places `stride` apart.
    inputs: &'v mut [f32],
    stride: usize,
}

impl<T: Transform> Kernel for Forth<'_, '_, T> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let Self { way, image, ty, band, inputs, stride } = self;
        let (pixels, [h, w]) = (way.pixels(), way.sizes().0);
        let (row_len, depth) = (pixels.row_len(S::LANES), pixels.depth(S::LANES));
        for i in 0..T::ALPHA {
            let band = &mut band[i * row_len..];
            match (ty * T::OUT + i).checked_sub(way.padding()) {
                Some(y) if y < h => pixels.row(simd, image, y * w, band),
                _ => band[..row_len].fill(0.0),
            }
        }
        for tx in 0..way.tiles().1 {
            for c in (0..depth).step_by(S::LANES) {
                let mut tile = [[simd.splat(0.0); SIDE]; SIDE];
                for y in 0..T::ALPHA {
                    let row = &band[y * row_len + tx * T::OUT * depth + c..];
                    for x in 0..T::ALPHA {
                        tile[y][x] = simd.load(&row[x * depth..]);
                    }
                }
                let tile = transform::input::<S, T>(simd, tile);
                let inputs = &mut inputs[tx * depth + c..];
                for y in 0..T::ALPHA {
                    for x in 0..T::ALPHA {
                        simd.store(tile[y][x], &mut inputs[(y * T::ALPHA + x) * stride..]);
                    }
                }
            }
        }
    }
}

/// The products of a strip of output channels.
struct Part<'a, 'p> {
    inputs: &'a [f32],
    weights: &'a [f32],
    /// `[place][tile][NV · LANES]`
    products: &'p mut [f32],
    depth: usize,
    apart: usize,
    range: (usize, usize),
    places: usize,
}

/// Tiles `range` in panels of `M`, all places.
struct Products<'a, 'p, const M: usize>(Part<'a, 'p>);

impl<const M: usize> Kernel for Products<'_, '_, M> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let Part { inputs, weights, products, depth, apart, range: (from, to), places } = self.0;
        let nr = NV * S::LANES;
        for place in 0..places {
            let weights = &weights[place * depth * nr..][..depth * nr];
            for t in (from..to).step_by(M) {
                let inputs = &inputs[(place * apart + t) * depth..][..M * depth];
                let acc = tile::half_packed::<S, M, NV>(simd, inputs, depth, (weights, nr), depth);
                for i in 0..M {
                    let out = &mut products[(place * apart + t + i) * nr..][..nr];
                    for j in 0..NV {
                        simd.store(acc[i][j], &mut out[j * S::LANES..]);
                    }
                }
            }
        }
    }
}

/// Transforms back one row of tiles of a strip of output channels, adds the bias and writes the planes.
struct Back<'a, 'o, T> {
    way: Winograd<T>,
    products: &'a [f32],
    back: &'o mut [f32],
    image: &'o mut [f32],
    ty: usize,
    /// The first output channel.
    first: usize,
    epilogue: Epilogue<'a>,
}

impl<T: Transform> Kernel for Back<'_, '_, T> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let Self { way, products, back, image, ty, first, epilogue } = self;
        let (nr, pitch, apart) = (NV * S::LANES, way.back_pitch(), way.apart());
        let count = nr.min(way.channels().1 - first);
        let mut biases = [0.0; NV * MAX_LANES];
        if let Some(bias) = epilogue.bias {
            biases[..count].copy_from_slice(&bias[first..][..count]);
        }
        let zero = simd.splat(0.0);
        let relu = epilogue.activation == Activation::Relu && !epilogue.accumulate;
        for tx in 0..way.tiles().1 {
            for part in 0..NV {
                let products = &products[tx * nr + part * S::LANES..];
                let mut tile = [[zero; SIDE]; SIDE];
                for y in 0..T::ALPHA {
                    for x in 0..T::ALPHA {
                        tile[y][x] = simd.load(&products[(y * T::ALPHA + x) * apart * nr..]);
                    }
                }
                let tile = transform::output::<S, T>(simd, tile);
                let bias = simd.load(&biases[part * S::LANES..]);
                for y in 0..T::OUT {
                    for x in 0..T::OUT {
                        let v = simd.add(tile[y][x], bias);
                        let v = if relu { simd.relu(v) } else { v };
                        simd.store(v, &mut back[(y * pitch + tx * T::OUT + x) * nr + part * S::LANES..]);
                    }
                }
            }
        }
        let [h, w] = way.sizes().1;
        for y in 0..T::OUT.min(h - ty * T::OUT) {
            let back = &back[y * pitch * nr..][..pitch * nr];
            let out = &mut image[first * h * w + (ty * T::OUT + y) * w..];
            match S::LANES {
                1 => planes::<S, 1>(simd, back, out, (count, h * w, w), epilogue.accumulate),
                4 => planes::<S, 4>(simd, back, out, (count, h * w, w), epilogue.accumulate),
                8 => planes::<S, 8>(simd, back, out, (count, h * w, w), epilogue.accumulate),
                _ => planes::<S, MAX_LANES>(simd, back, out, (count, h * w, w), epilogue.accumulate),
            }
            if epilogue.activation != Activation::Identity && !relu {
                for c in 0..count {
                    elementwise::activate_simd(simd, epilogue.activation, &mut out[c * h * w..][..w]);
                }
            }
        }
    }
}

/// Turns a row of `width` pixels with their channels last to `count` planes, `plane` apart, `R` lanes in a register.
#[inline(always)]
fn planes<S: Simd, const R: usize>(
    simd: S,
    back: &[f32],
    out: &mut [f32],
    (count, plane, width): (usize, usize, usize),
    accumulate: bool,
) {
    let nr = NV * R;
    for c in (0..count).step_by(R) {
        let channels = R.min(count - c);
        for x in (0..width).step_by(R) {
            let mut registers = [simd.splat(0.0); R];
            for (i, register) in registers.iter_mut().enumerate() {
                *register = simd.load(&back[(x + i) * nr + c..]);
            }
            let pixels = R.min(width - x);
            if channels == R && pixels == R && !accumulate {
                simd.transpose(registers, &mut out[c * plane + x..], plane);
                continue;
            }
            let mut square = [0.0; MAX_LANES * MAX_LANES];
            simd.transpose(registers, &mut square, R);
            for (i, row) in square.chunks_exact(R).enumerate().take(channels) {
                let out = &mut out[(c + i) * plane + x..][..pixels];
                for (out, new) in out.iter_mut().zip(row) {
                    *out = if accumulate { *out + new } else { *new };
                }
            }
        }
    }
}
