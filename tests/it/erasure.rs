//! Erasure, export, retention and a site's key in a running service: over gRPC, from the command
//! line and in the console.

use std::io::Write;
use std::process::{Output, Stdio};

use replyguard::domain::{CheckedComment, State};
use replyguard::grpc::client::{Client, Code, FieldMask, Message};
use replyguard::grpc::longrunning::operation::Result as Ended;
use replyguard::grpc::proto::erase_author_request::Author;
use replyguard::grpc::{longrunning, proto};
use time::{Duration, OffsetDateTime};
use tokio_stream::StreamExt;
use uuid::Uuid;

use crate::console::{administrator, moderator};
use crate::support::backend::{Backend, on_each_backend};
use crate::support::models::{
    SITE, archive, ended, example, import, many_labels, train, without_limits,
};
use crate::support::records;
use crate::support::service::{PATIENCE, Service, check, comment, wait_for};

on_each_backend!(
    the_next_training_never_saw_who_was_erased,
    only_those_who_operate_a_site_erase_and_export,
    a_person_and_a_site_are_exported,
    without_its_key_nobody_knows_who_wrote,
    administrators_erase_and_export_in_the_console,
    what_is_too_old_goes_by_itself,
    work_under_way_keeps_nothing_of_who_is_erased,
);

/// Somebody who asks to be forgotten, and what must not be found of them afterwards.
const ADDRESS: &str = "Mallory.Marked+blog@example.net";
const MARK: &str = "mallory.marked";
const WORD: &str = "quetzalcoatlus";

/// A comment by that person.
fn theirs(n: usize) -> proto::Comment {
    proto::Comment {
        email: ADDRESS.into(),
        author: format!("Mallory {WORD}"),
        ..comment(&format!("My {WORD} number {n} says that this glue holds for years"))
    }
}

async fn send(client: &mut Client, comment: proto::Comment) -> proto::CheckedComment {
    let answer = client.comments.check_comment(check(comment)).await.unwrap();
    answer.into_inner().comment.unwrap()
}

fn erase(author: Author, validate_only: bool) -> proto::EraseAuthorRequest {
    let note = "she wrote from mallory.marked@example.net".into();
    proto::EraseAuthorRequest { parent: SITE.into(), author: Some(author), note, validate_only }
}

fn by_address() -> Author {
    Author::AuthorEmail(ADDRESS.into())
}

fn counts(answer: &proto::EraseAuthorResponse) -> (i64, i64, i64) {
    (answer.comment_count, answer.example_count, answer.label_count)
}

/// Runs a subcommand with a line on standard input.
fn with_input(service: &Service, arguments: &[&str], line: &str) -> Output {
    let mut child = service
        .child(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(format!("{line}\n").as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

async fn prove(client: &mut Client, name: &str) -> proto::ModelProof {
    let request = proto::ProveModelRequest { name: name.into() };
    let begun = client.models.prove_model(request).await.unwrap().into_inner();
    match ended(client, &begun.name).await.result.unwrap() {
        Ended::Response(any) => {
            proto::ProveModelResponse::decode(any.value.as_slice()).unwrap().proof.unwrap()
        }
        Ended::Error(status) => panic!("{status:?}"),
    }
}

async fn the_next_training_never_saw_who_was_erased(backend: Backend) {
    let service = backend.start(&["--log", "trace"]).await;
    let mut client = service.client().await;
    without_limits(&mut client).await;
    import(&mut client, archive(60)).await;
    let clean = train(&mut client).await.unwrap();

    let mut examples: Vec<_> = (100..120).map(|number| example(number, number % 2 == 0)).collect();
    for example in &mut examples {
        example.comment.as_mut().unwrap().email = ADDRESS.to_lowercase();
    }
    import(&mut client, examples).await;
    let mut names = Vec::new();
    for n in 0..3 {
        let checked = send(&mut client, theirs(n)).await;
        let feedback = proto::SubmitFeedbackRequest {
            name: checked.name.clone(),
            label: proto::Label::Spam.into(),
            note: "seen before".into(),
            ..Default::default()
        };
        client.comments.submit_feedback(feedback).await.unwrap();
        names.push(checked.name);
    }
    let knowing = train(&mut client).await.unwrap();
    assert_ne!(knowing.name, clean.name);
    assert!(prove(&mut client, &knowing.name).await.proven);

    let preview = client.comments.erase_author(erase(by_address(), true)).await.unwrap();
    assert_eq!(counts(preview.get_ref()), (3, 20, 23));
    let refused = with_input(&service, &["authors", "erase", "--email-stdin"], ADDRESS);
    assert_eq!(refused.status.code(), Some(64), "{}", text(&refused));
    assert!(text(&refused).contains("3 comments, 20 examples and 23 labels would be erased"));
    assert!(text(&refused).contains("--yes"), "{}", text(&refused));
    let read = proto::GetCommentRequest { name: names[0].clone() };
    client.comments.get_comment(read.clone()).await.expect("nothing was erased yet");

    let arguments = ["authors", "erase", "--email-stdin", "--yes", "--json"];
    let erased = with_input(&service, &arguments, "mallory.marked@example.net");
    let json: serde_json::Value = serde_json::from_slice(&erased.stdout).expect("JSON");
    assert_eq!(json["comment_count"], "3", "{json}");
    assert_eq!(json["example_count"], "20", "{json}");

    let gone = client.comments.get_comment(read).await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
    let again = client.comments.erase_author(erase(by_address(), false)).await.unwrap();
    assert_eq!(counts(again.get_ref()), (0, 0, 0));
    let after = train(&mut client).await.unwrap();
    assert_eq!(after.name, clean.name, "the version is the content's hash");
    let proof = prove(&mut client, &after.name).await;
    assert!(proof.proven, "{proof:?}");
    let stale = prove(&mut client, &knowing.name).await;
    assert!(!stale.proven && stale.stale_count == 23, "what it was made of is gone: {stale:?}");

    let audit = proto::ListAuditEntriesRequest { parent: SITE.into(), ..Default::default() };
    let audit = client.reviews.list_audit_entries(audit).await.unwrap().into_inner();
    let entry = audit.audit_entries.iter().find(|entry| entry.action == "erase-author").unwrap();
    assert_eq!(entry.subject, SITE);
    assert!(!format!("{audit:?}").contains(MARK), "{audit:?}");
    assert!(!service.printed().contains(MARK), "an address is in the log");
    // Texts and words are overwritten a moment later, too.
    wait_for("the disk to be overwritten", async || {
        let stored = service.stored_bytes();
        let found = stored.iter().any(|(_, bytes)| {
            let lower = bytes.to_ascii_lowercase();
            lower.windows(WORD.len()).any(|part| part == WORD.as_bytes())
        });
        (!found).then_some(())
    })
    .await;
}

async fn only_those_who_operate_a_site_erase_and_export(backend: Backend) {
    let service = backend.start(&[]).await;
    let mut client = service.client().await;
    let name = send(&mut client, theirs(1)).await.name;
    let scopes = |scope: proto::KeyScope| proto::CreateKeyRequest {
        parent: SITE.into(),
        display_name: String::new(),
        scopes: vec![scope.into()],
    };
    let key = client.sites.create_key(scopes(proto::KeyScope::Check)).await.unwrap().into_inner();
    let mut checker = service.client_with(Some(&key.secret)).await;
    let refused = checker.comments.erase_author(erase(by_address(), true)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let export = proto::ExportAuthorRequest { parent: SITE.into(), author: None };
    let refused = checker.comments.export_author(export.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let site = proto::ExportSiteRequest { name: SITE.into() };
    assert_eq!(checker.sites.export_site(site).await.unwrap_err().code(), Code::PermissionDenied);
    let key = client.sites.create_key(scopes(proto::KeyScope::Operate)).await.unwrap().into_inner();
    let mut operator = service.client_with(Some(&key.secret)).await;
    let unnamed = operator.comments.export_author(export).await.unwrap_err();
    assert_eq!(unnamed.code(), Code::InvalidArgument);
    for bad in [Author::AuthorEmail("no address".into()), Author::Comment("comments/1".into())] {
        let refused = operator.comments.erase_author(erase(bad, false)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
    let nothing = format!("{SITE}/comments/{}", Uuid::from_u128(7));
    let nothing = operator.comments.erase_author(erase(Author::Comment(nothing), false)).await;
    assert_eq!(nothing.unwrap_err().code(), Code::NotFound);
    let erased = operator.comments.erase_author(erase(Author::Comment(name), false)).await.unwrap();
    assert_eq!(counts(erased.get_ref()), (1, 0, 0));
}

async fn a_person_and_a_site_are_exported(backend: Backend) {
    let service = backend.start(&[]).await;
    let mut client = service.client().await;
    without_limits(&mut client).await;
    let name = send(&mut client, theirs(1)).await.name;
    send(&mut client, comment("Somebody else asks which glue you used")).await;
    let decision = proto::DecideCommentRequest {
        name: name.clone(),
        action: proto::DecisionAction::RejectSpam.into(),
        note: "an advertisement".into(),
        ..Default::default()
    };
    client.reviews.decide_comment(decision).await.unwrap();
    let mut old = example(1, true);
    old.comment.as_mut().unwrap().email = ADDRESS.into();
    import(&mut client, vec![old, example(2, false)]).await;

    let author = Some(proto::export_author_request::Author::AuthorEmail(ADDRESS.into()));
    let request = proto::ExportAuthorRequest { parent: SITE.into(), author };
    let stream = client.comments.export_author(request).await.unwrap().into_inner();
    let records: Vec<_> = stream.map(Result::unwrap).collect().await;
    assert_eq!(records.len(), 2, "{records:?}");
    assert_eq!(records[0].decisions[0].note, "an advertisement");
    let written = format!("{records:?}");
    assert!(written.contains(WORD) && written.contains("archive"), "{written}");
    assert!(!written.to_lowercase().contains(MARK), "{written}");

    let by_name = service.command(&["authors", "export", "--comment", &name]);
    let lines: Vec<serde_json::Value> =
        text(&by_name).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(lines[0]["comment"]["comment"]["name"], name.as_str());

    let site = service.command(&["export"]);
    let lines: Vec<serde_json::Value> =
        text(&site).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines[0]["site"]["name"], SITE);
    let count = |kind: &str| lines.iter().filter(|line| !line[kind].is_null()).count();
    assert_eq!((count("site"), count("comment"), count("example")), (1, 2, 2), "{lines:?}");
    let audit = service.command(&["audit"]);
    assert!(text(&audit).contains("export-author"), "{}", text(&audit));
    assert!(text(&audit).contains("export-site"), "{}", text(&audit));
}

async fn without_its_key_nobody_knows_who_wrote(backend: Backend) {
    let service = backend.start(&[]).await;
    let mut client = service.client().await;
    without_limits(&mut client).await;
    let name = send(&mut client, theirs(1)).await.name;
    let asked = service.command(&["sites", "rotate-fingerprint-key", "default"]);
    assert_eq!(asked.status.code(), Some(64), "{}", text(&asked));
    let preview = client.comments.erase_author(erase(by_address(), true)).await.unwrap();
    assert_eq!(preview.get_ref().comment_count, 1);
    let done = service.command(&["sites", "rotate-fingerprint-key", "default", "--yes"]);
    assert!(done.status.success(), "{}", text(&done));
    let unknown = client.comments.erase_author(erase(by_address(), true)).await.unwrap();
    assert_eq!(unknown.get_ref().comment_count, 0, "the address leads nowhere");
    let second = send(&mut client, theirs(2)).await;
    let known = client.comments.erase_author(erase(by_address(), true)).await.unwrap();
    assert_eq!(known.get_ref().comment_count, 1, "what comes later has the new key");
    let erased = client.comments.erase_author(erase(Author::Comment(name), false)).await.unwrap();
    assert_eq!(counts(erased.get_ref()), (1, 0, 0), "by its name it is found all the same");
    let read = proto::GetCommentRequest { name: second.name };
    client.comments.get_comment(read).await.expect("another author, as far as anybody knows");
}

async fn administrators_erase_and_export_in_the_console(backend: Backend) {
    const PAGE: &str = "/console/sites/default/privacy";
    let service = backend.start(&["--log", "trace"]).await;
    let mut client = service.client().await;
    without_limits(&mut client).await;
    let name = send(&mut client, theirs(1)).await.name;
    let mut admin = administrator(&service).await;
    let mut bob = moderator(&service, &mut admin, "Bob", &["default"]).await;
    assert_eq!(bob.get(PAGE).await.status, 403);
    let queue = bob.get("/console/sites/default").await;
    assert!(!queue.body.contains(PAGE), "moderators have no link to it");
    let token = queue.form_token();
    let sent = bob.post(&format!("{PAGE}/erase"), &[("form_token", &token)]).await;
    assert_eq!(sent.status, 403);

    let wrong = admin.submit(PAGE, PAGE, &[("email", "nobody")]).await;
    assert_eq!(wrong.status, 400);
    assert!(wrong.body.contains("This is not an e-mail address."), "{}", wrong.body);
    let none = admin.submit(PAGE, PAGE, &[("email", "jane@example.org")]).await;
    assert!(none.body.contains("Nothing on this site."), "{}", none.body);
    let found = admin.submit(PAGE, PAGE, &[("email", ADDRESS)]).await;
    assert_eq!(found.status, 200);
    assert!(found.body.contains("<span class=\"value\">1</span>"), "{}", found.body);
    assert!(!found.body.to_lowercase().contains(MARK), "no page has an address");
    let (_, author) = found.body.split_once("name=\"author\" value=\"").unwrap();
    let author = &author[..32];

    let fields = [("author", author)];
    let export = admin.submit(PAGE, &format!("{PAGE}/export"), &fields).await;
    assert_eq!(
        export.header("content-disposition"),
        "attachment; filename=\"default-author.jsonl\""
    );
    let line: serde_json::Value = serde_json::from_str(export.body.trim()).expect("one JSON line");
    assert_eq!((&line["record"], &line["name"]), (&"comment".into(), &name.as_str().into()));
    assert!(!export.body.to_lowercase().contains(MARK), "{}", export.body);
    let site = admin.submit(PAGE, &format!("{PAGE}/export-site"), &[]).await;
    assert!(site.body.starts_with("{\"record\":\"site\""), "{}", site.body);
    assert_eq!(site.body.lines().count(), 2);

    let unconfirmed = admin.submit(PAGE, &format!("{PAGE}/erase"), &fields).await;
    assert_eq!(unconfirmed.status, 400);
    let fields = [("author", author), ("confirmed", "yes")];
    let erased = admin.submit(PAGE, &format!("{PAGE}/erase"), &fields).await;
    assert_eq!((erased.status, erased.header("location")), (303, PAGE));
    let told = admin.get(PAGE).await;
    assert!(told.body.contains("Erased: 1 comments"), "{}", told.body);
    let read = proto::GetCommentRequest { name };
    assert_eq!(client.comments.get_comment(read).await.unwrap_err().code(), Code::NotFound);
    let rotate = format!("{PAGE}/rotate");
    assert_eq!(admin.submit(PAGE, &rotate, &[]).await.status, 400);
    assert_eq!(admin.submit(PAGE, &rotate, &[("confirmed", "yes")]).await.status, 303);
    let log = admin.get("/console/sites/default/audit").await.body;
    for action in ["export-author", "export-site", "erase-author", "rotate-fingerprint-key"] {
        assert!(log.contains(action), "{action}: {log}");
    }
    assert!(!service.printed().to_lowercase().contains(MARK), "an address is in the log");
}

/// A comment of the first site that was checked so long ago, as it is stored.
fn old(days: i64) -> CheckedComment {
    #[allow(clippy::disallowed_methods, reason = "the service has a real clock")]
    let now: OffsetDateTime = std::time::SystemTime::now().into();
    let time = now - Duration::days(days);
    let time = time.replace_millisecond(time.millisecond()).unwrap();
    let millis = u64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap();
    let id = uuid::Builder::from_unix_timestamp_millis(millis, &[days as u8; 10]).into_uuid();
    let id = replyguard::domain::CommentId::from_uuid(id);
    let mut comment = records::comment("default", days as u64, Some(7), State::Approved);
    (comment.id, comment.campaign, comment.check_time) = (id, id, time);
    comment
}

async fn what_is_too_old_goes_by_itself(backend: Backend) {
    let mut service = backend.start(&[]).await;
    let mut client = service.client().await;
    let policy = proto::SitePolicy { comment_retention_days: Some(30), ..Default::default() };
    let update_mask = Some(FieldMask { paths: vec!["policy.comment_retention_days".into()] });
    let site = proto::Site { name: SITE.into(), policy: Some(policy), ..Default::default() };
    let request = proto::UpdateSiteRequest { site: Some(site), update_mask };
    let updated = client.sites.update_site(request).await.unwrap().into_inner().site.unwrap();
    assert_eq!(updated.policy.unwrap().comment_retention_days, Some(30));
    service.stop().await;
    let store = service.store().await;
    let comments = [old(31), old(29)];
    for comment in &comments {
        store.record_check(comment, None).await.unwrap();
    }
    store.close().await;
    service.kill_and_restart().await;
    let mut client = service.client().await;
    let [gone, kept] = comments.map(|comment| comment.id.name(&comment.site));
    let begin = std::time::Instant::now();
    loop {
        let read = proto::GetCommentRequest { name: gone.clone() };
        if client.comments.get_comment(read).await.is_err() {
            break;
        }
        assert!(begin.elapsed() < PATIENCE, "gave up waiting for retention");
        tokio::task::yield_now().await;
    }
    let read = proto::GetCommentRequest { name: kept };
    client.comments.get_comment(read).await.expect("it is not old enough");
    wait_for("the metric", async || {
        let (_, metrics) = service.page("/metrics").await;
        metrics.contains("replyguard_retention_removed_total{kind=\"comments\"} 1").then_some(())
    })
    .await;
}

/// An evaluation or training that had read the ledger stored labels, or a model, of what was
/// erased before it ended.
async fn work_under_way_keeps_nothing_of_who_is_erased(backend: Backend) {
    let service = backend.start(&[]).await;
    let mut client = service.client().await;
    many_labels(&mut client).await;
    let known = train(&mut client).await.unwrap();
    for evaluates in [false, true] {
        let begun = if evaluates {
            // It knows all labels, so that a twin is trained to be judged: that takes a while.
            let name = known.name.clone();
            let request = proto::EvaluateModelRequest { name, against_version: String::new() };
            client.models.evaluate_model(request).await.unwrap().into_inner()
        } else {
            let request = proto::TrainModelRequest { parent: SITE.into(), ..Default::default() };
            client.models.train_model(request).await.unwrap().into_inner()
        };
        let name = begun.name.clone();
        wait_for("the ledger to be read", || {
            let (mut client, name) = (client.clone(), name.clone());
            async move {
                let request = longrunning::GetOperationRequest { name };
                let told = client.operations.get_operation(request).await.unwrap().into_inner();
                let metadata = told.metadata.unwrap();
                let metadata = proto::WorkMetadata::decode(metadata.value.as_slice()).unwrap();
                assert!(!told.done, "it ended before anything was erased");
                (metadata.example_count > 0).then_some(())
            }
        })
        .await;
        // The importer's examples have such addresses.
        let author = if evaluates { "baker1001@example.org" } else { "baker1000@example.org" };
        let request = erase(Author::AuthorEmail(author.into()), false);
        let erased = client.comments.erase_author(request).await.unwrap();
        assert_eq!(counts(erased.get_ref()), (0, 1, 1));
        match ended(&mut client, &begun.name).await.result.unwrap() {
            Ended::Error(status) => {
                assert_eq!(status.code, Code::Aborted as i32, "{status:?}");
                assert!(status.message.contains("erased-meanwhile"), "{status:?}");
            }
            Ended::Response(_) => panic!("it told of labels that are gone"),
        }
    }
    let request = proto::ListModelsRequest { parent: SITE.into(), ..Default::default() };
    let listed = client.models.list_models(request).await.unwrap().into_inner();
    let names: Vec<_> = listed.models.iter().map(|model| &model.name).collect();
    assert_eq!(names, [&known.name], "a model that learnt what was erased is kept");
}

#[tokio::test]
async fn labels_are_taken_back_by_an_address_that_no_command_line_shows() {
    let service = Service::start().await;
    let mut client = service.client().await;
    let mut examples = vec![example(1, true), example(2, true), example(3, false)];
    for example in &mut examples[..2] {
        example.comment.as_mut().unwrap().email = ADDRESS.into();
    }
    import(&mut client, examples).await;
    let retract = ["examples", "retract", "--email-stdin"];
    let empty = with_input(&service, &retract, "");
    assert!(text(&empty).contains("an e-mail address is expected"), "{}", text(&empty));
    let wrong = with_input(&service, &retract, "no address");
    assert!(!wrong.status.success() && text(&wrong).contains("invalid-email"), "{}", text(&wrong));
    let done = with_input(&service, &retract, "mallory.marked@example.net");
    assert!(done.status.success(), "{}", text(&done));
    assert!(text(&done).contains("2 labels taken back"), "{}", text(&done));
    let named = service.command(&["examples", "retract", "--author-email", ADDRESS]);
    assert_eq!(named.status.code(), Some(64), "no option takes it: {}", text(&named));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn no_core_is_dumped() {
    use std::os::unix::process::ExitStatusExt;

    // Whoever starts the service may have allowed dumps of any size.
    let allowed = rustix::process::Rlimit { current: None, maximum: None };
    let before = rustix::process::getrlimit(rustix::process::Resource::Core);
    let _ = rustix::process::setrlimit(rustix::process::Resource::Core, allowed);
    let mut service = Service::start().await;
    let _ = rustix::process::setrlimit(rustix::process::Resource::Core, before);
    let mut client = service.client().await;
    send(&mut client, theirs(1)).await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", service.id())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    let words: Vec<_> = line.split_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"], "{line}");
    service.signal("ABRT");
    let status = service.ended().await;
    assert_eq!(status.signal(), Some(6), "{status}");
    assert!(!status.core_dumped(), "{status}");
}
