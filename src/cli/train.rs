//! `replyguard train`: labelled examples to a model.
//!
//! The defaults are the recipe of the bundled model: the same data and seed give the same bytes.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use super::cancel::Cancel;
use super::corpus::{CorpusError, LeftOut, TrialPlan, check_sources, note_facts, read_views};
use super::files::{check_output, write_whole};
use super::output::say;
use super::sampling::Candidates;
use super::spill::{ENTRY_BYTES, RowTable, RowWriter};
use super::{Failure, progress};
use crate::classifier::{
    ABUSE_COUNT_MIN, Recipe, RecipeError, RowsError, Stage, TrainError, TrainingSet,
};
use crate::domain::{Budget, probability};
use crate::features::BUCKET_COUNT;

/// What to train on and where to put the model.
#[derive(Args)]
pub struct TrainArgs {
    /// Files of labelled examples, one JSON object a line: `text`, `label` (ham or spam), and
    /// where known `author`, `email`, `url`, `page_title`, `lang`, `source`, `group`
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    data: Vec<PathBuf>,
    /// Sources to leave out; there have to be examples of each
    #[arg(long, num_args = 1.., value_name = "SOURCE")]
    leave_out: Vec<String>,
    /// The seed of all shuffling
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Memory of the training table in MiB. Rows that outgrow it go to a temporary file in TMPDIR,
    /// with three bytes an entry instead of eight, and weights are fitted block by block: to every
    /// example, whatever their number. Besides, each example takes some 290 bytes
    #[arg(long, default_value_t = 2_048, value_name = "MIB",
          value_parser = clap::value_parser!(u64).range(1..=1 << 24))]
    memory_mib_max: u64,
    /// Examples that calibration and budget are measured on, about and at most: some thirty fits
    /// take place without one part of them each. The largest sources are cut first, and all have
    /// to fit into the memory. With less than a thousand `toxic` and a thousand `clean` ones among
    /// them the model tells no abuse
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
    /// Exit code 65 for a bad file or examples that allow no model, 64 for a source to leave out that
    /// there is not; nothing is written then.
    pub fn run(self) -> Result<(), Failure> {
        let name = model_name(&self.out)?;
        check_output(&self.out, &self.data)?;
        if let Some(path) = &self.export_features {
            check_output(path, &self.data)?;
        }
        let cancel = Cancel::watch()?;
        let (set, candidates) = self.read()?;
        if let Some(path) = &self.export_features {
            export(&set, path)?;
        }
        let recipe = Recipe { seed: self.seed, ..Recipe::default() };
        let bar = progress::bar(1, "training", "{msg:>12} {wide_bar} {pos}/{len} {elapsed}");
        let watch = |stage| {
            let (what, done, total) = match stage {
                Stage::Pass(pass) => (format!("pass {}", pass.pass), pass.block, pass.block_count),
                Stage::Folds { done, total } => ("folds".to_owned(), done, total),
            };
            bar.set_message(what);
            bar.set_length(total as u64);
            bar.set_position(done as u64);
        };
        let (example_count, abuse_counts) = (set.example_count(), set.abuse_counts());
        let fitted = recipe.fit_heads(&set, &watch).map_err(RecipeError::from)?;
        let sample = self.sample(set, &candidates)?;
        let trained = recipe.finish(&name, fitted, &sample, &watch)?;
        bar.finish_and_clear();
        let _whole = cancel.hold();
        write_whole(&self.out, &trained.model.to_bytes())?;
        if trained.model.abuse().is_none()
            && let Some(note) = without_abuse(abuse_counts, sample.abuse_counts())
        {
            eprintln!("replyguard: {note}");
        }
        let head = trained.model.spam();
        let budget = Budget::default();
        say!("{} from {example_count} examples", trained.model.version())?;
        for (what, one_in) in [("hold", budget.hold_one_in), ("reject", budget.reject_one_in)] {
            let threshold = probability(head.threshold(one_in));
            say!("{what} from {threshold:.5} on: at most 1 in {one_in} good comments")?;
        }
        Ok(())
    }
}

impl TrainArgs {
    /// Reads all examples, into memory or a temporary file.
    fn read(&self) -> Result<(TrainingSet<RowTable>, Candidates), Failure> {
        let left_out = LeftOut::new(&self.leave_out);
        let skip = |source: &str| left_out.skips(source);
        let bar = progress::bytes_bar(&self.data, "reading");
        let mut known = TrainingSet::over(());
        let mut rows = RowWriter::new(BUCKET_COUNT as usize, self.memory_bytes_max());
        let mut candidates = Candidates::new(self.seed);
        let (plan, progress) = (TrialPlan::default(), |bytes| bar.inc(bytes));
        let contradictions = read_views(&self.data, skip, &plan, &progress, |labelled, views| {
            for view in views {
                rows.push_row(view.vector.entries())?;
            }
            let entry_count = views.iter().map(|view| view.vector.bucket_count()).sum();
            candidates.push(labelled, entry_count);
            known.note(&labelled.source, labelled.label, labelled.example.group, views);
            note_facts(&mut known, &labelled.example);
            Ok(())
        })?;
        bar.finish_and_clear();
        let sources = known.sources().iter().chain(left_out.met());
        check_sources("--leave-out", &self.leave_out, sources)?;
        contradictions.warn();
        let table = rows.close().map_err(CorpusError::from)?;
        if let RowTable::Spilled(spill) = &table {
            eprintln!(
                "replyguard: the rows of {} examples outgrow {} MiB (--memory-mib-max); they are in \
                 a temporary file of {} MiB",
                known.example_count(),
                self.memory_mib_max,
                spill.byte_count() >> 20
            );
        }
        Ok((known.with_table(table), candidates))
    }

    /// The examples that calibration and budget are measured on, in memory.
    fn sample(
        &self,
        set: TrainingSet<RowTable>,
        candidates: &Candidates,
    ) -> Result<TrainingSet, Failure> {
        let entry_count_max = self.memory_bytes_max() / ENTRY_BYTES;
        let sample = candidates.sample(self.example_count_max, entry_count_max);
        let Some(cap) = sample.cell_count_max else {
            let (known, table) = set.replace_table(());
            return Ok(known.with_table(table.sample(|_| true, sample.entry_count)?));
        };
        let keeps = |example: u32| sample.keeps[example as usize];
        let of_rows: Vec<bool> = set.example_of_rows().map(keeps).collect();
        let known = set.known_of(keeps);
        eprintln!(
            "replyguard: calibration and budget go by {} of {} examples, at most {cap} of each \
             label in a source (--example-count-max, --memory-mib-max)",
            known.example_count(),
            set.example_count()
        );
        let (_, table) = set.replace_table(());
        Ok(known.with_table(table.sample(|row| of_rows[row], sample.entry_count)?))
    }

    fn memory_bytes_max(&self) -> usize {
        (self.memory_mib_max as usize) << 20
    }
}

/// Why a model has no head that tells abuse, by the numbers of `toxic` and `clean` examples, of all
/// and of those that it would be calibrated on; nothing if none is called so.
fn without_abuse(all: [usize; 2], sample: [usize; 2]) -> Option<String> {
    if all == [0, 0] {
        return None;
    }
    let missing = "the model has no head that tells abuse: it takes";
    let are_too_few = all.into_iter().any(|count| count < ABUSE_COUNT_MIN);
    let ([toxic, clean], of) = match are_too_few {
        true => (all, "there are"),
        false => (sample, "of those that calibration goes by there are"),
    };
    let more = if are_too_few { "" } else { "; raise --example-count-max or --memory-mib-max" };
    Some(format!(
        "{missing} {ABUSE_COUNT_MIN} examples labelled `toxic` and as many `clean`, and {of} {toxic} \
         and {clean}{more}"
    ))
}

/// The model's name: the file's, without its ending.
fn model_name(out: &Path) -> Result<String, Failure> {
    let name = out.file_stem().map(|name| name.to_string_lossy().into_owned());
    name.filter(|name| !name.is_empty())
        .ok_or_else(|| Failure::usage(format!("{} is no file name", out.display())))
}

/// Writes label, columns from 1 and values; weights of rows are in a comment.
fn export(set: &TrainingSet<RowTable>, path: &Path) -> Result<(), Failure> {
    let RowTable::Memory(table) = set.table() else {
        return Err(Failure::usage("--export-features needs a larger --memory-mib-max"));
    };
    let weights = set.weights(Recipe::default().source_power);
    let mut text = Vec::new();
    for row in 0..table.row_count() {
        let (columns, values) = table.row(row);
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
        match error {
            CorpusError::Spill(error) => Self::io(error.to_string()),
            error => Self::data(error.to_string()),
        }
    }
}

impl From<RecipeError> for Failure {
    fn from(error: RecipeError) -> Self {
        match error {
            RecipeError::Train(TrainError::Rows(error)) => error.into(),
            error => Self::data(error.to_string()),
        }
    }
}

impl From<RowsError> for Failure {
    fn from(error: RowsError) -> Self {
        Self::io(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It was fitted, and left out without a word.
    #[test]
    fn a_model_that_tells_no_abuse_says_why() {
        assert_eq!(without_abuse([0, 0], [0, 0]), None, "nobody asked for it");
        let few = without_abuse([1_200, 40], [1_200, 40]).unwrap();
        assert!(few.contains("there are 1200 and 40") && !few.contains("--example"), "{few}");
        let cut = without_abuse([4_000, 3_000], [600, 1_100]).unwrap();
        assert!(cut.contains("calibration goes by there are 600 and 1100"), "{cut}");
        assert!(cut.contains("--example-count-max"), "{cut}");
    }
}
