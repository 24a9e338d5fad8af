//! What another policy would have done to the last days: comments are judged again, once by the
//! policy that stands and once by the other.

use std::sync::Arc;

use time::Duration;

use super::explain::Case;
use super::ports::review::{ListOrder, ReviewedComment};
use super::{Moderation, ModerationError, Scorer};
use crate::checks::{Facts, SiteRules};
use crate::domain::{CommentFilter, Label, Site, SitePolicy, Verdict};
use crate::text::Analysis;

/// How far back is looked.
const PERIOD: Duration = Duration::days(30);
/// Comments judged again at most, the last ones: some seconds of work.
const COMMENT_COUNT_MAX: usize = 10_000;
/// Comments read at once.
const PAGE_SIZE: usize = 1_000;

/// What another policy would have done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BackTest {
    /// Comments looked at.
    pub comment_count: u64,
    /// Whether there were more in the time.
    pub cut: bool,
    /// Verdicts by the policy that stands: approve, hold, reject.
    pub before: [u64; 3],
    /// Verdicts by the other.
    pub after: [u64; 3],
    /// Comments that would be held and are not now.
    pub held_more: Moved,
    /// Comments that are held now and would be approved.
    pub held_fewer: Moved,
    /// Comments that would be rejected and are not now.
    pub rejected_more: Moved,
    /// Comments that are rejected now and would not be.
    pub rejected_fewer: Moved,
}

/// Comments whose verdict would change, and what people made of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    /// How many.
    pub count: u64,
    /// Those that a person called ham.
    pub ham_count: u64,
    /// Those that a person called spam.
    pub spam_count: u64,
}

impl Moved {
    fn add(&mut self, label: Option<Label>) {
        self.count += 1;
        self.ham_count += u64::from(label == Some(Label::Ham));
        self.spam_count += u64::from(label == Some(Label::Spam));
    }
}

impl BackTest {
    fn add(&mut self, label: Option<Label>, before: Verdict, after: Verdict) {
        self.comment_count += 1;
        self.before[before as usize] += 1;
        self.after[after as usize] += 1;
        if before == after {
            return;
        }
        match (before, after) {
            (Verdict::Reject, _) => self.rejected_fewer.add(label),
            (_, Verdict::Reject) => self.rejected_more.add(label),
            (Verdict::Hold, _) => self.held_fewer.add(label),
            _ => self.held_more.add(label),
        }
        if (before, after) == (Verdict::Reject, Verdict::Hold) {
            self.held_more.add(label);
        }
    }
}

impl Moderation {
    /// Tells what `policy` would have done to the comments of the last 30 days.
    ///
    /// # Errors
    /// `Invalid` policy, `Unavailable`.
    pub async fn back_test(
        &self,
        site: &Arc<Site>,
        policy: SitePolicy,
    ) -> Result<BackTest, ModerationError> {
        let policy = policy.canonical();
        let violations = policy.violations();
        if !violations.is_empty() {
            return Err(ModerationError::Invalid(violations));
        }
        let (comments, cut) = self.last_comments(site).await?;
        let scorer = self.models.of(&site.id).scorer;
        let (old, new) = (self.rules.of(site), Arc::new(SiteRules::new(policy)));
        let work = move || {
            let mut test = BackTest { cut, ..BackTest::default() };
            for reviewed in comments {
                let label = reviewed.label;
                let [before, after] = verdicts(reviewed, &scorer, &old, &new);
                test.add(label, before, after);
            }
            Ok(test)
        };
        super::blocking("back-testing", work).await
    }

    async fn last_comments(
        &self,
        site: &Site,
    ) -> Result<(Vec<ReviewedComment>, bool), ModerationError> {
        let since = Some(self.clock.now() - PERIOD);
        let filter = CommentFilter { since, ..CommentFilter::default() };
        let (mut comments, mut place) = (Vec::new(), None);
        while comments.len() < COMMENT_COUNT_MAX {
            let (store, order) = (&self.review_store, ListOrder::Newest);
            let page = store.list_comments(&site.id, filter.clone(), order, place, PAGE_SIZE).await;
            let page = page.map_err(ModerationError::Unavailable)?;
            comments.extend(page.rows);
            place = page.next;
            if place.is_none() {
                break;
            }
        }
        Ok((comments, place.is_some()))
    }
}

/// The verdicts by the old rules and by the new. What was known of author and like texts when the
/// comment was checked counts for both.
fn verdicts(
    reviewed: ReviewedComment,
    scorer: &Scorer,
    old: &Arc<SiteRules>,
    new: &Arc<SiteRules>,
) -> [Verdict; 2] {
    let comment = reviewed.comment;
    let case = Case {
        facts: Facts::unknown(comment.check_time),
        submission: comment.submission,
        rules: old.clone(),
        recorded: comment.signals,
        degraded: comment.degraded,
    };
    let carried = case.carried();
    let other = Case { rules: new.clone(), recorded: Vec::new(), ..case.clone() };
    [case, other].map(|case| {
        let analysis = Analysis::new(&case.submission);
        let find = || case.signals(&analysis, &carried);
        scorer.judge_by(&analysis, &case.rules, find, case.degraded.clone()).decision.verdict
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_is_counted_where_it_belongs() {
        let mut test = BackTest::default();
        test.add(Some(Label::Ham), Verdict::Approve, Verdict::Hold);
        test.add(None, Verdict::Hold, Verdict::Approve);
        test.add(Some(Label::Spam), Verdict::Hold, Verdict::Reject);
        test.add(None, Verdict::Reject, Verdict::Hold);
        test.add(None, Verdict::Approve, Verdict::Approve);
        assert_eq!((test.before, test.after), ([2, 2, 1], [2, 2, 1]));
        assert_eq!(test.held_more, Moved { count: 2, ham_count: 1, spam_count: 0 });
        assert_eq!(test.rejected_more, Moved { count: 1, ham_count: 0, spam_count: 1 });
        assert_eq!((test.held_fewer.count, test.rejected_fewer.count), (1, 1));
    }
}
