//! The first site and its key, made when there is no site yet.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::BindError;
use crate::domain::{KeyScope, SitePolicy};
use crate::moderation::{Actor, Moderation, ModerationError};

/// The id of the first site.
const FIRST_SITE: &str = "default";

/// What a client on the same machine needs: the content of `first-site.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstSite {
    /// The site's id.
    pub site: String,
    /// A key of it with every scope.
    pub key: String,
    /// Where gRPC listens.
    pub grpc: String,
    /// Where HTTP listens.
    pub http: String,
}

/// Whether this start made the first site.
#[derive(Debug)]
pub enum FirstStart {
    /// It did.
    Yes(FirstSite),
    /// There were sites.
    No,
}

/// Makes the first site if there is none; else brings the addresses in the file up to date.
pub(super) async fn ensure(
    moderation: &Moderation,
    file: &Path,
    grpc: SocketAddr,
    http: SocketAddr,
) -> Result<FirstStart, BindError> {
    let unwritable = |error: io::Error| BindError::Storage(format!("{}: {error}", file.display()));
    let failed = |error: ModerationError| BindError::Storage(format!("the first site: {error}"));
    if !moderation.sites(None, 1).await.map_err(failed)?.is_empty() {
        if let Some(mut known) = read(file) {
            known.grpc = grpc.to_string();
            known.http = http.to_string();
            write(file, &known).map_err(unwritable)?;
        }
        return Ok(FirstStart::No);
    }
    let id = FIRST_SITE.parse().expect("a DNS label");
    let policy = SitePolicy::default();
    let actor = Actor::first_start();
    let site = moderation.create_site(&actor, id, "First site".into(), policy).await;
    let site = site.map_err(failed)?;
    let scopes = KeyScope::ALL.to_vec();
    let key = moderation.create_key(&actor, &site.id, "first key".into(), scopes).await;
    let key = key.map_err(failed)?;
    let first = FirstSite {
        site: site.id.to_string(),
        key: key.secret,
        grpc: grpc.to_string(),
        http: http.to_string(),
    };
    write(file, &first).map_err(unwritable)?;
    Ok(FirstStart::Yes(first))
}

fn read(file: &Path) -> Option<FirstSite> {
    serde_json::from_str(&fs::read_to_string(file).ok()?).ok()
}

/// Writes the file whole or not at all, readable by its owner alone from the first byte on.
fn write(file: &Path, first: &FirstSite) -> io::Result<()> {
    let temporary = file.with_extension("json.new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut target = options.open(&temporary)?;
    serde_json::to_writer(&mut target, first)?;
    target.write_all(b"\n")?;
    target.sync_all()?;
    fs::rename(temporary, file)
}
