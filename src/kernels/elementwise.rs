//! stub
use super::{Activation, Isa};
use crate::{error::ShapeError};
/// y = activation(x), in place.
pub fn activate(_isa: Isa, activation: Activation, x: &mut [f32]) {
    for x in x { *x = match activation { Activation::Identity => *x, Activation::Relu => if *x < 0.0 {0.0} else {*x}, Activation::Tanh => x.tanh(), Activation::Sigmoid => 1.0/(1.0+(-*x).exp()) } }
}
/// dx = dy * activation'(x), written over dy, from the output y.
pub fn activate_backward(_isa: Isa, activation: Activation, y: &[f32], dy: &mut [f32]) -> Result<(), ShapeError> {
    for (d, y) in dy.iter_mut().zip(y) { *d *= match activation { Activation::Identity => 1.0, Activation::Relu => if *y > 0.0 {1.0} else {0.0}, Activation::Tanh => 1.0-y*y, Activation::Sigmoid => y*(1.0-y) } }
    Ok(())
}
/// sums[j] = sum over rows of x[i][j], rows in order
pub fn column_sums(_isa: Isa, x: &[f32], sums: &mut [f32]) -> Result<(), ShapeError> {
    sums.fill(0.0);
    let cols = sums.len();
    if cols == 0 { return Ok(()); }
    for row in x.chunks_exact(cols) { for (s, x) in sums.iter_mut().zip(row) { *s += x; } }
    Ok(())
}
/// out[i] = pixels[i] * scale + offset
pub fn pixels_to_f32(_isa: Isa, pixels: &[u8], scale: f32, offset: f32, out: &mut [f32]) -> Result<(), ShapeError> {
    for (o, p) in out.iter_mut().zip(pixels) { *o = f32::from(*p) * scale + offset; }
    Ok(())
}
