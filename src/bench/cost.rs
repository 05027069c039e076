//! What one call takes, for the roofline.

/// The arithmetic whose peak a piece of work is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    /// Multiply-adds in f32: [`peak::multiply_adds`](crate::kernels::peak::multiply_adds).
    Single,
    /// 16-bit products summed in pairs: [`peak::pair_products`](crate::kernels::peak::pair_products). Packed bytes, whose pairs sum
    /// in 16 bits, and instructions for dot products of bytes can pass it.
    Pairs,
}

/// What a piece of work meets first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The peak of its arithmetic.
    Arithmetic,
    /// The speed of reading: it does little with each byte.
    Memory,
}

/// What one call takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Operations of the definition, multiplications and additions alike; a transform that saves some does not lower it.
    pub operations: u64,
    /// Bytes moved at least: operands read once, the output written once.
    pub bytes: u64,
    /// What computes.
    pub arithmetic: Arithmetic,
    /// What limits.
    pub bound: Bound,
}

impl Cost {
    /// Of a product `[m, k] · [k, n]`, elements of the operands and of the output having so many bytes. One row uses each weight
    /// once: memory bounds it.
    pub(super) const fn product([m, n, k]: [usize; 3], bytes: [usize; 3], arithmetic: Arithmetic) -> Self {
        let operations = 2 * (m * n * k) as u64;
        let bytes = (m * k * bytes[0] + k * n * bytes[1] + m * n * bytes[2]) as u64;
        Self { operations, bytes, arithmetic, bound: if m == 1 { Bound::Memory } else { Bound::Arithmetic } }
    }

    /// Operations a byte.
    #[must_use]
    pub fn intensity(&self) -> f64 {
        self.operations as f64 / self.bytes as f64
    }

    /// The name of the peak that limits: `f32`, `i16` or `read`.
    #[must_use]
    pub const fn limit(&self) -> &'static str {
        match (self.bound, self.arithmetic) {
            (Bound::Memory, _) => "read",
            (Bound::Arithmetic, Arithmetic::Single) => "f32",
            (Bound::Arithmetic, Arithmetic::Pairs) => "i16",
        }
    }
}
