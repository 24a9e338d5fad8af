//! The suite of every index of recent content.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use replyguard::domain::{ContentPrint, Label, Neighbours, SiteId, State};
use replyguard::limits::{
    FallbackOptions, MemoryRecent, RecentOptions, RedisConnection, RedisLog, RefilledRecent,
    SharedRecent,
};
use replyguard::moderation::ports::{RecentAnswer, RecentContent, RecentText, Store, StoreError};
use replyguard::storage::{SqliteOptions, SqliteStore};
use tempfile::TempDir;

use crate::support::records;
use crate::support::redis::RedisServer;
use crate::support::service::wait_for;

/// Every implementation, holding few texts so that forgetting can be seen, and what they need.
async fn implementations() -> (RedisServer, TempDir, Vec<(&'static str, Arc<dyn RecentContent>)>) {
    let redis = RedisServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(&folder).await);
    let options = RecentOptions {
        text_count_max: 100,
        labelled_count_max: 10,
        site_count_max: 3,
        ..RecentOptions::default()
    };
    let shared = || shared(&redis, options, store.clone());
    let replicas = Replicas { teller: shared(), asked: shared() };
    let all: Vec<(_, Arc<dyn RecentContent>)> = vec![
        ("memory", Arc::new(MemoryRecent::new(options))),
        ("redis", Arc::new(shared())),
        ("another replica", Arc::new(replicas)),
    ];
    (redis, folder, all)
}

async fn open(folder: &TempDir) -> SqliteStore {
    let path = folder.path().join("records.sqlite");
    SqliteStore::open(&path, SqliteOptions::default()).await.unwrap()
}

/// A replica that waits longer for Redis than in production: machines are slow at times.
fn shared(
    redis: &RedisServer,
    options: RecentOptions,
    store: Arc<SqliteStore>,
) -> SharedRecent<RedisLog> {
    let log = RedisLog::new(RedisConnection::open(&redis.patient_options()).unwrap());
    let patient =
        FallbackOptions { deadline: Duration::from_secs(5), ..FallbackOptions::default() };
    SharedRecent::new(MemoryRecent::new(options), store, log, patient)
}

/// Two replicas: what one is told, the other is asked for.
struct Replicas {
    teller: SharedRecent<RedisLog>,
    asked: SharedRecent<RedisLog>,
}

#[async_trait]
impl RecentContent for Replicas {
    async fn find(&self, site: &SiteId, print: &ContentPrint) -> Result<RecentAnswer, StoreError> {
        self.asked.find(site, print).await
    }

    async fn insert(&self, site: &SiteId, text: RecentText) -> Result<(), StoreError> {
        // The records of this suite are empty: who is asked has to have heard all.
        self.asked.find(site, &text.print).await?;
        self.teller.insert(site, text).await
    }

    async fn set_label(
        &self,
        site: &SiteId,
        print: ContentPrint,
        label: Label,
    ) -> Result<(), StoreError> {
        self.asked.find(site, &print).await?;
        self.teller.set_label(site, print, label).await
    }

    async fn forget_site(&self, site: &SiteId) -> Result<(), StoreError> {
        self.teller.forget_site(site).await
    }
}

/// The neighbours, which everybody could be asked for.
async fn find(index: &dyn RecentContent, site: &SiteId, print: &ContentPrint) -> Neighbours {
    let found = index.find(site, print).await.unwrap();
    assert!(!found.degraded, "Redis was asked");
    found.neighbours
}

fn site(name: &str) -> SiteId {
    name.parse().unwrap()
}

/// Spreads a number over 128 bits, so that different numbers are unlike texts.
fn spread(number: u64) -> u128 {
    let half = |n: u64| {
        let n = (n ^ (n >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let n = (n ^ (n >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        n ^ (n >> 31)
    };
    let high = half(number.wrapping_add(0x9E37_79B9_7F4A_7C15));
    u128::from(high) << 64 | u128::from(half(high ^ number))
}

fn print(number: u64) -> ContentPrint {
    ContentPrint { content_hash: number, simhash: spread(number), comparable: true }
}

/// A text that differs from `number`'s in so many bits.
fn variant(number: u64, bit_count: u32) -> ContentPrint {
    let bits = (0..bit_count).fold(0u128, |bits, n| bits | 1 << (n * 5 % 128));
    ContentPrint {
        content_hash: (number + 1) * 1_000_000 + u64::from(bit_count),
        simhash: spread(number) ^ bits,
        comparable: true,
    }
}

/// A text of no campaign and without a label.
fn text(print: ContentPrint) -> RecentText {
    RecentText { print, comment: None, campaign: None, label: None }
}

#[tokio::test]
async fn the_campaign_is_that_of_the_nearest_text() {
    let (_redis, _folder, all) = implementations().await;
    for (name, index) in all {
        let blog = site("blog");
        let (first, second) = (records::comment_id(1), records::comment_id(2));
        let of = |print, campaign| RecentText { campaign: Some(campaign), ..text(print) };
        index.insert(&blog, of(print(1), first)).await.unwrap();
        index.insert(&blog, of(variant(1, 20), second)).await.unwrap();
        let campaign = async |print| find(&*index, &blog, &print).await.campaign;
        assert_eq!(campaign(print(1)).await, Some(first), "{name}");
        assert_eq!(campaign(variant(1, 4)).await, Some(first), "{name}");
        assert_eq!(campaign(variant(1, 19)).await, Some(second), "{name}");
        assert_eq!(campaign(print(2)).await, None, "{name}");
        let short = ContentPrint { content_hash: 5, simhash: 0, comparable: false };
        index.insert(&blog, of(short, first)).await.unwrap();
        assert_eq!(campaign(short).await, Some(first), "{name}: equal short texts too");
    }
}

#[tokio::test]
async fn same_and_near_texts_are_counted() {
    let (_redis, _folder, all) = implementations().await;
    for (name, index) in all {
        let blog = site("blog");
        for _ in 0..3 {
            index.insert(&blog, text(print(1))).await.unwrap();
        }
        index.insert(&blog, text(variant(1, 9))).await.unwrap();
        index.insert(&blog, text(print(2))).await.unwrap();
        let found = find(&*index, &blog, &print(1)).await;
        assert_eq!(
            found,
            Neighbours { exact_count: 3, near_count: 4, ..Neighbours::default() },
            "{name}"
        );
        let found = find(&*index, &blog, &variant(1, 60)).await;
        assert_eq!(found, Neighbours::default(), "{name}: far is not near");
        let found = find(&*index, &site("other"), &print(1)).await;
        assert_eq!(found, Neighbours::default(), "{name}: sites are apart");
    }
}

#[tokio::test]
async fn the_nearest_and_last_label_counts() {
    let (_redis, _folder, all) = implementations().await;
    for (name, index) in all {
        let blog = site("blog");
        index.insert(&blog, text(print(1))).await.unwrap();
        index.set_label(&blog, print(1), Label::Spam).await.unwrap();
        let found = find(&*index, &blog, &variant(1, 8)).await;
        assert_eq!(found.label, Some(Label::Spam), "{name}");
        index.set_label(&blog, print(1), Label::Ham).await.unwrap();
        let found = find(&*index, &blog, &variant(1, 8)).await;
        assert_eq!(found.label, Some(Label::Ham), "{name}: the last word counts");
        index.set_label(&blog, variant(1, 10), Label::Spam).await.unwrap();
        let found = find(&*index, &blog, &variant(1, 9)).await;
        assert_eq!(found.label, Some(Label::Spam), "{name}: the nearest counts");
        let found = find(&*index, &blog, &print(1)).await;
        assert_eq!(found.label, Some(Label::Ham), "{name}: the nearest counts");
    }
}

#[tokio::test]
async fn short_texts_lend_no_label() {
    let (_redis, _folder, all) = implementations().await;
    for (name, index) in all {
        let blog = site("blog");
        let thanks = ContentPrint { content_hash: 5, simhash: 0, comparable: false };
        index.insert(&blog, text(thanks)).await.unwrap();
        index.set_label(&blog, thanks, Label::Spam).await.unwrap();
        let found = find(&*index, &blog, &thanks).await;
        assert_eq!((found.exact_count, found.label), (1, None), "{name}");
        let other = ContentPrint { content_hash: 6, ..thanks };
        assert_eq!(find(&*index, &blog, &other).await, Neighbours::default(), "{name}");
    }
}

#[tokio::test]
async fn the_oldest_falls_out_and_labels_stay_longer() {
    let (_redis, _folder, all) = implementations().await;
    for (name, index) in all {
        let blog = site("blog");
        index.insert(&blog, text(print(1))).await.unwrap();
        index.set_label(&blog, print(1), Label::Spam).await.unwrap();
        for number in 2..=101 {
            index.insert(&blog, text(print(number))).await.unwrap();
        }
        let found = find(&*index, &blog, &print(1)).await;
        let expected =
            Neighbours { label: Some(Label::Spam), label_exact: true, ..Neighbours::default() };
        assert_eq!(found, expected, "{name}");
        assert_eq!(find(&*index, &blog, &print(2)).await.exact_count, 1, "{name}");
        for number in 200..210 {
            index.set_label(&blog, print(number), Label::Ham).await.unwrap();
        }
        let found = find(&*index, &blog, &print(1)).await;
        assert_eq!(found.label, None, "{name}: labelled texts are bounded, too");
        for other in ["one", "two", "three"] {
            index.insert(&site(other), text(print(1))).await.unwrap();
        }
        let found = find(&*index, &blog, &print(101)).await;
        assert_eq!(found, Neighbours::default(), "{name}: sites are bounded");
    }
}

/// A campaign that a person labelled once goes on while people label so many others that its label
/// would have fallen out.
#[tokio::test]
async fn the_label_of_a_campaign_under_way_stays() {
    let (_redis, _folder, all) = implementations().await;
    for (name, index) in all {
        let blog = site("blog");
        index.set_label(&blog, print(1), Label::Spam).await.unwrap();
        index.set_label(&blog, print(2), Label::Spam).await.unwrap();
        for number in 0..40u64 {
            let copy = variant(1, (number % 7) as u32);
            let found = find(&*index, &blog, &copy).await;
            assert_eq!(found.label, Some(Label::Spam), "{name}: after {number} other labels");
            index.insert(&blog, text(copy)).await.unwrap();
            index.set_label(&blog, print(1_000 + number), Label::Ham).await.unwrap();
        }
        assert_eq!(find(&*index, &blog, &print(2)).await.label, None, "{name}: its campaign ended");
        // Looking alone keeps nothing, so that replicas agree.
        for number in 2_000..2_009 {
            assert!(find(&*index, &blog, &print(1)).await.label.is_some(), "{name}: {number}");
            index.set_label(&blog, print(number), Label::Ham).await.unwrap();
        }
        assert_eq!(find(&*index, &blog, &print(1)).await.label, None, "{name}: this one too");
    }
}

/// Against a plain list of labels: the one that a text is lent is that of the list.
#[test]
fn labels_agree_with_a_plain_list() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (_redis, _folder, all) = runtime.block_on(implementations());
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) };
    // One step in three labels; ten labels are kept, of thirty texts.
    let steps = prop::collection::vec((0u8..3, 0u64..30), 1..120);
    let case = std::cell::Cell::new(0);
    let outcome = TestRunner::new(config).run(&steps, |steps| {
        case.set(case.get() + 1);
        let blog = site(&format!("blog-{}", case.get()));
        for (name, index) in &all {
            let mut labels: Vec<(u64, Label)> = Vec::new();
            for (kind, number) in &steps {
                let copy = variant(*number, 5);
                let label = runtime.block_on(find(&**index, &blog, &copy)).label;
                let known = labels.iter().position(|(one, _)| one == number);
                prop_assert_eq!(label, known.map(|place| labels[place].1), "{}", name);
                if *kind == 0 {
                    let label = if number % 2 == 0 { Label::Ham } else { Label::Spam };
                    runtime.block_on(index.set_label(&blog, print(*number), label)).unwrap();
                    labels.retain(|(one, _)| one != number);
                    labels.push((*number, label));
                    labels.drain(..labels.len().saturating_sub(10));
                } else {
                    runtime.block_on(index.insert(&blog, text(copy))).unwrap();
                    if let Some(place) = known {
                        let label = labels.remove(place);
                        labels.push(label);
                    }
                }
            }
        }
        Ok(())
    });
    outcome.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_read_back_has_the_label_of_a_campaign_under_way() {
    let (redis, folder) = (RedisServer::start().await, tempfile::tempdir().unwrap());
    let store = Arc::new(open(&folder).await);
    store.create_site(records::site("blog"), "test").await.unwrap();
    let far = |number: u64, campaign: u64| {
        let mut comment = records::comment("blog", number, None, State::Approved);
        comment.campaign = records::comment_id(campaign);
        (comment.content_hash, comment.simhash) = (number, spread(campaign));
        comment
    };
    // One comment of a campaign is labelled, then twenty of others, then the campaign goes on.
    for number in 0..=20 {
        store.record_check(&far(number, number), None).await.unwrap();
        let mut label = records::label("blog", number, Label::Spam);
        label.time += time::Duration::seconds(number as i64);
        store.append_label(label).await.unwrap();
    }
    for number in 100..105 {
        store.record_check(&far(number, 0), None).await.unwrap();
    }
    let options = RecentOptions {
        labelled_count_max: 10,
        text_count_max: 8,
        site_count_max: 2,
        ..RecentOptions::default()
    };
    let memory = RefilledRecent::new(MemoryRecent::new(options), store.clone());
    let all: [(_, Arc<dyn RecentContent>); 2] =
        [("memory", Arc::new(memory)), ("redis", Arc::new(shared(&redis, options, store)))];
    for (kind, index) in all {
        let asked = async |number: u64| {
            let print = ContentPrint { content_hash: number, ..print(number) };
            find(&*index, &site("blog"), &print).await
        };
        let found = asked(0).await;
        assert_eq!((found.label, found.near_count), (Some(Label::Spam), 5), "{kind}");
        for number in 1..=20 {
            let expected = (number > 11).then_some(Label::Spam);
            assert_eq!(asked(number).await.label, expected, "{kind}: {number}");
        }
        // It is the last to fall out.
        for number in 500..509 {
            index.set_label(&site("blog"), print(number), Label::Ham).await.unwrap();
        }
        assert_eq!(asked(0).await.label, Some(Label::Spam), "{kind}");
        assert_eq!(asked(20).await.label, None, "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forgotten_site_is_read_back_with_its_decisions() {
    let (redis, folder) = (RedisServer::start().await, tempfile::tempdir().unwrap());
    let store = Arc::new(open(&folder).await);
    let names = ["one", "two", "three", "four", "five"];
    for (number, name) in (0u64..).zip(names) {
        store.create_site(records::site(name), "test").await.unwrap();
        let comment = records::comment(name, number, None, State::Approved);
        store.record_check(&comment, None).await.unwrap();
        store.append_label(records::label(name, number, Label::Spam)).await.unwrap();
    }
    let few = RecentOptions { site_count_max: 2, ..RecentOptions::default() };
    let full = RecentOptions { text_total_max: 4, ..RecentOptions::default() };
    let refilled = |options| RefilledRecent::new(MemoryRecent::new(options), store.clone());
    let all: [(_, Arc<dyn RecentContent>); 3] = [
        ("memory for two sites", Arc::new(refilled(few))),
        ("memory for four texts", Arc::new(refilled(full))),
        ("redis", Arc::new(shared(&redis, few, store.clone()))),
    ];
    for (kind, index) in all {
        for _ in 0..2 {
            for (number, name) in (0u64..).zip(names) {
                let found = find(&*index, &site(name), &recorded(number)).await;
                let expected = Neighbours {
                    exact_count: 1,
                    near_count: 1,
                    label: Some(Label::Spam),
                    label_exact: true,
                    campaign: Some(records::comment_id(number)),
                };
                assert_eq!(found, expected, "{kind}: {name}");
            }
        }
        index.forget_site(&site("one")).await.unwrap();
        // Asked at once, it is read once: nothing is counted twice.
        let (one, print) = (site("one"), recorded(0));
        let ask = |_| find(&*index, &one, &print);
        let found = futures_util::future::join_all((0..8).map(ask)).await;
        assert!(found.into_iter().all(|found| found.exact_count == 1), "{kind}");
    }
}

#[tokio::test]
async fn many_small_sites_have_room_where_few_large_ones_have() {
    let options = RecentOptions { text_total_max: 12, ..RecentOptions::default() };
    let index = MemoryRecent::new(options);
    let seen = async |name: &str| find(&index, &site(name), &recorded(0)).await.near_count;
    let fill = async |name: &str, count: u64| {
        for number in 0..count {
            let (comment, campaign, label) = (None, None, None);
            let text = RecentText { print: recorded(number), comment, campaign, label };
            index.insert(&site(name), text).await.unwrap();
        }
    };
    for name in ["one", "two", "three", "four"] {
        fill(name, 3).await;
    }
    for name in ["four", "three", "two", "one"] {
        assert!(seen(name).await > 0, "{name}");
    }
    // The one that was not asked for longest makes room.
    fill("five", 3).await;
    assert_eq!(seen("four").await, 0);
    for name in ["one", "two", "three", "five"] {
        assert!(seen(name).await > 0, "{name}");
    }
    // One by itself may be larger.
    fill("large", 40).await;
    assert!(seen("large").await > 0);
    assert_eq!(seen("five").await, 0);
}

/// The prints of [`records::comment`].
fn recorded(number: u64) -> ContentPrint {
    ContentPrint {
        content_hash: u64::MAX - number,
        simhash: 1 << 127 | u128::from(number),
        comparable: true,
    }
}

/// Records a comment and tells an index of it, as a check does.
async fn record(store: &SqliteStore, index: &dyn RecentContent, number: u64) {
    let comment = records::comment("blog", number, None, State::Held);
    store.record_check(&comment, None).await.unwrap();
    let text = RecentText {
        comment: Some(comment.id),
        campaign: Some(comment.campaign),
        ..text(recorded(number))
    };
    index.insert(&site("blog"), text).await.unwrap();
}

/// Two replicas over the same records.
async fn replicas() -> (RedisServer, TempDir, Arc<SqliteStore>, [SharedRecent<RedisLog>; 2]) {
    let (redis, folder) = (RedisServer::start().await, tempfile::tempdir().unwrap());
    let store = Arc::new(open(&folder).await);
    store.create_site(records::site("blog"), "test").await.unwrap();
    let replicas = [0, 1].map(|_| shared(&redis, RecentOptions::default(), store.clone()));
    (redis, folder, store, replicas)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flushed_redis_loses_nothing_and_counts_nothing_twice() {
    let (redis, _folder, store, [one, two]) = replicas().await;
    let blog = site("blog");
    for number in 0..6 {
        record(&store, if number % 2 == 0 { &one } else { &two }, number).await;
        if number % 3 == 2 {
            assert!(redis.cli(&["FLUSHALL"]).contains("OK"));
        }
    }
    store.append_label(records::label("blog", 0, Label::Spam)).await.unwrap();
    one.set_label(&blog, recorded(0), Label::Spam).await.unwrap();
    for (index, name) in [(&one, "one"), (&two, "two")] {
        for number in 0..6 {
            let found = find(index, &blog, &recorded(number)).await;
            assert_eq!(found.exact_count, 1, "{name}: {number}");
            assert_eq!(found.near_count, 6, "{name}: {number}");
        }
        assert_eq!(find(index, &blog, &recorded(0)).await.label, Some(Label::Spam), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_heard_is_not_told_again() {
    let (redis, _folder, store, [one, two]) = replicas().await;
    let blog = site("blog");
    for number in 0..3 {
        record(&store, &one, number).await;
    }
    assert_eq!(find(&two, &blog, &recorded(1)).await.label, None);
    let length = || redis.cli(&["XLEN", "replyguard:{blog}:recent"]).trim().to_owned();
    let before = length();
    two.hear_label(&blog, recorded(1), Label::Spam).await.unwrap();
    assert_eq!(find(&two, &blog, &recorded(1)).await.label, Some(Label::Spam));
    // It is read anew, and the records know of no label.
    two.hear_forget(&blog).await.unwrap();
    let found = find(&two, &blog, &recorded(1)).await;
    assert_eq!((found.near_count, found.label), (3, None));
    assert_eq!(length(), before);
}

/// How many scripts this server has run.
fn script_count(redis: &RedisServer) -> u64 {
    let stats = redis.cli(&["INFO", "commandstats"]);
    let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="));
    line.and_then(|line| line.split(',').next()?.parse().ok()).expect("no script was run")
}

#[tokio::test]
async fn who_comes_together_asks_redis_together() {
    let (redis, _folder, store, [one, two]) = replicas().await;
    let blog = site("blog");
    record(&store, &one, 0).await;
    assert_eq!(find(&two, &blog, &recorded(0)).await.exact_count, 1);
    let before = script_count(&redis);
    let inserts = (0..100).map(|number| one.insert(&blog, text(print(number))));
    assert!(join_all(inserts).await.iter().all(Result::is_ok));
    let finds = (0..100).map(|number| {
        let (two, blog) = (&two, &blog);
        async move { find(two, blog, &print(number)).await.exact_count }
    });
    assert_eq!(join_all(finds).await, [1; 100], "each was told");
    let asked = script_count(&redis) - before;
    assert!((2..=6).contains(&asked), "{asked} questions for 200 callers");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_missed_too_much_reads_back() {
    let (redis, _folder, store, [one, two]) = replicas().await;
    let blog = site("blog");
    record(&store, &two, 0).await;
    record(&store, &one, 1).await;
    for number in 0..1_500 {
        one.insert(&blog, text(print(number))).await.unwrap();
    }
    assert_eq!(find(&one, &blog, &print(7)).await.exact_count, 1);
    let key = "replyguard:{blog}:recent";
    let length: u64 = redis.cli(&["XLEN", key]).trim().parse().unwrap();
    assert!((1_024..1_300).contains(&length), "{length} entries are kept");
    let life: i64 = redis.cli(&["TTL", key]).trim().parse().unwrap();
    assert!((86_000..=86_400).contains(&life), "the log expires in {life} s");
    // What was never recorded came from the log alone, which has a gap for the second.
    assert_eq!(find(&two, &blog, &print(7)).await.exact_count, 0);
    let found = find(&two, &blog, &recorded(1)).await;
    assert_eq!((found.exact_count, found.near_count), (1, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_looks_while_a_site_is_forgotten_finds_all_or_hears_that_it_failed() {
    let (_redis, _folder, store, [one, two]) = replicas().await;
    record(&store, &one, 0).await;
    let memory = MemoryRecent::new(RecentOptions::default());
    let indexes: [Arc<dyn RecentContent>; 3] =
        [Arc::new(RefilledRecent::new(memory, store)), Arc::new(one), Arc::new(two)];
    let blog = site("blog");
    for index in indexes {
        let finders = (0..4).map(|_| {
            let (index, blog) = (index.clone(), blog.clone());
            tokio::spawn(async move {
                for _ in 0..200 {
                    if let Ok(found) = index.find(&blog, &recorded(0)).await {
                        assert_eq!(found.neighbours.exact_count, 1);
                    }
                }
            })
        });
        let finders: Vec<_> = finders.collect();
        while !finders.iter().all(tokio::task::JoinHandle::is_finished) {
            index.forget_site(&blog).await.unwrap();
        }
        for finder in finders {
            finder.await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_lost_its_end_is_noticed() {
    let (redis, _folder, store, [one, two]) = replicas().await;
    let blog = site("blog");
    record(&store, &one, 0).await;
    assert_eq!(find(&two, &blog, &recorded(0)).await.exact_count, 1);
    // A decision that only the records know of, and a log that ends before what was heard: as
    // when a replica of Redis takes over that was behind.
    store.append_label(records::label("blog", 0, Label::Spam)).await.unwrap();
    let key = "replyguard:{blog}:recent";
    assert_eq!(redis.cli(&["DEL", key]).trim(), "1");
    assert_eq!(redis.cli(&["XADD", key, "1-1", "p", "", "e", ""]).trim(), "1-1");
    for index in [&one, &two] {
        let found = find(index, &blog, &recorded(0)).await;
        assert_eq!((found.exact_count, found.label), (1, Some(Label::Spam)));
    }
    // What a later version writes is no reason to stop.
    redis.cli(&["XADD", key, "*", "p", "1-1", "e", "novelty"]);
    record(&store, &one, 1).await;
    let found = find(&two, &blog, &recorded(1)).await;
    assert_eq!((found.exact_count, found.near_count), (1, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn decisions_arrive_by_the_records_while_redis_is_away() {
    let (mut redis, _folder, store, [one, two]) = replicas().await;
    let blog = site("blog");
    for number in 0..3 {
        record(&store, &one, number).await;
    }
    assert_eq!(find(&two, &blog, &recorded(1)).await.near_count, 3);
    redis.kill();
    record(&store, &one, 3).await;
    store.append_label(records::label("blog", 1, Label::Spam)).await.unwrap();
    one.set_label(&blog, recorded(1), Label::Spam).await.unwrap();
    let found = one.find(&blog, &recorded(1)).await.unwrap();
    assert!(found.degraded && found.neighbours.label == Some(Label::Spam), "{found:?}");
    assert_eq!(found.neighbours.near_count, 4);
    wait_for("the decision to arrive by the records", async || {
        let found = two.find(&blog, &recorded(1)).await.unwrap();
        assert!(found.degraded && found.neighbours.near_count >= 3, "{found:?}");
        (found.neighbours.label == Some(Label::Spam)).then_some(())
    })
    .await;

    // Labels that were told to one alone; nothing reads back by the clock before the other asks.
    store.append_label(records::label("blog", 2, Label::Ham)).await.unwrap();
    one.set_label(&blog, recorded(2), Label::Ham).await.unwrap();
    redis.restart().await;
    for index in [&one, &two] {
        wait_for("Redis to be used again", async || {
            let found = index.find(&blog, &recorded(2)).await.unwrap();
            let label = found.neighbours.label == Some(Label::Ham);
            (label && !found.degraded && !index.is_open()).then_some(())
        })
        .await;
        for number in 0..4 {
            let found = find(index, &blog, &recorded(number)).await;
            assert_eq!((found.exact_count, found.near_count), (1, 4), "{number}");
        }
    }
}

/// Against a plain list: nothing is found that is not near, and what is the same always is.
#[test]
fn agrees_with_a_plain_list() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (_redis, _folder, all) = runtime.block_on(implementations());
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) };
    let numbers = prop::collection::vec((0u64..20, 0u32..40), 1..90);
    let case = std::cell::Cell::new(0);
    let outcome = TestRunner::new(config).run(&numbers, |numbers| {
        case.set(case.get() + 1);
        let blog = site(&format!("blog-{}", case.get()));
        let texts: Vec<_> = numbers.iter().map(|(n, bits)| variant(*n, *bits)).collect();
        for (_, index) in &all {
            for text in &texts {
                runtime.block_on(index.insert(&blog, self::text(*text))).unwrap();
            }
            for text in &texts {
                let found = runtime.block_on(find(&**index, &blog, text));
                let exact = texts.iter().filter(|t| t.content_hash == text.content_hash).count();
                let distance = |t: &ContentPrint| (t.simhash ^ text.simhash).count_ones();
                let near = texts.iter().filter(|t| distance(t) <= 24).count();
                prop_assert_eq!(found.exact_count as usize, exact);
                prop_assert!(found.near_count as usize >= exact);
                prop_assert!(found.near_count as usize <= near);
            }
        }
        Ok(())
    });
    outcome.unwrap();
}
