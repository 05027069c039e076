//! Images with their labels, and the folders they come from.

use super::error::DataError;
use super::idx::{self, Images, Labels};
use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::thread;

/// A folder that tells where MNIST lies.
pub const DATA_VARIABLE: &str = "INKSTONE_DATA";
/// Where MNIST lies in a clone.
const DEFAULT_DIR: &str = "data/mnist";
/// The files of a folder: train images and labels, test images and labels.
pub const FILES: [&str; 4] =
    ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];
/// SHA-256 of the raw files of the data sets known by name, in the order of [`FILES`].
const KNOWN: [(&str, [&str; 4]); 1] = [(
    "mnist",
    [
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ],
)];

/// Images with a label each; every label is below [`classes`](Self::classes).
#[derive(Clone, PartialEq, Eq)]
pub struct Dataset {
    images: Vec<u8>,
    labels: Vec<u8>,
    rows: usize,
    cols: usize,
    classes: usize,
    sha256: [String; 2],
    name: Option<&'static str>,
}

impl Dataset {
    /// A data set made in memory: `images` is `[labels, rows, cols]`.
    ///
    /// # Errors
    /// [`DataError::Rule`] if the sizes do not fit together, or a label is not below `classes`.
    pub fn new(images: Vec<u8>, labels: Vec<u8>, rows: usize, cols: usize, classes: usize) -> Result<Self, DataError> {
        let place = "the data set";
        let sizes = [labels.len(), rows, cols];
        let product = sizes.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
        if product != Some(images.len()) || images.is_empty() {
            let expected = sizes.map(|size| size.to_string()).join(" x ") + ", and at least one";
            return Err(DataError::value(place, "the number of pixels", expected, images.len()));
        }
        if let Some(i) = labels.iter().position(|&label| usize::from(label) >= classes) {
            let found = format!("label {} of sample {i}", labels[i]);
            return Err(DataError::value(place, "labels are below the number of classes", classes, found));
        }
        let [Ok(n), Ok(r), Ok(c)] = sizes.map(u32::try_from) else {
            return Err(DataError::value(place, "sizes fit in 32 bits", "at most 4294967295", format!("{sizes:?}")));
        };
        let sha256 = [idx::images_sha256([n, r, c], &images), idx::labels_sha256(n, &labels)];
        Ok(Self { images, labels, rows, cols, classes, name: name_of(&sha256), sha256 })
    }

    /// Pairs the images of one file with the labels of another.
    fn pair(images: Images, labels: Labels, labels_path: &Path) -> Result<Self, DataError> {
        if images.count != labels.labels.len() {
            let expected = format!("{} labels", images.count);
            return Err(DataError::file(labels_path, "a label for each image", expected, labels.labels.len()));
        }
        let sha256 = [images.sha256, labels.sha256];
        Ok(Self {
            images: images.pixels,
            labels: labels.labels,
            rows: images.rows,
            cols: images.cols,
            classes: idx::CLASSES,
            name: name_of(&sha256),
            sha256,
        })
    }

    /// Number of samples, at least 1.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Never true: an empty data set is refused when it is made.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Rows of an image.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Columns of an image.
    #[must_use]
    pub const fn cols(&self) -> usize {
        self.cols
    }

    /// Pixels of an image: rows times columns.
    #[must_use]
    pub const fn pixels(&self) -> usize {
        self.rows * self.cols // no more than the images hold
    }

    /// Number of classes.
    #[must_use]
    pub const fn classes(&self) -> usize {
        self.classes
    }

    /// The pixels of sample `i`, row by row, 0 for no ink.
    ///
    /// # Panics
    /// If there is no such sample.
    #[must_use]
    pub fn image(&self, i: usize) -> &[u8] {
        &self.images[i * self.pixels()..][..self.pixels()]
    }

    /// The class of sample `i`.
    ///
    /// # Panics
    /// If there is no such sample.
    #[must_use]
    pub fn label(&self, i: usize) -> u8 {
        self.labels[i]
    }

    /// The pixels of every sample, one after the other.
    #[must_use]
    pub fn images(&self) -> &[u8] {
        &self.images
    }

    /// The class of every sample.
    #[must_use]
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// SHA-256 of the raw files of images and of labels, in hex; of whole files, whatever [`limit`](Self::limit) left.
    #[must_use]
    pub const fn sha256(&self) -> &[String; 2] {
        &self.sha256
    }

    /// `mnist` if both files are those of MNIST (train or test), to the byte.
    #[must_use]
    pub const fn name(&self) -> Option<&'static str> {
        self.name
    }

    /// Keeps the first `n` samples, but at least one.
    pub fn limit(&mut self, n: usize) {
        let n = n.clamp(1, self.len());
        self.images.truncate(n * self.pixels());
        self.labels.truncate(n);
    }
}

impl fmt::Debug for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, cols, classes, .. } = self;
        write!(f, "{} images of {rows}x{cols} in {classes} classes ({})", self.len(), self.name.unwrap_or("own set"))
    }
}

/// The known set that has these files of images and labels, as its train or its test half.
fn name_of(sha256: &[String; 2]) -> Option<&'static str> {
    let is_half = |half: &[&str]| half.iter().zip(sha256).all(|(known, found)| known == found);
    KNOWN.iter().find(|(_, known)| is_half(&known[..2]) || is_half(&known[2..])).map(|(name, _)| *name)
}

/// A train set and a test set with images of one size.
#[derive(Clone, Debug)]
pub struct Splits {
    /// Samples to train on, and to validate with after a [`split`](super::split()).
    pub train: Dataset,
    /// Samples that nothing is chosen by.
    pub test: Dataset,
}

/// What `--data` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// MNIST itself, wherever it lies: refused unless its checksums are right.
    Mnist,
    /// A folder with the four IDX files of any set of digits.
    Dir(PathBuf),
}

impl Source {
    /// Loads the set: see [`find_mnist`] and [`load`].
    ///
    /// # Errors
    /// [`DataError`] names the file, the rule, what was expected and what was found.
    pub fn load(&self) -> Result<Splits, DataError> {
        match self {
            Self::Mnist => load_mnist(&find_mnist(None)?),
            Self::Dir(dir) => load(dir),
        }
    }

    /// The folder that [`load`](Self::load) reads.
    ///
    /// # Errors
    /// [`DataError::Missing`] if MNIST is wanted and not found.
    pub fn dir(&self) -> Result<PathBuf, DataError> {
        match self {
            Self::Mnist => find_mnist(None),
            Self::Dir(dir) => Ok(dir.clone()),
        }
    }
}

impl FromStr for Source {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(if text == "mnist" { Self::Mnist } else { Self::Dir(text.into()) })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mnist => f.write_str("mnist"),
            Self::Dir(dir) => dir.display().fmt(f),
        }
    }
}

/// Loads a folder of four IDX files (plain or `.gz`), all at once.
///
/// Files other than MNIST's are welcome: [`Dataset::name`] is `None` then, and the hashes tell which they are.
///
/// # Errors
/// [`DataError`] names the file, the rule, what was expected and what was found.
pub fn load(dir: &Path) -> Result<Splits, DataError> {
    let [train_images, train_labels, test_images, test_labels] = find_files(dir)?;
    let (train, test) = thread::scope(|scope| {
        let test = scope.spawn(|| read_pair(&test_images, &test_labels));
        let train_y = scope.spawn(|| idx::read_labels(&train_labels));
        let train_x = idx::read_images(&train_images);
        let train = train_x.and_then(|x| Dataset::pair(x, joined(train_y, &train_labels)?, &train_labels));
        (train, joined(test, &test_images))
    });
    let (train, test) = (train?, test?);
    if [train.rows, train.cols] != [test.rows, test.cols] {
        let expected = format!("{}x{} as in {}", train.rows, train.cols, train_images.display());
        let found = format!("{}x{}", test.rows, test.cols);
        return Err(DataError::file(&test_images, "images of one size", expected, found));
    }
    Ok(Splits { train, test })
}

/// The result of a thread; were it to panic, an error and not a second panic.
fn joined<T>(handle: thread::ScopedJoinHandle<'_, Result<T, DataError>>, path: &Path) -> Result<T, DataError> {
    handle.join().unwrap_or_else(|_| Err(DataError::file(path, "reading", "a result", "a failure of the reader")))
}

fn read_pair(images: &Path, labels: &Path) -> Result<Dataset, DataError> {
    Dataset::pair(idx::read_images(images)?, idx::read_labels(labels)?, labels)
}

/// [`load`], and refuses anything but MNIST.
///
/// # Errors
/// [`DataError`] names the file, the rule, what was expected and what was found.
pub fn load_mnist(dir: &Path) -> Result<Splits, DataError> {
    let splits = load(dir)?;
    let paths = find_files(dir)?;
    let found = splits.train.sha256.iter().chain(&splits.test.sha256);
    for ((path, found), expected) in paths.iter().zip(found).zip(KNOWN[0].1) {
        if found != expected {
            return Err(DataError::file(path, "the SHA-256 of MNIST's raw file", expected, found));
        }
    }
    Ok(splits)
}

/// What [`verify`] found out about one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileCheck {
    /// The file.
    pub path: PathBuf,
    /// Samples in it.
    pub samples: usize,
    /// SHA-256 of the raw (decompressed) file, in hex.
    pub sha256: String,
    /// SHA-256 that MNIST's file has.
    pub expected: &'static str,
}

impl FileCheck {
    /// Whether this is MNIST's file, to the byte.
    #[must_use]
    pub fn matches(&self) -> bool {
        self.sha256 == self.expected
    }
}

/// Reads the four files of a folder and compares each with MNIST's.
///
/// # Errors
/// [`DataError`] if the folder cannot be [loaded](load) at all; a file that is not MNIST's is no error here.
pub fn verify(dir: &Path) -> Result<[FileCheck; 4], DataError> {
    let Splits { train, test } = load(dir)?;
    let [a, b, c, d] = find_files(dir)?;
    let check = |path, set: &Dataset, half: usize, expected| FileCheck {
        path,
        samples: set.len(),
        sha256: set.sha256[half].clone(),
        expected,
    };
    let known = KNOWN[0].1;
    Ok([
        check(a, &train, 0, known[0]),
        check(b, &train, 1, known[1]),
        check(c, &test, 0, known[2]),
        check(d, &test, 1, known[3]),
    ])
}

/// The folder of MNIST: `explicit` if given, else `$INKSTONE_DATA` or its subfolder `mnist`, else `./data/mnist`.
/// Only the presence of the files is looked at.
///
/// # Errors
/// [`DataError::Missing`] lists what was looked at.
pub fn find_mnist(explicit: Option<&Path>) -> Result<PathBuf, DataError> {
    find_mnist_in(explicit, env::var_os(DATA_VARIABLE), Path::new(DEFAULT_DIR))
}

/// [`find_mnist`] with the world passed in.
fn find_mnist_in(explicit: Option<&Path>, variable: Option<OsString>, default: &Path) -> Result<PathBuf, DataError> {
    let mut places = Vec::new();
    let mut looked = Vec::new();
    if let Some(dir) = explicit {
        places.push(("--data", dir.to_owned()));
    } else {
        match variable.filter(|value| !value.is_empty()) {
            Some(dir) => {
                let dir = PathBuf::from(dir);
                places.push(("$INKSTONE_DATA", dir.clone()));
                places.push(("$INKSTONE_DATA/mnist", dir.join("mnist")));
            }
            None => looked.push("$INKSTONE_DATA: not set".to_owned()),
        }
        places.push(("the default", default.to_owned()));
    }
    for (why, dir) in places {
        match find_files(&dir) {
            Ok(_) => return Ok(dir),
            Err(_) if !dir.exists() => looked.push(format!("{} ({why}): no such folder", dir.display())),
            Err(_) => looked.push(format!("{} ({why}): the four IDX files are not all there", dir.display())),
        }
    }
    Err(DataError::Missing { what: "MNIST".to_owned(), looked })
}

/// The paths of the four files in a folder, plain before `.gz`.
fn find_files(dir: &Path) -> Result<[PathBuf; 4], DataError> {
    let find = |name: &str| {
        let dotted = name.replacen("-idx", ".idx", 1); // as some copies are named
        let names = [name.to_owned(), format!("{name}.gz"), dotted.clone(), format!("{dotted}.gz")];
        let looked: Vec<PathBuf> = names.iter().map(|name| dir.join(name)).collect();
        looked.iter().find(|path| path.is_file()).cloned().ok_or_else(|| DataError::Missing {
            what: format!("the file {name}"),
            looked: looked.iter().map(|path| path.display().to_string()).collect(),
        })
    };
    let [a, b, c, d] = FILES;
    Ok([find(a)?, find(b)?, find(c)?, find(d)?])
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::fs;
    use std::sync::OnceLock;

    fn mnist_dir() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(DEFAULT_DIR)
    }

    /// MNIST, read once for all tests of the crate.
    pub(crate) fn mnist() -> &'static Splits {
        static MNIST: OnceLock<Splits> = OnceLock::new();
        MNIST.get_or_init(|| load_mnist(&mnist_dir()).unwrap())
    }

    /// A folder of small plain IDX files: `train` and `test` samples of `rows` x `cols`.
    fn small(dir: &Path, train: u8, test: u8, [rows, cols]: [u8; 2]) {
        for (count, names) in [(train, &FILES[..2]), (test, &FILES[2..])] {
            let header = [0, 0, 8, 3, 0, 0, 0, count, 0, 0, 0, rows, 0, 0, 0, cols];
            let pixels = vec![7; usize::from(count) * usize::from(rows) * usize::from(cols)];
            fs::write(dir.join(names[0]), [&header[..], &pixels].concat()).unwrap();
            let header = [0, 0, 8, 1, 0, 0, 0, count];
            fs::write(dir.join(names[1]), [&header[..], &vec![1; count.into()]].concat()).unwrap();
        }
    }

    #[test]
    fn mnist_is_mnist() {
        let Splits { train, test } = mnist();
        assert_eq!((train.len(), test.len()), (60_000, 10_000));
        assert_eq!((train.rows(), train.cols(), train.pixels(), train.classes()), (28, 28, 784, 10));
        assert_eq!((train.name(), test.name()), (Some("mnist"), Some("mnist")));
        assert_eq!(train.labels()[..8], [5, 0, 4, 1, 9, 2, 1, 3]);
        assert_eq!(test.labels()[..4], [7, 2, 1, 0]);
        assert_eq!(train.image(59_999).len(), 784);
        assert!(!train.is_empty());
        assert_eq!(format!("{train:?}"), "60000 images of 28x28 in 10 classes (mnist)");
        let checks = verify(&mnist_dir()).unwrap();
        assert!(checks.iter().all(FileCheck::matches));
        assert_eq!(checks[2].samples, 10_000);
    }

    #[test]
    fn a_set_made_in_memory_has_the_hash_of_its_file() {
        let test = &mnist().test;
        let made = Dataset::new(test.images().to_vec(), test.labels().to_vec(), 28, 28, 10).unwrap();
        assert_eq!(&made, test);
        let mut first = made.clone();
        first.limit(100);
        assert_eq!((first.len(), first.images().len()), (100, 78_400));
        assert_eq!(first.image(99), test.image(99));
        first.limit(0);
        assert_eq!(first.len(), 1);
        first.limit(5);
        assert_eq!(first.len(), 1);
    }

    #[test]
    fn sets_that_do_not_fit_together() {
        assert!(Dataset::new(vec![0; 5], vec![0, 1], 1, 3, 10).is_err());
        assert!(Dataset::new(vec![], vec![], 1, 3, 10).is_err());
        assert!(Dataset::new(vec![], vec![0], 0, 3, 10).is_err());
        assert!(Dataset::new(vec![0; 4], vec![0, 1], usize::MAX, 2, 10).is_err());
        let message = Dataset::new(vec![0; 2], vec![0, 3], 1, 1, 3).unwrap_err().to_string();
        assert!(message.ends_with("expected 3, found label 3 of sample 1"), "{message}");
    }

    #[test]
    fn another_set_loads_but_is_not_mnist() {
        let dir = tempfile::tempdir().unwrap();
        small(dir.path(), 3, 2, [4, 5]);
        let splits = load(dir.path()).unwrap();
        assert_eq!((splits.train.len(), splits.test.len(), splits.test.pixels()), (3, 2, 20));
        assert_eq!(splits.train.name(), None);
        assert!(Source::Dir(dir.path().to_owned()).load().is_ok());
        let message = load_mnist(dir.path()).unwrap_err().to_string();
        assert!(
            message.contains("train-images-idx3-ubyte: the SHA-256 of MNIST's raw file: expected ba89"),
            "{message}"
        );
        assert!(message.ends_with(&splits.train.sha256()[0]), "{message}");
        let checks = verify(dir.path()).unwrap();
        assert!(!checks.iter().any(FileCheck::matches));
    }

    #[test]
    fn files_that_contradict_each_other() {
        let dir = tempfile::tempdir().unwrap();
        small(dir.path(), 3, 2, [4, 5]);
        fs::copy(dir.path().join(FILES[3]), dir.path().join(FILES[1])).unwrap();
        let message = load(dir.path()).unwrap_err().to_string();
        assert!(
            message.ends_with("train-labels-idx1-ubyte: a label for each image: expected 3 labels, found 2"),
            "{message}"
        );
        small(dir.path(), 3, 2, [4, 5]);
        let other = tempfile::tempdir().unwrap();
        small(other.path(), 3, 2, [5, 4]);
        fs::copy(other.path().join(FILES[2]), dir.path().join(FILES[2])).unwrap();
        let message = load(dir.path()).unwrap_err().to_string();
        assert!(
            message.contains("images of one size: expected 4x5 as in") && message.ends_with("found 5x4"),
            "{message}"
        );
    }

    #[test]
    fn empty_and_missing_folders() {
        let dir = tempfile::tempdir().unwrap();
        let message = load(dir.path()).unwrap_err().to_string();
        assert!(message.starts_with("the file train-images-idx3-ubyte not found; looked at:\n  "), "{message}");
        assert!(message.contains("train-images-idx3-ubyte.gz"), "{message}");
        let absent = dir.path().join("absent");
        let message = find_mnist_in(None, Some(dir.path().into()), &absent).unwrap_err().to_string();
        let [empty, sub] = [dir.path(), &dir.path().join("mnist")].map(|path| path.display().to_string());
        assert!(
            message.contains(&format!("\n  {empty} ($INKSTONE_DATA): the four IDX files are not all there")),
            "{message}"
        );
        assert!(message.contains(&format!("\n  {sub} ($INKSTONE_DATA/mnist): no such folder")), "{message}");
        assert!(message.contains(&format!("\n  {} (the default): no such folder", absent.display())), "{message}");
        let message = find_mnist_in(None, None, &absent).unwrap_err().to_string();
        assert!(message.starts_with("MNIST not found; looked at:\n  $INKSTONE_DATA: not set\n"), "{message}");
        let message = find_mnist_in(Some(&absent), None, &mnist_dir()).unwrap_err().to_string();
        assert!(message.contains("(--data): no such folder"), "{message}");
    }

    #[test]
    fn the_first_folder_with_files_wins() {
        let dir = tempfile::tempdir().unwrap();
        let sub = dir.path().join("mnist");
        fs::create_dir(&sub).unwrap();
        small(&sub, 1, 1, [1, 1]);
        assert_eq!(find_mnist_in(None, Some(dir.path().into()), &mnist_dir()).unwrap(), sub);
        assert_eq!(find_mnist_in(None, Some("".into()), &mnist_dir()).unwrap(), mnist_dir());
        assert_eq!(find_mnist_in(Some(&mnist_dir()), Some(sub.into()), &sub_of(&dir)).unwrap(), mnist_dir());
        assert_eq!("mnist".parse::<Source>().unwrap(), Source::Mnist);
        assert_eq!("./mnist".parse::<Source>().unwrap(), Source::Dir("./mnist".into()));
        assert_eq!(Source::Dir("a/b".into()).to_string(), "a/b");
    }

    fn sub_of(dir: &tempfile::TempDir) -> PathBuf {
        dir.path().join("mnist")
    }
}
