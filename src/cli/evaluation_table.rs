//! An evaluation as text.

use crate::classifier::{
    Change, Comparison, Confusion, Difference, Disagreeing, Evaluation, Interval, Measures,
    TrialMeasures,
};

/// All tables of an evaluation.
pub(super) fn table(evaluation: &Evaluation) -> String {
    let mut text = format!(
        "model {}\nhold from {:.5}, reject from {:.5}\n\n{:28} {:>7} {:>7} {:>6} {:>7} {:>7} {:>6} \
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
        "{:28} {:>7} {:>7} {} {}\n",
        "mean of sources",
        "",
        "",
        decimal(evaluation.mean_auc),
        percent(evaluation.mean_recall_at_1_percent),
    );
    if !evaluation.slices.is_empty() {
        text.push('\n');
    }
    for slice in &evaluation.slices {
        text += &row(&format!("{}: {}", slice.by, slice.value), &slice.measures);
    }
    text += &sureness(evaluation);
    let pooled = &evaluation.pooled;
    for (name, at) in [("even", &pooled.even), ("hold", &pooled.hold), ("reject", &pooled.reject)] {
        text += &confusion(name, at);
    }
    text
}

/// Where the pooled figures lie 95 times in 100.
fn sureness(evaluation: &Evaluation) -> String {
    let Some(intervals) = &evaluation.pooled.intervals else { return String::new() };
    let figures = [
        ("auc", intervals.auc),
        ("auc, mean of sources", evaluation.mean_auc_interval),
        ("recall at 1 %", intervals.recall_at_1_percent),
        ("recall at 1 %, mean of sources", evaluation.mean_recall_at_1_percent_interval),
        ("ham held", intervals.ham_held),
        ("spam held", intervals.spam_held),
        ("ham rejected", intervals.ham_rejected),
        ("spam rejected", intervals.spam_rejected),
    ];
    let mut text = String::from("\n95 times in 100 the true figure lies in\n");
    for (name, interval) in figures {
        let Some(Interval { low, high }) = interval else { continue };
        text += &format!("{name:31} {low:.4} to {high:.4}\n");
    }
    text + "\n"
}

/// A comparison of two models in a few lines.
pub(super) fn comparison_table(comparison: &Comparison) -> String {
    let difference = |difference: Option<Difference>| {
        difference.map_or("-".to_owned(), |Difference { value, interval }| {
            let Interval { low, high } = interval;
            format!("{value:+.4} ({low:+.4} to {high:+.4})")
        })
    };
    let disagreeing = |what: &str, sides: &Disagreeing| {
        format!(
            "{what:14} held by the first alone {}, by the second alone {}, by both {}; p = {:.3}\n",
            sides.first_only_count, sides.second_only_count, sides.both_count, sides.p_value
        )
    };
    format!(
        "\n{} against {}, on {} ham and {} spam\n{:14} {}\n{:14} {}\n{}{}",
        comparison.model_version,
        comparison.against_version,
        comparison.ham_count,
        comparison.spam_count,
        "auc",
        difference(comparison.auc),
        "recall at 1 %",
        difference(comparison.recall_at_1_percent),
        disagreeing("ham", &comparison.ham_held),
        disagreeing("spam", &comparison.spam_held),
    )
}

/// What disguises do to spam and to ham; nothing without trials.
pub(super) fn trial_table(trials: &[TrialMeasures]) -> String {
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
        "{name:28} {:>7} {:>7} {} {} {} {} {} {} {} {}\n",
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
