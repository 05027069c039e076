//! Pictures of pixels: digits, and the weights of linear models.

use super::canvas::Drawing;
use crate::study::Specimen;
use crate::study::exam::Weights;
use png::{BitDepth, ColorType, Encoder};

/// Pixels between two pictures of a row.
const GAP: usize = 2;
/// One of so many weights may be beyond full colour.
const PALE: usize = 200;
/// The ends of the diverging scale: blue for what is below 0, red for what is above, of ColorBrewer's RdBu, which people who see no red can
/// read too. 0 is white.
const BELOW: [f64; 3] = [33.0, 102.0, 172.0];
const ABOVE: [f64; 3] = [178.0, 24.0, 43.0];

/// A PNG and what stands under it.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// In words.
    pub caption: String,
    /// The file.
    pub png: Vec<u8>,
    /// Rows and columns.
    pub size: [usize; 2],
}

fn encode([rows, cols]: [usize; 2], colour: ColorType, pixels: &[u8]) -> Drawing<Vec<u8>> {
    let mut png = Vec::new();
    let mut encoder = Encoder::new(&mut png, u32::try_from(cols)?, u32::try_from(rows)?);
    encoder.set_color(colour);
    encoder.set_depth(BitDepth::Eight);
    encoder.write_header()?.write_image_data(pixels)?;
    Ok(png)
}

/// An image as people write: dark on white.
pub(super) fn digit(specimen: &Specimen) -> Drawing<Picture> {
    let pixels: Vec<u8> = specimen.pixels.iter().map(|grey| 255 - grey).collect();
    let png = encode(specimen.size, ColorType::Grayscale, &pixels)?;
    Ok(Picture { caption: specimen.caption.clone(), png, size: specimen.size })
}

/// The weights of all classes side by side, red above 0 and blue below; full colour from the magnitude on that one of 200 exceeds, which the
/// caption says: the very largest are so few that they would leave the others pale.
pub(super) fn weights(run: &str, weights: &Weights) -> Drawing<Picture> {
    let [rows, cols] = weights.size;
    let width = weights.pictures.len() * (cols + GAP) - GAP.min(weights.pictures.len());
    let mut magnitudes: Vec<f32> = weights.pictures.iter().flatten().map(|weight| weight.abs()).collect();
    magnitudes.sort_by(f32::total_cmp);
    let most = magnitudes.len().checked_sub(1 + magnitudes.len() / PALE).map_or(0.0, |at| magnitudes[at]);
    let mut pixels = vec![255; 3 * rows * width];
    for (i, picture) in weights.pictures.iter().enumerate() {
        for (at, weight) in picture.iter().enumerate() {
            let part = if most > 0.0 { f64::from(weight / most).clamp(-1.0, 1.0) } else { 0.0 };
            let end = if part < 0.0 { BELOW } else { ABOVE };
            let place = 3 * (at / cols * width + i * (cols + GAP) + at % cols);
            for (channel, end) in pixels[place..place + 3].iter_mut().zip(end) {
                *channel = (255.0 + part.abs() * (end - 255.0)).round() as u8;
            }
        }
    }
    let png = encode([rows, width], ColorType::Rgb, &pixels)?;
    Ok(Picture { caption: format!("{run}: digits 0 to 9, full colour from {most:.3} on"), png, size: [rows, width] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn pixels(png: &[u8]) -> Vec<u8> {
        let mut reader = png::Decoder::new(Cursor::new(png)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        pixels
    }

    #[test]
    fn ink_is_dark_and_weights_diverge_from_white() {
        let specimen = Specimen { caption: "c".to_owned(), size: [1, 2], pixels: vec![0, 255] };
        assert_eq!(pixels(&digit(&specimen).unwrap().png), [255, 0]);
        let two = Weights { size: [1, 2], pictures: vec![vec![0.5, 0.0], vec![-0.5, 0.25]] };
        let picture = weights("run", &two).unwrap();
        assert_eq!(picture.size, [1, 6]);
        let white = [255; 3];
        let want = [[178, 24, 43], white, white, white, [33, 102, 172], [217, 140, 149]];
        assert_eq!(pixels(&picture.png), want.concat());
        assert!(picture.caption.contains("0.500"));
    }
}
