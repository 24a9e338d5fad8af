//! Real redis-servers on free ports: one, one with TLS, a cluster.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use replyguard::limits::RedisOptions;
use tempfile::TempDir;

use super::service::wait_for;

/// A running server without persistence. It is killed when this is dropped.
pub struct RedisServer {
    child: Child,
    port: u16,
    folder: TempDir,
    arguments: Vec<String>,
    /// What redis-cli needs besides the port.
    cli: Vec<String>,
}

/// A certificate authority and a certificate for `localhost` and 127.0.0.1, in files.
pub struct Certificates {
    folder: TempDir,
}

impl Certificates {
    /// Fresh ones.
    pub fn new() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.distinguished_name.push(DnType::CommonName, "An authority");
        let authority_key = KeyPair::generate().unwrap();
        let ca = authority.self_signed(&authority_key).unwrap();
        let issuer = Issuer::new(authority, authority_key);
        let key = KeyPair::generate().unwrap();
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut certificate = CertificateParams::new(names).unwrap();
        // OpenSSL takes a certificate whose issuer has its own name for one that signed itself.
        certificate.distinguished_name.push(DnType::CommonName, "localhost");
        let certificate = certificate.signed_by(&key, &issuer).unwrap();
        let write = |name: &str, text: String| fs::write(folder.path().join(name), text).unwrap();
        write("ca.pem", ca.pem());
        write("cert.pem", certificate.pem());
        write("key.pem", key.serialize_pem());
        Self { folder }
    }

    /// The authority's certificate.
    pub fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Flags of redis-server; `cluster` nodes use TLS among themselves as well.
    fn flags(&self, port: u16, cluster: bool) -> Vec<String> {
        let port = port.to_string();
        let [ca, certificate, key] = ["ca.pem", "cert.pem", "key.pem"].map(|name| self.path(name));
        let mut flags = vec!["--port", "0", "--tls-port", &port, "--tls-auth-clients", "no"];
        flags.extend(["--tls-ca-cert-file", &ca, "--tls-cert-file", &certificate]);
        flags.extend(["--tls-key-file", &key]);
        if cluster {
            flags.extend(["--tls-cluster", "yes", "--tls-replication", "yes"]);
        }
        flags.into_iter().map(str::to_owned).collect()
    }

    fn cli(&self) -> Vec<String> {
        vec!["--tls".into(), "--cacert".into(), self.path("ca.pem")]
    }
}

impl RedisServer {
    /// Starts one.
    pub async fn start() -> Self {
        Self::start_with(free_port(), &[], &[]).await
    }

    /// Starts one that speaks TLS alone, with more flags.
    pub async fn start_with_tls(certificates: &Certificates, flags: &[&str]) -> Self {
        let port = free_port();
        let mut all = certificates.flags(port, false);
        all.extend(flags.iter().map(|flag| (*flag).to_owned()));
        Self::start_with(port, &all, &certificates.cli()).await
    }

    async fn start_with(port: u16, flags: &[String], cli: &[String]) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let mut arguments = vec!["--port".to_owned(), port.to_string()];
        arguments.extend_from_slice(flags);
        let child = spawn(&folder, &arguments);
        let mut server = Self { child, port, folder, arguments, cli: cli.to_vec() };
        server.await_ready().await;
        server
    }

    /// `redis://127.0.0.1:{port}`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The port that clients connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How to reach it for tests about counting, not about time: machines are slow at times.
    pub fn patient_options(&self) -> RedisOptions {
        RedisOptions { response_timeout: Duration::from_secs(5), ..RedisOptions::new(self.url()) }
    }

    async fn await_ready(&mut self) {
        let this = std::cell::RefCell::new(self);
        wait_for("redis-server to answer", async || {
            let mut this = this.borrow_mut();
            if let Some(status) = this.child.try_wait().expect("a child's state") {
                let log = fs::read_to_string(this.folder.path().join("log"));
                panic!("redis-server ended with {status}: {}", log.unwrap_or_default());
            }
            let answer = this.cli(&["PING"]);
            // One that wants a password answers, too.
            (answer.contains("PONG") || answer.contains("NOAUTH")).then_some(())
        })
        .await;
    }

    /// Kills the server: connections are refused from now on.
    pub fn kill(&mut self) {
        self.child.kill().expect("a running server");
        self.child.wait().expect("an ended server");
    }

    /// Starts it again on the same port, with nothing in it but what a node of a cluster knows of
    /// the others.
    pub async fn restart(&mut self) {
        self.child = spawn(&self.folder, &self.arguments);
        self.await_ready().await;
    }

    /// Stops the process without closing its connections: it hangs.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args([&format!("-{name}"), &pid]).status();
        assert!(status.expect("the command kill").success());
    }

    /// What a command answers.
    pub fn cli(&self, arguments: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            .args(&self.cli)
            .args(arguments)
            .output()
            .expect("redis-cli, of Debian's package redis-tools (`make deps` installs it)");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Everything in it, as it would go to disk, not compressed.
    pub fn dump(&self) -> Vec<u8> {
        assert!(self.cli(&["SAVE"]).contains("OK"));
        fs::read(self.folder.path().join("dump.rdb")).expect("a dump")
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address that stays while the server behind it changes, as a name, a virtual address or a proxy
/// does: connections lead to the server of the time when they were made.
pub struct Relay {
    port: u16,
    target: Arc<AtomicU16>,
    task: tokio::task::JoinHandle<()>,
}

impl Relay {
    /// One that leads to this server.
    pub async fn start(server: &RedisServer) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().unwrap().port();
        let target = Arc::new(AtomicU16::new(server.port));
        let shared = target.clone();
        let task = tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let port = shared.load(Ordering::SeqCst);
                tokio::spawn(async move {
                    if let Ok(mut far) = tokio::net::TcpStream::connect(("127.0.0.1", port)).await {
                        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                    }
                });
            }
        });
        Self { port, target, task }
    }

    /// Leads new connections to another server; those that are there stay.
    pub fn lead_to(&self, server: &RedisServer) {
        self.target.store(server.port, Ordering::SeqCst);
    }

    /// `redis://127.0.0.1:{port}`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A cluster of three nodes that own slots, and perhaps a replica of each.
pub struct RedisCluster {
    pub nodes: Vec<RedisServer>,
    tls: Option<Certificates>,
}

impl RedisCluster {
    /// Starts one.
    pub async fn start(replicas: bool, tls: Option<Certificates>) -> Self {
        let mut nodes = Vec::new();
        for _ in 0..if replicas { 6 } else { 3 } {
            let (port, bus) = (free_port(), free_port().to_string());
            let mut flags = tls.as_ref().map_or(Vec::new(), |tls| tls.flags(port, true));
            let cluster = ["--cluster-enabled", "yes", "--cluster-port", &bus];
            let settings = ["--cluster-node-timeout", "2000", "--repl-diskless-sync-delay", "0"];
            // The slots of a dead node are the only ones that fail.
            let partial = ["--cluster-require-full-coverage", "no"];
            flags.extend(
                [&cluster[..], &settings[..], &partial[..]].concat().into_iter().map(Into::into),
            );
            let cli = tls.as_ref().map_or(Vec::new(), Certificates::cli);
            nodes.push(RedisServer::start_with(port, &flags, &cli).await);
        }
        let cluster = Self { nodes, tls };
        cluster.join(replicas);
        cluster.await_ok().await;
        cluster
    }

    fn join(&self, replicas: bool) {
        let addresses = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port));
        let output = Command::new("redis-cli")
            .args(self.tls.as_ref().map_or(Vec::new(), Certificates::cli))
            .args(["--cluster", "create"])
            .args(addresses)
            .args(["--cluster-replicas", if replicas { "1" } else { "0" }, "--cluster-yes"])
            .output()
            .expect("redis-cli");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }

    /// Waits until every node sees all slots served and knows all others, and every replica could
    /// take over.
    pub async fn await_ok(&self) {
        wait_for("the cluster", || async {
            let known = format!("cluster_known_nodes:{}", self.nodes.len());
            let ok = |node: &RedisServer| {
                let info = node.cli(&["CLUSTER", "INFO"]);
                info.contains("cluster_state:ok")
                    && info.contains("cluster_slots_ok:16384")
                    && info.contains(&known)
                    && !node.cli(&["INFO", "replication"]).contains("master_link_status:down")
            };
            self.nodes.iter().all(ok).then_some(())
        })
        .await;
    }

    /// All nodes' addresses, with TLS if they speak it.
    pub fn options(&self) -> RedisOptions {
        let hosts: Vec<_> =
            self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        let scheme = if self.tls.is_some() { "rediss" } else { "redis" };
        RedisOptions {
            ca_file: self.tls.as_ref().map(Certificates::ca),
            ..RedisOptions::new(format!("{scheme}+cluster://{}", hosts.join(",")))
        }
    }

    /// The node that owns the slot of a key now, by its index.
    pub fn owner(&self, key: &str) -> usize {
        let slot: u32 = self.nodes[0].cli(&["CLUSTER", "KEYSLOT", key]).trim().parse().unwrap();
        let serves = |node: &RedisServer| {
            let nodes = node.cli(&["CLUSTER", "NODES"]);
            let own = nodes.lines().find(|line| line.contains("myself")).unwrap_or_default();
            own.contains("master")
                && own.split_whitespace().skip(8).any(|range| {
                    let (first, last) = range.split_once('-').unwrap_or((range, range));
                    let [first, last] = [first, last].map(|end| end.parse::<u32>().ok());
                    first.zip(last).is_some_and(|(first, last)| (first..=last).contains(&slot))
                })
        };
        self.nodes.iter().position(serves).expect("somebody serves the slot")
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().unwrap().port()
}

fn spawn(folder: &TempDir, arguments: &[String]) -> Child {
    let log = File::options().create(true).append(true).open(folder.path().join("log"));
    Command::new("redis-server")
        .args(["--save", "", "--appendonly", "no", "--rdbcompression", "no", "--dir"])
        .arg(folder.path())
        .args(arguments)
        .stdout(Stdio::from(log.expect("a file for output")))
        .spawn()
        .expect("redis-server, of Debian's package of that name (`make deps` installs it)")
}
