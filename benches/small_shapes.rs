//! Never slower than the naive loop: every product with m, n, k in {1, 2, 3, 5, 8, 16, 31, 64} and every layout, both through
//! the same checked interface, timed in turns.
//!
//! Prints each shape's ratio and the worst, and fails where the naive loop is more than a twentieth and 5 ns faster.
//! `cargo bench --bench small_shapes -- --all` prints every row, otherwise those under 1.5.

use inkstone::bench::operands::uniform;
use inkstone::bench::timing::{Pace, interleaved};
use inkstone::kernels::{Epilogue, matmul, matmul_scratch_len};
use inkstone::reference;
use inkstone::view::{Mat, MatMut};
use std::hint::black_box;
use std::process::ExitCode;

const SIZES: [usize; 8] = [1, 2, 3, 5, 8, 16, 31, 64];
/// The naive loop may be this much faster before it counts.
const NANOSECONDS: f64 = 5.0;
const RATIO: f64 = 0.95;

/// Nanoseconds of the naive loop and of ours.
fn time(m: usize, n: usize, k: usize, layout: &str, pace: Pace) -> (f64, f64) {
    let (a, b) = (uniform(m * k, 1), uniform(k * n, 2));
    let [ta, tb] = [0, 1].map(|i| layout.as_bytes()[i] == b't');
    let view = |data, rows, cols, transposed: bool| {
        if transposed { Mat::new(data, cols, rows).unwrap().t() } else { Mat::new(data, rows, cols).unwrap() }
    };
    let (a, b) = (view(&a, m, k, ta), view(&b, k, n, tb));
    let (mut want, mut got) = (vec![f32::NAN; m * n], vec![f32::NAN; m * n]);
    let mut scratch = vec![0.0; matmul_scratch_len(m, n, k)];
    reference::matmul_f32(MatMut::new(&mut want, m, n).unwrap(), a, b, Epilogue::default()).unwrap();
    matmul(MatMut::new(&mut got, m, n).unwrap(), a, b, Epilogue::default(), &mut scratch).unwrap();
    for (got, want) in got.iter().zip(&want) {
        assert!((got - want).abs() <= 1e-4, "{m}x{n}x{k}{layout}: {got} {want}");
    }
    let mut works: [Box<dyn FnMut()>; 2] = [
        Box::new(|| {
            let c = MatMut::new(black_box(&mut want), m, n).unwrap();
            reference::matmul_f32(c, black_box(a), black_box(b), Epilogue::default()).unwrap();
        }),
        Box::new(|| {
            let c = MatMut::new(black_box(&mut got), m, n).unwrap();
            matmul(c, black_box(a), black_box(b), Epilogue::default(), &mut scratch).unwrap();
        }),
    ];
    let seconds = interleaved(pace, &mut works);
    (seconds[0] * 1e9, seconds[1] * 1e9)
}

fn passes(naive: f64, ours: f64) -> bool {
    naive / ours >= RATIO || ours - naive <= NANOSECONDS
}

fn main() -> ExitCode {
    let all = std::env::args().any(|word| word == "--all");
    let (mut worst, mut failed, mut rows) = ((f64::MAX, String::new()), 0, 0);
    println!("{:<16} {:>10} {:>10} {:>7}", "shape", "naive ns", "ours ns", "ratio");
    for layout in ["nn", "nt", "tn", "tt"] {
        for m in SIZES {
            for n in SIZES {
                for k in SIZES {
                    let (mut naive, mut ours) = time(m, n, k, layout, Pace { turn: 20e-6, turns: 7 });
                    for _ in 0..3 {
                        if !passes(naive, ours) {
                            (naive, ours) = time(m, n, k, layout, Pace { turn: 1e-3, turns: 21 }); // a disturbed turn, or the truth?
                        }
                    }
                    let name = format!("{m}x{n}x{k}{layout}");
                    let ratio = naive / ours;
                    let pass = passes(naive, ours);
                    if all || !pass || ratio < 1.5 {
                        println!(
                            "{name:<16} {naive:>10.1} {ours:>10.1} {ratio:>7.2}{}",
                            if pass { "" } else { "  SLOWER" }
                        );
                    }
                    if ratio < worst.0 {
                        worst = (ratio, format!("{name}: naive {naive:.1} ns, ours {ours:.1} ns"));
                    }
                    failed += usize::from(!pass);
                    rows += 1;
                }
            }
        }
    }
    println!("{rows} shapes; worst ratio {:.2} ({}); {failed} slower than the naive loop", worst.0, worst.1);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
