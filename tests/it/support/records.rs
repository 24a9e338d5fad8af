//! Sites, keys and comments to store.

use replyguard::domain::{
    BlindSubmission, CheckedComment, CommentId, Contribution, Degraded, EmailShape, EmailTraits,
    Fingerprint, Honeypot, IpFingerprints, KeyScope, Label, LogOdds, Missing, Reason, RequestId,
    Score, Signal, SignalName, Site, SiteId, SitePolicy, SiteSecret, State, Verdict, probability,
};
use replyguard::moderation::ports::models::{ModelRecord, ModelState};
use replyguard::moderation::ports::{KeyRecord, LabelEntry, Reporter, RequestMark};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// An instant to start from, in whole milliseconds.
pub fn start() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_790_000_000).unwrap()
}

pub fn site_id(id: &str) -> SiteId {
    id.parse().unwrap()
}

pub fn site(id: &str) -> Site {
    Site {
        id: site_id(id),
        display_name: format!("The {id}"),
        secret: SiteSecret::from_bytes([7; 32]),
        policy: SitePolicy { hold_threshold: Some(0.5), ..SitePolicy::default() },
        revision: 1,
        create_time: start(),
    }
}

pub fn key(site: &str, n: u8) -> KeyRecord {
    KeyRecord {
        id: Uuid::from_u128(u128::from(n)),
        site: site_id(site),
        hash: [n; 32],
        scopes: vec![KeyScope::Check, KeyScope::Review],
        display_name: format!("key {n}"),
        create_time: start() + Duration::seconds(i64::from(n)),
        revoke_time: None,
        use_time: None,
    }
}

pub fn fingerprint(n: u64) -> Fingerprint {
    Fingerprint::from_bytes(u128::from(n).to_be_bytes())
}

/// A UUIDv7 of the `n`th comment, which is checked `n` milliseconds after [`start`].
pub fn comment_id(n: u64) -> CommentId {
    let millis = u128::try_from(start().unix_timestamp_nanos() / 1_000_000).unwrap();
    CommentId::from_uuid(Uuid::from_u128(
        (millis + u128::from(n)) << 80 | 7 << 76 | 2 << 62 | u128::from(n),
    ))
}

/// A mark for the request `n` with the digest `digest`.
pub fn request(n: u64, digest: u64) -> RequestMark {
    RequestMark { id: request_id(n), digest: fingerprint(digest) }
}

pub fn request_id(n: u64) -> RequestId {
    // Spread as random ids are.
    RequestId::from_uuid(Uuid::from_u64_pair(n.wrapping_mul(0x9E37_79B9_7F4A_7C15), n))
}

pub fn label(site: &str, n: u64, label: Label) -> LabelEntry {
    LabelEntry {
        comment: comment_id(n),
        site: site_id(site),
        label,
        reporter: Reporter::Moderator,
        reporter_name: Some("jane".into()),
        note: Some("seen before".into()),
        time: start() + Duration::minutes(5),
    }
}

/// The `n`th comment of a site as the service would record it, by author `author`.
pub fn comment(site: &str, n: u64, author: Option<u64>, state: State) -> CheckedComment {
    let verdict = match state {
        State::Approved => Verdict::Approve,
        State::Held => Verdict::Hold,
        State::Rejected => Verdict::Reject,
    };
    let raw_score = LogOdds::from_f64(0.1 + n as f64 / 3.0 % 7.0);
    CheckedComment {
        id: comment_id(n),
        site: site_id(site),
        check_time: start() + Duration::milliseconds(n as i64),
        submission: submission(n, author),
        verdict,
        state,
        score: Some(Score {
            probability: probability(raw_score),
            raw_score,
            contributions: contributions(),
            model_version: "base-1".into(),
            abuse: n.is_multiple_of(3).then_some(0.25),
        }),
        signals: vec![Signal {
            name: SignalName::new("links"),
            weight: LogOdds::from_f64(0.3),
            detail: "2 links".into(),
        }],
        reasons: vec![Reason {
            name: "score-above-hold-threshold".into(),
            description: "The score is above the site's threshold.".into(),
        }],
        missing: vec![Missing::Honeypot],
        degraded: vec![Degraded::RateLimit],
        discard: n.is_multiple_of(2),
        content_hash: u64::MAX - n,
        simhash: 1 << 127 | u128::from(n),
        campaign: comment_id(n),
        uncertainty: 1.0 + (n % 3) as f64,
    }
}

fn contributions() -> Vec<Contribution> {
    let named =
        |name: &str, weight| Contribution { name: name.into(), weight: LogOdds::from_f64(weight) };
    vec![
        named("word:bitcoin", 1.25),
        named("host:example.com", 0.731),
        named("chars:casi", 0.5),
        named("word:thanks", -0.45),
        named("bias", -1.3),
        named("rest", 0.07),
    ]
}

fn submission(n: u64, author: Option<u64>) -> BlindSubmission {
    let text = "Thanks for this, it helped me to get my old scanner going again. One more \
                question: does the driver need the firmware from the vendor's page, or is the \
                one in the distribution enough? I could not find it in the article. ";
    BlindSubmission {
        text: format!("{text}{n}"),
        author: Some("Jane Doe".into()),
        email: author.map(email),
        url: Some("https://jane.example/".into()),
        url_unreadable: false,
        ip: Some(IpFingerprints { address: fingerprint(n), prefix: fingerprint(n / 256) }),
        user_agent: None,
        referrer: None,
        page_uri: Some(format!("https://blog.example/{}", n % 10)),
        page_title: Some("Old scanners, new drivers".into()),
        page_publish_time: Some(start() - Duration::days(3)),
        page_closed: false,
        parent_comment: None,
        lang: Some("en".into()),
        honeypot: Honeypot::Empty,
        elapsed_ms: Some(31_000),
        masked_address_count: 0,
        avatar_seed: Some(fingerprint(n + 1)),
    }
}

fn email(author: u64) -> EmailTraits {
    EmailTraits {
        fingerprint: fingerprint(author + 1_000_000),
        folded_fingerprint: fingerprint(author),
        domain: "example.org".into(),
        masked: "j•••@e•••.org".into(),
        shape: EmailShape {
            length: 8,
            digit_count: 0,
            dot_count: 1,
            tagged: false,
            matches_author: true,
        },
        role: false,
        disposable: false,
    }
}

/// A candidate of the site `blog`.
pub fn model(version: &str) -> ModelRecord {
    ModelRecord {
        site: site_id("blog"),
        version: version.into(),
        state: ModelState::Candidate,
        create_time: start(),
        promote_time: None,
        ledger_position: 12,
        base_version: "base-1".into(),
        ham_count: 40,
        spam_count: 20,
        report: "{}".into(),
    }
}
