//! Products of one row of bytes with many, for sets of one lane: microcontrollers, whose weights stay in flash as they are.

use crate::kernels::simd::Simd;

/// Words that [`spread`] needs for `k` bytes.
pub(in crate::kernels) const fn spread_len(k: usize) -> usize {
    2 * k.div_ceil(4)
}

/// Widens `x` as [`row`] reads it, zeros behind its end.
#[inline(always)]
pub(in crate::kernels) fn spread<S: Simd>(simd: S, x: &[i8], dst: &mut [i32]) {
    let (quads, rest) = x.as_chunks::<4>();
    let dst = dst[..spread_len(x.len())].as_chunks_mut::<2>().0;
    for (quad, dst) in quads.iter().zip(&mut *dst) {
        *dst = simd.spread(*quad);
    }
    if let (false, Some(dst)) = (rest.is_empty(), dst.last_mut()) {
        let mut quad = [0; 4];
        quad[..rest.len()].copy_from_slice(rest);
        *dst = simd.spread(quad);
    }
}

/// `sums[j] = Σ x[i] · w[j · stride + i]` for `k` of each, `x` as [`spread`] left it.
#[inline(always)]
pub(in crate::kernels) fn row<S: Simd>(simd: S, x: &[i32], k: usize, w: &[i8], stride: usize, sums: &mut [i32]) {
    let x = x[..spread_len(k)].as_chunks::<2>().0;
    let mut col = 0;
    while col < sums.len() {
        // The last four may be some of the four before them once more; fewer than four are one and one.
        let (from, count, apart) = match sums.len() {
            4.. => (col.min(sums.len() - 4), 4, stride),
            _ => (col, 1, 0),
        };
        let w = &w[from * stride..];
        // A step may reach into the next row, where `x` is zero, but not behind the end.
        let steps = if w.len() >= 3 * apart + 4 * x.len() { x.len() } else { k / 4 };
        let mut four = simd.dot_rows(&x[..steps], w, apart);
        if steps < x.len() {
            let tail: [[i16; 2]; 2] = [bytemuck::cast(x[steps][0]), bytemuck::cast(x[steps][1])];
            for (r, sum) in four.iter_mut().enumerate() {
                for (j, w) in w[r * apart..][4 * steps..k].iter().enumerate() {
                    *sum = sum.wrapping_add(i32::from(tail[j % 2][j / 2]) * i32::from(*w));
                }
            }
        }
        sums[from..from + count].copy_from_slice(&four[..count]);
        col = from + count;
    }
}
