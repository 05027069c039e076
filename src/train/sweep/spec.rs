//! The file of a sweep: what its runs have in common, what varies, and the runs that follow from it.
//!
//! ```toml
//! [base]            # keys of config.toml that every run has
//! model = "mlp:100"
//! split = 10000
//! [[run]]           # a run that sets some keys for itself
//! name = "narrow"
//! model = "mlp:32"
//! [[run]]           # and another
//! name = "wide"
//! [grid]            # each of them with every combination of these values
//! lr = [0.01, 0.001]
//! batch = [16, 64]
//! [random]          # each of them with each of 20 draws
//! runs = 20
//! seed = 1          # of the draws, 1 if left out
//! l2 = { min = 1e-6, max = 1e-3, scale = "log" }
//! warmup = { min = 0, max = 500 }
//! activation = { choose = ["relu", "tanh"] }
//! [prune]           # stop what falls behind
//! after = 3         # not before 3 epochs
//! min_runs = 4      # nor before 4 runs can be compared with, 4 if left out
//! ```
//! Runs are numbered from 1. Those that are listed vary slowest, then keys in the order of the file: the first key of the grid, its last
//! faster, the draws fastest. So the 20 runs of the first grid point come first, and each grid point has the same 20 draws. Where runs
//! have names, tables show these instead of what they set.
//!
//! A draw depends on the seed, its number and its key alone: more runs, or another key, leave the others as they were.

use super::fields::field_names;
use crate::data::ValSize;
use crate::data::random::Random;
use crate::nearest::nearest;
use crate::train::config::{Config, ConfigError};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use toml::{Spanned, Table, Value};

/// Most runs of a sweep: beyond any patience, below any overflow.
pub const MAX_RUNS: usize = 100_000;
/// The parts of a file.
const SECTIONS: [&str; 5] = ["base", "run", "grid", "random", "prune"];
/// What tables call a listed run.
const NAME: &str = "name";
/// What [`Prune`] asks of every run.
pub(super) const PRUNED_BY: &str = "runs are pruned by their validation loss";
/// Runs that one is compared with at the least, unless the file says otherwise: the median of fewer says little.
const MIN_RUNS: usize = 4;
/// Digits that a drawn number keeps: enough for any search, and the same on machines whose logarithms differ in the last bit.
const DIGITS: usize = 6;

/// A sweep: its runs, in order, and when they stop early.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    /// The file, for messages.
    pub place: PathBuf,
    /// The text of the file.
    pub text: String,
    /// The keys of the grid with their values, in order.
    pub grid: Vec<(String, Vec<Value>)>,
    /// All keys that vary: those of the listed runs first, then those of the grid.
    pub keys: Vec<String>,
    /// What tables show of them: names in place of what listed runs set.
    pub columns: Vec<String>,
    /// Every run; the first has number 1.
    pub runs: Vec<Planned>,
    /// When runs that fall behind stop.
    pub prune: Option<Prune>,
}

/// One run of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// Its number, from 1.
    pub number: usize,
    /// What distinguishes it: its name if it has one, what it sets for itself, and the rest in the order of [`Sweep::keys`].
    pub settings: Vec<(String, Value)>,
    /// How many of them its name stands for, itself included; 0 without one.
    pub named: usize,
    /// All that decides it.
    pub config: Config,
}

impl Planned {
    /// The name of its directory: `run-0001`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("run-{:04}", self.number)
    }

    /// What distinguishes it, for a person: `lr 0.01, batch 16`, or `wide, seed 2` if it is called so.
    #[must_use]
    pub fn label(&self) -> String {
        let name = self.settings.iter().take(self.named.min(1)).map(|(_, name)| plain(name));
        let setting = |(key, value): &(String, Value)| format!("{key} {}", plain(value));
        name.chain(self.settings[self.named..].iter().map(setting)).collect::<Vec<_>>().join(", ")
    }
}

/// When a run that is above the median of those before it stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prune {
    /// Epochs that every run may make.
    pub after: u32,
    /// Runs that must be there to compare with.
    pub min_runs: usize,
}

impl fmt::Display for Prune {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "after = {}, min_runs = {}", self.after, self.min_runs)
    }
}

/// A value without the quotes of a string.
#[must_use]
pub fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Float(number) => format!("{number:?}"), // 1e-5 and not 0.00001
        other => other.to_string(),
    }
}

/// A table of TOML in the order of the file.
#[derive(Debug, Default)]
struct Section(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Section {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut entries: Vec<_> = BTreeMap::<Spanned<String>, Value>::deserialize(from)?.into_iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        Ok(Self(entries.into_iter().map(|(key, value)| (key.into_inner(), value)).collect()))
    }
}

#[derive(Deserialize)]
struct Sections {
    #[serde(default)]
    base: Section,
    #[serde(default)]
    run: Vec<Section>,
    #[serde(default)]
    grid: Section,
    random: Option<Section>,
    prune: Option<Section>,
}

impl Sweep {
    /// Reads TOML and expands it to runs, each of them [validated](Config::validate); `place` (a file's name) is for errors.
    ///
    /// # Errors
    /// [`ConfigError`] for anything but TOML with known keys and valid values: it names the part of the file, or the run, and the
    /// key; for an unknown key also the known one that is spelled most alike.
    pub fn parse(place: &Path, text: &str) -> Result<Self, ConfigError> {
        Self::parse_here(place, text).map_err(|error| error.at(place))
    }

    fn parse_here(place: &Path, text: &str) -> Result<Self, ConfigError> {
        let not_toml = |error: toml::de::Error| {
            let found = error.to_string().trim_end().to_owned();
            ConfigError::new(
                "the file",
                "a sweep is TOML",
                "the tables [base], [[run]], [grid], [random], [prune]",
                found,
            )
        };
        let table: Table = toml::from_str(text).map_err(not_toml)?;
        for (key, value) in &table {
            known(key, &SECTIONS, "")?;
            let list = value.as_array().filter(|_| key == "run").map(|list| list.iter().all(Value::is_table));
            if !list.unwrap_or(key != "run" && value.is_table()) {
                let expected = if key == "run" { "[[run]]".to_owned() } else { format!("[{key}]") };
                return Err(ConfigError::new(key, "a part of the file is a table", expected, value));
            }
        }
        let sections: Sections = toml::from_str(text).map_err(not_toml)?;
        let base = read_base(sections.base)?;
        let listed = read_runs(sections.run)?;
        let grid = read_grid(sections.grid)?;
        let random = sections.random.map(Draws::read).transpose()?;
        let prune = sections.prune.map(read_prune).transpose()?;
        if listed.is_empty() && grid.is_empty() && random.is_none() {
            let expected = "a table [grid] or [random] with the keys that vary, or tables [[run]]";
            return Err(ConfigError::new("the file", "a sweep varies something", expected, "neither"));
        }
        let drawn = random.iter().flat_map(|random| random.ranges.iter().map(|(key, _)| key));
        let keys: Vec<String> = grid.iter().map(|(key, _)| key).chain(drawn).cloned().collect();
        for (i, key) in keys.iter().enumerate() {
            let rule = "a key is set in one place";
            if keys[..i].contains(key) {
                return Err(ConfigError::new(key, rule, "[grid] or [random]", "both"));
            }
            if base.contains_key(key) {
                return Err(ConfigError::new(key, rule, "[base], or one of [grid] and [random]", "both"));
            }
        }
        let mut listed_keys: Vec<String> = Vec::new();
        for (key, _) in listed.iter().flatten() {
            if keys.contains(key) {
                let rule = "a key is set in one place";
                return Err(ConfigError::new(key, rule, "[[run]], or one of [grid] and [random]", "both"));
            }
            if !listed_keys.contains(key) {
                listed_keys.push(key.clone());
            }
        }
        let named = listed_keys.first().is_some_and(|key| key == NAME);
        let shown = if named { &listed_keys[..1] } else { &listed_keys[..] };
        let columns = shown.iter().chain(&keys).cloned().collect();
        let keys = listed_keys.iter().chain(&keys).cloned().collect();
        let runs = expand(&base, &listed, &grid, random.as_ref())?;
        let sweep = Self { place: place.to_owned(), text: text.to_owned(), grid, keys, columns, runs, prune };
        sweep.validate()?;
        Ok(sweep)
    }

    fn validate(&self) -> Result<(), ConfigError> {
        for run in &self.runs {
            run.config.validate().map_err(|error| error.in_file().in_run(run))?;
            if self.prune.is_some() && !run.config.split.is_some_and(ValSize::is_some) {
                return Err(ConfigError::new("split", PRUNED_BY, "a split above 0 in every run", "none").in_run(run));
            }
        }
        let epochs = self.runs.iter().map(|run| run.config.epochs).max().unwrap_or(0);
        if let Some(prune) = self.prune
            && prune.after >= epochs
        {
            let rule = "runs are pruned before their last epoch";
            return Err(ConfigError::new("[prune] after", rule, format!("fewer than {epochs} epochs"), prune.after));
        }
        Ok(())
    }
}

impl ConfigError {
    /// The same, of the run `run`.
    #[must_use]
    pub(super) fn in_run(self, run: &Planned) -> Self {
        Self { key: format!("run {} ({}): {}", run.number, run.label(), self.key), ..self }
    }
}

/// Refuses a key that is none of `names`; `part` is where it stands: "[grid] ".
fn known(key: &str, names: &[&str], part: &str) -> Result<(), ConfigError> {
    if names.contains(&key) {
        return Ok(());
    }
    let expected = nearest(key, names.iter().copied()).map_or_else(String::new, |name| format!("perhaps `{name}`"));
    Err(ConfigError::new(format!("{part}{key}"), "a known key", expected, format!("`{key}`")))
}

/// Refuses a value that the key cannot have, whatever the others are.
fn of_its_type(key: &str, value: &Value, part: &str) -> Result<(), ConfigError> {
    let alone = Table::from_iter([(key.to_owned(), value.clone())]);
    alone.try_into::<Config>().map(drop).map_err(|error| {
        let expected = error.message().to_owned();
        ConfigError::new(format!("{part}{key}"), "a value that the key can have", expected, value)
    })
}

/// Refuses keys that cannot vary.
fn may_vary(key: &str, part: &str) -> Result<(), ConfigError> {
    known(key, field_names::<Config>(), part)?;
    if key == "threads" {
        let rule = "what varies changes results, and threads change none";
        return Err(ConfigError::new(
            format!("{part}{key}"),
            rule,
            "[base] threads, or --threads",
            "a key that varies",
        ));
    }
    Ok(())
}

fn read_base(section: Section) -> Result<Table, ConfigError> {
    for (key, value) in &section.0 {
        known(key, field_names::<Config>(), "[base] ")?;
        of_its_type(key, value, "[base] ")?;
    }
    Ok(section.0.into_iter().collect())
}

/// What each listed run sets, its name first if it has one.
fn read_runs(sections: Vec<Section>) -> Result<Vec<Vec<(String, Value)>>, ConfigError> {
    let mut runs: Vec<Vec<(String, Value)>> = Vec::new();
    for (i, Section(mut entries)) in sections.into_iter().enumerate() {
        let part = format!("[[run]] {}: ", i + 1);
        let refuse =
            |rule, expected: &str, found: String| Err(ConfigError::new(format!("{part}name"), rule, expected, found));
        for (key, value) in &entries {
            if key != NAME {
                may_vary(key, &part)?;
                of_its_type(key, value, &part)?;
            } else if value.as_str().is_none_or(|name| name.trim().is_empty()) {
                return refuse("a name is a text", "for example name = \"wide\"", value.to_string());
            }
        }
        entries.sort_by_key(|(key, _)| key != NAME); // stable: the others stay in order
        let name = |run: &[(String, Value)]| run.first().filter(|(key, _)| key == NAME).map(|(_, name)| name.clone());
        if let Some(first) = runs.first()
            && name(first).is_some() != name(&entries).is_some()
        {
            return refuse("names are for all runs or for none", "one for each [[run]]", "some without".to_owned());
        }
        if let Some(twice) = name(&entries).filter(|_| runs.iter().any(|run| name(run) == name(&entries))) {
            return refuse("a name stands for one run", "another", twice.to_string());
        }
        let own = |run: &[(String, Value)]| run.iter().filter(|(key, _)| key != NAME).cloned().collect::<Table>();
        if let Some(other) = runs.iter().position(|run| own(run) == own(&entries)) {
            let found = format!("the settings of [[run]] {}", other + 1);
            return Err(ConfigError::new(part.trim_end_matches(": "), "each run stands once", "others", found));
        }
        runs.push(entries);
    }
    Ok(runs)
}

fn read_grid(section: Section) -> Result<Vec<(String, Vec<Value>)>, ConfigError> {
    let mut grid = Vec::new();
    for (key, value) in section.0 {
        let part = "[grid] ";
        may_vary(&key, part)?;
        let values = list(&format!("{part}{key}"), value)?;
        for (i, value) in values.iter().enumerate() {
            of_its_type(&key, value, part)?;
            if values[..i].contains(value) {
                return Err(ConfigError::new(format!("{part}{key}"), "each value stands once", "other values", value));
            }
        }
        grid.push((key, values));
    }
    Ok(grid)
}

/// A list with something in it.
fn list(key: &str, value: Value) -> Result<Vec<Value>, ConfigError> {
    let refuse = |found: &str| ConfigError::new(key, "a list of values", "at least one, as [0.01, 0.001]", found);
    match value {
        Value::Array(values) if values.is_empty() => Err(refuse("an empty list")),
        Value::Array(values) => Ok(values),
        other => Err(refuse(&other.to_string())),
    }
}

/// A whole number of at least `min`.
fn count(key: &str, value: &Value, min: i64) -> Result<i64, ConfigError> {
    let number = value.as_integer().filter(|&number| number >= min);
    number.ok_or_else(|| ConfigError::new(key, "a whole number", format!("{min} or more"), value))
}

fn read_prune(section: Section) -> Result<Prune, ConfigError> {
    let (mut after, mut min_runs) = (None, MIN_RUNS);
    for (key, value) in &section.0 {
        known(key, &["after", "min_runs"], "[prune] ")?;
        let number = count(&format!("[prune] {key}"), value, 1)?;
        match key.as_str() {
            "after" => after = Some(u32::try_from(number).unwrap_or(u32::MAX)),
            _ => min_runs = usize::try_from(number).unwrap_or(usize::MAX),
        }
    }
    let missing =
        || ConfigError::new("[prune] after", "epochs before runs are compared", "for example after = 3", "none");
    Ok(Prune { after: after.ok_or_else(missing)?, min_runs })
}

/// The draws of a random search.
#[derive(Clone, Debug)]
struct Draws {
    runs: usize,
    seed: u64,
    ranges: Vec<(String, Range)>,
}

/// What a key is drawn from.
#[derive(Clone, Debug)]
enum Range {
    /// One of these.
    Choose(Vec<Value>),
    /// A whole number from the first to the second.
    Whole { min: i64, max: i64, log: bool },
    /// A number from the first to the second.
    Real { min: f64, max: f64, log: bool },
}

impl Draws {
    fn read(section: Section) -> Result<Self, ConfigError> {
        let (mut runs, mut seed, mut ranges) = (None, 1, Vec::new());
        let part = "[random] ";
        let names: Vec<&str> = ["runs"].iter().chain(field_names::<Config>()).copied().collect();
        for (key, value) in section.0 {
            known(&key, &names, part)?;
            let place = format!("{part}{key}");
            match key.as_str() {
                "runs" => runs = Some(usize::try_from(count(&place, &value, 1)?).unwrap_or(usize::MAX)),
                "seed" if value.is_table() => {
                    let rule = "this seed is that of the draws";
                    return Err(ConfigError::new(place, rule, "a whole number; seeds of runs go into [grid]", value));
                }
                "seed" => seed = count(&place, &value, 0)?.unsigned_abs(),
                _ => {
                    may_vary(&key, part)?;
                    let range = Range::read(&key, value)?;
                    ranges.push((key, range));
                }
            }
        }
        let missing = |key, expected| ConfigError::new(key, "a random search says what it draws", expected, "none");
        let runs = runs.ok_or_else(|| missing("[random] runs", "for example runs = 20"))?;
        if ranges.is_empty() {
            return Err(missing("[random]", "a key with a range, as lr = { min = 1e-4, max = 1e-2, scale = \"log\" }"));
        }
        Ok(Self { runs, seed, ranges })
    }

    /// The settings of draw number `draw`, from 0.
    fn draw(&self, draw: usize) -> impl Iterator<Item = (String, Value)> {
        let one = move |(key, range): &(String, Range)| {
            let mut random = Random::new(self.seed, &format!("sweep {key}"), draw as u64);
            (key.clone(), range.draw(&mut random))
        };
        self.ranges.iter().map(one)
    }
}

impl Range {
    fn read(key: &str, value: Value) -> Result<Self, ConfigError> {
        let part = "[random] ";
        let place = format!("{part}{key}");
        let Value::Table(mut table) = value else {
            let expected = "{ min = .., max = .., scale = \"log\" } or { choose = [..] }";
            return Err(ConfigError::new(place, "a range", expected, value));
        };
        for name in table.keys() {
            known(name, &["min", "max", "scale", "choose"], &format!("{place}: "))?;
        }
        if let Some(values) = table.remove("choose") {
            if let Some((other, _)) = table.iter().next() {
                return Err(ConfigError::new(place, "a range is one of two", "choose alone", format!("`{other}` too")));
            }
            let values = list(&place, values)?;
            values.iter().try_for_each(|value| of_its_type(key, value, part))?;
            return Ok(Self::Choose(values));
        }
        let log = match table.get("scale").map(|scale| (scale, scale.as_str())) {
            None | Some((_, Some("linear"))) => false,
            Some((_, Some("log"))) => true,
            Some((other, _)) => {
                return Err(ConfigError::new(format!("{place}: scale"), "a known scale", "linear or log", other));
            }
        };
        let end = |name: &str| {
            let missing = || ConfigError::new(format!("{place}: {name}"), "a range has two ends", "a number", "none");
            let value = table.get(name).ok_or_else(missing)?;
            of_its_type(key, value, part)?;
            Ok(value)
        };
        let (min, max) = (end("min")?, end("max")?);
        let range = match (min.as_integer(), max.as_integer()) {
            (Some(min), Some(max)) => Self::Whole { min, max, log },
            _ => {
                let number = |value: &Value| value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64));
                let finite = |name: &str, value: &Value| {
                    let refuse =
                        || ConfigError::new(format!("{place}: {name}"), "an end of a range", "a finite number", value);
                    number(value).filter(|number| number.is_finite()).ok_or_else(refuse)
                };
                Self::Real { min: finite("min", min)?, max: finite("max", max)?, log }
            }
        };
        let (low, high, few) = match range {
            Self::Whole { min, max, .. } => (min as f64, max as f64, max.saturating_sub(min) < i64::from(u32::MAX)),
            Self::Real { min, max, .. } => (min, max, true),
            Self::Choose(_) => (0.0, 0.0, true),
        };
        let refuse = |rule, expected: String| Err(ConfigError::new(&place, rule, expected, format!("{min} to {max}")));
        if low > high {
            return refuse("min is at most max", "the smaller number as min".to_owned());
        }
        if log && low <= 0.0 {
            return refuse("a logarithmic range lies above 0", "min above 0, or scale = \"linear\"".to_owned());
        }
        if !few || !(high - low).is_finite() {
            return refuse("a range is not too wide to draw from", format!("at most {} whole numbers", u32::MAX));
        }
        Ok(range)
    }

    fn draw(&self, random: &mut Random) -> Value {
        let between = |min: f64, max: f64, log: bool, unit: f64| {
            if log { (min.ln() + unit * (max.ln() - min.ln())).exp() } else { min + unit * (max - min) }
        };
        match *self {
            Self::Choose(ref values) => values[random.below(values.len() as u32) as usize].clone(),
            Self::Whole { min, max, log: false } => {
                Value::Integer(min + i64::from(random.below((max - min) as u32 + 1))) // the range is checked
            }
            Self::Whole { min, max, log: true } => {
                // Each whole number stands for the stretch up to the next.
                let drawn = between(min as f64, max as f64 + 1.0, true, f64::from(random.unit()));
                Value::Integer((drawn.floor() as i64).clamp(min, max))
            }
            Self::Real { min, max, log } => {
                let drawn = between(min, max, log, f64::from(random.unit()));
                let rounded = format!("{drawn:.*e}", DIGITS - 1).parse().unwrap_or(drawn);
                Value::Float(rounded.clamp(min, max))
            }
        }
    }
}

/// Every combination, in the documented order.
fn expand(
    base: &Table,
    listed: &[Vec<(String, Value)>],
    grid: &[(String, Vec<Value>)],
    random: Option<&Draws>,
) -> Result<Vec<Planned>, ConfigError> {
    let draws = random.map_or(1, |random| random.runs);
    let product = grid.iter().try_fold(draws, |product, (_, values)| product.checked_mul(values.len()));
    let product = product.and_then(|product| product.checked_mul(listed.len().max(1)));
    let Some(total) = product.filter(|&total| total <= MAX_RUNS) else {
        let found = product.map_or_else(|| "more than can be counted".to_owned(), |total| total.to_string());
        return Err(ConfigError::new("the file", "a sweep is not endless", format!("at most {MAX_RUNS} runs"), found));
    };
    let mut runs = Vec::with_capacity(total);
    for index in 0..total {
        let mut point = index / draws;
        let mut settings: Vec<(String, Value)> = Vec::new();
        for (key, values) in grid.iter().rev() {
            settings.push((key.clone(), values[point % values.len()].clone()));
            point /= values.len();
        }
        let own = listed.get(point).map_or(&[][..], Vec::as_slice);
        settings.extend(own.iter().rev().cloned());
        settings.reverse();
        settings.extend(random.into_iter().flat_map(|random| random.draw(index % draws)));
        let named = if own.first().is_some_and(|(key, _)| key == NAME) { own.len() } else { 0 };
        let set = settings.iter().filter(|(key, _)| key != NAME).cloned();
        let table: Table = base.clone().into_iter().chain(set).collect();
        let config = table.try_into::<Config>().map_err(|error| {
            let place = format!("run {}", index + 1);
            ConfigError::new(place, "a configuration", "values of their types", error.message())
        })?;
        runs.push(Planned { number: index + 1, settings, named, config });
    }
    Ok(runs)
}

#[cfg(test)]
mod tests;
