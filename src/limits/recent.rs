//! The index of recent content in this process: which texts like this one were lately seen, and
//! what people called them.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use lru::LruCache;

use super::recent_window::Window;
use crate::domain::{CommentId, ContentPrint, Label, Neighbours, SiteId};
use crate::moderation::ports::{RecentAnswer, RecentContent, RecentText, StoreError};

/// How much is remembered.
#[derive(Debug, Clone, Copy)]
pub struct RecentOptions {
    /// Different texts of a site; the oldest falls out.
    pub text_count_max: usize,
    /// Different labelled texts of a site, kept longer than the others. The one falls out that was
    /// neither labelled nor lent its label for longest: that of a campaign under way stays.
    pub labelled_count_max: usize,
    /// Sites; the one that was not asked for longest is forgotten.
    pub site_count_max: usize,
    /// Texts of all sites together, above which further sites are forgotten, so that many small
    /// ones have room where few large ones have. A full site of 8,192 takes 3.1 MiB (29 November
    /// 2026), a text of a small one up to 1 KiB.
    pub text_total_max: usize,
}

impl Default for RecentOptions {
    fn default() -> Self {
        Self {
            text_count_max: 4_096,
            labelled_count_max: 4_096,
            site_count_max: 8_192,
            text_total_max: 1 << 20,
        }
    }
}

/// See the module.
///
/// Workload: one look-up and one insertion a comment, some microseconds together.
pub struct MemoryRecent {
    options: RecentOptions,
    sites: Mutex<Sites>,
}

/// The sites in memory.
struct Sites {
    texts: LruCache<SiteId, SiteTexts>,
    /// Texts of all of them.
    total: usize,
    total_max: usize,
}

impl Sites {
    fn put(&mut self, site: SiteId, texts: SiteTexts) {
        self.total += texts.len();
        if let Some((_, old)) = self.texts.push(site, texts) {
            self.total -= old.len();
        }
        self.make_room();
    }

    /// Changes the texts of a site that is there.
    fn change<T>(&mut self, site: &SiteId, work: impl FnOnce(&mut SiteTexts) -> T) -> Option<T> {
        let texts = self.texts.get_mut(site)?;
        let before = texts.len();
        let result = work(texts);
        let after = texts.len();
        self.total = self.total + after - before;
        self.make_room();
        Some(result)
    }

    fn pop(&mut self, site: &SiteId) {
        self.total -= self.texts.pop(site).map_or(0, |texts| texts.len());
    }

    /// Forgets the sites that were not asked for longest, until the others are few enough. The one
    /// that was asked for last stays.
    fn make_room(&mut self) {
        while self.total > self.total_max && self.texts.len() > 1 {
            self.total -= self.texts.pop_lru().map_or(0, |(_, texts)| texts.len());
        }
    }
}

/// The texts of one site.
struct SiteTexts {
    all: Window,
    labelled: Window,
}

impl SiteTexts {
    fn new(options: &RecentOptions) -> Self {
        Self {
            all: Window::new(options.text_count_max),
            labelled: Window::new(options.labelled_count_max),
        }
    }

    fn len(&self) -> usize {
        self.all.len() + self.labelled.len()
    }

    fn insert(&mut self, text: RecentText) {
        self.all.add(text);
        if text.label.is_some() {
            self.labelled.add(text);
        } else if text.print.comparable {
            self.refresh_label(&text.print);
        }
    }

    /// Keeps the label that a text was lent. By insertions and not by look-ups, so that all replicas
    /// keep the same.
    fn refresh_label(&mut self, print: &ContentPrint) {
        if let Some(lender) = self.labelled.nearest_label(print) {
            self.labelled.refresh(lender.print.content_hash);
        }
    }

    fn set_label(&mut self, text: RecentText, label: Label) {
        if !self.all.set_label(text.print.content_hash, label) {
            self.all.add(RecentText { label: Some(label), ..text });
        }
        self.keep_label(text, label);
    }

    fn keep_label(&mut self, text: RecentText, label: Label) {
        if self.labelled.set_label(text.print.content_hash, label) {
            self.labelled.refresh(text.print.content_hash);
        } else {
            self.labelled.add(RecentText { label: Some(label), ..text });
        }
    }

    /// Keeps labels that were read from the records, the newest first, as far as there is room. Those
    /// of the lenders have it, and stay longest; the last of them lent its label last.
    fn keep_labels(&mut self, labelled: &[RecentText], lenders: &[u64], count_max: usize) {
        let mut kept: HashSet<u64> = lenders.iter().copied().collect();
        let mut has_room = |text: &&RecentText| {
            let hash = text.print.content_hash;
            kept.contains(&hash) || kept.len() < count_max && kept.insert(hash)
        };
        let texts: Vec<_> = labelled.iter().filter(|text| has_room(text)).collect();
        for text in texts.into_iter().rev() {
            if let Some(label) = text.label {
                self.keep_label(*text, label);
            }
        }
        lenders.iter().for_each(|hash| self.labelled.refresh(*hash));
    }

    /// The campaign of the nearest text, the oldest if several are as near; of lately seen ones
    /// first.
    fn campaign(&self, print: &ContentPrint) -> Option<CommentId> {
        [&self.all, &self.labelled].into_iter().find_map(|window| {
            let mut nearest: Option<(u32, CommentId)> = None;
            window.each_near(print, |text, distance| {
                let Some(campaign) = text.campaign else { return };
                if nearest.is_none_or(|found| (distance, campaign) < found) {
                    nearest = Some((distance, campaign));
                }
            });
            nearest.map(|(_, campaign)| campaign)
        })
    }

    fn neighbours(&self, print: &ContentPrint) -> Neighbours {
        let mut neighbours = Neighbours { campaign: self.campaign(print), ..Default::default() };
        self.all.each_near(print, |text, _| {
            neighbours.near_count = neighbours.near_count.saturating_add(text.count);
            if text.print.content_hash == print.content_hash {
                neighbours.exact_count = text.count;
            }
        });
        // What a person said of a short text holds for that comment and not for all who say the
        // same: "Thanks!" of a spammer must not reject everybody's thanks.
        if !print.comparable {
            return neighbours;
        }
        if let Some(lender) = self.labelled.nearest_label(print) {
            neighbours.label = lender.label;
            neighbours.label_exact = lender.print.content_hash == print.content_hash;
        }
        neighbours
    }
}

impl MemoryRecent {
    /// An index that has seen nothing.
    pub fn new(options: RecentOptions) -> Self {
        let sites = NonZeroUsize::new(options.site_count_max).unwrap_or(NonZeroUsize::MIN);
        let (texts, total_max) = (LruCache::new(sites), options.text_total_max);
        Self { options, sites: Mutex::new(Sites { texts, total: 0, total_max }) }
    }

    /// Whether anything of the site is in memory.
    pub(super) fn knows(&self, site: &SiteId) -> bool {
        self.sites().texts.contains(site)
    }

    /// Puts a site into memory as a whole, in place of what was there: its texts, the oldest first,
    /// its labelled texts, the newest label first, and the content hashes of labelled texts that
    /// recent ones are near to, the last one last.
    pub(super) fn refill(
        &self,
        site: &SiteId,
        recent: impl Iterator<Item = RecentText>,
        labelled: &[RecentText],
        lenders: &[u64],
    ) {
        let mut texts = SiteTexts::new(&self.options);
        recent.for_each(|text| texts.all.add(text));
        texts.keep_labels(labelled, lenders, self.options.labelled_count_max);
        self.sites().put(site.clone(), texts);
    }

    /// The sites that are remembered at most.
    pub(super) fn site_count_max(&self) -> usize {
        self.options.site_count_max
    }

    /// The neighbours of a text, if anything of the site is in memory.
    pub(super) fn look(&self, site: &SiteId, print: &ContentPrint) -> Option<Neighbours> {
        self.sites().texts.get(site).map(|texts| texts.neighbours(print))
    }

    /// Adds a text to a site that is in memory; whether it is.
    pub(super) fn insert_if_known(&self, site: &SiteId, text: RecentText) -> bool {
        self.with_known(site, |texts| texts.insert(text)).is_some()
    }

    /// Labels a text of a site that is in memory; whether it is.
    pub(super) fn label_if_known(&self, site: &SiteId, print: ContentPrint, label: Label) -> bool {
        self.with_known(site, |texts| texts.set_label(bare(print), label)).is_some()
    }

    /// As [`RecentContent::insert`].
    pub(super) fn insert_now(&self, site: &SiteId, text: RecentText) {
        self.with_site(site, |texts| texts.insert(text));
    }

    /// As [`RecentContent::set_label`].
    pub(super) fn set_label_now(&self, site: &SiteId, print: ContentPrint, label: Label) {
        self.with_site(site, |texts| texts.set_label(bare(print), label));
    }

    /// As [`RecentContent::forget_site`].
    pub(super) fn forget(&self, site: &SiteId) {
        self.sites().pop(site);
    }

    fn sites(&self) -> MutexGuard<'_, Sites> {
        self.sites.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_known<T>(&self, site: &SiteId, work: impl FnOnce(&mut SiteTexts) -> T) -> Option<T> {
        self.sites().change(site, work)
    }

    fn with_site(&self, site: &SiteId, work: impl FnOnce(&mut SiteTexts)) {
        let mut sites = self.sites();
        if !sites.texts.contains(site) {
            sites.put(site.clone(), SiteTexts::new(&self.options));
        }
        sites.change(site, work);
    }
}

/// A text of which nothing but its print is known.
fn bare(print: ContentPrint) -> RecentText {
    RecentText { print, comment: None, campaign: None, label: None }
}

#[async_trait]
impl RecentContent for MemoryRecent {
    async fn find(&self, site: &SiteId, print: &ContentPrint) -> Result<RecentAnswer, StoreError> {
        let neighbours = self.look(site, print).unwrap_or_default();
        Ok(RecentAnswer { neighbours, degraded: false })
    }

    async fn insert(&self, site: &SiteId, text: RecentText) -> Result<(), StoreError> {
        self.insert_now(site, text);
        Ok(())
    }

    async fn set_label(
        &self,
        site: &SiteId,
        print: ContentPrint,
        label: Label,
    ) -> Result<(), StoreError> {
        self.set_label_now(site, print, label);
        Ok(())
    }

    async fn forget_site(&self, site: &SiteId) -> Result<(), StoreError> {
        self.forget(site);
        Ok(())
    }
}
