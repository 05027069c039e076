//! Products of matrices in single and half precision, on one thread and on several.

use crate::frame::{Buffer, Element, Fit, Frame, Outcome, Plan, Role, cases, on_every_isa, plans, twice};
use crate::size::{activations, edges, three, wild};
use inkstone::error::ShapeError;
use inkstone::kernels::{Activation, Epilogue, Isa, f16, gemm_f16, gemm_f32};
use inkstone::view::{Mat, MatMut};
use proptest::prelude::*;

/// A product, and how its operands are stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Product {
    pub(crate) m: usize,
    pub(crate) n: usize,
    pub(crate) k: usize,
    /// Whether A and B are stored by columns.
    by_columns: [bool; 2],
    /// Elements between the rows of A, B and C.
    gaps: [usize; 3],
    accumulate: bool,
    bias: bool,
    activation: Activation,
    /// What is wrong: rows of C, columns of C, or rows of B.
    wrong: Option<usize>,
}

pub(crate) fn products(sizes: impl Strategy<Value = [usize; 3]>) -> impl Strategy<Value = Product> {
    let gaps = prop_oneof![Just([0; 3]), [0..4usize, 0..4usize, 0..4usize]];
    let wrong = prop::option::weighted(0.1, 0..3usize);
    (sizes, any::<[bool; 2]>(), gaps, any::<[bool; 2]>(), activations(), wrong).prop_map(
        |([m, n, k], by_columns, gaps, [accumulate, bias], activation, wrong)| Product {
            m,
            n,
            k,
            by_columns,
            gaps,
            accumulate,
            bias,
            activation,
            wrong,
        },
    )
}

/// Sizes of every way: plain loops, tiles in place, dot products, streams of rows and packed panels.
fn sizes() -> impl Strategy<Value = [usize; 3]> {
    prop_oneof![
        6 => [edges(), edges(), edges()],
        1 => [20..40usize, 20..80usize, 250..300usize],
        1 => [13..30usize, 256..300usize, 250..300usize],
        1 => three(Just(1), 200..300usize, 200..300usize),
    ]
}

/// Elements that `rows` rows of `cols`, `stride` apart, span.
fn span(rows: usize, cols: usize, stride: usize) -> usize {
    if rows == 0 || cols == 0 { 0 } else { (rows - 1) * stride + cols }
}

/// An operand of `rows` by `cols`, and how to look at it.
struct Operand<T> {
    data: Buffer<T>,
    shape: [usize; 3],
    by_columns: bool,
}

impl<T: Element> Operand<T> {
    fn new(frame: &mut Frame, rows: usize, cols: usize, by_columns: bool, gap: usize) -> Self {
        let (rows, cols) = if by_columns { (cols, rows) } else { (rows, cols) };
        let shape = [rows, cols, cols + gap];
        Self { data: frame.buffer(Role::In, Fit::AtLeast, span(rows, cols, cols + gap)), shape, by_columns }
    }

    fn view(&self) -> Result<Mat<'_, T>, ShapeError> {
        let [rows, cols, stride] = self.shape;
        let stored = Mat::with_row_stride(&self.data, rows, cols, stride)?;
        Ok(if self.by_columns { stored.t() } else { stored })
    }
}

/// The product by `run`, whose scratch is `needed` elements long. Ways that need none take a shorter one.
pub(crate) fn multiply<T: Element>(
    product: &Product,
    mut frame: Frame,
    needed: usize,
    run: impl Fn(MatMut<'_>, Mat<'_>, Mat<'_, T>, Epilogue<'_>, &mut [f32]) -> Result<(), ShapeError>,
) -> Outcome {
    let Product { m, n, k, by_columns, gaps, accumulate, activation, wrong, .. } = *product;
    let wrong = |which| usize::from(wrong == Some(which));
    frame.refuse_if(product.wrong.is_some());
    let (rows, cols) = (m + wrong(0), n + wrong(1));
    let a = Operand::<f32>::new(&mut frame, m, k, by_columns[0], gaps[0]);
    let b = Operand::<T>::new(&mut frame, k + wrong(2), n, by_columns[1], gaps[1]);
    let role = if accumulate { Role::InOut } else { Role::Out };
    let mut c = frame.buffer(role, Fit::AtLeast, span(rows, cols, cols + gaps[2])).rows(cols, cols + gaps[2]);
    let bias = frame.buffer::<f32>(Role::In, if product.bias { Fit::Exact } else { Fit::Any }, n);
    let refused = frame.is_refused();
    let mut scratch = frame.scratch::<f32>(needed);
    if !refused && scratch.len() < needed {
        frame.expect(None);
    }
    let result = (|| {
        let (a, b, c) = (a.view()?, b.view()?, MatMut::with_row_stride(&mut c, rows, cols, cols + gaps[2])?);
        run(c, a, b, Epilogue { accumulate, bias: product.bias.then_some(&*bias), activation }, &mut scratch)
    })();
    frame.close(result, &[&a.data, &b.data, &c, &bias, &scratch])
}

/// Both precisions of B, on one thread.
fn alone(plan: &Plan, product: &Product, half: bool) {
    let needed = gemm_f32::matmul_scratch_len(product.m, product.n, product.k);
    on_every_isa(plan, |isa, frame| {
        if half {
            multiply::<f16>(product, frame, needed, |c, a, b, epilogue, scratch| {
                gemm_f16::matmul_with(isa, c, a, b, epilogue, scratch)
            })
        } else {
            multiply::<f32>(product, frame, needed, |c, a, b, epilogue, scratch| {
                gemm_f32::matmul_with(isa, c, a, b, epilogue, scratch)
            })
        }
    });
}

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn products_stay_within_their_slices(plan in plans(), product in products(sizes()), half in any::<bool>()) {
        alone(&plan, &product, half);
    }

    #[test]
    fn products_of_two_halves_stay_within_their_slices(plan in plans(), product in products([edges(), edges(), edges()])) {
        let Product { m, n, k, by_columns: [_, by_columns], gaps: [_, gap, _], accumulate, activation, .. } = product;
        on_every_isa(&plan, |isa, mut frame| {
            let a = frame.input::<f16>(m * k);
            let b = Operand::<f16>::new(&mut frame, k, n, by_columns, gap);
            let mut c = frame.buffer(if accumulate { Role::InOut } else { Role::Out }, Fit::AtLeast, m * n);
            let refused = frame.is_refused();
            let needed = gemm_f16::halves_scratch_len(m, n, k);
            let mut scratch = frame.scratch::<f32>(needed);
            if !refused && scratch.len() < needed {
                frame.expect(None);
            }
            let result = (|| {
                let epilogue = Epilogue { accumulate, bias: None, activation };
                gemm_f16::matmul_halves_with(isa, MatMut::new(&mut c, m, n)?, &a, b.view()?, epilogue, &mut scratch)
            })();
            frame.close(result, &[&a, &b.data, &c, &scratch])
        });
    }

    /// Views of any size over little memory: what is legal is computed, at once, and nothing panics.
    #[test]
    fn views_of_any_size_are_multiplied_or_refused(
        [m, n, k] in [wild(), wild(), wild()],
        more in [wild(), wild(), wild()],
        packed in any::<[bool; 3]>(),
        by_columns in any::<[bool; 2]>(),
        bias in any::<bool>(),
    ) {
        let stride = |i: usize, cols: usize| if packed[i] { cols } else { cols.saturating_add(more[i]) };
        fn operand<T: Copy>(data: &[T], rows: usize, cols: usize, stride: usize) -> Option<Mat<'_, T>> {
            let mat = Mat::with_row_stride(data, rows, cols, stride).ok()?;
            for all in [mat, mat.t()] {
                let (rows, cols) = (all.rows(), all.cols());
                let parts = [all.rows_range(0, 0), all.rows_range(rows, rows), all.cols_range(cols, cols)];
                assert_eq!(parts.map(|part| (part.rows(), part.cols())), [(0, cols), (0, cols), (rows, 0)]);
                assert_eq!(all.rows_range(0, rows).cols_range(0, cols).rows(), rows);
            }
            Some(mat)
        }
        let (numbers, halves, mut out, mut scratch) = ([1.5f32; 24], [f16::ONE; 24], [0.0f32; 24], [0.0f32; 4096]);
        let (rows, cols) = if by_columns[0] { (k, m) } else { (m, k) };
        let a = operand(&numbers, rows, cols, stride(0, cols)).map(|a| if by_columns[0] { a.t() } else { a });
        let (rows, cols) = if by_columns[1] { (n, k) } else { (k, n) };
        let b = operand(&numbers, rows, cols, stride(1, cols)).map(|b| if by_columns[1] { b.t() } else { b });
        let half = operand(&halves, rows, cols, stride(1, cols)).map(|b| if by_columns[1] { b.t() } else { b });
        let bias = if bias && n <= numbers.len() { Some(&numbers[..n]) } else { None };
        let epilogue = Epilogue { accumulate: packed[0], bias, activation: Activation::Relu };
        let Some(((a, b), half)) = a.zip(b).zip(half) else { return Ok(()) };
        for isa in Isa::available() {
            let Ok(c) = MatMut::with_row_stride(&mut out, m, n, stride(2, n)) else { return Ok(()) };
            prop_assert_eq!(gemm_f32::matmul_with(isa, c, a, b, epilogue, &mut scratch), Ok(()));
            let Ok(c) = MatMut::with_row_stride(&mut out, m, n, stride(2, n)) else { return Ok(()) };
            prop_assert_eq!(gemm_f16::matmul_with(isa, c, a, half, epilogue, &mut scratch), Ok(()));
        }
    }

    #[test]
    fn lengths_of_scratch_are_told_for_any_size([m, n, k] in [wild(), wild(), wild()]) {
        let alone = gemm_f32::matmul_scratch_len(m, n, k);
        prop_assert!(gemm_f16::halves_scratch_len(m, n, k) >= alone.max(m.saturating_mul(k)));
        prop_assert!([0, alone].contains(&gemm_f32::linear_scratch_len(m, n, k)));
    }
}

proptest! {
    #![proptest_config(cases(128))]

    /// The instruction set is the library's choice here.
    #[test]
    fn the_fastest_products_stay_within_their_slices(plan in plans(), product in products(sizes())) {
        let needed = gemm_f32::matmul_scratch_len(product.m, product.n, product.k);
        twice(&plan, |frame| multiply::<f32>(&product, frame, needed, gemm_f32::matmul));
        twice(&plan, |frame| multiply::<f16>(&product, frame, needed, gemm_f16::matmul));
    }
}

proptest! {
    #![proptest_config(cases(32))]

    /// Of several groups of panels, and of several blocks of `k`.
    #[test]
    fn large_products_stay_within_their_slices(
        plan in plans(),
        product in products(prop_oneof![
            [125..140usize, 17..40usize, 641..660usize],
            [25..40usize, 257..300usize, 641..660usize],
        ]),
    ) {
        alone(&plan, &product, false);
    }
}
