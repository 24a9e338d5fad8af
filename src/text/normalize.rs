//! Text as a reader reads it, whatever characters it was written in.
//!
//! Compatibility forms are unified (NFKC: fullwidth, mathematical bold, circled, ligatures),
//! styled letters become plain, invisible characters and piles of combining marks go, white
//! space shrinks to single spaces, letters become small, and look-alikes of other scripts are
//! folded inside words where they can only be a disguise. Genuine Cyrillic, Greek and CJK stay.
//!
//! Each word keeps the byte range it came from, so that what weighed can be shown in the
//! original. ASCII texts, most of the traffic, take a path of their own.

use std::ops::Range;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::{decompose_canonical, decompose_compatible};

use super::chars::{self, Unspaced};
use super::confusables::{self, Family};

/// Marks kept on one letter. Vietnamese has two on Latin letters, polytonic Greek three;
/// Thai, Hebrew and Arabic stay under five.
const LATIN_MARKS_MAX: usize = 2;
const MARKS_MAX: usize = 4;

/// A normalised text and its words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Normalized {
    text: String,
    words: Vec<Word>,
    /// What was undone on the way.
    pub disguise: Disguise,
}

/// Counts of what normalisation removed or folded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Disguise {
    /// Invisible characters between two letters of Latin, Cyrillic or Greek, where spelling
    /// never needs one.
    pub invisible_count: u32,
    /// Letters with more marks than any spelling puts on them.
    pub pile_count: u32,
    /// Letters of another script that stood for a look-alike.
    pub confusable_count: u32,
    /// Letters in a decorative style: mathematical, fullwidth, circled, small capitals.
    pub styled_count: u32,
    /// Words with letters of Latin and of a script with Latin look-alikes.
    pub mixed_script_word_count: u32,
}

/// Where a word stands, in both texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Word {
    text: (u32, u32),
    span: (u32, u32),
    unspaced: bool,
}

/// One word: letters and digits with inner apostrophes, or a run of a script that is written
/// without spaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token<'a> {
    /// The word in normalised form; never empty.
    pub text: &'a str,
    /// Where it starts in the normalised text.
    pub position: usize,
    /// The bytes of the original that it came from.
    pub span: Range<usize>,
    /// Whether its script puts no spaces between words, so that it is more than one word.
    pub unspaced: bool,
}

impl Normalized {
    /// The normalised text: words and punctuation, single spaces, none at either end.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The number of words.
    pub fn word_count(&self) -> usize {
        self.words.len()
    }

    /// The words in order.
    pub fn words(&self) -> impl ExactSizeIterator<Item = Token<'_>> + Clone {
        self.words.iter().map(|word| Token {
            text: &self.text[word.text.0 as usize..word.text.1 as usize],
            position: word.text.0 as usize,
            span: word.span.0 as usize..word.span.1 as usize,
            unspaced: word.unspaced,
        })
    }
}

/// Normalises a text of at most 4 GiB. Normalising the result again changes nothing.
pub fn normalize(text: &str) -> Normalized {
    let mut builder = Builder::new(text);
    if text.is_ascii() {
        builder.push_ascii(text.as_bytes());
    } else {
        builder.push_general(text);
    }
    builder.finish()
}

/// The normalised text under construction.
struct Builder {
    out: Normalized,
    /// The word under way, with its capitals: case matters for look-alikes.
    word: Vec<char>,
    span: Range<usize>,
    unspaced: Option<Unspaced>,
    /// Families with a letter that nobody takes for an ASCII one, and families with any letter.
    firm: u8,
    present: u8,
}

impl Builder {
    fn new(text: &str) -> Self {
        let out = Normalized {
            text: String::with_capacity(text.len()),
            words: Vec::with_capacity(text.len() / 5 + 1),
            disguise: Disguise::default(),
        };
        Self { out, word: Vec::new(), span: 0..0, unspaced: None, firm: 0, present: 0 }
    }

    /// The fast path: no buffers, no tables beyond one byte class.
    fn push_ascii(&mut self, text: &[u8]) {
        let mut start = None;
        for (i, byte) in text.iter().enumerate() {
            let apostrophe = *byte == b'\'' && start.is_some_and(|start| start < i);
            if byte.is_ascii_alphanumeric()
                || (apostrophe && text.get(i + 1).is_some_and(u8::is_ascii_alphabetic))
            {
                start.get_or_insert(i);
                self.out.text.push(byte.to_ascii_lowercase() as char);
                continue;
            }
            if let Some(start) = start.take() {
                self.note_word(i - start, start..i, false);
            }
            if byte.is_ascii_whitespace() || byte.is_ascii_control() {
                self.push_space();
            } else {
                self.out.text.push(*byte as char);
            }
        }
        if let Some(start) = start {
            self.note_word(text.len() - start, start..text.len(), false);
        }
    }

    fn push_general(&mut self, text: &str) {
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
        let c = if c == '’' { '\'' } else { c };
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
        let follows = c.is_ascii_digit() || inner || !c.is_alphabetic() || chars::is_mark(c);
        let unspaced = if follows { self.unspaced } else { chars::unspaced(c) };
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
        let start = self.out.text.len();
        let lower = self.word.iter().map(|c| confusables::lowered(*c));
        if self.word.iter().any(|c| chars::is_stacking_mark(*c)) {
            // Some pairs of letter and mark have one character in lower case only.
            self.out.text.extend(lower.nfc());
        } else {
            self.out.text.extend(lower);
        }
        self.word.clear();
        let length = self.out.text.len() - start;
        self.note_word(length, self.span.clone(), unspaced.is_some());
        if quote {
            self.out.text.push('\'');
        }
    }

    /// Folds the look-alikes of the word under way to the script that the word is really in.
    fn fold_look_alikes(&mut self) {
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
        if mixed && shape.latin_firm == 0 && shape.foreign_firm > 0 {
            self.replace(confusables::cyrillic_twin);
        } else if alone || (mixed && shape.foreign_unfoldable == 0 && !shape.is_compound()) {
            self.replace(|c| confusables::likeness(c).map(confusables::Likeness::letter));
        }
    }

    /// Replaces letters by their twins, and drops the marks on a word that was disguised.
    fn replace(&mut self, twin: impl Fn(char) -> Option<char>) {
        if self.word.iter().any(|c| chars::is_mark(*c)) {
            self.word.retain(|c| !chars::is_mark(*c));
            self.word = self.word.iter().copied().nfc().collect();
        }
        for c in &mut self.word {
            if let Some(letter) = twin(*c) {
                *c = letter;
                self.out.disguise.confusable_count += 1;
            }
        }
    }

    /// Notes that the last `length` bytes are a word.
    fn note_word(&mut self, length: usize, span: Range<usize>, unspaced: bool) {
        let end = self.out.text.len();
        let narrow = |range: Range<usize>| (range.start as u32, range.end as u32);
        self.out.words.push(Word { text: narrow(end - length..end), span: narrow(span), unspaced });
    }

    fn finish(mut self) -> Normalized {
        if self.out.text.ends_with(' ') {
            self.out.text.pop();
        }
        self.out
    }
}

/// Which scripts a word's letters are of.
#[derive(Default)]
struct WordShape {
    latin: u32,
    /// Latin letters without a Cyrillic twin.
    latin_firm: u32,
    /// Letters of the other families.
    foreign: u32,
    foreign_exact: u32,
    /// Letters that no reader takes for ASCII ones.
    foreign_firm: u32,
    foreign_unfoldable: u32,
    families: u8,
    /// Changes between Latin and the others.
    switch_count: u32,
    starts_latin: bool,
}

impl WordShape {
    fn of(word: &[char]) -> Self {
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
    fn is_compound(&self) -> bool {
        let ending = self.starts_latin && self.latin >= 2 && self.foreign_firm > 0;
        let symbol =
            !self.starts_latin && self.foreign == 1 && self.families == Family::Greek.bit();
        self.switch_count == 1 && (ending || symbol)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(text: &str) -> String {
        normalize(text).text().to_owned()
    }

    #[test]
    fn disguises_fall_and_genuine_scripts_stay() {
        for (text, expected) in [
            ("  Hello,\n\t World! ", "hello, world!"),
            ("Vіаgrа ВUY сheар", "viagra buy cheap"),
            ("𝐁𝐮𝐲 𝓷𝓸𝔀 Ｎｏｗ Ⓒⓐⓢⓗ", "buy now now cash"),
            ("ᴄʜᴇᴀᴘ 🅰🅑", "cheap ab"),
            ("ca\u{200B}si\u{AD}no \u{202E}x\u{202C}", "casino x"),
            ("z\u{300}\u{301}\u{302}\u{303}a\u{316}\u{317}\u{318}lgo", "zalgo"),
            ("Привет, как дела?", "привет, как дела?"),
            ("Пpивeт", "привет"),
            ("кaзинo", "казино"),
            ("Это iPhoneом", "это iphoneом"),
            ("Καλημέρα κόσμε, ας πάμε", "καλημέρα κόσμε, ασ πάμε"),
            ("βcarotene", "βcarotene"),
            ("İstanbul'da ılık", "istanbul'da ılık"),
            ("tiếng Việt", "tiếng việt"),
            ("e\u{301}te\u{301}", "été"),
            ("한국어 각", "한국어 각"),
            ("Don’t 'quote'", "don't 'quote'"),
            ("ﬁve ½", "five 1⁄2"),
        ] {
            assert_eq!(plain(text), expected, "{text}");
        }
    }

    #[test]
    fn words_keep_their_place_in_the_original() {
        let text = "Aé\u{200B}b加微信123ok, it's";
        let normalized = normalize(text);
        let words: Vec<_> =
            normalized.words().map(|word| (word.text, &text[word.span], word.unspaced)).collect();
        assert_eq!(
            words,
            [
                ("aéb", "Aé\u{200B}b", false),
                ("加微信123", "加微信123", true),
                ("ok", "ok", false),
                ("it's", "it's", false)
            ]
        );
    }

    #[test]
    fn counts_what_was_undone() {
        let disguise =
            normalize("vіаgrа c\u{200B}asino 𝐁𝐮𝐲 a\u{300}\u{301}\u{302}\u{303}").disguise;
        assert_eq!(disguise.confusable_count, 3);
        assert_eq!(disguise.mixed_script_word_count, 1);
        assert_eq!(disguise.invisible_count, 1);
        assert_eq!(disguise.styled_count, 3);
        assert_eq!(disguise.pile_count, 1);
        let genuine = normalize("می‌خواهم 👨‍👩‍👧 ❤️ क्‍ष Καλημέρα и Привет");
        assert_eq!(genuine.disguise, Disguise::default());
    }

    fn hostile() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            4 => "[a-zA-Z0-9 .,'’-]{0,6}",
            3 => "[аеорсухіАВЕКМНОРСТУХІвкмнтгшяЯдфЁПИ]{1,3}",
            2 => "[αοΙΟβκτλάᾈςΣ]{1,3}",
            2 => "[\u{300}-\u{320}\u{200B}-\u{200F}\u{AD}\u{FE0F}]{1,5}",
            1 => "[ꓐꓮᎪᎾՕոⲞⲟᴀʙɪ𝐁𝓷Ｎﬁ½㏂🅰ԀԁᏢꮲ]{1,2}",
            1 => "[ᄀ-하-ᅵᆨ-ᆿ각ｶﾞﾟᄒ加微กำา]{1,3}",
            1 => "\\PC{0,4}",
            1 => any::<char>().prop_map(String::from),
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn normalising_twice_is_normalising_once(text in hostile()) {
            let once = plain(&text);
            prop_assert_eq!(plain(&once), once);
        }

        #[test]
        fn spans_are_ordered_slices_of_the_original(text in hostile()) {
            let normalized = normalize(&text);
            let mut end = 0;
            for word in normalized.words() {
                prop_assert!(text.get(word.span.clone()).is_some_and(|slice| !slice.is_empty()));
                prop_assert!(!word.text.is_empty());
                prop_assert!(word.position >= end);
                end = word.position + word.text.len();
            }
        }

        #[test]
        fn both_paths_agree_on_ascii(text in "[ -~\n\t]{0,60}") {
            let mut general = Builder::new(&text);
            general.push_general(&text);
            prop_assert_eq!(general.finish(), normalize(&text));
        }
    }
}
