//! The device runtime: reads an image in place and runs it in memory of the caller's. No allocator; weights are read where they lie, and where
//! a kernel wants them in another order, a block at a time in scratch. No image that was accepted makes it panic, and running one of bytes
//! takes no floating point.
//!
//! In come the bytes of an `.ink` file, out go logits. [`Model::new`] proves every offset, shape and bound of the image once;
//! [`Model::bind`] names the bytes of memory that are missing, if any are; [`Bound::run`] then cannot fail. The room before is `export`,
//! which writes images; `firmware-notes/FORMAT.md` says what every byte of them means.
//!
//! ```no_run
//! use inkstone::runtime::{Arena, ImageError, Model};
//!
//! fn classify(image: &[u8], pixels: &[u8; 784]) -> Result<usize, ImageError> {
//!     let model = Model::new(image)?;
//!     let mut arena = Arena::<8192>::new(); // on a chip rather a static
//!     let mut bound = model.bind(arena.bytes())?;
//!     bound.input_mut().copy_from_slice(pixels);
//!     Ok(bound.run().class(0))
//! }
//! ```

#[cfg(target_endian = "big")]
compile_error!("images are little-endian and read in place: no machine of the other order runs them");

mod arena;
mod bound;
mod check;
mod crc32;
mod error;
pub mod format;
mod groups;
mod kernels;
mod model;
mod step;

#[cfg(feature = "std")]
pub(crate) use crc32::Crc32;

pub use arena::{Arena, device_arena_len};
pub use bound::{Bound, Output, first_largest};
pub use error::ImageError;
pub use format::{Kind, MAGIC};
pub use kernels::{ALL_KERNELS, device_kernels};
pub use model::{Model, Tensor};
pub use step::{Params, Step, Work};
#[cfg(feature = "std")]
pub(crate) use step::{activation_byte, device_scratch_len};

/// The bytes of an image that lies beside the source file, as a `&'static [u8]` that begins at a multiple of 16 bytes. That they are an
/// image of this version is checked when the program is compiled; [`Model::new`] checks the rest.
///
/// ```ignore
/// static IMAGE: &[u8] = inkstone::include_model!("digits.ink");
/// const ARENA_BYTES: usize = inkstone::runtime::device_arena_len(IMAGE);
/// ```
#[macro_export]
macro_rules! include_model {
    ($path:expr $(,)?) => {{
        #[repr(C, align(16))]
        struct Aligned<T: ?Sized>(T);
        static ALIGNED: &Aligned<[u8]> = &Aligned(*include_bytes!($path));
        const { $crate::runtime::assert_image(include_bytes!($path)) };
        &ALIGNED.0
    }};
}

/// Panics when a program is compiled, if the bytes are too few, not those of an image, or of another version.
///
/// ```compile_fail
/// const _: () = inkstone::runtime::assert_image(b"no image");
/// ```
///
/// # Panics
/// As said; it is meant for constants.
pub const fn assert_image(bytes: &[u8]) {
    assert!(bytes.len() >= format::HEADER, "the file is too short for an image");
    let mut i = 0;
    while i < format::MAGIC.len() {
        assert!(
            bytes[i] == format::MAGIC[i],
            "the file is no image: write it with `inkstone quantize` or `inkstone export`"
        );
        i += 1;
    }
    let header = format::Header::read(bytes);
    assert!(header.version == format::VERSION, "the image has another version than this library reads");
    assert!(header.length == bytes.len(), "the image is cut short, or bytes follow it");
}
