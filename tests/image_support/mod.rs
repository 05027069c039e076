//! Networks made by hand: one for each kind of step and of number, and chains of drawn steps. Small, so that every byte of their images
//! can be tried.
#![allow(dead_code, reason = "each test uses a part of it")]

use inkstone::kernels::{Activation, Isa, f16, pool_i8, requantize::Multiplier};
use inkstone::quant::program::{Program, ProgramStep, ProgramTensor};
use inkstone::runtime::format::StepKind;
use inkstone::runtime::{Bound, ImageError, Kind, Model, device_arena_len};

/// A generator of numbers that do not change with a library: Knuth's MMIX constants.
pub(crate) struct Draw(u64);

impl Draw {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Below `limit`, which is at least 1.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    /// From -127 to 127.
    fn weight(&mut self) -> i8 {
        (self.below(255) as i16 - 127) as i8
    }

    /// From -1 to 1.
    fn real(&mut self) -> f32 {
        self.below(4097) as f32 / 2048.0 - 1.0
    }
}

/// Windows of a step: rows and columns, pixels from one to the next, pixels around the image.
#[derive(Clone, Copy)]
pub(crate) struct Window {
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: usize,
    pub(crate) padding: usize,
}

impl Window {
    pub(crate) fn new(kernel: usize, stride: usize, padding: usize) -> Self {
        Self { kernel: [kernel, kernel], stride, padding }
    }

    /// Sizes of the output.
    fn of(&self, [channels, rows, cols]: [usize; 3]) -> [usize; 3] {
        let out = |side, kernel| (side + 2 * self.padding - kernel) / self.stride + 1;
        [channels, out(rows, self.kernel[0]), out(cols, self.kernel[1])]
    }
}

/// A program that grows step by step.
pub(crate) struct Build {
    program: Program,
    draw: Draw,
}

impl Build {
    /// Of pixels `[channels, rows, columns]`, with the step that reads them.
    pub(crate) fn new(kind: Kind, dims: [usize; 3], seed: u64) -> Self {
        let program = Program {
            kind,
            normalization: Some([1.0 / 255.0, 0.0]),
            classes: Vec::new(),
            release: seed as u32,
            tensors: vec![ProgramTensor::plain(dims)],
            steps: Vec::new(),
        };
        let mut build = Self { program, draw: Draw::new(seed) };
        build.push(dims, [1.0 / 255.0, -128.0], ProgramStep::new("pixels", StepKind::Pixels, 0));
        build
    }

    /// Normalises each image by itself; of bytes, to 1/32 of a deviation a step.
    pub(crate) fn per_image(mut self) -> Self {
        self.program.normalization = None;
        if self.i8s() {
            let (pixels, step) = (&mut self.program.tensors[1], &mut self.program.steps[0]);
            (pixels.scale, pixels.zero_point) = (1.0 / 32.0, -17);
            (step.multipliers, step.shift) = ([32 << 18, 0], 18);
        }
        self
    }

    /// The last tensor.
    pub(crate) fn last(&self) -> usize {
        self.program.steps.len()
    }

    /// Its sizes.
    pub(crate) fn dims(&self, tensor: usize) -> [usize; 3] {
        self.program.tensors[tensor].dims
    }

    fn i8s(&self) -> bool {
        self.program.kind == Kind::I8
    }

    /// Appends a step whose output has these sizes and, of bytes, `[scale, zero point]`.
    fn push(&mut self, dims: [usize; 3], [scale, zero_point]: [f32; 2], step: ProgramStep) -> usize {
        let tensor = ProgramTensor { dims, scale, zero_point: zero_point as i8 };
        self.program.tensors.push(if self.i8s() { tensor } else { ProgramTensor::plain(dims) });
        self.program.steps.push(step);
        self.last()
    }

    /// Weights, bias, and of bytes multipliers and shifts, for `outputs` sums of `products`.
    fn constants(&mut self, outputs: usize, products: usize) -> Vec<Vec<u8>> {
        let weights = outputs * products;
        let draw = &mut self.draw;
        if self.program.kind == Kind::I8 {
            let weight = (0..weights).map(|_| draw.weight() as u8).collect();
            let words =
                |value: &mut dyn FnMut(usize) -> i32| (0..outputs).flat_map(|i| value(i).to_le_bytes()).collect();
            let bias = words(&mut |_| draw.below(2001) as i32 - 1000);
            // Sums of some thousands, of random signs, become bytes of some tens; each channel by a factor of its own.
            let factor = |i: usize| (1.0 + 0.1 * i as f64) / (160.0 * (products as f64).sqrt());
            let multiplier = words(&mut |i| Multiplier::of(factor(i)).unwrap().multiplier);
            let shift = words(&mut |i| Multiplier::of(factor(i)).unwrap().shift.into());
            return vec![weight, bias, multiplier, shift];
        }
        let scale = 1.0 / (products as f32).sqrt();
        let mut real = || draw.real() * scale;
        let weight = match self.program.kind {
            Kind::F16 => (0..weights).flat_map(|_| f16::from_f32(real()).to_le_bytes()).collect(),
            _ => (0..weights).flat_map(|_| real().to_le_bytes()).collect(),
        };
        let bias = (0..outputs).flat_map(|_| real().to_le_bytes()).collect();
        vec![weight, bias]
    }

    /// A convolution to `channels`, its activation (of bytes none, or the clamp of ReLU), and the 2x2 pooling in it.
    pub(crate) fn conv(
        &mut self,
        a: usize,
        channels: usize,
        by: Window,
        groups: usize,
        relu: bool,
        pool: bool,
    ) -> usize {
        let [c, rows, cols] = self.dims(a);
        let mut dims = by.of([channels, rows, cols]);
        if pool {
            dims = [channels, dims[1] / 2, dims[2] / 2];
        }
        let mut step = self.windowed("conv", StepKind::Conv, a, by);
        step.constants = self.constants(channels, c / groups * by.kernel[0] * by.kernel[1]);
        (step.groups, step.pool) = (groups, pool);
        self.activated(dims, relu, step)
    }

    /// A linear layer.
    pub(crate) fn dense(&mut self, a: usize, outputs: usize, relu: bool) -> usize {
        let mut step = ProgramStep::new("dense", StepKind::Dense, a);
        step.constants = self.constants(outputs, self.dims(a).iter().product());
        self.activated([outputs, 1, 1], relu, step)
    }

    fn activated(&mut self, dims: [usize; 3], relu: bool, mut step: ProgramStep) -> usize {
        let zero_point = self.draw.below(41) as i8 - 20;
        if self.i8s() {
            step.clamp = (if relu { zero_point } else { -128 }, 127);
        } else if relu {
            step.activation = Activation::Relu;
        }
        self.push(dims, [0.05, zero_point.into()], step)
    }

    fn windowed(&self, name: &str, kind: StepKind, a: usize, by: Window) -> ProgramStep {
        let mut step = ProgramStep::new(name, kind, a);
        (step.kernel, step.stride, step.padding) = (by.kernel, by.stride, by.padding);
        step
    }

    pub(crate) fn max_pool(&mut self, a: usize, by: Window) -> usize {
        let ProgramTensor { dims, scale, zero_point } = self.program.tensors[a];
        let step = self.windowed("max", StepKind::MaxPool, a, by);
        self.push(by.of(dims), [scale, zero_point.into()], step)
    }

    pub(crate) fn avg_pool(&mut self, a: usize, by: Window) -> usize {
        let ProgramTensor { dims, scale, .. } = self.program.tensors[a];
        let mut step = self.windowed("mean", StepKind::AvgPool, a, by);
        let pixels = by.kernel[0] * by.kernel[1];
        assert!(pixels <= pool_i8::MAX_WINDOW);
        if self.i8s() {
            // A little more of the range, so that the factor is below 1 for a window of one pixel too.
            let factor = Multiplier::of(0.9 / pixels as f64).unwrap();
            (step.multipliers, step.shift, step.clamp) = ([factor.multiplier, 0], factor.shift, (-120, 120));
        }
        self.push(by.of(dims), [scale / 0.9, 7.0], step)
    }

    /// The sum of two tensors of the same sizes, the function behind it ReLU.
    pub(crate) fn add(&mut self, a: usize, b: usize) -> usize {
        let mut step = ProgramStep::new("add", StepKind::Add, a);
        step.b = Some(b);
        if self.i8s() {
            let zero_point = -30;
            (step.multipliers, step.shift, step.clamp) = ([2_500_000, 1_300_001], 22, (zero_point, 127));
        } else {
            step.activation = Activation::Relu;
        }
        self.push(self.dims(a), [0.1, -30.0], step)
    }

    /// A function: of bytes, any table.
    pub(crate) fn map(&mut self, a: usize) -> usize {
        let mut step = ProgramStep::new("map", StepKind::Map, a);
        if self.i8s() {
            step.constants = vec![(0..256).map(|_| self.draw.below(256) as u8).collect()];
        } else {
            step.activation = [Activation::Tanh, Activation::Sigmoid, Activation::Relu][self.draw.below(3)];
        }
        self.push(self.dims(a), [1.0 / 128.0, 0.0], step)
    }

    /// The program, its classes named.
    pub(crate) fn done(mut self) -> Program {
        let classes = self.dims(self.last()).iter().product();
        self.program.classes = (0..classes).map(|class| format!("{class}")).collect();
        self.program
    }
}

/// Programs with one step behind the pixels, of each kind of step and of number, and all kinds of steps in one.
pub(crate) fn samples() -> Vec<(&'static str, Program)> {
    use Kind::{F16, F32, I8};
    let one = |kind, dims, step: &dyn Fn(&mut Build)| {
        let mut build = Build::new(kind, dims, 1);
        step(&mut build);
        build.done()
    };
    let image = [2, 5, 6];
    let conv = |b: &mut Build| _ = b.conv(1, 3, Window::new(3, 2, 1), 1, true, false);
    let dense = |b: &mut Build| _ = b.dense(1, 7, true);
    let max = |b: &mut Build| _ = b.max_pool(1, Window { kernel: [3, 2], stride: 2, padding: 1 });
    let mean = |b: &mut Build| _ = b.avg_pool(1, Window { kernel: [2, 3], stride: 1, padding: 1 });
    let whole = |b: &mut Build| _ = b.avg_pool(1, Window { kernel: [5, 6], stride: 1, padding: 0 });
    let map = |b: &mut Build| _ = b.map(1);
    let add = |b: &mut Build| {
        let map = b.map(1);
        b.add(map, 1);
    };
    let depthwise = |b: &mut Build| _ = b.conv(1, 4, Window::new(3, 1, 1), 2, true, false);
    let pooled = |b: &mut Build| _ = b.conv(1, 3, Window::new(3, 1, 1), 1, true, true);
    let transformed = |b: &mut Build| _ = b.conv(1, 16, Window::new(3, 1, 1), 1, false, false);
    vec![
        ("i8-pixels", one(I8, image, &|_| ())),
        ("i8-pixels-per-image", Build::new(I8, image, 1).per_image().done()),
        ("i8-conv", one(I8, image, &conv)),
        ("i8-conv-depthwise", one(I8, image, &depthwise)),
        ("i8-conv-transformed", one(I8, [16, 4, 3], &transformed)),
        ("i8-conv-pool", one(I8, image, &pooled)),
        ("i8-dense", one(I8, image, &dense)),
        ("i8-max-pool", one(I8, image, &max)),
        ("i8-avg-pool", one(I8, image, &mean)),
        ("i8-add", one(I8, image, &add)),
        ("i8-map", one(I8, image, &map)),
        ("i8-chain", chain(I8)),
        ("f32-pixels", one(F32, image, &|_| ())),
        ("f32-pixels-per-image", Build::new(F32, image, 1).per_image().done()),
        ("f32-conv", one(F32, image, &conv)),
        ("f32-conv-transformed", one(F32, [16, 4, 3], &transformed)),
        ("f32-dense", one(F32, image, &dense)),
        ("f32-max-pool", one(F32, image, &max)),
        ("f32-avg-pool", one(F32, image, &mean)),
        ("f32-avg-pool-whole", one(F32, image, &whole)),
        ("f32-add", one(F32, image, &add)),
        ("f32-map", one(F32, image, &map)),
        ("f32-chain", chain(F32)),
        ("f16-conv", one(F16, image, &conv)),
        ("f16-dense", one(F16, image, &dense)),
        ("f16-chain", chain(F16)),
    ]
}

/// A little residual network with a step of each kind.
fn chain(kind: Kind) -> Program {
    let mut b = Build::new(kind, [1, 12, 12], 3);
    let top = b.conv(1, 4, Window::new(3, 1, 1), 1, true, kind == Kind::I8);
    let a = b.conv(top, 4, Window::new(3, 1, 1), 1, false, false);
    let sum = b.add(a, top);
    let map = b.map(sum);
    let max = b.max_pool(map, Window::new(2, 2, 0));
    let mean = b.avg_pool(max, Window::new(2, 1, 0));
    let hidden = b.dense(mean, 6, true);
    b.dense(hidden, 3, false);
    b.done()
}

/// A network of up to `steps` drawn steps; the same seed gives the same.
pub(crate) fn drawn(kind: Kind, steps: usize, seed: u64) -> Program {
    let mut draw = Draw::new(seed);
    let dims = [1 + draw.below(3), 1 + draw.below(12), 1 + draw.below(12)];
    let mut b = Build::new(kind, dims, seed);
    for _ in 0..steps {
        let a = b.last();
        let [c, rows, cols] = b.dims(a);
        let kernel = 1 + draw.below(rows.min(cols).min(4));
        let by = Window::new(kernel, 1 + draw.below(3), draw.below(kernel / 2 + 1));
        match draw.below(8) {
            0 if draw.below(4) == 0 => _ = b.dense(a, 1 + draw.below(20), draw.below(2) == 0),
            0 | 1 => _ = b.map(a),
            2 => _ = b.max_pool(a, by),
            3 => _ = b.avg_pool(a, by),
            4 => {
                let same = (1..a).rev().find(|&tensor| b.dims(tensor) == b.dims(a));
                b.add(a, same.unwrap_or(a));
            }
            _ => {
                let groups = if c <= 8 && draw.below(3) == 0 { c } else { 1 };
                let [_, oh, ow] = by.of([c, rows, cols]);
                let pool = kind == Kind::I8 && oh.min(ow) > 1 && draw.below(2) == 0;
                b.conv(a, groups * (1 + draw.below(6)), by, groups, draw.below(2) == 0, pool);
            }
        }
    }
    b.done()
}

/// The byte on both sides of an arena.
const GUARD: u8 = 0xa5;
/// Bytes of an arena, and multiplications, that are tried.
const MOST: usize = 1 << 20;

/// The pixels that [`run`] shows.
pub(crate) fn pixel(sample: usize, at: usize) -> u8 {
    (at * 37 + sample * 101 + at * at % 19) as u8
}

/// Runs a model in an arena that is not a byte too long, on pixels that follow from their places: the output of all samples, as bytes.
///
/// # Panics
/// If anything is written outside the arena, or a second run gives something else.
pub(crate) fn run(model: &Model<'_>, isa: Isa, batch: usize) -> Vec<u8> {
    let needed = model.arena_len(isa, batch).unwrap();
    assert!(needed.is_multiple_of(16));
    let mut memory = vec![u128::from_le_bytes([GUARD; 16]); needed / 16 + 2];
    let memory: &mut [u8] = bytemuck::cast_slice_mut(&mut memory);
    let mut bound = model.bind_with(isa, batch, &mut memory[16..][..needed]).unwrap();
    let first = show(&mut bound);
    // Out of order steps compute nothing of use, but harm nothing.
    for step in (0..model.step_count()).rev() {
        assert_eq!(bound.step(step), Ok(()));
    }
    for step in [model.step_count(), usize::MAX] {
        assert!(bound.step(step).is_err() && bound.tensor(step.saturating_add(1)).is_empty());
    }
    assert_eq!(show(&mut bound), first);
    assert!(memory[..16].iter().chain(&memory[16 + needed..]).all(|byte| *byte == GUARD));
    first
}

/// Runs a model on its pixels.
fn show(bound: &mut Bound<'_, '_>) -> Vec<u8> {
    let (batch, classes) = (bound.batch(), bound.model().classes());
    let len = bound.input_mut().len() / batch;
    for (at, byte) in bound.input_mut().iter_mut().enumerate() {
        *byte = pixel(at / len, at % len);
    }
    let output = bound.run();
    assert!((0..batch).all(|sample| output.class(sample) < classes));
    assert_eq!((output.class(usize::MAX), output.logit(usize::MAX, classes - 1)), (0, 0.0));
    match (output.bytes(), output.floats()) {
        (Some(bytes), None) => bytemuck::cast_slice(bytes).to_vec(),
        (None, Some(floats)) => bytemuck::cast_slice(floats).to_vec(),
        _ => panic!("an output is of bytes or of floats"),
    }
}

/// Reads bytes that may be anything, aligned to 16, and runs what is an image on all of `runs`. Every function of a model is called.
pub(crate) fn probe_on(bytes: &[u8], runs: &[(Isa, usize)]) -> Result<(), ImageError> {
    let device = device_arena_len(bytes);
    let model = Model::new(bytes)?;
    assert_eq!(model.arena_len(Isa::SCALAR, 1), Ok(device));
    assert_eq!(model.steps().count(), model.step_count());
    assert!((0..model.classes()).all(|class| model.class_name(class).is_some()));
    assert!((0..=model.output()).all(|tensor| model.tensor(tensor).is_some_and(|tensor| tensor.bytes() > 0)));
    for batch in [0, 7, 1 << 20, usize::MAX / 64, usize::MAX] {
        _ = model.arena_len(Isa::best(), batch);
        _ = model.arena_len(Isa::SCALAR, batch);
        assert!(model.scratch_len(Isa::best(), batch, usize::MAX).is_err());
    }
    for &(isa, batch) in runs {
        if model.macs() <= MOST as u64 && model.arena_len(isa, batch).is_ok_and(|needed| needed <= MOST) {
            run(&model, isa, batch);
        }
    }
    Ok(())
}

/// [`probe_on`] the first and the last instruction set, and for more samples than one.
pub(crate) fn probe(bytes: &[u8]) -> Result<(), ImageError> {
    probe_on(bytes, &[(Isa::best(), 1), (Isa::SCALAR, 1), (Isa::best(), 2)])
}
