//! Gradients that are too long, shortened.

use super::spread::spread;
use crate::error::ShapeError;
use crate::kernels::{Isa, elementwise};

/// Elements in a piece: where the cuts are decides the order of the sums, so they depend on nothing else.
const GRAIN: usize = 16 * 1024;
/// Added to the norm, as PyTorch does, so that nothing is divided by 0.
const GUARD: f64 = 1e-6;

/// Multiplies `grads` by `most / (‖grads‖ + 1e-6)` if that is below 1 (`clip_grad_norm_` of PyTorch). The norm is Euclid's, over all parameters, its
/// sum in f64. A gradient with an element that is not finite stays as it is: the loss will tell.
pub(super) fn by_norm(isa: Isa, most: f64, grads: &mut [f32]) -> Result<(), ShapeError> {
    let norm = squares(grads).sqrt();
    let factor = most / (norm + GUARD);
    if norm.is_finite() && factor < 1.0 {
        spread(grads, GRAIN, &|part: &mut [f32]| {
            elementwise::scale(isa, factor as f32, part);
            Ok(())
        })?;
    }
    Ok(())
}

/// `Σ x²`, halves added to each other: the same for any number of threads.
fn squares(x: &[f32]) -> f64 {
    if x.len() <= GRAIN {
        // Eight sums side by side, which do not wait for each other.
        let mut sums = [0.0; 8];
        let (whole, rest) = x.as_chunks::<8>();
        for x in whole {
            for (sum, x) in sums.iter_mut().zip(x) {
                *sum += f64::from(*x) * f64::from(*x);
            }
        }
        return sums.iter().sum::<f64>() + rest.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>();
    }
    let pieces = x.len().div_ceil(GRAIN);
    let (left, right) = x.split_at(pieces / 2 * GRAIN);
    let (left, right) = rayon::join(|| squares(left), || squares(right));
    left + right
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_gradients_get_the_norm_and_short_ones_stay() {
        let isa = Isa::best();
        let mut grads: Vec<f32> = (0..50_000).map(|i| ((i * 7919) % 101) as f32 / 50.0 - 1.0).collect();
        let before = grads.clone();
        let norm = before.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        by_norm(isa, norm * 1.01, &mut grads).unwrap();
        assert_eq!(grads, before);
        by_norm(isa, 2.0, &mut grads).unwrap();
        let clipped = grads.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        assert!((clipped - 2.0).abs() < 1e-5, "{clipped}");
        let ratio = f64::from(grads[3]) / f64::from(before[3]);
        assert!((ratio - 2.0 / norm).abs() < 1e-6 * ratio, "{ratio}");
        for special in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut broken = vec![1.0, special];
            by_norm(isa, 0.1, &mut broken).unwrap();
            assert_eq!([1.0f32.to_bits(), special.to_bits()], [broken[0].to_bits(), broken[1].to_bits()]);
        }
        by_norm(isa, 1.0, &mut []).unwrap();
    }

    #[test]
    fn threads_change_no_bit() {
        let grads: Vec<f32> = (0..100_003).map(|i| ((i * 7919) % 1013) as f32 / 500.0 - 1.0).collect();
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut grads = grads.clone();
            pool.install(|| by_norm(Isa::best(), 1.0, &mut grads)).unwrap();
            grads
        };
        assert!(run(1) == run(2) && run(1) == run(3));
    }
}
