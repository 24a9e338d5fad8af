//! Where the database is, and how it is used.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use super::error::PostgresError;

/// What every connection is set to.
///
/// A statement that outlives its caller is ended by the server: it looks each second whether
/// anybody is still there. Compiling statements (JIT) costs more than they do.
const SESSION: &str = "-c statement_timeout=60000 -c lock_timeout=5000 \
     -c idle_in_transaction_session_timeout=60000 -c client_connection_check_interval=1000 \
     -c synchronous_commit=on -c default_transaction_isolation=read\\ committed -c jit=off";

/// The address of a database with the password in it, which is never shown.
#[derive(Clone)]
pub struct PostgresAddress {
    pub(super) config: Config,
    pub(super) ca_file: Option<PathBuf>,
}

impl FromStr for PostgresAddress {
    type Err = PostgresError;

    /// Reads `postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=…&sslrootcert=FILE`.
    ///
    /// `sslmode` is `disable` or, what is the same, `require` and `verify-full`: a server that
    /// does not show who it is could be anyone. Without it, connections over loopback and Unix
    /// sockets are not encrypted and all others are.
    fn from_str(text: &str) -> Result<Self, PostgresError> {
        let known = text.starts_with("postgres://") || text.starts_with("postgresql://");
        if !known {
            return Err(PostgresError::Address("postgres://… is expected".into()));
        }
        let (base, query) = text.split_once('?').unwrap_or((text, ""));
        let (mut mode, mut ca_file, mut kept) = (None, None, Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", value)) => mode = Some(value.to_owned()),
                Some(("sslrootcert", value)) => ca_file = Some(decoded(value)?),
                _ => kept.push(pair),
            }
        }
        let address =
            if kept.is_empty() { base.into() } else { format!("{base}?{}", kept.join("&")) };
        // What the parser says could repeat the password.
        let parsed: Result<Config, _> = address.parse();
        let mut config = parsed.map_err(|_| {
            PostgresError::Address(
                "postgres://USER:PASSWORD@HOST:PORT/DATABASE is expected, \
                 with special characters percent-encoded"
                    .into(),
            )
        })?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(PostgresError::Address("it names no host".into()));
        }
        let encrypts = match mode.as_deref() {
            None => !is_local(&config),
            Some("disable") => false,
            Some("require" | "verify-full") => true,
            Some(_) => {
                let known = "sslmode: one of disable, require and verify-full is expected";
                return Err(PostgresError::Address(known.into()));
            }
        };
        config.ssl_mode(if encrypts { SslMode::Require } else { SslMode::Disable });
        let options = match config.get_options() {
            Some(own) => format!("{SESSION} {own}"),
            None => SESSION.to_owned(),
        };
        config.options(options);
        if config.get_application_name().is_none() {
            config.application_name("replyguard");
        }
        Ok(Self { config, ca_file })
    }
}

fn decoded(value: &str) -> Result<PathBuf, PostgresError> {
    let pair = format!("v={value}");
    let decoded = url::form_urlencoded::parse(pair.as_bytes()).next();
    match decoded {
        Some((_, value)) if !value.is_empty() => Ok(PathBuf::from(value.into_owned())),
        _ => Err(PostgresError::Address("sslrootcert: a file is expected".into())),
    }
}

fn is_local(config: &Config) -> bool {
    let named = config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
        }
        #[cfg(unix)]
        Host::Unix(_) => true,
    });
    named && config.get_hostaddrs().iter().all(std::net::IpAddr::is_loopback)
}

impl fmt::Display for PostgresAddress {
    /// Host and database, for logs and error messages; never user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts = self.config.get_hosts().iter().map(|host| match host {
            Host::Tcp(name) => name.clone(),
            #[cfg(unix)]
            Host::Unix(path) => path.display().to_string(),
        });
        let hosts: Vec<String> = hosts.collect();
        let database = self.config.get_dbname().or(self.config.get_user()).unwrap_or_default();
        write!(f, "PostgreSQL at {}, database {database}", hosts.join(", "))
    }
}

impl fmt::Debug for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How the store is run.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// Connections of this process besides the listening one.
    pub connection_count_max: usize,
    /// Batches of checks under way at once; each holds a connection.
    pub writer_count: usize,
    /// Checks that may wait to be recorded; when so many wait, callers wait too.
    pub queue_length: usize,
    /// Checks in one transaction, so that the first doesn't wait long for the last.
    pub batch_count_max: usize,
    /// The time for what a call asks of the store; half of the default time of a call.
    pub call_timeout: Duration,
    /// The time for what reads much: examples for a training, a model.
    pub long_timeout: Duration,
    /// The time for a connection.
    pub connect_timeout: Duration,
    /// How often the listening connection is asked whether it lives, and how long something is
    /// kept in memory without one.
    pub news_period: Duration,
    /// How long a lease is held without being renewed, by the server's clock.
    pub lease_life: Duration,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            connection_count_max: 16,
            writer_count: 2,
            queue_length: 1_024,
            batch_count_max: 256,
            call_timeout: Duration::from_secs(5),
            long_timeout: Duration::from_secs(50),
            connect_timeout: Duration::from_secs(2),
            news_period: Duration::from_millis(400),
            lease_life: Duration::from_secs(15),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_never_shown_whole() {
        let address: PostgresAddress =
            "postgres://ann:s%40cret@db.example.org:5433/guard".parse().unwrap();
        assert_eq!(address.config.get_ssl_mode(), SslMode::Require);
        let shown = format!("{address} {address:?}");
        assert!(shown.contains("db.example.org") && shown.contains("guard"), "{shown}");
        assert!(!shown.contains("cret") && !shown.contains("ann"), "{shown}");
        for local in ["postgres://localhost/x", "postgres://127.0.0.1/x", "postgres:///x?host=/tmp"]
        {
            let address: PostgresAddress = local.parse().unwrap();
            assert_eq!(address.config.get_ssl_mode(), SslMode::Disable, "{local}");
        }
        let strict = "postgres://h/x?sslmode=verify-full&sslrootcert=%2Fca%20x.pem&user=u";
        let strict: PostgresAddress = strict.parse().unwrap();
        assert_eq!(strict.ca_file, Some(PathBuf::from("/ca x.pem")));
        assert_eq!(strict.config.get_user(), Some("u"));
        let open: PostgresAddress = "postgres://h/x?sslmode=disable".parse().unwrap();
        assert_eq!(open.config.get_ssl_mode(), SslMode::Disable);
    }

    #[test]
    fn what_is_no_address_is_refused_without_repeating_it() {
        for bad in [
            "mysql://ann:secret@h/x",
            "postgres://ann:secret@h:port/x",
            "postgres://ann:secret@h/x?sslmode=prefer",
            "postgres://ann:secret@h/x?colour=red",
        ] {
            let error = bad.parse::<PostgresAddress>().unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
