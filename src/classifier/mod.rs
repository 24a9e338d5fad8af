//! The classifier: models, how they are trained, calibrated, measured and kept.
//!
//! Pure: bytes and rows in, models and figures out. Files, progress bars and cores belong to
//! the callers.

mod artifact;
mod base;
mod calibrate;
mod compare;
mod csr;
mod evaluate;
mod figures;
mod forward;
mod intervals;
mod learning_curve;
mod model;
mod perturb;
mod prior;
mod recipe;
mod report;
mod row_source;
mod site_guard;
mod site_layer;
mod slices;
mod train;
mod training_set;
mod trials;

#[cfg(any(test, fuzzing))]
pub(crate) use artifact::framed;
pub use artifact::{ArtifactError, FORMAT_VERSION};
pub use base::base_model;
pub use calibrate::{Calibration, CalibrationError};
pub use compare::{Comparison, Contender, Difference, Disagreeing};
pub use csr::Csr;
pub use evaluate::{Confusion, Evaluation, Measures, Outcome, WorstError};
pub use figures::Figures;
pub use intervals::{Interval, Intervals, wilson};
pub use learning_curve::{CurveFigures, LayerFigures, LearningCurve};
pub use model::{BudgetTable, Head, Model, SourceCount, TrainingSummary};
pub use perturb::Perturbation;
pub use recipe::{Fitted, FoldScore, Recipe, RecipeError, Stage, Trained};
pub use report::{html_report, quote_label};
pub use row_source::{Page, RowSource, RowsError};
pub use site_layer::{Influence, SiteLayer, SiteLayerError};
pub use slices::{Judged, Length, Slice, Traits};
pub use train::{
    Dataset, LogisticRegression, LogisticRegressionParams, LogisticRegressionValidParams, Problem,
    Progress, TrainError,
};
pub use training_set::{ABUSE_COUNT_MIN, Role, TrainingSet, View};
pub use trials::{Change, Trial, TrialMeasures, Trials};
