//! Examples of the base model's training that every site layer is trained with: a
//! spread of the seed corpus, which is our own and so may be in the binary.

use std::sync::OnceLock;

use super::examples;
use crate::checks::SiteRules;
use crate::classifier::TrainingSet;
use crate::domain::{Example, Label, SitePolicy};
use crate::features::FeatureBuilder;

/// Each language and its file.
const FILES: [(&str, &str); 20] = [
    ("ar", include_str!("../../training-data/seed/ar.jsonl")),
    ("de", include_str!("../../training-data/seed/de.jsonl")),
    ("en", include_str!("../../training-data/seed/en.jsonl")),
    ("es", include_str!("../../training-data/seed/es.jsonl")),
    ("fr", include_str!("../../training-data/seed/fr.jsonl")),
    ("hi", include_str!("../../training-data/seed/hi.jsonl")),
    ("id", include_str!("../../training-data/seed/id.jsonl")),
    ("it", include_str!("../../training-data/seed/it.jsonl")),
    ("ja", include_str!("../../training-data/seed/ja.jsonl")),
    ("ko", include_str!("../../training-data/seed/ko.jsonl")),
    ("ms", include_str!("../../training-data/seed/ms.jsonl")),
    ("nl", include_str!("../../training-data/seed/nl.jsonl")),
    ("pl", include_str!("../../training-data/seed/pl.jsonl")),
    ("pt", include_str!("../../training-data/seed/pt.jsonl")),
    ("ru", include_str!("../../training-data/seed/ru.jsonl")),
    ("tl", include_str!("../../training-data/seed/tl.jsonl")),
    ("tr", include_str!("../../training-data/seed/tr.jsonl")),
    ("uk", include_str!("../../training-data/seed/uk.jsonl")),
    ("vi", include_str!("../../training-data/seed/vi.jsonl")),
    ("zh", include_str!("../../training-data/seed/zh.jsonl")),
];

/// So many lines of each file at most: enough of every kind to hold a layer, few enough that a
/// site's training does not wait for them.
const LINE_COUNT_MAX: usize = 60;
/// The same for English, which most of the corpus is in.
const ENGLISH_LINE_COUNT_MAX: usize = 400;

/// Lines evenly spread over each file.
fn lines() -> impl Iterator<Item = &'static str> {
    FILES.iter().flat_map(|(language, file)| {
        let count = file.lines().count();
        let most = if *language == "en" { ENGLISH_LINE_COUNT_MAX } else { LINE_COUNT_MAX };
        let taken = count.min(most);
        let chosen = move |line: usize| (line + 1) * taken / count > line * taken / count;
        file.lines().enumerate().filter(move |(line, _)| chosen(*line)).map(|(_, text)| text)
    })
}

/// A spread of the seed corpus as it was written, with its labels.
pub fn seed_examples() -> Vec<(Example, Label)> {
    let examples = lines().filter_map(|line| serde_json::from_str::<Example>(line).ok());
    examples.filter_map(|example| examples::label(&example).ok().map(|l| (example, l))).collect()
}

/// The examples; made once, in some tens of milliseconds.
pub fn examples() -> &'static TrainingSet {
    static SET: OnceLock<TrainingSet> = OnceLock::new();
    SET.get_or_init(|| {
        let rules = SiteRules::new(SitePolicy::default());
        let mut builder = FeatureBuilder::default();
        let mut set = TrainingSet::default();
        for (example, label) in seed_examples() {
            let source = example.source.clone().unwrap_or_default();
            if let Ok(views) = examples::views(&example, &[], &rules, &mut builder) {
                set.push(&source, label, None, &views);
            }
        }
        set
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_an_example_and_each_language_has_its_share() {
        let expected: usize = lines().count();
        assert!((1_000..2_000).contains(&expected), "{expected}");
        assert_eq!(examples().example_count(), expected);
        assert_eq!(seed_examples().len(), expected);
        let spam = seed_examples().iter().filter(|(_, label)| *label == Label::Spam).count();
        assert!((expected / 3..expected / 2).contains(&spam), "{spam} of {expected}");
    }

    #[test]
    fn every_language_of_the_corpus_is_there() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/training-data/seed");
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), FILES.len());
    }
}
