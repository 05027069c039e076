//! Images changed as an [`Augment`] says.

use super::super::random::Random;
use super::elastic::{Fields, Smoothing};
use super::{Augment, Erase};
use crate::error::ShapeError;
use crate::kernels::Isa;
use crate::kernels::affine::{Affine, Pixels, Warp, affine, displace};

/// Least and largest ratio of an erased rectangle's height to its width, as torchvision's `RandomErasing` has them.
const RATIOS: [f64; 2] = [0.3, 3.3];

/// Changes images of one size: each one as a pure function of (seed, epoch, sample index), whatever is asked for before or beside it.
#[derive(Clone, Debug)]
pub struct Augmenter {
    augment: Augment,
    seed: u64,
    rows: usize,
    cols: usize,
    warp: Warp,
    smoothing: Option<Smoothing>,
}

/// An [`Augmenter`] in one epoch.
#[derive(Clone, Copy, Debug)]
pub struct Epoch<'a> {
    augmenter: &'a Augmenter,
    epoch: u32,
}

/// Room to change one image at a time; [`Augmenter::scratch`] makes it.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    bytes: Vec<u8>,
    floats: Vec<f32>,
    fields: Fields,
}

impl Augmenter {
    /// For images of `rows` by `cols` pixels.
    ///
    /// # Errors
    /// [`ShapeError::Range`] or [`ShapeError::Overflow`] for images that the kernels do not take, see [`Warp::new`].
    pub fn new(augment: &Augment, seed: u64, rows: usize, cols: usize) -> Result<Self, ShapeError> {
        let warp = Warp::new([rows, cols], [rows, cols])?;
        let smoothing = augment.elastic.map(|elastic| Smoothing::new(elastic, rows, cols));
        Ok(Self { augment: *augment, seed, rows, cols, warp, smoothing })
    }

    /// Room for [`Epoch::image`].
    #[must_use]
    pub fn scratch(&self) -> Scratch {
        let len = self.rows * self.cols;
        let fields = self.smoothing.as_ref().map(Smoothing::fields).unwrap_or_default();
        Scratch { bytes: vec![0; len], floats: vec![0.0; len], fields }
    }

    /// The changes of epoch `epoch`, from 0.
    #[must_use]
    pub fn epoch(&self, epoch: u32) -> Epoch<'_> {
        Epoch { augmenter: self, epoch }
    }
}

impl Epoch<'_> {
    /// The sample `index`, whose pixels are `image`, as this epoch shows it: raw pixels like those that came in.
    ///
    /// All that moves pixels is one map from where they end to where they come from, so that they are averaged once, between the four
    /// around that place, and rounded to whole numbers, half up; around the image all is 0. Then the rectangle is erased. Turns, moves
    /// and changes of size are about the middle of the image. Each instruction set gives the same pixels up to a rounding.
    /// Does not allocate.
    ///
    /// # Errors
    /// [`ShapeError::Length`] if `image` has another size than the augmenter's, or `scratch` is of another augmenter.
    pub fn image<'s>(
        &self,
        isa: Isa,
        index: u32,
        image: &[u8],
        scratch: &'s mut Scratch,
    ) -> Result<&'s [u8], ShapeError> {
        let Augmenter { augment, warp, smoothing, .. } = self.augmenter;
        let Scratch { bytes, floats, fields } = scratch;
        let expected = warp.input_len();
        for (what, got) in [("the image to augment", image.len()), ("the scratch of an augmentation", bytes.len())] {
            if got != expected {
                return Err(ShapeError::Length { what, expected, got });
            }
        }
        let (change, mut random) = self.draw(index);
        if augment.moves() {
            let map = change.inverse(self.augmenter);
            if let Some(smoothing) = smoothing {
                smoothing.fill(&mut random, fields)?;
                let [dx, dy] = &mut fields.d;
                let [x, y] = map;
                add_map([x[0] - 1.0, x[1], x[2]], self.augmenter.cols, dx);
                add_map([y[0], y[1] - 1.0, y[2]], self.augmenter.cols, dy);
                displace(isa, warp, Pixels::U8(image), [dx, dy], floats)?;
            } else {
                let map = Affine::new(map.map(|row| row.map(|x| x as f32)))?;
                affine(isa, warp, &map, Pixels::U8(image), floats)?;
            }
            for (byte, &x) in bytes.iter_mut().zip(&*floats) {
                *byte = (x + 0.5) as u8; // saturates
            }
        } else {
            bytes.copy_from_slice(image);
        }
        if let Some(Rectangle { top, left, height, width }) = change.erased {
            for row in bytes.chunks_exact_mut(self.augmenter.cols).skip(top).take(height) {
                row[left..left + width].fill(0);
            }
        }
        Ok(bytes)
    }

    /// What becomes of sample `index`, and the random numbers that follow.
    pub(super) fn draw(&self, index: u32) -> (Change, Random) {
        let stream = u64::from(self.epoch) << 32 | u64::from(index);
        let mut random = Random::new(self.augmenter.seed, "augment", stream);
        (self.augmenter.draw(&mut random), random)
    }
}

/// What becomes of one image, but for displacements.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Change {
    /// Degrees, clockwise on the screen.
    pub(super) angle: f64,
    /// Pixels to the right and down.
    pub(super) shift: [f64; 2],
    /// Factor of both sides.
    pub(super) scale: f64,
    /// Degrees by which columns lean.
    pub(super) shear: f64,
    /// What becomes 0.
    pub(super) erased: Option<Rectangle>,
}

/// A part of an image that lies within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rectangle {
    pub(super) top: usize,
    pub(super) left: usize,
    pub(super) height: usize,
    pub(super) width: usize,
}

impl Augmenter {
    /// Draws a change: always as many numbers, in the same order, so that what one key draws does not depend on the others.
    fn draw(&self, random: &mut Random) -> Change {
        let Augment { rotate, translate, scale, shear, erase, .. } = self.augment;
        let mut within = |bound: f64| bound * (2.0 * f64::from(random.unit()) - 1.0);
        let angle = within(rotate);
        let shift = [within(translate) * self.cols as f64, within(translate) * self.rows as f64];
        let (scale, shear) = (1.0 + within(scale), within(shear));
        let [chance, area, ratio, top, left] = [(); 5].map(|()| f64::from(random.unit()));
        let erased = erase.filter(|erase| chance < erase.probability);
        let erased = erased.map(|erase| self.rectangle(erase, area, ratio, [top, left]));
        Change { angle, shift, scale, shear, erased }
    }

    /// The rectangle of an erasing, from four numbers in `[0, 1)`; never larger than the area says, so without pixels for less than one.
    fn rectangle(&self, erase: Erase, area: f64, ratio: f64, [top, left]: [f64; 2]) -> Rectangle {
        let area = area * erase.area * (self.rows * self.cols) as f64;
        let ratio = RATIOS[0] * (RATIOS[1] / RATIOS[0]).powf(ratio); // its logarithm is uniform
        let height = ((area * ratio).sqrt() as usize).max(1).min(self.rows).min(area as usize);
        let width = if height == 0 { 0 } else { ((area / height as f64) as usize).min(self.cols) };
        let place = |part: f64, room: usize| (part * (room + 1) as f64) as usize;
        let (top, left) = (place(top, self.rows - height), place(left, self.cols - width));
        Rectangle { top, left, height, width }
    }
}

impl Change {
    /// Where each pixel comes from: `x_in = m[0]·(x, y, 1)`, `y_in = m[1]·(x, y, 1)`.
    ///
    /// Pixels go, about the middle `c`, by `c + shift + scale·R·H·(p − c)` with `R = [cos −sin; sin cos]`, `H = [1 −tan; 0 1]`, as in
    /// torchvision; this is the inverse, `c + H⁻¹·R⁻¹·(p − c − shift) / scale`.
    pub(super) fn inverse(&self, augmenter: &Augmenter) -> [[f64; 3]; 2] {
        let (sin, cos) = self.angle.to_radians().sin_cos();
        let slant = self.shear.to_radians().tan();
        let rows = [[cos - slant * sin, sin + slant * cos], [-sin, cos]].map(|row| row.map(|x| x / self.scale));
        let middle = [(augmenter.cols - 1) as f64 / 2.0, (augmenter.rows - 1) as f64 / 2.0];
        let [x, y] = [middle[0] + self.shift[0], middle[1] + self.shift[1]];
        let with_offset = |[a, b]: [f64; 2], middle: f64| [a, b, middle - a * x - b * y];
        [with_offset(rows[0], middle[0]), with_offset(rows[1], middle[1])]
    }
}

/// `d[row, column] += by_x · column + by_y · row + offset`
fn add_map([by_x, by_y, offset]: [f64; 3], cols: usize, d: &mut [f32]) {
    for (row, d) in d.chunks_exact_mut(cols).enumerate() {
        let (slope, start) = (by_x as f32, (by_y * row as f64 + offset) as f32);
        for (col, d) in d.iter_mut().enumerate() {
            *d += slope * col as f32 + start;
        }
    }
}
