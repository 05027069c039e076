//! A step of training allocates nothing: a global allocator counts, on every thread.
#![cfg(feature = "train")]

use inkstone::data::{Dataset, Splits};
use inkstone::kernels::Isa;
use inkstone::train::{Config, ModelSpec, OptimizerKind, Trainer};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

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

/// Epochs without counting, until every thread of the pool has worked: a thread that starts, allocates.
const WARM_UP: u32 = 1000;
const COUNTED: u32 = 5;

/// The only test of this file: another one beside it would allocate while this one counts.
#[test]
fn a_step_allocates_nothing() {
    let data = digits();
    let mut kept = Vec::new(); // threads of a pool that ends would free what they have while the next one counts
    for optimizer in OptimizerKind::ALL {
        for (threads, hidden, augment) in [
            (1, vec![128], "none"),
            (2, vec![128], "rotate=10,translate=0.1,elastic=6:2,erase=0.5:0.2"),
            (2, vec![256, 64, 20], "none"),
        ] {
            let augment = augment.parse().unwrap();
            let model = ModelSpec::Mlp(hidden);
            let epochs = WARM_UP + COUNTED;
            let (batch, lr, l2) = (64, 1e-4, 1e-5);
            let config = Config { model, optimizer, augment, batch, epochs, lr, l2, ..Config::default() };
            let mut trainer = Trainer::new(&config, &data, Isa::best(), threads).unwrap();
            let calls = trainer.in_pool(|trainer| {
                while trainer.state().epoch < 1 || trainer.workers_seen() < threads as u32 {
                    assert!(trainer.state().epoch < WARM_UP, "a thread of the pool never worked");
                    count_epoch(trainer);
                }
                (0..COUNTED).map(|_| count_epoch(trainer)).sum::<u64>()
            });
            assert_eq!(calls, 0, "{optimizer}, {threads} threads: calls of the allocator in the steps of five epochs");
            kept.push(trainer);
        }
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
