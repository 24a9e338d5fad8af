//! The servers that are measured, each held to core 0.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use prost::Message;
use replyguard::app::FirstSite;
use replyguard::grpc::client::Client;
use replyguard::grpc::proto;
use replyguard::http;
use tempfile::TempDir;

fn on_core_0(program: &str) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", "0", program]);
    command
}

/// Where a service keeps what several of them share; nothing: in its own folder and process.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stores<'a> {
    pub redis_url: Option<&'a str>,
    pub database_url: Option<&'a str>,
}

/// A process that is killed when this is dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// This program as the echo server.
pub struct Echo {
    child: Killed,
    address: String,
}

impl Echo {
    pub fn start(response: &[u8]) -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut child = on_core_0(program.to_str().expect("a path of text"))
            .arg("--echo")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("taskset");
        child.stdin.take().expect("a pipe").write_all(response).expect("written");
        let mut address = String::new();
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe"));
        lines.read_line(&mut address).expect("the address");
        Self { child: Killed(child), address: address.trim().to_owned() }
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn pid(&self) -> u32 {
        self.child.0.id()
    }
}

/// A real redis-server without persistence.
pub struct Redis {
    child: Killed,
    url: String,
}

impl Redis {
    pub fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
        let port = port.expect("a free port").port().to_string();
        let child = Command::new("redis-server")
            .args(["--port", &port, "--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server, of Debian's package of that name");
        while std::net::TcpStream::connect(format!("127.0.0.1:{port}")).is_err() {
            std::thread::sleep(Duration::from_millis(5));
        }
        Self { child: Killed(child), url: format!("redis://127.0.0.1:{port}") }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn pid(&self) -> u32 {
        self.child.0.id()
    }
}

/// The call that is repeated, as bytes.
pub struct Call {
    pub request: Vec<u8>,
    pub response: Vec<u8>,
}

/// The release binary.
pub struct Service {
    child: Killed,
    folder: TempDir,
    first: FirstSite,
}

impl Service {
    pub async fn start(name: &str, stores: Stores<'_>) -> Self {
        Self::start_in(TempDir::with_prefix(name).expect("a temporary folder"), stores).await
    }

    /// A second replica: it makes no site, so it gets this one's key.
    pub async fn start_beside(&self, name: &str, stores: Stores<'_>) -> Self {
        let folder = TempDir::with_prefix(name).expect("a temporary folder");
        let mut known = self.first.clone();
        // Until it writes its own addresses.
        known.http = "127.0.0.1:1".into();
        fs::create_dir(folder.path().join("data")).expect("a folder");
        let text = serde_json::to_string(&known).expect("JSON");
        fs::write(folder.path().join("data/first-site.json"), text).expect("a file");
        Self::start_in(folder, stores).await
    }

    async fn start_in(folder: TempDir, stores: Stores<'_>) -> Self {
        let mut command = on_core_0(env!("CARGO_BIN_EXE_replyguard"));
        command
            .args(["serve", "--grpc-address", "127.0.0.1:0", "--http-address", "127.0.0.1:0"])
            .args(["--worker-count", "1", "--log", "warn", "--data-dir"])
            .arg(folder.path().join("data"))
            .stdout(Stdio::null());
        if let Some(url) = stores.redis_url {
            command.args(["--redis-url", url]);
        }
        if let Some(url) = stores.database_url {
            command.args(["--database-url", url]);
        }
        let child = Killed(command.spawn().expect("taskset"));
        let file: PathBuf = folder.path().join("data/first-site.json");
        let first = loop {
            let read = fs::read_to_string(&file).ok();
            let first = read.and_then(|text| serde_json::from_str::<FirstSite>(&text).ok());
            if let Some(first) = first
                && let Ok((200, _)) =
                    http::client::get(&format!("http://{}/readyz", first.http)).await
            {
                break first;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        Self { child, folder, first }
    }

    pub fn address(&self) -> &str {
        &self.first.grpc
    }

    pub fn key(&self) -> &str {
        &self.first.key
    }

    pub fn http_address(&self) -> &str {
        &self.first.http
    }

    /// The comment that is repeated, in Akismet's words.
    pub fn akismet_form(&self) -> String {
        let comment = comment();
        let key = self.first.akismet_key.as_deref().expect("a key for Akismet's clients");
        url::form_urlencoded::Serializer::new(String::new())
            .append_pair("api_key", key)
            .append_pair("blog", "https://blog.example.net")
            .append_pair("comment_content", &comment.text)
            .append_pair("comment_author", &comment.author)
            .append_pair("comment_author_email", &comment.email)
            .append_pair("comment_author_url", &comment.url)
            .append_pair("user_ip", &comment.ip)
            .append_pair("user_agent", &comment.user_agent)
            .append_pair("referrer", &comment.referrer)
            .append_pair("permalink", &comment.page_uri)
            .append_pair("comment_context[]", &comment.page_title)
            .append_pair("blog_lang", &comment.language)
            .append_pair("POST_ak_hp_textarea", "")
            .append_pair("POST_ak_js", "48000")
            .append_pair("HTTP_ACCEPT_LANGUAGE", "en-GB,en;q=0.8")
            .append_pair("HTTP_COOKIE", "wordpress_test_cookie=WP+Cookie+check")
            .append_pair("SERVER_SOFTWARE", "Apache/2.4")
            .finish()
    }

    pub fn pid(&self) -> u32 {
        self.child.0.id()
    }

    pub fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("running");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
        line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number")
    }

    /// Lets every limit be counted but none be reached, and gives the call to repeat.
    pub async fn prepare(&self) -> Call {
        let mut client =
            Client::connect(&self.first.grpc, Some(&self.first.key)).await.expect("up");
        let rule = Some(proto::LimitRule { burst_count: i32::MAX, period_ms: 1 });
        let limits = proto::Limits {
            ip: rule,
            ip_prefix: rule,
            author: rule,
            page: rule,
            site: rule,
            identical_text: rule,
        };
        let policy = proto::SitePolicy { limits: Some(limits), ..proto::SitePolicy::default() };
        let site = proto::Site {
            name: "sites/default".into(),
            policy: Some(policy),
            ..proto::Site::default()
        };
        let paths = vec!["policy.limits".into()];
        let request = proto::UpdateSiteRequest {
            site: Some(site),
            update_mask: Some(prost_types::FieldMask { paths }),
        };
        client.sites.update_site(request).await.expect("the policy");
        let request = proto::CheckCommentRequest {
            parent: "sites/default".into(),
            comment: Some(comment()),
            request_id: String::new(),
        };
        let response = client.comments.check_comment(request.clone()).await.expect("a verdict");
        Call { request: request.encode_to_vec(), response: response.into_inner().encode_to_vec() }
    }

    /// Makes sure that every call was really checked and recorded.
    pub async fn verify(&self) {
        let page = http::client::get(&format!("http://{}/metrics", self.first.http)).await;
        let (_, text) = page.expect("metrics");
        let failed: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("replyguard_calls_total{method=\"CheckComment\""))
            .filter(|line| !line.contains("outcome=\"ok\""))
            .collect();
        assert!(failed.is_empty(), "{failed:?}");
        let size: u64 = walkdir::WalkDir::new(self.folder.path())
            .into_iter()
            .filter_map(|entry| entry.ok()?.metadata().ok())
            .map(|metadata| metadata.len())
            .sum();
        assert!(size > 1 << 20, "the checks are on disk");
    }
}

/// A comment of 300 characters with every field of the form.
fn comment() -> proto::Comment {
    let text = "I followed your guide last weekend and it mostly went well, but the second coat of \
                varnish never dried in our cellar. Could the humidity be the reason? We measured \
                about 70 percent down there. A friend suggested a small heater, which I would rather \
                avoid with small children around. Thanks again!";
    proto::Comment {
        text: text.into(),
        author: "Marta Lindqvist".into(),
        email: "marta.lindqvist@mail.example.org".into(),
        url: "https://woodwork.example.org/about".into(),
        ip: "198.51.100.23".into(),
        user_agent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0".into(),
        referrer: "https://blog.example.net/varnish".into(),
        page_uri: "https://blog.example.net/varnish".into(),
        page_title: "Varnishing an old table".into(),
        language: "en".into(),
        honeypot: Some(String::new()),
        elapsed_ms: Some(48_000),
        ..proto::Comment::default()
    }
}
