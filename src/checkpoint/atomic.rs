//! Files that appear whole: written beside their place, flushed to the disk, then renamed into it.

use super::CheckpointError;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Writes `bytes` to `path` so that the file is complete or, after any failure, as it was before.
///
/// A sibling temporary file is created, written, flushed to the disk and renamed; then the directory is flushed.
///
/// # Errors
/// [`CheckpointError::Io`] naming the file: no such directory, no permission, disk full. The temporary file is removed.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), CheckpointError> {
    let temporary = sibling(path)?;
    let written = write_new(&temporary, bytes)
        .map_err(CheckpointError::io(path, "write"))
        .and_then(|()| fs::rename(&temporary, path).map_err(CheckpointError::io(path, "replace")));
    if let Err(error) = written {
        let _ = fs::remove_file(&temporary); // the first error is the one to report
        return Err(error);
    }
    sync_dir(&parent(path)).map_err(CheckpointError::io(path, "flush the directory of"))
}

/// Creates a file that must not exist yet, writes it and flushes it to the disk.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes renames in `dir` last through a power cut. Only Unix opens directories; elsewhere the system sees to it.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    #[cfg(unix)]
    match File::open(dir)?.sync_all() {
        // Some network file systems cannot flush a directory; the rename itself has happened.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {}
        result => result?,
    }
    #[cfg(not(unix))]
    let _ = dir;
    Ok(())
}

/// The directory that holds `path`.
fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// A hidden name beside `path` that no other write of this or another process uses.
fn sibling(path: &Path) -> Result<PathBuf, CheckpointError> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let Some(name) = path.file_name() else {
        return Err(CheckpointError::rule(path, "a file is written under its name", "a file name", "none"));
    };
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}-{}.tmp", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    Ok(parent(path).join(temporary))
}
