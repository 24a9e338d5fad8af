//! The certificates of both ports: read at the start, and again when the files change.

use std::io;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::system::SystemClock;
use crate::config::ServerConfig;
use crate::moderation::ports::Clock;
use crate::tls::{Certificates, TlsFiles};

/// How often it is looked whether files changed, which costs a system call a file.
const LOOK_PERIOD: Duration = Duration::from_secs(10);

/// The certificates of the ports that speak TLS.
#[derive(Clone)]
pub(super) struct PortCertificates {
    pub grpc: Option<Certificates>,
    pub http: Option<Certificates>,
}

impl PortCertificates {
    /// Reads the files that the configuration names.
    ///
    /// # Errors
    /// One sentence that names the file.
    pub(super) fn read(server: &ServerConfig) -> Result<Self, String> {
        let files = |certificates, key, client_ca| TlsFiles { certificates, key, client_ca };
        let grpc = server.grpc_certificate_file.clone().zip(server.grpc_key_file.clone());
        let grpc = grpc.map(|(certificates, key)| {
            let client_ca = server.grpc_client_ca_file.clone();
            Certificates::read(files(certificates, key, client_ca), &["h2", "http/1.1"])
        });
        let http = server.http_certificate_file.clone().zip(server.http_key_file.clone());
        let http = http.map(|(certificates, key)| {
            Certificates::read(files(certificates, key, None), &["http/1.1"])
        });
        Ok(Self { grpc: grpc.transpose()?, http: http.transpose()? })
    }

    /// Each port's, with its name.
    pub(super) fn each(&self) -> impl Iterator<Item = (&'static str, &Certificates)> {
        let named = [("grpc", &self.grpc), ("http", &self.http)];
        named.into_iter().filter_map(|(port, found)| found.as_ref().map(|found| (port, found)))
    }

    /// Takes over what changed. What cannot be used is logged, and what was before goes on.
    fn read_again(&self) {
        for (port, certificates) in self.each() {
            match certificates.read_again() {
                Ok(false) => {}
                Ok(true) => tracing::info!(port, "new certificates are in use"),
                Err(error) => {
                    tracing::error!(port, error = %error, "new certificates cannot be used");
                    metrics::counter!("replyguard_unusable_certificates_total", "port" => port)
                        .increment(1);
                }
            }
        }
    }

    /// Says when each certificate ends.
    fn tell(&self) {
        for (port, certificates) in self.each() {
            metrics::gauge!("replyguard_certificate_expiry_timestamp_seconds", "port" => port)
                .set(certificates.expiry_time().unix_timestamp() as f64);
        }
    }
}

/// Watches the files until `draining` is cancelled.
///
/// # Errors
/// Of the operating system, if SIGHUP cannot be listened to.
pub(super) fn watch(
    certificates: PortCertificates,
    draining: CancellationToken,
) -> io::Result<JoinHandle<()>> {
    let mut hang_up = signal(SignalKind::hangup())?;
    for (port, found) in certificates.each() {
        if found.expiry_time() <= SystemClock.now() {
            tracing::warn!(port, "the certificate has expired");
        }
    }
    certificates.tell();
    Ok(tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = hang_up.recv() => tracing::info!("SIGHUP: looking at the certificates"),
                () = tokio::time::sleep(LOOK_PERIOD) => {}
                () = draining.cancelled() => return,
            }
            let looking = certificates.clone();
            let looked = tokio::task::spawn_blocking(move || {
                looking.read_again();
                looking.tell();
            });
            if looked.await.is_err() {
                tracing::error!("looking at the certificates panicked");
            }
        }
    }))
}

/// How long a certificate still holds, in whole days; negative once it has expired.
pub(super) fn days_left(expiry_time: OffsetDateTime) -> i64 {
    (expiry_time - SystemClock.now()).whole_days()
}
