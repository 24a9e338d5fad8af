//! What the next page says after a POST: one message, in a cookie that the session's mark makes
//! ours.

use axum::http::{HeaderMap, header};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use serde::{Deserialize, Serialize};
use url::form_urlencoded;

use super::{Console, cookies};
use crate::moderation::accounts::{Session, Token};

const PURPOSE: &str = "flash";
/// Seconds within which the next page is to be loaded.
const LIFE_S: u64 = 60;
/// Bytes of a message, so that the cookie is never too large for a browser.
const TEXT_BYTES_MAX: usize = 600;

/// A message for the top of the next page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::http::console) struct Flash {
    /// One or two sentences.
    pub text: String,
    /// A form that takes back what was done: a path of the console to POST to.
    pub undo: Option<String>,
}

impl Flash {
    /// A message.
    pub fn new(text: impl Into<String>) -> Self {
        let mut text = text.into();
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
        Self { text, undo: None }
    }

    /// With a button that takes it back.
    pub fn with_undo(mut self, path: String) -> Self {
        self.undo = Some(path);
        self
    }
}

/// The answer to a POST that did its work: go on to `path`, which shows `flash`.
pub(in crate::http::console) fn done(
    console: &Console,
    session: &Session,
    path: &str,
    flash: &Flash,
) -> Response {
    let cookie =
        cookies::set(console, cookies::FLASH, &encode(session.token(), flash), Some(LIFE_S));
    (AppendHeaders([(header::SET_COOKIE, cookie)]), Redirect::to(path)).into_response()
}

/// The message that the browser brought, if it is ours.
pub(super) fn take(session: &Session, headers: &HeaderMap) -> Option<Flash> {
    decode(session.token(), cookies::read(headers, cookies::FLASH)?)
}

fn encode(token: &Token, flash: &Flash) -> String {
    let json = serde_json::to_string(flash).expect("text and text");
    let mark = token.mark(PURPOSE, &json);
    let text: String = form_urlencoded::byte_serialize(json.as_bytes()).collect();
    format!("{mark}.{text}")
}

fn decode(token: &Token, cookie: &str) -> Option<Flash> {
    let (mark, text) = cookie.split_once('.')?;
    // One pair without a value: what `byte_serialize` wrote.
    let (json, _) = form_urlencoded::parse(text.as_bytes()).next()?;
    token.has_mark(PURPOSE, &json, mark).then(|| serde_json::from_str(&json).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_back_to_their_session_alone() {
        let token = Token::new([1; 32]);
        let flash = Flash::new("“Ada” = disabled; 100 % & more.").with_undo("/console/x".into());
        let cookie = encode(&token, &flash);
        assert!(cookie.bytes().all(|byte| byte.is_ascii_graphic() && byte != b';'));
        assert_eq!(decode(&token, &cookie), Some(flash));
        assert_eq!(decode(&Token::new([2; 32]), &cookie), None);
        assert_eq!(decode(&token, &cookie.replace("Ada", "Bob")), None);
        assert_eq!(decode(&token, "x"), None);
    }
}
