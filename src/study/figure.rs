//! What a part shows as a picture, by the words of its file.

use super::measure::Measure;
use serde::Deserialize;

/// A picture of a part.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Figure {
    /// Figures against epochs, a line for each run and figure; those of training are dotted.
    Lines {
        /// What it shows.
        title: String,
        /// The figures: one, or those of training and of validation or test.
        plot: Vec<String>,
        /// Whose; every run's if there are none.
        #[serde(default)]
        runs: Vec<String>,
        /// Puts a circle at the lowest or highest of each line that is not dotted, and a vertical line at its epoch.
        mark: Option<Mark>,
        /// The lowest value shown, where a few early epochs would flatten the rest.
        from: Option<f64>,
        /// The highest, alike.
        to: Option<f64>,
    },
    /// How the images of each digit were read by one run.
    Confusion {
        /// What it shows.
        title: String,
        /// Whose.
        run: String,
    },
    /// The weights of linear models: a picture for each class, a row for each run.
    Weights {
        /// What it shows.
        title: String,
    },
    /// The test images of highest loss of one run.
    Hardest {
        /// What it shows.
        title: String,
        /// Whose.
        run: String,
    },
    /// Some training images, as they are and as the first epochs show them.
    Augmented {
        /// What it shows.
        title: String,
        /// By whose augmentation.
        run: String,
    },
    /// One figure of every run in the shades of a table, ours beside the published one: names are split at blanks into rows (all words but
    /// the last two) and columns.
    Heat {
        /// What it shows.
        title: String,
        /// The figure.
        measure: String,
    },
    /// One figure of every run, with its 95 % interval where it is an accuracy.
    Bars {
        /// What it shows.
        title: String,
        /// The figure.
        measure: String,
    },
    /// One figure of pairs of runs whose names differ in their last word.
    Pairs {
        /// What it shows.
        title: String,
        /// The figure.
        measure: String,
        /// The two last words.
        words: [String; 2],
    },
}

/// Which point of a line is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    /// The lowest.
    Lowest,
    /// The highest.
    Highest,
}

impl Figure {
    /// What it shows.
    #[must_use]
    pub fn title(&self) -> &str {
        match self {
            Self::Lines { title, .. }
            | Self::Confusion { title, .. }
            | Self::Weights { title }
            | Self::Hardest { title, .. }
            | Self::Augmented { title, .. }
            | Self::Heat { title, .. }
            | Self::Bars { title, .. }
            | Self::Pairs { title, .. } => title,
        }
    }

    /// The runs that it names.
    pub fn runs(&self) -> impl Iterator<Item = &str> {
        let (one, many): (Option<&String>, &[String]) = match self {
            Self::Lines { runs, .. } => (None, runs),
            Self::Confusion { run, .. } | Self::Hardest { run, .. } | Self::Augmented { run, .. } => (Some(run), &[]),
            Self::Weights { .. } | Self::Heat { .. } | Self::Bars { .. } | Self::Pairs { .. } => (None, &[]),
        };
        one.into_iter().chain(many).map(String::as_str)
    }

    /// The figures that it names.
    ///
    /// # Errors
    /// What is wrong with the first that is none.
    pub fn measures(&self) -> Result<Vec<Measure>, String> {
        match self {
            Self::Lines { plot, .. } => plot.iter().map(|name| name.parse()).collect(),
            Self::Heat { measure, .. } | Self::Bars { measure, .. } | Self::Pairs { measure, .. } => {
                Ok(vec![measure.parse()?])
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Loss and accuracy of a part that shows nothing else: of training, and of validation where there is one, else of the test set.
    #[must_use]
    pub fn usual(validates: bool) -> Vec<Self> {
        let other = if validates { "val" } else { "test" };
        ["loss", "accuracy"]
            .into_iter()
            .map(|what| Self::Lines {
                title: format!(
                    "{} by epoch: training dotted, {}",
                    capital(what),
                    if validates { "validation" } else { "test" }
                ),
                plot: vec![format!("train_{what}"), format!("{other}_{what}")],
                runs: Vec::new(),
                mark: None,
                from: None,
                to: None,
            })
            .collect()
    }
}

/// A word with a capital letter.
fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
