//! An index of recent content that is read back from the records, site by site, when a site is
//! first asked for.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Mutex;

use super::MemoryRecent;
use crate::domain::{ContentPrint, Label, Neighbours, SiteId};
use crate::moderation::ports::{RecentComment, RecentContent, RecentText, Store, StoreError};

/// Comments of a site that are read back, and labelled ones. More than the index holds, since
/// equal texts take one place.
const COMMENT_COUNT_MAX: usize = 10_000;

/// The index in this process, filled from the store: after a start, and again for a site that was
/// quiet for so long that the index forgot it. What people decided is never lost that way.
#[derive(Clone)]
pub struct RefilledRecent {
    memory: Arc<MemoryRecent>,
    store: Arc<dyn Store>,
    /// Held while a site is read, so that nobody reads it twice.
    reading: Arc<Mutex<()>>,
}

impl RefilledRecent {
    /// An empty index over these records.
    pub fn new(memory: MemoryRecent, store: Arc<dyn Store>) -> Self {
        Self { memory: Arc::new(memory), store, reading: Arc::default() }
    }

    /// Returns when the site is in memory. Reading goes on if the caller stops waiting, so that
    /// the next one finds it done.
    async fn ready(&self, site: &SiteId) -> Result<(), StoreError> {
        if self.memory.knows(site) {
            return Ok(());
        }
        let (this, site) = (self.clone(), site.clone());
        let reading = tokio::spawn(async move {
            let _turn = this.reading.lock().await;
            if this.memory.knows(&site) { Ok(()) } else { this.read(&site).await }
        });
        let broken = |error| Err(StoreError::Unavailable(format!("reading back: {error}")));
        reading.await.unwrap_or_else(broken)
    }

    async fn read(&self, site: &SiteId) -> Result<(), StoreError> {
        let mut recent = self.store.recent_comments(site, COMMENT_COUNT_MAX).await?;
        let mut labelled = self.store.labelled_comments(site, COMMENT_COUNT_MAX).await?;
        // Both come newest first, and the newest is to be put in last.
        recent.reverse();
        labelled.reverse();
        let text = |comment: RecentComment| RecentText {
            print: comment.print,
            campaign: Some(comment.campaign),
            label: comment.label,
        };
        self.memory.refill(site, recent.into_iter().map(text), labelled.into_iter().map(text));
        Ok(())
    }
}

#[async_trait]
impl RecentContent for RefilledRecent {
    async fn find(&self, site: &SiteId, print: &ContentPrint) -> Result<Neighbours, StoreError> {
        self.ready(site).await?;
        self.memory.find(site, print).await
    }

    async fn insert(&self, site: &SiteId, text: RecentText) -> Result<(), StoreError> {
        self.ready(site).await?;
        self.memory.insert(site, text).await
    }

    async fn set_label(
        &self,
        site: &SiteId,
        print: ContentPrint,
        label: Label,
    ) -> Result<(), StoreError> {
        self.ready(site).await?;
        self.memory.set_label(site, print, label).await
    }

    async fn forget_site(&self, site: &SiteId) -> Result<(), StoreError> {
        // Not while it is being read: what was read before the change would stay.
        let _turn = self.reading.lock().await;
        self.memory.forget_site(site).await
    }
}
