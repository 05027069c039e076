//! A model in the memory in which it runs.

use super::error::ImageError;
use super::format::{ALIGN, Kind};
use super::groups::Groups;
use super::kernels::{self, ALL_KERNELS, has};
use super::model::Model;
use super::step::{Params, Step, Work};
use crate::error::ShapeError;
use crate::kernels::conv::{self, Conv};
use crate::kernels::conv_i8::{self, Input};
use crate::kernels::pool::{self, Pool};
use crate::kernels::requantize::Requantize;
use crate::kernels::{
    Activation, Epilogue, Isa, conv_f16, elementwise, elementwise_i8, gemm_f16, gemm_i8, matmul_with, pool_i8,
    standardize_i8,
};
use crate::view::{Mat, MatMut};
use core::ops::Range;

/// A model and its arena: write the pixels, run, read the logits.
#[derive(Debug)]
pub struct Bound<'m, 'a, const KERNELS: u32 = ALL_KERNELS> {
    model: Model<'m, KERNELS>,
    isa: Isa,
    batch: usize,
    arena: &'a mut [u8],
}

/// What a run left: the logits of each sample.
#[derive(Clone, Copy, Debug)]
pub struct Output<'o> {
    bytes: &'o [u8],
    kind: Kind,
    classes: usize,
    scale: f32,
    zero_point: i8,
}

impl<'o> Output<'o> {
    /// The logits of all samples as bytes, of a model of bytes.
    #[must_use]
    pub fn bytes(&self) -> Option<&'o [i8]> {
        (self.kind == Kind::I8).then(|| bytemuck::cast_slice(self.bytes))
    }

    /// The logits of all samples, of a model of floats.
    #[must_use]
    pub fn floats(&self) -> Option<&'o [f32]> {
        if self.kind == Kind::I8 { None } else { bytemuck::try_cast_slice(self.bytes).ok() }
    }

    /// A logit as a number; 0 where there is none.
    #[must_use]
    pub fn logit(&self, sample: usize, class: usize) -> f32 {
        let at = sample.saturating_mul(self.classes).saturating_add(class);
        if class >= self.classes {
            return 0.0;
        }
        match (self.bytes(), self.floats()) {
            (Some(bytes), _) => match bytes.get(at) {
                Some(byte) => self.scale * f32::from(i16::from(*byte) - i16::from(self.zero_point)),
                None => 0.0,
            },
            (None, Some(floats)) => floats.get(at).copied().unwrap_or(0.0),
            (None, None) => 0.0,
        }
    }

    /// The class of the largest logit, the first of equals; NaN is never the largest. 0 for a sample that is not there.
    #[must_use]
    pub fn class(&self, sample: usize) -> usize {
        let from = sample.saturating_mul(self.classes);
        let range = from..from.saturating_add(self.classes);
        if let Some(bytes) = self.bytes() {
            first_largest(bytes.get(range).unwrap_or_default())
        } else {
            first_largest(self.floats().and_then(|floats| floats.get(range)).unwrap_or_default())
        }
    }
}

/// The class of the largest logit, the first of equals; NaN is never the largest. 0 for none.
#[must_use]
pub fn first_largest<T: PartialOrd + Copy>(values: &[T]) -> usize {
    let (mut best, mut values) = (0, values.iter().enumerate());
    let Some((_, mut most)) = values.next() else { return 0 };
    for (at, value) in values {
        let first_number = most.partial_cmp(most).is_none() && value.partial_cmp(value).is_some();
        if value > most || first_number {
            (best, most) = (at, value);
        }
    }
    best
}

impl<'m, 'a, const KERNELS: u32> Bound<'m, 'a, KERNELS> {
    #[inline(never)]
    pub(super) fn new(
        model: Model<'m, KERNELS>,
        isa: Isa,
        batch: usize,
        arena: &'a mut [u8],
    ) -> Result<Self, ImageError> {
        let needed = model.arena_len(isa, batch)?;
        let got = arena.len();
        let Some((arena, _)) = arena.split_at_mut_checked(needed) else {
            return Err(ImageError::Arena { needed, got });
        };
        if !arena.as_ptr().addr().is_multiple_of(ALIGN) {
            return Err(ImageError::Misaligned { what: "an arena", needed: ALIGN });
        }
        Ok(Self { model, isa, batch, arena })
    }

    /// Samples at a time.
    #[must_use]
    pub const fn batch(&self) -> usize {
        // Only `Model::bind_with`, which has all kernels, takes another number: what serves larger ones is not there otherwise.
        if KERNELS == ALL_KERNELS { self.batch } else { 1 }
    }

    /// The instruction set: a constant where it is the only one, or the best of those that the target has.
    fn isa(&self) -> Isa {
        if KERNELS == ALL_KERNELS { self.isa } else { Isa::best() }
    }

    /// The model.
    #[must_use]
    pub const fn model(&self) -> &Model<'m, KERNELS> {
        &self.model
    }

    /// Where the raw pixels go, 0 to 255, sample after sample, each by rows: of models of bytes with its channels last, of floats plane by
    /// plane. A run writes over them.
    pub fn input_mut(&mut self) -> &mut [u8] {
        let place = self.model.place(0, self.batch());
        self.arena.get_mut(place).unwrap_or_default()
    }

    /// Runs the model on the pixels that were written.
    pub fn run(&mut self) -> Output<'_> {
        self.run_each(|_| ())
    }

    /// As [`run`](Self::run), and calls `done` after each step with its place: so that a device can say how long each takes. A large batch
    /// goes through its convolutions a few samples at a time, and `done` is called after the last of them.
    pub fn run_each(&mut self, mut done: impl FnMut(usize)) -> Output<'_> {
        let first = self.run_groups(&mut done).unwrap_or(0);
        for index in first..self.model.step_count() {
            self.known_step(index);
            done(index);
        }
        self.output()
    }

    /// A step of the model, which cannot fail: `Model::new` decoded it and `Bound::new` measured the arena for it.
    fn known_step(&mut self, index: usize) {
        let result = self.step(index);
        debug_assert_eq!(result, Ok(()));
    }

    /// Runs the steps that a batch goes through [group by group](Groups), in memory of theirs, and says how many they are.
    fn run_groups(&mut self, done: &mut impl FnMut(usize)) -> Option<usize> {
        let (model, isa, batch) = (self.model, self.isa(), self.batch());
        let Groups { steps, samples } = model.groups(batch)?;
        let (whole, rest) = self.arena.split_at_mut_checked(model.layout_len(isa, batch).ok()?)?;
        let (pixels, arena) = rest.split_at_mut_checked(Groups::pixels_len(&model, batch)?)?;
        let from = whole.get(model.place(0, batch))?;
        let pixels = pixels.get_mut(..from.len())?;
        pixels.copy_from_slice(from);
        let groups = pixels.chunks((from.len() / batch).max(1) * samples);
        let last = groups.len().saturating_sub(1);
        let mut results = whole.get_mut(model.place(steps, batch))?;
        for (at, pixels) in groups.enumerate() {
            let batch = samples.min(batch - at * samples);
            let mut group = Bound { model, isa, batch, arena: &mut *arena };
            group.input_mut().copy_from_slice(pixels);
            for index in 0..steps {
                group.known_step(index);
                if at == last {
                    done(index);
                }
            }
            let result = group.tensor(steps);
            let (to, others) = results.split_at_mut_checked(result.len())?;
            to.copy_from_slice(result);
            results = others;
        }
        Some(steps)
    }

    /// What the last run left.
    #[must_use]
    pub fn output(&self) -> Output<'_> {
        let index = self.model.output();
        let tensor = self.model.tensor_record(index);
        Output {
            bytes: self.tensor(index),
            kind: self.model.kind(),
            classes: self.model.classes(),
            scale: tensor.scale,
            zero_point: tensor.zero_point,
        }
    }

    /// The bytes of a tensor: what the [step](Self::step) before it wrote, until another tensor takes its place. A [run](Self::run) of a
    /// large batch leaves the logits alone: its maps lie elsewhere.
    #[must_use]
    pub fn tensor(&self, index: usize) -> &[u8] {
        let place = if index <= self.model.output() { self.model.place(index, self.batch()) } else { 0..0 };
        self.arena.get(place).unwrap_or_default()
    }

    /// Runs one step. Steps build on each other: out of order they compute nothing of use, but harm nothing either.
    ///
    /// # Errors
    /// [`ImageError::Rule`] if the model has no such step; none otherwise: see [`run`](Self::run).
    pub fn step(&mut self, index: usize) -> Result<(), ImageError> {
        let step = self.model.step(index, false)?;
        // Behind what is alive at this step.
        let live = self.model.scratch_at(index).saturating_mul(self.batch());
        let (model, isa, batch) = (&self.model, self.isa(), self.batch());
        let with = With { model, isa, batch };
        self.arena
            .split_at_mut_checked(live)
            .ok_or(OUTSIDE)
            .and_then(|(activations, scratch)| {
                let scratch = bytemuck::try_cast_slice_mut(scratch).map_err(|_| OUTSIDE)?;
                match model.kind() {
                    Kind::I8 if has(KERNELS, kernels::I8) => with.bytes_step(&step, activations, scratch),
                    Kind::F32 | Kind::F16 if has(KERNELS, kernels::F32 | kernels::F16) => {
                        with.floats_step(&step, activations, scratch)
                    }
                    // `Model::only` found that it holds what it needs.
                    _ => Ok(()),
                }
            })
            .map_err(|error| ImageError::Shape { step: index, error })
    }
}

/// What a step runs with.
struct With<'r, 'm, const KERNELS: u32> {
    model: &'r Model<'m, KERNELS>,
    isa: Isa,
    batch: usize,
}

impl<const KERNELS: u32> With<'_, '_, KERNELS> {
    /// A step of a model of bytes.
    fn bytes_step(&self, step: &Step<'_>, activations: &mut [u8], scratch: &mut [i32]) -> Result<(), ShapeError> {
        let Self { model, isa, batch } = *self;
        let (from, to) = (model.place(step.a, batch), model.place(step.index + 1, batch));
        let zero_point = model.tensor_record(step.a).zero_point;
        let zero_out = model.tensor_record(step.index + 1).zero_point;
        match step.work {
            Work::Pixels(None) => {
                copy(activations, from, &to)?;
                elementwise_i8::from_pixels(part(activations, to)?);
            }
            Work::Pixels(Some(by)) if has(KERNELS, kernels::STANDARDIZE) => {
                copy(activations, from, &to)?;
                standardize_i8::standardize(isa, &by, bytemuck::cast_slice_mut(part(activations, to)?))?;
            }
            Work::Table(table) if has(KERNELS, kernels::MAP) => {
                copy(activations, from, &to)?;
                elementwise_i8::look_up(table, bytemuck::cast_slice_mut(part(activations, to)?));
            }
            Work::Add(Some(by), _) if has(KERNELS, kernels::ADD) => {
                let b = model.place(step.b.unwrap_or(step.a), batch);
                copy(activations, from, &to)?;
                let (b, out) = two(activations, b, to)?;
                elementwise_i8::add(isa, &by, bytemuck::cast_slice_mut(out), bytemuck::cast_slice(b))?;
            }
            Work::Conv { conv, pool, params: Params::I8 { weight, bias, multiplier, shift, clamp }, .. }
                if has(KERNELS, kernels::CONV | kernels::POOLED) =>
            {
                let (input, out) = two(activations, from, to)?;
                let input = Input { bytes: bytemuck::cast_slice(input), zero_point };
                let requantize = Requantize::again(bias, multiplier, shift, zero_out, clamp);
                let conv = if KERNELS == ALL_KERNELS { conv.of_images(batch)? } else { conv };
                let out = bytemuck::cast_slice_mut(out);
                match (has(KERNELS, kernels::SHORT), has(KERNELS, kernels::LONG)) {
                    (true, true) => convolve_bytes::<KERNELS, true, true>(
                        isa, &conv, pool, input, weight, requantize, out, scratch,
                    )?,
                    (true, false) => convolve_bytes::<KERNELS, true, false>(
                        isa, &conv, pool, input, weight, requantize, out, scratch,
                    )?,
                    (false, _) => convolve_bytes::<KERNELS, false, true>(
                        isa, &conv, pool, input, weight, requantize, out, scratch,
                    )?,
                }
            }
            Work::Dense { inputs, outputs, params: Params::I8 { weight, bias, multiplier, shift, clamp }, .. }
                if has(KERNELS, kernels::DENSE) =>
            {
                let (input, out) = two(activations, from, to)?;
                let requantize = Requantize::again(bias, multiplier, shift, zero_out, clamp);
                let x = Mat::new(bytemuck::cast_slice(input), batch, inputs)?;
                let y = MatMut::new(bytemuck::cast_slice_mut(out), batch, outputs)?;
                let w = Mat::new(weight, outputs, inputs)?;
                if KERNELS == ALL_KERNELS {
                    gemm_i8::matmul(isa, y, x, w, requantize, scratch)?;
                } else {
                    gemm_i8::matmul_few(isa, y, x, w, requantize, scratch)?;
                }
            }
            Work::MaxPool(pool) if has(KERNELS, kernels::MAX_POOL) => {
                let (input, out) = two(activations, from, to)?;
                let pool = pool.of_images(batch)?;
                pool_i8::max_pool2d(isa, &pool, bytemuck::cast_slice(input), bytemuck::cast_slice_mut(out))?;
            }
            Work::AvgPool(pool, Some(by)) if has(KERNELS, kernels::AVG_POOL) => {
                let (input, out) = two(activations, from, to)?;
                let pool = pool.of_images(batch)?;
                pool_i8::avg_pool2d(isa, &pool, bytemuck::cast_slice(input), by, bytemuck::cast_slice_mut(out))?;
            }
            // Steps of floats, and those without a kernel: `decode` makes none of them here.
            _ => {}
        }
        Ok(())
    }

    /// A step of a model of floats.
    fn floats_step(&self, step: &Step<'_>, activations: &mut [u8], scratch: &mut [i32]) -> Result<(), ShapeError> {
        let Self { model, isa, batch } = *self;
        let (from, to) = (model.place(step.a, batch), model.place(step.index + 1, batch));
        match step.work {
            Work::Pixels(_) => {
                let normalization = model.normalization();
                let (pixels, out) = two(activations, from, to)?;
                pixels_to_floats(isa, normalization, batch, pixels, floats(out)?)?;
            }
            Work::Map(activation) if has(KERNELS, kernels::MAP) => {
                copy(activations, from, &to)?;
                elementwise::activate(isa, activation, floats(part(activations, to)?)?);
            }
            Work::Add(_, activation) if has(KERNELS, kernels::ADD) => {
                let b = model.place(step.b.unwrap_or(step.a), batch);
                copy(activations, from, &to)?;
                let (b, out) = two(activations, b, to)?;
                let (b, out) = (read(b)?, floats(out)?);
                for (out, b) in out.iter_mut().zip(b) {
                    *out += b;
                }
                elementwise::activate(isa, activation, out);
            }
            Work::Conv { conv, params, activation, .. } if has(KERNELS, kernels::CONV) => {
                let (input, out) = two(activations, from, to)?;
                let scratch = bytemuck::cast_slice_mut(scratch);
                convolve::<KERNELS>(
                    isa,
                    &conv.of_images(batch)?,
                    params,
                    activation,
                    read(input)?,
                    floats(out)?,
                    scratch,
                )?;
            }
            Work::Dense { inputs, outputs, params, activation } if has(KERNELS, kernels::DENSE) => {
                let (input, out) = two(activations, from, to)?;
                let scratch: &mut [f32] = bytemuck::cast_slice_mut(scratch);
                let x = Mat::new(read(input)?, batch, inputs)?;
                let y = MatMut::new(floats(out)?, batch, outputs)?;
                let by = |bias| Epilogue { accumulate: false, bias: Some(bias), activation };
                match params {
                    Params::F32 { weight, bias } if has(KERNELS, kernels::F32) => {
                        matmul_with(isa, y, x, Mat::new(weight, outputs, inputs)?.t(), by(bias), scratch)?;
                    }
                    Params::F16 { weight, bias } if has(KERNELS, kernels::F16) => {
                        gemm_f16::matmul_with(isa, y, x, Mat::new(weight, outputs, inputs)?.t(), by(bias), scratch)?;
                    }
                    _ => {}
                }
            }
            Work::MaxPool(pool) if has(KERNELS, kernels::MAX_POOL) => {
                let (input, out) = two(activations, from, to)?;
                let (pool, out) = (pool.of_images(batch)?, floats(out)?);
                let places = scratch.get_mut(..out.len()).unwrap_or_default();
                pool::max_pool2d(isa, &pool, read(input)?, out, bytemuck::cast_slice_mut(places))?;
            }
            Work::AvgPool(pool, _) if has(KERNELS, kernels::AVG_POOL) => {
                let (input, out) = two(activations, from, to)?;
                mean(isa, &pool.of_images(batch)?, read(input)?, floats(out)?)?;
            }
            // Steps of bytes, and those without a kernel, as above.
            _ => {}
        }
        Ok(())
    }
}

/// Brings what lies at `from` to `to`, if it is not there.
fn copy(activations: &mut [u8], from: Range<usize>, to: &Range<usize>) -> Result<(), ShapeError> {
    if from.start != to.start && from.start != from.end {
        let (from, to) = two(activations, from, to.clone())?;
        if from.len() == to.len() {
            to.copy_from_slice(from);
        }
    }
    Ok(())
}

/// A convolution of bytes, by the ways that are linked.
#[expect(clippy::too_many_arguments, reason = "those of a convolution")]
fn convolve_bytes<const KERNELS: u32, const SHORT: bool, const LONG: bool>(
    isa: Isa,
    conv: &Conv,
    pool: bool,
    input: Input<'_>,
    weight: &[i8],
    by: Requantize<'_>,
    out: &mut [i8],
    scratch: &mut [i32],
) -> Result<(), ShapeError> {
    if has(KERNELS, kernels::POOLED) && (pool || !has(KERNELS, kernels::CONV)) {
        conv_i8::conv2d_max_pool2_by::<SHORT, LONG>(isa, conv, input, weight, by, out, scratch)
    } else {
        conv_i8::conv2d_by::<SHORT, LONG>(isa, conv, input, weight, by, out, scratch)
    }
}

/// Pixels as the network was trained on them.
fn pixels_to_floats(
    isa: Isa,
    normalization: Option<[f32; 2]>,
    batch: usize,
    pixels: &[u8],
    out: &mut [f32],
) -> Result<(), ShapeError> {
    if let Some([scale, offset]) = normalization {
        return elementwise::pixels_to_f32(isa, pixels, scale, offset, out);
    }
    let len = (pixels.len() / batch.max(1)).max(1);
    for (pixels, out) in pixels.chunks_exact(len).zip(out.chunks_exact_mut(len)) {
        let [sum, squares] = standardize_i8::moments(pixels);
        // The deviation is √(n·Σx² − (Σx)²) / n; the root of a whole number, to ten more bits.
        let n = len as u64;
        let spread = (u128::from(n) * u128::from(squares)).saturating_sub(u128::from(sum) * u128::from(sum));
        let root = (spread << 20).isqrt() as f32 / 1024.0;
        let (scale, offset) = if spread > 0 { (n as f32 / root, -(sum as f32) / root) } else { (0.0, 0.0) };
        elementwise::pixels_to_f32(isa, pixels, scale, offset, out)?;
    }
    Ok(())
}

fn convolve<const KERNELS: u32>(
    isa: Isa,
    conv: &Conv,
    params: Params<'_>,
    activation: Activation,
    input: &[f32],
    out: &mut [f32],
    scratch: &mut [f32],
) -> Result<(), ShapeError> {
    let by = |bias| Epilogue { accumulate: false, bias: Some(bias), activation };
    match params {
        Params::F32 { weight, bias } if has(KERNELS, kernels::F32) => {
            conv::conv2d(isa, conv, input, weight, by(bias), out, scratch)
        }
        Params::F16 { weight, bias } if has(KERNELS, kernels::F16) => {
            conv_f16::conv2d(isa, conv, input, weight, by(bias), out, scratch)
        }
        _ => Ok(()),
    }
}

/// The mean of each window: of whole planes by the kernel that is made for them.
fn mean(isa: Isa, pool: &Pool, input: &[f32], out: &mut [f32]) -> Result<(), ShapeError> {
    if pool.is_whole() {
        return pool::global_avg_pool(isa, pool.window_pixels(), input, out);
    }
    pool::avg_pool2d(isa, pool, input, out)
}

const OUTSIDE: ShapeError = ShapeError::Overflow;

/// A part of the arena.
fn part(arena: &mut [u8], place: Range<usize>) -> Result<&mut [u8], ShapeError> {
    arena.get_mut(place).ok_or(OUTSIDE)
}

/// Two parts of the arena that do not meet: one to read, one to write.
fn two(arena: &mut [u8], from: Range<usize>, to: Range<usize>) -> Result<(&[u8], &mut [u8]), ShapeError> {
    let [from, to] = arena.get_disjoint_mut([from, to]).map_err(|_| OUTSIDE)?;
    Ok((from, to))
}

fn read(bytes: &[u8]) -> Result<&[f32], ShapeError> {
    bytemuck::try_cast_slice(bytes).map_err(|_| OUTSIDE)
}

fn floats(bytes: &mut [u8]) -> Result<&mut [f32], ShapeError> {
    bytemuck::try_cast_slice_mut(bytes).map_err(|_| OUTSIDE)
}
