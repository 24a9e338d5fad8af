//! Whether a word mixes scripts, and in which of them it is really written.

use crate::text::confusables::{self, Family};

/// Which scripts a word's letters are of.
#[derive(Default)]
pub struct WordShape {
    /// Latin letters.
    pub latin: u32,
    /// Latin letters without a Cyrillic twin.
    pub latin_firm: u32,
    /// Letters of the other families.
    pub foreign: u32,
    /// Of these, letters no reader can tell from ASCII ones.
    pub foreign_exact: u32,
    /// Letters that no reader takes for ASCII ones.
    pub foreign_firm: u32,
    /// Of these, letters that look like none.
    pub foreign_unfoldable: u32,
    /// The families of `foreign`, as bits.
    pub families: u8,
    /// Changes between Latin and the others.
    switch_count: u32,
    starts_latin: bool,
}

impl WordShape {
    /// The shape of a word with its capitals.
    pub fn of(word: &[char]) -> Self {
        let mut shape = Self::default();
        let mut last = None;
        for c in word {
            let Some(family) = confusables::family(*c) else { continue };
            let latin = family == Family::Latin;
            if last.is_none() {
                shape.starts_latin = latin;
            }
            shape.switch_count += u32::from(last.is_some_and(|last| last != latin));
            last = Some(latin);
            if latin {
                shape.latin += 1;
                shape.latin_firm += u32::from(confusables::cyrillic_twin(*c).is_none());
                continue;
            }
            shape.foreign += 1;
            shape.families |= family.bit();
            match confusables::likeness(*c) {
                Some(confusables::Likeness::Exact(_)) => shape.foreign_exact += 1,
                Some(confusables::Likeness::Near(_)) => shape.foreign_firm += 1,
                None => {
                    shape.foreign_firm += 1;
                    shape.foreign_unfoldable += 1;
                }
            }
        }
        shape
    }

    /// A Latin stem with an ending of another script (`iPhoneом`), or a single Greek letter
    /// before a Latin word (`βcarotene`): written in good faith.
    pub fn is_compound(&self) -> bool {
        let ending = self.starts_latin && self.latin >= 2 && self.foreign_firm > 0;
        let symbol =
            !self.starts_latin && self.foreign == 1 && self.families == Family::Greek.bit();
        self.switch_count == 1 && (ending || symbol)
    }
}
