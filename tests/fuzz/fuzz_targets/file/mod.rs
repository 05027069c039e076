//! Readers that take a path: the same file again and again, which `run.sh` has in memory.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

static FILE: LazyLock<PathBuf> =
    LazyLock::new(|| std::env::temp_dir().join(format!("inkstone-fuzz-{}", std::process::id())));

/// Calls `read` with the path of a file of these bytes.
pub fn with_file<R>(bytes: &[u8], read: impl FnOnce(&Path) -> R) -> R {
    std::fs::write(&*FILE, bytes).expect("the file for the reader can be written");
    read(&FILE)
}
