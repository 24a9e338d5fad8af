//! What stands around every page: bar, navigation, the message of the last action.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;

use super::assets::AssetPaths;
use super::errors::PageError;
use super::flash::{self, Flash};
use super::session::{form_token, signed_in};
use super::{CONSOLE_PATH, Console};
use crate::domain::{Site, SiteId};
use crate::moderation::accounts::{Session, Token};

/// Sites in the switcher; the rest is on the first page.
const SWITCHER_COUNT_MAX: usize = 50;

/// A place in the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http::console) enum Nav {
    /// All sites.
    Sites,
    /// The review queue of a site.
    Queue,
    /// Comments of a site, by filter.
    Search,
    /// What was decided.
    Decisions,
    /// The audit log.
    Audit,
    /// Days and figures.
    Overview,
    /// What the site's owner set.
    Policy,
    /// Erasing and exporting what a person wrote.
    Privacy,
    /// Where decisions are sent.
    Webhooks,
    /// What opens a site.
    Keys,
    /// The accounts.
    Moderators,
    /// A page that has no place there.
    Elsewhere,
}

/// Where a link of the navigation leads.
#[derive(Debug, Clone, Copy)]
enum Target {
    /// To a page of the site that is looked at: what follows `/console/sites/{site}`.
    Site(&'static str),
    /// To such a page, for administrators.
    SiteAdministrators(&'static str),
    /// To a page of the console for administrators: what follows `/console`.
    Administrators(&'static str),
}

/// The navigation in its order. A page that is not built has no line here.
const NAV: &[(Nav, &str, Target)] = &[
    (Nav::Queue, "Queue", Target::Site("")),
    (Nav::Search, "Search", Target::Site("/search")),
    (Nav::Decisions, "Decisions", Target::Site("/decisions")),
    (Nav::Overview, "Overview", Target::Site("/overview")),
    (Nav::Audit, "Audit log", Target::Site("/audit")),
    (Nav::Policy, "Policy", Target::Site("/policy")),
    (Nav::Privacy, "Privacy", Target::SiteAdministrators("/privacy")),
    (Nav::Webhooks, "Webhooks", Target::SiteAdministrators("/webhooks")),
    (Nav::Keys, "Keys", Target::SiteAdministrators("/keys")),
    (Nav::Moderators, "Moderators", Target::Administrators("/moderators")),
];

/// A link of the navigation.
#[derive(Debug, Clone)]
pub(super) struct NavLink {
    pub label: &'static str,
    pub href: String,
    pub current: bool,
}

/// A site of the switcher.
#[derive(Debug, Clone)]
pub(super) struct SiteLink {
    pub name: String,
    pub href: String,
    pub current: bool,
}

/// What the layout shows of who is signed in.
#[derive(Debug, Clone)]
pub(super) struct User {
    pub name: String,
    /// The first letter of the name.
    pub initial: String,
    pub role: &'static str,
    pub site_name: String,
    pub sites: Vec<SiteLink>,
    pub nav: Vec<NavLink>,
}

/// What the layout needs; every template has it as `frame`.
#[derive(Debug, Clone)]
pub(in crate::http::console) struct Frame {
    pub(super) title: String,
    pub(super) assets: AssetPaths,
    pub(super) user: Option<User>,
    /// The hidden field of each form.
    pub(super) form_token: String,
    pub(super) flash: Option<Flash>,
}

impl Frame {
    /// Around pages for people who are not signed in and have no form.
    pub fn for_visitors(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            assets: AssetPaths::current(),
            user: None,
            form_token: String::new(),
            flash: None,
        }
    }

    /// Around the forms of people who are not signed in.
    pub fn for_visit(title: &str, visit: &Token) -> Self {
        Self { form_token: form_token(visit), ..Self::for_visitors(title) }
    }
}

/// Makes the frame of a page for somebody who is signed in.
pub(in crate::http::console) struct Framing {
    /// Who is signed in.
    pub session: Session,
    headers: HeaderMap,
}

impl FromRequestParts<Console> for Framing {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, PageError> {
        let session = signed_in(parts, console).await?;
        Ok(Self { session, headers: parts.headers.clone() })
    }
}

impl Framing {
    /// The frame of a page that only a form leads to; it shows no message.
    pub fn after_form(session: Session) -> Self {
        Self { session, headers: HeaderMap::new() }
    }

    /// The frame of the page `title`, which is about `site` if about any.
    ///
    /// # Errors
    /// That of the store.
    pub async fn frame(
        &self,
        console: &Console,
        title: &str,
        nav: Nav,
        site: Option<&Site>,
    ) -> Result<Frame, PageError> {
        let session = &self.session;
        let account = session.account();
        Ok(Frame {
            title: title.to_owned(),
            assets: AssetPaths::current(),
            form_token: form_token(session.token()),
            flash: flash::take(session, &self.headers),
            user: Some(User {
                name: account.name.clone(),
                initial: account.name.chars().take(1).flat_map(char::to_uppercase).collect(),
                role: account.role.as_str(),
                site_name: site.map(site_name).unwrap_or_default(),
                sites: site_links(console, session, site).await?,
                nav: nav_links(session, nav, site),
            }),
        })
    }
}

/// What a site is called.
pub(super) fn site_name(site: &Site) -> String {
    let name = site.display_name.trim();
    if name.is_empty() { site.id.to_string() } else { name.to_owned() }
}

/// The first page of a site.
pub(super) fn site_path(site: &SiteId) -> String {
    format!("{CONSOLE_PATH}/sites/{site}")
}

/// The sites that a session may see, in order of id, at most `count_max`.
pub(super) async fn visible_sites(
    console: &Console,
    session: &Session,
    count_max: usize,
) -> Result<Vec<Site>, PageError> {
    if session.account().is_administrator() {
        return Ok(console.moderation().sites(None, count_max).await?);
    }
    let mut sites = Vec::new();
    for id in session.account().sites.iter().take(count_max) {
        sites.push(Site::clone(&*console.moderation().site(id).await?));
    }
    Ok(sites)
}

async fn site_links(
    console: &Console,
    session: &Session,
    current: Option<&Site>,
) -> Result<Vec<SiteLink>, PageError> {
    let sites = visible_sites(console, session, SWITCHER_COUNT_MAX).await?;
    let links = sites.iter().map(|site| SiteLink {
        name: site_name(site),
        href: site_path(&site.id),
        current: current.is_some_and(|current| current.id == site.id),
    });
    Ok(links.collect())
}

fn nav_links(session: &Session, current: Nav, site: Option<&Site>) -> Vec<NavLink> {
    let administrator = session.account().is_administrator();
    let links = NAV.iter().filter_map(|(nav, label, target)| {
        let href = match target {
            Target::Site(rest) => format!("{}{rest}", site_path(&site?.id)),
            Target::SiteAdministrators(rest) => administrator
                .then(|| site.map(|site| format!("{}{rest}", site_path(&site.id))))??,
            Target::Administrators(rest) => {
                administrator.then(|| format!("{CONSOLE_PATH}{rest}"))?
            }
        };
        Some(NavLink { label, href, current: *nav == current })
    });
    links.collect()
}
