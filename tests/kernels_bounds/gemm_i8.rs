//! Products of bytes, as they come and with weights packed before.

use crate::frame::{Buffer, Element, Fit, Frame, Outcome, Role, cases, on_every_isa, plans};
use crate::size::{edges, three, wild};
use inkstone::error::ShapeError;
use inkstone::kernels::Isa;
use inkstone::kernels::gemm_i8::{self, Weights};
use inkstone::kernels::requantize::Requantize;
use inkstone::view::{Mat, MatMut};
use proptest::prelude::*;

/// What becomes of sums: the constants of their channels, between guards as other inputs are.
pub(crate) struct Constants {
    pub(crate) bias: Buffer<i32>,
    pub(crate) multiplier: Buffer<i32>,
    pub(crate) shift: Buffer<i32>,
}

impl Constants {
    pub(crate) fn new(frame: &mut Frame, channels: usize) -> Self {
        let bias = frame.input::<i32>(channels);
        let multiplier = frame.input::<i32>(channels).map(|_, x| x & i32::MAX);
        let shift = frame.input::<i32>(channels).map(|i, x| if i % 2 == 0 { x & 7 } else { x & 31 });
        Self { bias, multiplier, shift }
    }

    pub(crate) fn requantize(&self) -> Result<Requantize<'_>, ShapeError> {
        Requantize::new(&self.bias, &self.multiplier, &self.shift, -3, (-100, 127))
    }
}

/// `x [m, k]` and `w [n, k]`; rows of `x`, `w` and `c` are `gaps` apart.
#[derive(Clone, Copy, Debug)]
struct Product {
    m: usize,
    n: usize,
    k: usize,
    gaps: [usize; 3],
    /// Bits taken off each weight, which decides how they are packed.
    less: u32,
    /// One weight in so many keeps all of its bits.
    outliers: usize,
    wrong: Option<usize>,
}

fn products() -> impl Strategy<Value = Product> {
    let sizes = prop_oneof![
        6 => [edges(), edges(), edges()],
        2 => three(edges(), edges(), 100..300usize),
        1 => [260..290usize, 13..40usize, 600..650usize],
    ];
    let gaps = prop_oneof![Just([0; 3]), [0..4usize, 0..4usize, 0..4usize]];
    let wrong = prop::option::weighted(0.1, 0..3usize);
    (sizes, gaps, 0..3u32, 1..200usize, wrong).prop_map(|([m, n, k], gaps, less, outliers, wrong)| Product {
        m,
        n,
        k,
        gaps,
        less,
        outliers,
        wrong,
    })
}

fn span(rows: usize, cols: usize, gap: usize) -> usize {
    if rows == 0 || cols == 0 { 0 } else { (rows - 1) * (cols + gap) + cols }
}

impl Product {
    fn wrong(&self, which: usize) -> usize {
        usize::from(self.wrong == Some(which))
    }

    fn x(&self, frame: &mut Frame) -> Buffer<i8> {
        frame.refuse_if(self.wrong.is_some());
        frame.buffer(Role::In, Fit::AtLeast, span(self.m, self.k, self.gaps[0]))
    }

    fn x_view<'a>(&self, x: &'a [i8]) -> Result<Mat<'a, i8>, ShapeError> {
        Mat::with_row_stride(x, self.m, self.k, self.k + self.gaps[0])
    }

    fn w(&self, frame: &mut Frame) -> Buffer<i8> {
        let len = span(self.n, self.k + self.wrong(2), self.gaps[1]);
        let Self { less, outliers, .. } = *self;
        frame.buffer(Role::In, Fit::AtLeast, len).map(|i, w: i8| if i % outliers == 0 { w } else { w >> less })
    }

    fn w_view<'a>(&self, w: &'a [i8]) -> Result<Mat<'a, i8>, ShapeError> {
        let k = self.k + self.wrong(2);
        Mat::with_row_stride(w, self.n, k, k + self.gaps[1])
    }

    fn c<T: Element>(&self, frame: &mut Frame) -> Buffer<T> {
        let (rows, cols) = (self.m + self.wrong(0), self.n + self.wrong(1));
        frame.buffer(Role::Out, Fit::AtLeast, span(rows, cols, self.gaps[2])).rows(cols, cols + self.gaps[2])
    }

    fn c_view<'a, T>(&self, c: &'a mut [T]) -> Result<MatMut<'a, T>, ShapeError> {
        let (rows, cols) = (self.m + self.wrong(0), self.n + self.wrong(1));
        MatMut::with_row_stride(c, rows, cols, cols + self.gaps[2])
    }

    fn sums(&self, isa: Isa, mut frame: Frame) -> Outcome {
        let (x, w, mut c) = (self.x(&mut frame), self.w(&mut frame), self.c(&mut frame));
        let mut scratch = frame.scratch(gemm_i8::scratch_len(isa, self.m, self.n, self.k));
        let result = (|| {
            let (x, w) = (self.x_view(&x)?, self.w_view(&w)?);
            gemm_i8::matmul_i32(isa, self.c_view(&mut c)?, x, w, &mut scratch)
        })();
        frame.close(result, &[&x, &w, &c, &scratch])
    }

    fn bytes(&self, isa: Isa, mut frame: Frame) -> Outcome {
        let (x, w, mut c) = (self.x(&mut frame), self.w(&mut frame), self.c(&mut frame));
        let by = Constants::new(&mut frame, self.n);
        let mut scratch = frame.scratch(gemm_i8::scratch_len(isa, self.m, self.n, self.k));
        let result = (|| {
            let (x, w) = (self.x_view(&x)?, self.w_view(&w)?);
            gemm_i8::matmul(isa, self.c_view(&mut c)?, x, w, by.requantize()?, &mut scratch)
        })();
        frame.close(result, &[&x, &w, &c, &by.bias, &by.multiplier, &by.shift, &scratch])
    }

    /// The same for few rows, without a way to pack.
    fn few(&self, isa: Isa, mut frame: Frame) -> Outcome {
        let (x, w, mut c) = (self.x(&mut frame), self.w(&mut frame), self.c(&mut frame));
        let by = Constants::new(&mut frame, self.n);
        let mut scratch = frame.scratch(gemm_i8::scratch_len(isa, self.m, self.n, self.k));
        frame.refuse_if(self.m + self.wrong(0) > 12);
        let result = (|| {
            let (x, w) = (self.x_view(&x)?, self.w_view(&w)?);
            gemm_i8::matmul_few(isa, self.c_view(&mut c)?, x, w, by.requantize()?, &mut scratch)
        })();
        frame.close(result, &[&x, &w, &c, &by.bias, &by.multiplier, &by.shift, &scratch])
    }

    /// Packs the weights between guards and multiplies by them. What packing leaves in its buffer is its own.
    fn packed_sums(&self, isa: Isa, mut frame: Frame) -> Outcome {
        let (x, w, mut c) = (self.x(&mut frame), self.w(&mut frame), self.c(&mut frame));
        let mut words = frame.scratch(Weights::packed_len(isa, self.n, self.k + self.wrong(2)));
        let mut scratch = frame.scratch(self.packed_scratch_len(isa, &w));
        let result = (|| {
            let weights = Weights::pack(isa, self.w_view(&w)?, &mut words)?;
            weights.matmul_i32(self.c_view(&mut c)?, self.x_view(&x)?, &mut scratch)
        })();
        frame.close(result, &[&x, &w, &c, &words, &scratch])
    }

    fn packed_bytes(&self, isa: Isa, mut frame: Frame) -> Outcome {
        let (x, w, mut c) = (self.x(&mut frame), self.w(&mut frame), self.c(&mut frame));
        let by = Constants::new(&mut frame, self.n);
        let mut words = frame.scratch(Weights::packed_len(isa, self.n, self.k + self.wrong(2)));
        let mut scratch = frame.scratch(self.packed_scratch_len(isa, &w));
        let result = (|| {
            let weights = Weights::pack(isa, self.w_view(&w)?, &mut words)?;
            weights.matmul(self.c_view(&mut c)?, self.x_view(&x)?, by.requantize()?, &mut scratch)
        })();
        frame.close(result, &[&x, &w, &c, &by.bias, &by.multiplier, &by.shift, &words, &scratch])
    }

    /// What the weights themselves decide, by the form in which they are packed.
    fn packed_scratch_len(&self, isa: Isa, w: &[i8]) -> usize {
        let mut words = vec![0; Weights::packed_len(isa, self.n, self.k + self.wrong(2))];
        let packed = self.w_view(w).and_then(|w| Ok(Weights::pack(isa, w, &mut words)?.scratch_len(self.m)));
        packed.unwrap_or(0)
    }
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn sums_stay_within_their_slices(plan in plans(), product in products()) {
        on_every_isa(&plan, |isa, frame| product.sums(isa, frame));
    }

    #[test]
    fn requantized_products_stay_within_their_slices(plan in plans(), product in products()) {
        on_every_isa(&plan, |isa, frame| product.bytes(isa, frame));
        on_every_isa(&plan, |isa, frame| product.few(isa, frame));
    }

    #[test]
    fn products_with_packed_weights_stay_within_their_slices(plan in plans(), product in products()) {
        on_every_isa(&plan, |isa, frame| product.packed_sums(isa, frame));
        on_every_isa(&plan, |isa, frame| product.packed_bytes(isa, frame));
    }

    /// Views of any size over little memory: what is legal is computed, at once, and nothing panics.
    #[test]
    fn views_of_any_size_are_multiplied_or_refused(
        [m, n, k] in [wild(), wild(), wild()],
        more in [wild(), wild(), wild()],
        by_columns in any::<[bool; 2]>(),
    ) {
        let operand = |i: usize, rows: usize, cols: usize| {
            let (rows, cols) = if by_columns[i] { (cols, rows) } else { (rows, cols) };
            let mat = Mat::with_row_stride(&[3i8; 24], rows, cols, cols.saturating_add(more[i]))?;
            Ok::<_, ShapeError>(if by_columns[i] { mat.t() } else { mat })
        };
        let (Ok(x), Ok(w)) = (operand(0, m, k), operand(1, n, k)) else { return Ok(()) };
        let by_rows = by_columns == [false; 2];
        let (mut out, mut scratch, mut words) = ([0i32; 24], [0i32; 1 << 12], [0i32; 1 << 12]);
        for isa in Isa::available() {
            let c = MatMut::with_row_stride(&mut out, m, n, n.saturating_add(more[2]));
            let Ok(c) = c else { return Ok(()) };
            let result = gemm_i8::matmul_i32(isa, c, x, w, &mut scratch);
            if by_rows && gemm_i8::scratch_len(isa, m, n, k) <= scratch.len() && k <= gemm_i8::MAX_K {
                prop_assert_eq!(result, Ok(()));
            }
            let Ok(c) = MatMut::with_row_stride(&mut out, m, n, n.saturating_add(more[2])) else { return Ok(()) };
            if let Ok(weights) = Weights::pack(isa, w, &mut words) {
                let needed = weights.scratch_len(m);
                let result = weights.matmul_i32(c, x, &mut scratch);
                prop_assert!(result.is_ok() || needed > scratch.len() || !by_rows, "{:?}", result);
            }
        }
    }

    #[test]
    fn lengths_of_scratch_are_told_for_any_size([m, n, k] in [wild(), wild(), wild()]) {
        for isa in Isa::available() {
            let _ = gemm_i8::scratch_len(isa, m, n, k);
            let _ = Weights::packed_len(isa, n, k);
            let (w, mut words) = ([1i8; 4], [0i32; 512]);
            let weights = Mat::new(&w, 2, 2).and_then(|w| Weights::pack(isa, w, &mut words)).unwrap();
            let _ = weights.scratch_len(m);
        }
    }
}

#[test]
fn sums_that_could_overflow_are_refused() {
    let (x, mut scratch, mut c) = (vec![1i8; gemm_i8::MAX_K + 1], vec![0; 1 << 18], [7i32]);
    for isa in Isa::available() {
        for k in [gemm_i8::MAX_K, gemm_i8::MAX_K + 1] {
            let row = Mat::new(&x, 1, k).unwrap();
            let result = gemm_i8::matmul_i32(isa, MatMut::new(&mut c, 1, 1).unwrap(), row, row, &mut scratch);
            assert_eq!(result.is_ok(), k == gemm_i8::MAX_K);
            assert_eq!(c, [gemm_i8::MAX_K as i32]);
            let mut words = vec![0; Weights::packed_len(isa, 1, k)];
            assert_eq!(Weights::pack(isa, row, &mut words).is_ok(), k == gemm_i8::MAX_K);
        }
    }
}
