//! `comment-check`: what each verdict becomes.
//!
//! Approved is `false`, rejected is `true`, each with 200. Held is neither: a status that is no
//! success, an empty body and `X-akismet-error`, which makes WordPress keep the comment for a
//! moderator and every library throw. Where the site's policy says so and the client gave an
//! address for the decision, it is `false` with `X-akismet-recheck-after` and a later call.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;

use super::comment::{request_ids, submission};
use super::reply::Reply;
use super::{Akismet, Call};
use crate::domain::{CheckedComment, CommentId, Site, State, is_blank};
use crate::moderation::ports::review::ReviewedComment;
use crate::moderation::{CheckOptions, ModerationError};

/// The time for an answer. One client waits for a second, WordPress lets its visitor wait.
const DEADLINE: Duration = Duration::from_millis(300);
/// Seconds after which a client that waits for a decision may ask again: a day.
const RECHECK_AFTER_S: &str = "86400";

pub(super) async fn answer(akismet: &Akismet, call: &Call) -> Response {
    match tokio::time::timeout(DEADLINE, answer_in_time(akismet, call)).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => call.reply(Reply::error(&error)),
        // What was recorded meanwhile is found by the next copy.
        Err(_) => {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            call.reply(Reply::undecided(status, "No answer came in time."))
        }
    }
}

async fn answer_in_time(akismet: &Akismet, call: &Call) -> Result<Response, ModerationError> {
    let (_, site) = akismet.site(call).await?;
    let (moderation, fields) = (akismet.moderation(), &call.fields);
    if fields.first(&["blog"]).is_empty() {
        return Ok(call.reply(Reply::invalid("Empty \"blog\" value")));
    }
    if let Some(word) = fixed(call) {
        return Ok(call.reply(Reply::word(word)));
    }
    let raw = submission(fields, true);
    if is_blank(&raw.text) {
        return Ok(call.reply(Reply::invalid("Empty \"comment_content\" value")));
    }
    // WordPress asks about a pingback before it has its text, and again when it has.
    if fields.flag("is_test") || fields.flag("akismet_pre_check") {
        let tried = moderation.try_check(&site, raw).await?;
        return Ok(verdict(akismet, &site, &tried, false, &call.guid));
    }
    let again = !fields.first(&["recheck_reason"]).is_empty();
    if again
        && let Some(mut known) = moderation.check_again(&site, raw.clone(), named(call)).await?
    {
        let waits = wait(akismet, &site, call, &mut known).await?;
        return Ok(verdict(akismet, &site, &known, waits, &guid(known.id)));
    }
    let ids = (!again).then(|| request_ids(&site, fields, moderation.now()));
    let options = CheckOptions {
        request: ids.map(|(id, _)| id),
        earlier: ids.and_then(|(_, earlier)| earlier),
        lenient: true,
        unlimited: again,
    };
    let mut checked = moderation.check(&site, raw, options).await?.comment;
    let waits = wait(akismet, &site, call, &mut checked).await?;
    Ok(verdict(akismet, &site, &checked, waits, &guid(checked.id)))
}

/// Whether the client will be called back about this comment.
async fn wait(
    akismet: &Akismet,
    site: &Site,
    call: &Call,
    comment: &mut CheckedComment,
) -> Result<bool, ModerationError> {
    let (moderation, fields) = (akismet.moderation(), &call.fields);
    let callback = fields.first(&["callback"]);
    if callback.is_empty() {
        return Ok(false);
    }
    let page_id = fields.get("comment_post_ID");
    match moderation.await_akismet(site, comment.id, &call.key, callback, page_id).await {
        Ok(state) => {
            comment.state = state;
            Ok(true)
        }
        Err(error @ ModerationError::Unavailable(_)) => Err(error),
        Err(error) => {
            tracing::warn!(site.id = %site.id, reason = error.reason(), "a callback is not taken");
            Ok(false)
        }
    }
}

fn guid(id: CommentId) -> String {
    id.to_string()
}

/// The answers that clients' own tests rely on. Nothing is recorded then.
fn fixed(call: &Call) -> Option<&'static str> {
    let fields = &call.fields;
    let author = fields.get("comment_author");
    let email = fields.get("comment_author_email");
    if matches!(author, "viagra-test-123" | "akismet-guaranteed-spam")
        || email == "akismet-guaranteed-spam@example.com"
    {
        return Some("true");
    }
    fields.list("user_role").any(|role| role == "administrator").then_some("false")
}

/// The comment that a client names by its guid.
fn named(call: &Call) -> Option<CommentId> {
    let guid = call.fields.first(&["guid", "akismet_guid"]);
    uuid::Uuid::parse_str(guid).ok().map(CommentId::from_uuid)
}

/// The check of a comment that feedback speaks of: by its guid, else by page, author and text,
/// which is not escaped.
pub(super) async fn find(
    akismet: &Akismet,
    site: &Site,
    call: &Call,
) -> Result<Option<ReviewedComment>, ModerationError> {
    let moderation = akismet.moderation();
    if let Some(id) = named(call) {
        match moderation.review_detail(site, id).await {
            Ok(detail) => return Ok(Some(detail.reviewed)),
            Err(ModerationError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    let raw = submission(&call.fields, false);
    if is_blank(&raw.text) { Ok(None) } else { moderation.find_check(site, raw).await }
}

/// The answer for where a comment stands.
fn verdict(
    akismet: &Akismet,
    site: &Site,
    comment: &CheckedComment,
    waits: bool,
    guid: &str,
) -> Response {
    let policy = &site.policy;
    let reply = match comment.state {
        State::Approved => Reply::word("false"),
        State::Rejected if comment.discard && policy.akismet_discards => {
            Reply::word("true").with("x-akismet-pro-tip", "discard")
        }
        State::Rejected => Reply::word("true"),
        State::Held if waits && policy.akismet_rechecks => {
            Reply::word("false").with("x-akismet-recheck-after", RECHECK_AFTER_S)
        }
        State::Held => {
            let why = "Held: a moderator is to decide on this comment.";
            Reply::undecided(StatusCode::UNPROCESSABLE_ENTITY, why)
        }
    };
    let reasons: Vec<_> = comment.reasons.iter().map(|reason| &*reason.name).collect();
    let mut reply = reply
        .with("x-replyguard-verdict", comment.verdict.as_str())
        .with("x-replyguard-reasons", &reasons.join(", "))
        .with("x-replyguard-comment", &akismet.comment_url(site, guid));
    if let Some(score) = &comment.score {
        reply = reply
            .with("x-replyguard-score", &format!("{:.4}", score.probability))
            .with("x-replyguard-model", &score.model_version);
    }
    if !comment.degraded.is_empty() {
        let parts: Vec<_> = comment.degraded.iter().map(|part| part.as_str()).collect();
        reply = reply.with("x-replyguard-degraded", &parts.join(", "));
    }
    reply.into_response(guid)
}
