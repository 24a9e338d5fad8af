//! Streams of what happens, resumable by token.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use tonic::Status;
use tonic::metadata::MetadataMap;

use super::{auth, proto, reviews_convert, status};
use crate::domain::{KeyScope, Site};
use crate::moderation::{Moderation, ModerationError, QueuePlace};

/// How long nothing happens before a response has only the token, so that connections that are
/// gone are noticed.
const PATIENCE: Duration = Duration::from_secs(30);

/// A stream of responses.
pub(super) type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Who watches what.
#[derive(Clone)]
struct Watcher {
    moderation: Arc<Moderation>,
    metadata: Arc<MetadataMap>,
    site: Arc<Site>,
    scope: KeyScope,
}

impl Watcher {
    /// A stream may live for days, so its key is looked up each time: a revoked one ends it.
    async fn admit(&self) -> Result<(), ModerationError> {
        let caller = auth::caller_again(&self.moderation, &self.metadata).await?;
        caller.require(&self.site.id, self.scope)
    }
}

/// Watches are cancelled by the end of the server alone.
fn ended(error: ModerationError) -> Status {
    match error {
        ModerationError::Cancelled => status::leaving(),
        error => status::status(error),
    }
}

fn bad_token() -> ModerationError {
    let text = "A token of this stream is expected.";
    ModerationError::field("resume_token", "invalid-token", text)
}

/// What is decided on a site from a token on.
///
/// # Errors
/// `Invalid` token, `Unavailable`.
pub(super) async fn decisions(
    moderation: Arc<Moderation>,
    metadata: MetadataMap,
    site: Arc<Site>,
    token: &str,
) -> Result<Responses<proto::WatchDecisionsResponse>, ModerationError> {
    let after = match token {
        "" => moderation.queue_place(&site.id).await?.decision,
        "start" => 0,
        token => token.parse().ok().filter(|after| *after >= 0).ok_or_else(bad_token)?,
    };
    let metadata = Arc::new(metadata);
    let watcher = Watcher { moderation, metadata, site, scope: KeyScope::Check };
    let first = proto::WatchDecisionsResponse { resume_token: after.to_string(), decision: None };
    let looks = stream::try_unfold((watcher, after), |(watcher, after)| async move {
        let looked = async {
            watcher.admit().await?;
            watcher.moderation.next_decisions(&watcher.site.id, after, PATIENCE).await
        };
        let decided = looked.await.map_err(ended)?;
        let next = decided.last().map_or(after, |decided| decided.position);
        let mut responses: Vec<_> = decided
            .into_iter()
            .map(|decided| proto::WatchDecisionsResponse {
                resume_token: decided.position.to_string(),
                decision: Some(reviews_convert::decided(&watcher.site.id, decided)),
            })
            .collect();
        if responses.is_empty() {
            let resume_token = after.to_string();
            responses.push(proto::WatchDecisionsResponse { resume_token, decision: None });
        }
        Ok::<_, Status>(Some((responses, (watcher, next))))
    });
    Ok(flatten(first, looks))
}

/// What comes into the queue of a site and what is decided, from a token on.
///
/// # Errors
/// `Invalid` token, `Unavailable`.
pub(super) async fn queue(
    moderation: Arc<Moderation>,
    metadata: MetadataMap,
    site: Arc<Site>,
    token: &str,
) -> Result<Responses<proto::WatchQueueResponse>, ModerationError> {
    let place = match token {
        "" => moderation.queue_place(&site.id).await?,
        token => parse_place(token).ok_or_else(bad_token)?,
    };
    let metadata = Arc::new(metadata);
    let watcher = Watcher { moderation, metadata, site, scope: KeyScope::Review };
    let first = proto::WatchQueueResponse { resume_token: place_token(place), event: None };
    let looks = stream::try_unfold((watcher, place), |(watcher, place)| async move {
        let looked = async {
            watcher.admit().await?;
            watcher.moderation.next_queue_news(&watcher.site.id, place, PATIENCE).await
        };
        let news = looked.await.map_err(ended)?;
        let next = news.as_ref().map_or(place, |news| news.place);
        Ok::<_, Status>(Some((queue_responses(&watcher.site, place, news), (watcher, next))))
    });
    Ok(flatten(first, looks))
}

/// The events of a look. Only the last carries the place after all of them: who breaks off before
/// gets them all again.
fn queue_responses(
    site: &Site,
    before: QueuePlace,
    news: Option<crate::moderation::QueueNews>,
) -> Vec<proto::WatchQueueResponse> {
    use proto::watch_queue_response::Event;
    let Some(news) = news else {
        return vec![proto::WatchQueueResponse { resume_token: place_token(before), event: None }];
    };
    let held = news.held.into_iter().map(|held| Event::HeldComment(reviews_convert::listed(held)));
    let decided = news
        .decided
        .into_iter()
        .map(|decided| Event::Decision(reviews_convert::decided(&site.id, decided)));
    let mut responses: Vec<_> = held
        .chain(decided)
        .map(|event| proto::WatchQueueResponse {
            resume_token: place_token(before),
            event: Some(event),
        })
        .collect();
    if let Some(last) = responses.last_mut() {
        last.resume_token = place_token(news.place);
    }
    responses
}

fn place_token(place: QueuePlace) -> String {
    format!("{}.{}", place.comment, place.decision)
}

fn parse_place(token: &str) -> Option<QueuePlace> {
    let (comment, decision) = token.split_once('.')?;
    let place = QueuePlace { comment: comment.parse().ok()?, decision: decision.parse().ok()? };
    (place.comment >= 0 && place.decision >= 0).then_some(place)
}

fn flatten<T: Send + 'static>(
    first: T,
    looks: impl Stream<Item = Result<Vec<T>, Status>> + Send + 'static,
) -> Responses<T> {
    let responses = looks.flat_map(|look| match look {
        Ok(responses) => stream::iter(responses.into_iter().map(Ok)).left_stream(),
        Err(status) => stream::iter([Err(status)]).right_stream(),
    });
    Box::pin(stream::iter([Ok(first)]).chain(responses))
}
