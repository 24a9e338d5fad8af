//! `replyguard train`: labelled examples to a model.
//!
//! The defaults are the recipe of the bundled model: the same data and seed give the same bytes.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use super::corpus::{CorpusError, TrialPlan, read_training_set};
use super::files::{check_writable, write_whole};
use super::output::say;
use super::sampling::Sampling;
use super::{Failure, progress};
use crate::classifier::{Recipe, RecipeError, Stage, TrainingSet};
use crate::domain::{Budget, probability};

/// What to train on and where to put the model.
#[derive(Args)]
pub struct TrainArgs {
    /// Files of labelled examples, one JSON object a line: `text`, `label` (ham or spam), and
    /// where known `author`, `email`, `url`, `page_title`, `lang`, `source`, `group`
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    data: Vec<PathBuf>,
    /// Sources to leave out
    #[arg(long, num_args = 1.., value_name = "SOURCE")]
    leave_out: Vec<String>,
    /// The seed of all shuffling
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Keep at most about so many examples, so that memory is bounded whatever the files: 250,000
    /// take some 4 GiB. The largest sources are cut first
    #[arg(long, default_value_t = 250_000, value_name = "COUNT")]
    example_count_max: usize,
    /// Where to write the model; its name is the model's
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Also write the training table in svmlight's format, for other tools
    #[arg(long, hide = true, value_name = "FILE")]
    export_features: Option<PathBuf>,
}

impl TrainArgs {
    /// Trains and writes the model.
    ///
    /// # Errors
    /// Exit code 65 for a bad file or examples that allow no model; nothing is written then.
    pub fn run(self) -> Result<(), Failure> {
        let name = model_name(&self.out)?;
        check_writable(&self.out)?;
        let set = self.read()?;
        if let Some(path) = &self.export_features {
            export(&set, path)?;
        }
        let recipe = Recipe { seed: self.seed, ..Recipe::default() };
        let bar = progress::bar(1, "training", "{msg:>12} {wide_bar} {pos}/{len} folds {elapsed}");
        let trained = recipe.train(&name, &set, &|stage| match stage {
            Stage::Pass(pass) => bar.set_message(format!("pass {}", pass.pass)),
            Stage::Folds { done, total } => {
                bar.set_length(total as u64);
                bar.set_message("folds");
                bar.set_position(done as u64);
            }
        })?;
        bar.finish_and_clear();
        write_whole(&self.out, &trained.model.to_bytes())?;
        let head = trained.model.spam();
        let budget = Budget::default();
        say!("{} from {} examples", trained.model.version(), set.example_count())?;
        for (what, one_in) in [("hold", budget.hold_one_in), ("reject", budget.reject_one_in)] {
            let threshold = probability(head.threshold(one_in));
            say!("{what} from {threshold:.5} on: at most 1 in {one_in} good comments")?;
        }
        Ok(())
    }
}

impl TrainArgs {
    /// Reads the examples, as many as there is memory for.
    fn read(&self) -> Result<TrainingSet, Failure> {
        let skip = |source: &str| self.leave_out.iter().any(|left_out| left_out == source);
        let bar = progress::bytes_bar(&self.data, "counting");
        let (max, seed) = (self.example_count_max, self.seed);
        let sampling = Sampling::plan(&self.data, skip, max, seed, &|bytes| bar.inc(bytes))?;
        bar.finish_and_clear();
        if let Some(cap) = sampling.cell_count_max {
            eprintln!(
                "replyguard: of {} examples about {max} are kept, at most {cap} of each label in \
                 a source (--example-count-max)",
                sampling.total_count
            );
        }
        let bar = progress::bytes_bar(&self.data, "reading");
        let (plan, kept) = (TrialPlan::default(), Some(&sampling));
        let set = read_training_set(&self.data, skip, &plan, kept, &|bytes| bar.inc(bytes))?;
        bar.finish_and_clear();
        Ok(set)
    }
}

/// The model's name: the file's, without its ending.
fn model_name(out: &Path) -> Result<String, Failure> {
    let name = out.file_stem().map(|name| name.to_string_lossy().into_owned());
    name.filter(|name| !name.is_empty())
        .ok_or_else(|| Failure::usage(format!("{} is no file name", out.display())))
}

/// Writes label, columns from 1 and values; weights of rows are in a comment.
fn export(set: &TrainingSet, path: &Path) -> Result<(), Failure> {
    let weights = set.weights(Recipe::default().source_power);
    let mut text = Vec::new();
    for row in 0..set.table().row_count() {
        let (columns, values) = set.table().row(row);
        let mut entries: Vec<(u32, f32)> =
            columns.iter().copied().zip(values.iter().copied()).collect();
        entries.sort_unstable_by_key(|(column, _)| *column);
        let label = if set.is_spam(row) { "+1" } else { "-1" };
        write!(text, "{label}").map_err(anyhow::Error::from)?;
        for (column, value) in entries {
            write!(text, " {}:{value}", column + 1).map_err(anyhow::Error::from)?;
        }
        writeln!(text, " # {}", weights[row]).map_err(anyhow::Error::from)?;
    }
    Ok(write_whole(path, &text)?)
}

impl From<CorpusError> for Failure {
    fn from(error: CorpusError) -> Self {
        Self::data(error.to_string())
    }
}

impl From<RecipeError> for Failure {
    fn from(error: RecipeError) -> Self {
        Self::data(error.to_string())
    }
}
