//! `replyguard import`: what owners have from other systems, into the label ledger of a site in the
//! running service. Never a comment, a name or an address on the screen or in a log.
//!
//! All files are read before anything is sent, so that a broken one changes nothing.

mod back_test;
mod comment;
mod disqus;
#[cfg(any(test, fuzzing))]
mod fuzz;
mod gathering;
mod input;
mod isso;
mod lines;
mod markup;
mod sql;
mod sql_bytes;
mod table;
mod wordpress;
mod wordpress_sql;
mod xml;

use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::ProgressBar;
use serde::Serialize;

use super::first_site::{connect_to_site, refused};
use super::models;
use super::output::{print, safe, say};
use super::{Failure, SiteArgs, block_on, examples, model_reports, progress};
use crate::grpc::client::{Client, to_json};
use crate::grpc::proto;
use back_test::{BackTest, Verdicts};
use comment::Problem;
use gathering::{Gathering, Ordered, Tally};
use input::Format;

#[cfg(any(test, fuzzing))]
pub use fuzz::import as fuzz_import;

/// Arguments of `import`.
#[derive(Args)]
pub(super) struct ImportArgs {
    /// Exports, dumps and databases, packed by gzip or not
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What the files are [default: told from what they contain]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Which of several sites in a WordPress dump, by the prefix of its tables, such as `wp_2_`
    #[arg(long, value_name = "PREFIX")]
    table_prefix: Option<String>,
    /// What to call the examples in the ledger [default: the system they come from]
    #[arg(long)]
    source: Option<String>,
    /// Count what would be imported; nothing is sent, and no service is needed
    #[arg(long, conflicts_with = "train")]
    dry_run: bool,
    /// Then train a model of the site, and lay it beside Akismet on the last comments
    #[arg(long)]
    train: bool,
    #[command(flatten)]
    site: SiteArgs,
}

/// What became of a file.
#[derive(Serialize)]
struct FileReport {
    file: String,
    format: Format,
    #[serde(flatten)]
    tally: Tally,
}

/// What became of it all.
#[derive(Serialize)]
struct Report {
    files: Vec<FileReport>,
    dry_run: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    imported_count: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    known_count: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    back_test: Option<BackTest>,
}

impl ImportArgs {
    /// Does it and prints what came of it.
    pub(super) fn run(self) -> Result<(), Failure> {
        let json = self.site.service.json;
        let mut report = Report {
            files: Vec::new(),
            dry_run: self.dry_run,
            imported_count: None,
            known_count: None,
            model: None,
            back_test: None,
        };
        if self.dry_run {
            report.files = self.gather()?.0;
            if !json {
                return print(format_args!("{}", tables(&report.files, "would be imported")));
            }
        } else {
            block_on(async {
                let (client, site) = connect_to_site(&self.site).await?;
                self.import(client, &site, &mut report).await
            })?;
        }
        if json {
            let text = serde_json::to_string(&report).map_err(anyhow::Error::from)?;
            return say!("{text}");
        }
        Ok(())
    }

    async fn import(
        &self,
        mut client: Client,
        site: &str,
        report: &mut Report,
    ) -> Result<(), Failure> {
        let json = self.site.service.json;
        let (files, ordered) = self.gather()?;
        report.files = files;
        if !json {
            print(format_args!("{}", tables(&report.files, "to import")))?;
        }
        let mut verdicts = self.train.then(Verdicts::default);
        let (imported, known) = send(&mut client, site, ordered, verdicts.as_mut()).await?;
        (report.imported_count, report.known_count) = (Some(imported), Some(known));
        if !json {
            say!("{imported} examples imported, {known} were there already")?;
        }
        let Some(verdicts) = verdicts else {
            return match json {
                true => Ok(()),
                false => say!(
                    "Give --train to train a model of the site and see what it would have done; \
                     files that were imported can be named again."
                ),
            };
        };
        let model = models::train(&mut client, site.to_owned(), None, 1).await?;
        report.model = Some(to_json("replyguard.v1.Model", &model));
        if !json {
            print(format_args!("\n{}\n", models::card(&model)))?;
        }
        if model.hold_out.is_none() {
            return match json {
                true => Ok(()),
                false => say!("The labels are too few to hold some of both kinds out and judge."),
            };
        }
        let evaluation =
            model_reports::judge(&mut client, model.name.clone(), String::new()).await?;
        let test = BackTest::new(&evaluation.judged_labels, &verdicts);
        report.back_test = Some(test);
        if json {
            return Ok(());
        }
        let version = model.name.rsplit('/').next().unwrap_or_default();
        print(format_args!("{}", test.words()))?;
        say!("It decides nothing before: replyguard models promote {version}")
    }

    /// Reads all files.
    fn gather(&self) -> Result<(Vec<FileReport>, Ordered), Failure> {
        let bar = progress::bytes_bar(&self.files, "reading");
        let mut gathering = Gathering::new()?;
        let mut reports = Vec::new();
        for path in &self.files {
            let name = path.display().to_string();
            let format =
                self.read(path, &mut gathering, &bar).map_err(|problem| problem.of(&name))?;
            reports.push(FileReport { file: name, format, tally: gathering.end_file() });
        }
        bar.finish_and_clear();
        Ok((reports, gathering.finish()?))
    }

    fn read(
        &self,
        path: &Path,
        gathering: &mut Gathering,
        bar: &ProgressBar,
    ) -> Result<Format, Problem> {
        let input = input::open(path, self.format, bar)?;
        let (format, bytes) = (input.format, input.bytes);
        gathering.begin_file(format.source(), self.source.as_deref());
        match format {
            Format::Wxr => wordpress::read_wxr(bytes, gathering)?,
            Format::WordpressSql => {
                wordpress_sql::read(bytes, self.table_prefix.as_deref(), gathering)?;
            }
            Format::Disqus => disqus::read(bytes, gathering)?,
            Format::Isso => isso::read(path, gathering)?,
            Format::Remark42 => lines::read_remark(bytes, gathering)?,
            Format::Jsonl => lines::read_jsonl(bytes, gathering)?,
            Format::Csv => table::read_csv(bytes, gathering)?,
        }
        Ok(format)
    }
}

/// Sends the examples and answers with how many were new and how many were known.
async fn send(
    client: &mut Client,
    site: &str,
    mut ordered: Ordered,
    mut verdicts: Option<&mut Verdicts>,
) -> Result<(i64, i64), Failure> {
    let template = "{msg:>12} {wide_bar} {pos}/{len} examples {eta}";
    let bar = progress::bar(ordered.len() as u64, "importing", template);
    let (mut imported, mut known) = (0, 0);
    loop {
        let mut batch = Vec::new();
        let mut byte_count = 0;
        while batch.len() < examples::CALL_EXAMPLES && byte_count < examples::CALL_BYTES {
            let Some(gathered) = ordered.next()? else { break };
            if let Some(verdicts) = verdicts.as_deref_mut() {
                verdicts.note(&gathered);
            }
            byte_count += size(&gathered.example);
            let source = gathered.example.source.clone().unwrap_or_default();
            batch.push(examples::to_wire(gathered.example, gathered.label, source));
        }
        if batch.is_empty() {
            bar.finish_and_clear();
            return Ok((imported, known));
        }
        let count = batch.len() as u64;
        let request = proto::ImportExamplesRequest { parent: site.to_owned(), examples: batch };
        let answer = client.models.import_examples(tokio_stream::iter([request])).await;
        let answer = answer.map_err(|status| {
            let done = imported + known;
            refused(&status).with(&format!(
                "; {done} examples are in the ledger, and the same command goes on from there"
            ))
        })?;
        let answer = answer.into_inner();
        imported += answer.imported_count;
        known += answer.known_count;
        bar.inc(count);
    }
}

/// Bytes of an example on the wire, about.
fn size(example: &crate::domain::Example) -> usize {
    let fields = [
        &example.author,
        &example.email,
        &example.url,
        &example.user_agent,
        &example.page_title,
        &example.page_uri,
    ];
    let length = |field: &&Option<String>| field.as_ref().map_or(0, String::len);
    example.text.len() + fields.iter().map(length).sum::<usize>() + 64
}

/// What is in the files, for people.
fn tables(reports: &[FileReport], doing: &str) -> String {
    let mut text = String::new();
    for report in reports {
        let tally = &report.tally;
        text += &format!(
            "{}: {}, {} comments\n  {:>9} ham and {} spam {doing}\n",
            safe(&report.file),
            report.format.words(),
            tally.comment_count,
            tally.ham_count,
            tally.spam_count
        );
        if tally.corrected_count > 0 {
            let count = tally.corrected_count;
            text +=
                &format!("  {count:>9} of these decided by a person against Akismet or state\n");
        }
        for (why, count) in &tally.left_out {
            text += &format!("  {count:>9} left out: {}\n", why.words());
        }
    }
    text
}
