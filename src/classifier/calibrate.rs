//! Calibration: a slope and an intercept that turn raw scores into honest log-odds.
//!
//! Platt, "Probabilistic outputs for support vector machines" (1999), in the numerically safe
//! form of Lin, Lin and Weng (2007), which linfa implements.

use linfa::ParamGuard;
use linfa::composing::platt_scaling::{PlattError, PlattParams, platt_newton_method};
use ndarray::ArrayView1;
use serde::{Deserialize, Serialize};

/// Calibrated log-odds = slope × raw score + intercept.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Above zero, so that the order of scores stays.
    pub slope: f64,
    /// What a raw score of zero means.
    pub intercept: f64,
}

/// Why scores cannot be calibrated.
#[derive(Debug, thiserror::Error)]
pub enum CalibrationError {
    /// Newton's method did not end.
    #[error("calibration failed: {0}")]
    Platt(#[from] PlattError),
    /// Higher scores would mean less spam: the model has learnt nothing.
    #[error("calibration failed: the scores do not rise with the share of spam")]
    NotRising,
}

impl Calibration {
    /// Leaves scores as they are.
    pub const IDENTITY: Self = Self { slope: 1.0, intercept: 0.0 };

    /// Fits to scores of examples that the model was not trained on.
    ///
    /// # Errors
    /// [`CalibrationError`] if the fit does not converge or is not rising.
    ///
    /// # Panics
    /// If there are not as many labels as scores.
    pub fn fit(scores: &[f64], spam: &[bool]) -> Result<Self, CalibrationError> {
        assert_eq!(scores.len(), spam.len(), "one label a score");
        let params = PlattParams::<f64, ()>::default().check()?;
        let (a, b) =
            platt_newton_method(ArrayView1::from(scores), ArrayView1::from(spam), &params)?;
        // Platt's form is 1 / (1 + e^(a·score + b)): both signs turn round.
        if a.is_finite() && b.is_finite() && a < 0.0 {
            Ok(Self { slope: -a, intercept: -b })
        } else {
            Err(CalibrationError::NotRising)
        }
    }

    /// The calibrated log-odds of a raw score.
    pub fn apply(&self, raw_score: f64) -> f64 {
        self.slope * raw_score + self.intercept
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;

    #[test]
    fn slope_and_intercept_of_the_truth_are_found() {
        let mut chance = Xoshiro256PlusPlus::seed_from_u64(3);
        let truth = Calibration { slope: 0.5, intercept: -1.0 };
        let scores: Vec<f64> = (0..20_000).map(|_| chance.gen_range(-8.0..8.0)).collect();
        let spam: Vec<bool> = scores
            .iter()
            .map(|score| chance.r#gen::<f64>() < 1.0 / (1.0 + (-truth.apply(*score)).exp()))
            .collect();
        let found = Calibration::fit(&scores, &spam).unwrap();
        assert!((found.slope - truth.slope).abs() < 0.03, "{found:?}");
        assert!((found.intercept - truth.intercept).abs() < 0.1, "{found:?}");
    }

    #[test]
    fn scores_that_point_the_wrong_way_are_refused() {
        let scores: Vec<f64> = (0..100).map(f64::from).collect();
        let spam: Vec<bool> = (0..100).map(|n| n % 7 == 0 || n < 50).collect();
        assert!(Calibration::fit(&scores, &spam).is_err());
    }
}
