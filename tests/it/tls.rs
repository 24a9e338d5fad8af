//! TLS of both ports: the gRPC client, the command line, callers' certificates, renewed files.

use std::sync::Arc;

use replyguard::grpc::client::{Client, ClientTls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, HandshakeKind, RootCertStore};

use crate::support::pki::Authority;
use crate::support::service::{Service, check, command, comment, wait_for};

/// The flags for a gRPC port with these files.
fn grpc_flags((certificate, key): &(String, String)) -> [&str; 4] {
    ["--grpc-certificate-file", certificate, "--grpc-key-file", key]
}

/// A client that trusts an authority, perhaps with a certificate of its own.
async fn client(
    service: &Service,
    ca: &str,
    identity: Option<&(String, String)>,
) -> Result<Client, String> {
    let tls = ClientTls {
        ca_file: Some(ca.into()),
        identity: identity.map(|(certificate, key)| (certificate.into(), key.into())),
    };
    Client::connect_with(&service.first.grpc, Some(&service.first.key), &tls).await
}

/// Whether a comment is checked over this connection. With TLS 1.3 a client that is refused learns
/// it with its first call.
async fn is_served(client: Result<Client, String>) -> bool {
    let Ok(mut client) = client else { return false };
    client.comments.check_comment(check(comment("Over an encrypted line."))).await.is_ok()
}

#[tokio::test]
async fn grpc_speaks_tls_to_clients_and_the_command_line() {
    let authority = Authority::new();
    let files = authority.write("server", 2050);
    let service = Service::start_with(&grpc_flags(&files)).await;
    assert!(service.first.grpc.starts_with("https://127.0.0.1:"), "{}", service.first.grpc);
    assert!(is_served(client(&service, &authority.ca(), None).await).await);

    let plain = service.first.grpc.replace("https://", "http://");
    assert!(!is_served(Client::connect(&plain, Some(&service.first.key)).await).await);
    assert!(!is_served(client(&service, &Authority::new().ca(), None).await).await);

    let ca = authority.ca();
    let checked = service.command(&["check", "--ca-file", &ca, "Thank you, very clear."]);
    assert!(checked.status.success(), "{checked:?}");
    let distrusted = service.command(&["check", "Thank you, very clear."]);
    assert_eq!(distrusted.status.code(), Some(69), "{distrusted:?}");
    let message = String::from_utf8(distrusted.stderr).unwrap();
    assert!(message.contains("UnknownIssuer"), "{message}");
    let half = service.command(&["check", "--client-key-file", &files.1, "Thank you."]);
    assert_eq!(half.status.code(), Some(64), "{half:?}");

    let (_, metrics) = service.page("/metrics").await;
    let expected = "replyguard_certificate_expiry_timestamp_seconds{port=\"grpc\"} 2524608000";
    assert!(metrics.contains(expected), "{metrics}");
}

#[tokio::test]
async fn callers_need_a_certificate_where_the_owner_asks_for_one() {
    let (authority, callers) = (Authority::new(), Authority::new());
    let (files, own) = (authority.write("server", 2050), callers.write("caller", 2050));
    let (ca, callers_ca) = (authority.ca(), callers.ca());
    let flags = [&grpc_flags(&files)[..], &["--grpc-client-ca-file", &callers_ca]].concat();
    let service = Service::start_with(&flags).await;
    assert!(!is_served(client(&service, &ca, None).await).await);
    let foreign = authority.write("foreign", 2050);
    assert!(!is_served(client(&service, &ca, Some(&foreign)).await).await);
    let expired = callers.write("expired", 2020);
    assert!(!is_served(client(&service, &ca, Some(&expired)).await).await);
    assert!(is_served(client(&service, &ca, Some(&own)).await).await);

    let identity = ["--client-certificate-file", &own.0, "--client-key-file", &own.1];
    let listed = [&["sites", "list", "--ca-file", &ca], &identity[..]].concat();
    let listed = service.command(&listed);
    assert!(listed.status.success(), "{listed:?}");
    assert!(String::from_utf8(listed.stdout).unwrap().contains("sites/default"));
}

/// Connects to a port, says something and waits for the answer, with which what the port gives to
/// come back with has arrived; then the same once more. How the second handshake went.
async fn second_handshake(address: &str, config: &Arc<ClientConfig>, said: &[u8]) -> HandshakeKind {
    let host = address.rsplit('/').next().unwrap();
    let mut kind = None;
    for _ in 0..2 {
        let stream = TcpStream::connect(host).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = TlsConnector::from(config.clone()).connect(name, stream).await.unwrap();
        stream.write_all(said).await.unwrap();
        let mut answer = [0; 512];
        assert!(stream.read(&mut answer).await.unwrap() > 0, "an answer");
        kind = stream.get_ref().1.handshake_kind();
    }
    kind.unwrap()
}

/// An expired certificate went on to be good for as long as a session could be taken up again.
#[tokio::test]
async fn a_callers_certificate_is_looked_at_with_each_connection() {
    let authority = Authority::new();
    let (files, own) = (authority.write("server", 2050), authority.write("caller", 2050));
    let ca = authority.ca();
    let http = ["--http-certificate-file", &files.0, "--http-key-file", &files.1];
    let flags = [&grpc_flags(&files)[..], &["--grpc-client-ca-file", &ca], &http].concat();
    let service = Service::start_with(&flags).await;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&ca).unwrap()).unwrap();
    let chain = vec![CertificateDer::from_pem_file(&own.0).unwrap()];
    let key = PrivateKeyDer::from_pem_file(&own.1).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let config = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots.clone())
            .with_client_auth_cert(chain.clone(), key.clone_key())
            .unwrap();
        let config = Arc::new(config);
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
        let kind = second_handshake(&service.first.grpc, &config, preface).await;
        assert_ne!(kind, HandshakeKind::Resumed, "{version:?}");
        // Browsers, who need none, come back as quickly as they can.
        let page = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
        let kind = second_handshake(&service.first.http, &config, page).await;
        assert_eq!(kind, HandshakeKind::Resumed, "{version:?}");
    }
}

/// A connection to a port that shows a certificate of this authority.
async fn connect(address: &str, ca: &str) -> Option<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let address = address.rsplit('/').next().unwrap();
    let stream = TcpStream::connect(address).await.ok()?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.ok()
}

/// The certificate that a port shows.
async fn shown(address: &str, ca: &str) -> Option<Vec<u8>> {
    let stream = connect(address, ca).await?;
    let (_, connection) = stream.get_ref();
    Some(connection.peer_certificates().unwrap()[0].to_vec())
}

/// What the console answers over TLS: head and page.
async fn ask(address: &str, ca: &str, request: String) -> String {
    let mut stream = connect(address, ca).await.expect("a connection");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // Whether the end of the line is announced is no matter here.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn the_console_signs_in_over_tls_and_its_cookies_go_no_other_way() {
    let authority = Authority::new();
    let files = authority.write("server", 2050);
    let http = ["--http-certificate-file", &files.0, "--http-key-file", &files.1];
    let service = Service::start_with(&http).await;
    let (address, ca) = (service.first.http.clone(), authority.ca());
    let host = address.rsplit('/').next().unwrap().to_owned();
    let head = |first: &str| format!("{first} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
    let page = ask(&address, &ca, head("GET /console/log-in") + "\r\n").await;
    let after = |text: &str, mark: &str| text.split_once(mark).unwrap().1.to_owned();
    let visit = after(&page, "replyguard_visit=");
    let (visit, rest) = visit.split_once(';').unwrap();
    assert!(rest.lines().next().unwrap().ends_with("; Secure"), "{page}");
    let token: String = after(&page, "name=\"form_token\" value=\"").chars().take(64).collect();
    let body = format!("form_token={token}&name=nobody&password=wrong");
    let send = |origin: &str| {
        head("POST /console/log-in")
            + &format!("origin: {origin}\r\ncookie: replyguard_visit={visit}\r\n")
            + "content-type: application/x-www-form-urlencoded\r\n"
            + &format!("content-length: {}\r\n\r\n{body}", body.len())
    };
    let answer = ask(&address, &ca, send(&format!("https://{host}"))).await;
    assert!(answer.starts_with("HTTP/1.1 401"), "our form, but nobody's name: {answer}");
    let answer = ask(&address, &ca, send("https://elsewhere.example")).await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
}

#[tokio::test]
async fn renewed_certificates_are_taken_over_and_bad_ones_are_not() {
    let authority = Authority::new();
    let files = authority.write("server", 2050);
    let (certificate, key) = authority.paths("server");
    let http = ["--http-certificate-file", &files.0, "--http-key-file", &files.1];
    let service = Service::start_with(&[&grpc_flags(&files)[..], &http].concat()).await;
    let ca = authority.ca();
    let ports = [service.first.grpc.clone(), service.first.http.clone()];
    let der = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec();
    let first = der(&std::fs::read_to_string(&certificate).unwrap());
    for port in &ports {
        assert_eq!(shown(port, &ca).await.as_ref(), Some(&first));
    }
    let open = client(&service, &ca, None).await;

    let (second_certificate, second_key) = authority.sign(2051);
    std::fs::write(&key, &second_key).unwrap();
    std::fs::write(&certificate, &second_certificate).unwrap();
    service.signal("HUP");
    let second = der(&second_certificate);
    for port in &ports {
        wait_for("the renewed certificate", || async {
            (shown(port, &ca).await.as_ref() == Some(&second)).then_some(())
        })
        .await;
    }
    assert!(is_served(open).await, "connections from before go on");

    // A certificate without its key, and then no certificate at all.
    for bad in [authority.sign(2052).0, "not a certificate".to_owned()] {
        let before = service.printed().matches("new certificates cannot be used").count();
        std::fs::write(&certificate, &bad).unwrap();
        service.signal("HUP");
        wait_for("both ports to refuse the new files", || async {
            let now = service.printed().matches("new certificates cannot be used").count();
            (now >= before + 2).then_some(())
        })
        .await;
        for port in &ports {
            assert_eq!(shown(port, &ca).await.as_ref(), Some(&second), "the old one goes on");
        }
    }

    // Without a signal, it is only looked at from time to time.
    let (third_certificate, third_key) = authority.sign(2053);
    std::fs::write(&certificate, &third_certificate).unwrap();
    std::fs::write(&key, &third_key).unwrap();
    let third = der(&third_certificate);
    wait_for("the files to be looked at", || async {
        (shown(&ports[0], &ca).await.as_ref() == Some(&third)).then_some(())
    })
    .await;
    assert!(!service.printed().contains("PRIVATE KEY"), "no key in the log");
}

#[tokio::test]
async fn who_opens_a_connection_and_shakes_no_hands_locks_nobody_out() {
    let authority = Authority::new();
    let files = authority.write("server", 2050);
    let flags = [&grpc_flags(&files)[..], &["--connection-count-max", "2"]].concat();
    let service = Service::start_with(&flags).await;
    let address = service.first.grpc.trim_start_matches("https://").to_owned();
    let silent =
        [TcpStream::connect(&address).await.unwrap(), TcpStream::connect(&address).await.unwrap()];
    let ca = authority.ca();
    wait_for("the silent ones to be hung up on", || async {
        is_served(client(&service, &ca, None).await).await.then_some(())
    })
    .await;
    drop(silent);
}

#[tokio::test]
async fn doctor_looks_at_certificates() {
    let authority = Authority::new();
    let folder = tempfile::TempDir::new().unwrap();
    let examined = |flags: &[&str]| {
        let mut all = vec!["doctor", "--grpc-address", "127.0.0.1:0", "--http-address"];
        all.push("127.0.0.1:1");
        all.extend(flags);
        let output = command(&all).current_dir(folder.path()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let good = authority.write("good", 2050);
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&good.1, private).unwrap();
    let text = examined(&grpc_flags(&good));
    assert!(
        text.contains(&format!("ok       tls: the certificate in {} is good", good.0)),
        "{text}"
    );
    assert!(text.contains(&format!("ok       tls: {} is readable by its owner", good.1)), "{text}");
    let expired = authority.write("expired", 2020);
    let public = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(&expired.1, public).unwrap();
    let text = examined(&grpc_flags(&expired));
    assert!(
        text.contains(&format!("TROUBLE  tls: the certificate in {} ended", expired.0)),
        "{text}"
    );
    assert!(text.contains(&format!("TROUBLE  tls: {} can be read", expired.1)), "{text}");
    let mixed = (good.0, expired.1);
    let text = examined(&grpc_flags(&mixed));
    assert!(text.contains("TROUBLE  tls: a certificate cannot be used"), "{text}");
    assert!(text.contains(&mixed.0), "it names the file: {text}");
}
