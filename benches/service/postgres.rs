//! A PostgreSQL of the benchmark's own, durable as in production.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A server that ends when this is dropped.
pub struct Postgres {
    folder: TempDir,
    url: String,
    pid: u32,
}

/// Where Debian and others put what is not in the path.
fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = versions
        .map(|entry| entry.path().join("bin").join(name))
        .filter(|path| path.exists())
        .collect();
    found.sort();
    found.pop().unwrap_or_else(|| PathBuf::from(name))
}

/// The program as a user that PostgreSQL runs as: not root.
fn as_user(name: &str) -> Command {
    let program = program(name);
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"]).arg(program);
    command
}

fn run(command: &mut Command) {
    let status = command.stdout(Stdio::null()).status();
    assert!(status.is_ok_and(|status| status.success()), "{command:?} (Debian: postgresql)");
}

impl Postgres {
    /// Starts it on a free port with an empty database.
    pub fn start() -> Self {
        Self::start_in(&std::env::temp_dir())
    }

    /// Starts it with its data in a folder of its own within this one.
    pub fn start_in(folder: &Path) -> Self {
        let folder = TempDir::new_in(folder).expect("a temporary folder");
        let data = folder.path().join("data");
        std::fs::create_dir(&data).expect("a folder");
        if rustix::process::geteuid().is_root() {
            run(Command::new("chown").args(["-R", "nobody:nogroup"]).arg(folder.path()));
        }
        run(as_user("initdb")
            .args(["--auth=trust", "--username=bench", "--encoding=UTF8", "--locale=C", "-D"])
            .arg(&data));
        let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
        let port = port.expect("a free port").port();
        let options = format!(
            "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
             -c max_connections=200 -c shared_buffers=256MB"
        );
        run(Self::control(&data)
            .args(["start", "--wait", "-o", &options, "-l"])
            .arg(folder.path().join("log")));
        let pid = std::fs::read_to_string(data.join("postmaster.pid")).expect("it runs");
        let pid = pid.lines().next().and_then(|line| line.parse().ok()).expect("a number");
        Self { folder, url: format!("postgres://bench@127.0.0.1:{port}/postgres"), pid }
    }

    fn control(data: &Path) -> Command {
        let mut command = as_user("pg_ctl");
        command.arg("-D").arg(data);
        command
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// The process that the others are children of.
    pub fn pid(&self) -> u32 {
        self.pid
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let data = self.folder.path().join("data");
        let _ = Self::control(&data).args(["stop", "-m", "immediate"]).status();
    }
}
