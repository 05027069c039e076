//! Where buffers lie in an arena: those that no step needs together may lie in the same place.

use super::GraphError;
use alloc::vec::Vec;
use core::cmp::Reverse;

/// Pairs of buffers that are looked at while an order is improved: some ten milliseconds at most.
const WORK: usize = 1 << 23;

/// Orders that are tried.
const TRIES: usize = 4096;

/// A stretch of the arena and the steps, both inclusive, that need it.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Buffer {
    /// In any unit, the same for all.
    pub(crate) len: usize,
    pub(crate) offset: usize,
    pub(crate) first: usize,
    pub(crate) last: usize,
}

impl Buffer {
    /// Needed by `step` alone so far.
    pub(crate) const fn new(len: usize, step: usize) -> Self {
        Self { len, offset: 0, first: step, last: step }
    }

    pub(crate) const fn end(&self) -> usize {
        self.offset + self.len
    }

    pub(crate) const fn lives_at(&self, step: usize) -> bool {
        self.first <= step && step <= self.last
    }

    pub(crate) fn extend_to(&mut self, step: usize) {
        self.first = self.first.min(step);
        self.last = self.last.max(step);
    }

    /// Whether a step needs both.
    pub(crate) const fn meets(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// The largest sum of lengths over the steps. Sums were checked: they are at most the arena's length.
pub(crate) fn largest_live_set(buffers: &[Buffer]) -> usize {
    let at = |step: usize| buffers.iter().filter(|buffer| buffer.lives_at(step)).map(|buffer| buffer.len).sum();
    buffers.iter().map(|buffer| at(buffer.first)).max().unwrap_or(0) // the set only grows at a first step
}

/// A key to sort buffers by, from its number and itself.
type Key = fn(usize, &Buffer) -> (Reverse<usize>, usize);

/// Places the buffers and returns the length of the arena.
///
/// First fit gives each buffer, in some order, the lowest offset that is free in all of its steps; the best packing is
/// first fit in some order, since its buffers can be pushed down one after the other. Several orders are tried: by size wins
/// where a few buffers dominate, by time where they are alike, and every other buffer first is the best there is for the
/// inference of a chain, whose buffers meet only their neighbours. If none reaches the lower bound, the best one is improved by
/// moving single buffers, a fixed number of times in a fixed sequence: the same graph always gives the same plan.
///
/// # Errors
/// [`GraphError::TooLarge`] if so many single-precision numbers as all lengths together cannot be addressed.
pub(crate) fn assign_offsets(buffers: &mut [Buffer]) -> Result<usize, GraphError> {
    let total = buffers.iter().try_fold(0usize, |sum, buffer| sum.checked_add(buffer.len));
    total.filter(|&floats| floats <= isize::MAX as usize / size_of::<f32>()).ok_or(GraphError::TooLarge)?;
    let keys: [Key; 6] = [
        |_, b| (Reverse(b.len), b.first),
        |_, b| (Reverse(b.last - b.first), b.first),
        |_, b| (Reverse(usize::MAX - b.first), b.last),
        |_, b| (Reverse(b.last), b.first),
        |i, b| (Reverse(i % 2), b.first),
        |i, b| (Reverse((i + 1) % 2), b.first),
    ];
    let orders = keys.map(|key| {
        let mut order: Vec<usize> = (0..buffers.len()).collect();
        order.sort_by_key(|&i| key(i, &buffers[i]));
        (first_fit(buffers, &order), order)
    });
    let best = orders.into_iter().min_by_key(|(arena_len, _)| *arena_len);
    let (arena_len, order) = best.map_or((0, Vec::new()), |(len, order)| improve(buffers, len, order));
    first_fit(buffers, &order); // the offsets of the order that was kept
    Ok(arena_len)
}

/// Moves one buffer at a time to another place in the order and keeps what is no worse.
fn improve(buffers: &mut [Buffer], mut arena_len: usize, mut order: Vec<usize>) -> (usize, Vec<usize>) {
    let n = order.len();
    let (bound, tries) = (largest_live_set(buffers), WORK / (n * n).max(1));
    let mut below = below();
    for _ in 0..tries.min(TRIES) {
        if arena_len == bound {
            break;
        }
        let (from, to) = (below(n), below(n));
        let moved = order.remove(from);
        order.insert(to, moved);
        match first_fit(buffers, &order) {
            len if len <= arena_len => arena_len = len,
            _ => {
                let moved = order.remove(to);
                order.insert(from, moved);
            }
        }
    }
    (arena_len, order)
}

/// Places the buffers so that `cost` is small: by first fit, in orders that are tried one after the other, the same ones each time.
///
/// # Errors
/// As [`assign_offsets`].
#[cfg(feature = "std")]
pub(crate) fn arrange(buffers: &mut [Buffer], cost: impl Fn(&[Buffer]) -> usize) -> Result<(), GraphError> {
    assign_offsets(buffers)?;
    let n = buffers.len();
    let (mut best, mut least) = (buffers.to_vec(), cost(buffers));
    let mut order: Vec<usize> = (0..n).collect();
    let mut below = below();
    for _ in 0..(WORK / (n * n).max(1)).min(2 * TRIES) {
        let (from, to) = (below(n), below(n));
        let moved = order.remove(from);
        order.insert(to, moved);
        first_fit(buffers, &order);
        let cost = cost(buffers);
        if cost <= least {
            best.copy_from_slice(buffers);
            least = cost;
        } else if below(4) > 0 {
            // Now and then a worse order is gone on from: it may lead to a better one.
            let moved = order.remove(to);
            order.insert(from, moved);
        }
    }
    buffers.copy_from_slice(&best);
    Ok(())
}

/// Numbers below a limit, always the same ones: Knuth's MMIX generator.
fn below() -> impl FnMut(usize) -> usize {
    let mut random = 1u64;
    move |limit| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % limit
    }
}

/// Gives each buffer, in this order, the lowest offset that is free in all of its steps; returns the arena's length.
fn first_fit(buffers: &mut [Buffer], order: &[usize]) -> usize {
    let mut arena_len = 0;
    let mut placed: Vec<usize> = Vec::with_capacity(order.len()); // in order of offset
    for &i in order {
        let mut offset = 0;
        for other in placed.iter().map(|&other| &buffers[other]).filter(|other| other.meets(&buffers[i])) {
            if offset + buffers[i].len <= other.offset {
                break;
            }
            offset = offset.max(other.end());
        }
        buffers[i].offset = offset;
        arena_len = arena_len.max(buffers[i].end());
        let at = placed.partition_point(|&other| buffers[other].offset <= offset);
        placed.insert(at, i);
    }
    arena_len
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The length of an arena in which those that meet lie apart.
    fn arena(buffers: &[Buffer]) -> usize {
        for (i, a) in buffers.iter().enumerate() {
            for b in buffers[..i].iter().filter(|b| a.meets(b)) {
                assert!(a.end() <= b.offset || b.end() <= a.offset, "{a:?} {b:?}");
            }
        }
        buffers.iter().map(Buffer::end).max().unwrap_or(0)
    }

    proptest! {
        /// Whatever is alive when, as it is in networks with branches.
        #[test]
        fn buffers_that_meet_lie_apart(buffers in prop::collection::vec((1usize..20, 0usize..30, 0usize..10), 1..40)) {
            let buffer = |(len, first, steps)| Buffer { len, first, last: first + steps, offset: usize::MAX - len };
            let mut buffers: Vec<Buffer> = buffers.into_iter().map(buffer).collect();
            let len = assign_offsets(&mut buffers).unwrap();
            prop_assert_eq!(arena(&buffers), len);
            prop_assert!(largest_live_set(&buffers) <= len);
            // By any other cost the first order is the worst that is left.
            let cost = |buffers: &[Buffer]| buffers.iter().map(|buffer| buffer.end() * buffer.first).sum::<usize>();
            let before = cost(&buffers);
            arrange(&mut buffers, cost).unwrap();
            prop_assert!(cost(&buffers) <= before);
            arena(&buffers);
        }
    }
}
