//! Early stopping: patience on the validation loss.

/// Counts epochs without a lower validation loss.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct EarlyStop {
    /// Lowest validation loss so far.
    pub best_loss: Option<f64>,
    /// The epoch that had it, from 1.
    pub best_epoch: Option<u32>,
    /// Epochs since.
    pub bad_epochs: u32,
}

impl EarlyStop {
    /// Takes note of an epoch's validation loss; `true` if it is the lowest so far. An equal loss or NaN is not lower.
    pub fn observe(&mut self, epoch: u32, loss: f64) -> bool {
        let best = loss.is_finite() && self.best_loss.is_none_or(|best| loss < best);
        if best {
            *self = Self { best_loss: Some(loss), best_epoch: Some(epoch), bad_epochs: 0 };
        } else {
            self.bad_epochs = self.bad_epochs.saturating_add(1);
        }
        best
    }

    /// Whether `patience` epochs in a row brought nothing.
    #[must_use]
    pub fn exhausted(&self, patience: Option<u32>) -> bool {
        patience.is_some_and(|patience| self.bad_epochs >= patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_consecutive_epochs_count() {
        let mut stop = EarlyStop::default();
        let mut seen = Vec::new();
        for (epoch, loss) in [3.0, 2.0, 2.5, 1.0, 1.0, f64::NAN, 0.9, 0.95, 0.92, 0.91].into_iter().enumerate() {
            let best = stop.observe(epoch as u32 + 1, loss);
            seen.push((best, stop.bad_epochs, stop.exhausted(Some(3))));
        }
        let want = [
            (true, 0, false),
            (true, 0, false),
            (false, 1, false),
            (true, 0, false),
            (false, 1, false),
            (false, 2, false),
            (true, 0, false),
            (false, 1, false),
            (false, 2, false),
            (false, 3, true),
        ];
        assert_eq!(seen, want);
        assert_eq!((stop.best_loss, stop.best_epoch), (Some(0.9), Some(7)));
        assert!(!stop.exhausted(None));
    }
}
