//! `replyguard sites`: sites, keys and policies of the running service.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;

use super::first_site::{connect, refused};
use super::output::{print, say};
use super::{Failure, ServiceArgs, block_on};
use crate::domain::SitePolicy;
use crate::grpc::client::{
    Client, FieldMask, Message, Response, Status, WireDuration, policy_to_wire, to_json,
};
use crate::grpc::proto;

/// Arguments of `sites`.
#[derive(Args)]
pub(super) struct SitesArgs {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    service: ServiceArgs,
}

#[derive(Subcommand)]
enum Action {
    /// List all sites
    List,
    /// Show a site and its policy
    Show {
        /// The site's id
        site: String,
    },
    /// Create a site and a key that may check its comments
    Create {
        /// The id: lower-case letters, digits, inner hyphens
        site: String,
        /// What people call it
        #[arg(long, default_value = "")]
        display_name: String,
        /// A policy file in TOML
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
    },
    /// Replace a site's policy
    SetPolicy {
        /// The site's id
        site: String,
        /// A policy file in TOML; what it leaves out has its default
        policy: PathBuf,
    },
    /// List a site's keys
    Keys {
        /// The site's id
        site: String,
    },
    /// Create a key; its secret is printed once
    CreateKey {
        /// The site's id
        site: String,
        /// What to call it
        #[arg(long, default_value = "")]
        display_name: String,
        /// What it may be used for
        #[arg(long = "scope", value_name = "SCOPE", default_values = ["check"])]
        scopes: Vec<Scope>,
    },
    /// Make a key that may do the same, and revoke this one, at once or after an overlap
    RotateKey {
        /// The key's name: sites/{site}/keys/{key}
        name: String,
        /// Leave the one before valid, to be revoked once nobody uses it any more
        #[arg(long, conflicts_with = "overlap_hours")]
        keep: bool,
        /// Leave the one before valid for so many hours, at most 2160
        #[arg(long, value_name = "N", default_value_t = 0)]
        overlap_hours: u32,
    },
    /// Draw a new key for a site's fingerprints and drop the one before: nobody can tell any more
    /// who wrote what was recorded, and every author starts anew
    RotateFingerprintKey {
        /// The site's id
        site: String,
        /// Why, for the audit log
        #[arg(long, default_value = "")]
        note: String,
        /// Do it without asking
        #[arg(long)]
        yes: bool,
    },
    /// Revoke a key
    RevokeKey {
        /// The key's name: sites/{site}/keys/{key}
        name: String,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Scope {
    /// Check comments, read them back, send feedback
    Check,
    /// See and decide the review queue
    Review,
    /// Train and change models
    Operate,
    /// Create sites and keys, change policies, for every site
    Administer,
    /// Akismet's dialect and nothing else; the key has the form that Akismet's clients take
    Akismet,
}

impl Scope {
    fn to_wire(self) -> proto::KeyScope {
        match self {
            Self::Check => proto::KeyScope::Check,
            Self::Review => proto::KeyScope::Review,
            Self::Operate => proto::KeyScope::Operate,
            Self::Administer => proto::KeyScope::Administer,
            Self::Akismet => proto::KeyScope::Akismet,
        }
    }
}

/// Reads a policy file, TOML or JSON.
pub(super) fn read_policy(path: &Path) -> Result<SitePolicy, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
    let parsed: Result<SitePolicy, String> = if text.trim_start().starts_with('{') {
        serde_json::from_str(&text).map_err(|error| error.to_string())
    } else {
        toml::from_str(&text).map_err(|error| error.message().replace('\n', " "))
    };
    let policy = parsed.map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
    let policy = policy.canonical();
    match policy.violations().first() {
        None => Ok(policy),
        Some(problem) => Err(Failure::usage(format!(
            "{}: {}: {}",
            path.display(),
            problem.field,
            problem.description
        ))),
    }
}

impl SitesArgs {
    /// Does it and prints what came of it.
    pub(super) fn run(self) -> Result<(), Failure> {
        block_on(async {
            let (client, _) = connect(&self.service).await?;
            let shown = self.action.run(client).await?;
            show(&shown, self.service.json)
        })
    }
}

/// What is printed: one object or several.
type Shown = Vec<Value>;

impl Action {
    async fn run(self, mut client: Client) -> Result<Shown, Failure> {
        match self {
            Self::List => list(&mut client).await,
            Self::Show { site } => {
                let request = proto::GetSiteRequest { name: name(&site) };
                let answer = unwrapped(client.sites.get_site(request).await)?;
                Ok(vec![shown("Site", &answer.site.unwrap_or_default())])
            }
            Self::Create { site, display_name, policy } => {
                create(&mut client, site, display_name, policy.as_deref()).await
            }
            Self::SetPolicy { site, policy } => {
                let policy = policy_to_wire(read_policy(&policy)?);
                let request = proto::UpdateSiteRequest {
                    site: Some(proto::Site {
                        name: name(&site),
                        policy: Some(policy),
                        ..proto::Site::default()
                    }),
                    update_mask: Some(FieldMask { paths: vec!["policy".into()] }),
                };
                let answer = unwrapped(client.sites.update_site(request).await)?;
                Ok(vec![shown("Site", &answer.site.unwrap_or_default())])
            }
            Self::Keys { site } => {
                let request = proto::ListKeysRequest {
                    parent: name(&site),
                    page_size: 1_000,
                    page_token: String::new(),
                };
                let answer = unwrapped(client.sites.list_keys(request).await)?;
                Ok(answer.keys.iter().map(|key| shown("Key", key)).collect())
            }
            Self::CreateKey { site, display_name, scopes } => {
                let scopes = scopes.into_iter().map(Scope::to_wire).collect();
                create_key(&mut client, &site, display_name, scopes).await
            }
            Self::RotateKey { name, keep: true, .. } => second_key(&mut client, &name).await,
            Self::RotateKey { name, keep: false, overlap_hours } => {
                let overlap = WireDuration { seconds: i64::from(overlap_hours) * 3_600, nanos: 0 };
                let request = proto::RotateKeyRequest { name, overlap: Some(overlap) };
                let answer = unwrapped(client.sites.rotate_key(request).await)?;
                Ok(vec![shown("RotateKeyResponse", &answer)])
            }
            Self::RotateFingerprintKey { site, note, yes } => {
                if !yes {
                    super::authors::confirm("Drop the key of this site's fingerprints?")?;
                }
                let request = proto::RotateFingerprintKeyRequest { name: name(&site), note };
                let answer = unwrapped(client.sites.rotate_fingerprint_key(request).await)?;
                Ok(vec![shown("Site", &answer.site.unwrap_or_default())])
            }
            Self::RevokeKey { name } => {
                let request = proto::RevokeKeyRequest { name };
                let answer = unwrapped(client.sites.revoke_key(request).await)?;
                Ok(vec![shown("Key", &answer.key.unwrap_or_default())])
            }
        }
    }
}

async fn list(client: &mut Client) -> Result<Shown, Failure> {
    let mut sites = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = proto::ListSitesRequest { page_size: 1_000, page_token };
        let answer = unwrapped(client.sites.list_sites(request).await)?;
        sites.extend(answer.sites.iter().map(|site| shown("Site", site)));
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            return Ok(sites);
        }
    }
}

async fn create(
    client: &mut Client,
    site_id: String,
    display_name: String,
    policy: Option<&Path>,
) -> Result<Shown, Failure> {
    let policy = policy.map(read_policy).transpose()?.map(policy_to_wire);
    let request = proto::CreateSiteRequest {
        site_id: site_id.clone(),
        site: Some(proto::Site { display_name, policy, ..proto::Site::default() }),
    };
    let answer = unwrapped(client.sites.create_site(request).await)?;
    let mut created = vec![shown("Site", &answer.site.unwrap_or_default())];
    let scopes = vec![proto::KeyScope::Check];
    created.extend(create_key(client, &site_id, "first key".into(), scopes).await?);
    let scopes = vec![proto::KeyScope::Akismet];
    created.extend(create_key(client, &site_id, "for Akismet's clients".into(), scopes).await?);
    Ok(created)
}

async fn create_key(
    client: &mut Client,
    site: &str,
    display_name: String,
    scopes: Vec<proto::KeyScope>,
) -> Result<Shown, Failure> {
    let request = proto::CreateKeyRequest {
        parent: name(site),
        display_name,
        scopes: scopes.into_iter().map(i32::from).collect(),
    };
    let answer = unwrapped(client.sites.create_key(request).await)?;
    Ok(vec![shown("CreateKeyResponse", &answer)])
}

/// A key beside another, which may do the same.
async fn second_key(client: &mut Client, key: &str) -> Result<Shown, Failure> {
    let site = key.split_once("/keys/").map_or(key, |(site, _)| site);
    let request = proto::ListKeysRequest {
        parent: site.to_owned(),
        page_size: 1_000,
        page_token: String::new(),
    };
    let known = unwrapped(client.sites.list_keys(request).await)?.keys;
    let found = known.into_iter().find(|one| one.name == key && one.revoke_time.is_none());
    let found = found.ok_or_else(|| {
        Failure::data(format!("there is no valid key `{}`", super::output::safe(key)))
    })?;
    let scopes = found.scopes().collect();
    create_key(client, site, found.display_name, scopes).await
}

pub(super) fn name(site: &str) -> String {
    format!("sites/{}", site.strip_prefix("sites/").unwrap_or(site))
}

pub(super) fn unwrapped<T>(answer: Result<Response<T>, Status>) -> Result<T, Failure> {
    answer.map(Response::into_inner).map_err(|status| refused(&status))
}

pub(super) fn shown(message_name: &str, message: &impl Message) -> Value {
    to_json(&format!("replyguard.v1.{message_name}"), message)
}

/// Objects as JSON lines, or as indented `field: value` lines.
pub(super) fn show(objects: &[Value], json: bool) -> Result<(), Failure> {
    for object in objects {
        if json {
            say!("{object}")?;
        } else {
            print(format_args!("{}", lines(object, 0)))?;
        }
    }
    Ok(())
}

fn lines(value: &Value, depth: usize) -> String {
    let Value::Object(fields) = value else { return format!("{value}\n") };
    let mut out = String::new();
    for (field, value) in fields {
        let empty = value.is_null()
            || value.as_str().is_some_and(str::is_empty)
            || value.as_array().is_some_and(Vec::is_empty);
        if empty {
            continue;
        }
        out.push_str(&"  ".repeat(depth));
        match value {
            Value::Object(_) => out.push_str(&format!("{field}:\n{}", lines(value, depth + 1))),
            Value::String(text) => out.push_str(&format!("{field}: {text}\n")),
            other => out.push_str(&format!("{field}: {other}\n")),
        }
    }
    out
}
