//! An index of recent content that is read back from the records, site by site, when a site is
//! first asked for.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Mutex;

use super::MemoryRecent;
use crate::domain::{CommentId, ContentPrint, Label, SiteId};
use crate::moderation::ports::{
    RecentAnswer, RecentComment, RecentContent, RecentText, Store, StoreError,
};

/// Comments of a site that are read back, and labelled ones. More than the index holds, since
/// equal texts take one place.
const COMMENT_COUNT_MAX: usize = 10_000;
/// How often a site is looked for that is forgotten again before it was looked at.
const LOOK_COUNT_MAX: u32 = 3;
/// Comments whose news may arrive after they were read back: those of a second of a busy site.
const LAST_COUNT: usize = 1_024;

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
        SiteContent::read(&*self.store, site).await?.fill(&self.memory, site);
        Ok(())
    }
}

/// What the records say of a site's recent content, oldest first.
pub(super) struct SiteContent {
    recent: Vec<RecentComment>,
    labelled: Vec<RecentComment>,
}

impl SiteContent {
    /// Reads it.
    pub(super) async fn read(store: &dyn Store, site: &SiteId) -> Result<Self, StoreError> {
        let mut recent = store.recent_comments(site, COMMENT_COUNT_MAX).await?;
        let mut labelled = store.labelled_comments(site, COMMENT_COUNT_MAX).await?;
        // Both come newest first, and the newest is to be put in last.
        recent.reverse();
        labelled.reverse();
        Ok(Self { recent, labelled })
    }

    /// The comments of the last moments, as far as somebody may still tell of them.
    pub(super) fn last_ids(&self) -> impl Iterator<Item = CommentId> {
        self.recent.iter().rev().take(LAST_COUNT).map(|comment| comment.id)
    }

    /// Puts it into memory, in place of what was there.
    pub(super) fn fill(self, memory: &MemoryRecent, site: &SiteId) {
        let text = |comment: RecentComment| RecentText {
            print: comment.print,
            comment: Some(comment.id),
            campaign: Some(comment.campaign),
            label: comment.label,
        };
        memory.refill(site, self.recent.into_iter().map(text), self.labelled.into_iter().map(text));
    }
}

#[async_trait]
impl RecentContent for RefilledRecent {
    async fn find(&self, site: &SiteId, print: &ContentPrint) -> Result<RecentAnswer, StoreError> {
        for _ in 0..LOOK_COUNT_MAX {
            self.ready(site).await?;
            if let Some(neighbours) = self.memory.look(site, print) {
                return Ok(RecentAnswer { neighbours, degraded: false });
            }
        }
        Err(StoreError::Unavailable("the site falls out of memory at once".into()))
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
