//! The desk's pages over real HTTP, as a browser without scripts uses them.

use replyguard::grpc::proto;

use super::{administrator, moderator, shown_link};
use crate::support::backend::{Backend, on_each_backend};
use crate::support::desk::{SITE, send, service_that_holds, service_that_holds_on, variant};
use crate::support::service::comment;

const DESK: &str = "/console/sites/default";

/// What a button of the page sends for the first entry whose value begins with `action`.
fn button(body: &str, action: &str) -> String {
    let start = format!("name=\"one\" value=\"{action} ");
    let (_, rest) = body.split_once(&start).unwrap_or_else(|| panic!("no {action} in {body}"));
    format!("{action} {}", rest.split('"').next().unwrap())
}

on_each_backend!(
    a_comment_is_decided_and_taken_back_without_scripts,
    what_came_after_the_page_is_not_decided_on,
    thousands_are_decided_after_a_preview_and_undone_at_once,
    every_page_keeps_to_its_site_and_shows_hostile_text,
);

async fn a_comment_is_decided_and_taken_back_without_scripts(backend: Backend) {
    let (service, mut client) = service_that_holds_on(backend, &[]).await;
    send(&mut client, comment("Could you tell us <b>which</b> glue \"you\" used?")).await;
    let mut admin = administrator(&service).await;
    let page = admin.get(DESK).await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("which&#60;/b&#62;"), "escaped: {}", page.body);
    let one = button(&page.body, "approve");
    let path = format!("{DESK}/decide");
    let answer = admin.submit(DESK, &path, &[("one", &one), ("back", DESK)]).await;
    assert_eq!((answer.status, answer.header("location")), (303, DESK));
    let after = admin.get(DESK).await;
    assert!(after.body.contains("1 comment approved."), "{}", after.body);
    assert!(after.body.contains("Nothing waits"));
    let (_, undo) = after.body.split_once("<form method=\"post\" action=\"/console/sites").unwrap();
    let undo = format!("/console/sites{}", undo.split('"').next().unwrap());
    assert!(undo.ends_with("/undo"), "{undo}");
    let answer = admin.submit(DESK, &undo, &[("back", DESK)]).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    let back = admin.get(DESK).await;
    assert!(back.body.contains("1 comment taken back."), "{}", back.body);
    // A replayed form: what it saw is out of date.
    let answer = admin.submit(DESK, &path, &[("one", &one), ("back", DESK)]).await;
    assert_eq!(answer.status, 303);
    let replayed = admin.get(DESK).await;
    assert!(replayed.body.contains("somebody changed it meanwhile"), "{}", replayed.body);
    assert!(replayed.body.contains("data-entry=\""), "it waits still");
}

/// The hidden field with the newest comment that a preview counted.
fn newest(preview: &str) -> String {
    let (_, rest) = preview.split_once("name=\"newest\" value=\"").expect("a preview's form");
    rest.split('"').next().unwrap().to_owned()
}

/// A button decided on all of a campaign or a filter as they were when it was pressed.
async fn what_came_after_the_page_is_not_decided_on(backend: Backend) {
    let (service, mut client) = service_that_holds_on(backend, &[]).await;
    let first = send(&mut client, variant(0)).await.name;
    send(&mut client, variant(1)).await;
    let mut admin = administrator(&service).await;
    // The buttons for a campaign on the queue, on the page of a comment, and on its own.
    let id = first.rsplit('/').next().unwrap();
    let mut keys = Vec::new();
    for rest in [String::new(), format!("/comments/{id}"), format!("/campaigns/{id}")] {
        let page = admin.get(&format!("{DESK}{rest}")).await;
        let (_, rest) = page.body.split_once("value=\"approve campaign.").expect("a button");
        keys.push(format!("campaign.{}", rest.split('"').next().unwrap()));
    }
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    send(&mut client, variant(2)).await;
    let path = format!("{DESK}/decide");
    let one = format!("reject-other {}", keys[0]);
    admin.submit(DESK, &path, &[("one", &one), ("back", DESK)]).await;
    let after = admin.get(DESK).await;
    assert!(after.body.contains("2 comments rejected."), "{}", after.body);
    assert_eq!(after.body.matches("data-entry=").count(), 1, "the third waits: {}", after.body);

    // And what a preview did not count.
    let path = format!("{DESK}/decide-all");
    let search = format!("{DESK}/search?q=clocks");
    let fields = [("filter", "clocks state:held"), ("action", "approve"), ("back", &search)];
    let preview = admin.submit(&search, &path, &fields).await;
    assert!(preview.body.contains("Yes, 1 comments"), "{}", preview.body);
    let fourth = send(&mut client, variant(3)).await.name;
    let yes = [fields[0], fields[1], ("confirmed", "yes")];
    let unbounded = admin.submit(&search, &path, &yes).await;
    assert_eq!(unbounded.status, 200, "another preview");
    assert!(unbounded.body.contains("Yes, 2 comments"), "{}", unbounded.body);
    let newest = newest(&preview.body);
    let sure = [&yes[..], &[("newest", newest.as_str())]].concat();
    assert_eq!(admin.submit(&search, &path, &sure).await.status, 303);
    let after = admin.get(DESK).await;
    assert_eq!(after.body.matches("data-entry=").count(), 1, "{}", after.body);
    assert!(after.body.contains(&format!("/comments/{}", fourth.rsplit('/').next().unwrap())));
}

async fn thousands_are_decided_after_a_preview_and_undone_at_once(backend: Backend) {
    let (service, mut client) = service_that_holds_on(backend, &[]).await;
    for n in 0..4 {
        send(&mut client, variant(n)).await;
    }
    send(&mut client, comment("Something else entirely, about rhubarb")).await;
    let mut admin = administrator(&service).await;
    let page = admin.get(DESK).await;
    assert!(page.body.contains("4 alike"), "{}", page.body);
    let path = format!("{DESK}/decide-all");
    let search = format!("{DESK}/search?q=clocks");
    let fields = [("filter", "clocks state:held"), ("action", "reject-spam"), ("back", &search)];
    let preview = admin.submit(&search, &path, &fields).await;
    assert_eq!(preview.status, 200);
    assert!(preview.body.contains("of 4 comments would be rejected as spam"), "{}", preview.body);
    assert_eq!(admin.get(DESK).await.body.matches("data-entry=").count(), 2, "nothing moved yet");
    let newest = newest(&preview.body);
    let newest = ("newest", newest.as_str());
    let fields = [fields[0], fields[1], ("confirmed", "yes"), newest, ("note", "a campaign")];
    let answer = admin.submit(&search, &path, &fields).await;
    let decisions = format!("{DESK}/decisions");
    assert_eq!((answer.status, answer.header("location")), (303, decisions.as_str()));
    let page = admin.get(&decisions).await;
    assert!(page.body.contains("reject-spam") && page.body.contains("a campaign"));
    assert_eq!(admin.get(DESK).await.body.matches("data-entry=").count(), 1);
    let (_, undo) = page.body.split_once("/console/sites/default/decisions/").unwrap();
    let undo = format!("{decisions}/{}", undo.split('"').next().unwrap());
    assert_eq!(admin.submit(&decisions, &undo, &[]).await.status, 303);
    assert_eq!(admin.get(DESK).await.body.matches("data-entry=").count(), 2);
    let empty = [("filter", ""), ("action", "approve")];
    assert_eq!(admin.submit(&search, &path, &empty).await.status, 400, "not everything at once");
}

async fn every_page_keeps_to_its_site_and_shows_hostile_text(backend: Backend) {
    let (service, mut client) = service_that_holds_on(backend, &[]).await;
    let create = proto::CreateSiteRequest { site_id: "other".into(), site: None };
    client.sites.create_site(create).await.unwrap();
    let hostile = format!(
        "\u{202e}</p><script>alert(1)</script> {} {}",
        "z\u{0310}\u{0310}\u{0310}\u{0310}\u{0310}\u{0310}".repeat(200),
        "x".repeat(60_000)
    );
    let checked = send(&mut client, comment(&hostile)).await;
    let id = checked.name.rsplit('/').next().unwrap().to_owned();
    let reviewed = proto::GetReviewedCommentRequest { name: checked.name.clone() };
    let reviewed = client.reviews.get_reviewed_comment(reviewed).await.unwrap().into_inner();
    let author = reviewed.comment.unwrap().author_fingerprint;
    let mut admin = administrator(&service).await;
    let mut other = moderator(&service, &mut admin, "Otto", &["other"]).await;
    for rest in [
        String::new(),
        format!("/comments/{id}"),
        format!("/campaigns/{id}"),
        format!("/authors/{author}"),
        "/search?q=alert".into(),
        "/decisions".into(),
        "/audit".into(),
        "/overview".into(),
        "/policy".into(),
    ] {
        let page = admin.get(&format!("{DESK}{rest}")).await;
        assert_eq!(page.status, 200, "{rest}: {}", page.body);
        assert!(!page.body.contains("<script>alert"), "{rest}");
        let foreign = other.get(&format!("{DESK}{rest}")).await;
        let unknown = other.get(&format!("/console/sites/none{rest}")).await;
        assert_eq!(foreign.status, 404, "{rest}");
        assert_eq!(foreign.body, unknown.body, "{rest}: no difference to tell");
        let own = other.get(&format!("/console/sites/other{rest}")).await;
        let of_comment = rest.contains(&id) || rest.contains(&author);
        assert_eq!(own.status, if of_comment { 404 } else { 200 }, "{rest}");
    }
    let fields = [("one", format!("approve {id}.0"))].map(|(name, value)| (name, value));
    let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let own = "/console/sites/other";
    let denied = other.submit(own, &format!("{DESK}/decide"), &fields).await;
    assert_eq!(denied.status, 404);
    // Its own site does not have the comment either.
    let passed = other.submit(own, "/console/sites/other/decide", &fields).await;
    assert_eq!(passed.status, 303);
    assert!(other.get(own).await.body.contains("it is not there"));
}

#[tokio::test]
async fn a_policy_is_tried_before_it_is_saved() {
    let (service, mut client) = service_that_holds().await;
    for text in ["A word about rhubarb", "And one about cheese", "Nothing in particular"] {
        send(&mut client, comment(text)).await;
    }
    let mut admin = administrator(&service).await;
    let path = format!("{DESK}/policy");
    let page = admin.get(&path).await;
    assert!(page.body.contains("name=\"hold_all\" value=\"yes\" checked"), "{}", page.body);
    let (_, etag) = page.body.split_once("name=\"etag\" value=\"").unwrap();
    let etag = etag.split('"').next().unwrap().to_owned();
    let base = [
        ("etag", etag.as_str()),
        ("hold_one_in", "200"),
        ("reject_one_in", "2000"),
        ("hold_words", "rhubarb"),
        ("whole_words", "yes"),
        ("author_required", "yes"),
    ];
    let tested = admin.submit(&path, &path, &[&base[..], &[("test", "yes")]].concat()).await;
    assert_eq!(tested.status, 200);
    let text = "1 would have been held instead of 3";
    assert!(tested.body.contains(text), "{}", tested.body);
    let bad = [&base[..1], &[("hold_one_in", "few"), ("hold_words", "kept")]].concat();
    let refused = admin.submit(&path, &path, &[&bad[..], &[("save", "yes")]].concat()).await;
    assert_eq!(refused.status, 400);
    assert!(refused.body.contains("a whole number is expected") && refused.body.contains("kept"));
    let saving = [&base[..], &[("save", "yes")]].concat();
    assert_eq!(admin.submit(&path, &path, &saving).await.status, 303);
    let site = proto::GetSiteRequest { name: SITE.into() };
    let site = client.sites.get_site(site).await.unwrap().into_inner().site.unwrap();
    let policy = site.policy.unwrap();
    assert_eq!((policy.hold_words, policy.hold_all), (vec!["rhubarb".into()], Some(false)));
    // Another has changed it since the page was loaded.
    assert_eq!(admin.submit(&path, &path, &saving).await.status, 409);
    let mut maria = moderator(&service, &mut admin, "Maria", &["default"]).await;
    assert_eq!(maria.get(&path).await.status, 200);
    let denied = maria.submit(&path, &path, &saving).await;
    assert_eq!(denied.status, 403, "moderators see a policy and don't change it");
}

#[tokio::test]
async fn webhooks_are_for_administrators() {
    let (service, _client) = service_that_holds().await;
    let mut admin = administrator(&service).await;
    let mut other = moderator(&service, &mut admin, "Otto", &["default"]).await;
    let page = format!("{DESK}/webhooks");
    assert_eq!(other.get(&page).await.status, 403);
    assert!(!other.get(DESK).await.body.contains("/webhooks"), "no link to what is not theirs");
    assert!(admin.get(&page).await.body.contains("No webhooks yet"));

    let refused = admin.submit(&page, &page, &[("uri", "https://127.0.0.1/<b>")]).await;
    assert_eq!(refused.status, 400);
    assert!(refused.body.contains("loopback"), "{}", refused.body);
    let fields = [("uri", "https://no-such-host.invalid/hook")];
    let made = admin.submit(&page, &page, &fields).await;
    assert_eq!(made.status, 201);
    let secret = shown_link(&made.body);
    assert!(secret.starts_with("whsec_"));
    let shown = admin.get(&page).await.body;
    assert!(shown.contains("no-such-host.invalid") && !shown.contains(&secret));

    let (_, rest) = shown.split_once("method=\"post\" action=\"").unwrap();
    let (path, _) = rest.split_once("/test\"").unwrap();
    let path = path.rsplit('"').next().unwrap();
    for (action, text) in [
        ("test", "did not answer: unresolved"),
        ("disable", "Nothing is sent to"),
        ("enable", "is sent to https://no-such-host.invalid/hook again"),
        ("remove", "is removed"),
    ] {
        let denied = other.submit(DESK, &format!("{path}/{action}"), &[]).await;
        assert_eq!(denied.status, 403, "{action}");
        let done = admin.submit(&page, &format!("{path}/{action}"), &[]).await;
        assert_eq!(done.status, 303, "{action}: {}", done.body);
        let shown = admin.get(&page).await.body;
        assert!(shown.contains(text), "{action}: {shown}");
    }
    let gone = admin.submit(&page, &format!("{path}/rotate"), &[]).await;
    assert_eq!(gone.status, 404);
}

#[tokio::test]
async fn keys_are_rotated_and_revoked_by_administrators() {
    let (service, _client) = service_that_holds().await;
    let mut admin = administrator(&service).await;
    let mut other = moderator(&service, &mut admin, "Otto", &["default"]).await;
    let page = format!("{DESK}/keys");
    assert_eq!(other.get(&page).await.status, 403);
    assert!(!other.get(DESK).await.body.contains("/keys"), "no link to what is not theirs");
    let shown = admin.get(&page).await.body;
    for expected in ["first key", "check, review, operate, administer", "Last used", "never"] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
    assert!(!shown.contains(&service.first.key), "no secret");
    let (before, _) = shown.split_once("/rotate\"").unwrap();
    let path = before.rsplit('"').next().unwrap().to_owned();

    let rotate = format!("{path}/rotate");
    assert_eq!(other.submit(DESK, &rotate, &[("overlap", "24")]).await.status, 403);
    assert_eq!(admin.submit(&page, &rotate, &[("overlap", "9999")]).await.status, 400);
    let made = admin.submit(&page, &rotate, &[("overlap", "24")]).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let secret = shown_link(&made.body);
    assert!(made.body.contains(">ends<"), "the one before ends: {}", made.body);
    assert!(!admin.get(&page).await.body.contains(&secret), "it is shown once");
    let valid = async |key: &str| {
        let mut visitor = crate::support::visitor::Visitor::new(&service.first.http);
        let key = [("key", key), ("blog", "https://blog.example.org")];
        match secret.starts_with("rgk_") {
            true => service
                .client_with(Some(key[0].1))
                .await
                .sites
                .get_site(proto::GetSiteRequest { name: SITE.into() })
                .await
                .is_ok(),
            false => visitor.post("/1.1/verify-key", &key).await.body == "valid",
        }
    };
    let old = match secret.starts_with("rgk_") {
        true => service.first.key.clone(),
        false => service.first.akismet_key.clone().unwrap(),
    };
    assert!(valid(&secret).await && valid(&old).await, "both are good meanwhile");
    let revoked = admin.submit(&page, &format!("{path}/revoke"), &[]).await;
    assert_eq!(revoked.status, 303, "{}", revoked.body);
    assert!(valid(&secret).await && !valid(&old).await, "brought forward");
    assert_eq!(admin.submit(&page, &rotate, &[("overlap", "24")]).await.status, 404);
}
