//! Copies of examples as a spammer would disguise them, to measure and to train with.
//!
//! Spam and ham are disguised alike: a model that saw tricks in spam only would learn the trick,
//! and flag honest people who like styled letters. A copy is a pure function of the example, the
//! kind and a seed, whatever the order.

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::domain::Example;
use crate::text::find_links;

/// A way to disguise a comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Perturbation {
    /// Letters of another script that look the same.
    LookAlike,
    /// Letters in a decorative style: mathematical, fullwidth, circled, small capitals.
    Styled,
    /// Invisible characters inside words.
    ZeroWidth,
    /// Letters of a word with spaces between.
    Spaced,
    /// Letters of a word with dots, dashes or stars between.
    Dotted,
    /// Digits and signs for letters.
    Leet,
    /// `[dot]` and `(at)` in addresses.
    Dot,
    /// Accents on letters that have none.
    Accented,
    /// Without any link, in the text or beside it.
    LinkFree,
    /// A picture in place of the text, on the way to the same link. For trials alone.
    ImageOnly,
}

/// Share of words that are disguised: drawn for each comment, from a few words to all.
const WORD_SHARE: (f64, f64) = (0.25, 1.0);
/// Share of the letters in a disguised word.
const LETTER_SHARE: (f64, f64) = (0.3, 1.0);
/// The seed of the copies that are trained on: another than that of trials.
const COPY_SEED: u64 = 0x636F_7079;
/// Shorter words don't pay the spammer.
const WORD_CHARACTERS_MIN: usize = 3;

#[rustfmt::skip]
const LOOK_ALIKES: [(char, &str); 28] = [
    ('a', "аα"), ('b', "Ьƅ"), ('c', "сϲ"), ('d', "ԁ"), ('e', "еҽ"), ('g', "ɡ"), ('h', "һ"), ('i', "іι"),
    ('j', "ј"), ('k', "к"), ('l', "ӏ"), ('n', "ո"), ('o', "оο"), ('p', "рρ"), ('s', "ѕ"), ('t', "т"),
    ('u', "υս"), ('v', "ν"), ('w', "ԝ"), ('x', "х"), ('y', "у"),
    // And the other way round, for Russian.
    ('а', "a"), ('е', "e"), ('о', "o"), ('р', "p"), ('с', "c"), ('у', "y"), ('х', "x"),
];
#[rustfmt::skip]
const LEET: [(char, &str); 9] = [
    ('a', "4@"), ('e', "3"), ('i', "1!"), ('l', "1"), ('o', "0"), ('s', "5$"), ('t', "7"),
    ('о', "0"), ('з', "3"),
];
#[rustfmt::skip]
const ACCENTS: [(char, &str); 10] = [
    ('a', "áàäâåã"), ('c', "çć"), ('e', "éèëêē"), ('i', "íìïî"), ('n', "ñń"), ('o', "óòöôõø"),
    ('s', "šś"), ('u', "úùüû"), ('y', "ýÿ"), ('z', "žź"),
];
const SMALL_CAPITALS: &str = "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘǫʀꜱᴛᴜᴠᴡxʏᴢ";
const INVISIBLE: [char; 6] = ['\u{200B}', '\u{200C}', '\u{200D}', '\u{2060}', '\u{FEFF}', '\u{AD}'];
const SEPARATORS: [char; 5] = ['.', '-', '*', '_', '·'];
const DOTS: [&str; 6] = ["[dot]", "(dot)", " [dot] ", " (dot) ", " dot ", "[.]"];
const ATS: [&str; 4] = ["(at)", "[at]", " (at) ", " at "];
/// Where people who have no server put their pictures.
const IMAGE_HOSTS: [&str; 4] = ["i.imgur.com", "i.postimg.cc", "i.ibb.co", "images2.imgbox.com"];
const IMAGE_ENDINGS: [&str; 3] = ["jpg", "png", "webp"];

impl Perturbation {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 10] = [
        Self::LookAlike,
        Self::Styled,
        Self::ZeroWidth,
        Self::Spaced,
        Self::Dotted,
        Self::Leet,
        Self::Accented,
        Self::Dot,
        Self::LinkFree,
        Self::ImageOnly,
    ];

    /// How many of them, from the first, are trained on: a picture leaves nothing to learn from.
    const COPY_KIND_COUNT: usize = 9;

    /// The name in reports and options.
    pub fn name(self) -> &'static str {
        match self {
            Self::LookAlike => "look-alike",
            Self::Styled => "styled",
            Self::ZeroWidth => "zero-width",
            Self::Spaced => "spaced",
            Self::Dotted => "dotted",
            Self::Leet => "leet",
            Self::Accented => "accented",
            Self::Dot => "dot",
            Self::LinkFree => "link-free",
            Self::ImageOnly => "image-only",
        }
    }

    /// A disguised copy; nothing where the trick finds nothing to work on.
    pub fn copy(self, example: &Example, seed: u64) -> Option<Example> {
        let seed = xxh3_64_with_seed(example.text.as_bytes(), seed ^ (self as u64) << 32);
        let chance = &mut Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut copy = example.clone();
        copy.text = match self {
            Self::Dot => spell_dots(&example.text, chance),
            Self::LinkFree => {
                copy.url = None;
                cut_links(&example.text)
            }
            Self::ImageOnly => image(&example.text, chance),
            _ => self.disguise(&example.text, chance),
        };
        let same = copy.text == example.text && copy.url == example.url;
        (!same && !copy.text.trim().is_empty()).then_some(copy)
    }

    /// A copy disguised in a way that the text decides, to train on; and whether it should be
    /// without the author's fields, which is as good as a throw of the dice.
    pub fn any_copy(example: &Example) -> Option<(Example, bool)> {
        let hash = xxh3_64_with_seed(example.text.as_bytes(), COPY_SEED);
        let kinds = &Self::ALL[..Self::COPY_KIND_COUNT];
        let (before, after) = kinds.split_at((hash >> 32) as usize % kinds.len());
        let kinds = after.iter().chain(before);
        // The first that finds something to disguise.
        let copy = kinds.filter_map(|kind| kind.copy(example, COPY_SEED)).next();
        Some((copy?, hash & 1 == 0))
    }

    /// Disguises words outside of links: those have to work.
    fn disguise(self, text: &str, chance: &mut impl Rng) -> String {
        let word_share = chance.gen_range(WORD_SHARE.0..WORD_SHARE.1);
        let habit = chance.r#gen::<u32>() as usize;
        let mut out = String::with_capacity(text.len() * 2);
        let mut done = 0;
        let links = find_links(text).into_iter().map(|link| link.span);
        for link in links.chain(std::iter::once(text.len()..text.len())) {
            let start = link.start.max(done);
            for chunk in text[done..start].split_inclusive(char::is_whitespace) {
                let word = chunk.trim_matches(|c: char| !c.is_alphanumeric());
                let long = word.chars().count() >= WORD_CHARACTERS_MIN;
                let markup = chunk.contains(['<', '>', '[', ']', '=']);
                if !long || markup || !chance.gen_bool(word_share) {
                    out.push_str(chunk);
                    continue;
                }
                let at = word.as_ptr() as usize - chunk.as_ptr() as usize;
                out.push_str(&chunk[..at]);
                self.disguise_word(word, habit, chance, &mut out);
                out.push_str(&chunk[at + word.len()..]);
            }
            done = link.end.max(start);
            out.push_str(&text[start..done]);
        }
        out
    }

    /// Disguises one word. `habit` is what a comment does in all of its words.
    fn disguise_word(self, word: &str, habit: usize, chance: &mut impl Rng, out: &mut String) {
        let letter_share = chance.gen_range(LETTER_SHARE.0..LETTER_SHARE.1);
        let mut before = None;
        for c in word.chars() {
            let inside = before.is_some_and(char::is_alphabetic) && c.is_alphabetic();
            match self {
                Self::LookAlike => out.push(twin(&LOOK_ALIKES, c, letter_share, chance)),
                Self::Leet => out.push(twin(&LEET, c, letter_share, chance)),
                Self::Accented => out.push(twin(&ACCENTS, c, letter_share, chance)),
                Self::Styled => out.push(styled(c, habit)),
                Self::ZeroWidth => {
                    if inside && chance.gen_bool(letter_share) {
                        out.push(INVISIBLE[chance.gen_range(0..INVISIBLE.len())]);
                    }
                    out.push(c);
                }
                Self::Spaced | Self::Dotted => {
                    if inside && is_spelt(c) {
                        let separator = SEPARATORS[habit % SEPARATORS.len()];
                        out.push(if self == Self::Spaced { ' ' } else { separator });
                    }
                    out.push(c);
                }
                Self::Dot | Self::LinkFree | Self::ImageOnly => out.push(c),
            }
            before = Some(c);
        }
    }
}

/// Whether a letter is of a script that is spelt letter by letter.
fn is_spelt(c: char) -> bool {
    (c as u32) < 0x590
}

/// A letter's stand-in from a table, for this share of letters. Case stays where it can.
fn twin(table: &[(char, &str)], c: char, share: f64, chance: &mut impl Rng) -> char {
    let small = c.to_lowercase().next().unwrap_or(c);
    let Some((_, twins)) = table.iter().find(|(letter, _)| *letter == small) else { return c };
    if !chance.gen_bool(share) {
        return c;
    }
    let count = twins.chars().count();
    let twin = twins.chars().nth(chance.gen_range(0..count)).unwrap_or(c);
    let mut capital = twin.to_uppercase();
    match (c == small, capital.next(), capital.next()) {
        (false, Some(capital), None) => capital,
        _ => twin,
    }
}

/// A letter in one of several styles.
fn styled(c: char, habit: usize) -> char {
    /// Where A and a stand: mathematical bold, bold italic, script, sans-serif bold, double-struck,
    /// monospace, fullwidth, circled. All have their letters in one row.
    const STYLES: [(u32, u32); 8] = [
        (0x1D400, 0x1D41A),
        (0x1D468, 0x1D482),
        (0x1D4D0, 0x1D4EA),
        (0x1D5D4, 0x1D5EE),
        (0x1D63C, 0x1D656),
        (0x1D670, 0x1D68A),
        (0xFF21, 0xFF41),
        (0x24B6, 0x24D0),
    ];
    /// Where the digit 0 of the same styles stands.
    const DIGITS: [u32; 8] = [0x1D7CE, 0x1D7CE, 0x30, 0x1D7EC, 0x1D7D8, 0x1D7F6, 0xFF10, 0x30];
    let style = habit % (STYLES.len() + 1);
    if let (Some(digit), Some(zero)) = (c.to_digit(10), DIGITS.get(style)) {
        return char::from_u32(zero + digit).unwrap_or(c);
    }
    if !c.is_ascii_alphabetic() {
        return c;
    }
    let offset = u32::from(c.to_ascii_lowercase() as u8 - b'a');
    match STYLES.get(style) {
        Some((capital, small)) => {
            let first = if c.is_ascii_uppercase() { *capital } else { *small };
            char::from_u32(first + offset).unwrap_or(c)
        }
        None => SMALL_CAPITALS.chars().nth(offset as usize).unwrap_or(c),
    }
}

/// Spells the dots of links and the @ of addresses as words.
fn spell_dots(text: &str, chance: &mut impl Rng) -> String {
    let dot = DOTS[chance.gen_range(0..DOTS.len())];
    let at = ATS[chance.gen_range(0..ATS.len())];
    let mut out = String::with_capacity(text.len() + 16);
    let mut done = 0;
    for link in find_links(text) {
        out.push_str(&text[done..link.span.start]);
        done = link.span.end;
        let address = &text[link.span.clone()];
        let scheme = address.find("://").map_or(0, |at| at + 3);
        let path = address[scheme..].find(['/', '?', '#']).map_or(address.len(), |at| at + scheme);
        out.push_str(&address[scheme..path].replace('.', dot));
        out.push_str(&address[path..]);
    }
    out.push_str(&text[done..]);
    let addresses = crate::text::find_addresses(&out);
    for span in addresses.into_iter().rev() {
        let spelt = out[span.clone()].replace('@', at).replace('.', dot);
        out.replace_range(span, &spelt);
    }
    out
}

/// A picture in place of the text, in one of four ways to write it, and leading to the text's
/// first link. With a link, every second picture is on its host; else it is where pictures are.
fn image(text: &str, chance: &mut impl Rng) -> String {
    const LETTERS: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let links = find_links(text);
    let link = links.first().map(|link| &text[link.span.clone()]);
    let own = links.first().map(|link| link.host.as_str()).filter(|_| chance.gen_bool(0.5));
    let host = own.unwrap_or(IMAGE_HOSTS[chance.gen_range(0..IMAGE_HOSTS.len())]);
    let letter = |_| char::from(LETTERS[chance.gen_range(0..LETTERS.len())]);
    let name: String = (0..7).map(letter).collect();
    let ending = IMAGE_ENDINGS[chance.gen_range(0..IMAGE_ENDINGS.len())];
    let address = format!("https://{host}/{name}.{ending}");
    match (chance.gen_range(0..4), link) {
        (0, None) => format!("<img src=\"{address}\">"),
        (0, Some(link)) => format!("<a href=\"{link}\"><img src=\"{address}\"></a>"),
        (1, None) => format!("![]({address})"),
        (1, Some(link)) => format!("[![]({address})]({link})"),
        (2, None) => format!("[img]{address}[/img]"),
        (2, Some(link)) => format!("[url={link}][img]{address}[/img][/url]"),
        (_, None) => address,
        (_, Some(link)) => format!("{address}\n{link}"),
    }
}

/// The text without its links and their markup; what they show stays.
fn cut_links(text: &str) -> String {
    let links = find_links(text);
    if links.is_empty() {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for link in links {
        out.push_str(&text[done..link.span.start.max(done)]);
        done = link.span.end.max(done);
    }
    out.push_str(&text[done..]);
    for (open, close) in [("<a", '>'), ("</a", '>'), ("[url", ']'), ("[/url", ']'), ("[link", ']')]
        .into_iter()
        .chain([("[/link", ']'), ("](", ')')])
    {
        cut_marks(&mut out, open, close);
    }
    out
}

/// Cuts everything from `open`, in any case, to the next `close`.
fn cut_marks(text: &mut String, open: &str, close: char) {
    let mut rest = text.as_str();
    let mut out = String::with_capacity(text.len());
    while let Some(start) = rest.to_ascii_lowercase().find(open) {
        let Some(length) = rest[start..].find(close) else { break };
        out.push_str(&rest[..start]);
        rest = &rest[start + length + close.len_utf8()..];
    }
    out.push_str(rest);
    *text = out;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::normalize;

    fn example(text: &str) -> Example {
        Example { text: text.into(), ..Example::default() }
    }

    fn copy(kind: Perturbation, text: &str) -> Option<String> {
        kind.copy(&example(text), 1).map(|copy| copy.text)
    }

    const TEXT: &str =
        "Nobody expects cheap casino bonuses here, but visit http://casino.example/a";

    #[test]
    fn a_copy_is_a_function_of_example_kind_and_seed() {
        for kind in Perturbation::ALL {
            let first = copy(kind, TEXT);
            assert!(first.as_deref().is_some_and(|first| first != TEXT), "{kind:?}");
            assert_eq!(copy(kind, TEXT), first, "{kind:?}");
        }
        let any = |text: &str| Perturbation::any_copy(&example(text));
        assert!(any(TEXT).is_some_and(|(copy, _)| copy.text != TEXT) && any("加").is_none());
        let other = Perturbation::Leet.copy(&example(TEXT), 2).unwrap().text;
        assert_ne!(copy(Perturbation::Leet, TEXT), Some(other));
    }

    #[test]
    fn links_work_on_unless_they_are_the_point() {
        for kind in Perturbation::ALL {
            let copied = copy(kind, TEXT).unwrap();
            let whole = copied.contains("http://casino.example/a");
            assert_eq!(whole, !matches!(kind, Perturbation::Dot | Perturbation::LinkFree));
        }
        let spelt = copy(Perturbation::Dot, "www.example.com/a.b or jo@example.org").unwrap();
        assert!(!spelt.contains("example.com") && spelt.contains("/a.b"), "{spelt}");
        assert!(!spelt.contains('@') && !spelt.contains("example.org"), "{spelt}");
    }

    #[test]
    fn link_free_is_without_address_and_markup() {
        for (text, expected) in [
            ("see http://a.example/b now", "see  now"),
            ("<a href=\"http://a.example\">cheap pills</a>!", "cheap pills!"),
            ("[URL=http://a.example]cheap[/URL] pills", "cheap pills"),
            ("[cheap](http://a.example/x) pills", "[cheap pills"),
        ] {
            assert_eq!(copy(Perturbation::LinkFree, text).as_deref(), Some(expected));
        }
        let with_url = Example { url: Some("a.example".into()), ..example("Nice.") };
        let copied = Perturbation::LinkFree.copy(&with_url, 1).unwrap();
        assert_eq!((copied.text.as_str(), copied.url), ("Nice.", None));
    }

    #[test]
    fn a_picture_says_nothing_and_leads_to_the_same_link() {
        for seed in 0..20 {
            let copied = Perturbation::ImageOnly.copy(&example(TEXT), seed).unwrap().text;
            assert!(copied.contains("http://casino.example/a") && !copied.contains("cheap"));
            let copied = Perturbation::ImageOnly.copy(&example("Nice."), seed).unwrap().text;
            assert_eq!(find_links(&copied).len(), 1, "{copied}");
        }
    }

    #[test]
    fn what_has_nothing_to_disguise_has_no_copy() {
        assert_eq!(copy(Perturbation::LinkFree, "Nice."), None);
        assert_eq!(copy(Perturbation::LookAlike, "加微信"), None);
        assert_eq!(copy(Perturbation::Dot, "Nice."), None);
        assert_eq!(copy(Perturbation::LinkFree, "http://a.example"), None);
    }

    #[test]
    fn a_reader_reads_the_same() {
        let text = "cheap casino bonuses for everybody";
        for kind in [Perturbation::Styled, Perturbation::ZeroWidth] {
            assert_eq!(normalize(&copy(kind, text).unwrap()).text(), text, "{kind:?}");
        }
    }
}
