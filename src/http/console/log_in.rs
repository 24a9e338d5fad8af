//! Signing in and out.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use url::form_urlencoded;

use super::errors::{PageError, in_words};
use super::form::{Form, SignedForm, VisitorForm, visit};
use super::frame::Frame;
use super::page::page_with;
use super::{CONSOLE_PATH, Console, cookies};
use crate::moderation::accounts::{LogInError, NewSession, Token};

#[derive(askama::Template)]
#[template(path = "console/log_in.html")]
struct LogInPage {
    frame: Frame,
    name: String,
    next: String,
    problem: String,
}

pub(super) fn routes() -> Router<Console> {
    Router::new().route("/log-in", get(show).post(log_in)).route("/log-out", post(log_out))
}

async fn show(State(console): State<Console>, headers: HeaderMap, uri: Uri) -> Response {
    let query = uri.query().unwrap_or_default();
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    let next = pairs.find(|(key, _)| key == "next").map(|(_, next)| next.into_owned());
    let session = cookies::read(&headers, cookies::SESSION).and_then(Token::parse);
    if let Some(token) = session
        && console.accounts().session(token).await.is_ok_and(|session| session.is_some())
    {
        return Redirect::to(CONSOLE_PATH).into_response();
    }
    let visit = visit_or_new(&console, &headers);
    let shown = LogInPage {
        frame: Frame::for_visit("Sign in", &visit),
        name: String::new(),
        next: own_path(&next.unwrap_or_default()),
        problem: String::new(),
    };
    with_visit(&console, &visit, page_with(StatusCode::OK, &shown))
}

async fn log_in(State(console): State<Console>, sent: VisitorForm) -> Result<Response, PageError> {
    let form = &sent.form;
    let outcome = console.accounts().log_in(form.get("name"), form.get("password"), sent.client);
    let (status, problem) = match outcome.await {
        Ok(new) => return Ok(signed_in(&console, &new, &own_path(form.get("next")))),
        Err(LogInError::Refused) => {
            (StatusCode::UNAUTHORIZED, "Name or password are wrong.".to_owned())
        }
        Err(LogInError::Limited(wait)) => (
            StatusCode::TOO_MANY_REQUESTS,
            format!("Too many attempts. Please try again in {}.", in_words(wait)),
        ),
        Err(LogInError::Failed(error)) => return Err(error.into()),
    };
    Ok(again(&sent.visit, form, status, problem))
}

fn again(visit: &Token, form: &Form, status: StatusCode, problem: String) -> Response {
    let shown = LogInPage {
        frame: Frame::for_visit("Sign in", visit),
        name: form.get("name").to_owned(),
        next: own_path(form.get("next")),
        problem,
    };
    page_with(status, &shown)
}

async fn log_out(State(console): State<Console>, sent: SignedForm) -> Result<Response, PageError> {
    console.accounts().log_out(&sent.session).await?;
    let removed = AppendHeaders([
        (header::SET_COOKIE, cookies::remove(&console, cookies::SESSION)),
        (header::SET_COOKIE, cookies::remove(&console, cookies::FLASH)),
    ]);
    Ok((removed, Redirect::to(&format!("{CONSOLE_PATH}/log-in"))).into_response())
}

/// The answer to somebody who just signed in. The session's token is a fresh one; that of the
/// visit ends.
pub(super) fn signed_in(console: &Console, new: &NewSession, next: &str) -> Response {
    let life = console.accounts().lives().session.as_secs();
    let token = new.token.expose();
    let cookies = AppendHeaders([
        (header::SET_COOKIE, cookies::set(console, cookies::SESSION, token, Some(life))),
        (header::SET_COOKIE, cookies::remove(console, cookies::VISIT)),
    ]);
    (cookies, Redirect::to(next)).into_response()
}

/// The visit's token, or a new one.
pub(super) fn visit_or_new(console: &Console, headers: &HeaderMap) -> Token {
    visit(headers).unwrap_or_else(|| console.accounts().fresh_token())
}

/// Gives the browser the visit's token.
pub(super) fn with_visit(console: &Console, visit: &Token, response: Response) -> Response {
    let cookie = cookies::set(console, cookies::VISIT, visit.expose(), None);
    (AppendHeaders([(header::SET_COOKIE, cookie)]), response).into_response()
}

/// The path if it leads to a page of ours, else the first page: never to another site.
fn own_path(path: &str) -> String {
    let own = path == CONSOLE_PATH
        || path.strip_prefix(CONSOLE_PATH).is_some_and(|rest| rest.starts_with('/'));
    let plain = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if own && plain && !path.contains("//") { path.to_owned() } else { CONSOLE_PATH.to_owned() }
}

/// For handlers that end a session and begin another.
pub(super) fn renewed(console: &Console, new: &NewSession) -> header::HeaderValue {
    let life = console.accounts().lives().session.as_secs();
    cookies::set(console, cookies::SESSION, new.token.expose(), Some(life))
}

/// What a person reads who mistyped the password they have.
pub(super) fn problem(error: LogInError) -> Result<String, PageError> {
    match error {
        LogInError::Refused => Ok("Your present password is another one.".into()),
        LogInError::Limited(wait) => {
            Ok(format!("Too many attempts. Please try again in {}.", in_words(wait)))
        }
        LogInError::Failed(crate::moderation::ModerationError::Invalid(violations)) => {
            Ok(violations.into_iter().map(|one| one.description).collect::<Vec<_>>().join(" "))
        }
        LogInError::Failed(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_pages_come_next() {
        for own in ["/console", "/console/sites/a", "/console/moderators"] {
            assert_eq!(own_path(own), own);
        }
        for foreign in [
            "",
            "//evil.example",
            "https://evil.example",
            "/console//evil",
            "/consolex",
            "/",
            "/console/\\x",
        ] {
            assert_eq!(own_path(foreign), CONSOLE_PATH, "{foreign}");
        }
    }
}
