//! Logistic regression with an L2 penalty, behind linfa's traits.
//!
//! linfa's own models take dense rows; these take [`Csr`]. A fit is a pure function of rows,
//! targets, weights, settings and seed: the same input gives the same bits. Rows may be more than
//! memory holds ([`RowSource`]); then the pages that they stand in are input too.

mod dual;

use std::borrow::Borrow;

use linfa::dataset::{DatasetBase, Records};
use linfa::traits::{Fit, PredictInplace};
use linfa::{Float, ParamGuard};
use ndarray::Array1;

use super::Csr;
use super::row_source::{RowSource, RowsError};

use dual::Prior;

pub use dual::Progress;

/// Rows with one label each: `true` is spam. The table is owned or borrowed, since folds share it.
pub type Dataset<R = Csr> = DatasetBase<R, Array1<bool>>;

impl Records for Csr {
    type Elem = f32;

    fn nsamples(&self) -> usize {
        self.row_count()
    }

    fn nfeatures(&self) -> usize {
        self.column_count()
    }
}

/// Why a fit is impossible.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TrainError {
    /// A setting is out of its range.
    #[error("{name} is {value}; {expected} is expected")]
    Parameter {
        /// The setting.
        name: &'static str,
        /// What it was.
        value: f64,
        /// What it may be.
        expected: &'static str,
    },
    /// Targets or weights are not as many as the rows.
    #[error("{rows} rows have {count} {what}")]
    Count {
        /// Rows there are.
        rows: usize,
        /// What there should be as many of.
        what: &'static str,
        /// How many there are.
        count: usize,
    },
    /// A weight is negative or not a number.
    #[error("the weight of row {row} is {weight}")]
    Weight {
        /// The row.
        row: usize,
        /// Its weight.
        weight: f32,
    },
    /// No row of one label has a weight above zero, so there is nothing to tell apart.
    #[error("there is no {0} to learn from")]
    MissingLabel(&'static str),
    /// Whoever asked for it does not want it any more.
    #[error("it was cancelled")]
    Cancelled,
    /// Rows that are not in memory could not be read back.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// linfa could not do its part.
    #[error(transparent)]
    Linfa(#[from] linfa::Error),
}

/// Settings of a fit that have not been checked yet.
#[derive(Debug, Clone, PartialEq)]
pub struct LogisticRegressionParams(LogisticRegressionValidParams);

/// Settings of a fit that are within their ranges.
#[derive(Debug, Clone, PartialEq)]
pub struct LogisticRegressionValidParams {
    pub(super) cost: f64,
    pub(super) tolerance: f64,
    pub(super) pass_count_max: u32,
    pub(super) seed: u64,
    pub(super) fits_bias: bool,
}

impl Default for LogisticRegressionParams {
    fn default() -> Self {
        Self(LogisticRegressionValidParams {
            cost: 1.0,
            tolerance: 0.1,
            pass_count_max: 100,
            seed: 1,
            fits_bias: true,
        })
    }
}

impl LogisticRegressionParams {
    /// The price of an error against the size of the weights (liblinear's C); above zero.
    pub fn cost(mut self, cost: f64) -> Self {
        self.0.cost = cost;
        self
    }

    /// The largest violation of the optimality condition to stop at; above zero. liblinear's
    /// default for this solver is 0.1.
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.0.tolerance = tolerance;
        self
    }

    /// Passes over the rows after which to stop in any case; at least 1.
    pub fn pass_count_max(mut self, count: u32) -> Self {
        self.0.pass_count_max = count;
        self
    }

    /// Whether a bias is fitted; without one, what no feature says is left as it is.
    pub fn fits_bias(mut self, fits: bool) -> Self {
        self.0.fits_bias = fits;
        self
    }

    /// The seed of the order of the rows.
    pub fn seed(mut self, seed: u64) -> Self {
        self.0.seed = seed;
        self
    }
}

impl ParamGuard for LogisticRegressionParams {
    type Checked = LogisticRegressionValidParams;
    type Error = TrainError;

    fn check_ref(&self) -> Result<&Self::Checked, TrainError> {
        let bad = |name, value, expected| Err(TrainError::Parameter { name, value, expected });
        let valid = &self.0;
        if !(valid.cost.is_finite() && valid.cost > 0.0) {
            return bad("cost", valid.cost, "a number above 0");
        }
        if !(valid.tolerance.is_finite() && valid.tolerance > 0.0) {
            return bad("tolerance", valid.tolerance, "a number above 0");
        }
        if valid.pass_count_max == 0 {
            return bad("pass_count_max", 0.0, "at least 1");
        }
        Ok(valid)
    }

    fn check(self) -> Result<Self::Checked, TrainError> {
        self.check_ref()?;
        Ok(self.0)
    }
}

/// A fitted model: a weight for each column, and a bias.
#[derive(Debug, Clone, PartialEq)]
pub struct LogisticRegression {
    /// One weight a column.
    pub weights: Vec<f32>,
    /// What a row without entries scores.
    pub bias: f32,
    /// Passes over the rows that it took.
    pub pass_count: u32,
}

impl LogisticRegression {
    /// The log-odds of spam of one row.
    #[inline]
    pub fn raw_score(&self, (columns, values): (&[u32], &[f32])) -> f64 {
        let products = columns
            .iter()
            .zip(values)
            .map(|(column, value)| f64::from(self.weights[*column as usize]) * f64::from(*value));
        f64::from(self.bias) + products.sum::<f64>()
    }
}

/// What a fit is given: rows with a label and a weight each.
#[derive(Clone, Copy)]
pub struct Problem<'a> {
    /// The rows.
    pub rows: &'a dyn RowSource,
    /// Their labels: `true` is spam.
    pub targets: &'a [bool],
    /// Their weights; 1 if there are none.
    pub weights: Option<&'a [f32]>,
}

impl Problem<'_> {
    fn weight(&self, row: usize) -> f32 {
        self.weights.map_or(1.0, |weights| weights[row])
    }

    fn check(&self) -> Result<(), TrainError> {
        let rows = self.rows.pages().iter().map(|page| page.row_count).sum();
        let count = |what, count| {
            if count == rows { Ok(()) } else { Err(TrainError::Count { rows, what, count }) }
        };
        count("targets", self.targets.len())?;
        if let Some(weights) = self.weights {
            count("weights", weights.len())?;
            let bad = weights.iter().position(|weight| !(weight.is_finite() && *weight >= 0.0));
            if let Some(row) = bad {
                return Err(TrainError::Weight { row, weight: weights[row] });
            }
        }
        for (label, target) in [("ham", false), ("spam", true)] {
            let present = |row| self.targets[row] == target && self.weight(row) > 0.0;
            if !(0..rows).any(present) {
                return Err(TrainError::MissingLabel(label));
            }
        }
        Ok(())
    }
}

impl LogisticRegressionValidParams {
    /// Fits and reports each pass.
    ///
    /// Rows of weight zero take no part, so that a fold needs no copy of the table.
    ///
    /// # Errors
    /// [`TrainError`] if counts, weights or labels allow no fit.
    pub fn fit_with_progress<R: Records + Borrow<Csr>>(
        &self,
        dataset: &Dataset<R>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<LogisticRegression, TrainError> {
        let targets = dataset.targets.to_vec();
        let problem = of_dataset(dataset, &targets);
        problem.check()?;
        dual::fit(self, &problem, Prior::default(), progress, &|| true)
    }

    /// Fits with a Gaussian prior of its own for each column's weight: the same as scaling the
    /// column by the root of the variance, without a copy of the table.
    ///
    /// # Errors
    /// As [`Self::fit_with_progress`], and [`TrainError::Rows`] if rows cannot be read.
    pub fn fit_with_variances(
        &self,
        problem: &Problem<'_>,
        variances: &[f32],
        progress: &mut dyn FnMut(Progress),
        goes_on: &dyn Fn() -> bool,
    ) -> Result<LogisticRegression, TrainError> {
        problem.check()?;
        let (count, columns) = (variances.len(), problem.rows.column_count());
        if count != columns {
            return Err(TrainError::Count { rows: columns, what: "variances", count });
        }
        let prior = Prior { offsets: None, variances: Some(variances) };
        dual::fit(self, problem, prior, progress, goes_on)
    }

    /// Fits what has to be added to a model whose raw scores of the rows are `offsets`: the
    /// penalty is on the difference, so this is the maximum a posteriori of a Gaussian prior at
    /// that model's weights (Chelba and Acero, "Adaptation of Maximum Entropy Capitalizer: Little
    /// Data Can Help a Lot", EMNLP 2004).
    ///
    /// # Errors
    /// As [`Self::fit_with_progress`]; [`TrainError::Cancelled`] once `goes_on` says no.
    pub fn fit_difference<R: Records + Borrow<Csr>>(
        &self,
        dataset: &Dataset<R>,
        offsets: &[f64],
        goes_on: &dyn Fn() -> bool,
    ) -> Result<LogisticRegression, TrainError> {
        let targets = dataset.targets.to_vec();
        let problem = of_dataset(dataset, &targets);
        problem.check()?;
        let rows = targets.len();
        if offsets.len() != rows {
            return Err(TrainError::Count { rows, what: "offsets", count: offsets.len() });
        }
        let prior = Prior { offsets: Some(offsets), variances: None };
        dual::fit(self, &problem, prior, &mut |_| (), goes_on)
    }
}

fn of_dataset<'a, R: Records + Borrow<Csr>>(
    dataset: &'a Dataset<R>,
    targets: &'a [bool],
) -> Problem<'a> {
    let rows: &Csr = dataset.records.borrow();
    Problem { rows, targets, weights: dataset.weights() }
}

impl<R: Records + Borrow<Csr>> Fit<R, Array1<bool>, TrainError> for LogisticRegressionValidParams {
    type Object = LogisticRegression;

    fn fit(&self, dataset: &Dataset<R>) -> Result<LogisticRegression, TrainError> {
        self.fit_with_progress(dataset, &mut |_| ())
    }
}

impl<F: Float> PredictInplace<Csr, Array1<F>> for LogisticRegression {
    fn predict_inplace(&self, rows: &Csr, scores: &mut Array1<F>) {
        assert_eq!(rows.row_count(), scores.len(), "one score a row");
        for (row, score) in scores.iter_mut().enumerate() {
            *score = F::cast(self.raw_score(rows.row(row)));
        }
    }

    fn default_target(&self, rows: &Csr) -> Array1<F> {
        Array1::zeros(rows.row_count())
    }
}

#[cfg(test)]
mod tests {
    use linfa::traits::Predict;
    use rand::{Rng, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;
    use crate::classifier::Page;

    /// Rows of six columns whose label follows the first two, with some noise.
    fn noisy(count: usize) -> Dataset {
        let mut chance = Xoshiro256PlusPlus::seed_from_u64(5);
        let mut rows = Csr::new(6);
        let mut targets = Vec::new();
        for _ in 0..count {
            let row: Vec<f32> = (0..6).map(|_| chance.gen_range(-1.0..1.0)).collect();
            targets.push(2.0 * row[0] - row[1] + chance.gen_range(-0.5..0.5) > 0.2);
            rows.push_row(row.into_iter().enumerate().map(|(c, v)| (c as u32, v)));
        }
        DatasetBase::new(rows, Array1::from(targets))
    }

    /// The gradient of the primal objective ½(|w|² + b²) + C Σ weight·log(1 + e^(-y·score)):
    /// zero at the optimum, whatever the solver.
    fn gradient(model: &LogisticRegression, dataset: &Dataset, cost: f64) -> Vec<f64> {
        let mut gradient: Vec<f64> = model.weights.iter().map(|w| f64::from(*w)).collect();
        gradient.push(f64::from(model.bias));
        for row in 0..dataset.records.row_count() {
            let entries = dataset.records.row(row);
            let y = if dataset.targets[row] { 1.0 } else { -1.0 };
            let pull = cost * f64::from(dataset.weight_for(row)) * y
                / (1.0 + (y * model.raw_score(entries)).exp());
            for (column, value) in entries.0.iter().zip(entries.1) {
                gradient[*column as usize] -= pull * f64::from(*value);
            }
            gradient[6] -= pull;
        }
        gradient
    }

    #[test]
    fn the_fit_is_the_optimum_of_the_weighted_objective() {
        let count = 300;
        let weights = (0..count).map(|row| 0.25 + (row % 7) as f32 * 0.5).collect();
        let dataset = noisy(count).with_weights(weights);
        let params = LogisticRegressionParams::default().cost(0.7).tolerance(1e-4);
        let model = params.pass_count_max(2_000).fit(&dataset).unwrap();
        for partial in gradient(&model, &dataset, 0.7) {
            assert!(partial.abs() < 0.02, "{partial}");
        }
    }

    #[test]
    fn a_difference_is_the_optimum_beside_the_prior() {
        let dataset = noisy(120);
        let prior = LogisticRegressionParams::default().fit(&noisy(40)).unwrap();
        let offsets: Vec<f64> =
            (0..120).map(|row| prior.raw_score(dataset.records.row(row))).collect();
        let params = LogisticRegressionParams::default().cost(0.7).tolerance(1e-4);
        let params = params.pass_count_max(2_000).fits_bias(false).check().unwrap();
        let difference = params.fit_difference(&dataset, &offsets, &|| true).unwrap();
        assert_eq!(difference.bias, 0.0);
        let sum = LogisticRegression {
            weights: prior.weights.iter().zip(&difference.weights).map(|(a, b)| a + b).collect(),
            bias: prior.bias,
            pass_count: 0,
        };
        // The penalty's part of the gradient is the difference's and not the sum's.
        for (column, partial) in gradient(&sum, &dataset, 0.7)[..6].iter().enumerate() {
            let partial = partial - f64::from(prior.weights[column]);
            assert!(partial.abs() < 0.02, "{column}: {partial}");
        }
    }

    #[test]
    fn a_fit_ends_when_it_is_told_to() {
        let dataset = noisy(40);
        let params = LogisticRegressionParams::default().check().unwrap();
        let passes = std::cell::Cell::new(0);
        let goes_on = || {
            passes.set(passes.get() + 1);
            passes.get() < 2
        };
        let error = params.fit_difference(&dataset, &[0.0; 40], &goes_on).unwrap_err();
        assert!(matches!(error, TrainError::Cancelled) && passes.get() == 2, "{error}");
    }

    /// Rows in pages of a few, two of which are in memory at once.
    struct Paged {
        pages: Vec<Csr>,
        /// Pages that may still be loaded.
        loads: std::sync::atomic::AtomicUsize,
    }

    impl Paged {
        fn of(rows: &Csr, page_rows: usize) -> Self {
            let mut pages = Vec::new();
            for row in 0..rows.row_count() {
                if row % page_rows == 0 {
                    pages.push(Csr::new(rows.column_count()));
                }
                let (columns, values) = rows.row(row);
                let entries = columns.iter().copied().zip(values.iter().copied());
                pages.last_mut().unwrap().push_row(entries);
            }
            Self { pages, loads: usize::MAX.into() }
        }
    }

    impl RowSource for Paged {
        fn column_count(&self) -> usize {
            self.pages[0].column_count()
        }

        fn pages(&self) -> Vec<Page> {
            self.pages.iter().flat_map(Csr::pages).collect()
        }

        fn entry_count_max(&self) -> usize {
            2 * self.pages[0].entry_count()
        }

        fn load<'a>(&'a self, pages: &[usize], buffer: &'a mut Csr) -> Result<&'a Csr, RowsError> {
            buffer.clear();
            for page in pages {
                if self.loads.fetch_sub(1, std::sync::atomic::Ordering::Relaxed) == 0 {
                    return Err(RowsError("the disk is gone".to_owned()));
                }
                buffer.append(&self.pages[*page]);
            }
            Ok(buffer)
        }
    }

    /// A fit of rows in pages, with the blocks that it had.
    fn fit_paged(
        rows: &Paged,
        dataset: &Dataset,
        goes_on: &dyn Fn() -> bool,
    ) -> Result<(LogisticRegression, usize), TrainError> {
        let params = LogisticRegressionParams::default().cost(0.7).tolerance(1e-4);
        let params = params.pass_count_max(2_000).check()?;
        let targets = dataset.targets.to_vec();
        let problem = Problem { rows, targets: &targets, weights: dataset.weights() };
        let mut block_count = 0;
        let mut watch = |progress: Progress| block_count = progress.block_count;
        let model = params.fit_with_variances(&problem, &[1.0; 6], &mut watch, goes_on)?;
        Ok((model, block_count))
    }

    #[test]
    fn rows_in_blocks_have_the_optimum_of_all_rows() {
        let count = 300;
        let weights = (0..count).map(|row| (row % 7) as f32 * 0.5).collect();
        let dataset = noisy(count).with_weights(weights);
        let rows = Paged::of(&dataset.records, 40);
        let (model, block_count) = fit_paged(&rows, &dataset, &|| true).unwrap();
        assert_eq!(block_count, 4, "8 pages, two at once");
        for partial in gradient(&model, &dataset, 0.7) {
            assert!(partial.abs() < 0.02, "{partial}");
        }
        let whole = Paged::of(&dataset.records, count);
        let (one, block_count) = fit_paged(&whole, &dataset, &|| true).unwrap();
        assert_eq!(block_count, 1);
        for (left, right) in model.weights.iter().zip(&one.weights) {
            assert!((left - right).abs() < 1e-3, "{left} {right}");
        }
        assert_eq!(fit_paged(&rows, &dataset, &|| true).unwrap().0, model, "the same bits");
    }

    #[test]
    fn a_page_without_a_row_that_takes_part_is_never_read() {
        let weights = (0..100).map(|row| if row < 80 { 1.0 } else { 0.0 }).collect();
        let dataset = noisy(100).with_weights(weights);
        let mut rows = Paged::of(&dataset.records, 20);
        let whole = fit_paged(&rows, &dataset, &|| true).unwrap();
        let mut gone = Csr::new(6);
        (0..20).for_each(|_| gone.push_row([(5, f32::NAN); 6]));
        rows.pages[4] = gone;
        assert_eq!(fit_paged(&rows, &dataset, &|| true).unwrap(), whole);
    }

    #[test]
    fn a_fit_in_blocks_ends_within_a_pass_and_says_what_cannot_be_read() {
        let dataset = noisy(100);
        let rows = Paged::of(&dataset.records, 20);
        let asked = std::cell::Cell::new(0);
        let goes_on = || {
            asked.set(asked.get() + 1);
            asked.get() < 2
        };
        let error = fit_paged(&rows, &dataset, &goes_on).unwrap_err();
        assert!(matches!(error, TrainError::Cancelled) && asked.get() == 2, "{error}");
        rows.loads.store(12, std::sync::atomic::Ordering::Relaxed);
        let error = fit_paged(&rows, &dataset, &|| true).unwrap_err();
        assert_eq!(error.to_string(), "the rows cannot be read back: the disk is gone");
    }

    #[test]
    fn a_weight_of_two_is_the_row_twice_and_zero_is_never() {
        let once = noisy(60);
        let mut rows = Csr::new(6);
        let mut targets = Vec::new();
        for row in 0..40 {
            for _ in 0..if row < 20 { 2 } else { 1 } {
                let (columns, values) = once.records.row(row);
                rows.push_row(columns.iter().copied().zip(values.iter().copied()));
                targets.push(once.targets[row]);
            }
        }
        let twice = DatasetBase::new(rows, Array1::from(targets));
        let weight = |row| match row {
            0..20 => 2.0,
            20..40 => 1.0,
            _ => 0.0,
        };
        let weighted = once.with_weights((0..60).map(weight).collect());
        let params = LogisticRegressionParams::default().tolerance(1e-5).pass_count_max(5_000);
        let (a, b) = (params.fit(&weighted).unwrap(), params.fit(&twice).unwrap());
        for (left, right) in a.weights.iter().zip(&b.weights) {
            assert!((left - right).abs() < 1e-3, "{left} {right}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_bits_and_predictions_follow_the_rows() {
        let dataset = noisy(200);
        let params = LogisticRegressionParams::default();
        let model = params.fit(&dataset).unwrap();
        assert_eq!(model, params.fit(&dataset).unwrap());
        assert_ne!(model.weights, params.seed(2).fit(&dataset).unwrap().weights);
        let scores: Array1<f64> = model.predict(&dataset);
        let right = scores.iter().zip(&dataset.targets).filter(|(s, t)| (**s > 0.0) == **t);
        assert!(right.count() > 170);
    }

    #[test]
    fn what_allows_no_fit_is_said() {
        let fails = |params: LogisticRegressionParams, dataset: &Dataset| {
            params.fit(dataset).unwrap_err().to_string()
        };
        let params = LogisticRegressionParams::default;
        let dataset = noisy(20);
        assert_eq!(fails(params().cost(0.0), &dataset), "cost is 0; a number above 0 is expected");
        assert!(fails(params().tolerance(f64::NAN), &dataset).starts_with("tolerance is NaN"));
        assert!(fails(params().pass_count_max(0), &dataset).contains("at least 1"));
        let short = noisy(20).with_weights(Array1::ones(3));
        assert_eq!(fails(params(), &short), "20 rows have 3 weights");
        let negative = noisy(20).with_weights(Array1::from_elem(20, -1.0));
        assert_eq!(fails(params(), &negative), "the weight of row 0 is -1");
        let one = DatasetBase::new(Csr::new(6), Array1::from(Vec::<bool>::new()));
        assert_eq!(fails(params(), &one), "there is no ham to learn from");
    }
}
