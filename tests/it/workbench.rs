//! What operators do with models besides their life: judge, compare, prove, cancel.

use replyguard::grpc::client::{Client, Code, Message};
use replyguard::grpc::longrunning::operation::Result as Ended;
use replyguard::grpc::{longrunning, proto};

use crate::support::models::{SITE, archive, checked, ended, example, import, promote, train};
use crate::support::service::{Service, wait_for};

/// The response of an operation, or what went wrong.
async fn response<R: Message + Default>(
    client: &mut Client,
    begun: longrunning::Operation,
) -> Result<R, String> {
    match ended(client, &begun.name).await.result.unwrap() {
        Ended::Response(any) => Ok(R::decode(any.value.as_slice()).unwrap()),
        Ended::Error(status) => Err(status.message),
    }
}

async fn evaluate(
    client: &mut Client,
    name: &str,
    against: &str,
) -> Result<proto::ModelEvaluation, String> {
    let request =
        proto::EvaluateModelRequest { name: name.into(), against_version: against.into() };
    let begun = client.models.evaluate_model(request).await.unwrap().into_inner();
    let response: proto::EvaluateModelResponse = response(client, begun).await?;
    Ok(response.evaluation.unwrap())
}

async fn prove(client: &mut Client, name: &str) -> Result<proto::ModelProof, String> {
    let request = proto::ProveModelRequest { name: name.into() };
    let begun = client.models.prove_model(request).await.unwrap().into_inner();
    let response: proto::ProveModelResponse = response(client, begun).await?;
    Ok(response.proof.unwrap())
}

fn version(name: &str) -> &str {
    name.rsplit('/').next().unwrap()
}

#[tokio::test]
async fn a_model_is_judged_on_labels_that_it_does_not_know() {
    let service = Service::start().await;
    let mut client = service.client().await;
    let base = checked(&mut client, "Thanks for the recipe").await.model_version;
    let base_name = format!("{SITE}/models/{base}");
    let error = evaluate(&mut client, &base_name, "").await.unwrap_err();
    assert!(error.contains("too-few-labels"), "{error}");
    import(&mut client, archive(90)).await;
    let first = train(&mut client).await.unwrap();

    let own = evaluate(&mut client, &first.name, "").await.unwrap();
    assert_eq!(own.model_version, version(&first.name));
    assert_ne!(
        own.judged_version, own.model_version,
        "it knows the last labels, its twin does not"
    );
    let pooled = own.pooled.unwrap();
    assert_eq!((pooled.ham_count, pooled.spam_count), (12, 6));
    let hold_out = first.hold_out.unwrap().candidate.unwrap();
    assert_eq!(pooled.auc.map(|auc| auc.value), hold_out.auc, "the gate judges by the same twin");
    assert!(pooled.ham_held_share.unwrap().high.is_some());
    assert!(own.html.contains("<svg") && own.html.contains(version(&first.name)));
    let of_base = evaluate(&mut client, &base_name, "").await.unwrap();
    assert_eq!(of_base.judged_version, base);

    let error = evaluate(&mut client, &first.name, &base).await.unwrap_err();
    assert!(error.contains("newer than both"), "{error}");
    import(&mut client, (200..260).map(|number| example(number, number % 2 == 0)).collect()).await;
    let compared = evaluate(&mut client, &first.name, &base).await.unwrap();
    assert_eq!(compared.judged_version, version(&first.name), "as it is");
    let comparison = compared.comparison.unwrap();
    assert_eq!(comparison.against_version, base);
    let spam = comparison.spam_held.unwrap();
    assert!(spam.this_only_count > spam.other_only_count && spam.p_value < 0.05, "{spam:?}");

    let request = proto::EvaluateModelRequest {
        name: format!("{SITE}/models/none-1"),
        against_version: String::new(),
    };
    let begun = client.models.evaluate_model(request).await.unwrap().into_inner();
    let error = response::<proto::EvaluateModelResponse>(&mut client, begun).await.unwrap_err();
    assert!(error.contains("no such model"), "{error}");
}

#[tokio::test]
async fn what_a_model_was_made_of_is_proven() {
    let service = Service::start().await;
    let mut client = service.client().await;
    import(&mut client, archive(60)).await;
    let mut poison: Vec<_> = (100..110).map(|number| example(number, false)).collect();
    for example in &mut poison {
        example.source = "poison".into();
        example.label = i32::from(proto::Label::Spam);
    }
    import(&mut client, poison).await;
    let poisoned = train(&mut client).await.unwrap();
    let proof = prove(&mut client, &poisoned.name).await.unwrap();
    assert!(proof.proven, "{proof:?}");
    assert_eq!((proof.label_count, proof.retracted_count, proof.stale_count), (70, 0, 0));
    let top = &proof.labels[..5];
    assert!(top.iter().all(|label| label.source == "poison"), "found by what they moved: {top:?}");
    assert!(top[0].unlabelled_score < 0.5 && top[0].unlabelled_score < top[0].score);
    let shares: f64 = proof.reporters.iter().map(|reporter| reporter.share).sum();
    assert!((shares - 1.0).abs() < 1e-9);

    let retract = proto::RetractExamplesRequest {
        parent: SITE.into(),
        selector: Some(proto::retract_examples_request::Selector::Source("poison".into())),
        note: String::new(),
    };
    client.models.retract_examples(retract).await.unwrap();
    let stale = prove(&mut client, &poisoned.name).await.unwrap();
    assert!(stale.proven && stale.stale_count == 10, "as of its position: {stale:?}");
    let clean = train(&mut client).await.unwrap();
    let proof = prove(&mut client, &clean.name).await.unwrap();
    assert!(proof.proven);
    assert_eq!((proof.label_count, proof.retracted_count, proof.stale_count), (60, 10, 0));
    assert_eq!(proof.purged_version, version(&clean.name));
    let output = service.command(&["models", "prove", version(&clean.name)]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("the same bytes"), "{text}");
    let base = checked(&mut client, "Thanks for the recipe").await.model_version;
    let error = prove(&mut client, &format!("{SITE}/models/{base}")).await.unwrap_err();
    assert!(error.contains("no such model of the site"), "{error}");
}

#[tokio::test]
async fn work_can_be_cancelled_and_leaves_nothing() {
    let service = Service::start().await;
    let mut client = service.client().await;
    // Enough that it is still being fitted when the cancellation comes.
    for chunk in 0..4 {
        let first = 1_000 * (chunk + 1);
        let examples = (first..first + 500).map(|number| {
            let mut example = example(number, number % 3 == 0);
            let comment = example.comment.as_mut().unwrap();
            comment.text =
                format!("{} {}", crate::support::models::spelled(number * 7_919), comment.text);
            example
        });
        import(&mut client, examples.collect()).await;
    }
    let request = proto::TrainModelRequest { parent: SITE.into(), ..Default::default() };
    let begun = client.models.train_model(request.clone()).await.unwrap().into_inner();
    let second = client.models.train_model(request).await.unwrap_err();
    assert_eq!(second.code(), Code::FailedPrecondition, "one at a time: {second:?}");
    let name = begun.name.clone();
    wait_for("examples are read", || {
        let (mut client, name) = (client.clone(), name.clone());
        async move {
            let request = longrunning::GetOperationRequest { name };
            let operation = client.operations.get_operation(request).await.unwrap().into_inner();
            let metadata = operation.metadata.unwrap();
            let metadata = proto::WorkMetadata::decode(metadata.value.as_slice()).unwrap();
            (metadata.example_count > 0 || operation.done).then_some(())
        }
    })
    .await;
    let cancel = longrunning::CancelOperationRequest { name: begun.name.clone() };
    client.operations.cancel_operation(cancel).await.unwrap();
    let operation = ended(&mut client, &begun.name).await;
    match operation.result.unwrap() {
        Ended::Error(status) => assert_eq!(status.code, Code::Cancelled as i32, "{status:?}"),
        Ended::Response(_) => panic!("it ended before it was cancelled"),
    }
    let request = proto::ListModelsRequest { parent: SITE.into(), ..Default::default() };
    let listed = client.models.list_models(request).await.unwrap().into_inner();
    assert!(listed.models.is_empty());
}

#[tokio::test]
async fn the_command_line_judges_and_compares() {
    let service = Service::start().await;
    let mut client = service.client().await;
    let base = checked(&mut client, "Thanks for the recipe").await.model_version;
    import(&mut client, archive(90)).await;
    let model = train(&mut client).await.unwrap();
    promote(&mut client, &model.name, "to compare").await.unwrap();
    import(&mut client, (200..240).map(|number| example(number, number % 2 == 0)).collect()).await;
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().to_str().unwrap();
    let run = |arguments: &[&str]| {
        let output = service.command(arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{error}");
        String::from_utf8(output.stdout).unwrap()
    };
    let text = run(&["models", "evaluate", "--report", report]);
    assert!(text.starts_with(version(&model.name)) && text.contains("all together"), "{text}");
    let page = std::fs::read_to_string(folder.path().join("report.html")).unwrap();
    assert!(page.contains("Threshold and cost"));
    let text = run(&["models", "compare", version(&model.name), &base]);
    assert!(text.contains(&format!("against {base}")) && text.contains("p = "), "{text}");
}
