//! Gathers the distinct buckets of a comment, family by family.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::names::Naming;
use super::vector::{FeatureVector, Span};
use super::{BUCKET_COUNT, Family};

/// Which buckets a comment has so far: a bit for each, 128 KiB in all, so that it stays in the
/// second-level cache. It is cleared by walking the comment's own buckets.
#[derive(Debug, Clone)]
pub(super) struct Seen(Vec<u64>);

impl Default for Seen {
    fn default() -> Self {
        Self(vec![0; BUCKET_COUNT as usize / 64])
    }
}

impl Seen {
    /// Marks a bucket; whether it is new.
    #[inline]
    fn insert(&mut self, bucket: u32) -> bool {
        let word = &mut self.0[bucket as usize / 64];
        let bit = 1 << (bucket % 64);
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    fn clear(&mut self, buckets: &[u32]) {
        for bucket in buckets {
            self.0[*bucket as usize / 64] = 0;
        }
    }
}

/// The one place where a token becomes a bucket.
pub(super) struct Collector<'a, N> {
    vector: &'a mut FeatureVector,
    seen: &'a mut Seen,
    names: N,
    family: Family,
}

impl<'a, N: Naming> Collector<'a, N> {
    pub(super) fn new(vector: &'a mut FeatureVector, seen: &'a mut Seen, names: N) -> Self {
        vector.buckets.clear();
        vector.spans.clear();
        Self { vector, seen, names, family: Family::Words }
    }

    /// Begins a family. Each family is begun at most once.
    pub(super) fn family(&mut self, family: Family) {
        self.close_family();
        self.family = family;
    }

    /// Names the tokens that follow.
    #[inline]
    pub(super) fn origin(&mut self, kind: &'static str, value: &str) {
        self.names.origin(kind, value, self.vector.buckets.len());
    }

    /// Names the tokens that follow after two neighbouring words.
    #[inline]
    pub(super) fn pair(&mut self, first: &str, second: &str) {
        self.names.pair(first, second, self.vector.buckets.len());
    }

    /// Counts a token of the current family. `kind` keeps tokens apart that are spelt alike.
    #[inline]
    pub(super) fn token(&mut self, kind: u8, token: &[u8]) {
        self.hash(xxh3_64_with_seed(token, self.seed(kind)));
    }

    /// Counts a token that stands for itself, named as it is spelt.
    pub(super) fn named(&mut self, name: &'static str, kind: u8, token: &str) {
        self.origin(name, token);
        self.token(kind, token.as_bytes());
    }

    /// The seed of tokens of `kind` in the current family.
    #[inline]
    pub(super) fn seed(&self, kind: u8) -> u64 {
        (self.family as u64) << 8 | u64::from(kind)
    }

    /// Counts a token whose hash the caller made, with [`Collector::seed`] in it.
    #[inline]
    pub(super) fn hash(&mut self, hash: u64) {
        // The upper half: both halves of xxh3 are good, the lower is used by nobody else either.
        let bucket = (hash >> 32) as u32 % BUCKET_COUNT;
        if self.seen.insert(bucket) {
            self.vector.buckets.push(bucket);
        }
    }

    /// Ends the last family and makes the marks ready for the next comment.
    pub(super) fn finish(mut self) {
        self.close_family();
        self.names.finish(self.vector.buckets.len());
        self.seen.clear(&self.vector.buckets);
    }

    fn close_family(&mut self) {
        let start = self.vector.spans.last().map_or(0, |span| span.end);
        let end = self.vector.buckets.len();
        if end > start {
            self.vector.spans.push(Span { family: self.family, end });
        }
    }
}
