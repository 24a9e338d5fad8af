//! The whole life of a site's models while comments come in: not one call may fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use replyguard::grpc::client::{Client, Message};
use replyguard::grpc::longrunning::operation::Result as Ended;
use replyguard::grpc::{longrunning, proto};
use tokio::task::JoinHandle;

use crate::support::models::{
    SITE, archive, checked, ended, example, import, promote, spelled, train, without_limits,
};
use crate::support::service::{Service, check, comment};

/// Comments that come in until it is stopped.
struct Load {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(client: &Client, callers: usize) -> Self {
        let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let caller = |number: usize| {
            let (stop, count, mut client) = (stop.clone(), count.clone(), client.clone());
            tokio::spawn(async move {
                let mut sent = 0;
                while !stop.load(Ordering::Relaxed) {
                    let text = match sent % 2 {
                        0 => format!("Remark {} by {number}: the crust was fine", spelled(sent)),
                        _ => format!("Lots {} by {number}: pallets at our depot", spelled(sent)),
                    };
                    let answer = client.comments.check_comment(check(comment(&text))).await;
                    let answer = answer.expect("a call failed").into_inner().comment.unwrap();
                    assert!(answer.degraded_parts.is_empty() && !answer.model_version.is_empty());
                    sent += 1;
                    count.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        let tasks = (0..callers).map(caller).collect();
        Self { stop, count, tasks }
    }

    /// Comments that were checked meanwhile; panics if a call failed.
    async fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("no call failed");
        }
        self.count.load(Ordering::Relaxed)
    }
}

async fn worked<R: Message + Default>(client: &mut Client, begun: longrunning::Operation) -> R {
    match ended(client, &begun.name).await.result.unwrap() {
        Ended::Response(any) => R::decode(any.value.as_slice()).unwrap(),
        Ended::Error(status) => panic!("{status:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn models_live_while_comments_come_in() {
    let service = Service::start().await;
    let mut client = service.client().await;
    without_limits(&mut client).await;
    let load = Load::start(&client, 2);

    import(&mut client, archive(90)).await;
    let first = train(&mut client).await.unwrap();
    let request =
        proto::EvaluateModelRequest { name: first.name.clone(), against_version: String::new() };
    let begun = client.models.evaluate_model(request).await.unwrap().into_inner();
    let judged: proto::EvaluateModelResponse = worked(&mut client, begun).await;
    assert!(judged.evaluation.unwrap().html.contains("<svg"));
    let shadow = proto::ShadowModelRequest { name: first.name.clone(), stop: false };
    client.models.shadow_model(shadow).await.unwrap();
    let wanted =
        checked(&mut client, "Resellers wanted: our depot has pallets of starter lots").await;
    let report = proto::ReportShadowRequest { parent: SITE.into() };
    let report = client.models.report_shadow(report).await.unwrap().into_inner();
    assert!(report.compared_count > 0 && first.name.ends_with(&report.shadow_version));
    promote(&mut client, &first.name, "").await.unwrap();

    let feedback = proto::SubmitFeedbackRequest {
        name: wanted.name,
        label: i32::from(proto::Label::Spam),
        reporter: i32::from(proto::Reporter::Moderator),
        reporter_name: "jo".into(),
        note: String::new(),
    };
    client.comments.submit_feedback(feedback).await.unwrap();
    let mut person: Vec<_> = (300..310).map(|number| example(number, number % 2 == 0)).collect();
    for example in &mut person {
        example.comment.as_mut().unwrap().email = "mallory@example.net".into();
    }
    import(&mut client, person).await;
    let second = train(&mut client).await.unwrap();
    promote(&mut client, &second.name, "with the corrections").await.unwrap();
    let back = proto::RollBackModelRequest { parent: SITE.into(), ..Default::default() };
    let back = client.models.roll_back_model(back).await.unwrap().into_inner();
    assert!(first.name.ends_with(&back.active_version));

    let retract = proto::RetractExamplesRequest {
        parent: SITE.into(),
        selector: Some(proto::retract_examples_request::Selector::AuthorEmail(
            "mallory@example.net".into(),
        )),
        note: "asked for".into(),
    };
    let taken = client.models.retract_examples(retract).await.unwrap().into_inner();
    assert_eq!(taken.retracted_count, 10);
    let third = train(&mut client).await.unwrap();
    let request = proto::ProveModelRequest { name: third.name.clone() };
    let begun = client.models.prove_model(request).await.unwrap().into_inner();
    let proven: proto::ProveModelResponse = worked(&mut client, begun).await;
    let proof = proven.proof.unwrap();
    assert!(proof.proven && proof.retracted_count == 10 && proof.stale_count == 0, "{proof:?}");
    let count = load.end().await;
    assert!(count > 100, "{count} comments are no load");
}
