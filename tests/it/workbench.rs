//! What operators do with models besides their life: judge, compare, prove, cancel.

use std::process::Stdio;

use replyguard::grpc::client::{Client, Code, Message};
use replyguard::grpc::longrunning::operation::Result as Ended;
use replyguard::grpc::{longrunning, proto};
use tokio_stream::StreamExt;

use crate::support::models::{
    SITE, archive, checked, ended, example, import, many_labels, promote, set_policy, spelled,
    train, without_limits,
};
use crate::support::service::{Service, comment, wait_for};

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
    let judged = &own.judged_labels;
    assert_eq!((judged.len(), judged[0].position), (18, own.first_position));
    let of_spam = judged.iter().filter(|one| one.label() == proto::Label::Spam);
    let (held, spam) = of_spam
        .fold((0.0, 0.0), |(held, all), one| (held + f64::from(u8::from(one.held)), all + 1.0));
    assert_eq!(pooled.spam_held_share.unwrap().value, held / spam, "one by one and together");
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

/// The gate and evaluations looked at the budget's threshold though the owner had set another.
#[tokio::test]
async fn models_are_judged_at_the_threshold_that_the_owner_set() {
    let service = Service::start().await;
    let mut client = service.client().await;
    import(&mut client, archive(90)).await;
    // All comments are above it.
    let policy = proto::SitePolicy { hold_threshold: Some(1e-9), ..Default::default() };
    set_policy(&mut client, policy, "policy.hold_threshold").await;
    let model = train(&mut client).await.unwrap();
    let hold_out = model.hold_out.unwrap();
    for figures in [hold_out.candidate.unwrap(), hold_out.base.unwrap()] {
        assert_eq!((figures.ham_held_count, figures.spam_held_count), (12, 6), "{figures:?}");
    }
    let judged = evaluate(&mut client, &model.name, "").await.unwrap();
    assert!(judged.judged_labels.iter().all(|label| label.held), "{:?}", judged.judged_labels);
    assert_eq!(judged.pooled.unwrap().ham_held_share.unwrap().value, 1.0);
}

/// A text that was labelled before a training counted as unseen once it was labelled again.
#[tokio::test]
async fn a_text_that_is_labelled_again_is_no_news() {
    let service = Service::start().await;
    let mut client = service.client().await;
    let base = checked(&mut client, "Thanks for the recipe").await.model_version;
    import(&mut client, archive(90)).await;
    let first = train(&mut client).await.unwrap();
    promote(&mut client, &first.name, "to be judged").await.unwrap();
    import(&mut client, (200..260).map(|number| example(number, number % 2 == 0)).collect()).await;
    let compared = evaluate(&mut client, &first.name, &base).await.unwrap();
    let labels = |mut client: Client| async move {
        let request = proto::PreviewBudgetRequest { parent: SITE.into(), ..Default::default() };
        let labels = client.models.preview_budget(request).await.unwrap().into_inner().labels;
        labels.map(|labels| labels.ham_count + labels.spam_count)
    };
    let judged_count = compared.judged_labels.len();
    assert_eq!(labels(client.clone()).await, Some(judged_count as i64));

    let again = archive(90).split_off(80).into_iter();
    let again = again.map(|known| proto::Example { source: "again".into(), ..known }).collect();
    assert_eq!(import(&mut client, again).await, (10, 0));
    let compared = evaluate(&mut client, &first.name, &base).await.unwrap();
    assert!(compared.judged_labels.iter().all(|label| (91..151).contains(&label.position)));
    assert_eq!(labels(client.clone()).await, Some(compared.judged_labels.len() as i64));
    let second = train(&mut client).await.unwrap();
    let own = evaluate(&mut client, &second.name, "").await.unwrap();
    let hold_out = second.hold_out.unwrap();
    assert!(hold_out.active.is_some(), "it knows a few of them: {hold_out:?}");
    let held_out = (hold_out.ham_count + hold_out.spam_count) as usize;
    assert_eq!(held_out, own.judged_labels.len() - 10, "without those that it knows");
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
    many_labels(&mut client).await;
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
async fn an_import_names_the_line_that_the_service_would_refuse_and_stores_nothing() {
    let service = Service::start().await;
    let folder = tempfile::tempdir().unwrap();
    // More than a call takes come before the bad line.
    let import = |name: &str, others: &str, bad: &str| {
        let line = |number: usize| {
            let more = if number == 1_100 { bad } else { others };
            let text = format!("Loaf {} came out flat", spelled(number));
            format!("{{\"text\":\"{text}\",\"label\":\"ham\"{more}}}\n")
        };
        let file = folder.path().join(name);
        std::fs::write(&file, (0..1_200).map(line).collect::<String>()).unwrap();
        let output = service.command(&["examples", "import", file.to_str().unwrap()]);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let old = ",\"source\":\"old\"";
    let long = format!(",\"source\":\"{}\"", "a".repeat(101));
    let bad = [
        (",\"source\":\"blog of jane@example.org\"", "`source`"),
        (",\"source\":\"dump of 203.0.113.7\"", "`source`"),
        (",\"source\":\"two\\nlines\"", "`source`"),
        (long.as_str(), "`source`"),
        (",\"date\":\"0000-12-31T23:00:00Z\"", "`date`"),
    ];
    for (bad, field) in bad {
        let (code, error) = import("archive.jsonl", old, bad);
        assert_eq!(code, Some(65), "{bad}: {error}");
        assert!(error.contains(&format!("archive.jsonl:1101: {field}")), "{bad}: {error}");
        assert!(!error.contains("jane"), "{error}");
    }
    let (code, error) = import("backup-10.0.0.1.jsonl", old, "");
    assert_eq!(code, Some(65), "{error}");
    assert!(error.contains("backup-10.0.0.1.jsonl:1101: `source`, or the file's name"), "{error}");
    let exported = service.command(&["examples", "export"]);
    assert!(exported.status.success() && exported.stdout.is_empty(), "nothing is stored");
    let (code, error) = import("archive.jsonl", old, "");
    assert_eq!(code, Some(0), "{error}");
}

#[tokio::test]
async fn an_interrupted_command_cancels_its_work() {
    let service = Service::start().await;
    let mut client = service.client().await;
    many_labels(&mut client).await;
    let mut command = service.child(&["models", "train"]);
    let child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    wait_for("the training has begun", || {
        let mut client = client.clone();
        async move { (!operations(&mut client).await.is_empty()).then_some(()) }
    })
    .await;
    let pid = child.id().to_string();
    let killed = std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap();
    assert!(killed.success());
    let output = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap()).await.unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(65) && error.contains("cancelled"), "{error}");
    let ended = operations(&mut client).await.remove(0);
    assert!(ended.done && matches!(ended.result, Some(Ended::Error(_))), "{ended:?}");
}

#[tokio::test]
async fn work_does_not_outlive_the_service_and_a_kill_leaves_nothing() {
    let mut service = Service::start().await;
    let mut client = service.client().await;
    many_labels(&mut client).await;
    let train = || proto::TrainModelRequest { parent: SITE.into(), ..Default::default() };
    let begun = client.models.train_model(train()).await.unwrap().into_inner();
    service.kill_and_restart().await;
    let mut client = service.client().await;
    let known = operations(&mut client).await;
    assert_eq!((known.len(), &known[0].name), (1, &begun.name));
    match known[0].result.as_ref().unwrap() {
        Ended::Error(status) => assert_eq!(status.code, Code::Aborted as i32, "{status:?}"),
        Ended::Response(_) => panic!("it ended before the kill"),
    }
    let request = proto::ListModelsRequest { parent: SITE.into(), ..Default::default() };
    let listed = client.models.list_models(request).await.unwrap().into_inner();
    assert!(listed.models.is_empty() && listed.active_version.starts_with("base-"));
    client.models.train_model(train()).await.unwrap();
    assert!(service.stop().await.success(), "within the time to drain");
}

async fn operations(client: &mut Client) -> Vec<longrunning::Operation> {
    let request = longrunning::ListOperationsRequest { name: SITE.into(), ..Default::default() };
    client.operations.list_operations(request).await.unwrap().into_inner().operations
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

#[tokio::test]
async fn a_changed_public_is_noticed() {
    let mut service = Service::start().await;
    let mut client = service.client().await;
    let report = |mut client: Client| async move {
        let request = proto::ReportDriftRequest { parent: SITE.into() };
        client.models.report_drift(request).await.unwrap().into_inner()
    };
    without_limits(&mut client).await;
    let none = report(client.clone()).await;
    assert!(none.dimensions.is_empty() && none.baseline_count == 0);
    let ham = |n: usize| {
        format!("I baked it twice in my small oven and the {} loaf was the better one", spelled(n))
    };
    check_all(&mut client, (0..2_000).map(ham)).await;
    check_all(&mut client, (5_000..5_300).map(ham)).await;
    let same = report(client.clone()).await;
    assert_eq!((same.baseline_count, same.current_count), (2_000, 300));
    assert!(same.dimensions.iter().all(|one| !one.alarming), "{same:?}");
    let spam = |n: usize| {
        format!(
            "Play {} at the casino: https://win{n}.example.com/x https://a.example.net",
            spelled(n)
        )
    };
    check_all(&mut client, (0..300).map(spam)).await;
    let changed = report(client.clone()).await;
    let alarms: Vec<&str> =
        changed.dimensions.iter().filter(|one| one.alarming).map(|one| one.name.as_str()).collect();
    assert!(alarms.contains(&"score") && alarms.contains(&"links"), "{changed:?}");
    let output = service.command(&["models", "drift"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("CHANGED"), "{text}");

    // It is measured at the start and every ten minutes.
    service.kill_and_restart().await;
    let alarm = "replyguard_drift_index{site=\"default\",dimension=\"score\"} ";
    wait_for("the gauge", || async {
        let (_, metrics) = service.page("/metrics").await;
        metrics.lines().any(|line| line.starts_with(alarm)).then_some(())
    })
    .await;
    let http = service.first.http.clone();
    let output = service.command(&["doctor", "--http-address", &http]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(69), "{text}");
    assert!(
        text.contains("TROUBLE  drift: comments are no longer what the model was made for"),
        "{text}"
    );
}

/// Gauges of zero, and `doctor`, said that nothing had changed.
#[tokio::test]
async fn drift_that_cannot_be_measured_is_told() {
    let mut service = Service::start().await;
    let mut client = service.client().await;
    import(&mut client, archive(90)).await;
    let model = train(&mut client).await.unwrap();
    promote(&mut client, &model.name, "no comment is left from before it").await.unwrap();
    checked(&mut client, "Thanks for the recipe").await;
    let output = service.command(&["models", "drift"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("not measured: too few comments of the time before the model"), "{text}");

    // It is measured at the start and every ten minutes.
    service.kill_and_restart().await;
    let name = "replyguard_drift_index{site=\"default\",dimension=\"score\"} ";
    let index = wait_for("the gauge", async || service.metric(name).await).await;
    assert!(index.is_nan(), "{index}");
    let ports = ["--grpc-address", &service.first.grpc, "--http-address", &service.first.http];
    let output = service.command(&[&["doctor"][..], &ports[..]].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("note     drift: not measured"), "{text}");
    assert!(!text.contains("what the models were made for"), "{text}");
}

/// Checks texts over one stream.
async fn check_all(client: &mut Client, texts: impl Iterator<Item = String>) {
    let requests: Vec<_> = texts
        .map(|text| proto::BatchCheckCommentsRequest {
            parent: SITE.into(),
            comment: Some(comment(&text)),
            ..Default::default()
        })
        .collect();
    let count = requests.len();
    let answers = client.comments.batch_check_comments(tokio_stream::iter(requests)).await.unwrap();
    let answers: Vec<_> = answers.into_inner().collect().await;
    let done = answers.iter().filter(|answer| {
        let result = &answer.as_ref().unwrap().result;
        matches!(result, Some(proto::batch_check_comments_response::Result::Comment(_)))
    });
    assert_eq!(done.count(), count);
}

#[tokio::test]
async fn models_are_trained_on_a_schedule() {
    let arguments = [
        "--training-interval-s",
        "1",
        "--training-label-count-min",
        "30",
        "--training-promotes",
        "true",
    ];
    let mut service = Service::start_with(&arguments).await;
    let mut client = service.client().await;
    import(&mut client, archive(90)).await;
    let active = wait_for("a model was trained and promoted", || {
        let mut client = client.clone();
        async move {
            let request = proto::ListModelsRequest { parent: SITE.into(), ..Default::default() };
            let listed = client.models.list_models(request).await.unwrap().into_inner();
            let mut active = listed
                .models
                .into_iter()
                .filter(|model| model.state() == proto::ModelState::Active);
            active.next()
        }
    })
    .await;
    assert_eq!((active.ham_count, active.spam_count), (60, 30));
    wait_for("it decides", || {
        let (mut client, name) = (client.clone(), active.name.clone());
        async move {
            let comment = checked(&mut client, "Resellers wanted: pallets of starter lots").await;
            (comment.model_version == version(&name)).then_some(())
        }
    })
    .await;
    assert!(service.stop().await.success(), "it stops in time");
}

#[tokio::test]
async fn a_budget_of_time_is_kept_and_what_it_misses_is_said() {
    let service = Service::start().await;
    let mut client = service.client().await;
    without_limits(&mut client).await;
    let preview = |mut client: Client, request: proto::PreviewBudgetRequest| async move {
        let request = proto::PreviewBudgetRequest { parent: SITE.into(), ..request };
        client.models.preview_budget(request).await.map(|answer| answer.into_inner())
    };
    let minutes = |review_minutes| proto::PreviewBudgetRequest {
        review_minutes: Some(review_minutes),
        review_seconds: Some(60.0),
        ..Default::default()
    };
    let early = preview(client.clone(), minutes(10.0)).await.unwrap_err();
    assert!(early.code() == Code::InvalidArgument, "too little traffic: {early:?}");
    let texts = (0..300).map(|n| match n % 3 {
        0 => format!("Great casino bonus {}, join us and win money today", spelled(n)),
        1 => format!("I love this blog {}, check out my offers", spelled(n)),
        _ => format!("Mine needed {} minutes more in the oven", spelled(n)),
    });
    check_all(&mut client, texts).await;
    import(&mut client, archive(60)).await;

    let loose = preview(client.clone(), minutes(1_000.0)).await.unwrap();
    let tight = preview(client.clone(), minutes(10.0)).await.unwrap();
    let traffic = tight.traffic.unwrap();
    assert_eq!(traffic.comment_count, 300);
    assert!(traffic.daily_review_minutes <= 10.0, "{traffic:?}");
    assert!(loose.hold_one_in < tight.hold_one_in, "{loose:?} {tight:?}");
    assert!(loose.hold_threshold < tight.hold_threshold);
    let missed =
        |preview: &proto::PreviewBudgetResponse| preview.labels.unwrap().spam_missed_share.unwrap();
    assert!(missed(&tight).value >= missed(&loose).value && missed(&tight).high.is_some());
    let both = proto::PreviewBudgetRequest { hold_one_in: Some(9), ..minutes(1.0) };
    let both = preview(client.clone(), both).await.unwrap_err();
    assert_eq!(both.code(), Code::InvalidArgument, "{both:?}");

    set_policy(
        &mut client,
        proto::SitePolicy { hold_threshold: Some(0.4), ..Default::default() },
        "policy.hold_threshold",
    )
    .await;
    let now = preview(client.clone(), Default::default()).await.unwrap();
    assert!((now.hold_threshold - 0.4).abs() < 1e-6, "as the policy has it: {now:?}");
    let output = service.command(&["models", "budget", "--apply"]);
    assert_eq!(output.status.code(), Some(64), "what is to be set?");
    let output = service.command(&["models", "budget", "--review-minutes", "10", "--apply"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("minutes of review"), "{text}");
    let site = proto::GetSiteRequest { name: SITE.into() };
    let policy = client.sites.get_site(site).await.unwrap().into_inner().site.unwrap().policy;
    let policy = policy.unwrap();
    assert!(policy.hold_one_in.unwrap() >= 20, "{policy:?}");
    assert_eq!(policy.hold_threshold, None, "it would stand above the budget");
    assert!(text.contains("set in the site's policy"), "{text}");
}
