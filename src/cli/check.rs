//! `replyguard check`: sends one comment to the running service.

use std::fmt::Write as _;

use clap::Args;

use super::first_site::{connect_to_site, refused};
use super::output::{print, safe, say};
use super::{Failure, SiteArgs, block_on};
use crate::grpc::client::to_json;
use crate::grpc::proto;

/// How many contributions are printed.
const CONTRIBUTIONS_SHOWN: usize = 8;

/// Arguments of `check`.
#[derive(Args)]
pub(super) struct CheckArgs {
    /// The comment; `-` reads it from standard input
    text: String,
    /// The author's name
    #[arg(long, default_value = "A reader")]
    author: String,
    /// The author's address [default: a fresh one at example.org, so that the limit of one
    /// comment in 15 s by author does not stop you]
    #[arg(long)]
    email: Option<String>,
    /// The author's website
    #[arg(long, default_value = "")]
    url: String,
    /// The author's IP address
    #[arg(long, default_value = "")]
    ip: String,
    /// The author's browser
    #[arg(long, default_value = "")]
    user_agent: String,
    /// Where the comment stands
    #[arg(long, default_value = "")]
    page_uri: String,
    /// The title or subject of the page
    #[arg(long, default_value = "")]
    page_title: String,
    /// The language of the page
    #[arg(long, default_value = "")]
    language: String,
    /// What stood in the form's hidden field
    #[arg(long)]
    honeypot: Option<String>,
    /// Milliseconds between showing and sending the form
    #[arg(long)]
    elapsed_ms: Option<i64>,
    /// A UUID; a repeated one gets the first answer
    #[arg(long, default_value = "")]
    request_id: String,
    #[command(flatten)]
    site: SiteArgs,
}

impl CheckArgs {
    /// Sends the comment and prints the answer.
    pub(super) fn run(self) -> Result<(), Failure> {
        let text = match self.text.as_str() {
            "-" => std::io::read_to_string(std::io::stdin())
                .map_err(|error| Failure::data(format!("standard input: {error}")))?,
            _ => self.text.clone(),
        };
        block_on(self.send(text))
    }

    async fn send(self, text: String) -> Result<(), Failure> {
        let (mut client, site) = connect_to_site(&self.site).await?;
        let comment = proto::Comment {
            text,
            author: self.author,
            email: self.email.unwrap_or_else(fresh_email),
            url: self.url,
            ip: self.ip,
            user_agent: self.user_agent,
            page_uri: self.page_uri,
            page_title: self.page_title,
            language: self.language,
            honeypot: self.honeypot,
            elapsed_ms: self.elapsed_ms,
            ..proto::Comment::default()
        };
        let request = proto::CheckCommentRequest {
            parent: site,
            comment: Some(comment),
            request_id: self.request_id,
        };
        let answer = client.comments.check_comment(request).await;
        let answer = answer.map_err(|status| refused(&status))?.into_inner();
        let comment = answer.comment.unwrap_or_default();
        if self.site.service.json {
            say!("{}", to_json("replyguard.v1.CheckedComment", &comment))?;
        } else {
            print(format_args!("{}", for_people(&comment)))?;
        }
        Ok(())
    }
}

/// An address that was never used before: letters of the process id, so that two people on one
/// machine differ, too.
fn fresh_email() -> String {
    let mut number = u64::from(std::process::id()).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16;
    let letters: String = std::iter::repeat_with(|| {
        let letter = char::from(b'a' + (number % 26) as u8);
        number /= 26;
        letter
    })
    .take(8)
    .collect();
    format!("reader.{letters}@example.org")
}

/// The answer as a few lines. Nothing of the author's is printed raw: a terminal obeys escapes.
fn for_people(comment: &proto::CheckedComment) -> String {
    let verdict = match comment.verdict() {
        proto::Verdict::Approve => "approve",
        proto::Verdict::Hold => "hold",
        proto::Verdict::Reject => "reject",
        proto::Verdict::Unspecified => "unspecified",
    };
    let score = comment.score.map_or("none".into(), |score| format!("{score:.4}"));
    let discard = if comment.discard { ", discard" } else { "" };
    let mut out = format!("{verdict}  score {score}{discard}  {}\n", comment.name);
    for reason in &comment.reasons {
        let _ = writeln!(out, "  because  {}: {}", reason.name, safe(&reason.description));
    }
    for signal in &comment.signals {
        let _ = writeln!(
            out,
            "  signal   {:+.2} {}: {}",
            signal.weight,
            signal.name,
            safe(&signal.detail)
        );
    }
    for part in comment.contributions.iter().take(CONTRIBUTIONS_SHOWN) {
        let _ = writeln!(out, "  weight   {:+.2} {}", part.weight, safe(&part.name));
    }
    let list = |out: &mut String, title: &str, entries: &[String]| {
        if !entries.is_empty() {
            let _ = writeln!(out, "  {title}  {}", entries.join(", "));
        }
    };
    list(&mut out, "missing", &comment.missing_inputs);
    list(&mut out, "degraded", &comment.degraded_parts);
    let _ = writeln!(out, "  model    {}", comment.model_version);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_addresses_are_addresses() {
        assert!(crate::domain::EmailAddress::parse(&fresh_email()).is_ok());
    }
}
