//! The part of a comment that has no column of its own, as bytes.
//!
//! Protobuf, because it is compact and bears new fields: a record that an older version wrote is
//! read with their defaults, and one of a newer version is read without them. Numbers are never
//! used twice for different things. The messages stand here and not with the public contract,
//! since records change for other reasons than answers. Every backend stores the same bytes.

mod wire;

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

use wire::Wire;

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
    #[prost(bool, tag = "13")]
    url_unreadable: bool,
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

/// What the search index has of a comment. The rest of [`StoredBody`] is passed over.
#[derive(Clone, PartialEq, Message)]
struct StoredWords {
    #[prost(message, required, tag = "1")]
    submission: StoredTexts,
    #[prost(message, repeated, tag = "4")]
    signals: Vec<StoredName>,
}

/// Of [`StoredSubmission`].
#[derive(Clone, PartialEq, Message)]
struct StoredTexts {
    #[prost(string, tag = "1")]
    text: String,
    #[prost(string, optional, tag = "2")]
    author: Option<String>,
    #[prost(string, optional, tag = "4")]
    url: Option<String>,
}

/// Of [`StoredPart`].
#[derive(Clone, PartialEq, Message)]
struct StoredName {
    #[prost(string, tag = "1")]
    name: String,
}

/// What can be searched for in a comment.
pub(super) struct Searched {
    /// Text, name and website.
    pub texts: Vec<String>,
    /// Names of its signals.
    pub signals: Vec<String>,
}

/// What a record says that can be searched for.
///
/// # Errors
/// As [`decode`].
pub(super) fn decode_searched(bytes: &[u8]) -> Result<Searched, StoreError> {
    let StoredWords { submission, signals } =
        StoredWords::decode(bytes).map_err(|error| corrupt(&error.to_string()))?;
    let texts = [Some(submission.text), submission.author, submission.url];
    Ok(Searched {
        texts: texts.into_iter().flatten().collect(),
        signals: signals.into_iter().map(|signal| signal.name).collect(),
    })
}

/// The record of a comment, but for what stands in columns.
pub(super) fn encode(comment: &CheckedComment) -> Vec<u8> {
    let submission = &comment.submission;
    // Room for most records, so that they grow once at most.
    let room = 1_024 + submission.text.len();
    let mut wire = Wire(Vec::with_capacity(room));
    wire.message(1, |wire| wire.submission(submission));
    if let Some(score) = &comment.score {
        wire.optional_signed(2, Some(score.raw_score.steps()));
        for one in &score.contributions {
            wire.part(3, &one.name, one.weight, "");
        }
    }
    for signal in &comment.signals {
        wire.part(4, signal.name.as_str(), signal.weight, &signal.detail);
    }
    for reason in &comment.reasons {
        wire.part(5, &reason.name, LogOdds::ZERO, &reason.description);
    }
    for missing in &comment.missing {
        wire.bytes(6, missing.as_str().as_bytes());
    }
    for part in &comment.degraded {
        wire.bytes(7, part.as_str().as_bytes());
    }
    if let Some(abuse) = comment.score.as_ref().and_then(|score| score.abuse) {
        wire.double(8, abuse);
    }
    wire.0
}

/// The record of an example, which is a submission alone.
pub(super) fn encode_submission(submission: &BlindSubmission) -> Vec<u8> {
    let mut wire = Wire(Vec::with_capacity(256 + submission.text.len()));
    wire.submission(submission);
    wire.0
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
        url_unreadable: stored.url_unreadable,
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
    use crate::domain::{CommentId, Score, State, Verdict};

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

    fn comment() -> CheckedComment {
        let print = |n| Fingerprint::from_bytes([n; 16]);
        let shape = EmailShape {
            length: 200,
            digit_count: 1,
            dot_count: 0,
            tagged: true,
            matches_author: false,
        };
        let submission = BlindSubmission {
            text: "A text of more than 127 bytes, so that its length takes two. ".repeat(3),
            author: Some(String::new()),
            email: Some(EmailTraits {
                fingerprint: print(1),
                folded_fingerprint: print(2),
                domain: "example.org".into(),
                masked: "j•••@e•••.org".into(),
                shape,
                role: false,
                disposable: true,
            }),
            url: Some("https://example.org/".into()),
            url_unreadable: true,
            ip: None,
            user_agent: None,
            referrer: None,
            page_uri: None,
            page_title: Some("Title".into()),
            page_publish_time: OffsetDateTime::from_unix_timestamp(-5).ok(),
            page_closed: true,
            parent_comment: None,
            lang: None,
            honeypot: Honeypot::Filled,
            elapsed_ms: Some(0),
            masked_address_count: 0,
            avatar_seed: Some(print(3)),
        };
        let part = |name: &str, steps| Contribution {
            name: name.into(),
            weight: LogOdds::from_steps(steps),
        };
        CheckedComment {
            id: CommentId::from_uuid(uuid::Uuid::nil()),
            site: "blog".parse().unwrap(),
            check_time: OffsetDateTime::UNIX_EPOCH,
            submission,
            verdict: Verdict::Hold,
            state: State::Held,
            score: Some(Score {
                probability: 0.5,
                raw_score: LogOdds::ZERO,
                contributions: vec![part("word:a", i64::MIN), part("rest", 300), part("", 0)],
                model_version: "base".into(),
                abuse: Some(0.0),
            }),
            signals: vec![Signal {
                name: SignalName::new("links"),
                weight: LogOdds::from_steps(-1),
                detail: "2".into(),
            }],
            reasons: vec![Reason { name: "r".into(), description: String::new() }],
            missing: vec![Missing::Email, Missing::Ip],
            degraded: vec![Degraded::History],
            discard: false,
            content_hash: 0,
            simhash: 0,
            campaign: CommentId::from_uuid(uuid::Uuid::nil()),
            uncertainty: 0.0,
        }
    }

    #[test]
    fn records_are_written_as_prost_writes_them_and_read_back() {
        let comment = comment();
        let bytes = encode(&comment);
        let stored = StoredBody::decode(bytes.as_slice()).unwrap();
        assert_eq!(stored.encode_to_vec(), bytes);
        let author = comment.submission.email.as_ref().map(|email| email.folded_fingerprint);
        let columns = || SubmissionColumns { author, ip: None, page_uri: None, lang: None };
        let body = decode(&bytes, columns()).unwrap();
        assert_eq!(body.submission, comment.submission);
        let score = comment.score.unwrap();
        assert_eq!((body.raw_score, body.abuse), (Some(score.raw_score), score.abuse));
        assert_eq!(body.contributions, score.contributions);
        assert_eq!((body.signals, body.reasons), (comment.signals, comment.reasons));
        assert_eq!((body.missing, body.degraded), (comment.missing, comment.degraded));
        let searched = decode_searched(&bytes).unwrap();
        assert_eq!(searched.texts, [&*comment.submission.text, "", "https://example.org/"]);
        assert_eq!(searched.signals, ["links"]);
        let alone = encode_submission(&comment.submission);
        assert_eq!(stored.submission.encode_to_vec(), alone);
        assert_eq!(decode_submission(&alone, columns()).unwrap(), comment.submission);
    }

    #[test]
    fn what_nobody_wrote_is_corrupt() {
        let columns = || SubmissionColumns { author: None, ip: None, page_uri: None, lang: None };
        for bytes in [&b"\x0a\x05\x0a"[..], b"\x32\x04toad", b"\x0a\x02\x48\x09", b"{\"text\":1}"] {
            assert!(matches!(decode(bytes, columns()), Err(StoreError::Corrupt(_))), "{bytes:?}");
        }
    }
}
