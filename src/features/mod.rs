//! Signals and tokens to hashed features, for serving and training alike: there is no second way.
//!
//! Pure functions of one comment. Work is linear in its length; buffers are reused, so serving
//! without explanation allocates next to nothing.

mod author;
mod collector;
mod links;
mod names;
mod shape;
mod vector;
mod words;

use crate::domain::Signal;
use crate::text::Analysis;

use collector::{Collector, Seen};
use names::Naming;

pub use names::Names;
pub use vector::FeatureVector;

/// Buckets that features are hashed into. 2^18 cost 1–2 points of recall on sources never seen,
/// 2^20 under one against 2^22 (November 2026).
pub const BUCKET_COUNT: u32 = 1 << 20;

/// Names what features are built of. A model records it and is refused under another; change it
/// whenever a comment's features change.
pub const FEATURE_DEFINITION: &str = "2026-11-2";

/// Features of one kind, scaled together: a long comment's words don't drown its links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Family {
    /// Words and pairs of words.
    Words = 1,
    /// Runs of two to five characters.
    Characters = 2,
    /// Where the comment links to.
    Links = 3,
    /// The author's name, website and address.
    Author = 4,
    /// How the comment is written: lengths, scripts, shares of character classes.
    Shape = 5,
    /// What checks found that the model weighs itself, and how the comment fits its page.
    Signals = 6,
}

impl Family {
    /// The length of the family's part of a vector.
    pub fn weight(self) -> f32 {
        1.0
    }
}

/// All that features are built from.
struct Input<'a> {
    analysis: &'a Analysis<'a>,
}

/// Builds feature vectors. One for each thread; it keeps its buffers.
#[derive(Debug, Clone, Default)]
pub struct FeatureBuilder {
    vector: FeatureVector,
    seen: Seen,
    scratch: Vec<u8>,
    bounds: words::Bounds,
}

impl FeatureBuilder {
    /// The features of a comment, until the next one is built. `learnt` are the signals that the
    /// model weighs.
    pub fn build<'s>(
        &mut self,
        analysis: &Analysis<'_>,
        learnt: impl Iterator<Item = &'s Signal>,
    ) -> &FeatureVector {
        self.run(&Input { analysis }, learnt, ())
    }

    /// The same features, with their names.
    pub fn build_named<'s>(
        &mut self,
        analysis: &Analysis<'_>,
        learnt: impl Iterator<Item = &'s Signal>,
        names: &mut Names,
    ) -> &FeatureVector {
        names.clear();
        self.run(&Input { analysis }, learnt, names)
    }

    fn run<'s>(
        &mut self,
        input: &Input<'_>,
        learnt: impl Iterator<Item = &'s Signal>,
        names: impl Naming,
    ) -> &FeatureVector {
        let mut out = Collector::new(&mut self.vector, &mut self.seen, names);
        words::add_words(input, &mut out, &mut self.bounds);
        words::add_characters(input, &mut out, &mut self.scratch, &mut self.bounds);
        links::add(input, &mut out);
        author::add(input, &mut out);
        shape::add(input, &mut out);
        add_signals(input, learnt, &mut out);
        out.finish();
        &self.vector
    }
}

/// Counts the signals that the model weighs, and how the text fits the page's title.
fn add_signals<'s, N: Naming>(
    input: &Input<'_>,
    learnt: impl Iterator<Item = &'s Signal>,
    out: &mut Collector<'_, N>,
) {
    const SIGNAL: u8 = 1;
    const PAGE: u8 = 2;
    out.family(Family::Signals);
    for signal in learnt {
        out.named("signal", SIGNAL, signal.name.as_str());
    }
    if let Some(title) = &input.analysis.submission.page_title {
        let shared = links::words(title)
            .filter(|word| word.len() > 3)
            .filter(|word| input.analysis.text.text().contains(word.as_str()));
        out.named("title-words", PAGE, band(shared.count() as u32));
    }
}

/// The band that a count falls into: exact while small, then by doubling.
fn band(count: u32) -> &'static str {
    match count {
        0 => "0",
        1 => "1",
        2 => "2",
        3 => "3",
        4 => "4",
        5..=6 => "5",
        7..=9 => "7",
        10..=14 => "10",
        15..=24 => "15",
        25..=49 => "25",
        50..=99 => "50",
        100..=199 => "100",
        200..=399 => "200",
        400..=999 => "400",
        1_000..=2_999 => "1000",
        _ => "3000",
    }
}
