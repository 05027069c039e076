//! Matrix products in single precision.

use super::case::{Case, Then};
use super::cost::{Arithmetic, Cost};
use super::error::BenchError;
use super::family::Family;
use super::operands::uniform;
use super::peer::{Product, strides};
use super::setup::Setup;
use super::verify;
use super::way::Ways;
use crate::error::ShapeError;
use crate::kernels::{Epilogue, matmul_scratch_len, matmul_with, parallel};
use crate::reference;
use crate::view::{Mat, MatMut};

/// M x N x K, then `tn` or `nt` where the first or the second operand is stored transposed.
#[derive(Clone, Copy)]
struct Shape(usize, usize, usize, &'static str);

/// Squares, and the products of 784-512-10 at batch 200, 784-100-50-20-10 at batch 16, one digit, and a convolutional
/// network's first linear layer at batch 64.
const SHAPES: [Shape; 18] = [
    Shape(64, 64, 64, ""),
    Shape(128, 128, 128, ""),
    Shape(256, 256, 256, ""),
    Shape(512, 512, 512, ""),
    Shape(1024, 1024, 1024, ""),
    Shape(2048, 2048, 2048, ""),
    Shape(200, 512, 784, ""),
    Shape(200, 512, 784, "nt"),
    Shape(512, 784, 200, "tn"),
    Shape(200, 784, 512, ""),
    Shape(16, 100, 784, ""),
    Shape(16, 100, 784, "nt"),
    Shape(100, 784, 16, "tn"),
    Shape(1, 512, 784, ""),
    Shape(1, 512, 784, "nt"),
    Shape(64, 128, 12544, ""),
    Shape(64, 128, 12544, "nt"),
    Shape(200, 10, 512, "nt"),
];

const QUICK: [&str; 6] = [
    "gemm_f32/64x64x64",
    "gemm_f32/256x256x256",
    "gemm_f32/512x512x512",
    "gemm_f32/200x512x784nt",
    "gemm_f32/16x100x784nt",
    "gemm_f32/1x512x784nt",
];

/// Multiply-adds up to which slow instruction sets are done in fair time.
pub(super) const FAIR: usize = 1 << 27;

/// Every product, [`Family::GemmF32`].
#[must_use]
pub fn cases() -> Vec<Case> {
    let case = |shape: Shape| {
        let Shape(m, n, k, layout) = shape;
        let cost = Cost::product([m, n, k], [4; 3], Arithmetic::Single);
        let name = format!("gemm_f32/{m}x{n}x{k}{layout}");
        Case::new(Family::GemmF32, name, &QUICK, cost, move |case, setup, then| ways(shape, case, setup, then))
    };
    SHAPES.into_iter().map(case).collect()
}

fn ways(shape: Shape, case: &Case, setup: &Setup, then: &mut Then<'_>) -> Result<(), BenchError> {
    let Shape(m, n, k, layout) = shape;
    let (a_data, b_data) = (uniform(m * k, 1), uniform(k * n, 2));
    let (a_turned, b_turned) = (layout.starts_with('t'), layout.ends_with('t'));
    let a = stored(&a_data, m, k, a_turned)?;
    let b = stored(&b_data, k, n, b_turned)?;

    let mut ways = Ways::new(case.cost(), vec![f32::NAN; m * n], move |c| verify::product(a, b, c));
    if setup.times_reference(case.cost().operations) {
        ways.push("reference", None, 1, move |c| {
            reference::matmul_f32(MatMut::new(c, m, n)?, a, b, Epilogue::default())
        })?;
    }
    for isa in setup.isas(m * n * k <= FAIR) {
        let mut scratch = vec![0.0; matmul_scratch_len(m, n, k)];
        ways.push("inkstone", Some(isa), 1, move |c| {
            matmul_with(isa, MatMut::new(c, m, n)?, a, b, Epilogue::default(), &mut scratch)
        })?;
    }
    if setup.threads > 1 {
        let (isa, mut scratch) = (setup.isa, vec![0.0; parallel::matmul_scratch_len(m, n, k)]);
        ways.push("inkstone", Some(isa), setup.threads, move |c| {
            parallel::matmul(isa, MatMut::new(c, m, n)?, a, b, Epilogue::default(), &mut scratch)
        })?;
    }
    if let Some(peers) = setup.peers {
        let (a_strides, b_strides) = (strides(m, k, a_turned), strides(k, n, b_turned));
        for peer in (peers.single)(Product { m, n, k, a: &a_data, a_strides, b: &b_data, b_strides }, setup.threads) {
            let mut run = peer.run;
            ways.push(peer.name, None, peer.threads, move |c| {
                run(c);
                Ok(())
            })?;
        }
    }
    then(ways.done());
    Ok(())
}

/// `data` as a matrix of `rows` by `cols`, stored by columns if it is `turned`.
pub(super) const fn stored<T>(data: &[T], rows: usize, cols: usize, turned: bool) -> Result<Mat<'_, T>, ShapeError> {
    if !turned {
        return Mat::new(data, rows, cols);
    }
    match Mat::new(data, cols, rows) {
        Ok(stored) => Ok(stored.t()),
        Err(error) => Err(error),
    }
}
