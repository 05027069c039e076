//! A step of training allocates nothing: a global allocator counts, on every thread.
#![cfg(feature = "train")]

use inkstone::data::{Dataset, Splits};
use inkstone::kernels::Isa;
use inkstone::train::{Average, Config, OptimizerKind, Trainer};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The system's allocator, with a count of what it is asked for.
struct Counting;

static CALLS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes on to `System` with its arguments unchanged, so `System` keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        CALLS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`, and `pointer` came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        CALLS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `realloc`, and `pointer` came from `System`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// 130 images of 28x28 in 10 classes: batches of 64, 64 and 2.
fn digits() -> Splits {
    let set = |n: usize| {
        let images = (0..n * 784).map(|i| (i * 31 % 251) as u8).collect();
        Dataset::new(images, (0..n).map(|i| (i % 10) as u8).collect(), 28, 28, 10).unwrap()
    };
    Splits { train: set(130), test: set(20) }
}

/// Time without counting, until every thread of the pool has worked: a thread that starts, allocates. On a busy machine it may be a while
/// before a second thread gets a turn.
const WARM_UP: Duration = Duration::from_secs(60);
const COUNTED: u32 = 5;

/// The only test of this file: another one beside it would allocate while this one counts.
#[test]
fn a_step_allocates_nothing() {
    let data = digits();
    let mut kept = Vec::new(); // threads of a pool that ends would free what they have while the next one counts
    let (plain, all) = ("none", "rotate=10,translate=0.1,elastic=6:2,erase=0.5:0.2");
    let mlps = [(1, "mlp:128", plain), (2, "mlp:128", all), (2, "mlp:256,64,20", plain)];
    let mlps = OptimizerKind::ALL
        .into_iter()
        .flat_map(|kind| mlps.map(|(threads, model, augment)| (kind, threads, model, augment)));
    let adam = OptimizerKind::Adam;
    // Pixels by halves of a batch, and every layer that images have.
    let others = [
        (adam, 1, "linear", plain),
        (adam, 2, "linear", plain),
        (adam, 1, "cnn-8-16+batch-norm+residual", plain),
        (adam, 2, "cnn-8-16+batch-norm+residual", all),
        (adam, 2, "resnet-small", plain),
    ];
    for (optimizer, threads, model, augment) in mlps.chain(others) {
        let with_more = threads == 2 && model != "linear";
        let config = Config {
            model: model.parse().unwrap(),
            optimizer,
            augment: augment.parse().unwrap(),
            batch: if model == "linear" { 128 } else { 64 }, // of fewer bytes of pixels one thread gathers all
            epochs: u32::MAX,
            lr: 1e-4,
            l2: 1e-5,
            dropout: if with_more { 0.1 } else { 0.0 },
            clip_norm: with_more.then_some(1.0),
            average: if with_more { Average::Ema { decay: 0.9 } } else { Average::None },
            ..Config::default()
        };
        let mut trainer = Trainer::new(&config, &data, Isa::best(), threads).unwrap();
        let start = Instant::now();
        let calls = trainer.in_pool(|trainer| {
            while trainer.state().epoch < 1 || trainer.workers_seen() < threads as u32 {
                assert!(start.elapsed() < WARM_UP, "a thread of the pool never worked");
                count_epoch(trainer);
            }
            (0..COUNTED).map(|_| count_epoch(trainer)).sum::<u64>()
        });
        assert_eq!(
            calls, 0,
            "{model}, {optimizer}, {threads} threads: calls of the allocator in the steps of five epochs"
        );
        kept.push(trainer);
    }
}

/// Calls of the allocator in the steps of one epoch; what follows them, evaluation, may allocate.
fn count_epoch(trainer: &mut Trainer<'_>) -> u64 {
    let before = CALLS.load(Ordering::SeqCst);
    while !trainer.epoch_done() {
        trainer.step().unwrap();
    }
    let calls = CALLS.load(Ordering::SeqCst) - before;
    trainer.finish_epoch().unwrap();
    calls
}
