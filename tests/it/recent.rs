//! The suite of every index of recent content.

use std::sync::Arc;

use proptest::prelude::*;
use replyguard::domain::{ContentPrint, Label, Neighbours, SiteId, State};
use replyguard::limits::{MemoryRecent, RecentOptions, RefilledRecent};
use replyguard::moderation::ports::{RecentContent, RecentText, Store};
use replyguard::storage::{SqliteOptions, SqliteStore};

use crate::support::records;

/// Every implementation, holding few texts so that forgetting can be seen.
fn implementations() -> Vec<(&'static str, Arc<dyn RecentContent>)> {
    let options = RecentOptions { text_count_max: 100, labelled_count_max: 10, site_count_max: 3 };
    vec![("memory", Arc::new(MemoryRecent::new(options)))]
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
    RecentText { print, campaign: None, label: None }
}

#[tokio::test]
async fn the_campaign_is_that_of_the_nearest_text() {
    for (name, index) in implementations() {
        let blog = site("blog");
        let (first, second) = (records::comment_id(1), records::comment_id(2));
        let of = |print, campaign| RecentText { print, campaign: Some(campaign), label: None };
        index.insert(&blog, of(print(1), first)).await.unwrap();
        index.insert(&blog, of(variant(1, 20), second)).await.unwrap();
        let campaign = async |print| index.find(&blog, &print).await.unwrap().campaign;
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
    for (name, index) in implementations() {
        let blog = site("blog");
        for _ in 0..3 {
            index.insert(&blog, text(print(1))).await.unwrap();
        }
        index.insert(&blog, text(variant(1, 9))).await.unwrap();
        index.insert(&blog, text(print(2))).await.unwrap();
        let found = index.find(&blog, &print(1)).await.unwrap();
        assert_eq!(
            found,
            Neighbours { exact_count: 3, near_count: 4, ..Neighbours::default() },
            "{name}"
        );
        let found = index.find(&blog, &variant(1, 60)).await.unwrap();
        assert_eq!(found, Neighbours::default(), "{name}: far is not near");
        let found = index.find(&site("other"), &print(1)).await.unwrap();
        assert_eq!(found, Neighbours::default(), "{name}: sites are apart");
    }
}

#[tokio::test]
async fn the_nearest_and_last_label_counts() {
    for (name, index) in implementations() {
        let blog = site("blog");
        index.insert(&blog, text(print(1))).await.unwrap();
        index.set_label(&blog, print(1), Label::Spam).await.unwrap();
        let found = index.find(&blog, &variant(1, 8)).await.unwrap();
        assert_eq!(found.label, Some(Label::Spam), "{name}");
        index.set_label(&blog, print(1), Label::Ham).await.unwrap();
        let found = index.find(&blog, &variant(1, 8)).await.unwrap();
        assert_eq!(found.label, Some(Label::Ham), "{name}: the last word counts");
        index.set_label(&blog, variant(1, 10), Label::Spam).await.unwrap();
        let found = index.find(&blog, &variant(1, 9)).await.unwrap();
        assert_eq!(found.label, Some(Label::Spam), "{name}: the nearest counts");
        let found = index.find(&blog, &print(1)).await.unwrap();
        assert_eq!(found.label, Some(Label::Ham), "{name}: the nearest counts");
    }
}

#[tokio::test]
async fn short_texts_lend_no_label() {
    for (name, index) in implementations() {
        let blog = site("blog");
        let thanks = ContentPrint { content_hash: 5, simhash: 0, comparable: false };
        index.insert(&blog, text(thanks)).await.unwrap();
        index.set_label(&blog, thanks, Label::Spam).await.unwrap();
        let found = index.find(&blog, &thanks).await.unwrap();
        assert_eq!((found.exact_count, found.label), (1, None), "{name}");
        let other = ContentPrint { content_hash: 6, ..thanks };
        assert_eq!(index.find(&blog, &other).await.unwrap(), Neighbours::default(), "{name}");
    }
}

#[tokio::test]
async fn the_oldest_falls_out_and_labels_stay_longer() {
    for (name, index) in implementations() {
        let blog = site("blog");
        index.insert(&blog, text(print(1))).await.unwrap();
        index.set_label(&blog, print(1), Label::Spam).await.unwrap();
        for number in 2..=101 {
            index.insert(&blog, text(print(number))).await.unwrap();
        }
        let found = index.find(&blog, &print(1)).await.unwrap();
        let expected =
            Neighbours { label: Some(Label::Spam), label_exact: true, ..Neighbours::default() };
        assert_eq!(found, expected, "{name}");
        assert_eq!(index.find(&blog, &print(2)).await.unwrap().exact_count, 1, "{name}");
        for number in 200..210 {
            index.set_label(&blog, print(number), Label::Ham).await.unwrap();
        }
        let found = index.find(&blog, &print(1)).await.unwrap();
        assert_eq!(found.label, None, "{name}: labelled texts are bounded, too");
        for other in ["one", "two", "three"] {
            index.insert(&site(other), text(print(1))).await.unwrap();
        }
        let found = index.find(&blog, &print(101)).await.unwrap();
        assert_eq!(found, Neighbours::default(), "{name}: sites are bounded");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forgotten_site_is_read_back_with_its_decisions() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records.sqlite");
    let store = SqliteStore::open(&path, SqliteOptions::default()).await.unwrap();
    let names = ["one", "two", "three", "four", "five"];
    for (number, name) in (0u64..).zip(names) {
        store.create_site(records::site(name), "test").await.unwrap();
        let comment = records::comment(name, number, None, State::Approved);
        store.record_check(&comment, None).await.unwrap();
        store.append_label(records::label(name, number, Label::Spam)).await.unwrap();
    }
    let options = RecentOptions { site_count_max: 2, ..RecentOptions::default() };
    let index = RefilledRecent::new(MemoryRecent::new(options), Arc::new(store));
    let of = |number: u64| ContentPrint {
        content_hash: u64::MAX - number,
        simhash: 1 << 127 | u128::from(number),
        comparable: true,
    };
    for _ in 0..2 {
        for (number, name) in (0u64..).zip(names) {
            let found = index.find(&site(name), &of(number)).await.unwrap();
            let expected = Neighbours {
                exact_count: 1,
                near_count: 1,
                label: Some(Label::Spam),
                label_exact: true,
                campaign: Some(records::comment_id(number)),
            };
            assert_eq!(found, expected, "{name}");
        }
    }
    // Asked at once, it is read once: nothing is counted twice.
    let (one, print) = (site("one"), of(0));
    let ask = |_| index.find(&one, &print);
    let found = futures_util::future::join_all((0..8).map(ask)).await;
    assert!(found.into_iter().all(|found| found.unwrap().exact_count == 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Against a plain list: nothing is found that is not near, and what is the same always is.
    #[test]
    fn agrees_with_a_plain_list(numbers in prop::collection::vec((0u64..20, 0u32..40), 1..90)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for (_, index) in implementations() {
            let blog = site("blog");
            let texts: Vec<_> = numbers.iter().map(|(n, bits)| variant(*n, *bits)).collect();
            for text in &texts {
                runtime.block_on(index.insert(&blog, self::text(*text))).unwrap();
            }
            for text in &texts {
                let found = runtime.block_on(index.find(&blog, text)).unwrap();
                let exact = texts.iter().filter(|t| t.content_hash == text.content_hash).count();
                let near = texts.iter().filter(|t| (t.simhash ^ text.simhash).count_ones() <= 24).count();
                prop_assert_eq!(found.exact_count as usize, exact);
                prop_assert!(found.near_count as usize >= exact);
                prop_assert!(found.near_count as usize <= near);
            }
        }
    }
}
