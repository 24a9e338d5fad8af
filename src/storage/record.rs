//! The part of a comment that has no column of its own, as bytes.
//!
//! Protobuf, because it is compact and bears new fields: a record that an older version wrote is
//! read with their defaults, and one of a newer version is read without them. Numbers are never
//! used twice for different things. The messages stand here and not with the public contract,
//! since records change for other reasons than answers. Every backend stores the same bytes.

use prost::Message;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as WordError, StrDeserializer};
use time::OffsetDateTime;

use crate::domain::{
    BlindSubmission, CheckedComment, Contribution, Degraded, EmailShape, EmailTraits, Fingerprint,
    Honeypot, IpFingerprints, LogOdds, Missing, Reason, Signal, SignalName,
};
use crate::moderation::ports::StoreError;

/// What a comment's columns say of its submission.
pub(super) struct SubmissionColumns {
    /// Fingerprint of the folded address.
    pub author: Option<Fingerprint>,
    /// Fingerprints of the IP address.
    pub ip: Option<IpFingerprints>,
    /// Where the comment stands.
    pub page_uri: Option<String>,
    /// Language of the page.
    pub lang: Option<String>,
}

/// What a record says, as domain values.
pub(super) struct Body {
    pub submission: BlindSubmission,
    pub raw_score: Option<LogOdds>,
    pub contributions: Vec<Contribution>,
    pub signals: Vec<Signal>,
    pub reasons: Vec<Reason>,
    pub missing: Vec<Missing>,
    pub degraded: Vec<Degraded>,
    pub abuse: Option<f64>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredBody {
    #[prost(message, required, tag = "1")]
    submission: StoredSubmission,
    /// Steps of `LogOdds`.
    #[prost(sint64, optional, tag = "2")]
    raw_score: Option<i64>,
    #[prost(message, repeated, tag = "3")]
    contributions: Vec<StoredPart>,
    #[prost(message, repeated, tag = "4")]
    signals: Vec<StoredPart>,
    #[prost(message, repeated, tag = "5")]
    reasons: Vec<StoredPart>,
    #[prost(string, repeated, tag = "6")]
    missing: Vec<String>,
    #[prost(string, repeated, tag = "7")]
    degraded: Vec<String>,
    /// Probability.
    #[prost(double, optional, tag = "8")]
    abuse: Option<f64>,
}

/// A contribution, a signal or a reason.
#[derive(Clone, PartialEq, Message)]
struct StoredPart {
    #[prost(string, tag = "1")]
    name: String,
    /// Steps of `LogOdds`.
    #[prost(sint64, tag = "2")]
    weight: i64,
    #[prost(string, tag = "3")]
    text: String,
}

#[derive(Clone, PartialEq, Message)]
struct StoredSubmission {
    #[prost(string, tag = "1")]
    text: String,
    #[prost(string, optional, tag = "2")]
    author: Option<String>,
    #[prost(message, optional, tag = "3")]
    email: Option<StoredEmail>,
    #[prost(string, optional, tag = "4")]
    url: Option<String>,
    #[prost(string, optional, tag = "5")]
    page_title: Option<String>,
    #[prost(message, optional, tag = "6")]
    page_publish_time: Option<StoredTime>,
    #[prost(bool, tag = "7")]
    page_closed: bool,
    #[prost(string, optional, tag = "8")]
    parent_comment: Option<String>,
    /// 0: the form has no such field; 1: it was empty; 2: it was filled.
    #[prost(uint32, tag = "9")]
    honeypot: u32,
    #[prost(sint64, optional, tag = "10")]
    elapsed_ms: Option<i64>,
    #[prost(uint32, tag = "11")]
    masked_address_count: u32,
    #[prost(bytes = "vec", optional, tag = "12")]
    avatar_seed: Option<Vec<u8>>,
}

/// Its folded fingerprint is the column `author`.
#[derive(Clone, PartialEq, Message)]
struct StoredEmail {
    #[prost(bytes = "vec", tag = "1")]
    fingerprint: Vec<u8>,
    #[prost(string, tag = "2")]
    domain: String,
    #[prost(string, tag = "3")]
    masked: String,
    #[prost(uint32, tag = "4")]
    length: u32,
    #[prost(uint32, tag = "5")]
    digit_count: u32,
    #[prost(uint32, tag = "6")]
    dot_count: u32,
    #[prost(bool, tag = "7")]
    tagged: bool,
    #[prost(bool, tag = "8")]
    matches_author: bool,
    #[prost(bool, tag = "9")]
    role: bool,
    #[prost(bool, tag = "10")]
    disposable: bool,
}

#[derive(Clone, PartialEq, Message)]
struct StoredTime {
    #[prost(sint64, tag = "1")]
    seconds: i64,
    #[prost(uint32, tag = "2")]
    nanos: u32,
}

/// The record of a comment, but for what stands in columns.
pub(super) fn encode(comment: &CheckedComment) -> Vec<u8> {
    let contributions = comment.score.iter().flat_map(|score| &score.contributions);
    let part = |name: &str, weight: LogOdds, text: &str| StoredPart {
        name: name.to_owned(),
        weight: weight.steps(),
        text: text.to_owned(),
    };
    let body = StoredBody {
        submission: stored_submission(&comment.submission),
        raw_score: comment.score.as_ref().map(|score| score.raw_score.steps()),
        contributions: contributions.map(|one| part(&one.name, one.weight, "")).collect(),
        signals: comment
            .signals
            .iter()
            .map(|signal| part(signal.name.as_str(), signal.weight, &signal.detail))
            .collect(),
        reasons: comment
            .reasons
            .iter()
            .map(|reason| part(&reason.name, LogOdds::ZERO, &reason.description))
            .collect(),
        missing: comment.missing.iter().map(|missing| missing.as_str().to_owned()).collect(),
        degraded: comment.degraded.iter().map(|part| part.as_str().to_owned()).collect(),
        abuse: comment.score.as_ref().and_then(|score| score.abuse),
    };
    body.encode_to_vec()
}

/// The record of an example, which is a submission alone.
pub(super) fn encode_submission(submission: &BlindSubmission) -> Vec<u8> {
    stored_submission(submission).encode_to_vec()
}

/// What the record of an example and the columns beside it say.
///
/// # Errors
/// As [`decode`].
pub(super) fn decode_submission(
    bytes: &[u8],
    columns: SubmissionColumns,
) -> Result<BlindSubmission, StoreError> {
    let stored = StoredSubmission::decode(bytes).map_err(|error| corrupt(&error.to_string()))?;
    submission(stored, columns)
}

fn stored_submission(submission: &BlindSubmission) -> StoredSubmission {
    StoredSubmission {
        text: submission.text.clone(),
        author: submission.author.clone(),
        email: submission.email.as_ref().map(|email| StoredEmail {
            fingerprint: email.fingerprint.as_bytes().to_vec(),
            domain: email.domain.clone(),
            masked: email.masked.clone(),
            length: email.shape.length,
            digit_count: email.shape.digit_count,
            dot_count: email.shape.dot_count,
            tagged: email.shape.tagged,
            matches_author: email.shape.matches_author,
            role: email.role,
            disposable: email.disposable,
        }),
        url: submission.url.clone(),
        page_title: submission.page_title.clone(),
        page_publish_time: submission
            .page_publish_time
            .map(|time| StoredTime { seconds: time.unix_timestamp(), nanos: time.nanosecond() }),
        page_closed: submission.page_closed,
        parent_comment: submission.parent_comment.clone(),
        honeypot: match submission.honeypot {
            Honeypot::Absent => 0,
            Honeypot::Empty => 1,
            Honeypot::Filled => 2,
        },
        elapsed_ms: submission.elapsed_ms,
        masked_address_count: submission.masked_address_count,
        avatar_seed: submission.avatar_seed.map(|seed| seed.as_bytes().to_vec()),
    }
}

/// What a record and the columns beside it say.
///
/// # Errors
/// `Corrupt` if no version of this program up to this one could have written that.
pub(super) fn decode(bytes: &[u8], columns: SubmissionColumns) -> Result<Body, StoreError> {
    let body = StoredBody::decode(bytes).map_err(|error| corrupt(&error.to_string()))?;
    let weight = LogOdds::from_steps;
    Ok(Body {
        submission: submission(body.submission, columns)?,
        raw_score: body.raw_score.map(weight),
        contributions: body
            .contributions
            .into_iter()
            .map(|part| Contribution { name: part.name, weight: weight(part.weight) })
            .collect(),
        signals: body
            .signals
            .into_iter()
            .map(|part| Signal {
                name: SignalName::from_stored(part.name),
                weight: weight(part.weight),
                detail: part.text,
            })
            .collect(),
        reasons: body
            .reasons
            .into_iter()
            .map(|part| Reason { name: part.name.into(), description: part.text })
            .collect(),
        missing: body.missing.iter().map(|name| word(name)).collect::<Result<_, _>>()?,
        degraded: body.degraded.iter().map(|name| word(name)).collect::<Result<_, _>>()?,
        abuse: body.abuse,
    })
}

fn submission(
    stored: StoredSubmission,
    columns: SubmissionColumns,
) -> Result<BlindSubmission, StoreError> {
    let email = match (stored.email, columns.author) {
        (Some(email), Some(folded_fingerprint)) => Some(EmailTraits {
            fingerprint: fingerprint(&email.fingerprint)?,
            folded_fingerprint,
            domain: email.domain,
            masked: email.masked,
            shape: EmailShape {
                length: email.length,
                digit_count: email.digit_count,
                dot_count: email.dot_count,
                tagged: email.tagged,
                matches_author: email.matches_author,
            },
            role: email.role,
            disposable: email.disposable,
        }),
        _ => None,
    };
    Ok(BlindSubmission {
        text: stored.text,
        author: stored.author,
        email,
        url: stored.url,
        ip: columns.ip,
        user_agent: None,
        referrer: None,
        page_uri: columns.page_uri,
        page_title: stored.page_title,
        page_publish_time: stored.page_publish_time.map(instant).transpose()?,
        page_closed: stored.page_closed,
        parent_comment: stored.parent_comment,
        lang: columns.lang,
        honeypot: match stored.honeypot {
            0 => Honeypot::Absent,
            1 => Honeypot::Empty,
            2 => Honeypot::Filled,
            _ => return Err(corrupt("a honeypot of another version")),
        },
        elapsed_ms: stored.elapsed_ms,
        masked_address_count: stored.masked_address_count,
        avatar_seed: stored.avatar_seed.map(|seed| fingerprint(&seed)).transpose()?,
    })
}

fn fingerprint(bytes: &[u8]) -> Result<Fingerprint, StoreError> {
    let bytes = bytes.try_into().map_err(|_| corrupt("a fingerprint has 16 bytes"))?;
    Ok(Fingerprint::from_bytes(bytes))
}

fn instant(stored: StoredTime) -> Result<OffsetDateTime, StoreError> {
    OffsetDateTime::from_unix_timestamp(stored.seconds)
        .and_then(|time| time.replace_nanosecond(stored.nanos))
        .map_err(|error| corrupt(&error.to_string()))
}

/// The value with this kebab-case name.
fn word<T: for<'de> Deserialize<'de>>(name: &str) -> Result<T, StoreError> {
    let name: StrDeserializer<'_, WordError> = name.into_deserializer();
    T::deserialize(name).map_err(|error| corrupt(&error.to_string()))
}

fn corrupt(what: &str) -> StoreError {
    StoreError::Corrupt(what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands in databases stays readable: new fields get new numbers, and none of these
    /// bytes changes its meaning.
    #[test]
    fn an_old_record_is_read_and_an_unknown_field_passed_over() {
        let old = b"\x0a\x08\x0a\x02Hi\x48\x01\x50\x08\x10\x03\x1a\x0a\x0a\x06word:a\x10\x04\
            \x22\x08\x0a\x01s\x1a\x03\x32 l\x2a\x05\x0a\x01r\x1a\x00\x32\x05email\xf2\x07\x01x";
        let columns = SubmissionColumns { author: None, ip: None, page_uri: None, lang: None };
        let body = decode(old, columns).unwrap();
        assert_eq!(body.submission.text, "Hi");
        assert_eq!(body.submission.honeypot, Honeypot::Empty);
        assert_eq!(body.submission.elapsed_ms, Some(4));
        assert_eq!(body.raw_score, Some(LogOdds::from_steps(-2)));
        assert_eq!(body.contributions[0].name, "word:a");
        assert_eq!(body.contributions[0].weight, LogOdds::from_steps(2));
        assert_eq!(body.signals[0].detail, "2 l");
        assert_eq!(body.reasons[0].name, "r");
        assert_eq!(body.missing, [Missing::Email]);
        assert!(body.degraded.is_empty());
    }

    #[test]
    fn what_nobody_wrote_is_corrupt() {
        let columns = || SubmissionColumns { author: None, ip: None, page_uri: None, lang: None };
        for bytes in [&b"\x0a\x05\x0a"[..], b"\x32\x04toad", b"\x0a\x02\x48\x09", b"{\"text\":1}"] {
            assert!(matches!(decode(bytes, columns()), Err(StoreError::Corrupt(_))), "{bytes:?}");
        }
    }
}
