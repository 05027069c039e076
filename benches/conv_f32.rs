//! Convolutions in single precision and their gradients, beside the naive loops, in one run.
//!
//! First a table, timed in turns: milliseconds, effective operations a second (those of the definition, so a transform that saves some
//! can pass the peak) and their share of the peak of the threads used, which is timed in the same turns. Then the same benches
//! through criterion. `cargo bench --bench conv_f32 -- --table` prints the table alone; further words choose benches by name.

#[path = "common/operands.rs"]
mod operands;
#[path = "common/timing.rs"]
mod timing;

use criterion::{Criterion, Throughput};
use inkstone::kernels::conv::{self, Conv};
use inkstone::kernels::{Epilogue, Isa, parallel, peak};
use inkstone::reference;
use operands::uniform;
use std::hint::black_box;
use timing::interleaved;

/// Name, input, output channels, kernel side, stride, padding, groups: the layers of small networks for digits.
const SHAPES: [(&str, [usize; 4], [usize; 5]); 7] = [
    ("1-32x3x3", [64, 1, 28, 28], [32, 3, 1, 1, 1]),
    ("32-64x3x3", [64, 32, 28, 28], [64, 3, 1, 1, 1]),
    ("64-64x3x3", [64, 64, 14, 14], [64, 3, 1, 1, 1]),
    ("8-16x3x3s2", [64, 8, 28, 28], [16, 3, 2, 1, 1]),
    ("32-32x3x3g32", [64, 32, 14, 14], [32, 3, 1, 1, 32]),
    ("64-128x1x1", [64, 64, 14, 14], [128, 1, 1, 0, 1]),
    ("6-16x5x5", [64, 6, 14, 14], [16, 5, 1, 0, 1]),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Forward,
    InputGradient,
    WeightGradient,
}

struct Case {
    name: String,
    what: What,
    conv: Conv,
    x: Vec<f32>,
    weight: Vec<f32>,
    d_out: Vec<f32>,
}

type Work<'a> = Box<dyn FnMut(&mut [f32]) + 'a>;

impl Case {
    fn all() -> impl Iterator<Item = Self> {
        SHAPES.into_iter().flat_map(|(name, input, [c_out, side, stride, padding, groups])| {
            let weight = [c_out, input[1] / groups, side, side];
            let conv = Conv::new(input, weight, stride, padding, groups).unwrap();
            let ways =
                [("forward", What::Forward), ("d_input", What::InputGradient), ("d_weight", What::WeightGradient)];
            ways.map(|(way, what)| Self {
                name: format!("conv_f32/{name}/{way}"),
                what,
                conv,
                x: uniform(conv.input_len(), 1),
                weight: uniform(conv.weight_len(), 2),
                d_out: uniform(conv.output_len(), 3),
            })
        })
    }

    fn result_len(&self) -> usize {
        match self.what {
            What::Forward => self.conv.output_len(),
            What::InputGradient => self.conv.input_len(),
            What::WeightGradient => self.conv.weight_len(),
        }
    }

    /// Naive loops, one thread on each instruction set, all threads on the best.
    fn ways(&self) -> Vec<(String, Work<'_>)> {
        let (conv, x, weight, d_out) = (&self.conv, &self.x, &self.weight, &self.d_out);
        let threads = rayon::current_num_threads();
        let mut ways: Vec<(String, Work<'_>)> = vec![match self.what {
            What::Forward => {
                ("reference".into(), Box::new(|y| reference::conv2d_f32(conv, x, weight, None, y).unwrap()))
            }
            What::InputGradient => {
                ("reference".into(), Box::new(|y| reference::conv2d_d_input_f32(conv, d_out, weight, y).unwrap()))
            }
            What::WeightGradient => {
                ("reference".into(), Box::new(|y| reference::conv2d_d_weight_f32(conv, x, d_out, y).unwrap()))
            }
        }];
        let end = Epilogue::default();
        for isa in Isa::available() {
            let name = format!("inkstone-{isa}");
            ways.push(match self.what {
                What::Forward => {
                    let mut scratch = vec![0.0; conv.scratch_len()];
                    (name, Box::new(move |y| conv::conv2d(isa, conv, x, weight, end, y, &mut scratch).unwrap()))
                }
                What::InputGradient => {
                    let mut scratch = vec![0.0; conv.d_input_scratch_len()];
                    (name, Box::new(move |y| conv::conv2d_d_input(isa, conv, d_out, weight, y, &mut scratch).unwrap()))
                }
                What::WeightGradient => {
                    let mut scratch = vec![0.0; conv.d_weight_scratch_len()];
                    (name, Box::new(move |y| conv::conv2d_d_weight(isa, conv, x, d_out, y, &mut scratch).unwrap()))
                }
            });
        }
        let (isa, name) = (Isa::best(), format!("inkstone-{}-threads", Isa::best()));
        ways.push(match self.what {
            What::Forward => {
                let mut scratch = vec![0.0; parallel::conv2d_scratch_len(conv, threads)];
                (name, Box::new(move |y| parallel::conv2d(isa, conv, x, weight, end, y, &mut scratch).unwrap()))
            }
            What::InputGradient => {
                let mut scratch = vec![0.0; parallel::conv2d_d_input_scratch_len(conv, threads)];
                (name, Box::new(move |y| parallel::conv2d_d_input(isa, conv, d_out, weight, y, &mut scratch).unwrap()))
            }
            What::WeightGradient => {
                let mut scratch = vec![0.0; parallel::conv2d_d_weight_scratch_len(conv)];
                (name, Box::new(move |y| parallel::conv2d_d_weight(isa, conv, x, d_out, y, &mut scratch).unwrap()))
            }
        });
        ways
    }

    /// Fails unless `got` is what f64 arithmetic gives, within the error bound.
    fn verify(&self, way: &str, got: &[f32]) {
        let mut want = vec![reference::Exact::default(); got.len()];
        let (conv, d_out) = (&self.conv, &self.d_out);
        let factor = match self.what {
            What::Forward => {
                reference::conv2d_f64(conv, &self.x, &self.weight, &mut want);
                conv.error_factor(false)
            }
            What::InputGradient => {
                reference::conv2d_d_input_f64(conv, d_out, &self.weight, &mut want);
                conv.error_factor(true)
            }
            What::WeightGradient => {
                reference::conv2d_d_weight_f64(conv, &self.x, d_out, &mut want);
                reference::gamma(d_out.len() / conv.output()[1])
            }
        };
        // A transformed sum is bounded by the largest products of each channel, here 0.25, instead of its own.
        let transformed = self.what != What::WeightGradient && conv.is_transformed(self.what == What::InputGradient);
        for (i, (got, want)) in got.iter().zip(&want).enumerate() {
            let error = (f64::from(*got) - want.sum).abs();
            let magnitude = if transformed { want.magnitude.max(0.25) } else { want.magnitude };
            assert!(error <= factor * magnitude, "{} {way} at {i}: {got} for {}", self.name, want.sum);
        }
    }
}

/// One bench, all ways in turns with the peak.
fn table(case: &Case) {
    const ROUNDS: usize = 20_000;
    let isa = Isa::best();
    let threads = rayon::current_num_threads();
    let mut works: Vec<Box<dyn FnMut()>> =
        vec![Box::new(|| _ = black_box(peak::multiply_adds(isa, black_box(ROUNDS))))];
    let mut names = Vec::new();
    for (name, mut run) in case.ways() {
        let mut y = vec![f32::NAN; case.result_len()];
        run(&mut y);
        case.verify(&name, &y);
        names.push(name);
        works.push(Box::new(move || run(black_box(&mut y))));
    }
    let seconds = interleaved(0.02, 9, &mut works);
    let peak = peak::multiply_adds_flops(isa, ROUNDS) as f64 / seconds[0];
    for (name, time) in names.iter().zip(&seconds[1..]) {
        let speed = 2.0 * case.conv.macs() as f64 / time;
        let share = 100.0 * speed / peak / if name.ends_with("threads") { threads as f64 } else { 1.0 };
        let naive = seconds[1] / time;
        println!("{:<32} {name:<22} {:>9.3} {:>9.2} {share:>7.1} {naive:>8.1}", case.name, time * 1e3, speed / 1e9);
    }
}

fn main() {
    // All of it runs on a worker: entering a pool from outside would cost more than a small convolution.
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run);
}

fn run() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let chosen = |case: &Case| {
        let mut filters = words.iter().filter(|word| !word.starts_with("--")).peekable();
        filters.peek().is_none() || filters.any(|word| case.name.contains(word.as_str()))
    };
    println!("{:<32} {:<22} {:>9} {:>9} {:>7} {:>8}", "bench", "variant", "ms", "GFLOP/s", "% peak", "x naive");
    let cases: Vec<Case> = Case::all().filter(chosen).collect();
    for case in &cases {
        table(case);
    }
    if words.iter().any(|word| word == "--table") {
        return;
    }
    let mut criterion = Criterion::default();
    for case in &cases {
        let mut group = criterion.benchmark_group(&case.name);
        group.throughput(Throughput::Elements(2 * case.conv.macs())); // so that elem/s reads as FLOP/s
        for (name, mut run) in case.ways() {
            let mut y = vec![f32::NAN; case.result_len()];
            group.bench_function(&name, |b| b.iter(|| run(black_box(&mut y))));
        }
        group.finish();
    }
    criterion.final_summary();
}
