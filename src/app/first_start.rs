//! The first site and its key, made when there is no site yet.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::BindError;
use super::records::Records;
use crate::config::Config;
use crate::domain::{KeyScope, SiteId, SitePolicy};
use crate::moderation::accounts::Invited;
use crate::moderation::{Actor, Moderation, ModerationError};

/// The id of the first site.
const FIRST_SITE: &str = "default";
/// What only one replica does at a time: of several that start at once, one makes the first site.
const TURN: &str = "first-start";
/// How long a replica waits for its turn: longer than a lease lasts that nobody renews.
const TURN_TIMEOUT: Duration = Duration::from_secs(60);
/// How often it looks.
const TURN_PERIOD: Duration = Duration::from_millis(100);

/// What a client on the same machine needs: the content of `first-site.json`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstSite {
    /// The site's id.
    pub site: String,
    /// A key of it with every scope.
    pub key: String,
    /// A key for Akismet's clients; not there in files of versions that had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub akismet_key: Option<String>,
    /// Where gRPC listens: `IP:PORT`, or `https://IP:PORT` with TLS.
    pub grpc: String,
    /// Where HTTP listens.
    pub http: String,
}

/// Without the keys.
impl fmt::Debug for FirstSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FirstSite").field("site", &self.site).finish_non_exhaustive()
    }
}

/// Whether this start made the first site.
#[derive(Debug)]
pub enum FirstStart {
    /// It did.
    Yes(FirstSite),
    /// There were sites.
    No,
}

/// The link with which the first administrator sets a password. Whoever has it is administrator.
pub struct FirstAdministrator {
    /// What to sign in with.
    pub name: String,
    /// The link: good once, until the next start, and for no longer than an invitation.
    pub link: String,
}

impl FirstAdministrator {
    /// The link to the console at this address.
    pub(super) fn new(console_url: &str, invited: &Invited) -> Self {
        Self { name: invited.account.name.clone(), link: invited.link(console_url) }
    }
}

/// Waits until no other replica is at its first steps.
pub(super) async fn await_turn(moderation: &Moderation) -> Result<(), BindError> {
    let failed = |error: ModerationError| BindError::Storage(error.to_string());
    let waited = tokio::time::timeout(TURN_TIMEOUT, async {
        while !moderation.holds(TURN).await.map_err(failed)? {
            tokio::time::sleep(TURN_PERIOD).await;
        }
        Ok(())
    });
    waited.await.unwrap_or_else(|_| {
        Err(BindError::Storage("another replica did not end its first steps".into()))
    })
}

/// Lets the next replica go on.
pub(super) async fn end_turn(moderation: &Moderation) {
    if let Err(error) = moderation.release(TURN).await {
        tracing::warn!(error = %error, "the next replica has to wait a little");
    }
}

/// Makes the first site and its key if there is none; else brings the addresses in the file up to
/// date.
///
/// The key is written to the file before it opens anything, and a first site that has no key yet
/// gets one: whenever a start is cut short, the next one mends it.
pub(super) async fn ensure(
    moderation: &Moderation,
    file: &Path,
    grpc: String,
    http: SocketAddr,
) -> Result<FirstStart, BindError> {
    let failed = |error: ModerationError| BindError::Storage(format!("the first site: {error}"));
    let id: SiteId = FIRST_SITE.parse().expect("a DNS label");
    let actor = Actor::first_start();
    if moderation.sites(None, 1).await.map_err(failed)?.is_empty() {
        let policy = SitePolicy::default();
        let created = moderation.create_site(&actor, id.clone(), "First site".into(), policy).await;
        created.map_err(failed)?;
    }
    let unopened = match moderation.keys(&id).await {
        Ok(keys) => keys.iter().all(|key| key.scopes == [KeyScope::Akismet]),
        Err(ModerationError::NotFound(_)) => false,
        Err(error) => return Err(failed(error)),
    };
    if unopened {
        return mint(moderation, &actor, file, &id, (grpc, http)).await.map(FirstStart::Yes);
    }
    if let Some(mut known) = read(file) {
        known.grpc = grpc;
        known.http = http.to_string();
        write(file, &known)?;
    }
    Ok(FirstStart::No)
}

/// Creates a key with every scope and writes it to the file.
async fn mint(
    moderation: &Moderation,
    actor: &Actor,
    file: &Path,
    site: &SiteId,
    (grpc, http): (String, SocketAddr),
) -> Result<FirstSite, BindError> {
    let failed = |error: ModerationError| BindError::Storage(format!("a key: {error}"));
    moderation.site(site).await.map_err(failed)?;
    let scopes = KeyScope::ALL.to_vec();
    let key = moderation.draft_key(site, "first key".into(), scopes).map_err(failed)?;
    let scopes = vec![KeyScope::Akismet];
    let akismet = moderation.draft_key(site, "for Akismet's clients".into(), scopes);
    let akismet = akismet.map_err(failed)?;
    let first = FirstSite {
        site: site.to_string(),
        key: key.secret.clone(),
        akismet_key: Some(akismet.secret.clone()),
        grpc,
        http: http.to_string(),
    };
    write(file, &first)?;
    // The one that tells whether a start was cut short comes last.
    moderation.store_key(actor, &akismet).await.map_err(failed)?;
    moderation.store_key(actor, &key).await.map_err(failed)?;
    Ok(first)
}

/// Creates a key with every scope for an owner who lost theirs, and writes it to the file. The
/// service must not run: it holds the database.
///
/// # Errors
/// [`BindError`]: one line that says what to change.
pub async fn recover_key(config: &Config, site: &SiteId) -> Result<FirstSite, BindError> {
    let model = super::load_model(config)?;
    let records = Records::open(config).await?;
    let moderation = super::moderation(config, &records, model)?;
    let file = config.storage.first_site();
    let scheme = if config.server.grpc_key_file.is_some() { "https://" } else { "" };
    let grpc = format!("{scheme}{}", config.server.grpc_address);
    let addresses = (grpc, config.server.http_address);
    let minted = mint(&moderation, &Actor::owner(), &file, site, addresses).await;
    records.store.close().await;
    minted
}

fn read(file: &Path) -> Option<FirstSite> {
    serde_json::from_str(&fs::read_to_string(file).ok()?).ok()
}

/// Writes the file whole or not at all, readable by its owner alone from the first byte on.
fn write(file: &Path, first: &FirstSite) -> Result<(), BindError> {
    try_write(file, first)
        .map_err(|error| BindError::Storage(format!("{}: {error}", file.display())))
}

fn try_write(file: &Path, first: &FirstSite) -> io::Result<()> {
    let temporary = file.with_extension("json.new");
    // One that was left over may have other rights.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut target = options.open(&temporary)?;
    serde_json::to_writer(&mut target, first)?;
    target.write_all(b"\n")?;
    target.sync_all()?;
    fs::rename(temporary, file)
}
