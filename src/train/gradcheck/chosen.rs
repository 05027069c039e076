//! Six weights of one network, chosen beforehand, by backpropagation and by differences of a wide step: as reports on MNIST print them.
//!
//! The network is 784-128-10 with tanh on 28 by 28 pixels, its first weights PyTorch's, where a bias is the weight of a constant input. The loss
//! is the mean cross entropy of the first training images. All of it is in f64.
//!
//! A central difference `D(h) = (L(w + h) − L(w − h)) / 2h` is off by `h²·L'''(w)/6 + O(h⁴)`. So `D(2h) − D(h)` is three times the
//! error of `D(h)`, which says how large the difference may be without knowing the third derivative.

use super::oracle::Point;
use super::{GradcheckError, bound};
use crate::data::{Dataset, Normalize};
use crate::graph::{Graph, GraphError, Op};
use crate::shape::Shape;
use crate::train::{BiasKind, Initializer};
use serde::{Deserialize, Serialize};

/// Hidden units.
const HIDDEN: usize = 128;
/// By how much the second step is smaller: its error is a hundredth of the first one's.
const FINER: f64 = 10.0;
/// How often its estimate an error may be: the estimate leaves out `O(h⁴)`.
const ROOM: f64 = 2.0;
/// Roundings of f64 beside those of f32: `2⁻⁵³ / 2⁻²⁴`.
const F64_OVER_F32: f64 = 1.0 / (1u64 << 29) as f64;

/// Where to look, and how far to step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChosenOptions {
    /// Seed of the weights.
    pub seed: u64,
    /// Step of the central differences.
    pub eps: f64,
    /// Images in the batch, or all if there are fewer.
    pub batch: usize,
}

impl Default for ChosenOptions {
    /// Seed 1, steps of 0.01, ten images.
    fn default() -> Self {
        Self { seed: 1, eps: 1e-2, batch: 10 }
    }
}

/// Six gradients by backpropagation and by differences.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chosen {
    /// Seed of the weights.
    pub seed: u64,
    /// Images in the batch.
    pub batch: usize,
    /// Step of the differences.
    pub eps: f64,
    /// Mean cross entropy of the batch.
    pub loss: f64,
    /// By weight.
    pub rows: Vec<ChosenRow>,
}

impl Chosen {
    /// Whether every difference is within its bounds.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.rows.iter().all(ChosenRow::passed)
    }
}

/// One gradient.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChosenRow {
    /// The weight, as `w1[unit,input]` of the hidden layer, `w2[class,unit]` of the last, `b1[unit]` and `b2[class]`; all count from 0.
    pub name: String,
    /// The gradient by the formulas.
    pub backprop: f64,
    /// The central difference `D(eps)`.
    pub numerical: f64,
    /// `|backprop − numerical|`
    pub difference: f64,
    /// The largest that passes: twice the error that `|D(2·eps) − D(eps)| / 3` estimates, and the rounding of the losses over `eps`.
    pub bound: f64,
    /// The same difference with a step of `eps/10`, about a hundredth.
    pub finer: f64,
    /// The largest that passes: twice a hundredth of `difference`, and the rounding of the losses over `eps/10`.
    pub finer_bound: f64,
}

impl ChosenRow {
    /// Whether both differences are within their bounds.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.difference <= self.bound && self.finer <= self.finer_bound
    }
}

/// Compares the gradients of six weights of a 784-128-10 tanh network at the first images of `data`.
///
/// The weights are `w1[3,406]` and `w1[77,294]`, of the pixels in row 14, column 14 and in row 10, column 14; `b1[17]`; `w2[0,3]` and
/// `w2[5,77]`; `b2[9]`. In images of another size the pixels lie in the same parts of rows and columns, and classes are the first, the middle
/// one and the last. A pixel that is 0 in the whole batch has no gradient: the next one that is not, row by row, takes its place.
///
/// # Errors
/// [`GradcheckError::Eps`] for a step that cannot be used, [`GradcheckError::Classes`] for more than 256 classes.
pub fn chosen(data: &Dataset, normalize: &Normalize, options: ChosenOptions) -> Result<Chosen, GradcheckError> {
    let ChosenOptions { seed, eps, batch } = options;
    if !(eps > 0.0 && eps <= 0.01) {
        return Err(GradcheckError::Eps(eps));
    }
    let shape = |error| GraphError::Shape { layer: 0, op: "input", error };
    let input = Shape::new(&[1, data.rows(), data.cols()]).map_err(shape)?;
    let graph = Graph::mlp(&[HIDDEN], Op::Tanh, input, data.classes())?;
    let batch = batch.clamp(1, data.len());
    let point = point(&graph, data, normalize, seed, batch);
    let values = point.forward();
    let gradient = point.backward(&values).params;
    let loss = point.losses(&values).iter().sum::<f64>() * point.scale;
    let rows = compare(&point, &places(&graph, data, batch), &gradient, eps);
    Ok(Chosen { seed, batch, eps, loss, rows })
}

/// The network at its first weights, and the first images.
fn point<'g>(graph: &'g Graph, data: &Dataset, normalize: &Normalize, seed: u64, batch: usize) -> Point<'g> {
    let mut weights = vec![0.0; graph.weights_len()];
    Initializer::Pytorch.fill_with(BiasKind::Input, graph, seed, &mut weights);
    let mut pixels = Vec::new();
    for image in (0..batch).map(|i| data.image(i)) {
        let (scale, offset) = normalize.affine(image);
        pixels.extend(image.iter().map(|&pixel| f64::from(pixel) * f64::from(scale) + f64::from(offset)));
    }
    let weights = weights.into_iter().map(f64::from).collect();
    let point = Point::new(graph, weights, pixels, data.labels()[..batch].to_vec());
    Point { scale: 1.0 / batch as f64, ..point }
}

/// A weight and its name.
struct Place {
    name: String,
    /// In the flat vector of all parameters.
    at: usize,
}

/// The six weights.
fn places(graph: &Graph, data: &Dataset, batch: usize) -> [Place; 6] {
    let (rows, cols, classes) = (data.rows(), data.cols(), data.classes());
    let [w1, b1, w2, b2] = [0, 1, 2, 3].map(|param| graph.params()[param].offset);
    let lit = |pixel: &usize| (0..batch).any(|i| data.image(i)[*pixel] > 0);
    let next_lit = |pixel: usize| (pixel..rows * cols).chain(0..pixel).find(lit).unwrap_or(pixel);
    let pixels = [rows / 2, 3 * rows / 8].map(|row| next_lit(row * cols + cols / 2));
    let pixel = |unit: usize, pixel: usize| (format!("w1[{unit},{pixel}]"), w1 + unit * rows * cols + pixel);
    let output = |class: usize, unit: usize| (format!("w2[{class},{unit}]"), w2 + class * HIDDEN + unit);
    let last = classes - 1;
    let all = [
        pixel(3, pixels[0]),
        pixel(77, pixels[1]),
        ("b1[17]".to_owned(), b1 + 17),
        output(0, 3),
        output(classes / 2, 77),
        (format!("b2[{last}]"), b2 + last),
    ];
    all.map(|(name, at)| Place { name, at })
}

/// The differences beside the gradients in `gradient`, a number for each parameter.
fn compare(point: &Point<'_>, places: &[Place], gradient: &[f64], eps: f64) -> Vec<ChosenRow> {
    let values = point.forward();
    // The bounds of f32 are sums of roundings, to first order, in any order of adding: those of f64 are as many times smaller as these.
    let losses = bound::losses(point, &values, &bound::forward(point, &values));
    let rounding = losses.iter().sum::<f64>() * F64_OVER_F32 * point.scale;
    let mut moved = point.clone();
    let mut central = |at: usize, eps: f64| {
        let difference = point.difference(eps, |by| {
            moved.params[at] = point.params[at] + by;
            let losses = moved.losses(&moved.forward());
            moved.params[at] = point.params[at];
            Some(losses)
        });
        difference.unwrap_or(f64::NAN) // which is within no bound
    };
    let mut row = |Place { name, at }: &Place| {
        let (name, backprop, numerical) = (name.clone(), gradient[*at], central(*at, eps));
        let difference = (backprop - numerical).abs();
        let estimate = (central(*at, 2.0 * eps) - numerical).abs() / 3.0;
        // Two losses that are off, over twice the step.
        let bound = ROOM * estimate + rounding / eps;
        let finer = (backprop - central(*at, eps / FINER)).abs();
        let finer_bound = ROOM * difference / (FINER * FINER) + rounding / (eps / FINER);
        ChosenRow { name, backprop, numerical, difference, bound, finer, finer_bound }
    };
    places.iter().map(&mut row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::random::Random;

    fn random(samples: usize, side: usize, classes: u32) -> Dataset {
        let mut random = Random::new(1, "chosen", 0);
        let images = (0..samples * side * side).map(|_| random.below(256) as u8).collect();
        let labels = (0..samples).map(|_| random.below(classes) as u8).collect();
        Dataset::new(images, labels, side, side, classes as usize).unwrap()
    }

    #[test]
    fn gradients_are_within_the_error_of_their_differences() {
        let sizes = [(random(12, 28, 10), Normalize::Unit), (random(3, 9, 4), Normalize::Image)];
        for (data, normalize) in sizes {
            let found = chosen(&data, &normalize, ChosenOptions::default()).unwrap();
            println!("{found:#?}");
            assert!(found.passed(), "{found:#?}");
            assert_eq!((found.batch, found.rows.len()), (data.len().min(10), 6));
            assert!((found.loss - (data.classes() as f64).ln()).abs() < 0.5, "{}", found.loss);
            for row in &found.rows {
                assert!(row.backprop != 0.0 && row.bound < 0.01 * row.backprop.abs().max(1e-4), "{row:?}");
                assert!(row.finer < row.difference, "{row:?}");
            }
            assert_eq!(chosen(&data, &normalize, ChosenOptions::default()).unwrap(), found, "the same again");
            let text = serde_json::to_string(&found).unwrap();
            assert_eq!(serde_json::from_str::<Chosen>(&text).unwrap(), found);
        }
        let found = chosen(&random(10, 28, 10), &Normalize::Unit, ChosenOptions::default()).unwrap();
        let names: Vec<&str> = found.rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["w1[3,406]", "w1[77,294]", "b1[17]", "w2[0,3]", "w2[5,77]", "b2[9]"]);
    }

    #[test]
    fn one_wrong_gradient_is_found() {
        let data = random(10, 28, 10);
        let graph = Graph::mlp(&[HIDDEN], Op::Tanh, Shape::new(&[1, 28, 28]).unwrap(), 10).unwrap();
        let point = point(&graph, &data, &Normalize::Unit, 1, 10);
        let places = places(&graph, &data, 10);
        let right = point.backward(&point.forward()).params;
        for (i, place) in places.iter().enumerate() {
            for factor in [1.01, -1.0, 0.0, f64::NAN] {
                let mut wrong = right.clone();
                wrong[place.at] *= factor;
                let rows = compare(&point, &places, &wrong, 1e-2);
                let failed: Vec<usize> = (0..6).filter(|&row| !rows[row].passed()).collect();
                assert_eq!(failed, [i], "{} times {factor}: {rows:#?}", place.name);
            }
        }
    }

    /// One pixel alone is lit: both weights read it.
    #[test]
    fn weights_of_dark_pixels_give_way_to_lit_ones() {
        let mut images = vec![0; 2 * 784];
        images[784 + 300] = 200;
        let data = Dataset::new(images, vec![1, 2], 28, 28, 10).unwrap();
        let found = chosen(&data, &Normalize::Unit, ChosenOptions::default()).unwrap();
        assert_eq!([&found.rows[0].name, &found.rows[1].name], ["w1[3,300]", "w1[77,300]"]);
        assert!(found.passed() && found.rows.iter().all(|row| row.backprop != 0.0), "{found:#?}");
        for eps in [0.0, -1.0, 0.02, f64::NAN] {
            let options = ChosenOptions { eps, ..ChosenOptions::default() };
            assert!(matches!(chosen(&data, &Normalize::Unit, options), Err(GradcheckError::Eps(_))));
        }
    }
}
