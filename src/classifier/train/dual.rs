//! Dual coordinate descent for logistic regression: Yu, Huang and Lin, "Dual coordinate descent
//! methods for logistic regression and maximum entropy models", Machine Learning 85 (2011),
//! algorithms 4 and 5.
//!
//! Each row has a dual variable between 0 and its cost. A step solves the one-variable problem
//! of a row by a guarded Newton iteration and moves the weights along that row.

use std::borrow::Borrow;

use linfa::dataset::Records;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::{Csr, Dataset, LogisticRegression, LogisticRegressionValidParams};

/// Newton steps for one row; the paper's experiments need two or three.
const NEWTON_STEPS_MAX: u32 = 100;
/// How far a Newton step that leaves the interval is drawn back (the paper's ξ).
const SHRINK: f64 = 0.1;
/// Precision of the one-variable problems at first, and at best.
const INNER_TOLERANCE: (f64, f64) = (1e-2, 1e-8);

/// How far a fit has come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Passes over the rows so far.
    pub pass: u32,
    /// Largest violation of the optimality condition in the last pass; the fit ends when it
    /// falls below the tolerance.
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
    index: usize,
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

/// Solves the problem. Targets, weights and offsets have been checked.
pub(super) fn fit<R: Records + Borrow<Csr>>(
    params: &LogisticRegressionValidParams,
    dataset: &Dataset<R>,
    prior: Prior<'_>,
    progress: &mut dyn FnMut(Progress),
) -> LogisticRegression {
    let table: &Csr = dataset.records.borrow();
    let mut weights = vec![0.0f32; table.column_count()];
    let mut bias = 0.0f64;
    let mut rows = start(params, dataset, prior);
    for row in &rows {
        add(&mut weights, table.row(row.index), prior.variances, row.sign * row.duals[0]);
        bias += row.sign * row.duals[0];
    }
    let mut chance = Xoshiro256PlusPlus::seed_from_u64(params.seed);
    let mut order: Vec<u32> = (0..rows.len() as u32).collect();
    let mut inner_tolerance = INNER_TOLERANCE.0;
    let mut pass = 0;
    while pass < params.pass_count_max {
        order.shuffle(&mut chance);
        let mut violation = 0.0f64;
        let mut newton_steps = 0;
        for position in &order {
            let row = &mut rows[*position as usize];
            let entries = table.row(row.index);
            let score = row.offset + dot(&weights, entries);
            let margin = row.sign * if params.fits_bias { score + bias } else { score };
            let step = solve_row(row, margin, inner_tolerance);
            violation = violation.max(step.violation);
            newton_steps += u64::from(step.newton_steps);
            if step.change != 0.0 {
                add(&mut weights, entries, prior.variances, row.sign * step.change);
                bias += row.sign * step.change;
            }
        }
        pass += 1;
        progress(Progress { pass, violation });
        if violation < params.tolerance {
            break;
        }
        if newton_steps <= rows.len() as u64 / 10 {
            inner_tolerance = (inner_tolerance * 0.1).max(INNER_TOLERANCE.1);
        }
    }
    let bias = if params.fits_bias { bias as f32 } else { 0.0 };
    LogisticRegression { weights, bias, pass_count: pass }
}

/// The rows that take part, each with its dual variable next to zero.
fn start<R: Records + Borrow<Csr>>(
    params: &LogisticRegressionValidParams,
    dataset: &Dataset<R>,
    prior: Prior<'_>,
) -> Vec<Row> {
    let table: &Csr = dataset.records.borrow();
    let part = |index: usize| {
        let cost = params.cost * f64::from(dataset.weight_for(index));
        let (columns, values) = table.row(index);
        let variance =
            |column: &u32| prior.variances.map_or(1.0, |variances| variances[*column as usize]);
        let squares = columns
            .iter()
            .zip(values)
            .map(|(column, value)| f64::from(value * value * variance(column)));
        let constant = if params.fits_bias { 1.0 } else { 0.0 };
        let square: f64 = constant + squares.sum::<f64>();
        let sign = if dataset.targets[index] { 1.0 } else { -1.0 };
        let dual = (0.001 * cost).min(1e-8);
        let offset = prior.offsets.map_or(0.0, |offsets| offsets[index]);
        let duals = [dual, cost - dual];
        // A row without entries cannot move anything if there is no bias.
        (cost > 0.0 && square > 0.0).then_some(Row { index, sign, cost, offset, square, duals })
    };
    (0..table.row_count()).filter_map(part).collect()
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
