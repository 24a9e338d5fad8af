//! The way of one comment, from what the form sent to a durable answer.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tracing::Instrument;

use super::ports::{
    LimitKey, LimitKind, LimitOutcome, RecentText, RecordedCheck, RequestMark, StoreError,
};
use super::shadow::Shadow;
use super::{Judgement, Moderation, ModerationError};
use crate::checks::Facts;
use crate::domain::{
    BlindSubmission, CheckedComment, CommentId, ContentPrint, Degraded, Fingerprint, RawSubmission,
    RequestId, Site, State, Submission,
};
use crate::text::{self, Analysis};

/// How long the author's record and recent content may take together. SQLite and the in-process
/// index answer within microseconds; a store across the network that needs longer is in trouble.
const FACTS_TIMEOUT: Duration = Duration::from_millis(250);

/// The target of spans that go into traces and never into logs; without a collector they cost
/// nothing.
const TRACE: &str = "replyguard::trace";

/// How a comment is checked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CheckOptions {
    /// The caller's id, by which a repeated call gets the first answer.
    pub request: Option<RequestId>,
    /// Another id under which the same request may have come before; only looked for. It has to be
    /// older than `request`, for those who wait for each other.
    pub earlier: Option<RequestId>,
    /// Whether fields that are not valid are left out, and none is required but the text.
    pub lenient: bool,
    /// Whether it counts against no limit: the site itself asks again, or it was counted before.
    pub unlimited: bool,
}

/// A checked comment, durable.
#[derive(Debug)]
pub struct Answer {
    /// The comment.
    pub comment: CheckedComment,
    /// Whether this is the answer to an earlier request with the same id.
    pub repeated: bool,
}

impl Moderation {
    /// Checks a comment and records it. What is recorded counts for its near duplicates also if
    /// the caller stops waiting.
    ///
    /// # Errors
    /// `Invalid`, `Limited`, `RequestIdReused`; `Unavailable` if it could not be recorded: then
    /// nothing was decided, and the caller holds the comment.
    pub async fn check(
        self: &Arc<Self>,
        site: &Site,
        raw: RawSubmission,
        mut options: CheckOptions,
    ) -> Result<Answer, ModerationError> {
        let Some(id) = options.request else {
            return self.check_new(site, raw, None, options).await;
        };
        let mark = RequestMark { id, digest: digest(site, &raw) };
        // All take their turns from the older id to the younger, so that no two wait for each other.
        let mut turns = Vec::with_capacity(2);
        for known in options.earlier.into_iter().chain([id]) {
            turns.push(self.in_flight.of((site.id.clone(), known)).await);
            // Before its answer is looked for: a first try whose caller left may be recorded in
            // between, and is then no longer among those that were counted.
            options.unlimited |= self.counted.has(&site.id, known);
            let found = self.store.find_request(&site.id, known, self.clock.now()).await;
            if let Some((digest, comment)) = found.map_err(ModerationError::Unavailable)? {
                return repeated(mark, digest, *comment);
            }
        }
        self.check_new(site, raw, Some(mark), options).await
    }

    async fn check_new(
        self: &Arc<Self>,
        site: &Site,
        raw: RawSubmission,
        mark: Option<RequestMark>,
        options: CheckOptions,
    ) -> Result<Answer, ModerationError> {
        let submission = blind(site, raw, options.lenient)?;
        let now = self.clock.now();
        let mut degraded = Vec::new();
        let models = self.models.of(&site.id);
        let (print, campaign, judgement, shadow) = {
            let analysis = Analysis::new(&submission);
            let print = analysis.print;
            if !options.unlimited {
                self.limit(site, &submission, &print, &mut degraded).await?;
            }
            if let Some(mark) = mark {
                self.counted.note(&site.id, mark.id);
            }
            let facts = self.facts(site, &submission, &print, now, &mut degraded).await;
            let rules = self.rules.of(site);
            let shadow = models.shadow.map(|shadow| {
                let judged = shadow.scorer().judge(&analysis, &rules, &facts, degraded.clone());
                (shadow, judged)
            });
            let span = tracing::info_span!(target: TRACE, "judge");
            let judge = || models.scorer.judge(&analysis, &rules, &facts, degraded);
            (print, facts.neighbours.campaign, span.in_scope(judge), shadow)
        };
        let comment = self.record_of(site, submission, print, campaign, judgement, now);
        self.leavers.finish(self.clone().record(comment, Some(print), mark, shadow)).await
    }

    /// Records a checked comment, and tells those who are to know of it. Without a print it is not
    /// counted among recent content: it is there already.
    pub(super) async fn record(
        self: Arc<Self>,
        comment: CheckedComment,
        print: Option<ContentPrint>,
        mark: Option<RequestMark>,
        shadow: Option<(Arc<Shadow>, Judgement)>,
    ) -> Result<Answer, ModerationError> {
        let span = tracing::info_span!(target: TRACE, "record");
        let recorded = self.store.record_check(&comment, mark).instrument(span).await;
        let recorded = recorded.map_err(ModerationError::Unavailable)?;
        if let Some(mark) = mark {
            self.counted.forget(&comment.site, mark.id);
        }
        match (recorded, mark) {
            (RecordedCheck::Repeated(digest, comment), Some(mark)) => {
                return repeated(mark, digest, *comment);
            }
            (RecordedCheck::New | RecordedCheck::Repeated(..), _) => {}
        }
        count(&comment);
        if comment.state == State::Held {
            self.changes.tell();
        }
        if let Some((shadow, judged)) = shadow {
            let score = comment.score.as_ref().map_or(f64::NAN, |score| score.probability);
            shadow.note(comment.id, &comment.verdict, score, &judged);
        }
        let text = print.map(|print| RecentText {
            print,
            comment: Some(comment.id),
            campaign: Some(comment.campaign),
            label: None,
        });
        if let Some(text) = text
            && let Err(error) = self.recent.insert(&comment.site, text).await
        {
            tracing::warn!(site.id = %comment.site, error = %error, "a comment did not reach the index of recent content");
        }
        Ok(Answer { comment, repeated: false })
    }

    /// What a check would answer, without recording anything.
    ///
    /// # Errors
    /// `Invalid`.
    pub async fn try_check(
        &self,
        site: &Site,
        raw: RawSubmission,
    ) -> Result<CheckedComment, ModerationError> {
        Ok(self.judged(site, blind(site, raw, true)?, None).await)
    }

    /// A comment as it is judged now, without limits. An earlier check of it, which stands in
    /// `earlier`, is no evidence.
    pub(super) async fn judged(
        &self,
        site: &Site,
        submission: BlindSubmission,
        earlier: Option<State>,
    ) -> CheckedComment {
        let now = self.clock.now();
        let mut degraded = Vec::new();
        let models = self.models.of(&site.id);
        let (print, campaign, judgement) = {
            let analysis = Analysis::new(&submission);
            let print = analysis.print;
            let mut facts = self.facts(site, &submission, &print, now, &mut degraded).await;
            if let Some(earlier) = earlier {
                super::known::leave_out(&mut facts, earlier);
            }
            let judgement = models.scorer.judge(&analysis, &self.rules.of(site), &facts, degraded);
            (print, facts.neighbours.campaign, judgement)
        };
        self.record_of(site, submission, print, campaign, judgement, now)
    }

    /// Takes the comment's share of every limit of the site.
    async fn limit(
        &self,
        site: &Site,
        submission: &BlindSubmission,
        print: &ContentPrint,
        degraded: &mut Vec<Degraded>,
    ) -> Result<(), ModerationError> {
        let keys = limit_keys(site, submission, print);
        if keys.is_empty() {
            return Ok(());
        }
        let span = tracing::info_span!(target: TRACE, "limits");
        let answer = self.limiter.take(&site.id, &keys, self.clock.steady()).instrument(span).await;
        if answer.degraded {
            degraded.push(Degraded::RateLimit);
        }
        match answer.outcome {
            LimitOutcome::Allowed => Ok(()),
            LimitOutcome::Limited { kind, retry_after } => {
                Err(ModerationError::Limited { kind, retry_after })
            }
        }
    }

    /// What is known of the author and of like texts. What cannot be read is `degraded`.
    async fn facts(
        &self,
        site: &Site,
        submission: &BlindSubmission,
        print: &ContentPrint,
        now: OffsetDateTime,
        degraded: &mut Vec<Degraded>,
    ) -> Facts {
        let author = submission.email.as_ref().map(|email| email.folded_fingerprint);
        let all = async {
            let recent = self.recent.find(&site.id, print).await?;
            let author = match author {
                Some(author) => Some(self.store.author_record(&site.id, author).await?),
                None => None,
            };
            let parent_held = self.parent_held(site, submission).await?;
            let facts = Facts { neighbours: recent.neighbours, author, parent_held, now };
            Ok::<_, StoreError>((facts, recent.degraded))
        };
        let span = tracing::info_span!(target: TRACE, "history");
        match tokio::time::timeout(FACTS_TIMEOUT, all).instrument(span).await {
            Ok(Ok((facts, alone))) => {
                degraded.extend(alone.then_some(Degraded::RecentContent));
                facts
            }
            Ok(Err(error)) => {
                tracing::error!(site.id = %site.id, error = %error, "the history could not be read");
                degraded.push(Degraded::History);
                Facts::unknown(now)
            }
            Err(_) => {
                tracing::error!(site.id = %site.id, "the history did not come in time");
                degraded.push(Degraded::Deadline);
                Facts::unknown(now)
            }
        }
    }

    /// Whether the comment replies to one that waits for a moderator. Only a parent that is named
    /// as we named it can be looked up.
    async fn parent_held(
        &self,
        site: &Site,
        submission: &BlindSubmission,
    ) -> Result<bool, StoreError> {
        let parent = submission.parent_comment.as_deref();
        match parent.and_then(|name| CommentId::from_name(name).ok()) {
            Some((parent_site, id)) if parent_site == site.id => {
                let parent = self.store.get_comment(&site.id, id).await?;
                Ok(parent.is_some_and(|parent| parent.state == State::Held))
            }
            _ => Ok(false),
        }
    }

    /// What is stored and answered.
    fn record_of(
        &self,
        site: &Site,
        submission: BlindSubmission,
        print: ContentPrint,
        campaign: Option<CommentId>,
        judgement: Judgement,
        now: OffsetDateTime,
    ) -> CheckedComment {
        // Whole milliseconds, so that what is answered is what is stored.
        let check_time = now.replace_millisecond(now.millisecond()).unwrap_or(now);
        let id = self.random.comment_id(check_time);
        CheckedComment {
            id,
            campaign: campaign.unwrap_or(id),
            uncertainty: judgement.uncertainty,
            site: site.id.clone(),
            check_time,
            missing: submission.missing(),
            submission,
            verdict: judgement.decision.verdict,
            state: State::from(judgement.decision.verdict),
            score: judgement.score,
            signals: judgement.signals,
            reasons: judgement.decision.reasons,
            degraded: judgement.degraded,
            discard: judgement.decision.discard,
            content_hash: print.content_hash,
            simhash: print.simhash,
        }
    }
}

/// What was sent, without addresses.
pub(super) fn blind(
    site: &Site,
    raw: RawSubmission,
    lenient: bool,
) -> Result<BlindSubmission, ModerationError> {
    let submission = match lenient {
        true => super::lenient::parse(raw),
        false => Submission::parse(raw, &site.policy.required),
    };
    Ok(text::hide(submission.map_err(ModerationError::Invalid)?, &site.secret))
}

fn count(comment: &CheckedComment) {
    metrics::counter!("replyguard_verdicts_total", "verdict" => comment.verdict.as_str())
        .increment(1);
    for part in &comment.degraded {
        metrics::counter!("replyguard_degraded_total", "part" => part.as_str()).increment(1);
    }
}

/// The earlier answer, if it was for the same submission.
fn repeated(
    mark: RequestMark,
    digest: Fingerprint,
    comment: CheckedComment,
) -> Result<Answer, ModerationError> {
    if digest == mark.digest {
        Ok(Answer { comment, repeated: true })
    } else {
        Err(ModerationError::RequestIdReused)
    }
}

/// A keyed digest of everything that was sent.
fn digest(site: &Site, raw: &RawSubmission) -> Fingerprint {
    let elapsed = raw.elapsed_ms.map(|elapsed| elapsed.to_string());
    let published = raw.page_publish_time.map(|time| time.unix_timestamp_nanos().to_string());
    let parts: [&str; 15] = [
        &raw.text,
        &raw.author,
        &raw.email,
        &raw.url,
        &raw.ip,
        &raw.user_agent,
        &raw.referrer,
        &raw.page_uri,
        &raw.page_title,
        &raw.parent_comment,
        &raw.lang,
        raw.honeypot.as_deref().unwrap_or("\u{1}"),
        elapsed.as_deref().unwrap_or_default(),
        published.as_deref().unwrap_or_default(),
        if raw.page_closed { "closed" } else { "open" },
    ];
    // Each part with its length in front, so that no two submissions look the same.
    let length = parts.iter().map(|part| part.len() + size_of::<u64>()).sum();
    let mut bytes = Vec::with_capacity(length);
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    site.secret.fingerprint("request", &bytes)
}

/// The limits that this comment falls under.
fn limit_keys(site: &Site, submission: &BlindSubmission, print: &ContentPrint) -> Vec<LimitKey> {
    let limits = &site.policy.limits;
    let email = submission.email.as_ref();
    let page = submission.page_uri.as_deref();
    let text = print.content_hash.to_be_bytes();
    let kinds = [
        (LimitKind::Ip, limits.ip, submission.ip.map(|ip| ip.address)),
        (LimitKind::IpPrefix, limits.ip_prefix, submission.ip.map(|ip| ip.prefix)),
        (LimitKind::Author, limits.author, email.map(|email| email.folded_fingerprint)),
        (
            LimitKind::Page,
            limits.page,
            page.map(|page| site.secret.fingerprint("page", page.as_bytes())),
        ),
        (LimitKind::Site, limits.site, Some(Fingerprint::from_bytes([0; 16]))),
        (
            LimitKind::IdenticalText,
            limits.identical_text,
            // "Thanks!" is said by many; only texts with something in them can be a flood.
            print.comparable.then(|| site.secret.fingerprint("text", &text)),
        ),
    ];
    kinds
        .into_iter()
        .filter_map(|(kind, rule, value)| Some(LimitKey { kind, value: value?, rule: rule? }))
        .collect()
}
