//! Answers as Akismet's clients take them: a bare word, and headers that say more.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::moderation::ModerationError;

/// An answer. Each has a guid, errors included: WordPress ties verdicts to comments by it.
pub(super) struct Reply {
    status: StatusCode,
    body: String,
    kind: &'static str,
    headers: Vec<(HeaderName, String)>,
}

impl Reply {
    /// A word, with 200.
    pub fn word(word: impl Into<String>) -> Self {
        Self {
            status: StatusCode::OK,
            body: word.into(),
            kind: "text/plain; charset=utf-8",
            headers: Vec::new(),
        }
    }

    /// A value as JSON.
    pub fn json(value: &serde_json::Value) -> Self {
        Self { kind: "application/json", ..Self::word(value.to_string()) }
    }

    /// CSV.
    pub fn csv(text: String) -> Self {
        Self { kind: "text/csv; charset=utf-8", ..Self::word(text) }
    }

    /// No decision: whoever asked must keep the comment. Clients take only a status that is no
    /// success for that; WordPress ignores it and looks at the header.
    pub fn undecided(status: StatusCode, why: &str) -> Self {
        let reply = Self { status, ..Self::word("") };
        reply.with("x-akismet-error", why)
    }

    /// No decision, since too much came at once.
    fn limited(why: &str, retry_after: Duration) -> Self {
        let seconds = retry_after.as_secs() + 1;
        Self::undecided(StatusCode::TOO_MANY_REQUESTS, why)
            .with("retry-after", &seconds.to_string())
    }

    /// What was asked cannot be done, and why.
    pub fn invalid(why: &str) -> Self {
        Self::word("invalid").with("x-akismet-debug-help", why)
    }

    /// What a use case's error means.
    pub fn error(error: &ModerationError) -> Self {
        match error {
            ModerationError::KeyMissing => Self::invalid("The key is missing."),
            ModerationError::KeyInvalid => Self::invalid("There is no such key."),
            ModerationError::Limited { retry_after, .. }
            | ModerationError::CallsTooFast { retry_after } => {
                Self::limited("Too many requests.", *retry_after)
            }
            ModerationError::GuessesTooFast { retry_after } => {
                Self::limited("Too many wrong keys came from this address.", *retry_after)
            }
            ModerationError::Unavailable(cause) => {
                tracing::error!(error = %cause, "a request of Akismet's dialect failed because of the store");
                Self::undecided(StatusCode::SERVICE_UNAVAILABLE, "Nothing can be recorded now.")
            }
            other => Self::invalid(&format!("{}: {other}", other.reason())),
        }
    }

    /// With a header. Characters that no header may have become blanks.
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        let clean: String =
            value.chars().map(|c| if matches!(c, ' '..='~') { c } else { ' ' }).collect();
        self.headers.push((HeaderName::from_static(name), clean));
        self
    }

    /// The answer with its guid.
    pub fn into_response(self, guid: &str) -> Response {
        let mut response = (self.status, self.body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.kind));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let guid = (HeaderName::from_static("x-akismet-guid"), guid.to_owned());
        for (name, value) in self.headers.into_iter().chain([guid]) {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        }
        response
    }
}
