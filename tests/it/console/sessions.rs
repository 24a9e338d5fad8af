//! Signing in and out, invitations, and what ends a session.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{PASSWORD, administrator, first_link, invite, moderator, visitor};
use crate::support::service::{Service, wait_for};
use crate::support::visitor::{Visitor, path_of};

#[tokio::test]
async fn the_first_administrator_sets_a_password_by_the_printed_link() {
    let mut service = Service::start().await;
    let first = first_link(&service);
    service.kill_and_restart().await;
    let second = first_link(&service);
    assert_ne!(first, second, "each start prints a fresh link");

    let mut ada = visitor(&service);
    assert_eq!(ada.get(&path_of(&first)).await.status, 404, "the old link is void");
    let answer = ada.accept(&second, PASSWORD).await;
    assert_eq!((answer.status, answer.header("location")), (303, "/console"));
    assert_eq!(ada.get("/console").await.status, 200);
    assert_eq!(ada.get(&path_of(&second)).await.status, 404, "the link works once");

    service.kill_and_restart().await;
    let links = service.printed().matches("/console/invitation/").count();
    assert_eq!(links, 2, "with an administrator, no link is printed");
    let mut again = visitor(&service);
    assert_eq!(again.log_in("Administrator", PASSWORD).await.status, 303, "names have no case");
    let mut moved = ada.moved(&service.first.http);
    assert_eq!(moved.get("/console").await.status, 200, "sessions outlive the process");
}

#[tokio::test]
async fn passwords_that_are_weak_or_differ_are_refused() {
    let service = Service::start().await;
    let mut ada = visitor(&service);
    let path = path_of(&first_link(&service));
    for (password, repeated, text) in [
        ("short", "short", "At least 12 characters"),
        (PASSWORD, "correct horse batterz", "not the same"),
        ("aaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaa", "over and over"),
        ("administrator", "administrator", "the name"),
    ] {
        let fields = [("password", password), ("repeated", repeated)];
        let answer = ada.submit(&path, &path, &fields).await;
        assert_eq!(answer.status, 400, "{password}");
        assert!(answer.body.contains(text), "{text}: {}", answer.body);
        // The name stands in a hidden field, for password managers.
        let named = usize::from(password == "administrator");
        let sent_back = answer.body.matches(&format!("value=\"{password}")).count();
        assert_eq!(sent_back, named, "passwords are not sent back");
    }
    assert_eq!(ada.accept(&first_link(&service), PASSWORD).await.status, 303);
}

#[tokio::test]
async fn unknown_names_and_wrong_passwords_are_one_answer() {
    let service = Service::start().await;
    let mut ada = administrator(&service).await;
    invite(&mut ada, "Invited Only", &[]).await;
    let mut guest = visitor(&service);
    let mut bodies = Vec::new();
    for name in ["administrator", "nobody", "Invited Only"] {
        let answer = guest.log_in(name, "wrong password, wrong").await;
        assert_eq!(answer.status, 401, "{name}");
        bodies.push(answer.body.replace(&format!("value=\"{name}\""), ""));
    }
    assert!(bodies.iter().all(|body| *body == bodies[0]), "the answers tell names apart");
    assert!(bodies[0].contains("Name or password are wrong."));
}

#[tokio::test]
async fn guessing_gets_slow_and_is_noted() {
    let service = Service::start().await;
    let mut ada = administrator(&service).await;
    let mut guest = visitor(&service);
    for name in ["administrator", "nobody"] {
        for _ in 0..5 {
            assert_eq!(guest.log_in(name, "wrong password, wrong").await.status, 401);
        }
        // Slow machines outlast the first waits; each further attempt makes the next one longer.
        let limited = wait_for("a refusal for a while", || {
            let mut guest = guest.clone();
            async move {
                let answer = guest.log_in(name, "wrong password, wrong").await;
                (answer.status == 429).then_some(answer)
            }
        })
        .await;
        assert!(limited.body.contains("Too many attempts"), "{}", limited.body);
    }
    wait_for("the way in to open again", || {
        let mut guest = guest.clone();
        async move { (guest.log_in("administrator", PASSWORD).await.status == 303).then_some(()) }
    })
    .await;
    assert_eq!(ada.get("/console").await.status, 200, "who is signed in stays so");
    let (_, metrics) = service.page("/metrics").await;
    assert!(metrics.contains("replyguard_log_ins_total{outcome=\"limited\"}"), "{metrics}");
}

#[tokio::test]
async fn sessions_end_by_signing_out_and_by_time() {
    let service = Service::start_with(&["--session-life-s", "8", "--session-idle-s", "8"]).await;
    let mut ada = administrator(&service).await;
    let copy = ada.clone();
    assert_eq!(ada.get("/console").await.status, 200);
    let answer = ada.submit("/console/password", "/console/log-out", &[]).await;
    assert_eq!((answer.status, answer.header("location")), (303, "/console/log-in"));
    let mut stolen = copy;
    assert_eq!(stolen.get("/console").await.status, 303, "the token is void, not only forgotten");

    let mut again = visitor(&service);
    assert_eq!(again.log_in("administrator", PASSWORD).await.status, 303);
    assert_eq!(again.get("/console").await.status, 200);
    wait_for("the session's end by time", || {
        let mut again = again.clone();
        async move { (again.get("/console").await.status == 303).then_some(()) }
    })
    .await;
}

/// The status with which the queue's events answer. They go on, so only the head is read.
async fn events_status(visitor: &Visitor, address: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let cookies = visitor.cookies.iter().map(|(name, value)| format!("{name}={value}"));
    let cookies = cookies.collect::<Vec<_>>().join("; ");
    let path = "/console/sites/default/events";
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\ncookie: {cookies}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    String::from_utf8(status.to_vec()).unwrap()
}

/// A queue that stayed open kept its session alive, whoever sat there.
#[tokio::test]
async fn a_page_that_only_stays_open_does_not_keep_its_session() {
    let service = Service::start_with(&["--session-idle-s", "8"]).await;
    let mut ada = administrator(&service).await;
    let address = service.first.http.clone();
    assert_eq!(ada.get("/console/sites/default").await.status, 200);
    assert_eq!(events_status(&ada, &address).await, "HTTP/1.1 200");
    let by_itself = ada.with_header("x-replyguard-by-itself", "yes");
    wait_for("the session's end though its page looks again and again", || {
        let (mut page, address) = (by_itself.clone(), address.clone());
        async move {
            let events = events_status(&page, &address).await;
            let status = page.get("/console/sites/default").await.status;
            (status == 303 && events.ends_with(" 303")).then_some(())
        }
    })
    .await;
}

#[tokio::test]
async fn invitations_end_by_time() {
    let service = Service::start_with(&["--invitation-life-s", "1"]).await;
    let link = first_link(&service);
    let answer = wait_for("the link's end", || {
        let (mut ada, path) = (visitor(&service), path_of(&link));
        async move {
            let answer = ada.get(&path).await;
            (answer.status == 404).then_some(answer)
        }
    })
    .await;
    assert!(answer.body.contains("This link is over"));
}

#[tokio::test]
async fn disabling_resetting_and_a_new_password_end_sessions() {
    let service = Service::start().await;
    let mut ada = administrator(&service).await;
    let mut bob = moderator(&service, &mut ada, "Bob", &["default"]).await;
    let mut second = visitor(&service);
    assert_eq!(second.log_in("bob", PASSWORD).await.status, 303);
    let new = "another horse battery";
    let fields = [("before", PASSWORD), ("password", new), ("repeated", new)];
    let answer = bob.submit("/console/password", "/console/password", &fields).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    assert_eq!(bob.get("/console").await.status, 200);
    assert_eq!(second.get("/console").await.status, 303, "other sessions end");

    let page = ada.get("/console/moderators").await;
    let (before, _) = page.body.split_once("/disable\"").expect("Bob can be disabled");
    let path = before.rsplit('"').next().unwrap().to_owned();
    let disabled = ada.submit("/console/moderators", &format!("{path}/disable"), &[]).await;
    assert_eq!(disabled.status, 303);
    assert!(ada.get("/console/moderators").await.body.contains("is disabled and signed out"));
    assert!(!ada.get("/console/moderators").await.body.contains("is disabled and signed out"));
    assert_eq!(bob.get("/console").await.status, 303);
    assert_eq!(bob.log_in("Bob", new).await.status, 401);
    let enabled = ada.submit("/console/moderators", &format!("{path}/enable"), &[]).await;
    assert_eq!(enabled.status, 303);
    assert_eq!(bob.log_in("Bob", new).await.status, 303);
    let reset = ada.submit("/console/moderators", &format!("{path}/reset"), &[]).await;
    assert_eq!(reset.status, 200);
    assert_eq!(bob.get("/console").await.status, 303, "a reset signs out");
    assert_eq!(bob.log_in("Bob", new).await.status, 401, "and the old password is void");
    let link = super::shown_link(&reset.body);
    assert_eq!(bob.accept(&link, PASSWORD).await.status, 303);
}
