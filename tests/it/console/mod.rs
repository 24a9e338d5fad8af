//! The console over real HTTP, and in a real browser.

mod accounts;
mod browser;
mod desk;
mod desk_browser;
mod clock;
mod forms;
mod sessions;

use crate::support::service::Service;
use crate::support::visitor::Visitor;

/// A password that is taken.
const PASSWORD: &str = "correct horse battery";

/// The link that the last start printed for the first administrator.
fn first_link(service: &Service) -> String {
    let printed = service.printed();
    let link = printed.lines().rev().find(|line| line.contains("/console/invitation/"));
    link.unwrap_or_else(|| panic!("no link: {printed}")).trim().to_owned()
}

/// A fresh browser.
fn visitor(service: &Service) -> Visitor {
    Visitor::new(&service.first.http)
}

/// The first administrator, signed in.
pub async fn administrator(service: &Service) -> Visitor {
    let mut visitor = visitor(service);
    let answer = visitor.accept(&first_link(service), PASSWORD).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    visitor
}

/// The link for a moderator whom the administrator adds.
async fn invite(administrator: &mut Visitor, name: &str, sites: &[&str]) -> String {
    let mut fields = vec![("name", name), ("role", "moderator")];
    fields.extend(sites.iter().map(|site| ("site", *site)));
    let path = "/console/moderators";
    let answer = administrator.submit(path, path, &fields).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    shown_link(&answer.body)
}

/// The link on a page.
fn shown_link(body: &str) -> String {
    let (_, rest) = body.split_once("class=\"copyable\" readonly value=\"").expect("a link");
    rest.split('"').next().unwrap().to_owned()
}

/// A moderator of some sites, signed in.
pub async fn moderator(
    service: &Service,
    administrator: &mut Visitor,
    name: &str,
    sites: &[&str],
) -> Visitor {
    let link = invite(administrator, name, sites).await;
    let mut visitor = visitor(service);
    let answer = visitor.accept(&link, PASSWORD).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    visitor
}
