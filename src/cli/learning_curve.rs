//! `replyguard evaluate --learning-curve`: what a site's own labels gain.

use std::path::PathBuf;

use super::corpus::{TrialPlan, read_training_set};
use super::output::say;
use super::{Failure, progress};
use crate::classifier::{CurveFigures, LearningCurve, Recipe, SiteLayer, Stage};
use crate::moderation::replay_examples;

/// Labels after which a layer is judged.
const LABEL_COUNTS: [usize; 3] = [10, 50, 200];

/// Measures and prints.
///
/// # Errors
/// Exit code 65 for a bad file.
pub(super) fn print(data: &[PathBuf], seed: u64, json: bool) -> Result<(), Failure> {
    let bar = progress::bytes_bar(data, "reading");
    let plan = TrialPlan { kinds: Vec::new(), per_cell_max: 0 };
    let (set, contradictions) = read_training_set(data, |_| false, &plan, &|bytes| bar.inc(bytes))?;
    bar.finish_and_clear();
    contradictions.warn();
    let bar = progress::bar(1, "training", "{msg:>12} {wide_bar} {pos}/{len} folds {elapsed}");
    let recipe = Recipe { seed, ..Recipe::default() };
    let layer = SiteLayer { seed, ..SiteLayer::default() };
    let curves =
        recipe.learning_curves(&set, replay_examples(), &layer, &LABEL_COUNTS, &|stage| {
            if let Stage::Folds { done, total } = stage {
                bar.set_length(total as u64);
                bar.set_position(done as u64);
            }
        })?;
    bar.finish_and_clear();
    if json {
        return say!("{}", serde_json::to_string(&curves).map_err(anyhow::Error::from)?);
    }
    say!(
        "{:24} {:>6} {:>6} {:>7} {:>6} {:>6} {:>7} {:>9} {:>10}",
        "source",
        "labels",
        "spam",
        "errors",
        "auc",
        "r@1%",
        "",
        "ham held",
        "spam held"
    )?;
    for curve in &curves {
        for line in lines(curve) {
            say!("{line}")?;
        }
    }
    for (index, count) in LABEL_COUNTS.iter().enumerate() {
        let of =
            |curve: &LearningCurve| (curve.base.error_rate, curve.layers[index].figures.error_rate);
        let sums =
            curves.iter().map(of).fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        let sites = curves.len().max(1) as f64;
        say!(
            "mean of sources, {count} labels: errors {:.3}, base {:.3}",
            sums.1 / sites,
            sums.0 / sites
        )?;
    }
    Ok(())
}

fn lines(curve: &LearningCurve) -> Vec<String> {
    let order = if curve.by_date { "by date" } else { "drawn" };
    let base = format!("{:24} {:>6} {:>6} {}", curve.source, "base", "", row(&curve.base, order));
    let layers = curve.layers.iter().map(|layer| {
        let note = if layer.trained { "" } else { "(base)" };
        format!(
            "{:24} {:>6} {:>6} {}",
            "",
            layer.label_count,
            layer.spam_label_count,
            row(&layer.figures, note)
        )
    });
    std::iter::once(base).chain(layers).collect()
}

fn row(figures: &CurveFigures, note: &str) -> String {
    let share = |share: Option<f64>| share.map_or_else(|| "-".to_owned(), |s| format!("{:.3}", s));
    format!(
        "{:>7.3} {:>6} {:>6} {note:>7} {:>9} {:>10}",
        figures.error_rate,
        share(figures.auc),
        share(figures.recall_at_1_percent),
        share(figures.ham_held),
        share(figures.spam_held)
    )
}
