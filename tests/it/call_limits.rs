//! Limits to the calls of a key, and to wrong keys.

use replyguard::grpc::proto;
use tonic_types::StatusExt;

use crate::support::service::{Service, comment, wait_for};

#[tokio::test]
async fn calls_of_a_key_are_limited_where_the_owner_says_so() {
    let flags = ["--key-calls-per-s", "2", "--key-burst-count", "3"];
    let service = Service::start_with(&flags).await;
    let mut client = service.client().await;
    let request = || proto::GetSiteRequest { name: "sites/default".into() };
    let create = proto::CreateKeyRequest {
        parent: "sites/default".into(),
        display_name: "another".into(),
        scopes: vec![proto::KeyScope::Check.into()],
    };
    let other = client.sites.create_key(create).await.unwrap().into_inner().secret;
    let mut refused = None;
    for _ in 0..10 {
        if let Err(status) = client.sites.get_site(request()).await {
            refused = Some(status);
            break;
        }
    }
    let status = refused.expect("eleven calls at once are too many");
    assert_eq!(status.code(), tonic::Code::ResourceExhausted);
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().reason, "call-limit");
    let wait = details.retry_info().unwrap().retry_delay.unwrap();
    assert!(wait <= std::time::Duration::from_secs(1), "{wait:?}");
    let mut other = service.client_with(Some(&other)).await;
    other.sites.get_site(request()).await.expect("another key has its own limit");
    wait_for("the wait to pass", || async {
        service.client().await.sites.get_site(request()).await.ok()
    })
    .await;

    // A stream is slowed down, and no item refused.
    let items = (0..5).map(|number| proto::BatchCheckCommentsRequest {
        parent: "sites/default".into(),
        comment: Some(comment(&format!("Comment {number} of a batch."))),
        ..Default::default()
    });
    let stream = wait_for("the batch to be let in", || async {
        let mut client = service.client().await;
        client.comments.batch_check_comments(tokio_stream::iter(items.clone())).await.ok()
    })
    .await;
    let mut answers = stream.into_inner();
    let mut count = 0;
    while let Some(answer) = answers.message().await.unwrap() {
        let result = answer.result.unwrap();
        let comment = proto::batch_check_comments_response::Result::Comment;
        assert_eq!(
            std::mem::discriminant(&result),
            std::mem::discriminant(&comment(Default::default())),
            "{result:?}"
        );
        count += 1;
    }
    assert_eq!(count, 5);
    let (_, metrics) = service.page("/metrics").await;
    assert!(metrics.contains("replyguard_limited_total{limit=\"call\"}"), "{metrics}");
}

#[tokio::test]
async fn who_sends_wrong_keys_is_slowed_down_and_right_keys_are_not() {
    let service = Service::start().await;
    let request = || proto::GetSiteRequest { name: "sites/default".into() };
    let mut right = service.client().await;
    right.sites.get_site(request()).await.unwrap();
    let mut wrong = service.client_with(Some("rgk_0000")).await;
    let mut reasons = Vec::new();
    for _ in 0..24 {
        let status = wrong.sites.get_site(request()).await.unwrap_err();
        let details = status.get_error_details();
        reasons.push(details.error_info().unwrap().reason.clone());
        if details.retry_info().is_some() {
            assert_eq!(status.code(), tonic::Code::ResourceExhausted);
        }
        right.sites.get_site(request()).await.expect("a key that was right before goes on");
    }
    // Behind a proxy, those who send wrong keys and all others have one address.
    assert_eq!(reasons[..20].iter().filter(|reason| *reason == "api-key-invalid").count(), 20);
    assert!(reasons[20..].iter().any(|reason| reason == "failed-key-limit"), "{reasons:?}");
    let create = proto::CreateKeyRequest {
        parent: "sites/default".into(),
        display_name: "fresh".into(),
        scopes: vec![proto::KeyScope::Check.into()],
    };
    let fresh = right.sites.create_key(create).await.unwrap().into_inner().secret;
    let mut fresh = service.client_with(Some(&fresh)).await;
    while wrong.sites.get_site(request()).await.unwrap_err().code()
        != tonic::Code::ResourceExhausted
    {}
    fresh.sites.get_site(request()).await.expect("a key that nobody has used yet");
    let (_, metrics) = service.page("/metrics").await;
    for expected in [
        "replyguard_failed_keys_total{surface=\"grpc\"} 2",
        "replyguard_limited_total{limit=\"failed-key\"}",
    ] {
        assert!(metrics.contains(expected), "{expected}: {metrics}");
    }
}
