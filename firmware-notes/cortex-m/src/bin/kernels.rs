//! Inkstone's kernels on Cortex-M: each is compared with plain loops, then its instructions are counted.
//!
//! The count is the system timer's, which under QEMU's `-icount shift=0` is that of instructions: see `README.md`.

#![no_std]
#![no_main]

use core::panic::PanicInfo;
use cortex_m_rt::entry;
use inkstone::kernels::conv::Conv;
use inkstone::kernels::{Epilogue, Isa, conv_i8, gemm_i8, matmul_scratch_len, matmul_with};
use inkstone::reference;
use inkstone::view::{Mat, MatMut};
use inkstone_cortex_m::host::{exit, print, print_number};
use inkstone_cortex_m::timer::Timer;

/// Inputs and outputs of a fully connected layer: small enough for 16 kB of RAM on a Cortex-M0.
const DENSE: [usize; 2] = if cfg!(feature = "microbit") { [64, 32] } else { [784, 128] };

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    // The text of a panic would bring the formatting code along.
    print("panicked\n");
    exit(false)
}

/// Bytes, the same on every machine.
fn fill(bytes: &mut [i8], mut seed: u32) {
    for byte in bytes {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *byte = (seed >> 24) as i8;
    }
}

fn count(timer: &Timer, work: impl FnOnce()) -> u32 {
    let start = timer.now();
    work();
    timer.since(start)
}

fn report(name: &str, isa: Isa, instructions: u32, macs: u64) {
    print(name);
    print(" ");
    print(isa.name());
    print(" ");
    print_number(instructions);
    print(" instructions, ");
    let hundredths = (u64::from(instructions) * 100 / macs) as u32;
    print_number(hundredths / 100);
    print(if hundredths % 100 < 10 { ".0" } else { "." });
    print_number(hundredths % 100);
    print(" a multiplication\n");
}

fn check(equal: bool, name: &str, isa: Isa) {
    if !equal {
        print(name);
        print(" differs from the plain loops on ");
        print(isa.name());
        print("\n");
        exit(false);
    }
}

#[entry]
fn main() -> ! {
    let Some(timer) = Timer::start() else { exit(false) };
    for isa in Isa::available() {
        print("isa ");
        print(isa.name());
        print("\n");
        dense(isa, &timer);
        convs(isa, &timer);
        odd(isa);
        single(isa);
    }
    print("all kernels agree with the plain loops\n");
    exit(true)
}

/// A fully connected layer of bytes.
fn dense(isa: Isa, timer: &Timer) {
    const K: usize = DENSE[0];
    const N: usize = DENSE[1];
    // What every set of one lane needs.
    const SCRATCH: usize = gemm_i8::scratch_len(Isa::SCALAR, 1, N, K);
    let (mut x, mut w, mut scratch) = ([0; K], [0; N * K], [0; SCRATCH]);
    fill(&mut x, 1);
    fill(&mut w, 2);
    let (mut sums, mut want) = ([0; N], [0; N]);
    let (Ok(x), Ok(w)) = (Mat::new(&x, 1, K), Mat::new(&w, N, K)) else { exit(false) };
    let instructions = count(timer, || {
        let out = MatMut::new(&mut sums, 1, N).and_then(|c| gemm_i8::matmul_i32(isa, c, x, w, &mut scratch));
        check(out.is_ok(), "dense", isa);
    });
    let reference = MatMut::new(&mut want, 1, N).and_then(|c| reference::matmul_i8(c, x, w));
    check(reference.is_ok() && sums == want, "dense", isa);
    report(
        if cfg!(feature = "microbit") { "dense 64->32" } else { "dense 784->128" },
        isa,
        instructions,
        (N * K) as u64,
    );
}

/// Scratch of the largest convolution here, in words.
const SCRATCH: usize = most(if cfg!(feature = "microbit") {
    &[([1, 3, 6, 6], [4, 3, 3, 3], [1, 1, 1]), ODD[0], ODD[1], ODD[2], ODD[3]]
} else {
    &[
        ([1, 1, 28, 28], [8, 1, 3, 3], [1, 1, 1]),
        ([1, 8, 14, 14], [16, 8, 3, 3], [1, 1, 1]),
        ODD[0],
        ODD[1],
        ODD[2],
        ODD[3],
    ]
});

/// Input, weights; stride, padding and groups.
type Shape = ([usize; 4], [usize; 4], [usize; 3]);

/// Convolutions at which little comes out even, the last two with longer sums than the others' way takes.
const ODD: [Shape; 4] = [
    ([1, 3, 9, 8], [5, 3, 3, 3], [2, 2, 1]),
    ([2, 6, 5, 7], [6, 3, 2, 3], [1, 1, 2]),
    ([1, 40, 3, 3], [3, 40, 3, 3], [1, 1, 1]),
    ([1, 42, 4, 3], [10, 21, 3, 3], [3, 2, 2]),
];

const fn most(shapes: &[Shape]) -> usize {
    let (mut most, mut i) = (0, 0);
    while i < shapes.len() {
        let (input, weight, [stride, padding, groups]) = shapes[i];
        if let Ok(conv) = Conv::new(input, weight, stride, padding, groups) {
            let needed = conv_i8::scratch_len(Isa::SCALAR, &conv);
            most = if needed > most { needed } else { most };
        }
        i += 1;
    }
    most
}

/// Convolutions of odd shapes, whose instructions nobody counts.
fn odd(isa: Isa) {
    for (input, weight, [stride, padding, groups]) in ODD {
        let Ok(conv) = Conv::new(input, weight, stride, padding, groups) else { exit(false) };
        let (mut x, mut w) = ([0; 1000], [0; 2000]);
        let (mut sums, mut want, mut scratch) = ([-1; 600], [1; 600], [-1; SCRATCH]);
        let (x, w) = (&mut x[..conv.input_len()], &mut w[..conv.weight_len()]);
        fill(x, 6);
        fill(w, 7);
        let (sums, want) = (&mut sums[..conv.output_len()], &mut want[..conv.output_len()]);
        let out = conv_i8::conv2d_i32(isa, &conv, conv_i8::Input { bytes: x, zero_point: 5 }, w, sums, &mut scratch);
        check(out.is_ok() && reference::conv2d_i8(&conv, x, 5, w, want).is_ok() && sums == want, "an odd conv", isa);
    }
}

/// 3x3 convolutions of bytes.
#[cfg(not(feature = "microbit"))]
fn convs(isa: Isa, timer: &Timer) {
    conv::<1, 8, 28, { 28 * 28 }, 72, { 28 * 28 * 8 }>("conv 28x28 1->8", isa, timer);
    conv::<8, 16, 14, { 14 * 14 * 8 }, { 16 * 72 }, { 14 * 14 * 16 }>("conv 14x14 8->16", isa, timer);
}

/// The same, small enough for 16 kB.
#[cfg(feature = "microbit")]
fn convs(isa: Isa, timer: &Timer) {
    conv::<3, 4, 6, { 6 * 6 * 3 }, { 4 * 27 }, { 6 * 6 * 4 }>("conv 6x6 3->4", isa, timer);
}

fn conv<
    const C_IN: usize,
    const C_OUT: usize,
    const SIDE: usize,
    const IN: usize,
    const WEIGHTS: usize,
    const OUT: usize,
>(
    name: &str,
    isa: Isa,
    timer: &Timer,
) {
    let Ok(conv) = Conv::new([1, C_IN, SIDE, SIDE], [C_OUT, C_IN, 3, 3], 1, 1, 1) else { exit(false) };
    let (mut x, mut w) = ([0; IN], [0; WEIGHTS]);
    fill(&mut x, 3);
    fill(&mut w, 4);
    let (mut sums, mut want, mut scratch) = ([0; OUT], [0; OUT], [0; SCRATCH]);
    let input = conv_i8::Input { bytes: &x, zero_point: -3 };
    let instructions = count(timer, || {
        check(conv_i8::conv2d_i32(isa, &conv, input, &w, &mut sums, &mut scratch).is_ok(), name, isa);
    });
    let reference = reference::conv2d_i8(&conv, &x, -3, &w, &mut want);
    check(reference.is_ok() && sums == want, name, isa);
    report(name, isa, instructions, conv.macs());
}

/// A product in single precision, against sums in double precision.
fn single(isa: Isa) {
    const M: usize = 7;
    const N: usize = 9;
    const K: usize = 33;
    const SCRATCH: usize = matmul_scratch_len(M, N, K);
    let (mut bytes, mut a, mut b) = ([0; M * K + K * N], [0.0; M * K], [0.0; K * N]);
    fill(&mut bytes, 5);
    for (x, byte) in a.iter_mut().chain(&mut b).zip(bytes) {
        *x = f32::from(byte) / 100.0;
    }
    let (mut c, mut want, mut magnitude) = ([0.0; M * N], [0.0; M * N], [0.0; M * N]);
    let mut scratch = [0.0; SCRATCH];
    let (Ok(a), Ok(b)) = (Mat::new(&a, M, K), Mat::new(&b, K, N)) else { exit(false) };
    let out = MatMut::new(&mut c, M, N).and_then(|c| matmul_with(isa, c, a, b, Epilogue::default(), &mut scratch));
    let reference = reference::matmul_f64(a, b, &mut want, &mut magnitude);
    check(out.is_ok() && reference.is_ok(), "single", isa);
    for ((got, want), magnitude) in c.iter().zip(&want).zip(&magnitude) {
        let error = f64::from(*got) - want;
        let bound = reference::gamma(K + 2) * magnitude;
        check(error <= bound && -error <= bound, "single", isa);
    }
}
