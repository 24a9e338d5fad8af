//! Akismet's client libraries as their registries deliver them, against the real service.
//!
//! `make deps` installs them into `target/test-tools`; what drives them is in `tests/akismet`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::desk::service_that_holds;
use crate::support::service::Service;

/// A library, by the script that drives it.
#[derive(Debug, Clone, Copy)]
enum Library {
    Python,
    AkismetApi,
    CedxAkismet,
}

impl Library {
    fn command(self) -> Command {
        let script = |name: &str| root().join("tests/akismet").join(name);
        let (program, script) = match self {
            Self::Python => (tools().join("python/bin/python"), script("python_client.py")),
            Self::AkismetApi => (PathBuf::from("node"), script("akismet_api.mjs")),
            Self::CedxAkismet => (PathBuf::from("node"), script("cedx_akismet.mjs")),
        };
        let mut command = Command::new(program);
        command.arg(script).env("NODE_TOOLS", tools().join("node_modules/"));
        command
    }

    /// What the library says to each request: a word a request.
    async fn say(self, service: &Service, key: &str, requests: &[Value]) -> Vec<String> {
        let mut command = self.command();
        command
            .env("REPLYGUARD_URL", format!("http://{}", service.first.http))
            .env("AKISMET_KEY", key)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("a client's program; `make deps` installs it");
        let lines: String = requests.iter().map(|request| format!("{request}\n")).collect();
        child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        let output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
        let output = output.await.unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{self:?} (`make deps` installs it): {errors}");
        let words = String::from_utf8(output.stdout).unwrap();
        words.lines().map(str::to_owned).collect()
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn tools() -> PathBuf {
    root().join("target/test-tools")
}

fn good() -> Value {
    json!({
        "user_ip": "192.0.2.7",
        "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        "permalink": "https://blog.example.org/rye-bread",
        "comment_type": "comment",
        "comment_author": "Ada",
        "comment_author_email": "ada@example.org",
        "comment_content": "It's the first recipe with rye that worked in my oven. How long do you let it rest?",
    })
}

fn spam() -> Value {
    json!({
        "user_ip": "198.51.100.9",
        "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        "permalink": "https://blog.example.org/rye-bread",
        "comment_type": "comment",
        "comment_author": "Best Online Casino Bonus",
        "comment_author_email": "promo@casino-bonus.example.com",
        "comment_author_url": "https://casino-bonus.example.com/free-spins",
        "comment_content": "Play at the best online casino now: free spins, no deposit bonus, instant payout! \
            <a href=\"https://casino-bonus.example.com/free-spins\">casino bonus</a> \
            https://casino-bonus.example.com/slots https://casino-bonus.example.com/poker cheap viagra",
    })
}

/// Spam is rejected; its owner calls it ham, and it is ham from then on.
async fn a_day_with(library: Library) {
    let service = Service::start().await;
    let key = service.first.akismet_key.clone().expect("a key for Akismet's clients");
    let mut again = spam();
    again["recheck_reason"] = json!("recheck_queue");
    let requests = [
        json!({ "do": "verify" }),
        json!({ "do": "check", "comment": good() }),
        json!({ "do": "check", "comment": spam() }),
        json!({ "do": "submit-ham", "comment": spam() }),
        json!({ "do": "check", "comment": again }),
        json!({ "do": "submit-spam", "comment": good() }),
    ];
    let words = library.say(&service, &key, &requests).await;
    // What is blatant may be thrown away; one library does not know of that.
    let blatant = if matches!(library, Library::AkismetApi) { "spam" } else { "discard" };
    assert_eq!(words, ["valid", "ham", blatant, "thanked", "ham", "thanked"], "{library:?}");
    let words = library.say(&service, "0123456789ab", &requests[..2]).await;
    assert_eq!(words, ["invalid", "raised"], "{library:?} with a key that nobody has");
}

/// A held comment is no `ham` and no `spam`: every library throws.
async fn holding_raises_in(library: Library) {
    let (mut service, _client) = service_that_holds().await;
    let key = service.first.akismet_key.clone().expect("a key for Akismet's clients");
    let requests = [json!({ "do": "check", "comment": good() })];
    assert_eq!(library.say(&service, &key, &requests).await, ["raised"], "{library:?}: held");
    service.stop().await;
    assert_eq!(library.say(&service, &key, &requests).await, ["raised"], "{library:?}: stopped");
}

#[tokio::test]
async fn akismet_of_pypi_works_unmodified() {
    a_day_with(Library::Python).await;
    holding_raises_in(Library::Python).await;
}

#[tokio::test]
async fn akismet_api_of_npm_works_unmodified() {
    a_day_with(Library::AkismetApi).await;
    holding_raises_in(Library::AkismetApi).await;
}

#[tokio::test]
async fn cedx_akismet_of_npm_works_unmodified() {
    a_day_with(Library::CedxAkismet).await;
    holding_raises_in(Library::CedxAkismet).await;
}
