//! Signals and tokens to hashed features, for serving and training alike: there is no second way.
//!
//! Pure functions of one comment. Work is linear in its length; buffers are reused, so serving
//! without explanation allocates next to nothing.

mod author;
mod collector;
mod fold;
mod given_names;
mod hosts;
mod links;
mod names;
mod phrases;
mod places;
mod shape;
mod vector;
mod words;

use crate::domain::Signal;
use crate::text::Analysis;

use collector::{Collector, Seen};
use names::Naming;

pub use names::Names;
pub use places::{Field, Group, Place, Places};
pub use vector::FeatureVector;

/// Buckets that features are hashed into. 2^18 cost 1–2 points of recall on sources never seen,
/// 2^20 under one against 2^22 (November 2026).
pub const BUCKET_COUNT: u32 = 1 << 20;

/// Names what features are built of. A model records it and is refused under another; change it
/// whenever a comment's features change.
pub const FEATURE_DEFINITION: &str = "2026-11-12";

/// Features of one kind, scaled together: a long comment's words don't drown its links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Family {
    /// Words and pairs of words.
    Words = 1,
    /// Runs of two to five characters.
    Characters = 2,
    /// Where the comment links to.
    Links = 3,
    /// Words of the author's name and website, the domain of the address.
    Author = 4,
    /// How the comment is written: lengths, scripts, shares of character classes.
    Shape = 5,
    /// What checks found that the model weighs itself, and how the comment fits its page.
    Signals = 6,
    /// What turns of phrase are for.
    Phrases = 7,
    /// How name, website and address are written, and how they fit each other and the text.
    AuthorForm = 8,
}

impl Family {
    /// The length of the family's part of a vector.
    pub fn weight(self) -> f32 {
        1.0
    }
}

/// All that features are built from.
struct Input<'a> {
    analysis: &'a Analysis<'a>,
}

/// Builds feature vectors. One for each thread; it keeps its buffers.
#[derive(Debug, Clone, Default)]
pub struct FeatureBuilder {
    vector: FeatureVector,
    seen: Seen,
    scratch: Vec<u8>,
    bounds: words::Bounds,
    fold: fold::Fold,
}

impl FeatureBuilder {
    /// The features of a comment, until the next one is built. `learnt` are the signals that the
    /// model weighs.
    pub fn build<'s>(
        &mut self,
        analysis: &Analysis<'_>,
        learnt: impl Iterator<Item = &'s Signal>,
    ) -> &FeatureVector {
        self.run(&Input { analysis }, learnt, ())
    }

    /// The same features, with their names.
    pub fn build_named<'s>(
        &mut self,
        analysis: &Analysis<'_>,
        learnt: impl Iterator<Item = &'s Signal>,
        names: &mut Names,
    ) -> &FeatureVector {
        names.clear();
        self.run(&Input { analysis }, learnt, names)
    }

    fn run<'s>(
        &mut self,
        input: &Input<'_>,
        learnt: impl Iterator<Item = &'s Signal>,
        names: impl Naming,
    ) -> &FeatureVector {
        let mut out = Collector::new(&mut self.vector, &mut self.seen, names);
        words::add_words(input, &mut out, &mut self.bounds, &mut self.fold);
        words::add_characters(input, &mut out, &mut self.scratch, &mut self.bounds, &mut self.fold);
        links::add(input, &mut out);
        author::add(input, &mut out);
        shape::add(input, &mut out);
        add_signals(input, learnt, &mut out);
        phrases::add(input, &mut out, &mut self.fold);
        out.finish();
        &self.vector
    }
}

/// Counts the signals that the model weighs, and how the text fits the page's title.
fn add_signals<'s, N: Naming>(
    input: &Input<'_>,
    learnt: impl Iterator<Item = &'s Signal>,
    out: &mut Collector<'_, N>,
) {
    const SIGNAL: u8 = 1;
    const PAGE: u8 = 2;
    out.family(Family::Signals);
    for signal in learnt {
        out.named("signal", SIGNAL, signal.name.as_str());
    }
    if let Some(title) = &input.analysis.submission.page_title {
        let shared = links::words(title)
            .filter(|word| word.len() > 3)
            .filter(|word| input.analysis.text.text().contains(word.as_str()));
        out.named("title-words", PAGE, band(shared.count() as u32));
    }
}

/// The band that a count falls into: exact while small, then by doubling.
fn band(count: u32) -> &'static str {
    match count {
        0 => "0",
        1 => "1",
        2 => "2",
        3 => "3",
        4 => "4",
        5..=6 => "5",
        7..=9 => "7",
        10..=14 => "10",
        15..=24 => "15",
        25..=49 => "25",
        50..=99 => "50",
        100..=199 => "100",
        200..=399 => "200",
        400..=999 => "400",
        1_000..=2_999 => "1000",
        _ => "3000",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{
        BlindSubmission, LogOdds, RawSubmission, RequiredFields, SignalName, SiteSecret, Submission,
    };
    use crate::text::hide;

    fn blind(text: &str, author: &str, email: &str, url: &str) -> Option<BlindSubmission> {
        let raw = RawSubmission {
            text: text.into(),
            author: author.into(),
            email: email.into(),
            url: url.into(),
            page_title: "Baking bread at home".into(),
            ..RawSubmission::default()
        };
        let optional = RequiredFields { author: false, email: false };
        let submission = Submission::parse(raw, &optional).ok()?;
        Some(hide(submission, &SiteSecret::from_bytes([1; 32])))
    }

    fn signal(name: &'static str) -> Signal {
        let name = SignalName::new(name);
        Signal { name, weight: LogOdds::ZERO, detail: String::new() }
    }

    /// Comments that touch every family and every way of writing.
    fn golden() -> Vec<BlindSubmission> {
        let sea = "Buy now!!! <a href=\"http://shop.example.co.uk/pills?x=1\">cheap pills</a> $500";
        [
            ("Does this bread keep for two days?", "Jane Doe", "jane.doe1@example.org", ""),
            (sea, "BEST pills 24", "sales@example.co.uk", "http://pills.example.co.uk/buy"),
            ("加微信abc123 看片, 很好!", "", "", ""),
            ("𝐁𝐮𝐲 ca\u{200B}sino Привет 👍👍 @somebody", "Ўжо", "", "https://example.com"),
            ("[url=http://a.example.org]x[/url] http://b.example.net.", "", "", ""),
            ("Bést pricè at my wêbsite, câsinò!", "", "", ""),
            ("V1sit my 5hop, se11ing n0w: m a k e m o n e y", "", "", ""),
            ("A long walk home in the rain", "rèm cửa giá rẻ", "", "http://rem.example.com/a"),
            ("Pictures here", "Henrytub", "", ""),
            ("Pictures there", "http://pics.example.com/1", "", ""),
            ("τa@AAβ \u{FF9E}'о.е.a.", "", "", ""),
            ("<a href='http://deals&#46;example.net/x'>more</a> http://%65xample.net", "", "", ""),
        ]
        .iter()
        .map(|(text, author, email, url)| blind(text, author, email, url).expect("valid"))
        .collect()
    }

    /// The definition is what it says: whoever changes what a comment's features are must give
    /// it a new name here, and train the bundled model again.
    #[test]
    fn a_definition_means_the_same_features_for_ever() {
        let mut builder = FeatureBuilder::default();
        let mut hash = blake3::Hasher::new();
        let learnt = [signal("shouting")];
        for submission in golden() {
            for (bucket, value) in
                builder.build(&Analysis::new(&submission), learnt.iter()).entries()
            {
                hash.update(&bucket.to_le_bytes());
                hash.update(&value.to_le_bytes());
            }
        }
        let pinned = (FEATURE_DEFINITION, hash.finalize().to_hex()[..16].to_owned());
        assert_eq!(pinned, ("2026-11-12", "3d0b6be9423e032d".to_owned()));
    }

    #[test]
    fn every_family_has_unit_length_and_no_bucket_twice() {
        let mut builder = FeatureBuilder::default();
        let submission = &golden()[1];
        let vector = builder.build(&Analysis::new(submission), [signal("shouting")].iter());
        assert_eq!(vector.families().count(), 8);
        for (family, value, buckets) in vector.families() {
            let length = buckets.len() as f32 * value * value;
            assert!((length - family.weight().powi(2)).abs() < 1e-5, "{family:?}");
        }
        let mut buckets: Vec<u32> = vector.entries().map(|(bucket, _)| bucket).collect();
        let count = buckets.len();
        buckets.sort_unstable();
        buckets.dedup();
        assert_eq!((buckets.len(), vector.bucket_count()), (count, count));
    }

    #[test]
    fn names_say_where_a_feature_comes_from() {
        let mut builder = FeatureBuilder::default();
        let mut names = Names::default();
        let submission = &golden()[1];
        let analysis = Analysis::new(submission);
        let count =
            builder.build_named(&analysis, [signal("shouting")].iter(), &mut names).bucket_count();
        assert_eq!(names.runs().map(|(_, run)| run.len()).sum::<usize>(), count);
        let found: Vec<String> = names
            .runs()
            .map(|(name, _)| names.name(name))
            .map(|(kind, value)| format!("{kind}:{value}"))
            .collect();
        for name in [
            "word:pills",
            "words:cheap pills",
            "host:shop.example.co.uk",
            "path:pills",
            "anchor:cheap",
            "name:best",
            "email-domain:example.co.uk",
            "website-host:pills.example.co.uk",
            "signal:shouting",
            "title-words:0",
            "amounts-of-money:1",
            "phrase:sells",
            "phrase-and-deep-website:sells",
            "name-phrase:trade",
            "host-group:other",
            "name-form:1-1",
            "name-form-and-deep-website:1-1",
        ] {
            assert!(found.iter().any(|found| found == name), "{name} in {found:?}");
        }
    }

    #[test]
    fn hosts_of_examples_say_nothing_of_real_ones() {
        let by_host =
            ["host", "domain", "tld", "website-host", "website-tld", "email-domain", "email-tld"];
        let mut builder = FeatureBuilder::default();
        // Two hosts, since a website and an address in one top-level domain count once.
        let mut of = |host: &str, other: &str| {
            let text = format!("see http://{host}/a");
            let address = format!("jo@{other}");
            let submission = blind(&text, "Jo", &address, &format!("http://{host}")).unwrap();
            let mut names = Names::default();
            builder.build_named(&Analysis::new(&submission), [].iter(), &mut names);
            let kinds: Vec<_> = names.runs().map(|(name, _)| names.name(name).0).collect();
            by_host.into_iter().filter(|kind| kinds.contains(kind)).collect::<Vec<_>>()
        };
        assert_eq!(of("mail.shop.co.uk", "shop.de"), by_host);
        assert_eq!(of("mail.shop.example", "shop.test"), Vec::<&str>::new());
        assert_eq!(of("example.com", "example.org"), Vec::<&str>::new());
    }

    proptest! {
        #[test]
        fn any_comment_gives_features_and_the_buffers_leave_no_trace(
            text in "\\PC{1,200}", author in "\\PC{0,40}", url in "(https?://[a-z]{1,9}\\.(com|ru)/\\PC{0,20})?"
        ) {
            let Some(submission) = blind(&text, &author, "", &url) else { return Ok(()) };
            let analysis = Analysis::new(&submission);
            let none: [Signal; 0] = [];
            let mut used = FeatureBuilder::default();
            for other in golden() {
                used.build(&Analysis::new(&other), none.iter());
            }
            let mut names = Names::default();
            let fresh = FeatureBuilder::default().build(&analysis, none.iter()).clone();
            prop_assert_eq!(used.build(&analysis, none.iter()), &fresh);
            prop_assert_eq!(used.build_named(&analysis, none.iter(), &mut names), &fresh);
            let mut end = 0;
            for (name, run) in names.runs() {
                prop_assert!(run.start == end && run.end > end);
                prop_assert!(!names.name(name).0.is_empty());
                end = run.end;
            }
            prop_assert_eq!(end, fresh.bucket_count());
        }
    }
}
