//! The threads of a run: all of them, or one alone where steps are so short that waking the others costs more than their help is worth.
//!
//! Which is faster depends on the network, the batch and the machine, so both are tried in turns and timed. No result depends on it.

use super::TrainError;
use rayon::{ThreadPool, ThreadPoolBuilder, Yield};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Operations of a step from which all threads are faster without asking: a millisecond and more of one thread.
const LARGE: u64 = 200_000_000;

/// The pools that steps run on.
#[derive(Debug)]
pub(super) struct Team {
    all: Arc<ThreadPool>,
    /// One thread and the choice between the two, for steps short enough to ask.
    one: Option<(Arc<ThreadPool>, Pace)>,
}

impl Team {
    /// `threads` threads, for steps of so many operations.
    pub(super) fn new(threads: usize, operations: u64) -> Result<Self, TrainError> {
        let pool = |threads: usize, name: &'static str| {
            let named = ThreadPoolBuilder::new().num_threads(threads).thread_name(move |i| format!("{name}-{i}"));
            named.build().map(Arc::new).map_err(|error| TrainError::Threads { threads, error })
        };
        let ask = threads > 1 && operations < LARGE;
        let one = if ask { Some((pool(1, "alone")?, Pace::new())) } else { None };
        Ok(Self { all: pool(threads, "train")?, one })
    }

    /// All threads.
    pub(super) fn all(&self) -> &Arc<ThreadPool> {
        &self.all
    }

    /// Whether the current thread is one of them.
    pub(super) fn is_inside(&self) -> bool {
        let inside = |pool: &ThreadPool| pool.current_thread_index().is_some();
        inside(&self.all) || self.one.as_ref().is_some_and(|(one, _)| inside(one))
    }

    /// Where the next steps run, and how many they are.
    pub(super) fn turn(&self) -> (Arc<ThreadPool>, u64) {
        match &self.one {
            None => (Arc::clone(&self.all), u64::MAX),
            Some((one, pace)) => {
                let (way, steps) = pace.turn();
                (Arc::clone(if way == Way::One { one } else { &self.all }), steps)
            }
        }
    }

    /// What the steps of the last [`turn`](Self::turn) took.
    pub(super) fn took(&mut self, steps: u64, seconds: f64) {
        if let Some((_, pace)) = &mut self.one {
            pace.took(steps, seconds);
        }
    }
}

/// Looks for work before an idle thread lets others have its core.
const LOOKS: u32 = 64;

/// Does `work` on a thread of the current pool while the others stay awake: one that sleeps is woken by the system, which takes longer than
/// many a part of a step.
pub(super) fn awake<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    /// Says so when it is dropped, so that a panic lets the others go too.
    struct Done<'a>(&'a AtomicBool);

    impl Drop for Done<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    // With more threads than cores, one that looks for work takes the core of one that has it.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if !(2..=cores).contains(&rayon::current_num_threads()) {
        return work();
    }
    let (done, own) = (AtomicBool::new(false), rayon::current_thread_index());
    rayon::in_place_scope(|scope| {
        // A broadcast, as it is no work to steal: this thread, waiting for a part of a step, would never come back from it.
        scope.spawn_broadcast(|_, thread| {
            if Some(thread.index()) == own {
                return;
            }
            let mut idle = 0;
            while !done.load(Ordering::Relaxed) {
                idle = if rayon::yield_now() == Some(Yield::Executed) { 0 } else { idle + 1 };
                if idle % LOOKS == LOOKS - 1 {
                    std::thread::yield_now();
                } else {
                    std::hint::spin_loop();
                }
            }
        });
        let _done = Done(&done);
        work()
    })
}

/// On how many threads a step runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    All,
    One,
}

/// Turns of each way before one is chosen; the best of them counts, so that a disturbed one does not.
const ROUNDS: u32 = 3;
/// Seconds that a turn is meant to take: it begins with a thread that has to be woken, which should not show.
const TURN: f64 = 0.002;
/// Steps before both ways are tried again, at first; then twice as many each time.
const STEPS: u64 = 1024;

/// The choice between the two ways, by trying them in turns.
#[derive(Debug)]
struct Pace {
    /// Turns of the trial so far.
    turns: u32,
    /// Fewest seconds for a step, on all threads and on one.
    best: [f64; 2],
    /// Steps until the next trial, and of the pause after it.
    left: u64,
    pause: u64,
}

impl Pace {
    const fn new() -> Self {
        Self { turns: 0, best: [f64::INFINITY; 2], left: 0, pause: STEPS }
    }

    fn way(&self) -> Way {
        let one = if self.turns < 2 * ROUNDS { self.turns % 2 == 1 } else { self.best[1] < self.best[0] };
        if one { Way::One } else { Way::All }
    }

    fn turn(&self) -> (Way, u64) {
        let way = self.way();
        if self.turns >= 2 * ROUNDS {
            return (way, self.left);
        }
        // Never tried, the seconds are infinite and the steps the fewest.
        (way, ((TURN / self.best[way as usize]) as u64).clamp(4, 64))
    }

    fn took(&mut self, steps: u64, seconds: f64) {
        if steps == 0 {
            return;
        }
        if self.turns >= 2 * ROUNDS {
            self.left = self.left.saturating_sub(steps);
            if self.left == 0 {
                *self = Self { pause: self.pause, ..Self::new() };
            }
            return;
        }
        let best = &mut self.best[self.way() as usize];
        *best = best.min(seconds / steps as f64);
        self.turns += 1;
        if self.turns == 2 * ROUNDS {
            self.left = self.pause;
            self.pause = self.pause.saturating_mul(2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps of each way in `steps` steps that take so many seconds on all threads and on one; every seventh turn is disturbed.
    fn share(steps: u64, seconds: [f64; 2]) -> [u64; 2] {
        let (mut pace, mut done, mut turns) = (Pace::new(), [0; 2], 0);
        while done[0] + done[1] < steps {
            let (way, most) = pace.turn();
            assert!(most > 0);
            let taken = most.min(steps - done[0] - done[1]);
            turns += 1;
            let disturbed = if turns % 7 == 0 { 10.0 } else { 1.0 };
            pace.took(taken, taken as f64 * seconds[way as usize] * disturbed);
            done[way as usize] += taken;
        }
        done
    }

    #[test]
    fn nearly_all_steps_go_the_faster_way() {
        for fast in [1e-5, 1e-4, 1e-3] {
            let [all, one] = share(100_000, [fast, 1.5 * fast]);
            assert!(all > 30 * one && one > 0, "{all} {one}");
            let [all, one] = share(100_000, [1.5 * fast, fast]);
            assert!(one > 30 * all && all > 0, "{all} {one}");
        }
    }

    #[test]
    fn a_machine_that_changes_is_noticed() {
        let mut pace = Pace::new();
        let mut run = |seconds: [f64; 2]| {
            let mut last = Way::All;
            for _ in 0..100 {
                let (way, steps) = pace.turn();
                pace.took(steps, steps as f64 * seconds[way as usize]);
                last = if pace.turns >= 2 * ROUNDS { pace.way() } else { last };
            }
            last
        };
        assert_eq!(run([2e-5, 1e-5]), Way::One);
        assert_eq!(run([1e-5, 2e-5]), Way::All);
    }

    /// Others do parts of the work, and are let go when it ends, by a panic too.
    #[test]
    fn threads_that_stay_awake_help_and_are_let_go() {
        for threads in [1, 2, 3] {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let sum = || (0..1000).fold(0, |sum, i| sum + rayon::join(|| i, || 2 * i).1);
            assert_eq!(pool.install(|| awake(sum)), 999_000);
            let panics = || pool.install(|| awake(|| -> () { panic!("as it should") }));
            assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).is_err());
            assert_eq!(pool.install(|| awake(|| awake(sum))), 999_000);
        }
    }

    #[test]
    fn one_thread_and_large_steps_are_never_asked_about() {
        assert!(Team::new(1, 10).unwrap().one.is_none());
        assert!(Team::new(2, LARGE).unwrap().one.is_none());
        let mut team = Team::new(2, LARGE - 1).unwrap();
        let (first, steps) = team.turn();
        assert_eq!(first.current_num_threads(), 2);
        team.took(steps, 1.0);
        let (second, _) = team.turn();
        assert_eq!(second.current_num_threads(), 1);
        assert!(!team.is_inside() && second.install(|| team.is_inside()) && team.all().install(|| team.is_inside()));
    }
}
