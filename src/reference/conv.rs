//! Convolutions by their definition.

use super::length;
use crate::error::ShapeError;
use crate::kernels::conv::Conv;

/// One row of multiply-adds of a convolution: `out[out + i] += weight[weight] · input[input + i · stride]` for `i` in `0..count`.
struct Row {
    out: usize,
    weight: usize,
    input: usize,
    count: usize,
}

/// Calls `visit` for every row: images, output channels, input channels, rows and columns of the kernel, rows of the output.
#[inline]
fn rows(conv: &Conv, mut visit: impl FnMut(Row)) {
    let &Conv { n, c_in, h, w, c_out, kh, kw, stride, padding, oh, ow, .. } = conv;
    let (group_in, group_out) = conv.group();
    for image in 0..n {
        for oc in 0..c_out {
            for ic in 0..group_in {
                let plane = image * c_in + oc / group_out * group_in + ic;
                for (dy, dx) in (0..kh).flat_map(|dy| (0..kw).map(move |dx| (dy, dx))) {
                    // Output columns whose pixel lies in the image: from the first not left of it to the last not right of it.
                    let from = padding.saturating_sub(dx).div_ceil(stride).min(ow);
                    let to = (w + padding).saturating_sub(dx).div_ceil(stride).min(ow);
                    for y in 0..oh {
                        let row = y * stride + dy;
                        if row < padding || row - padding >= h || from >= to {
                            continue;
                        }
                        visit(Row {
                            out: ((image * c_out + oc) * oh + y) * ow + from,
                            weight: ((oc * group_in + ic) * kh + dy) * kw + dx,
                            input: (plane * h + row - padding) * w + from * stride + dx - padding,
                            count: to - from,
                        });
                    }
                }
            }
        }
    }
}

/// `out = conv(input, weight) + bias`, the innermost loop along a row: the naive baseline of the benches.
///
/// # Shapes
/// Those of [`Conv`]; `bias [c_out]`.
/// # Errors
/// [`ShapeError::Length`] if a buffer has another length.
pub fn conv2d_f32(
    conv: &Conv,
    input: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    out: &mut [f32],
) -> Result<(), ShapeError> {
    length("the input", conv.input_len(), input.len())?;
    length("the weights", conv.weight_len(), weight.len())?;
    length("the output", conv.output_len(), out.len())?;
    length("the bias", conv.c_out, bias.map_or(conv.c_out, <[f32]>::len))?;
    for (plane, out) in out.chunks_exact_mut(conv.oh * conv.ow).enumerate() {
        out.fill(bias.map_or(0.0, |bias| bias[plane % conv.c_out]));
    }
    rows(conv, |row| {
        let weight = weight[row.weight];
        let (out, input) = (&mut out[row.out..][..row.count], &input[row.input..]);
        if conv.stride == 1 {
            // The same loop for neighbours, so that the compiler can make vectors of it.
            out.iter_mut().zip(input).for_each(|(out, input)| *out += weight * input);
        } else {
            out.iter_mut().zip(input.iter().step_by(conv.stride)).for_each(|(out, input)| *out += weight * input);
        }
    });
    Ok(())
}

/// The gradient of a loss by the input, from that by the output: naive, as [`conv2d_f32`].
///
/// # Errors
/// As [`conv2d_f32`].
pub fn conv2d_d_input_f32(conv: &Conv, d_out: &[f32], weight: &[f32], d_input: &mut [f32]) -> Result<(), ShapeError> {
    length("the input gradient", conv.input_len(), d_input.len())?;
    length("the weights", conv.weight_len(), weight.len())?;
    length("the output gradient", conv.output_len(), d_out.len())?;
    d_input.fill(0.0);
    rows(conv, |row| {
        let weight = weight[row.weight];
        let (d_input, d_out) = (&mut d_input[row.input..], &d_out[row.out..][..row.count]);
        if conv.stride == 1 {
            d_input.iter_mut().zip(d_out).for_each(|(d_input, d_out)| *d_input += weight * d_out);
        } else {
            d_input.iter_mut().step_by(conv.stride).zip(d_out).for_each(|(d_input, d_out)| *d_input += weight * d_out);
        }
    });
    Ok(())
}

/// The gradient of a loss by the weights, from that by the output: naive, as [`conv2d_f32`].
///
/// # Errors
/// As [`conv2d_f32`].
pub fn conv2d_d_weight_f32(conv: &Conv, input: &[f32], d_out: &[f32], d_weight: &mut [f32]) -> Result<(), ShapeError> {
    length("the input", conv.input_len(), input.len())?;
    length("the weight gradient", conv.weight_len(), d_weight.len())?;
    length("the output gradient", conv.output_len(), d_out.len())?;
    d_weight.fill(0.0);
    rows(conv, |row| {
        let mut sum = 0.0;
        for (d_out, input) in d_out[row.out..][..row.count].iter().zip(input[row.input..].iter().step_by(conv.stride)) {
            sum += d_out * input;
        }
        d_weight[row.weight] += sum;
    });
    Ok(())
}

/// What a sum of products should be, and the sum of their magnitudes, which bounds its rounding error.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Exact {
    /// `Σ a·b`.
    pub sum: f64,
    /// `Σ |a·b|`.
    pub magnitude: f64,
}

impl Exact {
    fn add(&mut self, a: f32, b: f32) {
        let product = f64::from(a) * f64::from(b);
        self.sum += product;
        self.magnitude += product.abs();
    }
}

/// [`conv2d_f32`] in f64; `out` starts from what it holds, so it may hold the bias. Panics if a buffer is too short.
pub fn conv2d_f64(conv: &Conv, input: &[f32], weight: &[f32], out: &mut [Exact]) {
    rows(conv, |row| {
        for i in 0..row.count {
            out[row.out + i].add(weight[row.weight], input[row.input + i * conv.stride]);
        }
    });
}

/// [`conv2d_d_input_f32`] in f64, added to `d_input`. Panics if a buffer is too short.
pub fn conv2d_d_input_f64(conv: &Conv, d_out: &[f32], weight: &[f32], d_input: &mut [Exact]) {
    rows(conv, |row| {
        for i in 0..row.count {
            d_input[row.input + i * conv.stride].add(weight[row.weight], d_out[row.out + i]);
        }
    });
}

/// [`conv2d_d_weight_f32`] in f64, added to `d_weight`. Panics if a buffer is too short.
pub fn conv2d_d_weight_f64(conv: &Conv, input: &[f32], d_out: &[f32], d_weight: &mut [Exact]) {
    rows(conv, |row| {
        for i in 0..row.count {
            d_weight[row.weight].add(d_out[row.out + i], input[row.input + i * conv.stride]);
        }
    });
}

/// `out = Σ x·w` of bytes with their channels last, padding as `zero_point`: naive, a sum at a time.
///
/// # Shapes
/// Those of [`conv2d_i32`](crate::kernels::conv_i8::conv2d_i32).
/// # Errors
/// [`ShapeError::Length`] if a buffer has another length.
pub fn conv2d_i8(conv: &Conv, input: &[i8], zero_point: i8, weight: &[i8], out: &mut [i32]) -> Result<(), ShapeError> {
    length("the input", conv.input_len(), input.len())?;
    length("the weights", conv.weight_len(), weight.len())?;
    length("the output", conv.output_len(), out.len())?;
    let &Conv { c_in, h, w, c_out, kh, kw, stride, padding, oh, ow, .. } = conv;
    let (group_in, group_out) = conv.group();
    for (pixel, out) in out.chunks_exact_mut(c_out).enumerate() {
        let (image, y, x) = (pixel / (oh * ow), pixel / ow % oh, pixel % ow);
        for (oc, out) in out.iter_mut().enumerate() {
            *out = 0;
            for (dy, dx) in (0..kh).flat_map(|dy| (0..kw).map(move |dx| (dy, dx))) {
                let weight = &weight[((oc * kh + dy) * kw + dx) * group_in..][..group_in];
                let (row, col) = ((y * stride + dy).wrapping_sub(padding), (x * stride + dx).wrapping_sub(padding));
                let sum: i32 = if row < h && col < w {
                    let first = ((image * h + row) * w + col) * c_in + oc / group_out * group_in;
                    input[first..]
                        .iter()
                        .zip(weight)
                        .fold(0, |sum: i32, (x, w)| sum.wrapping_add(i32::from(*x) * i32::from(*w)))
                } else {
                    weight.iter().fold(0, |sum: i32, w| sum.wrapping_add(i32::from(zero_point) * i32::from(*w)))
                };
                *out = out.wrapping_add(sum);
            }
        }
    }
    Ok(())
}
