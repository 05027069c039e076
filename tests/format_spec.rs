//! `firmware-notes/FORMAT.md` and the code say the same: fields, numbers and limits are those of the page's tables, and a reader that knows
//! nothing but the page computes what the runtime computes.
#![cfg(feature = "std")]

mod image_support;

use image_support::{Build, drawn, pixel, run, samples};
use inkstone::export::image::write;
use inkstone::kernels::{Activation, Isa, elementwise_i8, f16, gemm_i8, pool_i8, requantize, standardize_i8};
use inkstone::quant::program::Program;
use inkstone::runtime::Kind;
use inkstone::runtime::format::{self, StepKind};

const PAGE: &str = include_str!("../firmware-notes/FORMAT.md");

/// The rows of the first table below a heading, cells without their backticks.
fn table(heading: &str) -> Vec<Vec<String>> {
    let below = PAGE.split(&format!("\n{heading}\n")).nth(1).unwrap_or_else(|| panic!("no {heading}"));
    let rows = below.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect();
    rows.skip(2).map(cells).collect()
}

/// The fields of a record, which with what is reserved cover it without a gap.
fn fields(heading: &str, len: usize) -> Vec<(String, usize, usize)> {
    let mut at = 0;
    let mut fields = Vec::new();
    for row in table(heading) {
        let (first, bytes) = (row[1].parse().unwrap(), row[2].parse::<usize>().unwrap());
        assert_eq!(first, at, "{row:?}");
        at += bytes;
        if row[0] != "reserved" {
            fields.push((row[0].clone(), first, bytes));
        }
    }
    assert_eq!(at, len, "{heading}");
    fields
}

/// Names and numbers.
fn numbers(heading: &str) -> Vec<(String, u64)> {
    table(heading).into_iter().map(|row| (row[0].clone(), row[1].parse().unwrap())).collect()
}

#[test]
fn fields_are_those_of_the_page() {
    let owned = |fields: &[(&str, usize, usize)]| -> Vec<(String, usize, usize)> {
        fields.iter().map(|&(name, at, len)| (name.to_owned(), at, len)).collect()
    };
    assert_eq!(fields("## Header", format::HEADER), owned(&format::HEADER_FIELDS));
    assert_eq!(fields("## Tensors", format::TENSOR), owned(&format::TENSOR_FIELDS));
    assert_eq!(fields("## Steps", format::STEP), owned(&format::STEP_FIELDS));
    let magic: Vec<String> = format::MAGIC.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(table("## Header")[0][3].starts_with(&magic.join(" ")));
}

#[test]
fn numbers_are_those_of_the_page() {
    let known = |name: &dyn Fn(u8) -> Option<String>| -> Vec<(String, u64)> {
        (0..=255).filter_map(|byte| Some((name(byte)?, byte.into()))).collect()
    };
    assert_eq!(numbers("### Kinds"), known(&|byte| Kind::from_byte(byte).map(|kind| format!("{kind:?}"))));
    assert_eq!(numbers("### Operations"), known(&|byte| StepKind::from_byte(byte).map(|kind| format!("{kind:?}"))));
    let elements = [("PIXEL", format::PIXEL), ("BYTE", format::BYTE), ("SINGLE", format::SINGLE)];
    assert_eq!(numbers("### Elements"), elements.map(|(name, number)| (name.to_owned(), number.into())));
    let written = [Activation::Identity, Activation::Relu, Activation::Tanh, Activation::Sigmoid].map(|activation| {
        let mut build = Build::new(Kind::F32, [1, 1, 2], 1);
        build.map(1);
        let mut program = build.done();
        program.steps[1].activation = activation;
        let image = write(&program).unwrap();
        (format!("{activation:?}"), Page::new(image.bytes()).step(1, "activation").into())
    });
    assert_eq!(numbers("### Activations"), written);
}

#[test]
fn limits_are_those_of_the_page() {
    let limits = [
        ("VERSION", format::VERSION.into()),
        ("HEADER", format::HEADER as u64),
        ("TENSOR", format::TENSOR as u64),
        ("STEP", format::STEP as u64),
        ("ALIGN", format::ALIGN as u64),
        ("MAX_STEPS", format::MAX_STEPS as u64),
        ("NONE", format::NONE.into()),
        ("MAX_K", gemm_i8::MAX_K as u64),
        ("MAX_WINDOW", pool_i8::MAX_WINDOW as u64),
        ("MAX_SHIFT", requantize::MAX_SHIFT.into()),
        ("MAX_SUM_SHIFT", elementwise_i8::MAX_SUM_SHIFT.into()),
        ("MAX_SUM_MULTIPLIER", elementwise_i8::MAX_SUM_MULTIPLIER as u64),
        ("MAX_PIXELS", standardize_i8::MAX_PIXELS as u64),
        ("MAX_PIXELS_SHIFT", standardize_i8::MAX_SHIFT.into()),
    ];
    assert_eq!(numbers("### Limits"), limits.map(|(name, value)| (name.to_owned(), value)));
}

/// An image as the page describes it.
struct Page<'b> {
    bytes: &'b [u8],
    header: Vec<(String, usize, usize)>,
    tensors: Vec<(String, usize, usize)>,
    steps: Vec<(String, usize, usize)>,
}

/// A tensor of one sample: bytes as the numbers that they are, channels last or first as they lie.
#[derive(Clone)]
struct Values {
    dims: [usize; 3],
    zero: i64,
    last: bool,
    values: Vec<f64>,
}

impl Values {
    fn at(&self, [c, y, x]: [usize; 3]) -> usize {
        let [channels, rows, cols] = self.dims;
        if self.last { (y * cols + x) * channels + c } else { (c * rows + y) * cols + x }
    }
}

impl<'b> Page<'b> {
    fn new(bytes: &'b [u8]) -> Self {
        let (header, tensors, steps) = (fields("## Header", 64), fields("## Tensors", 24), fields("## Steps", 32));
        Self { bytes, header, tensors, steps }
    }

    fn read(&self, fields: &[(String, usize, usize)], from: usize, name: &str) -> u32 {
        let &(_, at, len) = fields.iter().find(|(field, ..)| field == name).unwrap();
        self.bytes[from + at..][..len].iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte))
    }

    fn head(&self, name: &str) -> u32 {
        self.read(&self.header, 0, name)
    }

    fn tensor(&self, tensor: usize, name: &str) -> u32 {
        self.read(&self.tensors, 64 + 24 * tensor, name)
    }

    fn step(&self, step: usize, name: &str) -> u32 {
        let first = (64 + 24 * self.head("tensors") as usize).next_multiple_of(16);
        self.read(&self.steps, first + 32 * step, name)
    }

    /// An empty tensor.
    fn values(&self, tensor: usize) -> Values {
        let dims = ["channels", "rows", "cols"].map(|name| self.tensor(tensor, name) as usize);
        let zero = i64::from(self.tensor(tensor, "zero_point") as i8);
        Values { dims, zero, last: self.head("kind") == 3, values: vec![0.0; dims.iter().product()] }
    }

    /// The output for the first sample of [`run`].
    fn run(&self) -> Vec<f64> {
        let mut tensors = vec![self.values(0)];
        let pixels = tensors[0].values.len();
        tensors[0].values = (0..pixels).map(|at| pixel(0, at).into()).collect();
        for step in 0..self.head("steps") as usize {
            let out = self.compute(step, &tensors);
            tensors.push(out);
        }
        tensors.pop().unwrap().values
    }

    /// What step `step` writes.
    fn compute(&self, step: usize, tensors: &[Values]) -> Values {
        let field = |name| self.step(step, name);
        let a = &tensors[field("a") as usize];
        let mut out = self.values(step + 1);
        let i8s = out.last;
        let (zero, low, high) = (out.zero, i64::from(field("low") as i8), i64::from(field("high") as i8));
        let clamp = |v: i64| (zero + v).clamp(low, high) as f64;
        let function = |x: f64| match field("activation") {
            0 => x,
            1 => x.max(0.0),
            2 => x.tanh(),
            _ => 1.0 / (1.0 + (-x).exp()),
        };
        let multipliers = [i64::from(field("multiplier_a")), i64::from(field("multiplier_b"))];
        match field("op") {
            1 if i8s && self.head("per_image") == 1 => {
                let n = a.values.len() as u128;
                let [sum, squares] = [1, 2].map(|power| a.values.iter().map(|p| (*p as u128).pow(power)).sum::<u128>());
                let spread = n * squares - sum * sum;
                let e = (spread as u64).leading_zeros() / 2;
                let root = (spread << (2 * e)).isqrt();
                let slope = ((multipliers[0] as u128 * n) << e).checked_div(root).unwrap_or(0);
                let rest = (2 * slope * (sum % n) + n) / (2 * n);
                for (out, p) in out.values.iter_mut().zip(&a.values) {
                    let steps = (*p as i64 - (sum / n) as i64) * slope as i64 - rest as i64;
                    *out = (zero + round(steps, field("shift"))).clamp(-128, 127) as f64;
                }
            }
            1 => out.values = self.pixels(&a.values),
            2 | 3 => {
                let pooled = out.clone();
                if field("pool") == 1 {
                    let [c, rows, cols] = self.window(step, a);
                    out = Values { dims: [c, rows, cols], values: vec![0.0; c * rows * cols], ..out };
                    out.dims[0] = pooled.dims[0];
                    out.values = vec![0.0; out.dims.iter().product()];
                }
                self.sums(step, a, &mut out, &|sum, bias, multiplier, shift| {
                    if i8s {
                        clamp(round((sum as i64 + bias as i64) * multiplier, 31 + shift))
                    } else {
                        function(sum + bias)
                    }
                });
                if field("pool") == 1 {
                    let map = std::mem::replace(&mut out, pooled);
                    each(out.dims, |[c, y, x]| {
                        let four = [[0, 0], [0, 1], [1, 0], [1, 1]];
                        let four = four.map(|[dy, dx]| map.values[map.at([c, 2 * y + dy, 2 * x + dx])]);
                        let at = out.at([c, y, x]);
                        out.values[at] = four.into_iter().fold(f64::NEG_INFINITY, f64::max);
                    });
                }
            }
            4 | 5 => each(out.dims, |[c, y, x]| {
                let seen: Vec<f64> = self.seen(step, a, c, y, x).into_iter().flatten().map(|at| a.values[at]).collect();
                let pixels = f64::from(field("kernel_rows") * field("kernel_cols"));
                let at = out.at([c, y, x]);
                out.values[at] = if field("op") == 4 {
                    seen.into_iter().fold(f64::NEG_INFINITY, f64::max)
                } else if i8s {
                    let sum: i64 = seen.into_iter().map(|x| x as i64 - a.zero).sum();
                    clamp(round(sum * multipliers[0], 31 + field("shift")))
                } else {
                    seen.into_iter().sum::<f64>() / pixels
                };
            }),
            6 => {
                let b = &tensors[field("b") as usize];
                for ((out, x), y) in out.values.iter_mut().zip(&a.values).zip(&b.values) {
                    let sum = (*x as i64 - a.zero) * multipliers[0] + (*y as i64 - b.zero) * multipliers[1];
                    *out = if i8s { clamp(round(sum, field("shift"))) } else { function(x + y) };
                }
            }
            _ => {
                let table = &self.bytes[field("constants") as usize..];
                for (out, x) in out.values.iter_mut().zip(&a.values) {
                    *out = if i8s { f64::from(table[(x + 128.0) as usize] as i8) } else { function(*x) };
                }
            }
        }
        out
    }

    fn pixels(&self, pixels: &[f64]) -> Vec<f64> {
        let n = pixels.len() as f64;
        let mean = pixels.iter().sum::<f64>() / n;
        let deviation = (pixels.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
        let [scale, offset] = ["scale", "offset"].map(|name| f64::from(f32::from_bits(self.head(name))));
        let number = |x: &f64| match (self.head("kind"), self.head("per_image")) {
            (3, _) => x - 128.0,
            (_, 0) => x * scale + offset,
            _ => (x - mean) / deviation,
        };
        pixels.iter().map(number).collect()
    }

    /// Sizes of what the window of a step leaves of `a`.
    fn window(&self, step: usize, a: &Values) -> [usize; 3] {
        let field = |name| self.step(step, name) as usize;
        let side = |side, kernel| (side + 2 * field("padding") - kernel) / field("stride") + 1;
        [a.dims[0], side(a.dims[1], field("kernel_rows")), side(a.dims[2], field("kernel_cols"))]
    }

    /// The places that a window sees, none for padding.
    fn seen(&self, step: usize, a: &Values, c: usize, y: usize, x: usize) -> Vec<Option<usize>> {
        let field = |name| self.step(step, name) as usize;
        let mut seen = Vec::new();
        for ky in 0..field("kernel_rows") {
            for kx in 0..field("kernel_cols") {
                let row = (y * field("stride") + ky).checked_sub(field("padding")).filter(|row| *row < a.dims[1]);
                let col = (x * field("stride") + kx).checked_sub(field("padding")).filter(|col| *col < a.dims[2]);
                seen.push(row.zip(col).map(|(row, col)| a.at([c, row, col])));
            }
        }
        seen
    }

    /// A convolution or a linear layer: sums, then `by(sum, bias, multiplier, shift)`.
    fn sums(&self, step: usize, a: &Values, out: &mut Values, by: &dyn Fn(f64, f64, i64, u32) -> f64) {
        let conv = self.step(step, "op") == 2;
        let kind = self.head("kind");
        let (c_in, c_out) = (a.dims[0], out.dims[0]);
        let groups = if conv { self.step(step, "groups") as usize } else { 1 };
        let kernel = self.step(step, "kernel_rows") as usize * self.step(step, "kernel_cols") as usize;
        let products = if conv { c_in / groups * kernel } else { a.values.len() };
        let bytes_of_weight = match kind {
            1 => 4,
            2 => 2,
            _ => 1,
        };
        let weights = self.step(step, "constants") as usize;
        let bias = (weights + products * c_out * bytes_of_weight).next_multiple_of(16);
        let multipliers = (bias + 4 * c_out).next_multiple_of(16);
        let shifts = (multipliers + 4 * c_out).next_multiple_of(16);
        let word = |from: usize, i: usize| i32::from_le_bytes(self.bytes[from + 4 * i..][..4].try_into().unwrap());
        let weight = |i: usize| match kind {
            1 => f64::from(f32::from_bits(word(weights, i) as u32)),
            2 => f16::from_le_bytes([self.bytes[weights + 2 * i], self.bytes[weights + 2 * i + 1]]).to_f64(),
            _ => f64::from(self.bytes[weights + i] as i8),
        };
        let around = if kind == 3 { a.zero as f64 } else { 0.0 };
        each(out.dims, |[o, y, x]| {
            let mut sum = 0.0;
            if conv {
                let group = c_in / groups;
                for c in 0..group {
                    let channel = o / (c_out / groups) * group + c;
                    for (k, at) in self.seen(step, a, channel, y, x).into_iter().enumerate() {
                        let place = if kind == 3 { k * group + c } else { c * kernel + k };
                        sum += weight(o * products + place) * at.map_or(around, |at| a.values[at]);
                    }
                }
            } else {
                sum = (0..products).map(|i| weight(o * products + i) * a.values[i]).sum();
            }
            let at = out.at([o, y, x]);
            out.values[at] = if kind == 3 {
                by(sum, word(bias, o).into(), word(multipliers, o).into(), word(shifts, o) as u32)
            } else {
                by(sum, f32::from_bits(word(bias, o) as u32).into(), 0, 0)
            };
        });
    }
}

/// `⌊v / 2ⁿ + 1/2⌋`
fn round(v: i64, n: u32) -> i64 {
    if n == 0 { v } else { (v + (1 << (n - 1))) >> n }
}

fn each(dims: [usize; 3], mut f: impl FnMut([usize; 3])) {
    for c in 0..dims[0] {
        for y in 0..dims[1] {
            (0..dims[2]).for_each(|x| f([c, y, x]));
        }
    }
}

fn assert_computed(name: &str, program: &Program) {
    let image = write(program).unwrap();
    let want = Page::new(image.bytes()).run();
    let got = run(&image.model().unwrap(), Isa::SCALAR, 1);
    if program.kind == Kind::I8 {
        let want: Vec<u8> = want.iter().map(|x| *x as i8 as u8).collect();
        assert_eq!(got, want, "{name}");
        return;
    }
    assert_eq!(got.len(), 4 * want.len(), "{name}");
    for (got, want) in got.chunks_exact(4).zip(&want) {
        let got = f64::from(f32::from_le_bytes(got.try_into().unwrap()));
        assert!((got - want).abs() <= 1e-5 * (1.0 + want.abs()), "{name}: {got} and {want}");
    }
}

#[test]
fn the_page_computes_what_the_runtime_computes() {
    for (name, program) in samples() {
        assert_computed(name, &program);
    }
    for seed in 0..60 {
        let kind = [Kind::I8, Kind::I8, Kind::F32, Kind::F16][seed as usize % 4];
        assert_computed(&format!("seed {seed}"), &drawn(kind, 1 + seed as usize % 7, seed));
    }
}
