//! One line of a table.

use super::family::Family;
use super::way::Variant;

/// What was measured of one way of one case.
#[derive(Clone, Debug)]
pub struct Row {
    /// The case: `gemm_f32/512x512x512`.
    pub bench: String,
    /// Its family.
    pub family: Family,
    /// The way, and what a call of it takes.
    pub variant: Variant,
    /// Median seconds a call.
    pub seconds: f64,
    /// 1e9 operations of the definition a second.
    pub gflops: f64,
    /// Share of the peak of its arithmetic, in percent: of what the threads used do together, one thread's peak times their number.
    pub percent_of_arithmetic: f64,
    /// Bytes moved at least, as a share in percent of what the threads used read in the same time.
    pub percent_of_reading: f64,
    /// The one of the two that limits this way. Transforms that save operations can pass 100.
    pub percent_of_peak: f64,
    /// 1e9 bytes a second, of those moved at least.
    pub gb_per_s: f64,
    /// How many times as fast as the plain loops, where they were timed.
    pub speedup: Option<f64>,
    /// How many times as fast as ours in single precision on as many threads, where that was timed.
    pub speedup_over_f32: Option<f64>,
}
