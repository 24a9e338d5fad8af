//! The suite that every store of the review queue passes.

use replyguard::domain::{
    Action, CheckedComment, CommentFilter, DecisionId, Label, State, signals,
};
use replyguard::moderation::ports::models::{LedgerExample, ModelStore, Retraction};
use replyguard::moderation::ports::review::{
    Claim, Decided, ListOrder, NewDecision, Passed, QueueOrder, ReviewStore, Target,
};
use replyguard::moderation::ports::{LabelEntry, Reporter, Store, StoreError};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::support::backend::on_each_store;
use crate::support::records::{comment, comment_id, fingerprint, label, site_id, start};

on_each_store!(
    campaigns_are_one_entry,
    the_queue_is_listed_in_each_order_and_in_pages,
    each_filter_finds_its_comments,
    lists_go_on_where_they_ended,
    a_decision_moves_and_teaches,
    rejecting_for_other_reasons_takes_lessons_back,
    an_undo_restores_all_of_a_decision,
    an_undo_does_not_teach_what_was_retracted,
    an_undo_gives_labels_back_to_those_who_gave_them,
    labels_retracted_while_a_decision_had_taken_them_back_stay_away,
    an_undo_passes_over_what_changed_since,
    long_undos_go_on_where_they_ended,
    an_undo_ends_what_another_began,
    a_decision_that_is_undone_takes_no_more_comments,
    outdated_decisions_are_refused,
    claims_keep_others_out_until_they_expire,
    feedback_is_a_decision_too,
    days_are_counted,
    decisions_are_told_in_order,
);

/// A store of all kinds.
trait All: Store + ReviewStore + ModelStore {}
impl<S: Store + ReviewStore + ModelStore> All for S {}

async fn record(store: &impl All, site: &str, n: u64, state: State) {
    record_as(store, comment(site, n, Some(n % 3), state)).await;
}

async fn record_as(store: &impl All, comment: CheckedComment) {
    store.record_check(&comment, None).await.unwrap();
}

fn decision(n: u64, action: Action) -> NewDecision {
    NewDecision {
        id: DecisionId::from_uuid(Uuid::from_u128(u128::from(n))),
        site: site_id("blog"),
        action,
        actor: "jane".into(),
        administrator: false,
        note: Some("because".into()),
        time: start() + Duration::hours(1) + Duration::seconds(n as i64),
    }
}

fn targets(numbers: impl IntoIterator<Item = u64>) -> Vec<Target> {
    let target = |n| Target { comment: comment_id(n), revision: None };
    numbers.into_iter().map(target).collect()
}

async fn decide(store: &impl All, n: u64, action: Action, numbers: &[u64]) -> Decided {
    store.decide(decision(n, action), targets(numbers.iter().copied())).await.unwrap()
}

async fn undo(store: &impl All, n: u64, undoes: u64) -> Result<Decided, StoreError> {
    let undoes = DecisionId::from_uuid(Uuid::from_u128(u128::from(undoes)));
    store.undo(decision(n, Action::Undo), undoes, None, 100).await
}

async fn state(store: &impl All, n: u64) -> (State, Option<Label>) {
    let found = store.get_reviewed(&site_id("blog"), comment_id(n)).await.unwrap().unwrap();
    (found.comment.state, found.label)
}

/// The last bytes of the ids of a page of the queue.
async fn queue(store: &impl All, order: QueueOrder) -> Vec<u128> {
    let page = store.list_queue(&site_id("blog"), order, None, 100).await.unwrap();
    assert_eq!(page.next, None);
    page.rows.iter().map(|entry| number(&entry.comment.comment)).collect()
}

fn number(comment: &CheckedComment) -> u128 {
    comment.id.as_uuid().as_u128() & 0xFFFF_FFFF
}

async fn list(store: &impl All, filter: &str) -> Vec<u128> {
    let filter = CommentFilter::parse(filter).unwrap();
    let page = store.list_comments(&site_id("blog"), filter, ListOrder::Newest, None, 100).await;
    page.unwrap().rows.iter().map(|found| number(&found.comment)).collect()
}

async fn counting(store: &impl All) -> Vec<(u128, Label)> {
    let examples = store.ledger_examples(&site_id("blog"), 0, None, 100).await.unwrap();
    examples
        .into_iter()
        .map(|example| (example.id.as_uuid().as_u128() & 0xFFFF_FFFF, example.label))
        .collect()
}

async fn campaigns_are_one_entry(store: &impl All) {
    for n in 1..=5 {
        let campaign = comment_id(if n < 4 { 1 } else { n });
        record_as(store, CheckedComment { campaign, ..comment("blog", n, None, State::Held) })
            .await;
    }
    record(store, "news", 6, State::Held).await;
    record(store, "blog", 7, State::Approved).await;
    let page = store.list_queue(&site_id("blog"), QueueOrder::Newest, None, 100).await.unwrap();
    let entries: Vec<_> =
        page.rows.iter().map(|entry| (number(&entry.comment.comment), entry.held_count)).collect();
    assert_eq!(entries, [(5, 1), (4, 1), (3, 3)]);
    assert_eq!(page.rows[2].campaign, comment_id(1));
    assert_eq!(page.rows[2].first_time, start() + Duration::milliseconds(1));
    assert_eq!(store.campaign_counts(&site_id("blog"), comment_id(1)).await.unwrap(), (3, 3));
    let count = store.queue_count(&site_id("blog"), 2).await.unwrap();
    assert_eq!((count.count, count.more), (2, true));
    decide(store, 1, Action::RejectSpam, &[3]).await;
    let page = store.list_queue(&site_id("blog"), QueueOrder::Newest, None, 100).await.unwrap();
    assert_eq!((number(&page.rows[2].comment.comment), page.rows[2].held_count), (2, 2));
    decide(store, 2, Action::RejectSpam, &[1, 2]).await;
    assert_eq!(queue(store, QueueOrder::Newest).await, [5, 4]);
    assert_eq!(store.campaign_counts(&site_id("blog"), comment_id(1)).await.unwrap(), (3, 0));
}

async fn the_queue_is_listed_in_each_order_and_in_pages(store: &impl All) {
    let held = [(1, 1.0, 0.2), (2, 4.0, 0.9), (3, 2.0, 0.5)];
    for (n, uncertainty, probability) in held {
        let mut comment = comment("blog", n, None, State::Held);
        comment.uncertainty = uncertainty;
        comment.score.as_mut().unwrap().probability = probability;
        record_as(store, comment).await;
    }
    assert_eq!(queue(store, QueueOrder::Usefulness).await, [2, 3, 1]);
    assert_eq!(queue(store, QueueOrder::Oldest).await, [1, 2, 3]);
    assert_eq!(queue(store, QueueOrder::Newest).await, [3, 2, 1]);
    assert_eq!(queue(store, QueueOrder::Score).await, [2, 3, 1]);
    for order in QueueOrder::ALL {
        let (mut seen, mut place) = (Vec::new(), None);
        loop {
            let page = store.list_queue(&site_id("blog"), order, place, 1).await.unwrap();
            seen.extend(page.rows.iter().map(|entry| number(&entry.comment.comment)));
            place = page.next;
            if place.is_none() {
                break;
            }
        }
        assert_eq!(seen, queue(store, order).await, "{order:?}");
    }
}

async fn each_filter_finds_its_comments(store: &impl All) {
    for n in 1..=6 {
        let states = [State::Held, State::Approved, State::Rejected];
        let mut comment = comment("blog", n, Some(n % 2), states[n as usize % 3]);
        comment.submission.text = match n {
            4 => "Buy chéap watches now".into(),
            5 => "这是便宜的手表".into(),
            _ => comment.submission.text,
        };
        comment.submission.page_uri = Some(format!("https://blog.example/{}", n % 2));
        comment.submission.lang =
            Some(["de", "de-at", "dexx", "en", "en", "en"][n as usize - 1].into());
        comment.score.as_mut().unwrap().probability = n as f64 / 10.0;
        comment.check_time = start() + Duration::days(n as i64 / 4);
        comment.signals[0].name =
            if n == 6 { signals::HONEYPOT_FILLED } else { signals::LINK_COUNT };
        record_as(store, comment).await;
    }
    record(store, "news", 7, State::Held).await;
    store.append_label(label("blog", 2, Label::Spam)).await.unwrap();
    assert_eq!(list(store, "").await, [6, 5, 4, 3, 2, 1]);
    assert_eq!(list(store, "state:held").await, [6, 3]);
    assert_eq!(list(store, "state:rejected").await, [5, 2]);
    assert_eq!(list(store, "verdict:reject").await, [5, 2]);
    assert_eq!(list(store, "label:spam").await, [2]);
    assert_eq!(list(store, "lang:de").await, [2, 1], "and de-at, but not dexx");
    assert_eq!(list(store, "lang:de-AT").await, [2]);
    assert_eq!(list(store, "lang:de_at state:held").await, [0; 0]);
    assert_eq!(list(store, "lang:fr").await, [0; 0]);
    assert_eq!(list(store, "page:https://blog.example/1 state:held").await, [3]);
    assert_eq!(list(store, &format!("author:{}", fingerprint(1))).await.len(), 3);
    assert_eq!(list(store, &format!("campaign:{}", comment_id(3))).await, [3]);
    assert_eq!(list(store, "score>=0.25 score<0.5").await, [4, 3]);
    assert_eq!(list(store, "signal:honeypot-filled").await, [6]);
    assert_eq!(list(store, "cheap").await, [4], "accents are no matter");
    assert_eq!(list(store, "\"cheap wat\"").await, [0; 0], "words are whole");
    assert_eq!(list(store, "\"cheap wat*\"").await, [4], "a star lets the last word go on");
    assert_eq!(list(store, "che*").await, [4]);
    assert_eq!(list(store, "\"watches cheap\"").await, [0; 0]);
    assert_eq!(list(store, "便宜").await, [5]);
    assert_eq!(list(store, "cheap state:held").await, [0; 0]);
}

async fn lists_go_on_where_they_ended(store: &impl All) {
    for n in 1..=9 {
        let states = [State::Held, State::Approved, State::Rejected];
        record(store, "blog", n, states[n as usize % 3]).await;
    }
    for filter in [
        "",
        "state:held",
        "score>=0",
        "signal:link-count",
        "author:00000000000000000000000000000001",
    ] {
        for order in ListOrder::ALL {
            let filter = CommentFilter::parse(filter).unwrap();
            let blog = site_id("blog");
            let all = store.list_comments(&blog, filter.clone(), order, None, 100).await.unwrap();
            let (mut seen, mut place) = (Vec::new(), None);
            loop {
                let page =
                    store.list_comments(&blog, filter.clone(), order, place, 2).await.unwrap();
                seen.extend(page.rows);
                place = page.next;
                if place.is_none() {
                    break;
                }
            }
            assert_eq!(seen, all.rows, "{filter:?} {order:?}");
        }
    }
}

async fn a_decision_moves_and_teaches(store: &impl All) {
    for n in 1..=3 {
        record(store, "blog", n, State::Held).await;
    }
    let decided = decide(store, 1, Action::RejectSpam, &[1, 2, 9]).await;
    assert_eq!(decided.comments.len(), 2);
    assert_eq!(decided.passed, [(comment_id(9), Passed::NotFound)]);
    assert_eq!(decided.prints[0], comment("blog", 1, None, State::Held).print());
    decide(store, 2, Action::Approve, &[3]).await;
    assert_eq!(state(store, 1).await, (State::Rejected, Some(Label::Spam)));
    assert_eq!(state(store, 3).await, (State::Approved, Some(Label::Ham)));
    let expected = [(1, Label::Spam), (2, Label::Spam), (3, Label::Ham)];
    assert_eq!(counting(store).await, expected);
    let author = store.author_counts(&site_id("blog"), fingerprint(1)).await.unwrap();
    assert_eq!((author.rejected_count, author.spam_label_count, author.held_count), (1, 1, 0));
    assert_eq!(store.author_record(&site_id("blog"), fingerprint(1)).await.unwrap(), author);
    let again = decide(store, 3, Action::RejectSpam, &[1]).await;
    assert_eq!(again.passed, [(comment_id(1), Passed::NothingToDo)]);
    let log = store.list_audit_entries(&site_id("blog"), None, 9).await.unwrap();
    assert_eq!(log[0].subject, comment_id(3).name(&site_id("blog")));
    assert_eq!((log[1].action.as_str(), log[1].before.as_deref()), ("decide", Some("2 comments")));
    assert_eq!(log.len(), 3, "and the site's creation; nothing for what changed nothing");
    let listed = store.list_decisions(&site_id("blog"), None, 9).await.unwrap();
    let counts: Vec<_> = listed.iter().map(|found| (found.action, found.comment_count)).collect();
    assert_eq!(counts, [(Action::Approve, 1), (Action::RejectSpam, 2)]);
}

async fn rejecting_for_other_reasons_takes_lessons_back(store: &impl All) {
    record(store, "blog", 1, State::Held).await;
    decide(store, 1, Action::Approve, &[1]).await;
    decide(store, 2, Action::RejectAbuse, &[1]).await;
    assert_eq!(state(store, 1).await, (State::Rejected, None));
    assert_eq!(counting(store).await, []);
    undo(store, 3, 2).await.unwrap();
    assert_eq!(state(store, 1).await, (State::Approved, Some(Label::Ham)));
    assert_eq!(counting(store).await, [(1, Label::Ham)]);
    decide(store, 4, Action::Reopen, &[1]).await;
    assert_eq!(state(store, 1).await, (State::Held, None));
    assert_eq!(queue(store, QueueOrder::Newest).await, [1]);
    assert_eq!(counting(store).await, []);
}

async fn an_undo_restores_all_of_a_decision(store: &impl All) {
    for n in 1..=4 {
        record(store, "blog", n, State::Held).await;
    }
    record(store, "blog", 5, State::Approved).await;
    let before = queue(store, QueueOrder::Usefulness).await;
    let authors = async || {
        let mut found = Vec::new();
        for n in 0..3 {
            found.push(store.author_counts(&site_id("blog"), fingerprint(n)).await.unwrap());
        }
        found
    };
    let authors_before = authors().await;
    decide(store, 1, Action::RejectSpam, &[1, 2, 3, 4, 5]).await;
    assert_eq!(queue(store, QueueOrder::Usefulness).await, [0; 0]);
    let undone = undo(store, 2, 1).await.unwrap();
    assert_eq!((undone.comments.len(), undone.next), (5, None));
    assert_eq!(queue(store, QueueOrder::Usefulness).await, before);
    assert_eq!(state(store, 5).await, (State::Approved, None));
    assert_eq!(counting(store).await, []);
    assert_eq!(authors().await, authors_before);
    assert!(matches!(undo(store, 3, 1).await, Err(StoreError::Conflict)), "once is enough");
    assert!(matches!(undo(store, 3, 77).await, Err(StoreError::NotFound)));
    // Who undoes the undo has the decision again, and can undo that too.
    undo(store, 4, 2).await.unwrap();
    assert_eq!(state(store, 1).await, (State::Rejected, Some(Label::Spam)));
    assert_eq!(counting(store).await.len(), 5);
    undo(store, 5, 1).await.unwrap_err();
    undo(store, 6, 4).await.unwrap();
    assert_eq!(queue(store, QueueOrder::Usefulness).await, before);
}

/// Ann, a reader, says what a comment is.
async fn ann_says(store: &impl All, n: u64, of: Label) {
    let by_ann = LabelEntry {
        reporter: Reporter::Reader,
        reporter_name: Some("ann".into()),
        note: Some("I know him".into()),
        ..label("blog", n, of)
    };
    store.append_label(by_ann).await.unwrap();
}

/// Takes all labels of somebody back.
async fn retract(store: &impl All, name: &str) -> u64 {
    let what = Retraction::ReporterName(name.into());
    let time = start() + Duration::hours(9);
    store.retract_labels(&site_id("blog"), what, "key:1", None, time).await.unwrap()
}

/// Whose labels count: the name, the label and its time.
async fn voices(store: &impl All) -> Vec<(String, Label, OffsetDateTime)> {
    let examples = store.ledger_examples(&site_id("blog"), 0, None, 100).await.unwrap();
    let voice = |example: LedgerExample| {
        (example.reporter_name.unwrap_or_default(), example.label, example.time)
    };
    examples.into_iter().map(voice).collect()
}

async fn ham_count(store: &impl All) -> u32 {
    store.author_counts(&site_id("blog"), fingerprint(1)).await.unwrap().ham_label_count
}

async fn an_undo_does_not_teach_what_was_retracted(store: &impl All) {
    record(store, "blog", 1, State::Held).await;
    ann_says(store, 1, Label::Ham).await;
    decide(store, 1, Action::RejectSpam, &[1]).await;
    assert_eq!(retract(store, "ann").await, 1);
    let undone = undo(store, 2, 1).await.unwrap();
    let moved = &undone.comments[0];
    assert_eq!((moved.label_before, moved.label_after), (Some(Label::Spam), None));
    assert_eq!(state(store, 1).await, (State::Approved, None));
    assert_eq!(voices(store).await, [], "Ann's label is nobody else's");
    assert_eq!(ham_count(store).await, 0);
    // Who undoes the undo has the one label again that it took back.
    undo(store, 3, 2).await.unwrap();
    assert_eq!(state(store, 1).await, (State::Rejected, Some(Label::Spam)));
    let of_decision = decision(1, Action::RejectSpam).time;
    assert_eq!(voices(store).await, [("jane".to_owned(), Label::Spam, of_decision)]);
    undo(store, 4, 3).await.unwrap();
    assert_eq!(state(store, 1).await, (State::Approved, None));
    assert_eq!(voices(store).await, []);
}

async fn an_undo_gives_labels_back_to_those_who_gave_them(store: &impl All) {
    record(store, "blog", 1, State::Held).await;
    store.append_label(label("blog", 1, Label::Spam)).await.unwrap();
    ann_says(store, 1, Label::Ham).await;
    decide(store, 1, Action::RejectAbuse, &[1]).await;
    assert_eq!(voices(store).await, []);
    let carol = NewDecision { actor: "carol".into(), ..decision(2, Action::Undo) };
    let undoes = decision(1, Action::RejectAbuse).id;
    store.undo(carol, undoes, None, 9).await.unwrap();
    assert_eq!(state(store, 1).await, (State::Approved, Some(Label::Ham)));
    assert_eq!(ham_count(store).await, 1);
    let labelled = label("blog", 1, Label::Ham).time;
    assert_eq!(voices(store).await, [("ann".to_owned(), Label::Ham, labelled)]);
    let said = store.list_labels(&site_id("blog"), 0, 9).await.unwrap();
    let (again, first) = (&said[3].1, &said[1].1);
    assert_eq!((said.len(), again), (4, first), "reporter, name, time and why are as they were");
    // The labels that the undo appended go with it, and both come back once.
    undo(store, 3, 2).await.unwrap();
    assert_eq!(state(store, 1).await, (State::Rejected, None));
    assert_eq!(voices(store).await, []);
    undo(store, 4, 3).await.unwrap();
    assert_eq!(voices(store).await, [("ann".to_owned(), Label::Ham, labelled)]);
    assert_eq!(store.list_labels(&site_id("blog"), 0, 9).await.unwrap().len(), 6);
    retract(store, "ann").await;
    let given = label("blog", 1, Label::Spam).time;
    assert_eq!(
        voices(store).await,
        [("jane".to_owned(), Label::Spam, given)],
        "all of Ann's are gone"
    );
    assert_eq!(state(store, 1).await, (State::Approved, Some(Label::Spam)));
}

async fn labels_retracted_while_a_decision_had_taken_them_back_stay_away(store: &impl All) {
    record(store, "blog", 1, State::Held).await;
    store.append_label(label("blog", 1, Label::Spam)).await.unwrap();
    ann_says(store, 1, Label::Ham).await;
    decide(store, 1, Action::Reopen, &[1]).await;
    assert_eq!(retract(store, "ann").await, 1);
    assert_eq!(retract(store, "ann").await, 0, "only once");
    undo(store, 2, 1).await.unwrap();
    assert_eq!(state(store, 1).await, (State::Approved, Some(Label::Spam)));
    let given = label("blog", 1, Label::Spam).time;
    assert_eq!(voices(store).await, [("jane".to_owned(), Label::Spam, given)]);
}

async fn an_undo_passes_over_what_changed_since(store: &impl All) {
    for n in 1..=2 {
        record(store, "blog", n, State::Held).await;
    }
    decide(store, 1, Action::RejectSpam, &[1, 2]).await;
    decide(store, 2, Action::Approve, &[2]).await;
    let undone = undo(store, 3, 1).await.unwrap();
    assert_eq!(undone.comments.len(), 1);
    assert_eq!(undone.passed, [(comment_id(2), Passed::Changed)]);
    assert_eq!(state(store, 1).await, (State::Held, None));
    assert_eq!(state(store, 2).await, (State::Approved, Some(Label::Ham)));
}

async fn long_undos_go_on_where_they_ended(store: &impl All) {
    for n in 1..=5 {
        record(store, "blog", n, State::Held).await;
    }
    for part in [&[1, 2][..], &[3, 4], &[5]] {
        decide(store, 1, Action::RejectSpam, part).await;
    }
    let record = store.list_decisions(&site_id("blog"), None, 9).await.unwrap();
    assert_eq!((record.len(), record[0].comment_count), (1, 5), "parts of one decision");
    let undoes = record[0].id;
    let (mut place, mut count) = (None, 0);
    loop {
        let record = store.get_decision(&site_id("blog"), undoes).await.unwrap().unwrap();
        assert_eq!(record.undone, None, "it stands in part");
        let part = store.undo(decision(2, Action::Undo), undoes, place, 2).await.unwrap();
        count += part.comments.len();
        place = part.next;
        if place.is_none() {
            break;
        }
    }
    assert_eq!(count, 5);
    assert_eq!(queue(store, QueueOrder::Oldest).await, [1, 2, 3, 4, 5]);
    let record = store.get_decision(&site_id("blog"), undoes).await.unwrap().unwrap();
    assert_eq!(record.undone, Some(decision(2, Action::Undo).id));
}

async fn an_undo_ends_what_another_began(store: &impl All) {
    for n in 1..=8 {
        record(store, "blog", n, State::Held).await;
    }
    decide(store, 1, Action::RejectSpam, &[1, 2, 3, 4, 5, 6, 7, 8]).await;
    decide(store, 2, Action::Approve, &[2]).await;
    let undoes = decision(1, Action::Undo).id;
    let part = async |n, place| store.undo(decision(n, Action::Undo), undoes, place, 3).await;
    // 8, 7 and 6; then nobody hears of that one for a while.
    let first = part(3, None).await.unwrap();
    assert_eq!((first.comments.len(), first.passed.len()), (3, 0));
    let second = part(4, None).await.unwrap();
    assert_eq!((second.comments.len(), second.passed.len()), (0, 0), "what was done is no news");
    let second = part(4, second.next).await.unwrap();
    assert_eq!(second.comments.len(), 3, "5, 4 and 3");
    // Both under way at once: each comment is taken back once.
    let late = part(3, first.next).await.unwrap();
    assert_eq!((late.comments.len(), late.passed.len()), (0, 0));
    let end = part(4, second.next).await.unwrap();
    let moved: Vec<_> = end.comments.iter().map(|moved| moved.comment).collect();
    assert_eq!((moved, end.next), (vec![comment_id(1)], None));
    assert_eq!(end.passed, [(comment_id(2), Passed::Changed)]);
    let rest = part(3, late.next).await.unwrap();
    assert_eq!((rest.comments.len(), rest.next), (0, None), "its caller is told no error");
    assert_eq!(queue(store, QueueOrder::Oldest).await, [1, 3, 4, 5, 6, 7, 8]);
    assert_eq!(counting(store).await, [(2, Label::Ham)]);
    let record = store.get_decision(&site_id("blog"), undoes).await.unwrap().unwrap();
    assert_eq!(record.undone, Some(decision(4, Action::Undo).id), "who came to the end");
    assert!(matches!(part(5, None).await, Err(StoreError::Conflict)));
    // Each of the two can be undone.
    undo(store, 6, 3).await.unwrap();
    undo(store, 7, 4).await.unwrap();
    assert_eq!(queue(store, QueueOrder::Oldest).await, [0; 0]);
}

async fn a_decision_that_is_undone_takes_no_more_comments(store: &impl All) {
    for n in 1..=4 {
        record(store, "blog", n, State::Held).await;
    }
    decide(store, 1, Action::RejectSpam, &[1, 2]).await;
    let undoes = decision(1, Action::Undo).id;
    store.undo(decision(2, Action::Undo), undoes, None, 1).await.unwrap();
    let more = store.decide(decision(1, Action::RejectSpam), targets([3, 4])).await;
    assert!(matches!(more, Err(StoreError::Conflict)), "{more:?}");
    undo(store, 3, 1).await.unwrap();
    let more = store.decide(decision(1, Action::RejectSpam), targets([3, 4])).await;
    assert!(matches!(more, Err(StoreError::Conflict)), "{more:?}");
    assert_eq!(queue(store, QueueOrder::Oldest).await, [1, 2, 3, 4]);
}

async fn outdated_decisions_are_refused(store: &impl All) {
    record(store, "blog", 1, State::Held).await;
    let found = store.get_reviewed(&site_id("blog"), comment_id(1)).await.unwrap().unwrap();
    let target = Target { comment: comment_id(1), revision: Some(found.revision) };
    let first = store.decide(decision(1, Action::Approve), vec![target]).await.unwrap();
    assert_eq!(first.comments.len(), 1);
    let second = store.decide(decision(2, Action::RejectSpam), vec![target]).await.unwrap();
    assert_eq!(second.passed, [(comment_id(1), Passed::Changed)]);
    assert_eq!(state(store, 1).await, (State::Approved, Some(Label::Ham)));
    let foreign = NewDecision { site: site_id("none"), ..decision(3, Action::Approve) };
    assert!(matches!(store.decide(foreign, vec![target]).await, Err(StoreError::NotFound)));
}

async fn claims_keep_others_out_until_they_expire(store: &impl All) {
    record(store, "blog", 1, State::Held).await;
    let (blog, campaign) = (site_id("blog"), comment_id(1));
    let now = start() + Duration::hours(1);
    let claim = |actor: &str, minutes| Claim {
        actor: actor.into(),
        expire_time: now + Duration::minutes(minutes),
    };
    let bob = claim("bob", 10);
    assert_eq!(store.claim(&blog, campaign, bob.clone(), now).await.unwrap(), bob);
    let jane = claim("jane", 10);
    assert_eq!(store.claim(&blog, campaign, jane.clone(), now).await.unwrap(), bob);
    let decided = decide(store, 1, Action::Approve, &[1]).await;
    assert_eq!(decided.passed, [(comment_id(1), Passed::Claimed)]);
    let listed = store.list_queue(&blog, QueueOrder::Newest, None, 9).await.unwrap();
    assert_eq!(listed.rows[0].comment.claim, Some(bob.clone()));
    store.release(&blog, campaign, "jane").await.unwrap();
    assert_eq!(store.claim(&blog, campaign, jane.clone(), now).await.unwrap(), bob);
    let later = now + Duration::minutes(11);
    assert_eq!(store.claim(&blog, campaign, claim("jane", 30), later).await.unwrap().actor, "jane");
    assert_eq!(decide(store, 2, Action::Approve, &[1]).await.comments.len(), 1);
    store.release(&blog, campaign, "jane").await.unwrap();
}

async fn feedback_is_a_decision_too(store: &impl All) {
    record(store, "blog", 1, State::Held).await;
    store.append_label(label("blog", 1, Label::Spam)).await.unwrap();
    assert_eq!(queue(store, QueueOrder::Newest).await, [0; 0]);
    let history = store.comment_decisions(&site_id("blog"), comment_id(1)).await.unwrap();
    assert_eq!(history.len(), 1);
    assert_eq!(
        (history[0].action, history[0].actor.as_str()),
        (Action::Feedback, "moderator:jane")
    );
    let id = history[0].decision;
    store.undo(decision(2, Action::Undo), id, None, 10).await.unwrap();
    assert_eq!(state(store, 1).await, (State::Held, None));
    assert_eq!(queue(store, QueueOrder::Newest).await, [1]);
}

async fn days_are_counted(store: &impl All) {
    for n in 1..=3 {
        record(store, "blog", n, State::Held).await;
    }
    record(store, "blog", 4, State::Rejected).await;
    record(store, "blog", 5, State::Approved).await;
    decide(store, 1, Action::RejectSpam, &[1, 2]).await;
    decide(store, 2, Action::Approve, &[3, 4]).await;
    decide(store, 3, Action::RejectSpam, &[4]).await;
    let days = store.day_counts(&site_id("blog"), start()).await.unwrap();
    assert_eq!(days.len(), 1);
    let day = days[0];
    assert_eq!((day.approve_count, day.hold_count, day.reject_count), (1, 3, 1));
    assert_eq!((day.held_approved_count, day.held_rejected_count), (1, 2));
    assert_eq!((day.rejected_approved_count, day.approved_rejected_count), (1, 0));
    undo(store, 4, 1).await.unwrap();
    let day = store.day_counts(&site_id("blog"), start()).await.unwrap()[0];
    assert_eq!((day.held_approved_count, day.held_rejected_count), (1, 0));
    let age = store.queue_age(&site_id("blog"), start() + Duration::hours(2)).await.unwrap();
    assert_eq!(age.counts, [0, 2, 0, 0, 0, 0]);
    assert_eq!(age.oldest_time, Some(start() + Duration::milliseconds(1)));
}

async fn decisions_are_told_in_order(store: &impl All) {
    for n in 1..=3 {
        record(store, "blog", n, State::Held).await;
    }
    let blog = site_id("blog");
    let last = store.comment_number(&blog).await.unwrap();
    record(store, "blog", 4, State::Held).await;
    record(store, "news", 5, State::Held).await;
    let held = store.held_comments(&blog, last, 9).await.unwrap();
    assert_eq!(held.iter().map(|(_, found)| number(&found.comment)).collect::<Vec<_>>(), [4]);
    assert_eq!(store.decided_position(&blog).await.unwrap(), 0);
    decide(store, 1, Action::RejectSpam, &[1]).await;
    decide(store, 2, Action::Approve, &[2]).await;
    undo(store, 3, 1).await.unwrap();
    let told = store.decided_comments(&blog, 0, 9).await.unwrap();
    let actions: Vec<_> = told.iter().map(|told| told.action).collect();
    assert_eq!(actions, [Action::RejectSpam, Action::Approve, Action::Undo]);
    assert_eq!((told[2].state_before, told[2].state_after), (State::Rejected, State::Held));
    assert_eq!(store.decided_position(&blog).await.unwrap(), told[2].position);
    let rest = store.decided_comments(&blog, told[0].position, 1).await.unwrap();
    assert_eq!(rest, told[1..2]);
    assert_eq!(store.decided_comments(&site_id("news"), 0, 9).await.unwrap(), []);
}
