//! Exported records as JSON lines, for people who save them from the console.

use futures_util::{Stream, StreamExt};
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::domain::{Label, SiteId, SitePolicy};
use crate::moderation::ports::privacy::StoredExample;
use crate::moderation::ports::review::{DecidedComment, ReviewedComment};
use crate::moderation::{ExportRecord, ExportStream, ModerationError};

/// A line.
#[derive(Serialize)]
#[serde(tag = "record", rename_all = "kebab-case")]
enum Line {
    Site(SiteLine),
    Comment(CommentLine),
    Example(ExampleLine),
}

#[derive(Serialize)]
struct SiteLine {
    name: String,
    display_name: String,
    create_time: String,
    policy: SitePolicy,
}

#[derive(Serialize)]
struct CommentLine {
    name: String,
    check_time: String,
    text: String,
    author: Option<String>,
    /// Masked: the address itself is stored nowhere.
    email: Option<String>,
    url: Option<String>,
    page_uri: Option<String>,
    page_title: Option<String>,
    parent_comment: Option<String>,
    language: Option<String>,
    verdict: &'static str,
    state: &'static str,
    label: Option<&'static str>,
    /// Probability of spam, 0–1.
    score: Option<f64>,
    reasons: Vec<String>,
    decisions: Vec<DecisionLine>,
}

#[derive(Serialize)]
struct DecisionLine {
    action: &'static str,
    actor: String,
    note: Option<String>,
    state: &'static str,
    decide_time: String,
}

#[derive(Serialize)]
struct ExampleLine {
    name: String,
    text: String,
    author: Option<String>,
    url: Option<String>,
    page_uri: Option<String>,
    language: Option<String>,
    source: String,
    label: Option<&'static str>,
}

/// The records as lines.
pub(super) fn lines(
    site: SiteId,
    records: ExportStream,
) -> impl Stream<Item = Result<Vec<u8>, ModerationError>> + Send {
    records.map(move |record| record.map(|record| line(&site, record)))
}

fn line(site: &SiteId, record: ExportRecord) -> Vec<u8> {
    let line = match record {
        ExportRecord::Site(site) => Line::Site(SiteLine {
            name: site.id.name(),
            display_name: site.display_name.clone(),
            create_time: rfc3339(site.create_time),
            policy: site.policy.clone(),
        }),
        ExportRecord::Comment(reviewed, decided) => {
            Line::Comment(comment_line(site, *reviewed, decided))
        }
        ExportRecord::Example(example) => Line::Example(example_line(site, *example)),
    };
    let mut bytes = serde_json::to_vec(&line).expect("texts and numbers are JSON");
    bytes.push(b'\n');
    bytes
}

fn comment_line(
    site: &SiteId,
    reviewed: ReviewedComment,
    decided: Vec<DecidedComment>,
) -> CommentLine {
    let ReviewedComment { comment, label, .. } = reviewed;
    let submission = comment.submission;
    CommentLine {
        name: comment.id.name(site),
        check_time: rfc3339(comment.check_time),
        text: submission.text,
        author: submission.author,
        email: submission.email.map(|email| email.masked),
        url: submission.url,
        page_uri: submission.page_uri,
        page_title: submission.page_title,
        parent_comment: submission.parent_comment,
        language: submission.lang,
        verdict: comment.verdict.as_str(),
        state: comment.state.as_str(),
        label: label.map(Label::as_str),
        score: comment.score.map(|score| score.probability),
        reasons: comment.reasons.into_iter().map(|reason| reason.description).collect(),
        decisions: decided.into_iter().map(decision_line).collect(),
    }
}

fn decision_line(decided: DecidedComment) -> DecisionLine {
    DecisionLine {
        action: decided.action.as_str(),
        actor: decided.actor,
        note: decided.note,
        state: decided.state_after.as_str(),
        decide_time: rfc3339(decided.time),
    }
}

fn example_line(site: &SiteId, example: StoredExample) -> ExampleLine {
    let submission = example.submission;
    ExampleLine {
        name: example.id.name(site),
        text: submission.text,
        author: submission.author,
        url: submission.url,
        page_uri: submission.page_uri,
        language: submission.lang,
        source: example.source,
        label: example.label.map(Label::as_str),
    }
}

fn rfc3339(time: OffsetDateTime) -> String {
    time.format(&Rfc3339).unwrap_or_default()
}
