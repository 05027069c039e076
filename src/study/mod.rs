//! Five public reports on MNIST, run again: what they trained and what they published as data, what came out beside it.
//!
//! In comes the name of a report; its file says what it trains ([`spec`]), [`sweep`](crate::train::sweep) trains it, [`measure`] reads
//! figures off the runs, [`rule`] decides what the report claims, [`table`] shows both beside the published ones. A study holds no trainer
//! of its own.

pub mod measure;
pub mod rule;
pub mod spec;
pub mod table;

pub use measure::{Measure, Trained};
pub use spec::{Part, Study};
pub use table::{Finding, PartResult, Row};

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

/// The study of this name.
///
/// # Errors
/// [`ConfigError`](crate::train::ConfigError) for a name that is none; the files themselves are checked by the tests.
pub fn study(name: &str) -> Result<Study, crate::train::ConfigError> {
    let found = FILES.iter().find(|(known, _)| *known == name);
    let (name, text) = found.ok_or_else(|| {
        crate::train::ConfigError::new("study", "a known name", NAMES.join(", "), format!("{name:?}"))
    })?;
    Study::parse(name, text)
}

#[cfg(test)]
mod tests;
