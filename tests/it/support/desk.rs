//! A service whose comments all wait for a moderator.

use replyguard::grpc::client::Client;
use replyguard::grpc::proto;

use super::backend::Backend;
use super::service::{Service, check, comment};

/// The first site.
pub const SITE: &str = "sites/default";

/// The `n`th of a campaign: near duplicates by different people.
pub fn variant(n: usize) -> proto::Comment {
    let text = format!(
        "Dear readers, my uncle found a fine pair of old wall clocks for his wedding at our \
         little shop downtown and number {n} of them is on sale until the end of this month only"
    );
    proto::Comment {
        ip: format!("198.51.{n}.7"),
        email: format!("reader{n}@example.org"),
        ..comment(&text)
    }
}

/// A service whose default site holds everything.
pub async fn service_that_holds() -> (Service, Client) {
    service_that_holds_with(&[]).await
}

/// The same on a backend, with more flags.
pub async fn service_that_holds_on(backend: Backend, arguments: &[&str]) -> (Service, Client) {
    let flags = backend.flags();
    let flags: Vec<&str> =
        flags.iter().map(String::as_str).chain(arguments.iter().copied()).collect();
    service_that_holds_with(&flags).await
}

/// The same, with more flags.
pub async fn service_that_holds_with(arguments: &[&str]) -> (Service, Client) {
    let service = Service::start_with(arguments).await;
    let mut client = service.client().await;
    let policy = proto::SitePolicy { hold_all: Some(true), ..proto::SitePolicy::default() };
    let request = proto::UpdateSiteRequest {
        site: Some(proto::Site {
            name: SITE.into(),
            policy: Some(policy),
            ..proto::Site::default()
        }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["policy.hold_all".into()] }),
    };
    client.sites.update_site(request).await.unwrap();
    (service, client)
}

/// Sends a comment through the form.
pub async fn send(client: &mut Client, comment: proto::Comment) -> proto::CheckedComment {
    client.comments.check_comment(check(comment)).await.unwrap().into_inner().comment.unwrap()
}
