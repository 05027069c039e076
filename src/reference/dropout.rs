//! Dropout one element at a time.

use super::length;
use crate::error::ShapeError;

/// Threefry-2x32 with any number of rounds, as Random123 describes it.
fn threefry2x32(rounds: usize, key: [u32; 2], counter: [u32; 2]) -> [u32; 2] {
    let schedule = [key[0], key[1], 0x1bd1_1bda ^ key[0] ^ key[1]];
    let mut x = [counter[0].wrapping_add(key[0]), counter[1].wrapping_add(key[1])];
    for round in 0..rounds {
        x[0] = x[0].wrapping_add(x[1]);
        x[1] = x[1].rotate_left([13, 15, 26, 6, 17, 29, 16, 24][round % 8]) ^ x[0];
        if round % 4 == 3 {
            let times = round / 4 + 1;
            x[0] = x[0].wrapping_add(schedule[times % 3]);
            x[1] = x[1].wrapping_add(schedule[(times + 1) % 3]).wrapping_add(times as u32);
        }
    }
    x
}

/// The word that decides whether position `position` is kept in step `step` of a run, in layer `layer`.
#[must_use]
pub fn dropout_word(seed: u64, step: u64, layer: u64, position: u64) -> u32 {
    let halves = |x: u64| [x as u32, (x >> 32) as u32];
    let key = threefry2x32(13, threefry2x32(13, halves(seed), halves(step)), halves(layer));
    let (group, place) = (position / 32, position % 32);
    threefry2x32(13, key, halves(16 * group + place % 16))[(place / 16) as usize]
}

/// `out = x / keep` where the word of the position, `words(i)` for `x[i]`, is below `2³²·keep`, else 0.
///
/// # Errors
/// [`ShapeError::Length`] if the slices differ in length.
pub fn dropout_f64(keep: f32, words: impl Fn(usize) -> u32, x: &[f32], out: &mut [f64]) -> Result<(), ShapeError> {
    length("the output", x.len(), out.len())?;
    for (i, (x, out)) in x.iter().zip(out).enumerate() {
        let kept = f64::from(words(i)) < f64::from(keep) * 4_294_967_296.0;
        *out = if kept { f64::from(*x) / f64::from(keep) } else { 0.0 };
    }
    Ok(())
}
