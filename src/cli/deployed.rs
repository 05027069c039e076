//! Images of networks (`.ink`) where other commands take a checkpoint.

use anyhow::{Context, bail};
use inkstone::export::image::Image;
use inkstone::runtime::{MAGIC, Model};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The largest image that is read: far beyond any device.
const MOST: u64 = 1 << 30;

/// Whether `path` names an image: by its name, or by how the file begins.
pub(crate) fn is_image(path: &Path) -> bool {
    let begins_so = || {
        let mut first = [0; MAGIC.len()];
        path.is_file() && File::open(path).and_then(|mut file| file.read_exact(&mut first)).is_ok() && first == MAGIC
    };
    path.extension().is_some_and(|extension| extension == "ink") || begins_so()
}

/// The bytes of the image `path`, found whole and sound.
pub(crate) fn load(path: &Path) -> anyhow::Result<Image> {
    let name = || path.display().to_string();
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MOST).read_to_end(&mut bytes)).with_context(name)?;
    let image = Image::copy(&bytes);
    image.model().with_context(name)?;
    Ok(image)
}

/// The names of the classes.
pub(crate) fn classes(model: &Model<'_>) -> Vec<String> {
    (0..model.classes()).map(|class| model.class_name(class).unwrap_or("?").to_owned()).collect()
}

/// Refuses an image for inputs of another size.
pub(crate) fn check_input(path: &Path, model: &Model<'_>, rows: usize, cols: usize) -> anyhow::Result<()> {
    let [channels, height, width] = model.tensor(0).map_or([0; 3], |tensor| tensor.dims);
    if [channels, height, width] != [1, rows, cols] && [channels, height, width] != [rows * cols, 1, 1] {
        bail!(
            "{}: the network fits the images: expected an input of 1x{rows}x{cols}, found {channels}x{height}x{width}",
            path.display()
        );
    }
    Ok(())
}
