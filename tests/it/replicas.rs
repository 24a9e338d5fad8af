//! Two replicas of the service on one PostgreSQL database, as clients meet them.

use std::fs;
use std::time::{Duration, Instant};

use replyguard::grpc::client::Client;
use replyguard::grpc::proto;
use replyguard::moderation::ports::Store;
use tempfile::TempDir;
use tonic::Code;

use crate::support::models::{
    archive, checked, import, promote, set_policy, train, without_limits,
};
use crate::support::postgres::shared;
use crate::support::service::{Service, check, command, comment, wait_for};

/// What one replica changes counts at the others within a second; a busy machine adds to it.
const SOON: Duration = Duration::from_secs(10);

/// A second replica with the first one's key: it made no site and so has no file of its own.
async fn start_second(first: &Service, url: &str) -> Service {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("data")).unwrap();
    let mut known = first.first.clone();
    // Until this replica writes its own addresses.
    known.http = "127.0.0.1:1".into();
    let file = folder.path().join("data/first-site.json");
    fs::write(&file, serde_json::to_string(&known).unwrap()).unwrap();
    Service::start_in(folder, &["--database-url", url]).await
}

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
    let second = start_second(&first, &place.url()).await;
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
    let back = proto::RollBackModelRequest { parent: "sites/default".into(), note: String::new() };
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
    let second = start_second(&first, &place.url()).await;
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
    place.open().await.close().await;
    // The tests' server does without, and loses what was acknowledged with the power.
    assert!(doctor(&place.url()).contains("fsync is off"));
    let nobody = doctor("postgres://ann:hunter2@127.0.0.1:1/guard");
    assert!(nobody.contains("TROUBLE  PostgreSQL at 127.0.0.1, database guard"), "{nobody}");
    assert!(!nobody.contains("hunter2") && !nobody.contains("ann:"), "{nobody}");
}
