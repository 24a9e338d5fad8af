//! Which examples of more than memory holds are trained on.
//!
//! Every example is read, in pieces, twice: once to count, once to learn. Of each label in each
//! source at most so many are kept that all fit; the largest are cut first, since what the ten
//! thousandth comment of one source says was said before. Which ones is a function of text and
//! seed, so that the same files give the same model in any order.

use std::collections::BTreeMap;
use std::path::PathBuf;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::corpus::{CorpusError, Labelled, TrialPlan, read_examples};
use crate::domain::Label;

/// Which examples are kept.
pub(super) struct Sampling {
    seed: u64,
    /// Kept are those whose hash is not above; cells that are whole are not listed.
    limits: BTreeMap<(String, Label), u64>,
    /// Examples there are.
    pub(super) total_count: usize,
    /// Examples of a cell at most, if any was cut.
    pub(super) cell_count_max: Option<usize>,
}

impl Sampling {
    /// Counts the examples of files and plans which to keep so that they are about
    /// `example_count_max`.
    ///
    /// # Errors
    /// [`CorpusError`] of the first bad line.
    pub(super) fn plan(
        paths: &[PathBuf],
        skip: impl Fn(&str) -> bool + Sync,
        example_count_max: usize,
        seed: u64,
        progress: &dyn Fn(u64),
    ) -> Result<Self, CorpusError> {
        let mut cells: BTreeMap<(String, Label), usize> = BTreeMap::new();
        read_examples(paths, skip, &TrialPlan::default(), progress, |examples| {
            for (labelled, _) in examples {
                *cells.entry((labelled.source.clone(), labelled.label)).or_default() += 1;
            }
            Ok(())
        })?;
        Ok(Self::of(cells, example_count_max, seed))
    }

    fn of(cells: BTreeMap<(String, Label), usize>, example_count_max: usize, seed: u64) -> Self {
        let total_count = cells.values().sum();
        let sizes: Vec<usize> = cells.values().copied().collect();
        let cell_count_max = cell_count_max(sizes, example_count_max);
        let limit = |size: usize| {
            let cap = cell_count_max.filter(|cap| *cap < size)?;
            Some((cap as f64 / size as f64 * u64::MAX as f64) as u64)
        };
        let limits = cells.into_iter().filter_map(|(cell, size)| Some((cell, limit(size)?)));
        Self { seed, limits: limits.collect(), total_count, cell_count_max }
    }

    /// Whether an example is kept.
    pub(super) fn keeps(&self, labelled: &Labelled) -> bool {
        // Most trainings cut nothing; then no name is copied to look it up.
        if self.limits.is_empty() {
            return true;
        }
        let limit = self.limits.get(&(labelled.source.clone(), labelled.label));
        let hash = || xxh3_64_with_seed(labelled.example.text.as_bytes(), self.seed);
        limit.is_none_or(|limit| hash() <= *limit)
    }
}

/// The most examples of a cell such that all cells together have at most `example_count_max`;
/// nothing if they have that anyway.
fn cell_count_max(mut sizes: Vec<usize>, example_count_max: usize) -> Option<usize> {
    if sizes.iter().sum::<usize>() <= example_count_max {
        return None;
    }
    sizes.sort_unstable();
    let mut left = example_count_max;
    for (done, size) in sizes.iter().enumerate() {
        let cells = sizes.len() - done;
        // From here on all cells are as large at least, and share what is left.
        if size * cells > left {
            return Some((left / cells).max(1));
        }
        left -= size;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::corpus::read_training_set;

    #[test]
    fn the_largest_are_cut_first() {
        assert_eq!(cell_count_max(vec![10, 20, 30], 60), None);
        assert_eq!(cell_count_max(vec![10, 20, 30], 50), Some(20));
        assert_eq!(cell_count_max(vec![10, 500, 900], 210), Some(100));
        assert_eq!(cell_count_max(vec![5; 100], 10), Some(1), "each cell has a say");
    }

    #[test]
    fn more_than_fits_is_sampled_by_cell_whatever_the_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large.jsonl");
        let line = |n: usize| {
            let source = if n.is_multiple_of(10) { "small" } else { "large" };
            let label = if n.is_multiple_of(3) { "spam" } else { "ham" };
            format!("{{\"text\":\"Remark {n}\",\"label\":\"{label}\",\"source\":\"{source}\"}}\n")
        };
        let write = |order: &[usize]| {
            let text: String = order.iter().map(|n| line(*n)).collect();
            std::fs::write(&path, text).unwrap();
        };
        let forward: Vec<usize> = (0..3_000).collect();
        let backward: Vec<usize> = forward.iter().rev().copied().collect();
        let paths = [path.clone()];
        let read = || {
            let sampling = Sampling::plan(&paths, |_| false, 1_000, 1, &|_| ()).unwrap();
            let plan = TrialPlan::default();
            let set =
                read_training_set(&paths, |_| false, &plan, Some(&sampling), &|_| ()).unwrap();
            (sampling, set.source_counts())
        };
        write(&forward);
        let (sampling, counts) = read();
        assert_eq!((sampling.total_count, sampling.cell_count_max), (3_000, Some(350)));
        assert_eq!((counts["small"].ham_count, counts["small"].spam_count), (200, 100), "whole");
        let large = counts["large"];
        for count in [large.ham_count, large.spam_count] {
            assert!((290..410).contains(&count), "{large:?}");
        }
        write(&backward);
        assert_eq!(read().1, counts, "the same ones in another order");
    }
}
