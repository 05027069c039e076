//! From the results of studies to what people look at: one page of HTML that needs nothing else, the same as Markdown with its pictures
//! beside it, and `results.json`, which holds all of it for machines and for this room itself.
//!
//! In come [`PartResult`]s, out go files; nothing is trained and no data set is read here, so that a page can be made anew from
//! `results.json` alone. Plots are drawn by `plotters`, HTML is escaped by `maud`.

mod canvas;
mod compare;
mod dots;
mod figures;
mod html;
mod int8;
mod lines;
mod markdown;
mod picture;
mod shades;
mod words;

pub use compare::{Change, compare};
pub use figures::{Art, Drawn};
pub use words::verdict;

use crate::checkpoint::{CheckpointError, write_atomic};
use crate::study::{self, NAMES, PartResult, Study};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// What came out, for machines; for people; and the pictures of the latter.
pub const RESULTS: &str = "results.json";
/// The one page.
pub const PAGE: &str = "report.html";
const MARKDOWN: &str = "report.md";
const FIGURES: &str = "figures";

/// Why results cannot be read or shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// There are none.
    #[error("{}: the results of studies: expected what `inkstone study` wrote, found none", file.display())]
    None {
        /// Where they should be.
        file: PathBuf,
    },
    /// The file is something else, or cut short.
    #[error("{}: the results of studies: expected what `inkstone study` wrote, found {found}; the same `inkstone study` writes it anew from the runs beside it once this file is moved away", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        found: String,
    },
    /// The file cannot be read, or a directory not made.
    #[error("{}: cannot be read or made: {error}", file.display())]
    Io {
        /// Which.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file cannot be written.
    #[error(transparent)]
    Write(#[from] CheckpointError),
    /// A plot cannot be drawn.
    #[error("{0}")]
    Plot(Box<dyn std::error::Error + Send + Sync>),
}

/// A study with what came out of its parts.
#[derive(Debug)]
pub struct Chapter<'a> {
    /// The study.
    pub study: Study,
    /// In the order of the study; parts that were not trained are left out.
    pub results: Vec<&'a PartResult>,
    /// The pictures of each of those.
    pub figures: Vec<Vec<Drawn>>,
}

impl Chapter<'_> {
    /// Whether some of it was trained only in part.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.results.iter().any(|result| result.is_short())
    }
}

/// Reads what `dir` holds and judges it by today's rules; nothing if there is no such file.
///
/// # Errors
/// [`ReportError`] if it cannot be read or is no results.
pub fn read(dir: &Path) -> Result<Vec<PartResult>, ReportError> {
    let file = dir.join(RESULTS);
    let text = match std::fs::read_to_string(&file) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        text => text.map_err(|error| ReportError::Io { file: file.clone(), error })?,
    };
    let mut results: Vec<PartResult> = serde_json::from_str(&text)
        .map_err(|error| ReportError::Damaged { file: file.clone(), found: error.to_string() })?;
    if let Some((result, fault)) = results.iter().find_map(|result| Some((result, result.fault()?))) {
        let found = format!("{fault}, in {:?} of {:?}", result.part, result.study);
        return Err(ReportError::Damaged { file, found });
    }
    for result in &mut results {
        let study = study::study(&result.study).ok();
        if let Some(part) = study.as_ref().and_then(|study| study.part(&result.part)) {
            result.judge(part);
        }
    }
    Ok(results)
}

/// Every study, with what `results` hold of it and the pictures; of one that was not trained there is nothing.
///
/// # Errors
/// [`ReportError::Plot`] if one cannot be drawn.
pub fn chapters<'a>(results: &[&'a PartResult]) -> Result<Vec<Chapter<'a>>, ReportError> {
    let mut chapters = Vec::new();
    for name in NAMES {
        let Ok(study) = study::study(name) else { continue };
        let of_part =
            |part: &study::Part| results.iter().copied().find(|one| one.study == name && one.part == part.name);
        let parts: Vec<(&study::Part, &PartResult)> =
            study.parts.iter().filter_map(|part| Some((part, of_part(part)?))).collect();
        let figures = parts.iter().map(|(part, result)| figures::draw(part, result).map_err(ReportError::Plot));
        let figures = figures.collect::<Result<Vec<_>, _>>()?;
        let results = parts.into_iter().map(|(_, result)| result).collect();
        chapters.push(Chapter { study, results, figures });
    }
    Ok(chapters)
}

/// Writes the results, the page, and the Markdown with its pictures into `dir`.
///
/// # Errors
/// [`ReportError`] if a file cannot be written.
pub fn write(dir: &Path, results: &[PartResult]) -> Result<(), ReportError> {
    let json = |result: &PartResult| {
        let damaged =
            |error: serde_json::Error| ReportError::Damaged { file: dir.join(RESULTS), found: error.to_string() };
        serde_json::to_string(result).map_err(damaged)
    };
    // In the order of the studies, whatever was trained first.
    let place = |result: &&PartResult| {
        let at = NAMES.iter().position(|name| *name == result.study);
        let study = study::study(&result.study).ok();
        (at, study.and_then(|study| study.parts.iter().position(|part| part.name == result.part)))
    };
    let mut results: Vec<&PartResult> = results.iter().collect();
    results.sort_by_key(place);
    let lines = results.iter().copied().map(json).collect::<Result<Vec<String>, _>>()?;
    let make = |folder: &Path| {
        std::fs::create_dir_all(folder).map_err(|error| ReportError::Io { file: folder.to_owned(), error })
    };
    make(dir)?;
    write_atomic(&dir.join(RESULTS), format!("[\n{}\n]\n", lines.join(",\n")).as_bytes())?;
    let chapters = chapters(&results)?;
    write_atomic(&dir.join(PAGE), html::page(&chapters).as_bytes())?;
    let pictures = dir.join(FIGURES);
    make(&pictures)?;
    let drawn = || chapters.iter().flat_map(|chapter| &chapter.figures).flatten();
    let files: Vec<(String, Vec<u8>)> = drawn().flat_map(Drawn::files).collect();
    for (name, bytes) in &files {
        write_atomic(&pictures.join(name), bytes)?;
    }
    // Pictures of parts that are no more would be found by nobody but a person who wonders. Others are not ours.
    let io = |error| ReportError::Io { file: pictures.clone(), error };
    for entry in std::fs::read_dir(&pictures).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let of_study = NAMES.iter().any(|study| name.strip_prefix(study).is_some_and(|rest| rest.starts_with('-')));
        let ours = of_study && (name.ends_with(".svg") || name.ends_with(".png"));
        if ours && files.iter().all(|(known, _)| *known != name) {
            std::fs::remove_file(&path).map_err(io)?;
        }
    }
    write_atomic(&dir.join(MARKDOWN), markdown::page(&chapters, FIGURES).as_bytes())?;
    Ok(())
}

#[cfg(test)]
mod tests;
