//! What every call asks for, in memory: sites and keys.

use std::hash::Hash;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;

use crate::domain::SiteId;
use crate::moderation::ports::KeyRecord;
use crate::storage::values::StoredSite;

/// Sites and keys kept in memory. A site with default policy takes about 1 kB.
const COUNT_MAX: NonZeroUsize = NonZeroUsize::new(4_096).expect("not zero");
/// How long something is kept while news come in: it bounds what a lost notification can do.
const LIFE: Duration = Duration::from_secs(30);

/// Sites by id and keys by hash.
pub(super) struct Caches {
    pub sites: Cache<SiteId, StoredSite>,
    pub keys: Cache<[u8; 32], Arc<KeyRecord>>,
    /// Whether changes by other replicas would be heard of.
    hears: AtomicBool,
    deaf_life: Duration,
}

impl Caches {
    /// Empty ones; without news, what is in them lives for `deaf_life`.
    pub fn new(deaf_life: Duration) -> Self {
        let (sites, keys) = (Cache::new(), Cache::new());
        Self { sites, keys, hears: AtomicBool::new(false), deaf_life }
    }

    /// How long something may be kept now.
    pub fn life(&self) -> Duration {
        if self.hears.load(Ordering::Acquire) { LIFE } else { self.deaf_life }
    }

    /// From now on changes are heard of. What changed before was not.
    pub fn hear(&self) {
        self.clear();
        self.hears.store(true, Ordering::Release);
    }

    /// Changes are not heard of any more.
    pub fn go_deaf(&self) {
        self.hears.store(false, Ordering::Release);
    }

    fn clear(&self) {
        self.sites.clear();
        self.keys.clear();
    }
}

/// Proof that a look-up missed, and of what was known to have changed by then.
pub(super) struct Miss(u64);

/// A bounded map of what was read from the database.
///
/// Whoever missed fills the gap with what it reads then, unless something was forgotten since: a
/// slow reader must not put back what was changed meanwhile.
pub(super) struct Cache<K, V>(Mutex<Entries<K, V>>);

struct Entries<K, V> {
    version: u64,
    entries: LruCache<K, (V, Instant)>,
}

impl<K: Hash + Eq, V: Clone> Cache<K, V> {
    fn new() -> Self {
        Self(Mutex::new(Entries { version: 0, entries: LruCache::new(COUNT_MAX) }))
    }

    fn lock(&self) -> MutexGuard<'_, Entries<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known and not older than `life`.
    pub fn get(&self, key: &K, life: Duration) -> Result<V, Miss> {
        let mut inner = self.lock();
        let version = inner.version;
        match inner.entries.get(key) {
            Some((value, read)) if read.elapsed() < life => Ok(value.clone()),
            _ => Err(Miss(version)),
        }
    }

    /// Keeps what was read after a miss.
    pub fn fill(&self, key: K, value: V, miss: &Miss) {
        let mut inner = self.lock();
        if inner.version == miss.0 {
            inner.entries.put(key, (value, Instant::now()));
        }
    }

    /// Forgets what changed.
    pub fn forget(&self, key: &K) {
        let mut inner = self.lock();
        inner.version += 1;
        inner.entries.pop(key);
    }

    fn clear(&self) {
        let mut inner = self.lock();
        inner.version += 1;
        inner.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_reader_does_not_put_back_what_changed() {
        let cache: Cache<u8, &str> = Cache::new();
        let miss = cache.get(&1, LIFE).unwrap_err();
        cache.fill(1, "old", &miss);
        assert_eq!(cache.get(&1, LIFE).ok(), Some("old"));
        assert!(cache.get(&1, Duration::ZERO).is_err());
        cache.forget(&1);
        cache.fill(1, "old", &miss);
        assert!(cache.get(&1, LIFE).is_err());
    }

    #[test]
    fn what_was_not_heard_is_not_believed() {
        let caches = Caches::new(Duration::ZERO);
        assert_eq!(caches.life(), Duration::ZERO);
        caches.hear();
        assert_eq!(caches.life(), LIFE);
        let miss = caches.keys.get(&[1; 32], LIFE).unwrap_err();
        caches.go_deaf();
        caches.hear();
        let key = KeyRecord {
            id: uuid::Uuid::from_u128(1),
            site: "blog".parse().unwrap(),
            hash: [1; 32],
            scopes: Vec::new(),
            display_name: String::new(),
            create_time: time::OffsetDateTime::UNIX_EPOCH,
            revoke_time: None,
            use_time: None,
        };
        caches.keys.fill([1; 32], Arc::new(key), &miss);
        assert!(caches.keys.get(&[1; 32], LIFE).is_err(), "read before the news came in");
    }
}
