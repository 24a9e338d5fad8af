//! Which examples of more than fits are judged by.
//!
//! Weights are fitted to all examples, wherever their rows are. Calibration and budget take some
//! thirty fits more, so they go by a sample that is in memory. Of each label in each source at most
//! so many are in it that all fit; the largest are cut first, since what the ten thousandth comment
//! of one source says was said before. Which ones is a function of text and seed, so that the same
//! files give the same sample in any order.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::corpus::Labelled;
use crate::domain::Label;

/// All examples, some dozens of bytes each.
pub(super) struct Candidates {
    seed: u64,
    /// The label in a source, by number.
    cells: BTreeMap<(String, Label), usize>,
    cell_sizes: Vec<usize>,
    examples: Vec<Candidate>,
}

struct Candidate {
    cell: u32,
    entry_count: u32,
    hash: u64,
}

/// The examples to judge by.
pub(super) struct Sample {
    /// Of each example whether it is in.
    pub(super) keeps: Vec<bool>,
    /// Entries of their rows.
    pub(super) entry_count: usize,
    /// Examples of a cell at most, if any was cut.
    pub(super) cell_count_max: Option<usize>,
}

impl Candidates {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, cells: BTreeMap::new(), cell_sizes: Vec::new(), examples: Vec::new() }
    }

    /// Adds the next example, whose rows have so many entries.
    pub(super) fn push(&mut self, labelled: &Labelled, entry_count: usize) {
        let next = self.cells.len();
        let cell = *self.cells.entry((labelled.source.clone(), labelled.label)).or_insert(next);
        if cell == next {
            self.cell_sizes.push(0);
        }
        self.cell_sizes[cell] += 1;
        let hash = xxh3_64_with_seed(labelled.example.text.as_bytes(), self.seed);
        let (cell, entry_count) = (cell as u32, entry_count as u32);
        self.examples.push(Candidate { cell, entry_count, hash });
    }

    /// About `example_count_max` examples whose rows have at most `entry_count_max` entries.
    pub(super) fn sample(&self, example_count_max: usize, entry_count_max: usize) -> Sample {
        let mut example_count_max = example_count_max.min(self.examples.len());
        loop {
            let sample = self.about(example_count_max);
            if sample.entry_count <= entry_count_max || example_count_max <= 1 {
                return sample;
            }
            // A little less than what would fit if all had the same length: they have not.
            let share = 0.95 * entry_count_max as f64 / sample.entry_count as f64;
            example_count_max = (example_count_max as f64 * share) as usize;
        }
    }

    fn about(&self, example_count_max: usize) -> Sample {
        let cell_count_max = cell_count_max(self.cell_sizes.clone(), example_count_max);
        let limit = |size: &usize| {
            let cap = cell_count_max.filter(|cap| cap < size)?;
            Some((cap as f64 / *size as f64 * u64::MAX as f64) as u64)
        };
        let limits: Vec<Option<u64>> = self.cell_sizes.iter().map(limit).collect();
        let is_in = |example: &Candidate| {
            limits[example.cell as usize].is_none_or(|limit| example.hash <= limit)
        };
        let keeps = self.examples.iter().map(is_in).collect();
        let sizes = self.examples.iter().filter(|example| is_in(example));
        let entry_count = sizes.map(|example| example.entry_count as usize).sum();
        Sample { keeps, entry_count, cell_count_max }
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
    use std::collections::BTreeSet;

    use super::*;
    use crate::cli::corpus::{TrialPlan, read_views};

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
        let sample = |entry_count_max| {
            let (mut candidates, mut read) = (Candidates::new(1), Vec::new());
            read_views(
                &paths,
                |_| false,
                &TrialPlan::default(),
                &|_| (),
                |labelled, _| {
                    candidates.push(labelled, 10);
                    read.push((
                        labelled.source.clone(),
                        labelled.label,
                        labelled.example.text.clone(),
                    ));
                    Ok(())
                },
            )
            .unwrap();
            let sample = candidates.sample(1_000, entry_count_max);
            let kept = read.into_iter().zip(&sample.keeps).filter(|(_, keeps)| **keeps);
            let kept: BTreeSet<_> = kept.map(|(example, _)| example).collect();
            (sample, kept)
        };
        write(&forward);
        let (all, kept) = sample(usize::MAX);
        let count = |source: &str, label| {
            kept.iter().filter(|example| example.0 == source && example.1 == label).count()
        };
        assert_eq!((all.keeps.len(), all.cell_count_max), (3_000, Some(350)));
        assert_eq!(all.entry_count, 10 * kept.len());
        assert_eq!((count("small", Label::Ham), count("small", Label::Spam)), (200, 100), "whole");
        for label in [Label::Ham, Label::Spam] {
            assert!((290..410).contains(&count("large", label)), "{}", count("large", label));
        }
        write(&backward);
        assert_eq!(sample(usize::MAX).1, kept, "the same ones in another order");
        let (small, kept) = sample(5_000);
        assert!(small.entry_count <= 5_000 && kept.len() > 400, "{}", kept.len());
    }
}
