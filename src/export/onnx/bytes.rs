//! Networks of bytes as ONNX: what each step computes on numbers, between the scales that it reads and those that it writes.

use super::{
    Attribute, Element, ExportError, GEMM, INPUT, OUTPUT, Step, Work, Writer, conv_settings, foreign, ints,
    mean_settings, node_name, pool_settings, singles, weight_dims, windows,
};
use crate::kernels::elementwise_i8::Sum;
use crate::kernels::pool_i8::Mean;
use crate::kernels::standardize_i8::Standardize;
use crate::runtime::Params;

/// How far the factor of a sum or a mean may move its largest term from where the scales would have it, in quanta of the output: a
/// multiplier of 22 bits moves none so far, and another rounding seldom follows.
const TOLERANCE: f64 = 0.125;

/// A byte of the image as the file has it: 128 more, without a sign.
const fn unsigned(byte: i8) -> u8 {
    byte as u8 ^ 0x80
}

/// Refuses a `scale` that is not a positive number of single precision with all its digits, or whose `most` fold is none.
fn check_scale(scale: f32, most: f32, what: impl FnOnce() -> String) -> Result<f32, ExportError> {
    if scale.is_normal() && scale > 0.0 && (scale * most).is_finite() {
        return Ok(scale);
    }
    Err(ExportError::Unsupported(format!(
        "{} is {scale:e}, with which ONNX cannot compute in single precision",
        what()
    )))
}

/// Refuses a `factor` that is not that of the scales, `expected`, of terms whose largest is `most`.
fn check_factor(step: &Step<'_>, factor: f64, expected: f64, most: f64) -> Result<(), ExportError> {
    if ((factor - expected) * most).abs() <= TOLERANCE {
        return Ok(());
    }
    let (index, name) = (step.index, step.name());
    Err(ExportError::Unsupported(format!(
        "step {index} ({name}) has the factor {factor:e}, its tensors' scales say {expected:e}: ONNX knows only the scales"
    )))
}

/// Rows of `[outer, inner]` as `[inner, outer]`: from channels last to channels first and back.
pub(super) fn turned(values: &[i8], outer: usize, inner: usize) -> impl Iterator<Item = i8> {
    (0..inner).flat_map(move |i| (0..outer).filter_map(move |o| values.get(o * inner + i).copied()))
}

/// The sizes of a layer's weights, and those by which they are turned: `channels` are innermost in the image.
struct Weights<'d> {
    dims: &'d [usize],
    channels: usize,
}

impl Writer<'_> {
    /// A step of a model of bytes.
    pub(super) fn bytes_step(&mut self, step: &Step<'_>) -> Result<(), ExportError> {
        let name = node_name(step);
        let index = step.index + 1;
        match step.work {
            // The pixels themselves, as bytes: what those stand for is said where they are read.
            Work::Pixels(None) => {
                let output = self.begin(false);
                let names = [format!("{name}.scale"), format!("{name}.zero_point")];
                self.scalar(&names[0], 1.0);
                self.constant(&names[1], Element::U8, &[], &[0]);
                self.node("QuantizeLinear", &name, &[INPUT, &names[0], &names[1]], &output, &[]);
            }
            Work::Pixels(Some(by)) => {
                let output = self.begin(false);
                self.check_pixels(step, &by)?;
                let exact = format!("{output}_exact");
                self.normalized(&name, &exact)?;
                self.quantize(&exact, index, &output)?;
            }
            Work::Conv { conv, pool, params, .. } => {
                let input = self.real(step.a, false)?;
                let output = self.begin(false);
                let weights = Weights { dims: &weight_dims(&conv), channels: conv.c_in / conv.groups };
                let ([weight, bias], clamp) = self.byte_params(step, params, &weights)?;
                let sum = format!("{output}_sum");
                self.node("Conv", &name, &[&input, &weight, &bias], &sum, &conv_settings(&conv));
                let sum = self.clamped(&name, sum, index, clamp)?;
                if pool {
                    let (all, real) = (format!("{output}_all"), format!("{output}_all_real"));
                    self.quantize(&sum, index, &all)?;
                    self.dequantize(&all, index, &real)?;
                    self.largest(&format!("{name}_pool"), &real, index, &windows([2, 2], 2, 0))?;
                } else {
                    self.quantize(&sum, index, &output)?;
                }
            }
            Work::Dense { inputs, outputs, params, .. } => {
                let input = self.real(step.a, true)?;
                let output = self.begin(true);
                let weights = Weights { dims: &[outputs, inputs], channels: self.tensor(step.a)?.dims[0] };
                let ([weight, bias], clamp) = self.byte_params(step, params, &weights)?;
                let sum = format!("{output}_sum");
                self.node("Gemm", &name, &[&input, &weight, &bias], &sum, &GEMM);
                let sum = self.clamped(&name, sum, index, clamp)?;
                self.quantize(&sum, index, &output)?;
            }
            Work::MaxPool(pool) => {
                let input = self.real(step.a, false)?;
                self.begin(false);
                self.largest(&name, &input, index, &pool_settings(&pool))?;
            }
            Work::AvgPool(pool, Some(by)) => {
                let input = self.real(step.a, false)?;
                let output = self.begin(false);
                self.check_mean(step, by, pool.window_pixels())?;
                let mean = format!("{output}_mean");
                self.node("AveragePool", &name, &[&input], &mean, &mean_settings(&pool));
                let mean = self.clamped(&name, mean, index, by.clamp)?;
                self.quantize(&mean, index, &output)?;
            }
            Work::Add(Some(by), _) => {
                let flat = self.is_flat(step.a);
                let b = step.b.unwrap_or(step.a);
                let inputs = [self.real(step.a, flat)?, self.real(b, flat)?];
                let output = self.begin(flat);
                self.check_sum(step, &by, [step.a, b])?;
                let sum = format!("{output}_sum");
                self.node("Add", &name, &[&inputs[0], &inputs[1]], &sum, &[]);
                let sum = self.clamped(&name, sum, index, by.clamp())?;
                self.quantize(&sum, index, &output)?;
            }
            Work::Table(table) => {
                let flat = self.is_flat(step.a);
                let input = self.shaped(step.a, flat);
                let output = self.begin(flat);
                let values: Vec<u8> = table.iter().map(|value| unsigned(*value)).collect();
                let (table, place) = (format!("{name}.table"), format!("{output}_place"));
                self.constant(&table, Element::U8, &[256], &values);
                self.value("Cast", &[&input], &place, &[("to", Attribute::Int(Element::I32 as i64))]);
                self.node("Gather", &name, &[&table, &place], &output, &[("axis", Attribute::Int(0))]);
            }
            Work::AvgPool(_, None) | Work::Add(None, _) | Work::Map(_) => return Err(foreign(step)),
        }
        Ok(())
    }

    /// From the bytes of the last tensor to `logits`, in the order in which a device has them.
    pub(super) fn logits_of_bytes(&mut self, last: usize) -> Result<(), ExportError> {
        let mut bytes = self.name(last);
        if !self.is_flat(last) {
            let [channels, rows, cols] = self.tensor(last)?.dims;
            if channels > 1 && rows * cols > 1 {
                let turned = format!("{bytes}_turned");
                self.value("Transpose", &[&bytes], &turned, &[("perm", ints(&[0, 2, 3, 1]))]);
                bytes = turned;
            }
            let flat = format!("{bytes}_flat");
            self.value("Flatten", &[&bytes], &flat, &[("axis", Attribute::Int(1))]);
            bytes = flat;
        }
        self.dequantize(&bytes, last, OUTPUT)
    }

    /// The constants of a tensor's scale and zero point.
    fn scale(&mut self, index: usize) -> Result<[String; 2], ExportError> {
        let tensor = self.tensor(index)?;
        let scale = check_scale(tensor.scale, 255.0, || format!("the scale of tensor {index}"))?;
        let names = [format!("t{index}.scale"), format!("t{index}.zero_point")];
        self.scalar(&names[0], scale);
        self.constant(&names[1], Element::U8, &[], &[unsigned(tensor.zero_point)]);
        Ok(names)
    }

    /// Numbers become the bytes of tensor `index`.
    fn quantize(&mut self, from: &str, index: usize, to: &str) -> Result<(), ExportError> {
        let [scale, zero_point] = self.scale(index)?;
        self.value("QuantizeLinear", &[from, &scale, &zero_point], to, &[]);
        Ok(())
    }

    /// Bytes of tensor `index` become the numbers that they stand for.
    fn dequantize(&mut self, from: &str, index: usize, to: &str) -> Result<(), ExportError> {
        let [scale, zero_point] = self.scale(index)?;
        self.value("DequantizeLinear", &[from, &scale, &zero_point], to, &[]);
        Ok(())
    }

    /// The name of the numbers that the bytes of a tensor stand for.
    fn real(&mut self, index: usize, flat: bool) -> Result<String, ExportError> {
        let bytes = self.shaped(index, flat);
        let real = format!("{bytes}_real");
        if self.known.insert(real.clone()) {
            self.dequantize(&bytes, index, &real)?;
        }
        Ok(real)
    }

    /// The largest of each window of `input`, whose scale tensor `index` has too.
    fn largest(
        &mut self,
        name: &str,
        input: &str,
        index: usize,
        settings: &[(&str, Attribute)],
    ) -> Result<(), ExportError> {
        let output = self.name(index);
        let largest = format!("{output}_largest");
        self.node("MaxPool", name, &[input], &largest, settings);
        self.quantize(&largest, index, &output)
    }

    /// The name of `sum` within the ends that the bytes of tensor `index` are given, where being bytes does not do it.
    fn clamped(&mut self, name: &str, sum: String, index: usize, (low, high): (i8, i8)) -> Result<String, ExportError> {
        if (low, high) == (i8::MIN, i8::MAX) {
            return Ok(sum);
        }
        let tensor = self.tensor(index)?;
        let to = format!("t{index}_clamped");
        if (low, high) == (tensor.zero_point, i8::MAX) {
            self.value("Relu", &[&sum], &to, &[]);
            return Ok(to);
        }
        let real = |byte: i8| tensor.scale * f32::from(i16::from(byte) - i16::from(tensor.zero_point));
        let ends = [format!("{name}.low"), format!("{name}.high")];
        self.scalar(&ends[0], real(low));
        self.scalar(&ends[1], real(high));
        self.value("Clip", &[&sum, &ends[0], &ends[1]], &to, &[]);
        Ok(to)
    }

    /// Weights and bias of a layer of bytes as numbers: their names, and the clamp.
    fn byte_params(
        &mut self,
        step: &Step<'_>,
        params: Params<'_>,
        weights: &Weights<'_>,
    ) -> Result<([String; 2], (i8, i8)), ExportError> {
        let Params::I8 { weight, bias, multiplier, shift, clamp } = params else { return Err(foreign(step)) };
        let (input, output) = (self.tensor(step.a)?, self.tensor(step.index + 1)?);
        let taps = (weight.len() / bias.len().max(1)).max(1);
        let (mut turned_weight, mut sums) = (Vec::with_capacity(weight.len()), Vec::with_capacity(bias.len()));
        for (weight, bias) in weight.chunks_exact(taps).zip(bias) {
            turned_weight.extend(turned(weight, taps / weights.channels.max(1), weights.channels).map(|w| w as u8));
            // Σ q·w + bias = Σ (q − zero)·w + (bias + zero·Σ w).
            let sum: i64 = weight.iter().map(|w| i64::from(*w)).sum();
            let whole = i32::try_from(i64::from(*bias) + i64::from(input.zero_point) * sum);
            sums.push(whole.map_err(|_| {
                ExportError::Unsupported(format!(
                    "a bias of step {} has more than 32 bits without zero points",
                    step.index
                ))
            })?);
        }
        let (mut scales, mut bias_scales) = (Vec::with_capacity(bias.len()), Vec::with_capacity(bias.len()));
        for (multiplier, shift) in multiplier.iter().zip(shift) {
            // Factors below 2⁻³³ make every sum of 32 bits nothing, and so does this one, of which the scale can be a number.
            let factor = (f64::from(*multiplier) * f64::from(-31 - shift).exp2()).max((-33f64).exp2());
            let scale = (factor * f64::from(output.scale) / f64::from(input.scale)) as f32;
            let of = |what: &str| format!("the scale of {what} of step {} ({})", step.index, step.name());
            scales.push(check_scale(scale, 255.0, || of("a weight"))?);
            // As the ends of 32 bits.
            bias_scales.push(check_scale(input.scale * scale, 31f32.exp2(), || of("a sum"))?);
        }
        let name = node_name(step);
        let (channels, axis) = (bias.len(), [("axis", Attribute::Int(0))]);
        let [weight, bias] = [format!("{name}.weight"), format!("{name}.bias")];
        let zeros = vec![0; channels * 4];
        for (name, element, dims, bytes, scales, zeros) in [
            (&weight, Element::I8, weights.dims, turned_weight, scales, &zeros[..channels]),
            (
                &bias,
                Element::I32,
                &[channels][..],
                sums.iter().flat_map(|b| b.to_le_bytes()).collect(),
                bias_scales,
                &zeros[..],
            ),
        ] {
            let [scale, zero, real] = [format!("{name}_scale"), format!("{name}_zero_point"), format!("{name}_real")];
            self.constant(name, element, dims, &bytes);
            self.constant(&scale, Element::F32, &[channels], &singles(&scales));
            self.constant(&zero, element, &[channels], zeros);
            self.value("DequantizeLinear", &[name, &scale, &zero], &real, &axis);
        }
        Ok(([format!("{weight}_real"), format!("{bias}_real")], clamp))
    }

    /// That the factor of a mean is that of its scales.
    fn check_mean(&self, step: &Step<'_>, by: Mean, pixels: usize) -> Result<(), ExportError> {
        let (input, output) = (self.tensor(step.a)?, self.tensor(step.index + 1)?);
        let factor = f64::from(by.multiplier) * f64::from(-31 - by.shift).exp2();
        let expected = f64::from(input.scale) / (f64::from(output.scale) * pixels as f64);
        check_factor(step, factor, expected, 255.0 * pixels as f64)
    }

    /// That the factor of pixels normalised image by image is that of the scale of their bytes.
    fn check_pixels(&self, step: &Step<'_>, by: &Standardize) -> Result<(), ExportError> {
        let scale = f64::from(self.tensor(step.index + 1)?.scale);
        let factor = f64::from(by.multiplier) * (-f64::from(by.shift)).exp2();
        // No pixel is further from the mean, in deviations, and none further than the bytes reach changes anything.
        let most = f64::from(by.pixels - 1).sqrt().min(255.0 * scale);
        check_factor(step, factor, 1.0 / scale, most)
    }

    /// That the factors of a sum are those of its scales.
    fn check_sum(&self, step: &Step<'_>, by: &Sum, inputs: [usize; 2]) -> Result<(), ExportError> {
        let output = self.tensor(step.index + 1)?;
        for (multiplier, input) in by.multipliers().into_iter().zip(inputs) {
            let factor = f64::from(multiplier) * (-f64::from(by.shift())).exp2();
            check_factor(step, factor, f64::from(self.tensor(input)?.scale) / f64::from(output.scale), 255.0)?;
        }
        Ok(())
    }
}
