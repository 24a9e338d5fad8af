//! Decisions of moderators: one comment or thousands at once.

use std::collections::HashSet;
use std::sync::Arc;

use super::leaving::to_the_end;
use super::ports::review::{
    Decided, DecidedComment, ListOrder, NewDecision, Passed, ReviewedComment, Target,
};
use super::ports::{Reporter, StoreError};
use super::review::{Reviewer, parse_filter};
use super::{Moderation, ModerationError, note};
use crate::domain::{Action, CommentId, ContentPrint, DecisionId, Label, Site, SiteId, State};

/// Comments of one decision.
pub const TARGET_COUNT_MAX: usize = 100_000;
/// Comments that move in one transaction: some tens of milliseconds, in which checks wait.
pub(super) const CHUNK: usize = 250;
/// Comments read at once to see what a filter means.
const READ_CHUNK: usize = 1_000;
/// Comments that a preview shows.
const SAMPLE_COUNT: usize = 5;

/// Which comments a decision is about.
#[derive(Debug, Clone, PartialEq)]
pub enum Selection {
    /// These, each as it was seen.
    Comments(Vec<Target>),
    /// All that a filter means when the decision is made.
    Filter(String),
    /// The same without what came after somebody looked.
    Seen {
        /// The filter.
        filter: String,
        /// The newest comment then. Ids begin with the time of the check, so they tell.
        newest: CommentId,
    },
}

impl Selection {
    /// The filter and the newest comment that is meant, if comments are not named.
    fn filter(&self) -> (&str, Option<CommentId>) {
        match self {
            Self::Comments(_) => ("", None),
            Self::Filter(filter) => (filter, None),
            Self::Seen { filter, newest } => (filter, Some(*newest)),
        }
    }
}

/// What is to be decided.
#[derive(Debug, Clone, PartialEq)]
pub struct DecisionRequest {
    /// About which comments.
    pub selection: Selection,
    /// What to do.
    pub action: Action,
    /// Why; may be empty.
    pub note: String,
}

/// How far a decision has come, and at last what it did.
#[derive(Debug, Clone, PartialEq)]
pub struct DecisionProgress {
    /// The decision, by which it can be undone.
    pub decision: DecisionId,
    /// How many comments it is about.
    pub total_count: u64,
    /// How many moved so far.
    pub decided_count: u64,
    /// How many were passed over so far, and why the first thousand of them.
    pub passed_count: u64,
    /// See `passed_count`.
    pub passed: Vec<(CommentId, Passed)>,
    /// The last comment that moved.
    pub last: Option<DecidedComment>,
}

impl DecisionProgress {
    pub(super) fn new(decision: DecisionId, total_count: u64) -> Self {
        Self {
            decision,
            total_count,
            decided_count: 0,
            passed_count: 0,
            passed: Vec::new(),
            last: None,
        }
    }

    pub(super) fn add(&mut self, part: Decided) {
        self.decided_count += part.comments.len() as u64;
        self.passed_count += part.passed.len() as u64;
        let room = 1_000_usize.saturating_sub(self.passed.len());
        self.passed.extend(part.passed.into_iter().take(room));
        self.last = part.comments.into_iter().next_back().or(self.last.take());
    }
}

/// What a decision would do.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DecisionPreview {
    /// Comments meant.
    pub total_count: u64,
    /// Comments that would move or be called otherwise.
    pub change_count: u64,
    /// Of those meant, how many are held, approved and rejected.
    pub state_counts: [u64; 3],
    /// Different authors of those meant.
    pub author_count: u64,
    /// Different pages.
    pub page_count: u64,
    /// Different campaigns.
    pub campaign_count: u64,
    /// The newest of them.
    pub newest: Option<CommentId>,
    /// The first of them.
    pub sample: Vec<ReviewedComment>,
    /// Whether more are meant than one decision takes.
    pub too_many: bool,
}

impl Moderation {
    /// Decides on one comment. An outdated etag is refused. It goes on to the end if the caller
    /// stops waiting.
    ///
    /// # Errors
    /// `Invalid`, `NotFound`, `Conflict`, `Claimed`, `NothingToDo`, `Unavailable`.
    pub async fn decide_comment(
        self: &Arc<Self>,
        reviewer: &Reviewer,
        site: &Site,
        target: Target,
        action: Action,
        note: String,
    ) -> Result<DecidedComment, ModerationError> {
        effect(action)?;
        let decision = self.new_decision(reviewer, site, action, note)?;
        let moderation = self.clone();
        let work = async move { moderation.decide_part(decision, vec![target]).await };
        let decided = to_the_end(work).await?;
        match (decided.comments.into_iter().next(), decided.passed.first()) {
            (Some(comment), _) => Ok(comment),
            (None, Some((_, Passed::Changed))) => Err(ModerationError::Conflict("comment")),
            (None, Some((_, Passed::Claimed))) => {
                let claim = self.review_detail(site, target.comment).await?.reviewed.claim;
                let other = claim.map(|claim| claim.actor).unwrap_or_default();
                Err(ModerationError::Claimed(other))
            }
            (None, Some((_, Passed::NothingToDo))) => Err(ModerationError::NothingToDo),
            (None, _) => Err(ModerationError::NotFound("comment")),
        }
    }

    /// Decides on many comments, part by part; `progress` hears of each part. It goes on to the end
    /// if the caller stops waiting. What was decided before something broke stays decided and can
    /// be undone; an undo meanwhile ends it.
    ///
    /// # Errors
    /// `Invalid`, `Conflict` if it is undone meanwhile, `Unavailable`.
    pub async fn decide(
        self: &Arc<Self>,
        reviewer: &Reviewer,
        site: &Site,
        request: DecisionRequest,
        progress: impl Fn(&DecisionProgress) + Send + 'static,
    ) -> Result<DecisionProgress, ModerationError> {
        effect(request.action)?;
        let decision = self.new_decision(reviewer, site, request.action, request.note)?;
        let targets = self.targets(site, request.selection).await?;
        let moderation = self.clone();
        to_the_end(async move {
            let mut done = DecisionProgress::new(decision.id, targets.len() as u64);
            progress(&done);
            for part in targets.chunks(CHUNK) {
                done.add(moderation.decide_part(decision.clone(), part.to_vec()).await?);
                progress(&done);
            }
            Ok(done)
        })
        .await
    }

    /// The newest held comment of a campaign, up to which somebody sees it.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn newest_held_of_campaign(
        &self,
        site: &Site,
        campaign: CommentId,
    ) -> Result<Option<CommentId>, ModerationError> {
        let filter = held_filter(campaign);
        let newest = self.list_comments(site, &filter, ListOrder::Newest, "", 1).await?;
        Ok(newest.rows.first().map(|row| row.comment.id))
    }

    /// The held comments of a campaign up to `newest`, as they are now, to decide on; at most
    /// [`TARGET_COUNT_MAX`].
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn held_of_campaign(
        &self,
        site: &Site,
        campaign: CommentId,
        newest: CommentId,
    ) -> Result<Vec<Target>, ModerationError> {
        let filter = held_filter(campaign);
        let mut targets = Vec::new();
        let add = |comment| targets.push(as_seen(&comment));
        self.each_of(site, &filter, Some(newest), add).await?;
        Ok(targets)
    }

    /// Tells what a decision would do.
    ///
    /// # Errors
    /// `Invalid`, `Unavailable`.
    pub async fn preview_decision(
        &self,
        site: &Site,
        selection: &Selection,
        action: Action,
    ) -> Result<DecisionPreview, ModerationError> {
        let (state, label) = effect(action)?;
        let mut preview = DecisionPreview::default();
        let mut seen = Seen::default();
        let mut note = |comment: ReviewedComment| {
            preview.total_count += 1;
            preview.newest = preview.newest.max(Some(comment.comment.id));
            let counts = &mut preview.state_counts;
            match comment.comment.state {
                State::Held => counts[0] += 1,
                State::Approved => counts[1] += 1,
                State::Rejected => counts[2] += 1,
            }
            let changes = comment.comment.state != state || comment.label != label;
            preview.change_count += u64::from(changes);
            seen.note(&comment);
            if preview.sample.len() < SAMPLE_COUNT {
                preview.sample.push(comment);
            }
        };
        let too_many = match selection {
            Selection::Comments(targets) => {
                for target in targets.iter().take(TARGET_COUNT_MAX) {
                    let found = self.review_store.get_reviewed(&site.id, target.comment).await;
                    found.map_err(ModerationError::Unavailable)?.into_iter().for_each(&mut note);
                }
                targets.len() > TARGET_COUNT_MAX
            }
            _ => {
                let (filter, newest) = selection.filter();
                self.each_of(site, filter, newest, note).await?
            }
        };
        preview.too_many = too_many;
        seen.count(&mut preview);
        Ok(preview)
    }

    async fn decide_part(
        &self,
        decision: NewDecision,
        targets: Vec<Target>,
    ) -> Result<Decided, ModerationError> {
        let teaches = decision.action.effect().and_then(|(_, label)| label);
        let site = &decision.site.clone();
        let decided = self.review_store.decide(decision, targets).await;
        let decided = decided.map_err(|error| match error {
            StoreError::Conflict => ModerationError::Conflict("decision"),
            other => ModerationError::store("site")(other),
        })?;
        let unlearns = decided.comments.iter().any(|comment| comment.label_before.is_some());
        match teaches {
            Some(label) => {
                let labels =
                    [("reporter", Reporter::Moderator.as_str()), ("label", label.as_str())];
                metrics::counter!("replyguard_labels_total", &labels)
                    .increment(decided.comments.len() as u64);
                self.teach_recent(site, &decided.prints, label).await;
                if let ([], [(comment, Passed::NothingToDo)]) =
                    (&decided.comments[..], &decided.passed[..])
                {
                    self.teach_again(site, *comment, label).await;
                }
            }
            None if unlearns => self.forget_recent(site).await,
            None => {}
        }
        if !decided.comments.is_empty() {
            self.changes.tell();
        }
        Ok(decided)
    }

    /// Near duplicates follow a decision at once.
    async fn teach_recent(&self, site: &SiteId, prints: &[ContentPrint], label: Label) {
        for print in prints {
            if let Err(error) = self.recent.set_label(site, *print, label).await {
                tracing::warn!(site.id = %site, error = %error, "a decision did not reach the index of recent content");
                return;
            }
        }
    }

    /// Who decides once more on what stands there already may do so because near duplicates do not
    /// follow: something kept the label from the index.
    async fn teach_again(&self, site: &SiteId, comment: CommentId, label: Label) {
        let found = self.review_store.get_reviewed(site, comment).await.ok().flatten();
        if let Some(found) = found.filter(|found| found.label == Some(label)) {
            self.teach_recent(site, &[found.comment.print()], label).await;
        }
    }

    pub(super) async fn forget_recent(&self, site: &SiteId) {
        if let Err(error) = self.recent.forget_site(site).await {
            tracing::warn!(site.id = %site, error = %error, "the index of recent content was not read back");
        }
    }

    /// A decision with a fresh id; whether moderators may choose the action is not looked at.
    pub(super) fn new_decision(
        &self,
        reviewer: &Reviewer,
        site: &Site,
        action: Action,
        why: String,
    ) -> Result<NewDecision, ModerationError> {
        // The same kind of UUID: it begins with the time.
        let id = DecisionId::from_uuid(*self.random.comment_id(self.clock.now()).as_uuid());
        Ok(NewDecision {
            id,
            site: site.id.clone(),
            action,
            actor: reviewer.actor.as_str().to_owned(),
            administrator: reviewer.administrator,
            note: note(why)?,
            time: self.clock.now(),
        })
    }

    async fn targets(
        &self,
        site: &Site,
        selection: Selection,
    ) -> Result<Vec<Target>, ModerationError> {
        let mut targets = Vec::new();
        let too_many = match selection {
            Selection::Comments(given) => {
                let mut seen = HashSet::new();
                targets = given.into_iter().filter(|target| seen.insert(target.comment)).collect();
                targets.len() > TARGET_COUNT_MAX
            }
            seen => {
                let (filter, newest) = seen.filter();
                let add = |comment| targets.push(as_seen(&comment));
                self.each_of(site, filter, newest, add).await?
            }
        };
        if too_many {
            let text = "A decision is about at most 100,000 comments.";
            return Err(ModerationError::field("filter", "too-many", text));
        }
        Ok(targets)
    }

    /// Calls `found` with each comment up to `newest` that a filter means; whether there are more
    /// than one decision takes.
    async fn each_of(
        &self,
        site: &Site,
        filter: &str,
        newest: Option<CommentId>,
        mut found: impl FnMut(ReviewedComment) + Send,
    ) -> Result<bool, ModerationError> {
        let filter = parse_filter(filter)?;
        if filter.is_empty() {
            let text = "All comments of a site are too much: say which.";
            return Err(ModerationError::field("filter", "required", text));
        }
        let (mut place, mut count) = (None, 0);
        loop {
            let page = self.review_store.list_comments(
                &site.id,
                filter.clone(),
                ListOrder::Newest,
                place,
                READ_CHUNK,
            );
            let page = page.await.map_err(ModerationError::Unavailable)?;
            let was_there = |id: CommentId| newest.is_none_or(|newest| id <= newest);
            let rows = page.rows.into_iter().filter(|row| was_there(row.comment.id));
            for row in rows {
                count += 1;
                if count > TARGET_COUNT_MAX {
                    return Ok(true);
                }
                found(row);
            }
            place = page.next;
            if place.is_none() {
                return Ok(false);
            }
        }
    }
}

/// A comment as the store has it now, to decide on.
fn as_seen(comment: &ReviewedComment) -> Target {
    Target { comment: comment.comment.id, revision: Some(comment.revision) }
}

/// The held comments of a campaign, as a filter.
fn held_filter(campaign: CommentId) -> String {
    format!("state:held campaign:{campaign}")
}

/// What is different among comments.
#[derive(Default)]
struct Seen {
    authors: HashSet<[u8; 16]>,
    pages: HashSet<Arc<str>>,
    campaigns: HashSet<CommentId>,
}

impl Seen {
    fn note(&mut self, comment: &ReviewedComment) {
        let submission = &comment.comment.submission;
        let author = submission.email.as_ref().map(|email| email.folded_fingerprint);
        self.authors.extend(author.map(|author| *author.as_bytes()));
        self.pages.extend(submission.page_uri.as_deref().map(Arc::from));
        self.campaigns.insert(comment.comment.campaign);
    }

    fn count(&self, preview: &mut DecisionPreview) {
        preview.author_count = self.authors.len() as u64;
        preview.page_count = self.pages.len() as u64;
        preview.campaign_count = self.campaigns.len() as u64;
    }
}

/// What an action does, if moderators may choose it.
fn effect(action: Action) -> Result<(State, Option<Label>), ModerationError> {
    let text = "One of approve, reject as spam, abuse or other, and reopen is expected.";
    action.effect().ok_or_else(|| ModerationError::field("action", "out-of-range", text))
}
