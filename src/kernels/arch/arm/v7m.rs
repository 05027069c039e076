//! Cortex-M3, and M33 and its successors without DSP instructions: products and their sums in one instruction, one at a time.

use super::Pixels;
use core::arch::naked_asm;

/// Nine instructions for the four products of a number of `x`: `sums[r] = Σ x[i] · w[r · stride + i]`.
///
/// # Safety
/// From `x` to `end` lies a pair of words, or more; for each pair four bytes may be read of each of the rows `w`, `w + stride`,
/// `w + 2 · stride` and `w + 3 · stride`.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn rows(
    x: *const [i32; 2],
    end: *const [i32; 2],
    w: *const i8,
    stride: usize,
    sums: &mut [i32; 4],
) {
    // r0 is the place in `x`, r1 its end; r2, r3, r12 and lr are the places in the rows; r4 to r7 are sums; r8 is of `x`, r9 to r11 are
    // weights. The numbers of a pair of words lie in the order 0, 2, 1, 3.
    naked_asm!(
        "push {{r4-r11, lr}}",
        "add r12, r2, r3, lsl #1",
        "add lr, r12, r3",
        "add r3, r2, r3",
        "movs r4, #0",
        "movs r5, #0",
        "movs r6, #0",
        "movs r7, #0",
        "2:",
        ".irp place, 0, 4, 2, 6",
        "ldrsh r8, [r0, #\\place]",
        "ldrsb r9, [r2], #1",
        "mla r4, r9, r8, r4",
        "ldrsb r10, [r3], #1",
        "mla r5, r10, r8, r5",
        "ldrsb r11, [r12], #1",
        "mla r6, r11, r8, r6",
        "ldrsb r9, [lr], #1",
        "mla r7, r9, r8, r7",
        ".endr",
        "adds r0, #8",
        "cmp r0, r1",
        "bne 2b",
        "ldr r0, [sp, #36]",
        "stm r0, {{r4-r7}}",
        "pop {{r4-r11, pc}}",
    )
}

/// Eighteen instructions for the eight products of two numbers of `x`.
///
/// # Safety
/// `sums` may be written up to the end in `pixels`, which is whole pixels away, at least one; `steps` is not 0, there are as many words
/// of `w` for each four of the sums of a pixel, and twice as many numbers of `x` for every pixel.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn fours_of(pixels: &mut Pixels, steps: usize, sums: *mut [i32; 4]) {
    // r0 is the place in `x`, r1 that in `w`, r2 the end of the patch, r3 the place in `sums`; r4 to r7 are sums, r8 and r9 numbers of
    // `x`, r10 to r12 weights, and lr the bytes of a patch.
    naked_asm!(
        "push {{r0, r4-r11, lr}}",
        "mov r3, r2",
        "lsl lr, r1, #2",
        "ldr r1, [r0, #16]",
        "ldr r0, [r0]",
        "add r2, r0, lr",
        "2:",
        "movs r4, #0",
        "movs r5, #0",
        "movs r6, #0",
        "movs r7, #0",
        "3:",
        "ldrsh r8, [r0], #2",
        "ldrsh r9, [r0], #2",
        "ldrsh r10, [r1, #2]",
        "mla r4, r10, r9, r4",
        "ldrsh r11, [r1, #4]",
        "mla r5, r11, r8, r5",
        "ldrsh r12, [r1, #6]",
        "mla r5, r12, r9, r5",
        "ldrsh r10, [r1, #8]",
        "mla r6, r10, r8, r6",
        "ldrsh r11, [r1, #10]",
        "mla r6, r11, r9, r6",
        "ldrsh r12, [r1, #12]",
        "mla r7, r12, r8, r7",
        "ldrsh r10, [r1, #14]",
        "mla r7, r10, r9, r7",
        "ldrsh r11, [r1], #16",
        "mla r4, r11, r8, r4",
        "cmp r0, r2",
        "bne 3b",
        "stm r3!, {{r4-r7}}",
        "sub r0, r2, lr", // the patch again
        "ldr r12, [sp]",
        "ldr r4, [r12, #4]",
        "cmp r3, r4",
        "bne 2b",
        "ldrd r5, r6, [r12, #8]", // the end of all, and the bytes of a pixel's
        "cmp r3, r5",
        "beq 4f",
        "add r4, r4, r6",
        "str r4, [r12, #4]",
        "ldrd r1, r6, [r12, #16]", // the weights, and the bytes to the next patch
        "add r0, r0, r6",
        "add r2, r2, r6",
        "b 2b",
        "4:",
        "pop {{r0, r4-r11, pc}}",
    )
}
