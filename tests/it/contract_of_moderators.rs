//! `ModeratorService` over real gRPC, and `replyguard moderators` on top of it.

use replyguard::grpc::client::{Client, FieldMask, Status};
use replyguard::grpc::proto;
use tonic::Code;
use tonic_types::StatusExt;

use crate::support::backend::{Backend, on_each_backend};
use crate::support::service::Service;
use crate::support::visitor::Visitor;

const PASSWORD: &str = "correct horse battery";

fn reason(status: &Status) -> String {
    status.get_error_details().error_info().unwrap().reason.clone()
}

fn draft(name: &str, role: proto::ModeratorRole, sites: &[&str]) -> proto::CreateModeratorRequest {
    let moderator = proto::Moderator {
        display_name: name.into(),
        role: role.into(),
        sites: sites.iter().map(|site| (*site).to_owned()).collect(),
        ..proto::Moderator::default()
    };
    proto::CreateModeratorRequest { moderator: Some(moderator) }
}

async fn create(
    client: &mut Client,
    request: proto::CreateModeratorRequest,
) -> (proto::Moderator, String) {
    let answer = client.moderators.create_moderator(request).await.unwrap().into_inner();
    (answer.moderator.unwrap(), answer.invitation.unwrap().uri)
}

async fn update(
    client: &mut Client,
    moderator: proto::Moderator,
    path: &str,
) -> Result<proto::Moderator, Status> {
    let update_mask = Some(FieldMask { paths: vec![path.into()] });
    let request = proto::UpdateModeratorRequest { moderator: Some(moderator), update_mask };
    let answer = client.moderators.update_moderator(request).await?;
    Ok(answer.into_inner().moderator.unwrap())
}

on_each_backend!(moderators_are_created_changed_and_reset, the_last_administrator_stays,);

async fn moderators_are_created_changed_and_reset(backend: Backend) {
    let service = Service::start_on(backend).await;
    let mut client = service.client().await;
    let request = draft("Grace", proto::ModeratorRole::Moderator, &["sites/default"]);
    let (grace, uri) = create(&mut client, request.clone()).await;
    assert!(grace.invited && !grace.disabled && grace.sites == ["sites/default"]);
    let taken = client.moderators.create_moderator(request).await.unwrap_err();
    assert_eq!((taken.code(), reason(&taken)), (Code::AlreadyExists, "already-exists".into()));

    let mut browser = Visitor::new(&service.first.http);
    assert_eq!(browser.accept(&uri, PASSWORD).await.status, 303);
    assert_eq!(browser.get("/console/sites/default").await.status, 200);
    let none = proto::Moderator { sites: Vec::new(), ..grace.clone() };
    let changed = update(&mut client, none.clone(), "sites").await.unwrap();
    assert!(changed.sites.is_empty() && !changed.invited && changed.login_time.is_some());
    assert_eq!(browser.get("/console/sites/default").await.status, 404, "at once");
    let stale = update(&mut client, none, "sites").await.unwrap_err();
    assert_eq!(stale.code(), Code::Aborted);

    let request = proto::ResetModeratorRequest { name: grace.name.clone() };
    let reset = client.moderators.reset_moderator(request.clone()).await.unwrap().into_inner();
    assert!(reset.moderator.unwrap().invited);
    assert_eq!(browser.get("/console").await.status, 303, "signed out");
    let disabled = proto::Moderator { disabled: true, ..changed };
    assert!(update(&mut client, disabled, "disabled").await.unwrap().disabled);
    let refused = client.moderators.reset_moderator(request).await.unwrap_err();
    assert_eq!(reason(&refused), "moderator-disabled");
    let over = browser.get(&crate::support::visitor::path_of(&reset.invitation.unwrap().uri)).await;
    assert_eq!(over.status, 404, "disabling voids the link");
}

async fn the_last_administrator_stays(backend: Backend) {
    let service = Service::start_on(backend).await;
    let mut client = service.client().await;
    let (ada, uri) =
        create(&mut client, draft("Ada", proto::ModeratorRole::Administrator, &[])).await;
    assert_eq!(Visitor::new(&service.first.http).accept(&uri, PASSWORD).await.status, 303);
    let gone = proto::Moderator { disabled: true, ..ada.clone() };
    let refused = update(&mut client, gone, "disabled").await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused)),
        (Code::FailedPrecondition, "last-administrator".into())
    );
    let role = proto::ModeratorRole::Moderator.into();
    let lower = proto::Moderator { role, ..ada };
    assert_eq!(
        reason(&update(&mut client, lower, "role").await.unwrap_err()),
        "last-administrator"
    );
}

#[tokio::test]
async fn what_is_wrong_is_said_and_pages_are_whole() {
    let service = Service::start().await;
    let mut client = service.client().await;
    let moderator = proto::ModeratorRole::Moderator;
    for (request, field) in [
        (draft("ada@example.org", moderator, &[]), "display_name"),
        (draft("", moderator, &[]), "display_name"),
        (draft("Ada", moderator, &["sites/none"]), "sites"),
        (draft("Ada", moderator, &["Sites!"]), "moderator.sites"),
        (draft("Ada", proto::ModeratorRole::Unspecified, &[]), "moderator.role"),
    ] {
        let status = client.moderators.create_moderator(request).await.unwrap_err();
        let details = status.get_error_details();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(details.bad_request().unwrap().field_violations[0].field, field);
    }
    for name in ["Cleo", "ada", "Bob"] {
        create(&mut client, draft(name, moderator, &[])).await;
    }
    let mut names = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = proto::ListModeratorsRequest { page_size: 2, page_token };
        let answer = client.moderators.list_moderators(request).await.unwrap().into_inner();
        names.extend(answer.moderators.into_iter().map(|moderator| moderator.display_name));
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(names, ["ada", "administrator", "Bob", "Cleo"]);
    let key = proto::CreateKeyRequest {
        parent: "sites/default".into(),
        display_name: String::new(),
        scopes: vec![proto::KeyScope::Operate.into()],
    };
    let secret = client.sites.create_key(key).await.unwrap().into_inner().secret;
    let mut operator = service.client_with(Some(&secret)).await;
    let request = proto::ListModeratorsRequest::default();
    let status = operator.moderators.list_moderators(request).await.unwrap_err();
    assert_eq!((status.code(), reason(&status)), (Code::PermissionDenied, "scope-missing".into()));
}

#[tokio::test]
async fn the_command_line_does_the_same() {
    let service = Service::start().await;
    let run = |arguments: &[&str]| {
        let output = service.command(arguments);
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), text + &String::from_utf8_lossy(&output.stderr))
    };
    let (code, text) = run(&["moderators", "add", "Grace", "--site", "default"]);
    assert_eq!(code, Some(0), "{text}");
    let link = text.lines().find_map(|line| line.trim().strip_prefix("uri: ")).expect("a link");
    assert_eq!(Visitor::new(&service.first.http).accept(link, PASSWORD).await.status, 303);
    let (code, text) = run(&["moderators", "disable", "grace", "--json"]);
    assert_eq!(code, Some(0), "{text}");
    let shown: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
    assert_eq!((&shown["display_name"], &shown["disabled"]), (&"Grace".into(), &true.into()));
    assert_eq!(run(&["moderators", "enable", "Grace"]).0, Some(0));
    let (code, text) = run(&["moderators", "reset", "Grace"]);
    assert!(code == Some(0) && text.contains("/console/invitation/"), "{text}");
    let (_, text) = run(&["moderators", "list"]);
    assert!(text.contains("display_name: Grace") && text.contains("display_name: administrator"));
    let (code, text) = run(&["moderators", "disable", "Nobody"]);
    assert!(code == Some(65) && text.contains("there is no moderator `Nobody`"), "{code:?} {text}");
}
