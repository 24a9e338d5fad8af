//! `replyguard train` with more examples than fit into the memory that it is given.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::support::service::command;

/// A folder with examples whose rows take several MiB, and one for temporary files.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn with_examples(count: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let line = |number: usize| {
            let (word, label) = if number.is_multiple_of(3) {
                ("cheap pills and a casino bonus", "spam")
            } else {
                ("an oven, two loaves and a question", "ham")
            };
            let (source, other) = (number % 6, number * 7 % 31);
            format!(
                "{{\"text\":\"Number {number} is about {word} with {other} reasons.\",\
                 \"label\":\"{label}\",\"source\":\"blog {source}\"}}\n"
            )
        };
        let text: String = (0..count).map(line).collect();
        std::fs::write(folder.path().join("examples.jsonl"), text).unwrap();
        std::fs::create_dir(folder.path().join("temporary")).unwrap();
        Self { folder }
    }

    fn train(&self, out: &str, more: &[&str]) -> Command {
        let (data, out) = (self.path("examples.jsonl"), self.path(out));
        let mut train = command(&["train", "--data"]);
        train.arg(data).arg("--out").arg(out).args(more);
        train.env("TMPDIR", self.path("temporary"));
        train
    }

    fn trained(&self, out: &str, more: &[&str]) -> (Output, Vec<u8>) {
        let output = self.train(out, more).output().unwrap();
        assert!(output.status.success(), "{}", error_of(&output));
        (output, std::fs::read(self.path(out)).unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The names of what is in the folder.
    fn left(&self) -> Vec<String> {
        let names = |path: &Path| -> Vec<String> {
            let entries = std::fs::read_dir(path).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        };
        let mut left = names(self.folder.path());
        left.extend(names(&self.path("temporary")));
        left.sort();
        left
    }
}

fn error_of(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn every_example_is_fitted_to_where_memory_holds_a_part() {
    let bench = Bench::with_examples(1_500);
    let (output, small) = bench.trained("small.rgmodel", &["--memory-mib-max", "1"]);
    let error = error_of(&output);
    assert!(error.contains("rows of 1500 examples outgrow 1 MiB"), "{error}");
    assert!(error.contains("calibration and budget go by"), "{error}");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("from 1500 examples"), "{said}");
    let (_, again) = bench.trained("small.rgmodel", &["--memory-mib-max", "1"]);
    assert!(small == again, "the same bytes");
    let (output, whole) = bench.trained("whole.rgmodel", &[]);
    assert!(error_of(&output).is_empty() && whole != small);
    let all = ["examples.jsonl", "small.rgmodel", "temporary", "whole.rgmodel"];
    assert_eq!(bench.left(), all);
}

#[test]
fn a_source_to_leave_out_that_is_none_is_refused() {
    let bench = Bench::with_examples(60);
    let output = bench.train("model.rgmodel", &["--leave-out", "blgo 1"]).output().unwrap();
    let error = error_of(&output);
    assert_eq!(output.status.code(), Some(64), "{error}");
    let expected =
        "--leave-out: no example has the source blgo 1; there are blog 0, blog 1, blog 2";
    assert!(error.contains(expected), "{error}");
    assert_eq!(bench.left(), ["examples.jsonl", "temporary"]);
}

#[test]
fn labels_that_contradict_each_other_are_told() {
    let bench = Bench::with_examples(1_500);
    let path = bench.path("examples.jsonl");
    let mut text = std::fs::read_to_string(&path).unwrap();
    // Of the first two the other way round.
    for (word, label) in [
        ("0 is about cheap pills and a casino bonus with 0", "ham"),
        ("1 is about an oven, two loaves and a question with 7", "spam"),
    ] {
        text += &format!(
            "{{\"text\":\"NUMBER {word} reasons!\",\"label\":\"{label}\",\"source\":\"blog 0\"}}\n"
        );
    }
    std::fs::write(&path, text).unwrap();
    let (output, _) = bench.trained("model.rgmodel", &[]);
    let error = error_of(&output);
    let expected = "2 lines have the text of an earlier one and the other label: ";
    assert!(error.contains(expected), "{error}");
    assert!(error.contains("examples.jsonl:1501, ") && error.contains("jsonl:1502\n"), "{error}");
}

#[test]
fn an_interrupt_leaves_nothing() {
    let bench = Bench::with_examples(6_000);
    let mut train = bench.train("model.rgmodel", &["--memory-mib-max", "1"]);
    let mut child = train.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let outgrown = lines.next().unwrap().unwrap();
    assert!(outgrown.contains("outgrow"), "{outgrown}");
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let said: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{said:?}");
    assert!(said.iter().any(|line| line.contains("cancelled, nothing is written")), "{said:?}");
    assert_eq!(bench.left(), ["examples.jsonl", "temporary"]);
}

#[test]
fn a_disk_that_takes_no_rows_is_named() {
    let bench = Bench::with_examples(1_500);
    let mut train = bench.train("model.rgmodel", &["--memory-mib-max", "1"]);
    let output = train.env("TMPDIR", bench.path("missing")).output().unwrap();
    let error = error_of(&output);
    assert_eq!(output.status.code(), Some(74), "{error}");
    assert!(error.contains("outgrow --memory-mib-max") && error.contains("missing"), "{error}");
    assert_eq!(bench.left(), ["examples.jsonl", "temporary"]);
}

#[test]
fn what_would_be_lost_or_says_nothing_is_refused() {
    let bench = Bench::with_examples(12);
    let refused = |code: i32, says: &str, args: &[&str]| {
        let output = command(args).current_dir(bench.folder.path()).output().unwrap();
        let error = error_of(&output);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {error}");
        assert!(error.contains(says), "{args:?}: {error}");
    };
    let examples = std::fs::read(bench.path("examples.jsonl")).unwrap();
    let over = "examples.jsonl is one of --data";
    refused(64, over, &["train", "--data", "examples.jsonl", "--out", "examples.jsonl"]);
    refused(64, over, &["evaluate", "--data", "examples.jsonl", "--scores", "examples.jsonl"]);
    assert_eq!(std::fs::read(bench.path("examples.jsonl")).unwrap(), examples);

    std::fs::write(bench.path("none"), "\u{FEFF}\n").unwrap();
    refused(65, "no example is ham or spam", &["evaluate", "--data", "none"]);
    let made = Command::new("mkfifo").arg(bench.path("pipe")).status().unwrap();
    assert!(made.success());
    refused(64, "pipe is no regular file", &["evaluate", "--data", "pipe"]);
    refused(74, "no regular file", &["train", "--data", "examples.jsonl", "--out", "pipe"]);

    // The first is bad as a text, the second as JSON, which is seen earlier.
    let text =
        "{\"text\":\"Good.\",\"label\":\"ham\"}\n{\"text\":\"\u{200B}\",\"label\":\"ham\"}\n{x\n";
    std::fs::write(bench.path("bad"), text).unwrap();
    for _ in 0..5 {
        refused(65, "bad:2: ", &["evaluate", "--data", "bad"]);
        refused(65, "bad:2: ", &["train", "--data", "bad", "--out", "model"]);
    }
}
