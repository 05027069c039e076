//! Programs of bytes, by the rules of TensorFlow Lite's int8 specification: weights symmetric in `-127..=127` with a scale for each output
//! channel, activations asymmetric with one for each tensor, biases in units of both scales, one rounding.

use super::QuantError;
use super::float::{About, pooled};
use super::lower::{Layer, LayerWork, Lowered};
use super::program::{Program, ProgramStep, ProgramTensor};
use super::qparams::QParams;
use crate::graph::Window;
use crate::kernels::Activation;
use crate::kernels::elementwise_i8::{MAX_SUM_MULTIPLIER, MAX_SUM_SHIFT};
use crate::kernels::gemm_i8::MAX_K;
use crate::kernels::requantize::Multiplier;
use crate::kernels::standardize_i8::{MAX_PIXELS, MAX_SHIFT, Standardize};
use crate::runtime::Kind;
use crate::runtime::format::StepKind;

/// Largest magnitude of a weight.
const WEIGHT: f64 = 127.0;

/// The bytes of the image, which the first step writes: `scale · (q − zero_point)`.
#[derive(Clone, Debug)]
struct Pixels {
    params: QParams,
    /// The zero point before it was rounded.
    exact: f64,
    step: ProgramStep,
}

impl Pixels {
    /// Of images of these sizes, whose normalised pixels reach from `range.0` to `range.1`.
    fn of(about: &About, dims: [usize; 3], range: (f64, f64)) -> Result<Self, QuantError> {
        match about.normalization {
            Some(normalization) => Self::alike(normalization),
            None => Self::by_image(dims.iter().product(), range),
        }
    }

    /// `q = pixel − 128`, up to a part of a step where the zero point is no whole number. A convolution or linear layer that reads the pixels
    /// makes that good in its bias, but for padding, which stands for the whole step nearest to 0.
    fn alike([scale, offset]: [f32; 2]) -> Result<Self, QuantError> {
        let exact = -128.0 - f64::from(offset) / f64::from(scale);
        if !(-128.5..127.5).contains(&exact) {
            return Err(QuantError::Offset { scale, offset });
        }
        let params = QParams { scale: scale.into(), zero_point: exact.round().clamp(-128.0, 127.0) as i8 };
        Ok(Self { params, exact, step: ProgramStep::new("pixels", StepKind::Pixels, 0) })
    }

    /// Of each image by its own mean and deviation.
    fn by_image(pixels: usize, (low, high): (f64, f64)) -> Result<Self, QuantError> {
        let params = QParams::of_range(low, high);
        // The finest factor that products of 32 bits leave room for.
        let factor = |shift: u8| {
            let multiplier = (f64::from(1u32 << shift) / params.scale).round() as i32;
            Standardize::new(pixels, multiplier, shift, params.zero_point).ok().map(|_| (multiplier, shift))
        };
        let (multiplier, shift) = (0..=MAX_SHIFT).rev().find_map(factor).ok_or_else(|| {
            QuantError::layer("pixels", format!("images of at most {MAX_PIXELS} pixels to normalise them one by one"))
        })?;
        let mut step = ProgramStep::new("pixels", StepKind::Pixels, 0);
        (step.multipliers, step.shift) = ([multiplier, 0], shift);
        Ok(Self { params, exact: params.zero_point.into(), step })
    }
}

/// Which layers become one step, and how the tensors are named: by layer, the tensor of the program that it writes.
struct Steps {
    /// By tensor of the lowered network.
    tensor: Vec<usize>,
    /// By layer: whether the layer before it does its work.
    swallowed: Vec<bool>,
}

impl Steps {
    fn of(lowered: &Lowered) -> Self {
        let mut steps = Self { tensor: vec![1], swallowed: Vec::new() };
        let mut next = 1;
        for (index, layer) in lowered.layers.iter().enumerate() {
            let two = Window { kernel: [2, 2], stride: 2, padding: 0 };
            let conv = layer.a.checked_sub(1).is_some_and(|before| {
                matches!(lowered.layers[before].work, LayerWork::Conv { .. }) && !steps.swallowed[before]
            });
            // Right behind it: the two become one step.
            let alone = layer.a == index && lowered.readers(layer.a) == 1;
            let swallowed = layer.work == LayerWork::MaxPool(two) && conv && alone;
            if !swallowed {
                next += 1;
            }
            steps.swallowed.push(swallowed);
            steps.tensor.push(if swallowed { steps.tensor[layer.a] } else { next });
        }
        steps
    }
}

/// The program of `lowered` in bytes; `ranges` holds, by tensor of `lowered`, the smallest and the largest number that its bytes should
/// reach. The first one is that of the normalised pixels, and counts only where each image is normalised by itself: otherwise bytes are the
/// pixels.
///
/// # Errors
/// [`QuantError`] naming the layer, and for sums too long for 32 bits.
pub fn program(lowered: &Lowered, about: &About, ranges: &[(f64, f64)]) -> Result<Program, QuantError> {
    if ranges.len() != lowered.dims.len() {
        return Err(QuantError::Weights { expected: lowered.dims.len(), found: ranges.len() });
    }
    let pixels = Pixels::of(about, lowered.dims[0], ranges[0])?;
    let joined = Steps::of(lowered);
    let mut params = vec![pixels.params];
    let mut steps = vec![pixels.step];
    let mut tensors = vec![ProgramTensor::plain(lowered.dims[0]), quantized(lowered.dims[0], pixels.params)];
    for (index, layer) in lowered.layers.iter().enumerate() {
        if joined.swallowed[index] {
            // What the convolution was given is what the pooling will have.
            params.push(params[layer.a]);
            continue;
        }
        let pool = joined
            .swallowed
            .get(index + 1)
            .is_some_and(|swallowed| *swallowed && lowered.layers[index + 1].a == index + 1);
        let written = if pool { index + 1 } else { index };
        let (low, high) = ranges[written + 1];
        let exact = if layer.a == 0 { pixels.exact } else { params[layer.a].zero_point.into() };
        let given = Given { lowered, layer, input: params[layer.a], exact, second: layer.b.map(|b| params[b]) };
        let (mut step, output) = given.step(QParams::of_range(low, high))?;
        step.a = joined.tensor[layer.a];
        step.b = layer.b.map(|b| joined.tensor[b]);
        step.pool = pool;
        if pool {
            step.name = format!("{}+{}", layer.name, lowered.layers[index + 1].name);
        }
        params.push(output);
        tensors.push(quantized(lowered.dims[written + 1], output));
        steps.push(step);
    }
    let (normalization, classes, release) = (about.normalization, about.classes.clone(), about.release);
    Ok(Program { kind: Kind::I8, normalization, classes, release, tensors, steps })
}

/// By step of the program of `lowered` in bytes: the tensor of `lowered` that it writes. The first step writes the image.
#[must_use]
pub fn written(lowered: &Lowered) -> Vec<usize> {
    let joined = Steps::of(lowered);
    let mut written = vec![0];
    for (index, swallowed) in joined.swallowed.iter().enumerate() {
        match written.last_mut() {
            Some(last) if *swallowed => *last = index + 1,
            _ => written.push(index + 1),
        }
    }
    written
}

fn quantized(dims: [usize; 3], params: QParams) -> ProgramTensor {
    ProgramTensor { dims, scale: params.scale as f32, zero_point: params.zero_point }
}

/// A layer and what is known of what it reads.
struct Given<'l> {
    lowered: &'l Lowered,
    layer: &'l Layer,
    input: QParams,
    /// The zero point of the input before it was rounded.
    exact: f64,
    second: Option<QParams>,
}

impl Given<'_> {
    /// The step, and the parameters of what it writes: those asked for, or with larger steps where its factors need them.
    fn step(&self, asked: QParams) -> Result<(ProgramStep, QParams), QuantError> {
        let mut step = ProgramStep::new(self.layer.name.clone(), StepKind::Map, 0);
        let mut output = asked;
        let dims = self.lowered.dims[self.layer.a];
        match &self.layer.work {
            LayerWork::Conv { conv, weight, bias } => {
                step.kind = StepKind::Conv;
                (step.kernel, step.stride, step.padding, step.groups) =
                    (conv.kernel, conv.stride, conv.padding, conv.groups);
                let [_, channels, kh, kw] = conv.weight();
                let weights =
                    Weights { weight, bias, taps: channels * kh * kw, from: channels_last([channels, kh, kw]) };
                (output, step.constants) = self.sums(&weights, asked)?;
            }
            LayerWork::Dense { weight, bias } => {
                step.kind = StepKind::Dense;
                let taps = dims.iter().product();
                (output, step.constants) =
                    self.sums(&Weights { weight, bias, taps, from: channels_last(dims) }, asked)?;
            }
            LayerWork::MaxPool(window) => {
                pooled(&mut step, StepKind::MaxPool, window);
                return Ok((step, self.input));
            }
            LayerWork::AvgPool(window) => {
                pooled(&mut step, StepKind::AvgPool, window);
                let pixels = (window.kernel[0] * window.kernel[1]) as f64;
                output = asked.above(self.input.scale / pixels);
                let by = self.factor(self.input.scale / (output.scale * pixels))?;
                (step.multipliers, step.shift) = ([by.multiplier, 0], by.shift);
            }
            LayerWork::Add => {
                step.kind = StepKind::Add;
                let second = self.second.unwrap_or(self.input);
                let factors = [self.input.scale / output.scale, second.scale / output.scale];
                let largest = factors[0].max(factors[1]);
                let most = f64::from(MAX_SUM_MULTIPLIER);
                let shift =
                    (0..=MAX_SUM_SHIFT).rev().find(|shift| (largest * f64::from(1u32 << shift)).round() <= most);
                step.shift = shift.ok_or_else(|| QuantError::layer(&self.layer.name, "addends of like sizes"))?;
                step.multipliers = factors.map(|factor| (factor * f64::from(1u32 << step.shift)).round() as i32);
            }
            LayerWork::Map(function) => {
                output = match function {
                    Activation::Tanh => QParams { scale: 1.0 / 128.0, zero_point: 0 },
                    Activation::Sigmoid => QParams { scale: 1.0 / 256.0, zero_point: -128 },
                    Activation::Relu | Activation::Identity => asked,
                };
                let byte = |q: i8| output.quantize(apply(*function, self.input.real(q))) as u8;
                step.constants = vec![(i8::MIN..=i8::MAX).map(byte).collect()];
            }
        }
        if !matches!(step.kind, StepKind::Map) {
            step.clamp = (if self.layer.relu { output.zero_point } else { i8::MIN }, i8::MAX);
        }
        Ok((step, output))
    }

    fn factor(&self, factor: f64) -> Result<Multiplier, QuantError> {
        Multiplier::of(factor)
            .ok_or_else(|| QuantError::layer(&self.layer.name, "sums that are numbers and not all zero"))
    }

    /// Weights, biases, multipliers and shifts.
    fn sums(&self, weights: &Weights<'_>, asked: QParams) -> Result<(QParams, Vec<Vec<u8>>), QuantError> {
        let Weights { weight, bias, taps, from } = weights;
        if *taps > MAX_K {
            let text = format!("sums of at most {MAX_K} products, found {taps}");
            return Err(QuantError::layer(&self.layer.name, text));
        }
        if weight.iter().chain(*bias).any(|w| !w.is_finite()) {
            return Err(QuantError::layer(&self.layer.name, "weights that are numbers"));
        }
        // So many units a bias may have beside the longest sum.
        let room = f64::from(i32::MAX - ((*taps as i32) << 14)) - 256.0 * WEIGHT * *taps as f64;
        let room = room.max(f64::from(1 << 20));
        let rows = || weight.chunks_exact(*taps).zip(bias.iter());
        let scale = |(row, bias): (&[f32], &f32)| {
            let most = row.iter().fold(0.0f64, |most, w| most.max(f64::from(w.abs())));
            let by_bias = f64::from(bias.abs()) / (self.input.scale * room);
            (most / WEIGHT).max(by_bias).max(asked.scale / self.input.scale / f64::from(1u32 << 30))
        };
        let scales: Vec<f64> = rows().map(scale).collect();
        let largest = scales.iter().fold(0.0f64, |most, scale| most.max(*scale));
        // A factor of 1 and more has no multiplier.
        let output = asked.above(self.input.scale * largest);
        let (mut bytes, mut parts) = (Vec::with_capacity(weight.len()), [Vec::new(), Vec::new(), Vec::new()]);
        for ((row, bias), scale) in rows().zip(&scales) {
            let mut sum = 0i64;
            for place in from.iter() {
                let byte = (f64::from(row[*place]) / scale).round().clamp(-WEIGHT, WEIGHT) as i8;
                sum += i64::from(byte);
                bytes.push(byte as u8);
            }
            let bias = (f64::from(*bias) / (self.input.scale * scale) - self.exact * sum as f64).round();
            if bias.abs() > f64::from(i32::MAX - ((*taps as i32) << 14)) {
                return Err(QuantError::layer(
                    &self.layer.name,
                    "sums that fit in 32 bits with their bias: fewer products",
                ));
            }
            let by = self.factor(self.input.scale * scale / output.scale)?;
            for (part, number) in parts.iter_mut().zip([bias as i32, by.multiplier, by.shift.into()]) {
                part.extend_from_slice(&number.to_le_bytes());
            }
        }
        let [bias, multiplier, shift] = parts;
        Ok((output, vec![bytes, bias, multiplier, shift]))
    }
}

/// The parameters of a layer in single precision.
struct Weights<'l> {
    weight: &'l [f32],
    bias: &'l [f32],
    taps: usize,
    /// By place among the weights of an output, channels last: where it lies with its channels first.
    from: Vec<usize>,
}

/// By place in `[rows, columns, channels]`: the place in `[channels, rows, columns]`.
fn channels_last([c, h, w]: [usize; 3]) -> Vec<usize> {
    (0..c * h * w).map(|place| place % c * h * w + place / c).collect()
}

fn apply(function: Activation, x: f64) -> f64 {
    match function {
        Activation::Identity => x,
        Activation::Relu => x.max(0.0),
        Activation::Tanh => x.tanh(),
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
    }
}
