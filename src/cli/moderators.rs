//! `replyguard moderators`: who may sign in to the console of the running service.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;

use super::first_site::connect;
use super::sites::{name, show, shown, unwrapped};
use super::{Failure, ServiceArgs, block_on};
use crate::grpc::client::{Client, FieldMask};
use crate::grpc::proto;

/// Arguments of `moderators`.
#[derive(Args)]
pub(super) struct ModeratorsArgs {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    service: ServiceArgs,
}

#[derive(Subcommand)]
enum Action {
    /// List all moderators
    List,
    /// Add a moderator and print the link that sets the password, once
    Add {
        /// What they sign in with; not an e-mail address
        name: String,
        /// What they may do
        #[arg(long, default_value = "moderator")]
        role: Role,
        /// A site whose comments they see; may be given several times
        #[arg(long = "site", value_name = "SITE")]
        sites: Vec<String>,
    },
    /// Change what a moderator may do, and where
    Set {
        /// Their name
        name: String,
        /// What they may do from now on
        #[arg(long)]
        role: Option<Role>,
        /// A site whose comments they see from now on, instead of those before; may be given
        /// several times
        #[arg(long = "site", value_name = "SITE")]
        sites: Vec<String>,
    },
    /// Shut a moderator out at once
    Disable {
        /// Their name
        name: String,
    },
    /// Let a moderator in again
    Enable {
        /// Their name
        name: String,
    },
    /// Void a moderator's password and print a link that sets a new one, once
    Reset {
        /// Their name
        name: String,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Role {
    /// Decides on the comments of some sites
    Moderator,
    /// Sees all sites, changes policies and moderators
    Administrator,
}

impl Role {
    fn to_wire(self) -> proto::ModeratorRole {
        match self {
            Self::Moderator => proto::ModeratorRole::Moderator,
            Self::Administrator => proto::ModeratorRole::Administrator,
        }
    }
}

impl ModeratorsArgs {
    /// Does it and prints what came of it.
    pub(super) fn run(self) -> Result<(), Failure> {
        block_on(async {
            let (client, _) = connect(&self.service).await?;
            let done = self.action.run(client).await?;
            show(&done, self.service.json)
        })
    }
}

impl Action {
    async fn run(self, mut client: Client) -> Result<Vec<Value>, Failure> {
        match self {
            Self::List => {
                let found = list(&mut client).await?;
                Ok(found.iter().map(|moderator| shown("Moderator", moderator)).collect())
            }
            Self::Add { name: display_name, role, sites } => {
                let moderator = proto::Moderator {
                    display_name,
                    role: role.to_wire().into(),
                    sites: sites.iter().map(|site| name(site)).collect(),
                    ..proto::Moderator::default()
                };
                let request = proto::CreateModeratorRequest { moderator: Some(moderator) };
                let answer = unwrapped(client.moderators.create_moderator(request).await)?;
                Ok(vec![shown("CreateModeratorResponse", &answer)])
            }
            Self::Set { name, role, sites } => set(&mut client, &name, role, &sites).await,
            Self::Disable { name } => set_disabled(&mut client, &name, true).await,
            Self::Enable { name } => set_disabled(&mut client, &name, false).await,
            Self::Reset { name } => {
                let name = find(&mut client, &name).await?.name;
                let request = proto::ResetModeratorRequest { name };
                let answer = unwrapped(client.moderators.reset_moderator(request).await)?;
                Ok(vec![shown("ResetModeratorResponse", &answer)])
            }
        }
    }
}

async fn list(client: &mut Client) -> Result<Vec<proto::Moderator>, Failure> {
    let mut found = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = proto::ListModeratorsRequest { page_size: 1_000, page_token };
        let answer = unwrapped(client.moderators.list_moderators(request).await)?;
        found.extend(answer.moderators);
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            return Ok(found);
        }
    }
}

/// The moderator with this name, whatever its case, or with this resource name.
async fn find(client: &mut Client, name: &str) -> Result<proto::Moderator, Failure> {
    let wanted = name.trim().to_lowercase();
    let mut found = list(client).await?.into_iter();
    found.find(|one| one.name == name || one.display_name.to_lowercase() == wanted).ok_or_else(
        || Failure::data(format!("there is no moderator `{}`", super::output::safe(name))),
    )
}

async fn set(
    client: &mut Client,
    who: &str,
    role: Option<Role>,
    sites: &[String],
) -> Result<Vec<Value>, Failure> {
    let known = find(client, who).await?;
    let role = role.map_or(known.role, |role| role.to_wire().into());
    let sites = match sites {
        [] => known.sites.clone(),
        sites => sites.iter().map(|site| name(site)).collect(),
    };
    let request = proto::UpdateModeratorRequest {
        moderator: Some(proto::Moderator { role, sites, ..known }),
        update_mask: Some(FieldMask { paths: vec!["role".into(), "sites".into()] }),
    };
    let answer = unwrapped(client.moderators.update_moderator(request).await)?;
    Ok(vec![shown("Moderator", &answer.moderator.unwrap_or_default())])
}

async fn set_disabled(
    client: &mut Client,
    name: &str,
    disabled: bool,
) -> Result<Vec<Value>, Failure> {
    let known = find(client, name).await?;
    let request = proto::UpdateModeratorRequest {
        moderator: Some(proto::Moderator { disabled, ..known }),
        update_mask: Some(FieldMask { paths: vec!["disabled".into()] }),
    };
    let answer = unwrapped(client.moderators.update_moderator(request).await)?;
    Ok(vec![shown("Moderator", &answer.moderator.unwrap_or_default())])
}
