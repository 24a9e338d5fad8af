//! One at a time for each key: a lock a key, of which nothing is left when nobody waits.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

type Locks<K> = Mutex<HashMap<K, Arc<tokio::sync::Mutex<()>>>>;

/// Keys that somebody has or waits for; holds as many entries.
pub struct Turns<K: Eq + Hash> {
    locks: Arc<Locks<K>>,
}

impl<K: Eq + Hash> Default for Turns<K> {
    fn default() -> Self {
        Self { locks: Arc::default() }
    }
}

/// The right to a key; the next one has its turn when this is dropped.
pub struct Turn<K: Eq + Hash> {
    // Fields are dropped in this order: the entry is given up after the right.
    _guard: OwnedMutexGuard<()>,
    _entry: Entry<K>,
}

/// An entry in the map, of one who waits or has the right; also given up by one who stops waiting.
struct Entry<K: Eq + Hash> {
    key: K,
    locks: Arc<Locks<K>>,
}

impl<K: Eq + Hash + Clone> Turns<K> {
    /// Waits until nobody else has the key.
    pub async fn of(&self, key: K) -> Turn<K> {
        let entry = Entry { key: key.clone(), locks: self.locks.clone() };
        let lock = {
            let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
            locks.entry(key).or_default().clone()
        };
        // Made after the entry, so that it is dropped before it if the caller stops waiting.
        let waiting = lock.lock_owned();
        Turn { _guard: waiting.await, _entry: entry }
    }
}

impl<K: Eq + Hash> Drop for Entry<K> {
    fn drop(&mut self) {
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        // Only the map's own handle is left: nobody waits.
        if locks.get(&self.key).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            locks.remove(&self.key);
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
    async fn a_key_has_one_turn_at_a_time_and_leaves_nothing() {
        let turns = Turns::default();
        let turn = turns.of("blog").await;
        let mut next = Box::pin(turns.of("blog"));
        let (mut leaving, mut last) = (Box::pin(turns.of("blog")), Box::pin(turns.of("blog")));
        for waiting in [&mut next, &mut leaving, &mut last] {
            assert!(poll_once(waiting).await.is_none());
        }
        drop(leaving);
        let mut other = Box::pin(turns.of("news"));
        assert!(poll_once(&mut other).await.is_some(), "another key waits for nobody");
        // The next one has its turn now, knows it not yet, and gives up; then the last one has it.
        drop(turn);
        drop(next);
        drop(last.await);
        assert!(turns.locks.lock().unwrap().is_empty());
        assert!(poll_once(&mut Box::pin(turns.of("blog"))).await.is_some());
    }
}
