//! `replyguard demo`: a week of two sites in a throw-away folder, and the service over it.

use std::path::Path;

use clap::Args;

use super::config_args::ConfigArgs;
use super::{Failure, block_on, progress, serve};
use crate::app::fill_demo;
use crate::config::Config;

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
        keep_apart(&mut config, folder.path());
        let bar = progress::bar(0, "demo", "{msg:>12} {wide_bar} {pos}/{len} comments {elapsed}");
        let filled = block_on(async {
            // The folder must be gone whenever the process ends.
            let stop =
                serve::stop_signal().map_err(|error| Failure::software(error.to_string()))?;
            let progress = |done: usize, total: usize| {
                bar.set_length(total as u64);
                bar.set_position(done as u64);
            };
            fill_demo(&config, progress, stop).await.map_err(serve::failure)
        });
        bar.finish_and_clear();
        match filled? {
            Some(_) => serve::serve(config),
            None => Err(Failure::interrupted("stopped before the demo was there; nothing is left")),
        }
    }
}

/// Nothing of the demo goes where real comments are, or is counted there.
fn keep_apart(config: &mut Config, folder: &Path) {
    config.storage.data_dir = folder.join("data");
    config.storage.database_url = None;
    let limits = &mut config.limits;
    limits.redis_url = None;
    (limits.redis_ca_file, limits.redis_password_file) = (None, None);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demo_is_apart_from_what_is_configured() {
        let mut config = Config::default();
        config.storage.database_url = Some("postgres://db/guard".into());
        config.limits.redis_url = Some("rediss://redis".into());
        config.limits.redis_ca_file = Some("ca.pem".into());
        config.limits.redis_password_file = Some("password".into());
        keep_apart(&mut config, Path::new("/tmp/demo"));
        assert_eq!(config.validate(), Ok(()));
        assert_eq!(config.storage.data_dir, Path::new("/tmp/demo/data"));
        config.storage = Config::default().storage;
        assert_eq!(config, Config::default());
    }
}
