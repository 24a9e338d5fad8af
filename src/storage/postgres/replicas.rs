//! The other processes on the same database: what they changed, and who does what only one should.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use tokio::sync::{Mutex, mpsc};

use crate::domain::SiteId;
use crate::moderation::ports::StoreError;
use crate::moderation::ports::replicas::{News, Replicas};

use super::listener::Told;
use super::store::PostgresStore;

/// News that wait to be heard; beyond, all is read anew.
const COUNT_MAX: usize = 256;

/// News on their way from the listener to who asks for them.
pub(super) struct NewsQueue {
    sender: mpsc::Sender<News>,
    waiting: Mutex<mpsc::Receiver<News>>,
    overflown: AtomicBool,
}

impl NewsQueue {
    pub fn new() -> Self {
        let (sender, waiting) = mpsc::channel(COUNT_MAX);
        Self { sender, waiting: Mutex::new(waiting), overflown: AtomicBool::new(false) }
    }

    /// Passes news on. If nobody listens, it is only noted that there were some.
    pub fn put(&self, news: News) {
        if self.sender.try_send(news).is_err() {
            self.overflown.store(true, Ordering::Release);
        }
    }

    async fn next(&self) -> News {
        let mut waiting = self.waiting.lock().await;
        if self.overflown.swap(false, Ordering::AcqRel) {
            // What waits is told by this, too.
            while waiting.try_recv().is_ok() {}
            return News::Missed;
        }
        waiting.recv().await.unwrap_or(News::Missed)
    }
}

#[async_trait]
impl Replicas for PostgresStore {
    async fn next_news(&self) -> News {
        self.news().next().await
    }

    async fn tell_relabelled(&self, site: &SiteId) -> Result<(), StoreError> {
        self.db().await?.tell(&Told::Relabelled(site.clone())).await
    }

    async fn hold(&self, work: &str) -> Result<bool, StoreError> {
        let sql = "INSERT INTO leases AS known (name, holder, expire_time) \
             VALUES ($1, $2, now() + make_interval(secs => $3)) \
             ON CONFLICT (name) DO UPDATE \
             SET holder = excluded.holder, expire_time = excluded.expire_time \
             WHERE known.holder = excluded.holder OR known.expire_time < now()";
        let life = self.lease_life().as_secs_f64();
        let db = self.db().await?;
        Ok(db.execute(sql, &[&work, &self.replica(), &life]).await? == 1)
    }

    async fn release(&self, work: &str) -> Result<(), StoreError> {
        let sql = "DELETE FROM leases WHERE name = $1 AND holder = $2";
        self.db().await?.execute(sql, &[&work, &self.replica()]).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn too_many_news_are_one() {
        let queue = NewsQueue::new();
        let site: SiteId = "blog".parse().unwrap();
        queue.put(News::Models(site.clone()));
        assert_eq!(queue.next().await, News::Models(site.clone()));
        for _ in 0..=COUNT_MAX {
            queue.put(News::Relabelled(site.clone()));
        }
        assert_eq!(queue.next().await, News::Missed);
        queue.put(News::Models(site.clone()));
        assert_eq!(queue.next().await, News::Models(site));
    }
}
