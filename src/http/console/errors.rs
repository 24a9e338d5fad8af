//! Pages that say what went wrong. None tells whether a foreign thing exists.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use url::form_urlencoded;

use super::frame::Frame;
use super::page::page;
use crate::moderation::ModerationError;

/// Why a page is not shown.
#[derive(Debug)]
pub(in crate::http::console) enum PageError {
    /// Nobody is signed in; afterwards one goes on to `next`.
    LogIn {
        /// A path.
        next: Option<String>,
    },
    /// What was sent cannot be read.
    BadRequest(String),
    /// The form is not one of ours, or of another session.
    FormToken,
    /// It may not be seen.
    Forbidden(&'static str),
    /// It is not there, or not for these eyes.
    NotFound,
    /// The page has no such method.
    MethodNotAllowed,
    /// It stands otherwise than whoever asked believed.
    Conflict(String),
    /// Too much was sent.
    TooLarge,
    /// It did not come in time.
    TooSlow,
    /// Too many attempts.
    Limited(Duration),
    /// The store cannot be used now.
    Unavailable,
}

impl From<ModerationError> for PageError {
    fn from(error: ModerationError) -> Self {
        match error {
            ModerationError::NotFound(_) | ModerationError::ForeignSite => Self::NotFound,
            ModerationError::Invalid(violations) => {
                let texts: Vec<String> =
                    violations.into_iter().map(|violation| violation.description).collect();
                Self::BadRequest(texts.join(" "))
            }
            ModerationError::Unavailable(cause) => {
                tracing::error!(error = %cause, "a page failed because of the store");
                Self::Unavailable
            }
            ModerationError::Limited { retry_after, .. }
            | ModerationError::CallsTooFast { retry_after }
            | ModerationError::GuessesTooFast { retry_after } => Self::Limited(retry_after),
            ModerationError::KeyMissing
            | ModerationError::KeyInvalid
            | ModerationError::ScopeMissing(_) => Self::Forbidden("This is not allowed."),
            other => Self::Conflict(sentence(&other.to_string())),
        }
    }
}

/// A message as a sentence.
pub(super) fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str().trim_end_matches('.'))
}

#[derive(askama::Template)]
#[template(path = "console/error.html")]
struct ErrorPage {
    frame: Frame,
    status: u16,
    text: String,
}

impl PageError {
    fn words(self) -> (StatusCode, &'static str, String) {
        match self {
            Self::LogIn { .. } => (StatusCode::UNAUTHORIZED, "Sign in", String::new()),
            Self::BadRequest(text) => (StatusCode::BAD_REQUEST, "That did not work", text),
            Self::FormToken => (
                StatusCode::FORBIDDEN,
                "This form is out of date",
                "It was opened in another session, or comes from elsewhere. Nothing was changed. \
                 Go back, reload the page and try again."
                    .into(),
            ),
            Self::Forbidden(text) => (StatusCode::FORBIDDEN, "Not for you", text.into()),
            Self::NotFound => (
                StatusCode::NOT_FOUND,
                "Not found",
                "There is no such page, or it is not one that you may see.".into(),
            ),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "Not possible here",
                "This page cannot be used in that way.".into(),
            ),
            Self::Conflict(text) => (StatusCode::CONFLICT, "It has changed", text),
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "Too much",
                "More was sent than this page takes.".into(),
            ),
            Self::TooSlow => (
                StatusCode::REQUEST_TIMEOUT,
                "Too slow",
                "What was sent did not come in time. Please try again.".into(),
            ),
            Self::Limited(wait) => (
                StatusCode::TOO_MANY_REQUESTS,
                "Too many attempts",
                format!("Please try again in {}.", in_words(wait)),
            ),
            Self::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Not now",
                "The service cannot read or record anything at the moment. Please try again soon."
                    .into(),
            ),
        }
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        if let Self::LogIn { next } = self {
            let next = next.filter(|next| next != super::CONSOLE_PATH);
            let mut query = form_urlencoded::Serializer::for_suffix("?".to_owned(), 1);
            let query = next.map(|next| query.append_pair("next", &next).finish());
            let path = format!("{}/log-in{}", super::CONSOLE_PATH, query.unwrap_or_default());
            return Redirect::to(&path).into_response();
        }
        let wait = if let Self::Limited(wait) = &self { Some(seconds(*wait)) } else { None };
        let close = matches!(self, Self::TooSlow);
        let (status, title, text) = self.words();
        let shown = ErrorPage { frame: Frame::for_visitors(title), status: status.as_u16(), text };
        let mut response = (status, page(&shown)).into_response();
        if close {
            // The rest of what was sent is not waited for.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(wait) = wait {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait));
        }
        response
    }
}

/// Whole seconds, rounded up, so that waiting them always suffices.
pub(super) fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

/// A wait for people.
pub(super) fn in_words(wait: Duration) -> String {
    match seconds(wait) {
        0 | 1 => "a second".into(),
        seconds @ 2..120 => format!("{seconds} seconds"),
        seconds => format!("{} minutes", seconds.div_ceil(60)),
    }
}

/// For paths that no page has.
pub(super) async fn not_found() -> PageError {
    PageError::NotFound
}

/// For methods that a page has not.
pub(super) async fn method_not_allowed() -> PageError {
    PageError::MethodNotAllowed
}
