//! What is not about a comment: keys, subscription, usage and figures.

use std::collections::BTreeMap;

use axum::response::Response;
use serde_json::{Value, json};
use time::{Date, OffsetDateTime};

use super::reply::Reply;
use super::{Akismet, Call, Operation};
use crate::domain::Site;
use crate::moderation::ModerationError;
use crate::moderation::ports::review::DayCounts;

/// Days of `from=all`: ten years.
const DAY_COUNT_MAX: u16 = 3_653;
/// Seconds that a moderator saves with a spam comment that is not looked at.
const SECONDS_SAVED: u64 = 10;

pub(super) async fn answer(akismet: &Akismet, call: &Call, operation: Operation) -> Response {
    match reply(akismet, call, operation).await {
        Ok(reply) => call.reply(reply),
        Err(error) => call.reply(Reply::error(&error)),
    }
}

async fn reply(
    akismet: &Akismet,
    call: &Call,
    operation: Operation,
) -> Result<Reply, ModerationError> {
    let (_, site) = akismet.site(call).await?;
    Ok(match operation {
        Operation::VerifyKey => Reply::word("valid"),
        Operation::GetSubscription => Reply::json(&subscription(&site)),
        Operation::GetStats => stats(akismet, &site, call.fields.get("from")).await?,
        Operation::UsageLimit => usage(akismet, &site).await?,
        Operation::KeySites => key_sites(akismet, &site, call).await?,
        Operation::Deactivate => Reply::word("deactivated"),
        Operation::Token => Reply::word(call.guid.clone()),
        // Answered elsewhere.
        Operation::CommentCheck | Operation::SubmitSpam | Operation::SubmitHam => {
            Reply::invalid("Unknown operation")
        }
    })
}

/// WordPress takes no key without it, and wants a number to know the account by.
fn subscription(site: &Site) -> Value {
    let number = xxhash_rust::xxh3::xxh3_64(site.id.as_str().as_bytes()) % 2_000_000_000 + 1;
    json!({
        "account_id": number,
        "account_name": site.display_name,
        "account_type": "replyguard",
        "status": "active",
        "next_billing_date": false,
        "limit_reached": false,
    })
}

/// What happened in some time, in Akismet's words.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    calls: u64,
    spam: u64,
    ham: u64,
    missed_spam: u64,
    false_positives: u64,
}

impl Counts {
    fn add(&mut self, day: &DayCounts) {
        self.calls += day.approve_count + day.hold_count + day.reject_count;
        self.spam += day.reject_count + day.held_rejected_count;
        self.ham += day.approve_count + day.held_approved_count;
        self.missed_spam += day.approved_rejected_count;
        self.false_positives += day.rejected_approved_count;
    }

    /// Per cent of what was decided that nobody corrected.
    fn accuracy(&self) -> f64 {
        let wrong = (self.missed_spam + self.false_positives) as f64;
        let all = (self.spam + self.ham).max(1) as f64;
        ((1.0 - wrong / all).max(0.0) * 10_000.0).round() / 100.0
    }
}

fn date(day: i64) -> Date {
    let seconds = day.saturating_mul(86_400);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH).date()
}

fn month(date: Date) -> String {
    format!("{:04}-{:02}", date.year(), u8::from(date.month()))
}

async fn days(
    akismet: &Akismet,
    site: &Site,
    day_count: u16,
) -> Result<Vec<DayCounts>, ModerationError> {
    Ok(akismet.moderation().overview(site, day_count).await?.days)
}

async fn stats(akismet: &Akismet, site: &Site, from: &str) -> Result<Reply, ModerationError> {
    let (day_count, daily) = match from {
        "60-days" => (60, true),
        "6-months" => (183, false),
        _ => (DAY_COUNT_MAX, false),
    };
    let mut all = Counts::default();
    let mut periods: BTreeMap<String, Counts> = BTreeMap::new();
    for day in days(akismet, site, day_count).await? {
        let date = date(day.day);
        let period = if daily { date.to_string() } else { format!("{}-01", month(date)) };
        all.add(&day);
        periods.entry(period).or_default().add(&day);
    }
    // Months without anything say nothing; days make a line to draw.
    periods.retain(|_, counts| daily || counts.calls > 0);
    let breakdown: serde_json::Map<_, _> = periods
        .into_iter()
        .map(|(period, counts)| {
            let value = json!({
                "da": period,
                "spam": counts.spam,
                "ham": counts.ham,
                "missed_spam": counts.missed_spam,
                "false_positives": counts.false_positives,
            });
            (period, value)
        })
        .collect();
    Ok(Reply::json(&json!({
        "spam": all.spam,
        "ham": all.ham,
        "missed_spam": all.missed_spam,
        "false_positives": all.false_positives,
        "accuracy": all.accuracy(),
        "time_saved": all.spam * SECONDS_SAVED,
        "breakdown": breakdown,
    })))
}

/// What happened in a month, `YYYY-MM`; without one, in this month. Also which month it is.
async fn of_month(
    akismet: &Akismet,
    site: &Site,
    wanted: &str,
) -> Result<(String, Counts), ModerationError> {
    let days = days(akismet, site, DAY_COUNT_MAX).await?;
    let last = days.last().map(|day| month(date(day.day))).unwrap_or_default();
    let bytes = wanted.as_bytes();
    let is_month = bytes.len() == 7
        && bytes[4] == b'-'
        && bytes.iter().enumerate().all(|(at, byte)| at == 4 || byte.is_ascii_digit());
    let wanted = if is_month { wanted.to_owned() } else { last };
    let mut counts = Counts::default();
    for day in days.iter().filter(|day| month(date(day.day)) == wanted) {
        counts.add(day);
    }
    Ok((wanted, counts))
}

async fn usage(akismet: &Akismet, site: &Site) -> Result<Reply, ModerationError> {
    let (_, counts) = of_month(akismet, site, "").await?;
    Ok(Reply::json(&json!({
        "limit": "none",
        "usage": counts.calls,
        "percentage": "0.00",
        "throttled": false,
    })))
}

/// A key is one site's, so there is one row, or none on a later page.
async fn key_sites(akismet: &Akismet, site: &Site, call: &Call) -> Result<Reply, ModerationError> {
    let (fields, blog) = (&call.fields, call.fields.first(&["blog"]));
    let name = if blog.is_empty() { site.id.as_str() } else { blog };
    let (month, counts) = of_month(akismet, site, fields.get("month")).await?;
    let limit: u64 = fields.get("limit").parse().unwrap_or(500);
    let offset: u64 = fields.get("offset").parse().unwrap_or(0);
    let matches = name.contains(fields.first(&["filter"]));
    let shown = matches && offset == 0 && limit > 0;
    if fields.get("format").eq_ignore_ascii_case("csv") {
        let mut text =
            "Site,API Calls,Spam,Ham,Missed Spam,False Positives,Is Revoked\n".to_owned();
        if shown {
            let Counts { calls, spam, ham, missed_spam, false_positives } = counts;
            let name = name.replace('"', "\"\"");
            text +=
                &format!("\"{name}\",{calls},{spam},{ham},{missed_spam},{false_positives},false\n");
        }
        return Ok(Reply::csv(text));
    }
    let row = json!({
        "site": name,
        "api_calls": counts.calls,
        "spam": counts.spam,
        "ham": counts.ham,
        "missed_spam": counts.missed_spam,
        "false_positives": counts.false_positives,
        "is_revoked": false,
    });
    let rows: Vec<Value> = if shown { vec![row] } else { Vec::new() };
    let total = u8::from(matches);
    Ok(Reply::json(&json!({ month: rows, "limit": limit, "offset": offset, "total": total })))
}
