//! `replyguard recover-key`: lets an owner in who lost every key.

use clap::Args;

use super::config_args::ConfigArgs;
use super::output::say;
use super::{Failure, block_on};
use crate::app;
use crate::domain::SiteId;

/// Arguments of `recover-key`.
#[derive(Args)]
pub(super) struct RecoverKeyArgs {
    /// The site's id
    #[arg(default_value = "default")]
    site: String,
    #[command(flatten)]
    config: ConfigArgs,
}

impl RecoverKeyArgs {
    /// Makes a key with every scope and prints it. Who can write to the data folder owns it.
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = self.config.read()?;
        let site = self.site.strip_prefix("sites/").unwrap_or(&self.site).parse::<SiteId>();
        let site = site.map_err(|error| Failure::usage(format!("`{}`: {error}", self.site)))?;
        let database = config.storage.database();
        if config.storage.database_url.is_none() && !database.exists() {
            let text = format!("{}: there is no database", database.display());
            return Err(Failure::usage(text));
        }
        let first = block_on(async {
            let first = app::recover_key(&config, &site).await;
            first.map_err(|error| Failure::unavailable(error.to_string()))
        })?;
        say!("A key of `{}` with every scope, shown once:\n\n  {}\n", first.site, first.key)?;
        say!(
            "It is also in {}, readable by you alone. Revoke the lost ones: replyguard sites \
             keys {}; replyguard sites revoke-key NAME",
            config.storage.first_site().display(),
            first.site
        )?;
        Ok(())
    }
}
