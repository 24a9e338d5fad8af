//! A real redis-server on a free port.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::service::wait_for;

/// A running server without persistence. It is killed when this is dropped.
pub struct RedisServer {
    child: Child,
    port: u16,
    folder: TempDir,
}

impl RedisServer {
    /// Starts one.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let folder = TempDir::new().expect("a temporary folder");
        let server = Self { child: spawn(port, &folder), port, folder };
        server.await_ready().await;
        server
    }

    /// `redis://127.0.0.1:{port}`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    async fn await_ready(&self) {
        wait_for("redis-server to answer", || async {
            self.cli(&["PING"]).contains("PONG").then_some(())
        })
        .await;
    }

    /// Kills the server: connections are refused from now on.
    pub fn kill(&mut self) {
        self.child.kill().expect("a running server");
        self.child.wait().expect("an ended server");
    }

    /// Starts it again on the same port, with nothing in it.
    pub async fn restart(&mut self) {
        self.child = spawn(self.port, &self.folder);
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
            .args(["-p", &self.port.to_string()])
            .args(arguments)
            .output()
            .expect("redis-cli, of Debian's package redis-tools (`make deps` installs it)");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Everything in it, as it would go to disk, not compressed.
    pub fn dump(&self) -> Vec<u8> {
        assert!(self.cli(&["SAVE"]).contains("OK"));
        std::fs::read(self.folder.path().join("dump.rdb")).expect("a dump")
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(port: u16, folder: &TempDir) -> Child {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--save", "", "--appendonly", "no"])
        .args(["--rdbcompression", "no", "--dir"])
        .arg(folder.path())
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server, of Debian's package of that name (`make deps` installs it)")
}
