//! What can be said of a few seeds, and of two networks on the same images.

pub use crate::train::sweep::median;
use serde::{Deserialize, Serialize};

/// Quantile of the normal distribution that leaves 2.5 % above it: of two-sided intervals of 95 %.
const Z_95: f64 = 1.959_963_984_540_054;

/// `Σx / n`
#[must_use]
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Standard deviation of a sample, `√(Σ(x − mean)² / (n − 1))`; none of fewer than two values.
#[must_use]
pub fn deviation(values: &[f64]) -> Option<f64> {
    let mean = mean(values)?;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (values.len() > 1).then(|| (squares / (values.len() - 1) as f64).sqrt())
}

/// The 95 % interval of a share of which `share · samples` were seen, both as fractions: Wilson, Journal of the American Statistical
/// Association 22 (1927), which stays within 0 and 1 where the normal approximation does not.
#[must_use]
pub fn binomial_interval(share: f64, samples: u64) -> [f64; 2] {
    let n = samples.max(1) as f64;
    let squared = Z_95 * Z_95 / n;
    let middle = (share + squared / 2.0) / (1.0 + squared);
    let half = Z_95 / (1.0 + squared) * (share * (1.0 - share) / n + squared / (4.0 * n)).sqrt();
    [(middle - half).max(0.0), (middle + half).min(1.0)]
}

/// Two networks on the same images: McNemar's test (Psychometrika 12, 1947) in its exact form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Paired {
    /// The two runs.
    pub runs: [String; 2],
    /// Images that only the first reads wrong, and only the second.
    pub only_wrong: [u64; 2],
    /// How probable a split at least as uneven is if both err alike: two-sided, of a fair coin.
    pub p: f64,
}

impl Paired {
    /// Of the images that each reads wrong, in ascending order.
    #[must_use]
    pub fn of(runs: [String; 2], wrong: [&[u32]; 2]) -> Self {
        let without = |these: &[u32], those: &[u32]| {
            these.iter().filter(|index| those.binary_search(index).is_err()).count() as u64
        };
        let only_wrong = [without(wrong[0], wrong[1]), without(wrong[1], wrong[0])];
        Self { runs, only_wrong, p: fair_coin(only_wrong) }
    }
}

/// How probable a split of throws of a fair coin at least as uneven as this is.
fn fair_coin([heads, tails]: [u64; 2]) -> f64 {
    let (n, fewer) = (heads + tails, heads.min(tails));
    // ln C(n, k) − n ln 2, from one k to the next: no factorial is ever formed.
    let (mut ln, mut sum) = (-(n as f64) * std::f64::consts::LN_2, 0.0);
    for k in 0..=fewer {
        sum += ln.exp();
        ln += ((n - k) as f64 / (k + 1) as f64).ln();
    }
    (2.0 * sum).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_values_by_hand() {
        assert_eq!((mean(&[]), deviation(&[1.0])), (None, None));
        assert_eq!((mean(&[1.0, 2.0, 6.0]), deviation(&[1.0, 2.0, 6.0])), (Some(3.0), Some(7f64.sqrt())));
    }

    /// 81 of 263, of Wilson's interval as textbooks print it (Newcombe 1998, method 3: 0.2553 to 0.3662).
    #[test]
    fn intervals_agree_with_published_ones() {
        let [low, high] = binomial_interval(81.0 / 263.0, 263);
        assert!((low - 0.2553).abs() < 5e-5 && (high - 0.3662).abs() < 5e-5, "{low} {high}");
        let [low, high] = binomial_interval(1.0, 20);
        assert!((low - 0.8389).abs() < 5e-5 && high == 1.0, "{low} {high}");
        // Nothing seen counts as one that was not: z² / (1 + z²) at the most.
        let [low, high] = binomial_interval(0.0, 0);
        assert!(low == 0.0 && (high - 0.7935).abs() < 5e-5, "{low} {high}");
    }

    #[test]
    fn mcnemar_is_a_fair_coin() {
        // 1 of 6: 2 · (1 + 6) / 64.
        assert!((fair_coin([1, 5]) - 14.0 / 64.0).abs() < 1e-12);
        assert_eq!((fair_coin([0, 0]), fair_coin([3, 3])), (1.0, 1.0));
        // 40 of 100, of tables of the binomial distribution: 0.0569.
        assert!((fair_coin([40, 60]) - 0.0569).abs() < 5e-5, "{}", fair_coin([40, 60]));
        assert!(fair_coin([2000, 4000]) < 1e-100);
        let pair = Paired::of(["a".to_owned(), "b".to_owned()], [&[1, 2, 5, 9], &[2, 3]]);
        assert_eq!(pair.only_wrong, [3, 1]);
    }
}
