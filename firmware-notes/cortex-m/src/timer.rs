//! Counts instructions: the system timer, which under QEMU's `-icount shift=0` advances with them.

use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;

/// Half instructions a tick, as measured: QEMU's clock gains a nanosecond an instruction, and boards differ in their frequency.
const HALVES: u64 = if cfg!(feature = "microbit") {
    125
} else if cfg!(feature = "mps2-an505") {
    100
} else {
    80
};

/// Ticks after which the timer begins anew.
const ROUND: u32 = 1 << 24;

/// The running timer.
pub struct Timer(());

impl Timer {
    /// Starts it; none if that was done before.
    pub fn start() -> Option<Self> {
        let mut timer = cortex_m::Peripherals::take()?.SYST;
        timer.set_clock_source(SystClkSource::Core);
        timer.set_reload(ROUND - 1);
        timer.clear_current();
        timer.enable_counter();
        Some(Self(()))
    }

    /// Ticks until it begins anew.
    pub fn now(&self) -> u32 {
        SYST::get_current()
    }

    /// Instructions since it was `start`, to the tick, if they are less than a round: 671 million, on an505 838 and on microbit 1,048.
    pub fn since(&self, start: u32) -> u32 {
        let ticks = start.wrapping_sub(self.now()) % ROUND;
        (u64::from(ticks) * HALVES / 2) as u32
    }
}
