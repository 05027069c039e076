//! The same product split over the threads of the current rayon pool, by tiles of the output.
//!
//! Every element is summed by one thread in the order in which one thread alone would sum it, so the bits are equal for any number.

use super::blocks::{Blocks, Left, Strip, k_blocks, k_step};
use super::pack::{self, Panels};
use super::tile::NV;
use super::{Path, check, matmul_with, pack_panels, unpacked};
use crate::error::ShapeError;
use crate::kernels::arch::split::Tile;
use crate::kernels::simd::{Kernel, MAX_LANES, Simd};
use crate::kernels::{Epilogue, Isa};
use crate::view::{Mat, MatMut};

/// Rows and columns packed at once, for all threads together: 2 x 3.3 MB of the third cache.
const MC: usize = 2048;
const NC: usize = 2048;
/// Multiply-adds under which one thread is faster: some 8 us of AVX2, against 1 to 2 us for handing over a part.
const SERIAL: usize = 400_000;
/// Multiply-adds of the smallest part that is handed over, for the packed way some 30 us.
const PART: usize = 1_500_000;
/// Floats packed by one thread before it shares.
const PACK_PART: usize = 16_384;

/// Elements of scratch that [`matmul`] needs; at least those of the product on one thread.
#[must_use]
pub const fn matmul_scratch_len(m: usize, n: usize, k: usize) -> usize {
    let m = if m < MC { m } else { MC };
    let n = if n < NC { n } else { NC };
    (m + n.next_multiple_of(NV * MAX_LANES)) * k_step(k)
}

/// `c = activation(a·b + bias)` as [`matmul_with`], on all threads of the current rayon pool where that pays.
///
/// # Shapes
/// As [`matmul_with`]; `scratch` needs [`matmul_scratch_len`] of this module.
/// # Errors
/// As [`matmul_with`].
pub fn matmul(
    isa: Isa,
    c: MatMut<'_>,
    a: Mat<'_>,
    b: Mat<'_>,
    epilogue: Epilogue<'_>,
    scratch: &mut [f32],
) -> Result<(), ShapeError> {
    let path = check(&c, a, b, epilogue)?;
    let (m, n, k) = (a.rows(), b.cols(), a.cols());
    let needed = matmul_scratch_len(m, n, k);
    if scratch.len() < needed {
        return Err(ShapeError::TooShort { what: "the scratch of matmul", needed, got: scratch.len() });
    }
    if rayon::current_num_threads() == 1 || m.saturating_mul(n).saturating_mul(k) < SERIAL {
        return matmul_with(isa, c, a, b, epilogue, scratch);
    }
    let c = Tile::whole(c);
    match path {
        Path::Packed => packed(isa, c, a, b, epilogue, scratch),
        path => split_unpacked(isa, path, c, a, b, epilogue),
    }
    Ok(())
}

/// Halves the output until a part is too small to share.
fn split_unpacked(isa: Isa, path: Path, c: Tile<'_>, a: Mat<'_>, b: Mat<'_>, epilogue: Epilogue<'_>) {
    let (m, n, k) = (c.rows(), c.cols(), a.cols());
    if m.saturating_mul(n).saturating_mul(k) < SERIAL {
        return unpacked(isa, path, c, a, b, epilogue);
    }
    if n >= 4 * NV * MAX_LANES || n >= m {
        let at = (n / 2).next_multiple_of(NV * MAX_LANES).min(n);
        if at == n {
            return unpacked(isa, path, c, a, b, epilogue);
        }
        let (left, right) = c.split_cols(at);
        let half = |from, to| Epilogue { bias: epilogue.bias.map(|bias| &bias[from..to]), ..epilogue };
        let (first, second) = (half(0, at), half(at, n));
        rayon::join(
            || split_unpacked(isa, path, left, a, b.cols_range(0, at), first),
            || split_unpacked(isa, path, right, a, b.cols_range(at, n), second),
        );
    } else {
        let at = m / 2;
        let (top, bottom) = c.split_rows(at);
        rayon::join(
            || split_unpacked(isa, path, top, a.rows_range(0, at), b, epilogue),
            || split_unpacked(isa, path, bottom, a.rows_range(at, m), b, epilogue),
        );
    }
}

/// For each block: all threads pack, then all threads multiply.
fn packed(isa: Isa, mut c: Tile<'_>, a: Mat<'_>, b: Mat<'_>, epilogue: Epilogue<'_>, scratch: &mut [f32]) {
    let (m, n, k) = (a.rows(), b.cols(), a.cols());
    let nr = NV * isa.lanes();
    let (packed_b, packed_a) = scratch.split_at_mut(n.min(NC).next_multiple_of(nr) * k_step(k));
    for jc in (0..n).step_by(NC) {
        let nc = NC.min(n - jc);
        for range in k_blocks(k) {
            for ic in (0..m).step_by(MC) {
                let panels = Panels::of(MC.min(m - ic));
                let mc = panels.start(panels.count);
                let kc = range.1 - range.0;
                let strips = Strips { b, col: jc, cols: nc, k: range };
                let b_part = &mut packed_b[..nc.next_multiple_of(nr) * kc];
                if ic == 0 {
                    let a_part = &mut packed_a[..mc * kc];
                    rayon::join(|| pack_b(isa, strips, b_part), || pack_a(isa, a, ic, panels, range, a_part));
                } else {
                    pack_a(isa, a, ic, panels, range, &mut packed_a[..mc * kc]);
                }
                let part = Part {
                    packed_a: &packed_a[..mc * kc],
                    packed_b: &packed_b[..nc.next_multiple_of(nr) * kc],
                    kc,
                    panels,
                    accumulate: range.0 > 0 || epilogue.accumulate,
                    finish: (range.1 == k)
                        .then(|| Epilogue { bias: epilogue.bias.map(|bias| &bias[jc..jc + nc]), ..epilogue }),
                };
                let (_, rows) = c.reborrow().split_rows(ic);
                let (rows, _) = rows.split_rows(mc);
                let (_, block) = rows.split_cols(jc);
                let (block, _) = block.split_cols(nc);
                multiply(isa, nr, block, part);
            }
        }
    }
}

/// Columns `col..col + cols` of B, to be packed in strips.
#[derive(Clone, Copy)]
struct Strips<'a> {
    b: Mat<'a>,
    col: usize,
    cols: usize,
    k: (usize, usize),
}

/// Packs strips, all threads together.
fn pack_b(isa: Isa, strips: Strips<'_>, dst: &mut [f32]) {
    struct Pack<'a, 'd>(Strips<'a>, &'d mut [f32]);
    impl Kernel for Pack<'_, '_> {
        type Output = ();
        #[inline(always)]
        fn eval<S: Simd>(self, simd: S) {
            let Self(Strips { b, col, cols, k }, dst) = self;
            let nr = NV * S::LANES;
            for (from, dst) in (0..cols).step_by(nr).zip(dst.chunks_exact_mut(nr * (k.1 - k.0).max(1))) {
                pack::strip_b(simd, b, col + from, nr.min(cols - from), k, dst);
            }
        }
    }
    let nr = NV * isa.lanes();
    let count = strips.cols.div_ceil(nr);
    if dst.len() <= PACK_PART || count < 2 {
        return isa.run(Pack(strips, dst));
    }
    let at = count / 2 * nr;
    let (left, right) = dst.split_at_mut(at * (strips.k.1 - strips.k.0));
    rayon::join(
        || pack_b(isa, Strips { cols: at, ..strips }, left),
        || pack_b(isa, Strips { col: strips.col + at, cols: strips.cols - at, ..strips }, right),
    );
}

/// Packs panels, all threads together.
fn pack_a(isa: Isa, a: Mat<'_>, row: usize, panels: Panels, k: (usize, usize), dst: &mut [f32]) {
    struct Pack<'a, 'd>(Mat<'a>, usize, Panels, (usize, usize), &'d mut [f32]);
    impl Kernel for Pack<'_, '_> {
        type Output = ();
        #[inline(always)]
        fn eval<S: Simd>(self, simd: S) {
            pack_panels(simd, self.0, self.1, self.2, self.3, self.4);
        }
    }
    if dst.len() <= PACK_PART || panels.count < 2 {
        return isa.run(Pack(a, row, panels, k, dst));
    }
    let at = panels.count / 2;
    let (top, bottom) = dst.split_at_mut(panels.start(at) * (k.1 - k.0));
    rayon::join(
        || pack_a(isa, a, row, panels.range(0, at), k, top),
        || pack_a(isa, a, row + panels.start(at), panels.range(at, panels.count), k, bottom),
    );
}

/// A part of a packed block: its panels and strips, all of `kc`.
#[derive(Clone, Copy)]
struct Part<'p, 'e> {
    packed_a: &'p [f32],
    packed_b: &'p [f32],
    kc: usize,
    panels: Panels,
    accumulate: bool,
    finish: Option<Epilogue<'e>>,
}

/// Halves a part along its longer side until it is too small to share.
fn multiply(isa: Isa, nr: usize, c: Tile<'_>, part: Part<'_, '_>) {
    let (m, n) = (c.rows(), c.cols());
    let strips = n.div_ceil(nr);
    if m.saturating_mul(n).saturating_mul(part.kc) < PART || (strips < 2 && part.panels.count < 2) {
        return isa.run(Multiply { c, part });
    }
    if (n >= m || part.panels.count < 2) && strips >= 2 {
        let at = strips / 2 * nr;
        let (left, right) = c.split_cols(at);
        let (b_left, b_right) = part.packed_b.split_at(at * part.kc);
        let half = |from: usize, to: usize| {
            part.finish.map(|finish| Epilogue { bias: finish.bias.map(|bias| &bias[from..to]), ..finish })
        };
        let left_part = Part { packed_b: b_left, finish: half(0, at), ..part };
        let right_part = Part { packed_b: b_right, finish: half(at, n), ..part };
        rayon::join(|| multiply(isa, nr, left, left_part), || multiply(isa, nr, right, right_part));
    } else {
        let at = part.panels.count / 2;
        let row = part.panels.start(at);
        let (top, bottom) = c.split_rows(row);
        let (a_top, a_bottom) = part.packed_a.split_at(row * part.kc);
        let top_part = Part { packed_a: a_top, panels: part.panels.range(0, at), ..part };
        let bottom_part = Part { packed_a: a_bottom, panels: part.panels.range(at, part.panels.count), ..part };
        rayon::join(|| multiply(isa, nr, top, top_part), || multiply(isa, nr, bottom, bottom_part));
    }
}

/// One part on one thread.
struct Multiply<'c, 'p, 'e> {
    c: Tile<'c>,
    part: Part<'p, 'e>,
}

impl Kernel for Multiply<'_, '_, '_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(mut self, simd: S) {
        let Part { packed_a, packed_b, kc, panels, accumulate, finish } = self.part;
        let (nr, n) = (NV * S::LANES, self.c.cols());
        for (s, col) in (0..n).step_by(nr).enumerate() {
            let strip = &packed_b[s * nr * kc..][..nr * kc];
            let blocks = Blocks { a: Left::Packed(packed_a), kc, panels, accumulate };
            blocks.column(simd, &mut self.c, 0, (col, nr.min(n - col)), Strip::Packed(strip), finish);
        }
    }
}
