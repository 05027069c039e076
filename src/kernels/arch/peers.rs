//! The same products by other crates, which take pointers: for the programs that time them, the command and the criterion bench, each of
//! which includes this file. It stands here as all `unsafe` code does; the library does without it.

use inkstone::bench::{Peer, Peers, Product};
use inkstone::kernels::f16;

/// `gemm` on one thread and on several, in either precision; `matrixmultiply` on one, in single precision.
pub(crate) const PEERS: Peers = Peers { single: products, half: products_f16 };

fn products(product: Product<'_>, threads: usize) -> Vec<Peer<'_>> {
    let mut peers = by_gemm(product, [0.0, 1.0], threads);
    peers.push(by_matrixmultiply(product));
    peers
}

fn products_f16(product: Product<'_, f16>, threads: usize) -> Vec<Peer<'_, f16>> {
    by_gemm(product, [f16::ZERO, f16::ONE], threads)
}

/// Fails unless the slices hold the matrices that the strides describe.
fn check<T>(product: &Product<'_, T>, c: &[T]) {
    let Product { m, n, k, a, a_strides, b, b_strides } = *product;
    let whole =
        |rows: usize, cols: usize, strides: [isize; 2]| strides == [cols as isize, 1] || strides == [1, rows as isize];
    assert!(c.len() == m * n && a.len() == m * k && b.len() == k * n, "a matrix of {m} x {n} x {k} is not whole");
    assert!(whole(m, k, a_strides) && whole(k, n, b_strides), "a matrix of {m} x {n} x {k} has gaps");
}

fn by_gemm<T: Copy + 'static>(product: Product<'_, T>, factors: [T; 2], threads: usize) -> Vec<Peer<'_, T>> {
    let mut peers = vec![gemm_on(product, factors, 1)];
    if threads > 1 {
        peers.push(gemm_on(product, factors, threads));
    }
    peers
}

/// `c = zero · c + one · a·b`.
fn gemm_on<T: Copy + 'static>(product: Product<'_, T>, [zero, one]: [T; 2], threads: usize) -> Peer<'_, T> {
    let parallelism = if threads == 1 { gemm::Parallelism::None } else { gemm::Parallelism::Rayon(threads) };
    let run = move |c: &mut [T]| {
        check(&product, c);
        let Product { m, n, k, a, a_strides, b, b_strides } = product;
        // SAFETY: `check` found that the strides describe the whole of the slices: m x k, k x n and m x n elements.
        unsafe {
            gemm::gemm(
                m,
                n,
                k,
                c.as_mut_ptr(),
                1,
                n as isize,
                false,
                a.as_ptr(),
                a_strides[1],
                a_strides[0],
                b.as_ptr(),
                b_strides[1],
                b_strides[0],
                zero,
                one,
                false,
                false,
                false,
                parallelism,
            );
        }
    };
    Peer { name: "gemm", threads, run: Box::new(run) }
}

fn by_matrixmultiply(product: Product<'_>) -> Peer<'_> {
    let run = move |c: &mut [f32]| {
        check(&product, c);
        let Product { m, n, k, a, a_strides, b, b_strides } = product;
        // SAFETY: `check` found that the strides describe the whole of the slices: m x k, k x n and m x n elements.
        unsafe {
            matrixmultiply::sgemm(
                m,
                k,
                n,
                1.0,
                a.as_ptr(),
                a_strides[0],
                a_strides[1],
                b.as_ptr(),
                b_strides[0],
                b_strides[1],
                0.0,
                c.as_mut_ptr(),
                n as isize,
                1,
            );
        }
    };
    Peer { name: "matrixmultiply", threads: 1, run: Box::new(run) }
}
