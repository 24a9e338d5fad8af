//! All integration tests, in one binary so that they link once.

mod architecture;
mod checks;
mod console;
mod contract;
mod contract_of_comments;
mod contract_of_reviews;
mod contract_of_moderators;
mod contract_of_sites;
mod documentation;
mod explain;
mod learning;
mod life;
mod limits;
mod models;
mod operating;
mod privacy;
mod recent;
mod store;
mod store_faults;
mod store_models;
mod store_review;
mod support;
mod training_data;
mod training_files;
mod wire;
mod workbench;
