//! The moderator's desk: what waits, what is known of it, who looks at it, and what happened.

use time::Duration;

use super::paging::{cursor, token};
use super::ports::AuditEntry;
use super::ports::review::{
    BoundedCount, Claim, DayCounts, DecidedComment, DecisionRecord, ListOrder, QueueAge,
    QueueEntry, QueueOrder, ReviewedComment,
};
use super::{Actor, Moderation, ModerationError};
use crate::domain::{
    AuthorRecord, CommentFilter, CommentId, DecisionId, FilterError, Fingerprint, Site, WebhookUri,
};

/// How long a claim holds unless it is renewed: as long as it may take to read a page.
const CLAIM_LIFE: Duration = Duration::minutes(10);
/// Entries of a queue that are counted.
const QUEUE_COUNT_BOUND: u64 = 10_000;

/// Who reviews.
#[derive(Debug, Clone)]
pub struct Reviewer {
    /// The name, for the audit log and for claims.
    pub actor: Actor,
    /// Whether it is an administrator; labels have more weight then.
    pub administrator: bool,
}

/// Rows of a list and the token of the next page; empty if there is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Listing<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// The next page.
    pub next_page_token: String,
}

/// All that is known of a comment.
#[derive(Debug, Clone, PartialEq)]
pub struct ReviewDetail {
    /// The comment.
    pub reviewed: ReviewedComment,
    /// What was done to it, oldest first.
    pub history: Vec<DecidedComment>,
    /// How many comments its campaign has.
    pub campaign_count: u64,
    /// How many of them are held.
    pub campaign_held_count: u64,
    /// How its author fared; nothing without an address.
    pub author: Option<(Fingerprint, AuthorRecord)>,
}

/// What a site's desk looks like from afar.
#[derive(Debug, Clone, PartialEq)]
pub struct Overview {
    /// Its days, oldest first, without gaps.
    pub days: Vec<DayCounts>,
    /// How long the queue waits.
    pub age: QueueAge,
    /// How many entries it has.
    pub queue: BoundedCount,
}

impl Moderation {
    /// The time by the service's clock.
    pub fn now(&self) -> time::OffsetDateTime {
        self.clock.now()
    }

    /// A page of the review queue.
    ///
    /// # Errors
    /// `Invalid` page token, `Unavailable`.
    pub async fn review_queue(
        &self,
        site: &Site,
        order: QueueOrder,
        page_token: &str,
        page_size: usize,
    ) -> Result<Listing<QueueEntry>, ModerationError> {
        let list = format!("queue:{}:{}", site.id, order.as_str());
        let place = cursor(&list, page_token)?;
        let page = self.review_store.list_queue(&site.id, order, place, page_size).await;
        let page = page.map_err(ModerationError::Unavailable)?;
        let next_page_token = page.next.map(|next| token(&list, &next)).unwrap_or_default();
        let mut rows = page.rows;
        rows.iter_mut().for_each(|entry| self.drop_old_claim(&mut entry.comment));
        Ok(Listing { rows, next_page_token })
    }

    /// How many entries the queue has.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn queue_count(&self, site: &Site) -> Result<BoundedCount, ModerationError> {
        let count = self.review_store.queue_count(&site.id, QUEUE_COUNT_BOUND).await;
        count.map_err(ModerationError::Unavailable)
    }

    /// A page of the comments that a filter means.
    ///
    /// # Errors
    /// `Invalid` filter or page token, `Unavailable`.
    pub async fn list_comments(
        &self,
        site: &Site,
        filter: &str,
        order: ListOrder,
        page_token: &str,
        page_size: usize,
    ) -> Result<Listing<ReviewedComment>, ModerationError> {
        let list = format!("comments:{}:{}:{filter}", site.id, order.as_str());
        let (conditions, place) = (parse_filter(filter)?, cursor(&list, page_token)?);
        let page =
            self.review_store.list_comments(&site.id, conditions, order, place, page_size).await;
        let page = page.map_err(ModerationError::Unavailable)?;
        let next_page_token = page.next.map(|next| token(&list, &next)).unwrap_or_default();
        let mut rows = page.rows;
        rows.iter_mut().for_each(|comment| self.drop_old_claim(comment));
        Ok(Listing { rows, next_page_token })
    }

    /// All that is known of a comment.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn review_detail(
        &self,
        site: &Site,
        id: CommentId,
    ) -> Result<ReviewDetail, ModerationError> {
        let found = self.review_store.get_reviewed(&site.id, id).await;
        let found = found.map_err(ModerationError::Unavailable)?;
        let mut reviewed = found.ok_or(ModerationError::NotFound("comment"))?;
        self.drop_old_claim(&mut reviewed);
        let history = self.review_store.comment_decisions(&site.id, id).await;
        let campaign = reviewed.comment.campaign;
        let counts = self.review_store.campaign_counts(&site.id, campaign).await;
        let (campaign_count, campaign_held_count) = counts.map_err(ModerationError::Unavailable)?;
        let email = reviewed.comment.submission.email.as_ref();
        let author = match email.map(|email| email.folded_fingerprint) {
            Some(author) => Some((author, self.author_record(site, author).await?)),
            None => None,
        };
        Ok(ReviewDetail {
            reviewed,
            history: history.map_err(ModerationError::Unavailable)?,
            campaign_count,
            campaign_held_count,
            author,
        })
    }

    /// How many comments a campaign has, and how many of them are held.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn campaign_counts(
        &self,
        site: &Site,
        campaign: CommentId,
    ) -> Result<(u64, u64), ModerationError> {
        let counts = self.review_store.campaign_counts(&site.id, campaign).await;
        counts.map_err(ModerationError::Unavailable)
    }

    /// How an author fared.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn author_record(
        &self,
        site: &Site,
        author: Fingerprint,
    ) -> Result<AuthorRecord, ModerationError> {
        let record = self.review_store.author_counts(&site.id, author).await;
        record.map_err(ModerationError::Unavailable)
    }

    /// Claims the campaign of a comment for ten minutes, or renews the claim; answers with the
    /// claim that holds.
    ///
    /// # Errors
    /// `NotFound`, `Claimed` by another, `Unavailable`.
    pub async fn claim_comment(
        &self,
        reviewer: &Reviewer,
        site: &Site,
        id: CommentId,
    ) -> Result<Claim, ModerationError> {
        let campaign = self.comment(site, id).await?.campaign;
        let now = self.clock.now();
        let actor = reviewer.actor.as_str().to_owned();
        let claim = Claim { actor, expire_time: now + CLAIM_LIFE };
        let held = self.review_store.claim(&site.id, campaign, claim.clone(), now).await;
        let held = held.map_err(ModerationError::store("site"))?;
        if held.actor != claim.actor {
            return Err(ModerationError::Claimed(held.actor));
        }
        self.changes.tell();
        Ok(held)
    }

    /// Gives a claim back; nothing happens if another has it.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn release_comment(
        &self,
        reviewer: &Reviewer,
        site: &Site,
        id: CommentId,
    ) -> Result<(), ModerationError> {
        let campaign = self.comment(site, id).await?.campaign;
        let released = self.review_store.release(&site.id, campaign, reviewer.actor.as_str()).await;
        self.changes.tell();
        released.map_err(ModerationError::store("site"))
    }

    /// A decision.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn decision(
        &self,
        site: &Site,
        id: DecisionId,
    ) -> Result<DecisionRecord, ModerationError> {
        let found = self.review_store.get_decision(&site.id, id).await;
        found.map_err(ModerationError::Unavailable)?.ok_or(ModerationError::NotFound("decision"))
    }

    /// The decisions of a site before a number (nothing: the last ones), newest first.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn decisions(
        &self,
        site: &Site,
        before: Option<i64>,
        count_max: usize,
    ) -> Result<Vec<DecisionRecord>, ModerationError> {
        let found = self.review_store.list_decisions(&site.id, before, count_max).await;
        found.map_err(ModerationError::Unavailable)
    }

    /// The audit log of a site before a position (nothing: its end), newest first.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn audit_entries(
        &self,
        site: &Site,
        before: Option<i64>,
        count_max: usize,
    ) -> Result<Vec<AuditEntry>, ModerationError> {
        let found = self.store.list_audit_entries(&site.id, before, count_max).await;
        let mut entries = found.map_err(ModerationError::Unavailable)?;
        for entry in entries.iter_mut().filter(|entry| entry.action.ends_with("-webhook")) {
            for value in [&mut entry.before, &mut entry.after].into_iter().flatten() {
                *value = without_query(value);
            }
        }
        Ok(entries)
    }

    /// The last days of a site, and its queue.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn overview(&self, site: &Site, day_count: u16) -> Result<Overview, ModerationError> {
        let now = self.clock.now();
        let since = now - Duration::days(i64::from(day_count) - 1);
        let known = self.review_store.day_counts(&site.id, since).await;
        let known = known.map_err(ModerationError::Unavailable)?;
        let day = |time: time::OffsetDateTime| time.unix_timestamp().div_euclid(86_400);
        let days = (day(since)..=day(now)).map(|day| {
            let found = known.iter().find(|counts| counts.day == day).copied();
            found.unwrap_or(DayCounts { day, ..DayCounts::default() })
        });
        let days = days.collect();
        let age = self.review_store.queue_age(&site.id, now).await;
        let age = age.map_err(ModerationError::Unavailable)?;
        Ok(Overview { days, age, queue: self.queue_count(site).await? })
    }

    /// Puts the words of comments that lately came into the search index; answers with how many.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn index_words(&self, count_max: usize) -> Result<usize, ModerationError> {
        let indexed = self.review_store.index_words(count_max).await;
        indexed.map_err(ModerationError::Unavailable)
    }

    fn drop_old_claim(&self, comment: &mut ReviewedComment) {
        let now = self.clock.now();
        comment.claim = comment.claim.take().filter(|claim| claim.expire_time > now);
    }
}

/// A webhook as an audit entry has it, without the query of its address. Entries of
/// earlier versions have it whole, and none can be changed.
fn without_query(value: &str) -> String {
    let Ok(mut webhook) = serde_json::from_str::<serde_json::Value>(value) else {
        return value.to_owned();
    };
    let uri = webhook.get("uri").and_then(|uri| uri.as_str()?.parse::<WebhookUri>().ok());
    let Some(uri) = uri else { return value.to_owned() };
    webhook["uri"] = uri.without_query().into();
    webhook.to_string()
}

/// A filter's conditions.
///
/// # Errors
/// `Invalid`.
pub(super) fn parse_filter(line: &str) -> Result<CommentFilter, ModerationError> {
    CommentFilter::parse(line).map_err(|error: FilterError| {
        ModerationError::field("filter", "invalid-filter", &format!("{error}."))
    })
}

/// A moderator's name as the caller gives it, in one line and without addresses; nothing if it is
/// blank.
///
/// # Errors
/// `Invalid` if it is too long.
pub fn reviewer_name(name: &str) -> Result<Option<String>, ModerationError> {
    super::feedback::masked(name.to_owned(), "moderator", super::feedback::REPORTER_NAME_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::without_query;

    #[test]
    fn old_audit_entries_show_no_query_of_a_webhook() {
        let old = r#"{"disabled":false,"uri":"https://blog.example.org/hook?token=secret"}"#;
        let shown = r#"{"disabled":false,"uri":"https://blog.example.org/hook?…"}"#;
        assert_eq!(without_query(old), shown);
        assert_eq!(without_query(shown), shown);
        for other in ["dead", "{}", r#"{"uri":7}"#] {
            assert_eq!(without_query(other), other);
        }
    }
}
