//! The console as a person uses it, in a real browser; and axe-core on each page.

use super::{PASSWORD, first_link, shown_link};
use crate::support::browser::Browser;
use crate::support::service::Service;

#[tokio::test]
async fn the_console_in_a_browser() {
    let service = Service::start().await;
    let browser = Browser::open(&service.first.http).await;
    browser.goto("/console/moderators").await;
    assert_eq!(browser.path().await, "/console/log-in");
    browser.assert_accessible("log-in").await;

    browser.goto(&first_link(&service)).await;
    browser.assert_accessible("invitation").await;
    browser.fill("password", PASSWORD).await;
    browser.fill("repeated", "correct horse batterz").await;
    browser.follow("button.primary").await;
    assert!(browser.text(".problem").await.contains("not the same"));
    browser.assert_accessible("invitation-problem").await;
    browser.fill("password", PASSWORD).await;
    browser.fill("repeated", PASSWORD).await;
    browser.follow("button.primary").await;
    browser.find(".tiles").await;
    assert_eq!(browser.path().await, "/console");
    browser.assert_accessible("sites").await;
    browser.goto("/console/sites/default").await;
    browser.assert_accessible("site").await;
    browser.goto("/console/none").await;
    browser.assert_accessible("not-found").await;

    moderators(&browser).await;

    browser.goto("/console/password").await;
    browser.assert_accessible("password").await;
    browser.click(".account summary").await;
    browser.screenshot("menu").await;
    browser.follow(".account form button").await;
    browser.find("input[name=password]").await;
    assert_eq!(browser.path().await, "/console/log-in");
    browser.fill("name", "administrator").await;
    browser.fill("password", "wrong password, wrong").await;
    browser.follow("button.primary").await;
    assert_eq!(browser.text(".problem").await, "Name or password are wrong.");
    browser.assert_accessible("log-in-problem").await;
}

async fn moderators(browser: &Browser) {
    browser.goto("/console").await;
    browser.follow(".nav a").await;
    browser.find("#add-title").await;
    browser.fill("name", "Grace Hopper").await;
    browser.click("input[name=site][value=default]").await;
    browser.follow("button.primary").await;
    browser.find(".copyable").await;
    let link =
        shown_link(&browser.client.source().await.unwrap().replace("readonly=\"\"", "readonly"));
    assert!(link.contains("/console/invitation/"), "{link}");
    browser.assert_accessible("moderators-link").await;

    browser.follow("button[aria-label=\"Disable Grace Hopper\"]").await;
    assert!(browser.text(".toast").await.contains("“Grace Hopper” is disabled"));
    browser.assert_accessible("moderators").await;
    browser.goto("/console/moderators").await;
    assert_eq!(browser.run("return document.querySelectorAll('.toast').length").await, 0);
    browser.follow("button[aria-label=\"Enable Grace Hopper\"]").await;
    assert!(browser.text(".toast").await.contains("is enabled again"));

    browser.press("?").await;
    browser.find("dialog[open]").await;
    browser.assert_accessible("keys").await;
    browser.click("dialog button").await;
    browser.find("dialog:not([open])").await;
    browser.press("gs").await;
    browser.find(".tiles").await;
}
