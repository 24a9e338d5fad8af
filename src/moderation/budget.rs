//! What a budget would do: thresholds from the good comments it may cost or from the time there is
//! for review, beside the site's own traffic and labels.

use std::ops::RangeInclusive;
use std::sync::Arc;

use time::Duration;

use super::ports::{SampledComment, Window};
use super::progress::WorkProgress;
use super::thresholds::RawThresholds;
use super::training::raw_score;
use super::{Moderation, ModerationError};
use crate::classifier::{Interval, wilson};
use crate::domain::{Budget, Label, LogOdds, Site, probability};
use crate::features::FeatureBuilder;

/// How far back the site's traffic is looked at.
const TRAFFIC_PERIOD: Duration = Duration::days(30);
/// Comments of the traffic at most: the last ones.
const TRAFFIC_COUNT_MAX: usize = 20_000;
/// Fewest comments that say how many come in a day.
const TRAFFIC_COUNT_MIN: usize = 100;
/// The loosest and the strictest budget that time for review may ask for: one good comment in so
/// many. Time to spare is no reason to hold what is plainly good.
const ONE_IN: RangeInclusive<u32> = 20..=1_000_000;

/// What a budget is to be. What is not said is as the site's policy has it, raw thresholds included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BudgetRequest {
    /// Hold at most one in so many good comments; nothing: as now.
    pub hold_one_in: Option<u32>,
    /// Reject at most one in so many good comments; nothing: as now.
    pub reject_one_in: Option<u32>,
    /// Minutes of review a day at most; the loosest budget for holding that keeps to it is found,
    /// down to one good comment in 20.
    pub review_minutes: Option<f64>,
    /// How long a person looks at one comment, in seconds.
    pub review_seconds: f64,
}

/// What a budget would do.
#[derive(Debug, Clone, PartialEq)]
pub struct BudgetPreview {
    /// The model that decides.
    pub model_version: String,
    /// Hold at most one in so many good comments.
    pub hold_one_in: u32,
    /// Reject at most one in so many good comments.
    pub reject_one_in: u32,
    /// The probability of spam to hold from.
    pub hold_threshold: f64,
    /// The probability of spam to reject from.
    pub reject_threshold: f64,
    /// What it would have done to the site's traffic; nothing if there is too little.
    pub traffic: Option<TrafficPreview>,
    /// What it would do to the labels whose texts the model does not know; nothing without any.
    pub labels: Option<LabelPreview>,
}

/// What a budget would have done to the comments of the last 30 days, by the scores they had.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrafficPreview {
    /// Comments looked at.
    pub comment_count: u64,
    /// Comments a day.
    pub per_day: f64,
    /// Comments held a day.
    pub held_per_day: f64,
    /// Comments rejected a day.
    pub rejected_per_day: f64,
    /// Minutes of review a day.
    pub review_minutes: f64,
}

/// A share and where the true one lies 95 times in 100.
pub type Share = (f64, Interval);

/// What a budget would do to labels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LabelPreview {
    /// Good comments.
    pub ham_count: u64,
    /// Spam.
    pub spam_count: u64,
    /// Share of good comments held or rejected.
    pub ham_held: Option<Share>,
    /// Share of good comments rejected.
    pub ham_rejected: Option<Share>,
    /// Share of spam that passes.
    pub spam_missed: Option<Share>,
}

impl Moderation {
    /// Tells what a budget would do to a site.
    ///
    /// # Errors
    /// `Invalid`, also for time that no budget keeps to or too little traffic to tell;
    /// `Unavailable`.
    pub async fn preview_budget(
        &self,
        site: &Arc<Site>,
        request: BudgetRequest,
    ) -> Result<BudgetPreview, ModerationError> {
        validate(&request)?;
        let version = self.models.of(&site.id).scorer.model_version().to_owned();
        let known = self.known_model(site, &version).await?;
        let since = Window::After(self.clock.now() - TRAFFIC_PERIOD);
        let traffic = self.store.sample_comments(&site.id, since, TRAFFIC_COUNT_MAX).await;
        let traffic = Traffic::new(&traffic.map_err(ModerationError::Unavailable)?);
        let progress = WorkProgress::default();
        let learnt = self.learnt_texts(site, &[known.ledger_position], &progress).await?;
        let mut ledger = self.read_ledger(site, i64::MAX, &progress).await?;
        ledger.retain(|example| !learnt.has(example));
        let policy = site.policy.clone();
        let work = move || {
            let (model, budget) = (&*known.model, policy.budget);
            let reject_one_in = request.reject_one_in.unwrap_or(budget.reject_one_in);
            let raw_reject = policy.reject_threshold.filter(|_| request.reject_one_in.is_none());
            let asks_to_hold = request.hold_one_in.is_some() || request.review_minutes.is_some();
            let raw_hold = policy.hold_threshold.filter(|_| !asks_to_hold);
            let thresholds = |hold_one_in| {
                RawThresholds::new(model, Budget { hold_one_in, reject_one_in })
                    .overridden(raw_hold, raw_reject)
            };
            let hold_one_in = match request.review_minutes {
                Some(minutes) => {
                    let Some(traffic) = &traffic else {
                        let text = "At least 100 comments of the last 30 days are needed to tell.";
                        return Err(field("review_minutes", "too-little-traffic", text));
                    };
                    let takes = |one_in| {
                        traffic.preview(&thresholds(one_in), request.review_seconds).review_minutes
                    };
                    loosest(|one_in| takes(one_in) <= minutes)?
                }
                None => request.hold_one_in.unwrap_or(budget.hold_one_in),
            };
            let at = thresholds(hold_one_in);
            let mut builder = FeatureBuilder::default();
            let scores: Vec<(LogOdds, Label)> = ledger
                .iter()
                .map(|example| (raw_score(model, example, &mut builder), example.label))
                .collect();
            Ok(BudgetPreview {
                model_version: version,
                hold_one_in,
                reject_one_in,
                hold_threshold: probability(at.hold),
                reject_threshold: probability(at.reject),
                traffic: traffic.map(|traffic| traffic.preview(&at, request.review_seconds)),
                labels: (!scores.is_empty()).then(|| at.labels(&scores)),
            })
        };
        super::blocking("previewing", work).await
    }
}

fn field(name: &'static str, reason: &'static str, text: &str) -> ModerationError {
    ModerationError::field(name, reason, text)
}

fn validate(request: &BudgetRequest) -> Result<(), ModerationError> {
    for (name, value) in
        [("hold_one_in", request.hold_one_in), ("reject_one_in", request.reject_one_in)]
    {
        if value == Some(0) {
            return Err(field(name, "out-of-range", "At least 1 is expected."));
        }
    }
    if request.review_minutes.is_some() && request.hold_one_in.is_some() {
        let text = "Time for review and a budget for holding exclude each other.";
        return Err(field("review_minutes", "exclusive", text));
    }
    let positive = |value: f64| value.is_finite() && value > 0.0;
    if !positive(request.review_seconds) {
        return Err(field("review_seconds", "out-of-range", "A number above 0 is expected."));
    }
    if request.review_minutes.is_some_and(|minutes| !positive(minutes)) {
        return Err(field("review_minutes", "out-of-range", "A number above 0 is expected."));
    }
    Ok(())
}

/// The loosest budget for holding that `keeps` to the time: fewer good comments held means a higher
/// threshold and so never more to review.
fn loosest(keeps: impl Fn(u32) -> bool) -> Result<u32, ModerationError> {
    let (mut below, mut keeping) = (*ONE_IN.start() - 1, *ONE_IN.end());
    if !keeps(keeping) {
        let text = "Even a budget of one good comment in a million holds more than that.";
        return Err(field("review_minutes", "unreachable", text));
    }
    while keeping - below > 1 {
        let middle = below + (keeping - below) / 2;
        if keeps(middle) {
            keeping = middle;
        } else {
            below = middle;
        }
    }
    Ok(keeping)
}

impl RawThresholds {
    fn labels(&self, scores: &[(LogOdds, Label)]) -> LabelPreview {
        let count = |label: Label, from: Option<LogOdds>| {
            let hit = |(score, of): &&(LogOdds, Label)| {
                *of == label && from.is_none_or(|from| *score >= from)
            };
            scores.iter().filter(hit).count() as u64
        };
        let share = |part: u64, whole: u64| {
            wilson(part, whole).map(|interval| (part as f64 / whole as f64, interval))
        };
        let (ham, spam) = (count(Label::Ham, None), count(Label::Spam, None));
        LabelPreview {
            ham_count: ham,
            spam_count: spam,
            ham_held: share(count(Label::Ham, Some(self.hold)), ham),
            ham_rejected: share(count(Label::Ham, Some(self.reject)), ham),
            spam_missed: share(spam - count(Label::Spam, Some(self.hold)), spam),
        }
    }
}

/// The scores of a site's last comments.
struct Traffic {
    /// Probabilities of spam, rising.
    scores: Vec<f64>,
    comment_count: usize,
    days: f64,
}

impl Traffic {
    /// Nothing if there are too few comments to say how many come in a day.
    fn new(comments: &[SampledComment]) -> Option<Self> {
        let times = || comments.iter().map(|comment| comment.check_time);
        let (first, last) = times().min().zip(times().max())?;
        let mut scores: Vec<f64> =
            comments.iter().filter_map(|comment| comment.probability).collect();
        scores.sort_by(f64::total_cmp);
        // What came within hours says what comes in a day at least.
        let days = ((last - first).as_seconds_f64() / 86_400.0).max(1.0);
        (comments.len() >= TRAFFIC_COUNT_MIN).then_some(Self {
            scores,
            comment_count: comments.len(),
            days,
        })
    }

    fn preview(&self, at: &RawThresholds, seconds: f64) -> TrafficPreview {
        let from = |threshold: LogOdds| {
            let below = self.scores.partition_point(|score| *score < probability(threshold));
            (self.scores.len() - below) as f64
        };
        let rejected_per_day = from(at.reject) / self.days;
        let held_per_day = (from(at.hold) - from(at.reject)) / self.days;
        TrafficPreview {
            comment_count: self.comment_count as u64,
            per_day: self.comment_count as f64 / self.days,
            held_per_day,
            rejected_per_day,
            review_minutes: held_per_day * seconds / 60.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classifier::base_model;

    fn traffic() -> Traffic {
        let scores = (0..10_000).map(|n| f64::from(n) / 10_000.0).collect();
        Traffic { scores, comment_count: 10_000, days: 10.0 }
    }

    #[test]
    fn time_for_review_finds_the_loosest_budget_that_keeps_to_it() {
        let (model, traffic) = (base_model(), traffic());
        let minutes = |hold_one_in| {
            let budget = Budget { hold_one_in, reject_one_in: 2_000 };
            traffic.preview(&RawThresholds::new(&model, budget), 30.0).review_minutes
        };
        for limit in [5.0, 20.0, 50.0] {
            let found = loosest(|n| minutes(n) <= limit).unwrap();
            assert!(minutes(found) <= limit, "{found}");
            assert!(found > 20 && minutes(found - 1) > limit, "{found} is the loosest");
        }
        assert_eq!(loosest(|_| true).unwrap(), 20, "time to spare holds no good comments");
        assert!(loosest(|_| false).is_err());
    }

    #[test]
    fn labels_are_counted_on_both_sides() {
        let at = RawThresholds { hold: LogOdds::from_f64(1.0), reject: LogOdds::from_f64(2.0) };
        let row = |raw: f64, label| (LogOdds::from_f64(raw), label);
        let labels = [
            row(0.0, Label::Ham),
            row(1.0, Label::Ham),
            row(2.5, Label::Ham),
            row(0.5, Label::Spam),
            row(3.0, Label::Spam),
        ];
        let preview = at.labels(&labels);
        assert_eq!((preview.ham_count, preview.spam_count), (3, 2));
        let value = |share: Option<Share>| share.map(|(value, _)| value);
        assert_eq!(value(preview.ham_held), Some(2.0 / 3.0));
        assert_eq!(value(preview.ham_rejected), Some(1.0 / 3.0));
        assert_eq!(value(preview.spam_missed), Some(0.5));
    }
}
