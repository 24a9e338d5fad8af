//! A bounded number of different texts, among which near duplicates of a text are found.
//!
//! Texts are near duplicates if their SimHashes (128 bits) differ in at most
//! [`NEAR_DISTANCE_MAX`] bits. Hashes are found by bands (locality-sensitive hashing): two that
//! are near share at least one of 16 bytes in the same place in 96 of 100 cases at the largest
//! distance and in 999 of 1,000 at half of it.

use std::collections::{HashMap, VecDeque};

use lru::LruCache;

use crate::domain::{CommentId, ContentPrint, Label, NEAR_DISTANCE_MAX};
use crate::moderation::ports::RecentText;

/// Bytes of a SimHash, each a band.
const BAND_COUNT: usize = 16;
/// Candidates that are compared in one band, the newest first; floods of one text have one hash,
/// so a band that is fuller than this is under attack.
const CANDIDATE_COUNT_MAX: usize = 128;

/// A text of a window, with everything that was the same.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text {
    pub(super) print: ContentPrint,
    pub(super) count: u32,
    pub(super) label: Option<Label>,
    /// The campaign that it is of, if that is known.
    pub(super) campaign: Option<CommentId>,
    /// When it was labelled: a running number, so that the last word counts.
    pub(super) labelled_at: u64,
    /// When it came in or was refreshed: a running number; the smallest falls out.
    turn: u64,
}

/// See the module. What falls out is what neither came in nor was refreshed for longest.
///
/// Workload: some thousand texts of 200 bytes with their bands. An insertion is 16 appends; a
/// refreshment takes a text out of 16 short lists, each found by halving.
pub(super) struct Window {
    texts: Vec<Text>,
    text_count_max: usize,
    /// Places in `texts` by content hash, with what falls out next at the end.
    places: LruCache<u64, u32>,
    /// For each byte of each band the places of texts with it, ordered by turn.
    bands: Vec<HashMap<u8, VecDeque<u32>>>,
    last_turn: u64,
    label_count: u64,
}

impl Window {
    pub(super) fn new(text_count_max: usize) -> Self {
        Self {
            texts: Vec::new(),
            text_count_max: text_count_max.max(1),
            places: LruCache::unbounded(),
            bands: (0..BAND_COUNT).map(|_| HashMap::new()).collect(),
            last_turn: 0,
            label_count: 0,
        }
    }

    /// How many texts it has.
    pub(super) fn len(&self) -> usize {
        self.texts.len()
    }

    /// Adds a text, or counts it again, which keeps it no longer.
    pub(super) fn add(&mut self, text: RecentText) {
        let RecentText { print, campaign, label, .. } = text;
        let labelled_at = self.next_label(label);
        if let Some(text) = self.text_mut(print.content_hash) {
            text.count = text.count.saturating_add(1);
            text.campaign = text.campaign.or(campaign);
            if label.is_some() {
                (text.label, text.labelled_at) = (label, labelled_at);
            }
            return;
        }
        self.last_turn += 1;
        let turn = self.last_turn;
        let text = Text { print, count: 1, label, campaign, labelled_at, turn };
        let place = if self.texts.len() < self.text_count_max {
            self.texts.push(text);
            (self.texts.len() - 1) as u32
        } else {
            let Some((_, place)) = self.places.pop_lru() else { return };
            self.leave_bands(place);
            self.texts[place as usize] = text;
            place
        };
        self.places.push(print.content_hash, place);
        self.enter_bands(place);
    }

    /// Labels a text of the window; whether it is there.
    pub(super) fn set_label(&mut self, content_hash: u64, label: Label) -> bool {
        let labelled_at = self.next_label(Some(label));
        let Some(text) = self.text_mut(content_hash) else { return false };
        (text.label, text.labelled_at) = (Some(label), labelled_at);
        true
    }

    /// Keeps a text of the window as if it had just come in. The order of labels stays.
    pub(super) fn refresh(&mut self, content_hash: u64) {
        let Some(place) = self.places.get(&content_hash).copied() else { return };
        if self.texts[place as usize].turn == self.last_turn {
            return;
        }
        self.leave_bands(place);
        self.last_turn += 1;
        self.texts[place as usize].turn = self.last_turn;
        self.enter_bands(place);
    }

    /// The labelled text that is nearest, the one labelled last if several are as near.
    pub(super) fn nearest_label(&self, print: &ContentPrint) -> Option<Text> {
        let mut nearest: Option<(u32, Text)> = None;
        self.each_near(print, |text, distance| {
            let better = nearest.is_none_or(|(d, found)| {
                distance < d || distance == d && text.labelled_at > found.labelled_at
            });
            if better && text.label.is_some() {
                nearest = Some((distance, *text));
            }
        });
        nearest.map(|(_, text)| text)
    }

    /// Calls `found` with each text that is the same or near, and its distance, once each.
    pub(super) fn each_near(&self, print: &ContentPrint, mut found: impl FnMut(&Text, u32)) {
        let same = self.places.peek(&print.content_hash).copied();
        if let Some(place) = same {
            found(&self.texts[place as usize], 0);
        }
        if !print.comparable {
            return;
        }
        let mine = print.simhash.to_le_bytes();
        for (position, (band, byte)) in self.bands.iter().zip(mine).enumerate() {
            let Some(places) = band.get(&byte) else { continue };
            for place in places.iter().rev().take(CANDIDATE_COUNT_MAX) {
                if Some(*place) == same {
                    continue;
                }
                let text = &self.texts[*place as usize];
                let difference = text.print.simhash ^ print.simhash;
                // An earlier band that agrees has shown this text already.
                let shown = difference.to_le_bytes()[..position].contains(&0);
                if !shown && difference.count_ones() <= NEAR_DISTANCE_MAX {
                    found(text, difference.count_ones());
                }
            }
        }
    }

    fn text_mut(&mut self, content_hash: u64) -> Option<&mut Text> {
        self.places.peek(&content_hash).map(|place| &mut self.texts[*place as usize])
    }

    fn next_label(&mut self, label: Option<Label>) -> u64 {
        self.label_count += u64::from(label.is_some());
        self.label_count
    }

    /// Puts the text with the last turn at the end of its lists.
    fn enter_bands(&mut self, place: u32) {
        let print = self.texts[place as usize].print;
        if print.comparable {
            for (band, byte) in self.bands.iter_mut().zip(print.simhash.to_le_bytes()) {
                band.entry(byte).or_default().push_back(place);
            }
        }
    }

    fn leave_bands(&mut self, place: u32) {
        let Text { print, turn, .. } = self.texts[place as usize];
        if print.comparable {
            for (band, byte) in self.bands.iter_mut().zip(print.simhash.to_le_bytes()) {
                let Some(places) = band.get_mut(&byte) else { continue };
                let turn_of = |place: &u32| self.texts[*place as usize].turn;
                if let Ok(found) = places.binary_search_by_key(&turn, turn_of) {
                    places.remove(found);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn print(number: u64) -> ContentPrint {
        // Half of the bits of any two numbers differ.
        let half = |n: u64| (n + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29) ^ (n << 7);
        let simhash = u128::from(half(number)) << 64 | u128::from(half(number ^ 0x5555));
        ContentPrint { content_hash: number, simhash, comparable: !number.is_multiple_of(5) }
    }

    fn labelled(number: u64) -> RecentText {
        let label = Some(Label::Spam);
        RecentText { print: print(number), comment: None, campaign: None, label }
    }

    /// What is in the window, what falls out next first; and that its parts say the same.
    fn contents(window: &Window) -> Vec<u64> {
        assert_eq!(window.texts.len(), window.places.len());
        let by_use: Vec<u64> = window.places.iter().map(|(hash, _)| *hash).rev().collect();
        let mut by_turn: Vec<_> =
            window.texts.iter().map(|text| (text.turn, text.print.content_hash)).collect();
        by_turn.sort_unstable();
        assert_eq!(by_use, by_turn.iter().map(|(_, hash)| *hash).collect::<Vec<_>>());
        for (position, band) in window.bands.iter().enumerate() {
            let turn = |place: &u32| window.texts[*place as usize].turn;
            assert!(band.values().all(|places| places.iter().is_sorted_by_key(turn)));
            let has = |text: &&Text| text.print.comparable;
            let count = band.values().map(VecDeque::len).sum::<usize>();
            assert_eq!(count, window.texts.iter().filter(has).count(), "band {position}");
        }
        by_use
    }

    proptest! {
        /// Against a plain list of what was used last.
        #[test]
        fn the_longest_unused_falls_out(steps in prop::collection::vec((0..3u8, 0..24u64), 1..200)) {
            let (mut window, mut list) = (Window::new(8), Vec::new());
            for (kind, number) in steps {
                let known = list.contains(&number);
                match kind {
                    0 => window.add(labelled(number)),
                    1 => prop_assert_eq!(window.set_label(number, Label::Ham), known),
                    _ => window.refresh(number),
                }
                if known && kind == 2 {
                    list.retain(|one| *one != number);
                    list.push(number);
                } else if !known && kind == 0 {
                    list.push(number);
                    list.drain(..list.len().saturating_sub(8));
                }
                prop_assert_eq!(&contents(&window), &list);
            }
        }
    }

    #[test]
    fn refreshing_changes_nothing_of_what_was_said_last() {
        let mut window = Window::new(8);
        let near = |bit: u32| ContentPrint {
            content_hash: 100 + u64::from(bit),
            simhash: print(1).simhash ^ 1 << bit,
            comparable: true,
        };
        for (bit, label) in [(3, Label::Spam), (90, Label::Ham)] {
            let label = Some(label);
            window.add(RecentText { print: near(bit), comment: None, campaign: None, label });
        }
        window.refresh(103);
        let nearest = window.nearest_label(&print(1)).unwrap();
        assert_eq!((nearest.print.content_hash, nearest.label), (190, Some(Label::Ham)));
    }
}
