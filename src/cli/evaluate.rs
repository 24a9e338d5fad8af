//! `replyguard evaluate`: how good a model, or the recipe, is on labelled examples.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::corpus::{TrialPlan, read_abuse_outcomes, read_outcomes, read_training_set};
use super::files::write_whole;
use super::{Failure, learning_curve, load_model, progress};
use crate::classifier::{
    BudgetTable, Change, Confusion, Evaluation, FoldScore, Measures, Outcome, Perturbation, Recipe,
    Stage, Trial, TrialMeasures, Trials, html_report,
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
    /// Which question to judge: is it spam, or is it abuse (examples labelled `toxic` or `clean`)
    #[arg(long, value_enum, default_value_t = HeadName::Spam, conflicts_with = "perturb")]
    head: HeadName,
    /// Score each source by a model trained on all others: what to expect on a new site. Takes
    /// one training a source
    #[arg(long)]
    leave_one_source_out: bool,
    /// Leave each source out, let a site layer learn from its first comments, and judge by the
    /// rest: what labels gain on a new site
    #[arg(long, conflicts_with_all = ["leave_one_source_out", "model", "perturb", "report"])]
    learning_curve: bool,
    /// The seed of these trainings
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Also score disguised copies of examples, of these kinds [default: all]
    #[arg(long, num_args = 0.., value_name = "KIND", value_parser = perturbation)]
    perturb: Option<Vec<Perturbation>>,
    /// Disguise at most so many examples of each label in a source
    #[arg(long, default_value_t = 1_000, value_name = "COUNT", requires = "perturb")]
    perturb_at_most: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Also write `report.html` with curves into this folder
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
}

/// A question that a model answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum HeadName {
    /// Whether a comment is spam
    Spam,
    /// Whether a comment is abuse
    Abuse,
}

impl EvaluateArgs {
    /// Measures and prints.
    ///
    /// # Errors
    /// Exit code 65 for a bad file; 64 for a model that cannot be used.
    pub fn run(self) -> Result<(), Failure> {
        if self.learning_curve {
            return learning_curve::print(&self.data, self.seed, self.json);
        }
        let Measured { title, version, outcomes, trials, thresholds } =
            if self.leave_one_source_out { self.leave_one_source_out()? } else { self.score()? };
        let [hold, reject] = thresholds;
        let mut evaluation = Evaluation::new(version, &outcomes, hold, reject);
        evaluation.add_trials(&outcomes, &trials, hold, reject);
        if let Some(folder) = &self.report {
            let page = html_report(title, &evaluation, &outcomes);
            std::fs::create_dir_all(folder).map_err(anyhow::Error::from)?;
            write_whole(&folder.join("report.html"), page.as_bytes())?;
        }
        let text = if self.json {
            serde_json::to_string_pretty(&evaluation).map_err(anyhow::Error::from)? + "\n"
        } else {
            table(&evaluation) + &trial_table(&evaluation.trials)
        };
        std::io::stdout().write_all(text.as_bytes()).map_err(anyhow::Error::from)?;
        Ok(())
    }

    fn score(&self) -> Result<Measured, Failure> {
        let model = load_model(self.model.as_deref())?;
        let bar = progress::bytes_bar(&self.data, "scoring");
        if self.head == HeadName::Abuse {
            let head = model.abuse().ok_or_else(|| Failure::data("the model has no such head"))?;
            let outcomes = read_abuse_outcomes(&self.data, &model, &|bytes| bar.inc(bytes))?;
            bar.finish_and_clear();
            let (title, version) = ("Abuse", model.version().to_owned());
            let (trials, thresholds) = (Trials::new(), thresholds(head.budget()));
            return Ok(Measured { title, version, outcomes, trials, thresholds });
        }
        let (outcomes, trials) =
            read_outcomes(&self.data, &model, &self.plan(), &|bytes| bar.inc(bytes))?;
        bar.finish_and_clear();
        let thresholds = thresholds(model.spam().budget());
        let (title, version) = ("Evaluation", model.version().to_owned());
        Ok(Measured { title, version, outcomes, trials, thresholds })
    }

    /// Which examples are disguised.
    fn plan(&self) -> TrialPlan {
        let kinds = match &self.perturb {
            Some(kinds) if kinds.is_empty() => Perturbation::ALL.to_vec(),
            kinds => kinds.clone().unwrap_or_default(),
        };
        TrialPlan { kinds, per_cell_max: self.perturb_at_most }
    }

    fn leave_one_source_out(&self) -> Result<Measured, Failure> {
        let bar = progress::bytes_bar(&self.data, "reading");
        let set = read_training_set(&self.data, |_| false, &self.plan(), &|bytes| bar.inc(bytes))?;
        bar.finish_and_clear();
        let set = match self.head {
            HeadName::Spam => set,
            HeadName::Abuse => set
                .of_abuse()
                .ok_or_else(|| Failure::data("too few examples are labelled `toxic` or `clean`"))?,
        };
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
        let mut plain: BTreeMap<u32, Outcome> = BTreeMap::new();
        let raw_score = |score: &FoldScore| LogOdds::from_f64(score.raw_score);
        for score in scores.iter().filter(|score| score.trial.is_none()) {
            let outcome = Outcome { spam: score.spam, raw_score: raw_score(score) };
            outcomes.entry(set.sources()[score.source].clone()).or_default().push(outcome);
            plain.insert(score.example, outcome);
        }
        let mut trials = Trials::new();
        for score in &scores {
            if let (Some(kind), Some(plain)) = (score.trial, plain.get(&score.example)) {
                let trial = Trial { plain: *plain, disguised: raw_score(score) };
                trials.entry(kind).or_default().push(trial);
            }
        }
        let (title, version) = ("Leave one source out", "one a source".to_owned());
        Ok(Measured { title, version, outcomes, trials, thresholds: thresholds(&budget) })
    }
}

/// What was scored, and by what.
struct Measured {
    title: &'static str,
    version: String,
    outcomes: BTreeMap<String, Vec<Outcome>>,
    trials: Trials,
    /// To hold and to reject.
    thresholds: [LogOdds; 2],
}

/// The disguise of a name.
fn perturbation(name: &str) -> Result<Perturbation, String> {
    let names = || Perturbation::ALL.map(Perturbation::name).join(", ");
    let found = Perturbation::ALL.into_iter().find(|kind| kind.name() == name);
    found.ok_or_else(|| format!("expected one of {}", names()))
}

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

/// What disguises do to spam and to ham; nothing without trials.
fn trial_table(trials: &[TrialMeasures]) -> String {
    if trials.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "\nas it came > disguised\n{:12} {:>6} {:>6} {:>15} {:>15} {:>15} {:>15} {:>15} {:>15}\n",
        "disguise",
        "ham",
        "spam",
        "spam at 1%",
        "ham at 1%",
        "spam held",
        "ham held",
        "spam rejected",
        "ham rejected",
    );
    for trial in trials {
        let name = trial.perturbation.name();
        text += &format!("{name:12} {:>6} {:>6}", trial.ham_count, trial.spam_count);
        for change in [trial.at_1_percent, trial.held, trial.rejected].as_flattened() {
            text += &format!(" {:>15}", changed(*change));
        }
        text.push('\n');
    }
    text
}

fn changed(change: Option<Change>) -> String {
    change.map_or_else(
        || "-".to_owned(),
        |Change { plain, disguised }| format!("{:.1} > {:.1} %", plain * 100.0, disguised * 100.0),
    )
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
