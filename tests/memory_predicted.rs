//! The bytes that training takes are those that were predicted: a global allocator keeps count.
#![cfg(feature = "train")]

use inkstone::data::{Dataset, Splits};
use inkstone::kernels::Isa;
use inkstone::train::memory::{Memory, Run};
use inkstone::train::{Config, Trainer};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The system's allocator, with a count of the bytes that are in use and of the most that ever were.
struct Weighing;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

impl Weighing {
    fn more(size: usize) {
        let now = IN_USE.fetch_add(size, Ordering::Relaxed) + size;
        MOST.fetch_max(now, Ordering::Relaxed);
    }
}

// SAFETY: every call goes on to `System` with its arguments unchanged, so `System` keeps the contract.
unsafe impl GlobalAlloc for Weighing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::more(layout.size());
        // SAFETY: the caller keeps the contract of `alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`, and `pointer` came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Weighing = Weighing;

/// Of each network, at batches that fill the caches and at small ones: the most bytes in use while a trainer is built and trains an epoch are
/// within 5 % of the prediction. The only test of this file: another one beside it would be weighed too.
#[test]
fn training_takes_the_bytes_that_were_predicted() {
    let set = |n: usize| {
        let images = (0..n * 784).map(|i| (i * 31 % 251) as u8).collect();
        Dataset::new(images, (0..n).map(|i| (i % 10) as u8).collect(), 28, 28, 10).unwrap()
    };
    let (train, threads) = (150, 2);
    let data = Splits { train: set(train), test: set(20) };
    let networks = [
        ("mlp:512", 100, "none"),
        ("mlp:512", 100, "ema:0.99"),
        ("mlp:300,200", 16, "none"),
        ("linear", 128, "none"),
        ("cnn", 64, "none"),
        ("cnn-small", 32, "none"),
        ("resnet-small", 16, "swa:1"),
    ];
    for (model, batch, average) in networks {
        let average = average.parse().unwrap();
        let config = Config { model: model.parse().unwrap(), batch, average, epochs: 1, ..Config::default() };
        let graph = config.graph(28, 28, 10).unwrap();
        let optimizer = config.optimizer;
        let average = average.is_some();
        let memory =
            Memory::of(&graph, Run { batch, threads, isa: Isa::best(), optimizer, average, train, val: 0 }).unwrap();
        let before = IN_USE.load(Ordering::Relaxed);
        MOST.store(before, Ordering::Relaxed);
        let mut trainer = Trainer::new(&config, &data, Isa::best(), threads).unwrap();
        while !trainer.epoch_done() {
            trainer.step().unwrap();
        }
        trainer.finish_epoch().unwrap();
        drop(trainer);
        let most = (MOST.load(Ordering::Relaxed) - before) as f64;
        let predicted = memory.total() as f64;
        println!("{model} at {batch}: predicted {predicted}, found {most}: {memory:?}");
        assert!(
            (most / predicted - 1.0).abs() < 0.05,
            "{model} at {batch}: predicted {predicted}, found {most}: {memory:?}"
        );
    }
}
