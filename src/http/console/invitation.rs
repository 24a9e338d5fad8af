//! The page that an invitation's link leads to: it sets a password, once.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;

use super::errors::PageError;
use super::form::VisitorForm;
use super::frame::Frame;
use super::log_in::{signed_in, visit_or_new, with_visit};
use super::page::page_with;
use super::{CONSOLE_PATH, Console};
use crate::moderation::ModerationError;
use crate::moderation::accounts::{NewSession, PASSWORD_CHARS_MIN, Token};
use crate::moderation::ports::accounts::AccountRecord;

#[derive(askama::Template)]
#[template(path = "console/invitation.html")]
struct InvitationPage {
    frame: Frame,
    name: String,
    role: &'static str,
    path: String,
    chars_min: usize,
    problem: String,
}

#[derive(askama::Template)]
#[template(path = "console/invitation_over.html")]
struct OverPage {
    frame: Frame,
}

pub(super) fn routes() -> Router<Console> {
    Router::new().route("/invitation/{token}", get(show).post(accept))
}

async fn show(
    State(console): State<Console>,
    headers: HeaderMap,
    Path(token): Path<String>,
) -> Result<Response, PageError> {
    let Some((token, account)) = invited(&console, &token).await? else { return Ok(over()) };
    let visit = visit_or_new(&console, &headers);
    let shown = shown(&visit, &token, &account, String::new());
    Ok(with_visit(&console, &visit, page_with(StatusCode::OK, &shown)))
}

async fn accept(
    State(console): State<Console>,
    Path(token): Path<String>,
    sent: VisitorForm,
) -> Result<Response, PageError> {
    let Some((token, account)) = invited(&console, &token).await? else { return Ok(over()) };
    let password = sent.form.get("password");
    let outcome = if password == sent.form.get("repeated") {
        console.accounts().accept(&token, password).await
    } else {
        let text = "The two passwords are not the same.";
        Err(ModerationError::field("repeated", "not-same", text))
    };
    match outcome {
        Ok(NewSession { account, token }) => {
            Ok(signed_in(&console, &NewSession { account, token }, CONSOLE_PATH))
        }
        Err(ModerationError::Invalid(violations)) => {
            let problem: Vec<_> = violations.into_iter().map(|one| one.description).collect();
            let shown = shown(&sent.visit, &token, &account, problem.join(" "));
            Ok(page_with(StatusCode::BAD_REQUEST, &shown))
        }
        // Used in another window meanwhile.
        Err(ModerationError::NotFound(_) | ModerationError::Conflict(_)) => Ok(over()),
        Err(error) => Err(error.into()),
    }
}

async fn invited(
    console: &Console,
    token: &str,
) -> Result<Option<(Token, AccountRecord)>, PageError> {
    let Some(token) = Token::parse(token) else { return Ok(None) };
    match console.accounts().invited(&token).await {
        Ok(account) => Ok(Some((token, account))),
        Err(ModerationError::NotFound(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn shown(visit: &Token, token: &Token, account: &AccountRecord, problem: String) -> InvitationPage {
    InvitationPage {
        frame: Frame::for_visit("Set your password", visit),
        name: account.name.clone(),
        role: account.role.as_str(),
        path: format!("{CONSOLE_PATH}/invitation/{}", token.expose()),
        chars_min: PASSWORD_CHARS_MIN,
        problem,
    }
}

fn over() -> Response {
    let shown = OverPage { frame: Frame::for_visitors("This link is over") };
    page_with(StatusCode::NOT_FOUND, &shown)
}
