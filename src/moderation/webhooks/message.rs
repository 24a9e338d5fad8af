//! What is sent to a webhook: its body, and how it is signed (Standard Webhooks).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use sha2::Sha256;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::domain::{CommentId, DeliveryId, Label, SiteId, State, WebhookSecret};
use crate::moderation::ports::review::DecidedComment;
use crate::moderation::ports::webhooks::{WebhookMessage, WebhookRecord};

/// What every secret begins with, so that scanners for leaked secrets can know it.
const SECRET_PREFIX: &str = "whsec_";

/// The secret as its receiver keeps it.
pub(super) fn secret_text(secret: &WebhookSecret) -> String {
    format!("{SECRET_PREFIX}{}", STANDARD.encode(secret.as_bytes()))
}

/// The envelope of Standard Webhooks.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<T> {
    r#type: &'static str,
    timestamp: String,
    data: T,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Decisions {
    site: String,
    /// The token of `WatchDecisions` after these.
    resume_token: String,
    decisions: Vec<Decision>,
}

/// `CommentDecision` of the contract in its JSON mapping.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Decision {
    comment: String,
    decision: String,
    action: &'static str,
    actor: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    previous_state: &'static str,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'static str>,
    decide_time: String,
}

#[derive(Serialize)]
struct Ping {
    site: String,
}

fn rfc3339(time: OffsetDateTime) -> String {
    time.format(&Rfc3339).unwrap_or_default()
}

fn state(state: State) -> &'static str {
    match state {
        State::Held => "STATE_HELD",
        State::Approved => "STATE_APPROVED",
        State::Rejected => "STATE_REJECTED",
    }
}

fn label(label: Label) -> &'static str {
    match label {
        Label::Ham => "LABEL_HAM",
        Label::Spam => "LABEL_SPAM",
    }
}

fn decision(site: &SiteId, decided: DecidedComment) -> Decision {
    Decision {
        comment: decided.comment.name(site),
        decision: decided.decision.name(site),
        action: decided.action.as_str(),
        actor: decided.actor,
        note: decided.note,
        previous_state: state(decided.state_before),
        state: state(decided.state_after),
        label: decided.label_after.map(label),
        decide_time: rfc3339(decided.time),
    }
}

fn json<T: Serialize>(r#type: &'static str, time: OffsetDateTime, data: T) -> Vec<u8> {
    let envelope = Envelope { r#type, timestamp: rfc3339(time), data };
    serde_json::to_vec(&envelope).expect("texts and numbers are JSON")
}

/// The body that tells what was decided; the same bytes at each attempt.
pub(super) fn decisions_body(
    site: &SiteId,
    time: OffsetDateTime,
    decided: Vec<DecidedComment>,
) -> Vec<u8> {
    let last = decided.last().map_or(0, |decided| decided.position);
    let data = Decisions {
        site: site.name(),
        resume_token: last.to_string(),
        decisions: decided.into_iter().map(|decided| decision(site, decided)).collect(),
    };
    json("comments.decided", time, data)
}

/// The body of a test.
pub(super) fn ping_body(site: &SiteId, time: OffsetDateTime) -> Vec<u8> {
    json("ping", time, Ping { site: site.name() })
}

/// One signature: HMAC-SHA-256 over id, timestamp and body.
fn signature(secret: &WebhookSecret, id: &str, timestamp: i64, body: &[u8]) -> String {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

/// The message of an attempt at `now`. During a rotation both secrets sign.
pub(super) fn signed(
    webhook: &WebhookRecord,
    id: DeliveryId,
    body: Vec<u8>,
    now: OffsetDateTime,
) -> WebhookMessage {
    let (id, timestamp) = (id.to_string(), now.unix_timestamp());
    let previous = webhook.previous.as_ref().filter(|(_, until)| *until > now);
    let secrets = [Some(&webhook.secret), previous.map(|(secret, _)| secret)];
    let signatures: Vec<_> = secrets
        .into_iter()
        .flatten()
        .map(|secret| signature(secret, &id, timestamp, &body))
        .collect();
    let headers = vec![
        ("webhook-id", id),
        ("webhook-timestamp", timestamp.to_string()),
        ("webhook-signature", signatures.join(" ")),
    ];
    WebhookMessage { uri: webhook.uri.clone(), headers, body }
}

/// What a client of Akismet is told of a comment: its guid, whether it is spam, its page.
#[derive(Serialize)]
struct AkismetResult<'a> {
    guid: String,
    result: &'static str,
    #[serde(rename = "comment_post_ID")]
    page_id: PageId<'a>,
}

/// A number where it is one.
#[derive(Serialize)]
#[serde(untagged)]
enum PageId<'a> {
    Number(u64),
    Text(&'a str),
}

#[derive(Serialize)]
struct AkismetBody<'a> {
    key: &'a str,
    endpoint: &'static str,
    comments: Vec<AkismetResult<'a>>,
}

/// The message that Akismet's client takes: where comments stand now, with its page ids. It
/// knows no word for one that is held again.
pub(super) fn akismet(
    webhook: &WebhookRecord,
    key: &str,
    told: &[(CommentId, State, String)],
) -> WebhookMessage {
    let comments = told.iter().filter_map(|(id, state, page_id)| {
        let result = match state {
            State::Approved => "false",
            State::Rejected => "true",
            State::Held => return None,
        };
        let page_id = page_id.parse().map_or(PageId::Text(page_id), PageId::Number);
        Some(AkismetResult { guid: id.to_string(), result, page_id })
    });
    let body = AkismetBody { key, endpoint: "comment-check", comments: comments.collect() };
    let body = serde_json::to_vec(&body).expect("texts and numbers are JSON");
    let headers = vec![("x-akismet-webhook", "1".to_owned())];
    WebhookMessage { uri: webhook.uri.clone(), headers, body }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Action, DecisionId, WebhookId};
    use uuid::Uuid;

    fn webhook(now: OffsetDateTime) -> WebhookRecord {
        WebhookRecord {
            id: WebhookId::from_uuid(Uuid::nil()),
            site: "blog".parse().unwrap(),
            uri: "https://blog.example.org/hook".parse().unwrap(),
            secret: WebhookSecret::from_bytes([1; 32]),
            previous: Some((WebhookSecret::from_bytes([2; 32]), now + time::Duration::HOUR)),
            disabled: false,
            position: 0,
            revision: 1,
            create_time: now,
            dead_count: 0,
            akismet_key: None,
        }
    }

    #[test]
    fn both_secrets_sign_until_the_old_one_ends() {
        let now = OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap();
        let webhook = webhook(now);
        let id = DeliveryId::from_uuid(Uuid::from_u128(7));
        let sent = signed(&webhook, id, b"{}".to_vec(), now);
        let header = |message: &WebhookMessage, name: &str| {
            message.headers.iter().find(|(known, _)| *known == name).unwrap().1.clone()
        };
        assert_eq!(header(&sent, "webhook-timestamp"), "1700000000");
        // Computed with Python's hmac and base64.
        let [first, second] = [
            "v1,3lEIVH+42f0auGyhGv2bhCjvmE40VyHtRHKT7Mr6PX4=",
            "v1,kJD/25W0sg33hrK3PeH5IZZRzXUhp5JtRKDsox0iSGY=",
        ];
        assert_eq!(header(&sent, "webhook-signature"), format!("{first} {second}"));
        let later = signed(&webhook, id, b"{}".to_vec(), now + time::Duration::HOUR);
        let later = header(&later, "webhook-signature");
        assert!(later.starts_with("v1,") && !later.contains(' '), "{later}");
    }

    #[test]
    fn bodies_name_what_was_decided() {
        let site: SiteId = "blog".parse().unwrap();
        let time = OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap();
        let decided = DecidedComment {
            position: 42,
            decision: DecisionId::from_uuid(Uuid::from_u128(1)),
            comment: CommentId::from_uuid(Uuid::from_u128(2)),
            action: Action::RejectSpam,
            actor: "moderator:ana".into(),
            note: None,
            state_before: State::Held,
            state_after: State::Rejected,
            label_before: None,
            label_after: Some(Label::Spam),
            time,
        };
        let body = decisions_body(&site, time, vec![decided]);
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["type"], "comments.decided");
        assert_eq!(body["timestamp"], "2023-11-14T22:13:20Z");
        assert_eq!(body["data"]["resumeToken"], "42");
        let decision = &body["data"]["decisions"][0];
        assert_eq!(decision["previousState"], "STATE_HELD");
        assert_eq!(decision["state"], "STATE_REJECTED");
        assert_eq!(decision["label"], "LABEL_SPAM");
        assert!(decision.get("note").is_none());
    }
}
