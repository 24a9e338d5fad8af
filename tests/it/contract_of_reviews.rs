//! `ReviewService` and `WatchDecisions`, over real gRPC.

use replyguard::grpc::client::{Client, Streaming};
use replyguard::grpc::proto::{self, DecisionAction, Verdict};
use tonic::Code;
use tonic_types::StatusExt;

use crate::support::backend::{Backend, on_each_backend};
use crate::support::desk::{SITE, send, service_that_holds_on, variant};
use crate::support::service::comment;

async fn queue(client: &mut Client) -> Vec<(i64, String)> {
    let request = proto::ListQueueEntriesRequest { parent: SITE.into(), ..Default::default() };
    let answer = client.reviews.list_queue_entries(request).await.unwrap().into_inner();
    let name = |entry: &proto::QueueEntry| entry.comment.clone().unwrap().comment.unwrap().name;
    answer.queue_entries.iter().map(|entry| (entry.held_count, name(entry))).collect()
}

async fn get(client: &mut Client, name: &str) -> proto::GetReviewedCommentResponse {
    let request = proto::GetReviewedCommentRequest { name: name.into() };
    client.reviews.get_reviewed_comment(request).await.unwrap().into_inner()
}

fn decision(name: &str, action: DecisionAction) -> proto::DecideCommentRequest {
    proto::DecideCommentRequest {
        name: name.into(),
        action: action.into(),
        moderator: "Jane".into(),
        ..Default::default()
    }
}

async fn decide_all(
    client: &mut Client,
    filter: &str,
    action: DecisionAction,
) -> proto::DecisionProgress {
    let request = proto::BatchDecideCommentsRequest {
        parent: SITE.into(),
        selection: Some(proto::DecisionSelection { filter: filter.into(), comments: vec![] }),
        action: action.into(),
        note: "one campaign, seen by jane@example.org".into(),
        moderator: "Jane".into(),
    };
    let mut stream = client.reviews.batch_decide_comments(request).await.unwrap().into_inner();
    let mut last = None;
    while let Some(response) = stream.message().await.unwrap() {
        last = response.progress;
    }
    let last = last.unwrap();
    assert!(last.done);
    last
}

async fn undo(client: &mut Client, name: &str) -> proto::DecisionProgress {
    let request = proto::UndoDecisionRequest { name: name.into(), ..Default::default() };
    let mut stream = client.reviews.undo_decision(request).await.unwrap().into_inner();
    let mut last = None;
    while let Some(response) = stream.message().await.unwrap() {
        last = response.progress;
    }
    last.unwrap()
}

/// The next decision of a stream, tokens alone passed over.
async fn next(
    stream: &mut Streaming<proto::WatchDecisionsResponse>,
) -> (String, proto::CommentDecision) {
    loop {
        let response = stream.message().await.unwrap().unwrap();
        if let Some(decision) = response.decision {
            return (response.resume_token, decision);
        }
    }
}

on_each_backend!(
    a_campaign_is_rejected_at_once_and_its_next_variant_too,
    outdated_claimed_and_repeated_decisions_are_refused,
    decisions_are_watched_from_where_one_left_off,
    the_queue_is_watched_live,
    lists_filters_and_the_log_keep_to_the_site,
);

/// The whole story of the issue: 30 variants, one decision, the 31st, undo, and a crash between.
async fn a_campaign_is_rejected_at_once_and_its_next_variant_too(backend: Backend) {
    let (mut service, mut client) = service_that_holds_on(backend, &[]).await;
    let mut names = Vec::new();
    for n in 0..30 {
        names.push(send(&mut client, variant(n)).await.name);
    }
    // Ids go by time, and by chance within a millisecond.
    let last = names.iter().max().unwrap().clone();
    let entries = queue(&mut client).await;
    assert_eq!(entries, [(30, last.clone())], "near duplicates are one entry");
    let campaign = get(&mut client, &names[0]).await.comment.unwrap().campaign;
    let filter = format!("state:held campaign:{campaign}");

    let preview = proto::PreviewDecisionRequest {
        parent: SITE.into(),
        selection: Some(proto::DecisionSelection { filter: filter.clone(), comments: vec![] }),
        action: DecisionAction::RejectSpam.into(),
    };
    let preview = client.reviews.preview_decision(preview).await.unwrap().into_inner();
    assert_eq!((preview.total_count, preview.change_count, preview.held_count), (30, 30, 30));
    assert_eq!((preview.author_count, preview.campaign_count), (30, 1));

    let done = decide_all(&mut client, &filter, DecisionAction::RejectSpam).await;
    assert_eq!((done.decided_count, done.passed_count), (30, 0));
    assert_eq!(queue(&mut client).await, []);
    let next = send(&mut client, variant(30)).await;
    assert_eq!(next.verdict(), Verdict::Reject, "{next:?}");

    service.kill_and_restart().await;
    let mut client = service.client().await;
    let shown = get(&mut client, &names[3]).await;
    let [decided] = shown.decisions.as_slice() else { panic!("{:?}", shown.decisions) };
    assert_eq!(
        (decided.action.as_str(), decided.decision.as_str()),
        ("reject-spam", &*done.decision)
    );
    assert!(decided.actor.starts_with("Jane (key:"), "{}", decided.actor);
    assert!(!decided.note.contains("jane@example.org"), "{}", decided.note);
    assert_eq!(send(&mut client, variant(31)).await.verdict(), Verdict::Reject);

    let undone = undo(&mut client, &done.decision).await;
    assert_eq!((undone.decided_count, undone.passed_count), (30, 0));
    assert_eq!(queue(&mut client).await, [(30, last)]);
    let after = send(&mut client, variant(32)).await;
    assert_eq!(after.verdict(), Verdict::Hold, "the lesson is taken back: {after:?}");
    let request = proto::UndoDecisionRequest { name: done.decision, ..Default::default() };
    let mut again = client.reviews.undo_decision(request).await.unwrap().into_inner();
    assert_eq!(again.message().await.unwrap_err().code(), Code::Aborted);
}

async fn outdated_claimed_and_repeated_decisions_are_refused(backend: Backend) {
    let (_service, mut client) = service_that_holds_on(backend, &[]).await;
    let name = send(&mut client, comment("A comment that waits")).await.name;
    let etag = get(&mut client, &name).await.comment.unwrap().etag;
    let reason = |status: tonic::Status| {
        let reason = status.get_error_details().error_info().unwrap().reason.clone();
        (status.code(), reason)
    };

    let claim = proto::ClaimCommentRequest { name: name.clone(), moderator: "Bob".into() };
    let claimed = client.reviews.claim_comment(claim.clone()).await.unwrap().into_inner();
    assert!(claimed.claim.unwrap().actor.starts_with("Bob"));
    let seen = get(&mut client, &name).await.comment.unwrap().claim.unwrap();
    assert!(seen.actor.starts_with("Bob"));
    let refused = client.reviews.decide_comment(decision(&name, DecisionAction::Approve)).await;
    let claimed = (Code::FailedPrecondition, "claimed".to_owned());
    assert_eq!(reason(refused.unwrap_err()), claimed);
    let other = proto::ClaimCommentRequest { moderator: "Jane".into(), ..claim };
    assert_eq!(reason(client.reviews.claim_comment(other).await.unwrap_err()), claimed);
    let release = proto::ReleaseCommentRequest { name: name.clone(), moderator: "Bob".into() };
    client.reviews.release_comment(release).await.unwrap();

    let first = proto::DecideCommentRequest {
        etag: etag.clone(),
        ..decision(&name, DecisionAction::Approve)
    };
    let decided = client.reviews.decide_comment(first.clone()).await.unwrap().into_inner();
    assert_eq!(decided.decision.unwrap().state, i32::from(proto::State::Approved));
    let outdated = client.reviews.decide_comment(first).await.unwrap_err();
    assert_eq!(reason(outdated), (Code::Aborted, "changed-meanwhile".into()));
    let again = client.reviews.decide_comment(decision(&name, DecisionAction::Approve)).await;
    assert_eq!(reason(again.unwrap_err()), (Code::FailedPrecondition, "nothing-to-do".into()));
    for bad in [
        proto::DecideCommentRequest { etag: "x".into(), ..decision(&name, DecisionAction::Reopen) },
        decision(&name, DecisionAction::Unspecified),
        decision("sites/default/comments/none", DecisionAction::Approve),
    ] {
        let status = client.reviews.decide_comment(bad).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
    }
    let unknown = "sites/default/comments/00000000-0000-7000-8000-000000000000";
    let status = client.reviews.decide_comment(decision(unknown, DecisionAction::Approve)).await;
    assert_eq!(status.unwrap_err().code(), Code::NotFound);
}

async fn decisions_are_watched_from_where_one_left_off(backend: Backend) {
    let (service, mut client) = service_that_holds_on(backend, &[]).await;
    let first = send(&mut client, comment("The first one that waits")).await.name;
    let watch = |resume_token: &str| proto::WatchDecisionsRequest {
        parent: SITE.into(),
        resume_token: resume_token.into(),
    };
    let mut live = client.comments.watch_decisions(watch("")).await.unwrap().into_inner();
    let begin = live.message().await.unwrap().unwrap();
    assert_eq!(begin.decision, None, "the first response has the token alone");
    client.reviews.decide_comment(decision(&first, DecisionAction::Approve)).await.unwrap();
    let (token, decided) = next(&mut live).await;
    assert_eq!((decided.comment.as_str(), decided.action.as_str()), (&*first, "approve"));
    drop(live);

    // While nobody watches, things happen.
    let mut cms = service.client().await;
    let feedback = proto::SubmitFeedbackRequest {
        name: first.clone(),
        label: proto::Label::Spam.into(),
        ..Default::default()
    };
    cms.comments.submit_feedback(feedback).await.unwrap();
    let mut resumed = cms.comments.watch_decisions(watch(&token)).await.unwrap().into_inner();
    let (_, missed) = next(&mut resumed).await;
    assert_eq!((missed.action.as_str(), missed.state()), ("feedback", proto::State::Rejected));
    assert_eq!(missed.previous_state(), proto::State::Approved);
    let mut all = cms.comments.watch_decisions(watch("start")).await.unwrap().into_inner();
    assert_eq!(next(&mut all).await, (token, decided), "at least once, in order");
    let bad = cms.comments.watch_decisions(watch("x")).await.unwrap_err();
    assert_eq!(bad.code(), Code::InvalidArgument);
}

async fn the_queue_is_watched_live(backend: Backend) {
    use proto::watch_queue_response::Event;
    let (mut service, mut client) = service_that_holds_on(backend, &[]).await;
    let request = proto::WatchQueueRequest { parent: SITE.into(), resume_token: String::new() };
    let mut live = client.reviews.watch_queue(request).await.unwrap().into_inner();
    assert_eq!(live.message().await.unwrap().unwrap().event, None);
    let name = send(&mut client, comment("Something new")).await.name;
    let held = live.message().await.unwrap().unwrap();
    let Some(Event::HeldComment(reviewed)) = held.event else { panic!("{held:?}") };
    assert_eq!(reviewed.comment.unwrap().name, name);
    client.reviews.decide_comment(decision(&name, DecisionAction::RejectAbuse)).await.unwrap();
    let decided = live.message().await.unwrap().unwrap();
    let Some(Event::Decision(told)) = decided.event else { panic!("{decided:?}") };
    assert_eq!((told.action.as_str(), told.label()), ("reject-abuse", proto::Label::Unspecified));
    // A stream does not keep the service from ending.
    assert!(service.stop().await.success());
}

async fn lists_filters_and_the_log_keep_to_the_site(backend: Backend) {
    let (service, mut client) = service_that_holds_on(backend, &[]).await;
    let name = send(&mut client, comment("Where can one buy such a lamp?")).await.name;
    send(&mut client, comment("Thanks, the second part helped me")).await;
    let list = |filter: &str| proto::ListCommentsRequest {
        parent: SITE.into(),
        filter: filter.into(),
        ..Default::default()
    };
    let found = client.reviews.list_comments(list("lamp state:held")).await.unwrap().into_inner();
    assert_eq!(found.comments.len(), 1);
    assert_eq!(found.comments[0].comment.clone().unwrap().name, name);
    let all = client.reviews.list_comments(list("")).await.unwrap().into_inner();
    assert_eq!(all.comments.len(), 2);
    let paged = proto::ListCommentsRequest { page_size: 1, ..list("") };
    let first = client.reviews.list_comments(paged.clone()).await.unwrap().into_inner();
    let rest = proto::ListCommentsRequest { page_token: first.next_page_token, ..paged.clone() };
    let second = client.reviews.list_comments(rest.clone()).await.unwrap().into_inner();
    assert_eq!([first.comments, second.comments].concat(), all.comments);
    for bad in [
        list("state:lost"),
        proto::ListCommentsRequest { order_by: "colour".into(), ..list("") },
        proto::ListCommentsRequest { filter: "lamp".into(), ..rest },
    ] {
        let status = client.reviews.list_comments(bad).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
    }
    client.reviews.decide_comment(decision(&name, DecisionAction::Approve)).await.unwrap();
    let request = proto::ListAuditEntriesRequest { parent: SITE.into(), ..Default::default() };
    let log = client.reviews.list_audit_entries(request).await.unwrap().into_inner();
    let last = &log.audit_entries[0];
    assert_eq!((last.action.as_str(), last.subject.as_str()), ("decide", &*name));
    assert_eq!(last.previous_value, "held");
    let overview = proto::GetOverviewRequest { parent: SITE.into(), day_count: 7 };
    let overview = client.reviews.get_overview(overview).await.unwrap().into_inner();
    let today = overview.days.last().unwrap();
    assert_eq!((overview.days.len(), overview.queue_count), (7, 1));
    assert_eq!((today.hold_count, today.held_approved_count), (2, 1));

    // A key that only checks comments sees nothing of the desk, nor does one of another site.
    for (site, scope) in [(SITE, proto::KeyScope::Check), ("sites/other", proto::KeyScope::Review)]
    {
        if site != SITE {
            let create = proto::CreateSiteRequest { site_id: "other".into(), site: None };
            client.sites.create_site(create).await.unwrap();
        }
        let create = proto::CreateKeyRequest {
            parent: site.into(),
            display_name: String::new(),
            scopes: vec![scope.into()],
        };
        let secret = client.sites.create_key(create).await.unwrap().into_inner().secret;
        let mut other = service.client_with(Some(&secret)).await;
        let denied = other.reviews.list_comments(list("")).await.unwrap_err();
        assert_eq!(denied.code(), Code::PermissionDenied);
        let denied = other.reviews.decide_comment(decision(&name, DecisionAction::Reopen)).await;
        assert_eq!(denied.unwrap_err().code(), Code::PermissionDenied);
        let watch = proto::WatchQueueRequest { parent: SITE.into(), ..Default::default() };
        let denied = other.reviews.watch_queue(watch).await.unwrap_err();
        assert_eq!(denied.code(), Code::PermissionDenied);
    }
}
