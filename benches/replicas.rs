//! What a second replica brings: checks a second for each core that the replicas spend.
//!
//! `cargo bench --bench replicas` starts PostgreSQL (with fsync) and redis-server, one replica of the
//! release binary over them and then a second, and sends the same number of checks to one and to
//! both. A machine with two cores has none to give each part its own, so what is compared is the
//! CPU that a check costs: of the replicas (`/proc/PID/stat`), of PostgreSQL and of Redis. If a
//! check costs two replicas as much as one, two cores of replicas carry twice as much.

#[path = "service/load.rs"]
#[allow(dead_code, reason = "two benchmarks share it")]
mod load;
#[path = "service/postgres.rs"]
mod postgres;
#[path = "service/servers.rs"]
#[allow(dead_code, reason = "two benchmarks share it")]
mod servers;

use load::{Load, cpu_seconds, group_cpu_seconds};
use postgres::Postgres;
use servers::{Redis, Service, Stores};

/// Calls of one measurement.
const CALL_COUNT: u64 = 30_000;
/// Rounds; the middle one counts.
const ROUND_COUNT: usize = 3;

/// What a check cost, in µs of CPU.
#[derive(Debug, Clone, Copy)]
struct Cost {
    replicas: f64,
    postgres: f64,
    redis: f64,
    calls_per_second: f64,
    p99_ms: f64,
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (postgres, redis) = (Postgres::start(), Redis::start());
    let stores = Stores { redis_url: Some(redis.url()), database_url: Some(postgres.url()) };
    let first = runtime.block_on(Service::start("replica-1", stores));
    let call = runtime.block_on(first.prepare());
    let second = runtime.block_on(first.start_beside("replica-2", stores));
    let (mut of_one, mut of_two) = (Vec::new(), Vec::new());
    for _ in 0..ROUND_COUNT {
        for (services, costs) in
            [(&[&first][..], &mut of_one), (&[&first, &second][..], &mut of_two)]
        {
            costs.push(measure(services, first.key(), &call.request, &postgres, &redis));
        }
    }
    let (one, two) = (middle(of_one), middle(of_two));
    report("one replica", one);
    report("two replicas", two);
    println!(
        "two replicas carry {:.2} times as much as one for each core of theirs times two",
        2.0 * one.replicas / two.replicas
    );
}

/// Sends the calls, the same number to each of the services at once.
fn measure(
    services: &[&Service],
    key: &str,
    call: &[u8],
    postgres: &Postgres,
    redis: &Redis,
) -> Cost {
    let each = CALL_COUNT / services.len() as u64;
    let before = (group_cpu_seconds(postgres.pid()), cpu_seconds(redis.pid()));
    let measured: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = services
            .iter()
            .map(|service| {
                let load = Load { call, key: key.to_owned(), count: each, rate: None };
                scope.spawn(move || load.run(service.address(), service.pid()))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("a load")).collect()
    });
    let after = (group_cpu_seconds(postgres.pid()), cpu_seconds(redis.pid()));
    let a_call = |seconds: f64| seconds * 1e6 / CALL_COUNT as f64;
    Cost {
        replicas: measured.iter().map(|one| one.cpu_us).sum::<f64>() / services.len() as f64,
        postgres: a_call(after.0 - before.0),
        redis: a_call(after.1 - before.1),
        calls_per_second: measured.iter().map(|one| one.calls_per_second).sum(),
        p99_ms: measured.iter().map(|one| one.p99_ms).fold(0.0, f64::max),
    }
}

fn middle(mut costs: Vec<Cost>) -> Cost {
    costs.sort_by(|a, b| a.replicas.total_cmp(&b.replicas));
    costs[costs.len() / 2]
}

fn report(name: &str, cost: Cost) {
    println!(
        "{name}: {:.1} µs CPU a check in the replicas, {:.1} in PostgreSQL, {:.1} in Redis; {:.0} checks/s, p99 {:.1} ms",
        cost.replicas, cost.postgres, cost.redis, cost.calls_per_second, cost.p99_ms
    );
}
