//! Text as a reader reads it, whatever characters it was written in.
//!
//! Compatibility forms are unified (NFKC: fullwidth, mathematical bold, circled, ligatures),
//! styled letters become plain, invisible characters and piles of combining marks go, white
//! space shrinks to single spaces, letters become small, and look-alikes of other scripts are
//! folded inside words where they can only be a disguise. Genuine Cyrillic, Greek and CJK stay.
//!
//! Each word keeps the byte range it came from, so that what weighed can be shown in the
//! original. ASCII texts, most of the traffic, take a path of their own.

mod builder;
mod known_words;
mod spelt;
mod word_shape;

use std::ops::Range;

use builder::Builder;

use super::links::Link;

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
    /// Words with two decorative letters or more.
    pub styled_word_count: u32,
    /// Of these, words with a digit in them.
    pub styled_name_count: u32,
    /// Words with letters of Latin and of a script with Latin look-alikes.
    pub mixed_script_word_count: u32,
}

/// Where a word stands, in both texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Word {
    text: (u32, u32),
    span: (u32, u32),
    hash: u64,
    unspaced: bool,
    in_link: bool,
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
    /// XXH3 of `text`, for all who count or compare words.
    pub hash: u64,
    /// Whether its script puts no spaces between words, so that it is more than one word.
    pub unspaced: bool,
    /// Whether it is part of a link's address.
    pub in_link: bool,
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

    /// Notes which words are part of these links, which are in order and of the same text.
    pub fn mark_links(&mut self, links: &[Link<'_>]) {
        let mut links = links.iter().peekable();
        for word in &mut self.words {
            let (start, end) = (word.span.0 as usize, word.span.1 as usize);
            while links.next_if(|link| link.span.end <= start).is_some() {}
            word.in_link = links.peek().is_some_and(|link| link.span.start < end);
        }
    }

    /// The words in order.
    pub fn words(&self) -> impl ExactSizeIterator<Item = Token<'_>> + Clone {
        self.words.iter().map(|word| Token {
            text: &self.text[word.text.0 as usize..word.text.1 as usize],
            position: word.text.0 as usize,
            span: word.span.0 as usize..word.span.1 as usize,
            hash: word.hash,
            unspaced: word.unspaced,
            in_link: word.in_link,
        })
    }
}

/// Normalises a text of at most 4 GiB. Normalising the result again changes nothing.
pub fn normalize(text: &str) -> Normalized {
    let mut builder = Builder::new(text);
    if text.is_ascii() {
        builder.push_ascii(text);
    } else {
        builder.push_general(text);
    }
    let mut normalized = builder.finish();
    spelt::join(&mut normalized);
    normalized
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
            ("C a s i n o bonus", "casino bonus"),
            ("b u y  n o w!", "buy now!"),
            ("m a k e m o n e y", "make money"),
            ("f.r.e.e c-a-s-h да, к·а·з·и·н·о", "free cash да, казино"),
            ("the U.S.A., e.g. J. R. Smith", "the usa., e.g. j. r. smith"),
            ("а я и ты, plan a or b", "а я и ты, plan a or b"),
            ("a@е.о.с.о$о", "aaeocoso"),
            ("τa@AAβ", "τa@aaβ"),
            ("\u{FF9E}'о.е.a.", "oea."),
            ("C@sino ca$h V!agra $5 ok!", "casino cash viagra $5 ok!"),
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
            2 => "([a-cесо][ .·@!$]{1,2}){1,5}",
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
            let mut general = general.finish();
            spelt::join(&mut general);
            prop_assert_eq!(general, normalize(&text));
        }
    }
}
