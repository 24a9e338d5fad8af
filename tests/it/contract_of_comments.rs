//! `CommentService` as a CMS backend meets it, over real gRPC.

use std::collections::HashMap;
use std::time::Duration;

use replyguard::grpc::proto::{self, Label, State, Verdict};
use tokio_stream::StreamExt;
use tonic::{Code, Request};
use tonic_types::StatusExt;

use crate::support::service::{Service, check, comment, fresh_email};

const SPAM: &str = "Best online casino bonus! Win real money now, free spins no deposit: \
     http://lucky-spins.example/casino http://best-pills.example/buy-viagra-cheap visit \
     [url=http://lucky-spins.example]casino[/url]";
const HAM: &str = "Thanks for the clear write-up. In step three the path has to be quoted on my \
     machine, otherwise the build stops with an error about a missing file.";

#[tokio::test]
async fn good_and_bad_comments_get_verdicts_with_reasons() {
    let service = Service::start().await;
    let mut client = service.client().await;
    let good = client.comments.check_comment(check(comment(HAM))).await.unwrap().into_inner();
    let good = good.comment.unwrap();
    assert_eq!(good.verdict(), Verdict::Approve, "{good:?}");
    assert_eq!(good.state(), State::Approved);
    let bad = client.comments.check_comment(check(comment(SPAM))).await.unwrap().into_inner();
    let bad = bad.comment.unwrap();
    assert_ne!(bad.verdict(), Verdict::Approve, "{bad:?}");
    assert!(bad.score > good.score);
    for answer in [&good, &bad] {
        assert!(!answer.reasons.is_empty());
        assert!(!answer.model_version.is_empty());
        let sum: f64 = answer.contributions.iter().map(|part| part.weight).sum();
        assert_eq!(Some(sum), answer.raw_score, "contributions sum exactly to the raw score");
        let probability = 1.0 / (1.0 + (-sum).exp());
        assert!((probability - answer.score.unwrap()).abs() < 1e-12);
        assert!(answer.missing_inputs.contains(&"ip".to_owned()));
        assert!(answer.name.starts_with("sites/default/comments/"));
        let request = proto::GetCommentRequest { name: answer.name.clone() };
        let read = client.comments.get_comment(request).await.unwrap().into_inner();
        assert_eq!(read.comment.as_ref(), Some(answer), "what is read back is what was answered");
    }
    let public = good.public_comment.unwrap();
    assert_eq!(public.link_rel, "ugc nofollow");
    assert!(public.masked_email.starts_with("j•••@e•••"), "{}", public.masked_email);
}

#[tokio::test]
async fn every_bad_field_is_reported_at_once() {
    let service = Service::start().await;
    let mut client = service.client().await;
    let bad = proto::Comment {
        text: String::new(),
        author: "x".repeat(246),
        email: "not an address".into(),
        url: "javascript:alert(1)".into(),
        ip: "999.1.1.1".into(),
        ..proto::Comment::default()
    };
    let status = client.comments.check_comment(check(bad)).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().reason, "invalid-fields");
    let fields: Vec<_> = details
        .bad_request()
        .unwrap()
        .field_violations
        .iter()
        .map(|violation| violation.field.as_str())
        .collect();
    assert_eq!(
        fields,
        ["comment.author", "comment.text", "comment.email", "comment.url", "comment.ip"]
    );
    let nothing =
        proto::CheckCommentRequest { parent: "sites/default".into(), ..check(comment("")) };
    let nothing = proto::CheckCommentRequest { comment: None, ..nothing };
    let status = client.comments.check_comment(nothing).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_repeated_request_gets_the_first_answer() {
    let service = Service::start().await;
    let client = service.client().await;
    let request = proto::CheckCommentRequest {
        request_id: "5f6c7a52-0d3e-4c5e-9b39-0a8f7d1c2b3a".into(),
        ..check(comment(HAM))
    };
    let twins = (0..16).map(|_| {
        let (mut client, request) = (client.clone(), request.clone());
        tokio::spawn(async move { client.comments.check_comment(request).await })
    });
    let mut names = Vec::new();
    let mut new_count = 0;
    for twin in twins.collect::<Vec<_>>() {
        let answer = twin.await.unwrap().unwrap().into_inner();
        names.push(answer.comment.unwrap().name);
        new_count += usize::from(!answer.repeated_request);
    }
    names.dedup();
    assert_eq!((names.len(), new_count), (1, 1), "sixteen twins are one comment, counted once");

    let mut client = client;
    let other = proto::CheckCommentRequest { comment: Some(comment("Another one.")), ..request };
    let status = client.comments.check_comment(other).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(status.get_error_details().error_info().unwrap().reason, "request-id-reused");
    let no_uuid = proto::CheckCommentRequest { request_id: "7".into(), ..check(comment(HAM)) };
    assert_eq!(
        client.comments.check_comment(no_uuid).await.unwrap_err().code(),
        Code::InvalidArgument
    );
}

#[tokio::test]
async fn floods_are_told_when_to_come_back() {
    let service = Service::start().await;
    let mut client = service.client().await;
    let sent = || proto::Comment { ip: "192.0.2.7".into(), ..comment("First!") };
    client.comments.check_comment(check(sent())).await.unwrap();
    let status = client.comments.check_comment(check(sent())).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().reason, "comment-flood");
    let wait = details.retry_info().unwrap().retry_delay.unwrap();
    assert!(wait > Duration::from_secs(10) && wait <= Duration::from_secs(15), "{wait:?}");
    let elsewhere = proto::Comment { ip: "198.51.100.7".into(), ..comment("First! Or not?") };
    client.comments.check_comment(check(elsewhere)).await.unwrap();
}

#[tokio::test]
async fn a_batch_answers_each_comment_exactly_once() {
    let service = Service::start().await;
    let mut client = service.client().await;
    let requests: Vec<_> = (0..700)
        .map(|number| {
            let mut sent = comment(&format!("Reply number {number}: I agree with point {number}."));
            if number % 100 == 7 {
                sent.email = "nobody".into();
            }
            proto::BatchCheckCommentsRequest {
                correlation_id: number.to_string(),
                parent: "sites/default".into(),
                comment: Some(sent),
                request_id: String::new(),
            }
        })
        .collect();
    let stream = client.comments.batch_check_comments(tokio_stream::iter(requests)).await;
    let mut answers = stream.unwrap().into_inner();
    let mut seen: HashMap<String, bool> = HashMap::new();
    while let Some(answer) = answers.next().await {
        let answer = answer.unwrap();
        let good = match answer.result.unwrap() {
            proto::batch_check_comments_response::Result::Comment(_) => true,
            proto::batch_check_comments_response::Result::Error(error) => {
                assert_eq!(error.reason, "invalid-fields");
                assert_eq!(error.field_violations[0].field, "comment.email");
                false
            }
        };
        assert!(seen.insert(answer.correlation_id, good).is_none(), "answered twice");
    }
    assert_eq!(seen.len(), 700);
    assert_eq!(seen.values().filter(|good| !**good).count(), 7);
}

#[tokio::test]
async fn feedback_counts_for_the_next_comment() {
    let service = Service::start().await;
    let mut client = service.client().await;
    let campaign = |town: &str| {
        comment(&format!(
            "Our friendly team repairs washing machines in {town} within one day and at a fair \
             price, simply give us a call and ask for the discount of this week"
        ))
    };
    let first = client.comments.check_comment(check(campaign("Leipzig"))).await.unwrap();
    let name = first.into_inner().comment.unwrap().name;
    let feedback = proto::SubmitFeedbackRequest {
        name: name.clone(),
        label: Label::Spam.into(),
        reporter: proto::Reporter::Moderator.into(),
        reporter_name: "erika".into(),
        note: "a campaign; complaints to erika@example.org".into(),
    };
    let answer = client.comments.submit_feedback(feedback).await.unwrap().into_inner();
    assert_eq!(answer.comment.unwrap().state(), State::Rejected);
    assert!(answer.ledger_position >= 1);
    let variant = client.comments.check_comment(check(campaign("Dresden"))).await.unwrap();
    let variant = variant.into_inner().comment.unwrap();
    assert_eq!(variant.verdict(), Verdict::Reject, "{variant:?}");
    assert!(variant.signals.iter().any(|signal| signal.name == "near-rejected"), "{variant:?}");

    let mistaken = proto::SubmitFeedbackRequest {
        name,
        label: Label::Ham.into(),
        ..proto::SubmitFeedbackRequest::default()
    };
    let answer = client.comments.submit_feedback(mistaken).await.unwrap().into_inner();
    assert_eq!(answer.comment.unwrap().state(), State::Approved);
    let variant = client.comments.check_comment(check(campaign("Chemnitz"))).await.unwrap();
    let variant = variant.into_inner().comment.unwrap();
    assert_eq!(variant.verdict(), Verdict::Approve, "{variant:?}");
}

#[tokio::test]
async fn feedback_about_nothing_is_refused() {
    let service = Service::start().await;
    let mut client = service.client().await;
    let feedback = |name: &str, label: i32| proto::SubmitFeedbackRequest {
        name: name.into(),
        label,
        ..proto::SubmitFeedbackRequest::default()
    };
    let unknown = "sites/default/comments/00000000-0000-7000-8000-000000000000";
    let ham = i32::from(Label::Ham);
    let mut code = async |name, label| {
        client.comments.submit_feedback(feedback(name, label)).await.unwrap_err().code()
    };
    assert_eq!(code(unknown, ham).await, Code::NotFound);
    assert_eq!(code("comments/1", ham).await, Code::InvalidArgument);
    assert_eq!(code(unknown, 0).await, Code::InvalidArgument);
    assert_eq!(code(unknown, 99).await, Code::InvalidArgument);
}

#[tokio::test]
async fn an_expired_deadline_ends_the_call() {
    let service = Service::start().await;
    let mut client = service.client().await;
    let mut request = Request::new(check(comment(HAM)));
    request.set_timeout(Duration::from_nanos(1));
    let status = client.comments.check_comment(request).await.unwrap_err();
    assert!(matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled), "{status:?}");
    client.comments.check_comment(check(comment(HAM))).await.unwrap();
}

#[tokio::test]
async fn a_public_name_does_not_turn_the_page() {
    let service = Service::start().await;
    let mut client = service.client().await;
    let author = "Eve\u{202E}gpj\u{2067}".to_owned();
    let sent = proto::Comment { author, ..comment("Thanks, the second drawing helped me.") };
    let answer = client.comments.check_comment(check(sent)).await.unwrap().into_inner();
    assert_eq!(answer.comment.unwrap().public_comment.unwrap().author, "Evegpj");
}

#[tokio::test]
async fn hostile_texts_get_a_verdict() {
    let service = Service::start().await;
    let mut client = service.client().await;
    let links = "http://a.example ".repeat(3_800);
    let zalgo = "Z\u{0310}\u{0342}\u{0317}\u{0332}".repeat(6_000);
    let hostile = [
        "x".repeat(60_000),
        links,
        zalgo,
        "\u{202e}\u{2066}abc\u{200b}".repeat(3_000),
        "[url=".repeat(10_000),
        "<a href=".repeat(8_000),
        "@.".repeat(30_000),
        "a@b.".repeat(15_000),
        "\u{1f469}\u{200d}\u{1f467}".repeat(5_000),
    ];
    for text in hostile {
        let sent = proto::Comment { email: fresh_email(), ..comment(&text) };
        let answer = client.comments.check_comment(check(sent)).await.unwrap().into_inner();
        assert!(answer.comment.unwrap().score.is_some());
    }
    let long = client.comments.check_comment(check(comment(&"y".repeat(1_000_000)))).await;
    let status = long.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let huge = client.comments.check_comment(check(comment(&"y".repeat(3 << 20)))).await;
    assert_eq!(huge.unwrap_err().code(), Code::InvalidArgument);
}
