//! `replyguard models budget`: what a budget would do to a site, and setting it.

use clap::Args;

use super::Failure;
use super::first_site::refused;
use super::model_reports::shown;
use super::output::say;
use crate::grpc::client::{Client, FieldMask, to_json};
use crate::grpc::proto;

/// Arguments of `models budget`.
#[derive(Args)]
pub(super) struct BudgetArgs {
    /// Hold at most one in so many good comments [default: as now]
    #[arg(long, value_name = "N", conflicts_with = "review_minutes", group = "budget")]
    hold_one_in: Option<i32>,
    /// Reject at most one in so many good comments [default: as now]
    #[arg(long, value_name = "M", group = "budget")]
    reject_one_in: Option<i32>,
    /// Find the loosest budget that costs at most so many minutes of review a day, down to one good
    /// comment held in 20
    #[arg(long, value_name = "K", group = "budget")]
    review_minutes: Option<f64>,
    /// How long a person looks at one comment, in seconds
    #[arg(long, default_value_t = 20.0, value_name = "S")]
    review_seconds: f64,
    /// Set it in the site's policy, in place of a raw threshold; needs a key with the scope
    /// `administer`
    #[arg(long, requires = "budget")]
    apply: bool,
}

impl BudgetArgs {
    /// Asks, prints, and sets it if told so.
    pub(super) async fn run(
        self,
        client: &mut Client,
        site: String,
        json: bool,
    ) -> Result<(), Failure> {
        let request = proto::PreviewBudgetRequest {
            parent: site.clone(),
            hold_one_in: self.hold_one_in,
            reject_one_in: self.reject_one_in,
            review_minutes: self.review_minutes,
            review_seconds: Some(self.review_seconds),
        };
        let answer = client.models.preview_budget(request).await;
        let preview = answer.map_err(|status| refused(&status))?.into_inner();
        if json {
            say!("{}", to_json("replyguard.v1.PreviewBudgetResponse", &preview))?;
        } else {
            print(&preview)?;
        }
        if !self.apply {
            return Ok(());
        }
        // What was not asked for stays; a raw threshold would stand above the budget that was.
        let mut policy = proto::SitePolicy::default();
        let mut paths = Vec::new();
        if self.hold_one_in.is_some() || self.review_minutes.is_some() {
            policy.hold_one_in = Some(preview.hold_one_in);
            paths.extend(["policy.hold_one_in".into(), "policy.hold_threshold".into()]);
        }
        if self.reject_one_in.is_some() {
            policy.reject_one_in = Some(preview.reject_one_in);
            paths.extend(["policy.reject_one_in".into(), "policy.reject_threshold".into()]);
        }
        let request = proto::UpdateSiteRequest {
            site: Some(proto::Site { name: site, policy: Some(policy), ..Default::default() }),
            update_mask: Some(FieldMask { paths }),
        };
        client.sites.update_site(request).await.map_err(|status| refused(&status))?;
        if json { Ok(()) } else { say!("set in the site's policy") }
    }
}

fn print(preview: &proto::PreviewBudgetResponse) -> Result<(), Failure> {
    say!(
        "hold from {:.4} on (1 in {} good comments), reject from {:.4} on (1 in {}), by {}",
        preview.hold_threshold,
        preview.hold_one_in,
        preview.reject_threshold,
        preview.reject_one_in,
        preview.model_version
    )?;
    match &preview.traffic {
        None => say!("fewer than 100 comments in 30 days: too few to say what that means a day")?,
        Some(traffic) => say!(
            "of {:.1} comments a day {:.1} held and {:.1} rejected: {:.1} minutes of review",
            traffic.daily_comments,
            traffic.daily_holds,
            traffic.daily_rejections,
            traffic.daily_review_minutes
        )?,
    }
    let Some(labels) = preview.labels else {
        return say!(
            "no labels that the model does not know: label some to see what it would miss"
        );
    };
    say!(
        "of {} good and {} spam labels that the model does not know:",
        labels.ham_count,
        labels.spam_count
    )?;
    for (what, share) in [
        ("good comments held", &labels.ham_held_share),
        ("good comments rejected", &labels.ham_rejected_share),
        ("spam missed", &labels.spam_missed_share),
    ] {
        say!("  {what:24} {}", shown(share.as_ref(), 100.0, 2, " %"))?;
    }
    Ok(())
}
