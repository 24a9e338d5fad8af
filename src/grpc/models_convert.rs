//! Models and examples between the wire and the domain.

use super::{convert, proto};
use crate::classifier::Figures;
use crate::domain::{Example, SiteId};
use crate::moderation::ports::models::{LedgerExample, ModelRecord, ModelState};
use crate::moderation::{ForeignExample, HoldOut, ModerationError, ShadowReport};

/// A model for the wire.
pub(super) fn model(record: ModelRecord) -> proto::Model {
    let hold_out = HoldOut::of(&record).map(hold_out);
    proto::Model {
        name: format!("{}/models/{}", record.site.name(), record.version),
        state: i32::from(state(record.state)),
        create_time: Some(convert::timestamp(record.create_time)),
        promote_time: record.promote_time.map(convert::timestamp),
        ledger_position: record.ledger_position,
        base_version: record.base_version,
        ham_count: record.ham_count as i64,
        spam_count: record.spam_count as i64,
        hold_out,
    }
}

fn state(state: ModelState) -> proto::ModelState {
    match state {
        ModelState::Candidate => proto::ModelState::Candidate,
        ModelState::Shadow => proto::ModelState::Shadow,
        ModelState::Active => proto::ModelState::Active,
        ModelState::Retired => proto::ModelState::Retired,
    }
}

fn hold_out(hold_out: HoldOut) -> proto::HoldOut {
    let figures = |figures: Figures| proto::HoldOutFigures {
        auc: figures.auc,
        ham_held_count: figures.ham_held_count as i64,
        spam_held_count: figures.spam_held_count as i64,
        log_loss: figures.log_loss,
    };
    proto::HoldOut {
        ham_count: hold_out.ham_count as i64,
        spam_count: hold_out.spam_count as i64,
        candidate: Some(figures(hold_out.candidate)),
        active: hold_out.active.map(figures),
        base: Some(figures(hold_out.base)),
    }
}

/// What a shadow saw, for the wire.
pub(super) fn shadow_report(site: &SiteId, report: ShadowReport) -> proto::ReportShadowResponse {
    let disagreements = report.disagreements.into_iter().map(|one| proto::Disagreement {
        comment: one.comment.name(site),
        verdict: i32::from(convert::verdict(one.verdict)),
        score: one.score,
        shadow_verdict: i32::from(convert::verdict(one.shadow_verdict)),
        shadow_score: one.shadow_score,
    });
    proto::ReportShadowResponse {
        disagreements: disagreements.collect(),
        compared_count: report.compared_count as i64,
        disagreement_count: report.disagreement_count as i64,
        shadow_version: report.version.unwrap_or_default(),
    }
}

/// An example of the wire.
///
/// # Errors
/// `Invalid` without comment or label, or with a time out of range.
pub(super) fn example(example: proto::Example) -> Result<ForeignExample, ModerationError> {
    let label = convert::label(example.label, "examples.label")?;
    let time = match &example.label_time {
        None => None,
        Some(time) => Some(convert::instant(time).ok_or_else(|| {
            let text = "A time of the years 1 to 9999 is expected.";
            ModerationError::field("examples.label_time", "out-of-range", text)
        })?),
    };
    let raw = convert::raw_submission(example.comment)?;
    let text = |field: String| (!field.is_empty()).then_some(field);
    let example = Example {
        text: raw.text,
        author: text(raw.author),
        email: text(raw.email),
        url: text(raw.url),
        ip: text(raw.ip),
        user_agent: text(raw.user_agent),
        lang: text(raw.lang),
        page_title: text(raw.page_title),
        page_uri: text(raw.page_uri),
        source: text(example.source),
        ..Example::default()
    };
    Ok(ForeignExample { example, label, time })
}

/// An example of the ledger for the wire.
pub(super) fn exported(site: &SiteId, example: LedgerExample) -> proto::ExportExamplesResponse {
    let submission = example.submission;
    proto::ExportExamplesResponse {
        position: example.position,
        name: example.id.name(site),
        text: submission.text,
        author: submission.author.unwrap_or_default(),
        url: submission.url.unwrap_or_default(),
        label: i32::from(convert::label_to_wire(example.label)),
        source: example.source,
        label_time: Some(convert::timestamp(example.time)),
        page_uri: submission.page_uri.unwrap_or_default(),
        page_title: submission.page_title.unwrap_or_default(),
        language: submission.lang.unwrap_or_default(),
    }
}
