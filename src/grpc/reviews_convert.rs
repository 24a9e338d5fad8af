//! The moderator's desk between the wire and the use cases.

use super::{convert, proto};
use crate::domain::{Action, CommentId, SiteId};
use crate::moderation::ports::AuditEntry;
use crate::moderation::ports::review::{
    Claim, DayCounts, DecidedComment, DecisionRecord, QueueEntry, ReviewedComment, Target,
};
use crate::moderation::{DecisionProgress, ModerationError, Overview, Selection};

/// Comments that a message may name.
const NAME_COUNT_MAX: usize = 20_000;

pub(super) fn action(value: i32) -> Result<Action, ModerationError> {
    match proto::DecisionAction::try_from(value) {
        Ok(proto::DecisionAction::Approve) => Ok(Action::Approve),
        Ok(proto::DecisionAction::RejectSpam) => Ok(Action::RejectSpam),
        Ok(proto::DecisionAction::RejectAbuse) => Ok(Action::RejectAbuse),
        Ok(proto::DecisionAction::RejectOther) => Ok(Action::RejectOther),
        Ok(proto::DecisionAction::Reopen) => Ok(Action::Reopen),
        Ok(proto::DecisionAction::Unspecified) | Err(_) => Err(convert::unknown_value("action")),
    }
}

/// One of the words of an order; the first if none is given.
pub(super) fn order<T: Copy>(
    text: &str,
    all: &[T],
    word: impl Fn(T) -> &'static str,
) -> Result<T, ModerationError> {
    let found = all.iter().find(|order| text.is_empty() || word(**order) == text);
    let text = "An order that this version knows is expected.";
    found.copied().ok_or_else(|| ModerationError::field("order_by", "unknown-value", text))
}

/// The revision in an etag.
pub(super) fn revision(etag: &str) -> Result<Option<i64>, ModerationError> {
    if etag.is_empty() {
        return Ok(None);
    }
    let text = "An etag of this service is expected.";
    let bad = |_| ModerationError::field("etag", "invalid-etag", text);
    etag.trim_matches('"').parse().map(Some).map_err(bad)
}

pub(super) fn selection(
    site: &SiteId,
    selection: Option<proto::DecisionSelection>,
) -> Result<Selection, ModerationError> {
    let selection = selection.unwrap_or_default();
    if selection.comments.is_empty() == selection.filter.trim().is_empty() {
        let text = "Either comments or a filter is expected.";
        return Err(ModerationError::field("selection", "required", text));
    }
    if selection.comments.is_empty() {
        return Ok(Selection::Filter(selection.filter));
    }
    if selection.comments.len() > NAME_COUNT_MAX {
        let text = "At most 20,000 comments are taken; a filter may mean more.";
        return Err(ModerationError::field("selection.comments", "too-many", text));
    }
    let target = |name: &String| {
        let bad = |error| super::comments::bad_name("selection.comments", &error);
        let (owner, comment) = CommentId::from_name(name).map_err(bad)?;
        if owner != *site {
            return Err(ModerationError::ForeignSite);
        }
        Ok(Target { comment, revision: None })
    };
    let targets: Result<_, _> = selection.comments.iter().map(target).collect();
    Ok(Selection::Comments(targets?))
}

pub(super) fn claim(claim: Claim) -> proto::Claim {
    proto::Claim { actor: claim.actor, expire_time: Some(convert::timestamp(claim.expire_time)) }
}

/// A comment for a list: its contributions stay behind.
pub(super) fn listed(mut reviewed: ReviewedComment) -> proto::ReviewedComment {
    if let Some(score) = &mut reviewed.comment.score {
        score.contributions = Vec::new();
    }
    self::reviewed(reviewed)
}

pub(super) fn reviewed(reviewed: ReviewedComment) -> proto::ReviewedComment {
    let author = reviewed.comment.submission.email.as_ref();
    proto::ReviewedComment {
        label: reviewed.label.map_or(0, |label| convert::label_to_wire(label).into()),
        etag: reviewed.revision.to_string(),
        campaign: reviewed.comment.campaign.to_string(),
        author_fingerprint: author
            .map(|email| email.folded_fingerprint.to_string())
            .unwrap_or_default(),
        claim: reviewed.claim.map(claim),
        comment: Some(convert::checked_comment(reviewed.comment)),
    }
}

pub(super) fn queue_entry(entry: QueueEntry) -> proto::QueueEntry {
    proto::QueueEntry {
        campaign: entry.campaign.to_string(),
        held_count: entry.held_count as i64,
        first_check_time: Some(convert::timestamp(entry.first_time)),
        last_check_time: Some(convert::timestamp(entry.last_time)),
        comment: Some(listed(entry.comment)),
    }
}

pub(super) fn decided(site: &SiteId, decided: DecidedComment) -> proto::CommentDecision {
    proto::CommentDecision {
        comment: decided.comment.name(site),
        decision: decided.decision.name(site),
        action: decided.action.as_str().to_owned(),
        actor: decided.actor,
        note: decided.note.unwrap_or_default(),
        previous_state: convert::state(decided.state_before).into(),
        state: convert::state(decided.state_after).into(),
        label: decided.label_after.map_or(0, |label| convert::label_to_wire(label).into()),
        decide_time: Some(convert::timestamp(decided.time)),
    }
}

pub(super) fn decision(site: &SiteId, record: DecisionRecord) -> proto::Decision {
    proto::Decision {
        name: record.id.name(site),
        action: record.action.as_str().to_owned(),
        actor: record.actor,
        note: record.note.unwrap_or_default(),
        decide_time: Some(convert::timestamp(record.time)),
        comment_count: record.comment_count as i64,
        undone_decision: record.undoes.map(|id| id.name(site)).unwrap_or_default(),
        undoing_decision: record.undone.map(|id| id.name(site)).unwrap_or_default(),
    }
}

pub(super) fn progress(
    site: &SiteId,
    progress: DecisionProgress,
    done: bool,
) -> proto::DecisionProgress {
    let passed = progress.passed.into_iter().filter(|_| done);
    proto::DecisionProgress {
        decision: progress.decision.name(site),
        total_count: progress.total_count as i64,
        decided_count: progress.decided_count as i64,
        passed_count: progress.passed_count as i64,
        passed_comments: passed
            .map(|(comment, why)| proto::PassedComment {
                comment: comment.name(site),
                reason: why.as_str().to_owned(),
            })
            .collect(),
        done,
    }
}

pub(super) fn audit_entry(entry: AuditEntry) -> proto::AuditEntry {
    proto::AuditEntry {
        position: entry.position,
        create_time: Some(convert::timestamp(entry.time)),
        actor: entry.actor,
        action: entry.action,
        subject: entry.subject,
        previous_value: entry.before.unwrap_or_default(),
        new_value: entry.after.unwrap_or_default(),
        note: entry.note.unwrap_or_default(),
    }
}

pub(super) fn overview(overview: Overview) -> proto::GetOverviewResponse {
    proto::GetOverviewResponse {
        days: overview.days.into_iter().map(day).collect(),
        queue_age_counts: overview.age.counts.map(|count| count as i64).to_vec(),
        oldest_check_time: overview.age.oldest_time.map(convert::timestamp),
        queue_count: overview.queue.count as i64,
    }
}

fn day(day: DayCounts) -> proto::DayOverview {
    let start = prost_types::Timestamp { seconds: day.day * 86_400, nanos: 0 };
    proto::DayOverview {
        day_start_time: Some(start),
        approve_count: day.approve_count as i64,
        hold_count: day.hold_count as i64,
        reject_count: day.reject_count as i64,
        held_approved_count: day.held_approved_count as i64,
        held_rejected_count: day.held_rejected_count as i64,
        rejected_approved_count: day.rejected_approved_count as i64,
        approved_rejected_count: day.approved_rejected_count as i64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_is_of_one_kind_and_of_the_site() {
        let site: SiteId = "blog".parse().unwrap();
        let reason = |comments: &[&str], filter: &str| {
            let comments = comments.iter().map(|&name| name.to_owned()).collect();
            let wire = proto::DecisionSelection { comments, filter: filter.into() };
            selection(&site, Some(wire)).map_err(|error| error.reason())
        };
        let id = "sites/blog/comments/01890000-0000-7000-8000-000000000000";
        assert!(
            matches!(reason(&[id], ""), Ok(Selection::Comments(targets)) if targets.len() == 1)
        );
        assert!(matches!(reason(&[], "state:held"), Ok(Selection::Filter(_))));
        assert_eq!(reason(&[], " "), Err("invalid-fields"));
        assert_eq!(reason(&[id], "state:held"), Err("invalid-fields"));
        assert_eq!(reason(&[&id.replace("blog", "other")], ""), Err("foreign-site"));
    }

    #[test]
    fn etags_are_revisions() {
        assert_eq!(revision("").unwrap(), None);
        assert_eq!(revision("\"3\"").unwrap(), Some(3));
        assert!(revision("three").is_err());
    }
}
