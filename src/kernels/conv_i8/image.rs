//! An image of bytes, padded and widened to 16 bits.

/// How a padded image is laid out: rows of pixels, their channels last.
#[derive(Clone, Copy)]
pub(super) struct Widened {
    /// Rows and columns of the image, channels of a pixel, and those that are copied.
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) all: usize,
    pub(super) channels: usize,
    /// Pixels before the image and above it.
    pub(super) padding: usize,
    /// Rows and columns of the copy.
    pub(super) rows: usize,
    pub(super) cols: usize,
    /// Elements of a pixel of the copy.
    pub(super) depth: usize,
}

impl Widened {
    pub(super) const fn len(&self) -> usize {
        self.rows * self.cols * self.depth
    }

    /// Copies the channels from `first` on; what lies around the image is `around`, channels that it does not have are 0.
    pub(super) fn fill(&self, image: &[i8], first: usize, around: i8, dst: &mut [i16]) {
        let Self { height, width, all, padding, cols, depth, .. } = *self;
        for (r, dst) in dst[..self.len()].chunks_exact_mut(cols * depth).enumerate() {
            let row = r.checked_sub(padding).filter(|row| *row < height).map(|row| &image[row * width * all..]);
            match row {
                Some(row) if depth == all => {
                    // One run of bytes between two borders.
                    let (left, rest) = dst.split_at_mut(padding * depth);
                    let (pixels, right) = rest.split_at_mut(width * depth);
                    left.fill(around.into());
                    for (wide, byte) in pixels.iter_mut().zip(row) {
                        *wide = i16::from(*byte);
                    }
                    right.fill(around.into());
                }
                _ => self.fill_row(row, first, around, dst),
            }
        }
    }

    /// One row, pixel by pixel.
    fn fill_row(&self, row: Option<&[i8]>, first: usize, around: i8, dst: &mut [i16]) {
        let Self { width, all, channels, padding, depth, .. } = *self;
        for (x, pixel) in dst.chunks_exact_mut(depth).enumerate() {
            let (pixel, rest) = pixel.split_at_mut(channels);
            rest.fill(0);
            match (row, x.checked_sub(padding).filter(|x| *x < width)) {
                (Some(row), Some(x)) => {
                    for (wide, byte) in pixel.iter_mut().zip(&row[x * all + first..][..channels]) {
                        *wide = i16::from(*byte);
                    }
                }
                _ => pixel.fill(around.into()),
            }
        }
    }
}
