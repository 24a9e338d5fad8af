//! Gathers the distinct buckets of a comment, family by family.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::names::Naming;
use super::vector::{FeatureVector, Span};
use super::{BUCKET_COUNT, Family};

/// Which buckets a comment has so far: a bit for each, 128 KiB in all, so that it stays in the
/// second-level cache. It is cleared by walking the comment's own buckets.
#[derive(Debug, Clone)]
pub(super) struct Seen(Box<[u64; WORD_COUNT]>);

/// Words of 64 marks.
const WORD_COUNT: usize = BUCKET_COUNT as usize / 64;

impl Default for Seen {
    fn default() -> Self {
        Self(vec![0; WORD_COUNT].try_into().expect("as many words as it has"))
    }
}

impl Seen {
    fn clear(&mut self, buckets: &[u32]) {
        for bucket in buckets {
            self.0[*bucket as usize / 64] = 0;
        }
    }
}

/// Marks a bucket; 1 if it is new, else 0.
#[inline]
fn insert(seen: &mut [u64; WORD_COUNT], bucket: u32) -> usize {
    let word = &mut seen[(bucket % BUCKET_COUNT) as usize / 64];
    let old = *word;
    *word = old | 1 << (bucket % 64);
    (!old >> (bucket % 64) & 1) as usize
}

/// Characters of a chunk whose runs are counted at once.
const RUN_CHARACTERS_MAX: usize = 64;
/// Room for all their runs.
const ROOM_COUNT: usize = 4 * RUN_CHARACTERS_MAX;

/// The one place where a token becomes a bucket.
pub(super) struct Collector<'a, N> {
    vector: &'a mut FeatureVector,
    seen: &'a mut Seen,
    names: N,
    family: Family,
    /// New buckets on their way into the vector.
    room: [u32; ROOM_COUNT],
}

impl<'a, N: Naming> Collector<'a, N> {
    pub(super) fn new(vector: &'a mut FeatureVector, seen: &'a mut Seen, names: N) -> Self {
        vector.buckets.clear();
        vector.spans.clear();
        Self { vector, seen, names, family: Family::Words, room: [0; ROOM_COUNT] }
    }

    /// Begins a family. Each family is begun at most once.
    pub(super) fn family(&mut self, family: Family) {
        self.close_family();
        self.family = family;
    }

    /// Names the tokens since the last name.
    #[inline]
    pub(super) fn name(&mut self, kind: &'static str, value: &str) {
        self.names.attribute(kind, value, self.vector.buckets.len());
    }

    /// Names the tokens since the last name after two neighbouring words.
    #[inline]
    pub(super) fn name_pair(&mut self, first: &str, second: &str) {
        self.names.attribute_pair(first, second, self.vector.buckets.len());
    }

    /// Counts a token of the current family. `kind` keeps tokens apart that are spelt alike.
    #[inline]
    pub(super) fn token(&mut self, kind: u8, token: &[u8]) {
        self.hash(xxh3_64_with_seed(token, self.seed(kind)));
    }

    /// Counts a token that stands for itself, named as it is spelt.
    pub(super) fn named(&mut self, name: &'static str, kind: u8, token: &str) {
        self.token(kind, token.as_bytes());
        self.name(name, token);
    }

    /// The seed of tokens of `kind` in the current family.
    #[inline]
    pub(super) fn seed(&self, kind: u8) -> u64 {
        (self.family as u64) << 8 | u64::from(kind)
    }

    /// Counts a token whose hash the caller made, with [`Collector::seed`] in it.
    #[inline]
    pub(super) fn hash(&mut self, hash: u64) {
        let bucket = bucket(hash);
        if insert(&mut self.seen.0, bucket) == 1 {
            self.vector.buckets.push(bucket);
        }
    }

    /// Counts all runs of two to five of a few ASCII characters, the shortest first, each as
    /// [`Collector::token`] would with the hash's seed.
    #[inline]
    pub(super) fn runs(&mut self, chunk: &[u8], seed: u64) {
        assert!(chunk.len() <= RUN_CHARACTERS_MAX, "the chunk was cut");
        let mut count = self.add_runs::<2>(chunk, seed, 0);
        count = self.add_runs::<3>(chunk, seed, count);
        count = self.add_runs::<4>(chunk, seed, count);
        count = self.add_runs::<5>(chunk, seed, count);
        self.vector.buckets.extend_from_slice(&self.room[..count]);
    }

    /// Puts the new buckets of runs of one length into the room behind the first `count`. Hashing
    /// is faster where the length is a constant, and whether a bucket is new is no branch, which
    /// the processor would guess wrong for every fifth.
    #[inline]
    fn add_runs<const LENGTH: usize>(
        &mut self,
        chunk: &[u8],
        seed: u64,
        mut count: usize,
    ) -> usize {
        let (room, seen) = (&mut self.room, &mut *self.seen.0);
        for run in chunk.array_windows::<LENGTH>() {
            let bucket = bucket(xxh3_64_with_seed(run, seed));
            // Overwritten by the next one unless it is new.
            room[count % ROOM_COUNT] = bucket;
            count += insert(seen, bucket);
        }
        count
    }

    /// Ends the last family and makes the marks ready for the next comment.
    pub(super) fn finish(mut self) {
        self.close_family();
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

/// The bucket of a token with this hash.
#[inline]
fn bucket(hash: u64) -> u32 {
    // The upper half: both halves of xxh3 are good, the lower is used by nobody else either.
    (hash >> 32) as u32 % BUCKET_COUNT
}
