//! Secrets stay out of logs, errors, help and `Debug`; who may write the configuration decides
//! where comments go.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use replyguard::app::FirstSite;
use replyguard::config::Config;
use tempfile::TempDir;

use crate::support::pki::Authority;
use crate::support::service::{Service, check, command, comment, wait_for};

/// Whatever else runs on this machine.
const FREE_PORTS: [&str; 4] = ["--grpc-address", "127.0.0.1:0", "--http-address", "127.0.0.1:0"];
/// A password that is looked for.
const PASSWORD: &str = "hunter2xyzzy";

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

/// A configuration file with these rights.
fn file(folder: &TempDir, name: &str, text: &str, mode: u32) -> String {
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn errors_about_the_configuration_repeat_no_secret() {
    let folder = TempDir::new().unwrap();
    let cases = [
        // A scheme that is none, an address that is none, a secret in the wrong place.
        format!("[limits]\nredis_url = \"redsi://:{PASSWORD}@127.0.0.1:1\""),
        format!("[limits]\nredis_url = \"redis://:{PASSWORD}@127.0.0.1:port\""),
        format!("[limits]\nredis_url = \"redis+cluster://:{PASSWORD}@127.0.0.1:99999999\""),
        format!("[limits]\nredis_url = [\"redis://:{PASSWORD}@127.0.0.1:1\"]"),
        format!("[limits]\nkey_burst_count = \"redis://:{PASSWORD}@127.0.0.1:1\""),
        format!("[server]\nworker_count = \"{PASSWORD}\""),
        format!("[server]\ngrpc_address = \"{PASSWORD}\""),
        format!("[telemetry]\nlog_format = \"{PASSWORD}\""),
        format!("[limits]\nredis_url = \"redis://:{PASSWORD}@127.0.0.1:1"),
    ];
    for (number, text) in cases.iter().enumerate() {
        let path = file(&folder, &format!("{number}.toml"), text, 0o600);
        // A flag would stand above the file's own address.
        let ports: &[&str] = if text.contains("grpc_address") { &[] } else { &FREE_PORTS };
        let arguments = [&["serve", "--config", &path], ports].concat();
        let output = command(&arguments).current_dir(&folder).output().unwrap();
        let said = said(&output);
        assert_eq!(output.status.code(), Some(64), "{text}: {said}");
        assert!(!said.contains(PASSWORD), "{text}: {said}");
        assert!(said.contains(&path) || said.contains("limits."), "it says where: {said}");
    }
    for url in ["redsi://", "redis://u:p@", "redis+cluster://"] {
        let url = format!("{url}:{PASSWORD}@127.0.0.1:x");
        let arguments = [&["serve", "--redis-url", &url][..], &FREE_PORTS].concat();
        let output = command(&arguments).current_dir(&folder).output().unwrap();
        assert_eq!(output.status.code(), Some(64));
        assert!(!said(&output).contains(PASSWORD), "{}", said(&output));
    }
}

#[test]
fn help_and_debug_show_no_secret() {
    let folder = TempDir::new().unwrap();
    for arguments in [&["serve", "--help"][..], &["check", "--help"], &["sites", "keys", "--help"]]
    {
        let output = command(arguments)
            .env("REPLYGUARD_REDIS_URL", format!("redis://:{PASSWORD}@127.0.0.1:1"))
            .env("REPLYGUARD_KEY", PASSWORD)
            .current_dir(&folder)
            .output()
            .unwrap();
        assert!(output.status.success());
        assert!(!said(&output).contains(PASSWORD), "{}", said(&output));
    }
    let text = format!("[limits]\nredis_url = \"redis://:{PASSWORD}@127.0.0.1:1\"");
    let config = Config::parse(&text).unwrap();
    assert!(config.limits.redis_url.as_ref().unwrap().contains(PASSWORD));
    assert!(!format!("{config:?}").contains(PASSWORD));
    let first = FirstSite {
        site: "default".into(),
        key: PASSWORD.into(),
        akismet_key: Some(PASSWORD.into()),
        grpc: "127.0.0.1:1".into(),
        http: "127.0.0.1:2".into(),
    };
    assert!(!format!("{first:?}").contains(PASSWORD));
}

#[tokio::test]
async fn a_running_service_logs_no_secret() {
    let authority = Authority::new();
    let (certificate, key) = authority.write("server", 2050);
    let url = format!("redis://user:{PASSWORD}@127.0.0.1:1");
    let flags = [
        "--redis-url",
        &url,
        "--log",
        "debug",
        "--http-certificate-file",
        &certificate,
        "--http-key-file",
        &key,
    ];
    let mut service = Service::start_with(&flags).await;
    let mut client = service.client().await;
    // Redis is not there, so it is tried, fails and is logged.
    let answer = client.comments.check_comment(check(comment("Hello there."))).await.unwrap();
    assert!(answer.into_inner().comment.unwrap().degraded_parts.contains(&"rate-limit".to_owned()));
    let wrong = format!("rgk_{PASSWORD}");
    let mut stranger = service.client_with(Some(&wrong)).await;
    stranger.comments.check_comment(check(comment("Hello."))).await.unwrap_err();
    let made = service.command(&["sites", "create-key", "default", "--json"]);
    let made: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
    let secret = made["secret"].as_str().unwrap().to_owned();
    let mut fresh = service.client_with(Some(&secret)).await;
    fresh.comments.check_comment(check(comment("Hello again."))).await.unwrap();
    let hook = ["webhooks", "add", "https://hooks.example.org/", "--json"];
    let hook = service.command(&hook);
    assert!(hook.status.success(), "{}", said(&hook));
    let hook: serde_json::Value = serde_json::from_slice(&hook.stdout).unwrap();
    let hook = hook["secret"].as_str().expect("a secret").to_owned();
    service.stop().await;
    let log = fs::read_to_string(service.data().parent().unwrap().join("log")).unwrap();
    assert!(log.contains("DEBUG"), "the log tells much");
    for hidden in [PASSWORD, &secret, &hook, &service.first.key, "PRIVATE KEY"] {
        assert!(!log.contains(hidden), "{hidden} is in the log");
    }
    let key_lines = fs::read_to_string(&key).unwrap();
    let line = key_lines.lines().nth(1).unwrap();
    assert!(!log.contains(line), "the key of the certificate is in the log");
}

#[test]
fn doctor_names_no_secret() {
    let folder = TempDir::new().unwrap();
    let url = format!("redis://:{PASSWORD}@127.0.0.1:1");
    let output = command(&["doctor", "--redis-url", &url, "--http-address", "127.0.0.1:1"])
        .current_dir(&folder)
        .output()
        .unwrap();
    let said = said(&output);
    assert!(said.contains("Redis does not answer") && !said.contains(PASSWORD), "{said}");
}

#[tokio::test]
async fn a_configuration_that_others_write_is_refused_and_one_that_they_read_is_told() {
    let folder = TempDir::new().unwrap();
    let open = file(&folder, "open.toml", "[telemetry]\nlog = \"info\"\n", 0o666);
    let refused = command(&["serve", "--config", &open]).current_dir(&folder).output().unwrap();
    assert_eq!(refused.status.code(), Some(64), "{}", said(&refused));
    assert!(said(&refused).contains("everybody may write"), "{}", said(&refused));

    let text = format!("[limits]\nredis_url = \"redis://:{PASSWORD}@127.0.0.1:1\"\n");
    let told = |service: &Service, path: &str| {
        let doctor = service.command(&["doctor", "--config", path]);
        (service.printed().contains("holds a password and can be read"), said(&doctor))
    };
    for (mode, exposed) in [(0o644, true), (0o640, false)] {
        let path = file(&folder, &format!("{mode:o}.toml"), &text, mode);
        let service = Service::start_with(&["--config", &path]).await;
        wait_for("the start to be logged", || async {
            service.printed().contains("ready").then_some(())
        })
        .await;
        let (logged, doctor) = told(&service, &path);
        assert_eq!(logged, exposed, "{}", service.printed());
        assert_eq!(doctor.contains("has a password and can be read"), exposed, "{doctor}");
        assert!(Path::new(&path).exists());
    }
    let harmless = file(&folder, "harmless.toml", "[telemetry]\nlog = \"info\"\n", 0o644);
    let service = Service::start_with(&["--config", &harmless]).await;
    assert!(!told(&service, &harmless).0);
}
