//! Three kernels to be counted, not timed: `counted NAME CALLS` runs one of them, so that the difference between two numbers of
//! calls under `valgrind --tool=callgrind` is the kernel's own instructions. `tests/instructions.sh` does that and compares.

use inkstone::bench::operands::uniform;
use inkstone::kernels::update::{Penalty, Update, update};
use inkstone::kernels::{Activation, Epilogue, Isa, matmul, matmul_scratch_len};
use inkstone::view::{Mat, MatMut};
use std::hint::black_box;

fn product(calls: usize, [m, n, k]: [usize; 3], transposed: [bool; 2]) {
    let (a, b, bias) = (uniform(m * k, 1), uniform(k * n, 2), uniform(n, 3));
    let a = if transposed[0] { Mat::new(&a, k, m).unwrap().t() } else { Mat::new(&a, m, k).unwrap() };
    let b = if transposed[1] { Mat::new(&b, n, k).unwrap().t() } else { Mat::new(&b, k, n).unwrap() };
    let (mut c, mut scratch) = (vec![0.0; m * n], vec![0.0; matmul_scratch_len(m, n, k)]);
    let epilogue = Epilogue { bias: Some(&bias), activation: Activation::Relu, ..Epilogue::default() };
    for _ in 0..calls {
        matmul(MatMut::new(black_box(&mut c), m, n).unwrap(), a, b, epilogue, &mut scratch).unwrap();
    }
}

fn adam(calls: usize) {
    let len = 10_000;
    let (mut w, g) = (uniform(len, 1), uniform(len, 2));
    let (mut m, mut v) = (vec![0.0; len], vec![0.0; len]);
    let rule = Update::Adam { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, bias1: 0.1, bias2: 1e-3, decay: 0.0 };
    for _ in 0..calls {
        update(Isa::best(), rule, Penalty::default(), black_box(&mut w), &g, &mut m, &mut v).unwrap();
    }
}

fn main() {
    let mut words = std::env::args().skip(1).filter(|word| !word.starts_with("--"));
    let (Some(name), Some(calls)) = (words.next(), words.next().and_then(|calls| calls.parse().ok())) else {
        println!("counted linear-packed|linear-dot|adam CALLS");
        return;
    };
    match name.as_str() {
        "linear-packed" => product(calls, [200, 512, 784], [false, true]),
        "linear-dot" => product(calls, [16, 100, 784], [false, true]),
        "adam" => adam(calls),
        other => panic!("no kernel is called {other}"),
    }
}
