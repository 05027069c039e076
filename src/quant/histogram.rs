//! What a tensor holds for some images, counted, and the ranges that four calibrators read from it.

use super::qparams::QParams;

/// Bars of a histogram.
const BARS: usize = 2048;

/// Ranges that are tried, each a part of the whole: the smallest leaves out nine tenths of it.
const TRIES: usize = 90;

/// Levels of a byte.
const LEVELS: usize = 256;

/// How many numbers fell between `low` and `high`, in bars of one width.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Histogram {
    low: f64,
    high: f64,
    counts: Vec<u64>,
}

/// The smallest and the largest of some numbers, and 0; infinite if one of them is none.
pub(super) fn extremes(values: &[f32], (low, high): (f32, f32)) -> (f32, f32) {
    let all = values.iter().fold((low, high), |(low, high), x| (low.min(*x), high.max(*x)));
    if values.iter().any(|x| x.is_nan()) { (f32::NEG_INFINITY, f32::INFINITY) } else { all }
}

impl Histogram {
    /// Of no number yet.
    pub(super) fn new((low, high): (f32, f32)) -> Self {
        Self { low: low.into(), high: high.into(), counts: vec![0; BARS] }
    }

    fn width(&self) -> f64 {
        (self.high - self.low) / BARS as f64
    }

    /// Counts `values`.
    pub(super) fn add(&mut self, values: &[f32]) {
        let (low, per) = (self.low as f32, if self.width() > 0.0 { (1.0 / self.width()) as f32 } else { 0.0 });
        for x in values {
            // Numbers that are none count as the first: their networks are refused elsewhere.
            let bar = ((x - low) * per) as usize;
            self.counts[bar.min(BARS - 1)] += 1;
        }
    }

    /// Counts what `other`, of the same range, counted.
    pub(super) fn merge(&mut self, other: &Self) {
        for (count, other) in self.counts.iter_mut().zip(&other.counts) {
            *count += other;
        }
    }

    /// The middle of a bar.
    fn middle(&self, bar: usize) -> f64 {
        self.low + (bar as f64 + 0.5) * self.width()
    }

    /// The whole range.
    pub(super) const fn all(&self) -> (f64, f64) {
        (self.low, self.high)
    }

    /// Without the `share` of all numbers that is smallest, and the one that is largest.
    pub(super) fn percentile(&self, share: f64) -> (f64, f64) {
        let total: u64 = self.counts.iter().sum();
        let most = (total as f64 * share) as u64;
        let cut = |counts: &mut dyn Iterator<Item = &u64>| {
            let mut sum = 0;
            counts
                .take_while(|count| {
                    sum += **count;
                    sum <= most
                })
                .count()
        };
        let (below, above) = (cut(&mut self.counts.iter()), cut(&mut self.counts.iter().rev()));
        let (low, high) = (self.low + below as f64 * self.width(), self.high - above as f64 * self.width());
        if low < high { (low.min(0.0), high.max(0.0)) } else { self.all() }
    }

    /// Parts of the range, the whole one first.
    fn tries(&self) -> impl Iterator<Item = (f64, f64)> + use<> {
        let (low, high) = (self.low, self.high);
        (0..TRIES).map(move |t| 1.0 - 0.01 * t as f64).map(move |part| (part * low, part * high))
    }

    /// The range whose bytes are nearest to the numbers, by the sum of the squares of the differences.
    pub(super) fn least_squares(&self) -> (f64, f64) {
        let error = |range: (f64, f64)| {
            let params = QParams::of_range(range.0, range.1);
            let square = |(bar, count): (usize, &u64)| {
                let x = self.middle(bar);
                *count as f64 * (x - params.real(params.quantize(x))).powi(2)
            };
            self.counts.iter().enumerate().filter(|(_, count)| **count > 0).map(square).sum::<f64>()
        };
        least(self.tries(), error).unwrap_or(self.all())
    }

    /// The range whose distribution differs least from the whole one by Kullback's and Leibler's measure, as TensorRT chooses it: what lies
    /// outside counts at its ends, and each level stands for the bars that it covers, but for empty ones.
    pub(super) fn least_divergence(&self) -> (f64, f64) {
        if self.width() <= 0.0 {
            return self.all();
        }
        let bar_of = |x: f64| (((x - self.low) / self.width()) as usize).min(BARS - 1);
        // A byte stands for 0 exactly, so that zeros, half of what comes out of a ReLU, cost nothing in any range: their bar is taken to be as high
        // as the one beside it.
        let (mut counts, zero) = (self.counts.clone(), bar_of(0.0));
        counts[zero] = counts[if zero + 1 < BARS { zero + 1 } else { zero - 1 }];
        let cost = |(low, high): (f64, f64)| divergence(&counts, bar_of(low), bar_of(high - 1e-9 * self.width()));
        least(self.tries(), cost).unwrap_or(self.all())
    }
}

/// Kullback's and Leibler's measure of all bars against what levels make of bars `first..=last`.
fn divergence(counts: &[u64], first: usize, last: usize) -> f64 {
    let inside = &counts[first..=last];
    let sum = |counts: &[u64]| counts.iter().sum::<u64>() as f64;
    let (total, kept, levels) = (sum(counts), sum(inside), LEVELS.min(inside.len()));
    if kept == 0.0 {
        return f64::INFINITY;
    }
    let outside = |bar: usize| {
        let below = if bar == 0 { sum(&counts[..first]) } else { 0.0 };
        below + if bar + 1 == inside.len() { sum(&counts[last + 1..]) } else { 0.0 }
    };
    let mut divergence = 0.0;
    for level in 0..levels {
        let bars = level * inside.len() / levels..(level + 1) * inside.len() / levels;
        let covered = &inside[bars.clone()];
        let filled = covered.iter().filter(|count| **count > 0).count();
        let mean = sum(covered) / filled.max(1) as f64;
        for (bar, count) in bars.zip(covered) {
            let p = (*count as f64 + outside(bar)) / total;
            // Where the reference has something and the levels have nothing, an end was filled from outside.
            let q = if *count > 0 { mean / kept } else { 1e-9 };
            if p > 0.0 {
                divergence += p * (p / q).ln();
            }
        }
    }
    divergence
}

/// The first of the least.
fn least(ranges: impl Iterator<Item = (f64, f64)>, cost: impl Fn((f64, f64)) -> f64) -> Option<(f64, f64)> {
    let mut best: Option<(f64, (f64, f64))> = None;
    for range in ranges {
        let cost = cost(range);
        if best.is_none_or(|(least, _)| cost < least) {
            best = Some((cost, range));
        }
    }
    best.map(|(_, range)| range)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f32]) -> Histogram {
        let mut histogram = Histogram::new(extremes(values, (0.0, 0.0)));
        histogram.add(values);
        histogram
    }

    #[test]
    fn zeros_cost_no_divergence() {
        // Numbers as they come out of a ReLU: an exponential distribution, then as many zeros again.
        let mut values: Vec<f32> = (0..200_000).map(|i| -(1.0 - (i as f32 + 0.5) / 200_000.0).ln()).collect();
        let range = of(&values).least_divergence();
        values.resize(500_000, 0.0);
        assert_eq!(of(&values).least_divergence(), range);
        assert!(range.0 == 0.0 && range.1 > 5.0, "{range:?}: what is clipped is under a hundredth");
        let mirrored: Vec<f32> = values.iter().map(|x| -x).collect();
        let (low, high) = of(&mirrored).least_divergence();
        assert!(high == 0.0 && low < -5.0, "{low}");
    }

    #[test]
    fn percentiles_leave_out_what_is_rare() {
        let mut values: Vec<f32> = (0..100_000).map(|i| i as f32 / 100_000.0).collect();
        values.push(50.0);
        let histogram = of(&values);
        assert_eq!(histogram.all(), (0.0, 50.0));
        let (low, high) = histogram.percentile(1e-4);
        assert!(low == 0.0 && high < 1.1, "{low} {high}");
    }

    /// Two far numbers are worth clipping if half a million others get smaller steps for it.
    #[test]
    fn least_ranges_weigh_clipping_against_steps() {
        let mut values: Vec<f32> = (0..400_000u64).map(|i| ((i * 7919 % 400_000) as f32 / 200_000.0) - 1.0).collect();
        values.extend([-2.0, 2.0]);
        let histogram = of(&values);
        let (low, high) = histogram.least_squares();
        assert!((0.9..1.3).contains(&high) && low == -high, "{low} {high}");
        // Divergence hardly minds empty bars, but nearly all numbers stay inside.
        let (low, high) = histogram.least_divergence();
        assert!((0.9..=2.0).contains(&high) && low == -high, "{low} {high}");
    }

    #[test]
    fn tensors_that_are_always_zero_have_a_range() {
        let histogram = of(&[0.0; 10]);
        for range in
            [histogram.all(), histogram.percentile(1e-4), histogram.least_squares(), histogram.least_divergence()]
        {
            assert_eq!(range, (0.0, 0.0));
        }
    }

    #[test]
    fn counts_add_up() {
        let (mut a, b) = (of(&[0.0, 1.0, -1.0]), of(&[1.0, 0.5, -1.0]));
        a.merge(&b);
        assert_eq!(a.counts.iter().sum::<u64>(), 6);
        assert_eq!((a.counts[0], a.counts[BARS - 1]), (2, 2));
    }
}
