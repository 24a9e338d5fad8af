//! The index of recent content in this process: which texts like this one were lately seen, and
//! what people called them.
//!
//! Texts are near duplicates if their SimHashes (128 bits) differ in at most
//! [`NEAR_DISTANCE_MAX`] bits. Hashes are found by bands (locality-sensitive hashing): two that
//! are near share at least one of 16 bytes in the same place in 96 of 100 cases at the largest
//! distance and in 999 of 1,000 at half of it.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use lru::LruCache;

use crate::domain::{CommentId, ContentPrint, Label, NEAR_DISTANCE_MAX, Neighbours, SiteId};
use crate::moderation::ports::{RecentAnswer, RecentContent, RecentText, StoreError};

/// Bytes of a SimHash, each a band.
const BAND_COUNT: usize = 16;
/// Candidates that are compared in one band, the newest first; floods of one text have one hash,
/// so a band that is fuller than this is under attack.
const CANDIDATE_COUNT_MAX: usize = 128;

/// How much is remembered.
#[derive(Debug, Clone, Copy)]
pub struct RecentOptions {
    /// Different texts of a site; the oldest falls out.
    pub text_count_max: usize,
    /// Different labelled texts of a site, kept longer than the others.
    pub labelled_count_max: usize,
    /// Sites; the one that was not asked for longest is forgotten. A full one takes 1.5 MiB.
    pub site_count_max: usize,
}

impl Default for RecentOptions {
    fn default() -> Self {
        Self { text_count_max: 4_096, labelled_count_max: 4_096, site_count_max: 256 }
    }
}

/// See the module.
///
/// Workload: one look-up and one insertion a comment, some microseconds together.
pub struct MemoryRecent {
    options: RecentOptions,
    sites: Mutex<LruCache<SiteId, SiteTexts>>,
}

/// The texts of one site.
struct SiteTexts {
    all: Window,
    labelled: Window,
}

/// A text of a window, with everything that was the same.
#[derive(Clone, Copy)]
struct Text {
    print: ContentPrint,
    count: u32,
    label: Option<Label>,
    /// The campaign that it is of, if that is known.
    campaign: Option<CommentId>,
    /// When it was labelled: a running number, so that the last word counts.
    labelled_at: u64,
}

/// A bounded number of different texts.
struct Window {
    text_count_max: usize,
    /// Running number of a text to the text; numbers are given in order of first sight.
    texts: VecDeque<Text>,
    first_number: u64,
    by_content: HashMap<u64, u64>,
    bands: Vec<HashMap<u8, VecDeque<u64>>>,
    label_count: u64,
}

impl Window {
    fn new(text_count_max: usize) -> Self {
        Self {
            text_count_max: text_count_max.max(1),
            texts: VecDeque::new(),
            first_number: 0,
            by_content: HashMap::new(),
            bands: (0..BAND_COUNT).map(|_| HashMap::new()).collect(),
            label_count: 0,
        }
    }

    fn text(&self, number: u64) -> Option<&Text> {
        self.texts.get(usize::try_from(number.checked_sub(self.first_number)?).ok()?)
    }

    /// Adds a text, or counts it again.
    fn add(&mut self, text: RecentText) {
        let RecentText { print, campaign, label, .. } = text;
        let labelled_at = self.next_label(label);
        if let Some(number) = self.by_content.get(&print.content_hash).copied()
            && let Some(text) = self.texts.get_mut((number - self.first_number) as usize)
        {
            text.count = text.count.saturating_add(1);
            text.campaign = text.campaign.or(campaign);
            if label.is_some() {
                (text.label, text.labelled_at) = (label, labelled_at);
            }
            return;
        }
        if self.texts.len() == self.text_count_max {
            self.forget_oldest();
        }
        let number = self.first_number + self.texts.len() as u64;
        self.texts.push_back(Text { print, count: 1, label, campaign, labelled_at });
        self.by_content.insert(print.content_hash, number);
        if print.comparable {
            for (band, byte) in self.bands.iter_mut().zip(print.simhash.to_le_bytes()) {
                band.entry(byte).or_default().push_back(number);
            }
        }
    }

    /// Labels a text of the window; whether it is there.
    fn set_label(&mut self, content_hash: u64, label: Label) -> bool {
        let labelled_at = self.next_label(Some(label));
        let number = self.by_content.get(&content_hash).copied();
        let text = number.and_then(|n| self.texts.get_mut((n - self.first_number) as usize));
        match text {
            Some(text) => {
                (text.label, text.labelled_at) = (Some(label), labelled_at);
                true
            }
            None => false,
        }
    }

    fn next_label(&mut self, label: Option<Label>) -> u64 {
        self.label_count += u64::from(label.is_some());
        self.label_count
    }

    fn forget_oldest(&mut self) {
        let Some(text) = self.texts.pop_front() else { return };
        let number = self.first_number;
        self.first_number += 1;
        self.by_content.remove(&text.print.content_hash);
        if text.print.comparable {
            for (band, byte) in self.bands.iter_mut().zip(text.print.simhash.to_le_bytes()) {
                // Numbers stand in order, so the oldest is in front.
                if let Some(numbers) = band.get_mut(&byte)
                    && numbers.front() == Some(&number)
                {
                    numbers.pop_front();
                }
            }
        }
    }

    /// Calls `found` with each text that is the same or near, and its distance, once each.
    fn each_near(&self, print: &ContentPrint, mut found: impl FnMut(&Text, u32)) {
        let same = self.by_content.get(&print.content_hash).copied();
        if let Some(text) = same.and_then(|number| self.text(number)) {
            found(text, 0);
        }
        if !print.comparable {
            return;
        }
        let mine = print.simhash.to_le_bytes();
        for (position, (band, byte)) in self.bands.iter().zip(mine).enumerate() {
            let Some(numbers) = band.get(&byte) else { continue };
            for number in numbers.iter().rev().take(CANDIDATE_COUNT_MAX) {
                let Some(text) = self.text(*number).filter(|_| Some(*number) != same) else {
                    continue;
                };
                let difference = text.print.simhash ^ print.simhash;
                // An earlier band that agrees has shown this text already.
                let shown = difference.to_le_bytes()[..position].contains(&0);
                if !shown && difference.count_ones() <= NEAR_DISTANCE_MAX {
                    found(text, difference.count_ones());
                }
            }
        }
    }
}

impl SiteTexts {
    fn new(options: &RecentOptions) -> Self {
        Self {
            all: Window::new(options.text_count_max),
            labelled: Window::new(options.labelled_count_max),
        }
    }

    fn insert(&mut self, text: RecentText) {
        self.all.add(text);
        if text.label.is_some() {
            self.labelled.add(text);
        }
    }

    fn set_label(&mut self, print: ContentPrint, campaign: Option<CommentId>, label: Label) {
        for window in [&mut self.all, &mut self.labelled] {
            if !window.set_label(print.content_hash, label) {
                window.add(RecentText { print, comment: None, campaign, label: Some(label) });
            }
        }
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
        let mut nearest: Option<(u32, u64)> = None;
        self.labelled.each_near(print, |text, distance| {
            let newer = |at| text.labelled_at > at;
            let better = nearest.is_none_or(|(d, at)| distance < d || distance == d && newer(at));
            if better {
                nearest = Some((distance, text.labelled_at));
                neighbours.label = text.label;
                neighbours.label_exact = text.print.content_hash == print.content_hash;
            }
        });
        neighbours
    }
}

impl MemoryRecent {
    /// An index that has seen nothing.
    pub fn new(options: RecentOptions) -> Self {
        let sites = NonZeroUsize::new(options.site_count_max).unwrap_or(NonZeroUsize::MIN);
        Self { options, sites: Mutex::new(LruCache::new(sites)) }
    }

    /// Whether anything of the site is in memory.
    pub(super) fn knows(&self, site: &SiteId) -> bool {
        self.sites().contains(site)
    }

    /// Puts a site into memory as a whole, in place of what was there: its texts and its labelled
    /// texts, each oldest first.
    pub(super) fn refill(
        &self,
        site: &SiteId,
        recent: impl Iterator<Item = RecentText>,
        labelled: impl Iterator<Item = RecentText>,
    ) {
        let mut texts = SiteTexts::new(&self.options);
        recent.for_each(|text| texts.insert(text));
        for RecentText { print, campaign, label, .. } in labelled {
            if let Some(label) = label {
                texts.set_label(print, campaign, label);
            }
        }
        self.sites().put(site.clone(), texts);
    }

    /// The sites that are remembered at most.
    pub(super) fn site_count_max(&self) -> usize {
        self.options.site_count_max
    }

    /// The neighbours of a text, if anything of the site is in memory.
    pub(super) fn look(&self, site: &SiteId, print: &ContentPrint) -> Option<Neighbours> {
        self.sites().get(site).map(|texts| texts.neighbours(print))
    }

    /// As [`RecentContent::insert`].
    pub(super) fn insert_now(&self, site: &SiteId, text: RecentText) {
        self.with_site(site, |texts| texts.insert(text));
    }

    /// As [`RecentContent::set_label`].
    pub(super) fn set_label_now(&self, site: &SiteId, print: ContentPrint, label: Label) {
        self.with_site(site, |texts| texts.set_label(print, None, label));
    }

    /// As [`RecentContent::forget_site`].
    pub(super) fn forget(&self, site: &SiteId) {
        self.sites().pop(site);
    }

    fn sites(&self) -> MutexGuard<'_, LruCache<SiteId, SiteTexts>> {
        self.sites.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_site<T>(&self, site: &SiteId, work: impl FnOnce(&mut SiteTexts) -> T) -> T {
        let mut sites = self.sites();
        if let Some(texts) = sites.get_mut(site) {
            return work(texts);
        }
        let mut texts = SiteTexts::new(&self.options);
        let result = work(&mut texts);
        sites.put(site.clone(), texts);
        result
    }
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
