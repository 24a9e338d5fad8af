//! What holds of the parsers for any bytes: one function a parser, which panics if it does not.
//!
//! They are compiled for `cargo fuzz` (see `fuzz/README.md`) and for the tests below, which give
//! them random bytes and the kept corpus.

use crate::classifier::{Model, framed};
use crate::domain::{
    CommentFilter, MASK, RawSubmission, RequiredFields, SiteSecret, Submission, WebhookUri,
};
use crate::features::FeatureBuilder;
use crate::text::{Analysis, find_addresses, find_links, hide, mask_addresses, normalize};

pub use crate::cli::fuzz_import as import;
pub use crate::http::fuzz_akismet as akismet;

/// The properties by the name of their target in `fuzz/fuzz_targets`.
pub const TARGETS: [(&str, fn(&[u8])); 8] = [
    ("addresses", addresses),
    ("akismet", akismet),
    ("artifact", artifact),
    ("filter", filter),
    ("form", form),
    ("import", import),
    ("links", links),
    ("normalize", normalized),
];

/// Between the fields of a form: a byte that UTF-8 never has.
const FIELD_END: u8 = 0xFF;

/// A form is refused without its address being repeated, or becomes features; in what is kept of
/// it no address is left.
pub fn form(data: &[u8]) {
    let mut fields =
        data.split(|byte| *byte == FIELD_END).map(|field| String::from_utf8_lossy(field).into());
    let mut next = || fields.next().unwrap_or_default();
    let raw = RawSubmission {
        text: next(),
        author: next(),
        email: next(),
        url: next(),
        ip: next(),
        user_agent: next(),
        referrer: next(),
        page_uri: next(),
        page_title: next(),
        lang: next(),
        ..RawSubmission::default()
    };
    let email = raw.email.clone();
    match Submission::parse(raw, &RequiredFields { author: false, email: false }) {
        Err(violations) => {
            assert!(!violations.is_empty());
            let repeats = |text: &str| email.contains('@') && text.contains(&email);
            assert!(!violations.iter().any(|violation| repeats(&violation.description)));
        }
        Ok(submission) => {
            let blind = hide(submission, &SiteSecret::from_bytes([7; 32]));
            assert!(find_addresses(&blind.text).is_empty());
            let analysis = Analysis::new(&blind);
            let mut builder = FeatureBuilder::default();
            let first = builder.build(&analysis, [].iter()).clone();
            assert!(*builder.build(&analysis, [].iter()) == first);
        }
    }
}

/// Words of a normalised text are slices of the original, in order.
pub fn normalized(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let normalized = normalize(&text);
    let mut end = 0;
    for word in normalized.words() {
        assert!(text.get(word.span.clone()).is_some_and(|slice| !slice.is_empty()));
        assert!(!word.text.is_empty() && word.position >= end);
        end = word.position + word.text.len();
    }
}

/// Links are slices of the text, in order.
pub fn links(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut end = 0;
    for link in find_links(&text) {
        assert!(text.get(link.span.clone()).is_some_and(|found| !found.is_empty()));
        assert!(link.span.start >= end);
        end = link.span.end;
        assert!(link.registered_domain().len() <= link.host.len());
    }
}

/// Addresses are slices of the text, in order; what is masked has none.
pub fn addresses(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut end = 0;
    for span in find_addresses(&text) {
        assert!(span.start >= end && text.get(span.clone()).is_some_and(|found| !found.is_empty()));
        end = span.end;
    }
    let (once, count) = mask_addresses(&text);
    assert!(count == 0 || once.contains(MASK));
    let (twice, left) = mask_addresses(&once);
    assert!(left == 0 && twice == once, "{text:?} -> {once:?} -> {twice:?}");
}

/// A model is refused or comes back as the same bytes; with a frame that fits its header is read.
pub fn artifact(data: &[u8]) {
    let header_length = data.iter().rposition(|byte| *byte == b'}').map_or(0, |at| at + 1);
    let (header, sections) = data.split_at(header_length);
    for bytes in [data, &framed(header, sections)] {
        if let Ok(model) = Model::from_bytes(bytes) {
            let again = Model::from_bytes(&model.to_bytes());
            assert!(again.is_ok_and(|again| again.to_bytes() == model.to_bytes()));
        }
    }
}

/// A line of search and the address of a webhook are read or refused.
pub fn filter(data: &[u8]) {
    let line = String::from_utf8_lossy(data);
    if let Err(error) = CommentFilter::parse(&line) {
        assert!(!error.to_string().is_empty());
    }
    if let Err(error) = line.parse::<WebhookUri>() {
        assert!(!error.to_string().is_empty());
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_kept_corpus_holds() {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
        for (name, property) in TARGETS {
            let target = fuzz.join("fuzz_targets").join(name).with_extension("rs");
            assert!(target.is_file(), "{} is missing", target.display());
            let folder = fuzz.join("corpus").join(name);
            let mut count = 0;
            for entry in std::fs::read_dir(&folder).unwrap() {
                property(&std::fs::read(entry.unwrap().path()).unwrap());
                count += 1;
            }
            assert!(count > 0, "{} is empty", folder.display());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn any_bytes_hold(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            for (_, property) in TARGETS {
                property(&bytes);
            }
        }

        #[test]
        fn any_text_holds(text in "\\PC{0,120}") {
            for (_, property) in TARGETS {
                property(text.as_bytes());
            }
        }
    }
}
