//! Akismet's dialect, so that its clients can be pointed here unmodified: an adapter over the use
//! cases that gRPC calls too.
//!
//! The facts are those of the clients, read from their sources and seen on the wire, and the
//! documented API of akismet.com. `check` says what each verdict becomes.

mod account;
mod check;
mod comment;
mod feedback;
mod fields;
#[cfg(any(test, fuzzing))]
mod fuzz;
mod reply;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use axum::routing::{any, get};

use super::body::{self, BodyError};
use super::peer::{self, Peer};
use crate::domain::Site;
use crate::moderation::{Caller, Moderation, ModerationError};
use fields::Fields;
use reply::Reply;

#[cfg(any(test, fuzzing))]
pub use fuzz::akismet as fuzz_akismet;

/// Bytes of a request's body. WordPress sends the longest comment and some 35 other fields.
const BODY_BYTES_MAX: usize = 256 << 10;

/// What the dialect stands on; cheap to clone.
#[derive(Clone)]
pub struct Akismet(Arc<Parts>);

struct Parts {
    moderation: Arc<Moderation>,
    /// Where browsers find the console.
    console_url: String,
    /// Whether a proxy stands in front, whose word says who the client is.
    behind_proxy: bool,
}

impl Akismet {
    /// The dialect over the use cases; answers lead to the console at `console_url`.
    pub fn new(moderation: Arc<Moderation>, console_url: String, behind_proxy: bool) -> Self {
        Self(Arc::new(Parts { moderation, console_url, behind_proxy }))
    }

    fn moderation(&self) -> &Arc<Moderation> {
        &self.0.moderation
    }

    /// The page of a comment in the console.
    fn comment_url(&self, site: &Site, id: &str) -> String {
        format!("{}/sites/{}/comments/{id}", self.0.console_url, site.id)
    }

    /// The site that a call is for, by its key.
    async fn site(&self, call: &Call) -> Result<(Caller, Arc<Site>), ModerationError> {
        self.moderation().akismet_site(&call.key, call.client).await
    }
}

/// A request, read.
struct Call {
    /// Of the query and the body; the body's go before.
    fields: Fields,
    key: String,
    client: IpAddr,
    guid: String,
}

impl Call {
    /// Answers under the call's own guid.
    fn reply(&self, reply: Reply) -> Response {
        reply.into_response(&self.guid)
    }
}

/// The operations, by what clients call them.
#[derive(Debug, Clone, Copy)]
enum Operation {
    VerifyKey,
    CommentCheck,
    SubmitSpam,
    SubmitHam,
    GetSubscription,
    GetStats,
    UsageLimit,
    KeySites,
    Deactivate,
    Token,
}

/// All routes.
pub(super) fn router(akismet: Akismet) -> Router {
    let of = |operation: Operation| {
        any(move |State(akismet): State<Akismet>, request: Request| async move {
            answer(&akismet, operation, request).await
        })
    };
    let mut router = Router::new();
    for version in ["/1.1", "/1.2"] {
        router = router
            .route(&format!("{version}/verify-key"), of(Operation::VerifyKey))
            .route(&format!("{version}/comment-check"), of(Operation::CommentCheck))
            .route(&format!("{version}/submit-spam"), of(Operation::SubmitSpam))
            .route(&format!("{version}/submit-ham"), of(Operation::SubmitHam))
            .route(&format!("{version}/get-subscription"), of(Operation::GetSubscription))
            .route(&format!("{version}/get-stats"), of(Operation::GetStats))
            .route(&format!("{version}/usage-limit"), of(Operation::UsageLimit))
            .route(&format!("{version}/key-sites"), of(Operation::KeySites))
            .route(&format!("{version}/deactivate"), of(Operation::Deactivate))
            .route(&format!("{version}/token"), of(Operation::Token))
            .route(&format!("{version}/test"), get(connected).post(connected));
    }
    router.with_state(akismet)
}

async fn connected(State(akismet): State<Akismet>) -> Response {
    Reply::word("connected").into_response(&akismet.moderation().fresh_guid())
}

async fn answer(akismet: &Akismet, operation: Operation, request: Request) -> Response {
    let guid = akismet.moderation().fresh_guid();
    let call = match read(akismet, request, guid.clone()).await {
        Ok(call) => call,
        Err(reply) => return reply.into_response(&guid),
    };
    match operation {
        Operation::CommentCheck => check::answer(akismet, &call).await,
        Operation::SubmitSpam => feedback::answer(akismet, &call, true).await,
        Operation::SubmitHam => feedback::answer(akismet, &call, false).await,
        other => account::answer(akismet, &call, other).await,
    }
}

async fn read(akismet: &Akismet, request: Request, guid: String) -> Result<Call, Reply> {
    let (head, body) = request.into_parts();
    let body = body::read(body, BODY_BYTES_MAX).await.map_err(|error| match error {
        BodyError::TooLarge => {
            Reply::undecided(StatusCode::PAYLOAD_TOO_LARGE, "At most 256 KiB are taken.")
        }
        BodyError::TooSlow => {
            Reply::undecided(StatusCode::REQUEST_TIMEOUT, "The request did not come in time.")
                .with("connection", "close")
        }
    })?;
    let query = head.uri.query().unwrap_or_default().as_bytes();
    let key = key(&Fields::parse(&body), &Fields::parse(query), &head.headers);
    let client = peer::client(akismet.0.behind_proxy, &head.headers, head.extensions.get::<Peer>());
    let fields = Fields::parse(&[query, b"&", &body].concat());
    Ok(Call { fields, key, client, guid })
}

/// The key: of the body, else of the query, else the first label of the host.
fn key(body: &Fields, query: &Fields, headers: &HeaderMap) -> String {
    const NAMES: [&str; 2] = ["api_key", "key"];
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let label = host.split('.').next().unwrap_or_default();
    let is_key = label.len() == 12 && host.contains('.');
    [body.first(&NAMES), query.first(&NAMES), if is_key { label } else { "" }]
        .into_iter()
        .find(|key| !key.is_empty())
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_wherever_clients_put_them() {
        let found = |body: &str, query: &str, host: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            key(&Fields::parse(body.as_bytes()), &Fields::parse(query.as_bytes()), &headers)
        };
        assert_eq!(found("api_key=a&key=b", "key=c", "d.example"), "a");
        assert_eq!(found("key=b", "api_key=c", "d.example"), "b");
        assert_eq!(found("", "api_key=c", "0123456789ab.rest.example"), "c");
        assert_eq!(found("key=", "", "0123456789ab.rest.example:80"), "0123456789ab");
        assert_eq!(found("", "", "rest.example"), "");
        assert_eq!(found("", "", "abcdefghijkl"), "");
    }
}
