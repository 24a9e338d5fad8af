//! Files of examples, read line by line and on all cores.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::checks::SiteRules;
use crate::classifier::{Model, Outcome, TrainingSet, View};
use crate::domain::{BlindSubmission, Example, Label, SitePolicy};
use crate::features::FeatureBuilder;
use crate::moderation::examples;
use crate::text::hide;

/// Lines parsed together: enough to keep all cores busy, little to keep in memory.
pub const CHUNK_LINES: usize = 4_096;

/// A file that cannot be used, and where: exit code 65 (`EX_DATAERR`).
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    /// The file cannot be read.
    #[error("{path}: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A line is not a labelled example.
    #[error("{path}:{line}: {problem}")]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
}

/// A labelled example in the shape of the training table.
struct Prepared {
    source: String,
    label: Label,
    group: Option<i64>,
    views: Vec<View>,
}

/// Reads labelled examples from files into one table, in order.
///
/// `skip` says which sources to leave out; `progress` is told the bytes read.
///
/// # Errors
/// [`CorpusError`] of the first bad line.
pub fn read_training_set(
    paths: &[PathBuf],
    skip: impl Fn(&str) -> bool + Sync,
    progress: &dyn Fn(u64),
) -> Result<TrainingSet, CorpusError> {
    let rules = SiteRules::new(SitePolicy::default());
    let mut set = TrainingSet::default();
    for path in paths {
        read_chunks(path, progress, |first_line, lines| {
            let prepare = |builder: &mut FeatureBuilder, (offset, line): (usize, &Vec<u8>)| {
                prepare(path, first_line + offset, line, &skip, &rules, builder)
            };
            let prepared: Result<Vec<Option<Prepared>>, CorpusError> =
                lines.par_iter().enumerate().map_init(FeatureBuilder::default, prepare).collect();
            for example in prepared?.into_iter().flatten() {
                set.push(&example.source, example.label, example.group, &example.views);
            }
            Ok(())
        })?;
    }
    Ok(set)
}

/// Calls `take` with each chunk of lines and the number of its first.
fn read_chunks(
    path: &Path,
    progress: &dyn Fn(u64),
    mut take: impl FnMut(usize, &[Vec<u8>]) -> Result<(), CorpusError>,
) -> Result<(), CorpusError> {
    let failed = |error| CorpusError::Read { path: path.to_owned(), error };
    let mut reader = BufReader::with_capacity(1 << 20, File::open(path).map_err(failed)?);
    let (mut first_line, mut lines) = (1, Vec::with_capacity(CHUNK_LINES));
    loop {
        let mut line = Vec::new();
        let count = reader.read_until(b'\n', &mut line).map_err(failed)?;
        if count > 0 {
            progress(count as u64);
            lines.push(line);
        }
        if lines.len() == CHUNK_LINES || count == 0 {
            take(first_line, &lines)?;
            first_line += lines.len();
            lines.clear();
        }
        if count == 0 {
            return Ok(());
        }
    }
}

fn prepare(
    path: &Path,
    line: usize,
    bytes: &[u8],
    skip: impl Fn(&str) -> bool,
    rules: &SiteRules,
    builder: &mut FeatureBuilder,
) -> Result<Option<Prepared>, CorpusError> {
    let Some(Labelled { source, label, group, blind }) = read_line(path, line, bytes, skip)? else {
        return Ok(None);
    };
    let views = examples::views(&blind, rules, builder);
    Ok(Some(Prepared { source, label, group, views }))
}

/// A labelled example after hiding.
struct Labelled {
    source: String,
    label: Label,
    group: Option<i64>,
    blind: BlindSubmission,
}

/// The example of a line; nothing for an empty line or a source to skip.
fn read_line(
    path: &Path,
    line: usize,
    bytes: &[u8],
    skip: impl Fn(&str) -> bool,
) -> Result<Option<Labelled>, CorpusError> {
    let bad = |problem: String| CorpusError::Line { path: path.to_owned(), line, problem };
    if bytes.trim_ascii().is_empty() {
        return Ok(None);
    }
    let example: Example = serde_json::from_slice(bytes).map_err(|e| bad(e.to_string()))?;
    let source = example.source.clone().unwrap_or_else(|| file_name(path));
    if skip(&source) {
        return Ok(None);
    }
    let label = examples::label(&example).map_err(|e| bad(e.to_string()))?;
    let group = example.group;
    let submission = examples::submission(example).map_err(|e| bad(e.to_string()))?;
    let blind = hide(submission, &examples::offline_secret());
    Ok(Some(Labelled { source, label, group, blind }))
}

/// Scores labelled examples from files with a model, by source.
///
/// # Errors
/// [`CorpusError`] of the first bad line.
pub fn read_outcomes(
    paths: &[PathBuf],
    model: &Model,
    progress: &dyn Fn(u64),
) -> Result<BTreeMap<String, Vec<Outcome>>, CorpusError> {
    let rules = SiteRules::new(SitePolicy::default());
    let mut outcomes: BTreeMap<String, Vec<Outcome>> = BTreeMap::new();
    for path in paths {
        read_chunks(path, progress, |first_line, lines| {
            let score = |builder: &mut FeatureBuilder, (offset, line): (usize, &Vec<u8>)| {
                let example = read_line(path, first_line + offset, line, |_| false)?;
                Ok(example.map(|Labelled { source, label, blind, .. }| {
                    let raw_score = examples::raw_score(model, &blind, &rules, builder);
                    (source, Outcome { spam: label == Label::Spam, raw_score })
                }))
            };
            let scored: Result<Vec<Option<(String, Outcome)>>, CorpusError> =
                lines.par_iter().enumerate().map_init(FeatureBuilder::default, score).collect();
            for (source, outcome) in scored?.into_iter().flatten() {
                outcomes.entry(source).or_default().push(outcome);
            }
            Ok(())
        })?;
    }
    Ok(outcomes)
}

/// The source of examples that name none.
fn file_name(path: &Path) -> String {
    path.file_stem()
        .map_or_else(|| "unknown".to_owned(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("blog.jsonl");
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    fn problem(text: &str) -> String {
        let (_folder, path) = written(text);
        let error = read_training_set(&[path], |_| false, &|_| ()).unwrap_err().to_string();
        error.split_once("blog.jsonl:").unwrap().1.to_owned()
    }

    const HAM: &str = "{\"text\":\"Thanks, that helped.\",\"label\":\"ham\",\"author\":\"Jane\"}\n";

    #[test]
    fn a_bad_line_is_named_with_its_number() {
        for (line, expected) in [
            ("{\"text\":\"x\"}", "2: `label` is missing"),
            ("{\"text\":\"x\",\"label\":\"good\"}", "2: `label`: `good` is no label"),
            ("{\"text\":\"\",\"label\":\"ham\"}", "2: `text`: This field is required."),
            ("{\"text\":", "2: EOF"),
            ("[1]", "2: "),
        ] {
            let problem = problem(&format!("{HAM}{line}\n{HAM}"));
            assert!(problem.starts_with(expected), "{problem}");
        }
    }

    #[test]
    fn sources_are_named_or_the_file_and_can_be_left_out() {
        let toxic = "{\"text\":\"Rude.\",\"label\":\"toxic\",\"source\":\"other\",\"group\":4}\n";
        let (_folder, path) = written(&format!("{HAM}\n{toxic}"));
        let read = |skip: fn(&str) -> bool| {
            read_training_set(std::slice::from_ref(&path), skip, &|_| ()).unwrap()
        };
        let set = read(|_| false);
        assert_eq!(set.sources(), ["blog", "other"]);
        assert_eq!(set.source_counts()["other"].ham_count, 1, "rude is not spam");
        // With a name, the first one stands there with and without it.
        assert_eq!((set.example_count(), set.table().row_count()), (2, 3));
        assert_eq!(read(|source| source == "blog").sources(), ["other"]);
        let outcomes = read_outcomes(&[path], &crate::classifier::base_model(), &|_| ()).unwrap();
        assert_eq!(outcomes.len(), 2);
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = read_training_set(&["missing.jsonl".into()], |_| false, &|_| ()).unwrap_err();
        assert!(error.to_string().starts_with("missing.jsonl: "));
    }
}
