//! Files that appear whole or not at all.

use super::*;

#[test]
fn a_file_is_replaced_whole() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("file");
    write_atomic(&file, b"one").unwrap();
    write_atomic(&file, b"two").unwrap();
    assert_eq!(fs::read(&file).unwrap(), b"two");
    assert_eq!(listing(dir.path()), ["file"]);
}

#[cfg(unix)]
#[test]
fn permissions_are_those_of_any_new_file() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempdir().unwrap();
    let [ours, plain] = ["ours", "plain"].map(|name| dir.path().join(name));
    write_atomic(&ours, b"x").unwrap();
    fs::write(&plain, b"x").unwrap();
    let mode = |file: &Path| fs::metadata(file).unwrap().permissions().mode();
    assert_eq!(mode(&ours), mode(&plain));
}

#[test]
fn failures_leave_nothing_behind() {
    let dir = tempdir().unwrap();
    let taken = dir.path().join("taken");
    fs::create_dir(&taken).unwrap();
    says(&write_atomic(&taken, b"x").unwrap_err(), &["taken: cannot replace: "]);
    let missing = dir.path().join("no").join("file");
    says(&write_atomic(&missing, b"x").unwrap_err(), &["file: cannot write: "]);
    says(&write_atomic(&dir.path().join(".."), b"x").unwrap_err(), &["expected a file name, found none"]);
    assert_eq!(listing(dir.path()), ["taken"]);
}

#[test]
fn a_bare_name_lies_in_the_current_directory() {
    let name = format!("inkstone-test-{}.tmp", std::process::id()); // no test of this crate changes the directory
    write_atomic(Path::new(&name), b"x").unwrap();
    assert_eq!(fs::read(&name).unwrap(), b"x");
    fs::remove_file(&name).unwrap();
}
