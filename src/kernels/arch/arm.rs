//! The DSP instructions of Cortex-M4, M7 and their like, whose intrinsics are not stable yet: two products of 16 bits and both sums at once.

use core::arch::asm;

/// `acc + a.low · b.low + a.high · b.high`, halves of 16 bits with sign, wrapping.
#[inline(always)]
pub(super) fn smlad(a: u32, b: u32, acc: i32) -> i32 {
    let sum;
    // SAFETY: only registers are touched, and the Q flag where a sum wraps; `cfg(inkstone_dsp)` says that the target has it.
    unsafe {
        asm!("smlad {0}, {1}, {2}, {3}", lateout(reg) sum, in(reg) a, in(reg) b, in(reg) acc, options(pure, nomem, nostack));
    }
    sum
}

/// `acc + Σ a[i] · b[i]` over the four bytes of each word, wrapping.
#[inline(always)]
pub(super) fn dot_bytes(a: u32, b: u32, acc: i32) -> i32 {
    smlad(odd_bytes(a), odd_bytes(b), smlad(even_bytes(a), even_bytes(b), acc))
}

/// Bytes 0 and 2, widened with their signs.
#[inline(always)]
fn even_bytes(x: u32) -> u32 {
    let wide;
    // SAFETY: only registers are touched; `cfg(inkstone_dsp)` says that the target has it.
    unsafe { asm!("sxtb16 {0}, {1}", lateout(reg) wide, in(reg) x, options(pure, nomem, nostack, preserves_flags)) }
    wide
}

/// Bytes 1 and 3, widened with their signs.
#[inline(always)]
fn odd_bytes(x: u32) -> u32 {
    let wide;
    // SAFETY: only registers are touched; `cfg(inkstone_dsp)` says that the target has it.
    unsafe {
        asm!("sxtb16 {0}, {1}, ror #8", lateout(reg) wide, in(reg) x, options(pure, nomem, nostack, preserves_flags));
    }
    wide
}

/// Four bytes in two words: the even ones and the odd ones, widened with their signs.
#[inline(always)]
pub(super) fn spread(quad: [i8; 4]) -> [i32; 2] {
    let x = bytemuck::cast(quad);
    [even_bytes(x) as i32, odd_bytes(x) as i32]
}

/// `Σ x[i] · w[r · stride + i]` for four rows `r`, wrapping, `x` as [`spread`] left it. Panics if `w` is shorter.
///
/// The compiler has no registers for four rows of its own: it reads their places from the stack at every step. Here rows 1 and 2 lie
/// one and two strides behind the pointer to row 0, and only row 3 has another.
#[inline(never)] // the compiler takes the loop for shorter than it is, and it needs every register there is
pub(super) fn dot_rows(x: &[[i32; 2]], w: &[i8], stride: usize) -> [i32; 4] {
    let needed = stride.checked_mul(3).and_then(|rows| rows.checked_add(4 * x.len()));
    assert!(needed.is_some_and(|needed| needed <= w.len()));
    let start = Places { x: x.as_ptr(), row_0: w.as_ptr(), row_3: w.as_ptr().wrapping_add(3 * stride) };
    let (mut at, mut sums) = (start, [0; 4]);
    if x.len() >= 4 {
        // SAFETY: the assert found eight bytes of `x` and four of each row of `w` for each step.
        (at, sums) = unsafe { steps::<4>(at, stride, x.len() / 4, sums) };
    }
    if x.len() % 4 > 0 {
        // SAFETY: as above; these are the steps that are left.
        (_, sums) = unsafe { steps::<1>(at, stride, x.len() % 4, sums) };
    }
    sums
}

/// Where the next step reads.
struct Places {
    x: *const [i32; 2],
    row_0: *const i8,
    row_3: *const i8,
}

/// `count` times `TIMES` steps; `count` is not 0.
///
/// # Safety
/// Each step reads eight bytes of `x` and four of each row of `w`; rows 1 and 2 lie one and two strides behind row 0.
#[inline(always)]
unsafe fn steps<const TIMES: usize>(at: Places, stride: usize, count: usize, sums: [i32; 4]) -> (Places, [i32; 4]) {
    let Places { mut x, mut row_0, mut row_3 } = at;
    let [mut a, mut b, mut c, mut d] = sums;
    // SAFETY: the caller says what may be read; `x` is aligned as words are, which `ldrd`
    // needs; those of `w` may lie anywhere in normal memory, as `ldr` reads from any address unless a program sets UNALIGN_TRP.
    unsafe {
        asm!(
            "2:",
            ".rept {times}",
            "ldrd {e}, {o}, [{x}], #8",
            "ldr {w}, [{p}, {s}]",
            "sxtb16 {t}, {w}",
            "smlad {b}, {t}, {e}, {b}",
            "sxtb16 {w}, {w}, ror #8",
            "smlad {b}, {w}, {o}, {b}",
            "ldr {w}, [{p}, {s}, lsl #1]",
            "sxtb16 {t}, {w}",
            "smlad {c}, {t}, {e}, {c}",
            "sxtb16 {w}, {w}, ror #8",
            "smlad {c}, {w}, {o}, {c}",
            "ldr {w}, [{p}], #4",
            "sxtb16 {t}, {w}",
            "smlad {a}, {t}, {e}, {a}",
            "sxtb16 {w}, {w}, ror #8",
            "smlad {a}, {w}, {o}, {a}",
            "ldr {w}, [{q}], #4",
            "sxtb16 {t}, {w}",
            "smlad {d}, {t}, {e}, {d}",
            "sxtb16 {w}, {w}, ror #8",
            "smlad {d}, {w}, {o}, {d}",
            ".endr",
            "subs {n}, {n}, #1",
            "bne 2b",
            times = const TIMES,
            e = out(reg) _, o = out(reg) _, w = out(reg) _, t = out(reg) _,
            x = inout(reg) x, p = inout(reg) row_0, q = inout(reg) row_3, s = in(reg) stride, n = inout(reg) count => _,
            a = inout(reg) a, b = inout(reg) b, c = inout(reg) c, d = inout(reg) d,
            options(nostack, readonly),
        );
    }
    (Places { x, row_0, row_3 }, [a, b, c, d])
}
