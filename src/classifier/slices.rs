//! Examples by what they are like, so that a figure over all cannot hide a kind of comment that
//! fares badly.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::{Measures, Outcome};
use crate::domain::LogOdds;
use crate::text::{Analysis, language};

/// Fewest examples of a slice that is shown.
const EXAMPLE_COUNT_MIN: usize = 50;

/// What a comment is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traits {
    /// The language's English name, or `unclear`.
    pub language: &'static str,
    /// How long it is.
    pub length: Length,
    /// Whether it has a link.
    pub has_link: bool,
}

/// How long a comment is, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Length {
    /// Under 50.
    Short,
    /// 50 to 199.
    Medium,
    /// 200 to 799.
    Long,
    /// From 800.
    VeryLong,
}

impl Length {
    /// The band of so many characters.
    pub fn of(char_count: u32) -> Self {
        match char_count {
            0..50 => Self::Short,
            50..200 => Self::Medium,
            200..800 => Self::Long,
            _ => Self::VeryLong,
        }
    }

    /// The words for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Short => "under 50 characters",
            Self::Medium => "50 to 199 characters",
            Self::Long => "200 to 799 characters",
            Self::VeryLong => "from 800 characters",
        }
    }
}

impl Traits {
    /// What the analysed comment is like.
    pub fn of(analysis: &Analysis<'_>) -> Self {
        Self {
            language: language(analysis.text.text()),
            length: Length::of(analysis.counts.char_count),
            has_link: !analysis.links.is_empty(),
        }
    }

    /// The slices that the comment is in, each as what it is divided by, its place in the order of
    /// values, and the value.
    fn slices(&self) -> [(&'static str, u8, &'static str); 3] {
        let link = if self.has_link { "with a link" } else { "without a link" };
        [
            ("language", 0, self.language),
            ("length", self.length as u8, self.length.as_str()),
            ("link", u8::from(self.has_link), link),
        ]
    }

    /// The names of the slices that the comment is in, such as `language: English`.
    pub fn names(&self) -> [String; 3] {
        self.slices().map(|(by, _, value)| format!("{by}: {value}"))
    }
}

/// An example with what a model says and what it is like.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// Where it comes from.
    pub source: Arc<str>,
    /// The truth and the score.
    pub outcome: Outcome,
    /// What it is like.
    pub traits: Traits,
}

/// The figures of one kind of comments.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Slice {
    /// What the examples are divided by: `language`, `length` or `link`.
    pub by: &'static str,
    /// What they are, such as `English`.
    pub value: &'static str,
    /// The figures.
    pub measures: Measures,
}

/// The slices of examples that have enough of them, in order.
pub(super) fn slices(judged: &[Judged], hold: LogOdds, reject: LogOdds) -> Vec<Slice> {
    let mut cells: BTreeMap<(&'static str, u8, &'static str), Vec<Outcome>> = BTreeMap::new();
    for Judged { outcome, traits, .. } in judged {
        for key in traits.slices() {
            cells.entry(key).or_default().push(*outcome);
        }
    }
    let enough = cells.into_iter().filter(|(_, outcomes)| outcomes.len() >= EXAMPLE_COUNT_MIN);
    enough
        .map(|((by, _, value), outcomes)| {
            let measures = Measures::new(&outcomes, hold, reject).with_intervals(&outcomes);
            Slice { by, value, measures }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_example_is_in_one_slice_of_each_kind_and_small_ones_are_left_out() {
        let judged = |n: usize| Judged {
            source: "a".into(),
            outcome: Outcome { spam: n.is_multiple_of(3), raw_score: LogOdds::ZERO },
            traits: Traits {
                language: if n < 60 { "English" } else { "German" },
                length: Length::of(n as u32),
                has_link: n.is_multiple_of(2),
            },
        };
        let judged: Vec<Judged> = (0..100).map(judged).collect();
        let slices = slices(&judged, LogOdds::ZERO, LogOdds::ZERO);
        let names: Vec<_> = slices.iter().map(|slice| (slice.by, slice.value)).collect();
        assert_eq!(
            names,
            [
                ("language", "English"),
                ("length", "under 50 characters"),
                ("length", "50 to 199 characters"),
                ("link", "without a link"),
                ("link", "with a link"),
            ]
        );
        let links = &slices[3..];
        let count = |slice: &Slice| slice.measures.ham_count + slice.measures.spam_count;
        assert_eq!(links.iter().map(count).sum::<u64>(), 100);
    }
}
