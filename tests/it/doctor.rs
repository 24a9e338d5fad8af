//! What `doctor` says of deployments that are well, and of each that is not.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rcgen::{CertificateParams, KeyPair};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::service::{Service, command};

/// What `doctor --json` finds with these flags.
fn examine(flags: &[&str]) -> (Option<i32>, Value) {
    let output = command(&["doctor", "--json"]).args(flags).output().unwrap();
    let json = serde_json::from_slice(&output.stdout);
    (output.status.code(), json.unwrap_or_else(|error| panic!("{error}: {output:?}")))
}

/// The troubles, as `part: what`.
fn troubles(json: &Value) -> Vec<String> {
    let findings = json["findings"].as_array().unwrap().iter();
    let bad = findings.filter(|found| found["ok"] == false);
    bad.map(|found| {
        let text = |name: &str| found[name].as_str().unwrap().to_owned();
        assert!(!text("advice").is_empty(), "{found}");
        format!("{}: {}", text("part"), text("text"))
    })
    .collect()
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A certificate for `localhost` that is good from day to day, counted from 1970.
fn certificate(folder: &TempDir, from: i64, to: i64) -> (String, String) {
    let mut parameters = CertificateParams::new(vec!["localhost".into()]).unwrap();
    let day = |days| time::OffsetDateTime::UNIX_EPOCH + time::Duration::days(days);
    (parameters.not_before, parameters.not_after) = (day(from), day(to));
    let key = KeyPair::generate().unwrap();
    let certificate = folder.path().join(format!("{from}-{to}.pem"));
    let key_file = folder.path().join(format!("{from}-{to}.key"));
    fs::write(&certificate, parameters.self_signed(&key).unwrap().pem()).unwrap();
    fs::write(&key_file, key.serialize_pem()).unwrap();
    mode(&key_file, 0o600);
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    (text(&certificate), text(&key_file))
}

#[tokio::test]
async fn a_running_service_is_well_in_every_part() {
    let service = Service::start().await;
    let data = service.data();
    let flags = ["--data-dir", data.to_str().unwrap()];
    let ports = ["--grpc-address", &service.first.grpc, "--http-address", &service.first.http];
    let (code, json) = examine(&[flags, [ports[0], ports[1]], [ports[2], ports[3]]].concat());
    assert_eq!((code, troubles(&json)), (Some(0), Vec::<String>::new()));
    assert_eq!(json["ok"], true);
    let text = json.to_string();
    for part in ["configuration", "data", "disk", "store", "clock", "model", "ports"] {
        assert!(text.contains(&format!("\"part\":\"{part}\"")), "{part}: {text}");
    }
    assert!(text.contains("replyguard serves gRPC") && text.contains("replyguard serves HTTP"));
}

#[tokio::test]
async fn ports_of_another_program_are_trouble() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    // It takes connections and says nothing.
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    let flags = ["--data-dir", data.to_str().unwrap(), "--grpc-address", "127.0.0.1:0"];
    let (code, json) = examine(&[&flags[..], &["--http-address", &address]].concat());
    assert_eq!(code, Some(69));
    let found = format!("ports: HTTP address {address} is in use by another program");
    assert_eq!(troubles(&json), [found]);
    let (code, json) = examine(&["--grpc-address", &address, "--http-address", "192.0.2.1:80"]);
    assert_eq!(code, Some(69));
    let found = troubles(&json);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("gRPC address") && found[1].contains("cannot listen"), "{found:?}");
}

#[test]
fn certificates_collectors_and_permissions_are_looked_at() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    mode(&data, 0o700);
    let ports = ["--grpc-address", "127.0.0.1:0", "--http-address", "127.0.0.1:0"];
    let base = [&ports[..], &["--data-dir", data.to_str().unwrap()]].concat();
    let with = |flags: &[&str]| {
        let (code, json) = examine(&[&base[..], flags].concat());
        let found = troubles(&json);
        assert_eq!(code, Some(if found.is_empty() { 0 } else { 69 }), "{json}");
        found
    };
    let tls = |certificate: &str, key: &str| {
        with(&["--http-certificate-file", certificate, "--http-key-file", key])
    };
    let far = 40_000;
    let (good, key) = certificate(&folder, 10_000, far);
    assert_eq!(tls(&good, &key), Vec::<String>::new());
    let (old, old_key) = certificate(&folder, 10_000, 10_001);
    assert!(tls(&old, &old_key)[0].contains("ended on 1997-05-20"));
    let (early, early_key) = certificate(&folder, far, far + 1);
    assert!(tls(&early, &early_key)[0].contains("is not good before"));
    assert!(tls(&good, &old_key)[0].starts_with("tls: "), "they do not belong together");
    assert!(tls(&key, &key)[0].contains("there is no certificate in it"));
    mode(Path::new(&key), 0o644);
    assert_eq!(tls(&good, &key), [format!("tls: {key} can be read by others")]);

    assert_eq!(with(&["--webhook-ca-file", &good]), Vec::<String>::new());
    let found = with(&["--webhook-ca-file", &old]);
    assert!(found[0].starts_with("tls: webhooks.ca_file: "), "{found:?}");

    let found = with(&["--log", "==="]);
    assert!(found[0].starts_with("configuration: telemetry.log: `===` is no filter"), "{found:?}");

    let nobody = with(&["--otlp-endpoint", "http://127.0.0.1:1"]);
    assert!(nobody[0].starts_with("traces: nobody takes traces"), "{nobody:?}");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    assert_eq!(with(&["--otlp-endpoint", &endpoint]), Vec::<String>::new());

    let file = folder.path().join("replyguard.toml");
    fs::write(&file, "[telemetry]\nlog = \"warn\"\n").unwrap();
    mode(&file, 0o644);
    assert_eq!(with(&["--config", file.to_str().unwrap()]), Vec::<String>::new());
    mode(&file, 0o664);
    let found = with(&["--config", file.to_str().unwrap()]);
    assert!(found[0].contains("can be written by others"), "{found:?}");
    mode(&data, 0o777);
    assert!(with(&[])[0].starts_with("data: "), "a folder for all");
    mode(&data, 0o700);
    fs::write(data.join("replyguard.sqlite3"), "no database, only text".repeat(99)).unwrap();
    mode(&data.join("replyguard.sqlite3"), 0o600);
    assert!(with(&[])[0].starts_with("store: "), "no database");
}
