//! An index of recent content that is read back from the records, site by site, when a site is
//! first asked for.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;

use super::MemoryRecent;
use super::reading::Reading;
use crate::domain::{CommentId, ContentPrint, Label, SiteId};
use crate::moderation::ports::{
    RecentAnswer, RecentComment, RecentContent, RecentText, Store, StoreError,
};

/// Comments of a site that are read back, and labelled ones. More than the index holds, since
/// equal texts take one place.
const COMMENT_COUNT_MAX: usize = 10_000;
/// Campaigns of which a label is looked for behind these: some ten microseconds each.
const CAMPAIGN_COUNT_MAX: usize = 512;
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
    /// A site's turn is held while it is read, so that nobody reads it twice.
    reading: Arc<Reading>,
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
            let _turn = this.reading.turn(&site).await;
            if this.memory.knows(&site) {
                return Ok(());
            }
            let _place = this.reading.place().await;
            this.read(&site).await
        });
        let broken = |error| Err(StoreError::Unavailable(format!("reading back: {error}")));
        reading.await.unwrap_or_else(broken)
    }

    /// Does something to a site in memory, which is read back where it is not: it may be forgotten
    /// again before that, and what is put into a forgotten site would pass for all of it.
    async fn with_ready<T>(
        &self,
        site: &SiteId,
        mut work: impl FnMut(&MemoryRecent) -> Option<T>,
    ) -> Result<T, StoreError> {
        for _ in 0..LOOK_COUNT_MAX {
            self.ready(site).await?;
            if let Some(result) = work(&self.memory) {
                return Ok(result);
            }
        }
        Err(StoreError::Unavailable("the site falls out of memory at once".into()))
    }

    async fn read(&self, site: &SiteId) -> Result<(), StoreError> {
        SiteContent::read(&*self.store, site).await?.fill(&self.memory, site);
        Ok(())
    }
}

/// What the records say of a site's recent content.
pub(super) struct SiteContent {
    /// Oldest first.
    recent: Vec<RecentComment>,
    /// The newest label first.
    labelled: Vec<RecentComment>,
    /// Content hashes of labelled texts that recent comments are near to, the last one last.
    lenders: Vec<u64>,
}

impl SiteContent {
    /// Reads it.
    pub(super) async fn read(store: &dyn Store, site: &SiteId) -> Result<Self, StoreError> {
        let mut recent = store.recent_comments(site, COMMENT_COUNT_MAX).await?;
        let mut labelled = store.labelled_comments(site, COMMENT_COUNT_MAX).await?;
        let mut live = live_campaigns(&recent);
        // What was labelled longer ago than all of these counts as long as its campaign lasts.
        let mut absent: HashSet<_> = live.iter().copied().collect();
        labelled.iter().for_each(|comment| _ = absent.remove(&comment.campaign));
        if labelled.len() == COMMENT_COUNT_MAX && !absent.is_empty() {
            let absent: Vec<_> = absent.into_iter().collect();
            labelled.extend(store.campaign_labels(site, &absent).await?);
        }
        // The newest is to be put in last.
        recent.reverse();
        live.reverse();
        let mut last: HashMap<CommentId, u64> = HashMap::new();
        for comment in &labelled {
            last.entry(comment.campaign).or_insert(comment.print.content_hash);
        }
        let lenders = live.iter().filter_map(|campaign| last.get(campaign).copied()).collect();
        Ok(Self { recent, labelled, lenders })
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
        let labelled: Vec<_> = self.labelled.into_iter().map(text).collect();
        memory.refill(site, self.recent.into_iter().map(text), &labelled, &self.lenders);
    }
}

/// The campaigns that lasted until now, the last one first: those with a further comment among these,
/// which come newest first.
fn live_campaigns(recent: &[RecentComment]) -> Vec<CommentId> {
    let mut known = HashSet::new();
    let followers = recent.iter().filter(|one| one.campaign != one.id && one.label.is_none());
    let campaigns = followers.map(|one| one.campaign).filter(|campaign| known.insert(*campaign));
    campaigns.take(CAMPAIGN_COUNT_MAX).collect()
}

#[async_trait]
impl RecentContent for RefilledRecent {
    async fn find(&self, site: &SiteId, print: &ContentPrint) -> Result<RecentAnswer, StoreError> {
        let neighbours = self.with_ready(site, |memory| memory.look(site, print)).await?;
        Ok(RecentAnswer { neighbours, degraded: false })
    }

    async fn insert(&self, site: &SiteId, text: RecentText) -> Result<(), StoreError> {
        self.with_ready(site, |memory| memory.insert_if_known(site, text).then_some(())).await
    }

    async fn set_label(
        &self,
        site: &SiteId,
        print: ContentPrint,
        label: Label,
    ) -> Result<(), StoreError> {
        let label = |memory: &MemoryRecent| memory.label_if_known(site, print, label).then_some(());
        self.with_ready(site, label).await
    }

    async fn forget_site(&self, site: &SiteId) -> Result<(), StoreError> {
        // Not while it is being read: what was read before the change would stay.
        let _turn = self.reading.turn(site).await;
        self.memory.forget_site(site).await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;
    use crate::limits::RecentOptions;
    use crate::storage::{SqliteOptions, SqliteStore};

    #[test]
    fn one_text_does_not_pass_for_all_of_a_forgotten_site() {
        let memory = MemoryRecent::new(RecentOptions::default());
        let blog: SiteId = "blog".parse().unwrap();
        let print = ContentPrint { content_hash: 1, simhash: 1, comparable: true };
        let text = RecentText { print, comment: None, campaign: None, label: None };
        assert!(!memory.insert_if_known(&blog, text));
        assert!(!memory.label_if_known(&blog, print, Label::Spam));
        assert!(!memory.knows(&blog), "it is still to be read back");
        memory.insert_now(&blog, text);
        assert!(memory.insert_if_known(&blog, text));
        assert!(memory.label_if_known(&blog, print, Label::Spam));
        let found = memory.look(&blog, &print).unwrap();
        assert_eq!((found.exact_count, found.label), (2, Some(Label::Spam)));
    }

    #[tokio::test]
    async fn a_site_that_is_read_for_long_holds_up_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.sqlite3");
        let store = SqliteStore::open(&path, SqliteOptions::default()).await.unwrap();
        let memory = MemoryRecent::new(RecentOptions::default());
        let index = RefilledRecent::new(memory, Arc::new(store));
        let (blog, news): (SiteId, SiteId) = ("blog".parse().unwrap(), "news".parse().unwrap());
        let print = ContentPrint { content_hash: 1, simhash: 1, comparable: true };
        let turn = index.reading.turn(&blog).await;
        let same = index.clone();
        let waiting = tokio::spawn(async move { same.find(&blog, &print).await });
        let found = timeout(Duration::from_secs(60), index.find(&news, &print)).await;
        found.expect("it waits for another site").unwrap();
        assert!(!waiting.is_finished(), "two read the same site");
        drop(turn);
        waiting.await.unwrap().unwrap();
    }
}
