//! What lets the hot path do without the disk: exact caches, and filters of what is stored.

use std::hash::{BuildHasher, Hash, RandomState};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use fastbloom::AtomicBloomFilter;
use lru::LruCache;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::domain::{Fingerprint, SiteId};
use crate::moderation::ports::{AuthorRecord, KeyRecord};

use super::rows::StoredSite;

/// Locks to spread callers over; more than the cores of the machines this is built for.
const SHARD_COUNT: usize = 16;
/// Sites and keys kept in memory. A site with default policy takes about 1 kB.
const SITE_COUNT_MAX: usize = 4_096;
/// Bits of a filter for each entry: with 5 hashes, 2 in 100 look-ups of something absent go to
/// the disk in vain.
const FILTER_BITS_EACH: usize = 8;
/// Hashes of a filter, near the optimum of 0.69 times the bits of an entry (Bloom 1970).
const FILTER_HASHES: u32 = 5;
/// The smallest filter: 131,072 entries in 128 KiB.
const FILTER_BITS_MIN: usize = 1 << 20;
/// The largest filter: 16.8 million entries in 16 MiB. Beyond, more look-ups go to the disk.
const FILTER_BITS_MAX: usize = 1 << 27;

/// A site's number and a fingerprint or request id on that site.
pub(super) type SiteKey = (i64, [u8; 16]);

/// What the store keeps in memory. All of it is bounded.
pub(super) struct Caches {
    /// Sites by id.
    pub sites: ExactCache<SiteId, StoredSite>,
    /// Keys that are not revoked, by hash.
    pub keys: ExactCache<[u8; 32], Arc<KeyRecord>>,
    /// Author records.
    pub authors: ExactCache<SiteKey, AuthorRecord>,
    /// Which authors have a record.
    pub known_authors: Filter,
    /// Which request ids are stored.
    pub known_requests: Filter,
    /// See [`Caches::comment_floor`].
    comment_floor: AtomicI64,
}

impl Caches {
    /// Empty caches; the filters know nothing until they are filled.
    pub fn new(author_count_max: usize) -> Self {
        Self {
            sites: ExactCache::new(SITE_COUNT_MAX),
            keys: ExactCache::new(SITE_COUNT_MAX),
            authors: ExactCache::new(author_count_max),
            known_authors: Filter::new(),
            known_requests: Filter::new(),
            comment_floor: AtomicI64::new(0),
        }
    }

    /// The number below which no new comment may come, since a removed one had it; 0 if the last
    /// comment was never removed.
    pub fn comment_floor(&self) -> i64 {
        self.comment_floor.load(Ordering::Relaxed)
    }

    /// Raises the floor.
    pub fn raise_comment_floor(&self, number: i64) {
        self.comment_floor.fetch_max(number, Ordering::Relaxed);
    }

    /// Notes what a committed transaction changed.
    pub fn apply(&self, effect: Effect) {
        match effect {
            Effect::Site(site) => self.sites.put(site.site.id.clone(), site),
            Effect::KeyChanged(hash) => self.keys.forget(&hash),
            Effect::Author(key, record) => {
                self.known_authors.insert(&key);
                self.authors.put(key, record);
            }
            Effect::AuthorForgotten(key) => self.authors.forget(&key),
            Effect::Request(key) => self.known_requests.insert(&key),
        }
    }
}

/// What a job changed, to be noted after COMMIT.
pub(super) enum Effect {
    /// A site is new or changed.
    Site(StoredSite),
    /// A key is new or revoked.
    KeyChanged([u8; 32]),
    /// An author's record changed.
    Author(SiteKey, AuthorRecord),
    /// An author's record was removed.
    AuthorForgotten(SiteKey),
    /// A request id was stored.
    Request(SiteKey),
}

/// The key of an author's record.
pub(super) fn author_key(site_number: i64, author: Fingerprint) -> SiteKey {
    (site_number, *author.as_bytes())
}

/// Proof that a look-up missed, and of what the shard had seen by then.
pub(super) struct Miss(u64);

/// A bounded map that never holds a stale value.
///
/// The writer puts every change after it is committed. A reader that missed may only fill the
/// gap with what it read from disk if nothing was put into the shard since: otherwise a slow
/// reader could put back what the writer replaced.
pub(super) struct ExactCache<K, V> {
    shards: Vec<Mutex<Shard<K, V>>>,
    hasher: RandomState,
}

struct Shard<K, V> {
    version: u64,
    entries: LruCache<K, V>,
}

impl<K: Hash + Eq, V: Clone> ExactCache<K, V> {
    fn new(count_max: usize) -> Self {
        let each = NonZeroUsize::new(count_max / SHARD_COUNT).unwrap_or(NonZeroUsize::MIN);
        let shard = || Mutex::new(Shard { version: 0, entries: LruCache::unbounded() });
        let cache = Self {
            shards: (0..SHARD_COUNT).map(|_| shard()).collect(),
            hasher: RandomState::new(),
        };
        for index in 0..SHARD_COUNT {
            cache.with(index, |shard| shard.entries.resize(each));
        }
        cache
    }

    fn index(&self, key: &K) -> usize {
        self.hasher.hash_one(key) as usize % SHARD_COUNT
    }

    fn with<T>(&self, index: usize, work: impl FnOnce(&mut Shard<K, V>) -> T) -> T {
        work(&mut self.shards[index].lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The value, or the proof needed to fill the gap.
    pub fn get(&self, key: &K) -> Result<V, Miss> {
        self.with(self.index(key), |shard| {
            shard.entries.get(key).cloned().ok_or(Miss(shard.version))
        })
    }

    /// Puts a committed value.
    pub fn put(&self, key: K, value: V) {
        self.with(self.index(&key), |shard| {
            shard.version += 1;
            shard.entries.put(key, value);
        });
    }

    /// Forgets a key whose value changed.
    pub fn forget(&self, key: &K) {
        self.with(self.index(key), |shard| {
            shard.version += 1;
            shard.entries.pop(key);
        });
    }

    /// Fills a gap with what was read from disk after the miss.
    pub fn fill(&self, key: K, value: V, miss: &Miss) {
        self.with(self.index(&key), |shard| {
            if shard.version == miss.0 {
                shard.entries.put(key, value);
            }
        });
    }
}

/// A Bloom filter over a table's keys: says for certain what is not in the table.
///
/// It is filled by scanning the table in the background, after a start and again when more was
/// added than it was made for, so that removed rows leave it too. Until the first scan is done
/// everything may be there.
pub(super) struct Filter {
    parts: RwLock<FilterParts>,
    added: AtomicU64,
    capacity: AtomicU64,
    filling: AtomicBool,
}

#[derive(Default)]
struct FilterParts {
    current: Option<AtomicBloomFilter>,
    next: Option<AtomicBloomFilter>,
}

impl Filter {
    fn new() -> Self {
        Self {
            parts: RwLock::default(),
            added: AtomicU64::new(0),
            capacity: AtomicU64::new(0),
            filling: AtomicBool::new(false),
        }
    }

    /// Whether the key may be in the table.
    pub fn may_contain(&self, key: &SiteKey) -> bool {
        let parts = self.parts.read().unwrap_or_else(PoisonError::into_inner);
        parts.current.as_ref().is_none_or(|filter| filter.contains_hash(hash(key)))
    }

    /// Notes a key that is or will be in the table.
    pub fn insert(&self, key: &SiteKey) {
        let parts = self.parts.read().unwrap_or_else(PoisonError::into_inner);
        for filter in [&parts.current, &parts.next].into_iter().flatten() {
            filter.insert_hash(hash(key));
        }
        self.added.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether a scan is due; true only once until [`Filter::fill`] ends.
    pub fn claim_fill(&self) -> bool {
        self.added.load(Ordering::Relaxed) >= self.capacity.load(Ordering::Relaxed)
            && !self.filling.swap(true, Ordering::AcqRel)
    }

    /// Lets a later batch try again, when a claimed scan could not even begin.
    pub fn give_up(&self) {
        self.filling.store(false, Ordering::Release);
    }

    /// Replaces the filter: `row_count` is how many keys to expect, `scan` passes on every key
    /// of a snapshot that is taken after it is called.
    ///
    /// Keys that are inserted meanwhile reach the new filter too: the writer inserts after
    /// COMMIT, so a row is either in the snapshot or inserted after `next` was set.
    pub fn fill<E>(
        &self,
        row_count: usize,
        scan: impl FnOnce(&mut dyn FnMut(SiteKey)) -> Result<(), E>,
    ) -> Result<(), E> {
        let bits = (row_count * 2 * FILTER_BITS_EACH)
            .next_power_of_two()
            .clamp(FILTER_BITS_MIN, FILTER_BITS_MAX);
        self.capacity.store((bits / FILTER_BITS_EACH / 2) as u64, Ordering::Relaxed);
        self.added.store(0, Ordering::Relaxed);
        let new = AtomicBloomFilter::with_num_bits(bits).seed(&0).hashes(FILTER_HASHES);
        self.write(|parts| parts.next = Some(new));
        let scanned = scan(&mut |key| {
            let parts = self.parts.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(filter) = &parts.next {
                filter.insert_hash(hash(&key));
            }
        });
        self.write(|parts| {
            let next = parts.next.take();
            // A partial filter would deny rows that are there: then keep the one before.
            if let (Ok(()), Some(filter)) = (&scanned, next) {
                parts.current = Some(filter);
            }
        });
        self.filling.store(false, Ordering::Release);
        scanned
    }

    fn write(&self, work: impl FnOnce(&mut FilterParts)) {
        work(&mut self.parts.write().unwrap_or_else(PoisonError::into_inner));
    }
}

fn hash(key: &SiteKey) -> u64 {
    xxh3_64_with_seed(&key.1, key.0 as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u128) -> SiteKey {
        (1, n.to_be_bytes())
    }

    #[test]
    fn a_slow_reader_does_not_put_back_what_was_replaced() {
        let cache = ExactCache::new(64);
        let miss = cache.get(&key(1)).unwrap_err();
        cache.put(key(1), "new");
        cache.forget(&key(1));
        cache.fill(key(1), "old", &miss);
        let miss = cache.get(&key(1)).unwrap_err();
        cache.fill(key(1), "new", &miss);
        assert_eq!(cache.get(&key(1)).ok(), Some("new"));
    }

    #[test]
    fn caches_are_bounded() {
        let cache = ExactCache::new(SHARD_COUNT * 2);
        for n in 0..1_000 {
            cache.put(key(n), n);
        }
        let kept = (0..1_000).filter(|n| cache.get(&key(*n)).is_ok()).count();
        assert_eq!(kept, SHARD_COUNT * 2);
    }

    #[test]
    fn filters_deny_only_what_is_absent() {
        let filter = Filter::new();
        assert!(filter.may_contain(&key(1)), "nothing is known before the first scan");
        assert!(filter.claim_fill());
        assert!(!filter.claim_fill(), "one scan at a time");
        filter.give_up();
        assert!(filter.claim_fill(), "another try");
        let scan = |found: &mut dyn FnMut(SiteKey)| {
            (0..1_000).for_each(|n| found(key(n)));
            // What the writer commits during the scan:
            filter.insert(&key(5_000));
            Ok::<(), ()>(())
        };
        filter.fill(1_000, scan).unwrap();
        assert!((0..1_000).chain([5_000]).all(|n| filter.may_contain(&key(n))));
        let wrong = (10_000..20_000).filter(|n| filter.may_contain(&key(*n))).count();
        assert!(wrong < 100, "{wrong} of 10,000");
        assert!(!filter.claim_fill(), "there is room for more");
    }

    #[test]
    fn a_failed_scan_changes_nothing() {
        let filter = Filter::new();
        filter.fill(0, |_| Err(())).unwrap_err();
        assert!(filter.may_contain(&key(1)));
    }
}
