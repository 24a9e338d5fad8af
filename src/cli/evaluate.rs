//! `replyguard evaluate`: how good a model, or the recipe, is on labelled examples.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::corpus::{read_outcomes, read_training_set};
use super::files::write_whole;
use super::{Failure, load_model, progress};
use crate::classifier::{
    BudgetTable, Confusion, Evaluation, Measures, Outcome, Recipe, Stage, html_report,
};
use crate::domain::{Budget, LogOdds};

/// What to measure.
#[derive(Args)]
pub struct EvaluateArgs {
    /// The model [default: the bundled one]
    #[arg(long, value_name = "FILE", conflicts_with = "leave_one_source_out")]
    model: Option<PathBuf>,
    /// Files of labelled examples, as for `train`
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    data: Vec<PathBuf>,
    /// Score each source by a model trained on all others: what to expect on a new site. Takes
    /// one training a source
    #[arg(long)]
    leave_one_source_out: bool,
    /// The seed of these trainings
    #[arg(long, default_value_t = 1, requires = "leave_one_source_out")]
    seed: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Also write `report.html` with curves into this folder
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
}

impl EvaluateArgs {
    /// Measures and prints.
    ///
    /// # Errors
    /// Exit code 65 for a bad file; 64 for a model that cannot be used.
    pub fn run(self) -> Result<(), Failure> {
        let (title, version, outcomes, [hold, reject]) =
            if self.leave_one_source_out { self.leave_one_source_out()? } else { self.score()? };
        let evaluation = Evaluation::new(version, &outcomes, hold, reject);
        if let Some(folder) = &self.report {
            let page = html_report(title, &evaluation, &outcomes);
            std::fs::create_dir_all(folder).map_err(anyhow::Error::from)?;
            write_whole(&folder.join("report.html"), page.as_bytes())?;
        }
        let text = if self.json {
            serde_json::to_string_pretty(&evaluation).map_err(anyhow::Error::from)? + "\n"
        } else {
            table(&evaluation)
        };
        std::io::stdout().write_all(text.as_bytes()).map_err(anyhow::Error::from)?;
        Ok(())
    }

    fn score(&self) -> Result<Measured, Failure> {
        let model = load_model(self.model.as_deref())?;
        let bar = progress::bytes_bar(&self.data, "scoring");
        let outcomes = read_outcomes(&self.data, &model, &|bytes| bar.inc(bytes))?;
        bar.finish_and_clear();
        let thresholds = thresholds(model.spam().budget());
        Ok(("Evaluation", model.version().to_owned(), outcomes, thresholds))
    }

    fn leave_one_source_out(&self) -> Result<Measured, Failure> {
        let bar = progress::bytes_bar(&self.data, "reading");
        let set = read_training_set(&self.data, |_| false, &|bytes| bar.inc(bytes))?;
        bar.finish_and_clear();
        let bar = progress::bar(1, "training", "{msg:>12} {wide_bar} {pos}/{len} folds {elapsed}");
        let recipe = Recipe { seed: self.seed, ..Recipe::default() };
        let (scores, _, budget) = recipe.judge(&set, &|stage| {
            if let Stage::Folds { done, total } = stage {
                bar.set_length(total as u64);
                bar.set_position(done as u64);
            }
        })?;
        bar.finish_and_clear();
        let mut outcomes: BTreeMap<String, Vec<Outcome>> = BTreeMap::new();
        for score in &scores {
            let raw_score = LogOdds::from_f64(score.raw_score);
            let outcome = Outcome { spam: score.spam, raw_score };
            outcomes.entry(set.sources()[score.source].clone()).or_default().push(outcome);
        }
        Ok(("Leave one source out", "one a source".to_owned(), outcomes, thresholds(&budget)))
    }
}

/// Title, model version, outcomes by source, and the thresholds to hold and to reject.
type Measured = (&'static str, String, BTreeMap<String, Vec<Outcome>>, [LogOdds; 2]);

/// The thresholds of the default budget.
fn thresholds(budget: &BudgetTable) -> [LogOdds; 2] {
    let sites = Budget::default();
    let hold = budget.threshold(sites.hold_one_in);
    [hold, budget.threshold(sites.reject_one_in).max(hold)]
}

fn table(evaluation: &Evaluation) -> String {
    let mut text = format!(
        "model {}\nhold from {:.5}, reject from {:.5}\n\n{:24} {:>7} {:>7} {:>6} {:>7} {:>7} {:>6} \
         {:>7} {:>7} {:>7} {:>7}\n",
        evaluation.model_version,
        evaluation.pooled.hold.threshold,
        evaluation.pooled.reject.threshold,
        "source",
        "ham",
        "spam",
        "auc",
        "r@1%",
        "r@0.1%",
        "ece",
        "held",
        "caught",
        "reject",
        "caught"
    );
    for (source, measures) in &evaluation.sources {
        text += &row(source, measures);
    }
    text += &row("all together", &evaluation.pooled);
    text += &format!(
        "{:24} {:>7} {:>7} {} {}\n\n",
        "mean of sources",
        "",
        "",
        decimal(evaluation.mean_auc),
        percent(evaluation.mean_recall_at_1_percent),
    );
    let pooled = &evaluation.pooled;
    for (name, at) in [("even", &pooled.even), ("hold", &pooled.hold), ("reject", &pooled.reject)] {
        text += &confusion(name, at);
    }
    text
}

fn row(name: &str, measures: &Measures) -> String {
    format!(
        "{name:24} {:>7} {:>7} {} {} {} {} {} {} {} {}\n",
        measures.ham_count,
        measures.spam_count,
        decimal(measures.auc),
        percent(measures.recall_at_1_percent),
        percent(measures.recall_at_0_1_percent),
        decimal(measures.calibration_error),
        percent(measures.hold.false_positive_rate),
        percent(measures.hold.recall),
        percent(measures.reject.false_positive_rate),
        percent(measures.reject.recall),
    )
}

fn confusion(name: &str, at: &Confusion) -> String {
    format!(
        "at {name:7} {:.5}: {} spam caught, {} missed, {} ham passed, {} flagged; precision {}, \
         recall {}, F1 {}\n",
        at.threshold,
        at.true_positive_count,
        at.false_negative_count,
        at.true_negative_count,
        at.false_positive_count,
        decimal(at.precision).trim(),
        decimal(at.recall).trim(),
        decimal(at.f1).trim(),
    )
}

fn decimal(figure: Option<f64>) -> String {
    figure.map_or_else(|| format!("{:>6}", "-"), |figure| format!("{figure:>6.3}"))
}

fn percent(figure: Option<f64>) -> String {
    figure.map_or_else(|| format!("{:>7}", "-"), |figure| format!("{:>6.2}%", figure * 100.0))
}
