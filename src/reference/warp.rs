//! Bilinear resampling of one place, in f64.

/// The image at `(x, y)`, pixel `(row, column)` having its centre at `y = row`, `x = column`: the bilinear mean of the four pixels around,
/// zeros outside of the image. Not for NaN.
///
/// # Shapes
/// `image [h, w]`; pixels beyond what it holds count as outside.
#[must_use]
pub fn bilinear_f64(image: &[f32], [h, w]: [usize; 2], x: f64, y: f64) -> f64 {
    if !(x > -1.0 && y > -1.0 && x < w as f64 && y < h as f64) {
        return 0.0;
    }
    // Both are above −1: one more makes them positive, where cutting off the fraction rounds down.
    let (x1, y1) = ((x + 1.0) as usize, (y + 1.0) as usize);
    let (right, below) = (x + 1.0 - x1 as f64, y + 1.0 - y1 as f64);
    let mut sum = 0.0;
    for (row, weight_y) in [(y1, 1.0 - below), (y1 + 1, below)] {
        for (col, weight_x) in [(x1, 1.0 - right), (x1 + 1, right)] {
            // Counted from 1, row 0 and column 0 lie outside.
            if (1..=h).contains(&row) && (1..=w).contains(&col) {
                let pixel = image.get((row - 1) * w + col - 1).copied().unwrap_or(0.0);
                sum += weight_x * weight_y * f64::from(pixel);
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::bilinear_f64;

    #[test]
    fn places_by_hand() {
        let image = [1.0, 2.0, 3.0, 4.0];
        let at = |x, y| bilinear_f64(&image, [2, 2], x, y);
        assert_eq!([at(0.0, 0.0), at(1.0, 0.0), at(0.0, 1.0), at(1.0, 1.0)], [1.0, 2.0, 3.0, 4.0]);
        assert_eq!([at(0.5, 0.5), at(0.25, 0.0), at(0.0, 0.75)], [2.5, 1.25, 2.5]);
        assert_eq!([at(-0.5, 0.0), at(1.5, 1.0), at(1.5, 1.5), at(-0.25, -0.5)], [0.5, 2.0, 1.0, 0.375]);
        assert_eq!([at(-1.0, 0.0), at(2.0, 1.0), at(0.0, 1e300), at(f64::NEG_INFINITY, 0.0)], [0.0; 4]);
    }
}
