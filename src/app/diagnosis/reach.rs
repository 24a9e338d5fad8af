//! What is to be reached: our own ports, and what others serve.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use super::Finding;
use crate::config::Config;
use crate::grpc;
use crate::http::client;

/// How long the running service, or a collector, may take for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// The address of a port on this machine: one that listens everywhere listens on loopback too.
fn near(mut address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => {
            address.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => {
            address.set_ip(Ipv6Addr::LOCALHOST.into());
        }
        _ => {}
    }
    address
}

/// Both ports: each is free, or we serve there.
pub(super) async fn ports(config: &Config) -> Vec<Finding> {
    let server = &config.server;
    let mut findings = Vec::new();
    findings.push(match bind("gRPC", server.grpc_address) {
        Ok(free) => free,
        Err(None) if server.grpc_certificate_file.is_some() => in_use("gRPC", server.grpc_address),
        Err(None) => grpc_serves(server.grpc_address).await,
        Err(Some(trouble)) => trouble,
    });
    let tls = server.http_certificate_file.is_some();
    findings.push(match bind("HTTP", server.http_address) {
        Ok(free) => free,
        Err(None) if tls => in_use("HTTP", server.http_address),
        Err(None) => http_serves(server.http_address).await,
        Err(Some(trouble)) => trouble,
    });
    findings
}

/// A port with TLS cannot be asked: its certificate is for another name than that of loopback, mostly.
fn in_use(name: &str, address: SocketAddr) -> Finding {
    Finding::Good(format!("{name} address {address} is in use, by replyguard or another"))
}

/// A free port, or nothing if somebody has it, or why it cannot be had.
fn bind(name: &str, address: SocketAddr) -> Result<Finding, Option<Finding>> {
    match TcpListener::bind(address) {
        Ok(_) => Ok(Finding::Good(format!("{name} address {address} is free"))),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => Err(None),
        Err(error) => Err(Some(Finding::Bad {
            what: format!("{name} cannot listen on {address}: {error}"),
            advice: "give an address of this machine and a port above 1023".into(),
        })),
    }
}

fn foreign(name: &str, address: SocketAddr) -> Finding {
    Finding::Bad {
        what: format!("{name} address {address} is in use by another program"),
        advice: format!(
            "stop that program, or give another server.{}_address",
            name.to_lowercase()
        ),
    }
}

async fn grpc_serves(address: SocketAddr) -> Finding {
    let own = near(address).to_string();
    let asked = grpc::client::is_serving(&own);
    match tokio::time::timeout(ANSWER_TIMEOUT, asked).await {
        Ok(Ok(true)) => Finding::Good(format!("replyguard serves gRPC on {address}")),
        Ok(Ok(false)) => Finding::Bad {
            what: format!("gRPC on {address} says that it does not serve"),
            advice: "see what /readyz says".into(),
        },
        Ok(Err(_)) | Err(_) => foreign("gRPC", address),
    }
}

async fn http_serves(address: SocketAddr) -> Finding {
    match get(address, "/readyz").await {
        Some((200, body)) if body == "ready\n" => {
            Finding::Good(format!("replyguard serves HTTP on {address}"))
        }
        Some((503, body)) if body.starts_with("not ready: ") => Finding::Bad {
            what: format!("the service on {address} is {}", body.trim_end()),
            advice: "see its log".into(),
        },
        _ => foreign("HTTP", address),
    }
}

/// The metrics of a service that runs here; nothing if none runs.
pub(super) async fn metrics(address: SocketAddr) -> Option<String> {
    get(address, "/metrics").await.filter(|(status, _)| *status == 200).map(|(_, body)| body)
}

async fn get(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    let url = format!("http://{}{path}", near(address));
    tokio::time::timeout(ANSWER_TIMEOUT, client::get(&url)).await.ok()?.ok()
}

/// Whether somebody listens where traces go.
pub(super) async fn collector(endpoint: &str) -> Finding {
    let (address, port) = match endpoint.strip_prefix("https://") {
        Some(address) => (address, 443),
        None => (endpoint.trim_start_matches("http://"), 80),
    };
    let address = address.trim_end_matches('/');
    // The port of the web's own scheme, as gRPC takes it.
    let with_port = if address.rsplit(']').next().is_some_and(|rest| rest.contains(':')) {
        address.to_owned()
    } else {
        format!("{address}:{port}")
    };
    let connected = tokio::net::TcpStream::connect(&with_port);
    let why = match tokio::time::timeout(ANSWER_TIMEOUT, connected).await {
        Ok(Ok(_)) => return Finding::Good(format!("somebody takes traces at {endpoint}")),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "no answer in time".into(),
    };
    Finding::Bad {
        what: format!("nobody takes traces at {endpoint}: {why}"),
        advice: "start the collector or change telemetry.otlp_endpoint; checks do not wait for it"
            .into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_that_listen_everywhere_are_asked_near_by() {
        let near = |text: &str| near(text.parse().unwrap()).to_string();
        assert_eq!(near("0.0.0.0:80"), "127.0.0.1:80");
        assert_eq!(near("[::]:80"), "[::1]:80");
        assert_eq!(near("192.0.2.7:80"), "192.0.2.7:80");
    }
}
