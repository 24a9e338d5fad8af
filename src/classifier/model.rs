//! Models: immutable heads of weights over hashed features, and how they score.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::artifact::storable;
use super::{Calibration, LogisticRegression, TrainingSet};
use crate::domain::{Contribution, LogOdds, Score, Signal, probability};
use crate::features::{FeatureVector, Names};

/// Contributions shown one by one; the others stand together as `rest`.
const CONTRIBUTION_COUNT_MAX: usize = 12;

/// A trained model. Only [`Model::from_bytes`] and training make one.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    pub(super) version: String,
    pub(super) name: String,
    pub(super) feature_definition: String,
    pub(super) bucket_count: u32,
    pub(super) heads: Vec<Head>,
    pub(super) summary: TrainingSummary,
}

/// One question that a model answers, such as `spam`.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    pub(super) name: String,
    /// Calibrated; each is exactly a 16-bit float, as in the artifact. They take 4 MiB, so models
    /// that weigh alike share them.
    pub(super) weights: Arc<[f32]>,
    pub(super) bias: LogOdds,
    pub(super) calibration: Calibration,
    pub(super) budget: BudgetTable,
}

/// Where a model comes from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainingSummary {
    /// The version of this program that trained.
    pub code_version: String,
    /// The seed of all shuffling.
    pub seed: u64,
    /// The settings, by name.
    pub settings: BTreeMap<String, f64>,
    /// The sources, by name.
    pub sources: BTreeMap<String, SourceCount>,
    /// The model that this one is a site layer over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_version: Option<String>,
}

/// Examples of one source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceCount {
    /// Good comments.
    pub ham_count: u64,
    /// Spam.
    pub spam_count: u64,
}

impl Model {
    /// Name and content hash: equal versions are equal models.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The definition of features that the model was trained with.
    pub fn feature_definition(&self) -> &str {
        &self.feature_definition
    }

    /// Buckets that features are hashed into.
    pub fn bucket_count(&self) -> u32 {
        self.bucket_count
    }

    /// Where the model comes from.
    pub fn summary(&self) -> &TrainingSummary {
        &self.summary
    }

    /// The heads, `spam` first.
    pub fn heads(&self) -> &[Head] {
        &self.heads
    }

    /// The head that answers whether a comment is spam.
    pub fn spam(&self) -> &Head {
        &self.heads[0]
    }

    /// The head that answers whether a comment is abuse, if there is one.
    pub fn abuse(&self) -> Option<&Head> {
        self.heads.iter().find(|head| head.name == "abuse")
    }

    /// The same model, which shares the weights that are the base model's bit for bit with it: those
    /// of heads that a site does not train.
    #[must_use]
    pub fn sharing(mut self, base: &Self) -> Self {
        for head in &mut self.heads {
            let known = base.heads.iter().find(|known| known.name == head.name);
            if let Some(known) = known.filter(|known| known.weighs_like(head)) {
                head.weights = known.weights.clone();
            }
        }
        self
    }

    /// The score of a comment with its parts: the model's contributions and the weights of
    /// signals. `raw_score` is exactly their sum.
    pub fn score(&self, vector: &FeatureVector, names: &Names, signals: &[Signal]) -> Score {
        let contributions = self.spam().contributions(vector, names, signals);
        let raw_score = contributions.iter().map(|part| part.weight).sum();
        Score {
            probability: probability(raw_score),
            raw_score,
            contributions,
            model_version: self.version.clone(),
            abuse: None,
        }
    }
}

impl Head {
    /// The head of fitted weights, with the calibration folded into them.
    pub(super) fn calibrated(
        name: &str,
        fitted: &LogisticRegression,
        calibration: Calibration,
        budget: BudgetTable,
    ) -> Self {
        let weight = |weight: &f32| storable(calibration.slope * f64::from(*weight));
        Self {
            name: name.to_owned(),
            weights: fitted.weights.iter().map(weight).collect(),
            bias: LogOdds::from_f64(calibration.apply(f64::from(fitted.bias))),
            calibration,
            budget,
        }
    }

    /// Whether all weights are the same bits.
    fn weighs_like(&self, other: &Self) -> bool {
        let mut pairs = self.weights.iter().zip(&*other.weights);
        self.weights.len() == other.weights.len()
            && pairs.all(|(one, other)| one.to_bits() == other.to_bits())
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How out-of-fold scores were calibrated; the weights have it in them.
    pub fn calibration(&self) -> Calibration {
        self.calibration
    }

    /// The score of a comment without any evidence.
    pub fn bias(&self) -> LogOdds {
        self.bias
    }

    /// What a raw score above allows to say about good comments.
    pub fn budget(&self) -> &BudgetTable {
        &self.budget
    }

    /// The calibrated raw score that at most one in `one_in` good comments reaches; see
    /// [`BudgetTable::threshold`].
    pub fn threshold(&self, one_in: u32) -> LogOdds {
        self.budget.threshold(one_in)
    }

    /// The calibrated log-odds of a comment, signals apart.
    #[inline]
    pub fn raw_score(&self, vector: &FeatureVector) -> LogOdds {
        let mut sum = self.bias;
        for (_, value, buckets) in vector.families() {
            sum += LogOdds::from_steps(self.sum(buckets, value_steps(value)));
        }
        sum
    }

    /// The calibrated log-odds of a row of a training set, with what signals add, to floating
    /// point precision.
    pub(super) fn raw_score_of(&self, set: &TrainingSet, row: usize) -> f64 {
        let (columns, values) = set.table().row(row);
        let products = columns
            .iter()
            .zip(values)
            .map(|(column, value)| f64::from(self.weights[*column as usize]) * f64::from(*value));
        self.bias.to_f64() + products.sum::<f64>() + set.evidence(row)
    }

    /// The parts of a score: bias, signals, and features under their readable names, heaviest
    /// first. They sum exactly to [`Head::raw_score`] plus the weights of the signals.
    pub fn contributions(
        &self,
        vector: &FeatureVector,
        names: &Names,
        signals: &[Signal],
    ) -> Vec<Contribution> {
        // Only the names that are shown or decide between equal weights are looked at.
        let name = |index: usize| match index.checked_sub(names.count()) {
            Some(signal) => ("signal", signals[signal].name.as_str()),
            None => names.name(index),
        };
        // Heaviest first; of equal weights the name decides.
        let heavier = |a: &(usize, i64), b: &(usize, i64)| {
            b.1.unsigned_abs().cmp(&a.1.unsigned_abs()).then_with(|| name(a.0).cmp(&name(b.0)))
        };
        let of_signals = signals.iter().map(|signal| signal.weight.steps());
        let sums = self.sums_by_name(vector, names);
        let mut parts: Vec<(usize, i64)> = Vec::with_capacity(CONTRIBUTION_COUNT_MAX + 1);
        let (mut rest, mut lightest) = (LogOdds::ZERO, 0);
        for part in sums.into_iter().chain(of_signals).enumerate() {
            if part.1.unsigned_abs() < lightest || part.1 == 0 {
                rest += LogOdds::from_steps(part.1);
                continue;
            }
            let mut place = parts.len();
            while place > 0 && heavier(&part, &parts[place - 1]).is_lt() {
                place -= 1;
            }
            parts.insert(place, part);
            if parts.len() > CONTRIBUTION_COUNT_MAX {
                rest += parts.pop().map_or(LogOdds::ZERO, |(_, sum)| LogOdds::from_steps(sum));
                lightest = parts.last().map_or(0, |(_, sum)| sum.unsigned_abs());
            }
        }
        let mut shown = Vec::with_capacity(parts.len() + 2);
        for (index, sum) in parts {
            let (kind, value) = name(index);
            let name = [kind, ":", value].concat();
            shown.push(Contribution { name, weight: LogOdds::from_steps(sum) });
        }
        shown.push(Contribution { name: "bias".into(), weight: self.bias });
        if rest != LogOdds::ZERO {
            shown.push(Contribution { name: "rest".into(), weight: rest });
        }
        shown
    }

    /// Every named part of a score that weighs anything, signals and bias apart: with them the parts
    /// sum exactly to the raw score.
    pub fn parts<'n>(
        &self,
        vector: &FeatureVector,
        names: &'n Names,
    ) -> impl Iterator<Item = ((&'n str, &'n str), LogOdds)> {
        let sums = self.sums_by_name(vector, names).into_iter().enumerate();
        sums.filter(|(_, sum)| *sum != 0)
            .map(|(name, sum)| (names.name(name), LogOdds::from_steps(sum)))
    }

    /// What the features of each name weigh together, in steps.
    fn sums_by_name(&self, vector: &FeatureVector, names: &Names) -> Vec<i64> {
        let mut sums = vec![0; names.count()];
        let mut families = vector.families();
        let (mut steps, mut end) = (0.0, 0);
        for (name, run) in names.runs() {
            // Features are named in their family, so that no run goes on into the next.
            while run.start >= end
                && let Some((_, value, buckets)) = families.next()
            {
                (steps, end) = (value_steps(value), end + buckets.len());
            }
            sums[name] += self.sum(&vector.buckets()[run], steps);
        }
        sums
    }

    /// What buckets of one value weigh together, in steps.
    #[inline]
    fn sum(&self, buckets: &[u32], steps: f64) -> i64 {
        // Whole numbers below 2^53 are added exactly as floats too, so in any order: four sums at
        // once do not wait for each other.
        let weighed = |bucket: u32| rounded(self.weights[bucket as usize], steps);
        if let [bucket] = buckets {
            return weighed(*bucket) as i64;
        }
        let (fours, last) = buckets.as_chunks::<4>();
        let mut sums = [0.0; 4];
        for four in fours {
            for (sum, bucket) in sums.iter_mut().zip(four) {
                *sum += weighed(*bucket);
            }
        }
        let last: f64 = last.iter().map(|bucket| weighed(*bucket)).sum();
        (sums.iter().sum::<f64>() + last) as i64
    }
}

/// A family's value as steps of [`LogOdds`] for a weight of one.
#[inline]
fn value_steps(value: f32) -> f64 {
    f64::from(value) * (1u64 << 24) as f64
}

/// A contribution in whole steps, ties to even.
///
/// Adding 1.5 × 2^52 leaves no fraction bits in the sum, which rounds without the library call
/// that `f64::round` is on the base x86-64 target (measured: 2 µs of a 300-character comment).
#[inline]
fn rounded(weight: f32, steps: f64) -> f64 {
    const MAGIC: f64 = 6_755_399_441_055_744.0;
    (f64::from(weight) * steps + MAGIC) - MAGIC
}

/// How high good comments score, for thresholds from a budget.
///
/// Points of one in so many good comments and the score that at most that many reached, in
/// examples the model was not trained on; both rise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<(u32, LogOdds)>", into = "Vec<(u32, LogOdds)>")]
pub struct BudgetTable(Vec<(u32, LogOdds)>);

/// Points of the table: one in so many.
const LEVELS: [u32; 16] =
    [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000];

/// A level is measured only if so many good comments are expected above its threshold; beyond,
/// the tail is continued. With fewer the threshold hangs on single mislabelled comments.
const EXCEEDING_COUNT_MIN: f64 = 10.0;

/// Log-odds added for each tenfold budget beyond what the sample can show. Good comments' scores
/// fall off about exponentially; this is the probability scale itself (one in ten times fewer
/// needs ln 10 more), and never less steep than the measured tail.
const TAIL_SLOPE_MIN: f64 = std::f64::consts::LN_10;

impl BudgetTable {
    /// The table of good comments with a score and a weight each.
    ///
    /// # Panics
    /// If there is no good comment.
    pub fn measure(mut ham: Vec<(LogOdds, f64)>) -> Self {
        assert!(!ham.is_empty(), "a budget needs good comments");
        ham.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
        let total: f64 = ham.iter().map(|(_, weight)| weight).sum();
        // Kish's effective number of examples: what the weights leave of their number.
        let squares: f64 = ham.iter().map(|(_, weight)| weight * weight).sum();
        let effective = total * total / squares;
        let mut points: Vec<(u32, LogOdds)> = Vec::new();
        for level in LEVELS {
            if level > 1 && effective / f64::from(level) < EXCEEDING_COUNT_MIN {
                break;
            }
            points.push((level, quantile(&ham, total / f64::from(level))));
        }
        Self::rising(points)
    }

    /// The score that at most one in `one_in` good comments reaches.
    ///
    /// Between points the higher one counts. Beyond the last the tail is continued at the slope
    /// of the last two decades or `TAIL_SLOPE_MIN`, whichever is steeper, so a budget that the
    /// sample cannot show is met by asking for more, never for less.
    pub fn threshold(&self, one_in: u32) -> LogOdds {
        if let Some((_, score)) = self.0.iter().find(|(level, _)| *level >= one_in) {
            return *score;
        }
        let (level, score) = self.0[self.0.len() - 1];
        let decades = (f64::from(one_in) / f64::from(level)).log10();
        score + LogOdds::from_f64(decades * self.tail_slope())
    }

    /// The points: one in so many, and the score.
    pub fn points(&self) -> &[(u32, LogOdds)] {
        &self.0
    }

    fn tail_slope(&self) -> f64 {
        let (level, score) = self.0[self.0.len() - 1];
        let measured =
            self.0.iter().rev().find(|(other, _)| level / other >= 100).map(|(other, lower)| {
                (score.to_f64() - lower.to_f64()) / (f64::from(level) / f64::from(*other)).log10()
            });
        measured.unwrap_or(0.0).max(TAIL_SLOPE_MIN)
    }

    /// Makes scores rise with the level.
    pub(super) fn rising(mut points: Vec<(u32, LogOdds)>) -> Self {
        let mut highest = points[0].1;
        for (_, score) in &mut points {
            highest = highest.max(*score);
            *score = highest;
        }
        Self(points)
    }
}

/// The lowest score such that the weight of those at or above it is at most `weight_max`: just
/// above the first score, from the top, at which that is no longer so.
fn quantile(falling: &[(LogOdds, f64)], weight_max: f64) -> LogOdds {
    let mut above = 0.0;
    for (score, weight) in falling {
        above += weight;
        if above > weight_max {
            return *score + LogOdds::from_steps(1);
        }
    }
    falling.last().map_or(LogOdds::ZERO, |(score, _)| *score)
}

impl TryFrom<Vec<(u32, LogOdds)>> for BudgetTable {
    type Error = &'static str;

    fn try_from(points: Vec<(u32, LogOdds)>) -> Result<Self, &'static str> {
        if points.first().is_none_or(|(level, _)| *level == 0) {
            return Err("a budget table starts at a level of 1 or more");
        }
        if !points.is_sorted_by(|(a, low), (b, high)| a < b && low <= high) {
            return Err("the points of a budget table must rise");
        }
        Ok(Self(points))
    }
}

impl From<BudgetTable> for Vec<(u32, LogOdds)> {
    fn from(table: BudgetTable) -> Self {
        table.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{RawSubmission, RequiredFields, SignalName, SiteSecret, Submission};
    use crate::features::FeatureBuilder;
    use crate::text::{Analysis, hide};

    fn table(scores: impl IntoIterator<Item = f64>) -> BudgetTable {
        BudgetTable::measure(scores.into_iter().map(|s| (LogOdds::from_f64(s), 1.0)).collect())
    }

    #[test]
    fn a_budget_is_kept_on_the_sample_itself() {
        let scores: Vec<f64> = (0..5_000).map(|n| f64::from(n) * 0.001 - 4.0).collect();
        let table = table(scores.clone());
        for one_in in [2, 20, 100, 200, 500] {
            let threshold = table.threshold(one_in).to_f64();
            let stopped = scores.iter().filter(|score| **score >= threshold).count();
            assert!(stopped * one_in as usize <= scores.len(), "1 in {one_in}: {stopped}");
        }
    }

    #[test]
    fn beyond_the_sample_a_budget_asks_for_more() {
        let table = table((0..1_000).map(|n| f64::from(n) * 0.001));
        let shown = table.threshold(100);
        let decade = table.threshold(1_000).to_f64() - shown.to_f64();
        assert!((decade - TAIL_SLOPE_MIN).abs() < 1e-6, "{decade}");
        assert!(table.threshold(u32::MAX) > table.threshold(100_000));
    }

    /// The parts of a score as the documentation says it, one feature after the other.
    fn plain(
        head: &Head,
        vector: &FeatureVector,
        names: &Names,
        signals: &[Signal],
    ) -> Vec<Contribution> {
        let entries: Vec<(u32, f32)> = vector.entries().collect();
        let mut sums: BTreeMap<(&str, &str), i64> = BTreeMap::new();
        for (name, run) in names.runs() {
            for (bucket, value) in &entries[run] {
                let weight = f64::from(head.weights[*bucket as usize]);
                let steps = (weight * value_steps(*value)).round_ties_even() as i64;
                *sums.entry(names.name(name)).or_default() += steps;
            }
        }
        let of_signals = signals.iter().map(|one| (("signal", one.name.as_str()), one.weight));
        let mut parts: Vec<_> = sums.into_iter().collect();
        parts.extend(of_signals.map(|(name, weight)| (name, weight.steps())));
        parts.retain(|(_, steps)| *steps != 0);
        parts.sort_by_key(|(name, steps)| (std::cmp::Reverse(steps.unsigned_abs()), *name));
        let light = parts.split_off(parts.len().min(CONTRIBUTION_COUNT_MAX));
        let part = |name: String, steps| Contribution { name, weight: LogOdds::from_steps(steps) };
        let mut shown: Vec<_> = parts
            .into_iter()
            .map(|((kind, value), steps)| part(format!("{kind}:{value}"), steps))
            .collect();
        shown.push(part("bias".into(), head.bias.steps()));
        let rest = light.iter().map(|(_, steps)| steps).sum();
        if rest != 0 {
            shown.push(part("rest".into(), rest));
        }
        shown
    }

    #[test]
    fn contributions_are_what_a_plain_sum_over_features_gives() {
        let model = crate::classifier::base_model();
        let (mut builder, mut names) = (FeatureBuilder::default(), Names::default());
        let signals =
            [("links", 900_000), ("near", -12_345_678), ("none", 0)].map(|(name, steps)| Signal {
                name: SignalName::new(name),
                weight: LogOdds::from_steps(steps),
                detail: String::new(),
            });
        let words = "the cheap pills of the casino, the CASINO pills! c4sino тхе 加微信 ☎☎ $500 \
            http://shop.example.com/cheap-pills?x=1 thanks for the bread, the pills of the bread";
        for (count, signals) in
            (0..words.split(' ').count()).flat_map(|count| [(count, &signals[..]), (count, &[])])
        {
            let raw = RawSubmission {
                text: words.split(' ').take(count + 1).collect::<Vec<_>>().join(" "),
                author: "Best Pills".into(),
                url: "https://pills.example.com/buy".into(),
                ..RawSubmission::default()
            };
            let optional = RequiredFields { author: false, email: false };
            let Ok(submission) = Submission::parse(raw, &optional) else { panic!("{count}") };
            let submission = hide(submission, &SiteSecret::from_bytes([1; 32]));
            let vector = builder.build_named(&Analysis::new(&submission), [].iter(), &mut names);
            let score = model.score(vector, &names, signals);
            assert_eq!(score.contributions, plain(model.spam(), vector, &names, signals));
            let own: LogOdds = signals.iter().map(|signal| signal.weight).sum();
            assert_eq!(score.raw_score, model.spam().raw_score(vector) + own);
        }
    }

    #[test]
    fn weights_count_as_repetitions() {
        let heavy = BudgetTable::measure(vec![
            (LogOdds::from_f64(3.0), 1.0),
            (LogOdds::from_f64(0.0), 99.0),
        ]);
        assert_eq!(heavy.points().len(), 1, "two examples show no more than one in one");
        assert_eq!(quantile(&[(LogOdds::from_f64(3.0), 1.0)], 1.0), LogOdds::from_f64(3.0));
    }

    #[test]
    fn tables_from_elsewhere_are_checked() {
        let parse = |text: &str| serde_json::from_str::<BudgetTable>(text);
        assert!(parse("[[1,-3.0],[10,1.5]]").is_ok());
        for bad in ["[]", "[[0,1.0]]", "[[10,1.0],[1,2.0]]", "[[1,1.0],[10,0.5]]"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn thresholds_never_fall(
            scores in prop::collection::vec(-9.0f64..9.0, 1..400), a in 1u32.., b in 1u32..
        ) {
            let table = table(scores);
            prop_assert!(table.threshold(a.min(b)) <= table.threshold(a.max(b)));
        }

        #[test]
        fn rounding_is_to_the_nearest_step(weight in -60.0f32..60.0, value in 0.001f32..1.0) {
            let exact = f64::from(weight) * value_steps(value);
            prop_assert!((rounded(weight, value_steps(value)) - exact).abs() <= 0.5);
        }
    }
}
