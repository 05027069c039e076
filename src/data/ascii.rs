//! Digits as text, for the terminal.

/// From no ink to full ink.
const SHADES: [char; 10] = [' ', '.', ':', '-', '=', '+', '*', '#', '%', '@'];
/// Pixels from here on are ink in [`draw`].
const INK: u8 = 96;

/// Draws an image with half blocks: two pixels in a character, so that pixels are square; each line ends with a newline.
/// Pixels beyond `rows * cols` are left out, missing ones are blank.
#[must_use]
pub fn draw(image: &[u8], rows: usize, cols: usize) -> String {
    draw_row(&[image], rows, cols)
}

/// [`draw`] for several images of one size, side by side, two columns apart.
#[must_use]
pub fn draw_row(images: &[&[u8]], rows: usize, cols: usize) -> String {
    let mut text = String::new();
    for top in (0..rows).step_by(2) {
        let mut line = String::new();
        for (i, image) in images.iter().enumerate() {
            if i > 0 {
                line.push_str("  ");
            }
            let ink = |row: usize, col: usize| row < rows && pixel(image, row, col, cols) >= INK;
            for col in 0..cols {
                line.push(match (ink(top, col), ink(top + 1, col)) {
                    (false, false) => ' ',
                    (true, false) => '▀',
                    (false, true) => '▄',
                    (true, true) => '█',
                });
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Draws an image in ten shades of plain ASCII, two characters for a pixel; each line ends with a newline.
#[must_use]
pub fn draw_shades(image: &[u8], rows: usize, cols: usize) -> String {
    let mut text = String::new();
    for row in 0..rows {
        let mut line = String::new();
        for col in 0..cols {
            let shade = SHADES[usize::from(pixel(image, row, col, cols)) * SHADES.len() / 256];
            line.extend([shade, shade]);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// The pixel, or 0 where there is none.
fn pixel(image: &[u8], row: usize, col: usize, cols: usize) -> u8 {
    row.checked_mul(cols).and_then(|start| start.checked_add(col)).and_then(|i| image.get(i)).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_rows_in_a_line() {
        let image = [0, 255, 0, 255, 0, 0, 255, 255, 0, 0, 200, 0];
        assert_eq!(draw(&image, 3, 4), " ▀▄█\n  ▀\n");
        assert_eq!(draw_row(&[&image, &image], 2, 4), " ▀▄█   ▀▄█\n");
    }

    #[test]
    fn ten_shades() {
        let image: Vec<u8> = vec![0, 25, 26, 128, 255, 0];
        assert_eq!(draw_shades(&image, 2, 3), "    ..\n++@@\n");
    }

    #[test]
    fn any_sizes_are_drawn() {
        assert_eq!(draw(&[255], 1, 3), "▀\n");
        assert_eq!(draw(&[], 0, 0), "");
        assert_eq!(draw_shades(&[255], 2, 1), "@@\n\n");
        assert_eq!(draw_row(&[], 2, 2), "\n");
    }
}
