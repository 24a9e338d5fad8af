//! Moving in: what other systems export, into the ledger of a running service.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use replyguard::grpc::proto;
use serde_json::Value;
use tempfile::TempDir;
use tokio_stream::StreamExt;

use crate::support::models::{SITE, example};
use crate::support::service::{Service, command, wait_for};

/// What must not be found on a screen, in a log or in the store.
const MARKS: [&str; 2] = ["quokka-mailbox", "203.0.113.77"];

fn text(number: usize, spam: bool) -> String {
    example(number, spam).comment.unwrap().text
}

/// A dump with `count` comments, a third of them spam. Akismet held every tenth good one, until a
/// person said so, and missed every fifth spam.
fn dump(count: usize) -> String {
    let mut meta = String::from(
        "CREATE TABLE `wp_commentmeta` (`meta_id` bigint(20), `comment_id` bigint(20), \
         `meta_key` varchar(255), `meta_value` longtext, PRIMARY KEY (`meta_id`));\n\
         INSERT INTO `wp_commentmeta` VALUES (0,0,'rating','5')",
    );
    let mut comments = String::from(
        "CREATE TABLE `wp_comments` (`comment_ID` bigint(20), `comment_author` tinytext, \
         `comment_author_email` varchar(100), `comment_author_IP` varchar(100), \
         `comment_date_gmt` datetime, `comment_content` text, `comment_approved` varchar(20), \
         `comment_type` varchar(20), PRIMARY KEY (`comment_ID`));\n\
         INSERT INTO `wp_comments` VALUES (9001,'X','','','2026-01-01 00:00:00','Waits','0','comment')",
    );
    for number in 0..count {
        let spam = number % 3 == 0;
        let wrong = if spam { number % 5 == 0 } else { number % 10 == 1 };
        let (id, akismet) = (number + 1, spam != wrong);
        write!(meta, ",({id},{id},'akismet_result','{akismet}')").unwrap();
        if wrong {
            write!(meta, ",({id}0,{id},'akismet_user_result','{spam}')").unwrap();
        }
        let status = if spam { "spam" } else { "1" };
        write!(
            comments,
            ",\n({id},'O\\'Baker {number}','quokka-mailbox{number}@example.org','203.0.113.77',\
             '2026-01-{:02} {:02}:00:00','{}','{status}','comment')",
            1 + number / 24 % 28,
            number % 24,
            text(number, spam)
        )
        .unwrap();
    }
    format!("-- MySQL dump 10.13\n{meta};\n{comments};\n")
}

/// An export with ten good comments of which the dump has five, and what is left out.
fn export(from: usize) -> String {
    let mut items = String::new();
    for number in (from..from + 10).map(|number| number * 3 + 1) {
        write!(
            items,
            "<wp:comment><wp:comment_id>{number}</wp:comment_id>\
             <wp:comment_author><![CDATA[O'Baker {number}]]></wp:comment_author>\
             <wp:comment_author_email>quokka-mailbox{number}@example.org</wp:comment_author_email>\
             <wp:comment_date_gmt>2026-01-05 10:00:00</wp:comment_date_gmt>\
             <wp:comment_content><![CDATA[{}]]></wp:comment_content>\
             <wp:comment_approved>1</wp:comment_approved><wp:comment_type>comment</wp:comment_type>\
             </wp:comment>",
            text(number, false)
        )
        .unwrap();
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\n\
         <rss version=\"2.0\" xmlns:wp=\"http://wordpress.org/export/1.2/\"><channel><item>\
         <title>Rye</title><link>https://bread.example/rye/</link>{items}\
         <wp:comment><wp:comment_content>See elsewhere</wp:comment_content>\
         <wp:comment_approved>1</wp:comment_approved><wp:comment_type>pingback</wp:comment_type>\
         </wp:comment></item></channel></rss>\n"
    )
}

fn write(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    path
}

fn import(service: &Service, files: &[&Path], more: &[&str]) -> Output {
    let mut arguments = vec!["import"];
    arguments.extend(files.iter().map(|path| path.to_str().unwrap()));
    arguments.extend(more);
    let output = service.command(&arguments);
    for mark in MARKS {
        let shown = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
        assert!(shown.iter().all(|text| !text.contains(mark)), "{shown:?}");
    }
    output
}

fn json(output: &Output) -> Value {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn exported(service: &Service) -> Vec<proto::ExportExamplesResponse> {
    let mut client = service.client().await;
    let request = proto::ExportExamplesRequest { parent: SITE.into() };
    let stream = client.models.export_examples(request).await.unwrap().into_inner();
    stream.map(Result::unwrap).collect().await
}

#[tokio::test]
async fn wordpress_moves_in_learns_and_is_laid_beside_akismet() {
    let service = Service::start().await;
    let folder = TempDir::new().unwrap();
    let dump = write(&folder, "backup.sql", &dump(150));
    // The dump's numbers 1, 4, … to 148 are good comments; five more are only in the export.
    let export = write(&folder, "export.xml", &export(45));

    let dry = import(&service, &[&export, &dump], &["--dry-run", "--json"]);
    let dry = json(&dry);
    let counts = |report: &Value, name: &str| report[name].as_u64().unwrap();
    assert_eq!(dry["files"][0]["format"], "wxr");
    assert_eq!(dry["files"][0]["left_out"]["pingback"], 1);
    let of_dump = &dry["files"][1];
    assert_eq!(of_dump["format"], "wordpress-sql");
    assert_eq!((counts(of_dump, "ham_count"), counts(of_dump, "spam_count")), (100, 50));
    assert_eq!(of_dump["left_out"]["pending"], 1);
    assert_eq!(dry["imported_count"], Value::Null);
    assert!(exported(&service).await.is_empty(), "a dry run sends nothing");

    let first = json(&import(&service, &[&export, &dump], &["--json"]));
    assert_eq!((&first["imported_count"], &first["known_count"]), (&155.into(), &5.into()));
    let ledger = exported(&service).await;
    assert_eq!(ledger.len(), 155);
    let last = &ledger[124..];
    let spam = last.iter().filter(|one| one.label() == proto::Label::Spam).count();
    assert!((8..=12).contains(&spam), "the last fifth has its share of both: {spam}");
    assert!(ledger.iter().all(|one| one.source == "wordpress"));
    let again = json(&import(&service, &[&export, &dump], &["--json"]));
    assert_eq!((&again["imported_count"], &again["known_count"]), (&0.into(), &160.into()));

    let trained = json(&import(&service, &[&export, &dump], &["--json", "--train"]));
    assert_eq!(trained["imported_count"], 0);
    let (model, test) = (&trained["model"], &trained["back_test"]);
    let [own, compared] = [&test["model"], &test["compared"]];
    let held_out = |name: &str| model["hold_out"][name].as_str().unwrap().parse::<u64>().unwrap();
    assert_eq!(counts(own, "ham_count"), held_out("ham_count"), "{trained}");
    assert_eq!(counts(own, "spam_count"), held_out("spam_count"));
    let candidate = &model["hold_out"]["candidate"];
    let held: u64 = candidate["ham_held_count"].as_str().unwrap_or("0").parse().unwrap();
    assert_eq!(counts(own, "ham_held_count"), held, "the figures of the hold-out");
    let akismet = &compared["akismet"];
    assert_eq!(counts(akismet, "spam_count"), counts(own, "spam_count"));
    assert!(counts(akismet, "spam_missed_count") >= 1, "{compared}");
    assert!(counts(&compared["model"], "spam_missed_count") <= counts(own, "spam_count"));
    assert!(counts(compared, "unreviewed_count") > 0);

    let shown = import(&service, &[&export, &dump], &["--train"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    for part in [
        "backup.sql: WordPress database dump, 151 comments",
        "left out: pending",
        "0 examples imported, 160 were there already",
        "good comments and",
        "Akismet held",
        "nobody but Akismet",
        "replyguard models promote",
    ] {
        assert!(shown.contains(part), "`{part}` is not in:\n{shown}");
    }
    for (path, bytes) in service.stored_bytes() {
        let stored = String::from_utf8_lossy(&bytes);
        assert!(MARKS.iter().all(|mark| !stored.contains(mark)), "{}", path.display());
    }
    assert!(MARKS.iter().all(|mark| !service.printed().contains(mark)));
}

#[tokio::test]
async fn a_broken_file_changes_nothing() {
    let service = Service::start().await;
    let folder = TempDir::new().unwrap();
    let whole = write(&folder, "whole.jsonl", "{\"text\":\"Lovely crumb\",\"label\":\"ham\"}\n");
    let dump = dump(30);
    let half = write(&folder, "half.sql", &dump[..dump.len() - 100]);
    let output = import(&service, &[&whole, &half], &[]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(65));
    assert!(error.contains("half.sql: at byte ") && error.contains("ends inside"), "{error}");
    let bomb = "<?xml version=\"1.0\"?><!DOCTYPE rss [<!ENTITY a \"aaaa\">]>\
        <rss xmlns:wp=\"http://wordpress.org/export/1.2/\">&a;</rss>";
    let bomb = write(&folder, "bomb.xml", bomb);
    let output = import(&service, &[&whole, &bomb], &[]);
    assert_eq!(output.status.code(), Some(65));
    let row = write(&folder, "rows.csv", "text,label\nGood,ham\nquokka-mailbox@example.org,?\n");
    let output = import(&service, &[&whole, &row], &[]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("rows.csv:3: the label is neither"), "{error}");
    let unknown = write(&folder, "notes.txt", "Only words\n");
    assert_eq!(import(&service, &[&unknown], &[]).status.code(), Some(65));
    assert!(exported(&service).await.is_empty());
}

#[tokio::test]
async fn an_import_that_was_killed_goes_on() {
    let service = Service::start().await;
    let folder = TempDir::new().unwrap();
    let mut lines = String::new();
    for number in 0..8_000 {
        let label = if number % 3 == 0 { "spam" } else { "ham" };
        let text = text(number, number % 3 == 0);
        lines += &format!("{{\"text\":\"{text}\",\"label\":\"{label}\"}}\n");
    }
    let file = write(&folder, "archive.jsonl", &lines);
    let mut command = service.child(&["import", file.to_str().unwrap()]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for("examples in the ledger", async || {
        (!exported(&service).await.is_empty()).then_some(())
    })
    .await;
    child.kill().unwrap();
    child.wait().unwrap();
    let report = json(&import(&service, &[&file], &["--json"]));
    let count = |name: &str| report[name].as_u64().unwrap();
    assert!(count("known_count") >= 1_000, "{report}");
    assert_eq!(count("imported_count") + count("known_count"), 8_000);
    assert_eq!(exported(&service).await.len(), 8_000);
}

#[test]
fn every_format_is_told_and_counted_without_a_service() {
    let folder = TempDir::new().unwrap();
    let disqus = "<disqus xmlns:dsq=\"http://disqus.com/disqus-internals\">\
        <post dsq:id=\"1\"><message>Fine bread</message><isSpam>false</isSpam></post></disqus>";
    let remark = "{\"version\":1,\"users\":[],\"posts\":[]}\n\
        {\"id\":\"a\",\"orig\":\"Fine bread\",\"locator\":{\"url\":\"u\"},\"time\":\"2026-01-02T03:04:05Z\"}\n";
    let packed = folder.path().join("backup.gz");
    let mut encoder = flate2::write::GzEncoder::new(
        fs::File::create(&packed).unwrap(),
        flate2::Compression::default(),
    );
    std::io::Write::write_all(&mut encoder, remark.as_bytes()).unwrap();
    encoder.finish().unwrap();
    let isso = folder.path().join("comments.db");
    let db = rusqlite::Connection::open(&isso).unwrap();
    db.execute_batch(include_str!("../fixtures/import/isso.sql")).unwrap();
    drop(db);
    let files = [
        (write(&folder, "disqus.xml", disqus), "disqus", 1),
        (packed, "remark42", 1),
        (isso, "isso", 2),
        (write(&folder, "a.csv", "comment\tis_spam\nFine bread\t0\n"), "csv", 1),
        (write(&folder, "a.jsonl", "{\"text\":\"Fine bread\",\"label\":\"ham\"}\n"), "jsonl", 1),
        (write(&folder, "export.xml", &export(0)), "wxr", 10),
        (write(&folder, "dump.sql", &dump(3)), "wordpress-sql", 2),
    ];
    let mut arguments = vec!["import", "--dry-run", "--json"];
    arguments.extend(files.iter().map(|(path, ..)| path.to_str().unwrap()));
    let report = json(&command(&arguments).output().unwrap());
    for ((_, format, ham_count), found) in files.iter().zip(report["files"].as_array().unwrap()) {
        assert_eq!(found["format"], *format);
        assert_eq!(found["ham_count"], *ham_count, "{found}");
    }
}
