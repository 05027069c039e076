//! Accuracy of the functions against f64, and every kernel at sizes around a register on every instruction set.

extern crate std;
use super::*;
use std::{vec, vec::Vec};

/// Error of `got` in units in the last place of `want` as a float.
fn ulps(got: f32, want: f64) -> f64 {
    let exponent = want.abs().max(f64::from(f32::MIN_POSITIVE)).log2().floor();
    (f64::from(got) - want).abs() / (exponent - 23.0).exp2()
}

/// Values from tiny to huge of both signs.
fn sweep() -> Vec<f32> {
    let mut values = vec![0.0, f32::MIN_POSITIVE, 1e-20];
    let mut x = 1e-6f32;
    while x < 200.0 {
        values.push(x);
        x *= 1.000_7;
    }
    let negative: Vec<f32> = values.iter().map(|x| -x).collect();
    values.extend(negative);
    values
}

#[test]
fn curved_activations_stay_within_their_documented_error_on_every_isa() {
    for isa in Isa::available() {
        for (activation, exact, limit) in [
            (Activation::Tanh, f64::tanh as fn(f64) -> f64, TANH_ULP),
            (Activation::Sigmoid, |x| 1.0 / (1.0 + (-x).exp()), SIGMOID_ULP),
        ] {
            let x = sweep();
            let mut y = x.clone();
            activate(isa, activation, &mut y);
            let mut worst: (f64, f32) = (0.0, 0.0);
            for (x, y) in x.iter().zip(&y) {
                let want = exact(f64::from(*x));
                if want.abs() < f64::from(f32::MIN_POSITIVE) {
                    assert!(y.abs() <= f32::MIN_POSITIVE, "{isa} {activation:?}({x}) = {y}");
                } else if ulps(*y, want) > worst.0 {
                    worst = (ulps(*y, want), *x);
                }
            }
            std::println!("{isa} {activation:?}: worst {:.2} ulp at {}", worst.0, worst.1);
            assert!(worst.0 <= limit, "{isa} {activation:?} {worst:?}");
        }
    }
}

#[test]
fn exp_stays_within_its_documented_error_on_every_isa() {
    struct Exp<'a>(&'a mut [f32]);
    impl Kernel for Exp<'_> {
        type Output = ();
        #[inline(always)]
        fn eval<S: Simd>(self, simd: S) {
            for x in self.0.chunks_exact_mut(S::LANES) {
                simd.store(exp(simd, simd.load(x)), x);
            }
        }
    }
    for isa in Isa::available() {
        let mut x: Vec<f32> = (-87_000..88_008).map(|i| i as f32 * 1e-3).collect();
        let want: Vec<f64> = x.iter().map(|x| f64::from(*x).exp()).collect();
        isa.run(Exp(&mut x));
        let worst = x.iter().zip(&want).fold(0.0, |worst: f64, (x, want)| worst.max(ulps(*x, *want)));
        std::println!("{isa} exp: worst {worst:.2} ulp");
        assert!(worst <= EXP_ULP, "{isa} {worst}");
        let mut ends = [0.0; 16];
        ends[..8].copy_from_slice(&[f32::NEG_INFINITY, -200.0, f32::INFINITY, 200.0, f32::NAN, 0.0, 88.72, -0.0]);
        isa.run(Exp(&mut ends));
        assert_eq!(ends[..4], [0.0, 0.0, f32::INFINITY, f32::INFINITY], "{isa}");
        assert!(ends[4].is_nan() && ends[5] == 1.0 && ends[6].is_finite() && ends[7] == 1.0, "{isa} {ends:?}");
    }
}

#[test]
fn special_values_pass_through_activations_on_every_isa() {
    for isa in Isa::available() {
        for len in [1, 4, 5, 8, 11] {
            for at in 0..len {
                for (activation, x, want) in [
                    (Activation::Tanh, f32::INFINITY, 1.0),
                    (Activation::Tanh, f32::NEG_INFINITY, -1.0),
                    (Activation::Sigmoid, f32::INFINITY, 1.0),
                    (Activation::Sigmoid, f32::NEG_INFINITY, 0.0),
                    (Activation::Relu, f32::NEG_INFINITY, 0.0),
                    (Activation::Relu, f32::INFINITY, f32::INFINITY),
                ] {
                    let mut values = vec![0.5; len];
                    values[at] = x;
                    activate(isa, activation, &mut values);
                    assert_eq!(values[at], want, "{isa} {activation:?}({x})");
                    values.fill(0.5);
                    values[at] = f32::NAN;
                    activate(isa, activation, &mut values);
                    assert!(values[at].is_nan(), "{isa} {activation:?}(NaN)");
                }
            }
        }
    }
}

#[test]
fn gradients_sums_and_pixels_match_plain_loops_at_every_size_on_every_isa() {
    for isa in Isa::available() {
        for len in (0..20).chain([31, 32, 33, 64, 65, 100]) {
            let y: Vec<f32> = (0..len).map(|i| ((i * 7) % 11) as f32 / 11.0 - 0.3).collect();
            let dy: Vec<f32> = (0..len).map(|i| ((i * 5) % 13) as f32 - 6.0).collect();
            for activation in [Activation::Identity, Activation::Relu, Activation::Tanh, Activation::Sigmoid] {
                let mut got = dy.clone();
                activate_backward(isa, activation, &y, &mut got).unwrap();
                for i in 0..len {
                    let (y, dy) = (f64::from(y[i]), f64::from(dy[i]));
                    let want = match activation {
                        Activation::Identity => dy,
                        Activation::Relu => {
                            if y > 0.0 {
                                dy
                            } else {
                                0.0
                            }
                        }
                        Activation::Tanh => dy * (1.0 - y * y),
                        Activation::Sigmoid => dy * y * (1.0 - y),
                    };
                    assert!((f64::from(got[i]) - want).abs() <= 1e-6 * want.abs(), "{isa} {activation:?} {len} {i}");
                }
            }
            let rows = 5;
            let x: Vec<f32> = (0..rows * len).map(|i| (i % 17) as f32 * 0.25).collect();
            let mut sums = vec![f32::NAN; len];
            column_sums(isa, &x, &mut sums).unwrap();
            for j in 0..len {
                assert_eq!(sums[j], (0..rows).map(|i| x[i * len + j]).sum::<f32>(), "{isa} {len} {j}");
            }
            let pixels: Vec<u8> = (0..len).map(|i| (i * 37 % 256) as u8).collect();
            let mut out = vec![f32::NAN; len];
            pixels_to_f32(isa, &pixels, 0.25, -1.0, &mut out).unwrap();
            for i in 0..len {
                assert_eq!(out[i], f32::from(pixels[i]) * 0.25 - 1.0, "{isa} {len} {i}");
            }
        }
    }
}

#[test]
fn lengths_that_differ_are_refused() {
    assert!(activate_backward(Isa::SCALAR, Activation::Relu, &[0.0; 3], &mut [0.0; 4]).is_err());
    assert!(column_sums(Isa::SCALAR, &[0.0; 7], &mut [0.0; 3]).is_err());
    assert!(column_sums(Isa::SCALAR, &[0.0; 7], &mut []).is_err() && column_sums(Isa::SCALAR, &[], &mut []).is_ok());
    assert!(pixels_to_f32(Isa::SCALAR, &[0; 3], 1.0, 0.0, &mut [0.0; 2]).is_err());
}
