//! What recording a check costs: durable acknowledgements a second and CPU for each, by number of
//! callers, as a ratio to bare `fdatasync` calls and to a store without grouped commits.
//!
//! `cargo bench --bench store [-- SECONDS [FOLDER [CALLERS…]]]`: seconds for each line (2), where
//! the files are made (the folder for temporary files; name one on the disk that counts), and
//! how many callers (1 16 64 256). With `REPLYGUARD_BENCH_POSTGRES=postgres://…`, an empty database,
//! the last lines are those of PostgreSQL, whose own CPU is not counted.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use replyguard::domain::State;
use replyguard::moderation::ports::{RecordedCheck, Store};
use replyguard::storage::{PostgresOptions, PostgresStore, SqliteOptions, SqliteStore};
use rustix::time::{ClockId, clock_gettime};
use tokio::task::JoinSet;

/// The server's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[path = "../tests/it/support/records.rs"]
#[allow(dead_code, missing_docs)]
mod records;

/// Comments of as many authors as an author cache holds, so that it misses now and then.
const AUTHOR_COUNT: u64 = 100_000;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let seconds = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(2.0);
    let duration = Duration::from_secs_f64(seconds);
    let folder = match arguments.next() {
        Some(folder) => tempfile::tempdir_in(folder),
        None => tempfile::tempdir(),
    }
    .expect("a folder for the database");

    let syncs = syncs_each_second(folder.path(), duration);
    println!("bare appends of 4 KiB with fdatasync: {syncs:.0}/s\n");
    println!(
        "{:>8} {:>7} {:>10} {:>9} {:>10} {:>9} {:>9}",
        "callers", "grouped", "acks/s", "per sync", "CPU µs/ack", "p50 ms", "p99 ms"
    );
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let mut callers: Vec<u64> = arguments.filter_map(|text| text.parse().ok()).collect();
    if callers.is_empty() {
        callers = vec![1, 16, 64, 256];
    }
    let last = callers[callers.len() - 1];
    let postgres = callers.clone();
    let grouped = callers.into_iter().map(|callers| (callers, 512));
    for (callers, batch_count_max) in std::iter::once((16, 1)).chain(grouped) {
        let path = folder.path().join(format!("{callers}-{batch_count_max}.db"));
        let options = SqliteOptions { batch_count_max, ..SqliteOptions::default() };
        let run = runtime.block_on(async {
            let store = SqliteStore::open(&path, options).await.expect("a store");
            store.create_site(records::site("blog"), "bench").await.expect("a site");
            measure(Arc::new(store), callers, duration, 0).await
        });
        run.print(callers, if batch_count_max > 1 { "yes" } else { "no" }, syncs);
    }
    if let Ok(url) = std::env::var("REPLYGUARD_BENCH_POSTGRES") {
        let address = url.parse().expect("an address");
        for (number, callers) in postgres.into_iter().enumerate() {
            let run = runtime.block_on(async {
                let options = PostgresOptions::default();
                let store = PostgresStore::open(&address, options).await.expect("a store");
                // There from the second line on.
                let _ = store.create_site(records::site("blog"), "bench").await;
                measure(Arc::new(store), callers, duration, number as u64 * 100_000_000).await
            });
            run.print(callers, "pg", syncs);
        }
    }
    runtime.block_on(measure_reads(&folder.path().join(format!("{last}-512.db"))));
}

/// How often a second a small append reaches the disk.
fn syncs_each_second(folder: &Path, duration: Duration) -> f64 {
    let mut file = File::create(folder.join("syncs")).expect("a file");
    let start = Instant::now();
    let mut count = 0;
    while start.elapsed() < duration {
        file.write_all(&[0; 4096]).expect("an append");
        file.sync_data().expect("a sync");
        count += 1;
    }
    f64::from(count) / start.elapsed().as_secs_f64()
}

struct Run {
    rate: f64,
    cpu_us: f64,
    p50_ms: f64,
    p99_ms: f64,
}

impl Run {
    fn print(&self, callers: u64, grouped: &str, syncs: f64) {
        println!(
            "{callers:>8} {grouped:>7} {:>10.0} {:>9.1} {:>10.1} {:>9.2} {:>9.2}",
            self.rate,
            self.rate / syncs,
            self.cpu_us,
            self.p50_ms,
            self.p99_ms
        );
    }
}

/// Records comments of the site `blog` from number `first` on.
async fn measure(store: Arc<dyn Store>, callers: u64, duration: Duration, first: u64) -> Run {
    let numbers = Arc::new(AtomicU64::new(first));
    let (start, cpu) = (Instant::now(), cpu_time());
    let mut tasks = JoinSet::new();
    for _ in 0..callers {
        let (store, numbers) = (Arc::clone(&store), Arc::clone(&numbers));
        tasks.spawn(async move {
            let mut latencies = Vec::new();
            while start.elapsed() < duration {
                let n = numbers.fetch_add(1, Ordering::Relaxed);
                let began = Instant::now();
                check(&*store, n).await;
                latencies.push(began.elapsed());
            }
            latencies
        });
    }
    let mut latencies: Vec<Duration> = tasks.join_all().await.into_iter().flatten().collect();
    let (elapsed, cpu) = (start.elapsed(), cpu_time() - cpu);
    store.close().await;
    latencies.sort();
    let quantile = |q: f64| latencies[(latencies.len() as f64 * q) as usize].as_secs_f64() * 1e3;
    Run {
        rate: latencies.len() as f64 / elapsed.as_secs_f64(),
        cpu_us: cpu.as_secs_f64() * 1e6 / latencies.len() as f64,
        p50_ms: quantile(0.5),
        p99_ms: quantile(0.99),
    }
}

/// All that a check asks of the store.
async fn check(store: &dyn Store, n: u64) {
    let author = n.wrapping_mul(0x9E37_79B9) % AUTHOR_COUNT;
    let sent = records::comment("blog", n, Some(author), State::Held);
    let (site, now) = (sent.site.clone(), sent.check_time);
    store.get_site(&site).await.expect("the site").expect("it exists");
    let mark = records::request(n, n);
    assert!(store.find_request(&site, mark.id, now).await.expect("an answer").is_none());
    store.author_record(&site, records::fingerprint(author)).await.expect("a record");
    let recorded = store.record_check(&sent, Some(mark)).await.expect("an acknowledgement");
    assert!(matches!(recorded, RecordedCheck::New));
}

/// What the reads of the hot path cost on a filled store.
async fn measure_reads(path: &Path) {
    let store = SqliteStore::open(path, SqliteOptions::default()).await.expect("a store");
    let site = records::site_id("blog");
    store.get_site(&site).await.expect("the site");
    // The filters are filled in the background after a start.
    while store_is_filling(&store).await {}
    println!();
    let count = 100_000u64;
    let start = Instant::now();
    for n in 0..count {
        let author = records::fingerprint(AUTHOR_COUNT * 2 + n);
        store.author_record(&site, author).await.expect("a record");
    }
    report("author_record of an unknown author", start, count);
    let author = records::fingerprint(0);
    store.author_record(&site, author).await.expect("a record");
    let start = Instant::now();
    for _ in 0..count {
        store.author_record(&site, author).await.expect("a record");
    }
    report("author_record of a known author", start, count);
    let start = Instant::now();
    for n in 0..count {
        let id = records::request_id(u64::MAX - n);
        store.find_request(&site, id, records::start()).await.expect("an answer");
    }
    report("find_request of a new id", start, count);
    store.close().await;
}

/// Whether unknown authors still cost a read from disk: a thousand of them in over 5 ms.
async fn store_is_filling(store: &SqliteStore) -> bool {
    let start = Instant::now();
    for n in 0..1_000 {
        let author = records::fingerprint(AUTHOR_COUNT * 3 + n);
        store.author_record(&records::site_id("blog"), author).await.expect("a record");
    }
    start.elapsed() > Duration::from_millis(5)
}

fn report(what: &str, start: Instant, count: u64) {
    println!("{what}: {:.0} ns", start.elapsed().as_secs_f64() * 1e9 / count as f64);
}

/// CPU time of this process.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
