//! Scale and zero point of a tensor: which real number each byte stands for.

/// `real = scale · (byte − zero_point)`
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QParams {
    /// Above 0.
    pub scale: f64,
    /// The byte that stands for 0.
    pub zero_point: i8,
}

impl QParams {
    /// 256 steps that cover `low..=high` and 0, which is exactly one of them.
    #[must_use]
    pub fn of_range(low: f64, high: f64) -> Self {
        let (low, high) = (low.min(0.0), high.max(0.0));
        let scale = (high - low) / 255.0;
        // Of a tensor that is always 0 any scale will do.
        let scale = if scale.is_finite() && scale > f64::from(f32::MIN_POSITIVE) { scale } else { 1.0 };
        // Stored in single precision: everything else is worked out from the number that is stored.
        let scale = f64::from(scale as f32);
        Self { scale, zero_point: (-128.0 - low / scale).round().clamp(-128.0, 127.0) as i8 }
    }

    /// With steps larger than this.
    #[must_use]
    pub fn above(self, scale: f64) -> Self {
        if self.scale > scale {
            return self;
        }
        // The zero point stays: only the steps grow.
        let next_up = f64::from((scale as f32).next_up());
        Self { scale: next_up, ..self }
    }

    /// The nearest byte to `x`.
    #[must_use]
    pub fn quantize(self, x: f64) -> i8 {
        ((x / self.scale).round() + f64::from(self.zero_point)).clamp(-128.0, 127.0) as i8
    }

    /// What a byte stands for.
    #[must_use]
    pub fn real(self, byte: i8) -> f64 {
        self.scale * (f64::from(byte) - f64::from(self.zero_point))
    }
}
