//! `replyguard export`: a site as JSON lines, for its owner to take along.

use clap::Args;
use tokio_stream::StreamExt;

use super::first_site::{connect_to_site, refused};
use super::output::say;
use super::sites::unwrapped;
use super::{Failure, SiteArgs, block_on};
use crate::grpc::client::to_json;
use crate::grpc::proto;

/// Arguments of `export`.
#[derive(Args)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    site: SiteArgs,
}

impl ExportArgs {
    /// Prints the site, then its comments, then what else the ledger has: one JSON object a line.
    pub(super) fn run(self) -> Result<(), Failure> {
        block_on(async {
            let (mut client, name) = connect_to_site(&self.site).await?;
            let request = proto::ExportSiteRequest { name };
            let mut records = unwrapped(client.sites.export_site(request).await)?;
            while let Some(record) = records.next().await {
                let record = record.map_err(|status| refused(&status))?;
                say!("{}", to_json("replyguard.v1.ExportSiteResponse", &record))?;
            }
            Ok(())
        })
    }
}
