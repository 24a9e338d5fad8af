//! The moderators' console: pages that work without scripts, at `/console`.
//!
//! **To add a page:** a template in `templates/console/` that extends `layout.html`; a file here
//! with its handlers and a `routes()` that [`router`] merges; a line in `frame::NAV`. A handler of
//! GET takes a [`Framing`](frame::Framing) (who is signed in, and what stands around the page),
//! asks [`require_site`] or [`require_administrator`] before anything else, and answers with
//! [`page`](page::page). A handler of POST takes a [`SignedForm`](form::SignedForm), which has
//! checked origin and form token, and answers with [`flash::done`]. Errors are
//! [`PageError`](errors::PageError)s; `?` turns those of the use cases into pages.

mod assets;
mod cookies;
mod desk;
mod errors;
mod flash;
mod form;
mod frame;
mod home;
mod invitation;
mod log_in;
mod moderator;
mod moderators;
mod page;
mod password;
mod security;
mod session;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::Redirect;
use axum::routing::get;

use crate::moderation::Moderation;
use crate::moderation::accounts::Accounts;

pub(in crate::http::console) use session::{require_administrator, require_site};

/// Where the console is on the HTTP port.
pub const CONSOLE_PATH: &str = "/console";

/// How browsers reach the console.
#[derive(Debug, Clone, Default)]
pub struct ConsoleOptions {
    /// Scheme and host through a proxy, as browsers write them in `Origin`; nothing without one.
    pub public_url: Option<String>,
    /// Whether the port itself speaks TLS.
    pub tls: bool,
}

/// What the pages stand on; cheap to clone.
#[derive(Clone)]
pub struct Console(Arc<Parts>);

struct Parts {
    moderation: Arc<Moderation>,
    accounts: Arc<Accounts>,
    options: ConsoleOptions,
}

impl Console {
    /// The console over the use cases.
    pub fn new(
        moderation: Arc<Moderation>,
        accounts: Arc<Accounts>,
        options: ConsoleOptions,
    ) -> Self {
        Self(Arc::new(Parts { moderation, accounts, options }))
    }

    /// The use cases about comments and sites.
    fn moderation(&self) -> &Moderation {
        &self.0.moderation
    }

    /// The same, for work that goes on after the page.
    fn shared_moderation(&self) -> &Arc<Moderation> {
        &self.0.moderation
    }

    /// The use cases about accounts.
    fn accounts(&self) -> &Accounts {
        &self.0.accounts
    }

    /// Scheme and host that browsers use, if a proxy stands in front.
    fn public_url(&self) -> Option<&str> {
        self.0.options.public_url.as_deref()
    }

    /// Whether a proxy stands in front, whose word says who the client is.
    fn behind_proxy(&self) -> bool {
        self.public_url().is_some()
    }

    /// Whether browsers come by https, so that cookies must not go another way.
    fn is_https(&self) -> bool {
        self.0.options.tls || self.public_url().is_some_and(|url| url.starts_with("https://"))
    }
}

/// All pages.
pub(super) fn router(console: Console) -> Router {
    let pages = Router::new()
        .merge(home::routes())
        .merge(log_in::routes())
        .merge(invitation::routes())
        .merge(password::routes())
        .merge(moderators::routes())
        .merge(moderator::routes())
        .merge(desk::routes())
        .merge(assets::routes())
        .fallback(errors::not_found)
        .method_not_allowed_fallback(errors::method_not_allowed)
        .layer(from_fn_with_state(console.clone(), security::guard))
        .with_state(console);
    Router::new()
        .route("/", get(|| async { Redirect::to(CONSOLE_PATH) }))
        .route("/console/", get(|| async { Redirect::permanent(CONSOLE_PATH) }))
        .nest(CONSOLE_PATH, pages)
}
