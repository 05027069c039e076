//! Matrix products with half-precision weights, and with activations in half precision too, beside the same products in single precision
//! and those of another crate in half precision throughout.

use super::case::{Case, Then};
use super::cost::{Arithmetic, Cost};
use super::error::BenchError;
use super::family::Family;
use super::gemm_f32::{FAIR, stored};
use super::operands::uniform;
use super::peer::{Product, strides};
use super::setup::Setup;
use super::verify;
use super::way::Ways;
use crate::kernels::{Epilogue, f16, gemm_f16, matmul_with, parallel};
use crate::reference;
use crate::view::{Mat, MatMut};

/// M x N x K; `nt` where B is stored by columns, as a layer's weights are.
#[derive(Clone, Copy)]
struct Shape(usize, usize, usize, &'static str);

/// Squares, layers of 784-512-10 at batch 200 and 1, and one row times matrices of 32 and 128 MB in f16.
const SHAPES: [Shape; 10] = [
    Shape(512, 512, 512, ""),
    Shape(512, 512, 512, "nt"),
    Shape(1024, 1024, 1024, ""),
    Shape(200, 512, 784, "nt"),
    Shape(16, 100, 784, "nt"),
    Shape(1, 512, 784, "nt"),
    Shape(1, 4096, 4096, ""),
    Shape(1, 4096, 4096, "nt"),
    Shape(1, 8192, 8192, ""),
    Shape(1, 8192, 8192, "nt"),
];

const QUICK: [&str; 3] = ["gemm_f16/200x512x784nt", "gemm_f16/1x512x784nt", "gemm_f16/1x4096x4096nt"];

/// Every product, [`Family::GemmF16`]. The reference is in single precision.
#[must_use]
pub fn cases() -> Vec<Case> {
    let case = |shape: Shape| {
        let Shape(m, n, k, layout) = shape;
        let cost = Cost::product([m, n, k], [4, 2, 4], Arithmetic::Single);
        let name = format!("gemm_f16/{m}x{n}x{k}{layout}");
        Case::new(Family::GemmF16, name, &QUICK, cost, move |case, setup, then| ways(shape, case, setup, then))
    };
    SHAPES.into_iter().map(case).collect()
}

fn ways(shape: Shape, case: &Case, setup: &Setup, then: &mut Then<'_>) -> Result<(), BenchError> {
    let Shape(m, n, k, layout) = shape;
    let (isa, threads) = (setup.isa, setup.threads);
    let halves = |len: usize, seed| -> Vec<f16> { uniform(len, seed).into_iter().map(f16::from_f32).collect() };
    let singles = |halves: &[f16]| -> Vec<f32> { halves.iter().map(|x| x.to_f32()).collect() }; // the same numbers
    let (half_a, half_data) = (halves(m * k, 1), halves(k * n, 2));
    let (a_data, single_data) = (singles(&half_a), singles(&half_data));
    let a = Mat::new(&a_data, m, k)?;
    let half = stored(&half_data, k, n, layout.ends_with('t'))?;
    let single = stored(&single_data, k, n, layout.ends_with('t'))?;
    let fresh = || vec![f32::NAN; m * n];
    let scratch = || vec![0.0; parallel::matmul_scratch_len(m, n, k)];

    let cost = Cost::product([m, n, k], [4; 3], Arithmetic::Single);
    let mut ways = Ways::new(cost, fresh(), move |c| verify::product(a, single, c));
    if setup.times_reference(cost.operations) {
        ways.push("reference", None, 1, move |c| {
            reference::matmul_f32(MatMut::new(c, m, n)?, a, single, Epilogue::default())
        })?;
    }
    let mut s = scratch();
    ways.push("inkstone-f32", Some(isa), 1, move |c| {
        matmul_with(isa, MatMut::new(c, m, n)?, a, single, Epilogue::default(), &mut s)
    })?;
    if threads > 1 {
        let mut s = scratch();
        ways.push("inkstone-f32", Some(isa), threads, move |c| {
            parallel::matmul(isa, MatMut::new(c, m, n)?, a, single, Epilogue::default(), &mut s)
        })?;
    }

    let mut weights = Ways::new(case.cost(), fresh(), move |c| verify::product(a, single, c));
    for isa in setup.isas(m * n * k <= FAIR) {
        let mut s = scratch();
        weights.push("inkstone", Some(isa), 1, move |c| {
            gemm_f16::matmul_with(isa, MatMut::new(c, m, n)?, a, half, Epilogue::default(), &mut s)
        })?;
    }
    if threads > 1 {
        let mut s = scratch();
        weights.push("inkstone", Some(isa), threads, move |c| {
            parallel::matmul_f16(isa, MatMut::new(c, m, n)?, a, half, Epilogue::default(), &mut s)
        })?;
    }
    let cost = Cost::product([m, n, k], [2, 2, 4], Arithmetic::Single);
    let mut operands = Ways::new(cost, fresh(), move |c| verify::product(a, single, c));
    let (half_a, mut s) = (&half_a[..], vec![0.0; gemm_f16::halves_scratch_len(m, n, k)]);
    operands.push("inkstone-f16", Some(isa), 1, move |c| {
        gemm_f16::matmul_halves_with(isa, MatMut::new(c, m, n)?, half_a, half, Epilogue::default(), &mut s)
    })?;

    // Assumed of a peer: it sums at least 64 products before it rounds to f16.
    let relative = (k / 64 + 2) as f64 * f64::from(f16::EPSILON) / 2.0;
    let cost = Cost::product([m, n, k], [2; 3], Arithmetic::Single);
    let within = move |c: &[f16]| verify::product_within(relative, a, single, c);
    let mut others = Ways::new(cost, vec![f16::NAN; m * n], within);
    if let Some(peers) = setup.peers {
        let (a_strides, b_strides) = (strides(m, k, false), strides(k, n, layout.ends_with('t')));
        for peer in (peers.half)(Product { m, n, k, a: half_a, a_strides, b: &half_data, b_strides }, threads) {
            let mut run = peer.run;
            others.push(peer.name, None, peer.threads, move |c| {
                run(c);
                Ok(())
            })?;
        }
    }
    then([ways.done(), weights.done(), operands.done(), others.done()].into_iter().flatten().collect());
    Ok(())
}
