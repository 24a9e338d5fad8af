//! What a durable check costs beside a bare echo, measured in one run on one machine.
//!
//! `cargo bench --bench service` starts an echo server (tonic alone, with the same message
//! sizes), then the release binary with limits in process, then with Redis; `h2load` (Debian's
//! nghttp2-client) sends the same call to each, in turns. Servers are held to one core and the
//! load to another, CPU is read from `/proc`. The figures are ratios to the echo of the same run.

#[path = "service/echo.rs"]
mod echo;
#[path = "service/load.rs"]
#[allow(dead_code, reason = "two benchmarks share it")]
mod load;
#[path = "service/servers.rs"]
#[allow(dead_code, reason = "two benchmarks share it")]
mod servers;

use std::time::Instant;

use load::{Load, Measured};
use servers::{Echo, Redis, Service, Stores};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Calls of one measurement: some seconds at full speed.
const CALL_COUNT: u64 = 30_000;
/// Rounds; the middle one counts, since the machine is noisy.
const ROUND_COUNT: usize = 3;
/// Calls of the memory measurement.
const SOAK_COUNT: u64 = 1_000_000;

fn main() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("--echo") {
        return echo::serve();
    }
    let quick = std::env::var("REPLYGUARD_BENCH_QUICK").is_ok();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let begin = Instant::now();
    let plain = runtime.block_on(Service::start("plain", Stores::default()));
    let start_ms = begin.elapsed().as_millis();
    let at_rest_kib = plain.resident_kib();
    let redis = Redis::start();
    let stores = Stores { redis_url: Some(redis.url()), ..Stores::default() };
    let limited = runtime.block_on(Service::start("redis", stores));
    let call = runtime.block_on(plain.prepare());
    runtime.block_on(limited.prepare());
    let echo = Echo::start(&call.response);

    println!("start to ready: {start_ms} ms; at rest: {} MiB", at_rest_kib / 1024);
    println!("request {} bytes, response {} bytes", call.request.len(), call.response.len());
    let (mut of_echo, mut of_plain, mut of_redis) = (Vec::new(), Vec::new(), Vec::new());
    let (form, mut of_akismet) = (plain.akismet_form(), Vec::new());
    for round in 0..ROUND_COUNT {
        let load = |key: &str| Load {
            call: &call.request,
            key: key.into(),
            count: CALL_COUNT,
            rate: None,
        };
        of_echo.push(load("none").run(echo.address(), echo.pid()));
        of_plain.push(load(plain.key()).run(plain.address(), plain.pid()));
        of_redis.push(load(limited.key()).run(limited.address(), limited.pid()));
        let (address, pid) = (plain.http_address(), plain.pid());
        of_akismet.push(load::akismet_cpu_us(address, pid, &form, round, CALL_COUNT));
    }
    let base = Measured::middle(of_echo);
    report("bare tonic echo", &base, &base);
    let middle = Measured::middle(of_plain);
    report("CheckComment, durable", &middle, &base);
    report("CheckComment, durable, limits in Redis", &Measured::middle(of_redis), &base);
    of_akismet.sort_by(f64::total_cmp);
    let akismet = of_akismet[ROUND_COUNT / 2];
    println!(
        "comment-check of Akismet, durable: {akismet:.1} µs CPU a call, {:.2}x CheckComment",
        akismet / middle.cpu_us
    );
    runtime.block_on(plain.verify());
    runtime.block_on(limited.verify());

    let half = Load {
        call: &call.request,
        key: plain.key().into(),
        count: CALL_COUNT / 2,
        rate: Some(middle.calls_per_second / 2.0),
    };
    let half = half.run(plain.address(), plain.pid());
    println!("at half load: p50 {:.2} ms, p99 {:.2} ms", half.p50_ms, half.p99_ms);

    if !quick {
        let before = plain.resident_kib();
        let soak =
            Load { call: &call.request, key: plain.key().into(), count: SOAK_COUNT, rate: None };
        let soak = soak.run(plain.address(), plain.pid());
        let after = plain.resident_kib();
        println!(
            "memory: {} MiB before, {} MiB after a million checks ({:.0}/s)",
            before / 1024,
            after / 1024,
            soak.calls_per_second
        );
    }
}

fn report(name: &str, measured: &Measured, base: &Measured) {
    println!(
        "{name}: {:.1} µs CPU a call ({:.2}x), {:.0} calls/s ({:.2}x), p50 {:.2} ms, p99 {:.2} ms",
        measured.cpu_us,
        measured.cpu_us / base.cpu_us,
        measured.calls_per_second,
        measured.calls_per_second / base.calls_per_second,
        measured.p50_ms,
        measured.p99_ms,
    );
}
