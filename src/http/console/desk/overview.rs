//! A site from afar: volume by verdict, decisions, how often people overturned the filter, and how
//! long the queue waits.

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;
use time::{Duration, OffsetDateTime};

use super::super::errors::PageError;
use super::super::frame::{Frame, Framing, Nav, site_path};
use super::super::page::page;
use super::super::{Console, require_site};
use super::charts::{Column, stacked};
use super::view::age;
use crate::moderation::Overview;
use crate::moderation::ports::review::DayCounts;

/// Days that can be chosen, and the first choice.
const DAY_COUNTS: [u16; 3] = [7, 30, 90];
const DAY_COUNT_DEFAULT: u16 = 30;
/// The steps of the queue's age in words.
const AGES: [&str; 6] =
    ["under 1 h", "1 to 6 h", "6 to 24 h", "1 to 3 days", "3 to 7 days", "over 7 days"];

#[derive(Default, Deserialize)]
#[serde(default)]
struct OverviewQuery {
    days: u16,
}

struct DayLine {
    day: String,
    counts: DayCounts,
}

#[derive(askama::Template)]
#[template(path = "console/overview.html")]
struct OverviewPage {
    frame: Frame,
    path: String,
    day_count: u16,
    day_counts: [u16; 3],
    checked: u64,
    held: u64,
    held_share: String,
    rejected: u64,
    rejected_share: String,
    decided: u64,
    overturned: u64,
    overturned_share: String,
    queue: String,
    oldest: String,
    volume: String,
    decisions: String,
    ages: String,
    lines: Vec<DayLine>,
}

pub(super) fn routes() -> Router<Console> {
    Router::new().route("/sites/{site}/overview", get(overview))
}

async fn overview(
    State(console): State<Console>,
    framing: Framing,
    Path(site): Path<String>,
    Query(query): Query<OverviewQuery>,
) -> Result<Response, PageError> {
    let site = require_site(&console, &framing.session, &site).await?;
    let known = DAY_COUNTS.into_iter().find(|days| *days == query.days);
    let day_count = known.unwrap_or(DAY_COUNT_DEFAULT);
    let moderation = console.moderation();
    let found = moderation.overview(&site, day_count).await?;
    let frame = framing.frame(&console, "Overview", Nav::Overview, Some(&site)).await?;
    let path = site_path(&site.id);
    Ok(page(&overview_page(frame, path, day_count, &found, moderation.now())))
}

fn overview_page(
    frame: Frame,
    path: String,
    day_count: u16,
    found: &Overview,
    now: OffsetDateTime,
) -> OverviewPage {
    let sum = |of: fn(&DayCounts) -> u64| found.days.iter().map(of).sum::<u64>();
    let (held, rejected) = (sum(|day| day.hold_count), sum(|day| day.reject_count));
    let checked = sum(|day| day.approve_count) + held + rejected;
    let overturned = sum(|day| day.rejected_approved_count + day.approved_rejected_count);
    let decided = overturned + sum(|day| day.held_approved_count + day.held_rejected_count);
    OverviewPage {
        frame,
        path,
        day_count,
        day_counts: DAY_COUNTS,
        checked,
        held,
        held_share: share(held, checked),
        rejected,
        rejected_share: share(rejected, checked),
        decided,
        overturned,
        overturned_share: share(overturned, checked - held),
        queue: format!("{}{}", found.queue.count, if found.queue.more { "+" } else { "" }),
        oldest: found.age.oldest_time.map(|time| age(now - time)).unwrap_or_default(),
        volume: chart(
            &found.days,
            |day| vec![day.approve_count, day.hold_count, day.reject_count],
            &["approve", "hold", "reject"],
            &["approved", "held", "rejected"],
        ),
        decisions: chart(
            &found.days,
            |day| {
                vec![
                    day.held_approved_count,
                    day.held_rejected_count,
                    day.rejected_approved_count + day.approved_rejected_count,
                ]
            },
            &["approve", "reject", "hold"],
            &["held, then approved", "held, then rejected", "filter overturned"],
        ),
        ages: ages(found),
        lines: found.days.iter().rev().map(day_line).collect(),
    }
}

fn day_line(counts: &DayCounts) -> DayLine {
    let date = (OffsetDateTime::UNIX_EPOCH + Duration::days(counts.day)).date();
    DayLine { day: date.to_string(), counts: *counts }
}

fn chart(
    days: &[DayCounts],
    values: fn(&DayCounts) -> Vec<u64>,
    classes: &[&str],
    names: &[&str],
) -> String {
    let column = |day: &DayCounts| {
        let date = (OffsetDateTime::UNIX_EPOCH + Duration::days(day.day)).date();
        let label = format!("{:02}-{:02}", u8::from(date.month()), date.day());
        Column { label, values: values(day) }
    };
    stacked(&days.iter().map(column).collect::<Vec<_>>(), classes, names)
}

fn ages(found: &Overview) -> String {
    let columns: Vec<Column> = AGES
        .iter()
        .zip(found.age.counts)
        .map(|(label, count)| Column { label: (*label).into(), values: vec![count] })
        .collect();
    stacked(&columns, &["hold"], &["entries"])
}

fn share(part: u64, whole: u64) -> String {
    match whole {
        0 => String::new(),
        _ => format!("{:.1} % ", part as f64 / whole as f64 * 100.0),
    }
}
