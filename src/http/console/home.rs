//! The first page: the sites of whoever is signed in.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;

use super::Console;
use super::errors::PageError;
use super::frame::{Frame, Framing, Nav, site_name, site_path, visible_sites};
use super::page::page;

/// Sites on the page.
const SITE_COUNT_MAX: usize = 1_000;

struct SiteLine {
    id: String,
    name: String,
    href: String,
}

#[derive(askama::Template)]
#[template(path = "console/sites.html")]
struct SitesPage {
    frame: Frame,
    sites: Vec<SiteLine>,
}

pub(super) fn routes() -> Router<Console> {
    Router::new().route("/", get(sites))
}

async fn sites(State(console): State<Console>, framing: Framing) -> Result<Response, PageError> {
    let frame = framing.frame(&console, "Sites", Nav::Sites, None).await?;
    let sites = visible_sites(&console, &framing.session, SITE_COUNT_MAX).await?;
    let sites = sites.iter().map(|site| SiteLine {
        id: site.id.to_string(),
        name: site_name(site),
        href: site_path(&site.id),
    });
    let sites = sites.collect();
    Ok(page(&SitesPage { frame, sites }))
}
