//! How a text is written, in numbers.

use memchr::memchr_iter;
use unicode_script::{Script, UnicodeScript};

use super::chars;
use super::links::{Link, LinkKind};
use super::normalize::{Disguise, Normalized};
use crate::domain::BlindSubmission;

/// Words looked at for the share of distinct ones. Bounds the work on long texts; the first
/// words of a repetitive text are as repetitive as the rest.
const DISTINCT_WORDS_MAX: usize = 512;
/// Bits of the filter behind that share; 512 words collide in 3 % of cases.
const FILTER_BITS: usize = 8_192;
/// Hosts whose links open a chat.
const MESSENGER_HOSTS: [&str; 12] = [
    "t.me",
    "telegram.me",
    "telegram.dog",
    "wa.me",
    "whatsapp.com",
    "m.me",
    "line.me",
    "vk.me",
    "viber.com",
    "discord.gg",
    "signal.me",
    "wechat.com",
];
/// Words for money next to a number.
const CURRENCY_WORDS: [&str; 20] = [
    "usd",
    "eur",
    "gbp",
    "rub",
    "inr",
    "btc",
    "eth",
    "usdt",
    "dollar",
    "dollars",
    "euro",
    "euros",
    "pound",
    "pounds",
    "rupees",
    "rubles",
    "bitcoin",
    "bitcoins",
    "руб",
    "рублей",
];
/// BBCode tags that forums know.
const BBCODE_TAGS: [&str; 16] = [
    "url", "link", "img", "b", "i", "u", "s", "size", "color", "font", "quote", "code", "center",
    "list", "email", "youtube",
];

/// How many letters of each script there are.
#[derive(Default)]
pub struct ScriptTally(Vec<(Script, u32)>);

impl ScriptTally {
    /// Counts a letter.
    pub fn add(&mut self, script: Script) {
        match self.0.iter_mut().find(|(known, _)| *known == script) {
            Some((_, count)) => *count += 1,
            None => self.0.push((script, 1)),
        }
    }

    /// How many letters were counted.
    pub fn letter_count(&self) -> u32 {
        self.0.iter().map(|(_, count)| count).sum()
    }

    /// The script of most letters, of equals the one that came first; letters that several scripts
    /// have say nothing.
    pub fn main(&self) -> Option<Script> {
        let own =
            |(script, _): &&(Script, u32)| !matches!(script, Script::Common | Script::Inherited);
        self.0.iter().rev().filter(own).max_by_key(|(_, count)| *count).map(|(script, _)| *script)
    }
}

/// Counts over the comment as it was written, unless they say otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Counts {
    /// Characters.
    pub char_count: u32,
    /// Letters of any script.
    pub letter_count: u32,
    /// Capital letters.
    pub uppercase_count: u32,
    /// Letters that have a capital form or are one: shouting needs those.
    pub cased_count: u32,
    /// Decimal digits.
    pub digit_count: u32,
    /// Characters that are no letter, digit, mark, white space, emoji or invisible.
    pub punctuation_count: u32,
    /// Emoji.
    pub emoji_count: u32,
    /// Bidi controls that force a direction.
    pub bidi_control_count: u32,
    /// Invisible characters of any kind, genuine uses included; `disguise` has the others.
    pub invisible_count: u32,
    /// What normalisation undid.
    pub disguise: Disguise,
    /// Length of the longest run of one character, white space aside.
    pub repeat_max: u32,
    /// Lines.
    pub line_count: u32,
    /// Words of the normalised text.
    pub word_count: u32,
    /// Bytes of the longest normalised word outside links, scripts without spaces aside.
    pub word_bytes_max: u32,
    /// Share of distinct words, 0–1, among the first 512; 1 without words.
    pub distinct_word_ratio: f32,
    /// BBCode tags, opening and closing.
    pub bbcode_tag_count: u32,
    /// HTML tags, opening and closing.
    pub html_tag_count: u32,
    /// Links as HTML anchors.
    pub html_link_count: u32,
    /// Links in BBCode.
    pub bbcode_link_count: u32,
    /// E-mail addresses that were masked.
    pub masked_address_count: u32,
    /// Numbers that look like a telephone's.
    pub phone_count: u32,
    /// Amounts of money.
    pub money_count: u32,
    /// `@name` and links that open a chat.
    pub handle_count: u32,
    /// The script of most letters, if there are any.
    pub main_script: Option<Script>,
}

impl Counts {
    /// Counts a submission's comment.
    pub fn new(submission: &BlindSubmission, normalized: &Normalized, links: &[Link<'_>]) -> Self {
        let text = submission.text.as_str();
        let mut counts = Self {
            disguise: normalized.disguise,
            masked_address_count: submission.masked_address_count,
            distinct_word_ratio: 1.0,
            line_count: 1 + memchr_iter(b'\n', text.as_bytes()).count() as u32,
            html_tag_count: html_tag_count(text),
            bbcode_tag_count: bbcode_tag_count(text),
            handle_count: handle_count(text),
            ..Self::default()
        };
        if text.is_ascii() {
            counts.characters_ascii(text.as_bytes());
        } else {
            counts.characters(text);
        }
        if counts.digit_count >= PHONE_DIGITS_MIN {
            counts.phone_count = phone_count(text.as_bytes());
        }
        counts.words(normalized);
        for link in links {
            let messenger = |host: &&str| {
                link.host
                    .strip_suffix(*host)
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            };
            counts.html_link_count += u32::from(link.kind == LinkKind::Html);
            counts.bbcode_link_count += u32::from(link.kind == LinkKind::BbCode);
            counts.handle_count += u32::from(MESSENGER_HOSTS.iter().any(messenger));
        }
        counts
    }

    /// One pass for each class: the compiler makes 16 bytes a step of that.
    fn characters_ascii(&mut self, text: &[u8]) {
        let count = |test: fn(&u8) -> bool| text.iter().map(|b| u32::from(test(b))).sum::<u32>();
        self.char_count = text.len() as u32;
        self.uppercase_count = count(u8::is_ascii_uppercase);
        self.letter_count = self.uppercase_count + count(u8::is_ascii_lowercase);
        self.cased_count = self.letter_count;
        self.digit_count = count(u8::is_ascii_digit);
        self.punctuation_count = count(u8::is_ascii_graphic) - self.letter_count - self.digit_count;
        self.main_script = (self.letter_count > 0).then_some(Script::Latin);
        // Runs of three are rare enough to look for them first.
        let pairs = text.iter().zip(text.iter().skip(1));
        let triples = pairs.clone().zip(text.iter().skip(2));
        if !triples.map(|((a, b), c)| a == b && b == c).fold(false, |any, run| any | run) {
            let twins = |(a, b): (&u8, &u8)| a == b && a.is_ascii_graphic();
            self.repeat_max = if text.iter().any(u8::is_ascii_graphic) { 1 } else { 0 };
            self.repeat_max += u32::from(pairs.map(twins).fold(false, |any, twin| any | twin));
            return;
        }
        let mut run_start = 0;
        for i in 0..text.len() {
            if text[i] != text[run_start] {
                run_start = i;
            }
            if text[i].is_ascii_graphic() {
                self.repeat_max = self.repeat_max.max((i - run_start + 1) as u32);
            }
        }
    }

    fn characters(&mut self, text: &str) {
        let mut run = 0;
        let mut last = '\0';
        let mut scripts = ScriptTally::default();
        for c in text.chars() {
            self.char_count += 1;
            run = if c == last { run + 1 } else { 1 };
            last = c;
            if chars::is_space(c) {
                continue;
            }
            self.repeat_max = self.repeat_max.max(run);
            if let Some(letter) = Letter::of(c) {
                self.letter_count += 1;
                self.uppercase_count += u32::from(letter.case == Case::Upper);
                self.cased_count += u32::from(letter.case != Case::None);
                scripts.add(letter.script);
            } else if c.is_numeric() {
                self.digit_count += 1;
            } else if chars::is_invisible(c) {
                self.invisible_count += 1;
                self.bidi_control_count += u32::from(chars::is_bidi_control(c));
            } else if chars::is_emoji(c) {
                self.emoji_count += 1;
            } else if !chars::is_mark(c) {
                self.punctuation_count += 1;
            }
        }
        self.main_script = scripts.main();
    }

    fn words(&mut self, normalized: &Normalized) {
        let mut filter = [0u64; FILTER_BITS / 64];
        let mut distinct = 0;
        let mut after_number = false;
        let text = normalized.text().as_bytes();
        for (i, word) in normalized.words().enumerate() {
            let bytes = word.text.as_bytes();
            if i < DISTINCT_WORDS_MAX {
                let bit = word.hash as usize % FILTER_BITS;
                distinct += 1 - (filter[bit / 64] >> (bit % 64) & 1) as u32;
                filter[bit / 64] |= 1 << (bit % 64);
            }
            if !word.unspaced && !word.in_link {
                self.word_bytes_max = self.word_bytes_max.max(bytes.len() as u32);
            }
            let number = bytes[0].is_ascii_digit();
            let amount = number && has_currency_sign(text, word.position, bytes.len());
            let spelled = after_number && CURRENCY_WORDS.contains(&word.text);
            self.money_count += u32::from(amount || spelled);
            after_number = number && !amount;
        }
        self.word_count = normalized.word_count() as u32;
        if self.word_count > 0 {
            let seen = normalized.word_count().min(DISTINCT_WORDS_MAX);
            self.distinct_word_ratio = distinct as f32 / seen as f32;
        }
    }
}

#[derive(PartialEq, Eq)]
enum Case {
    Upper,
    Lower,
    None,
}

/// What a count wants to know of a letter.
struct Letter {
    case: Case,
    script: Script,
}

impl Letter {
    /// The frequent letters by range, the others by Unicode's tables, which cost 40 ns.
    fn of(c: char) -> Option<Self> {
        let (case, script) = match c as u32 {
            0x61..=0x7A | 0xDF..=0xF6 | 0xF8..=0xFF => (Case::Lower, Script::Latin),
            0x41..=0x5A | 0xC0..=0xD6 | 0xD8..=0xDE => (Case::Upper, Script::Latin),
            0..0x80 => return None,
            0x430..=0x45F => (Case::Lower, Script::Cyrillic),
            0x400..=0x42F => (Case::Upper, Script::Cyrillic),
            0x620..=0x63F | 0x641..=0x64A => (Case::None, Script::Arabic),
            0x4E00..=0x9FFF => (Case::None, Script::Han),
            0xAC00..=0xD7A3 => (Case::None, Script::Hangul),
            _ if !c.is_alphabetic() => return None,
            _ if c.is_uppercase() => (Case::Upper, c.script()),
            _ if c.is_lowercase() => (Case::Lower, c.script()),
            _ => (Case::None, c.script()),
        };
        Some(Self { case, script })
    }
}

/// Whether a currency sign stands right before or after a number, one blank allowed.
fn has_currency_sign(text: &[u8], start: usize, length: usize) -> bool {
    let before = text[..start].strip_suffix(b" ").unwrap_or(&text[..start]);
    let after = &text[start + length..];
    let after = after.strip_prefix(b" ").unwrap_or(after);
    let wide = |bytes: Option<&[u8]>| {
        bytes.is_some_and(|b| matches!(b, [0xE2, 0x82, 0xA0..=0xBF] | [_, 0xC2, 0xA2..=0xA5]))
    };
    before.ends_with(b"$")
        || after.starts_with(b"$")
        || wide(before.len().checked_sub(3).map(|at| &before[at..]))
        || wide(after.get(..3))
        || after.starts_with("£".as_bytes())
        || before == "£".as_bytes()
}

/// HTML tags: `<`, a name, and `>` before the next `<`.
fn html_tag_count(text: &str) -> u32 {
    let bytes = text.as_bytes();
    let tag = |at: &usize| {
        let rest = &bytes[at + 1..];
        let rest = rest.strip_prefix(b"/").unwrap_or(rest);
        let name = rest.iter().take(12).take_while(|b| b.is_ascii_alphanumeric()).count();
        let begins = rest.first().is_some_and(u8::is_ascii_alphabetic);
        let ends = matches!(rest.get(name), Some(b'>' | b' ' | b'/' | b'\n' | b'\t'));
        begins && ends && memchr::memchr2(b'<', b'>', rest).is_some_and(|end| rest[end] == b'>')
    };
    memchr_iter(b'<', bytes).filter(tag).count() as u32
}

/// BBCode tags; `list[i]` is an index and no tag.
fn bbcode_tag_count(text: &str) -> u32 {
    let bytes = text.as_bytes();
    let tag = |at: &usize| {
        let rest = &bytes[at + 1..];
        let index = at.checked_sub(1).is_some_and(|before| bytes[before].is_ascii_alphanumeric());
        if index && !rest.starts_with(b"/") {
            return false;
        }
        let rest = rest.strip_prefix(b"/").unwrap_or(rest);
        let name = rest.iter().take(8).take_while(|b| b.is_ascii_alphabetic()).count();
        matches!(rest.get(name), Some(b']' | b'='))
            && BBCODE_TAGS.iter().any(|tag| rest[..name].eq_ignore_ascii_case(tag.as_bytes()))
    };
    memchr_iter(b'[', bytes).filter(tag).count() as u32
}

/// `@name` with at least three characters, not inside a word.
fn handle_count(text: &str) -> u32 {
    let bytes = text.as_bytes();
    let handle = |at: &usize| {
        let inside = at.checked_sub(1).is_some_and(|before| {
            bytes[before].is_ascii_alphanumeric() || !bytes[before].is_ascii()
        });
        let name = bytes[at + 1..].iter().take(3);
        !inside && name.filter(|b| b.is_ascii_alphanumeric() || **b == b'_').count() == 3
    };
    memchr_iter(b'@', bytes).filter(handle).count() as u32
}

/// Digits of the shortest number with a country code.
const PHONE_DIGITS_MIN: u32 = 8;

/// Telephone numbers (ITU-T E.164): with `+`, 8 to 15 digits; without, 10 to 15, and no date.
fn phone_count(text: &[u8]) -> u32 {
    let mut count = 0;
    let mut at = 0;
    while let Some(start) = text[at..].iter().position(u8::is_ascii_digit).map(|i| at + i) {
        let plus = start > 0 && text[start - 1] == b'+';
        let mut digits = 0;
        let mut gap = 0;
        let mut end = start;
        for (i, byte) in text[start..].iter().enumerate() {
            match byte {
                b'0'..=b'9' => {
                    digits += 1;
                    gap = 0;
                    end = start + i + 1;
                }
                b' ' | b'-' | b'.' | b'(' | b')' if gap < 2 => gap += 1,
                _ => break,
            }
        }
        let date = matches!(&text[start..end], [b'1' | b'2', b'0' | b'9', _, _, b'-' | b'.', ..]);
        let inside = start > 0 && text[start - 1].is_ascii_alphanumeric();
        let digits_min = if plus { PHONE_DIGITS_MIN } else { 10 };
        count += u32::from((digits_min..=15).contains(&digits) && !date && !inside);
        at = end.max(start + 1);
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{RawSubmission, RequiredFields, SiteSecret, Submission};
    use crate::text::{Analysis, hide};

    fn counts(text: &str) -> Counts {
        let raw = RawSubmission { text: text.into(), ..RawSubmission::default() };
        let required = RequiredFields { author: false, email: false };
        let submission = Submission::parse(raw, &required).unwrap_or_else(|_| panic!("{text}"));
        Analysis::new(&hide(submission, &SiteSecret::from_bytes([1; 32]))).counts
    }

    #[test]
    fn characters_are_counted_alike_on_both_paths() {
        let ascii = counts("HELLO you!!!! 12\nx");
        let general =
            Counts { char_count: ascii.char_count, ..counts("HELLO you!!!! 12\nx\u{200B}") };
        assert_eq!(Counts { invisible_count: 0, ..general }, ascii);
        assert_eq!((ascii.uppercase_count, ascii.letter_count, ascii.digit_count), (5, 9, 2));
        assert_eq!((ascii.punctuation_count, ascii.repeat_max, ascii.line_count), (4, 4, 2));
    }

    #[test]
    fn markup_is_counted() {
        let counts = counts(
            "<b>x</b> a < b <3 <a href=\"http://x.com\">y</a> [B]z[/B] [1] [url=y.com]q[/url]",
        );
        assert_eq!((counts.html_tag_count, counts.bbcode_tag_count), (4, 4));
        assert_eq!((counts.html_link_count, counts.bbcode_link_count), (1, 1));
    }

    #[test]
    fn contacts_and_money_are_counted() {
        let counts = counts(
            "Call +49 (30) 1234-5678 or 555.123.4567, write @deal_maker or t.me/deals, \
             earn $500 or 300 € or £20 or 1,000 USD until 2024-10-12 10:30, jane@example.org",
        );
        assert_eq!(counts.phone_count, 2);
        assert_eq!(counts.handle_count, 2);
        assert_eq!(counts.money_count, 4);
        assert_eq!(counts.masked_address_count, 1);
    }

    #[test]
    fn words_and_scripts() {
        assert_eq!(counts("buy buy buy buy").distinct_word_ratio, 0.25);
        assert_eq!(counts("a longest, http://example.com/averyverylongpath").word_bytes_max, 7);
        assert_eq!(counts("Привет, world!").main_script, Some(Script::Cyrillic));
        assert_eq!(counts("漢字かな漢字").main_script, Some(Script::Han));
        assert_eq!(counts("12 👍").main_script, None);
        assert_eq!(counts("👍👍 x").emoji_count, 2);
        assert_eq!(counts("x\u{202E}y").bidi_control_count, 1);
    }
}
