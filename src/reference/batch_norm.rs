//! Batch normalisation and its gradients by their formulas, in f64.

use super::{Exact, length};
use crate::error::ShapeError;
use crate::kernels::batch_norm::{Forward, Planes};

/// Place in the batch of every element of channel `channel`, samples in order.
fn places(planes: &Planes, channel: usize) -> impl Iterator<Item = usize> + use<> {
    let (c, plane, samples) = (planes.channels(), planes.plane(), planes.samples());
    (0..samples).flat_map(move |sample| (0..plane).map(move |i| (sample * c + channel) * plane + i))
}

/// The mean of every channel, with `Σ|x| / count` beside it, and its biased variance.
///
/// # Errors
/// [`ShapeError::Length`] if a buffer does not fit the shape.
pub fn batch_norm_statistics_f64(
    planes: &Planes,
    x: &[f32],
    mean: &mut [Exact],
    variance: &mut [f64],
) -> Result<(), ShapeError> {
    length("the input", planes.len(), x.len())?;
    length("the means", planes.channels(), mean.len())?;
    length("the variances", planes.channels(), variance.len())?;
    let count = planes.count() as f64;
    for (channel, (mean, variance)) in mean.iter_mut().zip(variance).enumerate() {
        *mean = Exact::default();
        for at in places(planes, channel) {
            mean.sum += f64::from(x[at]) / count;
            mean.magnitude += f64::from(x[at]).abs() / count;
        }
        *variance = 0.0;
        for at in places(planes, channel) {
            let deviation = f64::from(x[at]) - mean.sum;
            *variance += deviation * deviation / count;
        }
    }
    Ok(())
}

/// `d_x`, `d_gamma` and `d_beta` of [`backward`](crate::kernels::batch_norm::backward), each with the sum of the magnitudes of its terms.
///
/// # Errors
/// [`ShapeError::Length`] if a buffer does not fit the shape.
pub fn batch_norm_backward_f64(
    planes: &Planes,
    forward: Forward<'_>,
    d_out: &[f32],
    d_x: &mut [Exact],
    [d_gamma, d_beta]: [&mut [Exact]; 2],
) -> Result<(), ShapeError> {
    let Forward { x, mean, inv_std, gamma } = forward;
    for (what, got) in [("the input", x.len()), ("the output gradient", d_out.len()), ("the input gradient", d_x.len())]
    {
        length(what, planes.len(), got)?;
    }
    let numbers = [mean.len(), inv_std.len(), gamma.len(), d_gamma.len(), d_beta.len()];
    for got in numbers {
        length("the numbers of the channels", planes.channels(), got)?;
    }
    let count = planes.count() as f64;
    for channel in 0..planes.channels() {
        let [mean, inv_std, gamma] = [mean[channel], inv_std[channel], gamma[channel]].map(f64::from);
        let normal = |at: usize| (f64::from(x[at]) - mean) * inv_std;
        let (mut moment, mut sum) = (Exact::default(), Exact::default());
        for at in places(planes, channel) {
            let d = f64::from(d_out[at]);
            moment.sum += d * normal(at);
            moment.magnitude += (d * normal(at)).abs();
            sum.sum += d;
            sum.magnitude += d.abs();
        }
        for at in places(planes, channel) {
            let d = f64::from(d_out[at]);
            let value = gamma * inv_std * (d - sum.sum / count - normal(at) * moment.sum / count);
            let size = d.abs() + sum.magnitude / count + normal(at).abs() * moment.magnitude / count;
            d_x[at] = Exact { sum: value, magnitude: (gamma * inv_std).abs() * size };
        }
        (d_gamma[channel], d_beta[channel]) = (moment, sum);
    }
    Ok(())
}
