//! What is refused: forms from elsewhere, and pages for other eyes. What every answer bears.

use hyper::Method;

use super::{PASSWORD, administrator, first_link, moderator, visitor};
use crate::support::service::Service;
use crate::support::visitor::{Visitor, path_of};

const FIELDS: [(&str, &str); 2] = [("name", "Eve"), ("role", "administrator")];

async fn add(visitor: &mut Visitor, token: &str) -> u16 {
    let mut fields = vec![("form_token", token)];
    fields.extend(FIELDS);
    visitor.post("/console/moderators", &fields).await.status
}

#[tokio::test]
async fn forms_need_their_own_sessions_token() {
    let service = Service::start().await;
    let mut ada = administrator(&service).await;
    assert_eq!(ada.post("/console/moderators", &FIELDS).await.status, 403, "no token");
    assert_eq!(add(&mut ada, "").await, 403, "an empty one");
    assert_eq!(add(&mut ada, &"0".repeat(64)).await, 403, "an invented one");
    let old = ada.get("/console/moderators").await.form_token();
    assert_eq!(ada.submit("/console/password", "/console/log-out", &[]).await.status, 303);
    assert_eq!(ada.log_in("administrator", PASSWORD).await.status, 303);
    assert_eq!(add(&mut ada, &old).await, 403, "that of an earlier session");
    let own = ada.get("/console/moderators").await.form_token();
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        let mut elsewhere = ada.clone().with_header(name, value);
        assert_eq!(add(&mut elsewhere, &own).await, 403, "{name}: {value}");
    }
    let origin = format!("http://{}", service.first.http);
    let mut here =
        ada.clone().with_header("origin", &origin).with_header("sec-fetch-site", "same-origin");
    assert_eq!(add(&mut here, &own).await, 201);
    assert_eq!(add(&mut ada, &own).await, 409, "the name is taken");
    let mut through_tls = ada.clone().with_header("origin", &origin.replacen("http", "https", 1));
    assert_eq!(add(&mut through_tls, &own).await, 409, "taken, but the form is ours");
}

#[tokio::test]
async fn signing_in_needs_a_form_of_ours_too() {
    let service = Service::start().await;
    administrator(&service).await;
    let mut guest = visitor(&service);
    let fields = [("name", "administrator"), ("password", PASSWORD)];
    assert_eq!(guest.post("/console/log-in", &fields).await.status, 403);
    guest.get("/console/log-in").await;
    assert_eq!(guest.post("/console/log-in", &fields).await.status, 403);
    let mut elsewhere = guest.clone().with_header("sec-fetch-site", "cross-site");
    assert_eq!(elsewhere.log_in("administrator", PASSWORD).await.status, 403);
    assert_eq!(guest.log_in("administrator", PASSWORD).await.status, 303);
}

#[tokio::test]
async fn foreign_sites_look_like_none() {
    let service = Service::start().await;
    let created = service.command(&["sites", "create", "other"]);
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
    let mut ada = administrator(&service).await;
    let mut bob = moderator(&service, &mut ada, "Bob", &["default"]).await;
    assert_eq!(bob.get("/console/sites/default").await.status, 200);
    let foreign = bob.get("/console/sites/other").await;
    let none = bob.get("/console/sites/none").await;
    let nonsense = bob.get("/console/sites/-%00").await;
    assert_eq!((foreign.status, none.status, nonsense.status), (404, 404, 404));
    assert_eq!(foreign.body, none.body);
    assert!(!bob.get("/console").await.body.contains("other"));
    assert_eq!(ada.get("/console/sites/other").await.status, 200);
    assert_eq!(ada.get("/console/sites/none").await.status, 404);

    assert_eq!(bob.get("/console/moderators").await.status, 403);
    let token = bob.get("/console").await.form_token();
    assert_eq!(add(&mut bob, &token).await, 403);
    let unknown = "/console/moderators/6a0f3a52-3b9f-4d4e-8a53-0d6c2b1f7c11/disable";
    let refused = bob.submit("/console", unknown, &[]).await;
    assert_eq!(refused.status, 403, "permission comes before existence");
    assert_eq!(ada.submit("/console", unknown, &[]).await.status, 404);
}

#[tokio::test]
async fn nobody_shuts_themselves_out() {
    let service = Service::start().await;
    let mut ada = administrator(&service).await;
    let page = ada.get("/console/moderators").await;
    assert!(!page.body.contains("/disable\"") && !page.body.contains("/reset\""));
}

#[tokio::test]
async fn every_answer_has_its_headers() {
    let service = Service::start().await;
    let mut ada = administrator(&service).await;
    let page = ada.get("/console/moderators").await;
    let style = page.body.split("href=\"/console/assets/").nth(2).unwrap();
    let style = format!("/console/assets/{}", style.split('"').next().unwrap());
    for (path, status) in [
        ("/console", 200),
        ("/console/log-in", 303),
        ("/console/none", 404),
        (style.as_str(), 200),
        ("/console/assets/none.css", 404),
    ] {
        let answer = ada.get(path).await;
        assert_eq!(answer.status, status, "{path}");
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none';"), "{path}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"));
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "same-origin");
        assert_eq!(answer.header("x-frame-options"), "DENY");
    }
    assert_eq!(page.header("cache-control"), "no-store");
    let asset = ada.get(&style).await;
    assert!(asset.header("cache-control").contains("immutable"));
    assert_eq!(asset.header("content-type"), "text/css; charset=utf-8");
    assert_eq!(ada.send(Method::DELETE, "/console/moderators", None).await.status, 405);
    assert_eq!(ada.get("/console/log-out").await.status, 405);
    assert_eq!(ada.get("/").await.header("location"), "/console");
    assert!(!page.body.contains("style=\"") && !page.body.contains("<script>"));
}

#[tokio::test]
async fn cookies_are_kept_from_scripts_and_other_sites() {
    let service = Service::start().await;
    let mut ada = visitor(&service);
    let answer = ada.accept(&first_link(&service), PASSWORD).await;
    let line = answer.cookie_line("replyguard_session");
    for part in ["; Path=/console", "; HttpOnly", "; SameSite=Lax", "; Max-Age=43200"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(!line.contains("Secure"), "without a proxy there is no https: {line}");
    let token = ada.cookies["replyguard_session"].clone();
    assert_eq!(token.len(), 64);
    for (path, bytes) in service.stored_bytes() {
        let found =
            |needle: &str| bytes.windows(needle.len()).any(|part| part == needle.as_bytes());
        assert!(!found(&token) && !found(PASSWORD), "{}", path.display());
    }

    let url = "https://moderation.example.org";
    let proxied = Service::start_with(&["--public-url", url]).await;
    let link = first_link(&proxied);
    assert!(link.starts_with(&format!("{url}/console/invitation/")), "{link}");
    let mut ada = visitor(&proxied).with_header("origin", url);
    let path = path_of(&link);
    let fields = [("password", PASSWORD), ("repeated", PASSWORD)];
    let answer = ada.submit(&path, &path, &fields).await;
    assert!(answer.cookie_line("replyguard_session").contains("; Secure"));
    assert!(answer.header("strict-transport-security").starts_with("max-age="));
}

#[tokio::test]
async fn after_signing_in_one_is_where_one_wanted_to_be() {
    let service = Service::start().await;
    administrator(&service).await;
    let mut ada = visitor(&service);
    let sent = ada.get("/console/moderators").await;
    assert_eq!(sent.status, 303);
    let to = sent.header("location").to_owned();
    assert_eq!(to, "/console/log-in?next=%2Fconsole%2Fmoderators");
    let token = ada.get(&to).await.form_token();
    let fields = |next| {
        [
            ("form_token", token.as_str()),
            ("name", "administrator"),
            ("password", PASSWORD),
            ("next", next),
        ]
    };
    let answer = ada.clone().post("/console/log-in", &fields("/console/moderators")).await;
    assert_eq!(answer.header("location"), "/console/moderators");
    let answer = ada.clone().post("/console/log-in", &fields("//evil.example/console")).await;
    assert_eq!(answer.header("location"), "/console");
}
