//! Directories that one process at a time is at work on.

use crate::train::TrainError;
use crate::train::config::ConfigError;
use std::fs::{File, TryLockError};
use std::path::Path;

/// A directory that this process alone is at work on, where the system has locks for directories.
pub(super) struct DirLock {
    /// The lock ends with it.
    _file: Option<File>,
}

impl DirLock {
    /// Waits for it. A file system without locks is not waited for.
    pub(super) fn wait(dir: &Path) -> Result<Self, TrainError> {
        let file = Self::open(dir)?;
        Ok(Self { _file: file.filter(|file| file.lock().is_ok()) })
    }

    /// Refuses a directory that another process is at work on.
    pub(super) fn at_once(dir: &Path) -> Result<Self, TrainError> {
        let file = Self::open(dir)?;
        if let Some(Err(TryLockError::WouldBlock)) = file.as_ref().map(File::try_lock) {
            let rule = "one process at a time trains a run";
            return Err(ConfigError::new(dir.display(), rule, "no other process at work here", "one that is").into());
        }
        Ok(Self { _file: file })
    }

    /// The directory as a file, which only Unix has.
    fn open(dir: &Path) -> Result<Option<File>, TrainError> {
        if !cfg!(unix) {
            return Ok(None);
        }
        let error = |error| TrainError::Io { file: dir.to_owned(), action: "open", error };
        File::open(dir).map(Some).map_err(error)
    }
}
