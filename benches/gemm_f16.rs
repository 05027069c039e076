//! Matrix products with half-precision weights, beside the same products in single precision, in one run.
//!
//! First a table, timed in turns: GFLOP/s, the same as a share of ours in f32, and the bytes of B a second as a share of the speed
//! of reading them. Then the same benches through criterion. `cargo bench --bench gemm_f16 -- --table` prints the table alone;
//! further words choose benches by name.

#[path = "common/operands.rs"]
mod operands;
#[path = "common/timing.rs"]
mod timing;
#[path = "common/verify.rs"]
mod verify;

use criterion::{Criterion, Throughput};
use inkstone::kernels::{Epilogue, Isa, f16, gemm_f16, matmul_with, parallel, peak};
use inkstone::reference;
use inkstone::view::{Mat, MatMut};
use operands::uniform;
use std::hint::black_box;
use timing::interleaved;

/// M x N x K; `t` where B is stored by columns, as a layer's weights are.
#[derive(Clone, Copy)]
struct Shape(usize, usize, usize, char);

/// Squares, layers of 784-512-10 at batch 200 and 1, and one row times matrices of 32 and 128 MB in f16.
const SHAPES: [Shape; 10] = [
    Shape(512, 512, 512, 'n'),
    Shape(512, 512, 512, 't'),
    Shape(1024, 1024, 1024, 'n'),
    Shape(200, 512, 784, 't'),
    Shape(16, 100, 784, 't'),
    Shape(1, 512, 784, 't'),
    Shape(1, 4096, 4096, 'n'),
    Shape(1, 4096, 4096, 't'),
    Shape(1, 8192, 8192, 'n'),
    Shape(1, 8192, 8192, 't'),
];

struct Case {
    name: String,
    shape: Shape,
    a: Vec<f32>,
    b: Vec<f16>,
    /// The same numbers in single precision.
    single: Vec<f32>,
}

/// Writes a product to the buffer given.
type Product<'a> = Box<dyn FnMut(&mut [f32]) + 'a>;

impl Case {
    fn new(shape: Shape) -> Self {
        let Shape(m, n, k, order) = shape;
        let b: Vec<f16> = uniform(k * n, 2).into_iter().map(f16::from_f32).collect();
        let single = b.iter().map(|x| x.to_f32()).collect();
        Self { name: format!("gemm_f16/{m}x{n}x{k}n{order}"), shape, a: uniform(m * k, 1), b, single }
    }

    fn weights<'a, T>(&self, data: &'a [T]) -> Mat<'a, T> {
        let Shape(_, n, k, order) = self.shape;
        if order == 't' { Mat::new(data, n, k).unwrap().t() } else { Mat::new(data, k, n).unwrap() }
    }

    /// Every way to compute this product, the first two in single precision, on one thread and on all.
    fn ways(&self) -> Vec<(String, Product<'_>)> {
        let Shape(m, n, k, _) = self.shape;
        let a = Mat::new(&self.a, m, k).unwrap();
        let (single, half) = (self.weights(&self.single), self.weights(&self.b));
        let scratch = || vec![0.0; parallel::matmul_scratch_len(m, n, k)];
        let mut ways: Vec<(String, Product<'_>)> = Vec::new();
        let mut s = scratch();
        ways.push((
            "inkstone-f32".into(),
            Box::new(move |c| {
                let c = MatMut::new(c, m, n).unwrap();
                matmul_with(Isa::best(), c, a, single, Epilogue::default(), &mut s).unwrap();
            }),
        ));
        let mut s = scratch();
        ways.push((
            "inkstone-f32-threads".into(),
            Box::new(move |c| {
                let c = MatMut::new(c, m, n).unwrap();
                parallel::matmul(Isa::best(), c, a, single, Epilogue::default(), &mut s).unwrap();
            }),
        ));
        if m * n * k <= 1 << 24 {
            ways.push((
                "reference-f32".into(),
                Box::new(move |c| {
                    let c = MatMut::new(c, m, n).unwrap();
                    reference::matmul_f32(c, a, single, Epilogue::default()).unwrap();
                }),
            ));
        }
        for isa in Isa::available().filter(|isa| *isa == Isa::best() || m * n * k <= 1 << 27) {
            let mut s = scratch();
            ways.push((
                format!("inkstone-{isa}"),
                Box::new(move |c| {
                    let c = MatMut::new(c, m, n).unwrap();
                    gemm_f16::matmul_with(isa, c, a, half, Epilogue::default(), &mut s).unwrap();
                }),
            ));
        }
        let mut s = scratch();
        ways.push((
            format!("inkstone-{}-threads", Isa::best()),
            Box::new(move |c| {
                let c = MatMut::new(c, m, n).unwrap();
                parallel::matmul_f16(Isa::best(), c, a, half, Epilogue::default(), &mut s).unwrap();
            }),
        ));
        ways
    }

    /// Fails unless `c` is the product.
    fn verify(&self, way: &str, c: &[f32]) {
        let Shape(m, _, k, _) = self.shape;
        let a = Mat::new(&self.a, m, k).unwrap();
        verify::verify(&format!("{} {way}", self.name), a, self.weights(&self.single), c);
    }
}

/// One bench, all ways in turns.
fn table(case: &Case) {
    let isa = Isa::best();
    let Shape(m, n, k, _) = case.shape;
    let half: &[f32] = &case.single[..case.single.len() / 2]; // as many bytes as B has in f16
    let mut names = Vec::new();
    let mut works: Vec<Box<dyn FnMut()>> = vec![
        Box::new(|| _ = black_box(peak::read(isa, black_box(half)))),
        Box::new(|| {
            let (left, right) = half.split_at(half.len() / 2);
            rayon::join(
                || black_box(peak::read(isa, black_box(left))),
                || black_box(peak::read(isa, black_box(right))),
            );
        }),
    ];
    for (name, mut run) in case.ways() {
        let mut c = vec![f32::NAN; m * n];
        run(&mut c);
        case.verify(&name, &c);
        names.push(name);
        works.push(Box::new(move || run(black_box(&mut c))));
    }
    let seconds = interleaved(0.01, 15, &mut works);
    let (read, times) = seconds.split_at(2);
    for (name, seconds) in names.iter().zip(times) {
        let threads = usize::from(name.ends_with("threads"));
        let gflops = 2.0 * (m * n * k) as f64 / seconds / 1e9;
        let (single, bytes) = (100.0 * times[threads] / seconds, if name.contains("f32") { 4 } else { 2 });
        print!("{:<26} {name:<24} {gflops:>9.2} {single:>8.1}", case.name);
        let share = 100.0 * read[threads] / seconds * bytes as f64 / 2.0;
        println!("{}", if m == 1 { format!(" {share:>8.1}") } else { String::new() });
    }
}

fn main() {
    // All of it runs on a worker: entering a pool from outside would cost more than a small product.
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run);
}

fn run() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let chosen = |shape: &Shape| {
        let Shape(m, n, k, order) = shape;
        let name = format!("gemm_f16/{m}x{n}x{k}n{order}");
        let mut filters = words.iter().filter(|word| !word.starts_with("--")).peekable();
        filters.peek().is_none() || filters.any(|word| name.contains(word.as_str()))
    };
    println!("{:<26} {:<24} {:>9} {:>8} {:>8}", "bench", "variant", "GFLOP/s", "% f32", "% read");
    let shapes: Vec<Shape> = SHAPES.into_iter().filter(chosen).collect();
    for shape in &shapes {
        table(&Case::new(*shape));
    }
    if words.iter().any(|word| word == "--table") {
        return;
    }
    let mut criterion = Criterion::default();
    for shape in shapes {
        let case = Case::new(shape);
        let Shape(m, n, k, _) = shape;
        let mut group = criterion.benchmark_group(&case.name);
        group.throughput(Throughput::Elements((2 * m * n * k) as u64)); // so that elem/s reads as FLOP/s
        for (name, mut run) in case.ways() {
            let mut c = vec![f32::NAN; m * n];
            group.bench_function(&name, |b| b.iter(|| run(black_box(&mut c))));
        }
        group.finish();
    }
    criterion.final_summary();
}
