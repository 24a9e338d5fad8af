//! Redis as it stands in production: with TLS, passwords and a user who may do little, and as a
//! cluster whose nodes die.

use std::sync::Arc;

use replyguard::domain::{Fingerprint, LimitRule, SiteId};
use replyguard::grpc::proto;
use replyguard::limits::{
    FallbackLimiter, FallbackOptions, MemoryLimiter, MemoryLimits, RecentEvent, RecentLog,
    RedisConnection, RedisLimiter, RedisLog, RedisOptions, RedisTime,
};
use replyguard::moderation::ports::{LimitAnswer, LimitKey, LimitKind, LimitOutcome, Limiter};
use time::OffsetDateTime;

use crate::support::redis::{Certificates, RedisCluster, RedisServer, Relay};
use crate::support::service::{Service, check, comment, wait_for};

const PASSWORD: &str = "hush-hush-4711";
const USER: &str = "replyguard";

/// What the user of docs/operating.md may do. There the password stands in place of `PASSWORD`.
fn acl() -> String {
    let text = include_str!("../../docs/operating.md");
    let line = text.lines().find_map(|line| line.strip_prefix("ACL SETUSER "));
    line.expect("the user is described").replace("PASSWORD", PASSWORD)
}

/// A server with TLS whose default user is off and whose other user may do little.
async fn locked(certificates: &Certificates) -> RedisServer {
    let acl = acl();
    let mut rules: Vec<&str> = vec!["--user", USER];
    rules.extend(acl.split_whitespace().skip(1));
    let operator = ["--user", "operator", "on", ">operator", "~*", "&*", "+@all"];
    let flags = [&rules[..], &operator, &["--user", "default", "off"]].concat();
    RedisServer::start_with_tls(certificates, &flags).await
}

fn as_operator(redis: &RedisServer, command: &[&str]) -> String {
    let login = ["--user", "operator", "--pass", "operator", "--no-auth-warning"];
    redis.cli(&[&login[..], command].concat())
}

fn limiter(options: &RedisOptions) -> FallbackLimiter<RedisLimiter> {
    let connection = RedisConnection::open(options).unwrap();
    let own = MemoryLimiter::new(MemoryLimits::default());
    let limiter = RedisLimiter::new(connection, RedisTime::Server);
    FallbackLimiter::new(limiter, own, FallbackOptions::default())
}

async fn take(limiter: &impl Limiter, site: &SiteId) -> LimitAnswer {
    let value = Fingerprint::from_bytes([7; 16]);
    let rule = LimitRule { burst: 1_000_000, period_ms: 1 };
    let key = |kind| LimitKey { kind, value, rule };
    // Two keys: in a cluster they must be in one slot.
    let keys = [key(LimitKind::Ip), key(LimitKind::Author)];
    let answer = limiter.take(site, &keys, OffsetDateTime::UNIX_EPOCH).await;
    assert_eq!(answer.outcome, LimitOutcome::Allowed);
    answer
}

async fn await_degraded(limiter: &impl Limiter, site: &SiteId, degraded: bool) {
    wait_for(&format!("{site} with degraded = {degraded}"), || async {
        (take(limiter, site).await.degraded == degraded).then_some(())
    })
    .await;
}

#[tokio::test]
async fn tls_checks_the_certificate_and_the_name() {
    let (certificates, others) = (Certificates::new(), Certificates::new());
    let redis = locked(&certificates).await;
    let site: SiteId = "blog".parse().unwrap();
    let url = format!("rediss://{USER}:{PASSWORD}@localhost:{}", redis.port());
    let good = RedisOptions { ca_file: Some(certificates.ca()), ..RedisOptions::new(&url) };
    await_degraded(&limiter(&good), &site, false).await;

    let failure = async |options: RedisOptions| {
        let log = RedisLog::new(RedisConnection::open(&options).unwrap());
        let error = log.exchange(&site, None, &[]).await.unwrap_err().to_string();
        assert!(!error.contains(PASSWORD) && !error.contains("wrong"), "{error}");
        error
    };
    let patient = std::time::Duration::from_secs(5);
    let with = |url: &str, ca| RedisOptions {
        ca_file: ca,
        response_timeout: patient,
        ..RedisOptions::new(url)
    };
    let unknown = failure(with(&url, Some(others.ca()))).await;
    assert!(unknown.contains("invalid peer certificate"), "{unknown}");
    let of_the_web = failure(with(&url, None)).await;
    assert!(of_the_web.contains("UnknownIssuer"), "{of_the_web}");
    let wrong = url.replace(PASSWORD, "wrong");
    let refused = failure(with(&wrong, Some(certificates.ca()))).await;
    assert!(!refused.is_empty(), "{refused}");
    let plain = failure(with(&url.replace("rediss://", "redis://"), None)).await;
    assert!(!plain.is_empty(), "a server with TLS alone takes no plain connection");
}

#[tokio::test]
async fn the_service_needs_no_more_than_the_documented_user_may() {
    let certificates = Certificates::new();
    let redis = locked(&certificates).await;
    let password = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(password.path(), format!("{PASSWORD}\n")).unwrap();
    let url = format!("rediss://{USER}@127.0.0.1:{}", redis.port());
    let ca = certificates.ca();
    let flags = ["--redis-url", &url, "--redis-ca-file", ca.to_str().unwrap()];
    let secret = ["--redis-password-file", password.path().to_str().unwrap(), "--log", "trace"];
    let service = Service::start_with(&[&flags[..], &secret].concat()).await;
    let mut client = service.client().await;
    wait_for("a check with all of Redis", async || {
        let sent = comment("Where did you buy the seeds that you mention in the second part?");
        let answer = client.clone().comments.check_comment(check(sent)).await.unwrap();
        let comment = answer.into_inner().comment.unwrap();
        comment.degraded_parts.is_empty().then_some(())
    })
    .await;
    let sent = comment("A decision goes through Redis as well, so that the others hear of it.");
    let answer = client.comments.check_comment(check(sent)).await.unwrap().into_inner();
    let feedback = proto::SubmitFeedbackRequest {
        name: answer.comment.unwrap().name,
        label: proto::Label::Spam.into(),
        ..Default::default()
    };
    client.comments.submit_feedback(feedback).await.unwrap();
    let doctor = service.command(&[&["doctor"][..], &flags, &secret[..2]].concat());
    let printed = String::from_utf8(doctor.stdout).unwrap();
    assert!(printed.contains("carries news of recent content"), "{printed}");
    assert_eq!(as_operator(&redis, &["ACL", "LOG"]).trim(), "", "something was refused");
    let keys = as_operator(&redis, &["KEYS", "*"]);
    assert!(keys.contains("replyguard:{default}:recent"), "{keys}");
    assert!(!service.printed().contains(PASSWORD), "the password is in the log");

    let as_user = |command: &[&str]| {
        let login = ["--user", USER, "--pass", PASSWORD, "--no-auth-warning"];
        redis.cli(&[&login[..], command].concat())
    };
    for refused in [&["KEYS", "*"][..], &["FLUSHALL"], &["GET", "other"], &["CONFIG", "GET", "*"]] {
        assert!(as_user(refused).contains("NOPERM"), "{refused:?}");
    }
}

#[tokio::test]
async fn a_password_in_the_address_stays_out_of_the_log() {
    let url = format!("redis://{USER}:{PASSWORD}@127.0.0.1:1");
    let service = Service::start_with(&["--redis-url", &url, "--log", "trace"]).await;
    let mut client = service.client().await;
    let answer = client.comments.check_comment(check(comment("Nobody is at home there."))).await;
    let answer = answer.unwrap().into_inner().comment.unwrap();
    assert_eq!(answer.degraded_parts, ["rate-limit", "recent-content"]);
    let doctor = service.command(&["doctor", "--redis-url", &url]);
    let printed = String::from_utf8(doctor.stdout).unwrap();
    assert!(printed.contains("TROUBLE") && !printed.contains(PASSWORD), "{printed}");
    assert!(!service.printed().contains(PASSWORD), "{}", service.printed());
    let broken = format!("redis://{USER}:{PASSWORD}@[::1");
    let output = service.command(&["doctor", "--redis-url", &broken]);
    let printed = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(printed.contains("limits.redis_url") && !printed.contains(PASSWORD), "{printed}");
}

/// After a failover behind a name that stays, the connections to the one that was demoted stayed, and
/// it answered READONLY for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_was_demoted_is_left_for_the_one_that_took_over() {
    let (old, new) = (RedisServer::start().await, RedisServer::start().await);
    let relay = Relay::start(&old).await;
    let options = RedisOptions::new(relay.url());
    let limiter = limiter(&options);
    let log = RedisLog::new(RedisConnection::open(&options).unwrap());
    let site: SiteId = "blog".parse().unwrap();
    await_degraded(&limiter, &site, false).await;
    wait_for("the log", || async { log.exchange(&site, None, &[]).await.ok() }).await;
    let demoted = old.cli(&["REPLICAOF", "127.0.0.1", &new.port().to_string()]);
    assert!(demoted.contains("OK"), "{demoted}");
    await_degraded(&limiter, &site, true).await;
    relay.lead_to(&new);
    await_degraded(&limiter, &site, false).await;
    let told = || async { log.exchange(&site, None, &[RecentEvent::Forget]).await.ok() };
    wait_for("the log", told).await;
    let keys = new.cli(&["KEYS", "*"]);
    assert!(keys.contains("replyguard:{blog}:recent"), "{keys}");
}

/// The password was read at the start alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_is_changed_is_read_again() {
    let redis = RedisServer::start().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let written = |password: &str| std::fs::write(file.path(), format!("{password}\n")).unwrap();
    let as_user = |password: &str, command: &[&str]| {
        let login = ["-a", password, "--no-auth-warning"];
        redis.cli(&[&login[..], command].concat())
    };
    let before = redis.cli(&["CONFIG", "SET", "requirepass", "before"]);
    assert!(before.contains("OK"), "{before}");
    written("before");
    let options = RedisOptions {
        password_file: Some(file.path().to_owned()),
        ..RedisOptions::new(redis.url())
    };
    let limiter = limiter(&options);
    let site: SiteId = "blog".parse().unwrap();
    await_degraded(&limiter, &site, false).await;
    let after = as_user("before", &["CONFIG", "SET", "requirepass", "after"]);
    assert!(after.contains("OK"), "{after}");
    as_user("after", &["CLIENT", "KILL", "TYPE", "normal"]);
    await_degraded(&limiter, &site, true).await;
    written("after");
    await_degraded(&limiter, &site, false).await;
}

/// Sites whose keys are on each of the three nodes that own slots.
fn site_of_each(cluster: &RedisCluster) -> Vec<(SiteId, usize)> {
    let mut found: Vec<(SiteId, usize)> = Vec::new();
    for number in 0..1_000 {
        let name = format!("site-{number}");
        let owner = cluster.owner(&name);
        if found.iter().all(|(_, other)| *other != owner) {
            found.push((name.parse().unwrap(), owner));
        }
        if found.len() == 3 {
            return found;
        }
    }
    panic!("the keys of 1,000 sites are on fewer than three nodes: {found:?}");
}

#[tokio::test]
async fn a_dead_node_of_a_cluster_degrades_its_sites_alone_until_it_is_back() {
    let mut cluster = RedisCluster::start(false, None).await;
    let limiter = Arc::new(limiter(&cluster.options()));
    let sites = site_of_each(&cluster);
    for (site, _) in &sites {
        await_degraded(&*limiter, site, false).await;
    }
    let (site, owner) = sites[0].clone();
    cluster.nodes[owner].kill();
    await_degraded(&*limiter, &site, true).await;
    for (other, _) in &sites[1..] {
        await_degraded(&*limiter, other, false).await;
    }
    cluster.nodes[owner].restart().await;
    cluster.await_ok().await;
    for (site, _) in &sites {
        await_degraded(&*limiter, site, false).await;
    }
    assert!(!limiter.is_open());
}

#[tokio::test]
async fn a_cluster_with_tls_that_fails_over_is_followed() {
    let mut cluster = RedisCluster::start(true, Some(Certificates::new())).await;
    let options = cluster.options();
    let limiter = limiter(&options);
    let log = RedisLog::new(RedisConnection::open(&options).unwrap());
    let site: SiteId = "blog".parse().unwrap();
    await_degraded(&limiter, &site, false).await;
    wait_for("the log", || async { log.exchange(&site, None, &[]).await.ok() }).await;
    let owner = cluster.owner("blog");
    cluster.nodes[owner].kill();
    await_degraded(&limiter, &site, true).await;
    // Nobody helps: a replica takes the slots over, and the limiter finds it.
    await_degraded(&limiter, &site, false).await;
    wait_for("the log", || async { log.exchange(&site, None, &[]).await.ok() }).await;
    let keys: Vec<String> = cluster
        .nodes
        .iter()
        .enumerate()
        .filter(|(number, _)| *number != owner)
        .map(|(_, node)| node.cli(&["KEYS", "*"]))
        .collect();
    assert!(keys.iter().any(|keys| keys.contains("{blog}")), "{keys:?}");
}
