//! Networks with every kind of step, in each kind of number, as ONNX files: ONNX's checker takes them, and ONNX Runtime computes what the
//! device does. `tests/onnx/check.py` compares; run with `-- --ignored --nocapture` to see the largest difference of each.
#![cfg(feature = "std")]

use inkstone::export::image;
use inkstone::export::onnx::onnx;
use inkstone::kernels::requantize::Multiplier;
use inkstone::kernels::{Activation, Isa, f16};
use inkstone::quant::program::{Program, ProgramStep, ProgramTensor};
use inkstone::runtime::Kind;
use inkstone::runtime::format::StepKind;
use serde::Serialize;
use std::fs;
use std::path::Path;
use std::process::Command;

const SAMPLES: usize = 64;
const INSTALL: &str = "needs Python 3 with ONNX Runtime: python3 -m pip install onnx onnxruntime";

/// What the script is told of a network.
#[derive(Serialize)]
struct Case {
    name: String,
    kind: &'static str,
    /// The step from one logit of bytes to the next; 0 of floats.
    quantum: f32,
    /// Layers of bytes of which ONNX Runtime makes integer operators: their sums are cut by being bytes alone.
    integer: usize,
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From -1 to 1.
    fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
}

/// The size of what windows leave of a side.
const fn side(len: usize, kernel: usize, stride: usize, padding: usize) -> usize {
    (len + 2 * padding - kernel) / stride + 1
}

/// A program in the making, of pseudo-random weights. Each method adds a step and names the tensor that it writes.
struct Net {
    program: Program,
    random: Random,
}

/// How the bytes of a tensor are chosen: scale, zero point, and the clamp of the step that writes it.
type Bytes = (f32, i8, (i8, i8));

const WIDE: (i8, i8) = (-128, 127);

impl Net {
    fn new(kind: Kind, dims: [usize; 3], normalization: Option<[f32; 2]>) -> Self {
        let mut net = Self {
            program: Program {
                kind,
                normalization,
                classes: vec![],
                release: 7,
                tensors: vec![ProgramTensor::plain(dims)],
                steps: vec![],
            },
            random: Random(dims[1] as u64),
        };
        let mut pixels = ProgramStep::new("pixels", StepKind::Pixels, 0);
        let mut bytes = (0.0123, -115, WIDE);
        if net.is_bytes() && normalization.is_none() {
            bytes = (0.02, -16, WIDE);
            (pixels.multipliers, pixels.shift) = ([50 << 18, 0], 18);
        }
        net.push(pixels, dims, bytes);
        net
    }

    fn is_bytes(&self) -> bool {
        self.program.kind == Kind::I8
    }

    fn dims(&self, tensor: usize) -> [usize; 3] {
        self.program.tensors[tensor].dims
    }

    fn push(&mut self, mut step: ProgramStep, dims: [usize; 3], (scale, zero_point, clamp): Bytes) -> usize {
        let has_clamp = matches!(step.kind, StepKind::Conv | StepKind::Dense | StepKind::AvgPool | StepKind::Add);
        if !self.is_bytes() {
            self.program.tensors.push(ProgramTensor::plain(dims));
        } else {
            self.program.tensors.push(ProgramTensor { dims, scale, zero_point });
            step.activation = Activation::Identity;
            if has_clamp {
                step.clamp = clamp;
            }
        }
        self.program.steps.push(step);
        self.program.steps.len()
    }

    /// Weights, bias, and what requantizes: of outputs that spread over the bytes.
    fn params(&mut self, a: usize, outputs: usize, taps: usize) -> Vec<Vec<u8>> {
        let count = outputs * taps;
        let spread = 1.0 / (taps as f64).sqrt();
        if !self.is_bytes() {
            let weight: Vec<f32> = (0..count).map(|_| (1.7 * spread * self.random.unit()) as f32).collect();
            let bias: Vec<u8> = (0..outputs).flat_map(|_| (self.random.unit() as f32).to_le_bytes()).collect();
            let weight = match self.program.kind {
                Kind::F16 => weight.iter().flat_map(|w| f16::from_f32(*w).to_le_bytes()).collect(),
                _ => weight.iter().flat_map(|w| w.to_le_bytes()).collect(),
            };
            return vec![weight, bias];
        }
        let zero_point = i32::from(self.program.tensors[a].zero_point);
        let weight: Vec<i8> = (0..count).map(|_| (127.9 * self.random.unit()) as i8).collect();
        let [mut bias, mut multiplier, mut shift] = [vec![], vec![], vec![]];
        for (output, weight) in weight.chunks_exact(taps).enumerate() {
            // One channel in a few whose factor is nothing.
            let factor =
                if output == 5 { 0.0 } else { 50.0 * spread / (73.0 * 74.0) * (1.0 + 0.5 * self.random.unit()) };
            let by = Multiplier::of(factor).unwrap_or(Multiplier { multiplier: 0, shift: 31 });
            let sum: i32 = weight.iter().map(|w| i32::from(*w)).sum();
            bias.extend_from_slice(&((60_000.0 * self.random.unit()) as i32 - zero_point * sum).to_le_bytes());
            multiplier.extend_from_slice(&by.multiplier.to_le_bytes());
            shift.extend_from_slice(&i32::from(by.shift).to_le_bytes());
        }
        vec![weight.iter().map(|w| *w as u8).collect(), bias, multiplier, shift]
    }

    /// A convolution; `window` is its kernel, stride and padding.
    fn conv(
        &mut self,
        a: usize,
        channels: usize,
        (kernel, stride, padding): ([usize; 2], usize, usize),
        groups: usize,
        activation: Activation,
        bytes: Bytes,
    ) -> usize {
        let [c, h, w] = self.dims(a);
        let constants = self.params(a, channels, c / groups * kernel[0] * kernel[1]);
        let step = ProgramStep {
            kernel,
            stride,
            padding,
            groups,
            activation,
            constants,
            ..ProgramStep::new("conv", StepKind::Conv, a)
        };
        self.push(step, [channels, side(h, kernel[0], stride, padding), side(w, kernel[1], stride, padding)], bytes)
    }

    /// The largest of each 2x2 behind the last step, a convolution: in it if it is one of bytes.
    fn halved(&mut self) -> usize {
        let last = self.program.steps.len();
        if !self.is_bytes() {
            return self.max_pool(last, ([2, 2], 2, 0));
        }
        self.program.steps[last - 1].pool = true;
        let [c, h, w] = self.dims(last);
        self.program.tensors[last].dims = [c, h / 2, w / 2];
        last
    }

    fn dense(&mut self, a: usize, outputs: usize, activation: Activation, bytes: Bytes) -> usize {
        let constants = self.params(a, outputs, self.program.tensors[a].elements());
        let step = ProgramStep { activation, constants, ..ProgramStep::new("dense", StepKind::Dense, a) };
        self.push(step, [outputs, 1, 1], bytes)
    }

    fn pooled(
        &mut self,
        mut step: ProgramStep,
        (kernel, stride, padding): ([usize; 2], usize, usize),
        bytes: Bytes,
    ) -> usize {
        let [c, h, w] = self.dims(step.a);
        (step.kernel, step.stride, step.padding) = (kernel, stride, padding);
        self.push(step, [c, side(h, kernel[0], stride, padding), side(w, kernel[1], stride, padding)], bytes)
    }

    fn max_pool(&mut self, a: usize, window: ([usize; 2], usize, usize)) -> usize {
        let ProgramTensor { scale, zero_point, .. } = self.program.tensors[a];
        self.pooled(ProgramStep::new("max", StepKind::MaxPool, a), window, (scale, zero_point, WIDE))
    }

    fn avg_pool(&mut self, a: usize, window: ([usize; 2], usize, usize), bytes: Bytes) -> usize {
        let mut step = ProgramStep::new("mean", StepKind::AvgPool, a);
        if self.is_bytes() {
            let pixels = (window.0[0] * window.0[1]) as f64;
            let factor = f64::from(self.program.tensors[a].scale) / (f64::from(bytes.0) * pixels);
            let by = Multiplier::of(factor).unwrap();
            step.multipliers = [by.multiplier, 0];
            step.shift = by.shift;
        }
        self.pooled(step, window, bytes)
    }

    fn add(&mut self, a: usize, b: usize, activation: Activation, bytes: Bytes) -> usize {
        let mut step = ProgramStep { b: Some(b), activation, ..ProgramStep::new("add", StepKind::Add, a) };
        if self.is_bytes() {
            step.shift = 18;
            step.multipliers = [a, b].map(|tensor| {
                let ratio = f64::from(self.program.tensors[tensor].scale) / f64::from(bytes.0);
                (ratio * f64::from(1 << 18)).round() as i32
            });
        }
        self.push(step, self.dims(a), bytes)
    }

    /// A function; of bytes a table like no function's, so that a wrong place shows, but whose neighbours are neighbours: what was rounded
    /// the other way must not show.
    fn map(&mut self, a: usize, activation: Activation, bytes: Bytes) -> usize {
        let mut step = ProgramStep { activation, ..ProgramStep::new("map", StepKind::Map, a) };
        if self.is_bytes() {
            step.constants = vec![(-128i16..128).map(|byte| ((byte - 20).abs() - 64) as u8).collect()];
        }
        self.push(step, self.dims(a), bytes)
    }

    fn classes(mut self) -> Program {
        let last = self.program.tensors.last().unwrap().elements();
        self.program.classes = (0..last).map(|class| format!("class {class}")).collect();
        self.program
    }
}

/// Convolutions of all sorts, odd sizes, a table, a mean with padding, and two linear layers, the first of which reads planes.
fn cnn(kind: Kind) -> Program {
    let mut net = Net::new(kind, [1, 13, 11], Some([1.0 / 127.0, -0.7]));
    net.conv(1, 6, ([3, 3], 1, 1), 1, Activation::Relu, (0.05, -128, WIDE));
    let halves = net.halved();
    let strided = net.conv(halves, 8, ([3, 3], 2, 1), 2, Activation::Identity, (0.031, 3, WIDE));
    let mapped = net.map(strided, Activation::Tanh, (1.0 / 128.0, 0, WIDE));
    let mean = net.avg_pool(mapped, ([2, 2], 1, 1), (0.004, -7, (-100, 90)));
    let hidden = net.dense(mean, 16, Activation::Relu, (0.1, -20, (-20, 127)));
    net.dense(hidden, 10, Activation::Identity, (0.2, 11, WIDE));
    net.classes()
}

/// A sum around a convolution, overlapping windows, and the mean of whole planes. Of bytes the pixels have two channels.
fn residual(kind: Kind) -> Program {
    let channels = if kind == Kind::I8 { 2 } else { 1 };
    let mut net = Net::new(kind, [channels, 10, 9], if kind == Kind::I8 { Some([1.0, 0.0]) } else { None });
    let before = net.conv(1, 16, ([3, 5], 1, 2), 1, Activation::Relu, (0.05, -128, WIDE));
    let around = net.conv(before, 16, ([3, 3], 1, 1), 1, Activation::Identity, (0.06, 4, WIDE));
    let sum = net.add(around, before, Activation::Relu, (0.07, -128, WIDE));
    let largest = net.max_pool(sum, ([3, 3], 2, 1));
    let each = net.conv(largest, 16, ([1, 3], 1, 1), 16, Activation::Sigmoid, (0.05, 0, (-60, 100)));
    let [_, h, w] = net.dims(each);
    let mean = net.avg_pool(each, ([h, w], 1, 0), (0.04, 9, (9, 127)));
    net.dense(mean, 5, Activation::Identity, (0.3, -2, WIDE));
    net.classes()
}

/// Linear layers, a sum of what they write, and a convolution that reads it.
fn vectors(kind: Kind) -> Program {
    let mut net = Net::new(kind, [1, 6, 7], Some([1.0 / 255.0, 0.0]));
    let first = net.dense(1, 12, Activation::Sigmoid, (0.02, -5, WIDE));
    let second = net.dense(first, 12, Activation::Tanh, (0.03, 0, WIDE));
    let sum = net.add(second, first, Activation::Identity, (0.04, 1, (-90, 101)));
    let mapped = net.map(sum, Activation::Sigmoid, (0.03, 12, WIDE));
    let conv = net.conv(mapped, 9, ([1, 1], 1, 0), 1, Activation::Identity, (0.05, 2, WIDE));
    let largest = net.max_pool(conv, ([1, 1], 1, 0));
    net.dense(largest, 7, Activation::Identity, (0.06, -3, WIDE));
    net.classes()
}

/// Images normalised one by one, of bytes with two channels.
fn one_by_one(kind: Kind) -> Program {
    let channels = if kind == Kind::I8 { 2 } else { 1 };
    let mut net = Net::new(kind, [channels, 9, 8], None);
    let conv = net.conv(1, 6, ([3, 3], 1, 1), 1, Activation::Relu, (0.05, -128, WIDE));
    net.dense(conv, 10, Activation::Identity, (0.2, 11, WIDE));
    net.classes()
}

/// Logits that are planes.
fn planes(kind: Kind) -> Program {
    let mut net = Net::new(kind, [1, 5, 4], Some([1.0 / 255.0, 0.0]));
    net.conv(1, 3, ([3, 3], 1, 0), 1, Activation::Identity, (0.05, 2, WIDE));
    net.classes()
}

/// Writes the ONNX file of a program, pixels, and the logits that the device computes for them.
fn write(folder: &Path, name: String, program: &Program) -> Case {
    let image = image::write(program).unwrap();
    let model = image.model().unwrap();
    fs::write(folder.join(format!("{name}.onnx")), onnx(&model).unwrap()).unwrap();
    let [c, h, w] = program.tensors[0].dims;
    let mut random = Random(SAMPLES as u64);
    let mut pixels: Vec<u8> = (0..SAMPLES * c * h * w).map(|_| random.bits() as u8).collect();
    pixels[..c * h * w].fill(9); // an image without a deviation
    fs::write(folder.join(format!("{name}.pixels")), &pixels).unwrap();
    let mut memory = vec![0u128; model.arena_len(Isa::best(), SAMPLES).unwrap().div_ceil(16)];
    let mut bound = model.bind_with(Isa::best(), SAMPLES, bytemuck::cast_slice_mut(&mut memory)).unwrap();
    // ONNX has channels first, devices last.
    for (out, pixels) in bound.input_mut().chunks_exact_mut(c * h * w).zip(pixels.chunks_exact(c * h * w)) {
        for (i, out) in out.iter_mut().enumerate() {
            *out = pixels[i % c * h * w + i / c];
        }
    }
    let output = bound.run();
    let classes = model.classes();
    let logits = (0..SAMPLES * classes).flat_map(|i| output.logit(i / classes, i % classes).to_le_bytes());
    fs::write(folder.join(format!("{name}.logits")), logits.collect::<Vec<u8>>()).unwrap();
    let integer = program.steps.iter().filter(|step| step.constants.len() == 4 && step.clamp == WIDE).count();
    Case { name, kind: model.kind().name(), quantum: program.tensors.last().unwrap().scale, integer }
}

#[test]
#[ignore = "needs python3 with onnx and onnxruntime; the stage `onnx` of tests/all.sh runs it"]
fn onnx_runtime_computes_what_the_device_does() {
    let folder = tempfile::tempdir().unwrap();
    let mut cases = vec![];
    for kind in [Kind::F32, Kind::F16, Kind::I8] {
        for (name, network) in [
            ("cnn", cnn as fn(Kind) -> Program),
            ("residual", residual),
            ("vectors", vectors),
            ("one-by-one", one_by_one),
            ("planes", planes),
        ] {
            cases.push(write(folder.path(), format!("{name}-{}", kind.name()), &network(kind)));
        }
    }
    fs::write(folder.path().join("cases.json"), serde_json::to_vec(&cases).unwrap()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx/check.py");
    let result = Command::new("python3").arg(script).arg(folder.path()).output();
    let result = result.unwrap_or_else(|error| panic!("{INSTALL} ({error})"));
    println!("{}", String::from_utf8_lossy(&result.stdout));
    assert!(result.status.success(), "{}", String::from_utf8_lossy(&result.stderr));
}
