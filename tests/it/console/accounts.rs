//! What is kept of accounts: the audit log, and names.

use super::{administrator, invite, moderator};
use crate::support::desk::service_that_holds;
use crate::support::service::Service;
use replyguard::grpc::proto;

#[tokio::test]
async fn every_change_has_its_audit_entry() {
    let mut service = Service::start().await;
    let mut ada = administrator(&service).await;
    moderator(&service, &mut ada, "Bob", &["default"]).await;
    let page = ada.get("/console/moderators").await;
    let (before, _) = page.body.split_once("/disable\"").unwrap();
    let path = before.rsplit('"').next().unwrap().to_owned();
    ada.submit("/console/moderators", &format!("{path}/disable"), &[]).await;
    ada.submit("/console", "/console/log-out", &[]).await;
    service.stop().await;
    let database = service.data().join("replyguard.sqlite3");
    let db = rusqlite::Connection::open(database).unwrap();
    let mut statement = db
        .prepare("SELECT actor, action FROM audit_entries WHERE site IS NULL ORDER BY position")
        .unwrap();
    let entries: Vec<(String, String)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let entries: Vec<_> =
        entries.iter().map(|(actor, action)| (actor.as_str(), action.as_str())).collect();
    assert_eq!(
        entries,
        [
            ("first-start", "create-moderator"),
            ("moderator:administrator", "set-password"),
            ("moderator:administrator", "log-in"),
            ("moderator:administrator", "create-moderator"),
            ("moderator:Bob", "set-password"),
            ("moderator:Bob", "log-in"),
            ("moderator:administrator", "update-moderator"),
            ("moderator:administrator", "log-out"),
        ]
    );
}

#[tokio::test]
async fn names_are_shown_as_text_and_hold_no_address() {
    let service = Service::start().await;
    let mut ada = administrator(&service).await;
    invite(&mut ada, "<script>alert(1)</script>\"'", &[]).await;
    let page = ada.get("/console/moderators").await;
    assert!(!page.body.contains("<script>alert"));
    assert!(page.body.contains("&#60;script&#62;alert(1)"), "{}", page.body);
    let path = "/console/moderators";
    for name in ["ada@example.org", "at 192.0.2.7", " "] {
        let fields = [("name", name), ("role", "moderator")];
        assert_eq!(ada.submit(path, path, &fields).await.status, 400, "{name}");
    }
    let fields = [("name", "x"), ("role", "moderator"), ("site", "none")];
    let answer = ada.submit(path, path, &fields).await;
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("There is no site"), "{}", answer.body);
}

#[tokio::test]
async fn a_moderators_sites_and_role_can_be_changed() {
    let (service, mut client) = service_that_holds().await;
    let site = proto::CreateSiteRequest { site_id: "other".into(), site: None };
    client.sites.create_site(site).await.unwrap();
    let mut admin = administrator(&service).await;
    let mut maria = moderator(&service, &mut admin, "Maria", &["default"]).await;
    let (own, other) = ("/console/sites/default", "/console/sites/other");
    assert_eq!((maria.get(own).await.status, maria.get(other).await.status), (200, 404));
    let list = admin.get("/console/moderators").await.body;
    let (_, rest) = list.split_once("class=\"button small\" href=\"").expect("a link");
    let path = rest.split('"').next().unwrap().to_owned();
    assert_eq!(maria.get(&path).await.status, 403);
    let page = admin.get(&path).await;
    assert!(page.status == 200 && page.body.contains("Maria"), "{}", page.body);

    let fields = [("role", "moderator"), ("site", "other")];
    assert_eq!(admin.submit(&path, &path, &fields).await.status, 303);
    assert_eq!((maria.get(own).await.status, maria.get(other).await.status), (404, 200));
    // A form that was opened before somebody else changed it is refused.
    let stale = [("role", "administrator"), ("etag", "1")];
    assert_eq!(admin.submit(&path, &path, &stale).await.status, 409);
    assert_eq!(admin.submit(&path, &path, &[("role", "king")]).await.status, 400);
    assert_eq!(maria.get("/console/moderators").await.status, 403);
    let arguments = ["moderators", "set", "maria", "--role", "administrator"];
    assert!(service.command(&arguments).status.success());
    assert_eq!(maria.get("/console/moderators").await.status, 200);
    let log = admin.get("/console/sites/none/audit").await;
    assert_eq!(log.status, 404);
}
