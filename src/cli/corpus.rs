//! Files of examples, read line by line and on all cores.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::files;
use super::spill::SpillError;
use crate::checks::SiteRules;
use crate::classifier::{Perturbation, TrainingSet, View};
use crate::domain::{Example, Label, SitePolicy};
use crate::features::FeatureBuilder;
use crate::moderation::examples::{self, ExampleError};

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
    /// The rows outgrow memory and cannot be put elsewhere.
    #[error(transparent)]
    Spill(#[from] SpillError),
}

/// Which examples are disguised, to see what models make of the copies.
#[derive(Debug, Clone, Default)]
pub struct TrialPlan {
    /// The disguises; none for no trials.
    pub kinds: Vec<Perturbation>,
    /// Examples of each label in a source that are disguised, from the first on.
    pub per_cell_max: usize,
}

/// Counts the examples that trials are made of.
struct Quota<'a> {
    plan: &'a TrialPlan,
    taken: BTreeMap<(String, Label), usize>,
}

impl<'a> Quota<'a> {
    fn new(plan: &'a TrialPlan) -> Self {
        Self { plan, taken: BTreeMap::new() }
    }

    /// The disguises of the next example.
    fn kinds(&mut self, example: &Labelled) -> &'a [Perturbation] {
        if self.plan.kinds.is_empty() {
            return &[];
        }
        let taken = self.taken.entry((example.source.clone(), example.label)).or_default();
        *taken += 1;
        if *taken > self.plan.per_cell_max { &[] } else { &self.plan.kinds }
    }
}

/// Reads labelled examples from files into one table in memory, in order.
///
/// `skip` says which sources to leave out; `progress` is told the bytes read.
///
/// # Errors
/// [`CorpusError`] of the first bad line.
pub(super) fn read_training_set(
    paths: &[PathBuf],
    skip: impl Fn(&str) -> bool + Sync,
    plan: &TrialPlan,
    progress: &dyn Fn(u64),
) -> Result<TrainingSet, CorpusError> {
    let mut set = TrainingSet::default();
    read_views(paths, skip, plan, progress, |labelled, views| {
        set.push(&labelled.source, labelled.label, labelled.example.group, views);
        note_facts(&mut set, &labelled.example);
        Ok(())
    })?;
    Ok(set)
}

/// Notes what the last pushed example says of itself.
pub(super) fn note_facts<T>(set: &mut TrainingSet<T>, example: &Example) {
    if let Some(time) = example.time() {
        set.set_time(time.unix_timestamp());
    }
    if let Some(abuse) = example.abuse() {
        set.set_abuse(abuse);
    }
}

/// Calls `take` with each labelled example of the files and its views, in order.
///
/// # Errors
/// [`CorpusError`] of the first bad line, or what `take` says.
pub(super) fn read_views(
    paths: &[PathBuf],
    skip: impl Fn(&str) -> bool + Sync,
    plan: &TrialPlan,
    progress: &dyn Fn(u64),
    mut take: impl FnMut(&Labelled, &[View]) -> Result<(), CorpusError>,
) -> Result<(), CorpusError> {
    let rules = SiteRules::new(SitePolicy::default());
    read_examples(paths, skip, plan, progress, |examples| {
        let views = |builder: &mut FeatureBuilder, (labelled, kinds): &Planned<'_>| {
            examples::views(&labelled.example, kinds, &rules, builder)
                .map_err(|error| labelled.bad(&error))
        };
        let views: Result<Vec<Vec<View>>, CorpusError> =
            examples.par_iter().map_init(FeatureBuilder::default, views).collect();
        for ((labelled, _), views) in examples.iter().zip(views?) {
            take(labelled, &views)?;
        }
        Ok(())
    })
}

/// An example and how it is disguised.
pub(super) type Planned<'a> = (Labelled, &'a [Perturbation]);

/// Calls `take` with the examples of all files, many at once and in order.
pub(super) fn read_examples(
    paths: &[PathBuf],
    skip: impl Fn(&str) -> bool + Sync,
    plan: &TrialPlan,
    progress: &dyn Fn(u64),
    mut take: impl FnMut(&[Planned<'_>]) -> Result<(), CorpusError>,
) -> Result<(), CorpusError> {
    let mut quota = Quota::new(plan);
    for path in paths {
        read_chunks(path, progress, |first_line, lines| {
            let read = |(offset, line): (usize, &Vec<u8>)| {
                read_line(path, first_line + offset, line, &skip)
            };
            let read: Result<Vec<Option<Labelled>>, CorpusError> =
                lines.par_iter().enumerate().map(read).collect();
            let plan = |labelled: Labelled| {
                let kinds = quota.kinds(&labelled);
                (labelled, kinds)
            };
            take(&read?.into_iter().flatten().map(plan).collect::<Vec<_>>())
        })?;
    }
    Ok(())
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
        let count = files::read_line(&mut reader, &mut line).map_err(failed)?;
        if line.len() > files::LINE_BYTES_MAX {
            let (path, line) = (path.to_owned(), first_line + lines.len());
            return Err(CorpusError::Line { path, line, problem: files::too_long() });
        }
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

/// A labelled example and where it stands.
pub(super) struct Labelled {
    path: PathBuf,
    line: usize,
    pub(super) source: String,
    pub(super) label: Label,
    pub(super) example: Example,
}

impl Labelled {
    pub(super) fn bad(&self, problem: &ExampleError) -> CorpusError {
        let problem = problem.to_string();
        CorpusError::Line { path: self.path.clone(), line: self.line, problem }
    }
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
    Ok(Some(Labelled { path: path.to_owned(), line, source, label, example }))
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
        let error = read_training_set(&[path], |_| false, &TrialPlan::default(), &|_| ())
            .unwrap_err()
            .to_string();
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
        let toxic = "{\"text\":\"Rude, wrong and long.\",\"label\":\"toxic\",\"source\":\"other\",\"group\":4}\n";
        let (_folder, path) = written(&format!("{HAM}\n{toxic}"));
        let no_trials = TrialPlan::default();
        let read = |skip: fn(&str) -> bool| {
            read_training_set(std::slice::from_ref(&path), skip, &no_trials, &|_| ()).unwrap()
        };
        let set = read(|_| false);
        assert_eq!(set.sources(), ["blog", "other"]);
        assert_eq!(set.source_counts()["other"].ham_count, 1, "rude is not spam");
        // Both stand there disguised too, and the one with a name also without it.
        assert_eq!((set.example_count(), set.table().row_count()), (2, 5));
        assert_eq!(read(|source| source == "blog").sources(), ["other"]);
    }

    #[test]
    fn an_endless_line_is_named_and_not_read_to_its_end() {
        let endless = format!("{HAM}{{\"text\":\"{}", "x".repeat(3 * files::LINE_BYTES_MAX));
        assert_eq!(problem(&endless), "2: the line has more than 1048576 bytes");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error =
            read_training_set(&["missing.jsonl".into()], |_| false, &TrialPlan::default(), &|_| ())
                .unwrap_err();
        assert!(error.to_string().starts_with("missing.jsonl: "));
    }
}
