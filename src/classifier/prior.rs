//! How freely each feature's weight may move: the scale of NB-LR.
//!
//! Wang and Manning, "Baselines and Bigrams: Simple, Good Sentiment and Topic Classification"
//! (ACL 2012), multiply each feature by its log-ratio between the labels. Scaling a feature is the
//! same as a Gaussian prior of that width, so the table stays as it is. Features that all
//! comments have alike get the width 1 and can no longer fit what is peculiar to a source.

use super::row_source::{RowSource, RowsError, for_each_page};

/// Weight of examples that each label is thought to have had with the feature: at 0.3 and at 10
/// the same within noise (November 2026).
const SMOOTHING: f64 = 1.0;

/// The variance of each column's prior: (1 + |log-ratio|)², from the rows by their weights.
///
/// # Errors
/// [`RowsError`] if rows cannot be read.
pub(super) fn variances(
    rows: &dyn RowSource,
    targets: &[bool],
    weights: &[f32],
) -> Result<Vec<f32>, RowsError> {
    let mut sums = vec![[0.0f64; 2]; rows.column_count()];
    let mut totals = [SMOOTHING; 2];
    for_each_page(rows, |first, table| {
        for row in 0..table.row_count() {
            let weight = f64::from(weights[first + row]);
            if weight > 0.0 {
                let label = usize::from(targets[first + row]);
                totals[label] += weight;
                for column in table.row(row).0 {
                    sums[*column as usize][label] += weight;
                }
            }
        }
    })?;
    let even = (totals[0] / totals[1]).ln();
    let width =
        |[ham, spam]: [f64; 2]| 1.0 + (((spam + SMOOTHING) / (ham + SMOOTHING)).ln() + even).abs();
    Ok(sums.into_iter().map(|sum| width(sum).powi(2) as f32).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classifier::Csr;
    use crate::features::{BUCKET_COUNT, FeatureBuilder};
    use crate::text::Analysis;
    use crate::text::testing::blind;

    #[test]
    fn what_tells_labels_apart_moves_freely_and_the_rest_less() {
        let (mut rows, mut targets) = (Csr::new(BUCKET_COUNT as usize), Vec::new());
        let mut builder = FeatureBuilder::default();
        for number in 0..40 {
            let spam = number % 4 == 0;
            let word = if spam { "casino" } else { "bread" };
            rows.push_row(builder.build(&Analysis::new(&blind(word)), [].iter()).entries());
            targets.push(spam);
        }
        let variances = variances(&rows, &targets, &[1.0; 40]).unwrap();
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
