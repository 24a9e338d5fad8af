//! Errors of the use cases as gRPC statuses with details (AIP-193).

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation as DetailViolation, StatusExt};

use super::proto;
use crate::moderation::ModerationError;

/// The domain of all reasons.
const DOMAIN: &str = "replyguard";

/// The code for an error.
fn code(error: &ModerationError) -> Code {
    match error {
        ModerationError::Invalid(_) | ModerationError::RequestIdReused => Code::InvalidArgument,
        ModerationError::Limited { .. }
        | ModerationError::CallsTooFast { .. }
        | ModerationError::GuessesTooFast { .. } => Code::ResourceExhausted,
        ModerationError::KeyMissing | ModerationError::KeyInvalid => Code::Unauthenticated,
        ModerationError::ForeignSite | ModerationError::ScopeMissing(_) => Code::PermissionDenied,
        ModerationError::NotFound(_) => Code::NotFound,
        ModerationError::AlreadyExists(_) => Code::AlreadyExists,
        ModerationError::Conflict(_)
        | ModerationError::Interrupted
        | ModerationError::ErasedMeanwhile => Code::Aborted,
        ModerationError::Claimed(_)
        | ModerationError::NothingToDo
        | ModerationError::TooFewLabels(_)
        | ModerationError::GateClosed(_)
        | ModerationError::NothingBefore
        | ModerationError::WorkRuns
        | ModerationError::LastAdministrator
        | ModerationError::AccountDisabled
        | ModerationError::TooManyWebhooks(_)
        | ModerationError::ForeignBase(..) => Code::FailedPrecondition,
        ModerationError::Cancelled => Code::Cancelled,
        ModerationError::Unavailable(_) => Code::Unavailable,
    }
}

/// Waits are given in whole seconds, rounded up, so that obeying them always suffices.
fn whole_seconds(wait: Duration) -> Duration {
    Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
}

/// The end of a stream when the server leaves: to be asked for again, at another replica.
pub(super) fn leaving() -> Status {
    let details = ErrorDetails::with_error_info("replica-leaving", DOMAIN, []);
    let text = "replica-leaving: the server ends; go on from the last token.";
    Status::with_error_details(Code::Unavailable, text, details)
}

/// The status for a request that could not be read at all.
pub(super) fn unreadable(reason: &str, text: &str) -> Status {
    let details = ErrorDetails::with_error_info(reason, DOMAIN, []);
    Status::with_error_details(Code::InvalidArgument, format!("{reason}: {text}"), details)
}

/// The status for an error. The cause of an outage is logged here and not sent.
pub(super) fn status(error: ModerationError) -> Status {
    if let ModerationError::Unavailable(cause) = &error {
        tracing::error!(error = %cause, "a call failed because of the store");
    }
    let mut details = ErrorDetails::with_error_info(error.reason(), DOMAIN, []);
    if let Some(wait) = error.retry_after() {
        details.set_retry_info(Some(whole_seconds(wait)));
    }
    if let ModerationError::Invalid(violations) = &error {
        let described = violations.iter().map(|violation| {
            let text = format!("{}: {}", violation.reason, violation.description);
            DetailViolation::new(violation.field, text)
        });
        details.set_bad_request(described.collect::<Vec<_>>());
    }
    Status::with_error_details(code(&error), message(&error), details)
}

/// One sentence; for invalid fields it names them.
fn message(error: &ModerationError) -> String {
    match error {
        ModerationError::Invalid(violations) => {
            let named = violations.iter().map(|v| format!("{} ({})", v.field, v.reason));
            format!("Invalid fields: {}.", named.collect::<Vec<_>>().join(", "))
        }
        other => format!("{}: {other}.", other.reason()),
    }
}

/// Code and sentence, for an operation that failed.
pub(super) fn parts(error: &ModerationError) -> (i32, String) {
    (code(error).into(), message(error))
}

/// The same error inside a batch.
pub(super) fn check_error(error: ModerationError) -> proto::CheckError {
    let retry_delay = error.retry_after().map(whole_seconds);
    let retry_delay = retry_delay.and_then(|wait| prost_types::Duration::try_from(wait).ok());
    let field_violations = match &error {
        ModerationError::Invalid(violations) => violations
            .iter()
            .map(|violation| proto::FieldViolation {
                field: violation.field.into(),
                reason: violation.reason.into(),
                description: violation.description.clone(),
            })
            .collect(),
        _ => Vec::new(),
    };
    proto::CheckError {
        code: code(&error).into(),
        reason: error.reason().into(),
        message: message(&error),
        field_violations,
        retry_delay,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::FieldViolation;
    use crate::moderation::ports::LimitKind;

    #[test]
    fn invalid_fields_carry_path_and_reason() {
        let status = status(ModerationError::Invalid(vec![FieldViolation {
            field: "comment.email",
            reason: "invalid-email",
            description: "This is not an e-mail address.".into(),
        }]));
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(status.message(), "Invalid fields: comment.email (invalid-email).");
        let details = status.get_error_details();
        assert_eq!(details.error_info().unwrap().reason, "invalid-fields");
        assert!(details.retry_info().is_none(), "waiting does not help");
        assert_eq!(details.bad_request().unwrap().field_violations[0].field, "comment.email");
    }

    #[test]
    fn floods_say_when_to_come_back() {
        let flood = || ModerationError::Limited {
            kind: LimitKind::Ip,
            retry_after: Duration::from_millis(14_001),
        };
        let status = status(flood());
        assert_eq!(status.code(), Code::ResourceExhausted);
        let details = status.get_error_details();
        assert_eq!(details.error_info().unwrap().reason, "comment-flood");
        assert_eq!(details.retry_info().unwrap().retry_delay, Some(Duration::from_secs(15)));
        assert_eq!(check_error(flood()).retry_delay.unwrap().seconds, 15);
    }
}
