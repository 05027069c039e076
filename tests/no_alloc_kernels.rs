//! No kernel of the core allocates, and no network that it runs, on any instruction set, when it succeeds or when it refuses: the allocator of this program ends it if
//! it is asked for anything meanwhile. Without the usual harness, whose threads allocate whenever they like.

use inkstone::error::ShapeError;
use inkstone::kernels::affine::{self, Affine, Pixels, Warp};
use inkstone::kernels::batch_norm::{self, Forward, Grads, Norm, Planes};
use inkstone::kernels::columns::{self, Columns};
use inkstone::kernels::conv::{self, Conv};
use inkstone::kernels::gemm_i8::{self, Weights};
use inkstone::kernels::pool::{self, Pool};
use inkstone::kernels::requantize::{Multiplier, Requantize};
use inkstone::kernels::standardize_i8::{self, Standardize};
use inkstone::kernels::{
    Activation, Epilogue, Isa, conv_f16, conv_i8, convert, dropout, elementwise, f16, gemm_f16, gemm_f32, peak, pixels,
    softmax,
};
use inkstone::runtime::Model;
use inkstone::view::{Mat, MatMut};
use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The system's allocator, but for the time in which nothing may ask for it.
struct Guarded;

static ARMED: AtomicBool = AtomicBool::new(false);
const MESSAGE: &str = "the allocator was called while a kernel ran\n";

fn check() {
    if ARMED.swap(false, Ordering::SeqCst) {
        // Standard error has no buffer; what became of the message does not matter any more.
        let _ = std::io::stderr().write_all(MESSAGE.as_bytes());
        std::process::abort();
    }
}

// SAFETY: every call goes on to `System` with its arguments unchanged, or does not return, so `System` keeps the contract.
unsafe impl GlobalAlloc for Guarded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        check();
        // SAFETY: the caller keeps the contract of `alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        check();
        // SAFETY: the caller keeps the contract of `dealloc`, and `pointer` came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        check();
        // SAFETY: the caller keeps the contract of `realloc`, and `pointer` came from `System`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Guarded = Guarded;

static CALLS: AtomicUsize = AtomicUsize::new(0);

/// Runs `work` without an allocator.
fn armed<R>(work: impl FnOnce() -> R) -> R {
    ARMED.store(true, Ordering::SeqCst);
    let result = work();
    ARMED.store(false, Ordering::SeqCst);
    CALLS.fetch_add(1, Ordering::SeqCst);
    result
}

/// What this program is told, by itself, to do what it must not survive.
const MISBEHAVE: &str = "--allocate-while-armed";

fn main() {
    if std::env::args().any(|argument| argument == MISBEHAVE) {
        armed(|| std::hint::black_box(Box::new(7)));
        return; // a success that the check below takes for a failure
    }
    the_guard_works();
    for isa in Isa::available() {
        CALLS.store(0, Ordering::SeqCst);
        floats(isa);
        bytes(isa);
        convolutions(isa);
        bytes_of_images(isa);
        poolings(isa);
        normalisation(isa);
        elements(isa);
        rows(isa);
        resampling(isa);
        networks(isa);
        #[cfg(feature = "train")]
        updates(isa);
        println!("isa {isa}: {} calls of kernels, none of which allocates", CALLS.load(Ordering::SeqCst));
    }
}

/// A check that cannot fail is none.
fn the_guard_works() {
    let program = std::env::current_exe().unwrap();
    let output = std::process::Command::new(program).arg(MISBEHAVE).output().unwrap();
    assert!(!output.status.success(), "an allocation was survived");
    assert_eq!(String::from_utf8_lossy(&output.stderr), MESSAGE);
    #[cfg(unix)]
    {
        const SIGABRT: i32 = 6;
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&output.status), Some(SIGABRT));
    }
}

/// Products of ones and halves: of every way, in all orders. The sums are exact.
fn floats(isa: Isa) {
    let sizes = [
        [0, 3, 4],
        [2, 3, 4],
        [3, 9, 33],
        [1, 40, 100],
        [9, 9, 30],
        [12, 100, 70],
        [1, 200, 300],
        [33, 70, 300],
        [40, 450, 300],
        [150, 30, 700],
    ];
    for ([m, n, k], order) in sizes.into_iter().flat_map(|size| (0..4).map(move |order| (size, order))) {
        let (a, b, halves) = (vec![1.0; m * k], vec![0.5; k * n], vec![f16::from_f32(0.5); k * n]);
        let (bias, mut c) = (vec![1.0; n], vec![f32::NAN; m * n]);
        let mut scratch = vec![f32::NAN; gemm_f16::halves_scratch_len(m, n, k)];
        fn view<T>(data: &[T], rows: usize, cols: usize, turned: bool) -> Result<Mat<'_, T>, ShapeError> {
            if turned { Ok(Mat::new(data, cols, rows)?.t()) } else { Mat::new(data, rows, cols) }
        }
        let epilogue = Epilogue { accumulate: false, bias: Some(&bias), activation: Activation::Relu };
        let verify = |c: &mut [f32]| {
            assert!(c.iter().all(|c| *c == k as f32 / 2.0 + 1.0), "{isa} {m} {n} {k}");
            c.fill(f32::NAN);
        };
        armed(|| {
            let (a, b) = (view(&a, m, k, order & 1 > 0)?, view(&b, k, n, order & 2 > 0)?);
            gemm_f32::matmul_with(isa, MatMut::new(&mut c, m, n)?, a, b, epilogue, &mut scratch)
        })
        .unwrap();
        verify(&mut c);
        armed(|| {
            let (a, b) = (view(&a, m, k, order & 1 > 0)?, view(&halves, k, n, order & 2 > 0)?);
            gemm_f16::matmul_with(isa, MatMut::new(&mut c, m, n)?, a, b, epilogue, &mut scratch)
        })
        .unwrap();
        verify(&mut c);
        let ones = vec![f16::ONE; m * k];
        armed(|| {
            let b = view(&halves, k, n, order & 2 > 0)?;
            gemm_f16::matmul_halves_with(isa, MatMut::new(&mut c, m, n)?, &ones, b, epilogue, &mut scratch)
        })
        .unwrap();
        verify(&mut c);
        armed(|| {
            let (a, b) = (view(&a, m, k, order & 1 > 0)?, view(&b, k, n, order & 2 > 0)?);
            gemm_f32::matmul(MatMut::new(&mut c, m, n)?, a, b, epilogue, &mut scratch)
        })
        .unwrap();
        verify(&mut c);
    }
    let short = armed(|| {
        gemm_f32::matmul_with(
            isa,
            MatMut::new(&mut [], 0, 2)?,
            Mat::new(&[], 0, 3)?,
            Mat::new(&[0.0; 8], 4, 2)?,
            Epilogue::default(),
            &mut [],
        )
    });
    assert_eq!(short, Err(ShapeError::InnerDim { a_cols: 3, b_rows: 4 }));
}

/// A channel that halves its sums.
fn requantize(channels: usize) -> (Vec<i32>, Vec<i32>, Vec<i32>) {
    let half = Multiplier::of(0.5).unwrap();
    (vec![0; channels], vec![half.multiplier; channels], vec![half.shift.into(); channels])
}

/// Products of ones and weights of several sizes, which decide how they are packed.
fn bytes(isa: Isa) {
    for [m, n, k] in [[1, 10, 84], [5, 9, 8], [3, 70, 200], [40, 33, 60], [300, 40, 600]] {
        for weight in [1i8, 127] {
            let (x, w, mut c) = (vec![1i8; m * k], vec![weight; n * k], vec![i32::MIN; m * n]);
            let mut scratch = vec![-1; gemm_i8::scratch_len(isa, m, n, k)];
            let mut words = vec![-1; Weights::packed_len(isa, n, k)];
            let sum = k as i32 * i32::from(weight);
            armed(|| {
                let (x, w) = (Mat::new(&x, m, k)?, Mat::new(&w, n, k)?);
                gemm_i8::matmul_i32(isa, MatMut::new(&mut c, m, n)?, x, w, &mut scratch)
            })
            .unwrap();
            assert!(c.iter().all(|c| *c == sum), "{isa} {m} {n} {k}");
            c.fill(i32::MIN);
            let packed = armed(|| Weights::pack(isa, Mat::new(&w, n, k)?, &mut words)).unwrap();
            let mut own = vec![-1; packed.scratch_len(m)];
            armed(|| packed.matmul_i32(MatMut::new(&mut c, m, n)?, Mat::new(&x, m, k)?, &mut own)).unwrap();
            assert!(c.iter().all(|c| *c == sum), "{isa} {m} {n} {k} packed");
            let ((bias, multiplier, shift), mut out) = (requantize(n), vec![-7i8; m * n]);
            let want = ((sum + 1) / 2).min(100) as i8;
            armed(|| {
                let by = Requantize::new(&bias, &multiplier, &shift, 0, (-128, 100))?;
                let (x, w) = (Mat::new(&x, m, k)?, Mat::new(&w, n, k)?);
                if m <= 12 {
                    gemm_i8::matmul_few(isa, MatMut::new(&mut out, m, n)?, x, w, by, &mut scratch)?;
                }
                gemm_i8::matmul(isa, MatMut::new(&mut out, m, n)?, x, w, by, &mut scratch)?;
                by.rows(isa, &c, &mut out)
            })
            .unwrap();
            assert!(out.iter().all(|out| *out == want), "{isa} {m} {n} {k}: {} {want}", out[0]);
            out.fill(-7);
            armed(|| {
                let by = Requantize::new(&bias, &multiplier, &shift, 0, (-128, 100))?;
                packed.matmul(MatMut::new(&mut out, m, n)?, Mat::new(&x, m, k)?, by, &mut own)
            })
            .unwrap();
            assert!(out.iter().all(|out| *out == want), "{isa} {m} {n} {k} packed");
            let refused = armed(|| packed.matmul_i32(MatMut::new(&mut c, m, n)?, Mat::new(&x, m, k)?, &mut []));
            assert!(matches!(refused, Err(ShapeError::TooShort { .. })));
        }
    }
}

/// Ones by ones without padding: every output is the number of its products, but for the rounding of transforms.
fn convolutions(isa: Isa) {
    let shapes = [
        Conv::new([2, 1, 12, 12], [6, 1, 5, 5], 1, 0, 1),
        Conv::new([2, 4, 11, 9], [6, 2, 3, 2], 2, 0, 2),
        Conv::new([2, 20, 10, 10], [24, 20, 3, 3], 1, 0, 1),
        Conv::new([1, 16, 4, 4], [16, 16, 3, 3], 1, 0, 1),
        Conv::new([3, 9, 7, 7], [5, 9, 2, 2], 1, 0, 1),
    ];
    for shape in shapes.map(Result::unwrap) {
        let [n, c_out, oh, ow] = shape.output();
        let taps = (shape.weight_len() / c_out) as f32;
        let near = |x: &f32, want: f32| (x - want).abs() <= 1e-4 * want;
        let (x, w, bias) = (vec![1.0; shape.input_len()], vec![1.0; shape.weight_len()], vec![0.0; c_out]);
        let mut out = vec![f32::NAN; shape.output_len()];
        let mut scratch = vec![f32::NAN; shape.scratch_len()];
        let epilogue = Epilogue { accumulate: false, bias: Some(&bias), activation: Activation::Relu };
        armed(|| conv::conv2d(isa, &shape, &x, &w, epilogue, &mut out, &mut scratch)).unwrap();
        assert!(out.iter().all(|out| near(out, taps)), "{isa} {shape:?}");
        let halves = vec![f16::ONE; w.len()];
        out.fill(f32::NAN);
        armed(|| conv_f16::conv2d(isa, &shape, &x, &halves, epilogue, &mut out, &mut scratch)).unwrap();
        assert!(out.iter().all(|out| near(out, taps)), "{isa} {shape:?} by halves");
        let refused = armed(|| conv::conv2d(isa, &shape, &x, &w, epilogue, &mut out, &mut []));
        assert!(matches!(refused, Err(ShapeError::TooShort { .. })));

        let d_out = vec![1.0; shape.output_len()];
        let (mut d_x, mut d_w, mut d_bias) = (vec![f32::NAN; x.len()], vec![f32::NAN; w.len()], vec![f32::NAN; c_out]);
        let mut scratch = vec![f32::NAN; shape.d_input_scratch_len()];
        armed(|| conv::conv2d_d_input(isa, &shape, &d_out, &w, &mut d_x, &mut scratch)).unwrap();
        // Each product hands its weight back, once: the sum of all gradients.
        let all = d_x.iter().map(|d| f64::from(*d)).sum::<f64>() as f32;
        assert!(near(&all, shape.macs() as f32), "{isa} {shape:?}: {all}");
        let mut scratch = vec![f32::NAN; shape.d_weight_scratch_len()];
        armed(|| conv::conv2d_d_weight(isa, &shape, &x, &d_out, &mut d_w, &mut scratch)).unwrap();
        armed(|| conv::conv2d_d_bias(isa, &shape, &d_out, &mut d_bias)).unwrap();
        let pixels = (n * oh * ow) as f32;
        assert!(d_w.iter().chain(&d_bias).all(|d| near(d, pixels)), "{isa} {shape:?}");

        let (x, w, mut sums) = (vec![1i8; x.len()], vec![1i8; w.len()], vec![-1; shape.output_len()]);
        let input = conv_i8::Input { bytes: &x, zero_point: 0 };
        let mut scratch = vec![-1; conv_i8::scratch_len(isa, &shape)];
        armed(|| conv_i8::conv2d_i32(isa, &shape, input, &w, &mut sums, &mut scratch)).unwrap();
        assert!(sums.iter().all(|sum| *sum == taps as i32), "{isa} {shape:?}");
        let ((bias, multiplier, shift), mut out) = (requantize(c_out), vec![-7i8; sums.len()]);
        armed(|| {
            let by = Requantize::new(&bias, &multiplier, &shift, 0, (-128, 100))?;
            conv_i8::conv2d(isa, &shape, input, &w, by, &mut out, &mut scratch)
        })
        .unwrap();
        let want = ((taps as i32 + 1) / 2).min(100) as i8;
        assert!(out.iter().all(|out| *out == want), "{isa} {shape:?}");
        let mut pooled = vec![-7i8; n * c_out * (oh / 2) * (ow / 2)];
        let mut scratch = vec![-1; conv_i8::pooled_scratch_len(isa, &shape)];
        armed(|| {
            let by = Requantize::new(&bias, &multiplier, &shift, 0, (-128, 100))?;
            conv_i8::conv2d_max_pool2(isa, &shape, input, &w, by, &mut pooled, &mut scratch)
        })
        .unwrap();
        assert!(pooled.iter().all(|out| *out == want), "{isa} {shape:?} pooled");
    }
}

/// A layer over pixels that are ones, its gradient, and columns of them moved together and back.
fn bytes_of_images(isa: Isa) {
    let runs = [1..4, 9..30];
    for (rows, outputs) in [(1, 10), (7, 3), (40, 10)] {
        let (pixels, weight, bias) = (vec![2u8; rows * 33], vec![1.0; outputs * 33], vec![1.0; outputs]);
        let (mut y, mut d_weight) = (vec![f32::NAN; rows * outputs], vec![f32::NAN; outputs * 33]);
        let epilogue = Epilogue { accumulate: false, bias: Some(&bias), activation: Activation::Relu };
        armed(|| pixels::linear(isa, pixels::Pixels::new(&pixels, rows, 33, 0.5, 0.0)?, &weight, epilogue, &mut y))
            .unwrap();
        assert!(y.iter().all(|y| *y == 34.0), "{isa} {rows}");
        let d_y = vec![1.0; y.len()];
        let gradient = || {
            let x = pixels::Pixels::new(&pixels, rows, 33, 0.5, 0.0)?;
            pixels::linear_d_weight(isa, x, &d_y, &mut d_weight)
        };
        armed(gradient).unwrap();
        assert!(d_weight.iter().all(|d| *d == rows as f32), "{isa} {rows}");
        let (x, mut some, mut back) = (vec![3.0; rows * 33], vec![f32::NAN; rows * 24], vec![f32::NAN; rows * 33]);
        armed(|| columns::take(isa, Columns::new(&runs, 33)?, &x, &mut some)).unwrap();
        armed(|| columns::put(isa, Columns::new(&runs, 33)?, &some, &mut back)).unwrap();
        let inside = |at: usize| runs.iter().any(|run| run.contains(&(at % 33)));
        assert!(back.iter().enumerate().all(|(at, x)| *x == if inside(at) { 3.0 } else { 0.0 }), "{isa} {rows}");
        armed(|| columns::pixels_to_f32(isa, Columns::new(&runs, 33)?, &pixels[..33], 0.5, 0.0, &mut some[..24]))
            .unwrap();
        assert!(some[..24].iter().all(|x| *x == 1.0), "{isa} {rows}");
    }
}

fn poolings(isa: Isa) {
    for shape in [Pool::new([2, 3, 14, 14], [2, 2], 2, 0), Pool::new([2, 3, 13, 40], [3, 3], 1, 0)].map(Result::unwrap)
    {
        let (x, d_out) = (vec![2.0; shape.input_len()], vec![1.0; shape.output_len()]);
        let (mut out, mut argmax) = (vec![f32::NAN; d_out.len()], vec![u32::MAX; d_out.len()]);
        let mut d_x = vec![f32::NAN; x.len()];
        armed(|| pool::max_pool2d(isa, &shape, &x, &mut out, &mut argmax)).unwrap();
        assert!(out.iter().all(|out| *out == 2.0), "{isa} {shape:?}");
        armed(|| pool::max_pool2d_backward(&shape, &d_out, &argmax, &mut d_x)).unwrap();
        assert_eq!(d_x.iter().sum::<f32>(), d_out.len() as f32, "{isa} {shape:?}");
        armed(|| pool::avg_pool2d(isa, &shape, &x, &mut out)).unwrap();
        assert!(out.iter().all(|out| (out - 2.0).abs() < 1e-6), "{isa} {shape:?}");
        armed(|| pool::avg_pool2d_backward(isa, &shape, &d_out, &mut d_x)).unwrap();
        let all = d_x.iter().sum::<f32>() / d_out.len() as f32;
        assert!((all - 1.0).abs() < 1e-4, "{isa} {shape:?}: {all}");
    }
    let (x, mut means, mut d_x) = (vec![3.0; 5 * 49], [f32::NAN; 5], vec![f32::NAN; 5 * 49]);
    armed(|| pool::global_avg_pool(isa, 49, &x, &mut means)).unwrap();
    armed(|| pool::global_avg_pool_backward(49, &means, &mut d_x)).unwrap();
    assert!(means.iter().all(|mean| *mean == 3.0) && d_x.iter().all(|d| *d == 3.0 / 49.0), "{isa}");
}

fn normalisation(isa: Isa) {
    // As many of one grey as of the other: a deviation on either side of the mean, 32 bytes of it.
    let mut bytes: Vec<i8> = (0..300).map(|i| if i % 2 == 0 { 100 } else { -56 }).collect(); // 100 and 200
    armed(|| standardize_i8::standardize(isa, &Standardize::new(100, 32 << 16, 16, 5)?, &mut bytes)).unwrap();
    assert!(bytes.iter().enumerate().all(|(i, byte)| *byte == if i % 2 == 0 { 5 - 32 } else { 5 + 32 }), "{isa}");

    for shape in [Planes::new([6, 19, 1]), Planes::new([4, 3, 50])].map(Result::unwrap) {
        let c = shape.channels();
        // Half of the samples are 1, half are 3: the mean is 2, the variance is 1.
        let x: Vec<f32> = (0..shape.len()).map(|i| if i < shape.len() / 2 { 1.0 } else { 3.0 }).collect();
        let (mut mean, mut variance, mut inv_std) = (vec![f32::NAN; c], vec![f32::NAN; c], vec![f32::NAN; c]);
        armed(|| batch_norm::statistics(isa, &shape, &x, &mut mean, &mut variance)).unwrap();
        assert!(mean.iter().all(|mean| *mean == 2.0) && variance.iter().all(|variance| *variance == 1.0), "{isa}");
        let (gamma, beta, mut scale, mut shift) = (vec![1.0; c], vec![0.0; c], vec![f32::NAN; c], vec![f32::NAN; c]);
        let norm = Norm { mean: &mean, variance: &variance, gamma: &gamma, beta: &beta, eps: 0.0 };
        armed(|| norm.fold(&mut scale, &mut shift)).unwrap();
        armed(|| batch_norm::inverse_deviation(&variance, 0.0, &mut inv_std)).unwrap();
        let mut out = vec![f32::NAN; x.len()];
        armed(|| batch_norm::apply(isa, &shape, &x, [&scale, &shift], Activation::Identity, &mut out)).unwrap();
        assert!(out.iter().all(|out| (out.abs() - 1.0).abs() < 1e-5), "{isa}");
        let mut same = x.clone();
        armed(|| batch_norm::apply_in_place(isa, &shape, &mut same, [&scale, &shift], Activation::Relu)).unwrap();
        assert!(same.iter().all(|out| *out == 0.0 || (out - 1.0).abs() < 1e-5), "{isa}");
        let (d_out, mut d_x) = (vec![1.0; x.len()], vec![f32::NAN; x.len()]);
        let (mut d_gamma, mut d_beta) = (vec![f32::NAN; c], vec![f32::NAN; c]);
        let forward = Forward { x: &x, mean: &mean, inv_std: &inv_std, gamma: &gamma };
        let grads = Grads { x: &mut d_x, gamma: &mut d_gamma, beta: &mut d_beta };
        armed(|| batch_norm::backward(isa, &shape, forward, &d_out, grads)).unwrap();
        assert!(d_beta.iter().all(|d| *d == shape.count() as f32) && d_x.iter().all(|d| d.abs() < 1e-5), "{isa}");
    }
}

fn elements(isa: Isa) {
    for len in [0, 1, 7, 8, 9, 100] {
        for activation in [Activation::Identity, Activation::Relu, Activation::Tanh, Activation::Sigmoid] {
            let (a, b, mut out) = (vec![0.5; len], vec![-0.5; len], vec![f32::NAN; len]);
            armed(|| elementwise::add(isa, activation, &a, &b, &mut out)).unwrap();
            let at_zero = if activation == Activation::Sigmoid { 0.5 } else { 0.0 };
            assert!(out.iter().all(|out| *out == at_zero), "{isa} {activation:?}");
            let mut sum = a.clone();
            armed(|| elementwise::add_assign(isa, activation, &mut sum, &b)).unwrap();
            assert_eq!(sum, out, "{isa} {activation:?}");
            armed(|| elementwise::activate(isa, activation, &mut sum));
            armed(|| elementwise::activate_backward(isa, activation, &out, &mut sum)).unwrap();
            assert!(sum.iter().all(|d| d.is_finite()), "{isa} {activation:?}");
            let halfway: Vec<f32> = sum.iter().map(|x| f32::midpoint(*x, 1.0)).collect();
            let ones = vec![1.0; len];
            armed(|| elementwise::blend(isa, 0.5, &ones, &mut sum)).unwrap();
            assert!(sum.iter().zip(&halfway).all(|(x, want)| (x - want).abs() < 1e-6), "{isa} {len}");
            armed(|| elementwise::scale(isa, 0.0, &mut sum));
            assert!(sum.iter().all(|x| *x == 0.0), "{isa}");
        }
        let (x, mut sums) = (vec![1.0; 5 * len], vec![f32::NAN; len]);
        armed(|| elementwise::column_sums(isa, &x, &mut sums)).unwrap();
        assert!(sums.iter().all(|sum| *sum == 5.0), "{isa} {len}");
        assert_eq!(armed(|| peak::read(isa, &x)), 5.0 * len as f32, "{isa} {len}");
        let (pixels, mut floats, mut halves) = (vec![51u8; len], vec![f32::NAN; len], vec![f16::NAN; len]);
        armed(|| elementwise::pixels_to_f32(isa, &pixels, 0.5, 0.5, &mut floats)).unwrap();
        armed(|| convert::to_f16(isa, &floats, &mut halves)).unwrap();
        floats.fill(f32::NAN);
        armed(|| convert::to_f32(isa, &halves, &mut floats)).unwrap();
        assert!(floats.iter().all(|x| *x == 26.0), "{isa} {len}");
        let key = armed(|| dropout::Key::new(1, 2).layer(3));
        let mut out = vec![f32::NAN; len];
        armed(|| dropout::apply(isa, key, 5, 0.5, &floats, &mut out)).unwrap();
        armed(|| dropout::apply_in_place(isa, key, 5, 0.5, &mut floats)).unwrap();
        assert!(out == floats && out.iter().all(|x| *x == 0.0 || *x == 52.0), "{isa} {len}");
    }
    assert!(armed(|| peak::multiply_adds(isa, 10)).is_finite());
    assert!(armed(|| peak::pair_products(isa, 10)) > 0);
    assert!(armed(|| convert::to_f32(isa, &[f16::ONE], &mut [])).is_err());
}

fn rows(isa: Isa) {
    for cols in [1, 7, 8, 9, 33] {
        let (mut x, mut logs, mut logits) = (vec![1.0; 5 * cols], vec![1.0; 5 * cols], vec![1.0; 5 * cols]);
        armed(|| softmax::softmax(isa, &mut x, cols)).unwrap();
        armed(|| softmax::log_softmax(isa, &mut logs, cols)).unwrap();
        let (labels, mut losses) = ([0u8; 5], [f32::NAN; 5]);
        armed(|| softmax::cross_entropy(isa, &mut logits, &labels, 1.0, &mut losses)).unwrap();
        let log = (cols as f32).ln();
        assert!(x.iter().all(|x| (x * cols as f32 - 1.0).abs() < 1e-5), "{isa} {cols}");
        assert!(logs.iter().all(|x| (x + log).abs() < 1e-5), "{isa} {cols}");
        assert!(losses.iter().all(|loss| (loss - log).abs() < 1e-5), "{isa} {cols}");
        assert!(logits.iter().sum::<f32>().abs() < 1e-4, "{isa} {cols}");
    }
}

fn resampling(isa: Isa) {
    let warp = Warp::new([28, 28], [28, 28]).unwrap();
    let (bytes, floats, still) = (vec![9u8; 784], vec![9.0; 784], vec![0.0; 784]);
    for image in [Pixels::U8(&bytes), Pixels::F32(&floats)] {
        let mut out = vec![f32::NAN; 784];
        armed(|| affine::affine(isa, &warp, &Affine::IDENTITY, image, &mut out)).unwrap();
        assert!(out.iter().all(|x| *x == 9.0), "{isa}");
        out.fill(f32::NAN);
        let turned = armed(|| Affine::new([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])).unwrap();
        armed(|| affine::affine_batch(isa, &warp, &[turned], image, &mut out)).unwrap();
        assert!(out.iter().all(|x| *x == 9.0), "{isa}");
        out.fill(f32::NAN);
        armed(|| affine::displace(isa, &warp, image, [&still, &still], &mut out)).unwrap();
        assert!(out.iter().all(|x| *x == 9.0), "{isa}");
    }
}

/// Images are checked, bound and run, several digits at a time too, and bytes that are none refused.
fn networks(isa: Isa) {
    let images = [
        inkstone::include_model!("../firmware-notes/cortex-m/models/cnn-tiny.ink"),
        inkstone::include_model!("../firmware-notes/cortex-m/models/cnn-8-16.ink"),
        inkstone::include_model!("../firmware-notes/cortex-m/models/mlp-128.ink"),
        // Sums, tables, means and images that are normalised one by one.
        inkstone::include_model!("fuzz/corpus/image/i8-chain.ink"),
        inkstone::include_model!("fuzz/corpus/image/i8-add.ink"),
        inkstone::include_model!("fuzz/corpus/image/i8-map.ink"),
        inkstone::include_model!("fuzz/corpus/image/i8-avg-pool.ink"),
        inkstone::include_model!("fuzz/corpus/image/i8-pixels-per-image.ink"),
    ];
    for image in images {
        assert!(armed(|| Model::new(&image[..image.len() - 1])).is_err());
        let model = armed(|| Model::new(image)).unwrap();
        for batch in [1, 3] {
            let needed = armed(|| model.arena_len(isa, batch)).unwrap();
            let mut arena = vec![0u128; needed.div_ceil(16)]; // its alignment is that of an arena
            let arena: &mut [u8] = bytemuck::cast_slice_mut(&mut arena);
            assert!(armed(|| model.bind_with(isa, batch, &mut arena[..needed - 1]).is_err()));
            let mut bound = armed(|| model.bind_with(isa, batch, arena)).unwrap();
            bound.input_mut().fill(77);
            let classes = armed(|| {
                let output = bound.run();
                [output.class(0), output.class(batch - 1)]
            });
            assert_eq!(classes[0], classes[1], "{isa}");
        }
    }
}

#[cfg(feature = "train")]
fn updates(isa: Isa) {
    use inkstone::kernels::update::{Penalty, Update, update};
    let (lr, mu) = (0.5, 0.0);
    let adam = Update::Adam { lr, beta1: 0.0, beta2: 0.0, eps: 0.0, bias1: 1.0, bias2: 1.0, decay: 0.0 };
    let rules =
        [Update::Sgd { lr }, Update::Momentum { lr, mu }, Update::Ema { lr, mu }, Update::Nesterov { lr, mu }, adam];
    for (rule, penalty) in rules.into_iter().flat_map(|rule| [0.0, 1.0].map(|l2| (rule, Penalty { l1: 0.0, l2 }))) {
        let (mut w, g, mut m, mut v) = (vec![0.0; 100], vec![1.0; 100], vec![0.0; 100], vec![0.0; 100]);
        armed(|| update(isa, rule, penalty, &mut w, &g, &mut m, &mut v)).unwrap();
        assert!(w.iter().all(|w| (w + 0.5).abs() < 1e-6), "{isa} {rule:?}: {}", w[0]);
    }
}
