//! The first page: the sites of whoever is signed in; and the first page of a site.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;

use super::errors::PageError;
use super::frame::{Frame, Framing, Nav, site_name, site_path, visible_sites};
use super::page::page;
use super::{Console, require_site};

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

#[derive(askama::Template)]
#[template(path = "console/site.html")]
struct SitePage {
    frame: Frame,
    id: String,
    name: String,
    create_date: String,
}

pub(super) fn routes() -> Router<Console> {
    Router::new().route("/", get(sites)).route("/sites/{site}", get(site))
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

async fn site(
    State(console): State<Console>,
    framing: Framing,
    Path(site): Path<String>,
) -> Result<Response, PageError> {
    let site = require_site(&console, &framing.session, &site).await?;
    let name = site_name(&site);
    let frame = framing.frame(&console, &name, Nav::Elsewhere, Some(&site)).await?;
    let (id, create_date) = (site.id.to_string(), site.create_time.date().to_string());
    Ok(page(&SitePage { frame, id, name, create_date }))
}
