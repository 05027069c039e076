//! Matrix products of bytes, beside the same shapes in single precision and the naive loop, in one run.
//!
//! First a table, timed in turns: operations a second (multiplications and additions), the same as a share of the peak of 16-bit
//! products summed in pairs, and as a multiple of ours in f32. Then the same benches through criterion.
//! `cargo bench --bench gemm_i8 -- --table` prints the table alone; further words choose benches by name.

#[path = "common/operands.rs"]
mod operands;
#[path = "common/timing.rs"]
mod timing;

use criterion::{Criterion, Throughput};
use inkstone::kernels::gemm_i8::Weights;
use inkstone::kernels::{Epilogue, Isa, gemm_i8, matmul_scratch_len, matmul_with, peak};
use inkstone::reference;
use inkstone::view::{Mat, MatMut};
use operands::uniform;
use std::hint::black_box;
use timing::interleaved;

/// M x N x K: squares, layers of 784-512-10 and of 784-100-50-20-10, at small batches too.
const SHAPES: [[usize; 3]; 18] = [
    [64, 64, 64],
    [128, 128, 128],
    [256, 256, 256],
    [512, 512, 512],
    [1024, 1024, 1024],
    [200, 512, 784],
    [16, 100, 784],
    [16, 10, 512],
    [200, 10, 512],
    [200, 10, 20],
    [64, 16, 64],
    [16, 20, 50],
    [12, 512, 784],
    [8, 512, 784],
    [2, 512, 784],
    [1, 512, 784],
    [1, 128, 784],
    [1, 10, 512],
];

struct Case {
    name: String,
    shape: [usize; 3],
    x: Vec<i8>,
    w: Vec<i8>,
}

type Product<'a> = Box<dyn FnMut(&mut [i32]) + 'a>;

fn bytes(len: usize, seed: u64) -> Vec<i8> {
    uniform(len, seed).into_iter().map(|x| (x * 254.0) as i8).collect()
}

impl Case {
    /// Weights of `bits` bits: those of 7 cannot exceed 16 bits in pairs.
    fn new(shape: [usize; 3], bits: u32) -> Self {
        let [m, n, k] = shape;
        let w = bytes(n * k, 2).iter().map(|w| w >> (8 - bits)).collect();
        Self { name: format!("gemm_i{bits}/{m}x{n}x{k}"), shape, x: bytes(m * k, 1), w }
    }

    /// Every way to compute this product: plain loops, then one for each instruction set.
    fn ways(&self) -> Vec<(String, Product<'_>)> {
        let [m, n, k] = self.shape;
        let x = Mat::new(&self.x, m, k).unwrap();
        let w = Mat::new(&self.w, n, k).unwrap();
        let mut ways: Vec<(String, Product<'_>)> = Vec::new();
        ways.push((
            "reference".into(),
            Box::new(move |c| reference::matmul_i8(MatMut::new(c, m, n).unwrap(), x, w).unwrap()),
        ));
        for isa in Isa::available() {
            let mut scratch = vec![0; gemm_i8::scratch_len(m, n, k)];
            ways.push((
                format!("inkstone-{isa}"),
                Box::new(move |c| {
                    gemm_i8::matmul_i32(isa, MatMut::new(c, m, n).unwrap(), x, w, &mut scratch).unwrap();
                }),
            ));
            // Weights are packed once, before the clock starts, and live as long as the bench.
            let words = vec![0; Weights::packed_len(isa, n, k)].leak();
            let packed = Weights::pack(isa, w, words).unwrap();
            let mut scratch = vec![0; packed.scratch_len(m)];
            ways.push((
                format!("packed-{isa}"),
                Box::new(move |c| packed.matmul_i32(MatMut::new(c, m, n).unwrap(), x, &mut scratch).unwrap()),
            ));
        }
        ways
    }
}

/// One bench, all ways in turns with the peak and with f32.
fn table(case: &Case) {
    /// Rounds of the peak's loop: some ten microseconds.
    const ROUNDS: usize = 30;
    let (isa, [m, n, k]) = (Isa::best(), case.shape);
    let (a, b) = (uniform(m * k, 1), uniform(n * k, 2));
    let (a, b) = (Mat::new(&a, m, k).unwrap(), Mat::new(&b, n, k).unwrap().t());
    let (mut single, mut scratch) = (vec![0.0; m * n], vec![0.0; matmul_scratch_len(m, n, k)]);
    let mut works: Vec<Box<dyn FnMut()>> = vec![
        Box::new(|| _ = black_box(peak::pair_products(isa, black_box(ROUNDS)))),
        Box::new(move || {
            let c = MatMut::new(&mut single, m, n).unwrap();
            matmul_with(isa, c, a, b, Epilogue::default(), &mut scratch).unwrap();
        }),
    ];
    let mut names = vec![String::from("inkstone-f32")];
    let mut want = Vec::new();
    for (name, mut run) in case.ways() {
        let mut c = vec![i32::MIN; m * n];
        run(&mut c);
        if want.is_empty() {
            want.clone_from(&c);
        }
        assert!(c == want, "{} {name} differs from the reference", case.name);
        names.push(name);
        works.push(Box::new(move || run(black_box(&mut c))));
    }
    let seconds = interleaved(0.01, 15, &mut works);
    let peak = peak::pair_products_ops(isa, ROUNDS) as f64 / seconds[0];
    for (name, time) in names.iter().zip(&seconds[1..]) {
        let speed = 2.0 * (m * n * k) as f64 / time;
        let (share, single) = (100.0 * speed / peak, seconds[1] / time);
        println!("{:<22} {name:<18} {:>8.2} {share:>7.1} {single:>7.2}", case.name, speed / 1e9);
    }
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let chosen = |case: &Case| {
        let mut filters = words.iter().filter(|word| !word.starts_with("--")).peekable();
        filters.peek().is_none() || filters.any(|word| case.name.contains(word.as_str()))
    };
    let cases = SHAPES.into_iter().map(|shape| Case::new(shape, 8));
    let narrow = SHAPES.into_iter().filter(|[m, ..]| *m >= 200).map(|shape| Case::new(shape, 7));
    let cases: Vec<Case> = cases.chain(narrow).filter(chosen).collect();
    println!("{:<22} {:<18} {:>8} {:>7} {:>7}", "bench", "variant", "GOP/s", "% peak", "x f32");
    for case in &cases {
        table(case);
    }
    if words.iter().any(|word| word == "--table") {
        return;
    }
    let mut criterion = Criterion::default();
    for case in &cases {
        let [m, n, k] = case.shape;
        let mut group = criterion.benchmark_group(&case.name);
        group.throughput(Throughput::Elements((2 * m * n * k) as u64)); // so that elem/s reads as operations a second
        for (name, mut run) in case.ways() {
            let mut c = vec![0; m * n];
            group.bench_function(&name, |b| b.iter(|| run(black_box(&mut c))));
        }
        group.finish();
    }
    criterion.final_summary();
}
