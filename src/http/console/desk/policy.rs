//! A site's policy, with a back-test before it is saved.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;

use super::super::errors::{PageError, sentence};
use super::super::flash::{self, Flash};
use super::super::form::SignedForm;
use super::super::frame::{Frame, Framing, Nav, site_path};
use super::super::page::page_with;
use super::super::{Console, require_administrator, require_site};
use super::policy_form::PolicyForm;
use crate::domain::{Site, SitePolicy};
use crate::moderation::{BackTest, BudgetRequest, ModerationError, Moved};

/// Seconds that a person looks at one held comment.
const REVIEW_SECONDS: f64 = 15.0;

struct MovedView {
    what: &'static str,
    moved: Moved,
}

struct BackTestView {
    test: BackTest,
    moved: Vec<MovedView>,
}

#[derive(askama::Template)]
#[template(path = "console/policy.html")]
struct PolicyPage {
    frame: Frame,
    path: String,
    etag: i64,
    form: PolicyForm,
    /// Whether the session may change it.
    editable: bool,
    problems: Vec<String>,
    tested: Option<BackTestView>,
}

pub(super) fn routes() -> Router<Console> {
    Router::new().route("/sites/{site}/policy", get(show).post(change))
}

async fn show(
    State(console): State<Console>,
    framing: Framing,
    Path(site): Path<String>,
) -> Result<Response, PageError> {
    let site = require_site(&console, &framing.session, &site).await?;
    let form = PolicyForm::of_policy(&site.display_name, &site.policy);
    let shown = shown(&console, &framing, &site, form, Vec::new(), None).await?;
    Ok(page_with(StatusCode::OK, &shown))
}

async fn shown(
    console: &Console,
    framing: &Framing,
    site: &Site,
    form: PolicyForm,
    problems: Vec<String>,
    tested: Option<BackTest>,
) -> Result<PolicyPage, PageError> {
    Ok(PolicyPage {
        frame: framing.frame(console, "Policy", Nav::Policy, Some(site)).await?,
        path: site_path(&site.id),
        etag: site.revision,
        form,
        editable: framing.session.account().is_administrator(),
        problems,
        tested: tested.map(|test| BackTestView {
            moved: vec![
                MovedView { what: "held that are not held now", moved: test.held_more },
                MovedView { what: "approved that are held now", moved: test.held_fewer },
                MovedView { what: "rejected that are not rejected now", moved: test.rejected_more },
                MovedView { what: "no longer rejected", moved: test.rejected_fewer },
            ],
            test,
        }),
    })
}

async fn change(
    State(console): State<Console>,
    Path(site): Path<String>,
    sent: SignedForm,
) -> Result<Response, PageError> {
    let site = require_site(&console, &sent.session, &site).await?;
    require_administrator(&sent.session)?;
    let mut form = PolicyForm::of_form(&sent.form);
    if !sent.form.get("fit").is_empty()
        && let Err(problem) = fit(&console, &site, &mut form).await
    {
        return refused(&console, sent, &site, form, vec![problem]).await;
    }
    let outcome = match form.policy(&site.policy) {
        Ok(policy) if sent.form.get("save").is_empty() => {
            console.moderation().back_test(&site, policy).await.map(Some)
        }
        Ok(policy) => save(&console, &sent, &site, &form, policy).await.map(|()| None),
        Err(problems) => return refused(&console, sent, &site, form, problems).await,
    };
    match outcome {
        Ok(None) => {
            let path = format!("{}/policy", site_path(&site.id));
            let flash = Flash::new("The policy is saved and holds from the next comment on.");
            Ok(flash::done(&console, &sent.session, &path, &flash))
        }
        Ok(tested) => {
            let framing = Framing::after_form(sent.session);
            let shown = shown(&console, &framing, &site, form, Vec::new(), tested).await?;
            Ok(page_with(StatusCode::OK, &shown))
        }
        Err(ModerationError::Invalid(violations)) => {
            let problem = |one: crate::domain::FieldViolation| {
                format!("{}: {}", one.field, sentence(&one.description))
            };
            let problems = violations.into_iter().map(problem).collect();
            refused(&console, sent, &site, form, problems).await
        }
        Err(error) => Err(error.into()),
    }
}

/// Puts the budget into the form that keeps to its minutes of review a day.
async fn fit(console: &Console, site: &Arc<Site>, form: &mut PolicyForm) -> Result<(), String> {
    let minutes = form.review_minutes.parse::<f64>().ok().filter(|minutes| *minutes > 0.0);
    let minutes = minutes.ok_or("Minutes of review: a number above 0 is expected.")?;
    let request = BudgetRequest {
        hold_one_in: None,
        reject_one_in: None,
        review_minutes: Some(minutes),
        review_seconds: REVIEW_SECONDS,
    };
    match console.moderation().preview_budget(site, request).await {
        Ok(preview) => {
            form.hold_one_in = preview.hold_one_in.to_string();
            form.hold_threshold = String::new();
            Ok(())
        }
        Err(ModerationError::Invalid(violations)) => {
            let texts: Vec<_> = violations.into_iter().map(|one| one.description).collect();
            Err(sentence(&texts.join(" ")))
        }
        Err(error) => Err(sentence(&error.to_string())),
    }
}

async fn save(
    console: &Console,
    sent: &SignedForm,
    site: &Arc<Site>,
    form: &PolicyForm,
    policy: SitePolicy,
) -> Result<(), ModerationError> {
    // What was seen is what is changed; another's change in between is not overwritten.
    let seen = sent.form.get("etag").parse().ok().or(Some(-1));
    let (actor, name) = (sent.session.actor(), form.display_name.clone());
    console.moderation().update_site(&actor, &site.id, seen, name, policy).await.map(drop)
}

/// The form again, with what is wrong; nothing that was typed is lost.
async fn refused(
    console: &Console,
    sent: SignedForm,
    site: &Site,
    form: PolicyForm,
    problems: Vec<String>,
) -> Result<Response, PageError> {
    let framing = Framing::after_form(sent.session);
    let shown = shown(console, &framing, site, form, problems, None).await?;
    Ok(page_with(StatusCode::BAD_REQUEST, &shown))
}
