//! The index of recent content of several replicas: each has its own in memory, read from the
//! records, and keeps in step by a log in Redis.
//!
//! One call of the log is for all look-ups and insertions of a site that came while the one before
//! it was under way, so a site has one call under way at a time. When the log does not answer within
//! its deadline, the index in this process goes on alone, is read back from the records every few
//! seconds so that decisions made on other replicas still arrive, and says so (`degraded`). What
//! could not be told meanwhile is made good afterwards: the others are told to read back.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use lru::LruCache;
use tokio::time::Instant;

use super::MemoryRecent;
use super::breaker::Breaker;
use super::fallback::FallbackOptions;
use super::reading::Reading;
use super::recent_log::{LogEntry, LogPart, LogPosition, RecentEvent, RecentLog};
use super::refill::SiteContent;
use super::rounds::Rounds;
use crate::domain::{CommentId, ContentPrint, Label, SiteId};
use crate::moderation::ports::{RecentAnswer, RecentContent, RecentText, Store, StoreError};

/// While Redis is away, a site that is asked for is read back when it was read so long ago. Reading
/// takes some 20 ms of the store.
const ALONE_AGE_MAX: Duration = Duration::from_secs(5);

/// How often a site is looked for that other sites push out of memory before it was looked at.
const LOOK_COUNT_MAX: u32 = 3;

/// See the module.
pub struct SharedRecent<L> {
    inner: Arc<Inner<L>>,
}

struct Inner<L> {
    memory: MemoryRecent,
    store: Arc<dyn Store>,
    log: L,
    /// Calls of the log, which those who wait share.
    rounds: Rounds<RecentEvent, Found>,
    breaker: Breaker,
    deadline: Duration,
    /// Also held while the index changes, so that place and index are of one moment.
    places: Mutex<LruCache<SiteId, Place>>,
    /// Sites of which something was not told.
    untold: Mutex<HashSet<SiteId>>,
    /// A site's turn is held while it is read, so that nobody reads it twice.
    reading: Reading,
}

/// How far a site in memory is.
struct Place {
    /// The last entry of the log that is in the index; nothing if the index was read while the
    /// log was away.
    position: Option<LogPosition>,
    /// When it was read from the records; nothing if it is to be read again.
    read_time: Option<Instant>,
    /// Comments that were in the records when it was read, and whose entries may still come.
    read: HashSet<CommentId>,
}

/// What a round of the log says to those who waited for it.
#[derive(Debug, Clone)]
enum Found {
    InStep,
    /// The site is to be read back, as it was at the end of this part.
    Behind(Arc<LogPart>),
    /// The log could not be asked.
    Alone,
}

/// Whether the index has everything that the log had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    InStep,
    /// There is a gap, or the site is not in memory.
    Behind,
}

impl<L: RecentLog> SharedRecent<L> {
    /// An empty index over these records and this log.
    pub fn new(
        memory: MemoryRecent,
        store: Arc<dyn Store>,
        log: L,
        options: FallbackOptions,
    ) -> Self {
        let sites = NonZeroUsize::new(memory.site_count_max()).unwrap_or(NonZeroUsize::MIN);
        let inner = Inner {
            memory,
            store,
            log,
            rounds: Rounds::default(),
            breaker: Breaker::new("recent-content", options),
            deadline: options.deadline,
            places: Mutex::new(LruCache::new(sites)),
            untold: Mutex::default(),
            reading: Reading::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Whether the log is given up for now.
    pub fn is_open(&self) -> bool {
        self.inner.breaker.is_open()
    }

    /// Brings the site into step, with an event of our own if there is one. Answers whether the
    /// log could not be asked.
    async fn step(&self, site: &SiteId, event: Option<RecentEvent>) -> Result<bool, StoreError> {
        let (inner, asked) = (Arc::clone(&self.inner), site.clone());
        let ask = move |events| Arc::clone(&inner).ask(asked.clone(), events);
        match self.inner.rounds.join(site, event, ask).await {
            Some(Found::InStep) => {}
            Some(Found::Behind(_)) if event == Some(RecentEvent::Forget) => self.inner.forget(site),
            Some(Found::Behind(part)) => self.read(site, Some(part)).await?,
            Some(Found::Alone) | None => {
                self.go_alone(site, event).await?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The same without the log.
    async fn go_alone(&self, site: &SiteId, event: Option<RecentEvent>) -> Result<(), StoreError> {
        let inner = &self.inner;
        if event.is_some() {
            inner.untold().insert(site.clone());
        }
        if event == Some(RecentEvent::Forget) {
            inner.forget(site);
            return Ok(());
        }
        if inner.is_stale(site) {
            self.read(site, None).await?;
        }
        if let Some(event) = event {
            inner.change(site, event);
        }
        Ok(())
    }

    /// Returns when the index has the records of the site as they were at the end of this part of
    /// the log, or lately if there is none. Reading goes on if the caller stops waiting, so that
    /// the next one finds it done.
    async fn read(&self, site: &SiteId, part: Option<Arc<LogPart>>) -> Result<(), StoreError> {
        let (inner, site) = (Arc::clone(&self.inner), site.clone());
        let task = tokio::spawn(async move {
            let _turn = inner.reading.turn(&site).await;
            let base = part.as_ref().map(|part| part.base);
            let done = match base {
                Some(base) => inner.position(&site).is_some_and(|position| position >= base),
                None => !inner.is_stale(&site),
            };
            if !done {
                let _place = inner.reading.place().await;
                let content = SiteContent::read(&*inner.store, &site).await?;
                inner.fill(&site, content, base);
            }
            if let Some(part) = part {
                // Our own event among them, which need not be in the records.
                inner.apply(&site, &part.entries, !done);
            }
            Ok(())
        });
        let broken = |error| Err(StoreError::Unavailable(format!("reading back: {error}")));
        task.await.unwrap_or_else(broken)
    }
}

impl<L: RecentLog> Inner<L> {
    /// Asks the log once for all who wait, and takes over what it answers.
    async fn ask(self: Arc<Self>, site: SiteId, events: Vec<RecentEvent>) -> Result<Found, Found> {
        let position = self.position(&site);
        let exchange = self.log.exchange(&site, position, &events);
        let Some(part) = self.breaker.ask(self.deadline, exchange).await else {
            return Err(Found::Alone);
        };
        self.tell_late();
        let last = part.entries.last().map_or(part.base, |entry| entry.position);
        // A log whose end is before our place lost what it had: another server took over.
        if position.is_some_and(|position| last < position) {
            self.forget(&site);
        }
        Ok(match self.apply(&site, &part.entries, false) {
            Step::InStep => Found::InStep,
            Step::Behind => Found::Behind(Arc::new(part)),
        })
    }

    /// Tells the others of what they were not told while the log was away, in the background.
    fn tell_late(self: &Arc<Self>) {
        let sites = std::mem::take(&mut *self.untold());
        if sites.is_empty() {
            return;
        }
        let inner = Arc::clone(self);
        tokio::spawn(async move {
            for site in sites {
                // We read back as well: the log has the order of things.
                inner.forget(&site);
                let told = inner.log.exchange(&site, None, &[RecentEvent::Forget]);
                if inner.breaker.ask(inner.deadline, told).await.is_none() {
                    inner.untold().insert(site);
                }
            }
        });
    }
}

impl<L> Inner<L> {
    fn places(&self) -> MutexGuard<'_, LruCache<SiteId, Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn untold(&self) -> MutexGuard<'_, HashSet<SiteId>> {
        self.untold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far the site is in the log, if it is in memory.
    fn position(&self, site: &SiteId) -> Option<LogPosition> {
        let mut places = self.places();
        let place = places.get(site).filter(|_| self.memory.knows(site));
        place.and_then(|place| place.position)
    }

    fn is_stale(&self, site: &SiteId) -> bool {
        let mut places = self.places();
        let fresh =
            |place: &Place| place.read_time.is_some_and(|time| time.elapsed() < ALONE_AGE_MAX);
        !self.memory.knows(site) || !places.get(site).is_some_and(fresh)
    }

    /// The site is to be read again. What is in memory stays until then, for those who look now.
    fn forget(&self, site: &SiteId) {
        if let Some(place) = self.places().get_mut(site) {
            place.forget();
        }
    }

    /// Puts what was read in place of what is in memory.
    fn fill(&self, site: &SiteId, content: SiteContent, position: Option<LogPosition>) {
        let mut places = self.places();
        let read = content.last_ids().collect();
        content.fill(&self.memory, site);
        places.put(site.clone(), Place { position, read_time: Some(Instant::now()), read });
    }

    /// Takes over the entries that the index does not have, as long as they follow each other. If the
    /// records were read after all of them (`is_read`), none says any more that they are to be read.
    fn apply(&self, site: &SiteId, entries: &[LogEntry], is_read: bool) -> Step {
        let mut places = self.places();
        let place = places.get_mut(site).filter(|_| self.memory.knows(site));
        let Some(place) = place else { return Step::Behind };
        for entry in entries {
            let Some(position) = place.position else { return Step::Behind };
            if entry.position <= position {
                continue;
            }
            match entry.event {
                Some(event) if entry.previous == Some(position) => {
                    if event == RecentEvent::Forget && !is_read {
                        place.forget();
                    } else {
                        place.take(&self.memory, site, event);
                        place.position = Some(entry.position);
                    }
                }
                // A gap, or what only a later version can read.
                _ => return Step::Behind,
            }
        }
        if place.position.is_some() { Step::InStep } else { Step::Behind }
    }

    /// Changes the index by an event that is in no log.
    fn change(&self, site: &SiteId, event: RecentEvent) {
        let mut places = self.places();
        if let Some(place) = places.get_mut(site).filter(|_| self.memory.knows(site)) {
            place.take(&self.memory, site, event);
        }
    }
}

impl Place {
    fn forget(&mut self) {
        (self.position, self.read_time) = (None, None);
    }

    fn take(&mut self, memory: &MemoryRecent, site: &SiteId, event: RecentEvent) {
        match event {
            RecentEvent::Insert(text) => {
                // Its record was read already.
                if !text.comment.is_some_and(|comment| self.read.remove(&comment)) {
                    memory.insert_now(site, text);
                }
            }
            RecentEvent::Label(print, label) => memory.set_label_now(site, print, label),
            RecentEvent::Begin | RecentEvent::Forget => {}
        }
    }
}

#[async_trait]
impl<L: RecentLog> RecentContent for SharedRecent<L> {
    async fn find(&self, site: &SiteId, print: &ContentPrint) -> Result<RecentAnswer, StoreError> {
        for _ in 0..LOOK_COUNT_MAX {
            let degraded = self.step(site, None).await?;
            if let Some(neighbours) = self.inner.memory.look(site, print) {
                return Ok(RecentAnswer { neighbours, degraded });
            }
        }
        Err(StoreError::Unavailable("the site falls out of memory at once".into()))
    }

    async fn insert(&self, site: &SiteId, text: RecentText) -> Result<(), StoreError> {
        self.step(site, Some(RecentEvent::Insert(text))).await.map(drop)
    }

    async fn set_label(
        &self,
        site: &SiteId,
        print: ContentPrint,
        label: Label,
    ) -> Result<(), StoreError> {
        self.step(site, Some(RecentEvent::Label(print, label))).await.map(drop)
    }

    async fn forget_site(&self, site: &SiteId) -> Result<(), StoreError> {
        self.step(site, Some(RecentEvent::Forget)).await.map(drop)
    }

    /// In memory alone: who says so appends it to the log, too.
    async fn hear_label(
        &self,
        site: &SiteId,
        print: ContentPrint,
        label: Label,
    ) -> Result<(), StoreError> {
        self.inner.change(site, RecentEvent::Label(print, label));
        Ok(())
    }

    /// In memory alone.
    async fn hear_forget(&self, site: &SiteId) -> Result<(), StoreError> {
        self.inner.forget(site);
        Ok(())
    }
}
