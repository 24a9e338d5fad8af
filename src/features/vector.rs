//! What the builder makes of one comment.

use super::Family;

/// A sparse binary vector in families, each scaled to its own length.
///
/// Workload: one for each comment, 100–3,000 buckets; reused, so that scoring allocates nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FeatureVector {
    pub(super) buckets: Vec<u32>,
    pub(super) spans: Vec<Span>,
}

/// The buckets of one family, up to `end`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Span {
    pub(super) family: Family,
    pub(super) end: usize,
}

impl FeatureVector {
    /// The families in order, each with its value and its distinct buckets. All buckets of a
    /// family have the same value: its weight over the root of their number.
    #[inline]
    pub fn families(&self) -> impl Iterator<Item = (Family, f32, &[u32])> {
        let mut start = 0;
        self.spans.iter().map(move |span| {
            let buckets = &self.buckets[start..span.end];
            start = span.end;
            (span.family, span.family.weight() / (buckets.len() as f32).sqrt(), buckets)
        })
    }

    /// All entries as column and value, as a training row takes them.
    pub fn entries(&self) -> impl Iterator<Item = (u32, f32)> + '_ {
        self.families()
            .flat_map(|(_, value, buckets)| buckets.iter().map(move |bucket| (*bucket, value)))
    }

    /// The buckets of all families, in order.
    #[inline]
    pub fn buckets(&self) -> &[u32] {
        &self.buckets
    }

    /// How many distinct features the comment has.
    pub fn bucket_count(&self) -> usize {
        self.buckets.len()
    }
}
