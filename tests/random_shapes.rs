//! Products and convolutions of drawn shapes on every instruction set, between scratch of NaN: the sizes that nobody thought of. Numbers
//! are small and whole, so the sums are exact in f32 and all instruction sets must agree to the bit, but for Winograd's fractions.

use inkstone::kernels::conv::{self, Conv};
use inkstone::kernels::gemm_i8::{self, Weights};
use inkstone::kernels::{
    Epilogue, Isa, conv_i8, f16, gemm_f16, matmul_scratch_len, matmul_with, requantize::Multiplier,
    requantize::Requantize,
};
use inkstone::view::{Mat, MatMut};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Shapes of each kind.
const SHAPES: u64 = 250;

/// Numbers from the stream of one shape.
struct Draw(ChaCha8Rng);

impl Draw {
    fn new(kind: u64, number: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(kind * 1_000_003 + number))
    }

    fn below(&mut self, end: usize) -> usize {
        ((u64::from(self.0.next_u32()) * end as u64) >> 32) as usize
    }

    /// 1 to about `most`, small ones as often as large ones.
    fn size(&mut self, most: usize) -> usize {
        let bits = (most as f64).ln() * (self.below(10_000) as f64 / 10_000.0);
        (bits.exp() as usize).max(1) + self.below(3) * self.below(2)
    }

    fn whole(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| self.below(7) as f32 - 3.0).collect()
    }

    fn bytes(&mut self, len: usize) -> Vec<i8> {
        (0..len).map(|_| self.below(256) as u8 as i8).collect()
    }
}

fn view<T>(data: &[T], rows: usize, cols: usize, turned: bool) -> Mat<'_, T> {
    if turned { Mat::new(data, cols, rows).unwrap().t() } else { Mat::new(data, rows, cols).unwrap() }
}

#[test]
fn products_in_f32_and_f16_agree_on_every_isa() {
    for number in 0..SHAPES {
        let mut draw = Draw::new(1, number);
        let [m, n, k] = [draw.size(260), draw.size(260), draw.size(1500)];
        let (a, b) = (draw.whole(m * k), draw.whole(k * n));
        let halves: Vec<f16> = b.iter().map(|b| f16::from_f32(*b)).collect();
        for turned in 0..4 {
            let mut want: Option<Vec<f32>> = None;
            for isa in Isa::available() {
                let (left, scratch_len) = (view(&a, m, k, turned & 1 > 0), matmul_scratch_len(m, n, k));
                let mut got = vec![f32::NAN; m * n];
                let (c, b) = (MatMut::new(&mut got, m, n).unwrap(), view(&b, k, n, turned & 2 > 0));
                matmul_with(isa, c, left, b, Epilogue::default(), &mut vec![f32::NAN; scratch_len]).unwrap();
                let want = want.get_or_insert_with(|| got.clone());
                assert!(got == *want, "{isa} {m}x{n}x{k}, turned {turned}");
                got.fill(f32::NAN);
                let (c, b) = (MatMut::new(&mut got, m, n).unwrap(), view(&halves, k, n, turned & 2 > 0));
                let mut scratch = vec![f32::NAN; gemm_f16::halves_scratch_len(m, n, k)];
                gemm_f16::matmul_with(isa, c, left, b, Epilogue::default(), &mut scratch).unwrap();
                assert!(got == *want, "{isa} {m}x{n}x{k} with weights of f16, turned {turned}");
            }
        }
    }
}

#[test]
fn products_of_bytes_agree_on_every_isa() {
    for number in 0..SHAPES {
        let mut draw = Draw::new(2, number);
        let [m, n, k] = [draw.size(200), draw.size(200), draw.size(1200)];
        let (x, w, bias) = (draw.bytes(m * k), draw.bytes(n * k), draw.whole(n));
        let bias: Vec<i32> = bias.iter().map(|b| *b as i32 * 1000).collect();
        let by = Multiplier { multiplier: 1_400_000_000, shift: (7 + number % 5) as u8 };
        let (multiplier, shift) = (vec![by.multiplier; n], vec![i32::from(by.shift); n]);
        let rule = Requantize::new(&bias, &multiplier, &shift, 3, (-120, 127)).unwrap();
        let mut want: Option<(Vec<i32>, Vec<i8>)> = None;
        for isa in Isa::available() {
            let (x, w) = (Mat::new(&x, m, k).unwrap(), Mat::new(&w, n, k).unwrap());
            let (mut sums, mut outs) = (vec![i32::MIN; m * n], vec![0x55; m * n]);
            let mut scratch = vec![i32::MAX; gemm_i8::scratch_len(isa, m, n, k)];
            gemm_i8::matmul_i32(isa, MatMut::new(&mut sums, m, n).unwrap(), x, w, &mut scratch).unwrap();
            scratch.fill(i32::MAX);
            gemm_i8::matmul(isa, MatMut::new(&mut outs, m, n).unwrap(), x, w, rule, &mut scratch).unwrap();
            let want = want.get_or_insert_with(|| (sums.clone(), outs.clone()));
            assert!((&sums, &outs) == (&want.0, &want.1), "{isa} {m}x{n}x{k}");

            let mut buffer = vec![i32::MAX; Weights::packed_len(isa, n, k)];
            let weights = Weights::pack(isa, w, &mut buffer).unwrap();
            sums.fill(i32::MIN);
            outs.fill(0x55);
            let mut scratch = vec![i32::MAX; weights.scratch_len(m)];
            weights.matmul_i32(MatMut::new(&mut sums, m, n).unwrap(), x, &mut scratch).unwrap();
            scratch.fill(i32::MAX);
            weights.matmul(MatMut::new(&mut outs, m, n).unwrap(), x, rule, &mut scratch).unwrap();
            assert!((&sums, &outs) == (&want.0, &want.1), "{isa} {m}x{n}x{k}, packed before");
        }
    }
}

/// A convolution whose kernel fits its images.
fn convolution(draw: &mut Draw) -> Conv {
    let groups = [1, 1, 1, 1, 2, 3, 8, 16][draw.below(8)];
    let (c_in, c_out) = (groups * draw.size(40 / groups), groups * draw.size(40 / groups));
    let (kh, kw) = [(3, 3), (3, 3), (1, 1), (5, 5), (2, 3)][draw.below(5)];
    let (stride, padding) = (1 + draw.below(3) / 2, draw.below(3));
    let (h, w) = (kh + draw.below(30), kw + draw.below(40));
    Conv::new([1 + draw.below(3), c_in, h, w], [c_out, c_in / groups, kh, kw], stride, padding, groups).unwrap()
}

/// Whether all are as wanted, but for Winograd's rounding of small whole numbers.
fn close(got: &[f32], want: &[f32]) -> bool {
    got.len() == want.len() && got.iter().zip(want).all(|(got, want)| (got - want).abs() <= 2e-3 * (1.0 + want.abs()))
}

#[test]
fn convolutions_in_f32_and_their_gradients_agree_on_every_isa() {
    for number in 0..SHAPES {
        let mut draw = Draw::new(3, number);
        let conv = convolution(&mut draw);
        let (x, w, d) = (draw.whole(conv.input_len()), draw.whole(conv.weight_len()), draw.whole(conv.output_len()));
        let mut want: Option<[Vec<f32>; 3]> = None;
        for isa in Isa::available() {
            let mut got = [conv.output_len(), conv.input_len(), conv.weight_len()].map(|len| vec![f32::NAN; len]);
            let scratch = |len| vec![f32::NAN; len];
            let [out, d_x, d_w] = &mut got;
            let epilogue = Epilogue::default();
            conv::conv2d(isa, &conv, &x, &w, epilogue, out, &mut scratch(conv.scratch_len())).unwrap();
            conv::conv2d_d_input(isa, &conv, &d, &w, d_x, &mut scratch(conv.d_input_scratch_len())).unwrap();
            conv::conv2d_d_weight(isa, &conv, &x, &d, d_w, &mut scratch(conv.d_weight_scratch_len())).unwrap();
            let want = want.get_or_insert_with(|| got.clone());
            for (what, (got, want)) in ["forward", "d_input", "d_weight"].iter().zip(got.iter().zip(&*want)) {
                assert!(close(got, want), "{isa} {what} {conv:?}");
            }
        }
    }
}

#[test]
fn convolutions_of_bytes_agree_on_every_isa() {
    for number in 0..SHAPES {
        let mut draw = Draw::new(4, number);
        let conv = convolution(&mut draw);
        let (x, w) = (draw.bytes(conv.input_len()), draw.bytes(conv.weight_len()));
        let input = conv_i8::Input { bytes: &x, zero_point: draw.below(256) as u8 as i8 };
        let [_, channels, ..] = conv.output();
        let bias: Vec<i32> = (0..channels as i32).map(|c| 500 * c - 7000).collect();
        let (multiplier, shift) = (vec![1_400_000_000; channels], vec![(number % 9) as i32 + 3; channels]);
        let rule = Requantize::new(&bias, &multiplier, &shift, -4, (-128, 127)).unwrap();
        let mut want: Option<(Vec<i32>, Vec<i8>)> = None;
        for isa in Isa::available() {
            let (mut sums, mut outs) = (vec![i32::MIN; conv.output_len()], vec![0x55; conv.output_len()]);
            let mut scratch = vec![i32::MAX; conv_i8::scratch_len(isa, &conv)];
            conv_i8::conv2d_i32(isa, &conv, input, &w, &mut sums, &mut scratch).unwrap();
            scratch.fill(i32::MAX);
            conv_i8::conv2d(isa, &conv, input, &w, rule, &mut outs, &mut scratch).unwrap();
            let want = want.get_or_insert_with(|| (sums.clone(), outs.clone()));
            assert!((&sums, &outs) == (&want.0, &want.1), "{isa} {conv:?}");
        }
    }
}
