//! Signals and tokens to hashed features, for serving and training alike: there is no second way.

mod collector;
mod names;
mod vector;

pub use names::Names;
pub use vector::FeatureVector;

/// Buckets that features are hashed into. 2^18 cost 1–2 points of recall on sources never seen,
/// 2^20 under one against 2^22 (November 2026).
pub const BUCKET_COUNT: u32 = 1 << 20;

/// Names what features are built of. A model records it and is refused under another; change it
/// whenever a comment's features change.
pub const FEATURE_DEFINITION: &str = "2026-11-1";

/// Features of one kind, scaled together: a long comment's words don't drown its links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Family {
    /// Words and pairs of words.
    Words = 1,
    /// Runs of two to five characters within words.
    Characters = 2,
    /// Where the comment links to.
    Links = 3,
    /// The author's name, website and address.
    Author = 4,
    /// How the comment is written: lengths, scripts, shares of character classes.
    Shape = 5,
    /// What checks found that the model weighs itself.
    Signals = 6,
}

impl Family {
    /// The length of the family's part of a vector.
    pub fn weight(self) -> f32 {
        1.0
    }
}
