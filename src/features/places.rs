//! Where in a submission the tokens of a name stand, so that what weighed can be shown in place.
//!
//! Only explanations need this, so it is worked out from the analysis afterwards and costs
//! scoring nothing.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::ops::Range;

use super::links::words;
use super::names::cut;
use super::phrases;
use super::words::UNSPACED_RUN;
use crate::text::{Analysis, Normalized};

/// Places kept of one name: a word that stands there more often is shown often enough.
const PLACE_COUNT_MAX: usize = 64;

/// A field of the form that can be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    /// The comment.
    Text,
    /// The author's name.
    Author,
    /// The author's website.
    Url,
}

impl Field {
    /// The field's path in the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "comment.text",
            Self::Author => "comment.author",
            Self::Url => "comment.url",
        }
    }
}

/// A part of a field of a submission; ordered as the form and its text are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The field.
    pub field: Field,
    /// Its bytes.
    pub span: Range<usize>,
}

impl Ord for Place {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |place: &Self| (place.field, place.span.start, place.span.end);
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// What a name speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Group {
    /// Words and symbols of the comment.
    Words,
    /// What turns of phrase are for.
    Phrases,
    /// Links in the comment.
    Links,
    /// The author's name.
    Name,
    /// The author's website.
    Website,
    /// The shape and domain of the author's address.
    AddressShape,
    /// How the comment is written: lengths, shares, counts.
    Style,
    /// How the comment fits its page.
    Page,
    /// What the checks found.
    Signals,
}

impl Group {
    /// All groups.
    pub const ALL: [Self; 9] = [
        Self::Words,
        Self::Phrases,
        Self::Links,
        Self::Name,
        Self::Website,
        Self::AddressShape,
        Self::Style,
        Self::Page,
        Self::Signals,
    ];

    /// The kebab-case name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Words => "words",
            Self::Phrases => "phrases",
            Self::Links => "links",
            Self::Name => "name",
            Self::Website => "website",
            Self::AddressShape => "address-shape",
            Self::Style => "style",
            Self::Page => "page",
            Self::Signals => "signals",
        }
    }

    /// The group of a name, such as `word` and `casino`.
    pub fn of(kind: &str, value: &str) -> Self {
        match kind {
            "word" | "symbol" => Self::Words,
            // Two words; a number by itself is how many there are.
            "words" if value.contains(' ') => Self::Words,
            "host" | "domain" | "tld" | "path" | "anchor" | "link" | "link-count"
            | "link-share" => Self::Links,
            "signal" => Self::Signals,
            _ if kind.starts_with("phrase") => Self::Phrases,
            _ if ["link-", "host-", "anchor-"].iter().any(|it| kind.starts_with(it)) => Self::Links,
            "title-words" => Self::Page,
            _ if kind.starts_with("name") => Self::Name,
            _ if kind.starts_with("website") => Self::Website,
            _ if kind.starts_with("email") => Self::AddressShape,
            _ => Self::Style,
        }
    }
}

/// Where the names of one comment stand.
#[derive(Debug, Clone, Default)]
pub struct Places(HashMap<(&'static str, String), Vec<Place>>);

impl Places {
    /// Finds the places of all that a comment's features can be named after. Work is linear in the
    /// comment's length.
    pub fn new(analysis: &Analysis<'_>) -> Self {
        let mut places = Self::default();
        places.add_words(&analysis.text);
        places.add_chunks(&analysis.text);
        places.add_symbols(&analysis.submission.text);
        places.add_phrases(&analysis.text);
        for link in &analysis.links {
            let place = || Place { field: Field::Text, span: link.span.clone() };
            for (kind, value) in
                [("host", link.host.as_str()), ("domain", link.registered_domain())]
            {
                places.add(kind, value, place());
            }
            places.add("tld", link.tld(), place());
            for word in words(link.path) {
                places.add("path", &word, place());
            }
            for word in words(link.anchor_text.unwrap_or_default()) {
                places.add("anchor", &word, place());
            }
        }
        for word in analysis.author.words() {
            places.add("name", word.text, Place { field: Field::Author, span: word.span });
        }
        if let Some(website) = &analysis.website {
            let place = || Place { field: Field::Url, span: website.span.clone() };
            places.add("website-host", &website.host, place());
            places.add("website-tld", website.tld(), place());
            for word in words(&website.host).chain(words(website.path)) {
                places.add("website-word", &word, place());
            }
        }
        places
    }

    /// The places of a name, in order; none if it speaks of the comment as a whole.
    pub fn of(&self, kind: &str, value: &str) -> &[Place] {
        // The kinds with places are few and fixed.
        let kind = KINDS.into_iter().find(|known| *known == kind);
        kind.and_then(|kind| self.0.get(&(kind, value.to_owned()))).map_or(&[], Vec::as_slice)
    }

    fn add(&mut self, kind: &'static str, value: &str, place: Place) {
        let places = self.0.entry((kind, cut(value).to_owned())).or_default();
        if places.len() < PLACE_COUNT_MAX && places.last() != Some(&place) {
            places.push(place);
        }
    }

    /// Words, runs of unspaced ones, and pairs.
    fn add_words(&mut self, text: &Normalized) {
        let mut before: Option<(&str, usize)> = None;
        for word in text.words() {
            let place = Place { field: Field::Text, span: word.span.clone() };
            if word.unspaced {
                let mut bounds: Vec<usize> = word.text.char_indices().map(|(at, _)| at).collect();
                bounds.push(word.text.len());
                for length in UNSPACED_RUN.0..=UNSPACED_RUN.1 {
                    for run in bounds.windows(length + 1) {
                        self.add("word", &word.text[run[0]..run[length]], place.clone());
                    }
                }
                before = None;
                continue;
            }
            self.add("word", word.text, place);
            if let Some((first, start)) = before {
                let pair = [cut(first), " ", cut(word.text)].concat();
                let span = start..word.span.end;
                self.add_whole("words", pair, Place { field: Field::Text, span });
            }
            before = Some((word.text, word.span.start));
        }
    }

    fn add_whole(&mut self, kind: &'static str, value: String, place: Place) {
        let places = self.0.entry((kind, value)).or_default();
        if places.len() < PLACE_COUNT_MAX {
            places.push(place);
        }
    }

    /// What stands between spaces: the runs of characters are named after that.
    fn add_chunks(&mut self, text: &Normalized) {
        let mut words = text.words().peekable();
        let mut start = 0;
        for chunk in text.text().split(' ') {
            let end = start + chunk.len();
            let mut span: Option<Range<usize>> = None;
            while let Some(word) = words.next_if(|word| word.position < end) {
                let first = span.map_or(word.span.start, |span| span.start);
                span = Some(first..word.span.end);
            }
            let value = chunk.trim_matches(|c: char| c.is_ascii_punctuation());
            if let Some(span) = span {
                self.add("word", value, Place { field: Field::Text, span });
            }
            start = end + 1;
        }
    }

    /// Turns of phrase, by the words that they are made of.
    fn add_phrases(&mut self, text: &Normalized) {
        let mut words = text.words().peekable();
        phrases::each(text.text(), |group, place| {
            while words.next_if(|word| word.position + word.text.len() <= place.start).is_some() {}
            let mut span: Option<Range<usize>> = None;
            while let Some(word) = words.next_if(|word| word.position < place.end) {
                let first = span.map_or(word.span.start, |span| span.start);
                span = Some(first..word.span.end);
            }
            if let Some(span) = span {
                self.add("phrase", group, Place { field: Field::Text, span });
            }
        });
    }

    /// Symbols that are written in the original as they are named.
    fn add_symbols(&mut self, text: &str) {
        let letter = |c: char| c.is_alphanumeric() || c.is_whitespace();
        for (start, symbol) in text.char_indices().filter(|(_, c)| !c.is_ascii() && !letter(*c)) {
            let span = start..start + symbol.len_utf8();
            self.add("symbol", symbol.encode_utf8(&mut [0; 4]), Place { field: Field::Text, span });
        }
        let mut start = 0;
        for part in text.split(|c: char| !c.is_ascii_punctuation()) {
            let span = start..start + part.len();
            if !part.is_empty() {
                self.add("symbol", &part[..part.len().min(4)], Place { field: Field::Text, span });
            }
            start +=
                part.len() + text[start + part.len()..].chars().next().map_or(0, char::len_utf8);
        }
    }
}

/// The kinds of names that have places.
const KINDS: [&str; 13] = [
    "phrase",
    "word",
    "words",
    "symbol",
    "host",
    "domain",
    "tld",
    "path",
    "anchor",
    "name",
    "website-host",
    "website-tld",
    "website-word",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{BlindSubmission, RawSubmission, RequiredFields, SiteSecret, Submission};
    use crate::features::{FeatureBuilder, Names};
    use crate::text::hide;

    fn blind(text: &str, author: &str, url: &str) -> Option<BlindSubmission> {
        let raw = RawSubmission {
            text: text.into(),
            author: author.into(),
            url: url.into(),
            ..RawSubmission::default()
        };
        let optional = RequiredFields { author: false, email: false };
        let submission = Submission::parse(raw, &optional).ok()?;
        Some(hide(submission, &SiteSecret::from_bytes([1; 32])))
    }

    #[test]
    fn names_are_found_where_they_are_written() {
        let text = "Buy C a s i n o chips, well-known!! 加微信 at https://win.example.com/bonus ☎";
        let submission = blind(text, "Best Casino", "https://win.example.net/x").unwrap();
        let analysis = Analysis::new(&submission);
        let places = Places::new(&analysis);
        let shown = |kind, value| -> Vec<&str> {
            let places = places.of(kind, value).iter();
            places
                .map(|place| match place.field {
                    Field::Text => &submission.text[place.span.clone()],
                    Field::Author => &submission.author.as_deref().unwrap()[place.span.clone()],
                    Field::Url => &submission.url.as_deref().unwrap()[place.span.clone()],
                })
                .collect()
        };
        assert_eq!(shown("word", "casino"), ["C a s i n o"]);
        assert_eq!(shown("words", "buy casino"), ["Buy C a s i n o"]);
        assert_eq!(shown("word", "well-known"), ["well-known"]);
        assert_eq!(shown("word", "微信"), ["加微信"]);
        assert_eq!(shown("phrase", "trade"), ["C a s i n o"]);
        assert_eq!(shown("host", "win.example.com"), ["https://win.example.com/bonus"]);
        assert_eq!(shown("path", "bonus"), ["https://win.example.com/bonus"]);
        assert_eq!(shown("symbol", "☎"), ["☎"]);
        assert_eq!(shown("symbol", "!!"), ["!!"]);
        assert_eq!(shown("name", "casino"), ["Casino"]);
        assert_eq!(shown("website-host", "win.example.net"), ["https://win.example.net/x"]);
        assert!(places.of("length", "50").is_empty());
    }

    #[test]
    fn phrases_with_accents_are_found_where_they_are_written() {
        let text =
            "Schöne Grüße ☎ — vi\u{302}sít m\u{302}y šîtë x\u{302}! Bèst prïçe, für Ïhr CÂSINØ.";
        let submission = blind(text, "", "").unwrap();
        let places = Places::new(&Analysis::new(&submission));
        let shown = |value| -> Vec<&str> {
            places.of("phrase", value).iter().map(|it| &submission.text[it.span.clone()]).collect()
        };
        assert_eq!(shown("visit-mine"), ["vi\u{302}sít m\u{302}y"]);
        assert_eq!(shown("sells"), ["Bèst prïçe"]);
        assert_eq!(shown("trade"), ["CÂSINØ"]);
    }

    #[test]
    fn every_word_that_weighs_has_a_place() {
        let submission =
            blind("Don't buy it; it's over-priced, 5,000 of it. 加微信abc", "", "").unwrap();
        let analysis = Analysis::new(&submission);
        let places = Places::new(&analysis);
        let mut names = Names::default();
        FeatureBuilder::default().build_named(&analysis, [].iter(), &mut names);
        for (index, _) in names.runs() {
            let (kind, value) = names.name(index);
            if Group::of(kind, value) == Group::Words && value.contains(char::is_alphanumeric) {
                assert!(!places.of(kind, value).is_empty(), "{kind}:{value}");
            }
        }
    }

    proptest! {
        #[test]
        fn places_are_slices_of_their_field(text in "\\PC{1,80}", author in "\\PC{0,20}") {
            let Some(submission) = blind(&text, &author, "") else { return Ok(()) };
            let places = Places::new(&Analysis::new(&submission));
            for place in places.0.values().flatten() {
                let field = match place.field {
                    Field::Text => &submission.text,
                    Field::Author => submission.author.as_ref().unwrap(),
                    Field::Url => submission.url.as_ref().unwrap(),
                };
                prop_assert!(field.get(place.span.clone()).is_some_and(|part| !part.is_empty()));
            }
        }
    }
}
