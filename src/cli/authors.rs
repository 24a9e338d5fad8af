//! `replyguard authors`: erases or exports what a person wrote, in the running service. Addresses
//! come from standard input: what stands on a command line, every user of the machine can read.

use std::io::{IsTerminal, Read, Write};

use clap::{Args, Subcommand};
use tokio_stream::StreamExt;

use super::first_site::{connect_to_site, refused};
use super::output::say;
use super::sites::unwrapped;
use super::{Failure, SiteArgs, block_on};
use crate::grpc::client::{Client, to_json};
use crate::grpc::proto;

/// Bytes of standard input that are looked at for an address.
const ADDRESS_BYTES_MAX: u64 = 1_024;

/// Arguments of `authors`.
#[derive(Args)]
pub(super) struct AuthorsArgs {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    site: SiteArgs,
}

#[derive(Subcommand)]
enum Action {
    /// Erase everything of an author, for good: comments, labels, the record; the next training
    /// gives the model that never saw them
    Erase {
        #[command(flatten)]
        who: Who,
        /// Why, for the audit log
        #[arg(long, default_value = "")]
        note: String,
        /// Erase without asking
        #[arg(long)]
        yes: bool,
    },
    /// Print everything that is stored of an author, one JSON object a line
    Export {
        #[command(flatten)]
        who: Who,
    },
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Who {
    /// Read the author's e-mail address from standard input, or ask for it at a terminal
    #[arg(long)]
    email_stdin: bool,
    /// Something the author wrote: sites/{site}/comments/{comment}
    #[arg(long, value_name = "NAME")]
    comment: Option<String>,
}

impl AuthorsArgs {
    /// Does it and prints what came of it.
    pub(super) fn run(self) -> Result<(), Failure> {
        block_on(async {
            let (client, parent) = connect_to_site(&self.site).await?;
            match self.action {
                Action::Erase { who, note, yes } => {
                    let json = self.site.service.json;
                    erase(client, parent, who, note, Answer { yes, json }).await
                }
                Action::Export { who } => export(client, parent, who).await,
            }
        })
    }
}

/// How an erasure is confirmed and told.
struct Answer {
    yes: bool,
    json: bool,
}

async fn erase(
    mut client: Client,
    parent: String,
    who: Who,
    note: String,
    answer: Answer,
) -> Result<(), Failure> {
    use proto::erase_author_request::Author;
    let author = match who.comment {
        Some(name) => Author::Comment(name),
        None => Author::AuthorEmail(address()?),
    };
    let preview =
        proto::EraseAuthorRequest { parent, author: Some(author), note, validate_only: true };
    let found = unwrapped(client.comments.erase_author(preview.clone()).await)?;
    if found == proto::EraseAuthorResponse::default() {
        return tell("found", &found, answer.json);
    }
    if !answer.yes {
        tell("would be erased", &found, answer.json)?;
        confirm("Erase this for good?")?;
    }
    let request = proto::EraseAuthorRequest { validate_only: false, ..preview };
    let erased = unwrapped(client.comments.erase_author(request).await)?;
    tell("erased", &erased, answer.json)
}

fn tell(done: &str, counts: &proto::EraseAuthorResponse, json: bool) -> Result<(), Failure> {
    if json {
        return say!("{}", to_json("replyguard.v1.EraseAuthorResponse", counts));
    }
    let proto::EraseAuthorResponse { comment_count, example_count, label_count } = counts;
    say!("{comment_count} comments, {example_count} examples and {label_count} labels {done}")
}

async fn export(mut client: Client, parent: String, who: Who) -> Result<(), Failure> {
    use proto::export_author_request::Author;
    let author = match who.comment {
        Some(name) => Author::Comment(name),
        None => Author::AuthorEmail(address()?),
    };
    let request = proto::ExportAuthorRequest { parent, author: Some(author) };
    let mut records = unwrapped(client.comments.export_author(request).await)?;
    while let Some(record) = records.next().await {
        let record = record.map_err(|status| refused(&status))?;
        say!("{}", to_json("replyguard.v1.ExportAuthorResponse", &record))?;
    }
    Ok(())
}

/// The address on the first line of standard input, or what is typed at a terminal when asked for it.
///
/// # Errors
/// If there is none.
pub(super) fn address() -> Result<String, Failure> {
    if std::io::stdin().is_terminal() {
        return ask("E-mail address: ");
    }
    let mut text = String::new();
    let read = std::io::stdin().take(ADDRESS_BYTES_MAX).read_to_string(&mut text);
    read.map_err(|error| Failure::data(format!("standard input: {error}")))?;
    let line = text.lines().next().unwrap_or_default().trim();
    if line.is_empty() {
        return Err(Failure::data("standard input: an e-mail address is expected"));
    }
    Ok(line.to_owned())
}

/// Asks whoever sits at the terminal; without one, `--yes` is needed.
///
/// # Errors
/// Exit code 64 if the answer is not `yes`.
pub(super) fn confirm(question: &str) -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage("nothing was done, since it cannot be undone: add --yes"));
    }
    match ask(&format!("{question} It cannot be undone. Type yes: "))?.as_str() {
        "yes" => Ok(()),
        _ => Err(Failure::usage("nothing was done")),
    }
}

fn ask(question: &str) -> Result<String, Failure> {
    let failed = |error: std::io::Error| Failure::data(format!("standard input: {error}"));
    let mut err = std::io::stderr().lock();
    err.write_all(question.as_bytes()).and_then(|()| err.flush()).map_err(failed)?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(failed)?;
    Ok(line.trim().to_owned())
}
