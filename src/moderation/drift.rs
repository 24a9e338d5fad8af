//! Drift: whether a site's comments still are what its model was made for.
//!
//! The last comments are compared with a baseline by their population stability index (PSI), the
//! symmetric divergence Σ (p − q) · ln(p / q) over bands; under 0.1 nothing happened, from 0.25 on
//! something did (Siddiqi, "Credit Risk Scorecards", 2006). The baseline of a site's own model is
//! the comments that came before it was trained. That of the base model is the site's first
//! comments: its training corpora are other sites, from which every site differs from its first day.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use time::OffsetDateTime;

use super::ports::Window;
use super::{Moderation, ModerationError, Scorer, examples};
use crate::checks::SiteRules;
use crate::classifier::Length;
use crate::domain::{BlindSubmission, CommentId, LogOdds, Site, SiteId};
use crate::features::FeatureBuilder;
use crate::text::Analysis;

/// Comments of a baseline at most.
const BASELINE_COUNT_MAX: usize = 2_000;
/// Comments that are compared with it at most: the last ones.
const CURRENT_COUNT_MAX: usize = 1_000;
/// Fewest comments on either side: below, chance alone moves the index by 0.05 and more.
const COUNT_MIN: usize = 200;
/// From here on something changed.
pub const DRIFT_ALARM: f64 = 0.25;

/// How a site's comments changed.
#[derive(Debug, Clone, PartialEq)]
pub struct DriftReport {
    /// The model that decides.
    pub model_version: String,
    /// Comments of the baseline.
    pub baseline_count: u64,
    /// When the last comment of the baseline was checked; nothing without one.
    pub baseline_time: Option<OffsetDateTime>,
    /// Comments compared with it.
    pub current_count: u64,
    /// What was compared; nothing as long as there are fewer than 200 comments on either side.
    /// Retention also removes those of the baseline.
    pub dimensions: Vec<DriftDimension>,
}

/// One property of comments then and now.
#[derive(Debug, Clone, PartialEq)]
pub struct DriftDimension {
    /// What it is, such as `score` or `length`.
    pub name: &'static str,
    /// The population stability index.
    pub index: f64,
    /// Its bands with their shares in the baseline and now, each 0–1.
    pub bands: Vec<(&'static str, f64, f64)>,
}

impl DriftDimension {
    /// Whether the change is large enough for an alarm.
    pub fn alarms(&self) -> bool {
        self.index >= DRIFT_ALARM
    }
}

impl Moderation {
    /// Compares the last comments of a site with its model's baseline.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn drift(&self, site: &Arc<Site>) -> Result<DriftReport, ModerationError> {
        let scorer = self.models.of(&site.id).scorer;
        let trained = match self.known_model(site, scorer.model_version()).await?.create_time {
            Some(time) => Window::Before(time),
            None => Window::First,
        };
        let read = |window, count| self.store.sample_comments(&site.id, window, count);
        let unavailable = ModerationError::Unavailable;
        let baseline = read(trained, BASELINE_COUNT_MAX).await.map_err(unavailable)?;
        let baseline_time = baseline.iter().map(|comment| comment.check_time).max();
        let current = match baseline_time {
            None => Vec::new(),
            Some(time) => {
                let after = read(Window::After(time), CURRENT_COUNT_MAX).await;
                after.map_err(unavailable)?
            }
        };
        let rules = self.rules.of(site);
        let work = move || {
            let banded = |comments: &[super::ports::SampledComment]| -> Vec<Bands> {
                let mut builder = FeatureBuilder::default();
                let submissions = comments.iter().map(|comment| &comment.submission);
                submissions.map(|one| bands(one, &scorer, &rules, &mut builder)).collect()
            };
            let (then, now) = (banded(&baseline), banded(&current));
            let enough = then.len().min(now.len()) >= COUNT_MIN;
            Ok(DriftReport {
                model_version: scorer.model_version().to_owned(),
                baseline_count: then.len() as u64,
                baseline_time,
                current_count: now.len() as u64,
                dimensions: if enough { dimensions(&then, &now) } else { Vec::new() },
            })
        };
        super::blocking("comparing", work).await
    }

    /// Compares the last comments of all sites that had some since the last time with their
    /// baselines, for the metrics. Where that cannot be done, the gauges are not a number.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn watch_drift(&self, watch: &mut DriftWatch) -> Result<(), ModerationError> {
        for site in self.all_sites().await? {
            let last = self.store.recent_comments(&site.id, 1).await;
            let last = last.map_err(ModerationError::Unavailable)?.first().map(|one| one.id);
            let Some(last) = last else {
                watch.forget_site(&site.id);
                continue;
            };
            let decides = self.models.of(&site.id).scorer.model_version().to_owned();
            let seen = watch.0.get(&site.id);
            if seen.is_some_and(|seen| (seen.last, &*seen.model) == (last, &*decides)) {
                continue;
            }
            let report = self.drift(&site).await?;
            // What was said of the model or the baseline before holds no more.
            if report.dimensions.is_empty() {
                take_back(&site.id);
            }
            watch.0.insert(site.id.clone(), Seen { last, model: decides });
            for dimension in &report.dimensions {
                gauge(&site.id, dimension.name).set(dimension.index);
                if dimension.alarms() {
                    tracing::warn!(
                        site.id = %site.id,
                        dimension = dimension.name,
                        index = dimension.index,
                        "the site's comments are no longer what the model was made for"
                    );
                }
            }
        }
        Ok(())
    }
}

/// What was measured before, by site: who has no new comments is not measured again.
#[derive(Default)]
pub struct DriftWatch(HashMap<SiteId, Seen>);

impl DriftWatch {
    /// Takes back what was measured: another process measures now, and what this one said last would
    /// stand for ever.
    pub fn forget(&mut self) {
        for (site, _) in self.0.drain() {
            take_back(&site);
        }
    }

    /// The same for a site whose comments are all gone, if it was measured.
    fn forget_site(&mut self, site: &SiteId) {
        if self.0.remove(site).is_some() {
            take_back(site);
        }
    }
}

/// What a site was measured by.
struct Seen {
    last: CommentId,
    model: String,
}

/// Says of a site that it is not measured. Zero would say that nothing changed, and a gauge cannot
/// be removed.
fn take_back(site: &SiteId) {
    DIMENSIONS.iter().for_each(|dimension| gauge(site, dimension).set(f64::NAN));
}

fn gauge(site: &SiteId, dimension: &str) -> metrics::Gauge {
    let labels = [("site", site.to_string()), ("dimension", dimension.to_owned())];
    metrics::gauge!("replyguard_drift_index", &labels)
}

/// The names of what is compared.
const DIMENSIONS: [&str; 6] = ["score", "length", "links", "script", "fields", "page"];

/// The band of one comment in each dimension.
type Bands = [&'static str; DIMENSIONS.len()];

/// Bands of scores, by log-odds.
const SCORES: [(f64, &str); 7] = [
    (-6.0, "under 0.2 %"),
    (-4.0, "0.2 to 2 %"),
    (-2.0, "2 to 12 %"),
    (0.0, "12 to 50 %"),
    (2.0, "50 to 88 %"),
    (4.0, "88 to 98 %"),
    (f64::INFINITY, "over 98 %"),
];

fn bands(
    submission: &BlindSubmission,
    scorer: &Scorer,
    rules: &SiteRules,
    builder: &mut FeatureBuilder,
) -> Bands {
    let analysis = Analysis::new(submission);
    let raw_score: LogOdds = examples::raw_score(&scorer.model(), submission, rules, builder);
    let score = SCORES.iter().find(|(below, _)| raw_score.to_f64() < *below);
    let links = match analysis.links.len() {
        0 => "none",
        1 => "one",
        2..=3 => "2 to 3",
        _ => "from 4",
    };
    let script = analysis.counts.main_script.map_or("none", |script| script.full_name());
    let fields = match (submission.author.is_some(), submission.url.is_some()) {
        (false, false) => "text alone",
        (true, false) => "with name",
        (false, true) => "with website",
        (true, true) => "with name and website",
    };
    let page = if submission.page_uri.is_some() { "named" } else { "not named" };
    [
        score.map_or("none", |(_, band)| *band),
        Length::of(analysis.counts.char_count).as_str(),
        links,
        script,
        fields,
        page,
    ]
}

fn dimensions(then: &[Bands], now: &[Bands]) -> Vec<DriftDimension> {
    let dimension = |(at, name): (usize, &'static str)| {
        let mut counts: BTreeMap<&'static str, [f64; 2]> = BTreeMap::new();
        for (side, comments) in [then, now].into_iter().enumerate() {
            for comment in comments {
                counts.entry(comment[at]).or_default()[side] += 1.0;
            }
        }
        let totals = [then.len() as f64, now.len() as f64];
        let share = |counts: [f64; 2], side: usize| counts[side] / totals[side];
        DriftDimension {
            name,
            index: stability_index(counts.values().copied(), totals),
            bands: counts
                .iter()
                .map(|(band, counts)| (*band, share(*counts, 0), share(*counts, 1)))
                .collect(),
        }
    };
    (0..).zip(DIMENSIONS).map(dimension).collect()
}

/// The population stability index of counts on two sides. Half a comment is added to each band, so
/// that one that is empty on a side says much and not everything.
fn stability_index(counts: impl Iterator<Item = [f64; 2]>, totals: [f64; 2]) -> f64 {
    let shares = counts.map(|[then, now]| [(then + 0.5) / totals[0], (now + 0.5) / totals[1]]);
    shares.map(|[then, now]| (now - then) * (now / then).ln()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_is_the_symmetric_divergence() {
        let index = stability_index([[499.5, 249.5], [499.5, 749.5]].into_iter(), [1e3, 1e3]);
        let expected = -0.25 * 0.5f64.ln() + 0.25 * 1.5f64.ln();
        assert!((index - expected).abs() < 1e-9, "{index} {expected}");
    }

    fn seen() -> Seen {
        Seen { last: CommentId::from_uuid(uuid::Uuid::nil()), model: "base".into() }
    }

    /// The alarm of a site whose comments were all removed stayed for good.
    #[test]
    fn a_site_without_comments_alarms_no_more() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let mut watch = DriftWatch::default();
        let [blog, shop, new] = ["blog", "shop", "new"].map(|id| id.parse::<SiteId>().unwrap());
        watch.0.insert(blog.clone(), seen());
        watch.0.insert(shop.clone(), seen());
        metrics::with_local_recorder(&recorder, || {
            gauge(&blog, "score").set(0.4);
            gauge(&shop, "score").set(0.3);
            watch.forget_site(&blog);
            watch.forget_site(&new);
        });
        let text = recorder.handle().render();
        let line = |site: &str| {
            let begin = format!("replyguard_drift_index{{site=\"{site}\",dimension=\"score\"}} ");
            text.lines().find_map(|line| line.strip_prefix(&begin))
        };
        assert_eq!(line("blog"), Some("NaN"), "{text}");
        assert_eq!(line("shop"), Some("0.3"), "{text}");
        assert_eq!(line("new"), None, "what was never measured says nothing: {text}");
        assert!(!watch.0.contains_key(&blog) && watch.0.contains_key(&shop));
    }

    #[test]
    fn who_measures_no_more_says_nothing() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let mut watch = DriftWatch::default();
        watch.0.insert("blog".parse().unwrap(), seen());
        metrics::with_local_recorder(&recorder, || {
            let labels = [("site", "blog"), ("dimension", "score")];
            metrics::gauge!("replyguard_drift_index", &labels).set(0.4);
            watch.forget();
        });
        let text = recorder.handle().render();
        let lines: Vec<_> =
            text.lines().filter(|line| line.starts_with("replyguard_drift_index{")).collect();
        assert_eq!(lines.len(), DIMENSIONS.len(), "{text}");
        assert!(lines.iter().all(|line| line.ends_with(" NaN")), "{text}");
        assert!(watch.0.is_empty(), "all is measured anew if the work comes back");
    }

    #[test]
    fn what_stays_does_not_alarm_and_what_changes_does() {
        let comment = |score: &'static str, length: &'static str| {
            [score, length, "none", "Latin", "with name", "named"]
        };
        let sample = |count: usize, spam_every: usize| -> Vec<Bands> {
            (0..count)
                .map(|n| match n.is_multiple_of(spam_every) {
                    true => comment("over 98 %", "under 50 characters"),
                    false => comment("under 0.2 %", ["short", "long"][n % 2]),
                })
                .collect()
        };
        let same = dimensions(&sample(2_000, 10), &sample(1_000, 11));
        assert!(same.iter().all(|one| one.index < 0.05), "{same:?}");
        let changed = dimensions(&sample(2_000, 10), &sample(1_000, 2));
        let alarms: Vec<_> =
            changed.iter().filter(|one| one.alarms()).map(|one| one.name).collect();
        assert_eq!(alarms, ["score", "length"], "{changed:?}");
        let shares: f64 = changed[0].bands.iter().map(|(_, _, now)| now).sum();
        assert!((shares - 1.0).abs() < 1e-9);
    }
}
