//! A site's labels and models, as a client of the service meets them.

use replyguard::grpc::client::{Client, FieldMask, Message};
use replyguard::grpc::longrunning::operation::Result as Ended;
use replyguard::grpc::{longrunning, proto};

use super::service::{check, comment};

/// The site of all tests.
pub const SITE: &str = "sites/default";

/// An example of a baker's site, whose own spam the base model does not know.
pub fn example(number: usize, spam: bool) -> proto::Example {
    let ham = [
        "My loaf rose twice as high with the longer rest",
        "Which flour do you use for the sourdough starter in winter",
        "The crust was too hard, maybe my oven is hotter than yours",
        "I kept the dough in the fridge for a day and it worked",
    ];
    let lots = [
        "Wholesale sourdough starter lots, pallets leave every Monday from our depot",
        "Our depot has pallets of flour and sourdough starter lots for resellers",
        "Resellers wanted for starter lots, our depot ships pallets to your door",
    ];
    let text = if spam { lots[number % 3] } else { ham[number % 4] };
    proto::Example {
        comment: Some(proto::Comment {
            text: format!("{text}, {}", spelled(number)),
            author: format!("Baker {number}"),
            email: format!("baker{number}@example.org"),
            ..proto::Comment::default()
        }),
        label: i32::from(if spam { proto::Label::Spam } else { proto::Label::Ham }),
        source: "archive".into(),
        label_time: None,
    }
}

/// A number in letters, since digits say little.
pub fn spelled(number: usize) -> String {
    number.to_string().bytes().map(|digit| char::from(digit - b'0' + b'a')).collect()
}

/// Labels as they come in time, of both kinds.
pub fn archive(count: usize) -> Vec<proto::Example> {
    (0..count).map(|number| example(number, number % 3 == 0)).collect()
}

pub async fn import(client: &mut Client, examples: Vec<proto::Example>) -> (i64, i64) {
    let request = proto::ImportExamplesRequest { parent: SITE.into(), examples };
    let answer = client.models.import_examples(tokio_stream::iter([request])).await.unwrap();
    let answer = answer.into_inner();
    (answer.imported_count, answer.known_count)
}

pub async fn ended(client: &mut Client, name: &str) -> longrunning::Operation {
    loop {
        let request = longrunning::WaitOperationRequest { name: name.into(), timeout: None };
        let operation = client.operations.wait_operation(request).await.unwrap().into_inner();
        if operation.done {
            return operation;
        }
    }
}

pub async fn train(client: &mut Client) -> Result<proto::Model, String> {
    let request = proto::TrainModelRequest { parent: SITE.into(), ..Default::default() };
    let operation = client.models.train_model(request).await.unwrap().into_inner();
    match ended(client, &operation.name).await.result.unwrap() {
        Ended::Response(any) => {
            assert_eq!(any.type_url, "type.googleapis.com/replyguard.v1.TrainModelResponse");
            let response = proto::TrainModelResponse::decode(any.value.as_slice()).unwrap();
            Ok(response.model.unwrap())
        }
        Ended::Error(status) => Err(status.message),
    }
}

pub async fn checked(client: &mut Client, text: &str) -> proto::CheckedComment {
    let answer = client.comments.check_comment(check(comment(text))).await.unwrap();
    answer.into_inner().comment.unwrap()
}

pub async fn promote(
    client: &mut Client,
    name: &str,
    note: &str,
) -> Result<proto::Model, replyguard::grpc::client::Status> {
    let request = proto::PromoteModelRequest {
        name: name.into(),
        force: !note.is_empty(),
        note: note.into(),
    };
    client.models.promote_model(request).await.map(|answer| answer.into_inner().model.unwrap())
}

/// Changes one field of the site's policy.
pub async fn set_policy(client: &mut Client, policy: proto::SitePolicy, path: &str) {
    let site = proto::Site { name: SITE.into(), policy: Some(policy), ..Default::default() };
    let update_mask = Some(FieldMask { paths: vec![path.into()] });
    let request = proto::UpdateSiteRequest { site: Some(site), update_mask };
    client.sites.update_site(request).await.unwrap();
}

/// Lets comments come as fast as they are checked.
pub async fn without_limits(client: &mut Client) {
    let limits = Some(proto::Limits::default());
    let policy = proto::SitePolicy { limits, ..Default::default() };
    set_policy(client, policy, "policy.limits").await;
}

/// Enough labels that a training takes a while.
pub async fn many_labels(client: &mut Client) {
    for chunk in 0..4 {
        let first = 1_000 * (chunk + 1);
        let examples = (first..first + 500).map(|number| {
            let mut example = example(number, number % 3 == 0);
            let comment = example.comment.as_mut().unwrap();
            // Long ones, so that there is time to look at the work and to cancel it.
            let words = (0..100).map(|word| spelled(number * 7_919 + word * 104_729));
            comment.text = format!("{} {}", words.collect::<Vec<_>>().join(" "), comment.text);
            example
        });
        import(client, examples.collect()).await;
    }
}
