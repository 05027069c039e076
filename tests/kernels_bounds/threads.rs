//! The kernels that several threads share.

use crate::conv::{channels, endings, epilogue, shapes};
use crate::frame::{Fit, Role, cases, plans, twice};
use crate::gemm_f32::{multiply, products};
use crate::size::{edges, three, wild};
use inkstone::kernels::conv::Conv;
use inkstone::kernels::pixels::Pixels;
use inkstone::kernels::{Epilogue, Isa, f16, gemm_f32, parallel};
use proptest::prelude::*;

/// As many pixels and channels that threads share them.
fn shared_shapes() -> impl Strategy<Value = Conv> {
    let any = ([2..5usize, 8..17usize, 12..15usize, 12..15usize], 8..17usize, 1..5usize);
    let transformed = ([2..5usize, 16..25usize, 12..15usize, 12..15usize], 16..25usize, Just(3usize));
    prop_oneof![any, transformed].prop_map(|([n, c_in, h, w], c_out, side)| {
        Conv::new([n, c_in, h, w], [c_out, c_in, side, side], 1, 1, 1).unwrap()
    })
}

proptest! {
    #![proptest_config(cases(32))]

    /// Shared by two threads, where they are large enough.
    #[test]
    fn shared_products_stay_within_their_slices(
        plan in plans(),
        product in products(prop_oneof![
            three(edges(), edges(), edges()),
            [60..130usize, 60..130usize, 120..300usize],
            [100..300usize, 10..40usize, 257..400usize],
            [1..3usize, 600..700usize, 600..700usize],
        ]),
        half in any::<bool>(),
    ) {
        let needed = parallel::matmul_scratch_len(product.m, product.n, product.k);
        // More threads than there may be cores.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        for isa in Isa::available() {
            pool.install(|| {
                twice(&plan, |frame| {
                    if half {
                        multiply::<f16>(&product, frame, needed, |c, a, b, epilogue, scratch| {
                            parallel::matmul_f16(isa, c, a, b, epilogue, scratch)
                        })
                    } else {
                        multiply::<f32>(&product, frame, needed, |c, a, b, epilogue, scratch| {
                            parallel::matmul(isa, c, a, b, epilogue, scratch)
                        })
                    }
                });
            });
        }
    }
}

proptest! {
    #![proptest_config(cases(48))]

    /// Forward, and both gradients, by two threads.
    #[test]
    fn shared_convolutions_stay_within_their_slices(
        plan in plans(),
        shape in prop_oneof![shapes(), shared_shapes()],
        ending in endings(),
    ) {
        const THREADS: usize = 2;
        let pool = rayon::ThreadPoolBuilder::new().num_threads(THREADS).build().unwrap();
        for isa in Isa::available() {
            pool.install(|| {
                twice(&plan, |mut frame| {
                    let (input, weight) = (frame.input(shape.input_len()), frame.input(shape.weight_len()));
                    let role = if ending.accumulate { Role::InOut } else { Role::Out };
                    let mut out = frame.buffer(role, Fit::Exact, shape.output_len());
                    let bias = frame.buffer(Role::In, if ending.bias { Fit::Exact } else { Fit::Any }, channels(&shape));
                    let mut scratch = frame.scratch(parallel::conv2d_scratch_len(&shape, THREADS));
                    let epilogue = epilogue(ending, &bias);
                    let result = parallel::conv2d(isa, &shape, &input, &weight, epilogue, &mut out, &mut scratch);
                    frame.close(result, &[&input, &weight, &out, &bias, &scratch])
                });
                twice(&plan, |mut frame| {
                    let (input, weight) = (frame.input(shape.input_len()), frame.input(shape.weight_len()));
                    let mut out = frame.output(shape.output_len());
                    let mut scratch = frame.scratch(parallel::conv2d_scratch_len(&shape, THREADS));
                    let epilogue = Epilogue::default();
                    let result = parallel::conv2d_f16(isa, &shape, &input, &weight, epilogue, &mut out, &mut scratch);
                    frame.close(result, &[&input, &weight, &out, &scratch])
                });
                twice(&plan, |mut frame| {
                    let (d_out, weight) = (frame.input(shape.output_len()), frame.input(shape.weight_len()));
                    let mut d_input = frame.output(shape.input_len());
                    let mut scratch = frame.scratch(parallel::conv2d_d_input_scratch_len(&shape, THREADS));
                    let result = parallel::conv2d_d_input(isa, &shape, &d_out, &weight, &mut d_input, &mut scratch);
                    frame.close(result, &[&d_out, &weight, &d_input, &scratch])
                });
                twice(&plan, |mut frame| {
                    let (input, d_out) = (frame.input(shape.input_len()), frame.input(shape.output_len()));
                    let mut d_weight = frame.output(shape.weight_len());
                    let mut scratch = frame.scratch(parallel::conv2d_d_weight_scratch_len(&shape));
                    let result = parallel::conv2d_d_weight(isa, &shape, &input, &d_out, &mut d_weight, &mut scratch);
                    frame.close(result, &[&input, &d_out, &d_weight, &scratch])
                });
            });
        }
    }
}

proptest! {
    #![proptest_config(cases(16))]

    /// By three threads, where there are enough rows.
    #[test]
    fn shared_layers_over_pixels_stay_within_their_slices(
        plan in plans(),
        [rows, width, outputs] in [1..400usize, 1..900usize, 1..12usize],
    ) {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        for isa in Isa::available() {
            pool.install(|| {
                twice(&plan, |mut frame| {
                    let (bytes, weight) = (frame.input(rows * width), frame.input(outputs * width));
                    let mut y = frame.output(rows * outputs);
                    let x = Pixels::new(&bytes, rows, width, 1.0 / 255.0, -0.5);
                    let result = x.and_then(|x| parallel::linear(isa, x, &weight, Epilogue::default(), &mut y));
                    frame.close(result, &[&bytes, &weight, &y])
                });
                twice(&plan, |mut frame| {
                    let (bytes, d_y) = (frame.input(rows * width), frame.input(rows * outputs));
                    let mut d_weight = frame.output(outputs * width);
                    let x = Pixels::new(&bytes, rows, width, 1.0 / 255.0, -0.5);
                    let result = x.and_then(|x| parallel::linear_d_weight(isa, x, &d_y, &mut d_weight));
                    frame.close(result, &[&bytes, &d_y, &d_weight])
                });
            });
        }
    }
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn lengths_of_scratch_are_told_for_any_size([m, n, k] in [wild(), wild(), wild()], threads in wild()) {
        prop_assert!(parallel::matmul_scratch_len(m, n, k) >= gemm_f32::matmul_scratch_len(m, n, k));
        let Ok(shape) = Conv::new([m, 4, n, n], [4, 4, k, k], 1, k / 2, 1) else { return Ok(()) };
        prop_assert!(parallel::conv2d_scratch_len(&shape, threads) >= shape.scratch_len());
        prop_assert!(parallel::conv2d_d_input_scratch_len(&shape, threads) >= shape.d_input_scratch_len());
        prop_assert!(parallel::conv2d_d_weight_scratch_len(&shape) > 0);
    }
}
