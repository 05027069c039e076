//! Programs of floats: single precision throughout, or with weights of half precision.

use super::QuantError;
use super::lower::{Layer, LayerWork, Lowered};
use super::program::{Program, ProgramStep, ProgramTensor, singles};
use crate::graph::Window;
use crate::kernels::{Activation, f16};
use crate::runtime::Kind;
use crate::runtime::format::StepKind;

/// What a program needs beside its layers.
#[derive(Clone, Debug, PartialEq)]
pub struct About {
    /// `[scale, offset]` of `pixel · scale + offset`; none if each image is normalised by itself.
    pub normalization: Option<[f32; 2]>,
    /// The names of the classes.
    pub classes: Vec<String>,
    /// The number that whoever deploys it gives it.
    pub release: u32,
}

/// The program of `lowered` in floats: layer `i` becomes step `i + 1`, behind the one that reads the pixels.
///
/// # Errors
/// [`QuantError::Layer`] for a weight that half precision cannot hold, where weights are to be halves.
pub fn program(lowered: &Lowered, about: &About, halves: bool) -> Result<Program, QuantError> {
    let mut steps = vec![ProgramStep::new("pixels", StepKind::Pixels, 0)];
    for layer in &lowered.layers {
        if let LayerWork::Conv { weight, .. } | LayerWork::Dense { weight, .. } = &layer.work
            && let Some(found) = weight.iter().find(|w| halves && !f16::from_f32(**w).is_finite())
        {
            let expected = format!("weights of at most {} in half precision; one of them is {found}", f16::MAX);
            return Err(QuantError::layer(&layer.name, expected));
        }
        steps.push(step(layer, halves));
    }
    let mut tensors = vec![ProgramTensor::plain(lowered.dims[0])];
    tensors.extend(lowered.dims.iter().map(|dims| ProgramTensor::plain(*dims)));
    Ok(Program {
        kind: if halves { Kind::F16 } else { Kind::F32 },
        normalization: about.normalization,
        classes: about.classes.clone(),
        release: about.release,
        tensors,
        steps,
    })
}

fn step(layer: &Layer, halves: bool) -> ProgramStep {
    let mut step = ProgramStep::new(layer.name.clone(), StepKind::Map, layer.a + 1);
    step.b = layer.b.map(|b| b + 1);
    if layer.relu {
        step.activation = Activation::Relu;
    }
    let constants = |weight: &[f32], bias: &[f32]| vec![weights(weight, halves), singles(bias)];
    match &layer.work {
        LayerWork::Conv { conv, weight, bias } => {
            step.kind = StepKind::Conv;
            (step.kernel, step.stride, step.padding, step.groups) =
                (conv.kernel, conv.stride, conv.padding, conv.groups);
            step.constants = constants(weight, bias);
        }
        LayerWork::Dense { weight, bias } => {
            step.kind = StepKind::Dense;
            step.constants = constants(weight, bias);
        }
        LayerWork::MaxPool(window) => pooled(&mut step, StepKind::MaxPool, window),
        LayerWork::AvgPool(window) => pooled(&mut step, StepKind::AvgPool, window),
        LayerWork::Add => step.kind = StepKind::Add,
        LayerWork::Map(function) => step.activation = *function,
    }
    step
}

pub(super) fn pooled(step: &mut ProgramStep, kind: StepKind, window: &Window) {
    step.kind = kind;
    (step.kernel, step.stride, step.padding) = (window.kernel, window.stride, window.padding);
}

fn weights(values: &[f32], halves: bool) -> Vec<u8> {
    if halves { values.iter().flat_map(|x| f16::from_f32(*x).to_le_bytes()).collect() } else { singles(values) }
}
