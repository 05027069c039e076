//! How the samples of a batch reach a network: in the form that its first layer reads fastest.

use super::TrainError;
use super::config::Config;
use super::gather::{Augmentation, View, gather};
use super::lit::Lit;
use super::network::Network;
use super::raw::Raw;
use super::spread::Workers;
use crate::data::{Dataset, Normalize};
use crate::error::ShapeError;
use crate::kernels::Isa;
use crate::kernels::columns::Columns;

/// The training samples as the epochs show them.
#[derive(Debug)]
pub(super) struct Feed<'a> {
    isa: Isa,
    data: &'a Dataset,
    normalize: Normalize,
    augmentation: Option<Augmentation>,
    /// How raw pixels become numbers, for a network that reads those.
    pixels: Option<[f32; 2]>,
    /// The lit pixels of images whose zeros stay zeros, for a network that can leave the others out.
    lit: Option<Lit>,
}

impl<'a> Feed<'a> {
    /// For this network, on `threads` threads.
    pub(super) fn new(
        config: &Config,
        data: &'a Dataset,
        normalize: Normalize,
        network: &Network,
        isa: Isa,
        threads: usize,
    ) -> Result<Self, ShapeError> {
        let augmentation = Augmentation::new(&config.augment, config.seed, data, threads)?;
        let pixels = normalize.constant().filter(|_| network.takes_pixels() && augmentation.is_none());
        let columns = network.takes_columns().is_some() && augmentation.is_none() && pixels.is_none();
        let lit = (columns && normalize == Normalize::Unit).then(|| Lit::of(data));
        Ok(Self { isa, data, normalize, augmentation, pixels, lit })
    }

    /// How pixels become inputs.
    pub(super) fn normalize(&self) -> Normalize {
        self.normalize
    }

    /// Gives the samples `indices` to the network, as `epoch` shows them, for a step; or returns them, if the network fetches them itself. Does
    /// not allocate.
    pub(super) fn fill<'s>(
        &'s mut self,
        network: &mut Network,
        indices: &'s [u32],
        epoch: u32,
        workers: &'s Workers,
    ) -> Result<Option<Raw<'s>>, TrainError> {
        if let Some(affine) = self.pixels {
            return Ok(Some(Raw { isa: self.isa, data: self.data, indices, affine, workers }));
        }
        let runs = self.lit.as_mut().zip(network.takes_columns());
        if let Some(runs) = runs.and_then(|(lit, outputs)| lit.find(indices, outputs)) {
            let x = network.input_columns_mut(indices.len(), runs)?;
            let view = View::Columns(Columns::new(runs, self.data.pixels())?);
            gather(self.isa, self.data, &self.normalize, view, indices, x, workers)?;
            return Ok(None);
        }
        self.fill_whole(network, indices, epoch, workers)?;
        Ok(None)
    }

    /// The same in floats, all of them.
    pub(super) fn fill_whole(
        &self,
        network: &mut Network,
        indices: &[u32],
        epoch: u32,
        workers: &Workers,
    ) -> Result<(), TrainError> {
        let view = self.augmentation.as_ref().map_or(View::Plain, |augmentation| View::Augmented(augmentation, epoch));
        let x = network.input_mut(indices.len())?;
        Ok(gather(self.isa, self.data, &self.normalize, view, indices, x, workers)?)
    }
}
