//! Writes the constants of an image as a safetensors file: as they are, for whoever wants to look at them elsewhere. Golden vectors too.
//!
//! Those of step `i` are `step{i}.weight`, `.bias`, of bytes also `.multiplier` and `.shift`, or `.table`; weights `[out, in / groups, kh,
//! kw]`, of bytes `[out, kh, kw, in / groups]`, of linear layers `[out, in]`. One metadata key, `inkstone`, says as JSON what else the image
//! holds.

use super::ExportError;
use super::golden::{Golden, Reals};
use crate::kernels::Activation;
use crate::quant::program::singles;
use crate::runtime::{Kind, Model, Params, Step, Work};
use safetensors::tensor::{Dtype, TensorView};
use serde::Serialize;
use std::collections::HashMap;
use std::fmt::Display;

/// The metadata key: only one, since several are written in random order.
const KEY: &str = "inkstone";

/// What the image holds beside its constants.
#[derive(Serialize)]
struct About<'m> {
    kind: &'static str,
    /// `[scale, offset]` of `pixel · scale + offset`; none if each image is normalised by itself.
    normalization: Option<[f32; 2]>,
    classes: Vec<&'m str>,
    release: u32,
    /// The pixels, then what each step writes.
    tensors: Vec<AboutTensor>,
    steps: Vec<AboutStep>,
}

#[derive(Serialize)]
struct AboutTensor {
    /// Channels, rows, columns.
    dims: [usize; 3],
    #[serde(skip_serializing_if = "Option::is_none")]
    scale: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    zero_point: Option<i8>,
}

/// A step; what it has not is left out.
#[derive(Default, Serialize)]
struct AboutStep {
    op: &'static str,
    /// The tensors that it reads.
    reads: Vec<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    activation: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel: Option<[usize; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stride: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    padding: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    clamp: Option<(i8, i8)>,
    /// Of sums and means of bytes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    multipliers: Vec<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shift: Option<i32>,
}

/// A tensor to write: its name, sizes, and bytes.
type Constant = (String, Vec<usize>, Dtype, Vec<u8>);

/// The bytes of a safetensors file of the constants of `model`.
///
/// # Errors
/// [`ExportError::Unsupported`] if the file cannot hold them.
pub fn tensors(model: &Model<'_>) -> Result<Vec<u8>, ExportError> {
    let (mut constants, mut steps) = (Vec::new(), Vec::new());
    for step in model.steps() {
        let output = model.tensor(step.index + 1).map_or(0, |tensor| tensor.dims[0]);
        take(&step, output, &mut constants);
        steps.push(about(&step));
    }
    let quantized = |index: usize| index > 0 && model.kind() == Kind::I8;
    let tensors = (0..=model.output()).filter_map(|index| {
        let tensor = model.tensor(index)?;
        let (scale, zero_point) = (tensor.scale, tensor.zero_point);
        Some(AboutTensor {
            dims: tensor.dims,
            scale: quantized(index).then_some(scale),
            zero_point: quantized(index).then_some(zero_point),
        })
    });
    let about = About {
        kind: model.kind().name(),
        normalization: model.normalization(),
        classes: (0..model.classes()).filter_map(|class| model.class_name(class)).collect(),
        release: model.release(),
        tensors: tensors.collect(),
        steps,
    };
    let json = serde_json::to_string(&about).map_err(|error| unfit(&error))?;
    let mut views = Vec::with_capacity(constants.len());
    for (name, dims, dtype, bytes) in &constants {
        views.push((name, TensorView::new(*dtype, dims.clone(), bytes).map_err(|error| unfit(&error))?));
    }
    safetensors::serialize(views, Some(HashMap::from([(KEY.to_owned(), json)]))).map_err(|error| unfit(&error))
}

/// The bytes of a safetensors file of golden vectors: `inputs [samples, pixels]` in raw pixels, `logits [samples, classes]` in bytes with a
/// sign.
///
/// # Errors
/// [`ExportError::Unsupported`] if the file cannot hold them.
pub fn golden(golden: &Golden) -> Result<Vec<u8>, ExportError> {
    vectors(golden.samples(), golden.inputs(), Dtype::I8, bytemuck::cast_slice(golden.logits()))
}

/// The same with `logits` in single precision.
///
/// # Errors
/// As [`golden`].
pub fn golden_reals(golden: &Reals) -> Result<Vec<u8>, ExportError> {
    vectors(golden.samples(), golden.inputs(), Dtype::F32, &singles(golden.logits()))
}

/// Rows of pixels and of logits, as many of both.
fn vectors(samples: usize, inputs: &[u8], element: Dtype, logits: &[u8]) -> Result<Vec<u8>, ExportError> {
    let per_sample = |all: usize| all.checked_div(samples).unwrap_or(0);
    let classes = per_sample(logits.len() / (element.bitsize() / 8));
    let views = [
        ("inputs", TensorView::new(Dtype::U8, vec![samples, per_sample(inputs.len())], inputs)),
        ("logits", TensorView::new(element, vec![samples, classes], logits)),
    ];
    let mut all = Vec::with_capacity(views.len());
    for (name, view) in views {
        all.push((name, view.map_err(|error| unfit(&error))?));
    }
    safetensors::serialize(all, None).map_err(|error| unfit(&error))
}

fn unfit(error: &dyn Display) -> ExportError {
    ExportError::Unsupported(format!("a safetensors file cannot hold them: {error}"))
}

fn words(values: &[i32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// The constants of a step that writes `output` channels.
fn take(step: &Step<'_>, output: usize, constants: &mut Vec<Constant>) {
    let mut push = |what: &str, dims: &[usize], dtype, bytes| {
        constants.push((format!("step{}.{what}", step.index), dims.to_vec(), dtype, bytes));
    };
    let (params, dims, last) = match step.work {
        Work::Conv { conv, params, .. } => {
            let group = conv.c_in / conv.groups;
            let [out, kh, kw] = [output, conv.kh, conv.kw];
            (params, vec![out, group, kh, kw], vec![out, kh, kw, group])
        }
        Work::Dense { inputs, outputs, params, .. } => (params, vec![outputs, inputs], vec![outputs, inputs]),
        Work::Table(table) => return push("table", &[256], Dtype::I8, bytemuck::cast_slice(table).to_vec()),
        Work::Pixels(_) | Work::MaxPool(_) | Work::AvgPool(..) | Work::Add(..) | Work::Map(_) => return,
    };
    match params {
        Params::F32 { weight, bias } => {
            push("weight", &dims, Dtype::F32, singles(weight));
            push("bias", &[bias.len()], Dtype::F32, singles(bias));
        }
        Params::F16 { weight, bias } => {
            let halves = weight.iter().flat_map(|value| value.to_le_bytes()).collect();
            push("weight", &dims, Dtype::F16, halves);
            push("bias", &[bias.len()], Dtype::F32, singles(bias));
        }
        Params::I8 { weight, bias, multiplier, shift, .. } => {
            push("weight", &last, Dtype::I8, bytemuck::cast_slice(weight).to_vec());
            for (what, values) in [("bias", bias), ("multiplier", multiplier), ("shift", shift)] {
                push(what, &[values.len()], Dtype::I32, words(values));
            }
        }
    }
}

const fn name(activation: Activation) -> Option<&'static str> {
    match activation {
        Activation::Identity => None,
        Activation::Relu => Some("relu"),
        Activation::Tanh => Some("tanh"),
        Activation::Sigmoid => Some("sigmoid"),
    }
}

/// What is said of a step.
fn about(step: &Step<'_>) -> AboutStep {
    let about = AboutStep {
        op: step.name(),
        reads: [Some(step.a), step.b].into_iter().flatten().collect(),
        ..Default::default()
    };
    let clamp_of = |params| if let Params::I8 { clamp, .. } = params { Some(clamp) } else { None };
    match step.work {
        Work::Conv { conv, params, activation, .. } => AboutStep {
            activation: name(activation),
            kernel: Some([conv.kh, conv.kw]),
            stride: Some(conv.stride),
            padding: Some(conv.padding),
            groups: Some(conv.groups),
            clamp: clamp_of(params),
            ..about
        },
        Work::Dense { params, activation, .. } => {
            AboutStep { activation: name(activation), clamp: clamp_of(params), ..about }
        }
        Work::MaxPool(pool) | Work::AvgPool(pool, _) => {
            let mean = if let Work::AvgPool(_, mean) = step.work { mean } else { None };
            AboutStep {
                kernel: Some(pool.kernel()),
                stride: Some(pool.stride()),
                padding: Some(pool.padding()),
                clamp: mean.map(|mean| mean.clamp),
                multipliers: mean.iter().map(|mean| mean.multiplier).collect(),
                shift: mean.map(|mean| mean.shift),
                ..about
            }
        }
        Work::Add(sum, activation) => AboutStep {
            activation: name(activation),
            clamp: sum.map(|sum| sum.clamp()),
            multipliers: sum.map_or_else(Vec::new, |sum| sum.multipliers().to_vec()),
            shift: sum.map(|sum| sum.shift().into()),
            ..about
        },
        Work::Map(activation) => AboutStep { activation: name(activation), ..about },
        Work::Pixels(Some(by)) => {
            AboutStep { multipliers: vec![by.multiplier as i32], shift: Some(by.shift.into()), ..about }
        }
        Work::Pixels(None) | Work::Table(_) => about,
    }
}

#[cfg(test)]
mod tests;
