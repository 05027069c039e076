//! Five public reports on MNIST, run again: what they trained and what they published as data, what came out beside it.
//!
//! In comes the name of a report; its file says what it trains ([`spec`]) and shows ([`figure`]), [`sweep`](crate::train::sweep) trains it,
//! [`conclude`] puts its runs together with an [`exam`] of each before the test set, as floats and as it would be [`deployed`], [`measure`]
//! reads figures off them, [`rule`] decides what the report claims, and out go [`results`], which the room `report` shows. [`checks`] are
//! parts that train nothing. A study holds no trainer of its own.

pub mod checks;
pub mod conclude;
pub mod deployed;
pub mod exam;
pub mod figure;
pub mod measure;
pub mod results;
pub mod rule;
pub mod spec;
pub mod statistics;
mod trust;

pub use conclude::Finished;
pub use deployed::{Deployed, Int8};
pub use exam::{Exam, Specimen};
pub use figure::Figure;
pub use measure::{Measure, Trained};
pub use results::{Finding, PartResult, Row, Tally, checksums};
pub use spec::{Check, Extent, Part, Study};

use crate::nearest::slip;
use crate::train::ConfigError;

/// The studies: a name for the command line, and the file.
const FILES: [(&str, &str); 5] = [
    ("regularization", include_str!("regularization.toml")),
    ("basics", include_str!("basics.toml")),
    ("cnn", include_str!("cnn.toml")),
    ("grid", include_str!("grid.toml")),
    ("multilayer", include_str!("multilayer.toml")),
];

/// The names of the studies, in the order of the reports.
pub const NAMES: [&str; 5] = [FILES[0].0, FILES[1].0, FILES[2].0, FILES[3].0, FILES[4].0];

/// Stands for all of them.
pub const ALL: &str = "all";

/// The study of this name.
///
/// # Errors
/// [`ConfigError`] for a name that is none; the files themselves are checked by the tests.
pub fn study(name: &str) -> Result<Study, ConfigError> {
    let found = FILES.iter().find(|(known, _)| *known == name);
    let unknown = || ConfigError::new("study", "a known name", NAMES.join(", "), format!("{name:?}"));
    let (name, text) = found.ok_or_else(unknown)?;
    Study::parse(name, text)
}

/// The studies that `name` means, one or [`ALL`], with all their parts or with `only` that one.
///
/// # Errors
/// [`ConfigError`] naming the nearest part if none of these studies has one called so.
pub fn choose(name: &str, only: Option<&str>) -> Result<Vec<Study>, ConfigError> {
    let names: Vec<&str> = if name == ALL { NAMES.to_vec() } else { vec![name] };
    let mut studies = names.into_iter().map(study).collect::<Result<Vec<_>, _>>()?;
    let Some(only) = only else { return Ok(studies) };
    let parts: Vec<String> = studies.iter().flat_map(|study| &study.parts).map(|part| part.name.clone()).collect();
    for study in &mut studies {
        study.parts.retain(|part| part.name == only);
    }
    studies.retain(|study| !study.parts.is_empty());
    if studies.is_empty() {
        let hint =
            slip(only, parts.iter().map(String::as_str)).map_or_else(String::new, |name| format!(", perhaps {name}"));
        let expected = format!("one of {}{hint}", parts.join(", "));
        return Err(ConfigError::new("only", "a part of the study", expected, only));
    }
    Ok(studies)
}

#[cfg(test)]
mod tests;
