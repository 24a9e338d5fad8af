//! The table "When something dies" of docs/operating.md, row by row, with real servers under load:
//! nothing is approved because something broke, no call is late, nothing that was acknowledged is
//! lost, the service recovers unaided, and a metric counts it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use replyguard::grpc::client::{Client, Code};
use replyguard::grpc::proto;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tonic_types::StatusExt;

use crate::akismet::send_body;
use crate::support::clock::Clock;
use crate::support::desk::SITE;
use crate::support::load::Load;
use crate::support::postgres::PostgresServer;
use crate::support::redis::RedisServer;
use crate::support::service::{Service, check, command, comment, wait_for};

/// Callers at once.
const CALLERS: usize = 8;
/// Between two calls of one of them: the machine has other tests to run.
const PAUSE: Duration = Duration::from_millis(2);

/// What a check's limits and recent content say when Redis is away.
const REDIS_PARTS: [&str; 2] = ["rate-limit", "recent-content"];

async fn degraded_count(service: &Service, part: &str) -> f64 {
    let name = format!("replyguard_degraded_total{{part=\"{part}\"}}");
    service.metric(&name).await.unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_is_killed_stopped_and_restarted() {
    let mut redis = RedisServer::start().await;
    let service = Service::start_with(&["--redis-url", &redis.url()]).await;
    let load = Load::start(&[&service], CALLERS, PAUSE).await;
    load.await_sound().await;
    for way in ["killed", "stopped"] {
        if way == "killed" {
            redis.kill()
        } else {
            redis.freeze()
        }
        for part in REDIS_PARTS {
            load.await_degraded(part).await;
        }
        load.await_calls(200).await;
        if way == "killed" {
            redis.restart().await
        } else {
            redis.thaw()
        }
        load.await_sound().await;
    }
    let phase = load.take_phase();
    assert_eq!(phase.refused(), 0, "{:?}", phase.refused);
    for part in REDIS_PARTS {
        let counted = degraded_count(&service, part).await;
        assert!(counted >= phase.degraded(part) as f64 * 0.9 && counted > 0.0, "{part}: {counted}");
        let open = format!("replyguard_redis_breaker_open{{part=\"{part}\"}}");
        assert_eq!(service.metric(&open).await, Some(0.0), "{open}");
    }
    load.end(&[&service]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_replica_saw_and_learned_counts_on_the_other() {
    let redis = RedisServer::start().await;
    let url = redis.url();
    let (one, two) = (
        Service::start_with(&["--redis-url", &url]).await,
        Service::start_with(&["--redis-url", &url]).await,
    );
    let text = |town: &str| {
        format!(
            "Nice page! By the way, our roofers in {town} work quickly and at low prices, just ask \
             for Max"
        )
    };
    let (mut first, mut second) = (one.client().await, two.client().await);
    for client in [&mut first, &mut second] {
        // Both have the site in memory: what follows is news.
        wait_for("a check with all of Redis", async || {
            let answer = sent(&mut client.clone(), "Which bread goes well with this soup?").await;
            answer.degraded_parts.is_empty().then_some(())
        })
        .await;
    }
    let before = sent(&mut second, &text("Kiel")).await;
    assert_ne!(before.verdict(), proto::Verdict::Reject, "{before:?}");
    let decided = sent(&mut first, &text("Bonn")).await;
    let feedback = proto::SubmitFeedbackRequest {
        name: decided.name,
        label: proto::Label::Spam.into(),
        ..Default::default()
    };
    first.comments.submit_feedback(feedback).await.unwrap();
    // At once: the very next comment on the other replica.
    let after = sent(&mut second, &text("Bremen")).await;
    assert_eq!(after.verdict(), proto::Verdict::Reject, "{after:?}");
    assert!(after.reasons.iter().any(|reason| reason.name == "near-rejected"), "{after:?}");
    assert!(after.degraded_parts.is_empty(), "{after:?}");
}

async fn sent(client: &mut Client, text: &str) -> proto::CheckedComment {
    let answer = client.comments.check_comment(check(comment(text))).await.unwrap();
    answer.into_inner().comment.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_is_killed() {
    let redis = RedisServer::start().await;
    let flags = ["--redis-url", &redis.url()];
    let mut dying = Service::start_with(&flags).await;
    let living = Service::start_with(&flags).await;
    let load = Load::start(&[&dying, &living], CALLERS, PAUSE).await;
    for _ in 0..2 {
        load.redirect(&[&living]);
        dying.kill_and_restart().await;
        load.redirect(&[&dying, &living]);
        load.await_calls(200).await;
        load.await_sound().await;
    }
    // Callers who were with the dead one tried again; nobody was told anything wrong.
    let phase = load.take_phase();
    for code in phase.refused.keys() {
        assert!(["nobody", "Unavailable", "Unknown", "Cancelled"].contains(&&**code), "{code}");
    }
    let report = load.end(&[&dying, &living]).await;
    assert!(report.acknowledged.len() > 500, "{} are no load", report.acknowledged.len());
}

/// Lets no file of the service grow beyond so many bytes.
fn limit_files(service: &Service, bytes: Option<u64>) {
    let pid = Pid::from_raw(service.pid() as i32);
    prlimit(pid, Resource::Fsize, Rlimit { current: bytes, maximum: None }).expect("a limit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_is_killed_stopped_and_restarted() {
    let postgres = tokio::task::block_in_place(PostgresServer::start);
    let url = postgres.url("postgres");
    let one = Service::start_with(&["--database-url", &url]).await;
    let two = one.start_beside(&["--database-url", &url]).await;
    let services = [&one, &two];
    let load = Load::start(&services, CALLERS, PAUSE).await;
    for way in ["killed", "stopped"] {
        let before = load.report().refused();
        match way {
            "killed" => tokio::task::block_in_place(|| postgres.kill()),
            _ => postgres.freeze(true),
        }
        load.await_seen("a refusal", |report| report.refused() > before + CALLERS).await;
        // It looks at the store once a second.
        wait_for(&format!("readiness to say no ({way})"), || async {
            (one.page("/readyz").await.0 == 503).then_some(())
        })
        .await;
        await_news_connected(&services, 0.0).await;
        match way {
            "killed" => tokio::task::block_in_place(|| postgres.launch()),
            _ => postgres.freeze(false),
        }
        load.await_sound().await;
        await_news_connected(&services, 1.0).await;
    }
    let phase = load.take_phase();
    let known = ["Unavailable", "DeadlineExceeded"];
    let other: Vec<_> = phase.refused.keys().filter(|code| !known.contains(&&***code)).collect();
    assert!(other.is_empty(), "{:?}", phase.refused);
    let counted = "replyguard_calls_total{method=\"CheckComment\",outcome=\"store-unavailable\"}";
    let (here, there) = (one.metric(counted).await, two.metric(counted).await);
    assert!(here.unwrap_or_default() + there.unwrap_or_default() > 0.0, "{here:?} {there:?}");
    load.end(&services).await;
}

/// Waits until all of them say that they hear each other's news, or that they do not.
async fn await_news_connected(services: &[&Service], expected: f64) {
    for service in services {
        wait_for("the gauge of the news", async || {
            let connected = service.metric("replyguard_news_connected").await;
            (connected == Some(expected)).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_disk_is_full() {
    let service = Service::start().await;
    let mut slow = slow_site(&service, "slow").await;
    let load = Load::start(&[&service], CALLERS, PAUSE).await;
    load.await_calls(200).await;
    limit_files(&service, Some(4_096));
    load.await_seen("refused calls", |report| {
        report.refused.get("Unavailable").copied().unwrap_or_default() > 50
    })
    .await;
    wait_for("the service to say that it is not ready", async || {
        (service.page("/readyz").await.0 == 503).then_some(())
    })
    .await;
    let name = "replyguard_calls_total{method=\"CheckComment\",outcome=\"store-unavailable\"}";
    assert!(service.metric(name).await.is_some_and(|count| count > 0.0));
    let id = "0f0e6b5e-58b6-4f0b-9a6e-3c1d2b7a9e10";
    assert_eq!(slow.send_as(id, "ada").await, Code::Unavailable);
    limit_files(&service, None);
    load.await_calls(200).await;
    load.await_sound().await;
    // It was counted when it could not be recorded, and is not counted again.
    assert_eq!(slow.send_as(id, "ada").await, Code::Ok);
    assert_eq!(slow.send("ada").await, Code::ResourceExhausted);
    wait_for("the service to say that it is ready", async || {
        (service.page("/readyz").await.0 == 200).then_some(())
    })
    .await;
    load.end(&[&service]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_model_file_is_missing_or_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.rgmodel");
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("model/base.rgmodel");
    std::fs::copy(&base, &file).unwrap();
    let flag = file.to_str().unwrap();
    let service = Service::start_with(&["--model-file", flag]).await;
    let load = Load::start(&[&service], CALLERS, PAUSE).await;
    // A service that runs has its model in memory.
    std::fs::remove_file(&file).unwrap();
    load.await_calls(100).await;
    let bytes = std::fs::read(&base).unwrap();
    for damaged in [None, Some(&bytes[..bytes.len() / 2]), Some(&b"no model"[..])] {
        if let Some(damaged) = damaged {
            std::fs::write(&file, damaged).unwrap();
        }
        let ports = ["--grpc-address", "127.0.0.1:0", "--http-address", "127.0.0.1:0"];
        let data = folder.path().join("data");
        let output = command(&["serve", "--model-file", flag])
            .args(ports)
            .args(["--data-dir", data.to_str().unwrap()])
            .output()
            .unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{message}");
        assert!(message.contains(flag) && message.trim_end().lines().count() == 1, "{message}");
    }
    load.await_calls(100).await;
    let phase = load.take_phase();
    assert_eq!((phase.refused(), phase.degraded("model")), (0, 0));
    load.end(&[&service]).await;
}

/// The library of tests/fixtures/hanging_resolver.c, compiled by the C compiler that Rust links
/// with.
fn hanging_resolver(folder: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hanging_resolver.c");
    let library = folder.join("hanging_resolver.so");
    let status = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(source)
        .arg("-ldl")
        .status()
        .expect("cc, a C compiler, which Rust needs as well");
    assert!(status.success());
    library
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_not_resolved() {
    let folder = tempfile::tempdir().unwrap();
    let library = hanging_resolver(folder.path());
    let environment = [("LD_PRELOAD", library.to_str().unwrap())];
    let flags = ["--redis-url", "redis://redis.example:6379"];
    let mut service = Service::start_among(&environment, &flags).await;
    let mut client = service.client().await;
    let uri = "https://hooks.example/replyguard".into();
    let webhook = Some(proto::Webhook { uri, ..Default::default() });
    let webhook = proto::CreateWebhookRequest { parent: SITE.into(), webhook };
    client.webhooks.create_webhook(webhook).await.unwrap();
    let load = Load::start(&[&service], CALLERS, PAUSE).await;
    let tried = "replyguard_webhook_attempts_total{outcome=\"timed-out\"}";
    wait_for("a delivery that was given up for now", async || service.metric(tried).await).await;
    load.await_calls(200).await;
    for part in REDIS_PARTS {
        load.await_degraded(part).await;
        assert!(degraded_count(&service, part).await > 0.0);
    }
    let phase = load.take_phase();
    assert_eq!(phase.refused(), 0, "{:?}", phase.refused);
    assert!(phase.longest < Duration::from_secs(5), "{:?}", phase.longest);
    load.end(&[&service]).await;
    assert!(service.stop().await.success(), "{}", service.printed());
}

/// The time by which the service records checks, in seconds.
async fn service_time(client: &mut Client) -> i64 {
    let checked = sent(client, "What time is it where you are, if I may ask?").await;
    checked.check_time.unwrap().seconds
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clock_is_set() {
    let clock = Clock::new();
    let service = Service::start_among(&clock.environment(), &[]).await;
    let mut client = service.client().await;
    let load = Load::start(&[&service], CALLERS, PAUSE).await;
    let site = "slow";
    let mut slow = slow_site(&service, site).await;
    let begin = service_time(&mut client).await;
    assert_eq!(slow.send("ada").await, Code::Ok);
    assert_eq!(slow.send("ada").await, Code::ResourceExhausted);
    let guesses = guess_until_slowed_down(&service).await;

    clock.set("+1d");
    assert!(service_time(&mut client).await - begin > 86_000, "the clock did not move");
    assert_eq!(slow.send("ada").await, Code::ResourceExhausted, "a limit opened");
    // Whoever was forgotten has as many free ones again.
    let again = guess_until_slowed_down(&service).await;
    assert!(again < guesses, "guessing opened for {again} after {guesses}");
    assert_eq!(slow.send("bob").await, Code::Ok);
    assert_eq!(slow.send("bob").await, Code::ResourceExhausted);
    load.await_calls(100).await;

    clock.set("-1h");
    assert!(service_time(&mut client).await - begin < -3_000, "the clock did not move");
    assert_eq!(slow.send("eve").await, Code::Ok, "a new author has to wait");
    let wait = slow.wait("bob").await;
    assert!((1..=600).contains(&wait), "{wait} s for a limit of one in ten minutes");
    load.await_calls(100).await;
    clock.set("+0");
    load.await_calls(100).await;
    let phase = load.take_phase();
    assert_eq!(phase.refused(), 0, "{:?}", phase.refused);
    assert!(phase.degraded.is_empty(), "{:?}", phase.degraded);
    load.end(&[&service]).await;
}

async fn guess(service: &Service) -> u16 {
    send_body(service, "rest.akismet.com", "/1.1/comment-check", "api_key=0123456789ab")
        .await
        .status
}

async fn guess_until_slowed_down(service: &Service) -> usize {
    for number in 1..200 {
        if guess(service).await == 429 {
            return number;
        }
    }
    panic!("200 guesses were free");
}

/// A site where each author may send one comment in ten minutes.
struct SlowSite {
    client: Client,
    parent: String,
}

async fn slow_site(service: &Service, id: &str) -> SlowSite {
    let policy = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(policy.path(), "[limits]\nauthor = { burst = 1, period_ms = 600000 }\n")
        .unwrap();
    let path = policy.path().to_str().unwrap();
    let output = service.command(&["sites", "--json", "create", id, "--policy", path]);
    let lines = String::from_utf8(output.stdout).unwrap();
    let key: serde_json::Value = serde_json::from_str(lines.lines().nth(1).unwrap()).unwrap();
    let client = service.client_with(key["secret"].as_str()).await;
    SlowSite { client, parent: format!("sites/{id}") }
}

impl SlowSite {
    async fn call(&mut self, author: &str) -> Result<(), replyguard::grpc::client::Status> {
        self.call_as("", author).await
    }

    async fn call_as(
        &mut self,
        id: &str,
        author: &str,
    ) -> Result<(), replyguard::grpc::client::Status> {
        let sent = proto::Comment {
            email: format!("{author}@example.org"),
            ..comment("I come here every day and like what I read, most of all the pictures.")
        };
        let request = proto::CheckCommentRequest {
            parent: self.parent.clone(),
            request_id: id.into(),
            ..check(sent)
        };
        self.client.comments.check_comment(request).await.map(drop)
    }

    async fn send(&mut self, author: &str) -> Code {
        self.send_as("", author).await
    }

    async fn send_as(&mut self, id: &str, author: &str) -> Code {
        self.call_as(id, author).await.map_or_else(|status| status.code(), |()| Code::Ok)
    }

    /// Seconds that an author has to wait.
    async fn wait(&mut self, author: &str) -> u64 {
        let status = self.call(author).await.expect_err("over the limit");
        let retry = status.get_details_retry_info().and_then(|retry| retry.retry_delay);
        retry.unwrap_or_else(|| panic!("{status:?}")).as_secs()
    }
}
