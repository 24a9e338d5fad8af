//! Builds a normalised text from left to right: clusters of a letter and its marks, then words.

use std::ops::Range;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::{decompose_canonical, decompose_compatible};
use xxhash_rust::xxh3::xxh3_64;

use super::word_shape::WordShape;
use super::{Disguise, Normalized, Word};
use crate::text::chars::{self, Unspaced};
use crate::text::confusables::{self, Family};

/// Marks kept on one letter. Vietnamese has two on Latin letters, polytonic Greek three;
/// Thai, Hebrew and Arabic stay under five.
const LATIN_MARKS_MAX: usize = 2;
const MARKS_MAX: usize = 4;

static DOUBLE_SPACE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("  "));

/// The normalised text under construction.
pub struct Builder {
    out: Normalized,
    /// The word under way, with its capitals: case matters for look-alikes.
    word: Vec<char>,
    span: Range<usize>,
    unspaced: Option<Unspaced>,
    /// Families with a letter that nobody takes for an ASCII one, and families with any letter.
    firm: u8,
    present: u8,
    /// Decorative letters before the word under way.
    styled: u32,
}

impl Builder {
    /// An empty builder for `text`.
    pub fn new(text: &str) -> Self {
        let out = Normalized {
            text: String::with_capacity(text.len()),
            words: Vec::with_capacity(text.len() / 5 + 1),
            disguise: Disguise::default(),
        };
        Self { out, word: Vec::new(), span: 0..0, unspaced: None, firm: 0, present: 0, styled: 0 }
    }

    /// The fast path: no buffers, no tables. Most comments are one line with single spaces, and
    /// are copied whole.
    pub fn push_ascii(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let control = bytes.iter().any(u8::is_ascii_control);
        if control || text.starts_with(' ') || DOUBLE_SPACE.find(bytes).is_some() {
            for byte in bytes {
                if *byte == b' ' || byte.is_ascii_control() {
                    self.push_space();
                } else {
                    self.out.text.push(*byte as char);
                }
            }
        } else {
            self.out.text.push_str(text);
        }
        self.out.text.make_ascii_lowercase();
        self.note_ascii_words(bytes);
    }

    /// Finds the words of an ASCII text, of which `out` has the same ones in small letters.
    fn note_ascii_words(&mut self, text: &[u8]) {
        let mut skipped = 0;
        let mut last_space = true;
        let mut start = None;
        for (i, byte) in text.iter().enumerate() {
            let apostrophe = *byte == b'\'' && start.is_some_and(|start| start < i);
            if byte.is_ascii_alphanumeric()
                || (apostrophe && text.get(i + 1).is_some_and(u8::is_ascii_alphabetic))
            {
                start.get_or_insert(i);
                last_space = false;
                continue;
            }
            if let Some(start) = start.take() {
                self.note_word(start - skipped..i - skipped, start..i, false);
            }
            let space = *byte == b' ' || byte.is_ascii_control();
            skipped += usize::from(space && last_space);
            last_space = space;
        }
        if let Some(start) = start {
            let end = text.len();
            self.note_word(start - skipped..end - skipped, start..end, false);
        }
    }

    /// The path for any text.
    pub fn push_general(&mut self, text: &str) {
        self.survey(text);
        let mut cluster = Vec::new();
        let mut rest = text.char_indices().peekable();
        while let Some((start, c)) = rest.next() {
            let next = rest.peek().map(|(_, next)| *next);
            if chars::is_plain(c) && next.is_none_or(|c| c != '\u{AD}' && chars::is_plain(c)) {
                self.push(c, start..start + c.len_utf8());
                continue;
            }
            cluster.clear();
            let mut end = start + c.len_utf8();
            let mut invisible = u32::from(chars::is_invisible(c));
            self.decompose(c, &mut cluster);
            while let Some((at, next)) = rest.peek().copied() {
                if chars::is_invisible(next) {
                    invisible += 1;
                } else if !chars::joins_previous(next) {
                    break;
                }
                self.decompose(next, &mut cluster);
                end = at + next.len_utf8();
                rest.next();
            }
            if invisible > 0 {
                self.note_invisible(invisible, &text[..start], c, &text[end..]);
            }
            self.push_cluster(&mut cluster, start..end);
        }
        self.end_word();
    }

    /// Notes which scripts the text has, and which of them it has beyond doubt.
    fn survey(&mut self, text: &str) {
        for c in text.chars() {
            if chars::is_plain(c) {
                self.survey_letter(c);
            } else if confusables::unstyled(c).is_some() {
                self.present |= Family::Latin.bit();
            } else {
                decompose_compatible(c, |part| self.survey_letter(part));
            }
        }
    }

    fn survey_letter(&mut self, c: char) {
        let Some(family) = confusables::family(c) else { return };
        self.present |= family.bit();
        if family == Family::Latin || self.firm & family.bit() != 0 {
            return;
        }
        // Marks may fall, so the letter under them counts.
        let mut base = c;
        decompose_canonical(c, |part| base = if chars::is_mark(part) { base } else { part });
        if confusables::likeness(base).is_none() {
            self.firm |= family.bit();
        }
    }

    /// Appends the visible parts of a character to a cluster, without style.
    fn decompose(&mut self, c: char, cluster: &mut Vec<char>) {
        if chars::is_invisible(c) {
            return;
        }
        if let Some(letter) = confusables::unstyled(c) {
            self.out.disguise.styled_count += 1;
            cluster.push(letter);
            return;
        }
        let before = cluster.len();
        decompose_compatible(c, |part| {
            if !chars::is_invisible(part) {
                cluster.push(confusables::unstyled(part).unwrap_or(part));
            }
        });
        let styled = matches!(c as u32, 0x1D400..=0x1D7FF | 0xFF21..=0xFF5A | 0x24B6..=0x24E9
            | 0x1F110..=0x1F149 | 0x2100..=0x214F);
        if styled && cluster[before..].iter().all(char::is_ascii_alphabetic) {
            self.out.disguise.styled_count += 1;
        }
    }

    /// Counts invisible characters between letters of scripts that have no use for them.
    fn note_invisible(&mut self, count: u32, before: &str, first: char, after: &str) {
        let spelled = |c: Option<char>| {
            c.is_some_and(|c| c.is_ascii_digit() || confusables::family(c).is_some())
        };
        let left =
            if chars::is_invisible(first) { before.chars().next_back() } else { Some(first) };
        if spelled(left) && spelled(after.chars().next()) {
            self.out.disguise.invisible_count += count;
        }
    }

    /// Composes a cluster again and appends it. Marks on nothing, and piles of them, go.
    fn push_cluster(&mut self, cluster: &mut Vec<char>, span: Range<usize>) {
        let mut kept = 0;
        let mut at = 0;
        while at < cluster.len() {
            let base = cluster[at];
            let after = cluster[at + 1..].iter().take_while(|c| chars::is_mark(**c));
            let end = at + 1 + after.count();
            let marks_max = match base {
                _ if base.is_ascii_alphanumeric() => LATIN_MARKS_MAX,
                _ if chars::is_mark(base) || !base.is_alphanumeric() => 0,
                _ => MARKS_MAX,
            };
            let pile = end - at - 1 > marks_max;
            self.out.disguise.pile_count += u32::from(pile && marks_max > 0);
            let mut mark_count = 0;
            for i in at..end {
                let c = cluster[i];
                let mark = i > at || chars::is_mark(c);
                mark_count += usize::from(mark && !chars::is_stacking_mark(c));
                if !mark || !pile || (mark_count <= marks_max && !chars::is_stacking_mark(c)) {
                    cluster[kept] = c;
                    kept += 1;
                }
            }
            at = end;
        }
        cluster.truncate(kept);
        for c in cluster.iter().copied().nfc() {
            self.push(c, span.clone());
        }
    }

    /// Appends one character in its final form, but for case and look-alikes.
    fn push(&mut self, c: char, span: Range<usize>) {
        let c = match c {
            '’' => '\'',
            // Its small form has a dot like every i, and must not be taken for two characters.
            'İ' => 'I',
            c => c,
        };
        if self.word.last() == Some(&'\'') && !c.is_alphabetic() {
            self.end_word();
        }
        // An apostrophe belongs to the word if a letter follows, which is seen at the next one.
        let inner = c == '\'' && !self.word.is_empty() && self.unspaced.is_none();
        if !inner && !chars::is_word(c) {
            self.end_word();
            if chars::is_space(c) {
                self.push_space();
            } else {
                self.out.text.push(c);
            }
            return;
        }
        // Marks and digits belong to whatever script they follow.
        let unspaced = match chars::unspaced(c) {
            None if self.unspaced.is_none() => None,
            _ if inner || !c.is_alphabetic() || chars::is_mark(c) => self.unspaced,
            found => found,
        };
        if unspaced != self.unspaced {
            self.end_word();
            self.unspaced = unspaced;
        }
        if self.word.is_empty() {
            self.span = span.clone();
        }
        self.span.end = if inner { self.span.end } else { span.end };
        self.word.push(c);
    }

    fn push_space(&mut self) {
        if !self.out.text.is_empty() && !self.out.text.ends_with(' ') {
            self.out.text.push(' ');
        }
    }

    fn end_word(&mut self) {
        let unspaced = self.unspaced.take();
        let quote = self.word.pop_if(|last| *last == '\'').is_some();
        if self.word.is_empty() {
            return;
        }
        if self.present & !Family::Latin.bit() != 0 {
            self.fold_look_alikes();
        }
        self.note_style();
        let start = self.out.text.len();
        let lower = self.word.iter().map(|c| confusables::lowered(*c));
        if self.word.iter().any(|c| chars::is_stacking_mark(*c)) {
            // Some pairs of letter and mark have one character in lower case only.
            self.out.text.extend(lower.nfc());
        } else {
            self.out.text.extend(lower);
        }
        self.word.clear();
        self.note_word(start..self.out.text.len(), self.span.clone(), unspaced.is_some());
        if quote {
            self.out.text.push('\'');
        }
    }

    /// Notes whether the word under way is in a decorative style.
    fn note_style(&mut self) {
        let disguise = &mut self.out.disguise;
        let styled = disguise.styled_count - self.styled >= 2;
        self.styled = disguise.styled_count;
        disguise.styled_word_count += u32::from(styled);
        let name = styled && self.word.iter().any(char::is_ascii_digit);
        disguise.styled_name_count += u32::from(name);
    }

    /// Folds the look-alikes of the word under way to the script that the word is really in.
    fn fold_look_alikes(&mut self) {
        let families = self.word.iter().filter_map(|c| confusables::family(*c));
        let families = families.fold(0, |set, family| set | family.bit());
        if families & Family::Latin.bit() == 0
            && (families & self.firm != 0 || self.present & Family::Latin.bit() == 0)
        {
            return;
        }
        let shape = WordShape::of(&self.word);
        if shape.foreign == 0 {
            return;
        }
        let mixed = shape.latin > 0;
        if mixed && !shape.is_compound() {
            self.out.disguise.mixed_script_word_count += 1;
        }
        let alone = !mixed
            && shape.foreign_exact == shape.foreign
            && shape.families & self.firm == 0
            && self.present & Family::Latin.bit() != 0;
        let cyrillic = shape.families == Family::Cyrillic.bit();
        if mixed && cyrillic && shape.latin_firm == 0 && shape.foreign_firm > 0 {
            self.replace(confusables::cyrillic_twin);
        } else if alone || (mixed && shape.foreign_unfoldable == 0 && !shape.is_compound()) {
            self.replace(|c| confusables::likeness(c).map(confusables::Likeness::letter));
        }
    }

    /// Replaces letters by their twins, and drops the marks on a word that was disguised; with
    /// them its apostrophes, which may have stood between letters only because of a mark.
    fn replace(&mut self, twin: impl Fn(char) -> Option<char>) {
        if self.word.iter().any(|c| chars::is_mark(*c)) {
            self.word.retain(|c| !chars::is_mark(*c) && *c != '\'');
            self.word = self.word.iter().copied().nfc().collect();
        }
        for c in &mut self.word {
            if let Some(letter) = twin(*c) {
                *c = letter;
                self.out.disguise.confusable_count += 1;
            }
        }
    }

    /// Notes a word, by its place in both texts.
    fn note_word(&mut self, text: Range<usize>, span: Range<usize>, unspaced: bool) {
        let hash = xxh3_64(&self.out.text.as_bytes()[text.clone()]);
        let narrow = |range: Range<usize>| (range.start as u32, range.end as u32);
        self.out.words.push(Word {
            text: narrow(text),
            span: narrow(span),
            hash,
            unspaced,
            in_link: false,
        });
    }

    /// The finished text.
    pub fn finish(mut self) -> Normalized {
        if self.out.text.ends_with(' ') {
            self.out.text.pop();
        }
        self.out
    }
}
