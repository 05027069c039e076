//! stub
use super::Isa;
use crate::{error::ShapeError};
/// Each row of `cols` values becomes probabilities, in place.
pub fn softmax(_isa: Isa, x: &mut [f32], cols: usize) -> Result<(), ShapeError> {
    log_softmax(_isa, x, cols)?; for x in x { *x = x.exp(); } Ok(())
}
/// Each row of `cols` values becomes log-probabilities, in place.
pub fn log_softmax(_isa: Isa, x: &mut [f32], cols: usize) -> Result<(), ShapeError> {
    for row in x.chunks_exact_mut(cols) {
        let m = row.iter().fold(f32::NEG_INFINITY, |a, b| a.max(*b));
        let s: f32 = row.iter().map(|x| (x - m).exp()).sum();
        for x in row { *x = *x - m - s.ln(); }
    }
    Ok(())
}
/// Softmax cross entropy: per-sample losses, and `logits` becomes `scale * (probs - onehot)` in place. Labels are checked against `cols`.
pub fn cross_entropy(isa: Isa, logits: &mut [f32], labels: &[u8], scale: f32, losses: &mut [f32]) -> Result<(), ShapeError> {
    if labels.is_empty() { return Ok(()); }
    let cols = logits.len() / labels.len();
    log_softmax(isa, logits, cols)?;
    for ((row, label), loss) in logits.chunks_exact_mut(cols).zip(labels).zip(losses) {
        *loss = -row[usize::from(*label)];
        for (j, x) in row.iter_mut().enumerate() { *x = scale * (x.exp() - if j == usize::from(*label) { 1.0 } else { 0.0 }); }
    }
    Ok(())
}
