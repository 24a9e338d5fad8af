//! `replyguard audit`: the audit log of a site in the running service.

use clap::Args;

use super::first_site::{connect_to_site, refused};
use super::output::{safe, say};
use super::queue::{cut, json, size, time};
use super::{Failure, SiteArgs, block_on};
use crate::grpc::proto;

/// Arguments of `audit`.
#[derive(Args)]
pub(super) struct AuditArgs {
    /// At most so many entries
    #[arg(long, default_value_t = 20, value_name = "COUNT")]
    count_max: u32,
    #[command(flatten)]
    site: SiteArgs,
}

impl AuditArgs {
    /// Prints the last entries of the audit log.
    pub(super) fn run(self) -> Result<(), Failure> {
        block_on(async {
            let (mut client, site) = connect_to_site(&self.site).await?;
            let request = proto::ListAuditEntriesRequest {
                parent: site,
                page_size: size(self.count_max),
                page_token: String::new(),
            };
            let answer = client.reviews.list_audit_entries(request).await;
            let entries = answer.map_err(|status| refused(&status))?.into_inner().audit_entries;
            for entry in &entries {
                if self.site.service.json {
                    say!("{}", json("AuditEntry", entry))?;
                    continue;
                }
                let time = time(entry.create_time.as_ref());
                let (action, subject) = (safe(&entry.action), safe(&entry.subject));
                say!("{time}  {action:<16}  {}  {subject}", safe(&entry.actor))?;
                for (name, value) in
                    [("was", &entry.previous_value), ("is", &entry.new_value), ("why", &entry.note)]
                {
                    if !value.is_empty() {
                        say!("    {name}: {}", cut(value))?;
                    }
                }
            }
            Ok(())
        })
    }
}
