//! Log-odds, probabilities and the named parts they are made of.

use serde::{Deserialize, Serialize};

/// Evidence for spam in log-odds (natural logarithm), as a whole number of 2^-24 steps.
///
/// Sums of [`LogOdds`] are exact in any order and grouping, so contributions can be shown
/// one by one, by word or by family and still add up to the score to the last bit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogOdds(i64);

/// Steps of one log-odds unit.
const STEPS: f64 = (1u64 << 24) as f64;

impl LogOdds {
    /// No evidence.
    pub const ZERO: Self = Self(0);

    /// The multiple of 2^-24 nearest to `value`; not a number counts as zero.
    pub fn from_f64(value: f64) -> Self {
        Self((value * STEPS).round() as i64)
    }

    /// The value; exact below 2^29 in size.
    pub fn to_f64(self) -> f64 {
        self.0 as f64 / STEPS
    }

    /// This many steps of 2^-24.
    pub fn from_steps(steps: i64) -> Self {
        Self(steps)
    }

    /// The number of steps of 2^-24.
    pub fn steps(self) -> i64 {
        self.0
    }
}

impl std::ops::Add for LogOdds {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl std::ops::AddAssign for LogOdds {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl std::iter::Sum for LogOdds {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::ZERO, |sum, part| sum + part)
    }
}

impl Serialize for LogOdds {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.to_f64())
    }
}

impl<'de> Deserialize<'de> for LogOdds {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        f64::deserialize(deserializer).map(Self::from_f64)
    }
}

/// The probability that belongs to log-odds: 1 / (1 + e^-x).
pub fn probability(log_odds: LogOdds) -> f64 {
    1.0 / (1.0 + (-log_odds.to_f64()).exp())
}

/// One named part of a raw score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contribution {
    /// What weighed: `family:value`, for example `word:casino`, `host:example.com`,
    /// `signal:honeypot-filled`; `bias` and `rest` stand alone.
    pub name: String,
    /// How much it weighed; above zero speaks for spam.
    pub weight: LogOdds,
}

/// What a model says about one comment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Calibrated probability of spam, 0–1: [`probability`] of `raw_score`.
    pub probability: f64,
    /// The calibrated log-odds: exactly the sum of all contributions.
    pub raw_score: LogOdds,
    /// The parts, heaviest first; the small ones stand together as `rest`.
    pub contributions: Vec<Contribution>,
    /// The version of the model that scored.
    pub model_version: String,
    /// Calibrated probability of abuse, 0–1; nothing if the site does not ask for it or the model
    /// does not know.
    pub abuse: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn probability_of_zero_is_half() {
        assert_eq!(probability(LogOdds::ZERO), 0.5);
        assert!(probability(LogOdds::from_f64(800.0)) <= 1.0);
        assert!(probability(LogOdds::from_f64(-800.0)) >= 0.0);
    }

    proptest! {
        #[test]
        fn sums_are_exact_in_any_order(parts in prop::collection::vec(-40.0f64..40.0, 0..200)) {
            let parts: Vec<LogOdds> = parts.into_iter().map(LogOdds::from_f64).collect();
            let forward: LogOdds = parts.iter().copied().sum();
            let as_floats: f64 = parts.iter().rev().map(|part| part.to_f64()).sum();
            prop_assert_eq!(forward.to_f64(), as_floats);
        }
    }
}
