//! `replyguard models evaluate`, `compare` and `prove`: how good a model is and what it was made of.

use std::path::{Path, PathBuf};

use super::Failure;
use super::files::write_whole;
use super::first_site::refused;
use super::operations::watch;
use super::output::{print, safe, say};
use crate::grpc::client::{Client, to_json};
use crate::grpc::proto;

/// Labels and worst errors that are printed.
const SHOWN: usize = 10;
/// Characters of the longest bar.
const BAR_LENGTH: f64 = 30.0;

/// Judges a model, beside another if one is given.
pub(super) async fn evaluate(
    client: &mut Client,
    name: String,
    against_version: String,
    report: Option<PathBuf>,
    json: bool,
) -> Result<(), Failure> {
    let mut evaluation = judge(client, name, against_version).await?;
    if let Some(folder) = report {
        std::fs::create_dir_all(&folder).map_err(anyhow::Error::from)?;
        write_whole(&folder.join("report.html"), evaluation.html.as_bytes())?;
    }
    if json {
        // A page, and thousands of lines that are for programs.
        evaluation.html.clear();
        evaluation.judged_labels.clear();
        return say!("{}", to_json("replyguard.v1.ModelEvaluation", &evaluation));
    }
    print(format_args!("{}", evaluated(&evaluation)))
}

/// The evaluation of a model, beside another if one is given.
///
/// # Errors
/// What the service said.
pub(super) async fn judge(
    client: &mut Client,
    name: String,
    against_version: String,
) -> Result<proto::ModelEvaluation, Failure> {
    let request = proto::EvaluateModelRequest { name, against_version };
    let begun = client.models.evaluate_model(request).await;
    let operation = begun.map_err(|status| refused(&status))?.into_inner();
    let response: proto::EvaluateModelResponse = watch(client, operation, "judging").await?;
    Ok(response.evaluation.unwrap_or_default())
}

fn evaluated(evaluation: &proto::ModelEvaluation) -> String {
    let mut text = format!("{}\n", evaluation.model_version);
    if evaluation.judged_version != evaluation.model_version {
        text += &format!(
            "judged by its twin {}, which knows none of the labels that judge\n",
            evaluation.judged_version
        );
    }
    text += &format!(
        "\n{:30} {:>6} {:>6} {:>22} {:>24} {:>24}\n",
        "", "ham", "spam", "auc", "ham held", "spam held"
    );
    let pooled = evaluation.pooled.unwrap_or_default();
    text += &row("all together", &pooled);
    for slice in &evaluation.slices {
        let measures = slice.measures.unwrap_or_default();
        text += &row(&safe(&format!("{}: {}", slice.dimension, slice.value)), &measures);
    }
    if let Some(comparison) = &evaluation.comparison {
        text += &compared(comparison);
    }
    for error in evaluation.worst_errors.iter().take(SHOWN) {
        let label = error.label().as_str_name().trim_start_matches("LABEL_").to_lowercase();
        let mut shown: String = error.text.chars().take(100).collect();
        shown = safe(&shown);
        text += &format!("\n{label} {:.3}  {shown}", error.score);
    }
    text + "\n"
}

fn row(name: &str, measures: &proto::Measures) -> String {
    let decimal = |figure: &Option<proto::Estimate>| shown(figure.as_ref(), 1.0, 3, "");
    let percent = |figure: &Option<proto::Estimate>| shown(figure.as_ref(), 100.0, 2, " %");
    format!(
        "{name:30} {:>6} {:>6} {:>22} {:>24} {:>24}\n",
        measures.ham_count,
        measures.spam_count,
        decimal(&measures.auc),
        percent(&measures.ham_held_share),
        percent(&measures.spam_held_share),
    )
}

/// A figure with its interval.
pub(super) fn shown(
    figure: Option<&proto::Estimate>,
    factor: f64,
    digits: usize,
    unit: &str,
) -> String {
    let Some(figure) = figure else { return "-".to_owned() };
    let number = |value: f64| format!("{:.digits$}", value * factor);
    match (figure.low, figure.high) {
        (Some(low), Some(high)) => {
            format!("{}{unit} ({}-{})", number(figure.value), number(low), number(high))
        }
        _ => number(figure.value) + unit,
    }
}

fn compared(comparison: &proto::ModelComparison) -> String {
    let mut text = format!("\nagainst {}\n", comparison.against_version);
    for (name, difference) in [
        ("auc", &comparison.auc_difference),
        ("recall at 1 %", &comparison.one_percent_recall_difference),
    ] {
        text += &format!("  {name:14} {}\n", shown(difference.as_ref(), 1.0, 4, ""));
    }
    for (name, sides) in [("ham", &comparison.ham_held), ("spam", &comparison.spam_held)] {
        let sides = sides.unwrap_or_default();
        text += &format!(
            "  {name:14} held by this one alone {}, by the other alone {}, by both {}; p = {:.3}\n",
            sides.this_only_count, sides.other_only_count, sides.both_count, sides.p_value
        );
    }
    text
}

/// Proves what a model was made of.
pub(super) async fn prove(client: &mut Client, name: String, json: bool) -> Result<(), Failure> {
    let request = proto::ProveModelRequest { name };
    let begun = client.models.prove_model(request).await;
    let operation = begun.map_err(|status| refused(&status))?.into_inner();
    let response: proto::ProveModelResponse = watch(client, operation, "proving").await?;
    let proof = response.proof.unwrap_or_default();
    if json {
        say!("{}", to_json("replyguard.v1.ModelProof", &proof))?;
    } else {
        print(format_args!("{}", proven(&proof)))?;
    }
    if proof.proven {
        return Ok(());
    }
    Err(Failure::data("training again did not give these bytes: the model is not proven"))
}

fn proven(proof: &proto::ModelProof) -> String {
    let mut text = format!(
        "{}\n  {} labels count, {} were taken back before it was trained\n  trained again            \
         {}\n  without what was taken back {}\n",
        proof.model_version,
        proof.label_count,
        proof.retracted_count,
        proof.retrained_version,
        proof.purged_version,
    );
    if proof.proven {
        text += "  the same bytes: nothing that was taken back before it was trained is in it\n";
    }
    if proof.stale_count > 0 {
        text += &format!(
            "  {} labels that it knows were taken back since: train again\n",
            proof.stale_count
        );
    }
    text += "\n  share  labels  contradicted  by\n";
    for reporter in &proof.reporters {
        text += &format!(
            "{:6.1}%  {:>6}  {:>12}  {} {}\n",
            reporter.share * 100.0,
            reporter.label_count,
            reporter.contradicted_count,
            reporter.reporter,
            safe(&reporter.reporter_name)
        );
    }
    text += "\n  share  label  score  without it  position\n";
    for label in proof.labels.iter().take(SHOWN) {
        let word = label.label().as_str_name().trim_start_matches("LABEL_").to_lowercase();
        text += &format!(
            "{:6.1}%  {word:5}  {:.3}  {:>10.3}  {} {}\n",
            label.share * 100.0,
            label.score,
            label.unlabelled_score,
            label.position,
            label.name
        );
    }
    text
}

/// Compares the last comments of a site with those that its model was made for.
pub(super) async fn drift(client: &mut Client, parent: String, json: bool) -> Result<(), Failure> {
    let answer = client.models.report_drift(proto::ReportDriftRequest { parent }).await;
    let report = answer.map_err(|status| refused(&status))?.into_inner();
    if json {
        return say!("{}", to_json("replyguard.v1.ReportDriftResponse", &report));
    }
    say!(
        "{}: the last {} comments beside the {} of its baseline",
        report.model_version,
        report.current_count,
        report.baseline_count
    )?;
    if report.dimensions.is_empty() {
        return say!(
            "not measured: too few comments of the time before the model, or since; at least 200 are \
             needed on either side, and retention removes the older ones"
        );
    }
    for dimension in &report.dimensions {
        let word = match dimension.index {
            _ if dimension.alarming => "CHANGED",
            index if index >= 0.1 => "a little",
            _ => "as before",
        };
        say!("\n{:8} {:.3}  {word}", dimension.name, dimension.index)?;
        for band in &dimension.bands {
            let bar = "█".repeat((band.current_share * BAR_LENGTH).round() as usize);
            say!(
                "  {:24} {:5.1} % -> {:5.1} %  {bar}",
                safe(&band.name),
                band.baseline_share * 100.0,
                band.current_share * 100.0
            )?;
        }
    }
    Ok(())
}

/// The folder for a report as an argument.
#[derive(clap::Args)]
pub(super) struct ReportArgs {
    /// Also write `report.html` with curves, slices and the worst errors into this folder
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
}

impl ReportArgs {
    pub(super) fn folder(&self) -> Option<PathBuf> {
        self.report.as_deref().map(Path::to_owned)
    }
}
