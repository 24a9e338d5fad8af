//! `SiteService` and keys, over real gRPC.

use replyguard::grpc::client::Client;
use replyguard::grpc::proto;
use tonic::Code;
use tonic_types::StatusExt;

use crate::support::models::example;
use crate::support::service::{Service, check, comment, wait_for};

async fn create_site(client: &mut Client, id: &str) -> proto::Site {
    let request = proto::CreateSiteRequest { site_id: id.into(), site: None };
    client.sites.create_site(request).await.unwrap().into_inner().site.unwrap()
}

async fn create_key(client: &mut Client, site: &str, scope: proto::KeyScope) -> (String, String) {
    let request = proto::CreateKeyRequest {
        parent: site.into(),
        display_name: "a key".into(),
        scopes: vec![scope.into()],
    };
    let answer = client.sites.create_key(request).await.unwrap().into_inner();
    (answer.key.unwrap().name, answer.secret)
}

#[tokio::test]
async fn keys_open_their_own_site_alone() {
    let service = Service::start().await;
    let mut admin = service.client().await;
    create_site(&mut admin, "other").await;
    let (key_name, secret) = create_key(&mut admin, "sites/other", proto::KeyScope::Check).await;

    let reason =
        |status: &tonic::Status| status.get_error_details().error_info().unwrap().reason.clone();
    for (key, expected) in [
        (None, "api-key-missing"),
        (Some("rgk_wrong"), "api-key-invalid"),
        (Some("x"), "api-key-invalid"),
    ] {
        let mut client = service.client_with(key).await;
        let status = client.comments.check_comment(check(comment("Hello"))).await.unwrap_err();
        assert_eq!((status.code(), reason(&status)), (Code::Unauthenticated, expected.into()));
        let empty = tokio_stream::empty();
        let status = client.comments.batch_check_comments(empty).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated);
    }
    let mut other = service.client_with(Some(&secret)).await;
    let foreign = other.comments.check_comment(check(comment("Hello"))).await.unwrap_err();
    assert_eq!((foreign.code(), reason(&foreign)), (Code::PermissionDenied, "foreign-site".into()));
    let own =
        proto::CheckCommentRequest { parent: "sites/other".into(), ..check(comment("Hello")) };
    let checked = other.comments.check_comment(own.clone()).await.unwrap().into_inner();

    // Permission goes before existence: a foreign comment and a made-up one look the same.
    let mut default = service.client().await;
    for name in [
        checked.comment.unwrap().name,
        "sites/none/comments/00000000-0000-7000-8000-000000000000".into(),
    ] {
        let status =
            default.comments.get_comment(proto::GetCommentRequest { name }).await.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status)),
            (Code::PermissionDenied, "foreign-site".into())
        );
    }
    let status = other.sites.list_sites(proto::ListSitesRequest::default()).await.unwrap_err();
    assert_eq!((status.code(), reason(&status)), (Code::PermissionDenied, "scope-missing".into()));

    let (more, requests) = tokio::sync::mpsc::channel(4);
    let item = || proto::BatchCheckCommentsRequest {
        parent: "sites/other".into(),
        comment: Some(comment("One of a long stream.")),
        ..proto::BatchCheckCommentsRequest::default()
    };
    more.send(item()).await.unwrap();
    let requests = tokio_stream::wrappers::ReceiverStream::new(requests);
    let mut answers = other.comments.batch_check_comments(requests).await.unwrap().into_inner();
    assert!(answers.message().await.unwrap().is_some());

    let revoked =
        default.sites.revoke_key(proto::RevokeKeyRequest { name: key_name }).await.unwrap();
    assert!(revoked.into_inner().key.unwrap().revoke_time.is_some());
    more.send(item()).await.unwrap();
    let status = answers.message().await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated, "an open stream ends with its key");
    let status = other.comments.check_comment(own).await.unwrap_err();
    assert_eq!((status.code(), reason(&status)), (Code::Unauthenticated, "api-key-invalid".into()));
}

#[tokio::test]
async fn an_export_ends_with_its_key() {
    let service = Service::start().await;
    let mut admin = service.client().await;
    let site = "sites/default";
    let (name, secret) = create_key(&mut admin, site, proto::KeyScope::Operate).await;
    // Together more than what is read ahead for a client that does not read.
    let messages = (0..60).map(|message| {
        let long = |number: usize| {
            let mut example = example(message * 10 + number, number.is_multiple_of(2));
            let comment = example.comment.as_mut().unwrap();
            comment.text = format!("{} {}", comment.text, "and more flour ".repeat(600));
            example
        };
        proto::ImportExamplesRequest { parent: site.into(), examples: (0..10).map(long).collect() }
    });
    let messages: Vec<_> = messages.collect();
    let imported = admin.models.import_examples(tokio_stream::iter(messages)).await.unwrap();
    assert_eq!(imported.into_inner().imported_count, 600);

    let mut operator = service.client_with(Some(&secret)).await;
    let request = proto::ExportExamplesRequest { parent: site.into() };
    let mut stream = operator.models.export_examples(request).await.unwrap().into_inner();
    assert!(stream.message().await.unwrap().is_some());
    admin.sites.revoke_key(proto::RevokeKeyRequest { name }).await.unwrap();
    let mut read = 1;
    let status = loop {
        match stream.message().await {
            Ok(item) => read += usize::from(item.expect("no end as if that were all").position > 0),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::Unauthenticated, "after {read}: {status:?}");
    assert!(read < 600, "{read}");
}

#[tokio::test]
async fn policies_take_effect_at_once_and_are_guarded() {
    let service = Service::start().await;
    let mut client = service.client().await;
    let name = "sites/default".to_owned();
    let read = client.sites.get_site(proto::GetSiteRequest { name: name.clone() }).await.unwrap();
    let site = read.into_inner().site.unwrap();
    let update = |etag: &str, policy: proto::SitePolicy, paths: &[&str]| proto::UpdateSiteRequest {
        site: Some(proto::Site {
            name: "sites/default".into(),
            etag: etag.into(),
            policy: Some(policy),
            ..proto::Site::default()
        }),
        update_mask: Some(prost_types::FieldMask {
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        }),
    };
    let words = proto::SitePolicy {
        hold_words: vec!["mountain goat".into()],
        email_required: Some(false),
        ..proto::SitePolicy::default()
    };
    let request =
        update(&site.etag, words.clone(), &["policy.hold_words", "policy.email_required"]);
    let updated = client.sites.update_site(request).await.unwrap().into_inner().site.unwrap();
    assert_ne!(updated.etag, site.etag);
    assert_eq!(updated.policy.as_ref().unwrap().limits, site.policy.as_ref().unwrap().limits);

    let sent = proto::Comment { email: String::new(), ..comment("I saw a mountain goat there.") };
    let held = client.comments.check_comment(check(sent)).await.unwrap().into_inner();
    let held = held.comment.unwrap();
    assert_eq!(held.verdict(), proto::Verdict::Hold, "{held:?}");
    assert!(held.reasons.iter().any(|reason| reason.name == "word-list-hold"), "{held:?}");

    let outdated = update(&site.etag, words.clone(), &["policy"]);
    assert_eq!(client.sites.update_site(outdated).await.unwrap_err().code(), Code::Aborted);
    let unknown = update("", words.clone(), &["policy.colour"]);
    assert_eq!(client.sites.update_site(unknown).await.unwrap_err().code(), Code::InvalidArgument);
    let bad = proto::SitePolicy { hold_threshold: Some(2.0), hold_one_in: Some(0), ..words };
    let status = client.sites.update_site(update("", bad, &["policy"])).await.unwrap_err();
    let details = status.get_error_details();
    assert_eq!(details.bad_request().unwrap().field_violations.len(), 2, "{status:?}");
}

#[tokio::test]
async fn sites_are_listed_in_pages() {
    let service = Service::start().await;
    let mut client = service.client().await;
    for id in ["alpha", "beta", "gamma"] {
        create_site(&mut client, id).await;
    }
    let again = proto::CreateSiteRequest { site_id: "beta".into(), site: None };
    assert_eq!(client.sites.create_site(again).await.unwrap_err().code(), Code::AlreadyExists);
    let bad = proto::CreateSiteRequest { site_id: "Not A Label".into(), site: None };
    assert_eq!(client.sites.create_site(bad).await.unwrap_err().code(), Code::InvalidArgument);
    let mut names = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = proto::ListSitesRequest { page_size: 2, page_token };
        let page = client.sites.list_sites(request).await.unwrap().into_inner();
        assert!(page.sites.len() <= 2);
        names.extend(page.sites.into_iter().map(|site| site.name));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(names, ["sites/alpha", "sites/beta", "sites/default", "sites/gamma"]);
    for _ in 0..3 {
        create_key(&mut client, "sites/beta", proto::KeyScope::Check).await;
    }
    let request = proto::ListKeysRequest {
        parent: "sites/beta".into(),
        page_size: 2,
        page_token: String::new(),
    };
    let page = client.sites.list_keys(request.clone()).await.unwrap().into_inner();
    assert_eq!(page.keys.len(), 2);
    let rest = proto::ListKeysRequest { page_token: page.next_page_token, ..request };
    let page = client.sites.list_keys(rest).await.unwrap().into_inner();
    assert_eq!((page.keys.len(), page.next_page_token.as_str()), (1, ""));
}

#[tokio::test]
async fn abuse_is_held_where_a_site_asks_for_it() {
    let service = Service::start().await;
    let mut client = service.client().await;
    let rude = "you are a stupid bitch and a fucking idiot, shut up you dumb ass";
    let checked = |mut client: replyguard::grpc::client::Client, text: String| async move {
        let answer = client.comments.check_comment(check(comment(&text))).await.unwrap();
        answer.into_inner().comment.unwrap()
    };
    let unasked = checked(client.clone(), rude.into()).await;
    assert_eq!(unasked.verdict(), proto::Verdict::Approve, "rude is not spam");
    assert_eq!(unasked.abuse_score, None);
    let policy = proto::SitePolicy { hold_abuse_one_in: Some(50), ..Default::default() };
    let request = proto::UpdateSiteRequest {
        site: Some(proto::Site {
            name: "sites/default".into(),
            policy: Some(policy),
            ..Default::default()
        }),
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["policy.hold_abuse_one_in".into()],
        }),
    };
    client.sites.update_site(request).await.unwrap();
    let asked = checked(client.clone(), format!("{rude} now")).await;
    assert_eq!(asked.verdict(), proto::Verdict::Hold, "{asked:?}");
    assert_eq!(asked.reasons[0].name, "abuse-above-threshold");
    assert!(asked.abuse_score.unwrap() > 0.9);
    let kind = checked(client, "Thank you, the second photo is lovely.".into()).await;
    assert_eq!(kind.verdict(), proto::Verdict::Approve);
    assert!(kind.abuse_score.unwrap() < 0.5, "{:?}", kind.abuse_score);
    let name = asked.name.clone();
    let mut client = service.client().await;
    let read = client.comments.get_comment(proto::GetCommentRequest { name }).await.unwrap();
    assert_eq!(read.into_inner().comment.unwrap(), asked, "it reads back whole");
}

#[tokio::test]
async fn keys_of_every_scope_are_rotated_with_an_overlap() {
    let service = Service::start().await;
    let mut admin = service.client().await;
    let scopes = [
        proto::KeyScope::Check,
        proto::KeyScope::Review,
        proto::KeyScope::Operate,
        proto::KeyScope::Administer,
    ];
    let read = || proto::GetSiteRequest { name: "sites/default".into() };
    for scope in scopes {
        let (name, old) = create_key(&mut admin, "sites/default", scope).await;
        let overlap = Some(prost_types::Duration { seconds: 2, nanos: 0 });
        let request = proto::RotateKeyRequest { name: name.clone(), overlap };
        let rotated = admin.sites.rotate_key(request.clone()).await.unwrap().into_inner();
        let (new, former) = (rotated.key.unwrap(), rotated.former_key.unwrap());
        assert_eq!((new.scopes, new.display_name.as_str()), (former.scopes, "a key"));
        assert!(new.revoke_time.is_none() && former.revoke_time.is_some());
        let mut old = service.client_with(Some(&old)).await;
        let mut new = service.client_with(Some(&rotated.secret)).await;
        old.sites.get_site(read()).await.expect("good until the end of the overlap");
        new.sites.get_site(read()).await.expect("good from now on");
        let status = wait_for("the overlap to end", || {
            let mut old = old.clone();
            async move { old.sites.get_site(read()).await.err() }
        })
        .await;
        assert_eq!(status.code(), Code::Unauthenticated);
        new.sites.get_site(read()).await.expect("good for good");
        let again = admin.sites.rotate_key(request).await.unwrap_err();
        assert_eq!(again.code(), Code::NotFound, "a key that has ended is not rotated");
    }
    let (name, _) = create_key(&mut admin, "sites/default", scopes[0]).await;
    for seconds in [-1, 91 * 86_400] {
        let overlap = Some(prost_types::Duration { seconds, nanos: 0 });
        let request = proto::RotateKeyRequest { name: name.clone(), overlap };
        let status = admin.sites.rotate_key(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{seconds}");
    }
}
