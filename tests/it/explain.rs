//! Explanations as the console and operators get them.

use replyguard::grpc::client::{Client, Code};
use replyguard::grpc::proto;
use replyguard::grpc::proto::explain_comment_request::Subject;

use crate::support::service::{Service, check, comment};

const SITE: &str = "sites/default";
const SPAM: &str = "Great bonus at our casino, play now: https://casino-bonus.example.com/win";

fn request(subject: Option<Subject>) -> proto::ExplainCommentRequest {
    proto::ExplainCommentRequest { parent: SITE.into(), subject, model_version: String::new() }
}

async fn explain(client: &mut Client, subject: Subject) -> proto::Explanation {
    let answer = client.models.explain_comment(request(Some(subject))).await.unwrap();
    answer.into_inner().explanation.unwrap()
}

/// The parts of each group, and all groups with the bias, must be the sums that are shown.
fn assert_sums(explanation: &proto::Explanation) {
    for group in &explanation.groups {
        let parts = explanation.parts.iter().filter(|part| part.group == group.name);
        assert_eq!(parts.map(|part| part.weight).sum::<f64>(), group.weight, "{}", group.name);
    }
    let groups: f64 = explanation.groups.iter().map(|group| group.weight).sum();
    assert_eq!(groups + explanation.bias, explanation.raw_score);
    let parts: f64 = explanation.parts.iter().map(|part| part.weight).sum();
    assert_eq!(parts + explanation.bias, explanation.raw_score);
}

#[tokio::test]
async fn a_checked_comment_is_explained_as_it_was_judged() {
    let service = Service::start().await;
    let mut client = service.client().await;
    let sent = || proto::Comment {
        text: format!("{SPAM} or write to jane.doe@example.org"),
        url: "https://casino-bonus.example.com".into(),
        ..comment("")
    };
    client.comments.check_comment(check(sent())).await.unwrap();
    // The second one has a neighbour; that must count in its explanation although the text alone
    // does not show it.
    let second = client.comments.check_comment(check(sent())).await.unwrap().into_inner();
    let second = second.comment.unwrap();
    assert!(second.signals.iter().any(|signal| signal.name.contains("duplicate")), "{second:?}");
    let explanation = explain(&mut client, Subject::Name(second.name.clone())).await;
    assert_eq!(Some(explanation.raw_score), second.raw_score);
    assert_eq!(explanation.verdict, second.verdict);
    assert_sums(&explanation);
    assert!(!explanation.text.contains("jane.doe") && explanation.text.contains("casino"));
    let casino = explanation.parts.iter().find(|part| part.name == "word:casino").unwrap();
    let span = &casino.spans[0];
    assert_eq!(span.field, "comment.text");
    assert_eq!(&explanation.text[span.start as usize..span.end as usize], "casino");
}

#[tokio::test]
async fn a_flip_is_what_a_check_then_says() {
    let service = Service::start().await;
    let mut client = service.client().await;
    let explanation = explain(&mut client, Subject::Comment(comment(SPAM))).await;
    assert_sums(&explanation);
    let flip = explanation.flip.unwrap();
    assert_ne!(flip.verdict, explanation.verdict);
    let mut text = explanation.text.clone();
    for span in flip.removed.iter().rev() {
        assert_eq!(span.field, "comment.text", "{flip:?}");
        text.replace_range(span.start as usize..span.end as usize, "");
    }
    let again = explain(&mut client, Subject::Comment(comment(&text))).await;
    assert_eq!((again.verdict, again.score), (flip.verdict, flip.score));
}

#[tokio::test]
async fn what_cannot_be_explained_is_said() {
    let service = Service::start().await;
    let mut client = service.client().await;
    let missing = format!("{SITE}/comments/01890000-0000-7000-8000-000000000000");
    let foreign = missing.replace("default", "elsewhere");
    let fresh = || Subject::Comment(comment("Thanks for the recipe"));
    let unknown_model =
        proto::ExplainCommentRequest { model_version: "none-1".into(), ..request(Some(fresh())) };
    for (request, code) in [
        (request(None), Code::InvalidArgument),
        (request(Some(Subject::Name("nonsense".into()))), Code::InvalidArgument),
        (request(Some(Subject::Name(missing))), Code::NotFound),
        (request(Some(Subject::Name(foreign))), Code::NotFound),
        (request(Some(Subject::Comment(comment("")))), Code::InvalidArgument),
        (unknown_model, Code::NotFound),
    ] {
        let status = client.models.explain_comment(request.clone()).await.unwrap_err();
        assert_eq!(status.code(), code, "{request:?}: {status:?}");
    }
}

#[tokio::test]
async fn the_command_line_explains() {
    let service = Service::start().await;
    // Spam for any model, so that some words less flip it.
    let spam = format!("Best online casino, free spins, instant payout, no deposit! {SPAM}");
    let output = service.command(&["models", "explain", &spam]);
    let text = String::from_utf8(output.stdout).unwrap();
    // What flips it is the model's to say.
    for part in ["word:casino", "style", "bias", "without “"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let output = service.command(&["models", "explain", SPAM, "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(json["parts"][0]["spans"].is_array(), "{json}");
}
