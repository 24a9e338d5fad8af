//! Files of examples, read line by line and on all cores.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use super::output::safe;
use super::spill::SpillError;
use super::{Failure, files};
use crate::checks::SiteRules;
use crate::classifier::{Perturbation, TrainingSet, View};
use crate::domain::{Example, Label, SitePolicy};
use crate::features::FeatureBuilder;
use crate::moderation::examples::{self, ExampleError};

/// Lines parsed together: enough to keep all cores busy, little to keep in memory.
pub const CHUNK_LINES: usize = 4_096;

/// Sources that are listed where a name is none of them: some lines of a terminal.
const SOURCES_SHOWN: usize = 40;

/// Lines that contradict earlier ones and are named: enough to see what kind they are of.
const CONTRADICTIONS_SHOWN: usize = 5;

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

/// Sources to leave out, and whether there were examples of them.
pub(super) struct LeftOut<'a>(Vec<(&'a String, AtomicBool)>);

impl<'a> LeftOut<'a> {
    pub(super) fn new(names: &'a [String]) -> Self {
        Self(names.iter().map(|name| (name, AtomicBool::new(false))).collect())
    }

    /// Whether an example of this source is left out.
    pub(super) fn skips(&self, source: &str) -> bool {
        let mut skips = false;
        for (_, met) in self.0.iter().filter(|(name, _)| *name == source) {
            met.store(true, Ordering::Relaxed);
            skips = true;
        }
        skips
    }

    /// The names of which there were examples.
    pub(super) fn met(&self) -> impl Iterator<Item = &String> {
        self.0.iter().filter(|(_, met)| met.load(Ordering::Relaxed)).map(|(name, _)| *name)
    }
}

/// Sees whether all `names` of an option are among the sources that were read.
///
/// # Errors
/// Exit code 64 for the first that is not, with the sources that there are.
pub(super) fn check_sources<'a>(
    option: &str,
    names: &[String],
    sources: impl Iterator<Item = &'a String>,
) -> Result<(), Failure> {
    let sources: BTreeSet<&str> = sources.map(String::as_str).collect();
    let Some(unknown) = names.iter().find(|name| !sources.contains(name.as_str())) else {
        return Ok(());
    };
    let shown: Vec<String> = sources.iter().take(SOURCES_SHOWN).map(|name| safe(name)).collect();
    let more = if sources.len() > SOURCES_SHOWN { ", …" } else { "" };
    let shown = shown.join(", ");
    Err(Failure::usage(format!(
        "{option}: no example has the source {unknown}; there are {shown}{more}"
    )))
}

/// Lines whose text came before with the other label. Of texts only the hash is kept, in some 20
/// to 40 bytes each.
#[derive(Debug, Default)]
pub(super) struct Contradictions {
    first_labels: HashMap<u64, Label>,
    count: usize,
    first_places: Vec<String>,
}

impl Contradictions {
    fn note(&mut self, content_hash: u64, labelled: &Labelled) {
        let first = *self.first_labels.entry(content_hash).or_insert(labelled.label);
        if first == labelled.label {
            return;
        }
        self.count += 1;
        if self.first_places.len() < CONTRADICTIONS_SHOWN {
            self.first_places.push(format!("{}:{}", labelled.path.display(), labelled.line));
        }
    }

    /// Says on standard error how many there are and where the first stand.
    pub(super) fn warn(self) {
        let more = if self.count > self.first_places.len() { ", …" } else { "" };
        let places = self.first_places.join(", ");
        match self.count {
            0 => {}
            1 => eprintln!(
                "replyguard: 1 line has the text of an earlier one and the other label: {places}"
            ),
            count => eprintln!(
                "replyguard: {count} lines have the text of an earlier one and the other label: \
                 {places}{more}"
            ),
        }
    }
}

/// Reads labelled examples from files into one table in memory, in order, and says which
/// contradict each other.
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
) -> Result<(TrainingSet, Contradictions), CorpusError> {
    let mut set = TrainingSet::default();
    let contradictions = read_views(paths, skip, plan, progress, |labelled, views| {
        set.push(&labelled.source, labelled.label, labelled.example.group, views);
        note_facts(&mut set, &labelled.example);
        Ok(())
    })?;
    Ok((set, contradictions))
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

/// Calls `take` with each labelled example of the files and its views, in order, and says which
/// examples contradict each other.
///
/// # Errors
/// [`CorpusError`] of the first bad line, or what `take` says.
pub(super) fn read_views(
    paths: &[PathBuf],
    skip: impl Fn(&str) -> bool + Sync,
    plan: &TrialPlan,
    progress: &dyn Fn(u64),
    mut take: impl FnMut(&Labelled, &[View]) -> Result<(), CorpusError>,
) -> Result<Contradictions, CorpusError> {
    let rules = SiteRules::new(SitePolicy::default());
    let mut contradictions = Contradictions::default();
    read_examples(paths, skip, plan, progress, |examples| {
        let views = |builder: &mut FeatureBuilder, (labelled, kinds): &Planned<'_>| {
            let views = examples::views(&labelled.example, kinds, &rules, builder)
                .map_err(|error| labelled.bad(&error))?;
            let hash =
                examples::content_hash(&labelled.example).map_err(|error| labelled.bad(&error))?;
            Ok((hash, views))
        };
        let views: Vec<(u64, Vec<View>)> =
            first_error(examples.par_iter().map_init(FeatureBuilder::default, views))?;
        for ((labelled, _), (hash, views)) in examples.iter().zip(views) {
            contradictions.note(hash, labelled);
            take(labelled, &views)?;
        }
        Ok(())
    })?;
    Ok(contradictions)
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
            let read: Vec<_> = lines.par_iter().enumerate().map(read).collect();
            let plan = |labelled: Labelled| {
                let kinds = quota.kinds(&labelled);
                (labelled, kinds)
            };
            // What stands before a bad line is taken: something in it may be bad as well, and then
            // that is the first.
            let mut bad = None;
            let good =
                read.into_iter().map_while(|line| line.map_err(|error| bad = Some(error)).ok());
            take(&good.flatten().map(plan).collect::<Vec<_>>())?;
            bad.map_or(Ok(()), Err)
        })?;
    }
    Ok(())
}

/// What many at once make of examples, in order; of several errors the first. Collecting to a
/// result would give any.
pub(super) fn first_error<T: Send>(
    made: impl ParallelIterator<Item = Result<T, CorpusError>>,
) -> Result<Vec<T>, CorpusError> {
    let made: Vec<_> = made.collect();
    made.into_iter().collect()
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
    if files::is_empty(bytes) {
        return Ok(None);
    }
    let example: Example = files::parse_line(bytes).map_err(bad)?;
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
            read_training_set(std::slice::from_ref(&path), skip, &no_trials, &|_| ()).unwrap().0
        };
        let set = read(|_| false);
        assert_eq!(set.sources(), ["blog", "other"]);
        assert_eq!(set.source_counts()["other"].ham_count, 1, "rude is not spam");
        // Both stand there disguised too, and the one with a name also without it.
        assert_eq!((set.example_count(), set.table().row_count()), (2, 5));
        assert_eq!(read(|source| source == "blog").sources(), ["other"]);
    }

    #[test]
    fn names_that_are_no_source_are_refused_with_those_that_are() {
        let names = ["other".to_owned(), "other".to_owned(), "blgo".to_owned()];
        let left_out = LeftOut::new(&names);
        assert!(left_out.skips("other") && !left_out.skips("blog"));
        let read = ["blog".to_owned()];
        let sources = || read.iter().chain(left_out.met());
        assert!(check_sources("--leave-out", &names[..2], sources()).is_ok());
        let failure = check_sources("--leave-out", &names, sources()).unwrap_err();
        let text = format!("{failure:?}");
        let expected = "--leave-out: no example has the source blgo; there are blog, other";
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn texts_with_both_labels_are_counted_and_named() {
        let line =
            |text: &str, label: &str| format!("{{\"text\":\"{text}\",\"label\":\"{label}\"}}\n");
        let text = [
            line("Thanks, that helped.", "ham"),
            line("Buy now", "spam"),
            line("thanks  THAT helped!", "toxic"),
            line("Thanks, that helped?", "spam"),
            line("Buy now.", "spam"),
        ];
        let (_folder, path) = written(&text.concat());
        let plan = TrialPlan::default();
        let (_, found) = read_training_set(&[path], |_| false, &plan, &|_| ()).unwrap();
        assert_eq!((found.count, found.first_labels.len()), (1, 2), "rude is ham");
        assert!(found.first_places[0].ends_with("blog.jsonl:4"), "{found:?}");
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
