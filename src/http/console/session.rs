//! Who is signed in, and what they may see.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::errors::PageError;
use super::{CONSOLE_PATH, Console, cookies, security};
use crate::domain::{Site, SiteId};
use crate::moderation::accounts::{Session, Token};

/// The mark of a form's token.
const FORM_PURPOSE: &str = "form";

/// The header by which the console's script says that it loads a page by itself, and not because
/// somebody did something.
const BY_ITSELF: &str = "x-replyguard-by-itself";

/// Who is signed in. The session counts as used, unless the page asks by itself.
///
/// # Errors
/// [`PageError::LogIn`] if nobody is, or that of the store.
pub(super) async fn signed_in(parts: &Parts, console: &Console) -> Result<Session, PageError> {
    let by_itself = security::is_safe(&parts.method) && parts.headers.contains_key(BY_ITSELF);
    find(parts, console, by_itself).await
}

/// Whose page watches what happens. The session does not count as used by that.
pub(in crate::http::console) struct Watcher(pub Session);

impl FromRequestParts<Console> for Watcher {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, PageError> {
        find(parts, console, true).await.map(Self)
    }
}

async fn find(parts: &Parts, console: &Console, by_itself: bool) -> Result<Session, PageError> {
    let token = cookies::read(&parts.headers, cookies::SESSION).and_then(Token::parse);
    let found = match token {
        Some(token) if by_itself => console.accounts().peek_session(token).await?,
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
