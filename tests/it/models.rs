//! The life of a site's model in a running service: import, train, shadow, promote, roll back,
//! retract.

use replyguard::grpc::client::{Client, Code, Timestamp};
use replyguard::grpc::{longrunning, proto};
use tokio_stream::StreamExt;

use crate::support::models::{SITE, archive, checked, example, import, promote, spelled, train};
use crate::support::service::{Service, check, comment, wait_for};

#[tokio::test]
async fn a_model_lives_from_import_to_roll_back() {
    let mut service = Service::start().await;
    let mut client = service.client().await;
    let campaign = "Resellers wanted: pallets of starter lots leave our depot soon";
    let base = checked(&mut client, campaign).await;
    assert_eq!(import(&mut client, archive(90)).await, (90, 0));
    assert_eq!(import(&mut client, archive(90)).await, (0, 90), "an import can be repeated");

    let model = train(&mut client).await.unwrap();
    assert_eq!(model.state, i32::from(proto::ModelState::Candidate));
    assert_eq!((model.ham_count, model.spam_count, model.ledger_position), (60, 30, 90));
    let hold_out = model.hold_out.unwrap();
    assert_eq!((hold_out.ham_count, hold_out.spam_count), (12, 6));
    let (new, old) = (hold_out.candidate.unwrap(), hold_out.base.unwrap());
    assert!(new.log_loss < old.log_loss, "{new:?} {old:?}");
    assert_eq!(train(&mut client).await.unwrap().name, model.name, "the same bytes");

    let shadow = proto::ShadowModelRequest { name: model.name.clone(), stop: false };
    client.models.shadow_model(shadow).await.unwrap();
    let during = checked(&mut client, &format!("{campaign}, tell us")).await;
    assert_eq!(during.model_version, base.model_version, "a shadow decides nothing");
    let report = proto::ReportShadowRequest { parent: SITE.into() };
    let report = client.models.report_shadow(report).await.unwrap().into_inner();
    assert_eq!(report.compared_count, 1);
    assert!(model.name.ends_with(&report.shadow_version));

    let promoted = promote(&mut client, &model.name, "").await.unwrap();
    assert_eq!(promoted.state, i32::from(proto::ModelState::Active));
    let after = checked(&mut client, &format!("{campaign}, ask us")).await;
    assert!(model.name.ends_with(&after.model_version), "{}", after.model_version);
    assert!(after.raw_score > base.raw_score, "{:?} {:?}", after.raw_score, base.raw_score);
    let sum: f64 = after.contributions.iter().map(|part| part.weight).sum();
    assert_eq!(Some(sum), after.raw_score, "contributions sum exactly");

    service.kill_and_restart().await;
    let mut client = service.client().await;
    let again = checked(&mut client, &format!("{campaign}, write us")).await;
    assert_eq!(again.model_version, after.model_version, "it decides after a restart, too");
    import(&mut client, (200..230).map(|number| example(number, number % 2 == 0)).collect()).await;
    let second = train(&mut client).await.unwrap();
    let second = promote(&mut client, &second.name, "to have two").await.unwrap();
    let request = proto::RollBackModelRequest {
        parent: SITE.into(),
        note: "a try".into(),
        ..Default::default()
    };
    let from = second.name.rsplit('/').next().unwrap().to_owned();
    let first_go = proto::RollBackModelRequest { active_version: from, ..request.clone() };
    let answer = client.models.roll_back_model(first_go.clone()).await.unwrap().into_inner();
    assert!(second.name != model.name && model.name.ends_with(&answer.active_version));
    let status = client.models.roll_back_model(first_go.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::Aborted, "its answer was lost, it is repeated: {status:?}");
    assert!(status.message().contains("changed-meanwhile"), "{status:?}");
    let answer = client.models.roll_back_model(request.clone()).await.unwrap().into_inner();
    assert_eq!(answer.active_version, base.model_version);
    let back = checked(&mut client, &format!("{campaign}, call us")).await;
    assert_eq!(back.model_version, base.model_version);
    let status = client.models.roll_back_model(request).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
    let status = client.models.roll_back_model(first_go).await.unwrap_err();
    assert_eq!(status.code(), Code::Aborted, "the base model decides: {status:?}");
}

#[tokio::test]
async fn what_was_retracted_was_never_learnt() {
    let service = Service::start().await;
    let mut client = service.client().await;
    import(&mut client, archive(60)).await;
    let clean = train(&mut client).await.unwrap();
    let mut poison: Vec<_> = (100..130).map(|number| example(number, number % 2 == 0)).collect();
    for example in &mut poison {
        example.source = "poison".into();
        example.comment.as_mut().unwrap().email = "mallory@example.net".into();
    }
    import(&mut client, poison).await;
    let poisoned = train(&mut client).await.unwrap();
    assert_ne!(poisoned.name, clean.name);

    let retract = |selector| proto::RetractExamplesRequest {
        parent: SITE.into(),
        selector: Some(selector),
        note: "asked for".into(),
    };
    use proto::retract_examples_request::Selector;
    let foreign = retract(Selector::AuthorEmail("nobody@example.net".into()));
    let answer = client.models.retract_examples(foreign).await.unwrap().into_inner();
    assert_eq!(answer.retracted_count, 0);
    let person = retract(Selector::AuthorEmail("Mallory+x@example.net".into()));
    let answer = client.models.retract_examples(person.clone()).await.unwrap().into_inner();
    assert_eq!(answer.retracted_count, 30);
    let answer = client.models.retract_examples(person).await.unwrap().into_inner();
    assert_eq!(answer.retracted_count, 0, "only once");
    assert_eq!(train(&mut client).await.unwrap().name, clean.name, "byte for byte");

    let request = proto::ExportExamplesRequest { parent: SITE.into() };
    let exported = client.models.export_examples(request).await.unwrap().into_inner();
    let exported: Vec<_> = exported.map(Result::unwrap).collect().await;
    assert_eq!(exported.len(), 60);
    assert!(exported.iter().all(|example| example.source == "archive"));
    for (file, bytes) in service.stored_bytes() {
        let found = bytes.windows(7).any(|window| window.eq_ignore_ascii_case(b"mallory"));
        assert!(!found, "an address in {}", file.display());
    }
}

#[tokio::test]
async fn feedback_is_in_the_ledger_and_the_last_word_counts() {
    let service = Service::start().await;
    let mut client = service.client().await;
    let error = train(&mut client).await.unwrap_err();
    assert!(error.contains("too-few-labels"), "{error}");
    import(&mut client, archive(60)).await;
    let name = checked(&mut client, "We have starter lots on pallets for you").await.name;
    for label in [proto::Label::Ham, proto::Label::Spam] {
        let feedback = proto::SubmitFeedbackRequest {
            name: name.clone(),
            label: i32::from(label),
            reporter: i32::from(proto::Reporter::Moderator),
            reporter_name: "jo".into(),
            note: String::new(),
        };
        client.comments.submit_feedback(feedback).await.unwrap();
    }
    let model = train(&mut client).await.unwrap();
    assert_eq!((model.ham_count, model.spam_count, model.ledger_position), (40, 21, 62));
}

#[tokio::test]
async fn what_was_rolled_back_does_not_come_back() {
    let service = Service::start().await;
    let mut client = service.client().await;
    let base = checked(&mut client, "Good morning to all of you here").await.model_version;
    import(&mut client, archive(90)).await;
    let first = train(&mut client).await.unwrap();
    promote(&mut client, &first.name, "").await.unwrap();
    let request = proto::RollBackModelRequest { parent: SITE.into(), ..Default::default() };
    client.models.roll_back_model(request.clone()).await.unwrap();
    import(&mut client, (200..260).map(|number| example(number, number % 3 == 0)).collect()).await;
    let second = train(&mut client).await.unwrap();
    promote(&mut client, &second.name, "").await.unwrap();
    let answer = client.models.roll_back_model(request).await.unwrap().into_inner();
    assert_eq!(answer.active_version, base, "the first one was taken out on purpose");
    let again = promote(&mut client, &first.name, "").await.unwrap();
    assert_eq!(again.state, i32::from(proto::ModelState::Active), "it may be promoted again");
    let operations = longrunning::ListOperationsRequest { name: SITE.into(), ..Default::default() };
    let listed = client.operations.list_operations(operations).await.unwrap().into_inner();
    assert_eq!(listed.operations.len(), 2);
    let token = proto::ListModelsRequest {
        parent: SITE.into(),
        page_token: u64::MAX.to_string(),
        ..Default::default()
    };
    let page = client.models.list_models(token).await.unwrap().into_inner();
    assert!(page.models.is_empty());
}

/// A service whose site promoted two models that this version cannot use any more, and the version
/// of the base model.
async fn with_outdated_models() -> (Service, Client, String) {
    let mut service = Service::start().await;
    let mut client = service.client().await;
    let base = checked(&mut client, "Good morning to all of you here").await.model_version;
    import(&mut client, archive(90)).await;
    let first = train(&mut client).await.unwrap();
    promote(&mut client, &first.name, "").await.unwrap();
    import(&mut client, (200..230).map(|number| example(number, number % 2 == 0)).collect()).await;
    let second = train(&mut client).await.unwrap();
    promote(&mut client, &second.name, "to have two").await.unwrap();
    outdate_models(&service);
    service.kill_and_restart().await;
    let client = service.client().await;
    (service, client, base)
}

/// Leaves the models as ones that only another version of the program can use.
fn outdate_models(service: &Service) {
    let db = rusqlite::Connection::open(service.data().join("replyguard.sqlite3")).unwrap();
    db.execute("UPDATE models SET version = version || '-old', artifact = x'00'", []).unwrap();
}

#[tokio::test]
async fn a_roll_back_passes_over_models_that_cannot_be_used() {
    let (_service, mut client, base) = with_outdated_models().await;
    import(&mut client, (300..330).map(|number| example(number, number % 2 == 0)).collect()).await;
    let third = train(&mut client).await.unwrap();
    promote(&mut client, &third.name, "to have three").await.unwrap();
    let request = proto::RollBackModelRequest {
        parent: SITE.into(),
        note: "it is bad".into(),
        ..Default::default()
    };
    let answer = client.models.roll_back_model(request.clone()).await.unwrap().into_inner();
    assert_eq!(answer.active_version, base);
    let audit = proto::ListAuditEntriesRequest { parent: SITE.into(), ..Default::default() };
    let log = client.reviews.list_audit_entries(audit).await.unwrap().into_inner();
    let note = &log.audit_entries[0].note;
    assert!(note.starts_with("it is bad (passed over as unusable: "), "{note}");
    assert_eq!(note.matches("-old").count(), 2, "{note}");
    let again = client.models.roll_back_model(request).await.unwrap_err();
    assert!(again.message().contains("nothing-before"), "{again:?}");
}

#[tokio::test]
async fn an_active_model_that_cannot_be_used_can_be_rolled_back() {
    let (_service, mut client, base) = with_outdated_models().await;
    let request = proto::RollBackModelRequest { parent: SITE.into(), ..Default::default() };
    let answer = client.models.roll_back_model(request).await.unwrap().into_inner();
    assert_eq!(answer.active_version, base);
    let list = proto::ListModelsRequest { parent: SITE.into(), ..Default::default() };
    let listed = client.models.list_models(list).await.unwrap().into_inner();
    assert!(listed.models.iter().all(|model| model.state() == proto::ModelState::Retired));
}

#[tokio::test]
async fn a_site_whose_model_cannot_be_used_is_trained_without_new_labels() {
    let mut service = Service::start_with(&[
        "--training-interval-s",
        "1",
        "--training-label-count-min",
        "1000",
        "--training-promotes",
        "true",
    ])
    .await;
    let mut client = service.client().await;
    import(&mut client, archive(90)).await;
    let model = train(&mut client).await.unwrap();
    promote(&mut client, &model.name, "").await.unwrap();
    outdate_models(&service);
    service.kill_and_restart().await;
    let client = service.client().await;
    wait_for("the same labels to make a model that decides", || {
        let mut client = client.clone();
        let name = model.name.clone();
        async move {
            let request = proto::ListModelsRequest { parent: SITE.into(), ..Default::default() };
            let listed = client.models.list_models(request).await.unwrap().into_inner();
            name.ends_with(&listed.active_version).then_some(())
        }
    })
    .await;
}

#[tokio::test]
async fn a_label_that_is_taken_back_stops_working_at_once() {
    let mut service = Service::start().await;
    let mut client = service.client().await;
    let lots = |town: &str| {
        let text = "We have quite a number of old garden chairs to give away this weekend, just \
            come and fetch them in the yard behind the church in";
        format!("{text} {town}")
    };
    let signals = |comment: &proto::CheckedComment| {
        comment.signals.iter().map(|signal| signal.name.clone()).collect::<Vec<_>>()
    };
    let first = checked(&mut client, &lots("Aldingen")).await;
    let feedback = proto::SubmitFeedbackRequest {
        name: first.name.clone(),
        label: i32::from(proto::Label::Spam),
        reporter: i32::from(proto::Reporter::Reader),
        reporter_name: "spiteful".into(),
        note: String::new(),
    };
    client.comments.submit_feedback(feedback).await.unwrap();
    let marked = checked(&mut client, &lots("Bergheim")).await;
    assert!(signals(&marked).contains(&"near-rejected".to_owned()), "{marked:?}");
    let retract = proto::RetractExamplesRequest {
        parent: SITE.into(),
        selector: Some(proto::retract_examples_request::Selector::ReporterName("spiteful".into())),
        note: "a grudge".into(),
    };
    let answer = client.models.retract_examples(retract).await.unwrap().into_inner();
    assert_eq!(answer.retracted_count, 1);
    let free = checked(&mut client, &lots("Cadolzburg")).await;
    assert!(!signals(&free).contains(&"near-rejected".to_owned()), "{free:?}");
    service.kill_and_restart().await;
    let mut client = service.client().await;
    let free = checked(&mut client, &lots("Dornstetten")).await;
    assert!(!signals(&free).contains(&"near-rejected".to_owned()), "{free:?}");
}

#[tokio::test]
async fn the_gate_stops_what_the_hold_out_speaks_against() {
    let service = Service::start().await;
    let mut client = service.client().await;
    // Texts that turn round in the last fifth: the hold-out must speak against what came before.
    let mut labels = archive(64);
    labels.extend((64..80).map(|number| {
        let spam = number % 3 == 0;
        let label = if spam { proto::Label::Spam } else { proto::Label::Ham };
        proto::Example { label: i32::from(label), ..example(number, !spam) }
    }));
    import(&mut client, labels).await;
    let model = train(&mut client).await.unwrap();
    let status = promote(&mut client, &model.name, "").await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
    assert!(status.message().contains("gate-closed"), "{status:?}");
    let forced = promote(&mut client, &model.name, "I know better").await.unwrap();
    assert_eq!(forced.state, i32::from(proto::ModelState::Active));
    let request = proto::ListModelsRequest { parent: SITE.into(), ..Default::default() };
    let listed = client.models.list_models(request).await.unwrap().into_inner();
    assert!(forced.name.ends_with(&listed.active_version));
}

/// The hold-out was the end of the ledger, which is of one kind after such an import.
#[tokio::test]
async fn files_of_one_kind_each_give_a_hold_out_of_both() {
    let service = Service::start().await;
    let mut client = service.client().await;
    let is_ham = |example: &proto::Example| example.label == i32::from(proto::Label::Ham);
    let (ham, spam): (Vec<_>, Vec<_>) = archive(90).into_iter().partition(is_ham);
    import(&mut client, ham).await;
    import(&mut client, spam).await;
    let hold_out = train(&mut client).await.unwrap().hold_out.expect("both kinds");
    assert_eq!((hold_out.ham_count, hold_out.spam_count), (12, 6));
}

#[tokio::test]
async fn the_gate_stops_what_was_judged_beside_another_model() {
    let service = Service::start().await;
    let mut client = service.client().await;
    let base = checked(&mut client, "Good morning to all of you here").await.model_version;
    import(&mut client, archive(90)).await;
    let first = train(&mut client).await.unwrap();
    import(&mut client, (200..230).map(|number| example(number, number % 2 == 0)).collect()).await;
    let second = train(&mut client).await.unwrap();
    let second = promote(&mut client, &second.name, "to have two").await.unwrap();
    let status = promote(&mut client, &first.name, "").await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
    let version = second.name.rsplit('/').next().unwrap();
    let why = format!("it was judged beside {base}, but {version} decides now");
    assert!(status.message().contains(&why), "{status:?}");
    let request = proto::RollBackModelRequest { parent: SITE.into(), ..Default::default() };
    client.models.roll_back_model(request).await.unwrap();
    promote(&mut client, &first.name, "").await.unwrap();
    let again = promote(&mut client, &first.name, "").await.unwrap();
    assert_eq!(again.state(), proto::ModelState::Active, "what decides already may be promoted");
}

#[tokio::test]
async fn models_need_the_scope_operate_and_names_that_exist() {
    let service = Service::start().await;
    let mut client = service.client().await;
    let request = proto::CreateKeyRequest {
        parent: SITE.into(),
        display_name: "cms".into(),
        scopes: vec![i32::from(proto::KeyScope::Check)],
    };
    let secret = client.sites.create_key(request).await.unwrap().into_inner().secret;
    let mut other = service.client_with(Some(&secret)).await;
    let request = proto::TrainModelRequest { parent: SITE.into(), ..Default::default() };
    let status = other.models.train_model(request).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    let list = longrunning::ListOperationsRequest { name: SITE.into(), ..Default::default() };
    let status = other.operations.list_operations(list).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    for (name, code) in [
        ("sites/default/models/none-123", Code::NotFound),
        ("sites/default", Code::InvalidArgument),
        ("sites/elsewhere/models/x", Code::PermissionDenied),
    ] {
        let request = proto::GetModelRequest { name: name.into() };
        assert_eq!(client.models.get_model(request).await.unwrap_err().code(), code, "{name}");
    }
    let bad = proto::ImportExamplesRequest {
        parent: SITE.into(),
        examples: vec![proto::Example::default()],
    };
    let status = client.models.import_examples(tokio_stream::iter([bad])).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
}

#[tokio::test]
async fn the_gate_does_not_judge_the_active_model_by_what_it_learnt() {
    let service = Service::start().await;
    let mut client = service.client().await;
    import(&mut client, archive(90)).await;
    let first = train(&mut client).await.unwrap();
    promote(&mut client, &first.name, "").await.unwrap();
    import(&mut client, vec![example(900, true), example(901, false)]).await;
    let second = train(&mut client).await.unwrap();
    assert_eq!(second.hold_out.unwrap().active, None, "it learnt from most of these");
    promote(&mut client, &second.name, "").await.unwrap();
}

#[tokio::test]
async fn a_change_that_its_caller_left_is_whole() {
    let service = Service::start().await;
    let mut client = service.client().await;
    import(&mut client, archive(90)).await;
    let model = train(&mut client).await.unwrap();
    for wait in [1, 2, 4, 8, 16, 32] {
        let mut request = tonic::Request::new(proto::PromoteModelRequest {
            name: model.name.clone(),
            force: false,
            note: String::new(),
        });
        request.set_timeout(std::time::Duration::from_millis(wait));
        // Whether it came in time is the machine's affair.
        let _ = client.models.promote_model(request).await;
    }
    let list = || proto::ListModelsRequest { parent: SITE.into(), ..Default::default() };
    wait_for("store and memory to agree on an active model", || {
        let mut client = client.clone();
        async move {
            let listed = client.models.list_models(list()).await.unwrap().into_inner();
            let active = listed.models[0].state() == proto::ModelState::Active;
            (active && listed.models[0].name.ends_with(&listed.active_version)).then_some(())
        }
    })
    .await;
}

#[tokio::test]
async fn names_with_addresses_are_refused_in_the_ledger() {
    let service = Service::start().await;
    let mut client = service.client().await;
    for source in ["dump of 203.0.113.7", "jane@example.org"] {
        let mut example = example(1, true);
        example.source = source.into();
        let request = proto::ImportExamplesRequest { parent: SITE.into(), examples: vec![example] };
        let status = client.models.import_examples(tokio_stream::iter([request])).await;
        assert_eq!(status.unwrap_err().code(), Code::InvalidArgument, "{source}");
    }
    let request = proto::RetractExamplesRequest {
        parent: SITE.into(),
        selector: Some(proto::retract_examples_request::Selector::ReporterName(
            "jane@example.org".into(),
        )),
        note: String::new(),
    };
    let status = client.models.retract_examples(request).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
}

#[tokio::test]
async fn times_before_the_year_1_are_refused_in_the_ledger() {
    let service = Service::start().await;
    let mut client = service.client().await;
    let first_second = -62_135_596_800;
    for (seconds, accepted) in [(first_second - 1, false), (first_second, true)] {
        let mut example = example(1, true);
        example.label_time = Some(Timestamp { seconds, nanos: 0 });
        let request = proto::ImportExamplesRequest { parent: SITE.into(), examples: vec![example] };
        let answer = client.models.import_examples(tokio_stream::iter([request])).await;
        let code = answer.map(drop).map_err(|status| status.code());
        assert_eq!(code, if accepted { Ok(()) } else { Err(Code::InvalidArgument) }, "{seconds}");
    }
}

#[tokio::test]
async fn long_comments_are_imported() {
    let service = Service::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("long.jsonl");
    let line = |number: usize| {
        let text = format!("Remark {}: {}", spelled(number), "well said ".repeat(5_000));
        format!("{}\n", serde_json::json!({ "text": text, "label": "ham" }))
    };
    std::fs::write(&file, (0..80).map(line).collect::<String>()).unwrap();
    let output = service.command(&["examples", "import", file.to_str().unwrap()]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text, "80 examples imported, 0 were there already\n", "4 MB in several calls");
}

/// The lines of an export without what belongs to its site.
fn exported_lines(service: &Service) -> Vec<serde_json::Value> {
    let output = service.command(&["examples", "export"]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().map(|line| {
        let mut json: serde_json::Value = serde_json::from_str(line).unwrap();
        let fields = json.as_object_mut().unwrap();
        let name = fields.remove("name").unwrap();
        assert!(name.as_str().unwrap().starts_with("sites/default/"), "{name}");
        assert!(fields.remove("position").is_some());
        json
    });
    lines.collect()
}

/// Dates, pages and languages stayed behind: they had no field, or a name that nobody read.
#[tokio::test]
async fn an_export_means_the_same_on_another_site() {
    let service = Service::start().await;
    let mut client = service.client().await;
    let mut dated = example(1, true);
    dated.label_time = Some(Timestamp { seconds: 1_183_664_005, nanos: 0 });
    let with_page = |comment: &mut proto::Comment| {
        comment.page_uri = "https://bread.example/rye/?to=jane@example.org".into();
        comment.page_title = "Rye with a soft crust".into();
        comment.language = "de-AT".into();
    };
    with_page(dated.comment.as_mut().unwrap());
    import(&mut client, vec![dated, example(2, false)]).await;
    let mut own = check(comment("Mine has a soft crust as well, from jane@example.org"));
    with_page(own.comment.as_mut().unwrap());
    let own = client.comments.check_comment(own).await.unwrap().into_inner().comment.unwrap();
    let feedback = proto::SubmitFeedbackRequest {
        name: own.name,
        label: proto::Label::Ham.into(),
        ..Default::default()
    };
    client.comments.submit_feedback(feedback).await.unwrap();

    let lines = exported_lines(&service);
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!(lines[0]["date"], "2007-07-05T19:33:25Z");
    for line in [&lines[0], &lines[2]] {
        assert_eq!(
            (&line["page_title"], &line["lang"]),
            (&"Rye with a soft crust".into(), &"de-at".into())
        );
        let page = line["page_uri"].as_str().unwrap();
        assert!(page.starts_with("https://bread.example/rye/") && !page.contains("jane"), "{page}");
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("export.jsonl");
    std::fs::write(&file, lines.iter().map(|line| format!("{line}\n")).collect::<String>())
        .unwrap();
    let other = Service::start().await;
    let output = other.command(&["examples", "import", file.to_str().unwrap()]);
    let error = String::from_utf8_lossy(&output.stderr);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text, "3 examples imported, 0 were there already\n", "{error}");
    assert_eq!(exported_lines(&other), lines);
}

#[tokio::test]
async fn the_command_line_tends_models() {
    let service = Service::start().await;
    let run = |arguments: &[&str]| {
        let output = service.command(arguments);
        let text = String::from_utf8(output.stdout).unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), text, error)
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("archive.jsonl");
    let line = |number: usize| {
        let wire = example(number, number.is_multiple_of(3));
        let label = if number.is_multiple_of(3) { "spam" } else { "ham" };
        let comment = wire.comment.unwrap();
        let json = serde_json::json!({
            "text": comment.text, "author": comment.author, "email": comment.email, "label": label,
        });
        format!("{json}\n")
    };
    std::fs::write(&file, (0..90).map(line).collect::<String>() + "{\"text\": \"no label\"}\n")
        .unwrap();
    let path = file.to_str().unwrap();
    let (code, _, error) = run(&["examples", "import", path]);
    assert_eq!(code, 65, "{error}");
    assert!(error.contains("archive.jsonl:91: `label` is missing"), "{error}");
    std::fs::write(&file, (0..90).map(line).collect::<String>()).unwrap();
    let (_, text, _) = run(&["examples", "import", path]);
    assert_eq!(
        text, "90 examples imported, 0 were there already\n",
        "nothing came of the bad file"
    );
    let (code, text, error) = run(&["models", "train"]);
    assert_eq!(code, 0, "{error}");
    assert!(text.contains("60 ham") && text.contains("12 ham and 6 spam held out"), "{text}");
    let version = text.split_whitespace().next().unwrap().to_owned();
    let (_, json, _) = run(&["models", "list", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["models"][0]["name"], format!("{SITE}/models/{version}"));
    assert_eq!(run(&["models", "shadow", &version]).0, 0);
    let (_, text, _) = run(&["models", "disagreements"]);
    let none = format!("{version} disagreed about 0 of 0 comments checked by this replica\n");
    assert_eq!(text, none);
    let (code, text, error) = run(&["models", "promote", &version, "--note", "better"]);
    assert!(code == 0 && text.contains("active"), "{text}{error}");
    let (_, text, _) = run(&["models", "rollback"]);
    assert!(text.starts_with("base-"), "{text}");
    assert_eq!(run(&["models", "promote", "nothing-1"]).0, 65);
    let (_, text, _) = run(&["examples", "export"]);
    assert_eq!(text.lines().count(), 90);
    // What is exported can be trained on.
    std::fs::write(&file, text).unwrap();
    let out = folder.path().join("own.rgmodel");
    assert_eq!(run(&["train", "--data", path, "--out", out.to_str().unwrap()]).0, 0);
    let (_, text, _) = run(&["examples", "retract", "--source", "archive", "--note", "a mistake"]);
    assert_eq!(text, "90 labels taken back\n");
    let (code, text, error) = run(&["examples", "retract", "--reporter", "nobody"]);
    assert_eq!((code, text.as_str()), (65, ""));
    assert!(error.contains("no label was taken back"), "{error}");
    assert_eq!(run(&["examples", "retract"]).0, 64, "what is to be said");
}
