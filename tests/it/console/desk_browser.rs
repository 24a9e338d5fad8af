//! The desk in a real browser: mouse, keyboard, live updates, two moderators; and axe-core on each
//! page.

use replyguard::grpc::client::Client;
use replyguard::grpc::proto::{self, State};

use super::{PASSWORD, administrator, first_link, invite};
use crate::support::browser::{Browser, Look};
use crate::support::desk::{SITE, send, service_that_holds, variant};
use crate::support::service::{Service, comment, wait_for};

const DESK: &str = "/console/sites/default";

/// Where a comment stands, as gRPC tells.
async fn state(client: &mut Client, name: &str) -> State {
    let request = proto::GetCommentRequest { name: name.into() };
    let answer = client.comments.get_comment(request).await.unwrap().into_inner();
    answer.comment.unwrap().state()
}

async fn wait_for_state(client: &Client, name: &str, expected: State) {
    wait_for(&format!("{name} to be {expected:?}"), || {
        let mut client = client.clone();
        async move { (state(&mut client, name).await == expected).then_some(()) }
    })
    .await;
}

/// How many entries the page shows.
async fn entry_count(browser: &Browser) -> u64 {
    let script = "return document.querySelectorAll('[data-entry]:not([hidden])').length";
    browser.run(script).await.as_u64().unwrap()
}

async fn wait_for_entries(browser: &Browser, count: u64) {
    wait_for(&format!("{count} entries on the page"), || async {
        (entry_count(browser).await == count).then_some(())
    })
    .await;
}

/// Waits until the page is told of what happens.
async fn wait_until_live(browser: &Browser) {
    browser.find("body[data-live=yes]").await;
}

#[tokio::test]
async fn the_queue_in_a_browser() {
    let (service, mut client) = service_that_holds().await;
    let browser = Browser::open(&service.first.http).await;
    browser.goto(&first_link(&service)).await;
    browser.fill("password", PASSWORD).await;
    browser.fill("repeated", PASSWORD).await;
    browser.follow("button.primary").await;
    browser.find(".tiles").await;
    browser.goto(DESK).await;
    browser.find("[data-empty]").await;
    browser.assert_accessible("queue-empty").await;
    wait_until_live(&browser).await;

    // What is sent arrives in the open page.
    let first = send(&mut client, comment("Is there a recording of the talk?")).await.name;
    wait_for_entries(&browser, 1).await;
    let second = send(&mut client, comment("Thanks, the second drawing helped me")).await.name;
    wait_for_entries(&browser, 2).await;
    browser.assert_accessible("queue").await;

    // By mouse, with undo.
    let approve = |name: &str| {
        let id = name.rsplit('/').next().unwrap();
        format!("[data-entry^=\"{id}\"] button[value^=\"approve\"]")
    };
    browser.click(&approve(&first)).await;
    wait_for_state(&client, &first, State::Approved).await;
    wait_for_entries(&browser, 1).await;
    browser.find(".live form button").await;
    browser.click(".live form button").await;
    wait_for_state(&client, &first, State::Held).await;
    wait_for_entries(&browser, 2).await;

    // By keyboard: next, spam, undo, reject.
    browser.goto(&format!("{DESK}?order=oldest")).await;
    wait_until_live(&browser).await;
    browser.press("j").await;
    browser.press("s").await;
    wait_for_state(&client, &first, State::Rejected).await;
    browser.find(".live form button").await;
    browser.press("z").await;
    wait_for_state(&client, &first, State::Held).await;
    wait_for_entries(&browser, 2).await;
    browser.goto(&format!("{DESK}?order=oldest")).await;
    wait_until_live(&browser).await;
    browser.press("jjd").await;
    wait_for_state(&client, &second, State::Rejected).await;
    assert_eq!(state(&mut client, &first).await, State::Held);

    a_note_decides_nothing(&browser, &mut client, &first).await;
    campaign(&browser, &mut client).await;
    keys_and_selection(&browser, &mut client, &first).await;
}

/// Enter in the note is for the note: it presses no button.
async fn a_note_decides_nothing(browser: &Browser, client: &mut Client, name: &str) {
    let id = name.rsplit('/').next().unwrap();
    for page in [format!("{DESK}/comments/{id}"), DESK.to_owned()] {
        browser.goto(&page).await;
        browser.fill("note", "as yesterday\u{E007}").await;
        // A form that was sent would be answered before the next page.
        browser.goto(&page).await;
        assert_eq!(state(client, name).await, State::Held, "{page}");
    }
}

/// Thirty variants are one entry, one decision, one undo.
async fn campaign(browser: &Browser, client: &mut Client) {
    let mut names = Vec::new();
    for n in 0..30 {
        names.push(send(client, variant(n)).await.name);
    }
    browser.goto(&format!("{DESK}?order=newest")).await;
    browser.find(".alike").await;
    wait_until_live(browser).await;
    assert_eq!(browser.text(".alike").await, "30 alike");
    browser.press("j").await;
    browser.press("s").await;
    for name in [&names[0], &names[29]] {
        wait_for_state(client, name, State::Rejected).await;
    }
    browser.find(".live form button").await;
    let text = browser.text(".live p").await;
    assert_eq!(text, "30 comments rejected as spam.");
    assert_eq!(send(client, variant(30)).await.state(), State::Rejected, "the 31st follows");
    browser.press("z").await;
    for name in [&names[0], &names[29]] {
        wait_for_state(client, name, State::Held).await;
    }
    browser.goto(&format!("{DESK}?order=newest")).await;
    browser.follow(".alike").await;
    browser.find("button[value^=\"reject-spam campaign\"]").await;
    browser.assert_accessible("campaign").await;
}

async fn keys_and_selection(browser: &Browser, client: &mut Client, first: &str) {
    browser.goto(&format!("{DESK}?order=oldest")).await;
    wait_until_live(browser).await;
    let before = entry_count(browser).await;
    browser.press("jxjx").await;
    assert_eq!(browser.text("[data-selected-count]").await, "2 selected");
    browser.click("button[name=bulk][value=approve]").await;
    wait_for_state(client, first, State::Approved).await;
    wait_for_entries(browser, before - 2).await;
    browser.press("?").await;
    browser.find("dialog[open]").await;
}

/// A browser in which the first administrator is signed in.
async fn signed_in(service: &Service) -> Browser {
    let browser = Browser::open(&service.first.http).await;
    browser.goto(&first_link(service)).await;
    browser.fill("password", PASSWORD).await;
    browser.fill("repeated", PASSWORD).await;
    browser.follow("button.primary").await;
    browser.find(".tiles").await;
    browser
}

/// What a script that returns a text returns.
async fn told(browser: &Browser, script: &str) -> String {
    browser.run(script).await.as_str().unwrap_or_default().to_owned()
}

/// A note lost the focus to an entry whenever a comment came, and its next letters decided.
#[tokio::test]
async fn what_arrives_leaves_the_focus_where_it_is() {
    let (service, mut client) = service_that_holds().await;
    let first = send(&mut client, comment("Is there a recording of the talk?")).await.name;
    let browser = signed_in(&service).await;
    browser.goto(DESK).await;
    wait_until_live(&browser).await;
    browser.press("j").await;
    browser.click("input[name=note]").await;
    browser.press("as").await;
    let second = send(&mut client, comment("Thanks, the second drawing helped me")).await.name;
    wait_for_entries(&browser, 2).await;
    browser.press("ad").await;
    let note = told(&browser, "return document.querySelector('input[name=note]').value").await;
    assert_eq!(note, "asad");
    assert_eq!(entry_count(&browser).await, 2);
    for name in [&first, &second] {
        assert_eq!(state(&mut client, name).await, State::Held);
    }

    // In the list it stays, too.
    let id = first.rsplit('/').next().unwrap();
    let button = format!("[data-entry^=\"{id}\"] [data-entry-key=d]");
    browser.run(&format!("document.querySelector('{button}').focus()")).await;
    send(&mut client, comment("Which of the three glues was it, in the end?")).await;
    wait_for_entries(&browser, 3).await;
    let script = format!("return String(document.activeElement.matches('{button}'))");
    assert_eq!(told(&browser, &script).await, "true");
}

/// A key that was held down decided on one entry after the other.
#[tokio::test]
async fn a_key_that_is_held_down_decides_once() {
    let (service, mut client) = service_that_holds().await;
    for text in ["Is there a recording?", "The drawing helped me a lot", "Which glue was that?"] {
        send(&mut client, comment(text)).await;
    }
    let browser = signed_in(&service).await;
    browser.goto(DESK).await;
    wait_until_live(&browser).await;
    let hold = |key: &str| {
        format!(
            "for (const repeat of [false, true, true]) document.activeElement.dispatchEvent( \
                 new KeyboardEvent('keydown', {{ key: '{key}', repeat, bubbles: true }}))"
        )
    };
    browser.run(&hold("j")).await;
    let script = "return String([...document.querySelectorAll('[data-entry]')] \
         .indexOf(document.querySelector('.selected')))";
    assert_eq!(told(&browser, script).await, "2", "moving goes on");
    browser.run(&hold("a")).await;
    assert_eq!(entry_count(&browser).await, 2, "deciding does not");
}

/// What arrived moved the list, and a click decided on the comment that had come under the pointer. So did
/// the second click of a double click.
#[tokio::test]
async fn a_click_decides_on_what_it_was_aimed_at() {
    let (service, mut client) = service_that_holds().await;
    for text in ["Is there a recording?", "The drawing helped me a lot", "Which glue was that?"] {
        send(&mut client, comment(&format!("{text}\n\n\n\n\n\n\n\n\n.").repeat(2))).await;
    }
    let browser = signed_in(&service).await;
    browser.goto(&format!("{DESK}?order=newest")).await;
    wait_until_live(&browser).await;
    browser.run("window.scrollTo(0, 400)").await;
    let script = "const seen = [...document.querySelectorAll('[data-entry]')] \
         .find((entry) => window.aimed ? entry.dataset.entry === window.aimed \
             : entry.getBoundingClientRect().bottom > 60); \
         window.aimed = seen.dataset.entry; \
         return String(Math.round(seen.getBoundingClientRect().top))";
    let top: i32 = told(&browser, script).await.parse().unwrap();
    send(&mut client, comment("Thanks, the second drawing is clearer")).await;
    wait_for_entries(&browser, 4).await;
    let moved = told(&browser, script).await.parse::<i32>().unwrap() - top;
    assert!(moved.abs() <= 2, "it stays where it is, to a pixel: {moved}");

    browser.run("document.querySelector('input[name=note]').value = 'seen before'").await;
    let click = |count: u32| {
        format!(
            "document.querySelector('[data-entry]:not([hidden]) [data-entry-key=a]') \
                 .dispatchEvent(new MouseEvent('click', \
                     {{ detail: {count}, bubbles: true, cancelable: true }}))"
        )
    };
    browser.run(&click(1)).await;
    browser.run(&click(2)).await;
    browser.find(".live form").await;
    assert_eq!(entry_count(&browser).await, 3, "the next one stays");
    let note = told(&browser, "return document.querySelector('input[name=note]').value").await;
    assert_eq!(note, "", "a note is for one decision");
}

/// An entry that is selected is not left as it was, and keeps the focus.
#[tokio::test]
async fn a_campaign_grows_under_the_moderators_eyes() {
    let (service, mut client) = service_that_holds().await;
    for n in 0..2 {
        send(&mut client, variant(n)).await;
    }
    let browser = signed_in(&service).await;
    browser.goto(DESK).await;
    wait_until_live(&browser).await;
    browser.press("j").await;
    let last = send(&mut client, variant(2)).await.name;
    wait_for("the entry to grow", || async {
        let script = "return document.querySelector('.selected .alike').textContent";
        (told(&browser, script).await == "3 alike").then_some(())
    })
    .await;
    let script = "return String(document.activeElement.matches('.selected'))";
    assert_eq!(told(&browser, script).await, "true");
    browser.press("s").await;
    wait_for_state(&client, &last, State::Rejected).await;
    browser.find(".live form button").await;
    assert_eq!(browser.text(".live p").await, "3 comments rejected as spam.");
}

/// A browser has six connections to a host: six queues in tabs took them all.
#[tokio::test]
async fn a_page_in_the_background_holds_no_connection() {
    let (service, mut client) = service_that_holds().await;
    let browser = signed_in(&service).await;
    browser.goto(DESK).await;
    wait_until_live(&browser).await;
    let turn = |hidden: bool| {
        format!(
            "Object.defineProperty(document, 'hidden', {{ value: {hidden}, configurable: true }}); \
             document.dispatchEvent(new Event('visibilitychange'))"
        )
    };
    browser.run(&turn(true)).await;
    browser.find("body:not([data-live])").await;
    send(&mut client, comment("Is there a recording of the talk?")).await;
    assert_eq!(entry_count(&browser).await, 0);
    browser.run(&turn(false)).await;
    wait_until_live(&browser).await;
    wait_for_entries(&browser, 1).await;
}

/// The order changes by a button, so that who walks through the list by arrow keys stays there.
#[tokio::test]
async fn choosing_an_order_leaves_the_page_alone() {
    let (service, _client) = service_that_holds().await;
    let browser = signed_in(&service).await;
    browser.goto(DESK).await;
    wait_until_live(&browser).await;
    let script = "const order = document.querySelector('[name=order]'); order.value = 'oldest'; \
         window.replyguardLeft = false; \
         document.addEventListener('submit', () => { window.replyguardLeft = true; }); \
         order.dispatchEvent(new Event('change', { bubbles: true })); \
         return String(window.replyguardLeft)";
    assert_eq!(told(&browser, script).await, "false");
    browser.follow("form.toolbar[method=get] button").await;
    let url = browser.client.current_url().await.unwrap();
    assert_eq!(url.query(), Some("order=oldest"));
}

#[tokio::test]
async fn every_page_of_the_desk_is_accessible() {
    let (service, mut client) = service_that_holds().await;
    let mut hostile = comment(&format!(
        "Visit https://example.com/cheap for \u{202e}casino bonus {} and win",
        "x".repeat(3_000)
    ));
    hostile.author = "A very long name indeed ".repeat(9);
    hostile.url = "https://example.com/shop".into();
    hostile.page_uri = "https://blog.example/a-page".into();
    hostile.page_title = "A page".into();
    let name = send(&mut client, hostile).await.name;
    let decision = proto::DecideCommentRequest {
        name: name.clone(),
        action: proto::DecisionAction::Approve.into(),
        note: "seen".into(),
        ..Default::default()
    };
    client.reviews.decide_comment(decision).await.unwrap();
    let reviewed = proto::GetReviewedCommentRequest { name: name.clone() };
    let reviewed = client.reviews.get_reviewed_comment(reviewed).await.unwrap().into_inner();
    let author = reviewed.comment.unwrap().author_fingerprint;
    let uri = "https://no-such-host.invalid/hook".to_owned();
    let webhook = Some(proto::Webhook { uri, ..Default::default() });
    let webhook = proto::CreateWebhookRequest { parent: SITE.into(), webhook };
    client.webhooks.create_webhook(webhook).await.unwrap();
    let id = name.rsplit('/').next().unwrap();
    let browser = Browser::open(&service.first.http).await;
    browser.goto(&first_link(&service)).await;
    browser.fill("password", PASSWORD).await;
    browser.fill("repeated", PASSWORD).await;
    browser.follow("button.primary").await;
    browser.find(".tiles").await;
    for (page, rest) in [
        ("comment", format!("/comments/{id}")),
        ("author", format!("/authors/{author}")),
        ("search", "/search?q=casino".to_owned()),
        ("search-problem", "/search?q=state:lost".to_owned()),
        ("decisions", "/decisions".to_owned()),
        ("audit", "/audit".to_owned()),
        ("overview", "/overview".to_owned()),
        ("privacy", "/privacy".to_owned()),
        ("webhooks", "/webhooks".to_owned()),
        ("keys", "/keys".to_owned()),
        ("policy", "/policy".to_owned()),
    ] {
        browser.goto(&format!("{DESK}{rest}")).await;
        browser.find("main h1").await;
        browser.assert_accessible(page).await;
    }
    // With a back-test, and a preview of a decision.
    browser.follow("button[name=test]").await;
    browser.find("#test-title").await;
    browser.assert_accessible("policy-tested").await;
    browser.goto(&format!("{DESK}/search?q=casino")).await;
    browser.follow("button[name=action][value=reject-spam]").await;
    browser.find("input[name=confirmed]").await;
    browser.assert_accessible("preview").await;
}

#[tokio::test]
async fn two_moderators_see_each_other_decide() {
    let (service, mut client) = service_that_holds().await;
    let mut admin = administrator(&service).await;
    let link = invite(&mut admin, "Maria", &["default"]).await;
    let browser = Browser::open(&service.first.http).await;
    browser.goto(&link).await;
    browser.fill("password", PASSWORD).await;
    browser.fill("repeated", PASSWORD).await;
    browser.follow("button.primary").await;
    browser.find(".tiles").await;
    let name = send(&mut client, comment("Where was the second picture taken?")).await.name;
    let id = name.rsplit('/').next().unwrap();
    browser.goto(DESK).await;
    browser.look(Look::Phone).await;
    wait_until_live(&browser).await;
    wait_for_entries(&browser, 1).await;
    // The other one decides; the page of the first follows.
    let one = format!("approve {id}.0");
    let fields = [("one", one.as_str()), ("back", DESK)];
    assert_eq!(admin.submit(DESK, &format!("{DESK}/decide"), &fields).await.status, 303);
    wait_for_entries(&browser, 0).await;
    assert_eq!(state(&mut client, &name).await, State::Approved);
    // A claim of one keeps the other out.
    let next = send(&mut client, comment("And the third one, if I may ask?")).await.name;
    wait_for_entries(&browser, 1).await;
    let claim = proto::ClaimCommentRequest { name: next.clone(), moderator: "Bob".into() };
    client.reviews.claim_comment(claim).await.unwrap();
    browser.click("[data-entry] button[value^=\"approve\"]").await;
    browser.find(".live.bad").await;
    let text = browser.text(".live p").await;
    assert!(text.contains("another moderator looks at it"), "{text}");
    wait_for_entries(&browser, 1).await;
    assert_eq!(state(&mut client, &next).await, State::Held);
    let audit = proto::ListAuditEntriesRequest { parent: SITE.into(), ..Default::default() };
    let log = client.reviews.list_audit_entries(audit).await.unwrap().into_inner();
    let decided = log.audit_entries.iter().find(|entry| entry.action == "decide").unwrap();
    assert_eq!(decided.actor, "moderator:administrator");
}
