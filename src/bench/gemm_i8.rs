//! Matrix products of bytes, beside the same shapes in single precision.

use super::case::{Case, Then};
use super::cost::{Arithmetic, Cost};
use super::error::BenchError;
use super::family::Family;
use super::operands::{bytes, uniform};
use super::setup::Setup;
use super::verify;
use super::way::Ways;
use crate::kernels::gemm_i8::Weights;
use crate::kernels::{Epilogue, gemm_i8, matmul_scratch_len, matmul_with};
use crate::reference;
use crate::view::{Mat, MatMut};

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

/// Rows from which weights of 7 bits are timed too.
const MANY: usize = 200;

const QUICK: [&str; 5] =
    ["gemm_i8/256x256x256", "gemm_i8/200x512x784", "gemm_i8/16x100x784", "gemm_i8/1x512x784", "gemm_i7/200x512x784"];

/// Every product, [`Family::GemmI8`]: with weights of 8 bits, then, called `gemm_i7`, of 7, whose products cannot exceed 16 bits in
/// pairs. `packed` ways have their weights packed before the clock starts.
#[must_use]
pub fn cases() -> Vec<Case> {
    let case = |(bits, shape): (u32, [usize; 3])| {
        let [m, n, k] = shape;
        let cost = Cost::product(shape, [1, 1, 4], Arithmetic::Pairs);
        let name = format!("gemm_i{bits}/{m}x{n}x{k}");
        Case::new(Family::GemmI8, name, &QUICK, cost, move |case, setup, then| ways(shape, bits, case, setup, then))
    };
    let narrow = SHAPES.into_iter().filter(|[m, ..]| *m >= MANY).map(|shape| (7, shape));
    SHAPES.into_iter().map(|shape| (8, shape)).chain(narrow).map(case).collect()
}

fn ways(shape: [usize; 3], bits: u32, case: &Case, setup: &Setup, then: &mut Then<'_>) -> Result<(), BenchError> {
    let [m, n, k] = shape;
    let x = bytes(m * k, 1);
    let w: Vec<i8> = bytes(n * k, 2).iter().map(|w| w >> (8 - bits)).collect();
    let (x, w) = (Mat::new(&x, m, k)?, Mat::new(&w, n, k)?);
    let mut want = vec![i32::MIN; m * n];
    reference::matmul_i8(MatMut::new(&mut want, m, n)?, x, w)?;

    let isas = setup.isas(true);
    let mut buffers: Vec<Vec<i32>> = isas.iter().map(|isa| vec![0; Weights::packed_len(*isa, n, k)]).collect();
    let mut ways = Ways::new(case.cost(), vec![i32::MIN; m * n], |c| verify::equal(&want, c));
    if setup.times_reference(case.cost().operations) {
        ways.push("reference", None, 1, move |c| reference::matmul_i8(MatMut::new(c, m, n)?, x, w))?;
    }
    for (isa, buffer) in isas.into_iter().zip(&mut buffers) {
        let mut scratch = vec![0; gemm_i8::scratch_len(isa, m, n, k)];
        ways.push("inkstone", Some(isa), 1, move |c| {
            gemm_i8::matmul_i32(isa, MatMut::new(c, m, n)?, x, w, &mut scratch)
        })?;
        let packed = Weights::pack(isa, w, buffer)?;
        let mut scratch = vec![0; packed.scratch_len(m)];
        ways.push("packed", Some(isa), 1, move |c| packed.matmul_i32(MatMut::new(c, m, n)?, x, &mut scratch))?;
    }

    let (a, b) = (uniform(m * k, 1), uniform(n * k, 2));
    let (a, b) = (Mat::new(&a, m, k)?, Mat::new(&b, n, k)?.t());
    let (isa, mut scratch) = (setup.isa, vec![0.0; matmul_scratch_len(m, n, k)]);
    let cost = Cost::product(shape, [4; 3], Arithmetic::Single);
    let mut single = Ways::new(cost, vec![f32::NAN; m * n], move |c| verify::product(a, b, c));
    single.push("inkstone-f32", Some(isa), 1, move |c| {
        matmul_with(isa, MatMut::new(c, m, n)?, a, b, Epilogue::default(), &mut scratch)
    })?;
    let mut all = ways.done();
    all.extend(single.done());
    then(all);
    Ok(())
}
