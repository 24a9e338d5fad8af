//! Scoring: what one comment costs on one core, from the hidden submission to the score.

// Criterion's macro makes an undocumented function.
#![allow(missing_docs)]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use replyguard::checks::{Facts, SiteRules};
use replyguard::classifier::base_model;
use replyguard::domain::{
    BlindSubmission, RawSubmission, RequiredFields, SitePolicy, SiteSecret, Submission,
};
use replyguard::features::{FeatureBuilder, Names};
use replyguard::moderation::{Scorer, examples};
use replyguard::text::{Analysis, hide};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PROSE: &str = "Thanks for writing this up, it saved my weekend. I had the same trouble with \
    the second oven: the crust was fine but the middle stayed wet, whatever I tried. Turning it \
    down to 210 degrees and waiting ten minutes more did the trick. Do you cover the dough while \
    it rests? My kitchen is rather dry in winter, and I keep seeing https://example.org/proofing \
    recommended, but it never says for how long. ";

fn submission(characters: usize) -> BlindSubmission {
    let raw = RawSubmission {
        text: PROSE.chars().cycle().take(characters).collect(),
        author: "Jane Doe".into(),
        email: "jane@example.org".into(),
        url: "https://blog.example.org/".into(),
        ..RawSubmission::default()
    };
    match Submission::parse(raw, &RequiredFields::default()) {
        Ok(submission) => hide(submission, &SiteSecret::from_bytes([1; 32])),
        Err(violations) => panic!("{violations:?}"),
    }
}

fn scoring(criterion: &mut Criterion) {
    let model = Arc::new(base_model());
    let scorer = Scorer::new(Arc::clone(&model));
    let rules = SiteRules::new(SitePolicy::default());
    let facts = Facts::unknown(examples::OFFLINE_TIME);
    let mut builder = FeatureBuilder::default();
    let mut names = Names::default();
    let mut group = criterion.benchmark_group("scoring");
    for characters in [60, 300, 3_000] {
        let submission = submission(characters);
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("analysis", characters), |bencher| {
            bencher.iter(|| Analysis::new(black_box(&submission)).links.len());
        });
        group.bench_function(BenchmarkId::new("score", characters), |bencher| {
            bencher.iter(|| {
                let analysis = Analysis::new(black_box(&submission));
                model.spam().raw_score(builder.build(&analysis, [].iter()))
            });
        });
        group.bench_function(BenchmarkId::new("explained", characters), |bencher| {
            bencher.iter(|| {
                let analysis = Analysis::new(black_box(&submission));
                let vector = builder.build_named(&analysis, [].iter(), &mut names);
                model.score(vector, &names, &[])
            });
        });
        group.bench_function(BenchmarkId::new("judged", characters), |bencher| {
            bencher.iter(|| {
                let analysis = Analysis::new(black_box(&submission));
                scorer.judge(&analysis, &rules, &facts, Vec::new())
            });
        });
    }
    group.finish();
}

criterion_group!(benches, scoring);
criterion_main!(benches);
