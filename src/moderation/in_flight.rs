//! Requests under way, so that two with the same id are answered one after the other, and those that
//! were counted by limits and could not be recorded.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;
use tokio::sync::OwnedMutexGuard;

use crate::domain::{RequestId, SiteId};

type Key = (SiteId, RequestId);
type Locks = HashMap<Key, Arc<tokio::sync::Mutex<()>>>;

/// Requests under way, by site and id. Holds as many entries as requests with an id are being
/// answered; each waits only for its own twin.
#[derive(Default)]
pub(super) struct InFlight {
    locks: Arc<Mutex<Locks>>,
}

/// The right to answer a request; the next twin has its turn when this is dropped.
pub(super) struct Turn {
    // Fields are dropped in this order: the place is given up after the right.
    _guard: OwnedMutexGuard<()>,
    _place: Place,
}

/// A place in the map, of one who waits or has the right; also given up by one who stops waiting.
struct Place {
    key: Key,
    locks: Arc<Mutex<Locks>>,
}

impl InFlight {
    /// Waits until no other request with this id is being answered.
    pub(super) async fn enter(&self, site: &SiteId, request: RequestId) -> Turn {
        let key = (site.clone(), request);
        let place = Place { key: key.clone(), locks: self.locks.clone() };
        let lock = {
            let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
            locks.entry(key).or_default().clone()
        };
        // Made after the place, so that it is dropped before it if the caller stops waiting.
        let waiting = lock.lock_owned();
        Turn { _guard: waiting.await, _place: place }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        // Only the map's own handle is left: nobody waits.
        if locks.get(&self.key).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            locks.remove(&self.key);
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn twins_wait_and_nothing_is_left() {
        let in_flight = InFlight::default();
        let site: SiteId = "blog".parse().unwrap();
        let request: RequestId = "00000000-0000-4000-8000-000000000001".parse().unwrap();
        let turn = in_flight.enter(&site, request).await;
        let mut twin = Box::pin(in_flight.enter(&site, request));
        assert!(futures_poll(&mut twin).await.is_none());
        drop(turn);
        drop(twin.await);
        assert!(in_flight.locks.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn one_who_stops_waiting_leaves_nothing() {
        let in_flight = InFlight::default();
        let site: SiteId = "blog".parse().unwrap();
        let request: RequestId = "00000000-0000-4000-8000-000000000001".parse().unwrap();
        let turn = in_flight.enter(&site, request).await;
        let mut twin = Box::pin(in_flight.enter(&site, request));
        assert!(futures_poll(&mut twin).await.is_none());
        drop(turn);
        drop(twin);
        assert!(in_flight.locks.lock().unwrap().is_empty());
    }

    /// Polls once.
    async fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        std::future::poll_fn(|ctx| match std::pin::Pin::new(&mut *future).poll(ctx) {
            std::task::Poll::Ready(output) => std::task::Poll::Ready(Some(output)),
            std::task::Poll::Pending => std::task::Poll::Ready(None),
        })
        .await
    }
}
