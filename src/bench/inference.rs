//! Whole networks by the device runtime: what a server pays for a digit, one at a time and in batches, in each kind of number.
//!
//! Weights are drawn, as time does not depend on them. Operations are two for each multiplication; bytes those of the constants and of the
//! pixels. The reference is the same image without vectors, on one lane.

use super::case::{Case, Then};
use super::cost::{Arithmetic, Bound, Cost};
use super::error::{BenchError, Cause};
use super::family::Family;
use super::operands::uniform;
use super::setup::Setup;
use super::verify;
use super::way::Ways;
use crate::error::ShapeError;
use crate::export::image::{self, Image};
use crate::kernels::Isa;
use crate::quant::float::{self, About};
use crate::quant::lower::{Lowered, lower};
use crate::quant::{QuantError, convert};
use crate::runtime::{Bound as Model, Kind};
use crate::shape::Shape;
use crate::train::{ActivationKind, ModelSpec};

/// Operations up to which scalar code is timed under its own name too.
const FAIR: u64 = 100_000_000;

/// One digit at a time.
const QUICK: [&str; 4] =
    ["inference/mlp-512/f32/1", "inference/mlp-512/f16/1", "inference/mlp-512/int8/1", "inference/cnn-8-16/int8/1"];

/// The networks of the studies and of microcontrollers: [`Family::Inference`].
#[must_use]
pub fn cases() -> Vec<Case> {
    let floats = [Kind::F32, Kind::F16, Kind::I8];
    let mut cases = Vec::new();
    for (name, kinds, batches) in [
        ("mlp:512", &floats[..], [1, 1000]),
        ("cnn", &[Kind::F32, Kind::I8], [1, 100]),
        ("cnn-8-16", &[Kind::F32, Kind::I8], [1, 100]),
    ] {
        for (kind, batch) in kinds.iter().flat_map(|kind| batches.map(|batch| (*kind, batch))) {
            cases.extend(case(name, kind, batch));
        }
    }
    cases
}

/// None for a network that is none, which those above are not.
fn case(name: &'static str, kind: Kind, batch: usize) -> Option<Case> {
    let image = network(name, kind).ok()?;
    let model = image.model().ok()?;
    let pixels = model.tensor(0)?.elements();
    let cost = Cost {
        operations: 2 * model.macs() * batch as u64,
        bytes: (model.constants_len() + batch * pixels) as u64,
        arithmetic: if kind == Kind::I8 { Arithmetic::Pairs } else { Arithmetic::Single },
        bound: if batch == 1 && name.starts_with("mlp") { Bound::Memory } else { Bound::Arithmetic },
    };
    let name = format!("inference/{}/{}/{batch}", name.replace(':', "-"), kind.name());
    Some(Case::new(Family::Inference, name, &QUICK, cost, move |case, setup, then| {
        run(&image, batch, case, setup, then)
    }))
}

/// The image of a network with drawn weights.
fn network(name: &str, kind: Kind) -> Result<Image, QuantError> {
    let run = |error: &dyn std::fmt::Display| QuantError::Run(error.to_string());
    let spec: ModelSpec = name.parse().map_err(|error| run(&error))?;
    let input = Shape::new(&[1, 28, 28]).map_err(|error| run(&error))?;
    let graph = spec.graph(ActivationKind::Relu, input, 10).map_err(|error| run(&error))?;
    let weights: Vec<f32> = uniform(graph.weights_len(), 1).iter().map(|x| x / 10.0).collect();
    let lowered: Lowered = lower(&graph, &weights)?;
    let classes = (0..10).map(|class| class.to_string()).collect();
    let about = About { normalization: Some([1.0 / 255.0, 0.0]), classes, release: 0 };
    let program = match kind {
        Kind::I8 => convert::program(&lowered, &about, &vec![(-4.0, 4.0); lowered.dims.len()])?,
        Kind::F16 | Kind::F32 => float::program(&lowered, &about, kind == Kind::F16)?,
    };
    image::write(&program).map_err(|error| run(&error))
}

/// Any error of the runtime, which the bench's own images do not meet.
const REFUSED: ShapeError = ShapeError::Overflow;

fn run(image: &Image, batch: usize, case: &Case, setup: &Setup, then: &mut Then<'_>) -> Result<(), BenchError> {
    let model = image.model().map_err(|_| REFUSED)?;
    let (classes, pixels) = (model.classes(), model.tensor(0).map_or(0, |tensor| tensor.elements()));
    let digits: Vec<u8> = (0..batch * pixels).map(|at| (at * 7919 % 256) as u8).collect();
    // The first one is the reference.
    let isas: Vec<Isa> = std::iter::once(Isa::SCALAR).chain(setup.isas(true)).collect();
    let needed: Result<Vec<usize>, _> = isas.iter().map(|isa| model.arena_len(*isa, batch)).collect();
    let mut arenas: Vec<Image> = needed.map_err(|_| REFUSED)?.into_iter().map(Image::zeros).collect();
    let mut bound: Vec<(Isa, Model<'_, '_>)> = Vec::new();
    for (isa, arena) in isas.into_iter().zip(&mut arenas) {
        bound.push((isa, model.bind_with(isa, batch, arena.bytes_mut()).map_err(|_| REFUSED)?));
    }
    let infer = |bound: &mut Model<'_, '_>, out: &mut [f32]| {
        bound.input_mut().copy_from_slice(&digits);
        let output = bound.run();
        for (at, logit) in out.iter_mut().enumerate() {
            *logit = output.logit(at / classes, at % classes);
        }
    };
    let mut want = vec![f32::NAN; batch * classes];
    infer(&mut bound[0].1, &mut want);
    let exact = model.kind() == Kind::I8;
    let most = want.iter().fold(0.0f32, |most, x| most.max(x.abs()));
    let check = |got: &[f32]| -> Result<(), Cause> {
        if exact {
            return verify::equal(&want, got);
        }
        verify::close(want.iter().map(|want| (f64::from(*want), 1e-4 * f64::from(most))), got)
    };
    let mut ways = Ways::new(case.cost(), vec![f32::NAN; batch * classes], check);
    for (place, (isa, mut bound)) in bound.into_iter().enumerate() {
        let is_reference = place == 0;
        // Without vectors a large batch takes seconds, and once is enough: ours in scalar code is the reference.
        let operations = case.cost().operations;
        let asked = !is_reference && isa == setup.isa;
        let wanted = if is_reference { setup.times_reference(operations) } else { operations <= FAIR };
        if isa == Isa::SCALAR && !asked && !wanted {
            continue;
        }
        let (name, isa) = if is_reference { ("reference", None) } else { ("inkstone", Some(isa)) };
        ways.push(name, isa, 1, move |out| {
            infer(&mut bound, out);
            Ok(())
        })?;
    }
    then(ways.done());
    Ok(())
}
