//! One run of h2load, and the CPU that the server spent on it.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

/// Streams in flight: enough to keep one core busy, as a busy CMS would.
const STREAM_COUNT: u32 = 100;
/// Ticks of `/proc/PID/stat` a second (`USER_HZ`, the same on every Linux).
const TICKS_PER_SECOND: f64 = 100.0;

/// What is sent.
pub struct Load<'a> {
    pub call: &'a [u8],
    pub key: String,
    pub count: u64,
    pub rate: Option<f64>,
}

/// What it cost.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    pub cpu_us: f64,
    pub calls_per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
}

impl Measured {
    /// The round with the middle CPU time.
    pub fn middle(mut rounds: Vec<Self>) -> Self {
        rounds.sort_by(|a, b| a.cpu_us.total_cmp(&b.cpu_us));
        rounds[rounds.len() / 2]
    }
}

impl Load<'_> {
    /// Sends the calls to `address` and reads the CPU time of `pid`.
    pub fn run(&self, address: &str, pid: u32) -> Measured {
        let folder = TempDir::new().expect("a temporary folder");
        let body = folder.path().join("body");
        let log = folder.path().join("log");
        let length = u32::try_from(self.call.len()).expect("a small call").to_be_bytes();
        fs::write(&body, [&[0], &length[..], self.call].concat()).expect("a file");
        let connections = if self.rate.is_some() { 4 } else { 2 };
        let mut command = Command::new("taskset");
        command.args(["-c", "1", "h2load", "-t", "1"]);
        command.args(["-c", &connections.to_string()]);
        command.args(["-m", &(STREAM_COUNT / connections).to_string()]);
        command.args(["-n", &self.count.to_string()]);
        command.arg(format!("--log-file={}", log.display()));
        if let Some(rate) = self.rate {
            command.arg(format!("--rps={}", (rate / f64::from(connections)) as u64));
        }
        command.arg("-d").arg(&body);
        command.args(["-H", "content-type: application/grpc", "-H", "te: trailers"]);
        command.args(["-H", &format!("x-api-key: {}", self.key)]);
        command.arg(format!("http://{address}/replyguard.v1.CommentService/CheckComment"));
        let before = cpu_seconds(pid);
        let output = command.output().expect("h2load, of Debian's package nghttp2-client");
        let cpu = cpu_seconds(pid) - before;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains(&format!("{} succeeded", self.count)), "{text}");
        let (p50_ms, p99_ms) = percentiles(&fs::read_to_string(&log).expect("h2load's log"));
        Measured {
            cpu_us: cpu * 1e6 / self.count as f64,
            calls_per_second: number_before(&text, " req/s"),
            p50_ms,
            p99_ms,
        }
    }
}

/// Sends comments in Akismet's dialect, each another one also among rounds (else it
/// would be a copy and get the first answer), from as many connections as calls are in
/// flight otherwise, and reads the CPU time of `pid`. Answers with the CPU of a call, in µs.
pub fn akismet_cpu_us(address: &str, pid: u32, form: &str, round: usize, count: u64) -> f64 {
    let folder = TempDir::new().expect("a temporary folder");
    let body = folder.path().join("body");
    fs::write(&body, form).expect("a file");
    let each = count / u64::from(STREAM_COUNT);
    let before = cpu_seconds(pid);
    let mut clients = Vec::new();
    for client in 0..STREAM_COUNT {
        let uris = folder.path().join(format!("uris-{client}"));
        let lines: String = (0..each)
            .map(|n| {
                format!("http://{address}/1.1/comment-check?comment_post_ID={round}-{client}-{n}\n")
            })
            .collect();
        fs::write(&uris, lines).expect("a file");
        let mut command = Command::new("taskset");
        command.args(["-c", "1", "h2load", "--h1", "-t", "1", "-c", "1", "-m", "1"]);
        command.args(["-n", &each.to_string()]).arg("-i").arg(&uris).arg("-d").arg(&body);
        command.args(["-H", "content-type: application/x-www-form-urlencoded"]);
        command.stdout(std::process::Stdio::piped());
        clients.push(command.spawn().expect("h2load, of Debian's package nghttp2-client"));
    }
    for client in clients {
        let output = client.wait_with_output().expect("h2load's summary");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains(&format!("{each} succeeded")), "{text}");
    }
    (cpu_seconds(pid) - before) * 1e6 / (each * u64::from(STREAM_COUNT)) as f64
}

/// The same of a process and its children, those that have ended included.
pub fn group_cpu_seconds(pid: u32) -> f64 {
    let children = fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| {
        let child: u32 = entry.file_name().to_str()?.parse().ok()?;
        let text = fs::read_to_string(format!("/proc/{child}/stat")).ok()?;
        let parent: u32 = text.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()?;
        (parent == pid).then(|| ticks(&text, 11..13))
    });
    let own = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a running server");
    children.sum::<f64>() + ticks(&own, 11..15)
}

/// The sum of some times in `/proc/PID/stat`, in seconds.
fn ticks(stat: &str, fields: std::ops::Range<usize>) -> f64 {
    let after_name = stat.rsplit(')').next().expect("fields");
    let times = after_name.split_whitespace().skip(fields.start).take(fields.len());
    times.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / TICKS_PER_SECOND
}

/// User and system time of all threads of a process, in seconds.
pub fn cpu_seconds(pid: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a running server");
    ticks(&text, 11..13)
}

fn number_before(text: &str, unit: &str) -> f64 {
    let front = text.split(unit).next().expect("h2load's summary");
    front.rsplit([' ', ',']).next().and_then(|word| word.parse().ok()).expect("a rate")
}

/// Median and 99th percentile of the third column, in milliseconds.
fn percentiles(log: &str) -> (f64, f64) {
    let mut micros: Vec<f64> =
        log.lines().filter_map(|line| line.split('\t').nth(2)?.parse().ok()).collect();
    micros.sort_by(f64::total_cmp);
    let at = |share: f64| micros[((micros.len() - 1) as f64 * share) as usize] / 1_000.0;
    (at(0.5), at(0.99))
}
