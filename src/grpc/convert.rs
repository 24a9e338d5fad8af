//! Comments between the wire and the domain.

use time::OffsetDateTime;

use super::proto;
use crate::domain::{
    CheckedComment, FieldViolation, Label, LogOdds, RawSubmission, RequestId, State, Verdict,
    without_bidi_controls,
};
use crate::moderation::ModerationError;
use crate::moderation::ports::Reporter;

/// What links in comments are to be marked with: nobody vouches for them.
const LINK_REL: &str = "ugc nofollow";

/// A comment of the wire as a raw submission.
///
/// # Errors
/// `Invalid` if there is none, or if its time is out of range.
pub(super) fn raw_submission(
    comment: Option<proto::Comment>,
) -> Result<RawSubmission, ModerationError> {
    let Some(comment) = comment else {
        return Err(ModerationError::field("comment", "required", "A comment is required."));
    };
    let page_publish_time = match comment.page_publish_time {
        None => None,
        Some(time) => Some(instant(&time).ok_or_else(|| {
            ModerationError::field(
                "comment.page_publish_time",
                "out-of-range",
                "A time of the years 1 to 9999 is expected.",
            )
        })?),
    };
    Ok(RawSubmission {
        text: comment.text,
        author: comment.author,
        email: comment.email,
        url: comment.url,
        ip: comment.ip,
        user_agent: comment.user_agent,
        referrer: comment.referrer,
        page_uri: comment.page_uri,
        page_title: comment.page_title,
        page_publish_time,
        page_closed: comment.page_closed,
        parent_comment: comment.parent_comment,
        lang: comment.language,
        honeypot: comment.honeypot,
        elapsed_ms: comment.elapsed_ms,
    })
}

/// An optional request id.
///
/// # Errors
/// `Invalid` if it is no UUID.
pub(super) fn request_id(text: &str) -> Result<Option<RequestId>, ModerationError> {
    if text.is_empty() {
        return Ok(None);
    }
    let parsed = text.parse().map_err(|_| {
        ModerationError::field("request_id", "invalid-request-id", "A UUID is expected.")
    });
    parsed.map(Some)
}

/// A label, which must be a known one.
///
/// # Errors
/// `Invalid`.
pub(super) fn label(value: i32, field: &'static str) -> Result<Label, ModerationError> {
    match proto::Label::try_from(value) {
        Ok(proto::Label::Ham) => Ok(Label::Ham),
        Ok(proto::Label::Spam) => Ok(Label::Spam),
        Ok(proto::Label::Unspecified) | Err(_) => Err(unknown_value(field)),
    }
}

/// A label for the wire.
pub(super) fn label_to_wire(label: Label) -> proto::Label {
    match label {
        Label::Ham => proto::Label::Ham,
        Label::Spam => proto::Label::Spam,
    }
}

/// A reporter; unspecified counts as the site.
///
/// # Errors
/// `Invalid` for a value that this version does not know.
pub(super) fn reporter(value: i32) -> Result<Reporter, ModerationError> {
    match proto::Reporter::try_from(value) {
        Ok(proto::Reporter::Unspecified | proto::Reporter::Site) => Ok(Reporter::Site),
        Ok(proto::Reporter::Moderator) => Ok(Reporter::Moderator),
        Ok(proto::Reporter::Administrator) => Ok(Reporter::Administrator),
        Ok(proto::Reporter::Reader) => Ok(Reporter::Reader),
        Err(_) => Err(unknown_value("reporter")),
    }
}

/// An enum value that cannot be taken.
pub(super) fn unknown_value(field: &'static str) -> ModerationError {
    ModerationError::Invalid(vec![FieldViolation {
        field,
        reason: "unknown-value",
        description: "A value that this version knows is expected.".into(),
    }])
}

/// A comment for the wire.
pub(super) fn checked_comment(comment: CheckedComment) -> proto::CheckedComment {
    let name = comment.id.name(&comment.site);
    let masked_email =
        comment.submission.email.as_ref().map(|email| email.masked.clone()).unwrap_or_default();
    let submission = comment.submission;
    let abuse_score = comment.score.as_ref().and_then(|score| score.abuse);
    let (score, raw_score, contributions, model_version) = match comment.score {
        Some(score) => (
            Some(score.probability),
            Some(score.raw_score.to_f64()),
            score.contributions,
            score.model_version,
        ),
        None => (None, None, Vec::new(), String::new()),
    };
    proto::CheckedComment {
        name,
        verdict: verdict(comment.verdict).into(),
        state: state(comment.state).into(),
        score,
        raw_score,
        discard: comment.discard,
        reasons: comment
            .reasons
            .into_iter()
            .map(|reason| proto::Reason {
                name: reason.name.into_owned(),
                description: reason.description,
            })
            .collect(),
        signals: comment
            .signals
            .into_iter()
            .map(|signal| proto::Signal {
                name: signal.name.as_str().to_owned(),
                weight: signal.weight.to_f64(),
                detail: signal.detail,
            })
            .collect(),
        contributions: contributions
            .into_iter()
            .map(|part| proto::Contribution {
                name: part.name,
                weight: LogOdds::to_f64(part.weight),
            })
            .collect(),
        missing_inputs: comment.missing.iter().map(|input| input.as_str().to_owned()).collect(),
        degraded_parts: comment.degraded.iter().map(|part| part.as_str().to_owned()).collect(),
        model_version,
        public_comment: Some(proto::PublicComment {
            text: submission.text,
            author: without_bidi_controls(submission.author.as_deref().unwrap_or_default()),
            url: submission.url.unwrap_or_default(),
            link_rel: LINK_REL.to_owned(),
            avatar_seed: submission.avatar_seed.map(|seed| seed.to_string()).unwrap_or_default(),
            masked_email,
        }),
        check_time: Some(timestamp(comment.check_time)),
        page_uri: submission.page_uri.unwrap_or_default(),
        abuse_score,
    }
}

pub(super) fn verdict(verdict: Verdict) -> proto::Verdict {
    match verdict {
        Verdict::Approve => proto::Verdict::Approve,
        Verdict::Hold => proto::Verdict::Hold,
        Verdict::Reject => proto::Verdict::Reject,
    }
}

pub(super) fn state(state: State) -> proto::State {
    match state {
        State::Held => proto::State::Held,
        State::Approved => proto::State::Approved,
        State::Rejected => proto::State::Rejected,
    }
}

/// An instant for the wire.
pub(super) fn timestamp(time: OffsetDateTime) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: time.unix_timestamp(), nanos: time.nanosecond() as i32 }
}

/// An instant of the wire; nothing if it is not in the years 1 to 9999.
pub(super) fn instant(time: &prost_types::Timestamp) -> Option<OffsetDateTime> {
    let nanos = u32::try_from(time.nanos).ok()?;
    let time =
        OffsetDateTime::from_unix_timestamp(time.seconds).ok()?.replace_nanosecond(nanos).ok()?;
    (time.year() >= 1).then_some(time)
}
