//! Live updates: server-sent events (WHATWG HTML, 9.2) that tell a page to look again.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::super::errors::PageError;
use super::super::session::Watcher;
use super::super::{Console, require_site};
use crate::moderation::{QueueNews, QueuePlace};

/// How long nothing happens before a comment line keeps the connection open.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a stream lives before the browser comes back, with its session looked at anew.
const STREAM_LIFE: Duration = Duration::from_secs(600);

pub(super) fn routes() -> Router<Console> {
    Router::new().route("/sites/{site}/events", get(events))
}

/// Where a browser left off, if it says so.
fn last_place(headers: &HeaderMap) -> Option<QueuePlace> {
    let text = headers.get("last-event-id")?.to_str().ok()?;
    let (comment, decision) = text.split_once('.')?;
    Some(QueuePlace { comment: comment.parse().ok()?, decision: decision.parse().ok()? })
}

async fn events(
    State(console): State<Console>,
    Watcher(session): Watcher,
    Path(site): Path<String>,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    let site = require_site(&console, &session, &site).await?;
    let place = match last_place(&headers) {
        Some(place) => place,
        None => console.moderation().queue_place(&site.id).await?,
    };
    let end = tokio::time::Instant::now() + STREAM_LIFE;
    let first = Bytes::from(format!("retry: 2000\nid: {}\n\n", id(place)));
    let looks = stream::unfold(
        (console, site.id.clone(), place),
        move |(console, site, place)| async move {
            if tokio::time::Instant::now() >= end {
                return None;
            }
            let news = console.moderation().next_queue_news(&site, place, PATIENCE).await.ok()?;
            let next = news.as_ref().map_or(place, |news| news.place);
            let told = news.map_or(Bytes::from_static(b": nothing new\n\n"), |news| event(&news));
            Some((told, (console, site, next)))
        },
    );
    let body = stream::iter([first]).chain(looks).map(Ok::<_, Infallible>);
    let headers =
        [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((StatusCode::OK, headers, axum::body::Body::from_stream(body)).into_response())
}

fn id(place: QueuePlace) -> String {
    format!("{}.{}", place.comment, place.decision)
}

fn event(news: &QueueNews) -> Bytes {
    let (held, decided) = (news.held.len(), news.decided.len());
    Bytes::from(format!(
        "id: {}\nevent: queue\ndata: {{\"held\":{held},\"decided\":{decided}}}\n\n",
        id(news.place)
    ))
}
