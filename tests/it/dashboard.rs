//! The metrics: what the dashboard asks for is there, and what is there is documented.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use replyguard::grpc::proto;
use replyguard::http::client;
use serde_json::Value;

use crate::support::service::{Service, check, comment, wait_for};

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every PromQL expression of the dashboard.
fn expressions(dashboard: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        found.extend(targets.iter().map(|target| target["expr"].as_str().unwrap().to_owned()));
    }
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        found.extend(variable["definition"].as_str().map(str::to_owned));
    }
    found
}

/// The names of metrics in a text: ours, and the process's.
fn names(text: &str) -> BTreeSet<String> {
    let word = |c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    let is_metric = |word: &&str| word.starts_with("replyguard_") || word.starts_with("process_");
    text.split(word).filter(is_metric).map(str::to_owned).collect()
}

/// The names of the series in an answer of `/metrics`.
fn series(metrics: &str) -> BTreeSet<String> {
    let lines = metrics.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| line.split(['{', ' ']).next().unwrap().to_owned()).collect()
}

/// The metric that a series belongs to: histograms and summaries have several.
fn metric(series: &str) -> &str {
    let endings = ["_bucket", "_sum", "_count"];
    endings.iter().find_map(|ending| series.strip_suffix(ending)).unwrap_or(series)
}

/// The metrics in docs/operating.md's table.
fn documented() -> BTreeSet<String> {
    let text = read("docs/operating.md");
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    rows.flat_map(|row| names(row.split('|').nth(1).unwrap())).collect()
}

/// The metrics that the code names.
fn named_in_code() -> BTreeSet<String> {
    let sources = walkdir::WalkDir::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let sources = sources.into_iter().filter_map(Result::ok);
    let rust = sources.filter(|file| file.path().extension().is_some_and(|end| end == "rs"));
    let mut found = BTreeSet::new();
    for file in rust {
        let text = fs::read_to_string(file.path()).unwrap();
        let parts: Vec<&str> = text.split('"').collect();
        for pair in parts.windows(2) {
            let before = pair[0].trim_end();
            if ["counter!(", "gauge!(", "histogram!("].iter().any(|call| before.ends_with(call)) {
                found.insert(pair[1].to_owned());
            }
        }
    }
    found
}

#[tokio::test]
async fn what_the_dashboard_asks_for_is_there_and_documented() {
    let service = Service::start().await;
    let mut grpc = service.client().await;
    let answer = grpc.comments.check_comment(check(comment("Well said, thank you."))).await;
    let feedback = proto::SubmitFeedbackRequest {
        name: answer.unwrap().into_inner().comment.unwrap().name,
        label: proto::Label::Ham.into(),
        ..proto::SubmitFeedbackRequest::default()
    };
    grpc.comments.submit_feedback(feedback).await.unwrap();
    let url = format!("http://{}/1.1/verify-key", service.first.http);
    client::post(&url, &[], "key=0123456789ab".into()).await.unwrap();
    let metrics = wait_for("the process's own figures", || async {
        let (_, metrics) = service.page("/metrics").await;
        metrics.contains("process_resident_memory_bytes").then_some(metrics)
    })
    .await;
    let there = series(&metrics);

    let dashboard: Value = serde_json::from_str(&read("docs/grafana/replyguard.json")).unwrap();
    let asked: BTreeSet<_> = expressions(&dashboard).iter().flat_map(|text| names(text)).collect();
    assert!(asked.len() > 20, "{asked:?}");
    // A site has an index when it has some hundred comments and a model with a baseline.
    let later: BTreeSet<_> = ["replyguard_drift_index".to_owned()].into();
    let missing: Vec<_> = asked.difference(&there).filter(|name| !later.contains(*name)).collect();
    assert!(missing.is_empty(), "the dashboard asks for {missing:?}\n{metrics}");
    for name in &later {
        assert!(named_in_code().contains(name), "{name}");
    }

    let ours = there.iter().map(|series| metric(series).to_owned());
    let all: BTreeSet<_> = ours.chain(named_in_code()).collect();
    let documented = documented();
    let silent: Vec<_> = all.difference(&documented).collect();
    assert!(silent.is_empty(), "docs/operating.md does not tell of {silent:?}");
    let known: BTreeSet<_> = all.iter().map(String::as_str).collect();
    let gone: Vec<_> = documented.iter().filter(|name| !known.contains(name.as_str())).collect();
    assert!(gone.is_empty(), "docs/operating.md tells of {gone:?}, which nothing counts");
    for name in named_in_code() {
        if there.contains(&name) {
            assert!(metrics.contains(&format!("# HELP {name} ")), "{name} is not described");
        }
    }
}

#[test]
fn panels_stand_beside_each_other() {
    let dashboard: Value = serde_json::from_str(&read("docs/grafana/replyguard.json")).unwrap();
    let mut taken = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        let at = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        for x in at("x")..at("x") + at("w") {
            assert!(x < 24, "{panel}");
            for y in at("y")..at("y") + at("h") {
                assert!(taken.insert((x, y)), "two panels at {x} {y}: {}", panel["title"]);
            }
        }
    }
}
