//! Dual coordinate descent for logistic regression: Yu, Huang and Lin, "Dual coordinate descent
//! methods for logistic regression and maximum entropy models", Machine Learning 85 (2011),
//! algorithms 4 and 5.
//!
//! Each row has a dual variable between 0 and its cost. A step solves the one-variable problem
//! of a row by a guarded Newton iteration and moves the weights along that row.
//!
//! Rows that are more than memory holds are solved block by block: Yu, Hsieh, Chang and Lin,
//! "Large linear classification when data cannot fit in memory", TKDD 5 (2012), algorithm 2. The
//! dual variables and the weights stay in memory. Each pass makes its blocks anew out of pages
//! drawn by lot, since neighbours in a file are alike.

use std::ops::Range;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::{Csr, LogisticRegression, LogisticRegressionValidParams, Problem, TrainError};
use crate::classifier::row_source::Page;

/// Newton steps for one row; the paper's experiments need two or three.
const NEWTON_STEPS_MAX: u32 = 100;
/// How far a Newton step that leaves the interval is drawn back (the paper's ξ).
const SHRINK: f64 = 0.1;
/// Precision of the one-variable problems at first, and at best.
const INNER_TOLERANCE: (f64, f64) = (1e-2, 1e-8);
/// How often the rows of a block are gone through before the next is loaded, if there are several.
const BLOCK_ROUNDS: u32 = 2;
/// Rows after which a fit asks whether it goes on: some milliseconds.
const STRETCH_ROWS: usize = 4_096;

/// How far a fit has come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// The pass over the rows, from 1.
    pub pass: u32,
    /// Blocks of this pass that are done.
    pub block: usize,
    /// Blocks of this pass.
    pub block_count: usize,
    /// Largest violation of the optimality condition in this pass so far; the fit ends when that
    /// of a whole pass is below the tolerance.
    pub violation: f64,
}

/// What is believed of the weights before any row is seen.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Prior<'a> {
    /// What each row scores before anything is learnt; 0 if there are none.
    pub(super) offsets: Option<&'a [f64]>,
    /// How freely each column's weight may move; 1 if there are none.
    pub(super) variances: Option<&'a [f32]>,
}

/// One row's part in the dual problem.
struct Row {
    /// Its place in its page.
    index: u32,
    /// +1 for spam, -1 for ham.
    sign: f64,
    cost: f64,
    /// What the row scores before anything is learnt.
    offset: f64,
    /// Squared length, the bias's constant entry included if there is one.
    square: f64,
    /// The dual variable and what it lacks to `cost`, each to full precision near zero.
    duals: [f64; 2],
}

/// Solves the problem, as long as it `goes_on`. Targets, weights and offsets have been checked.
pub(super) fn fit(
    params: &LogisticRegressionValidParams,
    problem: &Problem<'_>,
    prior: Prior<'_>,
    progress: &mut dyn FnMut(Progress),
    goes_on: &dyn Fn() -> bool,
) -> Result<LogisticRegression, TrainError> {
    let mut buffer = Csr::new(problem.rows.column_count());
    let mut fit = DualFit::start(params, problem, prior, &mut buffer)?;
    let mut chance = Xoshiro256PlusPlus::seed_from_u64(params.seed);
    let mut inner_tolerance = INNER_TOLERANCE.0;
    let mut order = Vec::new();
    let mut pass = 0;
    while pass < params.pass_count_max {
        let blocks = fit.blocks(problem.rows.entry_count_max(), &mut chance);
        let block_count = blocks.len();
        let mut of_pass = Round::default();
        for (number, pages) in blocks.iter().enumerate() {
            let table = problem.rows.load(pages, &mut buffer)?;
            if block_count > 1 || pass == 0 {
                fit.visits(pages, &mut order);
            }
            for round in 0..if block_count > 1 { BLOCK_ROUNDS } else { 1 } {
                order.shuffle(&mut chance);
                let done = fit.round(table, &order, inner_tolerance, goes_on)?;
                // The first round sees the block as the others left it.
                if round == 0 {
                    of_pass.violation = of_pass.violation.max(done.violation);
                    of_pass.newton_steps += done.newton_steps;
                }
            }
            let (pass, block) = (pass + 1, number + 1);
            progress(Progress { pass, block, block_count, violation: of_pass.violation });
        }
        pass += 1;
        if of_pass.violation < params.tolerance {
            break;
        }
        if of_pass.newton_steps <= fit.rows.len() as u64 / 10 {
            inner_tolerance = (inner_tolerance * 0.1).max(INNER_TOLERANCE.1);
        }
    }
    let bias = if params.fits_bias { fit.bias as f32 } else { 0.0 };
    Ok(LogisticRegression { weights: fit.weights, bias, pass_count: pass })
}

/// One row's turn: its place among the rows that take part, and in the block.
type Visit = (u32, u32);

/// What going through a block's rows once did.
#[derive(Default)]
struct Round {
    violation: f64,
    newton_steps: u64,
}

/// The weights, and the dual variables that they are the sum of.
struct DualFit<'a> {
    fits_bias: bool,
    variances: Option<&'a [f32]>,
    weights: Vec<f32>,
    bias: f64,
    /// The rows that take part, by page.
    rows: Vec<Row>,
    pages: Vec<Page>,
    /// Each page's range of `rows`.
    ranges: Vec<Range<usize>>,
}

impl<'a> DualFit<'a> {
    /// Each dual variable next to zero.
    fn start(
        params: &LogisticRegressionValidParams,
        problem: &Problem<'_>,
        prior: Prior<'a>,
        buffer: &mut Csr,
    ) -> Result<Self, TrainError> {
        let mut fit = Self {
            fits_bias: params.fits_bias,
            variances: prior.variances,
            weights: vec![0.0f32; problem.rows.column_count()],
            bias: 0.0,
            rows: Vec::new(),
            pages: problem.rows.pages(),
            ranges: Vec::new(),
        };
        let mut first = 0;
        for number in 0..fit.pages.len() {
            let start = fit.rows.len();
            let targets = first..first + fit.pages[number].row_count;
            // A page without a row that takes part is never read.
            if targets.clone().any(|row| problem.weight(row) > 0.0) {
                let table = problem.rows.load(&[number], buffer)?;
                let rows = targets.clone().zip(0..);
                let part =
                    rows.filter_map(|(at, index)| row(params, problem, prior, table, at, index));
                fit.rows.extend(part);
                for row in &fit.rows[start..] {
                    let entries = table.row(row.index as usize);
                    let dual = row.sign * row.duals[0];
                    add(&mut fit.weights, entries, prior.variances, dual);
                    fit.bias += dual;
                }
            }
            fit.ranges.push(start..fit.rows.len());
            first = targets.end;
        }
        Ok(fit)
    }

    /// The pages with rows that take part, by lot, as many together as may be in memory.
    fn blocks(&self, entry_count_max: usize, chance: &mut Xoshiro256PlusPlus) -> Vec<Vec<usize>> {
        let mut pages: Vec<usize> =
            (0..self.pages.len()).filter(|page| !self.ranges[*page].is_empty()).collect();
        pages.shuffle(chance);
        let mut blocks: Vec<Vec<usize>> = Vec::new();
        let mut left = 0;
        for page in pages {
            let entry_count = self.pages[page].entry_count;
            match blocks.last_mut().filter(|_| entry_count <= left) {
                Some(block) => block.push(page),
                None => {
                    blocks.push(vec![page]);
                    left = entry_count_max;
                }
            }
            left = left.saturating_sub(entry_count);
        }
        // In the order of the file, which is read faster so.
        blocks.iter_mut().for_each(|block| block.sort_unstable());
        blocks
    }

    /// The rows of a block that take part.
    fn visits(&self, pages: &[usize], order: &mut Vec<Visit>) {
        order.clear();
        let mut first = 0;
        for page in pages {
            let visit = |at: usize| (at as u32, first + self.rows[at].index);
            order.extend(self.ranges[*page].clone().map(visit));
            first += self.pages[*page].row_count as u32;
        }
    }

    /// Solves for each row of a block once.
    fn round(
        &mut self,
        table: &Csr,
        order: &[Visit],
        tolerance: f64,
        goes_on: &dyn Fn() -> bool,
    ) -> Result<Round, TrainError> {
        let mut done = Round::default();
        for stretch in order.chunks(STRETCH_ROWS) {
            for (position, index) in stretch {
                let row = &mut self.rows[*position as usize];
                let entries = table.row(*index as usize);
                let score = row.offset + dot(&self.weights, entries);
                let margin = row.sign * if self.fits_bias { score + self.bias } else { score };
                let step = solve_row(row, margin, tolerance);
                done.violation = done.violation.max(step.violation);
                done.newton_steps += u64::from(step.newton_steps);
                if step.change != 0.0 {
                    let change = row.sign * step.change;
                    add(&mut self.weights, entries, self.variances, change);
                    self.bias += change;
                }
            }
            if !goes_on() {
                return Err(TrainError::Cancelled);
            }
        }
        Ok(done)
    }
}

/// The part that row `at` of all takes, which has the place `index` in its page's table.
fn row(
    params: &LogisticRegressionValidParams,
    problem: &Problem<'_>,
    prior: Prior<'_>,
    table: &Csr,
    at: usize,
    index: u32,
) -> Option<Row> {
    let cost = params.cost * f64::from(problem.weight(at));
    let (columns, values) = table.row(index as usize);
    let variance =
        |column: &u32| prior.variances.map_or(1.0, |variances| variances[*column as usize]);
    let squares = columns
        .iter()
        .zip(values)
        .map(|(column, value)| f64::from(value * value * variance(column)));
    let constant = if params.fits_bias { 1.0 } else { 0.0 };
    let square: f64 = constant + squares.sum::<f64>();
    let sign = if problem.targets[at] { 1.0 } else { -1.0 };
    let dual = (0.001 * cost).min(1e-8);
    let offset = prior.offsets.map_or(0.0, |offsets| offsets[at]);
    let duals = [dual, cost - dual];
    // A row without entries cannot move anything if there is no bias.
    (cost > 0.0 && square > 0.0).then_some(Row { index, sign, cost, offset, square, duals })
}

/// What solving one row's problem did.
struct Step {
    violation: f64,
    newton_steps: u32,
    change: f64,
}

/// Minimises over the dual variable of one row whose signed score is `margin` (algorithm 4).
///
/// The problem is solved for the variable or for its distance from the cost, whichever end is
/// nearer, since the logarithm loses all precision at the far one.
fn solve_row(row: &mut Row, margin: f64, tolerance: f64) -> Step {
    let Row { cost, square, duals, .. } = *row;
    let mirrored = 0.5 * square * (duals[1] - duals[0]) + margin < 0.0;
    let (old, slope) = if mirrored { (duals[1], -margin) } else { (duals[0], margin) };
    let derivative = |z: f64| square * (z - old) + slope + (z / (cost - z)).ln();
    let violation = derivative(old).abs();
    if violation < tolerance {
        return Step { violation, newton_steps: 0, change: 0.0 };
    }
    // From the far half Newton's method would leave the interval; the paper starts closer. The
    // violation is taken before: a row that wavers around the middle is as good as solved.
    let mut z = if cost - old < 0.5 * cost { SHRINK * old } else { old };
    let mut gradient = derivative(z);
    let mut newton_steps = 0;
    while newton_steps < NEWTON_STEPS_MAX && gradient.abs() >= tolerance {
        let next = z - gradient / (square + cost / (cost - z) / z);
        z = if next <= 0.0 { z * SHRINK } else { next };
        // The open interval in floating point: the logarithm needs both ends apart from zero.
        z = z.clamp(f64::MIN_POSITIVE, cost * (1.0 - f64::EPSILON));
        gradient = derivative(z);
        newton_steps += 1;
    }
    row.duals = if mirrored { [cost - z, z] } else { [z, cost - z] };
    let change = if mirrored { old - z } else { z - old };
    Step { violation, newton_steps, change }
}

/// The score of a row without the bias.
///
/// Four sums side by side: one alone would wait for each addition to finish. Their order is
/// fixed, so the result is too.
#[inline]
fn dot(weights: &[f32], (columns, values): (&[u32], &[f32])) -> f64 {
    let mut sums = [0.0f32; 4];
    let (column_chunks, column_rest) = columns.as_chunks::<4>();
    let (value_chunks, value_rest) = values.as_chunks::<4>();
    for (columns, values) in column_chunks.iter().zip(value_chunks) {
        for lane in 0..4 {
            sums[lane] += weights[columns[lane] as usize] * values[lane];
        }
    }
    let mut rest = 0.0f32;
    for (column, value) in column_rest.iter().zip(value_rest) {
        rest += weights[*column as usize] * value;
    }
    f64::from(sums[0] + sums[1]) + f64::from(sums[2] + sums[3]) + f64::from(rest)
}

/// Moves weights along a row, each as far as its prior is wide.
#[inline]
fn add(
    weights: &mut [f32],
    (columns, values): (&[u32], &[f32]),
    variances: Option<&[f32]>,
    factor: f64,
) {
    let factor = factor as f32;
    let entries = columns.iter().map(|column| *column as usize).zip(values);
    match variances {
        None => entries.for_each(|(column, value)| weights[column] += factor * value),
        Some(variances) => entries
            .for_each(|(column, value)| weights[column] += factor * value * variances[column]),
    }
}
