//! f32 matrix products of real layers: every instruction set, the naive reference and two peers, in one run.
//!
//! First a table, timed in turns: GFLOP/s, percent of the peak (what the multiply-add loop reached on one thread between the same
//! turns, times the threads), and for one row times a matrix also the share of the speed of reading the same bytes. Then the same benches through criterion.
//! `cargo bench --bench gemm_f32 -- --table` prints the table alone; further words choose benches by name.

#[path = "common/operands.rs"]
mod operands;
#[path = "common/timing.rs"]
mod timing;
#[path = "common/verify.rs"]
mod verify;

use criterion::{Criterion, Throughput};
use inkstone::kernels::{Epilogue, Isa, matmul_scratch_len, matmul_with, parallel, peak};
use inkstone::reference;
use inkstone::view::{Mat, MatMut};
use operands::uniform;
use std::hint::black_box;
use timing::interleaved;

/// M x N x K; `t` where an operand is stored transposed.
#[derive(Clone, Copy)]
struct Shape(usize, usize, usize, &'static str);

/// Squares, and the products of 784-512-10 at batch 200, 784-100-50-20-10 at batch 16, one digit, and a convolutional
/// network's first linear layer at batch 64.
const SHAPES: [Shape; 18] = [
    Shape(64, 64, 64, "nn"),
    Shape(128, 128, 128, "nn"),
    Shape(256, 256, 256, "nn"),
    Shape(512, 512, 512, "nn"),
    Shape(1024, 1024, 1024, "nn"),
    Shape(2048, 2048, 2048, "nn"),
    Shape(200, 512, 784, "nn"),
    Shape(200, 512, 784, "nt"),
    Shape(512, 784, 200, "tn"),
    Shape(200, 784, 512, "nn"),
    Shape(16, 100, 784, "nn"),
    Shape(16, 100, 784, "nt"),
    Shape(100, 784, 16, "tn"),
    Shape(1, 512, 784, "nn"),
    Shape(1, 512, 784, "nt"),
    Shape(64, 128, 12544, "nn"),
    Shape(64, 128, 12544, "nt"),
    Shape(200, 10, 512, "nt"),
];

struct Case {
    name: String,
    shape: Shape,
    a: Vec<f32>,
    b: Vec<f32>,
}

impl Case {
    fn new(shape: Shape) -> Self {
        let Shape(m, n, k, layout) = shape;
        Self { name: format!("gemm_f32/{m}x{n}x{k}{layout}"), shape, a: uniform(m * k, 1), b: uniform(k * n, 2) }
    }

    fn operands(&self) -> (Mat<'_>, Mat<'_>) {
        let Shape(m, n, k, layout) = self.shape;
        let [ta, tb] = [0, 1].map(|i| layout.as_bytes()[i] == b't');
        let view = |data, rows, cols, transposed: bool| {
            if transposed { Mat::new(data, cols, rows).unwrap().t() } else { Mat::new(data, rows, cols).unwrap() }
        };
        (view(&self.a, m, k, ta), view(&self.b, k, n, tb))
    }

    fn flops(&self) -> usize {
        2 * self.shape.0 * self.shape.1 * self.shape.2
    }

    /// Every way to compute this product.
    fn ways(&self) -> Vec<Way<'_>> {
        let Shape(m, n, k, layout) = self.shape;
        let [ta, tb] = [0, 1].map(|i| layout.as_bytes()[i] == b't');
        let (a, b) = self.operands();
        let work = m * n * k;
        let mut ways = Vec::new();
        if work <= 1 << 24 {
            ways.push(Way::new("reference", 1, move |c| {
                reference::matmul_f32(MatMut::new(c, m, n).unwrap(), a, b, Epilogue::default()).unwrap();
            }));
        }
        for isa in Isa::available().filter(|isa| *isa == Isa::best() || work <= 1 << 27) {
            let mut scratch = vec![0.0; matmul_scratch_len(m, n, k)];
            ways.push(Way::new(&format!("inkstone-{isa}"), 1, move |c| {
                matmul_with(isa, MatMut::new(c, m, n).unwrap(), a, b, Epilogue::default(), &mut scratch).unwrap();
            }));
        }
        let threads = rayon::current_num_threads();
        let mut scratch = vec![0.0; parallel::matmul_scratch_len(m, n, k)];
        ways.push(Way::new(&format!("inkstone-{}", Isa::best()), threads, move |c| {
            let c = MatMut::new(c, m, n).unwrap();
            parallel::matmul(Isa::best(), c, a, b, Epilogue::default(), &mut scratch).unwrap();
        }));
        let (a_rows, a_cols) = if ta { (1, m as isize) } else { (k as isize, 1) };
        let (b_rows, b_cols) = if tb { (1, k as isize) } else { (n as isize, 1) };
        let (a, b) = (&self.a[..m * k], &self.b[..k * n]);
        for threads in [1, threads] {
            let parallelism = if threads == 1 { gemm::Parallelism::None } else { gemm::Parallelism::Rayon(threads) };
            ways.push(Way::new("gemm", threads, move |c| {
                assert_eq!(c.len(), m * n);
                // SAFETY: the strides describe the whole of the slices: m x k, k x n and m x n elements.
                unsafe {
                    gemm::gemm(
                        m,
                        n,
                        k,
                        c.as_mut_ptr(),
                        1,
                        n as isize,
                        false,
                        a.as_ptr(),
                        a_cols,
                        a_rows,
                        b.as_ptr(),
                        b_cols,
                        b_rows,
                        0.0,
                        1.0,
                        false,
                        false,
                        false,
                        parallelism,
                    );
                }
            }));
        }
        ways.push(Way::new("matrixmultiply", 1, move |c| {
            assert_eq!(c.len(), m * n);
            // SAFETY: the strides describe the whole of the slices: m x k, k x n and m x n elements.
            unsafe {
                matrixmultiply::sgemm(
                    m,
                    k,
                    n,
                    1.0,
                    a.as_ptr(),
                    a_rows,
                    a_cols,
                    b.as_ptr(),
                    b_rows,
                    b_cols,
                    0.0,
                    c.as_mut_ptr(),
                    n as isize,
                    1,
                );
            }
        }));
        ways
    }

    /// Fails unless `c` is the product.
    fn verify(&self, way: &str, c: &[f32]) {
        let (a, b) = self.operands();
        verify::verify(&format!("{} {way}", self.name), a, b, c);
    }
}

/// Writes a product to the buffer given.
type Product<'a> = Box<dyn FnMut(&mut [f32]) + 'a>;

/// One implementation, ready to write its product to a buffer.
struct Way<'a> {
    name: String,
    threads: usize,
    run: Product<'a>,
}

impl<'a> Way<'a> {
    fn new(name: &str, threads: usize, run: impl FnMut(&mut [f32]) + 'a) -> Self {
        let suffix = if threads == 1 { String::new() } else { format!("-{threads}threads") };
        Self { name: format!("{name}{suffix}"), threads, run: Box::new(run) }
    }
}

/// One bench, all ways in turns, each as a share of the peak between the same turns.
fn table(case: &Case) {
    const ROUNDS: usize = 20_000;
    let isa = Isa::best();
    let Shape(m, n, ..) = case.shape;
    let mut ways = case.ways();
    for way in &mut ways {
        let mut c = vec![f32::NAN; m * n];
        (way.run)(&mut c);
        case.verify(&way.name, &c);
    }
    let names: Vec<(String, usize)> = ways.iter().map(|way| (way.name.clone(), way.threads)).collect();
    let mut works: Vec<Box<dyn FnMut()>> = vec![
        Box::new(|| _ = black_box(peak::multiply_adds(isa, black_box(ROUNDS)))),
        Box::new(|| _ = black_box(peak::read(isa, black_box(&case.b)))),
    ];
    for way in ways {
        let (mut c, mut run) = (vec![f32::NAN; m * n], way.run);
        works.push(Box::new(move || run(black_box(&mut c))));
    }
    let seconds = interleaved(0.01, 15, &mut works);
    let loop_flops = peak::multiply_adds_flops(isa, ROUNDS) as f64 / 1e9;
    let (seconds_of_loop, read) = (seconds[0], seconds[1]);
    for ((name, threads), seconds) in names.iter().zip(&seconds[2..]) {
        let gflops = case.flops() as f64 / seconds / 1e9;
        let peak = *threads as f64 * loop_flops / seconds_of_loop;
        let percent = 100.0 * gflops / peak;
        print!("{:<28} {name:<26} {threads:>2} {gflops:>9.2} {percent:>7.1} {peak:>8.1}", case.name);
        println!("{}", if m == 1 { format!(" {:>7.1}", 100.0 * read / seconds) } else { String::new() });
    }
}

fn main() {
    // All of it runs on a worker: entering a pool from outside would cost more than a small product.
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run);
}

fn run() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let chosen = |name: &str| {
        let mut filters = words.iter().filter(|word| !word.starts_with("--")).peekable();
        filters.peek().is_none() || filters.any(|word| name.contains(word.as_str()))
    };
    let cases: Vec<Case> = SHAPES.into_iter().map(Case::new).filter(|case| chosen(&case.name)).collect();
    println!(
        "{:<28} {:<26} {:>2} {:>9} {:>7} {:>8} {:>7}",
        "bench", "variant", "th", "GFLOP/s", "% peak", "peak", "% read"
    );
    cases.iter().for_each(table);
    if words.iter().any(|word| word == "--table") {
        return;
    }
    let mut criterion = Criterion::default();
    for case in &cases {
        let mut group = criterion.benchmark_group(&case.name);
        group.throughput(Throughput::Elements(case.flops() as u64)); // so that elem/s reads as FLOP/s
        for mut way in case.ways() {
            let mut c = vec![f32::NAN; case.shape.0 * case.shape.1];
            (way.run)(&mut c);
            case.verify(&way.name, &c);
            group.bench_function(&way.name, |b| b.iter(|| (way.run)(black_box(&mut c))));
        }
        group.finish();
    }
    criterion.final_summary();
}
