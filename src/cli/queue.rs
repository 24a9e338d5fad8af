//! `replyguard queue`: the moderator's desk of a site in the running service.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;

use super::first_site::{connect_to_site, refused};
use super::output::{safe, say};
use super::{Failure, SiteArgs, block_on, progress};
use crate::grpc::client::{Client, Message, Streaming, to_json};
use crate::grpc::proto;

/// Characters of a comment in a list.
const SHOWN_CHARACTERS: usize = 72;

/// Arguments of `queue`.
#[derive(Args)]
pub(super) struct QueueArgs {
    #[command(subcommand)]
    action: QueueAction,
    #[command(flatten)]
    site: SiteArgs,
}

#[derive(Subcommand)]
enum QueueAction {
    /// List what waits for a decision, near duplicates as one line
    List {
        /// What comes first
        #[arg(long, value_enum, default_value_t = Order::Usefulness)]
        order: Order,
        /// At most so many entries
        #[arg(long, default_value_t = 20, value_name = "COUNT")]
        count_max: u32,
    },
    /// List comments that a filter means, such as `state:rejected since:2026-11-01 casino`
    Search {
        /// Conditions and words
        #[arg(required = true, num_args = 1.., value_name = "FILTER")]
        filter: Vec<String>,
        /// At most so many comments
        #[arg(long, default_value_t = 20, value_name = "COUNT")]
        count_max: u32,
    },
    /// Show all that is known of a comment
    Show {
        /// The comment's id or name
        comment: String,
    },
    /// Publish comments; they are ham
    Approve(Selection),
    /// Don't publish comments
    Reject {
        #[command(flatten)]
        selection: Selection,
        /// What they are; only spam teaches the filter
        #[arg(long = "as", value_enum, default_value_t = Kind::Spam)]
        kind: Kind,
    },
    /// Put comments back into the queue
    Reopen(Selection),
    /// Take a decision back, whatever it was about
    Undo {
        /// The decision's id or name
        decision: String,
        /// Why, for the audit log
        #[arg(long, default_value = "")]
        note: String,
    },
    /// List the last decisions
    Decisions {
        /// At most so many
        #[arg(long, default_value_t = 20, value_name = "COUNT")]
        count_max: u32,
    },
}

#[derive(Args)]
struct Selection {
    /// The comments' ids or names
    #[arg(value_name = "COMMENT", required_unless_present = "filter", conflicts_with = "filter")]
    comments: Vec<String>,
    /// All that a filter means, such as `state:held campaign:ID`
    #[arg(long)]
    filter: Option<String>,
    /// Only tell what would change
    #[arg(long)]
    preview: bool,
    /// Why, for the audit log
    #[arg(long, default_value = "")]
    note: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum Order {
    Usefulness,
    Oldest,
    Newest,
    Score,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Spam,
    Abuse,
    Other,
}

impl Kind {
    fn action(self) -> proto::DecisionAction {
        match self {
            Self::Spam => proto::DecisionAction::RejectSpam,
            Self::Abuse => proto::DecisionAction::RejectAbuse,
            Self::Other => proto::DecisionAction::RejectOther,
        }
    }
}

/// The desk of one site.
struct Desk {
    client: Client,
    site: String,
    json: bool,
}

impl QueueArgs {
    /// Does it and prints what came of it.
    pub(super) fn run(self) -> Result<(), Failure> {
        use proto::DecisionAction::{Approve, Reopen};
        block_on(async {
            let (client, site) = connect_to_site(&self.site).await?;
            let mut desk = Desk { client, site, json: self.site.service.json };
            match self.action {
                QueueAction::List { order, count_max } => desk.list(order, count_max).await,
                QueueAction::Search { filter, count_max } => {
                    desk.search(filter.join(" "), count_max).await
                }
                QueueAction::Show { comment } => desk.show(&comment).await,
                QueueAction::Approve(selection) => desk.decide(selection, Approve).await,
                QueueAction::Reject { selection, kind } => {
                    desk.decide(selection, kind.action()).await
                }
                QueueAction::Reopen(selection) => desk.decide(selection, Reopen).await,
                QueueAction::Undo { decision, note } => desk.undo(&decision, note).await,
                QueueAction::Decisions { count_max } => desk.decisions(count_max).await,
            }
        })
    }
}

impl Desk {
    async fn list(&mut self, order: Order, count_max: u32) -> Result<(), Failure> {
        let order_by = match order {
            Order::Usefulness => "usefulness",
            Order::Oldest => "oldest",
            Order::Newest => "newest",
            Order::Score => "score",
        };
        let request = proto::ListQueueEntriesRequest {
            parent: self.site.clone(),
            order_by: order_by.into(),
            page_size: size(count_max),
            page_token: String::new(),
        };
        let answer = self.client.reviews.list_queue_entries(request).await;
        let answer = answer.map_err(|status| refused(&status))?.into_inner();
        for entry in &answer.queue_entries {
            if self.json {
                say!("{}", json("QueueEntry", entry))?;
            } else if let Some(comment) = &entry.comment {
                let campaign = match entry.held_count {
                    1 => String::new(),
                    count => format!("{count} alike, campaign:{}  ", entry.campaign),
                };
                say_comment(comment, &campaign)?;
            }
        }
        if !self.json {
            let shown = answer.queue_entries.len();
            say!("{shown} of {} entries", answer.total_count)?;
        }
        Ok(())
    }

    async fn search(&mut self, filter: String, count_max: u32) -> Result<(), Failure> {
        let request = proto::ListCommentsRequest {
            parent: self.site.clone(),
            filter,
            order_by: String::new(),
            page_size: size(count_max),
            page_token: String::new(),
        };
        let answer = self.client.reviews.list_comments(request).await;
        let answer = answer.map_err(|status| refused(&status))?.into_inner();
        for comment in &answer.comments {
            if self.json {
                say!("{}", json("ReviewedComment", comment))?;
            } else {
                let state = comment.comment.as_ref().map_or(0, |comment| comment.state);
                say_comment(comment, &format!("{}  ", state_word(state)))?;
            }
        }
        if !self.json && !answer.next_page_token.is_empty() {
            say!("and more")?;
        }
        Ok(())
    }

    async fn show(&mut self, comment: &str) -> Result<(), Failure> {
        let name = self.comment_name(comment);
        let request = proto::GetReviewedCommentRequest { name };
        let answer = self.client.reviews.get_reviewed_comment(request).await;
        let answer = answer.map_err(|status| refused(&status))?.into_inner();
        if self.json {
            return say!("{}", json("GetReviewedCommentResponse", &answer));
        }
        let Some(reviewed) = &answer.comment else { return Ok(()) };
        say_comment(reviewed, "")?;
        let comment = reviewed.comment.clone().unwrap_or_default();
        say!("state: {}", state_word(comment.state))?;
        for reason in &comment.reasons {
            say!("reason: {}: {}", safe(&reason.name), safe(&reason.description))?;
        }
        for signal in &comment.signals {
            say!("signal: {}: {}", safe(&signal.name), safe(&signal.detail))?;
        }
        if let Some(author) = &answer.author_record {
            say!(
                "author: {} approved, {} held, {} rejected (author:{})",
                author.approved_count,
                author.held_count,
                author.rejected_count,
                reviewed.author_fingerprint
            )?;
        }
        say!("campaign: {} alike, {} held", answer.campaign_count, answer.campaign_held_count)?;
        for decision in &answer.decisions {
            let time = time(decision.decide_time.as_ref());
            let (action, actor) = (safe(&decision.action), safe(&decision.actor));
            say!("{time}: {action} by {actor} ({})", id(&decision.decision))?;
        }
        let text = comment.public_comment.unwrap_or_default().text;
        say!("\n{}", text.lines().map(safe).collect::<Vec<_>>().join("\n"))
    }

    async fn decide(
        &mut self,
        selection: Selection,
        action: proto::DecisionAction,
    ) -> Result<(), Failure> {
        let names = selection.comments.iter().map(|comment| self.comment_name(comment)).collect();
        let wire = proto::DecisionSelection {
            comments: names,
            filter: selection.filter.unwrap_or_default(),
        };
        if selection.preview {
            return self.preview(wire, action).await;
        }
        let request = proto::BatchDecideCommentsRequest {
            parent: self.site.clone(),
            selection: Some(wire),
            action: action.into(),
            note: selection.note,
            moderator: String::new(),
        };
        let answer = self.client.reviews.batch_decide_comments(request).await;
        let stream = answer.map_err(|status| refused(&status))?.into_inner();
        self.follow(stream, "deciding", |response| response.progress).await
    }

    async fn preview(
        &mut self,
        selection: proto::DecisionSelection,
        action: proto::DecisionAction,
    ) -> Result<(), Failure> {
        let request = proto::PreviewDecisionRequest {
            parent: self.site.clone(),
            selection: Some(selection),
            action: action.into(),
        };
        let answer = self.client.reviews.preview_decision(request).await;
        let answer = answer.map_err(|status| refused(&status))?.into_inner();
        if self.json {
            return say!("{}", json("PreviewDecisionResponse", &answer));
        }
        say!(
            "{} comments meant: {} held, {} approved, {} rejected; {} would change",
            answer.total_count,
            answer.held_count,
            answer.approved_count,
            answer.rejected_count,
            answer.change_count
        )?;
        say!(
            "by {} authors on {} pages, in {} campaigns",
            answer.author_count,
            answer.page_count,
            answer.campaign_count
        )?;
        for comment in &answer.sample {
            say_comment(comment, "")?;
        }
        Ok(())
    }

    async fn undo(&mut self, decision: &str, note: String) -> Result<(), Failure> {
        let name = match decision.starts_with("sites/") {
            true => decision.to_owned(),
            false => format!("{}/decisions/{decision}", self.site),
        };
        let request = proto::UndoDecisionRequest { name, note, moderator: String::new() };
        let answer = self.client.reviews.undo_decision(request).await;
        let stream = answer.map_err(|status| refused(&status))?.into_inner();
        self.follow(stream, "undoing", |response| response.progress).await
    }

    /// Shows how far a decision has come, and at last what it did.
    async fn follow<T>(
        &self,
        mut stream: Streaming<T>,
        what: &'static str,
        progress_of: impl Fn(T) -> Option<proto::DecisionProgress>,
    ) -> Result<(), Failure> {
        let bar = progress::bar(0, what, "{msg:>12} {wide_bar} {pos}/{len} comments {elapsed}");
        let mut last = proto::DecisionProgress::default();
        while let Some(response) = stream.message().await.map_err(|status| refused(&status))? {
            last = progress_of(response).unwrap_or_default();
            bar.set_length(last.total_count.max(0) as u64);
            bar.set_position((last.decided_count + last.passed_count).max(0) as u64);
        }
        bar.finish_and_clear();
        if self.json {
            say!("{}", json("DecisionProgress", &last))?;
        } else {
            say!("{} comments moved; `queue undo {}`", last.decided_count, id(&last.decision))?;
            for passed in &last.passed_comments {
                say!("passed over: {} ({})", id(&passed.comment), safe(&passed.reason))?;
            }
        }
        match (last.done, last.decided_count) {
            (false, _) => {
                Err(Failure::unavailable("the service broke off; what moved can be undone"))
            }
            (true, 0) => Err(Failure::data("no comment moved")),
            (true, _) => Ok(()),
        }
    }

    async fn decisions(&mut self, count_max: u32) -> Result<(), Failure> {
        let request = proto::ListDecisionsRequest {
            parent: self.site.clone(),
            page_size: size(count_max),
            page_token: String::new(),
        };
        let answer = self.client.reviews.list_decisions(request).await;
        for decision in answer.map_err(|status| refused(&status))?.into_inner().decisions {
            if self.json {
                say!("{}", json("Decision", &decision))?;
                continue;
            }
            let undone = if decision.undoing_decision.is_empty() { "" } else { "  undone" };
            say!(
                "{}  {}  {:<13} {:>6}  {}{undone}",
                time(decision.decide_time.as_ref()),
                id(&decision.name),
                decision.action,
                decision.comment_count,
                safe(&decision.actor)
            )?;
        }
        Ok(())
    }

    fn comment_name(&self, comment: &str) -> String {
        match comment.starts_with("sites/") {
            true => comment.to_owned(),
            false => format!("{}/comments/{comment}", self.site),
        }
    }
}

/// One comment in two lines.
fn say_comment(reviewed: &proto::ReviewedComment, before: &str) -> Result<(), Failure> {
    let comment = reviewed.comment.clone().unwrap_or_default();
    let public = comment.public_comment.clone().unwrap_or_default();
    let score = comment.score.map_or("  -  ".to_owned(), |score| format!("{score:.3}"));
    let claim = match &reviewed.claim {
        Some(claim) => format!("  ({} looks at it)", safe(&claim.actor)),
        None => String::new(),
    };
    let time = time(comment.check_time.as_ref());
    say!("{score}  {time}  {}  {before}{}{claim}", id(&comment.name), safe(&public.author))?;
    say!("       {}", cut(&public.text))
}

pub(super) fn cut(text: &str) -> String {
    let mut short: String = text.chars().take(SHOWN_CHARACTERS).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    safe(&short.replace(['\n', '\r'], " "))
}

/// The last part of a resource name.
fn id(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

fn state_word(state: i32) -> &'static str {
    match proto::State::try_from(state) {
        Ok(proto::State::Held) => "held",
        Ok(proto::State::Approved) => "approved",
        Ok(proto::State::Rejected) => "rejected",
        Ok(proto::State::Unspecified) | Err(_) => "unknown",
    }
}

pub(super) fn time(time: Option<&crate::grpc::client::Timestamp>) -> String {
    time.map(|time| time.to_string()).unwrap_or_default()
}

pub(super) fn size(count_max: u32) -> i32 {
    i32::try_from(count_max.clamp(1, 1_000)).unwrap_or(1_000)
}

pub(super) fn json(name: &str, message: &impl Message) -> Value {
    to_json(&format!("replyguard.v1.{name}"), message)
}
