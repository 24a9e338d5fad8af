//! `replyguard demo`: a week of two sites in a throw-away folder, and the service over it.

use clap::Args;

use super::config_args::ConfigArgs;
use super::{Failure, block_on, progress, serve};
use crate::app::fill_demo;

/// Arguments of `demo`.
#[derive(Args)]
pub(super) struct DemoArgs {
    #[command(flatten)]
    config: ConfigArgs,
}

impl DemoArgs {
    /// Fills a temporary folder and serves it until SIGTERM or SIGINT; then the folder is gone.
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut config = self.config.read()?;
        let folder = tempfile::Builder::new().prefix("replyguard-demo-").tempdir();
        let folder = folder.map_err(|error| Failure::unavailable(error.to_string()))?;
        config.storage.data_dir = folder.path().join("data");
        // Nothing of it goes where real comments are.
        (config.storage.database_url, config.limits.redis_url) = (None, None);
        let bar = progress::bar(0, "demo", "{msg:>12} {wide_bar} {pos}/{len} comments {elapsed}");
        let filled = block_on(async {
            let filled = fill_demo(&config, |done, total| {
                bar.set_length(total as u64);
                bar.set_position(done as u64);
            });
            filled.await.map_err(serve::failure)
        });
        bar.finish_and_clear();
        filled?;
        serve::serve(config)
    }
}
