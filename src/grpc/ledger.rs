//! The ledger's part of `ModelService`: imports, exports and retractions.

use std::sync::Arc;

use futures_util::{Stream, StreamExt, stream};
use tonic::{Request, Status, Streaming};

use super::comments::site_id;
use super::models::Models;
use super::{auth, models_convert, proto, status};
use crate::domain::{CommentId, KeyScope, Site, SiteId};
use crate::moderation::{Moderation, ModerationError, RetractionRequest, note};

/// Examples of one message of an import.
const MESSAGE_EXAMPLES_MAX: usize = 1_000;
/// Examples read at once for an export.
const EXPORT_PAGE_SIZE: usize = 1_000;

impl Models {
    pub(super) async fn import(
        &self,
        request: Request<Streaming<proto::ImportExamplesRequest>>,
    ) -> Result<proto::ImportExamplesResponse, ModerationError> {
        let caller = auth::caller(&self.moderation, &request).await?;
        let mut messages = request.into_inner();
        let mut site: Option<Arc<Site>> = None;
        let mut answer = proto::ImportExamplesResponse::default();
        while let Some(message) = messages.next().await {
            let message = message.map_err(|_| {
                let text = "A message broke off, has more than 2 MiB or is none of the contract.";
                ModerationError::field("examples", "malformed-message", text)
            })?;
            if message.examples.len() > MESSAGE_EXAMPLES_MAX {
                let text = "At most 1,000 examples a message are taken.";
                return Err(ModerationError::field("examples", "too-many", text));
            }
            let site = match &site {
                Some(site) => site.clone(),
                None => {
                    let id = site_id("parent", &message.parent)?;
                    caller.require(&id, KeyScope::Operate)?;
                    site.insert(self.moderation.site(&id).await?).clone()
                }
            };
            let count = message.examples.len() as i64;
            let examples: Result<Vec<_>, _> =
                message.examples.into_iter().map(models_convert::example).collect();
            let new =
                self.moderation.import_examples(&caller.actor(), &site, examples?).await? as i64;
            answer.imported_count += new;
            answer.known_count += count - new;
        }
        Ok(answer)
    }

    pub(super) async fn retract(
        &self,
        request: Request<proto::RetractExamplesRequest>,
    ) -> Result<proto::RetractExamplesResponse, ModerationError> {
        use proto::retract_examples_request::Selector;
        let (caller, site) = self.operator(&request, "parent", &request.get_ref().parent).await?;
        let request = request.into_inner();
        let note = note(request.note)?;
        let what = match request.selector {
            Some(Selector::Position(position)) => RetractionRequest::Position(position),
            Some(Selector::Comment(name)) => {
                RetractionRequest::Comment(comment_of(&site.id, &name)?)
            }
            Some(Selector::ReporterName(name)) => RetractionRequest::ReporterName(name),
            Some(Selector::AuthorEmail(address)) => RetractionRequest::AuthorEmail(address),
            Some(Selector::Source(source)) => RetractionRequest::Source(source),
            None => {
                let text = "What to take back is required.";
                return Err(ModerationError::field("selector", "required", text));
            }
        };
        let count =
            self.moderation.retract_examples(&caller.actor(), &site, what, note).await? as i64;
        Ok(proto::RetractExamplesResponse { retracted_count: count })
    }
}

pub(super) fn comment_of(site: &SiteId, name: &str) -> Result<CommentId, ModerationError> {
    let (owner, id) =
        CommentId::from_name(name).map_err(|error| super::comments::bad_name("comment", &error))?;
    if owner == *site { Ok(id) } else { Err(ModerationError::NotFound("comment")) }
}

/// The examples of a ledger, page by page.
pub(super) fn export(
    moderation: Arc<Moderation>,
    site: Arc<Site>,
) -> impl Stream<Item = Result<proto::ExportExamplesResponse, Status>> + Send {
    let pages = stream::try_unfold(0, move |after| {
        let (moderation, site) = (moderation.clone(), site.clone());
        async move {
            let page = moderation.export_examples(&site, after, EXPORT_PAGE_SIZE).await;
            let page = page.map_err(status::status)?;
            let Some(last) = page.last().map(|example| example.position) else {
                return Ok::<_, Status>(None);
            };
            let rows: Vec<_> = page
                .into_iter()
                .map(|example| Ok(models_convert::exported(&site.id, example)))
                .collect();
            Ok(Some((stream::iter(rows), last)))
        }
    });
    pages.flat_map(|page| match page {
        Ok(rows) => rows.left_stream(),
        Err(status) => stream::iter([Err(status)]).right_stream(),
    })
}
