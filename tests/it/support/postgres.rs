//! PostgreSQL servers for the tests, each with a folder of its own and on a free port.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use replyguard::storage::{PostgresAddress, PostgresOptions, PostgresStore};
use tempfile::TempDir;

/// How long a server may take to start or stop on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that ends with this process, however it ends: the guard waits for its input to close.
pub struct PostgresServer {
    folder: PathBuf,
    port: u16,
    guard: Child,
    owned: Option<TempDir>,
}

/// Where Debian and others put what is not in the path.
fn program(name: &str) -> PathBuf {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin").join(name))
        .filter(|path| path.exists())
        .collect();
    found.sort();
    found.pop().unwrap_or_else(|| PathBuf::from(name))
}

/// A command as a user that PostgreSQL runs as: not root.
fn as_user(program: &Path) -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"]).arg(program);
    command
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {text}{errors}");
    text
}

impl PostgresServer {
    /// Starts a server of its own, for tests that stop it.
    pub fn start() -> Self {
        let owned = tempfile::Builder::new().prefix("replyguard-pg-").tempdir().unwrap();
        let mut server = Self::start_in(owned.path());
        server.owned = Some(owned);
        server
    }

    /// Has the server speak TLS with these files (PEM) from now on, and nothing else.
    pub fn encrypt(&self, certificate: &str, key: &str) {
        use std::os::unix::fs::PermissionsExt;
        let data = self.folder.join("data");
        std::fs::write(data.join("server.crt"), certificate).unwrap();
        std::fs::write(data.join("server.key"), key).unwrap();
        let owner_alone = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(data.join("server.key"), owner_alone).unwrap();
        std::fs::write(data.join("pg_hba.conf"), "hostssl all all 127.0.0.1/32 trust\n").unwrap();
        let mut file =
            std::fs::OpenOptions::new().append(true).open(data.join("postgresql.conf")).unwrap();
        file.write_all(b"ssl = on\n").unwrap();
        if rustix::process::geteuid().is_root() {
            run(Command::new("chown").arg("-R").arg("nobody:nogroup").arg(&data));
        }
        self.kill();
        self.launch();
    }

    fn start_in(folder: &Path) -> Self {
        let data = folder.join("data");
        std::fs::create_dir_all(&data).unwrap();
        if rustix::process::geteuid().is_root() {
            run(Command::new("chown").arg("-R").arg("nobody:nogroup").arg(folder));
        }
        run(as_user(&program("initdb"))
            .args(["--auth=trust", "--username=guard", "--encoding=UTF8", "--no-sync"])
            .args(["--locale=C", "-D"])
            .arg(&data)
            .current_dir(folder));
        let port = free_port();
        let configuration = format!(
            "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = ''\n\
             max_connections = 400\nshared_buffers = 64MB\nfsync = off\n\
             full_page_writes = off\nautovacuum_naptime = 5s\n"
        );
        let mut file =
            std::fs::OpenOptions::new().append(true).open(data.join("postgresql.conf")).unwrap();
        file.write_all(configuration.as_bytes()).unwrap();
        let guard = Command::new("sh")
            .arg("-c")
            .arg("cat >/dev/null; kill -9 $(head -1 \"$1/postmaster.pid\") 2>/dev/null; rm -rf \"$2\"")
            .args([Path::new("guard"), &data, folder])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { folder: folder.to_owned(), port, guard, owned: None };
        server.launch();
        server
    }

    /// Starts the server's program and waits until it takes connections.
    pub fn launch(&self) {
        let log = self.folder.join("log");
        run(as_user(&program("pg_ctl"))
            .args(["start", "--wait", "--timeout=60", "--silent", "-D"])
            .arg(self.folder.join("data"))
            .arg("-l")
            .arg(&log)
            .current_dir(&self.folder)
            .stdout(Stdio::null()));
    }

    fn pid(&self) -> Option<rustix::process::Pid> {
        let text = std::fs::read_to_string(self.folder.join("data/postmaster.pid")).ok()?;
        rustix::process::Pid::from_raw(text.lines().next()?.parse().ok()?)
    }

    /// Kills the server as a failing machine would: `launch` starts it again.
    pub fn kill(&self) {
        let pid = self.pid().expect("it runs");
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        wait_until("its connections are gone", || self.members().is_empty());
        // A dead server that nobody buries yet would look like a running one.
        std::fs::remove_file(self.folder.join("data/postmaster.pid")).unwrap();
    }

    /// Stops all its processes where they are, or lets them go on.
    pub fn freeze(&self, frozen: bool) {
        let signal = match frozen {
            true => rustix::process::Signal::STOP,
            false => rustix::process::Signal::CONT,
        };
        for pid in self.members() {
            if let Some(pid) = rustix::process::Pid::from_raw(pid) {
                // One may have ended by itself.
                let _ = rustix::process::kill_process(pid, signal);
            }
        }
    }

    /// The processes that work in its folder.
    fn members(&self) -> Vec<i32> {
        let data = self.folder.join("data");
        std::fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|pid| {
                std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|folder| folder == data)
            })
            .collect()
    }

    /// Where a database is.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://guard@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs a statement as the server's administrator and gives its output.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        run(Command::new(program("psql")).args(["-XAtq", "-v", "ON_ERROR_STOP=1"]).args([
            "-d",
            &self.url(database),
            "-c",
            sql,
        ]))
    }

    /// Makes an empty database.
    pub fn database(&self) -> Database<'_> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name} TEMPLATE template0"));
        Database { server: self, name }
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
        // The guard has removed the folder.
        if let Some(folder) = self.owned.take() {
            let _ = folder.keep();
        }
    }
}

/// The server that all tests share; each has a database of its own.
pub fn shared() -> &'static PostgresServer {
    static SERVER: OnceLock<PostgresServer> = OnceLock::new();
    SERVER.get_or_init(|| {
        let folder = tempfile::Builder::new().prefix("replyguard-pg-").tempdir().unwrap();
        // The guard removes it, since nothing is dropped at the end of a process.
        PostgresServer::start_in(&folder.keep())
    })
}

/// An empty database.
pub struct Database<'a> {
    server: &'a PostgresServer,
    name: String,
}

impl Database<'_> {
    /// Its address.
    pub fn url(&self) -> String {
        self.server.url(&self.name)
    }

    /// Its address, read.
    pub fn address(&self) -> PostgresAddress {
        self.url().parse().unwrap()
    }

    /// Runs a statement in it and gives its output.
    pub fn sql(&self, sql: &str) -> String {
        self.server.sql(&self.name, sql)
    }

    /// Each table with its rows, in which texts and bytes stand as they are.
    pub fn tables(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let names = self.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'");
        let rows = |name: &str| {
            let rows = self.sql(&format!("COPY {name} TO STDOUT (FORMAT binary)"));
            (PathBuf::from(format!("table {name}")), rows.into_bytes())
        };
        names.lines().map(rows).collect()
    }

    /// Opens a store on it, as a replica does.
    pub async fn open(&self) -> PostgresStore {
        let options = PostgresOptions { connection_count_max: 6, ..PostgresOptions::default() };
        PostgresStore::open(&self.address(), options).await.unwrap()
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
