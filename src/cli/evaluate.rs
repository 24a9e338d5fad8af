//! `replyguard evaluate`: how good a model, or the recipe, is on labelled examples.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use serde::Serialize;

use super::corpus::{TrialPlan, check_sources, read_training_set};
use super::evaluation_table::{comparison_table, table, trial_table};
use super::files::{check_output, write_whole};
use super::output::{print, safe};
use super::scored::{Scored, describe, read_abuse_outcomes, read_outcomes, read_texts};
use super::{Failure, learning_curve, load_model, progress};
use crate::classifier::{
    BudgetTable, Comparison, Contender, Evaluation, FoldScore, Head, Judged, Model, Outcome,
    Perturbation, Recipe, RecipeError, Stage, TrainingSet, Trial, Trials, WorstError, html_report,
};
use crate::domain::{Budget, LogOdds, probability};

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
    /// one training a source, and two sources that the others can do without
    #[arg(long, group = "folds")]
    leave_one_source_out: bool,
    /// Sources to train on and not to judge by, where folds are scored: examples that are no comments
    /// of real sites
    #[arg(long, num_args = 1.., value_name = "SOURCE", requires = "folds")]
    train_only: Vec<String>,
    /// Score later comments by models trained on earlier ones, in fifths of those that have a date
    #[arg(long, group = "folds", conflicts_with_all = ["learning_curve", "model", "perturb", "against"])]
    forward_in_time: bool,
    /// Leave each source out, let a site layer learn from its first comments, and judge by the
    /// rest: what labels gain on a new site
    #[arg(long, conflicts_with_all = ["leave_one_source_out", "model", "perturb", "report", "scores",
          "head", "worst"])]
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
    /// Compare with the model in this file, on the same examples, by paired tests
    #[arg(long, value_name = "FILE", conflicts_with_all = ["leave_one_source_out", "learning_curve"])]
    against: Option<PathBuf>,
    /// How many of the worst errors of each label to list in the report and in JSON; their texts
    /// are masked
    #[arg(long, default_value_t = 20, value_name = "COUNT")]
    worst: usize,
    /// Also write each example's source, label and raw score, one JSON object a line
    #[arg(long, value_name = "FILE")]
    scores: Option<PathBuf>,
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

impl HeadName {
    /// What examples are called: the good ones and the bad ones.
    fn words(self) -> [&'static str; 2] {
        match self {
            Self::Spam => ["ham", "spam"],
            Self::Abuse => ["clean", "toxic"],
        }
    }
}

impl EvaluateArgs {
    /// Measures and prints.
    ///
    /// # Errors
    /// Exit code 65 for a bad file or too few sources; 64 for a model that cannot be used.
    pub fn run(self) -> Result<(), Failure> {
        if let Some(path) = self.data.iter().find(|path| path.exists() && !path.is_file()) {
            let what = "is no regular file; the examples are read more than once";
            return Err(Failure::usage(format!("{} {what}", path.display())));
        }
        if let Some(path) = &self.scores {
            check_output(path, &self.data)?;
        }
        if let Some(folder) = &self.report {
            check_output(&folder.join(REPORT), &self.data)?;
        }
        if self.learning_curve {
            return learning_curve::print(&self.data, self.seed, self.json);
        }
        let measured = if self.leave_one_source_out || self.forward_in_time {
            self.folds()?
        } else {
            self.score()?
        };
        check_labels(&measured.scored, self.head)?;
        let (evaluation, judged, comparison) = self.evaluate(&measured)?;
        if let Some(path) = &self.scores {
            write_scores(path, &judged)?;
        }
        if let Some(folder) = &self.report {
            let page = html_report(measured.title, &evaluation, &judged, comparison.as_ref());
            write_whole(&folder.join(REPORT), page.as_bytes())?;
        }
        let text = if self.json {
            let all = Printed { evaluation: &evaluation, comparison: comparison.as_ref() };
            serde_json::to_string_pretty(&all).map_err(anyhow::Error::from)? + "\n"
        } else {
            let comparison = comparison.as_ref().map(comparison_table).unwrap_or_default();
            table(&evaluation) + &trial_table(&evaluation.trials) + &comparison
        };
        print(format_args!("{text}"))
    }

    /// All figures of what was scored.
    fn evaluate(
        &self,
        measured: &Measured,
    ) -> Result<(Evaluation, Vec<Judged>, Option<Comparison>), Failure> {
        let [hold, reject] = measured.thresholds;
        let bar = progress::bytes_bar(&self.data, "describing");
        let judged = describe(&self.data, &measured.scored, &|bytes| bar.inc(bytes))?;
        bar.finish_and_clear();
        let mut evaluation = Evaluation::new(measured.version.clone(), &judged, hold, reject);
        evaluation.add_trials(&judged, &measured.trials, hold, reject);
        evaluation.worst_errors = self.worst_errors(&measured.scored, &judged, hold)?;
        let comparison = match &self.against {
            None => None,
            Some(path) => {
                let model = load_model(Some(path))?;
                let bar = progress::bytes_bar(&self.data, "scoring");
                let progress = |bytes| bar.inc(bytes);
                let (head, other) = match self.head {
                    HeadName::Spam => {
                        let no_trials = TrialPlan::default();
                        let (scored, _) = read_outcomes(&self.data, &model, &no_trials, &progress)?;
                        (model.spam(), scored)
                    }
                    HeadName::Abuse => {
                        (abuse(&model)?, read_abuse_outcomes(&self.data, &model, &progress)?)
                    }
                };
                bar.finish_and_clear();
                let outcomes = |scored: &[Scored]| -> Vec<Outcome> {
                    scored.iter().map(|one| one.outcome).collect()
                };
                let [first, second] = [outcomes(&measured.scored), outcomes(&other)];
                let against_hold = thresholds(head.budget())[0];
                let side = |version, outcomes, hold| Contender { version, outcomes, hold };
                Some(Comparison::new(
                    side(&measured.version, &first, hold),
                    side(model.version(), &second, against_hold),
                ))
            }
        };
        Ok((evaluation, judged, comparison))
    }

    /// The worst errors with their texts; of equal texts the first.
    fn worst_errors(
        &self,
        scored: &[Scored],
        judged: &[Judged],
        hold: LogOdds,
    ) -> Result<Vec<WorstError>, Failure> {
        // More than are shown, since bots repeat themselves.
        let worst = Evaluation::worst(judged, hold, self.worst * 4);
        let wanted: BTreeSet<usize> = worst.iter().map(|place| scored[*place].example).collect();
        let texts = read_texts(&self.data, &wanted)?;
        let mut seen = BTreeSet::new();
        let mut shown = [0; 2];
        let mut errors = Vec::new();
        for place in worst {
            let one = &scored[place];
            let text = texts.get(&one.example).cloned().unwrap_or_default();
            let shown = &mut shown[usize::from(one.outcome.spam)];
            if *shown < self.worst && seen.insert(text.clone()) {
                *shown += 1;
                errors.push(WorstError {
                    position: None,
                    source: one.source.clone(),
                    spam: one.outcome.spam,
                    score: probability(one.outcome.raw_score),
                    text,
                });
            }
        }
        Ok(errors)
    }

    fn score(&self) -> Result<Measured, Failure> {
        let model = load_model(self.model.as_deref())?;
        let bar = progress::bytes_bar(&self.data, "scoring");
        if self.head == HeadName::Abuse {
            let head = abuse(&model)?;
            let scored = read_abuse_outcomes(&self.data, &model, &|bytes| bar.inc(bytes))?;
            bar.finish_and_clear();
            let (title, version) = ("Abuse", model.version().to_owned());
            let (trials, thresholds) = (Trials::new(), thresholds(head.budget()));
            return Ok(Measured { title, version, scored, trials, thresholds });
        }
        let (scored, trials) =
            read_outcomes(&self.data, &model, &self.plan(), &|bytes| bar.inc(bytes))?;
        bar.finish_and_clear();
        let thresholds = thresholds(model.spam().budget());
        let (title, version) = ("Evaluation", model.version().to_owned());
        Ok(Measured { title, version, scored, trials, thresholds })
    }

    /// Which examples are disguised.
    fn plan(&self) -> TrialPlan {
        let kinds = match &self.perturb {
            Some(kinds) if kinds.is_empty() => Perturbation::ALL.to_vec(),
            kinds => kinds.clone().unwrap_or_default(),
        };
        TrialPlan { kinds, per_cell_max: self.perturb_at_most }
    }

    /// Scores by models trained without what they judge.
    fn folds(&self) -> Result<Measured, Failure> {
        let bar = progress::bytes_bar(&self.data, "reading");
        let (plan, read) = (self.plan(), |bytes| bar.inc(bytes));
        let (set, contradictions) = read_training_set(&self.data, |_| false, &plan, &read)?;
        bar.finish_and_clear();
        check_sources("--train-only", &self.train_only, set.sources().iter())?;
        contradictions.warn();
        let set = match self.head {
            HeadName::Spam => set,
            HeadName::Abuse => set
                .of_abuse()
                .ok_or_else(|| Failure::data("too few examples are labelled `toxic` or `clean`"))?,
        };
        let bar = progress::bar(1, "training", "{msg:>12} {wide_bar} {pos}/{len} folds {elapsed}");
        let recipe = Recipe { seed: self.seed, ..Recipe::default() };
        let progress = |stage| {
            if let Stage::Folds { done, total } = stage {
                bar.set_length(total as u64);
                bar.set_position(done as u64);
            }
        };
        let (title, (scores, budget)) = if self.forward_in_time {
            ("Forward in time", recipe.forward_in_time(&set, TIME_FOLD_COUNT, &progress)?)
        } else {
            let new = self.leave_sources_out(&recipe, &set, &progress, &bar)?;
            ("Leave one source out", recipe.judge_left_out(&set, new, &progress)?)
        };
        bar.finish_and_clear();
        let judged_by =
            |score: &&FoldScore| !self.train_only.contains(&set.sources()[score.source]);
        let scores: Vec<FoldScore> = scores.iter().filter(judged_by).copied().collect();
        let (scored, trials) = in_order(&set, &scores);
        let version = "one a fold".to_owned();
        Ok(Measured { title, version, scored, trials, thresholds: thresholds(&budget) })
    }
}

impl EvaluateArgs {
    /// Scores each source by a model that never saw it, and names those where that cannot be done.
    fn leave_sources_out(
        &self,
        recipe: &Recipe,
        set: &TrainingSet,
        progress: &(dyn Fn(Stage) + Sync),
        bar: &ProgressBar,
    ) -> Result<Vec<FoldScore>, Failure> {
        let [good, bad] = self.head.words();
        let too_few = || {
            Failure::data(format!(
                "--leave-one-source-out takes two sources or more that the others can do without: \
                 examples that are {good} and {bad} in what is left"
            ))
        };
        if set.sources().len() < SOURCE_COUNT_MIN {
            return Err(too_few());
        }
        let new = recipe.of_folds().leave_one_source_out(set, progress);
        let new = new.map_err(RecipeError::from)?;
        let scored: BTreeSet<usize> = new.iter().map(|score| score.source).collect();
        let is_usable = |(source, name): &(usize, &String)| {
            scored.contains(source) || self.train_only.contains(name)
        };
        let (usable, missing): (Vec<_>, Vec<_>) =
            set.sources().iter().enumerate().partition(is_usable);
        for (_, name) in missing {
            let name = safe(name);
            bar.suspend(|| {
                eprintln!(
                    "replyguard: {name} is not scored: without it nothing is {good}, or nothing {bad}"
                );
            });
        }
        if usable.len() < SOURCE_COUNT_MIN || scored.is_empty() {
            return Err(too_few());
        }
        if new.iter().all(|score| score.spam) {
            return Err(Failure::data(format!(
                "no source with examples that are {good} could be left out, so no threshold can be \
                 measured: a second one is needed"
            )));
        }
        Ok(new)
    }
}

/// There have to be examples; with those of one label only, half of the figures are missing.
fn check_labels(scored: &[Scored], head: HeadName) -> Result<(), Failure> {
    let [good, bad] = head.words();
    let of = |spam: bool| scored.iter().any(|one| one.outcome.spam == spam);
    let absent = match (of(false), of(true)) {
        (true, true) => return Ok(()),
        (false, false) => return Err(Failure::data(format!("no example is {good} or {bad}"))),
        (false, true) => good,
        (true, false) => bad,
    };
    eprintln!("replyguard: no example is {absent}, so there is neither AUC nor recall");
    Ok(())
}

/// The report's name in its folder.
const REPORT: &str = "report.html";

/// Fewest sources of folds that leave one out: what is left has to teach something.
const SOURCE_COUNT_MIN: usize = 2;

/// Spans of time of a validation forward in time.
const TIME_FOLD_COUNT: usize = 5;

/// Scores out of fold in the order of the examples, and the trials among them.
fn in_order(set: &TrainingSet, scores: &[FoldScore]) -> (Vec<Scored>, Trials) {
    let raw_score = |score: &FoldScore| LogOdds::from_f64(score.raw_score);
    let mut plain: BTreeMap<u32, Scored> = BTreeMap::new();
    for score in scores.iter().filter(|score| score.trial.is_none()) {
        let outcome = Outcome { spam: score.spam, raw_score: raw_score(score) };
        let (example, source) = (score.example as usize, set.sources()[score.source].clone());
        plain.insert(score.example, Scored { example, source, outcome });
    }
    let mut trials = Trials::new();
    for score in scores {
        if let (Some(kind), Some(plain)) = (score.trial, plain.get(&score.example)) {
            let trial = Trial { plain: plain.outcome, disguised: raw_score(score) };
            trials.entry(kind).or_default().push(trial);
        }
    }
    (plain.into_values().collect(), trials)
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Printed<'a> {
    #[serde(flatten)]
    evaluation: &'a Evaluation,
    #[serde(skip_serializing_if = "Option::is_none")]
    comparison: Option<&'a Comparison>,
}

/// Writes a line for each example, for other tools.
fn write_scores(path: &Path, judged: &[Judged]) -> Result<(), Failure> {
    let mut text = String::new();
    for one in judged {
        let line = serde_json::json!({
            "source": &*one.source,
            "spam": one.outcome.spam,
            "raw_score": one.outcome.raw_score,
        });
        text.push_str(&line.to_string());
        text.push('\n');
    }
    Ok(write_whole(path, text.as_bytes())?)
}

/// What was scored, and by what.
struct Measured {
    title: &'static str,
    version: String,
    scored: Vec<Scored>,
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

/// The head of a model that tells abuse.
fn abuse(model: &Model) -> Result<&Head, Failure> {
    model.abuse().ok_or_else(|| Failure::data("the model has no such head"))
}

/// The thresholds of the default budget.
fn thresholds(budget: &BudgetTable) -> [LogOdds; 2] {
    let sites = Budget::default();
    let hold = budget.threshold(sites.hold_one_in);
    [hold, budget.threshold(sites.reject_one_in).max(hold)]
}
