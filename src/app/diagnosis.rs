//! What `doctor` looks at: files, ports, certificates, store, clock, Redis, model.

mod certificates;
mod clock;
mod files;
mod reach;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use super::certificates::PortCertificates;
use super::records::postgres_address;
use super::system::SystemClock;
use super::{limiter, load_model};
use crate::config::Config;
use crate::domain::{Fingerprint, LimitRule};
use crate::limits::{RecentLog, RedisLog};
use crate::moderation::DRIFT_ALARM;
use crate::moderation::ports::{Clock, LimitKey, LimitKind};
use crate::storage::{PostgresStore, SqliteStore};
use crate::telemetry;

/// How often Redis is asked: a connection with TLS may take longer than the first call waits.
const REDIS_TRIES: u32 = 4;
/// How long to wait between two of these.
const REDIS_WAIT: Duration = Duration::from_millis(250);

/// What was found about one part.
#[derive(Debug, PartialEq, Eq)]
pub enum Finding {
    /// It is as it should be.
    Good(String),
    /// It is no trouble, but it cannot be said that all is well.
    Note(String),
    /// It is not.
    Bad {
        /// What is wrong.
        what: String,
        /// What to do about it.
        advice: String,
    },
}

/// What was found, with the part of the deployment that it is about.
pub type Findings = Vec<(&'static str, Finding)>;

/// Looks at every part that the configuration names, and at the file that it was read from. It
/// changes nothing.
pub async fn examine(config: &Config, config_file: Option<&Path>) -> Findings {
    let now = SystemClock.now();
    let mut findings: Findings = vec![("configuration", settings(config))];
    if let Some(file) = config_file {
        findings.push(("configuration", files::config_file(file, config)));
    }
    findings.push(("data", files::data_folder(config)));
    findings.extend(files::secrets(config).into_iter().map(|found| ("data", found)));
    findings.extend(files::redis_password(config).map(|found| ("redis", found)));
    findings.push(("disk", files::disk(config)));
    findings.push(("store", store(config).await));
    findings.push(("clock", clock::examine(config, now)));
    findings.push(("model", model(config)));
    findings.extend(tls(config, now).into_iter().map(|found| ("tls", found)));
    findings.extend(authorities(config, now).map(|found| ("tls", found)));
    findings.extend(reach::ports(config).await.into_iter().map(|found| ("ports", found)));
    if config.limits.redis_url.is_some() {
        findings.push(("redis", redis(config).await));
    }
    if let Some(endpoint) = &config.telemetry.otlp_endpoint {
        findings.push(("traces", reach::collector(endpoint).await));
    }
    if let Some(metrics) = reach::metrics(config.server.http_address).await {
        findings.extend(drift(&metrics).into_iter().map(|found| ("drift", found)));
        findings.extend(webhooks(&metrics).map(|found| ("webhooks", found)));
    }
    findings
}

/// What a start finds wrong with the settings besides what reading them finds.
fn settings(config: &Config) -> Finding {
    match telemetry::check_logging(&config.telemetry) {
        Ok(()) => Finding::Good("every setting fits".into()),
        Err(error) => Finding::Bad {
            what: error,
            advice: "give a filter such as info or replyguard=debug,warn; the service will not \
                     start"
                .into(),
        },
    }
}

/// The certificates of authorities that the configuration names, without which nothing starts.
fn authorities(config: &Config, now: time::OffsetDateTime) -> impl Iterator<Item = Finding> {
    let files = [
        ("webhooks.ca_file", &config.webhooks.ca_file),
        ("telemetry.otlp_ca_file", &config.telemetry.otlp_ca_file),
        ("limits.redis_ca_file", &config.limits.redis_ca_file),
    ];
    files.into_iter().filter_map(move |(setting, file)| {
        Some(certificates::authority(setting, file.as_ref()?, now))
    })
}

/// The certificates of the ports that speak TLS.
fn tls(config: &Config, now: time::OffsetDateTime) -> Vec<Finding> {
    let server = &config.server;
    let grpc = server.grpc_certificate_file.as_ref().zip(server.grpc_key_file.as_ref());
    let http = server.http_certificate_file.as_ref().zip(server.http_key_file.as_ref());
    let mut findings: Vec<_> = [grpc, http]
        .into_iter()
        .flatten()
        .flat_map(|(chain, key)| certificates::examine(chain, key, now))
        .collect();
    if let Err(error) = PortCertificates::read(server) {
        findings.push(Finding::Bad {
            what: format!("a certificate cannot be used: {error}"),
            advice: "give certificates and a key that belong together; the service will not start"
                .into(),
        });
    }
    findings
}

/// What a running service says of its webhooks.
fn webhooks(metrics: &str) -> Option<Finding> {
    let name = "replyguard_webhook_dead_deliveries ";
    let count = metrics.lines().find_map(|line| line.strip_prefix(name))?;
    if count.parse() == Ok(0.0) {
        return Some(Finding::Good("no webhook's delivery was given up".into()));
    }
    Some(Finding::Bad {
        what: format!("{count} deliveries to webhooks were given up"),
        advice: "look at `replyguard webhooks deliveries`; mend the receiver, then `replyguard \
                 webhooks replay`"
            .into(),
    })
}

/// What a running service says of its sites' comments.
fn drift(metrics: &str) -> Vec<Finding> {
    let indexes = metrics.lines().filter(|line| line.starts_with("replyguard_drift_index{"));
    let (mut findings, mut measured_count) = (Vec::new(), 0);
    let mut unmeasured = BTreeSet::<&str>::new();
    for line in indexes {
        let Some((name, text)) = line.rsplit_once(' ') else { continue };
        let Ok(index) = text.parse::<f64>() else { continue };
        if index.is_nan() {
            // A site's name is a DNS label: nothing in it is escaped.
            unmeasured.extend(name.split('"').nth(1));
            continue;
        }
        measured_count += 1;
        if index >= DRIFT_ALARM {
            findings.push(Finding::Bad {
                what: format!("comments are no longer what the model was made for: {name} {text}"),
                advice: "look at `replyguard models drift`; label some of the new comments and \
                         train again"
                    .into(),
            });
        }
    }
    if findings.is_empty() && measured_count > 0 {
        let text = match unmeasured.is_empty() {
            true => "comments are what the models were made for",
            false => "where it is measured, comments are what the models were made for",
        };
        findings.push(Finding::Good(text.into()));
    }
    if !unmeasured.is_empty() {
        let sites: Vec<&str> = unmeasured.into_iter().collect();
        findings.push(Finding::Note(format!(
            "not measured here (too few comments of the time before the model or since, or another \
             replica does): {}",
            sites.join(", ")
        )));
    }
    findings
}

fn model(config: &Config) -> Finding {
    match load_model(config) {
        Ok(model) => Finding::Good(format!("model {}", model.version())),
        Err(error) => Finding::Bad {
            what: format!("the model cannot be used: {error}"),
            advice: "train it anew with this version, or leave model.file out".into(),
        },
    }
}

async fn store(config: &Config) -> Finding {
    let bad = |what: String| Finding::Bad {
        what,
        advice: "start PostgreSQL, change storage.database_url, or run the version that wrote it"
            .into(),
    };
    match postgres_address(config) {
        Err(error) => return bad(error.to_string()),
        Ok(Some(address)) => {
            return match PostgresStore::examine(&address).await {
                Ok(text) => Finding::Good(format!("{address}: {text}")),
                Err(error) => bad(error.to_string()),
            };
        }
        Ok(None) => {}
    }
    let path = config.storage.database();
    if !path.exists() {
        return Finding::Good(format!("{} is not there yet", path.display()));
    }
    match SqliteStore::examine(&path) {
        Ok(text) => Finding::Good(format!("{}: {text}", path.display())),
        Err(error) => Finding::Bad {
            what: format!("{}: {error}", path.display()),
            advice: "restore a backup, or run the version that wrote it".into(),
        },
    }
}

async fn redis(config: &Config) -> Finding {
    let bad = |what: String| Finding::Bad {
        what,
        advice:
            "start Redis, or look at limits.redis_url, its password and its certificate; until \
                 then limits are counted in each process alone"
                .into(),
    };
    let connection = match super::redis(config) {
        Err(error) => return bad(error.to_string()),
        Ok(connection) => connection,
    };
    let limiter = limiter(connection.clone());
    let rule = LimitRule { burst: 1_000, period_ms: 1 };
    let value = Fingerprint::from_bytes([0; 16]);
    let key = LimitKey { kind: LimitKind::Site, value, rule };
    let site = "replyguard-doctor".parse().expect("a DNS label");
    let mut degraded = true;
    // The first call may find that the connection is still being made.
    for _ in 0..REDIS_TRIES {
        degraded = limiter.take(&site, &[key], SystemClock.now()).await.degraded;
        if !degraded {
            break;
        }
        tokio::time::sleep(REDIS_WAIT).await;
    }
    if degraded {
        return bad("Redis does not answer".into());
    }
    let Some(connection) = connection else { return Finding::Good("there is no Redis".into()) };
    match RedisLog::new(connection).exchange(&site, None, &[]).await {
        Ok(_) => Finding::Good("Redis counts limits and carries news of recent content".into()),
        Err(error) => bad(format!("Redis counts limits, but carries no news: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deliveries_that_were_given_up_are_trouble() {
        let of =
            |count: &str| webhooks(&format!("a 1\nreplyguard_webhook_dead_deliveries {count}\n"));
        assert!(matches!(of("0"), Some(Finding::Good(_))));
        let Some(Finding::Bad { what, .. }) = of("3") else { panic!("3 are trouble") };
        assert_eq!(what, "3 deliveries to webhooks were given up");
        assert_eq!(webhooks("another 1\n"), None);
    }

    /// The gauges of what could not be measured were zero, and all was well.
    #[test]
    fn drift_that_is_not_measured_is_not_good() {
        let line = |site: &str, dimension: &str, index: &str| {
            let labels = format!("site=\"{site}\",dimension=\"{dimension}\"");
            format!("replyguard_drift_index{{{labels}}} {index}\n")
        };
        let gone = line("old", "score", "NaN") + &line("old", "page", "NaN");
        let note = Finding::Note(
            "not measured here (too few comments of the time before the model or since, or another \
             replica does): old"
                .into(),
        );
        assert_eq!(drift(&gone), [note]);
        let found = drift(&(gone.clone() + &line("new", "score", "0.01")));
        let [Finding::Good(good), Finding::Note(_)] = &found[..] else { panic!("{found:?}") };
        assert!(good.starts_with("where it is measured"), "{good}");
        let found = drift(&(gone + &line("new", "score", "0.3")));
        assert!(matches!(&found[..], [Finding::Bad { .. }, Finding::Note(_)]), "{found:?}");
        let found = drift(&line("new", "score", "0.01"));
        assert!(matches!(&found[..], [Finding::Good(_)]), "{found:?}");
        assert!(drift("another 1\n").is_empty());
    }
}
