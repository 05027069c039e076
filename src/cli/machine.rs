//! The flags that say on what to run: threads and instruction set.

use anyhow::Context;
use clap::Args;
use inkstone::kernels::Isa;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::num::NonZeroUsize;
use std::thread::available_parallelism;

/// Threads and instruction set.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Machine {
    /// Worker threads [default: as the configuration says, else one per CPU]; any number gives the same bytes
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = threads, help_heading = "Machine")]
    pub(crate) threads: Option<usize>,
    /// Instruction set, one of those of `inkstone bench --isa list` [default: the fastest this machine has]
    ///
    /// Forcing one is for tests and comparisons. Results agree to the bit for one instruction set, and in accuracy across them.
    #[arg(long, value_name = "NAME", value_parser = isa, help_heading = "Machine")]
    pub(crate) isa: Option<Isa>,
}

impl Machine {
    /// The number of threads to use.
    pub(crate) fn threads(&self) -> usize {
        self.threads.unwrap_or_else(|| available_parallelism().map_or(1, NonZeroUsize::get))
    }

    /// The instruction set to use.
    pub(crate) fn isa(&self) -> Isa {
        self.isa.unwrap_or_else(Isa::best)
    }

    /// The flags that were given, for a command to repeat.
    pub(crate) fn words(&self) -> String {
        let threads = self.threads.map_or_else(String::new, |threads| format!(" --threads {threads}"));
        let isa = self.isa.map_or_else(String::new, |isa| format!(" --isa {}", isa.name()));
        threads + &isa
    }

    /// A pool of that many threads.
    pub(crate) fn pool(&self) -> anyhow::Result<ThreadPool> {
        let threads = self.threads();
        ThreadPoolBuilder::new().num_threads(threads).build().with_context(|| format!("cannot start {threads} threads"))
    }
}

/// The most threads that can be asked for: far beyond any machine, and small enough to start.
const MAX_THREADS: usize = 1024;

pub(super) fn threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(threads @ 1..=MAX_THREADS) => Ok(threads),
        _ => Err(format!("expected a whole number from 1 to {MAX_THREADS}")),
    }
}

pub(super) fn isa(text: &str) -> Result<Isa, String> {
    Isa::from_name(text).map_err(|error| {
        let here: Vec<&str> = Isa::available().map(Isa::name).collect();
        format!("{error}; this machine has {}", here.join(", "))
    })
}
