//! What the tests of generated sources share: int8 programs made by hand with random constants, of every kind of step between them.

use inkstone::export::image::{Image, write};
use inkstone::kernels::Isa;
use inkstone::kernels::requantize::Multiplier;
use inkstone::quant::program::{Program, ProgramStep, ProgramTensor};
use inkstone::runtime::format::StepKind;
use inkstone::runtime::{Kind, Model};

/// SplitMix64.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// From `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: i32, high: i32) -> i32 {
        low + (self.next() % (high - low + 1) as u64) as i32
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }

    fn byte(&mut self) -> i8 {
        self.next() as i8
    }

    /// A factor from `low` to ten times that.
    fn factor(&mut self, low: f64) -> Multiplier {
        let part = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        Multiplier::of((low * 10f64.powf(part)).min(0.999)).unwrap()
    }
}

/// Windows of a convolution or a pooling.
#[derive(Clone, Copy)]
pub(crate) struct Window {
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: usize,
    pub(crate) padding: usize,
}

impl Window {
    pub(crate) const fn new(kernel: [usize; 2], stride: usize, padding: usize) -> Self {
        Self { kernel, stride, padding }
    }

    fn out(&self, rows: usize, cols: usize) -> [usize; 2] {
        let side = |side: usize, kernel: usize| (side + 2 * self.padding - kernel) / self.stride + 1;
        [side(rows, self.kernel[0]), side(cols, self.kernel[1])]
    }
}

/// Builds a program step by step; each method returns the tensor that its step writes.
pub(crate) struct Builder {
    random: Random,
    program: Program,
    /// Smallest factor of layers, in units of one over the root of the products: large ones have shifts of 0 and 1.
    pub(crate) factor: f64,
}

impl Builder {
    /// For pixels of `dims`: channels, rows, columns.
    pub(crate) fn new(seed: u64, dims: [usize; 3]) -> Self {
        let program = Program {
            kind: Kind::I8,
            normalization: Some([1.0 / 255.0, 0.0]),
            classes: Vec::new(),
            release: 7,
            tensors: vec![ProgramTensor::plain(dims)],
            steps: Vec::new(),
        };
        let mut builder = Self { random: Random::new(seed), program, factor: 0.005 };
        builder.push(ProgramStep::new("pixels", StepKind::Pixels, 0), dims, -128);
        builder
    }

    fn push(&mut self, step: ProgramStep, dims: [usize; 3], zero_point: i8) -> usize {
        self.program.steps.push(step);
        self.program.tensors.push(ProgramTensor { dims, scale: 0.03125, zero_point });
        self.program.tensors.len() - 1
    }

    /// Normalises each image by itself, with a factor of `multiplier / 2^shift`.
    fn per_image(mut self, multiplier: i32, shift: u8) -> Self {
        self.program.normalization = None;
        (self.program.steps[0].multipliers, self.program.steps[0].shift) = ([multiplier, 0], shift);
        self.program.tensors[1].zero_point = -33;
        self
    }

    fn dims(&self, tensor: usize) -> [usize; 3] {
        self.program.tensors[tensor].dims
    }

    /// The whole range, or a part with the zero point at its lower end, as a ReLU leaves it.
    fn clamp(&mut self, zero_point: i8) -> (i8, i8) {
        if self.random.next().is_multiple_of(2) { (i8::MIN, i8::MAX) } else { (zero_point, 120.max(zero_point)) }
    }

    fn constants(&mut self, a: usize, outputs: usize, taps: usize) -> Vec<Vec<u8>> {
        // Factors near 1 want small sums.
        let small = self.factor > 1.0;
        let bias = if small { 20 } else { (1000.0 * (taps as f64).sqrt()) as i32 };
        let mut weight = self.random.bytes(outputs * taps);
        if small {
            weight.iter_mut().for_each(|weight| *weight = (*weight % 3).wrapping_sub(1));
        }
        let words = |values: Vec<i32>| values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let factors: Vec<_> = (0..outputs).map(|_| self.random.factor(self.factor / (taps as f64).sqrt())).collect();
        // As a converter does, less what the zero point of the input adds to the sums.
        let zero_in = i32::from(self.program.tensors[a].zero_point);
        let sums = weight.chunks_exact(taps).map(|row| row.iter().map(|weight| i32::from(*weight as i8)).sum::<i32>());
        let biases = sums.map(|sum| self.random.between(-bias, bias) - zero_in * sum).collect();
        vec![
            weight,
            words(biases),
            words(factors.iter().map(|factor| factor.multiplier).collect()),
            words(factors.iter().map(|factor| factor.shift.into()).collect()),
        ]
    }

    pub(crate) fn conv(&mut self, a: usize, outputs: usize, window: Window, groups: usize, pool: bool) -> usize {
        let [channels, rows, cols] = self.dims(a);
        let mut step = ProgramStep::new("conv", StepKind::Conv, a);
        (step.kernel, step.stride, step.padding) = (window.kernel, window.stride, window.padding);
        (step.groups, step.pool) = (groups, pool);
        step.constants = self.constants(a, outputs, channels / groups * window.kernel[0] * window.kernel[1]);
        let zero_point = self.random.byte() / 2;
        step.clamp = self.clamp(zero_point);
        let [oh, ow] = window.out(rows, cols);
        self.push(step, if pool { [outputs, oh / 2, ow / 2] } else { [outputs, oh, ow] }, zero_point)
    }

    pub(crate) fn dense(&mut self, a: usize, outputs: usize) -> usize {
        let mut step = ProgramStep::new("dense", StepKind::Dense, a);
        step.constants = self.constants(a, outputs, self.dims(a).iter().product());
        let zero_point = self.random.byte() / 2;
        step.clamp = self.clamp(zero_point);
        self.push(step, [outputs, 1, 1], zero_point)
    }

    pub(crate) fn max_pool(&mut self, a: usize, window: Window) -> usize {
        let [channels, rows, cols] = self.dims(a);
        let mut step = ProgramStep::new("max-pool", StepKind::MaxPool, a);
        (step.kernel, step.stride, step.padding) = (window.kernel, window.stride, window.padding);
        let [oh, ow] = window.out(rows, cols);
        self.push(step, [channels, oh, ow], self.program.tensors[a].zero_point)
    }

    pub(crate) fn avg_pool(&mut self, a: usize, window: Window) -> usize {
        let [channels, rows, cols] = self.dims(a);
        let mut step = ProgramStep::new("avg-pool", StepKind::AvgPool, a);
        (step.kernel, step.stride, step.padding) = (window.kernel, window.stride, window.padding);
        let factor = self.random.factor(0.2 / (window.kernel[0] * window.kernel[1]) as f64);
        (step.multipliers, step.shift) = ([factor.multiplier, 0], factor.shift);
        let zero_point = self.random.byte() / 2;
        step.clamp = self.clamp(zero_point);
        let [oh, ow] = window.out(rows, cols);
        self.push(step, [channels, oh, ow], zero_point)
    }

    pub(crate) fn add(&mut self, a: usize, b: usize, shift: u8) -> usize {
        let mut step = ProgramStep::new("add", StepKind::Add, a);
        step.b = Some(b);
        let most = (1 << shift).min(1 << 22);
        step.multipliers = [self.random.between(most / 4, most), self.random.between(most / 4, most)];
        step.shift = shift;
        let zero_point = self.random.byte() / 2;
        step.clamp = self.clamp(zero_point);
        self.push(step, self.dims(a), zero_point)
    }

    pub(crate) fn table(&mut self, a: usize) -> usize {
        let mut step = ProgramStep::new("table", StepKind::Map, a);
        step.constants = vec![self.random.bytes(256)];
        let zero_point = self.random.byte() / 2;
        self.push(step, self.dims(a), zero_point)
    }

    pub(crate) fn finish(mut self) -> Program {
        let classes: usize = self.program.tensors.last().unwrap().dims.iter().product();
        // Signs that a string of C has another meaning for, and letters beyond ASCII.
        const ODD: [&str; 4] = ["\"zero\"??=", "one\\n%s", "zwölf */", ""];
        self.program.classes =
            (0..classes).map(|class| ODD.get(class).map_or(class.to_string(), |odd| (*odd).into())).collect();
        self.program
    }
}

/// A small network for digits of `side` pixels: two convolutions with pooling, a linear layer.
pub(crate) fn small_cnn(side: usize) -> Program {
    let mut net = Builder::new(11, [1, side, side]);
    let x = net.conv(1, 8, Window::new([3, 3], 1, 1), 1, true);
    let x = net.conv(x, 16, Window::new([3, 3], 1, 1), 1, true);
    net.dense(x, 10);
    net.finish()
}

/// Programs with every kind of step between them, in odd sizes.
pub(crate) fn programs() -> Vec<(&'static str, Program)> {
    let mut all = vec![("small_cnn", small_cnn(28))];

    let mut net = Builder::new(1, [1, 9, 7]);
    let x = net.dense(1, 13);
    let x = net.table(x);
    net.dense(x, 3);
    all.push(("mlp", net.finish()));

    // Strides, padding beyond the kernel's half, kernels that are not square, groups, depthwise.
    let mut net = Builder::new(2, [3, 11, 9]);
    let x = net.conv(1, 12, Window::new([3, 5], 2, 2), 3, false);
    let x = net.conv(x, 12, Window::new([3, 3], 1, 1), 12, false);
    let x = net.conv(x, 8, Window::new([1, 1], 1, 0), 4, false);
    let x = net.conv(x, 6, Window::new([2, 3], 3, 4), 2, false);
    net.dense(x, 11);
    all.push(("convs", net.finish()));

    // Pooled maps of odd sizes, with stride and groups; overlapping poolings of both kinds, with padding.
    let mut net = Builder::new(3, [2, 21, 17]);
    let x = net.conv(1, 6, Window::new([3, 3], 1, 0), 2, true);
    let x = net.max_pool(x, Window::new([3, 2], 1, 1));
    let x = net.conv(x, 9, Window::new([2, 4], 1, 3), 3, true);
    let x = net.avg_pool(x, Window::new([3, 3], 2, 1));
    net.dense(x, 5);
    all.push(("pooled", net.finish()));

    // Sums in place, beside, and of a tensor with itself.
    let mut net = Builder::new(4, [1, 12, 12]);
    let first = net.conv(1, 5, Window::new([3, 3], 1, 1), 1, false);
    let second = net.conv(first, 5, Window::new([3, 3], 1, 1), 1, false);
    let sum = net.add(second, first, 20);
    let third = net.conv(sum, 5, Window::new([3, 3], 1, 1), 5, false);
    let apart = net.add(sum, third, 22);
    let both = net.add(sum, apart, 0);
    let twice = net.add(both, both, 1);
    let x = net.table(twice);
    let x = net.dense(x, 10);
    net.table(x);
    all.push(("residual", net.finish()));

    let mut net = Builder::new(7, [1, 12, 10]);
    let x = net.conv(1, 6, Window::new([3, 3], 1, 1), 1, false);
    let x = net.max_pool(x, Window::new([2, 2], 2, 0));
    let x = net.avg_pool(x, Window::new([6, 5], 1, 0));
    net.factor = 0.05; // means vary little
    net.dense(x, 10);
    all.push(("whole_planes", net.finish()));

    // Factors near 1: shifts of 0 and 1, and outputs that the clamp cuts.
    let mut net = Builder::new(5, [4, 6, 6]);
    net.factor = 2.0;
    let x = net.conv(1, 7, Window::new([1, 1], 1, 0), 1, false);
    let x = net.avg_pool(x, Window::new([1, 1], 1, 0));
    net.dense(x, 9);
    all.push(("large_factors", net.finish()));

    // Images normalised one by one: with the finest factor that there is, and with one that has no shift.
    for (name, multiplier, shift) in [("one_by_one", 44_739_242, 20), ("one_by_one_coarse", 29, 0)] {
        let mut net = Builder::new(8, [2, 12, 6]).per_image(multiplier, shift);
        let x = net.conv(1, 6, Window::new([3, 3], 1, 1), 1, true);
        net.dense(x, 10);
        all.push((name, net.finish()));
    }

    // Nothing but a pooling: no layer, and an output with rows and columns.
    let mut net = Builder::new(6, [3, 5, 5]);
    net.max_pool(1, Window::new([3, 3], 2, 1));
    all.push(("max_only", net.finish()));
    all
}

/// The image of `program`.
pub(crate) fn image(program: &Program) -> Image {
    write(program).unwrap_or_else(|error| panic!("{error}"))
}

/// Pictures for `model`: all black, all white, and `count` random ones of any brightness and contrast.
pub(crate) fn pictures(model: &Model<'_>, seed: u64, count: usize) -> Vec<u8> {
    let len = model.tensor(0).unwrap().bytes();
    let mut random = Random::new(seed);
    let mut pixels = vec![0; len];
    pixels.extend(vec![255; len]);
    for _ in 0..count {
        let (low, high) = (random.between(0, 255), random.between(0, 255));
        pixels.extend((0..len).map(|_| random.between(low.min(high), low.max(high)) as u8));
    }
    pixels
}

/// What the runtime makes of `pixels` on `isa`.
pub(crate) fn logits(model: &Model<'_>, isa: Isa, pixels: &[u8]) -> Vec<i8> {
    let mut arena = vec![0u128; model.arena_len(isa, 1).unwrap().div_ceil(16)];
    let mut bound = model.bind_with(isa, 1, bytemuck::cast_slice_mut(&mut arena)).unwrap();
    let mut logits = Vec::new();
    for picture in pixels.chunks_exact(model.tensor(0).unwrap().bytes()) {
        bound.input_mut().copy_from_slice(picture);
        logits.extend_from_slice(bound.run().bytes().unwrap());
    }
    logits
}
