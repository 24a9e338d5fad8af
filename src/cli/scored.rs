//! Examples of files, scored and described.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use rayon::prelude::*;

use super::corpus::{CorpusError, Labelled, Planned, TrialPlan, first_error, read_examples};
use crate::checks::SiteRules;
use crate::classifier::{Judged, Model, Outcome, Traits, Trial, Trials};
use crate::domain::{BlindSubmission, Label, SitePolicy};
use crate::features::FeatureBuilder;
use crate::moderation::examples;
use crate::text::Analysis;

/// An example that was scored.
pub struct Scored {
    /// Its position among all examples of the files.
    pub example: usize,
    /// Where it comes from.
    pub source: String,
    /// The truth and the score.
    pub outcome: Outcome,
}

/// Scores examples from files that say whether they are abuse.
///
/// # Errors
/// [`CorpusError`] of the first bad line.
pub fn read_abuse_outcomes(
    paths: &[PathBuf],
    model: &Model,
    progress: &dyn Fn(u64),
) -> Result<Vec<Scored>, CorpusError> {
    let rules = SiteRules::new(SitePolicy::default());
    let mut all = Vec::new();
    let mut count = 0;
    let no_trials = TrialPlan::default();
    read_examples(
        paths,
        |_| false,
        &no_trials,
        progress,
        |examples| {
            let score = |builder: &mut FeatureBuilder, (labelled, _): &Planned<'_>| {
                let Some(abuse) = labelled.example.abuse() else { return Ok(None) };
                let blind = examples::blind(labelled.example.clone())
                    .map_err(|error| labelled.bad(&error))?;
                let raw_score = examples::abuse_score(model, &blind, &rules, builder);
                Ok(raw_score.map(|raw_score| Outcome { spam: abuse, raw_score }))
            };
            let scored: Vec<_> =
                first_error(examples.par_iter().map_init(FeatureBuilder::default, score))?;
            for (at, outcome) in scored.into_iter().enumerate() {
                if let Some(outcome) = outcome {
                    let source = examples[at].0.source.clone();
                    all.push(Scored { example: count + at, source, outcome });
                }
            }
            count += examples.len();
            Ok(())
        },
    )?;
    Ok(all)
}

/// Scores labelled examples from files with a model, and disguised as planned.
///
/// # Errors
/// [`CorpusError`] of the first bad line.
pub fn read_outcomes(
    paths: &[PathBuf],
    model: &Model,
    plan: &TrialPlan,
    progress: &dyn Fn(u64),
) -> Result<(Vec<Scored>, Trials), CorpusError> {
    let rules = SiteRules::new(SitePolicy::default());
    let mut all = Vec::new();
    let mut trials = Trials::new();
    read_examples(
        paths,
        |_| false,
        plan,
        progress,
        |examples| {
            let score = |builder: &mut FeatureBuilder, (labelled, kinds): &Planned<'_>| {
                let example = &labelled.example;
                let blind =
                    examples::blind(example.clone()).map_err(|error| labelled.bad(&error))?;
                let mut score =
                    |blind: &BlindSubmission| examples::raw_score(model, blind, &rules, builder);
                let spam = labelled.label == Label::Spam;
                let plain = Outcome { spam, raw_score: score(&blind) };
                let disguised = examples::trials(example, kinds);
                let disguised: Vec<_> =
                    disguised.map(|(kind, copy)| (kind, score(&copy))).collect();
                Ok((plain, disguised))
            };
            let scored: Vec<_> =
                first_error(examples.par_iter().map_init(FeatureBuilder::default, score))?;
            for ((labelled, _), (plain, copies)) in examples.iter().zip(scored) {
                let source = labelled.source.clone();
                all.push(Scored { example: all.len(), source, outcome: plain });
                for (kind, disguised) in copies {
                    trials.entry(kind).or_default().push(Trial { plain, disguised });
                }
            }
            Ok(())
        },
    )?;
    Ok((all, trials))
}

/// Says what scored examples are like, from the files they came from.
///
/// # Errors
/// [`CorpusError`] of the first bad line.
pub fn describe(
    paths: &[PathBuf],
    scored: &[Scored],
    progress: &dyn Fn(u64),
) -> Result<Vec<Judged>, CorpusError> {
    let by_example: BTreeMap<usize, &Scored> =
        scored.iter().map(|one| (one.example, one)).collect();
    let mut judged = Vec::with_capacity(scored.len());
    read_by_number(
        paths,
        progress,
        |number, labelled| {
            let Some(scored) = by_example.get(&number) else { return Ok(None) };
            let blind =
                examples::blind(labelled.example.clone()).map_err(|error| labelled.bad(&error))?;
            let traits = Traits::of(&Analysis::new(&blind));
            let source = scored.source.as_str().into();
            Ok(Some(Judged { source, outcome: scored.outcome, traits }))
        },
        |one| judged.push(one),
    )?;
    Ok(judged)
}

/// The texts of examples by their numbers, with every address masked.
///
/// # Errors
/// [`CorpusError`] of the first bad line.
pub fn read_texts(
    paths: &[PathBuf],
    wanted: &BTreeSet<usize>,
) -> Result<BTreeMap<usize, String>, CorpusError> {
    let mut texts = BTreeMap::new();
    read_by_number(
        paths,
        &|_| (),
        |number, labelled| {
            if !wanted.contains(&number) {
                return Ok(None);
            }
            let blind =
                examples::blind(labelled.example.clone()).map_err(|error| labelled.bad(&error))?;
            Ok(Some((number, blind.text)))
        },
        |(number, text)| {
            texts.insert(number, text);
        },
    )?;
    Ok(texts)
}

/// Calls `work` with each example and its number, on all cores, and `take` with what came of it,
/// in order.
fn read_by_number<T: Send>(
    paths: &[PathBuf],
    progress: &dyn Fn(u64),
    work: impl Fn(usize, &Labelled) -> Result<Option<T>, CorpusError> + Sync,
    mut take: impl FnMut(T),
) -> Result<(), CorpusError> {
    let mut count = 0;
    read_examples(
        paths,
        |_| false,
        &TrialPlan::default(),
        progress,
        |examples| {
            let numbered = examples.par_iter().enumerate();
            let made: Vec<Option<T>> =
                first_error(numbered.map(|(at, (labelled, _))| work(count + at, labelled)))?;
            made.into_iter().flatten().for_each(&mut take);
            count += examples.len();
            Ok(())
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classifier::{Perturbation, base_model};

    #[test]
    fn examples_are_scored_described_and_read_by_their_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("blog.jsonl");
        let ham = "{\"text\":\"Thanks, that helped.\",\"label\":\"ham\"}\n";
        let toxic =
            "{\"text\":\"Rude, wrong and long.\",\"label\":\"toxic\",\"source\":\"other\"}\n";
        std::fs::write(&path, format!("{ham}\n{toxic}")).unwrap();
        let paths = [path];
        let plan = TrialPlan { kinds: vec![Perturbation::ZeroWidth], per_cell_max: 1 };
        let model = base_model();
        let (scored, trials) = read_outcomes(&paths, &model, &plan, &|_| ()).unwrap();
        assert_eq!(scored.iter().map(|one| one.example).collect::<Vec<_>>(), [0, 1]);
        let judged = describe(&paths, &scored, &|_| ()).unwrap();
        assert_eq!((judged[1].outcome, &*judged[1].source), (scored[1].outcome, "other"));
        let texts = read_texts(&paths, &BTreeSet::from([1])).unwrap();
        assert_eq!(texts[&1], "Rude, wrong and long.");
        assert_eq!(trials[&Perturbation::ZeroWidth].len(), 2);
        let abuse = read_abuse_outcomes(&paths, &model, &|_| ()).unwrap();
        assert_eq!((abuse.len(), abuse[0].example, abuse[0].outcome.spam), (1, 1, true));
    }
}
