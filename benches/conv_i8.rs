//! Convolutions of bytes, beside the same shapes in single precision and the naive loops, in one run, on one thread.
//!
//! First a table, timed in turns: milliseconds, effective operations a second (those of the definition), their share of the peak of
//! 16-bit products summed in pairs, and how many times faster than ours in f32 and than the naive loops. Then the same benches
//! through criterion. `cargo bench --bench conv_i8 -- --table` prints the table alone; further words choose benches by name.

#[path = "common/operands.rs"]
mod operands;
#[path = "common/timing.rs"]
mod timing;

use criterion::{Criterion, Throughput};
use inkstone::kernels::conv::{self, Conv};
use inkstone::kernels::conv_i8::{self, Input};
use inkstone::kernels::requantize::{Multiplier, Requantize};
use inkstone::kernels::{Epilogue, Isa, peak};
use inkstone::reference;
use operands::uniform;
use std::hint::black_box;
use timing::interleaved;

/// Name, input, output channels, kernel side, stride, padding, groups.
const SHAPES: [(&str, [usize; 4], [usize; 5]); 6] = [
    ("1-32x3x3", [16, 1, 28, 28], [32, 3, 1, 1, 1]),
    ("8-16x3x3", [16, 8, 14, 14], [16, 3, 1, 1, 1]),
    ("32-64x3x3", [16, 32, 28, 28], [64, 3, 1, 1, 1]),
    ("64-64x3x3", [16, 64, 14, 14], [64, 3, 1, 1, 1]),
    ("16-32x3x3s2", [16, 16, 28, 28], [32, 3, 2, 1, 1]),
    ("64-128x1x1", [16, 64, 14, 14], [128, 1, 1, 0, 1]),
];

struct Case {
    name: String,
    conv: Conv,
    x: Vec<i8>,
    weight: Vec<i8>,
    bias: Vec<i32>,
    multiplier: Vec<i32>,
    shift: Vec<i32>,
}

type Work<'a> = Box<dyn FnMut(&mut [i8]) + 'a>;

fn bytes(len: usize, seed: u64) -> Vec<i8> {
    uniform(len, seed).into_iter().map(|x| (x * 254.0) as i8).collect()
}

impl Case {
    fn new((name, input, [c_out, side, stride, padding, groups]): (&str, [usize; 4], [usize; 5])) -> Self {
        let conv = Conv::new(input, [c_out, input[1] / groups, side, side], stride, padding, groups).unwrap();
        let by = Multiplier::of(0.01 / ((conv.macs() / conv.output_len() as u64) as f64).sqrt()).unwrap();
        Self {
            name: format!("conv_i8/{name}"),
            conv,
            x: bytes(conv.input_len(), 1),
            weight: bytes(conv.weight_len(), 2),
            bias: vec![100; c_out],
            multiplier: vec![by.multiplier; c_out],
            shift: vec![by.shift.into(); c_out],
        }
    }

    fn requantize(&self) -> Requantize<'_> {
        Requantize::new(&self.bias, &self.multiplier, &self.shift, 0, (-128, 127)).unwrap()
    }

    /// The naive loops, then one way for each instruction set.
    fn ways(&self) -> Vec<(String, Work<'_>)> {
        let (conv, x, weight) = (&self.conv, &self.x, &self.weight);
        let mut sums = vec![0; conv.output_len()];
        let mut ways: Vec<(String, Work<'_>)> = vec![(
            "reference".into(),
            Box::new(move |out| {
                reference::conv2d_i8(conv, x, -3, weight, &mut sums).unwrap();
                self.requantize().rows(Isa::SCALAR, &sums, out).unwrap();
            }),
        )];
        for isa in Isa::available() {
            let mut scratch = vec![0; conv_i8::scratch_len(conv)];
            ways.push((
                format!("inkstone-{isa}"),
                Box::new(move |out| {
                    let input = Input { bytes: x, zero_point: -3 };
                    conv_i8::conv2d(isa, conv, input, weight, self.requantize(), out, &mut scratch).unwrap();
                }),
            ));
        }
        ways
    }
}

/// One bench, all ways in turns with the peak and with f32.
fn table(case: &Case) {
    const ROUNDS: usize = 30;
    let (isa, conv) = (Isa::best(), &case.conv);
    let (x, weight) = (uniform(conv.input_len(), 1), uniform(conv.weight_len(), 2));
    let (mut single, mut scratch) = (vec![0.0; conv.output_len()], vec![0.0; conv.scratch_len()]);
    let mut works: Vec<Box<dyn FnMut()>> = vec![
        Box::new(|| _ = black_box(peak::pair_products(isa, black_box(ROUNDS)))),
        Box::new(move || {
            conv::conv2d(isa, conv, &x, &weight, Epilogue::default(), &mut single, &mut scratch).unwrap();
        }),
    ];
    let mut names = vec![String::from("inkstone-f32")];
    let mut want = Vec::new();
    for (name, mut run) in case.ways() {
        let mut out = vec![i8::MIN; conv.output_len()];
        run(&mut out);
        if want.is_empty() {
            want.clone_from(&out);
        }
        assert!(out == want, "{} {name} differs from the reference", case.name);
        names.push(name);
        works.push(Box::new(move || run(black_box(&mut out))));
    }
    let seconds = interleaved(0.02, 9, &mut works);
    let peak = peak::pair_products_ops(isa, ROUNDS) as f64 / seconds[0];
    for (name, time) in names.iter().zip(&seconds[1..]) {
        let speed = 2.0 * conv.macs() as f64 / time;
        let (share, single, naive) = (100.0 * speed / peak, seconds[1] / time, seconds[2] / time);
        let (ms, speed) = (1e3 * time, speed / 1e9);
        println!("{:<22} {name:<18} {ms:>9.3} {speed:>8.2} {share:>7.1} {single:>7.2} {naive:>7.1}", case.name);
    }
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let chosen = |case: &Case| {
        let mut filters = words.iter().filter(|word| !word.starts_with("--")).peekable();
        filters.peek().is_none() || filters.any(|word| case.name.contains(word.as_str()))
    };
    let cases: Vec<Case> = SHAPES.into_iter().map(Case::new).filter(chosen).collect();
    let heads = ["ms", "GOP/s", "% peak", "x f32", "x naive"];
    println!(
        "{:<22} {:<18} {:>9} {:>8} {:>7} {:>7} {:>7}",
        "bench", "variant", heads[0], heads[1], heads[2], heads[3], heads[4]
    );
    for case in &cases {
        table(case);
    }
    if words.iter().any(|word| word == "--table") {
        return;
    }
    let mut criterion = Criterion::default();
    for case in &cases {
        let mut group = criterion.benchmark_group(&case.name);
        group.throughput(Throughput::Elements(2 * case.conv.macs())); // so that elem/s reads as operations a second
        for (name, mut run) in case.ways() {
            let mut out = vec![0; case.conv.output_len()];
            group.bench_function(&name, |b| b.iter(|| run(black_box(&mut out))));
        }
        group.finish();
    }
    criterion.final_summary();
}
