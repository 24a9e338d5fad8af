//! Hears what other replicas change, and keeps this one's leases.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tokio_postgres::{Client, Config, Notification};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::domain::{ContentPrint, Label, SiteId};
use crate::moderation::ports::replicas::News;
use crate::storage::values::worded;

use super::cache::Caches;
use super::connect::Connector;
use super::error::plain;
use super::replicas::NewsQueue;

/// The channel of all news.
pub(super) const CHANNEL: &str = "replyguard_news";
/// The longest text of a notification is 8,000 bytes; a print with its label takes 55.
const PRINT_COUNT_MAX: usize = 128;
/// How many times its `connect_timeout` a connection may take in all: some addresses that do not
/// answer, then TLS, the password and the server's answer, which have no limit of their own.
const CONNECT_SHARE: u32 = 5;
/// How long to wait before trying to connect again.
const RETRY: Duration = Duration::from_millis(250);

/// What one replica tells all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    /// A site is new or changed.
    Site(SiteId),
    /// A key is new or revoked, by hash.
    Key([u8; 32]),
    /// A model of the site changed its state.
    Models(SiteId),
    /// Texts of the site were labelled.
    Labels(SiteId, Vec<(ContentPrint, Label)>),
    /// Labels of the site changed otherwise.
    Relabelled(SiteId),
    /// Somebody asked this long work to end.
    Cancelled(Uuid),
}

impl Told {
    /// That texts were labelled, in as many notifications as they need. There is one for none, too:
    /// a decision that teaches nothing wakes those who watch.
    pub fn labels(site: &SiteId, labels: &[(ContentPrint, Label)]) -> Vec<Self> {
        let of = |part: &[(ContentPrint, Label)]| Self::Labels(site.clone(), part.to_vec());
        match labels.is_empty() {
            true => vec![of(labels)],
            false => labels.chunks(PRINT_COUNT_MAX).map(of).collect(),
        }
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Site(site) => write!(f, "site {site}"),
            Self::Key(hash) => {
                f.write_str("key ")?;
                hash.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            Self::Models(site) => write!(f, "models {site}"),
            Self::Labels(site, labels) => {
                write!(f, "labels {site}")?;
                labels.iter().try_for_each(|(print, label)| {
                    let (content, simhash) = (print.content_hash, print.simhash);
                    write!(f, " {content:016x}{simhash:032x}{}", label.as_str())
                })
            }
            Self::Relabelled(site) => write!(f, "relabelled {site}"),
            Self::Cancelled(operation) => write!(f, "cancelled {operation}"),
        }
    }
}

impl FromStr for Told {
    type Err = ();

    /// What another replica said; one of a later version may say more.
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split(' ');
        let (kind, about) = (parts.next().ok_or(())?, parts.next().ok_or(())?);
        let site = || about.parse::<SiteId>().map_err(|_| ());
        match kind {
            "site" => Ok(Self::Site(site()?)),
            "key" => Ok(Self::Key(hash(about).ok_or(())?)),
            "models" => Ok(Self::Models(site()?)),
            "labels" => {
                let labels: Option<Vec<_>> = parts.map(labelled).collect();
                Ok(Self::Labels(site()?, labels.ok_or(())?))
            }
            "relabelled" => Ok(Self::Relabelled(site()?)),
            "cancelled" => about.parse().map(Self::Cancelled).map_err(|_| ()),
            _ => Err(()),
        }
    }
}

fn hash(hex: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    for (index, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(hash)
}

fn labelled(text: &str) -> Option<(ContentPrint, Label)> {
    let (content, rest) = text.split_at_checked(16)?;
    let (simhash, label) = rest.split_at_checked(32)?;
    let simhash = u128::from_str_radix(simhash, 16).ok()?;
    let content_hash = u64::from_str_radix(content, 16).ok()?;
    Some((ContentPrint { content_hash, simhash, comparable: simhash != 0 }, worded(label)?))
}

/// What the listener works with.
pub(super) struct Listener {
    pub connector: Connector,
    pub config: Config,
    pub caches: Arc<Caches>,
    pub news: Arc<NewsQueue>,
    pub replica: Uuid,
    /// How often the connection is asked whether it lives.
    pub period: Duration,
    /// How long a lease is held without being renewed.
    pub lease_life: Duration,
}

impl Listener {
    /// Listens until `stop`, on ever new connections.
    pub async fn run(self, stop: CancellationToken) {
        show_connected(false);
        loop {
            let heard = tokio::select! {
                heard = self.listen() => heard,
                () = stop.cancelled() => return,
            };
            self.caches.go_deaf();
            show_connected(false);
            tracing::debug!(error = %heard, "no news come in");
            tokio::select! {
                () = tokio::time::sleep(RETRY) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Listens on one connection until it ends; says why it did.
    async fn listen(&self) -> String {
        let each = self.config.get_connect_timeout().copied().unwrap_or(self.period);
        let patience = each.saturating_mul(CONNECT_SHARE);
        let connecting = self.connector.connect_to_listen(&self.config);
        let (client, task, mut notes) = match timeout(patience, connecting).await {
            Ok(Ok(connected)) => connected,
            Ok(Err(error)) => return plain(&error),
            Err(_) => return "the server does not finish the handshake".into(),
        };
        // What ran out meanwhile is kept, unless another one was faster.
        let begin = format!("LISTEN {CHANNEL}; {}", self.renewal());
        if let Err(why) = self.ask(&client, &begin).await {
            task.abort();
            return why;
        }
        self.caches.hear();
        show_connected(true);
        self.news.put(News::Missed);
        let mut renewal = Instant::now();
        let mut next = Instant::now() + self.period;
        let why = loop {
            tokio::select! {
                note = notes.recv() => match note {
                    Some(note) => self.hear(&note),
                    None => break "the connection ended".to_owned(),
                },
                () = tokio::time::sleep_until(next) => {
                    let due = renewal.elapsed() > self.lease_life / 3;
                    let sql = if due { self.renewal() } else { String::new() };
                    if let Err(why) = self.ask(&client, &sql).await {
                        break why;
                    }
                    if due {
                        renewal = Instant::now();
                    }
                    next = Instant::now() + self.period;
                }
            }
        };
        task.abort();
        why
    }

    /// Keeps what this process has to do alone.
    fn renewal(&self) -> String {
        let (life, replica) = (self.lease_life.as_millis(), self.replica);
        format!(
            "UPDATE leases SET expire_time = now() + interval '{life} milliseconds' \
             WHERE holder = '{replica}'"
        )
    }

    /// A statement that must be answered within the period.
    async fn ask(&self, client: &Client, sql: &str) -> Result<(), String> {
        match timeout(self.period, client.batch_execute(sql)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(plain(&error)),
            Err(_) => Err("it does not answer".into()),
        }
    }

    fn hear(&self, note: &Notification) {
        let Some((origin, told)) = note.payload().split_once(' ') else { return };
        let Ok(told) = told.parse::<Told>() else { return };
        let is_own = origin.parse() == Ok(self.replica);
        match told {
            // Our own as well: whoever made the change may have left, or lost the answer to its
            // COMMIT, before the cache forgot.
            Told::Site(site) => self.caches.sites.forget(&site),
            Told::Key(hash) => self.caches.keys.forget(&hash),
            Told::Models(site) => self.news.put(News::Models(site)),
            Told::Relabelled(site) => self.news.put(News::Relabelled(site)),
            _ if is_own => {}
            Told::Labels(site, labels) => self.news.put(News::Labels(site, labels)),
            Told::Cancelled(operation) => self.news.put(News::Cancelled(operation)),
        }
    }
}

fn show_connected(connected: bool) {
    metrics::gauge!("replyguard_news_connected").set(f64::from(u8::from(connected)));
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use crate::storage::postgres::connect;
    use crate::storage::postgres::options::{PostgresAddress, PostgresOptions};

    use super::*;

    #[tokio::test]
    async fn a_handshake_without_end_is_given_up() {
        // Takes connections and says nothing.
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = silent.local_addr().unwrap();
        let address: PostgresAddress = format!("postgres://guard@{place}/guard").parse().unwrap();
        let connect_timeout = Duration::from_millis(100);
        let options = PostgresOptions { connect_timeout, ..PostgresOptions::default() };
        let listener = Listener {
            connector: Connector::new(&address).unwrap(),
            config: connect::listening_config(&address, &options),
            caches: Arc::new(Caches::new(options.news_period)),
            news: Arc::new(NewsQueue::new()),
            replica: Uuid::nil(),
            period: options.news_period,
            lease_life: options.lease_life,
        };
        let ended = timeout(Duration::from_secs(60), listener.listen()).await;
        assert_eq!(ended.expect("it waits for ever"), "the server does not finish the handshake");
        assert!(listener.config.get_tcp_user_timeout().is_some());
    }

    #[test]
    fn what_is_told_is_understood() {
        let site: SiteId = "blog".parse().unwrap();
        let print = ContentPrint { content_hash: u64::MAX, simhash: 7, comparable: true };
        let short = ContentPrint { content_hash: 1, simhash: 0, comparable: false };
        let labels = vec![(print, Label::Spam), (short, Label::Ham)];
        for told in [
            Told::Site(site.clone()),
            Told::Key([0xAB; 32]),
            Told::Models(site.clone()),
            Told::Labels(site.clone(), labels),
            Told::Labels(site.clone(), Vec::new()),
            Told::Relabelled(site.clone()),
            Told::Cancelled(Uuid::from_u128(7)),
        ] {
            assert_eq!(told.to_string().parse(), Ok(told));
        }
        for other in ["", "site", "key abc", "weather fine", "labels blog 12", "cancelled blog"] {
            assert_eq!(other.parse::<Told>(), Err(()), "{other}");
        }
        let many = vec![(print, Label::Spam); PRINT_COUNT_MAX + 1];
        let told = Told::labels(&site, &many);
        let expected = [PRINT_COUNT_MAX, 1].map(|count| many[..count].to_vec());
        assert_eq!(told, expected.map(|labels| Told::Labels(site.clone(), labels)));
        assert!(told[0].to_string().len() < 7_900, "{}", told[0].to_string().len());
        assert_eq!(Told::labels(&site, &[]), [Told::Labels(site, Vec::new())]);
    }
}
