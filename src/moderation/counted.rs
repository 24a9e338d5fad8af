//! Requests that were counted by limits and could not be recorded.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;

use crate::domain::{RequestId, SiteId};

type Key = (SiteId, RequestId);

/// Requests that are remembered as counted; the oldest falls out.
const COUNTED_COUNT_MAX: NonZeroUsize = NonZeroUsize::new(4_096).expect("not zero");

/// Requests that limits have counted and that are not recorded yet, or could not be: whoever tries
/// again with the same id is not counted again.
pub(super) struct Counted(Mutex<LruCache<Key, ()>>);

impl Default for Counted {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(COUNTED_COUNT_MAX)))
    }
}

impl Counted {
    /// Whether a request was counted and not recorded.
    pub(super) fn has(&self, site: &SiteId, request: RequestId) -> bool {
        self.entries().contains(&(site.clone(), request))
    }

    /// Notes that a request was counted.
    pub(super) fn note(&self, site: &SiteId, request: RequestId) {
        self.entries().put((site.clone(), request), ());
    }

    /// Forgets a request, since it is recorded.
    pub(super) fn forget(&self, site: &SiteId, request: RequestId) {
        self.entries().pop(&(site.clone(), request));
    }

    fn entries(&self) -> MutexGuard<'_, LruCache<Key, ()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
