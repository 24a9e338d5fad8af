//! `ReviewService` over the use cases.

use std::sync::Arc;

use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Request, Response, Status};

use super::comments::{bad_name, site_id};
use super::proto::review_service_server::ReviewService;
use super::reviews_convert as to;
use super::watch::{self, Responses};
use super::{answer, auth, proto, status};
use crate::domain::{CommentId, DecisionId, KeyScope, Site};
use crate::moderation::paging::page_size;
use crate::moderation::ports::review::{ListOrder, QueueOrder, Target};
use crate::moderation::{
    DecisionProgress, DecisionRequest, Moderation, ModerationError, Reviewer, reviewer_name,
};

/// Days of an overview if the caller does not say, and at most.
const DAY_COUNTS: (i32, i32) = (30, 366);

/// The service; cheap to clone.
#[derive(Clone)]
pub(super) struct Reviews {
    moderation: Arc<Moderation>,
}

impl Reviews {
    pub(super) fn new(moderation: Arc<Moderation>) -> Self {
        Self { moderation }
    }

    /// The caller as a reviewer and the site, if the caller may review it.
    async fn reviewer<T>(
        &self,
        request: &Request<T>,
        site: (&'static str, &str),
        moderator: &str,
    ) -> Result<(Reviewer, Arc<Site>), ModerationError> {
        let caller = auth::caller(&self.moderation, request).await?;
        let id = site_id(site.0, site.1)?;
        caller.require(&id, KeyScope::Review)?;
        let name = reviewer_name(moderator)?;
        let actor = caller.actor().named(name.as_deref());
        let reviewer = Reviewer { actor, administrator: false };
        Ok((reviewer, self.moderation.site(&id).await?))
    }

    /// The same, and the comment that is named.
    async fn of_comment<T>(
        &self,
        request: &Request<T>,
        name: &str,
        moderator: &str,
    ) -> Result<(Reviewer, Arc<Site>, CommentId), ModerationError> {
        let (site, id) = CommentId::from_name(name).map_err(|error| bad_name("name", &error))?;
        let (reviewer, site) = self.reviewer(request, ("name", site.as_str()), moderator).await?;
        Ok((reviewer, site, id))
    }

    async fn queue(
        &self,
        request: Request<proto::ListQueueEntriesRequest>,
    ) -> Result<proto::ListQueueEntriesResponse, ModerationError> {
        let parent = ("parent", request.get_ref().parent.as_str());
        let (_, site) = self.reviewer(&request, parent, "").await?;
        let request = request.get_ref();
        let order = to::order(&request.order_by, &QueueOrder::ALL, QueueOrder::as_str)?;
        let size = page_size(request.page_size)?;
        let page = self.moderation.review_queue(&site, order, &request.page_token, size).await?;
        let count = self.moderation.queue_count(&site).await?;
        Ok(proto::ListQueueEntriesResponse {
            queue_entries: page.rows.into_iter().map(to::queue_entry).collect(),
            next_page_token: page.next_page_token,
            total_count: count.count as i64,
        })
    }

    async fn comments(
        &self,
        request: Request<proto::ListCommentsRequest>,
    ) -> Result<proto::ListCommentsResponse, ModerationError> {
        let parent = ("parent", request.get_ref().parent.as_str());
        let (_, site) = self.reviewer(&request, parent, "").await?;
        let request = request.get_ref();
        let order = to::order(&request.order_by, &ListOrder::ALL, ListOrder::as_str)?;
        let size = page_size(request.page_size)?;
        let (filter, token) = (&request.filter, &request.page_token);
        let page = self.moderation.list_comments(&site, filter, order, token, size).await?;
        Ok(proto::ListCommentsResponse {
            comments: page.rows.into_iter().map(to::listed).collect(),
            next_page_token: page.next_page_token,
        })
    }

    async fn get(
        &self,
        request: Request<proto::GetReviewedCommentRequest>,
    ) -> Result<proto::GetReviewedCommentResponse, ModerationError> {
        let name = &request.get_ref().name;
        let (_, site, id) = self.of_comment(&request, name, "").await?;
        let detail = self.moderation.review_detail(&site, id).await?;
        let decided = |decided| to::decided(&site.id, decided);
        Ok(proto::GetReviewedCommentResponse {
            comment: Some(to::reviewed(detail.reviewed)),
            decisions: detail.history.into_iter().map(decided).collect(),
            campaign_count: detail.campaign_count as i64,
            campaign_held_count: detail.campaign_held_count as i64,
            author_record: detail.author.map(|(_, record)| proto::AuthorRecord {
                approved_count: record.approved_count.into(),
                held_count: record.held_count.into(),
                rejected_count: record.rejected_count.into(),
                spam_label_count: record.spam_label_count.into(),
                ham_label_count: record.ham_label_count.into(),
            }),
        })
    }

    async fn decide(
        &self,
        request: Request<proto::DecideCommentRequest>,
    ) -> Result<proto::DecideCommentResponse, ModerationError> {
        let wire = request.get_ref();
        let (reviewer, site, comment) =
            self.of_comment(&request, &wire.name, &wire.moderator).await?;
        let target = Target { comment, revision: to::revision(&wire.etag)? };
        let action = to::action(wire.action)?;
        let decided =
            self.moderation.decide_comment(&reviewer, &site, target, action, wire.note.clone());
        let decision = Some(to::decided(&site.id, decided.await?));
        Ok(proto::DecideCommentResponse { decision })
    }

    async fn preview(
        &self,
        request: Request<proto::PreviewDecisionRequest>,
    ) -> Result<proto::PreviewDecisionResponse, ModerationError> {
        let parent = ("parent", request.get_ref().parent.as_str());
        let (_, site) = self.reviewer(&request, parent, "").await?;
        let request = request.into_inner();
        let selection = to::selection(&site.id, request.selection)?;
        let action = to::action(request.action)?;
        let preview = self.moderation.preview_decision(&site, &selection, action).await?;
        let [held, approved, rejected] = preview.state_counts.map(|count| count as i64);
        Ok(proto::PreviewDecisionResponse {
            total_count: preview.total_count as i64,
            change_count: preview.change_count as i64,
            held_count: held,
            approved_count: approved,
            rejected_count: rejected,
            author_count: preview.author_count as i64,
            page_count: preview.page_count as i64,
            campaign_count: preview.campaign_count as i64,
            sample: preview.sample.into_iter().map(to::listed).collect(),
            too_many: preview.too_many,
        })
    }

    async fn batch(
        &self,
        request: Request<proto::BatchDecideCommentsRequest>,
    ) -> Result<Responses<proto::BatchDecideCommentsResponse>, ModerationError> {
        let wire = request.get_ref();
        let parent = ("parent", wire.parent.as_str());
        let (reviewer, site) = self.reviewer(&request, parent, &wire.moderator).await?;
        let wire = request.into_inner();
        let decision = DecisionRequest {
            selection: to::selection(&site.id, wire.selection)?,
            action: to::action(wire.action)?,
            note: wire.note,
        };
        let (moderation, id) = (self.moderation.clone(), site.id.clone());
        let work = |tell: Tell| async move {
            let progress = move |progress: &DecisionProgress| tell.progress(progress);
            moderation.decide(&reviewer, &site, decision, progress).await
        };
        let response = move |progress, done| proto::BatchDecideCommentsResponse {
            progress: Some(to::progress(&id, progress, done)),
        };
        Ok(told(work, response))
    }

    async fn undo(
        &self,
        request: Request<proto::UndoDecisionRequest>,
    ) -> Result<Responses<proto::UndoDecisionResponse>, ModerationError> {
        let wire = request.get_ref();
        let bad = |error| bad_name("name", &error);
        let (site, undoes) = DecisionId::from_name(&wire.name).map_err(bad)?;
        let (reviewer, site) =
            self.reviewer(&request, ("name", site.as_str()), &wire.moderator).await?;
        // What cannot begin is said at once and not in the stream.
        self.moderation.decision(&site, undoes).await?;
        let (moderation, id, note) = (self.moderation.clone(), site.id.clone(), wire.note.clone());
        let work = |tell: Tell| async move {
            let progress = move |progress: &DecisionProgress| tell.progress(progress);
            moderation.undo(&reviewer, &site, undoes, note, progress).await
        };
        let response = move |progress, done| proto::UndoDecisionResponse {
            progress: Some(to::progress(&id, progress, done)),
        };
        Ok(told(work, response))
    }

    async fn decisions(
        &self,
        request: Request<proto::ListDecisionsRequest>,
    ) -> Result<proto::ListDecisionsResponse, ModerationError> {
        let parent = ("parent", request.get_ref().parent.as_str());
        let (_, site) = self.reviewer(&request, parent, "").await?;
        let size = page_size(request.get_ref().page_size)?;
        let before = position(&request.get_ref().page_token)?;
        let rows = self.moderation.decisions(&site, before, size).await?;
        let full = rows.len() == size;
        let last = rows.last().filter(|_| full).map(|last| last.number.to_string());
        Ok(proto::ListDecisionsResponse {
            decisions: rows.into_iter().map(|row| to::decision(&site.id, row)).collect(),
            next_page_token: last.unwrap_or_default(),
        })
    }

    async fn audit(
        &self,
        request: Request<proto::ListAuditEntriesRequest>,
    ) -> Result<proto::ListAuditEntriesResponse, ModerationError> {
        let parent = ("parent", request.get_ref().parent.as_str());
        let (_, site) = self.reviewer(&request, parent, "").await?;
        let size = page_size(request.get_ref().page_size)?;
        let before = position(&request.get_ref().page_token)?;
        let rows = self.moderation.audit_entries(&site, before, size).await?;
        let full = rows.len() == size;
        let last = rows.last().filter(|_| full).map(|last| last.position.to_string());
        Ok(proto::ListAuditEntriesResponse {
            audit_entries: rows.into_iter().map(to::audit_entry).collect(),
            next_page_token: last.unwrap_or_default(),
        })
    }

    async fn claim(
        &self,
        request: Request<proto::ClaimCommentRequest>,
    ) -> Result<proto::ClaimCommentResponse, ModerationError> {
        let wire = request.get_ref();
        let (reviewer, site, id) = self.of_comment(&request, &wire.name, &wire.moderator).await?;
        let claim = self.moderation.claim_comment(&reviewer, &site, id).await?;
        Ok(proto::ClaimCommentResponse { claim: Some(to::claim(claim)) })
    }

    async fn release(
        &self,
        request: Request<proto::ReleaseCommentRequest>,
    ) -> Result<proto::ReleaseCommentResponse, ModerationError> {
        let wire = request.get_ref();
        let (reviewer, site, id) = self.of_comment(&request, &wire.name, &wire.moderator).await?;
        self.moderation.release_comment(&reviewer, &site, id).await?;
        Ok(proto::ReleaseCommentResponse {})
    }

    async fn overview(
        &self,
        request: Request<proto::GetOverviewRequest>,
    ) -> Result<proto::GetOverviewResponse, ModerationError> {
        let parent = ("parent", request.get_ref().parent.as_str());
        let (_, site) = self.reviewer(&request, parent, "").await?;
        let days = match request.get_ref().day_count {
            0 => DAY_COUNTS.0,
            days if (1..=DAY_COUNTS.1).contains(&days) => days,
            _ => {
                let text = "1 to 366 days are expected.";
                return Err(ModerationError::field("day_count", "out-of-range", text));
            }
        };
        Ok(to::overview(self.moderation.overview(&site, days as u16).await?))
    }

    async fn watch(
        &self,
        request: Request<proto::WatchQueueRequest>,
    ) -> Result<Responses<proto::WatchQueueResponse>, ModerationError> {
        let parent = ("parent", request.get_ref().parent.as_str());
        let (_, site) = self.reviewer(&request, parent, "").await?;
        let (metadata, _, wire) = request.into_parts();
        watch::queue(self.moderation.clone(), metadata, site, &wire.resume_token).await
    }
}

/// The position in a page token.
fn position(token: &str) -> Result<Option<i64>, ModerationError> {
    let text = "A page token of this list is expected.";
    let bad = |_| ModerationError::field("page_token", "invalid-token", text);
    if token.is_empty() { Ok(None) } else { token.parse().map(Some).map_err(bad) }
}

/// Where long work tells how far it has come.
struct Tell(mpsc::UnboundedSender<Result<(DecisionProgress, bool), ModerationError>>);

impl Tell {
    /// Nobody may listen any more; the work goes on.
    fn progress(&self, progress: &DecisionProgress) {
        // The passed ones are told at the end alone.
        let progress = DecisionProgress { passed: Vec::new(), ..progress.clone() };
        let _ = self.0.send(Ok((progress, false)));
    }
}

/// Does long work in the background and tells how far it has come. The channel is as long as the
/// work has parts, some hundred at most.
fn told<T, F>(
    work: impl FnOnce(Tell) -> F,
    response: impl Fn(DecisionProgress, bool) -> T + Send + 'static,
) -> Responses<T>
where
    T: Send + 'static,
    F: Future<Output = Result<DecisionProgress, ModerationError>> + Send + 'static,
{
    let (sender, receiver) = mpsc::unbounded_channel();
    let work = work(Tell(sender.clone()));
    tokio::spawn(async move {
        let end = work.await.map(|progress| (progress, true));
        let _ = sender.send(end);
    });
    let responses = UnboundedReceiverStream::new(receiver).map(move |told| {
        told.map(|(progress, done)| response(progress, done)).map_err(status::status)
    });
    Box::pin(responses)
}

#[tonic::async_trait]
impl ReviewService for Reviews {
    async fn list_queue_entries(
        &self,
        request: Request<proto::ListQueueEntriesRequest>,
    ) -> Result<Response<proto::ListQueueEntriesResponse>, Status> {
        answer!(self, "ListQueueEntries", queue, request)
    }

    async fn list_comments(
        &self,
        request: Request<proto::ListCommentsRequest>,
    ) -> Result<Response<proto::ListCommentsResponse>, Status> {
        answer!(self, "ListComments", comments, request)
    }

    async fn get_reviewed_comment(
        &self,
        request: Request<proto::GetReviewedCommentRequest>,
    ) -> Result<Response<proto::GetReviewedCommentResponse>, Status> {
        answer!(self, "GetReviewedComment", get, request)
    }

    async fn decide_comment(
        &self,
        request: Request<proto::DecideCommentRequest>,
    ) -> Result<Response<proto::DecideCommentResponse>, Status> {
        answer!(self, "DecideComment", decide, request)
    }

    async fn preview_decision(
        &self,
        request: Request<proto::PreviewDecisionRequest>,
    ) -> Result<Response<proto::PreviewDecisionResponse>, Status> {
        answer!(self, "PreviewDecision", preview, request)
    }

    type BatchDecideCommentsStream = Responses<proto::BatchDecideCommentsResponse>;

    async fn batch_decide_comments(
        &self,
        request: Request<proto::BatchDecideCommentsRequest>,
    ) -> Result<Response<Self::BatchDecideCommentsStream>, Status> {
        answer!(self, "BatchDecideComments", batch, request)
    }

    type UndoDecisionStream = Responses<proto::UndoDecisionResponse>;

    async fn undo_decision(
        &self,
        request: Request<proto::UndoDecisionRequest>,
    ) -> Result<Response<Self::UndoDecisionStream>, Status> {
        answer!(self, "UndoDecision", undo, request)
    }

    async fn list_decisions(
        &self,
        request: Request<proto::ListDecisionsRequest>,
    ) -> Result<Response<proto::ListDecisionsResponse>, Status> {
        answer!(self, "ListDecisions", decisions, request)
    }

    async fn claim_comment(
        &self,
        request: Request<proto::ClaimCommentRequest>,
    ) -> Result<Response<proto::ClaimCommentResponse>, Status> {
        answer!(self, "ClaimComment", claim, request)
    }

    async fn release_comment(
        &self,
        request: Request<proto::ReleaseCommentRequest>,
    ) -> Result<Response<proto::ReleaseCommentResponse>, Status> {
        answer!(self, "ReleaseComment", release, request)
    }

    type WatchQueueStream = Responses<proto::WatchQueueResponse>;

    async fn watch_queue(
        &self,
        request: Request<proto::WatchQueueRequest>,
    ) -> Result<Response<Self::WatchQueueStream>, Status> {
        answer!(self, "WatchQueue", watch, request)
    }

    async fn list_audit_entries(
        &self,
        request: Request<proto::ListAuditEntriesRequest>,
    ) -> Result<Response<proto::ListAuditEntriesResponse>, Status> {
        answer!(self, "ListAuditEntries", audit, request)
    }

    async fn get_overview(
        &self,
        request: Request<proto::GetOverviewRequest>,
    ) -> Result<Response<proto::GetOverviewResponse>, Status> {
        answer!(self, "GetOverview", overview, request)
    }
}
