//! Whose turn it is to read a site back from the records: each site is read by one at a time, and
//! a few sites at once. After a start or a failover hundreds of them are asked for together, and
//! their checks wait for no longer than 250 ms.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedMutexGuard, Semaphore, SemaphorePermit};

use crate::domain::SiteId;

/// Sites that are read at once, some 20 ms each: as many as SQLite has reading connections, for
/// which other reads queue between the statements of these.
const READ_COUNT_MAX: usize = 4;

type Locks = HashMap<SiteId, Arc<tokio::sync::Mutex<()>>>;

/// Sites that are read or waited for; holds as many entries.
pub(super) struct Reading {
    locks: Arc<Mutex<Locks>>,
    places: Semaphore,
}

impl Default for Reading {
    fn default() -> Self {
        Self { locks: Arc::default(), places: Semaphore::new(READ_COUNT_MAX) }
    }
}

/// The right to a site; the next one has its turn when this is dropped.
pub(super) struct Turn {
    // Fields are dropped in this order: the entry is given up after the right.
    _guard: OwnedMutexGuard<()>,
    _entry: Entry,
}

/// An entry in the map, of one who waits or has the right; also given up by one who stops waiting.
struct Entry {
    site: SiteId,
    locks: Arc<Mutex<Locks>>,
}

impl Reading {
    /// Waits until nobody else has the site.
    pub(super) async fn turn(&self, site: &SiteId) -> Turn {
        let entry = Entry { site: site.clone(), locks: self.locks.clone() };
        let lock = {
            let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
            locks.entry(site.clone()).or_default().clone()
        };
        // Made after the entry, so that it is dropped before it if the caller stops waiting.
        let waiting = lock.lock_owned();
        Turn { _guard: waiting.await, _entry: entry }
    }

    /// Waits until one more site may be read. Whoever has a place waits for nobody's turn.
    pub(super) async fn place(&self) -> Option<SemaphorePermit<'_>> {
        // There is always one in the end: nobody closes it.
        self.places.acquire().await.ok()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        // Only the map's own handle is left: nobody waits.
        if locks.get(&self.site).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            locks.remove(&self.site);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::Poll;

    use super::*;

    /// Polls once.
    async fn poll_once<F: Future>(work: &mut Pin<Box<F>>) -> Option<F::Output> {
        std::future::poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    #[tokio::test]
    async fn a_site_has_one_turn_at_a_time_and_leaves_nothing() {
        let reading = Reading::default();
        let (blog, news): (SiteId, SiteId) = ("blog".parse().unwrap(), "news".parse().unwrap());
        let turn = reading.turn(&blog).await;
        let (mut next, mut leaving) =
            (Box::pin(reading.turn(&blog)), Box::pin(reading.turn(&blog)));
        assert!(poll_once(&mut next).await.is_none() && poll_once(&mut leaving).await.is_none());
        let mut other = Box::pin(reading.turn(&news));
        assert!(poll_once(&mut other).await.is_some(), "another site waits for nobody");
        drop(leaving);
        drop(turn);
        drop(next.await);
        assert!(reading.locks.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_few_sites_are_read_at_once() {
        let reading = Reading::default();
        let mut places = Vec::new();
        for _ in 0..READ_COUNT_MAX {
            places.push(reading.place().await.unwrap());
        }
        let mut next = Box::pin(reading.place());
        assert!(poll_once(&mut next).await.is_none());
        drop(places.pop());
        assert!(next.await.is_some());
    }
}
