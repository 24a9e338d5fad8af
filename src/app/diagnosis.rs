//! What `doctor` looks at: ports, store, Redis, model.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use super::records::postgres_address;
use super::system::SystemClock;
use super::{limiter, load_model};
use crate::config::Config;
use crate::domain::{Fingerprint, LimitRule};
use crate::http::client;
use crate::moderation::DRIFT_ALARM;
use crate::moderation::ports::{Clock, LimitKey, LimitKind};
use crate::storage::{PostgresStore, SqliteStore};

/// How long the running service may take for its metrics.
const METRICS_TIMEOUT: Duration = Duration::from_secs(3);

/// What was found about one part.
#[derive(Debug, PartialEq, Eq)]
pub enum Finding {
    /// It is as it should be.
    Good(String),
    /// It is not.
    Bad {
        /// What is wrong.
        what: String,
        /// What to do about it.
        advice: String,
    },
}

/// Looks at every part that the configuration names. It changes nothing.
pub async fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = vec![model(config), store(config).await];
    findings.push(port("gRPC", config.server.grpc_address));
    findings.push(port("HTTP", config.server.http_address));
    if config.limits.redis_url.is_some() {
        findings.push(redis(config).await);
    }
    if let Some(metrics) = metrics(config.server.http_address).await {
        findings.extend(drift(&metrics));
        findings.extend(webhooks(&metrics));
    }
    findings
}

/// The metrics of a service that runs here; nothing if none runs.
async fn metrics(address: SocketAddr) -> Option<String> {
    let url = format!("http://{address}/metrics");
    match tokio::time::timeout(METRICS_TIMEOUT, client::get(&url)).await {
        Ok(Ok((200, metrics))) => Some(metrics),
        _ => None,
    }
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
    let mut findings = Vec::new();
    let mut count = 0;
    for line in indexes {
        count += 1;
        let Some((name, index)) = line.rsplit_once(' ') else { continue };
        if index.parse::<f64>().is_ok_and(|index| index >= DRIFT_ALARM) {
            findings.push(Finding::Bad {
                what: format!("comments are no longer what the model was made for: {name} {index}"),
                advice: "look at `replyguard models drift`; label some of the new comments and \
                         train again"
                    .into(),
            });
        }
    }
    if findings.is_empty() && count > 0 {
        findings.push(Finding::Good("comments are what the models were made for".into()));
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

/// A port is good if it is free, and if somebody serves there already, that may be us.
fn port(name: &str, address: SocketAddr) -> Finding {
    match TcpListener::bind(address) {
        Ok(_) => Finding::Good(format!("{name} address {address} is free")),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            Finding::Good(format!("{name} address {address} is in use, by replyguard or another"))
        }
        Err(error) => Finding::Bad {
            what: format!("{name} cannot listen on {address}: {error}"),
            advice: "give an address of this machine and a port above 1023".into(),
        },
    }
}

async fn redis(config: &Config) -> Finding {
    let bad = |what: String| Finding::Bad {
        what,
        advice: "start Redis or change limits.redis_url; until then limits are counted in \
                 each process alone"
            .into(),
    };
    match limiter(config) {
        Err(error) => bad(error.to_string()),
        Ok(limiter) => {
            let rule = LimitRule { burst: 1_000, period_ms: 1 };
            let value = Fingerprint::from_bytes([0; 16]);
            let key = LimitKey { kind: LimitKind::Site, value, rule };
            let site = "replyguard-doctor".parse().expect("a DNS label");
            match limiter.take(&site, &[key], SystemClock.now()).await.degraded {
                false => Finding::Good("Redis counts limits".into()),
                true => bad("Redis does not answer".into()),
            }
        }
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
}
