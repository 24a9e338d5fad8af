//! Who is signed in, and what they may see.

use std::sync::Arc;

use axum::http::request::Parts;

use super::errors::PageError;
use super::{CONSOLE_PATH, Console, cookies, security};
use crate::domain::{Site, SiteId};
use crate::moderation::accounts::{Session, Token};

/// The mark of a form's token.
const FORM_PURPOSE: &str = "form";

/// Who is signed in.
///
/// # Errors
/// [`PageError::LogIn`] if nobody is, or that of the store.
pub(super) async fn signed_in(parts: &Parts, console: &Console) -> Result<Session, PageError> {
    let token = cookies::read(&parts.headers, cookies::SESSION).and_then(Token::parse);
    let found = match token {
        Some(token) => console.accounts().session(token).await?,
        None => None,
    };
    // After signing in, one goes on where one was, but posts nothing again.
    let path = format!("{CONSOLE_PATH}{}", parts.uri.path().trim_end_matches('/'));
    let next = security::is_safe(&parts.method).then_some(path);
    found.ok_or(PageError::LogIn { next })
}

/// The hidden field of the forms that belong to a session or a visit.
pub(super) fn form_token(token: &Token) -> String {
    token.mark(FORM_PURPOSE, "")
}

/// Whether a form brought its token.
pub(super) fn is_form_token(token: &Token, sent: &str) -> bool {
    token.has_mark(FORM_PURPOSE, "", sent)
}

/// The site of a path, if the session may see it. A foreign site looks as one that is not there;
/// call this before anything else.
///
/// # Errors
/// [`PageError::NotFound`], or that of the store.
pub(in crate::http::console) async fn require_site(
    console: &Console,
    session: &Session,
    site: &str,
) -> Result<Arc<Site>, PageError> {
    let id: SiteId = site.parse().map_err(|_| PageError::NotFound)?;
    if !session.may_see(&id) {
        return Err(PageError::NotFound);
    }
    Ok(console.moderation().site(&id).await?)
}

/// Passes administrators.
///
/// # Errors
/// [`PageError::Forbidden`].
pub(in crate::http::console) fn require_administrator(session: &Session) -> Result<(), PageError> {
    let text = "Only administrators see this page.";
    session.account().is_administrator().then_some(()).ok_or(PageError::Forbidden(text))
}
