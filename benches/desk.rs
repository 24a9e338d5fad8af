//! What a moderator waits for when a site has a million comments, a third of them held: the first
//! page of the queue in each order, each filter, a page far back, a search; and deciding on 20,000
//! comments at once and taking it back, with what that costs the checks that come meanwhile.
//!
//! `cargo bench --bench desk [-- [--postgres] [COUNT [FOLDER]]]`: comments (1,000,000), and where the
//! database is made. With PostgreSQL a million at most are recorded and the rest are copies of these.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use replyguard::domain::{Action, CommentFilter, DecisionId, State, signals};
use replyguard::moderation::ports::Store;
use replyguard::moderation::ports::privacy::PrivacyStore;
use replyguard::moderation::ports::review::{
    Cursor, ListOrder, NewDecision, QueueOrder, ReviewStore, Target,
};
use replyguard::storage::{PostgresOptions, PostgresStore, SqliteOptions, SqliteStore};
use tokio::task::JoinSet;
use uuid::Uuid;

/// The server's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[path = "desk/copies.rs"]
mod copies;
#[path = "service/postgres.rs"]
#[allow(dead_code, reason = "two benchmarks share it")]
mod postgres;
#[path = "../tests/it/support/records.rs"]
#[allow(dead_code, missing_docs)]
mod records;

/// Rows of a page, as in the console.
const PAGE: usize = 25;
/// Times that each question is asked.
const ROUNDS: usize = 200;
/// Comments decided on at once, and in one transaction, as the use case does.
const DECIDED: u64 = 20_000;
const CHUNK: usize = 250;
/// Callers that fill the store.
const CALLERS: u64 = 64;
/// Comments that are recorded at most where the rest are copies of them.
const RECORDED_MAX: u64 = 1_000_000;
/// Comments that are recorded beside those that are there, to see what that costs.
const FURTHER: u64 = 30_000;
/// Comments that retention removes in one transaction, as the use case does.
const REMOVED: usize = 100;

/// What the desk asks of a store.
trait Desk: Store + ReviewStore + PrivacyStore {}

impl<S: Store + ReviewStore + PrivacyStore> Desk for S {}

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let count: u64 = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let folder = arguments.next().map_or_else(std::env::temp_dir, Into::into);
    let with_postgres = std::env::args().any(|argument| argument == "--postgres");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    match with_postgres {
        true => runtime.block_on(over_postgres(count, &folder)),
        false => runtime.block_on(over_sqlite(count, &folder)),
    }
}

async fn over_sqlite(count: u64, folder: &Path) {
    let folder = tempfile::tempdir_in(folder).expect("a folder for the database");
    let path = folder.path().join("desk.db");
    let store = SqliteStore::open(&path, SqliteOptions::default()).await.expect("a store");
    let store = Arc::new(store);
    fill(&store, count).await;
    questions(&store, count).await;
    decisions(&store, count, count).await;
}

async fn over_postgres(count: u64, folder: &Path) {
    let server = postgres::Postgres::start_in(folder);
    let address = server.url().parse().expect("an address");
    let open = async || {
        let store = PostgresStore::open(&address, PostgresOptions::default()).await;
        Arc::new(store.expect("a store"))
    };
    let base = count.min(RECORDED_MAX);
    let store = open().await;
    fill(&store, base).await;
    store.close().await;
    let start_ms = records::start().unix_timestamp() as u64 * 1_000;
    copies::make(server.url(), base, count, start_ms).await;
    let store = open().await;
    questions(&store, base).await;
    // Later than all that is there, as a check is.
    let next = copies::span_ms(base, count);
    let begin = Instant::now();
    record(&store, next..next + FURTHER).await;
    let a_second = FURTHER as f64 / begin.elapsed().as_secs_f64();
    println!("\n{FURTHER} more recorded, {a_second:.0} a second");
    decisions(&store, base, next + FURTHER).await;
    retention(&store).await;
    store.close().await;
}

/// The `n`th comment: one campaign in ten comments is of a hundred, pages and authors repeat.
fn comment(n: u64) -> replyguard::domain::CheckedComment {
    let states = [State::Held, State::Approved, State::Rejected];
    let mut comment = records::comment("blog", n, Some(n % 50_000), states[n as usize % 3]);
    comment.submission.page_uri = Some(format!("https://blog.example/{}", n % 5_000));
    comment.submission.lang = Some(["en", "de", "fr", "xx"][(n % 1_000 / 333) as usize].into());
    comment.submission.text = format!(
        "The {n}th comment says that the {} of the {} was {} and asks for more of it",
        ["colour", "price", "taste", "sound"][n as usize % 4],
        ["boat", "bread", "bridge", "garden", "lamp"][n as usize % 5],
        if n.is_multiple_of(10_007) { "peculiar" } else { "good" },
    );
    if n.is_multiple_of(500) {
        comment.signals[0].name = signals::HONEYPOT_FILLED;
    }
    if n % 1_000 < 100 {
        comment.campaign = records::comment_id(n - n % 1_000 % 100);
    }
    comment.uncertainty = (n % 97) as f64 / 24.0;
    comment
}

/// Records comments as many callers at once do.
async fn record<S: Desk>(store: &Arc<S>, numbers: Range<u64>) {
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let (store, numbers) = (store.clone(), numbers.clone());
        callers.spawn(async move {
            for n in numbers.skip(caller as usize).step_by(CALLERS as usize) {
                store.record_check(&comment(n), None).await.expect("recorded");
            }
        });
    }
    while let Some(caller) = callers.join_next().await {
        caller.expect("a caller");
    }
}

async fn fill<S: Desk>(store: &Arc<S>, count: u64) {
    store.create_site(records::site("blog"), "bench").await.expect("a site");
    let begin = Instant::now();
    record(store, 0..count).await;
    println!("{count} comments recorded in {:.0} s", begin.elapsed().as_secs_f64());
    let begin = Instant::now();
    store.index_words(usize::MAX).await.expect("indexed");
    println!("their words indexed in {:.0} s\n", begin.elapsed().as_secs_f64());
}

/// Asks a question again and again and prints how long the answers took.
async fn measure<F: Future<Output = usize>>(name: &str, ask: impl Fn(usize) -> F) {
    let mut times = Vec::with_capacity(ROUNDS);
    let mut rows = 0;
    for round in 0..ROUNDS {
        let begin = Instant::now();
        rows = ask(round).await;
        times.push(begin.elapsed());
    }
    times.sort();
    let at = |share: f64| times[(ROUNDS as f64 * share) as usize - 1].as_secs_f64() * 1e3;
    println!("{name:<44} {rows:>5} {:>8.2} {:>8.2} {:>8.2}", at(0.5), at(0.95), at(1.0));
}

async fn questions<S: Desk>(store: &Arc<S>, count: u64) {
    let site = records::site_id("blog");
    println!("{:<44} {:>5} {:>8} {:>8} {:>8}", "", "rows", "p50 ms", "p95 ms", "max ms");
    for order in QueueOrder::ALL {
        let ask = async |_| {
            let page = store.list_queue(&site, order, None, PAGE).await.expect("a page");
            page.rows.len()
        };
        measure(&format!("queue by {}", order.as_str()), ask).await;
    }
    let far = far_back(store).await;
    let ask = async |_| {
        let order = QueueOrder::Usefulness;
        store.list_queue(&site, order, Some(far.clone()), PAGE).await.expect("a page").rows.len()
    };
    measure("queue by usefulness, page 400", ask).await;
    let ask = async |_| store.queue_count(&site, 10_000).await.expect("a count").count as usize;
    measure("entries of the queue, up to 10,000", ask).await;
    let author = records::fingerprint(4_711);
    let campaign = records::comment_id(count / 2 / 1_000 * 1_000);
    for filter in [
        String::new(),
        "state:held".into(),
        "state:rejected".into(),
        "page:https://blog.example/77".into(),
        "page:https://blog.example/77 state:held".into(),
        format!("author:{author}"),
        format!("campaign:{campaign}"),
        "lang:de".into(),
        "lang:xx".into(),
        "label:spam".into(),
        "signal:honeypot-filled".into(),
        "score>=0.9".into(),
        "score>=0.55 score<0.56".into(),
        "since:2026-09-21 until:2026-09-21".into(),
        "good".into(),
        "peculiar".into(),
        "\"of the lamp\" state:held".into(),
    ] {
        let conditions = CommentFilter::parse(&filter).expect("a filter");
        let ask = async |_| {
            let order = ListOrder::Newest;
            let page = store.list_comments(&site, conditions.clone(), order, None, PAGE).await;
            page.expect("a page").rows.len()
        };
        measure(&format!("comments: {}", if filter.is_empty() { "all" } else { &filter }), ask)
            .await;
    }
    let ask = async |_| store.day_counts(&site, records::start()).await.expect("days").len();
    measure("counts of days", ask).await;
    let ask = async |_| {
        store.queue_age(&site, records::start()).await.expect("ages").counts.iter().sum::<u64>()
            as usize
    };
    measure("age of the queue", ask).await;
}

/// The place after 400 pages.
async fn far_back<S: Desk>(store: &Arc<S>) -> Cursor {
    let page = store
        .list_queue(&records::site_id("blog"), QueueOrder::Usefulness, None, 400 * PAGE)
        .await
        .expect("pages");
    page.next.expect("more than 400 pages")
}

/// Decides on some of the first `count` comments, while others are recorded from `next` on.
async fn decisions<S: Desk>(store: &Arc<S>, count: u64, next: u64) {
    let new = |n: u128, action| NewDecision {
        id: DecisionId::from_uuid(Uuid::from_u128(n)),
        site: records::site_id("blog"),
        action,
        actor: "bench".into(),
        administrator: false,
        note: None,
        time: records::start(),
    };
    let held = (0..count).filter(|n| n.is_multiple_of(3)).take(DECIDED as usize);
    let targets: Vec<Target> =
        held.map(|n| Target { comment: records::comment_id(n), revision: None }).collect();
    let slowest = checks_meanwhile(store, next, async {
        let begin = Instant::now();
        for part in targets.chunks(CHUNK) {
            let decided = store.decide(new(1, Action::RejectSpam), part.to_vec()).await;
            assert_eq!(decided.expect("decided").comments.len(), part.len());
        }
        println!("\n{DECIDED} comments decided on in {:.1} s", begin.elapsed().as_secs_f64());
        let begin = Instant::now();
        let (mut before, mut count) = (None, 0);
        loop {
            let undoes = new(1, Action::RejectSpam).id;
            let part = store.undo(new(2, Action::Undo), undoes, before, CHUNK).await;
            let part = part.expect("undone");
            count += part.comments.len() as u64;
            before = part.next;
            if before.is_none() {
                break;
            }
        }
        assert_eq!(count, DECIDED);
        println!("and taken back in {:.1} s", begin.elapsed().as_secs_f64());
    });
    let (median, worst) = slowest.await;
    println!("checks meanwhile: p50 {median:.1} ms, slowest {worst:.1} ms");
}

/// Records one comment after the other while something else is done; the median and the longest
/// time that took, in milliseconds.
async fn checks_meanwhile<S: Desk>(
    store: &Arc<S>,
    next: u64,
    work: impl Future<Output = ()>,
) -> (f64, f64) {
    let (other, done) = (store.clone(), Arc::new(std::sync::atomic::AtomicBool::new(false)));
    let ended = done.clone();
    let checks = tokio::spawn(async move {
        let mut times: Vec<Duration> = Vec::new();
        let mut n = next;
        while !ended.load(std::sync::atomic::Ordering::Relaxed) {
            let begin = Instant::now();
            other.record_check(&comment(n), None).await.expect("recorded");
            times.push(begin.elapsed());
            n += 1;
        }
        times
    });
    work.await;
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    let mut times = checks.await.expect("checks");
    times.sort();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    (ms(times[times.len() / 2]), ms(times[times.len() - 1]))
}

/// Removes the oldest comments, as many in a transaction as retention does.
async fn retention<S: Desk>(store: &Arc<S>) {
    let (site, before) = (records::site_id("blog"), records::start() + time::Duration::days(1));
    let ask = async |_| {
        let removed = store.remove_comments(&site, before, false, REMOVED, before).await;
        removed.expect("removed") as usize
    };
    println!();
    measure("the oldest comments removed by retention", ask).await;
}
