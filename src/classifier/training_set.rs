//! The training table with what is known of its rows.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ndarray::Array1;

use super::{Csr, Perturbation, SourceCount};
use crate::domain::Label;
use crate::features::{BUCKET_COUNT, FeatureVector};

/// Fewest examples of a label in a source for that cell to weigh by its size; smaller cells
/// weigh as if each example were one of so many, so that ten odd comments cannot shout.
const CELL_SIZE_MIN: f64 = 100.0;

/// Labelled rows with what is known of them. Its size is that of the feature table; no text is
/// in it. The table may be somewhere else than in memory.
#[derive(Debug, Clone)]
pub struct TrainingSet<T = Csr> {
    pub(super) table: T,
    pub(super) rows: Vec<Row>,
    pub(super) sources: Vec<String>,
    source_indices: HashMap<String, u32>,
    example_count: usize,
    /// Of the examples that have one.
    times: BTreeMap<u32, i64>,
    /// Of the examples that say whether they are abuse.
    abuse: BTreeMap<u32, bool>,
}

/// Fewest examples of each kind for a head that tells abuse.
pub const ABUSE_COUNT_MIN: usize = 1_000;

/// What is known of a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) source: u32,
    pub(super) spam: bool,
    /// Near duplicates share it; examples without a group have one of their own.
    pub(super) group: u64,
    /// Share of the example's weight.
    share: f32,
    pub(super) role: Role,
    /// What signals that are weighed by hand add to the score, in log-odds.
    pub(super) evidence: f32,
    /// The running number of its example.
    pub(super) example: u32,
}

/// What a view is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The example as it came: to train on, and to judge models by.
    Whole,
    /// A variant to train on.
    Variant,
    /// A disguised copy to judge models by, and never to train on.
    Trial(Perturbation),
}

/// One way an example enters the table.
#[derive(Debug, Clone)]
pub struct View {
    /// Its features.
    pub vector: FeatureVector,
    /// Share of the example's weight; nothing in a trial.
    pub share: f32,
    /// What it is for.
    pub role: Role,
    /// What signals that are weighed by hand add to the score, in log-odds.
    pub evidence: f32,
}

impl Default for TrainingSet {
    fn default() -> Self {
        Self::over(Csr::new(BUCKET_COUNT as usize))
    }
}

impl TrainingSet {
    /// Adds an example with its views.
    pub fn push(&mut self, source: &str, label: Label, group: Option<i64>, views: &[View]) {
        for view in views {
            self.table.push_row(view.vector.entries());
        }
        self.note(source, label, group, views);
    }

    /// The rows of these examples as a set of their own.
    pub(super) fn subset(&self, examples: &[u32]) -> Self {
        let wanted: BTreeSet<u32> = examples.iter().copied().collect();
        let is_in = |example| wanted.contains(&example);
        let mut set = self.known_of(is_in).with_table(self.rows_of(is_in));
        set.abuse.clear();
        set
    }

    /// The examples that say whether they are abuse as a set of their own, with that in place of
    /// spam; nothing if they are too few to learn from.
    pub fn of_abuse(&self) -> Option<Self> {
        let is_in = |example| self.abuse.contains_key(&example);
        Some(self.as_abuse()?.known_of(is_in).with_table(self.rows_of(is_in)))
    }

    /// A table of the rows of some examples.
    fn rows_of(&self, keeps: impl Fn(u32) -> bool) -> Csr {
        let mut table = Csr::new(self.table.column_count());
        let rows = self.rows.iter().enumerate().filter(|(_, row)| keeps(row.example));
        for (index, _) in rows {
            let (columns, values) = self.table.row(index);
            table.push_row(columns.iter().copied().zip(values.iter().copied()));
        }
        table
    }
}

impl<T> TrainingSet<T> {
    /// A set without examples, whose rows will be in `table`.
    pub fn over(table: T) -> Self {
        Self {
            table,
            rows: Vec::new(),
            sources: Vec::new(),
            source_indices: HashMap::new(),
            example_count: 0,
            times: BTreeMap::new(),
            abuse: BTreeMap::new(),
        }
    }

    /// Adds what is known of an example whose views are the next rows of the table.
    pub fn note(&mut self, source: &str, label: Label, group: Option<i64>, views: &[View]) {
        let source = self.source_index(source);
        let example = self.example_count as u32;
        // Groups without a number get one from the upper half of the range.
        let group = group.map_or(u64::MAX - u64::from(example), |group| group as u64);
        for view in views {
            let share = if matches!(view.role, Role::Trial(_)) { 0.0 } else { view.share };
            let (spam, role, evidence) = (label == Label::Spam, view.role, view.evidence);
            self.rows.push(Row { source, spam, group, share, role, evidence, example });
        }
        self.example_count += 1;
    }

    /// What is known of some examples, without their rows.
    pub fn known_of(&self, keeps: impl Fn(u32) -> bool) -> TrainingSet<()> {
        let rows = self.rows.iter().filter(|row| keeps(row.example));
        let rows: Vec<Row> = rows.copied().collect();
        let times = self.times.iter().filter(|(example, _)| keeps(**example));
        let abuse = self.abuse.iter().filter(|(example, _)| keeps(**example));
        TrainingSet {
            table: (),
            example_count: rows.chunk_by(|one, next| one.example == next.example).count(),
            rows,
            sources: self.sources.clone(),
            source_indices: self.source_indices.clone(),
            times: times.map(|(example, time)| (*example, *time)).collect(),
            abuse: abuse.map(|(example, abuse)| (*example, *abuse)).collect(),
        }
    }

    /// The same with its rows in `table`.
    pub fn with_table<U>(self, table: U) -> TrainingSet<U> {
        self.replace_table(table).0
    }

    /// The same with its rows in another table, and the table that it had.
    pub fn replace_table<U>(self, table: U) -> (TrainingSet<U>, T) {
        let Self { rows, sources, source_indices, example_count, times, abuse, .. } = self;
        let set = TrainingSet { table, rows, sources, source_indices, example_count, times, abuse };
        (set, self.table)
    }

    /// The example of each row, by its running number.
    pub fn example_of_rows(&self) -> impl Iterator<Item = u32> + '_ {
        self.rows.iter().map(|row| row.example)
    }

    /// Notes when the last pushed example was written: seconds since 1970.
    pub fn set_time(&mut self, time: i64) {
        if let Some(last) = self.example_count.checked_sub(1) {
            self.times.insert(last as u32, time);
        }
    }

    /// Notes whether the last pushed example is abuse.
    pub fn set_abuse(&mut self, abuse: bool) {
        if let Some(last) = self.example_count.checked_sub(1) {
            self.abuse.insert(last as u32, abuse);
        }
    }

    /// How many examples are called abuse, and how many are called none.
    pub fn abuse_counts(&self) -> [usize; 2] {
        let abuse_count = self.abuse.values().filter(|abuse| **abuse).count();
        [abuse_count, self.abuse.len() - abuse_count]
    }

    /// The examples that say whether they are abuse, with that in place of spam; nothing if they
    /// are too few to learn from. The table is the same, and the rows of all others take no part.
    pub(super) fn as_abuse(&self) -> Option<TrainingSet<&T>> {
        if self.abuse_counts().into_iter().any(|count| count < ABUSE_COUNT_MIN) {
            return None;
        }
        let mut set = self.known_of(|_| true).with_table(&self.table);
        set.example_count = self.abuse.len();
        set.times.retain(|example, _| self.abuse.contains_key(example));
        for row in &mut set.rows {
            match self.abuse.get(&row.example) {
                Some(abuse) => row.spam = *abuse,
                None => (row.role, row.share) = (Role::Variant, 0.0),
            }
            // Signals speak of spam alone.
            row.evidence = 0.0;
        }
        Some(set.with_sources_in_use())
    }

    /// Drops the sources without examples.
    fn with_sources_in_use(mut self) -> Self {
        let used: BTreeSet<u32> = self.examples().map(|row| row.source).collect();
        let used: Vec<u32> = used.into_iter().collect();
        let new = |old: u32| used.iter().position(|source| *source == old).unwrap_or_default();
        self.rows.iter_mut().for_each(|row| row.source = new(row.source) as u32);
        self.sources = used.iter().map(|old| self.sources[*old as usize].clone()).collect();
        self.source_indices =
            (0..).zip(&self.sources).map(|(at, name)| (name.clone(), at)).collect();
        self
    }

    /// When an example was written, if that is known.
    pub(super) fn time(&self, example: u32) -> Option<i64> {
        self.times.get(&example).copied()
    }

    fn source_index(&mut self, source: &str) -> u32 {
        if let Some(known) = self.source_indices.get(source) {
            return *known;
        }
        let index = self.sources.len() as u32;
        self.sources.push(source.to_owned());
        self.source_indices.insert(source.to_owned(), index);
        index
    }

    /// The sources, in order of their first example.
    pub fn sources(&self) -> &[String] {
        &self.sources
    }

    /// How many examples there are.
    pub fn example_count(&self) -> usize {
        self.example_count
    }

    /// The table of features.
    pub fn table(&self) -> &T {
        &self.table
    }

    /// Whether the example of a row is spam.
    pub fn is_spam(&self, row: usize) -> bool {
        self.rows[row].spam
    }

    /// Whether a row has its example as it came.
    pub(super) fn is_whole(&self, row: usize) -> bool {
        self.rows[row].role == Role::Whole
    }

    /// The rows that have an example as it came.
    pub fn whole_rows(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.rows.len()).filter(|row| self.is_whole(*row))
    }

    /// The examples, each by the row that has it as it came.
    pub(super) fn examples(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.role == Role::Whole)
    }

    /// The group of each example.
    #[cfg(test)]
    pub fn groups(&self) -> Vec<u64> {
        self.examples().map(|row| row.group).collect()
    }

    /// Label and share of the example's weight, by row.
    pub(super) fn shares(&self) -> impl Iterator<Item = (bool, f32)> + '_ {
        self.rows.iter().map(|row| (row.spam, row.share))
    }

    /// What signals that are weighed by hand add to the score of a row, in log-odds.
    pub(super) fn evidence(&self, row: usize) -> f64 {
        f64::from(self.rows[row].evidence)
    }

    /// Counts by source.
    pub fn source_counts(&self) -> BTreeMap<String, SourceCount> {
        let mut counts: BTreeMap<String, SourceCount> = BTreeMap::new();
        for row in self.rows.iter().filter(|row| row.role == Role::Whole) {
            let count = counts.entry(self.sources[row.source as usize].clone()).or_default();
            *(if row.spam { &mut count.spam_count } else { &mut count.ham_count }) += 1;
        }
        counts
    }

    /// The weight of each row: a cell (source and label) weighs as its size to `power`, then all
    /// are scaled so that the mean example weighs one.
    pub fn weights(&self, power: f64) -> Array1<f32> {
        let mut cells: BTreeMap<(u32, bool), f64> = BTreeMap::new();
        for row in self.rows.iter().filter(|row| row.role == Role::Whole) {
            *cells.entry((row.source, row.spam)).or_default() += 1.0;
        }
        let weigh = |size: f64| size.max(CELL_SIZE_MIN).powf(power - 1.0);
        let total: f64 = cells.values().map(|size| size * weigh(*size)).sum();
        let scale = self.example_count as f64 / total;
        let weight = |row: &Row| {
            let size = cells.get(&(row.source, row.spam)).copied().unwrap_or(1.0);
            (f64::from(row.share) * weigh(size) * scale) as f32
        };
        self.rows.iter().map(weight).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(set: &mut TrainingSet, source: &str, label: Label, shares: &[f32]) {
        let view = |(at, share): (usize, &f32)| View {
            vector: FeatureVector::default(),
            share: *share,
            role: if at == 0 { Role::Whole } else { Role::Variant },
            evidence: 0.0,
        };
        let views: Vec<View> = shares.iter().enumerate().map(view).collect();
        set.push(source, label, None, &views);
    }

    #[test]
    fn at_power_zero_sources_weigh_alike_however_large() {
        let mut set = TrainingSet::default();
        for _ in 0..300 {
            push(&mut set, "large", Label::Ham, &[0.5, 0.5]);
        }
        for _ in 0..100 {
            push(&mut set, "small", Label::Spam, &[1.0]);
        }
        let total = |weights: &Array1<f32>, spam: bool| -> f32 {
            let of_label = |row: &usize| set.is_spam(*row) == spam;
            (0..weights.len()).filter(of_label).map(|row| weights[row]).sum()
        };
        let even = set.weights(0.0);
        assert!((total(&even, false) - total(&even, true)).abs() < 1e-2);
        assert!((even.sum() - 400.0).abs() < 1e-2, "the mean example weighs one");
        let by_size = set.weights(1.0);
        assert!((total(&by_size, false) - 300.0).abs() < 1e-2);
    }

    #[test]
    fn a_handful_of_comments_cannot_shout() {
        let mut set = TrainingSet::default();
        push(&mut set, "odd", Label::Spam, &[1.0]);
        for _ in 0..100 {
            push(&mut set, "usual", Label::Ham, &[1.0]);
        }
        let weights = set.weights(0.0);
        assert_eq!(weights[0], weights[1]);
    }

    #[test]
    fn examples_are_counted_once_whatever_their_views() {
        let mut set = TrainingSet::default();
        push(&mut set, "a", Label::Ham, &[0.5, 0.5]);
        push(&mut set, "a", Label::Spam, &[1.0]);
        assert_eq!((set.example_count(), set.table().row_count()), (2, 3));
        let count = SourceCount { ham_count: 1, spam_count: 1 };
        assert_eq!(set.source_counts(), BTreeMap::from([("a".to_owned(), count)]));
    }

    #[test]
    fn abuse_has_a_set_of_its_own_where_there_is_enough_of_it() {
        let mut set = TrainingSet::default();
        push(&mut set, "blog", Label::Spam, &[1.0]);
        for number in 0..2 * ABUSE_COUNT_MIN {
            assert!(set.of_abuse().is_none());
            push(&mut set, "news", Label::Ham, &[0.5, 0.5]);
            set.set_abuse(number % 2 == 0);
        }
        let abuse = set.of_abuse().unwrap();
        assert_eq!((abuse.sources(), abuse.example_count()), (&["news".to_owned()][..], 2_000));
        assert_eq!(abuse.source_counts()["news"].spam_count, 1_000);
        let subset = set.subset(&[0, 2]);
        assert_eq!((subset.example_count(), subset.table().row_count()), (2, 3));
        assert_eq!(
            subset.whole_rows().map(|row| subset.is_spam(row)).collect::<Vec<_>>(),
            [true, false]
        );
    }
}
