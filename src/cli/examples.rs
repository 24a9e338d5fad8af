//! `replyguard examples`: the label ledger of a site in the running service.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use tokio_stream::StreamExt;

use super::authors;
use super::files;
use super::first_site::{connect_to_site, refused};
use super::output::say;
use super::{Failure, SiteArgs, block_on, progress};
use crate::domain::{Example, Label};
use crate::grpc::client::{Client, Timestamp, to_json};
use crate::grpc::proto;
use crate::moderation::{examples, source_name};

/// Examples of a call: a second's work, so that a slow disk does not meet the call's own limit.
pub(super) const CALL_EXAMPLES: usize = 1_000;
/// Bytes of lines of a call, below the 2 MiB that a message may have.
pub(super) const CALL_BYTES: usize = 1 << 20;

/// Arguments of `examples`.
#[derive(Args)]
pub(super) struct ExamplesArgs {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    site: SiteArgs,
}

#[derive(Subcommand)]
enum Action {
    /// Put labelled comments into the ledger; what is there already is passed over
    Import {
        /// Files as for `train`: one JSON object a line
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// What to call the import [default: the example's `source`, else the file's name]
        #[arg(long)]
        source: Option<String>,
    },
    /// Print the examples that count, one JSON object a line, as `train` and imports read them.
    /// Addresses are masked, so what an author's e-mail address tells does not travel
    Export,
    /// Take labels back; the next training gives the model that never saw them
    Retract(RetractArgs),
}

#[derive(Args)]
#[group(skip)]
struct RetractArgs {
    #[command(flatten)]
    what: What,
    /// Why, for the ledger and the audit log
    #[arg(long, default_value = "")]
    note: String,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct What {
    /// The label at this position of the ledger
    #[arg(long)]
    position: Option<i64>,
    /// All labels of this comment: sites/{site}/comments/{comment}
    #[arg(long)]
    comment: Option<String>,
    /// All labels by reporters of this name, also what they decided as moderators
    #[arg(long)]
    reporter: Option<String>,
    /// All labels of what an author wrote, whose e-mail address is read from standard input, or asked
    /// for at a terminal
    #[arg(long)]
    email_stdin: bool,
    /// All labels of an import
    #[arg(long)]
    source: Option<String>,
}

impl ExamplesArgs {
    /// Does it and prints what came of it.
    pub(super) fn run(self) -> Result<(), Failure> {
        block_on(async {
            let (client, site) = connect_to_site(&self.site).await?;
            match self.action {
                Action::Import { files, source } => {
                    import(client, &site, &files, source.as_deref()).await
                }
                Action::Export => export(client, site).await,
                Action::Retract(args) => retract(client, site, args).await,
            }
        })
    }
}

async fn import(
    mut client: Client,
    site: &str,
    files: &[PathBuf],
    source: Option<&str>,
) -> Result<(), Failure> {
    // Every line is looked at before any is sent.
    for file in files {
        let mut reader = ExampleReader::open(file, source)?;
        while !reader.next_batch(&|_| ())?.is_empty() {}
    }
    let bar = progress::bytes_bar(files, "importing");
    let (mut imported, mut known) = (0, 0);
    for file in files {
        let mut reader = ExampleReader::open(file, source)?;
        loop {
            let examples = reader.next_batch(&|bytes| bar.inc(bytes))?;
            if examples.is_empty() {
                break;
            }
            let request = proto::ImportExamplesRequest { parent: site.to_owned(), examples };
            let answer = client.models.import_examples(tokio_stream::iter([request])).await;
            let answer = answer.map_err(|status| refused(&status))?.into_inner();
            imported += answer.imported_count;
            known += answer.known_count;
        }
    }
    bar.finish_and_clear();
    say!("{imported} examples imported, {known} were there already")
}

/// The examples of a file.
struct ExampleReader<'a> {
    path: &'a Path,
    source: Option<&'a str>,
    lines: BufReader<File>,
    number: usize,
}

impl<'a> ExampleReader<'a> {
    fn open(path: &'a Path, source: Option<&'a str>) -> Result<Self, Failure> {
        let failed = |error| Failure::data(format!("{}: {error}", path.display()));
        let lines = BufReader::new(File::open(path).map_err(failed)?);
        Ok(Self { path, source, lines, number: 0 })
    }

    /// The next [`CALL_EXAMPLES`]; none at the end. `read` is told the bytes.
    fn next_batch(&mut self, read: &dyn Fn(u64)) -> Result<Vec<proto::Example>, Failure> {
        let mut batch = Vec::new();
        let mut line = Vec::new();
        let mut byte_count = 0;
        while batch.len() < CALL_EXAMPLES && byte_count < CALL_BYTES {
            line.clear();
            let count = files::read_line(&mut self.lines, &mut line);
            let count = count
                .map_err(|error| Failure::data(format!("{}: {error}", self.path.display())))?;
            if count == 0 {
                break;
            }
            read(count as u64);
            byte_count += count;
            self.number += 1;
            if !files::is_empty(&line) {
                let example = match line.len() {
                    length if length > files::LINE_BYTES_MAX => Err(files::too_long()),
                    _ => self.example(&line),
                };
                let example = example.map_err(|problem| {
                    let place = format!("{}:{}", self.path.display(), self.number);
                    Failure::data(format!("{place}: {problem}"))
                })?;
                batch.push(example);
            }
        }
        Ok(batch)
    }

    fn example(&self, line: &[u8]) -> Result<proto::Example, String> {
        let example: Example = files::parse_line(line)?;
        let label = examples::label(&example).map_err(|error| error.to_string())?;
        examples::submission(example.clone()).map_err(|error| error.to_string())?;
        examples::time(&example).map_err(|error| error.to_string())?;
        let file = || self.path.file_stem().map(|name| name.to_string_lossy().into_owned());
        let source = self.source.map(str::to_owned).or(example.source.clone()).or_else(file);
        let source = source_name(&source.unwrap_or_default()).ok_or(
            "`source`, or the file's name in its place: one line of at most 100 bytes without \
             addresses is expected; --source gives another",
        )?;
        Ok(to_wire(example, label, source))
    }
}

/// An example as it is sent.
pub(super) fn to_wire(example: Example, label: Label, source: String) -> proto::Example {
    let text = |field: Option<String>| field.unwrap_or_default();
    let label_time = example
        .time()
        .map(|time| Timestamp { seconds: time.unix_timestamp(), nanos: time.nanosecond() as i32 });
    proto::Example {
        comment: Some(proto::Comment {
            text: example.text,
            author: text(example.author),
            email: text(example.email),
            url: text(example.url),
            ip: text(example.ip),
            user_agent: text(example.user_agent),
            page_uri: text(example.page_uri),
            page_title: text(example.page_title),
            language: text(example.lang),
            ..proto::Comment::default()
        }),
        label: i32::from(match label {
            Label::Ham => proto::Label::Ham,
            Label::Spam => proto::Label::Spam,
        }),
        source,
        label_time,
    }
}

async fn export(mut client: Client, parent: String) -> Result<(), Failure> {
    let answer = client.models.export_examples(proto::ExportExamplesRequest { parent }).await;
    let mut examples = answer.map_err(|status| refused(&status))?.into_inner();
    while let Some(example) = examples.next().await {
        let example = example.map_err(|status| refused(&status))?;
        say!("{}", line(&example))?;
    }
    Ok(())
}

/// An exported example by the names that [`Example`] has, so that `train`, `evaluate` and imports
/// read all of it. What it has besides, they pass over.
fn line(example: &proto::ExportExamplesResponse) -> serde_json::Value {
    let mut json = to_json("replyguard.v1.ExportExamplesResponse", example);
    let label = match example.label() {
        proto::Label::Spam => Label::Spam,
        _ => Label::Ham,
    };
    json["label"] = label.as_str().into();
    for (exported, read) in [("label_time", "date"), ("language", "lang")] {
        if let Some(fields) = json.as_object_mut()
            && let Some(value) = fields.remove(exported)
        {
            fields.insert(read.to_owned(), value);
        }
    }
    json
}

async fn retract(mut client: Client, parent: String, args: RetractArgs) -> Result<(), Failure> {
    use proto::retract_examples_request::Selector;
    let what = args.what;
    let selector = what
        .position
        .map(Selector::Position)
        .or(what.comment.map(Selector::Comment))
        .or(what.reporter.map(Selector::ReporterName))
        .or(what.source.map(Selector::Source));
    let selector = match selector {
        None if what.email_stdin => Some(Selector::AuthorEmail(authors::address()?)),
        selector => selector,
    };
    let request = proto::RetractExamplesRequest { parent, selector, note: args.note };
    let answer = client.models.retract_examples(request).await;
    let answer = answer.map_err(|status| refused(&status))?.into_inner();
    match answer.retracted_count {
        0 => {
            let text = "no label was taken back: there is none, or it was taken back before";
            Err(Failure::data(text))
        }
        count => say!("{count} labels taken back"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_exported_is_read_whole() {
        let exported = proto::ExportExamplesResponse {
            position: 7,
            name: "sites/default/comments/x".into(),
            text: "Which flour?".into(),
            author: "Jane".into(),
            url: "https://jane.example/".into(),
            label: proto::Label::Spam.into(),
            source: "archive".into(),
            label_time: Some(Timestamp { seconds: 1_183_664_005, nanos: 250_000_000 }),
            page_uri: "https://bread.example/rye/".into(),
            page_title: "Rye".into(),
            language: "de-at".into(),
        };
        let read: Example = serde_json::from_str(&line(&exported).to_string()).unwrap();
        let (label, source) = (examples::label(&read).unwrap(), read.source.clone().unwrap());
        let sent = to_wire(read, label, source);
        let comment = sent.comment.unwrap();
        assert_eq!(comment.text, exported.text);
        assert_eq!((comment.author, comment.url), (exported.author, exported.url));
        assert_eq!((sent.label, sent.source), (exported.label, exported.source));
        assert_eq!(sent.label_time, exported.label_time);
        assert_eq!(comment.page_uri, exported.page_uri);
        assert_eq!(
            (comment.page_title, comment.language),
            (exported.page_title, exported.language)
        );
    }
}
