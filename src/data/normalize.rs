//! From raw pixels to what a network is trained on: always `z = pixel · scale + offset`.

use super::dataset::Dataset;
use super::error::DataError;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Mean of MNIST's training pixels on `[0, 1]`, as the field rounds it.
pub const MNIST_MEAN: f64 = 0.1307;
/// Standard deviation of MNIST's training pixels on `[0, 1]`, as the field rounds it.
pub const MNIST_STD: f64 = 0.3081;

/// A normalisation as a person names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NormalizeKind {
    /// Pixels over 255: `[0, 1]`.
    #[default]
    Unit,
    /// Each image minus its own mean, over its own (population) standard deviation.
    Image,
    /// `[0, 1]` pixels minus a mean over a standard deviation: 0.1307 and 0.3081 for MNIST, else measured from the train split.
    MeanStd,
}

impl NormalizeKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Unit, Self::Image, Self::MeanStd];

    /// The name on the command line and in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unit => "unit",
            Self::Image => "image",
            Self::MeanStd => "mean-std",
        }
    }

    /// The normalisation with its numbers: measured over the images `train` of `data` where they are needed and not known.
    ///
    /// # Errors
    /// [`DataError::Rule`] if a standard deviation of 0 was measured, or an index is beyond the data set.
    pub fn resolve(self, data: &Dataset, train: &[u32]) -> Result<Normalize, DataError> {
        match self {
            Self::Unit => Ok(Normalize::Unit),
            Self::Image => Ok(Normalize::Image),
            Self::MeanStd if data.name() == Some("mnist") => Normalize::mean_std(MNIST_MEAN, MNIST_STD),
            Self::MeanStd => {
                let mut sums = Sums::default();
                for &index in train {
                    let index = index as usize;
                    if index >= data.len() {
                        let expected = format!("an index below {}", data.len());
                        return Err(DataError::value("the train split", "samples exist", expected, index));
                    }
                    sums.add(data.image(index));
                }
                let (mean, std) = sums.mean_std();
                Normalize::mean_std(mean / 255.0, std / 255.0)
            }
        }
    }
}

impl fmt::Display for NormalizeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for NormalizeKind {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| {
            DataError::value("normalize", "a known normalisation", "unit, image or mean-std", format!("{text:?}"))
        })
    }
}

/// A normalisation with its numbers, as a model file keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub enum Normalize {
    /// Pixels over 255: `[0, 1]`.
    Unit,
    /// Each image minus its own mean, over its own (population) standard deviation; a flat image becomes zeros.
    Image,
    /// `(pixel / 255 − mean) / std`.
    MeanStd {
        /// Mean of the pixels on `[0, 1]`.
        mean: f64,
        /// Standard deviation of the pixels on `[0, 1]`.
        std: f64,
    },
}

impl Normalize {
    /// [`Normalize::MeanStd`] with its numbers checked.
    ///
    /// # Errors
    /// [`DataError::Rule`] if the mean is not finite, or the standard deviation is not finite and positive.
    pub fn mean_std(mean: f64, std: f64) -> Result<Self, DataError> {
        if !mean.is_finite() {
            return Err(DataError::value("normalize mean-std", "the mean is finite", "a number", mean));
        }
        // Also as f32, in which the pixels are computed.
        if !(1.0 / (255.0 * std) as f32).is_finite() || !(mean / std).is_finite() || std <= 0.0 || !std.is_finite() {
            let rule = "the standard deviation is finite and above 0";
            return Err(DataError::value("normalize mean-std", rule, "a positive number", std));
        }
        Ok(Self::MeanStd { mean, std })
    }

    /// What a person calls it.
    #[must_use]
    pub const fn kind(&self) -> NormalizeKind {
        match self {
            Self::Unit => NormalizeKind::Unit,
            Self::Image => NormalizeKind::Image,
            Self::MeanStd { .. } => NormalizeKind::MeanStd,
        }
    }

    /// `[scale, offset]` of `z = pixel · scale + offset`, if they are the same for every image.
    #[must_use]
    pub fn constant(&self) -> Option<[f32; 2]> {
        let (scale, offset) = self.affine(&[]);
        (*self != Self::Image).then_some([scale, offset])
    }

    /// `(scale, offset)` of `z = pixel · scale + offset` for the raw pixels of one image.
    #[must_use]
    pub fn affine(&self, image: &[u8]) -> (f32, f32) {
        match *self {
            Self::Unit => (1.0 / 255.0, 0.0),
            Self::Image => {
                let (mean, std) = image_mean_std(image);
                if std > 0.0 { ((1.0 / std) as f32, (-mean / std) as f32) } else { (0.0, 0.0) }
            }
            Self::MeanStd { mean, std } => ((1.0 / (255.0 * std)) as f32, (-mean / std) as f32),
        }
    }
}

impl fmt::Display for Normalize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MeanStd { mean, std } => write!(f, "mean-std (mean {mean}, std {std})"),
            other => f.write_str(other.kind().name()),
        }
    }
}

/// As a file holds it, not yet checked.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Written {
    Unit,
    Image,
    MeanStd { mean: f64, std: f64 },
}

impl TryFrom<Written> for Normalize {
    type Error = DataError;

    fn try_from(written: Written) -> Result<Self, DataError> {
        match written {
            Written::Unit => Ok(Self::Unit),
            Written::Image => Ok(Self::Image),
            Written::MeanStd { mean, std } => Self::mean_std(mean, std),
        }
    }
}

impl From<Normalize> for Written {
    fn from(normalize: Normalize) -> Self {
        match normalize {
            Normalize::Unit => Self::Unit,
            Normalize::Image => Self::Image,
            Normalize::MeanStd { mean, std } => Self::MeanStd { mean, std },
        }
    }
}

/// Mean and population standard deviation of raw pixels (0 to 255); zeros for no pixels.
#[must_use]
pub fn image_mean_std(image: &[u8]) -> (f64, f64) {
    let mut sums = Sums::default();
    sums.add(image);
    sums.mean_std()
}

/// Exact sums of pixels: whole numbers, so their order does not matter.
#[derive(Default)]
struct Sums {
    count: u64,
    sum: u64,
    squares: u64,
}

impl Sums {
    /// Adds an image.
    fn add(&mut self, image: &[u8]) {
        for pixels in image.chunks(4096) {
            let (mut sum, mut squares) = (0u32, 0u32); // 4096 · 255² < 2³²
            for &pixel in pixels {
                let pixel = u32::from(pixel);
                sum += pixel;
                squares += pixel * pixel;
            }
            self.count += pixels.len() as u64;
            self.sum += u64::from(sum);
            self.squares += u64::from(squares);
        }
    }

    /// `mean = S/n`, `sd = √((n·Q − S²) / n²)`: exact up to the quotient, so nothing cancels.
    fn mean_std(&self) -> (f64, f64) {
        if self.count == 0 {
            return (0.0, 0.0);
        }
        let (n, sum, squares) = (u128::from(self.count), u128::from(self.sum), u128::from(self.squares));
        let spread = n * squares - sum * sum; // never negative (Cauchy and Schwarz)
        (self.sum as f64 / self.count as f64, (spread as f64 / (n * n) as f64).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::super::dataset::tests::mnist;
    use super::*;
    use proptest::prelude::*;

    /// Study 2's example: train image 0, a 5, pixels over 256, to the last digit.
    #[test]
    fn image_matches_the_report() {
        let train = &mnist().train;
        assert_eq!(train.label(0), 5);
        let (mean, std) = image_mean_std(train.image(0));
        assert_eq!(mean / 256.0, 0.137_142_259_247_448_97);
        assert_eq!(std / 256.0, 0.311_128_237_998_466_06);
    }

    /// MNIST's own numbers, measured, round to the constants; by name they are the constants.
    #[test]
    fn mean_std_of_mnist() {
        let train = &mnist().train;
        let all: Vec<u32> = (0..60_000).collect();
        let known = NormalizeKind::MeanStd.resolve(train, &all).unwrap();
        assert_eq!(known, Normalize::MeanStd { mean: 0.1307, std: 0.3081 });
        let unnamed =
            Dataset::new(train.images()[..784 * 2].to_vec(), train.labels()[..2].to_vec(), 28, 28, 10).unwrap();
        let Normalize::MeanStd { mean, std } = NormalizeKind::MeanStd.resolve(&unnamed, &[0]).unwrap() else {
            panic!()
        };
        let (want_mean, want_std) = image_mean_std(train.image(0));
        assert_eq!((mean, std), (want_mean / 255.0, want_std / 255.0));
        let mut sums = Sums::default();
        sums.add(train.images());
        let (mean, std) = sums.mean_std();
        assert_eq!(format!("{:.4} {:.4}", mean / 255.0, std / 255.0), "0.1307 0.3081");
    }

    #[test]
    fn flat_images_become_zeros_and_flat_sets_are_refused() {
        assert_eq!(Normalize::Image.affine(&[7; 9]), (0.0, 0.0));
        assert_eq!(Normalize::Image.affine(&[]), (0.0, 0.0));
        let flat = Dataset::new(vec![7; 8], vec![0, 1], 2, 2, 10).unwrap();
        let message = NormalizeKind::MeanStd.resolve(&flat, &[0, 1]).unwrap_err().to_string();
        assert!(message.contains("above 0") && message.contains("found 0"), "{message}");
        assert!(NormalizeKind::MeanStd.resolve(&flat, &[2]).is_err());
        assert!(NormalizeKind::MeanStd.resolve(&flat, &[]).is_err());
    }

    #[test]
    fn files_are_checked() {
        for normalize in [Normalize::Unit, Normalize::Image, Normalize::MeanStd { mean: 0.1307, std: 0.3081 }] {
            let json = serde_json::to_string(&normalize).unwrap();
            assert_eq!(serde_json::from_str::<Normalize>(&json).unwrap(), normalize, "{json}");
        }
        assert_eq!(serde_json::to_string(&Normalize::Unit).unwrap(), r#""unit""#);
        for (mean, std) in [("0.1", "0.0"), ("0.1", "-1.0"), ("0.1", "1e-300"), ("1e300", "1e-30"), ("0.1", "null")] {
            let json = format!(r#"{{"mean-std":{{"mean":{mean},"std":{std}}}}}"#);
            assert!(serde_json::from_str::<Normalize>(&json).is_err(), "{json}");
        }
        for kind in NormalizeKind::ALL {
            assert_eq!(kind.to_string().parse::<NormalizeKind>().unwrap(), kind);
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("{:?}", kind.name()));
        }
        let message = "zscore".parse::<NormalizeKind>().unwrap_err().to_string();
        assert_eq!(message, r#"normalize: a known normalisation: expected unit, image or mean-std, found "zscore""#);
    }

    proptest! {
        /// Against two plain passes over the pixels.
        #[test]
        fn image_is_a_z_score(image in prop::collection::vec(any::<u8>(), 1..9000)) {
            let (mean, std) = image_mean_std(&image);
            let n = image.len() as f64;
            let want_mean = image.iter().map(|&p| f64::from(p)).sum::<f64>() / n;
            let want_std = (image.iter().map(|&p| (f64::from(p) - want_mean).powi(2)).sum::<f64>() / n).sqrt();
            prop_assert!((mean - want_mean).abs() < 1e-9 && (std - want_std).abs() < 1e-9);
            let (scale, offset) = Normalize::Image.affine(&image);
            prop_assert!(scale.is_finite() && offset.is_finite());
            if std > 0.0 {
                let z = f64::from(scale) * f64::from(image[0]) + f64::from(offset);
                prop_assert!((z - (f64::from(image[0]) - mean) / std).abs() < 1e-4 * (1.0 + mean / std));
            }
        }
    }
}
