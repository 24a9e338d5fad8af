//! What a form sent, after it was checked that one of our own pages sent it.

use std::net::IpAddr;

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use url::form_urlencoded;

use super::errors::PageError;
use super::session::{is_form_token, signed_in};
use super::{Console, cookies, security};
use crate::http::body::{self, BodyError};
use crate::http::peer::{self, Peer};
use crate::moderation::accounts::{Session, Token};

/// Bytes of a form: a policy with full lists has the most.
const FORM_BYTES_MAX: usize = 2 << 20;
/// Bytes of the forms of people who are not signed in.
const VISITOR_FORM_BYTES_MAX: usize = 16 << 10;
/// The hidden field of each form.
const TOKEN_FIELD: &str = "form_token";

/// The fields of a form.
pub(in crate::http::console) struct Form(Vec<(String, String)>);

impl Form {
    /// The first value of a field; empty if it was not sent.
    pub fn get(&self, name: &str) -> &str {
        let mut pairs = self.0.iter().filter(|(key, _)| key == name);
        pairs.next().map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// All values of a field.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// A form of somebody who is signed in.
pub(in crate::http::console) struct SignedForm {
    /// Who.
    pub session: Session,
    /// What.
    pub form: Form,
    /// The other end.
    pub client: IpAddr,
    /// Scheme and host that the browser used, without a proxy.
    pub client_url: String,
}

impl FromRequest<Console> for SignedForm {
    type Rejection = PageError;

    async fn from_request(request: Request, console: &Console) -> Result<Self, PageError> {
        let (parts, body) = request.into_parts();
        let session = signed_in(&parts, console).await?;
        let client =
            peer::client(console.behind_proxy(), &parts.headers, parts.extensions.get::<Peer>());
        let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let scheme = if console.is_https() { "https" } else { "http" };
        let client_url = format!("{scheme}://{}", host.unwrap_or_default());
        let request = Request::from_parts(parts, body);
        let form = read(request, console, session.token(), FORM_BYTES_MAX).await?;
        Ok(Self { session, form, client, client_url })
    }
}

/// A form of somebody who is not signed in.
pub(in crate::http::console) struct VisitorForm {
    /// The token of the visit.
    pub visit: Token,
    /// What.
    pub form: Form,
    /// The other end.
    pub client: IpAddr,
}

impl FromRequest<Console> for VisitorForm {
    type Rejection = PageError;

    async fn from_request(request: Request, console: &Console) -> Result<Self, PageError> {
        let visit = visit(request.headers()).ok_or(PageError::FormToken)?;
        let sent_by = request.extensions().get::<Peer>();
        let client = peer::client(console.behind_proxy(), request.headers(), sent_by);
        let form = read(request, console, &visit, VISITOR_FORM_BYTES_MAX).await?;
        Ok(Self { visit, form, client })
    }
}

/// The token of a visit, if the browser brought one.
pub(super) fn visit(headers: &HeaderMap) -> Option<Token> {
    cookies::read(headers, cookies::VISIT).and_then(Token::parse)
}

async fn read(
    request: Request,
    console: &Console,
    token: &Token,
    bytes_max: usize,
) -> Result<Form, PageError> {
    if !security::is_own(console, request.headers()) {
        return Err(PageError::FormToken);
    }
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if !kind.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded")) {
        return Err(PageError::BadRequest("A form was expected.".into()));
    }
    let body = body::read(request.into_body(), bytes_max).await.map_err(|error| match error {
        BodyError::TooLarge => PageError::TooLarge,
        BodyError::TooSlow => PageError::TooSlow,
    })?;
    let form = Form(form_urlencoded::parse(&body).into_owned().collect());
    if !is_form_token(token, form.get(TOKEN_FIELD)) {
        return Err(PageError::FormToken);
    }
    Ok(form)
}
