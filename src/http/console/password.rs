//! Changing one's own password.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use axum::routing::get;

use super::errors::PageError;
use super::form::SignedForm;
use super::frame::{Frame, Framing, Nav};
use super::page::{page, page_with};
use super::{CONSOLE_PATH, Console, log_in};
use crate::moderation::accounts::PASSWORD_CHARS_MIN;

#[derive(askama::Template)]
#[template(path = "console/password.html")]
struct PasswordPage {
    frame: Frame,
    name: String,
    chars_min: usize,
    problem: String,
}

pub(super) fn routes() -> Router<Console> {
    Router::new().route("/password", get(show).post(change))
}

async fn show(State(console): State<Console>, framing: Framing) -> Result<Response, PageError> {
    Ok(page(&shown(&console, &framing, String::new()).await?))
}

async fn change(State(console): State<Console>, sent: SignedForm) -> Result<Response, PageError> {
    let SignedForm { session, form, client, .. } = sent;
    let password = form.get("password");
    let problem = if password == form.get("repeated") {
        let accounts = console.accounts();
        match accounts.change_password(&session, form.get("before"), password, client).await {
            Ok(new) => {
                let cookie = log_in::renewed(&console, &new);
                let headers = AppendHeaders([(header::SET_COOKIE, cookie)]);
                return Ok((headers, Redirect::to(CONSOLE_PATH)).into_response());
            }
            Err(error) => log_in::problem(error)?,
        }
    } else {
        "The two passwords are not the same.".to_owned()
    };
    let shown = shown(&console, &Framing::after_form(session), problem).await?;
    Ok(page_with(StatusCode::BAD_REQUEST, &shown))
}

async fn shown(
    console: &Console,
    framing: &Framing,
    problem: String,
) -> Result<PasswordPage, PageError> {
    let frame = framing.frame(console, "Change your password", Nav::Elsewhere, None).await?;
    let name = framing.session.account().name.clone();
    Ok(PasswordPage { frame, name, chars_min: PASSWORD_CHARS_MIN, problem })
}
