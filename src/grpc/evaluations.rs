//! Evaluations and proofs of models on their way to the wire.

use super::{convert, proto};
use crate::classifier::{Comparison, Difference, Disagreeing, Interval, Measures, WorstError};
use crate::domain::{Label, SiteId, probability};
use crate::moderation::{
    BudgetPreview, BudgetRequest, DriftDimension, DriftReport, JudgedLabel, LabelInfluence,
    ModelEvaluation, ModelProof, ModerationError, ReporterInfluence, Share,
};

/// An evaluation for the wire.
pub(super) fn evaluation(judged: &ModelEvaluation) -> proto::ModelEvaluation {
    let evaluation = &judged.evaluation;
    let sources = evaluation.sources.iter().map(|(source, figures)| ("source", &**source, figures));
    let kinds = evaluation.slices.iter().map(|slice| (slice.by, slice.value, &slice.measures));
    let slice = |(by, value, figures): (&str, &str, &Measures)| proto::Slice {
        dimension: by.to_owned(),
        value: value.to_owned(),
        measures: Some(measures(figures)),
    };
    proto::ModelEvaluation {
        model_version: judged.model_version.clone(),
        judged_version: judged.judged_version.clone(),
        first_position: judged.from_position,
        pooled: Some(measures(&evaluation.pooled)),
        slices: sources.chain(kinds).map(slice).collect(),
        comparison: judged.comparison.as_ref().map(comparison),
        worst_errors: evaluation.worst_errors.iter().map(worst_error).collect(),
        html: judged.html.clone(),
        judged_labels: judged.judged_labels.iter().map(judged_label).collect(),
    }
}

fn judged_label(judged: &JudgedLabel) -> proto::JudgedLabel {
    proto::JudgedLabel {
        position: judged.position,
        label: i32::from(convert::label_to_wire(judged.label)),
        score: probability(judged.raw_score),
        held: judged.held,
        content_hash: judged.content_hash as i64,
    }
}

fn estimate(value: Option<f64>, interval: Option<Interval>) -> Option<proto::Estimate> {
    value.map(|value| proto::Estimate {
        value,
        low: interval.map(|interval| interval.low),
        high: interval.map(|interval| interval.high),
    })
}

fn measures(measures: &Measures) -> proto::Measures {
    let sure = measures.intervals.as_ref();
    let (hold, reject) = (&measures.hold, &measures.reject);
    proto::Measures {
        ham_count: measures.ham_count as i64,
        spam_count: measures.spam_count as i64,
        auc: estimate(measures.auc, sure.and_then(|sure| sure.auc)),
        one_percent_recall: estimate(
            measures.recall_at_1_percent,
            sure.and_then(|sure| sure.recall_at_1_percent),
        ),
        tenth_percent_recall: estimate(
            measures.recall_at_0_1_percent,
            sure.and_then(|sure| sure.recall_at_0_1_percent),
        ),
        calibration_error: measures.calibration_error,
        ham_held_share: estimate(hold.false_positive_rate, sure.and_then(|sure| sure.ham_held)),
        spam_held_share: estimate(hold.recall, sure.and_then(|sure| sure.spam_held)),
        ham_rejected_share: estimate(
            reject.false_positive_rate,
            sure.and_then(|sure| sure.ham_rejected),
        ),
        spam_rejected_share: estimate(reject.recall, sure.and_then(|sure| sure.spam_rejected)),
    }
}

fn comparison(comparison: &Comparison) -> proto::ModelComparison {
    let difference = |difference: Option<Difference>| {
        difference.and_then(|one| estimate(Some(one.value), Some(one.interval)))
    };
    let disagreeing = |sides: &Disagreeing| proto::Disagreeing {
        this_only_count: sides.first_only_count as i64,
        other_only_count: sides.second_only_count as i64,
        both_count: sides.both_count as i64,
        p_value: sides.p_value,
    };
    proto::ModelComparison {
        against_version: comparison.against_version.clone(),
        auc_difference: difference(comparison.auc),
        one_percent_recall_difference: difference(comparison.recall_at_1_percent),
        ham_held: Some(disagreeing(&comparison.ham_held)),
        spam_held: Some(disagreeing(&comparison.spam_held)),
    }
}

fn worst_error(error: &WorstError) -> proto::WorstError {
    let label = if error.spam { Label::Spam } else { Label::Ham };
    proto::WorstError {
        source: error.source.clone(),
        label: i32::from(convert::label_to_wire(label)),
        score: error.score,
        text: error.text.clone(),
        position: error.position.unwrap_or_default(),
    }
}

/// A proof for the wire.
pub(super) fn proof(proof: &ModelProof, site: &SiteId) -> proto::ModelProof {
    proto::ModelProof {
        model_version: proof.model_version.clone(),
        label_count: proof.label_count as i64,
        retracted_count: proof.retracted_count as i64,
        stale_count: proof.stale_count as i64,
        retrained_version: proof.retrained_version.clone(),
        purged_version: proof.without_version.clone(),
        proven: proof.proven,
        labels: proof.labels.iter().map(|label| label_influence(label, site)).collect(),
        reporters: proof.reporters.iter().map(reporter_influence).collect(),
    }
}

/// A comparison of a site's comments then and now for the wire.
pub(super) fn drift(report: DriftReport) -> proto::ReportDriftResponse {
    let band = |(name, baseline_share, current_share): (&str, f64, f64)| proto::DriftBand {
        name: name.to_owned(),
        baseline_share,
        current_share,
    };
    let dimension = |dimension: DriftDimension| proto::DriftDimension {
        name: dimension.name.to_owned(),
        index: dimension.index,
        alarming: dimension.alarms(),
        bands: dimension.bands.into_iter().map(band).collect(),
    };
    proto::ReportDriftResponse {
        dimensions: report.dimensions.into_iter().map(dimension).collect(),
        model_version: report.model_version,
        baseline_count: report.baseline_count as i64,
        baseline_time: report.baseline_time.map(convert::timestamp),
        current_count: report.current_count as i64,
    }
}

/// The budget that a request asks about.
///
/// # Errors
/// `Invalid` for a negative number.
pub(super) fn budget(
    request: &proto::PreviewBudgetRequest,
) -> Result<BudgetRequest, ModerationError> {
    let count = |field, value: Option<i32>| {
        let count = value.map(u32::try_from).transpose();
        count.map_err(|_| ModerationError::field(field, "out-of-range", "At least 1 is expected."))
    };
    Ok(BudgetRequest {
        hold_one_in: count("hold_one_in", request.hold_one_in)?,
        reject_one_in: count("reject_one_in", request.reject_one_in)?,
        review_minutes: request.review_minutes,
        review_seconds: request.review_seconds.unwrap_or(REVIEW_SECONDS),
    })
}

/// How long a person looks at one comment, if nothing else is said.
const REVIEW_SECONDS: f64 = 20.0;

/// What a budget would do, for the wire.
pub(super) fn preview(preview: BudgetPreview) -> proto::PreviewBudgetResponse {
    let share = |share: Option<Share>| {
        share.and_then(|(value, interval)| estimate(Some(value), Some(interval)))
    };
    let signed = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    proto::PreviewBudgetResponse {
        model_version: preview.model_version,
        hold_one_in: signed(preview.hold_one_in),
        reject_one_in: signed(preview.reject_one_in),
        hold_threshold: preview.hold_threshold,
        reject_threshold: preview.reject_threshold,
        traffic: preview.traffic.map(|traffic| proto::TrafficPreview {
            comment_count: traffic.comment_count as i64,
            daily_comments: traffic.per_day,
            daily_holds: traffic.held_per_day,
            daily_rejections: traffic.rejected_per_day,
            daily_review_minutes: traffic.review_minutes,
        }),
        labels: preview.labels.map(|labels| proto::LabelPreview {
            ham_count: labels.ham_count as i64,
            spam_count: labels.spam_count as i64,
            ham_held_share: share(labels.ham_held),
            ham_rejected_share: share(labels.ham_rejected),
            spam_missed_share: share(labels.spam_missed),
        }),
    }
}

fn label_influence(influence: &LabelInfluence, site: &SiteId) -> proto::LabelInfluence {
    proto::LabelInfluence {
        position: influence.position,
        name: influence.id.name(site),
        label: i32::from(convert::label_to_wire(influence.label)),
        reporter: influence.reporter.as_str().to_owned(),
        reporter_name: influence.reporter_name.clone().unwrap_or_default(),
        source: influence.source.clone(),
        share: influence.share,
        score: influence.score,
        unlabelled_score: influence.score_without,
    }
}

fn reporter_influence(influence: &ReporterInfluence) -> proto::ReporterInfluence {
    proto::ReporterInfluence {
        reporter: influence.reporter.as_str().to_owned(),
        reporter_name: influence.reporter_name.clone().unwrap_or_default(),
        label_count: influence.label_count as i64,
        contradicted_count: influence.contradicted_count as i64,
        share: influence.share,
    }
}
