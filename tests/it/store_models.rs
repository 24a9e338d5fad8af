//! The suite that every store of models and of the ledger passes.

use replyguard::domain::{CommentId, Fingerprint, Label, State};
use replyguard::moderation::ports::models::{
    ImportedExample, ModelChange, ModelState, ModelStore, Retraction,
};
use replyguard::moderation::ports::{LabelEntry, Reporter, Store, StoreError};
use time::OffsetDateTime;

use crate::support::backend::on_each_store;
use crate::support::records::{comment, comment_id, fingerprint, label, model, site_id, start};

on_each_store!(
    the_last_label_that_stands_counts,
    positions_give_the_ledger_as_it_was,
    labels_are_read_by_their_positions,
    labels_are_taken_back_by_whom_and_where_from,
    labels_of_moderators_are_taken_back_by_their_names,
    imports_can_be_repeated,
    the_last_of_imported_labels_counts,
    models_are_immutable_and_stored_once,
    one_model_decides_and_one_shadows,
    a_roll_back_forgets_what_was_promoted_later,
    unknown_sites_and_models_are_not_found,
);

/// A store of both kinds.
trait Both: Store + ModelStore {}
impl<S: Store + ModelStore> Both for S {}

/// Records the `n`th comment and labels it.
async fn labelled(store: &impl Both, n: u64, author: u64, of: Label) -> i64 {
    store.record_check(&comment("blog", n, Some(author), State::Approved), None).await.unwrap();
    store.append_label(label("blog", n, of)).await.unwrap().position
}

/// What counts: id and label, in order of the ledger.
async fn counting(store: &impl Both, until: Option<i64>) -> Vec<(CommentId, Label)> {
    let examples = store.ledger_examples(&site_id("blog"), 0, until, 100).await.unwrap();
    examples.into_iter().map(|example| (example.id, example.label)).collect()
}

async fn retract(store: &impl Both, what: Retraction) -> u64 {
    let note = Some("asked for".to_owned());
    store.retract_labels(&site_id("blog"), what, "key:1", note, start()).await.unwrap()
}

async fn the_last_label_that_stands_counts(store: &impl Both) {
    labelled(store, 1, 7, Label::Ham).await;
    labelled(store, 2, 8, Label::Ham).await;
    let second = store.append_label(label("blog", 1, Label::Spam)).await.unwrap().position;
    let (one, two) = (comment_id(1), comment_id(2));
    assert_eq!(counting(store, None).await, [(two, Label::Ham), (one, Label::Spam)]);
    assert_eq!(retract(store, Retraction::Position(second)).await, 1);
    let before = [(one, Label::Ham), (two, Label::Ham)];
    assert_eq!(counting(store, None).await, before, "the label before it stands again");
    assert_eq!(retract(store, Retraction::Position(second)).await, 0, "only once");
    assert_eq!(retract(store, Retraction::Comment(one)).await, 1);
    assert_eq!(counting(store, None).await, [(two, Label::Ham)]);
    let examples = store.ledger_examples(&site_id("blog"), 0, None, 100).await.unwrap();
    let recorded = comment("blog", 2, Some(8), State::Approved);
    assert_eq!(examples[0].submission, recorded.submission);
    assert_eq!(examples[0].content_hash, recorded.content_hash);
    assert_eq!(examples[0].source, "site");
    let listed = store.list_labels(&site_id("blog"), 0, 100).await.unwrap();
    assert_eq!(listed.len(), 3, "what people said stays listed, retractions are no labels");
}

async fn positions_give_the_ledger_as_it_was(store: &impl Both) {
    for n in 1..=5 {
        labelled(store, n, n, Label::Ham).await;
    }
    retract(store, Retraction::Comment(comment_id(2))).await;
    let last = store.ledger_position(&site_id("blog")).await.unwrap();
    assert_eq!(last, 6);
    assert_eq!(counting(store, Some(5)).await.len(), 5, "before it was taken back");
    assert_eq!(counting(store, Some(last)).await.len(), 4);
    assert_eq!(counting(store, Some(3)).await.len(), 3);
    let site = site_id("blog");
    let mut pages = Vec::new();
    let mut after = 0;
    loop {
        let page = store.ledger_examples(&site, after, None, 3).await.unwrap();
        let Some(last) = page.last() else { break };
        after = last.position;
        pages.push(page.len());
    }
    assert_eq!(pages, [3, 1]);
}

async fn labels_are_read_by_their_positions(store: &impl Both) {
    let first = labelled(store, 1, 7, Label::Ham).await;
    let other = labelled(store, 2, 7, Label::Ham).await;
    let later = store.append_label(label("blog", 1, Label::Spam)).await.unwrap().position;
    let imported = vec![imported(3, "old", None)];
    store.import_examples(&site_id("blog"), imported, "key:1", start()).await.unwrap();
    let last = store.ledger_position(&site_id("blog")).await.unwrap();
    assert_eq!(retract(store, Retraction::Position(other)).await, 1);
    let taken_back = store.ledger_position(&site_id("blog")).await.unwrap();
    let wanted = vec![last, later, other, first, taken_back, i64::MAX];
    let mut found = store.examples_at(&site_id("blog"), wanted.clone()).await.unwrap();
    found.sort_by_key(|example| example.position);
    let positions: Vec<_> = found.iter().map(|example| example.position).collect();
    assert_eq!(positions, [first, other, later, last], "also what does not count, no retraction");
    assert_eq!((found[0].label, found[2].label), (Label::Ham, Label::Spam));
    assert_eq!(found[1].submission, comment("blog", 2, Some(7), State::Approved).submission);
    assert_eq!(found[3].source, "old");
    assert_eq!(store.examples_at(&site_id("blog"), Vec::new()).await.unwrap(), []);
    assert_eq!(store.examples_at(&site_id("news"), wanted).await.unwrap(), [], "of another site");
}

async fn labels_are_taken_back_by_whom_and_where_from(store: &impl Both) {
    labelled(store, 1, 7, Label::Ham).await;
    labelled(store, 2, 7, Label::Spam).await;
    labelled(store, 3, 8, Label::Spam).await;
    let mut by_joe = label("blog", 3, Label::Ham);
    by_joe.reporter_name = Some("joe".into());
    store.append_label(by_joe).await.unwrap();
    store
        .import_examples(&site_id("blog"), vec![imported(9, "old", Some(7))], "key:1", start())
        .await
        .unwrap();
    assert_eq!(retract(store, Retraction::ReporterName("joe".into())).await, 1);
    assert_eq!(counting(store, None).await.len(), 4);
    assert_eq!(retract(store, Retraction::Author(fingerprint(7))).await, 3, "imports, too");
    assert_eq!(counting(store, None).await, [(comment_id(3), Label::Spam)]);
    assert_eq!(retract(store, Retraction::Source("old".into())).await, 0, "already");
    let log = store.list_audit_entries(&site_id("blog"), None, 3).await.unwrap();
    let said: Vec<_> = log.iter().map(|entry| (&*entry.action, entry.after.as_deref())).collect();
    let expected = [
        ("retract-labels", Some("3 labels")),
        ("retract-labels", Some("1 labels")),
        ("import-examples", Some("1 examples")),
    ];
    assert_eq!(said, expected);
    assert_eq!(log[0].note.as_deref(), Some("asked for"));
}

/// Nothing was found but the bare name, which no moderator has in the ledger.
async fn labels_of_moderators_are_taken_back_by_their_names(store: &impl Both) {
    let key = "key:0192f0c1-2b7a-7c3e-9d4f-0123456789ab";
    let (moderator, reader) = (Reporter::Moderator, Reporter::Reader);
    let of_joe = [
        (reader, "joe".to_owned()),
        (moderator, "moderator:joe".to_owned()),
        (Reporter::Administrator, "moderator:joe".to_owned()),
        (moderator, format!("joe ({key})")),
    ];
    let of_others = [
        (moderator, "moderator:joey".to_owned()),
        (moderator, format!("joey ({key})")),
        (moderator, format!("moderator:joe ({key})")),
        (moderator, format!("joe ({key}) and more")),
        (moderator, format!("big joe ({key})")),
        (moderator, "joe (key:".to_owned()),
        (moderator, key.to_owned()),
        // Readers are called as they like.
        (reader, "moderator:joe".to_owned()),
        (reader, format!("joe ({key})")),
    ];
    for (n, (reporter, name)) in (1..).zip(of_joe.iter().chain(&of_others)) {
        store.record_check(&comment("blog", n, Some(7), State::Approved), None).await.unwrap();
        let (reporter, reporter_name) = (*reporter, Some(name.clone()));
        let entry = LabelEntry { reporter, reporter_name, ..label("blog", n, Label::Spam) };
        store.append_label(entry).await.unwrap();
    }
    for pattern in ["%", "jo_", "moderator:%"] {
        assert_eq!(retract(store, Retraction::ReporterName(pattern.into())).await, 0, "{pattern}");
    }
    assert_eq!(retract(store, Retraction::ReporterName("joe".into())).await, 4);
    let left = store.ledger_examples(&site_id("blog"), 0, None, 100).await.unwrap();
    let left = left.into_iter().map(|one| (one.reporter, one.reporter_name.unwrap_or_default()));
    assert_eq!(left.collect::<Vec<_>>(), of_others);
    // As the ledger has it, a name is found too.
    assert_eq!(retract(store, Retraction::ReporterName(format!("joey ({key})"))).await, 1);
    assert_eq!(retract(store, Retraction::ReporterName(key.into())).await, 1);
}

/// The `n`th example of an import.
fn imported(n: u64, source: &str, author: Option<u64>) -> ImportedExample {
    let recorded = comment("blog", n, author, State::Approved);
    let mut submission = recorded.submission;
    // No import has it, so the record has no place for it.
    submission.ip = None;
    ImportedExample {
        id: comment_id(n + 1_000),
        label: Label::Spam,
        source: source.into(),
        time: start(),
        content_hash: recorded.content_hash,
        submission,
    }
}

async fn imports_can_be_repeated(store: &impl Both) {
    let site = site_id("blog");
    let examples = || vec![imported(1, "old", Some(4)), imported(2, "old", None)];
    let import = |examples| store.import_examples(&site, examples, "key:1", start());
    assert_eq!(import(examples()).await.unwrap(), 2);
    let mut again = examples();
    again[0].id = comment_id(5_000);
    again.push(imported(1, "other", None));
    again[2].id = comment_id(5_001);
    assert_eq!(import(again).await.unwrap(), 1, "another source is another word");
    let found = store.ledger_examples(&site, 0, None, 10).await.unwrap();
    assert_eq!(found.len(), 3);
    assert_eq!(found[0].submission, imported(1, "old", Some(4)).submission);
    assert_eq!((found[0].source.as_str(), found[0].label), ("old", Label::Spam));
    assert_eq!(retract(store, Retraction::Source("old".into())).await, 2);
    let mut after = examples();
    after[0].id = comment_id(6_000);
    after[1].id = comment_id(6_001);
    assert_eq!(import(after).await.unwrap(), 2, "what was taken back can be imported again");
}

/// The third of spam, ham and spam was passed over, since the first had its label.
async fn the_last_of_imported_labels_counts(store: &impl Both) {
    let site = site_id("blog");
    let import = |examples| store.import_examples(&site, examples, "key:1", start());
    let said = |id: u64, of: Label, minute: i64| ImportedExample {
        id: comment_id(id),
        label: of,
        time: start() + time::Duration::minutes(minute),
        ..imported(1, "old", None)
    };
    let [first, second, third] =
        [said(1, Label::Spam, 0), said(2, Label::Ham, 1), said(3, Label::Spam, 2)];
    for one in [first, second] {
        assert_eq!(import(vec![one]).await.unwrap(), 1);
    }
    let again = vec![said(4, Label::Spam, 0), said(5, Label::Ham, 1)];
    assert_eq!(import(again).await.unwrap(), 0, "the same file again");
    assert_eq!(import(vec![third]).await.unwrap(), 1, "somebody changed his mind again");
    let last = store.ledger_examples(&site, 0, None, 10).await.unwrap().pop().unwrap();
    assert_eq!((last.id, last.label), (comment_id(3), Label::Spam));
    // The same in one call, and all of it again.
    let whole = |id: u64| -> Vec<ImportedExample> {
        let labels = [(Label::Ham, 3), (Label::Spam, 4), (Label::Spam, 5), (Label::Ham, 6)];
        (id..).zip(labels).map(|(id, (label, minute))| said(id, label, minute)).collect()
    };
    assert_eq!(import(whole(10)).await.unwrap(), 3);
    assert_eq!(import(whole(20)).await.unwrap(), 0);
    // An older word that comes later is not the last one.
    let elsewhere = |id: u64, of: Label, minute: i64| ImportedExample {
        source: "elsewhere".into(),
        ..said(id, of, minute)
    };
    let labels = [(Label::Spam, 10), (Label::Ham, 2), (Label::Ham, 20)];
    for (id, (of, minute)) in (30..).zip(labels) {
        assert_eq!(import(vec![elsewhere(id, of, minute)]).await.unwrap(), 1, "minute {minute}");
    }
}

async fn models_are_immutable_and_stored_once(store: &impl Both) {
    let site = site_id("blog");
    let first = store.create_model(model("blog-1"), vec![1, 2, 3], "key:1", None).await.unwrap();
    assert_eq!(first, model("blog-1"));
    let mut other = model("blog-1");
    other.ham_count = 99;
    let again = store.create_model(other, vec![9], "key:1", None).await.unwrap();
    assert_eq!(again, first, "a version is its bytes");
    store.create_model(model("blog-2"), vec![4], "key:1", None).await.unwrap();
    let versions: Vec<_> =
        store.list_models(&site).await.unwrap().into_iter().map(|model| model.version).collect();
    assert_eq!(versions, ["blog-2", "blog-1"]);
    let (record, artifact) = store.get_model(&site, "blog-1").await.unwrap().unwrap();
    assert_eq!((record, artifact), (first, vec![1, 2, 3]));
}

async fn one_model_decides_and_one_shadows(store: &impl Both) {
    let site = site_id("blog");
    for version in ["blog-1", "blog-2", "blog-3"] {
        store.create_model(model(version), vec![0], "key:1", None).await.unwrap();
    }
    let change = |version: &str, state| ModelChange {
        site: site.clone(),
        version: version.into(),
        state,
        promote_time: (state == ModelState::Active).then(start),
        rolls_back: false,
        actor: "key:1".into(),
        note: Some("tried".into()),
        time: start(),
    };
    let states = || async {
        let models = store.list_models(&site).await.unwrap();
        models.into_iter().rev().map(|model| model.state).collect::<Vec<_>>()
    };
    use ModelState::{Active, Candidate, Retired, Shadow};
    let promoted = store.change_model(change("blog-1", Active)).await.unwrap();
    assert_eq!((promoted.state, promoted.promote_time), (Active, Some(start())));
    store.change_model(change("blog-2", Shadow)).await.unwrap();
    store.change_model(change("blog-3", Shadow)).await.unwrap();
    assert_eq!(states().await, [Active, Candidate, Shadow]);
    store.change_model(change("blog-3", Active)).await.unwrap();
    assert_eq!(states().await, [Retired, Candidate, Active]);
    let deciding = store.deciding_models().await.unwrap();
    let deciding: Vec<_> = deciding.iter().map(|model| model.version.as_str()).collect();
    assert_eq!(deciding, ["blog-3"]);
    let log = store.list_audit_entries(&site, None, 1).await.unwrap();
    assert_eq!(log[0].subject, "sites/blog/models/blog-3");
    assert_eq!(
        (log[0].before.as_deref(), log[0].after.as_deref()),
        (Some("shadow"), Some("active"))
    );
}

async fn a_roll_back_forgets_what_was_promoted_later(store: &impl Both) {
    let site = site_id("blog");
    let promoted = |second: i64| start() + time::Duration::seconds(second);
    let change = |version: &str, state, promote_time: Option<OffsetDateTime>| ModelChange {
        site: site.clone(),
        version: version.into(),
        state,
        promote_time,
        rolls_back: promote_time.is_none(),
        actor: "key:1".into(),
        note: None,
        time: start(),
    };
    let models = || async {
        let models = store.list_models(&site).await.unwrap();
        models.into_iter().rev().map(|model| (model.state, model.promote_time)).collect::<Vec<_>>()
    };
    use ModelState::{Active, Retired};
    for (version, second) in [("blog-1", 1), ("blog-2", 2), ("blog-3", 3)] {
        store.create_model(model(version), vec![0], "key:1", None).await.unwrap();
        store.change_model(change(version, Active, Some(promoted(second)))).await.unwrap();
    }
    // The second one is passed over.
    store.change_model(change("blog-1", Active, None)).await.unwrap();
    let (first, forgotten) = ((Active, Some(promoted(1))), (Retired, None::<OffsetDateTime>));
    assert_eq!(models().await, [first, forgotten, forgotten]);
    store.change_model(change("blog-2", Active, Some(promoted(4)))).await.unwrap();
    // The first one is passed over: the base model decides.
    store.change_model(change("blog-2", Retired, None)).await.unwrap();
    assert_eq!(models().await, [forgotten; 3]);
}

async fn unknown_sites_and_models_are_not_found(store: &impl Both) {
    let nowhere = site_id("nowhere");
    assert!(store.list_models(&nowhere).await.unwrap().is_empty());
    assert!(store.ledger_examples(&nowhere, 0, None, 9).await.unwrap().is_empty());
    assert_eq!(store.ledger_position(&nowhere).await.unwrap(), 0);
    let import = store.import_examples(&nowhere, vec![imported(1, "x", None)], "a", start()).await;
    assert!(matches!(import, Err(StoreError::NotFound)));
    let author = Retraction::Author(Fingerprint::from_bytes([0; 16]));
    let back = store.retract_labels(&nowhere, author, "a", None, start()).await;
    assert!(matches!(back, Err(StoreError::NotFound)));
    let change = ModelChange {
        site: site_id("blog"),
        version: "none".into(),
        state: ModelState::Active,
        promote_time: None,
        rolls_back: false,
        actor: "a".into(),
        note: None,
        time: start(),
    };
    assert!(matches!(store.change_model(change).await, Err(StoreError::NotFound)));
    assert!(store.get_model(&site_id("blog"), "none").await.unwrap().is_none());
}
