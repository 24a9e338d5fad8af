//! How freely each feature's weight may move: the scale of NB-LR.
//!
//! Wang and Manning, "Baselines and Bigrams: Simple, Good Sentiment and Topic Classification"
//! (ACL 2012), multiply each feature by its log-ratio between the labels. Scaling a feature is the
//! same as a Gaussian prior of that width, so the table stays as it is. Features that all
//! comments have alike get the width 1 and can no longer fit what is peculiar to a source.

use super::TrainingSet;

/// Weight of examples that each label is thought to have had with the feature: at 0.3 and at 10
/// the same within noise (November 2026).
const SMOOTHING: f64 = 1.0;

/// The variance of each column's prior: (1 + |log-ratio|)², from rows of these weights.
pub(super) fn variances(set: &TrainingSet, weights: &[f32]) -> Vec<f32> {
    let mut sums = vec![[0.0f64; 2]; set.table.column_count()];
    let mut totals = [SMOOTHING; 2];
    for (index, row) in set.rows.iter().enumerate() {
        let weight = f64::from(weights[index]);
        if weight > 0.0 {
            let label = usize::from(row.spam);
            totals[label] += weight;
            for column in set.table.row(index).0 {
                sums[*column as usize][label] += weight;
            }
        }
    }
    let even = (totals[0] / totals[1]).ln();
    let width =
        |[ham, spam]: [f64; 2]| 1.0 + (((spam + SMOOTHING) / (ham + SMOOTHING)).ln() + even).abs();
    sums.into_iter().map(|sum| width(sum).powi(2) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classifier::{Role, View};
    use crate::domain::Label;
    use crate::features::FeatureBuilder;
    use crate::text::Analysis;
    use crate::text::testing::blind;

    #[test]
    fn what_tells_labels_apart_moves_freely_and_the_rest_less() {
        let mut set = TrainingSet::default();
        let mut builder = FeatureBuilder::default();
        for number in 0..40 {
            let spam = number % 4 == 0;
            let word = if spam { "casino" } else { "bread" };
            let vector = builder.build(&Analysis::new(&blind(word)), [].iter()).clone();
            let label = if spam { Label::Spam } else { Label::Ham };
            set.push(
                "a",
                label,
                None,
                &[View { vector, share: 1.0, role: Role::Whole, evidence: 0.0 }],
            );
        }
        let variances = variances(&set, &[1.0; 40]);
        let mut of = |word: &str| {
            let submission = blind(word);
            let vector = builder.build(&Analysis::new(&submission), [].iter());
            let all: Vec<f32> = vector.entries().map(|(at, _)| variances[at as usize]).collect();
            (all[0], all.into_iter().fold(f32::INFINITY, f32::min))
        };
        let (own, least) = of("casino");
        // ln (11 / 1) + ln (31 / 11), squared with the one added to it; shared features keep one.
        assert!((own - (1.0 + 11f32.ln() + (31.0f32 / 11.0).ln()).powi(2)).abs() < 1e-3, "{own}");
        assert!((least - 1.0).abs() < 0.01, "{least}");
    }
}
