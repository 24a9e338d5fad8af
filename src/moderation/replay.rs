//! Examples of the base model's training that every site layer is trained with: the seed corpus,
//! which is our own and so may be in the binary.

use std::sync::OnceLock;

use super::examples;
use crate::checks::SiteRules;
use crate::classifier::TrainingSet;
use crate::domain::{Example, Label, SitePolicy};
use crate::features::FeatureBuilder;

const FILES: [&str; 10] = [
    include_str!("../../training-data/seed/de.jsonl"),
    include_str!("../../training-data/seed/en.jsonl"),
    include_str!("../../training-data/seed/es.jsonl"),
    include_str!("../../training-data/seed/fr.jsonl"),
    include_str!("../../training-data/seed/id.jsonl"),
    include_str!("../../training-data/seed/it.jsonl"),
    include_str!("../../training-data/seed/ja.jsonl"),
    include_str!("../../training-data/seed/pt.jsonl"),
    include_str!("../../training-data/seed/ru.jsonl"),
    include_str!("../../training-data/seed/zh.jsonl"),
];

/// Their `source`.
const SOURCE: &str = "seed";

/// The seed corpus as it was written, with its labels.
pub fn seed_examples() -> Vec<(Example, Label)> {
    let lines = FILES.iter().flat_map(|file| file.lines());
    let examples = lines.filter_map(|line| serde_json::from_str::<Example>(line).ok());
    examples.filter_map(|example| examples::label(&example).ok().map(|l| (example, l))).collect()
}

/// The examples; made once, in some tens of milliseconds.
pub fn examples() -> &'static TrainingSet {
    static SET: OnceLock<TrainingSet> = OnceLock::new();
    SET.get_or_init(|| {
        let rules = SiteRules::new(SitePolicy::default());
        let mut builder = FeatureBuilder::default();
        let mut set = TrainingSet::default();
        for line in FILES.iter().flat_map(|file| file.lines()) {
            let example: Option<Example> = serde_json::from_str(line).ok();
            let labelled = example.and_then(|example| {
                let label = examples::label(&example).ok()?;
                let views = examples::views(&example, &[], &rules, &mut builder).ok()?;
                Some((label, views))
            });
            if let Some((label, views)) = labelled {
                set.push(SOURCE, label, None, &views);
            }
        }
        set
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_seed_corpus_is_an_example() {
        let lines = FILES.iter().flat_map(|file| file.lines()).filter(|line| !line.is_empty());
        assert_eq!(examples().example_count(), lines.count());
    }
}
