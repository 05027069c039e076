//! Threefry-2x32 of 13 rounds: a block cipher without the strength, whose outputs at consecutive counters are random numbers.

/// Left rotations of rounds 1 to 8, which repeat (Random123, `threefry.h`).
const ROTATIONS: [u32; 8] = [13, 15, 26, 6, 17, 29, 16, 24];
/// Makes a third word of the key (Skein 1.3, cut to 32 bits).
const PARITY: u32 = 0x1bd1_1bda;

/// Two random words: for one key, a permutation of all counters.
#[inline(always)]
pub(super) const fn threefry(key: [u32; 2], counter: [u32; 2]) -> [u32; 2] {
    let key = [key[0], key[1], PARITY ^ key[0] ^ key[1]];
    let x = [counter[0].wrapping_add(key[0]), counter[1].wrapping_add(key[1])];
    // Written out: a loop over rounds would stand between the compiler and the loop over counters that it vectorizes.
    let x = add(four(x, 0), [key[1], key[2]], 1);
    let x = add(four(x, 4), [key[2], key[0]], 2);
    let x = add(four(x, 0), [key[0], key[1]], 3);
    round(x, ROTATIONS[4])
}

/// Rounds by the four rotations from `first` on.
#[inline(always)]
const fn four(x: [u32; 2], first: usize) -> [u32; 2] {
    let x = round(round(x, ROTATIONS[first]), ROTATIONS[first + 1]);
    round(round(x, ROTATIONS[first + 2]), ROTATIONS[first + 3])
}

#[inline(always)]
const fn round([a, b]: [u32; 2], rotation: u32) -> [u32; 2] {
    let a = a.wrapping_add(b);
    [a, b.rotate_left(rotation) ^ a]
}

/// The key of this time, and which time it is.
#[inline(always)]
const fn add(x: [u32; 2], key: [u32; 2], time: u32) -> [u32; 2] {
    [x[0].wrapping_add(key[0]), x[1].wrapping_add(key[1]).wrapping_add(time)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers that come with Random123 (`kat_vectors`).
    #[test]
    fn known_answers() {
        assert_eq!(threefry([0, 0], [0, 0]), [0x9d1c_5ec6, 0x8bd5_0731]);
        assert_eq!(threefry([u32::MAX; 2], [u32::MAX; 2]), [0xfd36_d048, 0x2d17_272c]);
        let answer = threefry([0x1319_8a2e, 0x0370_7344], [0x243f_6a88, 0x85a3_08d3]);
        assert_eq!(answer, [0xba3e_4725, 0xf27d_669e]);
    }
}
