//! The accounts, for administrators: list, add, disable, enable, reset.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use time::OffsetDateTime;
use time::macros::format_description;
use uuid::Uuid;

use super::errors::{PageError, sentence};
use super::flash::{self, Flash};
use super::form::{Form, SignedForm};
use super::frame::{Frame, Framing, Nav, site_name};
use super::page::page_with;
use super::{CONSOLE_PATH, Console, require_administrator};
use crate::domain::{Site, SiteId};
use crate::moderation::ModerationError;
use crate::moderation::accounts::{AccountDraft, Invited, NAME_BYTES_MAX, Session};
use crate::moderation::ports::accounts::{AccountRecord, Role};

/// Accounts on the page.
const ACCOUNT_COUNT_MAX: usize = 1_000;
/// Sites to choose from.
pub(super) const SITE_COUNT_MAX: usize = 1_000;

/// An account as a line of the table.
struct Line {
    path: String,
    name: String,
    role: &'static str,
    sites: String,
    disabled: bool,
    invited: bool,
    own: bool,
    login: String,
}

/// A site to choose for a moderator.
pub(super) struct SiteChoice {
    pub id: String,
    pub name: String,
    pub chosen: bool,
}

/// All sites, with those chosen that an account has.
pub(super) fn site_choices(sites: &[Site], chosen: &[SiteId]) -> Vec<SiteChoice> {
    let choice = |site: &Site| SiteChoice {
        id: site.id.to_string(),
        name: site_name(site),
        chosen: chosen.contains(&site.id),
    };
    sites.iter().map(choice).collect()
}

/// A link that was just made and is shown this once.
struct ShownLink {
    name: String,
    link: String,
    expiry: String,
}

#[derive(askama::Template)]
#[template(path = "console/moderators.html")]
struct ModeratorsPage {
    frame: Frame,
    lines: Vec<Line>,
    sites: Vec<SiteChoice>,
    link: Option<ShownLink>,
    name: String,
    name_bytes_max: usize,
    administrator: bool,
    problem: String,
}

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/moderators", get(show).post(add))
        .route("/moderators/{id}/disable", post(disable))
        .route("/moderators/{id}/enable", post(enable))
        .route("/moderators/{id}/reset", post(reset))
}

async fn show(State(console): State<Console>, framing: Framing) -> Result<Response, PageError> {
    require_administrator(&framing.session)?;
    Ok(page_with(StatusCode::OK, &Draft::default().shown(&console, &framing).await?))
}

async fn add(State(console): State<Console>, sent: SignedForm) -> Result<Response, PageError> {
    require_administrator(&sent.session)?;
    let form = &sent.form;
    let mut draft = Draft::of(form);
    let account = AccountDraft {
        name: draft.name.clone(),
        role: draft.role().ok_or_else(|| PageError::BadRequest("A role is required.".into()))?,
        sites: draft.sites.clone(),
    };
    let status = match console.accounts().create(&sent.session.actor(), account).await {
        Ok(invited) => {
            draft = Draft {
                link: Some(shown_link(&console, &sent.client_url, &invited)),
                ..Draft::default()
            };
            StatusCode::CREATED
        }
        Err(ModerationError::Invalid(violations)) => {
            let texts: Vec<_> = violations.into_iter().map(|one| one.description).collect();
            draft.problem = texts.join(" ");
            StatusCode::BAD_REQUEST
        }
        Err(ModerationError::AlreadyExists(_)) => {
            draft.problem = format!("There is a moderator “{}” already.", draft.name);
            StatusCode::CONFLICT
        }
        Err(error) => return Err(error.into()),
    };
    let framing = Framing::after_form(sent.session);
    Ok(page_with(status, &draft.shown(&console, &framing).await?))
}

async fn disable(
    State(console): State<Console>,
    Path(id): Path<String>,
    sent: SignedForm,
) -> Result<Response, PageError> {
    set_disabled(&console, &sent.session, &id, true).await
}

async fn enable(
    State(console): State<Console>,
    Path(id): Path<String>,
    sent: SignedForm,
) -> Result<Response, PageError> {
    set_disabled(&console, &sent.session, &id, false).await
}

async fn set_disabled(
    console: &Console,
    session: &Session,
    id: &str,
    disabled: bool,
) -> Result<Response, PageError> {
    require_administrator(session)?;
    let id = account_id(id)?;
    let changed = console.accounts().set_disabled(&session.actor(), id, disabled).await;
    let text = match changed {
        Ok(account) if disabled => format!("“{}” is disabled and signed out.", account.name),
        Ok(account) => format!("“{}” is enabled again.", account.name),
        Err(error @ ModerationError::LastAdministrator) => {
            return Err(PageError::Conflict(sentence(&error.to_string())));
        }
        Err(error) => return Err(error.into()),
    };
    let path = format!("{CONSOLE_PATH}/moderators");
    Ok(flash::done(console, session, &path, &Flash::new(text)))
}

async fn reset(
    State(console): State<Console>,
    Path(id): Path<String>,
    sent: SignedForm,
) -> Result<Response, PageError> {
    require_administrator(&sent.session)?;
    let id = account_id(&id)?;
    if id == sent.session.account().id {
        let text = "This would sign you out. Change your own password instead.";
        return Err(PageError::Conflict(text.into()));
    }
    let invited = console.accounts().invite(&sent.session.actor(), id).await?;
    let link = Some(shown_link(&console, &sent.client_url, &invited));
    let framing = Framing::after_form(sent.session);
    let draft = Draft { link, ..Draft::default() };
    Ok(page_with(StatusCode::OK, &draft.shown(&console, &framing).await?))
}

pub(super) fn account_id(text: &str) -> Result<Uuid, PageError> {
    Uuid::parse_str(text).map_err(|_| PageError::NotFound)
}

fn shown_link(console: &Console, origin: &str, invited: &Invited) -> ShownLink {
    let origin = console.public_url().unwrap_or(origin);
    ShownLink {
        name: invited.account.name.clone(),
        link: invited.link(&format!("{origin}{CONSOLE_PATH}")),
        expiry: instant(invited.expire_time),
    }
}

/// An instant for people; the server knows no other time zone.
fn instant(time: OffsetDateTime) -> String {
    let form = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    time.format(&form).unwrap_or_default()
}

/// What stands in the form, and what the page says besides.
#[derive(Default)]
struct Draft {
    name: String,
    administrator: bool,
    role_given: bool,
    sites: Vec<SiteId>,
    link: Option<ShownLink>,
    problem: String,
}

impl Draft {
    fn of(form: &Form) -> Self {
        let role = Role::parse(form.get("role"));
        Self {
            name: form.get("name").trim().to_owned(),
            administrator: role == Some(Role::Administrator),
            role_given: role.is_some(),
            sites: form.all("site").filter_map(|id| id.parse().ok()).collect(),
            ..Self::default()
        }
    }

    fn role(&self) -> Option<Role> {
        let role = if self.administrator { Role::Administrator } else { Role::Moderator };
        self.role_given.then_some(role)
    }

    async fn shown(
        self,
        console: &Console,
        framing: &Framing,
    ) -> Result<ModeratorsPage, PageError> {
        let accounts = console.accounts().list(None, ACCOUNT_COUNT_MAX).await?;
        let sites = console.moderation().sites(None, SITE_COUNT_MAX).await?;
        let own = framing.session.account().id;
        Ok(ModeratorsPage {
            frame: framing.frame(console, "Moderators", Nav::Moderators, None).await?,
            lines: accounts.iter().map(|account| line(account, own)).collect(),
            sites: site_choices(&sites, &self.sites),
            link: self.link,
            name: self.name,
            name_bytes_max: NAME_BYTES_MAX,
            administrator: self.administrator,
            problem: self.problem,
        })
    }
}

fn line(account: &AccountRecord, own: Uuid) -> Line {
    let ids: Vec<&str> = account.sites.iter().map(SiteId::as_str).collect();
    let sites = match (account.role, ids.is_empty()) {
        (Role::Administrator, _) => "all".to_owned(),
        (Role::Moderator, true) => "none".to_owned(),
        (Role::Moderator, false) => ids.join(", "),
    };
    Line {
        path: format!("{CONSOLE_PATH}/moderators/{}", account.id),
        name: account.name.clone(),
        role: account.role.as_str(),
        sites,
        disabled: account.disabled,
        invited: account.password_hash.is_none(),
        own: account.id == own,
        login: account.login_time.map_or_else(|| "never".to_owned(), instant),
    }
}
