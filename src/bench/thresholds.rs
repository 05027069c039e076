//! Where one way to compute a product or a convolution gives place to another: every way that is possible, on both sides of each threshold.
//!
//! The way that is chosen is called `inkstone`. A threshold is right if no other way beats it by more than noise at any of its shapes.

use super::case::{Case, Then};
use super::conv_f32::{Layer, Pass, cost, layer};
use super::cost::{Arithmetic, Bound, Cost};
use super::error::BenchError;
use super::family::Family;
use super::gemm_f32::stored;
use super::operands::{bytes, uniform};
use super::setup::Setup;
use super::verify;
use super::way::Ways;
use crate::kernels::conv::{Conv, Forced};
use crate::kernels::conv_i8::{self, Input};
use crate::kernels::gemm_f32::threads;
use crate::kernels::{Epilogue, gemm_f32, gemm_i8, matmul_scratch_len, matmul_with, parallel};
use crate::reference;
use crate::view::{Mat, MatMut};

/// M, N, K and layout on both sides of where the plain loop, dots, tiles in place and packed tiles meet.
const SINGLE: [([usize; 3], &str); 51] = [
    // A plain loop up to 64 multiply-adds, and up to 1,024 where nothing else fits.
    ([3, 3, 5], "nn"),
    ([4, 4, 4], "nn"),
    ([5, 4, 4], "nn"),
    ([8, 8, 15], "tt"),
    ([8, 8, 16], "tt"),
    ([10, 10, 12], "tt"),
    // A few short rows: up to 3 numbers of the left, and 64 columns.
    ([1, 64, 3], "nn"),
    ([1, 64, 4], "nn"),
    ([1, 65, 3], "nn"),
    ([3, 64, 1], "nn"),
    // Dots: few rows, or one, of enough steps.
    ([1, 64, 7], "nt"),
    ([1, 64, 8], "nt"),
    ([8, 32, 15], "nt"),
    ([8, 32, 16], "nt"),
    ([24, 128, 256], "nt"),
    ([32, 128, 256], "nt"),
    ([33, 128, 256], "nt"),
    ([48, 128, 256], "nt"),
    // Up to 16 outputs, whatever their length.
    ([4, 4, 12], "nt"),
    ([4, 5, 12], "nt"),
    ([40, 1, 6], "nt"),
    // Few columns: a last layer.
    ([64, 10, 128], "nt"),
    ([200, 10, 99], "nt"),
    ([200, 10, 100], "nt"),
    ([200, 10, 512], "nt"),
    ([128, 10, 784], "nt"),
    ([500, 10, 784], "nt"),
    ([128, 13, 784], "nt"),
    ([128, 16, 784], "nt"),
    // In place: up to 12 rows, 24 of a narrow matrix, more of short sums.
    ([12, 512, 512], "nn"),
    ([13, 512, 512], "nn"),
    ([18, 512, 512], "nn"),
    ([24, 256, 512], "nn"),
    ([25, 256, 512], "nn"),
    ([32, 256, 512], "nn"),
    ([64, 256, 256], "nn"),
    ([65, 256, 256], "nn"),
    ([96, 256, 256], "nn"),
    ([63, 256, 257], "nn"),
    // Gradients of a wide layer: few rows whose neighbours in a column lie far apart.
    ([16, 12544, 128], "nn"),
    ([32, 12544, 128], "nn"),
    ([64, 12544, 128], "nn"),
    ([128, 12544, 16], "tn"),
    ([128, 12544, 64], "tn"),
    ([100, 784, 16], "tn"),
    ([64, 784, 128], "nn"),
    ([64, 1024, 128], "nn"),
    ([64, 1040, 128], "nn"),
    ([64, 2048, 128], "nn"),
    // One row of a matrix that no longer fits the second cache.
    ([1, 256, 128], "nn"),
    ([1, 256, 129], "nn"),
];

/// On both sides of the multiply-adds from which threads share the work: in place and as dots 400,000, with AVX-512 a million; packed 3 million.
const SHARED: [([usize; 3], &str); 18] = [
    ([96, 96, 300], "nt"),
    ([128, 128, 180], "nt"),
    ([128, 128, 187], "nt"),
    ([160, 160, 160], "nt"),
    ([64, 64, 64], "tn"),
    ([72, 72, 77], "tn"),
    ([72, 72, 78], "tn"),
    ([96, 96, 96], "tn"),
    ([100, 100, 99], "tn"),
    ([100, 100, 101], "tn"),
    ([8, 256, 195], "nn"),
    ([8, 256, 196], "nn"),
    ([8, 256, 488], "nn"),
    ([8, 256, 489], "nn"),
    ([16, 100, 249], "nt"),
    ([16, 100, 250], "nt"),
    ([16, 100, 624], "nt"),
    ([16, 100, 784], "nt"),
];

/// Rows of bytes, of weights, and length, on both sides of where packing is repaid: other ones on sets of four, eight and sixteen lanes.
const BYTES: [[usize; 3]; 20] = [
    [8, 512, 784],
    [12, 512, 784],
    [13, 512, 784],
    [16, 512, 784],
    [200, 4, 127],
    [200, 4, 128],
    [200, 4, 784],
    [200, 1, 511],
    [200, 1, 512],
    [200, 2, 512],
    [200, 2, 784],
    [200, 3, 784],
    [200, 5, 784],
    [200, 7, 784],
    [200, 10, 255],
    [200, 10, 256],
    [200, 10, 512],
    [200, 11, 784],
    [200, 12, 784],
    [64, 10, 784],
];

/// Images, input and output channels, and side of the image, on both sides of where the transforms of 3x3 kernels are repaid, and where
/// those of larger tiles are.
const IMAGES: [[usize; 4]; 11] = [
    [8, 8, 8, 14],
    [8, 12, 12, 14],
    [8, 12, 32, 14],
    [8, 15, 16, 14],
    [8, 16, 16, 14],
    [8, 16, 32, 14],
    [4, 16, 16, 28],
    [32, 16, 16, 2],
    [32, 16, 16, 4],
    [32, 16, 16, 6],
    [32, 16, 16, 7],
];

/// The same of the gradient by the weights, around the six input channels that repay tiles.
const GRADIENTS: [[usize; 4]; 8] = [
    [64, 4, 8, 14],
    [64, 5, 8, 14],
    [64, 6, 8, 14],
    [64, 6, 12, 14],
    [64, 8, 1, 14],
    [64, 16, 3, 14],
    [64, 32, 2, 14],
    [64, 1, 32, 28],
];

/// Images, input and output channels, side and groups of convolutions of bytes, on both sides of where transforms are repaid, where those of
/// larger tiles are, and where lanes are channels of many groups.
const IMAGES_OF_BYTES: [[usize; 5]; 18] = [
    [16, 12, 16, 14, 1],
    [16, 15, 16, 14, 1],
    [16, 16, 15, 14, 1],
    [16, 16, 16, 14, 1],
    [16, 16, 32, 14, 1],
    [16, 19, 20, 14, 1],
    [16, 20, 20, 14, 1],
    [16, 24, 16, 14, 1],
    [16, 24, 24, 14, 1],
    [16, 32, 32, 2, 1],
    [16, 32, 32, 4, 1],
    [16, 32, 32, 6, 1],
    [16, 32, 32, 7, 1],
    [8, 32, 32, 28, 32],
    [8, 32, 32, 28, 8],
    [8, 64, 64, 14, 8],
    [8, 32, 32, 28, 4],
    [8, 32, 16, 28, 2],
];

/// Every threshold's shapes.
#[must_use]
pub fn cases() -> Vec<Case> {
    let single = SINGLE.into_iter().map(|(shape, layout)| {
        let name = format!("thresholds/f32/{}{layout}", name(shape));
        let cost = Cost::product(shape, [4; 3], Arithmetic::Single);
        Case::new(Family::GemmF32, name, &[], cost, move |case, setup, then| {
            ways(shape, layout, false, case, setup, then)
        })
    });
    let shared = SHARED.into_iter().map(|(shape, layout)| {
        let name = format!("thresholds/threads/{}{layout}", name(shape));
        let cost = Cost::product(shape, [4; 3], Arithmetic::Single);
        Case::new(Family::GemmF32, name, &[], cost, move |case, setup, then| {
            ways(shape, layout, true, case, setup, then)
        })
    });
    let bytes = BYTES.into_iter().map(|shape| {
        let cost = Cost::product(shape, [1, 1, 4], Arithmetic::Pairs);
        let name = format!("thresholds/i8/{}", name(shape));
        Case::new(Family::GemmI8, name, &[], cost, move |case, setup, then| ways_of_bytes(shape, case, setup, then))
    });
    let images = [Pass::Forward, Pass::InputGradient].into_iter().flat_map(|pass| {
        IMAGES.into_iter().map(move |[n, c_in, c_out, side]| {
            let conv = layer([n, c_in, side, side], [c_out, 3, 1, 1, 1]);
            let name = format!("thresholds/conv/{}/{n}x{c_in}-{c_out}x{side}x{side}", pass.name());
            Case::new(Family::ConvF32, name, &[], cost(&conv), move |case, setup, then| {
                ways_of_images(&conv, pass, case, setup, then)
            })
        })
    });
    let gradients = GRADIENTS.into_iter().map(|[n, c_in, c_out, side]| {
        let conv = layer([n, c_in, side, side], [c_out, 3, 1, 1, 1]);
        let name = format!("thresholds/conv/d_weight/{n}x{c_in}-{c_out}x{side}x{side}");
        Case::new(Family::ConvF32, name, &[], cost(&conv), move |case, setup, then| {
            ways_of_images(&conv, Pass::WeightGradient, case, setup, then)
        })
    });
    let images_of_bytes = IMAGES_OF_BYTES.into_iter().map(|[n, c_in, c_out, side, groups]| {
        let conv = layer([n, c_in, side, side], [c_out, 3, 1, 1, groups]);
        let bytes = (conv.input_len() + conv.weight_len() + 4 * conv.output_len()) as u64;
        let (operations, name) =
            (2 * conv.macs(), format!("thresholds/conv_i8/{n}x{c_in}-{c_out}x{side}x{side}g{groups}"));
        let cost = Cost { operations, bytes, arithmetic: Arithmetic::Pairs, bound: Bound::Arithmetic };
        Case::new(Family::ConvI8, name, &[], cost, move |case, setup, then| {
            ways_of_images_of_bytes(&conv, case, setup, then)
        })
    });
    let images = images.chain(gradients).chain(images_of_bytes);
    single.chain(shared).chain(bytes).chain(images).collect()
}

fn name([m, n, k]: [usize; 3]) -> String {
    format!("{m}x{n}x{k}")
}

fn ways(
    [m, n, k]: [usize; 3],
    layout: &str,
    is_shared: bool,
    case: &Case,
    setup: &Setup,
    then: &mut Then<'_>,
) -> Result<(), BenchError> {
    let (a, b) = (uniform(m * k, 1), uniform(k * n, 2));
    let (a, b) = (stored(&a, m, k, layout.starts_with('t'))?, stored(&b, k, n, layout.ends_with('t'))?);
    let isa = setup.isa;
    let mut ways = Ways::new(case.cost(), vec![f32::NAN; m * n], move |c| verify::product(a, b, c));
    if setup.times_reference(case.cost().operations) {
        ways.push("reference", None, 1, move |c| {
            reference::matmul_f32(MatMut::new(c, m, n)?, a, b, Epilogue::default())
        })?;
    }
    let mut scratch = vec![0.0; matmul_scratch_len(m, n, k)];
    ways.push("inkstone", Some(isa), 1, move |c| {
        matmul_with(isa, MatMut::new(c, m, n)?, a, b, Epilogue::default(), &mut scratch)
    })?;
    if is_shared {
        let mut scratch = vec![0.0; parallel::matmul_scratch_len(m, n, k)];
        ways.push("inkstone", Some(isa), setup.threads, move |c| {
            parallel::matmul(isa, MatMut::new(c, m, n)?, a, b, Epilogue::default(), &mut scratch)
        })?;
        let mut scratch = vec![0.0; parallel::matmul_scratch_len(m, n, k)];
        ways.push("shared", Some(isa), setup.threads, move |c| {
            threads::matmul_shared(isa, MatMut::new(c, m, n)?, a, b, &mut scratch)
        })?;
    } else {
        for (name, path) in gemm_f32::paths(a, b) {
            let mut scratch = vec![0.0; matmul_scratch_len(m, n, k)];
            ways.push(name, Some(isa), 1, move |c| {
                gemm_f32::matmul_by(path, isa, MatMut::new(c, m, n)?, a, b, &mut scratch)
            })?;
        }
    }
    then(ways.done());
    Ok(())
}

fn ways_of_bytes(shape: [usize; 3], case: &Case, setup: &Setup, then: &mut Then<'_>) -> Result<(), BenchError> {
    let [m, n, k] = shape;
    let (x, w) = (bytes(m * k, 1), bytes(n * k, 2));
    let (x, w) = (Mat::new(&x, m, k)?, Mat::new(&w, n, k)?);
    let mut want = vec![i32::MIN; m * n];
    reference::matmul_i8(MatMut::new(&mut want, m, n)?, x, w)?;
    let isa = setup.isa;
    let mut ways = Ways::new(case.cost(), vec![i32::MIN; m * n], |c| verify::equal(&want, c));
    let mut scratch = vec![0; gemm_i8::scratch_len(isa, m, n, k)];
    ways.push("inkstone", Some(isa), 1, move |c| gemm_i8::matmul_i32(isa, MatMut::new(c, m, n)?, x, w, &mut scratch))?;
    for (name, is_dot) in [("dot", true), ("packed", false)] {
        let mut scratch = vec![0; gemm_i8::scratch_len_by(is_dot, isa, m, n, k)];
        ways.push(name, Some(isa), 1, move |c| {
            gemm_i8::matmul_by(is_dot, isa, MatMut::new(c, m, n)?, x, w, &mut scratch)
        })?;
    }
    then(ways.done());
    Ok(())
}

fn ways_of_images(conv: &Conv, pass: Pass, case: &Case, setup: &Setup, then: &mut Then<'_>) -> Result<(), BenchError> {
    let (x, weight) = (uniform(conv.input_len(), 1), uniform(conv.weight_len(), 2));
    let d_out = uniform(conv.output_len(), 3);
    let (x, weight, d_out) = (&x[..], &weight[..], &d_out[..]);
    let layer = Layer::new(conv, pass, [x, weight, d_out]);
    // Transforms have another bound than plain sums, and this is above both: numbers are under one half, and errors far from their bounds.
    let want: Vec<_> = layer.want().into_iter().map(|(value, bound)| (value, bound.max(TOLERANCE))).collect();
    let isa = setup.isa;
    let fresh = vec![f32::NAN; want.len()];
    let mut ways = Ways::new(case.cost(), fresh, |y| verify::close(want.iter().copied(), y));
    let mut scratch = layer.scratch();
    ways.push("inkstone", Some(isa), 1, move |y| layer.alone(isa, y, &mut scratch))?;
    let (all, operands): (Vec<_>, _) = match pass {
        Pass::Forward => (Forced::forward(conv).collect(), [x, weight]),
        Pass::InputGradient => (Forced::d_input(conv).collect(), [d_out, weight]),
        Pass::WeightGradient => (Forced::d_weight(conv).collect(), [x, d_out]),
    };
    for (name, way) in all {
        let mut scratch = vec![0.0; way.scratch_len()];
        ways.push(name, Some(isa), 1, move |y| way.run(isa, conv, operands, y, &mut scratch))?;
    }
    then(ways.done());
    Ok(())
}

/// Beyond what any way does to sums of a few hundred products of numbers under one half.
const TOLERANCE: f64 = 1e-4;

fn ways_of_images_of_bytes(conv: &Conv, case: &Case, setup: &Setup, then: &mut Then<'_>) -> Result<(), BenchError> {
    let (x, weight) = (bytes(conv.input_len(), 1), bytes(conv.weight_len(), 2));
    let (input, weight) = (Input { bytes: &x, zero_point: -3 }, &weight[..]);
    let mut want = vec![i32::MIN; conv.output_len()];
    reference::conv2d_i8(conv, input.bytes, input.zero_point, weight, &mut want)?;
    let isa = setup.isa;
    let mut ways = Ways::new(case.cost(), vec![i32::MIN; conv.output_len()], |y| verify::equal(&want, y));
    let mut scratch = vec![0; conv_i8::scratch_len(isa, conv)];
    ways.push("inkstone", Some(isa), 1, move |y| conv_i8::conv2d_i32(isa, conv, input, weight, y, &mut scratch))?;
    for (name, way) in conv_i8::Forced::all(conv) {
        let mut scratch = vec![0; way.scratch_len()];
        ways.push(name, Some(isa), 1, move |y| way.run(isa, conv, input, weight, y, &mut scratch))?;
    }
    then(ways.done());
    Ok(())
}
