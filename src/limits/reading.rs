//! Whose turn it is to read a site back from the records: each site is read by one at a time, and
//! a few sites at once. After a start or a failover hundreds of them are asked for together, and
//! their checks wait for no longer than 250 ms.

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::domain::SiteId;
use crate::turns::{Turn, Turns};

/// Sites that are read at once, some 20 ms each: as many as SQLite has reading connections, for
/// which other reads queue between the statements of these.
const READ_COUNT_MAX: usize = 4;

/// Sites that are read or waited for.
pub(super) struct Reading {
    turns: Turns<SiteId>,
    places: Semaphore,
}

impl Default for Reading {
    fn default() -> Self {
        Self { turns: Turns::default(), places: Semaphore::new(READ_COUNT_MAX) }
    }
}

impl Reading {
    /// Waits until nobody else has the site.
    pub(super) async fn turn(&self, site: &SiteId) -> Turn<SiteId> {
        self.turns.of(site.clone()).await
    }

    /// Waits until one more site may be read. Whoever has a place waits for nobody's turn.
    pub(super) async fn place(&self) -> Option<SemaphorePermit<'_>> {
        // There is always one in the end: nobody closes it.
        self.places.acquire().await.ok()
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
