//! Starting, stopping, dying and coming back, as an operator sees it.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use replyguard::grpc::proto;
use replyguard::moderation::ports::Store;
use replyguard::storage::{SqliteOptions, SqliteStore};
use tempfile::TempDir;

use crate::support::records;
use crate::support::service::{Service, check, command, comment, wait_for};

/// Checks comments until told to stop and gives the names of the acknowledged ones.
async fn load(
    service: &Service,
    stop: Arc<AtomicBool>,
) -> Vec<tokio::task::JoinHandle<Vec<String>>> {
    let client = service.client().await;
    (0..8)
        .map(|worker| {
            let (mut client, stop) = (client.clone(), stop.clone());
            tokio::spawn(async move {
                let mut names = Vec::new();
                for number in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let sent = comment(&format!("Comment {number} of reader {worker}, thank you."));
                    match client.comments.check_comment(check(sent)).await {
                        Ok(answer) => names.push(answer.into_inner().comment.unwrap().name),
                        Err(_) => break,
                    }
                }
                names
            })
        })
        .collect()
}

#[tokio::test]
async fn no_acknowledged_comment_is_lost_by_kill_9() {
    let mut service = Service::start().await;
    for _ in 0..2 {
        let stop = Arc::new(AtomicBool::new(false));
        let workers = load(&service, stop.clone()).await;
        let metrics = || service.page("/metrics");
        wait_for("some hundred checked comments", || async {
            let (_, text) = metrics().await;
            let count = text.lines().find_map(|line| {
                line.strip_prefix("replyguard_verdicts_total{verdict=\"approve\"} ")?.parse().ok()
            });
            count.filter(|count: &u64| *count > 300)
        })
        .await;
        service.kill_and_restart().await;
        stop.store(true, Ordering::Relaxed);
        let mut client = service.client().await;
        let mut acknowledged = 0;
        for worker in workers {
            for name in worker.await.unwrap() {
                let read = client.comments.get_comment(proto::GetCommentRequest { name }).await;
                read.expect("an acknowledged comment is there after kill -9");
                acknowledged += 1;
            }
        }
        assert!(acknowledged > 200, "{acknowledged}");
    }
}

#[tokio::test]
async fn sigterm_ends_calls_under_way_and_keeps_everything() {
    let mut service = Service::start().await;
    let stop = Arc::new(AtomicBool::new(false));
    let workers = load(&service, stop.clone()).await;
    let status = service.stop().await;
    assert!(status.success(), "{status}: {}", service.printed());
    let mut names = Vec::new();
    for worker in workers {
        names.extend(worker.await.unwrap());
    }
    service.kill_and_restart().await;
    let mut client = service.client().await;
    for name in names {
        client.comments.get_comment(proto::GetCommentRequest { name }).await.unwrap();
    }
}

#[tokio::test]
async fn near_duplicates_are_still_known_after_a_restart() {
    let mut service = Service::start().await;
    let text = |town: &str| {
        format!(
            "Nice page! By the way, our roofers in {town} work quickly and at low prices, just ask for Max"
        )
    };
    let mut client = service.client().await;
    let answer = client.comments.check_comment(check(comment(&text("Kiel")))).await.unwrap();
    let feedback = proto::SubmitFeedbackRequest {
        name: answer.into_inner().comment.unwrap().name,
        label: proto::Label::Spam.into(),
        ..proto::SubmitFeedbackRequest::default()
    };
    client.comments.submit_feedback(feedback).await.unwrap();
    service.kill_and_restart().await;
    let mut client = service.client().await;
    let answer = client.comments.check_comment(check(comment(&text("Lübeck")))).await.unwrap();
    let variant = answer.into_inner().comment.unwrap();
    assert_eq!(variant.verdict(), proto::Verdict::Reject, "{variant:?}");
}

#[tokio::test]
async fn a_second_process_on_the_same_data_is_refused_with_one_line() {
    let service = Service::start().await;
    let output = service.command(&[
        "serve",
        "--grpc-address",
        "127.0.0.1:0",
        "--http-address",
        "127.0.0.1:0",
    ]);
    assert_eq!(output.status.code(), Some(69));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("in use by another replyguard process"), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
}

#[test]
fn bad_configuration_is_one_line_and_exit_code_64() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("bad.toml");
    std::fs::write(&file, "[server]\ngrpc_adress = \"127.0.0.1:1\"\n").unwrap();
    let cases: [(&[&str], &str); 4] = [
        (&["--config", file.to_str().unwrap()], "line 2"),
        (&["--grpc-address", "everywhere"], "--grpc-address"),
        (&["--redis-url", "http://127.0.0.1"], "limits.redis_url"),
        (&["--log", "==="], "telemetry.log"),
    ];
    for (arguments, expected) in cases {
        let output = command(arguments).current_dir(folder.path()).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {message}");
        assert!(message.contains(expected), "{message}");
        assert_eq!(message.trim_end().lines().count(), 1, "{message}");
    }
    let variable = command(&[]).env("REPLYGUARD_HTTP_ADDRESS", "x").output().unwrap();
    assert_eq!(variable.status.code(), Some(64));
}

/// Ctrl-C in the first seconds of a demo left its folder behind, with a first site's key in it.
#[tokio::test]
async fn a_demo_that_is_stopped_while_it_fills_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let ports = ["--grpc-address", "127.0.0.1:0", "--http-address", "127.0.0.1:0"];
    let mut demo = command(&[&["demo"][..], &ports].concat())
        .env("TMPDIR", folder.path())
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let there = || std::fs::read_dir(folder.path()).unwrap().flatten().next();
    wait_for("the demo's database", || {
        let database = there().map(|demo| demo.path().join("data/replyguard.sqlite3"));
        async move { database.filter(|database| database.exists()) }
    })
    .await;
    let pid = rustix::process::Pid::from_child(&demo);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let status = wait_for("the demo to end", || {
        let ended = demo.try_wait().unwrap();
        async move { ended }
    })
    .await;
    assert_eq!(status.code(), Some(130));
    assert!(there().is_none(), "{:?}", there());
}

#[tokio::test]
async fn the_first_key_is_its_owners_alone_and_shown_once() {
    let mut service = Service::start().await;
    let file = service.data().join("first-site.json");
    for (path, expected) in [(&file, 0o600), (&service.data(), 0o700)] {
        let mode = std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, expected, "{path:?}");
    }
    assert_eq!(service.printed().matches(&service.first.key).count(), 1);
    let key = service.first.key.clone();
    service.kill_and_restart().await;
    assert_eq!(service.first.key, key);
    assert_eq!(service.printed().matches(&key).count(), 1, "not printed again");
}

#[tokio::test]
async fn a_first_start_that_was_cut_short_is_mended() {
    let folder = TempDir::new().unwrap();
    let database = folder.path().join("data/replyguard.sqlite3");
    std::fs::create_dir(folder.path().join("data")).unwrap();
    let store = SqliteStore::open(&database, SqliteOptions::default()).await.unwrap();
    store.create_site(records::site("default"), "first-start").await.unwrap();
    store.close().await;
    drop(store);
    let left_over = folder.path().join("data/first-site.json.new");
    std::fs::write(&left_over, "half a fi").unwrap();
    std::fs::set_permissions(&left_over, std::fs::Permissions::from_mode(0o644)).unwrap();
    let service = Service::start_in(folder, &[]).await;
    let metadata = std::fs::metadata(service.data().join("first-site.json")).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    let mut client = service.client().await;
    client.comments.check_comment(check(comment("The key opens the site."))).await.unwrap();
}

#[tokio::test]
async fn an_owner_who_lost_the_keys_gets_one_while_the_service_is_stopped() {
    let mut service = Service::start().await;
    let lost = service.first.key.clone();
    let running = service.command(&["recover-key"]);
    assert_eq!(running.status.code(), Some(69), "{running:?}");
    assert_eq!(service.first.key, lost);
    service.stop().await;
    assert_eq!(service.command(&["recover-key", "nowhere"]).status.code(), Some(69));
    let output = service.command(&["recover-key"]);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{printed}");
    service.kill_and_restart().await;
    assert_ne!(service.first.key, lost);
    assert!(printed.contains(&service.first.key));
    let mut client = service.client().await;
    client.comments.check_comment(check(comment("Let in again."))).await.unwrap();
}

#[test]
fn a_reader_that_has_seen_enough_ends_a_command_quietly() {
    use std::io::Write;
    use std::process::Stdio;
    let mut child = command(&["score"]);
    let mut child =
        child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().unwrap();
    // Writing fails when the command has ended, which is what is waited for.
    while stdin.write_all(b"{\"text\": \"Hello there\"}\n").is_ok() {}
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[tokio::test]
async fn health_metrics_and_probe() {
    let service = Service::start().await;
    assert_eq!(service.page("/healthz").await, (200, "alive\n".into()));
    assert_eq!(service.page("/readyz").await, (200, "ready\n".into()));
    let mut client = service.client().await;
    client.comments.check_comment(check(comment("Hello there, well said."))).await.unwrap();
    let (_, metrics) = service.page("/metrics").await;
    for expected in [
        "replyguard_calls_total{method=\"CheckComment\",outcome=\"ok\"} 1",
        "replyguard_call_duration_seconds_count{method=\"CheckComment\"} 1",
        "replyguard_verdicts_total{verdict=",
    ] {
        assert!(metrics.contains(expected), "{expected}\n{metrics}");
    }
    let url = format!("http://{}/readyz", service.first.http);
    assert!(service.command(&["doctor", "--probe", &url]).status.success());
    let nowhere = service.command(&["doctor", "--probe", "http://127.0.0.1:1/readyz"]);
    assert_eq!(nowhere.status.code(), Some(69));
}

#[tokio::test]
async fn doctor_finds_trouble() {
    let service = Service::start().await;
    let ports = ["--grpc-address", &service.first.grpc, "--http-address", &service.first.http];
    let healthy = service.command(&[&["doctor"][..], &ports[..]].concat());
    let text = String::from_utf8(healthy.stdout).unwrap();
    assert!(healthy.status.success(), "{text}");
    let file = service.data().join("first-site.json");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let redis = ["--redis-url", "redis://127.0.0.1:1"];
    let model = ["--model-file", file.to_str().unwrap()];
    let sick = service.command(&[&["doctor"][..], &ports[..], &redis[..], &model[..]].concat());
    let text = String::from_utf8(sick.stdout).unwrap();
    assert_eq!(sick.status.code(), Some(69), "{text}");
    assert_eq!(text.matches("TROUBLE").count(), 3, "{text}");
}

#[tokio::test]
async fn the_command_line_checks_comments_and_manages_sites() {
    let service = Service::start().await;
    let output = service.command(&["check", "Thanks, the part about soil was new to me."]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.starts_with("approve  score 0."), "{text}");
    let output =
        service.command(&["check", "--json", "Cheap casino pills http://a.example/casino"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(json["name"].as_str().unwrap().starts_with("sites/default/comments/"), "{json}");
    assert!(json["score"].is_number() && json["reasons"][0]["name"].is_string(), "{json}");
    let output = service.command(&["check", "--email", "nobody", "Hello"]);
    assert_eq!(output.status.code(), Some(65));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("comment.email (invalid-email)"), "{message}");

    let policy = service.data().join("policy.toml");
    std::fs::write(&policy, "hold_all = true\n[required]\nemail = false\n").unwrap();
    let output = service.command(&[
        "sites",
        "--json",
        "create",
        "news",
        "--policy",
        policy.to_str().unwrap(),
    ]);
    let lines = String::from_utf8(output.stdout).unwrap();
    let key: serde_json::Value = serde_json::from_str(lines.lines().nth(1).unwrap()).unwrap();
    let key = key["secret"].as_str().unwrap().to_owned();
    let output = service.command(&["check", "--site", "news", "--key", &key, "Good morning!"]);
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("hold"), "hold_all holds");
    let output = service.command(&["sites", "list"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("sites/default") && text.contains("sites/news"), "{text}");
    let output = service.command(&["sites", "keys", "news"]);
    assert!(!String::from_utf8(output.stdout).unwrap().contains(&key), "secrets are shown once");
}
