//! Two replicas of the service on one PostgreSQL database, as clients meet them.

use std::time::{Duration, Instant};

use replyguard::grpc::client::{Client, Message};
use replyguard::grpc::longrunning::operation::Result as Ended;
use replyguard::grpc::{longrunning, proto};
use replyguard::moderation::ports::Store;
use replyguard::moderation::ports::replicas::Replicas;
use tempfile::TempDir;
use tonic::Code;

use crate::support::models::{
    SITE, archive, checked, ended, import, many_labels, promote, set_policy, train, without_limits,
};
use crate::support::postgres::shared;
use crate::support::service::{Service, check, command, comment, wait_for};

/// What one replica changes counts at the others within a second; a busy machine adds to it.
const SOON: Duration = Duration::from_secs(10);

fn campaign(town: &str) -> String {
    format!(
        "Our friendly team repairs washing machines in {town} within one day and at a fair price, \
         simply give us a call and ask for the discount of this week"
    )
}

async fn model_of(client: &mut Client) -> String {
    checked(client, "My loaf rose twice as high with the longer rest").await.model_version
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_replica_changes_counts_at_the_other() {
    let place = shared().database();
    let first = Service::start_with(&["--database-url", &place.url()]).await;
    let second = first.start_beside(&["--database-url", &place.url()]).await;
    let (mut here, mut there) = (first.client().await, second.client().await);
    let sites = there.sites.list_sites(proto::ListSitesRequest::default()).await.unwrap();
    assert_eq!(sites.into_inner().sites.len(), 1, "one first site");
    without_limits(&mut here).await;

    // A comment that one checked, the other knows.
    let sent = checked(&mut here, &campaign("Leipzig")).await;
    let request = proto::GetCommentRequest { name: sent.name.clone() };
    there.comments.get_comment(request).await.unwrap();
    // A label is followed by the next comment.
    let feedback = proto::SubmitFeedbackRequest {
        name: sent.name,
        label: proto::Label::Spam.into(),
        reporter: proto::Reporter::Moderator.into(),
        ..Default::default()
    };
    here.comments.submit_feedback(feedback).await.unwrap();
    let begin = Instant::now();
    let mut count = 0;
    loop {
        count += 1;
        let town = format!("Dresden{}", "x".repeat(count));
        let variant = checked(&mut there, &campaign(&town)).await;
        if variant.verdict() == proto::Verdict::Reject {
            break;
        }
        assert!(begin.elapsed() < SOON, "the label was not heard of: {variant:?}");
    }
    // A policy.
    let policy = proto::SitePolicy { hold_all: Some(true), ..Default::default() };
    set_policy(&mut here, policy, "policy.hold_all").await;
    let begin = Instant::now();
    while checked(&mut there, "The crust was fine").await.verdict() != proto::Verdict::Hold {
        assert!(begin.elapsed() < SOON, "the policy was not heard of");
    }
    set_policy(&mut here, proto::SitePolicy::default(), "policy.hold_all").await;
    // A model, and back again.
    import(&mut here, archive(90)).await;
    let base = model_of(&mut there).await;
    let model = train(&mut here).await.unwrap();
    promote(&mut here, &model.name, "for the test").await.unwrap();
    let begin = Instant::now();
    while !model.name.ends_with(&model_of(&mut there).await) {
        assert!(begin.elapsed() < SOON, "the model was not heard of");
    }
    let back = proto::RollBackModelRequest { parent: "sites/default".into(), ..Default::default() };
    there.models.roll_back_model(back).await.unwrap();
    let begin = Instant::now();
    while model_of(&mut here).await != base {
        assert!(begin.elapsed() < SOON, "the roll-back was not heard of");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_goes_on_when_the_other_is_killed_and_the_database_falls_out() {
    let server = crate::support::postgres::PostgresServer::start();
    let place = server.database();
    let first = Service::start_with(&["--database-url", &place.url()]).await;
    let second = first.start_beside(&["--database-url", &place.url()]).await;
    let (mut here, mut there) = (first.client().await, second.client().await);
    without_limits(&mut here).await;
    let sent = checked(&mut here, "My loaf rose twice as high").await;
    first.signal("KILL");
    let request = proto::GetCommentRequest { name: sent.name };
    there.comments.get_comment(request.clone()).await.unwrap();
    // What cannot be recorded is not answered.
    server.kill();
    let refused = there.comments.check_comment(check(comment("Is anybody there?"))).await;
    assert_eq!(refused.unwrap_err().code(), Code::Unavailable);
    wait_for("readiness to fall", || async {
        (second.page("/readyz").await.0 == 503).then_some(())
    })
    .await;
    server.launch();
    wait_for("readiness to come back", || async {
        (second.page("/readyz").await.0 == 200).then_some(())
    })
    .await;
    checked(&mut there, "The crust was fine").await;
    there.comments.get_comment(request).await.unwrap();
    let printed = second.printed();
    assert!(!printed.contains("postgres://"), "the address is a secret: {printed}");
}

#[tokio::test]
async fn a_signal_during_the_start_ends_it() {
    let place = shared().database();
    // Another replica is at its first steps, for which the next one waits.
    let other = place.open().await;
    assert!(other.hold("first-start").await.unwrap());
    let folder = TempDir::new().unwrap();
    let url = place.url() + "?application_name=starting";
    let ports = ["--grpc-address", "127.0.0.1:0", "--http-address", "127.0.0.1:0"];
    let mut child = command(&["serve", "--database-url", &url, "--data-dir"])
        .arg(folder.path())
        .args(ports)
        .spawn()
        .unwrap();
    let count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'starting'";
    wait_for("the replica to reach the database", || {
        let there = place.sql(count).trim() != "0";
        async move { there.then_some(()) }
    })
    .await;
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let status = wait_for("the replica to end", || {
        let ended = child.try_wait().unwrap();
        async move { ended }
    })
    .await;
    assert!(status.success(), "{status}");
    Store::close(&other).await;
}

#[tokio::test]
async fn doctor_looks_at_the_database() {
    let place = shared().database();
    let doctor = |url: &str| {
        let folder = TempDir::new().unwrap();
        let output = command(&["doctor", "--database-url", url, "--data-dir"])
            .arg(folder.path())
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(doctor(&place.url()).contains("empty, the first start makes its tables"));
    Store::close(&place.open().await).await;
    // The tests' server does without, and loses what was acknowledged with the power.
    assert!(doctor(&place.url()).contains("fsync is off"));
    let nobody = doctor("postgres://ann:hunter2@127.0.0.1:1/guard");
    assert!(nobody.contains("TROUBLE  store: PostgreSQL at 127.0.0.1, database guard"), "{nobody}");
    assert!(!nobody.contains("hunter2") && !nobody.contains("ann:"), "{nobody}");
}

/// What one operation is told as.
async fn operation(client: &mut Client, name: &str) -> longrunning::Operation {
    let request = longrunning::GetOperationRequest { name: name.into() };
    client.operations.get_operation(request).await.unwrap().into_inner()
}

async fn begin_training(client: &mut Client) -> String {
    let request = proto::TrainModelRequest { parent: SITE.into(), ..Default::default() };
    client.models.train_model(request).await.unwrap().into_inner().name
}

/// The code of the error that an operation ended with.
async fn end_code(client: &mut Client, name: &str) -> Code {
    match ended(client, name).await.result.unwrap() {
        Ended::Error(status) => Code::from_i32(status.code),
        Ended::Response(_) => panic!("it was done before it was stopped"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_work_is_watched_cancelled_and_given_up_from_another_replica() {
    let place = shared().database();
    let first = Service::start_with(&["--database-url", &place.url()]).await;
    let second = first.start_beside(&["--database-url", &place.url()]).await;
    let (mut here, mut there) = (first.client().await, second.client().await);
    many_labels(&mut here).await;

    let name = begin_training(&mut here).await;
    let request = proto::TrainModelRequest { parent: SITE.into(), ..Default::default() };
    let refused = there.models.train_model(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "one of a site at a time: {refused:?}");
    wait_for("progress to be seen", || {
        let (mut there, name) = (there.clone(), name.clone());
        async move {
            let operation = operation(&mut there, &name).await;
            assert!(!operation.done, "it was not cancelled: {operation:?}");
            let metadata = operation.metadata.unwrap();
            let metadata = proto::WorkMetadata::decode(metadata.value.as_slice()).unwrap();
            (metadata.example_count > 0 && metadata.stage != "waiting").then_some(())
        }
    })
    .await;
    let delete = longrunning::DeleteOperationRequest { name: name.clone() };
    let refused = there.operations.delete_operation(delete.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "it runs");
    let cancel = longrunning::CancelOperationRequest { name: name.clone() };
    let begin = Instant::now();
    there.operations.cancel_operation(cancel).await.unwrap();
    assert_eq!(end_code(&mut there, &name).await, Code::Cancelled);
    assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
    assert_eq!(end_code(&mut here, &name).await, Code::Cancelled, "the same everywhere");

    // Who worked on the next is killed. By its lease it would be given up after a while.
    let orphan = begin_training(&mut here).await;
    first.signal("KILL");
    place.sql("UPDATE leases SET expire_time = now() WHERE name LIKE 'operation %'");
    let operation = ended(&mut there, &orphan).await;
    let Some(Ended::Error(status)) = operation.result else { panic!("{operation:?}") };
    assert_eq!(Code::from_i32(status.code), Code::Aborted);
    assert!(status.message.contains("begin it again"), "{status:?}");
    let list = longrunning::ListOperationsRequest { name: SITE.into(), ..Default::default() };
    let listed = there.operations.list_operations(list).await.unwrap().into_inner().operations;
    let names: Vec<_> = listed.iter().map(|one| &one.name).collect();
    assert_eq!(names, [&orphan, &name]);
    there.operations.delete_operation(delete.clone()).await.unwrap();
    let gone = there.operations.delete_operation(delete).await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
    let again = begin_training(&mut there).await;
    let cancel = longrunning::CancelOperationRequest { name: again.clone() };
    there.operations.cancel_operation(cancel).await.unwrap();
    assert_eq!(end_code(&mut there, &again).await, Code::Cancelled);
}

/// Work that broke off in a replica that lives on was never given up, since its lease was renewed,
/// and no other work of the site could begin.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_that_a_living_replica_lost_is_no_hindrance() {
    let place = shared().database();
    let service = Service::start_with(&["--database-url", &place.url()]).await;
    let mut client = service.client().await;
    many_labels(&mut client).await;
    let name = begin_training(&mut client).await;
    let cancel = longrunning::CancelOperationRequest { name: name.clone() };
    let sql = "SELECT holder FROM leases WHERE name LIKE 'operation %'";
    let replica = place.sql(sql).trim().to_owned();
    client.operations.cancel_operation(cancel).await.unwrap();
    assert_eq!(end_code(&mut client, &name).await, Code::Cancelled);
    let lost = uuid::Uuid::from_u128(7);
    place.sql(&format!(
        "INSERT INTO operations (site, id, kind, state, stage, create_time) \
             SELECT site, '{lost}'::uuid, kind, 'running', stage, create_time FROM operations; \
         INSERT INTO leases (name, holder, expire_time) \
             VALUES ('operation {lost}', '{replica}', now() + interval '1 hour')"
    ));
    let lost = format!("{SITE}/operations/{lost}");
    assert!(!operation(&mut client, &lost).await.done);
    let next = begin_training(&mut client).await;
    assert_eq!(end_code(&mut client, &lost).await, Code::Aborted);
    let again = proto::TrainModelRequest { parent: SITE.into(), ..Default::default() };
    let refused = client.models.train_model(again).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "what is worked on stays: {refused:?}");
    let cancel = longrunning::CancelOperationRequest { name: next.clone() };
    client.operations.cancel_operation(cancel).await.unwrap();
    assert_eq!(end_code(&mut client, &next).await, Code::Cancelled);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_evaluation_is_told_elsewhere_and_its_record_quotes_nobody() {
    let place = shared().database();
    let first = Service::start_with(&["--database-url", &place.url()]).await;
    let second = first.start_beside(&["--database-url", &place.url()]).await;
    let (mut here, mut there) = (first.client().await, second.client().await);
    import(&mut here, archive(90)).await;
    let base = checked(&mut here, "Thanks for the recipe").await.model_version;
    let request = proto::EvaluateModelRequest {
        name: format!("{SITE}/models/{base}"),
        against_version: String::new(),
    };
    let name = here.models.evaluate_model(request).await.unwrap().into_inner().name;
    let evaluation = evaluation(&mut there, &name).await;
    let error = &evaluation.worst_errors[0];
    let own_words = ["depot", "sourdough", "crust", "dough", "loaf"];
    assert!(own_words.iter().any(|word| error.text.contains(word)), "{error:?}");
    assert!(evaluation.html.contains(&error.text), "the page quotes it too");
    let stored = place.sql("SELECT encode(answer, 'escape') FROM operations");
    assert!(stored.contains("<svg"), "the page is there");
    let quoted = own_words.iter().find(|word| stored.contains(**word));
    assert_eq!(quoted, None, "the record quotes a comment");
}

async fn evaluation(client: &mut Client, name: &str) -> proto::ModelEvaluation {
    let Some(Ended::Response(any)) = ended(client, name).await.result else { panic!("{name}") };
    let response = proto::EvaluateModelResponse::decode(any.value.as_slice()).unwrap();
    response.evaluation.unwrap()
}
