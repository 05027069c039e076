//! The files that a configuration names beside its data: layers and first weights. What they hold is part of what a run is.

use super::TrainError;
use super::config::{Config, ConfigError};
use crate::checkpoint::file_sha256;
use std::collections::BTreeMap;

/// `config` with the SHA-256 of the files that it names.
///
/// # Errors
/// [`TrainError::Checkpoint`] if one cannot be read, [`TrainError::Config`] if it is not the one that `config` knows by that name.
pub(super) fn pinned(config: Config) -> Result<Config, TrainError> {
    let mut sources = BTreeMap::new();
    for (key, path) in [("model", config.model.file()), ("init", config.init.as_deref())] {
        let Some(path) = path else { continue };
        let found = file_sha256(path)?;
        let name = path.display().to_string();
        if let Some(expected) = config.sources.get(&name).filter(|expected| **expected != found) {
            let rule = "the file is the one that the configuration was made with, by SHA-256";
            return Err(ConfigError::new(format!("{key} {name}"), rule, expected, found).into());
        }
        sources.insert(name, found);
    }
    Ok(Config { sources, ..config })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::ModelSpec;

    #[test]
    fn files_are_known_again_and_others_of_their_name_refused() {
        let temp = tempfile::tempdir().unwrap();
        let (layers, weights) = (temp.path().join("net.toml"), temp.path().join("w.safetensors"));
        std::fs::write(&layers, "a").unwrap();
        std::fs::write(&weights, "b").unwrap();
        let config =
            Config { model: ModelSpec::File(layers.clone()), init: Some(weights.clone()), ..Config::default() };
        let once = pinned(config.clone()).unwrap();
        assert_eq!(once.sources.len(), 2);
        assert_eq!(pinned(once.clone()).unwrap(), once);
        assert!(pinned(Config::default()).unwrap().sources.is_empty());
        std::fs::write(&layers, "c").unwrap();
        let said = pinned(once.clone()).unwrap_err().to_string();
        assert!(said.contains("net.toml") && said.contains("SHA-256"), "{said}");
        assert!(pinned(config).is_ok());
        // Another file is another question.
        assert_eq!(pinned(Config { model: ModelSpec::Linear, ..once.clone() }).unwrap().sources.len(), 1);
        std::fs::remove_file(&weights).unwrap();
        std::fs::write(&layers, "a").unwrap();
        assert!(matches!(pinned(once), Err(TrainError::Checkpoint(_))));
    }
}
