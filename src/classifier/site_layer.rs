//! The site layer: what a site's own labels add to the base model.
//!
//! A maximum a posteriori fit with a Gaussian prior at the base model's weights, so that a few
//! labels move a little and many move much. Three things keep the threshold where it is, which the
//! first labels of a site, nearly always of one kind, would drag along: the bias is the base
//! model's; both labels pull with the same total weight; and rows of the base model's training
//! are replayed, so that what every comment has cannot come to mean what the site's few have. A
//! fourth, [`super::site_guard`], raises thresholds that the layer would hold more ham at.

use linfa::ParamGuard;
use linfa::dataset::DatasetBase;

use super::artifact::storable;
use super::site_guard::{FOLD_COUNT, HamScores, folds, guarded};
use super::{Dataset, Head, LogisticRegressionParams, Model, TrainError, TrainingSet};
use crate::domain::LogOdds;

/// How a site layer is trained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SiteLayer {
    /// The price of an error against the distance from the base model.
    pub cost: f64,
    /// The price of an error on a replayed row.
    pub replay_cost: f64,
    /// Labels of each kind that a layer needs; with fewer, the base model serves.
    pub label_count_min: usize,
    /// The seed of all shuffling.
    pub seed: u64,
}

impl Default for SiteLayer {
    fn default() -> Self {
        Self { cost: 1.0, replay_cost: 1.0, label_count_min: 5, seed: 1 }
    }
}

/// How much more a label of the rarer kind may weigh than one of the other.
const BALANCE_MAX: f64 = 10.0;

/// What one example did to a site layer.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Influence {
    /// The length of its part of the layer's weights.
    pub moved: f64,
    /// Its score by the model, in log-odds.
    pub raw_score: f64,
    /// What of this score comes from its own label; to a first approximation, the rest is what the
    /// model says without it.
    pub own: f64,
}

/// Why there is no site layer.
#[derive(Debug, thiserror::Error)]
pub enum SiteLayerError {
    /// One kind of label is missing or rare.
    #[error(
        "{ham_count} ham and {spam_count} spam labels are too few: at least {needed} of each are \
         needed"
    )]
    TooFewLabels {
        /// Good comments.
        ham_count: usize,
        /// Spam.
        spam_count: usize,
        /// Needed of each.
        needed: usize,
    },
    /// The fit failed.
    #[error(transparent)]
    Train(#[from] TrainError),
}

impl SiteLayer {
    /// The base model with what the examples of one site, `set`, add to it. `replay` has examples
    /// of both kinds that the base model was trained on.
    ///
    /// # Errors
    /// [`SiteLayerError::TooFewLabels`]; settings out of range; cancelled once `goes_on` says no.
    pub fn train(
        &self,
        base: &Model,
        name: &str,
        set: &TrainingSet,
        replay: &TrainingSet,
        goes_on: &dyn Fn() -> bool,
    ) -> Result<Model, SiteLayerError> {
        let difference = self.difference(base.spam(), set, replay, goes_on)?;
        let mut heads = base.heads.clone();
        let weights = heads[0].weights.iter().zip(&difference);
        // Buckets that the site's labels do not touch keep the base model's bits.
        let moved = |(weight, change): (&f32, &f32)| match *change {
            0.0 => *weight,
            change => storable(f64::from(*weight) + f64::from(change)),
        };
        heads[0].weights = weights.map(moved).collect();
        let ham = self.ham_scores(base.spam(), set, replay, goes_on)?;
        heads[0].budget = guarded(&heads[0].budget, &ham);
        let mut summary = base.summary.clone();
        summary.base_version = Some(base.version.clone());
        summary.seed = self.seed;
        let settings = [("site_cost", self.cost), ("replay_cost", self.replay_cost)];
        summary.settings = settings.map(|(name, value)| (name.to_owned(), value)).into();
        summary.sources = set.source_counts();
        let model = Model {
            version: String::new(),
            name: name.to_owned(),
            feature_definition: base.feature_definition.clone(),
            bucket_count: base.bucket_count,
            heads,
            summary,
        };
        Ok(model.versioned())
    }

    /// How much each example of `set` moved `model`, which was trained on it over `base`.
    ///
    /// At the optimum the layer is the sum of the rows, each times its dual variable, which is its
    /// weight times how wrong the model still is about it; so an example's part of the layer is
    /// known without training again (Yeh, Kim, Yen and Ravikumar, "Representer Point Selection for
    /// Explaining Deep Neural Networks", NeurIPS 2018).
    ///
    /// # Errors
    /// [`SiteLayerError::TooFewLabels`].
    pub fn influences(
        &self,
        model: &Model,
        set: &TrainingSet,
    ) -> Result<Vec<Influence>, SiteLayerError> {
        let weights = self.weights(set)?;
        let head = model.spam();
        let mut influences: Vec<Influence> = Vec::new();
        for (row, weight) in weights.into_iter().enumerate() {
            let score = head.raw_score_of(set, row);
            let sign = if set.is_spam(row) { 1.0 } else { -1.0 };
            let dual = f64::from(weight) / (1.0 + (sign * score).exp());
            let (_, values) = set.table().row(row);
            let square: f64 = values.iter().map(|value| f64::from(value * value)).sum();
            if set.is_whole(row) {
                influences.push(Influence { raw_score: score, ..Influence::default() });
            }
            // The views of an example follow it, and are like it.
            if let Some(influence) = influences.last_mut() {
                influence.moved += dual * square.sqrt();
                influence.own += sign * dual * square;
            }
        }
        Ok(influences)
    }

    /// The scores of the good comments of `set`, each by a layer that learnt from the other folds.
    fn ham_scores(
        &self,
        head: &Head,
        set: &TrainingSet,
        replay: &TrainingSet,
        goes_on: &dyn Fn() -> bool,
    ) -> Result<Vec<HamScores>, SiteLayerError> {
        let folds = folds(set);
        // What is left of rare labels is enough to see what they do.
        let layer = Self { label_count_min: 0, ..*self };
        let mut scores = Vec::new();
        for fold in 0..FOLD_COUNT {
            let (judged, learnt): (Vec<u32>, Vec<u32>) =
                set.examples().map(|row| row.example).partition(|example| folds[example] == fold);
            let judged = set.subset(&judged);
            let difference = layer.difference(head, &set.subset(&learnt), replay, goes_on)?;
            for row in judged.whole_rows().filter(|row| !judged.is_spam(*row)) {
                let base = head.raw_score_of(&judged, row);
                let (columns, values) = judged.table().row(row);
                let change: f64 = columns
                    .iter()
                    .zip(values)
                    .map(|(column, value)| {
                        f64::from(difference[*column as usize]) * f64::from(*value)
                    })
                    .sum();
                let of = LogOdds::from_f64;
                scores.push(HamScores { base: of(base), layer: of(base + change) });
            }
        }
        Ok(scores)
    }

    /// What to add to each weight of the head.
    fn difference(
        &self,
        head: &Head,
        set: &TrainingSet,
        replay: &TrainingSet,
        goes_on: &dyn Fn() -> bool,
    ) -> Result<Vec<f32>, SiteLayerError> {
        let mut weights = self.weights(set)?;
        weights.extend(replay.shares().map(|(_, share)| share * self.replay_cost as f32));
        let offset = |set: &TrainingSet, row| head.raw_score_of(set, row);
        let offsets: Vec<f64> = (0..set.table().row_count())
            .map(|row| offset(set, row))
            .chain((0..replay.table().row_count()).map(|row| offset(replay, row)))
            .collect();
        let mut table = set.table().clone();
        table.append(replay.table());
        let targets = set.shares().chain(replay.shares()).map(|(spam, _)| spam).collect();
        let dataset: Dataset = DatasetBase::new(table, targets).with_weights(weights.into());
        let params = LogisticRegressionParams::default()
            .cost(1.0)
            .tolerance(1e-3)
            .pass_count_max(200)
            .seed(self.seed)
            .fits_bias(false)
            .check()?;
        Ok(params.fit_difference(&dataset, &offsets, goes_on)?.weights)
    }

    /// The weight of each row: both labels weigh the same together, up to [`BALANCE_MAX`].
    fn weights(&self, set: &TrainingSet) -> Result<Vec<f32>, SiteLayerError> {
        let count = |spam: bool| set.examples().filter(|example| example.spam == spam).count();
        let (ham_count, spam_count) = (count(false), count(true));
        if ham_count.min(spam_count) < self.label_count_min {
            let needed = self.label_count_min;
            return Err(SiteLayerError::TooFewLabels { ham_count, spam_count, needed });
        }
        let (ham, spam) = (ham_count as f64, spam_count as f64);
        let ratio = (ham.max(spam) / ham.min(spam)).min(BALANCE_MAX);
        // The rarer label is raised by the root of the ratio, the other lowered by it.
        let (rare, common) = (ratio.sqrt(), 1.0 / ratio.sqrt());
        let weigh = |spam_row: bool| if spam_row == (spam < ham) { rare } else { common };
        let weight = |(spam, share)| (f64::from(share) * weigh(spam) * self.cost) as f32;
        Ok(set.shares().map(weight).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::classifier::{Role, View, base_model};
    use crate::domain::Label;
    use crate::features::FeatureBuilder;
    use crate::text::Analysis;
    use crate::text::testing::blind;

    fn set(examples: impl IntoIterator<Item = (String, Label)>) -> TrainingSet {
        let mut set = TrainingSet::default();
        let mut builder = FeatureBuilder::default();
        for (text, label) in examples {
            let submission = blind(&text);
            let vector = builder.build(&Analysis::new(&submission), [].iter()).clone();
            set.push(
                "site",
                label,
                None,
                &[View { vector, share: 1.0, role: Role::Whole, evidence: 0.0 }],
            );
        }
        set
    }

    fn site(ham: usize, spam: usize) -> TrainingSet {
        let ham = (0..ham).map(|n| (format!("My sourdough rose well, loaf {n}"), Label::Ham));
        let spam = (0..spam).map(|n| (format!("Our sourdough dealer ships {n}"), Label::Spam));
        set(ham.chain(spam))
    }

    fn replay() -> TrainingSet {
        let texts = ["Thanks, the second step was what I missed", "Das Bild zeigt die alte Brücke"];
        let ham = texts.into_iter().flat_map(|text| vec![(text.to_owned(), Label::Ham); 20]);
        let spam = "Cheap pills online, order now https://pills.example.com";
        set(ham.chain(vec![(spam.to_owned(), Label::Spam); 20]))
    }

    fn score(model: &Model, text: &str) -> f64 {
        let submission = blind(text);
        let mut builder = FeatureBuilder::default();
        let raw = model.spam().raw_score(builder.build(&Analysis::new(&submission), [].iter()));
        raw.to_f64()
    }

    #[test]
    fn a_site_learns_its_own_spam_and_keeps_the_rest() {
        let base = base_model();
        let layered =
            SiteLayer::default().train(&base, "site", &site(30, 12), &replay(), &|| true).unwrap();
        let of = |text| score(&layered, text) - score(&base, text);
        assert!(of("Our sourdough dealer ships to you") > 1.0);
        let ham = score(&layered, "My sourdough rose well again");
        assert!(ham < 0.0 && ham < score(&layered, "Our sourdough dealer ships to you") - 2.0);
        let thanks = "Thanks, the second step was what I missed";
        assert!(score(&layered, thanks) < -1.0, "what was replayed stays ham");
        assert_eq!(layered.summary().base_version.as_deref(), Some(base.version()));
        assert_eq!(layered.spam().bias(), base.spam().bias());
    }

    #[test]
    fn ham_like_the_sites_spam_is_held_no_more_often_than_by_the_base_model() {
        let base = base_model();
        let ham = (0..30).map(|n| (format!("Our sourdough dealer ships slowly {n}"), Label::Ham));
        let spam = (0..40).map(|n| (format!("Our sourdough dealer ships {n}"), Label::Spam));
        let site = set(ham.chain(spam));
        let layer = SiteLayer::default();
        let layered = layer.train(&base, "site", &site, &replay(), &|| true).unwrap();
        let scores = layer.ham_scores(base.spam(), &site, &replay(), &|| true).unwrap();
        assert_eq!(scores.len(), 30);
        assert!(scores.iter().all(|scores| scores.layer > scores.base));
        let points = base.spam().budget().points().iter().zip(layered.spam().budget().points());
        for ((level, before), (_, after)) in points.clone() {
            let held_by_base = scores.iter().filter(|scores| scores.base >= *before).count();
            let held = scores.iter().filter(|scores| scores.layer >= *after).count();
            assert!(before <= after && held <= held_by_base, "one in {level}");
        }
        assert!(points.into_iter().any(|(before, after)| before < after));
    }

    #[test]
    fn the_same_labels_give_the_same_bytes() {
        let base = base_model();
        let train =
            || SiteLayer::default().train(&base, "site", &site(8, 6), &replay(), &|| true).unwrap();
        assert_eq!(train().to_bytes(), train().to_bytes());
        assert_eq!(Model::from_bytes(&train().to_bytes()).unwrap(), train());
    }

    #[test]
    fn a_label_against_all_others_moves_the_model_most() {
        let base = base_model();
        let mut texts: Vec<(String, Label)> = Vec::new();
        texts.extend((0..30).map(|n| (format!("My sourdough rose well, loaf {n}"), Label::Ham)));
        texts.push(("My sourdough rose well, loaf x".into(), Label::Spam));
        texts.extend((0..12).map(|n| (format!("Our sourdough dealer ships {n}"), Label::Spam)));
        let site = set(texts);
        let layer = SiteLayer::default();
        let model = layer.train(&base, "site", &site, &replay(), &|| true).unwrap();
        let influences = layer.influences(&model, &site).unwrap();
        assert_eq!(influences.len(), site.example_count());
        let most = influences.iter().enumerate().max_by(|a, b| a.1.moved.total_cmp(&b.1.moved));
        let (at, most) = most.unwrap();
        assert_eq!(at, 30, "{influences:?}");
        assert!(most.raw_score - most.own < -1.0, "without it, it is ham: {most:?}");
    }

    #[test]
    fn what_a_site_does_not_train_is_in_memory_once() {
        let base = base_model();
        let trained =
            SiteLayer::default().train(&base, "site", &site(8, 6), &replay(), &|| true).unwrap();
        let loaded = Model::from_bytes(&trained.to_bytes()).unwrap().sharing(&base);
        assert_eq!(loaded, trained);
        let abuse = &base.abuse().unwrap().weights;
        for model in [&trained, &loaded] {
            assert!(Arc::ptr_eq(&model.abuse().unwrap().weights, abuse));
            assert!(!Arc::ptr_eq(&model.spam().weights, &base.spam().weights));
        }
    }

    #[test]
    fn one_kind_of_label_is_not_enough() {
        let error = SiteLayer::default()
            .train(&base_model(), "site", &site(500, 4), &replay(), &|| true)
            .unwrap_err();
        let text = "500 ham and 4 spam labels are too few: at least 5 of each are needed";
        assert_eq!(error.to_string(), text);
    }
}
