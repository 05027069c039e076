//! IDX files, plain or gzip, as LeCun, Cortes and Burges defined them: `00 00`, type `08` (bytes), the number of sizes, the
//! sizes as big-endian 32-bit numbers, then the bytes, last size fastest.
//!
//! Any bytes give `Ok` or `Err`: the header is checked against [`MAX_BYTES`] before anything is reserved, reserved memory is
//! bounded by what the file can hold, and a byte too few or too many is refused.

use super::error::DataError;
use flate2::bufread::MultiGzDecoder;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::path::Path;

/// Classes of handwritten digits: labels are below this.
pub const CLASSES: usize = 10;
/// Most bytes of images, or of labels, that one file may hold decompressed (1 GiB; MNIST's largest holds 47 MB).
pub const MAX_BYTES: u64 = 1 << 30;
/// Deflate cannot shrink by more: 258 bytes cost at least two bits.
const MAX_RATIO: u64 = 1032;
const IMAGES_MAGIC: u32 = 0x0000_0803;
const LABELS_MAGIC: u32 = 0x0000_0801;

/// Grey images of one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    /// Number of images, at least 1.
    pub count: usize,
    /// Rows of an image, at least 1.
    pub rows: usize,
    /// Columns of an image, at least 1.
    pub cols: usize,
    /// `[count, rows, cols]`, 0 for no ink.
    pub pixels: Vec<u8>,
    /// SHA-256 of the raw (decompressed) file, in hex.
    pub sha256: String,
}

/// Class indices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    /// One label for each image, all below [`CLASSES`].
    pub labels: Vec<u8>,
    /// SHA-256 of the raw (decompressed) file, in hex.
    pub sha256: String,
}

/// Reads a file of images.
///
/// # Errors
/// [`DataError`] names the file, the rule, what was expected and what was found.
pub fn read_images(path: &Path) -> Result<Images, DataError> {
    let mut source = Open::new(path)?;
    let [count, rows, cols] = source.header(IMAGES_MAGIC, "images", ["images", "rows", "columns"])?;
    let pixels = source.body(&[count, rows, cols])?;
    let sha256 = sha256_of(IMAGES_MAGIC, &[count, rows, cols], &pixels);
    Ok(Images { count: count as usize, rows: rows as usize, cols: cols as usize, pixels, sha256 })
}

/// Reads a file of labels.
///
/// # Errors
/// [`DataError`] names the file, the rule, what was expected and what was found.
pub fn read_labels(path: &Path) -> Result<Labels, DataError> {
    let mut source = Open::new(path)?;
    let [count] = source.header(LABELS_MAGIC, "labels", ["labels"])?;
    let labels = source.body(&[count])?;
    if let Some(i) = labels.iter().position(|&label| usize::from(label) >= CLASSES) {
        let found = format!("label {} of sample {i}", labels[i]);
        return Err(DataError::file(path, "labels are below the number of classes", "0 to 9", found));
    }
    let sha256 = sha256_of(LABELS_MAGIC, &[count], &labels);
    Ok(Labels { labels, sha256 })
}

/// SHA-256 of a file of images with these pixels, in hex: the header follows from the sizes.
pub(super) fn images_sha256(sizes: [u32; 3], pixels: &[u8]) -> String {
    sha256_of(IMAGES_MAGIC, &sizes, pixels)
}

/// SHA-256 of a file of labels, in hex.
pub(super) fn labels_sha256(count: u32, labels: &[u8]) -> String {
    sha256_of(LABELS_MAGIC, &[count], labels)
}

fn sha256_of(magic: u32, sizes: &[u32], body: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update(magic.to_be_bytes());
    for size in sizes {
        hash.update(size.to_be_bytes());
    }
    hash.update(body);
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A file on its way in.
struct Open<'a> {
    path: &'a Path,
    bytes: Box<dyn Read>,
    /// Most bytes that the file can decompress to.
    holds: u64,
}

impl<'a> Open<'a> {
    /// Opens a file and finds out by its first bytes whether it is gzip.
    fn new(path: &'a Path) -> Result<Self, DataError> {
        let io = |error| DataError::io(path, error);
        let file = File::open(path).map_err(io)?;
        let metadata = file.metadata().map_err(io)?;
        if metadata.is_dir() {
            return Err(DataError::file(path, "an IDX file", "a file", "a folder"));
        }
        let len = metadata.len();
        let mut file = BufReader::with_capacity(1 << 16, file);
        let gzip = file.fill_buf().map_err(io)?.starts_with(&[0x1f, 0x8b]);
        Ok(if gzip {
            Self { path, bytes: Box::new(MultiGzDecoder::new(file)), holds: len.saturating_mul(MAX_RATIO) }
        } else {
            Self { path, bytes: Box::new(file), holds: len }
        })
    }

    /// Magic number and sizes: each size at least 1, their product at most [`MAX_BYTES`].
    fn header<const N: usize>(&mut self, magic: u32, what: &str, names: [&str; N]) -> Result<[u32; N], DataError> {
        let found = self.word()?;
        if found != magic {
            let expected = format!("{magic:#010x} ({what})");
            let found = match found {
                IMAGES_MAGIC => format!("{found:#010x} (images)"),
                LABELS_MAGIC => format!("{found:#010x} (labels)"),
                _ => format!("{found:#010x}"),
            };
            return Err(DataError::file(self.path, "the magic number", expected, found));
        }
        let mut sizes = [0; N];
        for (size, name) in sizes.iter_mut().zip(names) {
            *size = self.word()?;
            if *size == 0 {
                let found = format!("0 {name}");
                return Err(DataError::file(self.path, "the file holds something", "sizes of at least 1", found));
            }
        }
        let product = sizes.iter().try_fold(1u64, |product, &size| product.checked_mul(size.into()));
        if product.is_none_or(|product| product > MAX_BYTES) {
            let expected = format!("a product of at most {MAX_BYTES}");
            let found = sizes.map(|size| size.to_string()).join(" x ");
            return Err(DataError::file(self.path, "the sizes in the header", expected, found));
        }
        Ok(sizes)
    }

    /// The bytes after the header: as many as the sizes say, then the end of the file.
    fn body(&mut self, sizes: &[u32]) -> Result<Vec<u8>, DataError> {
        let expected: u64 = sizes.iter().map(|&size| u64::from(size)).product(); // `header` bounded it
        let mut body = Vec::new();
        let reserve = expected.min(self.holds) as usize; // at most 1 GiB
        body.try_reserve_exact(reserve)
            .map_err(|_| DataError::io(self.path, io::Error::from(ErrorKind::OutOfMemory)))?;
        self.bytes.by_ref().take(expected).read_to_end(&mut body).map_err(|error| self.failed(error, body.len()))?;
        if (body.len() as u64) < expected {
            let expected = format!("{expected} bytes after the header");
            return Err(DataError::file(self.path, "the length of the file", expected, body.len()));
        }
        // Reading past the end also checks the sums at the end of a gzip file.
        match self.bytes.by_ref().take(1).read_to_end(&mut Vec::new()) {
            Ok(0) => Ok(body),
            Ok(_) => {
                let expected = format!("{expected} bytes after the header");
                Err(DataError::file(self.path, "the length of the file", expected, "more"))
            }
            Err(error) => Err(self.failed(error, body.len())),
        }
    }

    /// A big-endian number of the header.
    fn word(&mut self) -> Result<u32, DataError> {
        let mut word = Vec::with_capacity(4);
        self.bytes.by_ref().take(4).read_to_end(&mut word).map_err(|error| self.failed(error, word.len()))?;
        match <[u8; 4]>::try_from(&word[..]) {
            Ok(word) => Ok(u32::from_be_bytes(word)),
            Err(_) => {
                Err(DataError::file(self.path, "the IDX header", "four bytes for each of its numbers", word.len()))
            }
        }
    }

    /// Damage in a gzip file arrives as an error of reading: told apart from errors of the system.
    fn failed(&self, error: io::Error, read: usize) -> DataError {
        let found = match error.kind() {
            ErrorKind::UnexpectedEof => format!("an early end after {read} bytes"),
            ErrorKind::InvalidInput | ErrorKind::InvalidData => format!("{error} after {read} bytes"),
            _ => return DataError::io(self.path, error),
        };
        DataError::file(self.path, "the gzip stream", "whole and undamaged", found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;
    use std::io::Write;
    use std::path::PathBuf;

    /// An IDX file in memory.
    fn idx(magic: u32, sizes: &[u32], body: &[u8]) -> Vec<u8> {
        let words = [&[magic], sizes].concat();
        [words.iter().flat_map(|word| word.to_be_bytes()).collect(), body.to_vec()].concat()
    }

    fn gzip(raw: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(raw).unwrap();
        encoder.finish().unwrap()
    }

    /// Writes a file and reads it back as images and as labels.
    fn read(bytes: &[u8]) -> (Result<Images, DataError>, Result<Labels, DataError>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file-under-test");
        std::fs::write(&path, bytes).unwrap();
        (read_images(&path), read_labels(&path))
    }

    fn image_error(bytes: &[u8]) -> String {
        let message = read(bytes).0.unwrap_err().to_string();
        assert!(message.contains("file-under-test: "), "{message}");
        message
    }

    fn label_error(bytes: &[u8]) -> String {
        let message = read(bytes).1.unwrap_err().to_string();
        assert!(message.contains("file-under-test: "), "{message}");
        message
    }

    #[test]
    fn plain_and_gzip_read_alike() {
        let raw = idx(IMAGES_MAGIC, &[2, 1, 3], &[1, 2, 3, 4, 5, 6]);
        let plain = read(&raw).0.unwrap();
        assert_eq!((plain.count, plain.rows, plain.cols), (2, 1, 3));
        assert_eq!(plain.pixels, [1, 2, 3, 4, 5, 6]);
        let hash: String = Sha256::digest(&raw).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(plain.sha256, hash);
        assert_eq!(read(&gzip(&raw)).0.unwrap(), plain);
        // Two gzip members one after the other are one file, as `cat a.gz b.gz` makes them.
        let members = [gzip(&raw[..9]), gzip(&raw[9..])].concat();
        assert_eq!(read(&members).0.unwrap(), plain);
        let labels = read(&idx(LABELS_MAGIC, &[3], &[0, 9, 5])).1.unwrap();
        assert_eq!(labels.labels, [0, 9, 5]);
    }

    #[test]
    fn wrong_magic() {
        let images = idx(IMAGES_MAGIC, &[1, 1, 1], &[0]);
        let labels = idx(LABELS_MAGIC, &[1], &[0]);
        assert!(
            image_error(&labels).ends_with("the magic number: expected 0x00000803 (images), found 0x00000801 (labels)")
        );
        assert!(
            label_error(&images).ends_with("the magic number: expected 0x00000801 (labels), found 0x00000803 (images)")
        );
        assert!(image_error(b"hello, world").ends_with("found 0x68656c6c"));
        assert!(image_error(&gzip(b"hello, world")).ends_with("found 0x68656c6c"));
        assert!(image_error(&idx(0x0000_0d03, &[1, 1, 1], &[0; 4])).contains("0x00000d03")); // floats
    }

    #[test]
    fn short_headers() {
        for bytes in [&b""[..], b"\0", b"\0\0\x08\x03\0\0\0"] {
            assert!(image_error(bytes).contains("the IDX header: expected four bytes"), "{bytes:?}");
        }
    }

    #[test]
    fn counts_that_overflow() {
        for sizes in [[u32::MAX; 3], [1 << 31, 1 << 31, 4], [1, 1 << 16, (1 << 14) + 1]] {
            let message = image_error(&idx(IMAGES_MAGIC, &sizes, &[0; 64]));
            assert!(message.contains("the sizes in the header: expected a product of at most 1073741824"), "{message}");
        }
        let message = label_error(&idx(LABELS_MAGIC, &[u32::MAX], &[0; 64]));
        assert!(message.ends_with("found 4294967295"), "{message}");
        for sizes in [[0, 28, 28], [2, 0, 28], [2, 28, 0]] {
            let message = image_error(&idx(IMAGES_MAGIC, &sizes, &[]));
            assert!(message.contains("expected sizes of at least 1, found 0 "), "{message}");
        }
    }

    #[test]
    fn the_length_must_be_the_product() {
        let message = image_error(&idx(IMAGES_MAGIC, &[2, 2, 2], &[0; 7]));
        assert!(message.ends_with("the length of the file: expected 8 bytes after the header, found 7"), "{message}");
        let message = image_error(&idx(IMAGES_MAGIC, &[2, 2, 2], &[0; 9]));
        assert!(message.ends_with("expected 8 bytes after the header, found more"), "{message}");
        let message = label_error(&gzip(&idx(LABELS_MAGIC, &[4], &[0; 3])));
        assert!(message.ends_with("expected 4 bytes after the header, found 3"), "{message}");
        let message = label_error(&gzip(&idx(LABELS_MAGIC, &[4], &[0; 5])));
        assert!(message.ends_with("found more"), "{message}");
        // A header that promises a gigabyte in a few bytes reserves no gigabyte and ends as too short.
        let message = image_error(&idx(IMAGES_MAGIC, &[1 << 20, 32, 32], &[0; 9]));
        assert!(message.ends_with("expected 1073741824 bytes after the header, found 9"), "{message}");
    }

    #[test]
    fn damaged_gzip() {
        let raw = idx(LABELS_MAGIC, &[1000], &[1; 1000]);
        let whole = gzip(&raw);
        for cut in 2..whole.len() {
            let message = label_error(&whole[..cut]);
            assert!(message.contains("the gzip stream: expected whole and undamaged, found"), "{cut}: {message}");
        }
        let trailing = [&whole[..], b"more"].concat();
        assert!(label_error(&trailing).contains("the gzip stream"), "{}", label_error(&trailing));
        let mut crc = whole.clone();
        let at = crc.len() - 8;
        crc[at] ^= 1;
        assert!(label_error(&crc).contains("the gzip stream"), "{}", label_error(&crc));
    }

    /// 16 MB of zeros in 16 kB: reading stops right after the bytes that the header promised.
    #[test]
    fn a_gzip_bomb_is_not_unpacked() {
        let bomb = gzip(&idx(LABELS_MAGIC, &[4], &vec![0; 1 << 24]));
        assert!(bomb.len() < 20_000);
        assert!(label_error(&bomb).ends_with("expected 4 bytes after the header, found more"));
    }

    #[test]
    fn label_10() {
        let message = label_error(&idx(LABELS_MAGIC, &[3], &[0, 10, 11]));
        let rule = "labels are below the number of classes: expected 0 to 9, found label 10 of sample 1";
        assert!(message.ends_with(rule), "{message}");
    }

    #[test]
    fn files_that_are_not_there_or_folders() {
        let dir = tempfile::tempdir().unwrap();
        let message = read_images(&dir.path().join("absent")).unwrap_err().to_string();
        assert!(message.contains("absent: cannot be read: "), "{message}");
        let message = read_labels(dir.path()).unwrap_err().to_string();
        assert!(message.ends_with("expected a file, found a folder"), "{message}");
        assert!(read_images(&PathBuf::new()).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        /// Any bytes, also behind a good magic number or in a good gzip file, give `Ok` or `Err`.
        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200), magic in 0usize..3, small in any::<bool>()) {
            let mut file = bytes;
            if let Some(start) = file.get_mut(..4).filter(|_| magic < 2) {
                start.copy_from_slice(&[IMAGES_MAGIC, LABELS_MAGIC][magic].to_be_bytes());
                if small {
                    file.iter_mut().skip(4).take(12).enumerate().filter(|(i, _)| i % 4 < 3).for_each(|(_, byte)| *byte = 0);
                }
            }
            let _ = read(&file);
            let _ = read(&[&[0x1f, 0x8b, 8, 0], &file[..]].concat());
            let (images, labels) = read(&gzip(&file));
            if let Ok(images) = images {
                prop_assert_eq!(images.pixels.len(), images.count * images.rows * images.cols);
            }
            if let Ok(labels) = labels {
                prop_assert!(labels.labels.iter().all(|&label| label < 10));
            }
        }

        /// A flipped byte of a gzip file is found by its checksum, or changes nothing that counts.
        #[test]
        fn flipped_bytes(body in prop::collection::vec(0u8..10, 1..100), at: prop::sample::Index, flip in 1u8..) {
            let raw = idx(LABELS_MAGIC, &[body.len() as u32], &body);
            let mut file = gzip(&raw);
            let at = at.index(file.len());
            file[at] ^= flip;
            if let Ok(labels) = read(&file).1 {
                prop_assert_eq!(labels.labels, body);
            }
        }
    }
}
