//! What it costs to look at a comment and score it, at three lengths.
//!
//! `cargo bench --bench scoring`. `analyse` is all reading of the text, `score` is the whole way
//! of a comment from there without explanation, `judge` is what a live check does: checks,
//! features with their names, contributions, policy.

#![allow(missing_docs, reason = "criterion's macro makes a function that cannot be documented")]

use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use replyguard::checks::{Facts, SiteRules};
use replyguard::classifier::base_model;
use replyguard::domain::{
    BlindSubmission, RawSubmission, RequiredFields, SitePolicy, SiteSecret, Submission,
};
use replyguard::features::FeatureBuilder;
use replyguard::moderation::{Scorer, examples};
use replyguard::text::{Analysis, hide};

/// Ordinary prose, cut to the length that is measured.
const PROSE: &str = "I followed your guide last weekend and it mostly went well, but the second \
    coat of varnish never dried in our cellar. Could the humidity be the reason? We measured about \
    70 percent down there. A friend suggested a small heater, which I would rather avoid with \
    small children around. Thanks again for writing all this up so clearly! ";

fn submission(length: usize) -> BlindSubmission {
    let text: String = PROSE.chars().cycle().take(length).collect();
    let raw = RawSubmission {
        text,
        author: "Marta Lindqvist".into(),
        email: "marta.lindqvist@mail.example.org".into(),
        url: "https://woodwork.example.org/about".into(),
        ..RawSubmission::default()
    };
    let parsed = Submission::parse(raw, &RequiredFields::default());
    let Ok(parsed) = parsed else { panic!("the submission is valid") };
    hide(parsed, &SiteSecret::from_bytes([1; 32]))
}

fn scoring(criterion: &mut Criterion) {
    let model = Arc::new(base_model());
    let scorer = Scorer::new(model.clone());
    let rules = SiteRules::new(SitePolicy::default());
    let facts = Facts::unknown(examples::OFFLINE_TIME);
    let mut builder = FeatureBuilder::default();
    for length in [60, 300, 3_000] {
        let submission = submission(length);
        let mut group = criterion.benchmark_group("comment");
        group.bench_function(BenchmarkId::new("analyse", length), |bencher| {
            bencher.iter(|| Analysis::new(&submission));
        });
        group.bench_function(BenchmarkId::new("score", length), |bencher| {
            bencher.iter(|| examples::raw_score(&model, &submission, &rules, &mut builder));
        });
        group.bench_function(BenchmarkId::new("judge", length), |bencher| {
            bencher.iter(|| {
                let analysis = Analysis::new(&submission);
                scorer.judge(&analysis, &rules, &facts, Vec::new())
            });
        });
        group.finish();
    }
}

criterion_group!(benches, scoring);
criterion_main!(benches);
