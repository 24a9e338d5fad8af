//! The one integration test binary: one link step instead of one a file.

mod architecture;
mod contract;
mod training_data;
