//! Batch normalisation against f64 at sizes around a register on every instruction set, its gradients against central differences too.

extern crate std;
use super::*;
use crate::kernels::testing::uniform;
use crate::reference::{self, Exact, UNIT_ROUNDOFF, gamma};
use std::{println, vec, vec::Vec};

/// Samples, channels and elements of a plane: around a register of `lanes`, and larger.
fn sizes(lanes: usize) -> Vec<[usize; 3]> {
    let mut sizes = vec![[1, 1, 1], [1, 2, 2], [3, 10, 49], [2, 3, 784], [64, 5, 1], [2, 100, 1], [128, 2, 3]];
    for len in [1, lanes - 1, lanes, lanes + 1, 2 * lanes + 1, 4 * lanes, 7 * lanes + 3] {
        if len > 0 {
            sizes.extend([[2, 3, len], [4, len, 1]]);
        }
    }
    sizes
}

/// Values far from 0 beside their deviation: what one pass would lose.
fn values(len: usize, seed: u64) -> Vec<f32> {
    uniform(len, seed).iter().map(|x| x + 3.0).collect()
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn statistics_stay_within_their_bound_on_every_isa() {
    for isa in Isa::available() {
        println!("isa {isa}");
        for size in sizes(isa.lanes()) {
            let planes = Planes::new(size).unwrap();
            let c = planes.channels();
            let x = values(planes.len(), 1);
            let (mut want, mut want_variance) = (vec![Exact::default(); c], vec![f64::NAN; c]);
            reference::batch_norm_statistics_f64(&planes, &x, &mut want, &mut want_variance).unwrap();
            let (mut mean, mut variance) = (vec![f32::NAN; c], vec![f32::NAN; c]);
            statistics(isa, &planes, &x, &mut mean, &mut variance).unwrap();
            let k = planes.plane() + planes.samples() + 2;
            for i in 0..c {
                let bound = gamma(k) * want[i].magnitude;
                let error = (f64::from(mean[i]) - want[i].sum).abs();
                assert!(error <= bound, "{isa} {size:?} mean {i}: {} {}", mean[i], want[i].sum);
                let bound = gamma(k + 3) * (want_variance[i] + bound * bound) + bound * bound;
                let error = (f64::from(variance[i]) - want_variance[i]).abs();
                assert!(error <= bound, "{isa} {size:?} variance {i}: {} {}", variance[i], want_variance[i]);
            }
        }
    }
}

#[test]
fn a_nan_shows_in_its_channel_and_in_no_other() {
    for isa in Isa::available() {
        for size in [[2, 3, isa.lanes() + 1], [2, isa.lanes() + 1, 1]] {
            let planes = Planes::new(size).unwrap();
            for at in 0..planes.len() {
                let mut x = values(planes.len(), 2);
                x[at] = f32::NAN;
                let (mut mean, mut variance) = (vec![0.0; planes.channels()], vec![0.0; planes.channels()]);
                statistics(isa, &planes, &x, &mut mean, &mut variance).unwrap();
                for i in 0..planes.channels() {
                    let spoilt = i == at / planes.plane() % planes.channels();
                    assert_eq!([mean[i].is_nan(), variance[i].is_nan()], [spoilt; 2], "{isa} {size:?} {at} {i}");
                }
            }
        }
    }
}

#[test]
fn lines_match_f64_and_activations_follow_on_every_isa() {
    for isa in Isa::available() {
        for size in sizes(isa.lanes()) {
            let planes = Planes::new(size).unwrap();
            let c = planes.channels();
            let (x, scale, shift) = (values(planes.len(), 3), uniform(c, 4), uniform(c, 5));
            let run = |activation| {
                let mut out = vec![f32::NAN; planes.len()];
                apply(isa, &planes, &x, [&scale, &shift], activation, &mut out).unwrap();
                let mut again = x.clone();
                apply_in_place(isa, &planes, &mut again, [&scale, &shift], activation).unwrap();
                assert_eq!(bits(&out), bits(&again), "{isa} {size:?} in place");
                out
            };
            let plain = run(Activation::Identity);
            for (i, got) in plain.iter().enumerate() {
                let channel = i / planes.plane() % c;
                let product = f64::from(x[i]) * f64::from(scale[channel]);
                let shift = f64::from(shift[channel]);
                let error = (f64::from(*got) - product - shift).abs();
                assert!(error <= gamma(2) * (product.abs() + shift.abs()), "{isa} {size:?} at {i}: {got}");
            }
            for activation in [Activation::Relu, Activation::Tanh] {
                let mut want = plain.clone();
                elementwise::activate(isa, activation, &mut want);
                assert_eq!(bits(&run(activation)), bits(&want), "{isa} {size:?} {activation:?}");
            }
        }
    }
}

#[test]
fn folds_stay_within_their_bound() {
    let variance = [1.0, 0.25, 0.3, 1e-5, 0.0, 1e-40, 2e38, 1e-30, 7.5];
    let (gamma, beta, mean) = (values(9, 6), uniform(9, 7), values(9, 8));
    for eps in [1e-5, 1e-3, 1e-30, 0.1] {
        let (mut scale, mut shift, mut inv_std) = ([f32::NAN; 9], [f32::NAN; 9], [f32::NAN; 9]);
        let norm = Norm { mean: &mean, variance: &variance, gamma: &gamma, beta: &beta, eps };
        norm.fold(&mut scale, &mut shift).unwrap();
        inverse_deviation(&variance, eps, &mut inv_std).unwrap();
        let relative = UNIT_ROUNDOFF + (-50f64).exp2();
        for i in 0..9 {
            let want = 1.0 / (f64::from(variance[i]) + f64::from(eps)).sqrt();
            assert!((f64::from(inv_std[i]) - want).abs() <= relative * want, "{i}: {} {want}", inv_std[i]);
            let want = f64::from(gamma[i]) * want;
            assert!((f64::from(scale[i]) - want).abs() <= relative * want.abs(), "{i}: {} {want}", scale[i]);
            let (beta, product) = (f64::from(beta[i]), f64::from(mean[i]) * f64::from(scale[i]));
            let bound = UNIT_ROUNDOFF * (beta - product).abs() + (-52f64).exp2() * (beta.abs() + product.abs());
            assert!((f64::from(shift[i]) - (beta - product)).abs() <= bound, "{i}: {}", shift[i]);
        }
    }
    let mut inv_std = [0.0; 4];
    inverse_deviation(&[0.0, -1.0, f32::NAN, f32::INFINITY], 0.0, &mut inv_std).unwrap();
    assert!(inv_std[0] == f32::INFINITY && inv_std[1].is_nan() && inv_std[2].is_nan() && inv_std[3] == 0.0);
}

/// The gradients by `x`, `gamma` and `beta`, on buffers of NaN.
fn gradients(isa: Isa, planes: &Planes, forward: Forward<'_>, d_out: &[f32]) -> [Vec<f32>; 3] {
    let c = planes.channels();
    let (mut x, mut gamma, mut beta) = (vec![f32::NAN; planes.len()], vec![f32::NAN; c], vec![f32::NAN; c]);
    backward(isa, planes, forward, d_out, Grads { x: &mut x, gamma: &mut gamma, beta: &mut beta }).unwrap();
    [x, gamma, beta]
}

#[test]
fn gradients_stay_within_their_bound_on_every_isa() {
    for isa in Isa::available() {
        for size in sizes(isa.lanes()) {
            let planes = Planes::new(size).unwrap();
            let c = planes.channels();
            let (x, d_out, weights) = (values(planes.len(), 9), uniform(planes.len(), 10), uniform(c, 11));
            let (mean, inv_std) = (values(c, 12), values(c, 13)); // any will do: the bound takes them as given
            let forward = Forward { x: &x, mean: &mean, inv_std: &inv_std, gamma: &weights };
            let mut want = [planes.len(), c, c].map(|len| vec![Exact::default(); len]);
            let [d_x, d_gamma, d_beta] = &mut want;
            reference::batch_norm_backward_f64(&planes, forward, &d_out, d_x, [d_gamma, d_beta]).unwrap();
            let bound = gamma(planes.plane() + planes.samples() + 12);
            let got = gradients(isa, &planes, forward, &d_out);
            for (name, (got, want)) in ["d_x", "d_gamma", "d_beta"].iter().zip(got.iter().zip(&want)) {
                for (i, (got, want)) in got.iter().zip(want).enumerate() {
                    let error = (f64::from(*got) - want.sum).abs();
                    assert!(error <= bound * want.magnitude, "{isa} {size:?} {name} at {i}: {got} {want:?}");
                }
            }
        }
    }
}

/// `Σ d_out · out` of the whole layer in f64, statistics taken from `x`.
fn loss(planes: &Planes, x: &[f64], gamma: &[f64], beta: &[f64], eps: f64, d_out: &[f32]) -> f64 {
    let (c, plane, count) = (planes.channels(), planes.plane(), planes.count() as f64);
    let mut loss = 0.0;
    for channel in 0..c {
        let at = || (0..x.len()).filter(|i| i / plane % c == channel);
        let mean = at().map(|i| x[i]).sum::<f64>() / count;
        let variance = at().map(|i| (x[i] - mean).powi(2)).sum::<f64>() / count;
        let out = |i: usize| gamma[channel] * (x[i] - mean) / (variance + eps).sqrt() + beta[channel];
        loss += at().map(|i| f64::from(d_out[i]) * out(i)).sum::<f64>();
    }
    loss
}

/// The mean and the deviation depend on `x` too: differences of the loss know.
#[test]
fn gradients_match_central_differences() {
    const EPS: f32 = 1e-3;
    const STEP: f64 = 1e-5; // f64 leaves 1e-11 of each slope in doubt, f32 of the kernel some 1e-6
    for size in [[3, 2, 4], [2, 3, 9], [6, 3, 1], [4, 11, 1]] {
        let planes = Planes::new(size).unwrap();
        let c = planes.channels();
        let (x, d_out) = (values(planes.len(), 14), uniform(planes.len(), 15));
        let (weights, summands) = (values(c, 16), uniform(c, 17));
        let wide = |x: &[f32]| x.iter().map(|x| f64::from(*x)).collect::<Vec<_>>();
        let parameters = [wide(&x), wide(&weights), wide(&summands)];
        let slope = |which: usize, i: usize| {
            let at = |step: f64| {
                let mut moved = parameters.clone();
                moved[which][i] += step;
                loss(&planes, &moved[0], &moved[1], &moved[2], f64::from(EPS), &d_out)
            };
            (at(STEP) - at(-STEP)) / (2.0 * STEP)
        };
        for isa in Isa::available() {
            let (mut mean, mut variance, mut inv_std) = (vec![f32::NAN; c], vec![f32::NAN; c], vec![f32::NAN; c]);
            statistics(isa, &planes, &x, &mut mean, &mut variance).unwrap();
            inverse_deviation(&variance, EPS, &mut inv_std).unwrap();
            let forward = Forward { x: &x, mean: &mean, inv_std: &inv_std, gamma: &weights };
            for (which, got) in gradients(isa, &planes, forward, &d_out).iter().enumerate() {
                let largest = got.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
                for (i, got) in got.iter().enumerate() {
                    let (got, want) = (f64::from(*got), slope(which, i));
                    let near = (got - want).abs() <= 5e-6 * f64::from(largest.max(1.0));
                    assert!(near, "{isa} {size:?} {which} {i}: {got} {want}");
                }
            }
        }
    }
}

#[test]
fn shapes_and_buffers_that_do_not_fit_are_refused() {
    assert!(matches!(Planes::new([1, 0, 4]), Err(ShapeError::Range { got: 0, .. })));
    assert!(matches!(Planes::new([1, 4, 0]), Err(ShapeError::Range { got: 0, .. })));
    assert_eq!(Planes::new([0, usize::MAX, 2]), Err(ShapeError::Overflow));
    assert_eq!(Planes::new([usize::MAX, 2, 1]), Err(ShapeError::Overflow));
    let isa = Isa::best();
    let empty = Planes::new([0, 2, 4]).unwrap();
    let (mut two, mut more) = ([0.0; 2], [f32::NAN; 2]);
    assert!(matches!(statistics(isa, &empty, &[], &mut two, &mut more), Err(ShapeError::Range { .. })));
    let forward = Forward { x: &[], mean: &[0.0; 2], inv_std: &[1.0; 2], gamma: &[1.0; 2] };
    assert_eq!(gradients(isa, &empty, forward, &[]), [vec![], vec![0.0; 2], vec![0.0; 2]]);
    apply(isa, &empty, &[], [&two, &more], Activation::Relu, &mut []).unwrap();

    let planes = Planes::new([1, 2, 4]).unwrap();
    let (x, mut out) = ([0.0; 8], [0.0; 8]);
    assert!(statistics(isa, &planes, &x[1..], &mut two, &mut more).is_err());
    assert!(statistics(isa, &planes, &x, &mut two[1..], &mut more).is_err());
    assert!(statistics(isa, &planes, &x, &mut two, &mut more[1..]).is_err());
    assert!(apply(isa, &planes, &x[1..], [&two, &two], Activation::Relu, &mut out).is_err());
    assert!(apply(isa, &planes, &x, [&two[1..], &two], Activation::Relu, &mut out).is_err());
    assert!(apply_in_place(isa, &planes, &mut out[1..], [&two, &two], Activation::Relu).is_err());
    let forward = Forward { x: &x, mean: &two, inv_std: &two, gamma: &two[1..] };
    let (mut gamma, mut beta) = ([0.0; 2], [0.0; 2]);
    let grads = Grads { x: &mut out, gamma: &mut gamma, beta: &mut beta };
    assert!(backward(isa, &planes, forward, &x, grads).is_err());
    let norm = Norm { mean: &two, variance: &two, gamma: &two, beta: &two[1..], eps: 1e-5 };
    assert!(norm.fold(&mut gamma, &mut beta).is_err());
    assert!(inverse_deviation(&two, 1e-5, &mut gamma[1..]).is_err());
}
