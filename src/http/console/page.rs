//! Templates as answers.

use askama::Template;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

/// The page of a template.
pub(in crate::http::console) fn page(template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response(),
        Err(error) => {
            tracing::error!(error = %error, "a template could not be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// A page with another status than 200.
pub(in crate::http::console) fn page_with(
    status: StatusCode,
    template: &impl Template,
) -> Response {
    (status, page(template)).into_response()
}
