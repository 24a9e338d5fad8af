//! Minutes of load with a fault in each of them, for `make soak MINUTES=20`: what calls took, what
//! was refused, what was lost (nothing), what was approved wrongly (nothing), and memory.
//!
//! Not one of the usual tests: it takes its time, and its figures mean something in a release
//! build on a machine with nothing else to do.

use std::fmt::Write;
use std::time::Duration;

use crate::support::load::{Load, Report};
use crate::support::postgres::PostgresServer;
use crate::support::redis::RedisServer;
use crate::support::service::Service;

/// Callers at once, as a busy CMS has.
const CALLERS: usize = 32;
/// How long the greatest rate is measured.
const FULL: Duration = Duration::from_secs(10);
/// The share of it that is sent afterwards.
const SHARE: f64 = 0.7;
/// In each minute: without a fault, with it, and after it.
const PARTS: [(&str, u64); 3] = [("calm", 25), ("fault", 15), ("after", 20)];

/// What happens in a minute.
#[derive(Debug, Clone, Copy)]
enum Fault {
    RedisKilled,
    RedisStopped,
    ReplicaKilled,
    PostgresKilled,
    PostgresStopped,
}

const FAULTS: [Fault; 5] = [
    Fault::RedisKilled,
    Fault::ReplicaKilled,
    Fault::PostgresKilled,
    Fault::RedisStopped,
    Fault::PostgresStopped,
];

struct World {
    postgres: PostgresServer,
    redis: RedisServer,
    replicas: Vec<Service>,
    load: Load,
    table: String,
}

impl World {
    fn services(&self) -> Vec<&Service> {
        self.replicas.iter().collect()
    }

    async fn begin(&mut self, fault: Fault, minute: usize) {
        match fault {
            Fault::RedisKilled => self.redis.kill(),
            Fault::RedisStopped => self.redis.freeze(),
            Fault::ReplicaKilled => {
                let number = minute / FAULTS.len() % self.replicas.len();
                self.replicas[number].kill_and_restart().await;
                self.load.redirect(&self.services());
            }
            Fault::PostgresKilled => self.postgres.kill(),
            Fault::PostgresStopped => self.postgres.freeze(true),
        }
    }

    async fn mend(&mut self, fault: Fault) {
        match fault {
            Fault::RedisKilled => self.redis.restart().await,
            Fault::RedisStopped => self.redis.thaw(),
            Fault::ReplicaKilled => {}
            Fault::PostgresKilled => tokio::task::block_in_place(|| self.postgres.launch()),
            Fault::PostgresStopped => self.postgres.freeze(false),
        }
    }

    /// A row of the report.
    fn note(&mut self, minute: usize, name: &str, time: Duration) {
        let phase = self.load.take_phase();
        let memory: Vec<String> =
            self.replicas.iter().map(|replica| memory_mib(replica.pid()).to_string()).collect();
        let row = row(minute, name, &phase, time, &memory.join(" "));
        println!("{row}");
        self.table += &row;
        self.table.push('\n');
    }
}

fn row(minute: usize, name: &str, phase: &Report, time: Duration, memory: &str) -> String {
    let ms = |share| phase.quantile(share).as_secs_f64() * 1e3;
    let [limits, recent] = ["rate-limit", "recent-content"].map(|part| phase.degraded(part));
    format!(
        "| {minute} | {name} | {} | {:.0} | {} | {limits} | {recent} | {:.1} | {:.1} | {:.1} | {:.1} | \
         {memory} |",
        phase.times.len(),
        phase.times.len() as f64 / time.as_secs_f64(),
        phase.refused(),
        ms(0.5),
        ms(0.99),
        ms(0.999),
        phase.longest.as_secs_f64() * 1e3,
    )
}

fn memory_mib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: Option<u64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kib.unwrap_or_default() / 1_024
}

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: make soak"]
async fn soak() {
    let minutes = setting("REPLYGUARD_SOAK_MINUTES", 3);
    let redis = RedisServer::start().await;
    let url = redis.url();
    let postgres = tokio::task::block_in_place(PostgresServer::start);
    let database = postgres.url("postgres");
    let arguments = ["--database-url", &database, "--redis-url", &url, "--log", "warn"];
    let mut replicas = vec![Service::start_with(&arguments).await];
    for _ in 1..setting("REPLYGUARD_SOAK_REPLICAS", 2) {
        replicas.push(replicas[0].start_beside(&arguments).await);
    }
    let full = Load::start(&replicas.iter().collect::<Vec<_>>(), CALLERS, Duration::ZERO).await;
    full.take_phase();
    tokio::time::sleep(FULL).await;
    let rate = full.take_phase().times.len() as f64 / FULL.as_secs_f64();
    full.end(&replicas.iter().collect::<Vec<_>>()).await;
    let pause = Duration::from_secs_f64(CALLERS as f64 / (rate * SHARE));
    let load = Load::start(&replicas.iter().collect::<Vec<_>>(), CALLERS, pause).await;
    let mut table = format!(
        "{} replicas, {CALLERS} callers; at full load {rate:.0} calls/s, then {:.0} % of it.\n\n\
         | minute | phase | answers | per s | refused | rate-limit | recent-content | p50 ms | p99 ms | \
         p99.9 ms | longest ms | memory MiB |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n",
        replicas.len(),
        SHARE * 100.0,
    );
    println!("{table}");
    load.take_phase();
    table.reserve(minutes * 400);
    let mut world = World { postgres, redis, replicas, load, table };
    for minute in 0..minutes {
        let fault = FAULTS[minute % FAULTS.len()];
        for (part, seconds) in PARTS {
            let begin = std::time::Instant::now();
            match part {
                "fault" => world.begin(fault, minute).await,
                "after" => world.mend(fault).await,
                _ => {}
            }
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            let name = if part == "calm" { part.into() } else { format!("{part}: {fault:?}") };
            world.note(minute + 1, &name, begin.elapsed());
        }
    }
    world.load.await_sound().await;
    let World { replicas, load, mut table, .. } = world;
    let report = load.end(&replicas.iter().collect::<Vec<_>>()).await;
    let _ = writeln!(
        table,
        "\n{} acknowledged comments and {} labels: 0 lost. Wrong approvals: {}.",
        report.acknowledged.len(),
        report.labelled.len(),
        report.wrong.len(),
    );
    println!("{table}");
    if let Ok(path) = std::env::var("REPLYGUARD_SOAK_REPORT") {
        std::fs::write(path, table).expect("a file for the report");
    }
}
