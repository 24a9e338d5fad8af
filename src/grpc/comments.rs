//! `CommentService` over the use cases.

use std::future::ready;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use futures_util::{Stream, StreamExt, stream};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};
use tracing::{Instrument, Span};

use super::proto::batch_check_comments_response::Result as BatchResult;
use super::proto::comment_service_server::CommentService;
use super::watch::{self, Responses};
use super::{answer, auth, convert, proto, status};
use crate::domain::{CommentId, FieldViolation, KeyScope, Site, SiteId};
use crate::moderation::{Answer, Caller, CheckOptions, Feedback, Moderation, ModerationError};
use crate::telemetry::Call;

/// Comments of one batch that are checked at once: enough that one group commit carries dozens,
/// few enough that a stream holds under 10 MB.
const BATCH_IN_FLIGHT_MAX: usize = 128;
/// Bytes of a correlation id.
const CORRELATION_ID_BYTES_MAX: usize = 256;

/// The service; cheap to clone.
#[derive(Clone)]
pub(super) struct Comments {
    moderation: Arc<Moderation>,
}

impl Comments {
    pub(super) fn new(moderation: Arc<Moderation>) -> Self {
        Self { moderation }
    }

    pub(super) fn moderation(&self) -> &Arc<Moderation> {
        &self.moderation
    }

    async fn check(
        &self,
        caller: &Caller,
        request: proto::CheckCommentRequest,
    ) -> Result<Answer, ModerationError> {
        let site_id = site_id("parent", &request.parent)?;
        caller.require(&site_id, KeyScope::Check)?;
        let request_id = convert::request_id(&request.request_id)?;
        let raw = convert::raw_submission(request.comment)?;
        let site = self.moderation.site(&site_id).await?;
        let options = CheckOptions { request: request_id, ..CheckOptions::default() };
        self.moderation.check(&site, raw, options).await
    }

    /// Passes an item of a batch. A stream may live for days, so its key is looked up each time: a
    /// revoked one ends it. If the key's calls come too fast, the stream waits.
    async fn admit(
        self,
        metadata: Arc<MetadataMap>,
        item: Result<proto::BatchCheckCommentsRequest, Status>,
    ) -> Result<(Caller, proto::BatchCheckCommentsRequest), Status> {
        let request = item.map_err(super::server::as_bad_input)?;
        loop {
            let caller = auth::caller_again(&self.moderation, &metadata).await;
            let caller = caller.map_err(status::status)?;
            match self.moderation.count_call(&caller) {
                Err(ModerationError::CallsTooFast { retry_after }) => {
                    tokio::time::sleep(retry_after).await;
                }
                counted => return counted.map(|()| (caller, request)).map_err(status::status),
            }
        }
    }

    async fn check_one(
        &self,
        caller: &Caller,
        request: proto::BatchCheckCommentsRequest,
    ) -> proto::BatchCheckCommentsResponse {
        let call = Call::begin("BatchCheckComments");
        let mut correlation_id = request.correlation_id;
        let answer = if correlation_id.len() > CORRELATION_ID_BYTES_MAX {
            correlation_id.clear();
            let text = "At most 256 bytes are taken.";
            Err(ModerationError::field("correlation_id", "too-long", text))
        } else {
            let request = proto::CheckCommentRequest {
                parent: request.parent,
                comment: request.comment,
                request_id: request.request_id,
            };
            self.check(caller, request).await
        };
        call.end(answer.as_ref().err().map(ModerationError::reason));
        let repeated_request = answer.as_ref().is_ok_and(|answer| answer.repeated);
        let result = match answer {
            Ok(answer) => BatchResult::Comment(convert::checked_comment(answer.comment)),
            Err(error) => BatchResult::Error(status::check_error(error)),
        };
        proto::BatchCheckCommentsResponse { correlation_id, repeated_request, result: Some(result) }
    }

    /// The comment's site and id, once the caller may know of them.
    async fn addressed(
        &self,
        caller: &Caller,
        name: &str,
    ) -> Result<(Arc<Site>, CommentId), ModerationError> {
        let (site_id, id) = CommentId::from_name(name).map_err(|error| bad_name("name", &error))?;
        caller.require(&site_id, KeyScope::Check)?;
        Ok((self.moderation.site(&site_id).await?, id))
    }

    async fn get(
        &self,
        request: Request<proto::GetCommentRequest>,
    ) -> Result<proto::GetCommentResponse, ModerationError> {
        let caller = auth::caller(&self.moderation, &request).await?;
        let (site, id) = self.addressed(&caller, &request.get_ref().name).await?;
        let comment = self.moderation.comment(&site, id).await?;
        Ok(proto::GetCommentResponse { comment: Some(convert::checked_comment(comment)) })
    }

    async fn watch(
        &self,
        request: Request<proto::WatchDecisionsRequest>,
    ) -> Result<Responses<proto::WatchDecisionsResponse>, ModerationError> {
        let caller = auth::caller(&self.moderation, &request).await?;
        let id = site_id("parent", &request.get_ref().parent)?;
        caller.require(&id, KeyScope::Check)?;
        let site = self.moderation.site(&id).await?;
        let (metadata, _, wire) = request.into_parts();
        watch::decisions(self.moderation.clone(), metadata, site, &wire.resume_token).await
    }

    async fn feed_back(
        &self,
        request: Request<proto::SubmitFeedbackRequest>,
    ) -> Result<proto::SubmitFeedbackResponse, ModerationError> {
        let caller = auth::caller(&self.moderation, &request).await?;
        let request = request.into_inner();
        let (site, id) = self.addressed(&caller, &request.name).await?;
        let feedback = Feedback {
            label: convert::label(request.label, "label")?,
            reporter: convert::reporter(request.reporter)?,
            reporter_name: request.reporter_name,
            note: request.note,
        };
        let applied = self.moderation.submit_feedback(&site, id, feedback).await?;
        Ok(proto::SubmitFeedbackResponse {
            comment: Some(convert::checked_comment(*applied.comment)),
            ledger_position: applied.position,
        })
    }
}

#[tonic::async_trait]
impl CommentService for Comments {
    async fn check_comment(
        &self,
        request: Request<proto::CheckCommentRequest>,
    ) -> Result<Response<proto::CheckCommentResponse>, Status> {
        let call = Call::begin("CheckComment");
        let answer = match auth::caller(&self.moderation, &request).await {
            Ok(caller) => self.check(&caller, request.into_inner()).await,
            Err(error) => Err(error),
        };
        call.end(answer.as_ref().err().map(ModerationError::reason));
        let answer = answer.map_err(status::status)?;
        Ok(Response::new(proto::CheckCommentResponse {
            comment: Some(convert::checked_comment(answer.comment)),
            repeated_request: answer.repeated,
        }))
    }

    type BatchCheckCommentsStream =
        Pin<Box<dyn Stream<Item = Result<proto::BatchCheckCommentsResponse, Status>> + Send>>;

    async fn batch_check_comments(
        &self,
        request: Request<Streaming<proto::BatchCheckCommentsRequest>>,
    ) -> Result<Response<Self::BatchCheckCommentsStream>, Status> {
        let caller = auth::caller(&self.moderation, &request).await;
        caller.map_err(status::status)?;
        let (comments, metadata) = (self.clone(), Arc::new(request.metadata().clone()));
        // What ends the stream is told after everything before it is answered.
        let end = Arc::new(OnceLock::new());
        let told = end.clone();
        let admitted = request
            .into_inner()
            .then(move |item| comments.clone().admit(metadata.clone(), item))
            .map(move |item| item.map_err(|status| end.set(status)).ok())
            .take_while(|item| ready(item.is_some()))
            .filter_map(ready);
        let comments = self.clone();
        // The stream is polled outside of the call that began it.
        let call = Span::current();
        let checks = admitted.map(move |(caller, request)| {
            let comments = comments.clone();
            let check = async move { Ok(comments.check_one(&caller, request).await) };
            check.instrument(call.clone())
        });
        let answers = checks.buffer_unordered(BATCH_IN_FLIGHT_MAX);
        let end = stream::iter([told]).filter_map(|told| ready(told.get().cloned().map(Err)));
        Ok(Response::new(Box::pin(answers.chain(end))))
    }

    async fn get_comment(
        &self,
        request: Request<proto::GetCommentRequest>,
    ) -> Result<Response<proto::GetCommentResponse>, Status> {
        answer!(self, "GetComment", get, request)
    }

    async fn submit_feedback(
        &self,
        request: Request<proto::SubmitFeedbackRequest>,
    ) -> Result<Response<proto::SubmitFeedbackResponse>, Status> {
        answer!(self, "SubmitFeedback", feed_back, request)
    }

    type WatchDecisionsStream = Responses<proto::WatchDecisionsResponse>;

    async fn watch_decisions(
        &self,
        request: Request<proto::WatchDecisionsRequest>,
    ) -> Result<Response<Self::WatchDecisionsStream>, Status> {
        answer!(self, "WatchDecisions", watch, request)
    }

    async fn erase_author(
        &self,
        request: Request<proto::EraseAuthorRequest>,
    ) -> Result<Response<proto::EraseAuthorResponse>, Status> {
        answer!(self, "EraseAuthor", erase, request)
    }

    type ExportAuthorStream = Responses<proto::ExportAuthorResponse>;

    async fn export_author(
        &self,
        request: Request<proto::ExportAuthorRequest>,
    ) -> Result<Response<Self::ExportAuthorStream>, Status> {
        answer!(self, "ExportAuthor", export, request)
    }
}

/// The id in a site's name.
pub(super) fn site_id(field: &'static str, name: &str) -> Result<SiteId, ModerationError> {
    SiteId::from_name(name).map_err(|error| bad_name(field, &error))
}

/// A resource name of another form.
pub(super) fn bad_name(field: &'static str, error: &crate::domain::IdError) -> ModerationError {
    ModerationError::Invalid(vec![FieldViolation {
        field,
        reason: "invalid-name",
        description: format!("This is no name: {error}."),
    }])
}
