//! `train` and `evaluate` as an operator runs them, on the seed corpus.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn replyguard(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_replyguard")).args(arguments).output().expect("it starts")
}

fn seed(language: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join(format!("training-data/seed/{language}.jsonl")).display().to_string()
}

fn at(folder: &Path, name: &str) -> (PathBuf, String) {
    let path = folder.join(name);
    let text = path.display().to_string();
    (path, text)
}

#[test]
fn a_model_is_trained_to_the_same_bytes_and_measured() {
    let folder = tempfile::tempdir().unwrap();
    let (first, first_name) = at(folder.path(), "site.rgmodel");
    let (chinese, german) = (seed("zh"), seed("de"));
    let train = || {
        let output = replyguard(&["train", "--data", &chinese, &german, "--out", &first_name]);
        assert!(output.status.success(), "{output:?}");
        std::fs::read(&first).unwrap()
    };
    assert_eq!(train(), train());
    let (_, report) = at(folder.path(), "report");
    let output = replyguard(&[
        "evaluate",
        "--model",
        &first_name,
        "--data",
        &chinese,
        "--json",
        "--report",
        &report,
    ]);
    assert!(output.status.success(), "{output:?}");
    let figures: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(figures["model_version"].as_str().unwrap().starts_with("site-"));
    assert!(figures["pooled"]["auc"].as_f64().unwrap() > 0.95, "it was trained on these");
    assert!(figures["sources"]["seed_east_asian"]["reject"]["recall"].is_number());
    let page = std::fs::read_to_string(Path::new(&report).join("report.html")).unwrap();
    assert!(page.contains("<svg"));
}

#[test]
fn models_are_compared_on_the_same_examples_and_errors_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let (_, german_only) = at(folder.path(), "german.rgmodel");
    let (english, german) = (seed("en"), seed("de"));
    let output = replyguard(&["train", "--data", &german, "--out", &german_only]);
    assert!(output.status.success(), "{output:?}");
    let (scores, scores_name) = at(folder.path(), "scores.jsonl");
    let evaluate = |more: &[&str]| {
        let arguments =
            [&["evaluate", "--data", &english, "--json", "--worst", "2"], more].concat();
        let output = replyguard(&arguments);
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let base = evaluate(&["--against", &german_only, "--scores", &scores_name]);
    let comparison = &base["comparison"];
    let lowest = comparison["auc"]["interval"]["low"].as_f64().unwrap();
    assert!(lowest > 0.0, "English is told better by a model that knows it: {comparison}");
    assert!(comparison["against_version"].as_str().unwrap().starts_with("german-"));
    let lines = std::fs::read_to_string(scores).unwrap();
    let first: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert!(first["raw_score"].is_number() && first["spam"].is_boolean(), "{first}");
    let count = base["pooled"]["ham_count"].as_u64().unwrap()
        + base["pooled"]["spam_count"].as_u64().unwrap();
    assert_eq!(lines.lines().count() as u64, count);
    let poor = evaluate(&["--model", &german_only]);
    let errors = poor["worst_errors"].as_array().unwrap();
    let spam = errors.iter().filter(|error| error["spam"] == true);
    assert_eq!(spam.count(), 2, "as many as were asked for");
    assert!(!errors[0]["text"].as_str().unwrap().is_empty());
    assert!(poor["slices"].as_array().unwrap().iter().any(|slice| slice["value"] == "English"));
    let interval = &poor["pooled"]["intervals"]["auc"];
    assert!(interval["low"].as_f64() < poor["pooled"]["auc"].as_f64(), "{interval}");
}

#[test]
fn bad_labels_end_with_65_and_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (_, data) = at(folder.path(), "bad.jsonl");
    std::fs::write(
        &data,
        "{\"text\":\"x\",\"label\":\"ham\"}\n{\"text\":\"y\",\"label\":\"so-so\"}\n",
    )
    .unwrap();
    let (out, out_name) = at(folder.path(), "model.rgmodel");
    let output = replyguard(&["train", "--data", &data, "--out", &out_name]);
    assert_eq!(output.status.code(), Some(65));
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(message.contains("bad.jsonl:2: `label`: `so-so` is no label"), "{message}");
    assert!(!out.exists());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "the data alone");
}

#[test]
fn a_file_that_is_no_model_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (_, model) = at(folder.path(), "x.rgmodel");
    std::fs::write(&model, "PK").unwrap();
    let output = replyguard(&["evaluate", "--model", &model, "--data", &seed("en")]);
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&output.stderr).contains("not a replyguard model"));
}

#[test]
fn later_comments_can_be_judged_by_earlier_ones() {
    let folder = tempfile::tempdir().unwrap();
    let (path, name) = at(folder.path(), "dated.jsonl");
    let examples = std::fs::read_to_string(seed("zh")).unwrap();
    let dated = |(day, line): (usize, &str)| {
        let mut example: serde_json::Value = serde_json::from_str(line).unwrap();
        // Shuffled evenly over two years.
        let day = day * 7_919 % 700;
        example["date"] =
            format!("20{:02}-{:02}-01T00:00:00Z", 10 + day / 350, 1 + day % 12).into();
        format!("{example}\n")
    };
    let text: String = examples.lines().enumerate().map(dated).collect();
    std::fs::write(&path, text).unwrap();
    let output = replyguard(&["evaluate", "--forward-in-time", "--data", &name, "--json"]);
    assert!(output.status.success(), "{output:?}");
    let figures: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let count = |label: &str| figures["pooled"][label].as_u64().unwrap();
    let (judged, all) = (count("ham_count") + count("spam_count"), examples.lines().count() as u64);
    assert!(judged < all && judged > all / 2, "all but the first span: {judged} of {all}");
    let undated = seed("de");
    let output = replyguard(&["evaluate", "--forward-in-time", "--data", &undated]);
    assert_eq!(output.status.code(), Some(65));
    assert!(String::from_utf8_lossy(&output.stderr).contains("date"));
}

#[test]
fn sources_can_be_trained_on_without_being_judged_by() {
    let files = [seed("de"), seed("hi"), seed("zh")];
    let files = files.each_ref().map(String::as_str);
    let evaluate = |train_only: &str| {
        let folds = ["evaluate", "--leave-one-source-out", "--train-only", train_only, "--json"];
        replyguard(&[&folds[..], &["--data"], &files].concat())
    };
    let output = evaluate("seed_european");
    assert!(output.status.success(), "{output:?}");
    let figures: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let judged: Vec<&String> = figures["sources"].as_object().unwrap().keys().collect();
    assert_eq!(judged, ["seed_asian", "seed_east_asian"]);
    let output = evaluate("seed_europe");
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no example has the source"));
    // Without folds nothing is trained.
    let output = replyguard(&["evaluate", "--train-only", "seed_european", "--data", &seed("de")]);
    assert_eq!(output.status.code(), Some(64), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("--leave-one-source-out"));
}

/// Folds by group, in which each source is known, were printed under that title.
#[test]
fn sources_are_left_out_or_it_is_said_that_they_cannot_be() {
    let folder = tempfile::tempdir().unwrap();
    let examples = std::fs::read_to_string(seed("zh")).unwrap();
    let examples: Vec<serde_json::Value> =
        examples.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // The first so many of a label, in a source of their own.
    let write = |name: &str, sources: &[(&str, &str, usize)]| {
        let (path, name) = at(folder.path(), name);
        let mut lines = String::new();
        for (source, label, count) in sources {
            for mut example in
                examples.iter().filter(|one| one["label"] == *label).take(*count).cloned()
            {
                example["source"] = (*source).into();
                lines += &format!("{example}\n");
            }
        }
        std::fs::write(&path, lines).unwrap();
        name
    };
    let evaluate =
        |data: &str| replyguard(&["evaluate", "--leave-one-source-out", "--json", "--data", data]);
    let error = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    let two = [("one", "ham", 90), ("one", "spam", 60), ("two", "ham", 60), ("two", "spam", 60)];
    let output = evaluate(&write("two.jsonl", &two));
    assert!(output.status.success(), "{output:?}");
    let figures: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let judged: Vec<&String> = figures["sources"].as_object().unwrap().keys().collect();
    assert_eq!(judged, ["one", "two"]);
    let output = evaluate(&write("one.jsonl", &two[..2]));
    assert_eq!(output.status.code(), Some(65), "{output:?}");
    assert!(error(&output).contains("two sources or more"), "{output:?}");
    // All spam is in one source, so the others have none to learn from.
    let spam_in_one = [two[0], two[1], two[2], ("three", "ham", 40)];
    let output = evaluate(&write("spam.jsonl", &spam_in_one));
    assert!(output.status.success(), "{output:?}");
    let said = error(&output);
    assert!(said.contains("one is not scored") && !said.contains("two is not"), "{said}");
    // All ham is in one source: recall without a false positive that could be measured.
    let ham_in_one = [two[0], two[1], ("two", "spam", 30), ("three", "spam", 40)];
    let output = evaluate(&write("ham.jsonl", &ham_in_one));
    assert_eq!(output.status.code(), Some(65), "{output:?}");
    assert!(error(&output).contains("ham could be left out"), "{output:?}");
}

#[test]
fn a_learning_curve_refuses_what_it_would_pass_over() {
    for option in [["--scores", "x.jsonl"], ["--head", "abuse"], ["--worst", "3"]] {
        let data = seed("hi");
        let curve = ["evaluate", "--learning-curve", "--data", data.as_str()];
        let output = replyguard(&[&curve[..], &option].concat());
        assert_eq!(output.status.code(), Some(64), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(option[0]), "{output:?}");
    }
}
