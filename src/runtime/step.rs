//! One step of an image: what it computes, with its constants where they lie.

use super::error::ImageError;
use super::format::{Kind, NONE, StepKind, StepRecord, TensorRecord, align};
use super::kernels::{self, has};
use super::model::NOT_HELD;
use crate::error::ShapeError;
use crate::kernels::conv::Conv;
use crate::kernels::elementwise_i8::Sum;
use crate::kernels::gemm_f32::linear_scratch_len;
use crate::kernels::gemm_i8::{self, MAX_K};
use crate::kernels::pool::Pool;
use crate::kernels::pool_i8::{MAX_WINDOW, Mean};
use crate::kernels::requantize::Requantize;
use crate::kernels::standardize_i8::Standardize;
use crate::kernels::{Activation, Isa, conv_i8, f16};
use half::slice::HalfBitsSliceExt;

/// The constants of a convolution or of a linear layer.
#[derive(Clone, Copy, Debug)]
pub enum Params<'m> {
    /// Single precision.
    F32 {
        /// `[out, in, kh, kw]` or `[out, in]`.
        weight: &'m [f32],
        /// `[out]`
        bias: &'m [f32],
    },
    /// Weights of half precision.
    F16 {
        /// As in single precision.
        weight: &'m [f16],
        /// `[out]`
        bias: &'m [f32],
    },
    /// Bytes.
    I8 {
        /// `[out, kh, kw, in]` or `[out, in]`.
        weight: &'m [i8],
        /// `[out]`, in units of `scale_in · scale_weight`; what the zero point of the input adds to the sums is taken off.
        bias: &'m [i32],
        /// `[out]`, as [`Requantize`] has them.
        multiplier: &'m [i32],
        /// `[out]`
        shift: &'m [i32],
        /// The smallest and the largest output.
        clamp: (i8, i8),
    },
}

/// What a step computes.
#[derive(Clone, Copy, Debug)]
pub enum Work<'m> {
    /// Raw pixels become numbers, or bytes with a sign; of bytes that each image normalises by itself, how.
    Pixels(Option<Standardize>),
    /// A convolution, for one image, and the largest of each 2x2 behind it.
    Conv {
        /// Its sizes.
        conv: Conv,
        /// Whether the largest of each 2x2 is the output.
        pool: bool,
        /// Weights and bias.
        params: Params<'m>,
        /// Applied to the sums; of bytes the clamp does it.
        activation: Activation,
    },
    /// A linear layer.
    Dense {
        /// Numbers in.
        inputs: usize,
        /// Numbers out.
        outputs: usize,
        /// Weights and bias.
        params: Params<'m>,
        /// As for a convolution.
        activation: Activation,
    },
    /// The largest of each window, for one image.
    MaxPool(Pool),
    /// The mean of each window, for one image; of bytes, how it is requantized.
    AvgPool(Pool, Option<Mean>),
    /// The sum of two tensors, then a function; of bytes, how they are added.
    Add(Option<Sum>, Activation),
    /// A function of each number.
    Map(Activation),
    /// A function of each byte, the smallest first.
    Table(&'m [i8; 256]),
}

/// One step: it reads one tensor or two, and writes one.
#[derive(Clone, Copy, Debug)]
pub struct Step<'m> {
    /// Its place, from 0.
    pub index: usize,
    /// The tensor that it reads.
    pub a: usize,
    /// The second one, of a sum.
    pub b: Option<usize>,
    /// What it computes; it writes tensor `index + 1`.
    pub work: Work<'m>,
}

impl Step<'_> {
    /// Multiplications of one sample.
    #[must_use]
    pub fn macs(&self) -> u64 {
        match self.work {
            Work::Conv { conv, .. } => conv.macs(),
            Work::Dense { inputs, outputs, .. } => inputs as u64 * outputs as u64,
            _ => 0,
        }
    }

    /// What it is, in a word: "conv".
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self.work {
            Work::Pixels(_) => "pixels",
            Work::Conv { pool: false, .. } => "conv",
            Work::Conv { .. } => "conv+pool",
            Work::Dense { .. } => "dense",
            Work::MaxPool(_) => "max-pool",
            Work::AvgPool(..) => "avg-pool",
            Work::Add(..) => "add",
            Work::Map(_) => "map",
            Work::Table(_) => "table",
        }
    }
}

pub(super) const fn activation(byte: u8) -> Option<Activation> {
    match byte {
        0 => Some(Activation::Identity),
        1 => Some(Activation::Relu),
        2 => Some(Activation::Tanh),
        3 => Some(Activation::Sigmoid),
        _ => None,
    }
}

/// The number of an activation in a step's record.
#[cfg(feature = "std")]
pub(crate) const fn activation_byte(activation: Activation) -> u8 {
    match activation {
        Activation::Identity => 0,
        Activation::Relu => 1,
        Activation::Tanh => 2,
        Activation::Sigmoid => 3,
    }
}

/// The convolution of a step, for `n` images.
pub(super) const fn conv(step: &StepRecord, input: &TensorRecord, c_out: usize, n: usize) -> Result<Conv, ShapeError> {
    let group = match input.channels.checked_div(step.groups) {
        Some(group) => group,
        None => 0,
    };
    let weight = [c_out, group, step.kernel[0], step.kernel[1]];
    Conv::new([n, input.channels, input.rows, input.cols], weight, step.stride, step.padding, step.groups)
}

/// The pooling of a step, for `n` images.
pub(super) const fn pool(step: &StepRecord, input: &TensorRecord, n: usize) -> Result<Pool, crate::error::ShapeError> {
    Pool::new([n, input.channels, input.rows, input.cols], step.kernel, step.stride, step.padding)
}

/// Most elements of a tensor of all samples, as of a convolution.
const MOST: usize = isize::MAX as usize / 16;

/// Elements of `n` samples.
const fn times(tensor: &TensorRecord, n: usize) -> Option<usize> {
    match tensor.elements() {
        Some(elements) => elements.checked_mul(n),
        None => None,
    }
}

/// Bytes of scratch of a step for `n` samples, if memory can hold them.
pub(super) const fn scratch_bytes(
    isa: Isa,
    kind: Kind,
    step: &StepRecord,
    input: &TensorRecord,
    output: &TensorRecord,
    n: usize,
) -> Option<usize> {
    // With room above, so that what the kernels add up from these products fits too.
    match (times(input, n), times(output, n)) {
        (Some(input), Some(output)) if input <= MOST && output <= MOST => {}
        _ => return None,
    }
    let words = match StepKind::from_byte(step.op) {
        Some(StepKind::Conv) => {
            let Ok(conv) = conv(step, input, output.channels, n) else { return None };
            match (kind, step.pool != 0) {
                (Kind::I8, false) => conv_i8::scratch_len(isa, &conv),
                (Kind::I8, true) => conv_i8::pooled_scratch_len(isa, &conv),
                (_, false) => conv.scratch_len(),
                (_, true) => return None,
            }
        }
        Some(StepKind::Dense) => {
            let Some(inputs) = input.elements() else { return None };
            if inputs > MAX_K && matches!(kind, Kind::I8) {
                return None;
            }
            match kind {
                Kind::I8 => gemm_i8::scratch_len(isa, n, output.channels, inputs),
                Kind::F32 | Kind::F16 => linear_scratch_len(n, output.channels, inputs),
            }
        }
        // Places of the maxima.
        Some(StepKind::MaxPool) if !matches!(kind, Kind::I8) => match output.elements() {
            Some(elements) => elements.saturating_mul(n),
            None => return None,
        },
        _ => 0,
    };
    words.checked_mul(4)
}

/// Bytes of scratch of a step that is not in an image yet, on a chip without vectors.
#[cfg(feature = "std")]
pub(crate) fn device_scratch_len(
    kind: Kind,
    step: &crate::quant::program::ProgramStep,
    input: [usize; 3],
    output: [usize; 3],
) -> Option<usize> {
    let tensor = |[channels, rows, cols]: [usize; 3]| TensorRecord {
        offset: 0,
        channels,
        rows,
        cols,
        element: 0,
        zero_point: 0,
        scale: 0.0,
    };
    let record = StepRecord {
        op: step.kind as u8,
        activation: 0,
        kernel: step.kernel,
        stride: step.stride,
        padding: step.padding,
        pool: u8::from(step.pool),
        shift: 0,
        a: 0,
        b: NONE,
        clamp: (0, 0),
        scratch: 0,
        groups: step.groups,
        constants: 0,
        multipliers: [0, 0],
    };
    scratch_bytes(Isa::SCALAR, kind, &record, &tensor(input), &tensor(output), 1)
}

/// Bytes of the constants of a step, in their order; [`ShapeError`] where its sizes do not fit together.
pub(super) fn constants(
    kind: Kind,
    step: &StepRecord,
    input: &TensorRecord,
    output: &TensorRecord,
) -> Result<[usize; 4], ShapeError> {
    let counted = |of: Option<usize>| of.ok_or(ShapeError::Overflow);
    let weights = match StepKind::from_byte(step.op) {
        Some(StepKind::Conv) => conv(step, input, output.channels, 1)?.weight_len(),
        Some(StepKind::Dense) => counted(input.elements().and_then(|inputs| inputs.checked_mul(output.channels)))?,
        Some(StepKind::Map) if kind == Kind::I8 => return Ok([256, 0, 0, 0]),
        _ => return Ok([0; 4]),
    };
    let weights = counted(weights.checked_mul(kind.weight_bytes()))?;
    let channels = counted(output.channels.checked_mul(4))?;
    let of_bytes = if kind == Kind::I8 { channels } else { 0 };
    Ok([weights, channels, of_bytes, of_bytes])
}

/// What a step computes, from its record, the tensors around it and the whole image. Everything is checked but the tensors' places; numbers
/// of the constants only if `values` says so, as that takes time.
pub(super) fn decode<'m, const KERNELS: u32>(
    bytes: &'m [u8],
    kind: Kind,
    (index, values): (usize, bool),
    step: &StepRecord,
    input: &TensorRecord,
    second: Option<&TensorRecord>,
    output: &TensorRecord,
) -> Result<Step<'m>, ImageError> {
    let rule = |rule| ImageError::Rule { rule, at: index };
    let shape = |error| ImageError::Shape { step: index, error };
    let op = StepKind::from_byte(step.op).ok_or(rule("a step is of a kind that this library knows"))?;
    let function = activation(step.activation).ok_or(rule("an activation is one that this library knows"))?;
    let i8s = kind == Kind::I8;
    if i8s && step.activation != 0 {
        return Err(rule("activations of bytes are clamps or tables"));
    }
    let same = [input.channels, input.rows, input.cols] == [output.channels, output.rows, output.cols];
    let out_dims = [output.channels, output.rows, output.cols];
    let fits =
        |dims: [usize; 3]| if dims == out_dims { Ok(()) } else { Err(rule("the output of a step has its shape")) };
    let clamp = step.clamp;
    if i8s && clamp.0 > clamp.1 {
        return Err(rule("the smallest output is not above the largest"));
    }
    let params = |weights_of: usize| -> Result<Params<'m>, ImageError> {
        let lens = constants(kind, step, input, output).map_err(shape)?;
        let (mut parts, mut at): ([&[u8]; 4], _) = ([&[]; 4], step.constants);
        for (part, len) in parts.iter_mut().zip(lens) {
            let end = at.checked_add(len).ok_or(rule("the constants of a step lie in the image"))?;
            *part = bytes.get(at..end).ok_or(rule("the constants of a step lie in the image"))?;
            at = align(end);
        }
        let [weight, bias, multiplier, shift] = parts;
        let aligned = rule("constants are aligned");
        Ok(match kind {
            Kind::F32 => Params::F32 { weight: cast(weight).ok_or(aligned)?, bias: cast(bias).ok_or(aligned)? },
            Kind::F16 => Params::F16 {
                weight: cast::<u16>(weight).ok_or(aligned)?.reinterpret_cast(),
                bias: cast(bias).ok_or(aligned)?,
            },
            Kind::I8 => {
                let (bias, multiplier, shift) =
                    (cast(bias).ok_or(aligned)?, cast(multiplier).ok_or(aligned)?, cast(shift).ok_or(aligned)?);
                if values {
                    Requantize::new(bias, multiplier, shift, output.zero_point, clamp).map_err(shape)?;
                }
                if weights_of > MAX_K {
                    return Err(rule("sums of bytes have at most 131,071 products"));
                }
                let most = i32::MAX - ((weights_of as i32) << 14); // MAX_K products of 2¹⁴ fit
                if values && bias.iter().any(|bias: &i32| bias.unsigned_abs() > most.unsigned_abs()) {
                    return Err(rule("sums of bytes and their bias fit in 32 bits"));
                }
                Params::I8 { weight: bytemuck::cast_slice(weight), bias, multiplier, shift, clamp }
            }
        })
    };
    let work = match op {
        StepKind::Pixels => {
            fits([input.channels, input.rows, input.cols])?;
            if !i8s || step.multipliers[0] == 0 {
                Work::Pixels(None)
            } else if has(KERNELS, kernels::STANDARDIZE) {
                let pixels = input.elements().ok_or(rule("a tensor can be counted"))?;
                let by = Standardize::new(pixels, step.multipliers[0], step.shift, output.zero_point);
                Work::Pixels(Some(by.map_err(shape)?))
            } else {
                return Err(rule(NOT_HELD));
            }
        }
        StepKind::Conv if has(KERNELS, kernels::CONV | kernels::POOLED) => {
            let conv = conv(step, input, output.channels, 1).map_err(shape)?;
            let [_, channels, rows, cols] = conv.output();
            let pool = match step.pool {
                0 => false,
                1 if i8s => true,
                _ => return Err(rule("only convolutions of bytes have the pooling in them")),
            };
            if KERNELS != kernels::ALL_KERNELS {
                let length = if conv_i8::is_short(&conv, pool) { kernels::SHORT } else { kernels::LONG };
                if !has(KERNELS, length) || !has(KERNELS, if pool { kernels::POOLED } else { kernels::CONV }) {
                    return Err(rule(NOT_HELD));
                }
            }
            if pool {
                Pool::new(conv.output(), [2, 2], 2, 0).map_err(shape)?;
            }
            fits(if pool { [channels, rows / 2, cols / 2] } else { [channels, rows, cols] })?;
            Work::Conv { conv, pool, params: params(conv.taps())?, activation: function }
        }
        StepKind::Dense if has(KERNELS, kernels::DENSE) => {
            let inputs = input.elements().ok_or(rule("a tensor can be counted"))?;
            fits([output.channels, 1, 1])?;
            Work::Dense { inputs, outputs: output.channels, params: params(inputs)?, activation: function }
        }
        StepKind::MaxPool | StepKind::AvgPool if has(KERNELS, kernels::MAX_POOL | kernels::AVG_POOL) => {
            let pool = pool(step, input, 1).map_err(shape)?;
            let [_, channels, rows, cols] = pool.output();
            fits([channels, rows, cols])?;
            if i8s && pool.window_pixels() > MAX_WINDOW {
                return Err(rule("a window of bytes has at most 4,194,304 pixels"));
            }
            match (op, i8s) {
                (StepKind::MaxPool, true) if (input.scale, input.zero_point) != (output.scale, output.zero_point) => {
                    return Err(rule("the largest of some bytes has their scale and zero point"));
                }
                (StepKind::MaxPool, _) if has(KERNELS, kernels::MAX_POOL) => Work::MaxPool(pool),
                _ if !has(KERNELS, kernels::AVG_POOL) || op == StepKind::MaxPool => return Err(rule(NOT_HELD)),
                (_, false) => Work::AvgPool(pool, None),
                (_, true) => {
                    let (multiplier, shift) = (step.multipliers[0], step.shift.into());
                    let (zero_in, zero_out) = (input.zero_point, output.zero_point);
                    let mean = Mean { multiplier, shift, zero_in, zero_out, clamp };
                    mean.check().map_err(shape)?;
                    Work::AvgPool(pool, Some(mean))
                }
            }
        }
        StepKind::Add if has(KERNELS, kernels::ADD) => {
            let second = second.ok_or(rule("a sum has two addends"))?;
            fits([second.channels, second.rows, second.cols])?;
            fits([input.channels, input.rows, input.cols])?;
            let sum = if i8s {
                let zeros = [input.zero_point, second.zero_point];
                Some(Sum::new(step.multipliers, zeros, step.shift, output.zero_point, clamp).map_err(shape)?)
            } else {
                None
            };
            Work::Add(sum, function)
        }
        _ if !has(KERNELS, kernels::MAP) || op != StepKind::Map => return Err(rule(NOT_HELD)),
        _ if !same => return Err(rule("a function of each number keeps the shape")),
        _ if i8s => {
            let end = step.constants.checked_add(256).ok_or(rule("the constants of a step lie in the image"))?;
            let table = bytes.get(step.constants..end).ok_or(rule("the constants of a step lie in the image"))?;
            let table = bytemuck::cast_slice::<u8, i8>(table).try_into().map_err(|_| rule("a table has 256 bytes"))?;
            Work::Table(table)
        }
        _ => Work::Map(function),
    };
    let b = if step.b == NONE { None } else { Some(step.b.into()) };
    if b.is_some() != matches!(op, StepKind::Add) {
        return Err(rule("a sum reads two tensors, another step one"));
    }
    Ok(Step { index, a: step.a.into(), b, work })
}

fn cast<T: bytemuck::AnyBitPattern>(bytes: &[u8]) -> Option<&[T]> {
    bytemuck::try_cast_slice(bytes).ok()
}
