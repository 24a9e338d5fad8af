//! All integration tests, in one binary so that they link once.

mod architecture;
mod contract;
mod contract_of_comments;
mod contract_of_sites;
mod documentation;
mod operating;
mod privacy;
mod store;
mod store_faults;
mod support;
mod training_data;
mod wire;
