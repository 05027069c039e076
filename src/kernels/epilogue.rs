//! What happens to each element of a matrix product before it is stored.

/// An activation function, applied element by element.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    /// `y = x`
    #[default]
    Identity,
    /// `y = max(x, 0)`; NaN stays NaN.
    Relu,
    /// `y = tanh(x)`
    Tanh,
    /// `y = 1 / (1 + exp(-x))`
    Sigmoid,
}

/// What a matrix product does with its sums: `C = activation(A·B + bias)`, or `C = activation(C + A·B + bias)`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Epilogue<'a> {
    /// Adds to what the output holds instead of overwriting it.
    pub accumulate: bool,
    /// One value for each column of the output of a product, or channel of a convolution's.
    pub bias: Option<&'a [f32]>,
    /// Applied last.
    pub activation: Activation,
}
