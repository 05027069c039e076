//! The envelope of every file here: a safetensors file of f32 tensors with one metadata key, `inkstone`.
//!
//! The key holds JSON, `{"format": 1, "sha256": .., "body": ..}`. The SHA-256 is of the body's JSON followed by the tensors'
//! little-endian bytes in the writer's order: it finds a flipped bit, which safetensors alone cannot.

use super::CheckpointError;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::{Display, Write};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Version of the JSON in the metadata.
const FORMAT: u32 = 1;
/// The metadata key: only one, since safetensors writes several in random order.
const KEY: &str = "inkstone";
/// Largest file read, in bytes: a quarter of a billion weights.
const MAX_FILE: u64 = 1 << 30;
/// Largest header read, in bytes: a thousand layers need less.
const MAX_HEADER: u64 = 1 << 22;

/// A tensor to write: name, sizes and elements.
pub(super) type Tensor<'a> = (String, Vec<usize>, Values<'a>);

/// The elements of a tensor.
#[derive(Clone, Copy)]
pub(super) enum Values<'a> {
    /// Numbers.
    F32(&'a [f32]),
    /// One count, of no dimension: what PyTorch counts batches with.
    I64(i64),
}

impl Values<'_> {
    fn dtype(self) -> Dtype {
        match self {
            Self::F32(_) => Dtype::F32,
            Self::I64(_) => Dtype::I64,
        }
    }

    /// Its bytes, little-endian; numbers are not copied where the machine has them so.
    fn le_bytes(&self) -> Cow<'_, [u8]> {
        match self {
            Self::F32(values) if cfg!(target_endian = "little") => Cow::Borrowed(bytemuck::cast_slice(values)),
            Self::F32(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::I64(count) => count.to_le_bytes().to_vec().into(),
        }
    }
}

/// The JSON under the metadata key.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed<B> {
    format: u32,
    sha256: String,
    body: B,
}

/// The part that a file of any version has.
#[derive(Deserialize)]
struct Version {
    format: u32,
}

/// A file that was read: its tensors, every offset checked, and what stands under our metadata key.
pub(super) struct Contents<'a> {
    tensors: SafeTensors<'a>,
    json: Option<String>,
}

impl<'a> Contents<'a> {
    /// Checks the bytes of a safetensors file, whoever wrote it.
    pub(super) fn parse(path: &Path, bytes: &'a [u8]) -> Result<Self, CheckpointError> {
        let broken = |found: String| {
            CheckpointError::rule(path, "is truncated, damaged or another format", "a safetensors file", found)
        };
        let mut header = header(bytes).map_err(broken)?;
        let metadata = header.remove("__metadata__");
        // The safetensors crate adds up where tensors end without checking for overflow, so ends are bounded before.
        let room = bytes.len() as u64;
        for (name, info) in &header {
            match info.pointer("/data_offsets/1").and_then(Value::as_u64) {
                Some(end) if end <= room => {}
                Some(end) => return Err(broken(format!("tensor `{name}` up to byte {end} in a file of {room} bytes"))),
                None => return Err(broken(format!("tensor `{name}` without its offsets"))),
            }
        }
        let tensors = SafeTensors::deserialize(bytes).map_err(|error| broken(error.to_string()))?;
        let json = metadata.and_then(|metadata| Some(metadata.get(KEY)?.as_str()?.to_owned()));
        Ok(Self { tensors, json })
    }

    /// Whether this program wrote it.
    pub(super) const fn is_sealed(&self) -> bool {
        self.json.is_some()
    }

    /// The body under our metadata key, and its seal, which [`check`] compares.
    pub(super) fn body<B: DeserializeOwned>(&self, path: &Path) -> Result<(B, String), CheckpointError> {
        let Some(json) = &self.json else {
            let found = "none (weights alone, as PyTorch saves them, can start a training: --init)";
            return Err(CheckpointError::rule(
                path,
                "must be written by inkstone",
                "the metadata key `inkstone`",
                found,
            ));
        };
        let unfit = |expected: &str, found: &dyn Display| {
            CheckpointError::rule(path, "metadata `inkstone` must fit its format", expected, found.to_string())
        };
        let Version { format } = serde_json::from_str(json).map_err(|error| unfit("JSON with a version", &error))?;
        if format != FORMAT {
            return Err(unfit(&format!("format {FORMAT}"), &format_args!("format {format}")));
        }
        let Sealed { sha256, body, .. } = serde_json::from_str(json).map_err(|error| unfit("a valid body", &error))?;
        Ok((body, sha256))
    }

    /// The elements of exactly these tensors, given by name and sizes; the file may hold no other, but for `counts`.
    pub(super) fn tensors(
        &self,
        path: &Path,
        wanted: &[(&str, &[usize])],
        counts: &[String],
    ) -> Result<Vec<Vec<f32>>, CheckpointError> {
        let rule = "tensors must be the network's in name, type and shape";
        let mut names = self.tensors.names();
        names.sort_unstable();
        let mut found = Vec::with_capacity(wanted.len());
        for &(name, shape) in wanted {
            let expected = format!("`{name}` F32 {shape:?}");
            let Ok(tensor) = self.tensors.tensor(name) else {
                return Err(CheckpointError::rule(
                    path,
                    rule,
                    expected,
                    format!("no such tensor, but {}", list(&names)),
                ));
            };
            if tensor.dtype() != Dtype::F32 || tensor.shape() != shape {
                let found = format!("`{name}` {} {:?}", tensor.dtype(), tensor.shape());
                return Err(CheckpointError::rule(path, rule, expected, found));
            }
            let (bytes, _) = tensor.data().as_chunks();
            found.push(bytes.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect());
        }
        names
            .retain(|name| wanted.iter().all(|(wanted, _)| wanted != name) && counts.iter().all(|count| count != name));
        if !names.is_empty() {
            let wanted: Vec<_> = wanted.iter().map(|&(name, _)| name).collect();
            let (expected, found) = (format!("only {}", list(&wanted)), format!("{} besides", list(&names)));
            return Err(CheckpointError::rule(path, rule, expected, found));
        }
        Ok(found)
    }

    /// The count in the tensor `name`.
    pub(super) fn count(&self, path: &Path, name: &str) -> Result<i64, CheckpointError> {
        let found = match self.tensors.tensor(name) {
            Err(_) => "no such tensor".to_owned(),
            Ok(tensor) => match (tensor.dtype(), tensor.shape(), tensor.data().as_chunks()) {
                (Dtype::I64, [], ([bytes], _)) => return Ok(i64::from_le_bytes(*bytes)),
                (dtype, shape, _) => format!("`{name}` {dtype} {shape:?}"),
            },
        };
        let rule = "tensors must be the network's in name, type and shape";
        Err(CheckpointError::rule(path, rule, format!("`{name}` I64 []"), found))
    }
}

/// The JSON header of a safetensors file: eight bytes of length, then the header.
fn header(bytes: &[u8]) -> Result<Map<String, Value>, String> {
    let (len, rest) = bytes.split_first_chunk().ok_or_else(|| format!("{} bytes", bytes.len()))?;
    if rest.first().is_some_and(|first| !matches!(first, b'{' | b'[')) {
        // A length read from the beginning of a picture or a text would tell nobody anything.
        return Err("bytes that begin as no file of tensors does".to_owned());
    }
    let len = u64::from_le_bytes(*len);
    if len > MAX_HEADER {
        return Err(format!("a header of {len} bytes, more than the {MAX_HEADER} allowed"));
    }
    let json = usize::try_from(len).ok().and_then(|len| rest.get(..len));
    let json = json.ok_or_else(|| format!("a header of {len} bytes in a file of {}", bytes.len()))?;
    serde_json::from_slice(json).map_err(|error| format!("a header that is no JSON object ({error})"))
}

/// The bytes of a file that holds `tensors`, with `body` and its seal as metadata.
pub(super) fn encode(path: &Path, body: &impl Serialize, tensors: Vec<Tensor<'_>>) -> Result<Vec<u8>, CheckpointError> {
    let unfit = |error: &dyn Display| {
        CheckpointError::rule(
            path,
            "contents must be storable",
            "names, shapes and numbers that fit",
            error.to_string(),
        )
    };
    let values: Vec<Values<'_>> = tensors.iter().map(|&(_, _, values)| values).collect();
    // What could not be read again is not written: the first save comes before the first update.
    check_size(path, values.iter().map(|values| values.le_bytes().len() as u64).sum())?;
    let sha256 = seal(body, &values).map_err(|error| unfit(&error))?;
    let json = serde_json::to_string(&Sealed { format: FORMAT, sha256, body }).map_err(|error| unfit(&error))?;
    let bytes: Vec<Cow<'_, [u8]>> = values.iter().map(Values::le_bytes).collect();
    let mut views = Vec::with_capacity(tensors.len());
    for ((name, shape, values), bytes) in tensors.into_iter().zip(&bytes) {
        views.push((name, TensorView::new(values.dtype(), shape, bytes).map_err(|error| unfit(&error))?));
    }
    let metadata = HashMap::from([(KEY.to_owned(), json)]);
    safetensors::serialize(views, Some(metadata)).map_err(|error| unfit(&error))
}

/// Refuses so many bytes of numbers as [`read_file`] would with a header in front of them.
pub(crate) fn check_size(path: &Path, len: u64) -> Result<(), CheckpointError> {
    let most = MAX_FILE - MAX_HEADER;
    if len <= most {
        return Ok(());
    }
    let expected = format!("at most {most} bytes of weights and of what the optimizer keeps of each");
    Err(CheckpointError::rule(path, "is too large for a file", expected, format!("{len} bytes")))
}

/// Refuses contents whose seal is another.
pub(super) fn check(
    path: &Path,
    sha256: &str,
    body: &impl Serialize,
    values: &[Values<'_>],
) -> Result<(), CheckpointError> {
    match seal(body, values) {
        Ok(found) if found == sha256 => Ok(()),
        found => {
            let (expected, found) = (format!("SHA-256 {sha256}"), found.unwrap_or_else(|error| error.to_string()));
            Err(CheckpointError::rule(path, "is damaged, or was changed after it was written", expected, found))
        }
    }
}

/// SHA-256 of the body's JSON and the values.
fn seal(body: &impl Serialize, values: &[Values<'_>]) -> serde_json::Result<String> {
    let mut hasher = Sha256::new_with_prefix(serde_json::to_vec(body)?);
    values.iter().for_each(|values| hasher.update(values.le_bytes()));
    Ok(hex(&hasher.finalize()))
}

/// SHA-256 of the parts, one after the other, in hex.
pub(super) fn hex_sha256(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    parts.iter().for_each(|part| hasher.update(part));
    hex(&hasher.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a String cannot fail
        text
    })
}

/// The first few names, for an error message.
fn list(names: &[&str]) -> String {
    const SHOWN: usize = 6;
    let mut text: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name:.80}`")).collect();
    if names.len() > SHOWN {
        text.push(format!("{} more", names.len() - SHOWN));
    }
    if text.is_empty() { "no tensor".to_owned() } else { text.join(", ") }
}

/// Reads a regular file of at most [`MAX_FILE`] bytes.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, CheckpointError> {
    let info = std::fs::metadata(path).map_err(CheckpointError::io(path, "read"))?;
    if !info.is_file() {
        let found = if info.is_dir() { "a directory" } else { "a device or pipe" };
        return Err(CheckpointError::rule(path, "must be a file of weights", "a regular file", found));
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes))
        .map_err(CheckpointError::io(path, "read"))?;
    if bytes.len() as u64 > MAX_FILE {
        let (expected, found) = (format!("at most {MAX_FILE} bytes"), format!("{} bytes", info.len()));
        return Err(CheckpointError::rule(path, "is too large for a model", expected, found));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of the largest size is not made here; what may be written is what can be read.
    #[test]
    fn more_numbers_than_a_file_can_be_read_with_are_refused() {
        let place = Path::new("last/optimizer.safetensors");
        assert!(check_size(place, MAX_FILE - MAX_HEADER).is_ok());
        let said = check_size(place, MAX_FILE - MAX_HEADER + 1).unwrap_err().to_string();
        assert!(said.contains("optimizer.safetensors") && said.contains("1069547521 bytes"), "{said}");
    }
}
