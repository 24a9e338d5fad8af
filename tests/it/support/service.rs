//! The real binary with a fresh data folder and free ports.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use replyguard::app::FirstSite;
use replyguard::grpc::client::Client;
use replyguard::grpc::proto;
use replyguard::http;
use tempfile::TempDir;

use super::backend::Backend;

/// How long anything may take before a test gives up: generous, since machines are slow at times.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `condition` gives something, and says what was waited for if it never does.
pub async fn wait_for<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut condition: impl FnMut() -> F,
) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        assert!(begin.elapsed() < PATIENCE, "gave up waiting for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A running service. It is killed when this is dropped.
pub struct Service {
    child: Child,
    folder: TempDir,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    pub first: FirstSite,
}

impl Service {
    /// Starts one with default settings.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts one on a backend.
    pub async fn start_on(backend: Backend) -> Self {
        let flags = backend.flags();
        Self::start_with(&flags.iter().map(String::as_str).collect::<Vec<_>>()).await
    }

    /// Starts one with more flags.
    pub async fn start_with(arguments: &[&str]) -> Self {
        Self::start_in(TempDir::new().expect("a temporary folder"), arguments).await
    }

    /// Starts one with more flags and variables.
    pub async fn start_among(environment: &[(&str, &str)], arguments: &[&str]) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        Self::start_in_among(folder, environment, arguments).await
    }

    /// Starts one whose data are in `folder`/data.
    pub async fn start_in(folder: TempDir, arguments: &[&str]) -> Self {
        Self::start_in_among(folder, &[], arguments).await
    }

    /// Starts a second replica, which made no site and so has no file with a key: it gets this one's.
    pub async fn start_beside(&self, arguments: &[&str]) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        fs::create_dir(folder.path().join("data")).expect("a folder");
        let mut known = self.first.clone();
        // Until it writes its own addresses.
        known.http = "127.0.0.1:1".into();
        let file = folder.path().join("data/first-site.json");
        fs::write(&file, serde_json::to_string(&known).expect("JSON")).expect("a file");
        Self::start_in(folder, arguments).await
    }

    async fn start_in_among(
        folder: TempDir,
        environment: &[(&str, &str)],
        arguments: &[&str],
    ) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let environment: Vec<_> = environment.iter().map(owned).collect();
        let child = spawn(&folder, &arguments, &environment);
        let placeholder = FirstSite {
            site: String::new(),
            key: String::new(),
            akismet_key: None,
            grpc: String::new(),
            http: String::new(),
        };
        let mut service = Self { child, folder, arguments, environment, first: placeholder };
        service.await_ready().await;
        service
    }

    async fn await_ready(&mut self) {
        let file = self.data().join("first-site.json");
        let log = self.folder.path().join("log");
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child's state") {
                panic!("the service ended with {status}: {}", fs::read_to_string(log).unwrap());
            }
            let read = fs::read_to_string(&file).ok();
            if let Some(first) = read.and_then(|text| serde_json::from_str::<FirstSite>(&text).ok())
                && self.is_ready(&first.http).await
            {
                self.first = first;
                return;
            }
            assert!(begin.elapsed() < PATIENCE, "gave up waiting for the service to be ready");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Whether the HTTP port says that it is ready; with TLS, whether it is open.
    async fn is_ready(&self, http: &str) -> bool {
        if self.arguments.iter().any(|flag| flag == "--http-certificate-file") {
            return tokio::net::TcpStream::connect(http).await.is_ok();
        }
        let answer = http::client::get(&format!("http://{http}/readyz")).await;
        answer.is_ok_and(|(status, _)| status == 200)
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Everything the service printed and logged so far.
    pub fn printed(&self) -> String {
        let read = |name| fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        read("out") + &read("log")
    }

    /// Bytes of all files in the data folder.
    pub fn stored_bytes(&self) -> Vec<(PathBuf, Vec<u8>)> {
        walkdir::WalkDir::new(self.data())
            .into_iter()
            .filter_map(Result::ok)
            .filter(|entry| entry.file_type().is_file())
            .map(|entry| (entry.path().to_owned(), fs::read(entry.path()).unwrap_or_default()))
            .collect()
    }

    /// A client with the first site's key.
    pub async fn client(&self) -> Client {
        self.client_with(Some(&self.first.key)).await
    }

    /// A client with another key, or none.
    pub async fn client_with(&self, key: Option<&str>) -> Client {
        Client::connect(&self.first.grpc, key).await.expect("the service listens")
    }

    /// The body of a page of the HTTP port.
    pub async fn page(&self, path: &str) -> (u16, String) {
        http::client::get(&format!("http://{}{path}", self.first.http)).await.expect("an answer")
    }

    /// Sends a signal to the process.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status()
            .expect("the command kill");
        assert!(status.success());
    }

    /// The number of the process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A figure of the metrics, whose name is given with its labels; nothing if it is not there.
    pub async fn metric(&self, name: &str) -> Option<f64> {
        let (_, text) = self.page("/metrics").await;
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    }

    /// Kills the process at once, as a power cut would, and starts it again on the same data.
    pub async fn kill_and_restart(&mut self) {
        self.child.kill().expect("a running service");
        self.child.wait().expect("an ended service");
        // The ports of the run before are gone; wait for those of the next.
        let file = self.data().join("first-site.json");
        let text = fs::read_to_string(&file).expect("the file of the first site");
        let mut stale: FirstSite = serde_json::from_str(&text).expect("it is whole");
        stale.http = "127.0.0.1:1".into();
        fs::write(file, serde_json::to_string(&stale).unwrap()).unwrap();
        self.child = spawn(&self.folder, &self.arguments, &self.environment);
        self.await_ready().await;
    }

    /// The same with other flags.
    pub async fn restart_with(&mut self, arguments: &[&str]) {
        self.arguments = arguments.iter().map(|text| (*text).to_owned()).collect();
        self.kill_and_restart().await;
    }

    /// How the process ended, if it did.
    pub fn poll_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child's state")
    }

    /// The process's number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks the process to stop and waits for its end.
    pub async fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.ended().await
    }

    /// Waits for the process's end.
    pub async fn ended(&mut self) -> ExitStatus {
        wait_for("the service to stop", || {
            let ended = self.poll_ended();
            async move { ended }
        })
        .await
    }

    /// A subcommand against this service's data folder.
    pub fn child(&self, arguments: &[&str]) -> Command {
        let mut command = command(arguments);
        command.env("REPLYGUARD_DATA_DIR", self.data());
        command
    }

    /// Runs a subcommand against this service's data folder.
    pub fn command(&self, arguments: &[&str]) -> Output {
        self.child(arguments).output().expect("the binary")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary with arguments, and no settings of the machine's.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_replyguard"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("REPLYGUARD_")) {
        command.env_remove(name);
    }
    command.args(arguments);
    command
}

/// Starts the binary by a shell that lets files stop growing without killing it (`SIGXFSZ`).
fn spawn(folder: &TempDir, arguments: &[String], environment: &[(String, String)]) -> Child {
    let open = |name| {
        let path = folder.path().join(name);
        File::options().create(true).append(true).open(path).expect("a file for output")
    };
    let ports = ["--grpc-address", "127.0.0.1:0", "--http-address", "127.0.0.1:0"];
    let mut shell = Command::new("sh");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("REPLYGUARD_")) {
        shell.env_remove(name);
    }
    shell
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_replyguard"), "serve"])
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .args(ports)
        .arg("--data-dir")
        .arg(folder.path().join("data"))
        .args(arguments)
        .stdout(Stdio::from(open("out")))
        .stderr(Stdio::from(open("log")))
        .spawn()
        .expect("the binary starts")
}

/// A comment that passes the default policy.
pub fn comment(text: &str) -> proto::Comment {
    proto::Comment {
        text: text.into(),
        author: "Jane Doe".into(),
        email: fresh_email(),
        ..proto::Comment::default()
    }
}

/// An address that no other comment has, so that limits by author don't apply.
pub fn fresh_email() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("jane.doe{}@example.org", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A check of the first site.
pub fn check(comment: proto::Comment) -> proto::CheckCommentRequest {
    proto::CheckCommentRequest {
        parent: "sites/default".into(),
        comment: Some(comment),
        request_id: String::new(),
    }
}
