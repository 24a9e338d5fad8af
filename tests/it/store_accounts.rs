//! The suite that every store of accounts passes.

use replyguard::moderation::ports::accounts::{
    AccountChange, AccountRecord, AccountStore, ChangedAccount, InvitationRecord, PasswordHash,
    Role, SessionRecord,
};
use replyguard::moderation::ports::{Store, StoreError};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::support::backend::on_each_store;
use crate::support::records::{site_id, start};

on_each_store!(
    accounts_are_found_by_id_and_by_name,
    a_refused_account_leaves_nothing,
    accounts_are_listed_by_folded_name_in_pages,
    an_invitation_sets_a_password_once,
    a_new_invitation_voids_what_was_before,
    changes_need_the_last_revision,
    the_last_administrator_stays,
    one_of_two_administrators_stays_whoever_is_faster,
    a_disabled_account_is_out_at_once,
    another_password_ends_all_sessions,
    sessions_need_the_password_they_began_with,
    sessions_are_touched_and_purged,
    each_change_is_in_the_log_of_no_site,
);

/// A store of both kinds.
trait All: Store + AccountStore {}
impl<S: Store + AccountStore> All for S {}

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn account(n: u128, name: &str, role: Role, sites: &[&str]) -> AccountRecord {
    AccountRecord {
        id: id(n),
        name: name.into(),
        role,
        sites: sites.iter().map(|site| site_id(site)).collect(),
        disabled: false,
        password_hash: None,
        revision: 1,
        create_time: start() + Duration::seconds(n as i64),
        login_time: None,
    }
}

fn invitation(n: u8) -> InvitationRecord {
    InvitationRecord { hash: [n; 32], expire_time: start() + Duration::DAY }
}

fn password(n: u8) -> PasswordHash {
    PasswordHash::from_phc(format!("$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ${n}"))
}

fn session(n: u8, account: u128, time: OffsetDateTime) -> SessionRecord {
    SessionRecord { hash: [n; 32], account: id(account), create_time: time, seen_time: time }
}

fn change(role: Role, sites: &[&str], disabled: bool) -> AccountChange {
    let sites = sites.iter().map(|site| site_id(site)).collect();
    AccountChange { revision: None, role, sites, disabled }
}

/// Creates the `n`th account with the password `n`.
async fn join(store: &impl All, n: u8, name: &str, role: Role, sites: &[&str]) -> AccountRecord {
    let account = account(n.into(), name, role, sites);
    store.create_account(account, invitation(n), "test").await.unwrap();
    store.accept_invitation(&[n; 32], password(n), start()).await.unwrap()
}

async fn actions(store: &impl All) -> Vec<String> {
    let log = store.list_account_audit_entries(None, 50).await.unwrap();
    log.into_iter().rev().map(|entry| entry.action).collect()
}

async fn accounts_are_found_by_id_and_by_name(store: &impl All) {
    let jane = account(1, "Jane Ö", Role::Moderator, &["blog", "news"]);
    store.create_account(jane.clone(), invitation(1), "admin").await.unwrap();
    assert_eq!(store.get_account(id(1)).await.unwrap(), Some(jane.clone()));
    assert_eq!(store.find_account(" jane ö ").await.unwrap(), Some(jane));
    assert_eq!(store.get_account(id(2)).await.unwrap(), None);
    assert_eq!(store.find_account("jane").await.unwrap(), None);
    // Administrators have all sites, so none is kept.
    let bob = account(2, "bob", Role::Administrator, &["blog"]);
    store.create_account(bob, invitation(2), "admin").await.unwrap();
    assert_eq!(store.get_account(id(2)).await.unwrap().unwrap().sites, []);
}

async fn a_refused_account_leaves_nothing(store: &impl All) {
    let jane = account(1, "jane", Role::Moderator, &["blog"]);
    store.create_account(jane, invitation(1), "test").await.unwrap();
    let again = account(2, "JANE", Role::Moderator, &["blog"]);
    let refused = store.create_account(again, invitation(2), "test").await;
    assert!(matches!(refused, Err(StoreError::AlreadyExists)));
    let lost = account(3, "john", Role::Moderator, &["blog", "nowhere"]);
    let refused = store.create_account(lost, invitation(3), "test").await;
    assert!(matches!(refused, Err(StoreError::NotFound)));
    assert_eq!(store.list_accounts(None, 10).await.unwrap().len(), 1);
    for n in [2, 3] {
        assert_eq!(store.find_invitation(&[n; 32], start()).await.unwrap(), None);
    }
    assert_eq!(actions(store).await, ["create-moderator"]);
}

async fn accounts_are_listed_by_folded_name_in_pages(store: &impl All) {
    for (n, name) in [(1, "b-1"), (2, "C"), (3, "a"), (4, "B"), (5, "b a")] {
        let account = account(n, name, Role::Administrator, &[]);
        store.create_account(account, invitation(n as u8), "test").await.unwrap();
    }
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = store.list_accounts(after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        seen.extend(page.into_iter().map(|account| account.name));
    }
    // By code points, whatever the language of the database.
    assert_eq!(seen, ["a", "B", "b a", "b-1", "C"]);
}

async fn an_invitation_sets_a_password_once(store: &impl All) {
    let jane = account(1, "jane", Role::Moderator, &["blog"]);
    store.create_account(jane.clone(), invitation(1), "test").await.unwrap();
    let found = store.find_invitation(&[1; 32], start()).await.unwrap();
    assert_eq!(found, Some(jane));
    let late = start() + Duration::DAY;
    assert_eq!(store.find_invitation(&[1; 32], late).await.unwrap(), None);
    let accepted = store.accept_invitation(&[1; 32], password(1), late).await;
    assert!(matches!(accepted, Err(StoreError::NotFound)));
    let accepted = store.accept_invitation(&[1; 32], password(1), start()).await.unwrap();
    assert_eq!(accepted.password_hash, Some(password(1)));
    assert_eq!(store.find_invitation(&[1; 32], start()).await.unwrap(), None);
    let again = store.accept_invitation(&[1; 32], password(2), start()).await;
    assert!(matches!(again, Err(StoreError::NotFound)));
    let stored = store.get_account(id(1)).await.unwrap().unwrap();
    assert_eq!(stored.password_hash, Some(password(1)));
}

async fn a_new_invitation_voids_what_was_before(store: &impl All) {
    let jane = join(store, 1, "jane", Role::Moderator, &["blog"]).await;
    store.create_session(session(5, 1, start()), password(1)).await.unwrap();
    let invited = store.invite(jane.id, invitation(2), "admin", start()).await.unwrap();
    assert_eq!((invited.password_hash, invited.sites), (None, jane.sites));
    assert_eq!(store.find_session(&[5; 32]).await.unwrap(), None);
    let refused = store.create_session(session(6, 1, start()), password(1)).await;
    assert!(matches!(refused, Err(StoreError::Conflict)));
    store.invite(jane.id, invitation(3), "admin", start()).await.unwrap();
    assert_eq!(store.find_invitation(&[2; 32], start()).await.unwrap(), None);
    assert!(store.find_invitation(&[3; 32], start()).await.unwrap().is_some());
    let nobody = store.invite(id(9), invitation(4), "admin", start()).await;
    assert!(matches!(nobody, Err(StoreError::NotFound)));
}

async fn changes_need_the_last_revision(store: &impl All) {
    let jane = join(store, 1, "jane", Role::Moderator, &["blog"]).await;
    let wanted = AccountChange { revision: Some(1), ..change(Role::Moderator, &["news"], false) };
    let changed = store.update_account(jane.id, wanted.clone(), "admin", start()).await.unwrap();
    let ChangedAccount::Done(changed) = changed else { panic!("{changed:?}") };
    assert_eq!((changed.revision, &changed.sites), (2, &vec![site_id("news")]));
    assert_eq!(store.get_account(jane.id).await.unwrap(), Some(*changed));
    let again = store.update_account(jane.id, wanted, "admin", start()).await;
    assert!(matches!(again, Err(StoreError::Conflict)));
    let nowhere = change(Role::Moderator, &["nowhere"], false);
    let nowhere = store.update_account(jane.id, nowhere, "admin", start()).await;
    assert!(matches!(nowhere, Err(StoreError::NotFound)));
    let stored = store.get_account(jane.id).await.unwrap().unwrap();
    assert_eq!((stored.revision, stored.sites), (2, vec![site_id("news")]));
    let nobody = change(Role::Moderator, &[], false);
    let nobody = store.update_account(id(9), nobody, "admin", start()).await;
    assert!(matches!(nobody, Err(StoreError::NotFound)));
}

async fn the_last_administrator_stays(store: &impl All) {
    let jane = join(store, 1, "jane", Role::Administrator, &[]).await;
    // Invited, but without a password: nobody who could sign in.
    let bob = account(2, "bob", Role::Administrator, &[]);
    store.create_account(bob, invitation(2), "test").await.unwrap();
    for last in [change(Role::Moderator, &["blog"], false), change(Role::Administrator, &[], true)]
    {
        let kept = store.update_account(jane.id, last, "admin", start()).await.unwrap();
        assert!(matches!(kept, ChangedAccount::LastAdministrator));
    }
    assert_eq!(store.get_account(jane.id).await.unwrap(), Some(jane.clone()));
    store.accept_invitation(&[2; 32], password(2), start()).await.unwrap();
    let freed = change(Role::Moderator, &["blog"], false);
    let freed = store.update_account(jane.id, freed, "admin", start()).await.unwrap();
    assert!(matches!(freed, ChangedAccount::Done(_)));
}

async fn one_of_two_administrators_stays_whoever_is_faster(store: &impl All) {
    let demoted = || change(Role::Moderator, &[], false);
    for round in 0..10u8 {
        let [one, other] = [2 * round + 1, 2 * round + 2];
        for n in [one, other] {
            join(store, n, &format!("admin {n}"), Role::Administrator, &[]).await;
        }
        // Who stayed in the round before goes, so that there are two.
        for account in store.list_accounts(None, 100).await.unwrap() {
            if account.is_administrator()
                && ![id(one.into()), id(other.into())].contains(&account.id)
            {
                store.update_account(account.id, demoted(), "test", start()).await.unwrap();
            }
        }
        let (first, second) = tokio::join!(
            store.update_account(id(one.into()), demoted(), "test", start()),
            store.update_account(id(other.into()), demoted(), "test", start()),
        );
        let changed = [first.unwrap(), second.unwrap()];
        let kept = changed.iter().filter(|one| matches!(one, ChangedAccount::LastAdministrator));
        assert_eq!(kept.count(), 1, "round {round}");
    }
}

async fn a_disabled_account_is_out_at_once(store: &impl All) {
    join(store, 1, "jane", Role::Moderator, &["blog"]).await;
    store.create_session(session(5, 1, start()), password(1)).await.unwrap();
    let out = change(Role::Moderator, &["blog"], true);
    store.update_account(id(1), out, "admin", start()).await.unwrap();
    assert_eq!(store.find_session(&[5; 32]).await.unwrap(), None);
    let refused = store.create_session(session(6, 1, start()), password(1)).await;
    assert!(matches!(refused, Err(StoreError::Conflict)));
    let refused = store.change_password(id(1), password(1), password(2), start()).await;
    assert!(matches!(refused, Err(StoreError::Conflict)));
    let refused = store.invite(id(1), invitation(2), "admin", start()).await;
    assert!(matches!(refused, Err(StoreError::Conflict)));

    // An invitation that was not used ends with it, and does not come back.
    let bob = account(2, "bob", Role::Moderator, &["blog"]);
    store.create_account(bob, invitation(3), "test").await.unwrap();
    for disabled in [true, false] {
        let change = change(Role::Moderator, &["blog"], disabled);
        store.update_account(id(2), change, "admin", start()).await.unwrap();
        assert_eq!(store.find_invitation(&[3; 32], start()).await.unwrap(), None);
    }
}

async fn another_password_ends_all_sessions(store: &impl All) {
    join(store, 1, "jane", Role::Moderator, &["blog"]).await;
    join(store, 2, "bob", Role::Moderator, &["blog"]).await;
    for (n, whose) in [(5, 1), (6, 1), (7, 2)] {
        let known = password(whose);
        store.create_session(session(n, whose.into(), start()), known).await.unwrap();
    }
    let wrong = store.change_password(id(1), password(9), password(3), start()).await;
    assert!(matches!(wrong, Err(StoreError::Conflict)));
    store.change_password(id(1), password(1), password(3), start()).await.unwrap();
    for (n, goes_on) in [(5, false), (6, false), (7, true)] {
        assert_eq!(store.find_session(&[n; 32]).await.unwrap().is_some(), goes_on, "{n}");
    }
    let nobody = store.change_password(id(9), password(1), password(3), start()).await;
    assert!(matches!(nobody, Err(StoreError::NotFound)));
}

async fn sessions_need_the_password_they_began_with(store: &impl All) {
    let jane = join(store, 1, "jane", Role::Moderator, &["blog"]).await;
    let wrong = store.create_session(session(5, 1, start()), password(9)).await;
    assert!(matches!(wrong, Err(StoreError::Conflict)));
    let later = start() + Duration::HOUR;
    let made = session(5, 1, later);
    store.create_session(made.clone(), password(1)).await.unwrap();
    let expected = AccountRecord { login_time: Some(later), ..jane };
    assert_eq!(store.find_session(&[5; 32]).await.unwrap(), Some((made, expected)));
    assert_eq!(store.find_session(&[6; 32]).await.unwrap(), None);
    let taken = store.create_session(session(5, 1, later), password(1)).await;
    assert!(matches!(taken, Err(StoreError::AlreadyExists)));
    store.end_session(&[5; 32], later).await.unwrap();
    assert_eq!(store.find_session(&[5; 32]).await.unwrap(), None);
    store.end_session(&[5; 32], later).await.unwrap();
    let expected = ["create-moderator", "set-password", "log-in", "log-out"];
    assert_eq!(actions(store).await, expected, "what was refused or not there is no act");
}

async fn sessions_are_touched_and_purged(store: &impl All) {
    join(store, 1, "jane", Role::Moderator, &["blog"]).await;
    let at = |hours| start() + Duration::hours(hours);
    for (n, hours) in [(5, 0), (6, 2), (7, 3)] {
        store.create_session(session(n, 1, at(hours)), password(1)).await.unwrap();
    }
    let seen = async |n: u8| {
        let found = store.find_session(&[n; 32]).await.unwrap();
        found.map(|(session, _)| session.seen_time)
    };
    store.touch_session(&[6; 32], at(9)).await.unwrap();
    assert_eq!(seen(6).await, Some(at(9)));
    store.touch_session(&[6; 32], at(8)).await.unwrap();
    assert_eq!(seen(6).await, Some(at(9)), "never back");
    store.touch_session(&[99; 32], at(8)).await.unwrap();
    // The fifth began too long ago, the seventh was used too long ago.
    store.touch_session(&[5; 32], at(9)).await.unwrap();
    store.purge_sessions(at(1), at(5)).await.unwrap();
    assert_eq!([seen(5).await, seen(6).await, seen(7).await], [None, Some(at(9)), None]);
}

async fn each_change_is_in_the_log_of_no_site(store: &impl All) {
    let jane = join(store, 1, "jane", Role::Moderator, &["blog"]).await;
    let update = change(Role::Administrator, &[], false);
    store.update_account(id(1), update, "admin", start()).await.unwrap();
    store.note_lock_out(Some(id(1)), 5, start()).await.unwrap();
    store.note_lock_out(None, 6, start()).await.unwrap();
    let log = store.list_account_audit_entries(None, 3).await.unwrap();
    assert_eq!(
        (log[0].action.as_str(), log[0].subject.as_str()),
        ("refuse-log-ins", "moderators/-")
    );
    assert_eq!(log[0].after.as_deref(), Some(r#"{"failure_count":6}"#));
    assert_eq!(log[1].subject, jane.resource_name());
    assert_eq!((log[2].actor.as_str(), log[2].action.as_str()), ("admin", "update-moderator"));
    assert!(log[2].before.as_ref().unwrap().contains(r#""sites":["blog"]"#));
    assert!(log[2].after.as_ref().unwrap().contains(r#""role":"administrator""#));
    let before = store.list_account_audit_entries(Some(log[2].position), 9).await.unwrap();
    let before: Vec<_> = before.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(before, ["set-password", "create-moderator"]);
    for site in ["blog", "news"] {
        let log = store.list_audit_entries(&site_id(site), None, 9).await.unwrap();
        assert_eq!(log.len(), 1, "its creation alone");
    }
}
