//! The keys of a site, for administrators: what each may do, when it was last used; rotate with an
//! overlap, revoke.

use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use uuid::Uuid;

use super::super::errors::PageError;
use super::super::flash::{self, Flash};
use super::super::form::SignedForm;
use super::super::frame::{Frame, Framing, Nav, site_path};
use super::super::page::{page, page_with};
use super::super::{Console, require_administrator, require_site};
use super::view::instant;
use crate::domain::{KeyScope, Site};
use crate::moderation::ports::KeyRecord;

/// How long a rotated key may stay valid, in hours, and what the form calls that.
const OVERLAPS: [(u64, &str); 4] =
    [(24, "for a day"), (168, "for a week"), (1, "for an hour"), (0, "not at all")];

struct KeyView {
    path: String,
    name: String,
    id: String,
    scopes: String,
    created: String,
    used: String,
    /// Nothing while the key is valid without an end.
    end: String,
    badge: &'static str,
    state: &'static str,
    revocable: bool,
    rotatable: bool,
}

#[derive(askama::Template)]
#[template(path = "console/keys.html")]
struct KeysPage {
    frame: Frame,
    keys: Vec<KeyView>,
    overlaps: &'static [(u64, &'static str)],
    /// A secret that was just made: the key's name, and the secret itself, shown this once.
    secret: Option<(String, String)>,
}

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/sites/{site}/keys", get(show))
        .route("/sites/{site}/keys/{id}/rotate", post(rotate))
        .route("/sites/{site}/keys/{id}/revoke", post(revoke))
}

async fn show(
    State(console): State<Console>,
    framing: Framing,
    Path(site): Path<String>,
) -> Result<Response, PageError> {
    let site = require_site(&console, &framing.session, &site).await?;
    require_administrator(&framing.session)?;
    Ok(page(&shown(&console, &framing, &site, None).await?))
}

async fn rotate(
    State(console): State<Console>,
    Path((site, id)): Path<(String, String)>,
    sent: SignedForm,
) -> Result<Response, PageError> {
    let site = require_site(&console, &sent.session, &site).await?;
    require_administrator(&sent.session)?;
    let id: Uuid = id.parse().map_err(|_| PageError::NotFound)?;
    let chosen = OVERLAPS.iter().find(|(hours, _)| sent.form.get("overlap") == hours.to_string());
    let Some((hours, _)) = chosen else {
        return Err(PageError::BadRequest("One of the listed times is expected.".into()));
    };
    let overlap = Duration::from_secs(hours * 3_600);
    let actor = sent.session.actor();
    let (new, _) = console.moderation().rotate_key(&actor, &site.id, id, overlap).await?;
    let framing = Framing::after_form(sent.session);
    let secret = Some((name(&new.record), new.secret));
    Ok(page_with(StatusCode::CREATED, &shown(&console, &framing, &site, secret).await?))
}

async fn revoke(
    State(console): State<Console>,
    Path((site, id)): Path<(String, String)>,
    sent: SignedForm,
) -> Result<Response, PageError> {
    let site = require_site(&console, &sent.session, &site).await?;
    require_administrator(&sent.session)?;
    let id: Uuid = id.parse().map_err(|_| PageError::NotFound)?;
    let key = console.moderation().revoke_key(&sent.session.actor(), &site.id, id).await?;
    let flash = Flash::new(format!("The key {} opens nothing any more.", name(&key)));
    Ok(flash::done(&console, &sent.session, &format!("{}/keys", site_path(&site.id)), &flash))
}

/// What people call a key: its name, or the beginning of its id.
fn name(key: &KeyRecord) -> String {
    match key.display_name.as_str() {
        "" => key.id.to_string().chars().take(8).collect(),
        name => name.to_owned(),
    }
}

async fn shown(
    console: &Console,
    framing: &Framing,
    site: &Site,
    secret: Option<(String, String)>,
) -> Result<KeysPage, PageError> {
    let here = format!("{}/keys", site_path(&site.id));
    let keys = console.moderation().keys(&site.id).await?;
    let keys = keys.iter().rev().map(|key| {
        let valid = console.moderation().is_valid(key);
        let (badge, state) = match (valid, key.revoke_time) {
            (false, _) => ("reject", "revoked"),
            (true, Some(_)) => ("hold", "ends"),
            (true, None) => ("approve", "valid"),
        };
        let scopes: Vec<_> = key.scopes.iter().map(|scope| KeyScope::as_str(*scope)).collect();
        KeyView {
            path: format!("{here}/{}", key.id),
            name: name(key),
            id: key.id.to_string(),
            scopes: scopes.join(", "),
            created: instant(key.create_time),
            used: key.use_time.map(instant).unwrap_or_default(),
            end: key.revoke_time.map(instant).unwrap_or_default(),
            badge,
            state,
            revocable: valid,
            rotatable: valid && key.revoke_time.is_none(),
        }
    });
    let keys = keys.collect();
    let frame = framing.frame(console, "Keys", Nav::Keys, Some(site)).await?;
    Ok(KeysPage { frame, keys, overlaps: &OVERLAPS, secret })
}
