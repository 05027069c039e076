//! The gradient by the weights, in partial sums over parts of the batch.

mod dots;
mod tiles;

use super::shape::Conv;
use crate::kernels::Isa;
use dots::Dots;
use tiles::Tiles;

/// Most partial sums that the images of a batch are shared between.
const PARTS: usize = 16;
/// Most elements of all partial sums together: 16 MB.
const PARTIAL: usize = 4 << 20;

/// The weight gradient of a convolution: partial sums over parts of the batch that depend on the shape alone, added in their order.
#[derive(Clone, Copy)]
pub(super) struct Gradient {
    conv: Conv,
    way: Way,
}

#[derive(Clone, Copy)]
enum Way {
    Dots(Dots),
    Tiles(Tiles),
}

impl Gradient {
    pub(super) const fn of(conv: &Conv) -> Self {
        let way = match Tiles::of(conv) {
            Some(tiles) => Way::Tiles(tiles),
            None => Way::Dots(Dots::of(conv)),
        };
        Self { conv: *conv, way }
    }

    /// Every way, whichever is chosen, by name.
    #[cfg(feature = "train")]
    pub(super) fn all(conv: &Conv) -> impl Iterator<Item = (&'static str, Self)> {
        let tiles = (conv.groups == 1).then_some(("tiles", Way::Tiles(Tiles::any(conv))));
        let (conv, dots) = (*conv, Some(("dots", Way::Dots(Dots::of(conv)))));
        [dots, tiles].into_iter().flatten().map(move |(name, way)| (name, Self { conv, way }))
    }

    /// Parts of the batch.
    pub(super) const fn parts(&self) -> usize {
        let room = PARTIAL / self.sums_len();
        let most = if room < PARTS { room } else { PARTS };
        let parts = if most < self.conv.n { most } else { self.conv.n };
        if parts == 0 { 1 } else { parts }
    }

    /// Elements of the sums of a part.
    pub(super) const fn sums_len(&self) -> usize {
        match self.way {
            Way::Dots(_) => self.conv.weight_len(),
            Way::Tiles(tiles) => tiles.sums_len(),
        }
    }

    /// Elements that [`prepare`](Self::prepare) writes, once for all threads.
    pub(super) const fn prepared_len(&self) -> usize {
        match self.way {
            Way::Dots(dots) => dots.prepared_len(),
            Way::Tiles(_) => 0,
        }
    }

    /// Elements of scratch for one part.
    pub(super) const fn scratch_len(&self) -> usize {
        match self.way {
            Way::Dots(dots) => dots.scratch_len(),
            Way::Tiles(tiles) => tiles.scratch_len(),
        }
    }

    pub(super) fn prepare(&self, prepared: &mut [f32]) {
        if let Way::Dots(dots) = self.way {
            dots.prepare(prepared);
        }
    }

    /// Elements of scratch for [`all_parts`](Self::all_parts).
    pub(super) const fn all_len(&self) -> usize {
        self.prepared_len() + self.scratch_len() + self.sums_len() * if self.parts() > 1 { 2 } else { 1 }
    }

    /// The whole batch on one thread.
    #[inline]
    pub(super) fn all_parts(&self, isa: Isa, operands: (&[f32], &[f32]), d_weight: &mut [f32], scratch: &mut [f32]) {
        let (prepared, scratch) = scratch.split_at_mut(self.prepared_len());
        let (sums, scratch) = scratch.split_at_mut(self.sums_len());
        self.prepare(prepared);
        let (part, scratch) = scratch.split_at_mut(if self.parts() > 1 { self.sums_len() } else { 0 });
        self.part(isa, 0, prepared, operands, sums, scratch);
        for index in 1..self.parts() {
            self.part(isa, index, prepared, operands, part, scratch);
            add(sums, part);
        }
        self.finish(sums, d_weight, 0);
    }

    /// The sums of one part of the batch.
    #[inline]
    pub(super) fn part(
        &self,
        isa: Isa,
        part: usize,
        prepared: &[f32],
        operands: (&[f32], &[f32]),
        sums: &mut [f32],
        scratch: &mut [f32],
    ) {
        let (n, parts) = (self.conv.n, self.parts());
        let images = (part * n / parts, (part + 1) * n / parts);
        let sums = &mut sums[..self.sums_len()];
        sums.fill(0.0);
        match self.way {
            Way::Dots(dots) => dots.images(isa, images, prepared, operands, sums, scratch),
            Way::Tiles(tiles) => tiles.images(isa, images, operands, sums, scratch),
        }
    }

    /// Elements of the gradient by the weights of one output channel.
    pub(super) const fn channel_len(&self) -> usize {
        self.conv.taps()
    }

    /// The gradient of output channels from `first` on, from the sums of all parts.
    pub(super) fn finish(&self, sums: &[f32], d_weight: &mut [f32], first: usize) {
        match self.way {
            Way::Tiles(tiles) => tiles.finish(sums, d_weight, first),
            Way::Dots(_) => d_weight.copy_from_slice(&sums[first * self.channel_len()..][..d_weight.len()]),
        }
    }
}

/// Adds the sums of a part to those of the parts before it.
pub(super) fn add(sums: &mut [f32], part: &[f32]) {
    sums.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
}
