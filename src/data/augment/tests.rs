//! Against plain arithmetic in f64, by counting, and in every order.

use super::augmenter::{Change, Rectangle};
use super::elastic::Smoothing;
use super::*;
use crate::data::random::Random;
use crate::data::{Dataset, Normalize, batch};
use crate::error::ShapeError;
use crate::kernels::Isa;
use crate::reference::bilinear_f64;
use proptest::prelude::*;

const ALL: &str = "rotate=20,translate=0.1,scale=0.2,shear=10,elastic=6:2,erase=0.5:0.2";

fn parse(text: &str) -> Augment {
    text.parse().unwrap()
}

/// An augmenter of seed 1.
fn augmenter(text: &str, [rows, cols]: [usize; 2]) -> Augmenter {
    Augmenter::new(&parse(text), 1, rows, cols).unwrap()
}

/// Blobs and noise, so that every pixel has its own surroundings.
fn picture(rows: usize, cols: usize) -> Vec<u8> {
    let mut random = Random::new(3, "picture", 0);
    (0..rows * cols).map(|i| (random.below(160) as usize + 95 * usize::from(i % cols > cols / 2)) as u8).collect()
}

/// What `augmenter` makes of `image` as sample `index` in epoch `epoch`.
fn shown(augmenter: &Augmenter, isa: Isa, [epoch, index]: [u32; 2], image: &[u8]) -> Vec<u8> {
    augmenter.epoch(epoch).image(isa, index, image, &mut augmenter.scratch()).unwrap().to_vec()
}

/// What is drawn for a sample in an epoch.
fn change(augmenter: &Augmenter, [epoch, index]: [u32; 2]) -> Change {
    augmenter.epoch(epoch).draw(index).0
}

#[test]
fn texts_mean_what_they_say() {
    for text in ["none", "rotate=10,translate=0.1", "scale=0.25", "elastic=34:4", "erase=1:1", "shear=0.5", ALL] {
        assert_eq!(parse(text).to_string(), text);
    }
    assert_eq!(parse(" erase = 0.5 : 0.2 , rotate=1e1 ").to_string(), "rotate=10,erase=0.5:0.2", "spaces, any order");
    for nothing in ["none", "rotate=0", "rotate=-0", "elastic=0:2", "erase=0:0.5,scale=0", "erase=0.5:0"] {
        assert!(parse(nothing).is_none(), "{nothing}");
    }
    assert_eq!(Augment::default(), Augment::NONE);
    assert_eq!(format!("{:>6}", Augment::NONE), "  none");
}

#[test]
fn what_breaks_a_rule_is_named_with_what_would_be_right() {
    for (key, values) in [
        ("rotate", &["-1", "180.5", "NaN", "inf", "ten", "", "10:2"][..]),
        ("translate", &["-0.1", "1", "1e9", "nan", "-inf"]),
        ("scale", &["-0.1", "1", "NaN"]),
        ("shear", &["-5", "90", "NaN"]),
        ("elastic", &["6", "6:0", "-1:2", "6:-2", "NaN:2", "6:nan", "1001:2", "6:1e300", "6:2:1", ":", ""]),
        ("erase", &["0.5", "1.01:0.2", "-0.1:0.2", "0.5:1.5", "NaN:0.2", "0.5:NaN", "0.5:-1"]),
    ] {
        for value in values {
            let message = format!("{key}={value}").parse::<Augment>().unwrap_err().to_string();
            let rule = KEYS.iter().find(|known| known.name == key).unwrap().rule;
            let start = format!("augment {key}: {rule}: expected for example {key}=");
            assert!(message.starts_with(&start) && message.ends_with(&format!("found {value:?}")), "{message}");
        }
    }
    for (text, nearest) in [
        ("rotat=5", "rotate"),
        ("Scale=1", "scale"),
        ("elastics=1:2", "elastic"),
        ("x=1", "erase"),
        ("sheer=1", "shear"),
    ] {
        let message = text.parse::<Augment>().unwrap_err().to_string();
        let name = text.split('=').next().unwrap();
        let start = format!("augment: a known key: expected {nearest} (known are rotate, translate, ");
        if name != "x" {
            assert!(message.starts_with(&start), "{message}");
        }
        assert!(message.ends_with(&format!("found {name:?}")), "{message}");
    }
    let message = "scale=0.1,rotate=5,scale=0.2".parse::<Augment>().unwrap_err().to_string();
    assert_eq!(message, "augment scale: a key stands once: expected one value, found \"0.2\" beside another");
    for text in ["", "rotate", "rotate=5,", "none,rotate=5", "rotate:5"] {
        let message = text.parse::<Augment>().unwrap_err().to_string();
        assert!(
            message.starts_with("augment: augmentations are KEY=VALUE") && message.contains("found \""),
            "{message}"
        );
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in "[a-z=:,.0-9 -]{0,40}") {
        if let Ok(augment) = text.parse::<Augment>() {
            prop_assert_eq!(augment.to_string().parse::<Augment>().unwrap(), augment);
        }
    }
}

#[test]
fn an_identity_leaves_pixels_exactly_as_they_are() {
    let still = Change { angle: 0.0, shift: [0.0; 2], scale: 1.0, shear: 0.0, erased: None };
    for [rows, cols] in [[28, 28], [1, 1], [1, 7], [9, 2]] {
        let image = picture(rows, cols);
        assert_eq!(still.inverse(&augmenter("none", [rows, cols])), [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]);
        // The last two go through the resampling.
        for text in ["none", "erase=1e-9:1", "rotate=1e-300", "translate=1e-300,elastic=1e-300:2"] {
            for isa in Isa::available() {
                let augmenter = augmenter(text, [rows, cols]);
                for index in 0..10 {
                    assert_eq!(shown(&augmenter, isa, [0, index], &image), image, "{text} {rows}x{cols} {isa}");
                }
            }
        }
    }
}

/// Turned by 90 degrees about the middle of 5 x 5, (row 1, column 4) is 2 right of it and 1 above, and comes to 1 right, 2 below.
#[test]
fn a_right_angle_moves_a_pixel_clockwise() {
    let turn = Change { angle: 90.0, shift: [0.0; 2], scale: 1.0, shear: 0.0, erased: None };
    let [x, y] = turn.inverse(&augmenter("none", [5, 5])).map(|[a, b, c]| a * 3.0 + b * 4.0 + c);
    assert!((x - 4.0).abs() < 1e-12 && (y - 1.0).abs() < 1e-12, "{x} {y}");
}

/// Each pixel against the place that undoing shift, size, turn and slant one by one leads to, in f64.
#[test]
fn pixels_come_from_where_plain_arithmetic_says() {
    for [rows, cols] in [[28, 28], [17, 30], [1, 9]] {
        let image = picture(rows, cols);
        let floats: Vec<f32> = image.iter().map(|&pixel| f32::from(pixel)).collect();
        let augmenter = augmenter("rotate=40,translate=0.2,scale=0.3,shear=20", [rows, cols]);
        let middle = [(cols - 1) as f64 / 2.0, (rows - 1) as f64 / 2.0];
        for index in 0..20 {
            let Change { angle, shift, scale, shear, .. } = change(&augmenter, [2, index]);
            let (sin, cos) = (angle.to_radians().sin(), angle.to_radians().cos());
            for isa in Isa::available() {
                let got = shown(&augmenter, isa, [2, index], &image);
                for (i, &got) in got.iter().enumerate() {
                    let x = ((i % cols) as f64 - middle[0] - shift[0]) / scale;
                    let y = ((i / cols) as f64 - middle[1] - shift[1]) / scale;
                    let (x, y) = (cos * x + sin * y, cos * y - sin * x);
                    let x = x + shear.to_radians().tan() * y;
                    let want = bilinear_f64(&floats, [rows, cols], x + middle[0], y + middle[1]);
                    assert!((f64::from(got) - want).abs() <= 0.51, "{isa} {rows}x{cols} {index} {i}: {got} {want}");
                }
            }
        }
    }
}

/// The middle of mass of a bright square goes where the forward map takes it.
#[test]
fn a_mark_lands_where_the_turn_takes_it() {
    let augmenter = augmenter("rotate=45", [28, 28]);
    let mut image = [0; 784];
    (0..9).for_each(|i| image[(6 + i / 3) * 28 + 17 + i % 3] = 255); // about row 7, column 18: (4.5, -6.5) from the middle
    for index in 0..50 {
        let (sin, cos) = change(&augmenter, [0, index]).angle.to_radians().sin_cos();
        let want = [13.5 + cos * 4.5 + sin * 6.5, 13.5 + sin * 4.5 - cos * 6.5];
        let got = shown(&augmenter, Isa::best(), [0, index], &image);
        let mass: f64 = got.iter().map(|&pixel| f64::from(pixel)).sum();
        let mean = |place: fn(usize) -> usize| {
            got.iter().enumerate().map(|(i, &pixel)| place(i) as f64 * f64::from(pixel)).sum::<f64>() / mass
        };
        let [x, y] = [mean(|i| i % 28), mean(|i| i / 28)];
        assert!((x - want[0]).abs() < 0.05 && (y - want[1]).abs() < 0.05, "{index}: {x} {y}, expected {want:?}");
    }
}

/// The numbers come from a second implementation, in Python: a seed must mean the same for ever.
#[test]
fn values_are_pinned() {
    let augmenter = augmenter(ALL, [28, 28]);
    let erased = Some(Rectangle { top: 7, left: 7, height: 2, width: 3 });
    let cases = [
        ([0, 0], [16.697728633880615, -2.3556427001953124, -2.711563062667847, 0.9247989892959595], erased),
        ([3, 59_999], [-14.213697910308838, -1.9454330444335939, 2.167146730422974, 0.811012864112854], None),
    ];
    for (place, want, erased) in cases {
        let got = change(&augmenter, place);
        let numbers = [got.angle, got.shift[0], got.shift[1], got.scale];
        assert!(numbers.iter().zip(want).all(|(got, want)| (got - want).abs() < 1e-13), "{got:?}");
        assert_eq!(got.erased, erased);
    }
    assert!((change(&augmenter, [7, 2]).shear + 5.534777641296387).abs() < 1e-13);
    let (_, mut random) = augmenter.epoch(7).draw(2);
    assert_eq!(random.bits(), 1_741_503_872, "the noise comes after ten numbers");
}

/// Numbers stay within their bounds, come close to them, and are spread evenly between.
#[test]
fn what_is_drawn_fills_its_bounds() {
    let augmenter = augmenter("rotate=20,translate=0.1,scale=0.2,shear=10,erase=0.3:0.25", [28, 40]);
    let changes: Vec<Change> = (0..4000).map(|index| change(&augmenter, [index % 7, index])).collect();
    // Each in parts of its bound.
    let parts = |change: &Change| {
        let Change { angle, shift: [right, down], scale, shear, .. } = *change;
        [angle / 20.0, right / 4.0, down / 2.8, (scale - 1.0) / 0.2, shear / 10.0]
    };
    for number in 0..5 {
        let parts: Vec<f64> = changes.iter().map(|change| parts(change)[number]).collect();
        assert!(parts.iter().all(|part| part.abs() <= 1.0 + 1e-12));
        let mut tenths = [0f64; 10];
        parts.iter().for_each(|part| tenths[((part + 1.0) * 5.0).clamp(0.0, 9.0) as usize] += 1.0);
        // Chi-squared with nine degrees of freedom: 27.9 at one in a thousand.
        let chi: f64 = tenths.iter().map(|count| (count - 400.0).powi(2) / 400.0).sum();
        assert!(chi < 27.9, "{tenths:?}");
    }
    let erased: Vec<Rectangle> = changes.iter().filter_map(|change| change.erased).collect();
    assert!((erased.len() as f64 / 4000.0 - 0.3).abs() < 0.03, "{}", erased.len());
    let parts: Vec<f64> = erased.iter().map(|erased| (erased.height * erased.width) as f64 / 1120.0).collect();
    assert!(parts.iter().all(|&part| part <= 0.25), "no area above its bound");
    assert!(parts.iter().any(|&part| part > 0.23) && parts.iter().any(|&part| part < 0.02));
    let mean = parts.iter().sum::<f64>() / parts.len() as f64;
    assert!((0.10..0.125).contains(&mean), "sides are rounded down: {mean}");
    let reached = |at: fn(&Rectangle) -> usize, end: usize| erased.iter().any(|rectangle| at(rectangle) == end);
    assert!(reached(|r| r.top, 0) && reached(|r| r.left, 0));
    assert!(reached(|r| r.top + r.height, 28) && reached(|r| r.left + r.width, 40));
    assert!(erased.iter().any(|r| r.height > 2 * r.width) && erased.iter().any(|r| r.width > 2 * r.height));
}

#[test]
fn an_erased_rectangle_is_zero_and_the_rest_is_as_it_was() {
    for [rows, cols] in [[28, 28], [1, 1], [1, 12], [3, 50]] {
        for text in ["erase=1:0.3", "erase=1:1", "erase=0.5:0.001"] {
            let augmenter = augmenter(text, [rows, cols]);
            for index in 0..300 {
                let got = shown(&augmenter, Isa::best(), [0, index], &vec![200; rows * cols]);
                let (area, erased) = match change(&augmenter, [0, index]).erased {
                    Some(Rectangle { top, left, height, width }) => {
                        assert!(top + height <= rows && left + width <= cols, "{text} {rows}x{cols} {index}");
                        let inside = |i: usize| {
                            (top..top + height).contains(&(i / cols)) && (left..left + width).contains(&(i % cols))
                        };
                        (height * width, (0..rows * cols).map(inside).collect())
                    }
                    None => (0, vec![false; rows * cols]),
                };
                assert_eq!(got.iter().map(|&pixel| pixel == 0).collect::<Vec<_>>(), erased);
                assert_eq!(got.iter().filter(|&&pixel| pixel != 200).count(), area);
            }
        }
    }
}

/// The separable sums against the double sum over the same noise, in f64.
#[test]
fn displacements_are_noise_weighed_by_a_gaussian() {
    for [rows, cols] in [[28, 28], [1, 1], [1, 9], [12, 1], [5, 3], [3, 31]] {
        for (alpha, sigma) in [(6.0, 2.0), (1.0, 0.3), (34.0, 4.0), (1000.0, 50.0), (1.0, 1e-300)] {
            let smoothing = Smoothing::new(Elastic { alpha, sigma }, rows, cols);
            let mut fields = smoothing.fields();
            fields.d.iter_mut().flatten().for_each(|d| *d = f32::NAN);
            smoothing.fill(&mut Random::new(5, "test", 0), &mut fields).unwrap();
            let mut random = Random::new(5, "test", 0);
            let mut noise = [vec![], vec![]];
            for _ in 0..rows * cols {
                let bits = random.bits();
                for (noise, half) in noise.iter_mut().zip([bits & 0xffff, bits >> 16]) {
                    noise.push((f64::from(half) + 0.5) / 32_768.0 - 1.0);
                }
            }
            let reach = (3.0 * sigma).ceil() as i64;
            let bell = |i: i64| if i == 0 { 1.0 } else { (-0.5 * (i as f64 / sigma).powi(2)).exp() };
            let sum: f64 = (-reach..=reach).map(bell).sum();
            let weight = |i: usize, j: usize| {
                let distance = i.abs_diff(j) as i64;
                if distance <= reach { bell(distance) / sum } else { 0.0 }
            };
            for (d, noise) in fields.d.iter().zip(&noise) {
                for (i, &d) in d.iter().enumerate() {
                    let weigh =
                        |(j, noise): (usize, &f64)| weight(i / cols, j / cols) * weight(i % cols, j % cols) * noise;
                    let want = alpha * noise.iter().enumerate().map(weigh).sum::<f64>();
                    let error = (f64::from(d) - want).abs();
                    assert!(error <= 2e-6 * alpha, "{rows}x{cols} {alpha}:{sigma} {i}: {d} {want}");
                }
            }
        }
    }
}

/// Over many samples: mean 0, at most alpha, the root mean square that the documentation names in the middle, and as smooth as noise
/// through this Gaussian is, whose neighbours correlate by `exp(−1 / (4σ²))`.
#[test]
fn displacements_have_the_documented_size_and_smoothness() {
    for (alpha, sigma) in [(6.0, 2.0), (34.0, 4.0)] {
        let smoothing = Smoothing::new(Elastic { alpha, sigma }, 40, 40);
        let (mut fields, mut sums, mut count) = (smoothing.fields(), [0f64; 4], 0.0);
        for stream in 0..400 {
            smoothing.fill(&mut Random::new(1, "fields", stream), &mut fields).unwrap();
            let [dx, dy] = &fields.d;
            assert!(dx.iter().chain(dy).all(|d| f64::from(d.abs()) <= alpha));
            for (row, col) in (13..27).flat_map(|row| (13..27).map(move |col| (row, col))) {
                let at = row * 40 + col;
                let [a, b, right, below] = [dx[at], dy[at], dx[at + 1], dy[at + 40]].map(f64::from);
                let terms = [a + b, a * a + b * b, (right - a).powi(2) + (below - b).powi(2), a * b];
                sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
                count += 2.0;
            }
        }
        let [mean, square, step, product] = sums.map(|sum| sum / count);
        let rms = alpha / (2.0 * sigma * (3.0 * std::f64::consts::PI).sqrt());
        assert!((rms - alpha / (6.14 * sigma)).abs() < 1e-3 * rms);
        assert!((square.sqrt() - rms).abs() < 0.05 * rms, "{alpha}:{sigma}: {} {rms}", square.sqrt());
        assert!(mean.abs() < 0.1 * rms, "{alpha}:{sigma}: {mean}");
        assert!(product.abs() < 0.1 * rms * rms, "along rows and along columns are unrelated: {product}");
        let want = 2.0 * rms * rms * (1.0 - (-0.25 / (sigma * sigma)).exp());
        assert!((step - want).abs() < 0.1 * want, "{alpha}:{sigma}: {step} {want}");
    }
}

#[test]
fn instruction_sets_agree_up_to_a_rounding() {
    for [rows, cols] in [[28, 28], [7, 9], [33, 17]] {
        let (image, augmenter) = (picture(rows, cols), augmenter(ALL, [rows, cols]));
        for index in 0..20 {
            let want = shown(&augmenter, Isa::SCALAR, [0, index], &image);
            for isa in Isa::available() {
                let got = shown(&augmenter, isa, [0, index], &image);
                assert!(got.iter().zip(&want).all(|(a, b)| a.abs_diff(*b) <= 1), "{isa} {rows}x{cols} {index}");
            }
        }
    }
}

#[test]
fn a_change_depends_on_seed_epoch_and_sample_alone() {
    let (image, isa) = (picture(28, 28), Isa::best());
    let one = augmenter(ALL, [28, 28]);
    let mut scratch = one.scratch();
    let first: Vec<_> = (0..30).map(|index| shown(&one, isa, [4, index], &image)).collect();
    for index in (0..30).rev() {
        let again = one.epoch(4).image(isa, index, &image, &mut scratch).unwrap();
        assert_eq!(again, first[index as usize], "in another order, with a scratch that was used");
    }
    let other_seed = Augmenter::new(&parse(ALL), 2, 28, 28).unwrap();
    for index in 1..30 {
        assert_ne!(first[index as usize], first[0]);
        assert_ne!(first[index as usize], shown(&one, isa, [5, index], &image), "another epoch");
        assert_ne!(first[index as usize], shown(&other_seed, isa, [4, index], &image), "another seed");
    }
    // What one key draws does not depend on the others.
    let (alone, all) = (augmenter("shear=10", [28, 28]), augmenter(ALL, [28, 28]));
    for index in 0..30 {
        assert_eq!(change(&alone, [0, index]).shear, change(&all, [0, index]).shear);
    }
}

#[test]
fn rows_are_normalised_after_the_changes() {
    let data = Dataset::new(picture(90, 11), vec![0; 10], 9, 11, 2).unwrap();
    let (augmenter, isa) = (augmenter(ALL, [9, 11]), Isa::best());
    let mut scratch = augmenter.scratch();
    for normalize in [Normalize::Unit, Normalize::Image, Normalize::mean_std(0.25, 0.5).unwrap()] {
        let (indices, mut out) = ([7, 2, 2, 9], [f32::NAN; 4 * 99]);
        batch::fill_augmented(isa, &data, &normalize, &indices, &mut out, augmenter.epoch(3), &mut scratch).unwrap();
        for (row, index) in out.chunks_exact(99).zip(indices) {
            let image = shown(&augmenter, isa, [3, index], data.image(index as usize));
            let set = Dataset::new(image, vec![0], 9, 11, 2).unwrap();
            let mut want = [f32::NAN; 99];
            batch::fill(isa, &set, &normalize, &[0], &mut want).unwrap();
            assert_eq!(row, want, "{normalize}: as if the changed image were in the file");
        }
    }
    let mut fill = |indices: &[u32], len: usize| {
        let out = &mut vec![0.0; len];
        batch::fill_augmented(isa, &data, &Normalize::Unit, indices, out, augmenter.epoch(0), &mut scratch).unwrap_err()
    };
    assert_eq!(fill(&[0], 5), ShapeError::Length { what: "the batch", expected: 99, got: 5 });
    assert_eq!(fill(&[10], 99), ShapeError::TooShort { what: "the data set", needed: 11, got: 10 });
}

#[test]
fn images_of_another_size_are_refused() {
    let one = augmenter(ALL, [9, 11]);
    let epoch = one.epoch(0);
    let error = epoch.image(Isa::best(), 0, &[0; 98], &mut one.scratch()).unwrap_err();
    assert_eq!(error, ShapeError::Length { what: "the image to augment", expected: 99, got: 98 });
    for other in ["rotate=1", "elastic=1:1"]
        .map(|text| augmenter(text, [9, 11]))
        .iter()
        .chain([&augmenter(ALL, [11, 8]), &augmenter(ALL, [11, 9])])
    {
        assert!(epoch.image(Isa::best(), 0, &[0; 99], &mut other.scratch()).is_err());
    }
    assert!(epoch.image(Isa::best(), 0, &[0; 99], &mut Scratch::default()).is_err());
    let small = augmenter("erase=1:1", [2, 2]);
    assert!(epoch.image(Isa::best(), 0, &[0; 4], &mut small.scratch()).is_err());
    assert!(Augmenter::new(&Augment::NONE, 1, 0, 5).is_err());
    assert!(Augmenter::new(&Augment::NONE, 1, 2_000_000, 1).is_err());
    // The largest numbers that the rules allow.
    let text =
        "rotate=180,translate=0.9999999999999999,scale=0.9999999999999999,shear=89.99999999999999,elastic=1000:1000";
    let (extreme, image) = (augmenter(text, [9, 11]), picture(9, 11));
    for isa in Isa::available() {
        for index in 0..200 {
            shown(&extreme, isa, [u32::MAX, u32::MAX - index], &image);
        }
    }
}
