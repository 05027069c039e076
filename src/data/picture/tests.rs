//! Real digits come back as they were, whatever a picture is stored as; broken files are refused by name.

use super::*;
use crate::data::dataset::tests::mnist;
use ::png::{BitDepth, ColorType, Encoder};
use proptest::prelude::*;

const NAME: &str = "picture-under-test";

fn read(bytes: &[u8]) -> Result<[u8; 784], DataError> {
    from_bytes(bytes, Path::new(NAME))
}

fn error(bytes: &[u8]) -> String {
    let message = read(bytes).unwrap_err().to_string();
    assert!(message.starts_with("picture-under-test: "), "{message}");
    message
}

fn png(cols: usize, rows: usize, color: ColorType, depth: BitDepth, data: &[u8], palette: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, cols as u32, rows as u32);
    encoder.set_color(color);
    encoder.set_depth(depth);
    if !palette.is_empty() {
        encoder.set_palette(palette.to_vec());
    }
    encoder.write_header().unwrap().write_image_data(data).unwrap();
    bytes
}

fn pgm(cols: usize, rows: usize, white: u32, data: &[u8]) -> Vec<u8> {
    [format!("P5\n# a comment\n{cols} {rows}\n{white}\n").as_bytes(), data].concat()
}

/// A digit drawn `zoom` times as large, `margin` pixels of background around it, more on the left and at the top.
fn render(image: &[u8], zoom: usize, margin: usize) -> (Vec<u8>, usize, usize) {
    let (rows, cols) = (28 * zoom + 4 * margin, 28 * zoom + 3 * margin);
    let mut out = vec![0; rows * cols];
    for r in 0..28 * zoom {
        for c in 0..28 * zoom {
            out[(r + 3 * margin) * cols + c + 2 * margin] = image[r / zoom * 28 + c / zoom];
        }
    }
    (out, rows, cols)
}

/// Mean absolute difference over the pixels, of 255.
fn distance(a: &[u8], b: &[u8]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a.abs_diff(b))).sum::<f64>() / 784.0
}

/// Real digits, larger, shifted, inverted, paler, come back as they were.
#[test]
fn digits_come_back() {
    let test = &mnist().test;
    let mut worst: f64 = 0.0;
    let mut sum = 0.0;
    for i in 0..100 {
        let image = test.image(i);
        let (large, rows, cols) = render(image, 3 + i % 5, i % 7);
        let inverted: Vec<u8> = large.iter().map(|p| 255 - p).collect();
        let pale: Vec<u8> = large.iter().map(|p| 230 - p / 2).collect(); // grey ink on greyish paper
        let from_png = read(&png(cols, rows, ColorType::Grayscale, BitDepth::Eight, &large, &[])).unwrap();
        let from_pgm = read(&pgm(cols, rows, 255, &inverted)).unwrap();
        assert_eq!(from_png, from_pgm, "{i}: inverted");
        let from_pale = read(&pgm(cols, rows, 255, &pale)).unwrap();
        assert!(distance(&from_pale, &from_png) < 2.0, "{i}: pale");
        let away = distance(&from_png, image);
        sum += away;
        worst = worst.max(away);
    }
    // Not exact: faint pixels at the edge of the box are cut off, and then the rest is scaled a little.
    assert!(sum / 100.0 < 0.05 && worst < 0.5, "mean {} worst {worst}", sum / 100.0);
}

/// What every digit of MNIST's train set obeys: white at 255, a box of 20 pixels, centre of mass within half a pixel of 14.
#[test]
fn results_obey_the_conventions_of_mnist() {
    for i in 0..50 {
        let (large, rows, cols) = render(mnist().train.image(i), 7, 11);
        let noisy: Vec<u8> = large.iter().enumerate().map(|(i, p)| 245 - p / 2 - (i * 7919 % 13) as u8).collect();
        let got = read(&pgm(cols, rows, 255, &noisy)).unwrap();
        assert!(got.iter().max().unwrap() >= &250);
        let (mut mass, mut y, mut x) = (0.0, 0.0, 0.0);
        let (mut row_ink, mut col_ink) = ([false; 28], [false; 28]);
        for (i, &p) in got.iter().enumerate() {
            mass += f64::from(p);
            y += f64::from(p) * (i / 28) as f64;
            x += f64::from(p) * (i % 28) as f64;
            row_ink[i / 28] |= p > 0;
            col_ink[i % 28] |= p > 0;
        }
        assert!((y / mass - 14.0).abs() < 0.52 && (x / mass - 14.0).abs() < 0.52, "{i}: {} {}", y / mass, x / mass);
        let side = |ink: [bool; 28]| ink.iter().rposition(|&b| b).unwrap() + 1 - ink.iter().position(|&b| b).unwrap();
        let longer = side(row_ink).max(side(col_ink));
        assert!((18..=20).contains(&longer), "{i}: {longer}");
    }
}

#[test]
fn every_kind_of_png_reads_alike() {
    // A vertical bar, a little longer than wide, on white.
    let grey: Vec<u8> = (0..40 * 30)
        .map(|i| if (10..16).contains(&(i % 30)) && (5..35).contains(&(i / 30)) { 0 } else { 255 })
        .collect();
    let want = read(&pgm(30, 40, 255, &grey)).unwrap();
    assert_eq!(want[14 * 28 + 14], 255);
    assert_eq!(want[14 * 28 + 20], 0);
    let each = |f: &dyn Fn(u8) -> Vec<u8>| grey.iter().flat_map(|&p| f(p)).collect::<Vec<u8>>();
    let eight = BitDepth::Eight;
    let bits: Vec<u8> = grey
        .chunks(30)
        .flat_map(|row| row.chunks(8))
        .map(|bits| bits.iter().enumerate().map(|(i, &p)| (p & 1) << (7 - i)).sum())
        .collect();
    for (what, file) in [
        ("grey", png(30, 40, ColorType::Grayscale, eight, &grey, &[])),
        ("grey 16", png(30, 40, ColorType::Grayscale, BitDepth::Sixteen, &each(&|p| vec![p, p]), &[])),
        ("grey 1", png(30, 40, ColorType::Grayscale, BitDepth::One, &bits, &[])),
        ("rgb", png(30, 40, ColorType::Rgb, eight, &each(&|p| vec![p; 3]), &[])),
        ("rgb 16", png(30, 40, ColorType::Rgb, BitDepth::Sixteen, &each(&|p| vec![p; 6]), &[])),
        ("rgba", png(30, 40, ColorType::Rgba, eight, &each(&|p| vec![p, p, p, 255]), &[])),
        ("black ink on nothing", png(30, 40, ColorType::Rgba, eight, &each(&|p| vec![0, 0, 0, 255 - p]), &[])),
        ("white ink on nothing", png(30, 40, ColorType::GrayscaleAlpha, eight, &each(&|p| vec![255, 255 - p]), &[])),
        ("holes in black paper", png(30, 40, ColorType::GrayscaleAlpha, eight, &each(&|p| vec![0, p]), &[])),
        ("palette", png(30, 40, ColorType::Indexed, eight, &each(&|p| vec![p & 1]), &[0, 0, 0, 255, 255, 255])),
    ] {
        match read(&file) {
            Ok(got) => assert_eq!(got, want, "{what}"),
            // Nothing tells what a hole in black paper shows.
            Err(error) => {
                assert!(what == "holes in black paper" && error.to_string().contains("blank"), "{what}: {error}")
            }
        }
    }
    // Orange ink on blue paper: only the brightness counts.
    let colours = each(&|p| if p == 0 { vec![255, 160, 0] } else { vec![0, 0, 120] });
    assert_eq!(read(&png(30, 40, ColorType::Rgb, eight, &colours, &[])).unwrap(), want);
}

#[test]
fn every_kind_of_pgm_reads_alike() {
    let grey: Vec<u8> =
        (0..400).map(|i| if (7..11).contains(&(i % 20)) && i > 100 && i < 300 { 15 } else { 0 }).collect();
    let want = read(&pgm(20, 20, 15, &grey)).unwrap();
    let wide: Vec<u8> = grey.iter().flat_map(|&p| (u16::from(p) * 1000).to_be_bytes()).collect();
    assert_eq!(read(&pgm(20, 20, 15_000, &wide)).unwrap(), want);
    let text: String = grey.iter().map(|p| format!("{p}\n")).collect();
    assert_eq!(read(format!("P2 20 20 # fifteen\n15\n{text}").as_bytes()).unwrap(), want);
    assert_eq!(read(format!("P2 20 20 15 {}# the end", text.trim_end()).as_bytes()).unwrap(), want);
}

#[test]
fn a_picture_like_mnist_is_taken_as_it_is() {
    let image = mnist().test.image(3);
    assert_eq!(read(&pgm(28, 28, 255, image)).unwrap(), image);
    assert_eq!(read(&png(28, 28, ColorType::Grayscale, BitDepth::Eight, image, &[])).unwrap(), image);
    let corner: Vec<u8> = (0..784).map(|i| if i % 28 < 4 && i > 100 && i < 300 { 200 } else { 0 }).collect();
    assert_eq!(read(&pgm(28, 28, 255, &corner)).unwrap(), corner[..]);
}

#[test]
fn extreme_shapes() {
    // A line one pixel wide, a single dot, one row, one column.
    let line: Vec<u8> = (0..100 * 50).map(|i| if i % 50 == 20 && i > 1000 && i < 4000 { 255 } else { 0 }).collect();
    let got = read(&pgm(50, 100, 255, &line)).unwrap();
    assert_eq!(got.iter().filter(|&&p| p == 255).count(), 20);
    let dot: Vec<u8> = (0..100).map(|i| if i == 55 { 255 } else { 0 }).collect();
    assert_eq!(read(&pgm(10, 10, 255, &dot)).unwrap().iter().filter(|&&p| p == 255).count(), 400);
    assert!(read(&pgm(9, 1, 255, &[0, 0, 0, 255, 0, 0, 0, 0, 0])).is_ok());
    assert!(read(&pgm(1, 9, 255, &[0, 0, 0, 255, 0, 0, 0, 0, 0])).is_ok());
}

#[test]
fn pictures_that_show_nothing() {
    for level in [0, 128, 255] {
        let message = error(&pgm(40, 40, 255, &[level; 1600]));
        assert!(message.contains("the picture shows something: expected ink that differs"), "{message}");
        assert!(message.ends_with(&format!("found a blank picture (its pixels are {level} to {level})")), "{message}");
    }
    assert!(error(&pgm(1, 1, 255, &[9])).contains("blank"));
    assert!(error(&pgm(28, 28, 255, &[0; 784])).contains("blank"));
    // The only thing that differs is darker than a dark border.
    let darker: Vec<u8> = (0..900).map(|i| if i == 450 { 0 } else { 100 }).collect();
    assert!(error(&pgm(30, 30, 255, &darker)).contains("a background of 100 and ink of 100"));
}

#[test]
fn unreadable_pictures() {
    assert!(error(b"").ends_with("the format of a picture: expected PNG or PGM (P2 or P5), found an empty file"));
    assert!(error(b"\xff\xd8\xff\xe0").ends_with("found a JPEG file"));
    assert!(error(b"GIF89a").ends_with("found a file that begins with [47, 49, 46, 38]"));
    assert!(error(b"P6 1 1 255 aaa").contains("expected PNG or PGM"));
    let whole = png(30, 40, ColorType::Grayscale, BitDepth::Eight, &[100; 1200], &[]);
    for cut in 8..whole.len() - 12 {
        assert!(error(&whole[..cut]).contains("PNG file"), "{cut}");
    }
    for (pgm, rule) in [
        (&b"P5"[..], "a blank after P2 or P5"),
        (b"P55 5 255", "a blank after P2 or P5"),
        (b"P5 ", "the width in the PGM header: expected a number of at most 4294967295, found none"),
        (b"P5 99999999999 1 255 ", "the width"),
        (b"P5 -1 1 255 ", "the width"),
        (b"P5 4294967295 4294967295 255 ", "expected 1 to 64000000 pixels, found 4294967295 x 4294967295"),
        (b"P5 0 5 255 ", "found 0 x 5"),
        (b"P5 2 2 0 aaaa", "the white level in the PGM header: expected 1 to 65535, found 0"),
        (b"P5 2 2 65536 aaaa", "the white level"),
        (b"P5 2 2 255", "expected a blank and 4 bytes after the header, found 0 bytes"),
        (b"P5 2 2 255 aaa", "found 3 bytes"),
        (b"P5 2 2 255 aaaaa", "found 5 bytes"),
        (b"P5 2 2 256 aaaa", "8 bytes"),
        (b"P5 2 2 10 aaaa", "a pixel of the PGM file: expected at most 10, found 97"),
        (b"P2 2 2 10 1 2 3", "a pixel of the PGM file: expected a number of at most 10, found none"),
        (b"P2 2 2 10 1 2 3 11", "found 11"),
        (b"P2 2 2 10 1 2 3 4 5", "found more"),
        (b"P2 8000 8000 10 1", "found fewer"),
    ] {
        assert!(error(pgm).contains(rule), "{}: {}", String::from_utf8_lossy(pgm), error(pgm));
    }
    let dir = tempfile::tempdir().unwrap();
    assert!(super::read(dir.path()).unwrap_err().to_string().ends_with("expected a file, found a folder"));
    assert!(
        super::read(&dir.path().join("absent.png")).unwrap_err().to_string().contains("absent.png: cannot be read")
    );
}

/// A header of 60 bytes that promises 36 million pixels must not reserve them.
#[test]
fn a_png_that_promises_too_much() {
    for (side, rule) in [(6000, "expected no more pixels than"), (60_000, "expected 1 to 64000000 pixels")] {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, side, side);
        encoder.set_color(ColorType::Rgba);
        drop(encoder.write_header().unwrap());
        assert!(error(&bytes).contains(rule), "{}", error(&bytes));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Any bytes, also behind a good beginning or with good bytes flipped, give `Ok` or `Err`.
    #[test]
    fn any_bytes(
        mut bytes in prop::collection::vec(any::<u8>(), 0..300),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 1..4),
    ) {
        for start in [&b"\x89PNG\r\n\x1a\n"[..], b"P5 ", b"P2 ", b"P5 4 4 255 ", b""] {
            let _ = read(&[start, &bytes].concat());
        }
        for byte in &mut bytes {
            *byte = b"0123456789 \n#P"[usize::from(*byte) % 14];
        }
        let _ = read(&[b"P2 ", &bytes[..]].concat());
        let data: Vec<u8> = (0..48).map(|i| i * 5).collect();
        for color in [ColorType::Grayscale, ColorType::GrayscaleAlpha, ColorType::Rgb, ColorType::Rgba] {
            let mut file = png(4, 12 / color.samples(), color, BitDepth::Eight, &data, &[]);
            for (at, flip) in &flips {
                let at = at.index(file.len());
                file[at] ^= flip;
            }
            let _ = read(&file);
        }
    }

    /// Any picture with contrast at all gives a digit in range or says why not.
    #[test]
    fn any_picture(cols in 1usize..60, rows in 1usize..60, seed: u64) {
        let mut random = crate::data::random::Random::new(seed, "picture", 0);
        let style = random.below(3);
        let data: Vec<u8> = (0..rows * cols).map(|_| match style {
            0 => random.bits() as u8,
            1 => if random.below(10) == 0 { 255 } else { 0 },
            _ => 200 + random.below(40) as u8,
        }).collect();
        if let Ok(got) = read(&pgm(cols, rows, 255, &data)) {
            prop_assert!(got.iter().any(|&p| p > 0));
        }
    }
}
