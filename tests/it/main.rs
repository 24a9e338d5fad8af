//! All integration tests, in one binary so that they link once.

mod store;
mod store_faults;
mod support;
