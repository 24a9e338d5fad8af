//! Webhooks: from a decision to a receiver over real HTTPS, and what receivers may do wrong.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use prost_reflect::{DescriptorPool, DynamicMessage};
use replyguard::grpc::client::{Client, FieldMask};
use replyguard::grpc::proto::{self, DecisionAction, DeliveryState};
use replyguard::moderation::ports::webhooks::{SendError, WebhookMessage, WebhookSender};
use replyguard::webhooks::{HttpsSender, SenderOptions};
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::Code;
use tonic_types::StatusExt;
use url::form_urlencoded;

use crate::akismet::send_body;
use crate::support::backend::{Backend, on_each_backend};
use crate::support::desk::{SITE, send, service_that_holds_on, service_that_holds_with, variant};
use crate::support::receiver::{Answer, Arrived, Receiver};
use crate::support::service::{Service, wait_for};

async fn service_for(receiver: &Receiver) -> (Service, Client) {
    service_on(Backend::Sqlite, receiver).await
}

async fn service_on(backend: Backend, receiver: &Receiver) -> (Service, Client) {
    let certificate = receiver.certificate();
    let flags = ["--webhook-private-targets", "true", "--webhook-ca-file", certificate];
    service_that_holds_on(backend, &flags).await
}

async fn create(client: &mut Client, uri: &str) -> Result<(String, String), tonic::Status> {
    let webhook = Some(proto::Webhook { uri: uri.into(), ..proto::Webhook::default() });
    let request = proto::CreateWebhookRequest { parent: SITE.into(), webhook };
    let made = client.webhooks.create_webhook(request).await?.into_inner();
    Ok((made.webhook.unwrap().name, made.secret))
}

async fn decide(client: &mut Client, comment: &str, action: DecisionAction) -> String {
    let request = proto::DecideCommentRequest {
        name: comment.into(),
        action: action.into(),
        moderator: "Jane".into(),
        ..Default::default()
    };
    let answer = client.reviews.decide_comment(request).await.unwrap().into_inner();
    answer.decision.unwrap().decision
}

async fn set_disabled(client: &mut Client, name: &str, disabled: bool) -> proto::Webhook {
    let request = proto::UpdateWebhookRequest {
        webhook: Some(proto::Webhook { name: name.into(), disabled, ..Default::default() }),
        update_mask: Some(FieldMask { paths: vec!["disabled".into()] }),
    };
    client.webhooks.update_webhook(request).await.unwrap().into_inner().webhook.unwrap()
}

async fn deliveries(client: &mut Client, webhook: &str) -> Vec<proto::Delivery> {
    let request = proto::ListDeliveriesRequest { parent: webhook.into(), ..Default::default() };
    client.webhooks.list_deliveries(request).await.unwrap().into_inner().deliveries
}

/// Waits until so many messages arrived.
async fn arrived(receiver: &Receiver, count: usize) -> Vec<Arrived> {
    wait_for(&format!("{count} messages"), async || {
        Some(receiver.arrived()).filter(|arrived| arrived.len() >= count)
    })
    .await
}

/// Waits until the last delivery stands there.
async fn delivery_in(client: &mut Client, webhook: &str, state: DeliveryState) -> proto::Delivery {
    let client = &*client;
    wait_for("the last delivery's state", async || {
        let found = deliveries(&mut client.clone(), webhook).await.into_iter().next();
        found.filter(|delivery| delivery.state() == state && delivery.attempt_count > 0)
    })
    .await
}

/// Waits until there are so many deliveries and all have ended well.
async fn all_delivered(client: &Client, webhook: &str, count: usize) {
    wait_for("the end of all deliveries", async || {
        let found = deliveries(&mut client.clone(), webhook).await;
        let done = |one: &proto::Delivery| one.state() == DeliveryState::Delivered;
        (found.len() == count && found.iter().all(done)).then_some(())
    })
    .await;
}

/// Whether one of a message's signatures is of this secret, computed as its receiver would.
fn is_signed(arrived: &Arrived, secret: &str) -> bool {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    let signed = [arrived.header("webhook-id"), arrived.header("webhook-timestamp")].join(".");
    mac.update(signed.as_bytes());
    mac.update(b".");
    mac.update(&arrived.body);
    let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    arrived.header("webhook-signature").split(' ').any(|signature| signature == expected)
}

/// Comment and state of each decision of these messages, in the order of arrival.
fn told(arrived: &[Arrived]) -> Vec<(String, String)> {
    let decisions = arrived.iter().flat_map(|message| {
        message.json()["data"]["decisions"].as_array().cloned().unwrap_or_default()
    });
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    decisions.map(|decision| (text(&decision["comment"]), text(&decision["state"]))).collect()
}

on_each_backend!(
    decisions_arrive_signed_and_undone_ones_too,
    who_was_away_misses_nothing_and_gets_it_in_order,
);

async fn decisions_arrive_signed_and_undone_ones_too(backend: Backend) {
    let receiver = Receiver::start().await;
    let (service, mut client) = service_on(backend, &receiver).await;
    let (webhook, secret) = create(&mut client, &receiver.uri("/hook?site=1")).await.unwrap();

    let comment = send(&mut client, variant(1)).await.name;
    let decision = decide(&mut client, &comment, DecisionAction::Approve).await;
    let message = arrived(&receiver, 1).await.remove(0);
    assert_eq!(message.path, "/hook?site=1");
    assert_eq!(message.header("content-type"), "application/json");
    assert!(is_signed(&message, &secret));
    assert!(!is_signed(&message, &format!("whsec_{}", STANDARD.encode([0; 32]))));

    // What it tells is the contract's own message.
    let json = message.json();
    assert_eq!(json["type"], "comments.decided");
    let pool = DescriptorPool::decode(proto::DESCRIPTORS).unwrap();
    let descriptor = pool.get_message_by_name("replyguard.v1.CommentDecision").unwrap();
    let told_decision = &json["data"]["decisions"][0];
    let parsed = DynamicMessage::deserialize(descriptor, told_decision).unwrap();
    let parsed: proto::CommentDecision = parsed.transcode_to().unwrap();
    assert_eq!((parsed.comment.as_str(), parsed.decision.as_str()), (&*comment, &*decision));
    assert_eq!(parsed.state(), proto::State::Approved);
    assert_eq!(parsed.label(), proto::Label::Ham);

    // Its token goes on with the stream.
    let undo = proto::UndoDecisionRequest { name: decision, ..Default::default() };
    let mut undone = client.reviews.undo_decision(undo).await.unwrap().into_inner();
    while undone.message().await.unwrap().is_some() {}
    let request = proto::WatchDecisionsRequest {
        parent: SITE.into(),
        resume_token: json["data"]["resumeToken"].as_str().unwrap().into(),
    };
    let mut stream = client.comments.watch_decisions(request).await.unwrap().into_inner();
    stream.message().await.unwrap();
    let next = stream.message().await.unwrap().unwrap().decision.unwrap();
    assert_eq!((next.action.as_str(), next.state()), ("undo", proto::State::Held));
    let messages = arrived(&receiver, 2).await;
    assert_eq!(told(&messages[1..]), [(comment, "STATE_HELD".to_owned())]);
    assert_ne!(messages[0].header("webhook-id"), messages[1].header("webhook-id"));

    let delivery = delivery_in(&mut client, &webhook, DeliveryState::Delivered).await;
    assert_eq!((delivery.attempt_count, delivery.status_code), (1, Some(204)));
    let (_, metrics) = service.page("/metrics").await;
    assert!(metrics.contains("replyguard_webhook_attempts_total{outcome=\"delivered\"} 2"));
    // The secret is in the answer and nowhere else.
    assert!(!service.printed().contains(&secret));
}

async fn who_was_away_misses_nothing_and_gets_it_in_order(backend: Backend) {
    let receiver = Receiver::start().await;
    let (mut service, mut client) = service_on(backend, &receiver).await;
    let (webhook, _) = create(&mut client, &receiver.uri("/")).await.unwrap();

    // It breaks at first, then the service is killed, and more is decided meanwhile.
    receiver.answer([Answer::Status(500, Vec::new())]);
    let mut expected = Vec::new();
    for n in 0..3 {
        let comment = send(&mut client, variant(n)).await.name;
        decide(&mut client, &comment, DecisionAction::RejectSpam).await;
        if n == 0 {
            let failed = delivery_in(&mut client, &webhook, DeliveryState::Pending).await;
            assert_eq!((failed.failure.as_str(), failed.status_code), ("refused", Some(500)));
            assert!(failed.next_attempt_time.is_some());
            service.kill_and_restart().await;
            client = service.client().await;
        }
        expected.push((comment, "STATE_REJECTED".to_owned()));
    }
    // Somebody changes his mind.
    let first = expected[0].0.clone();
    decide(&mut client, &first, DecisionAction::Approve).await;
    expected.push((first, "STATE_APPROVED".to_owned()));

    // Who says that it runs again does not wait for the next attempt.
    set_disabled(&mut client, &webhook, false).await;
    let messages = wait_for("all decisions", async || {
        let messages = receiver.arrived();
        (told(&messages[1..]).len() >= expected.len()).then_some(messages)
    })
    .await;
    assert_eq!(told(&messages[1..]), expected);
    assert_eq!(messages[0].header("webhook-id"), messages[1].header("webhook-id"));
    assert_eq!(messages[0].body, messages[1].body);
}

#[tokio::test]
async fn a_decision_on_many_is_told_in_parts() {
    let receiver = Receiver::start().await;
    let (_service, mut client) = service_for(&receiver).await;
    for n in 0..120 {
        send(&mut client, variant(n)).await;
    }
    let (webhook, _) = create(&mut client, &receiver.uri("/")).await.unwrap();
    let request = proto::BatchDecideCommentsRequest {
        parent: SITE.into(),
        selection: Some(proto::DecisionSelection { filter: "state:held".into(), comments: vec![] }),
        action: DecisionAction::RejectSpam.into(),
        ..Default::default()
    };
    let mut stream = client.reviews.batch_decide_comments(request).await.unwrap().into_inner();
    while stream.message().await.unwrap().is_some() {}
    let messages = arrived(&receiver, 2).await;
    let counts: Vec<_> = messages.iter().map(|one| told(std::slice::from_ref(one)).len()).collect();
    assert_eq!(counts, [100, 20]);
    let known: HashMap<_, _> = told(&messages).into_iter().collect();
    assert_eq!(known.len(), 120, "each comment once");
    delivery_in(&mut client, &webhook, DeliveryState::Delivered).await;
}

#[tokio::test]
async fn webhooks_can_be_stopped_replayed_rotated_and_removed() {
    let receiver = Receiver::start().await;
    let (_service, mut client) = service_for(&receiver).await;
    let (webhook, old) = create(&mut client, &receiver.uri("/?token=sesame")).await.unwrap();

    // Disabled: what is decided waits.
    assert!(set_disabled(&mut client, &webhook, true).await.disabled);
    let comment = send(&mut client, variant(1)).await.name;
    decide(&mut client, &comment, DecisionAction::Approve).await;
    let rotate = proto::RotateWebhookSecretRequest { name: webhook.clone() };
    let new = client.webhooks.rotate_webhook_secret(rotate).await.unwrap().into_inner().secret;
    assert!(receiver.arrived().is_empty());
    set_disabled(&mut client, &webhook, false).await;
    let message = arrived(&receiver, 1).await.remove(0);
    assert!(is_signed(&message, &old) && is_signed(&message, &new) && old != new);

    // Again, the same.
    let delivered = delivery_in(&mut client, &webhook, DeliveryState::Delivered).await;
    let replay = proto::ReplayDeliveryRequest { name: delivered.name.clone() };
    let replayed = client.webhooks.replay_delivery(replay.clone()).await.unwrap().into_inner();
    assert!(replayed.delivery.unwrap().replayed);
    let messages = arrived(&receiver, 2).await;
    assert_eq!(messages[1].header("webhook-id"), messages[0].header("webhook-id"));
    assert_eq!(messages[1].body, messages[0].body);

    // A receiver that is gone says so once. What is under way still cannot be replayed.
    delivery_in(&mut client, &webhook, DeliveryState::Delivered).await;
    receiver.answer([Answer::Status(410, Vec::new())]);
    client.webhooks.replay_delivery(replay).await.unwrap();
    let get = proto::GetWebhookRequest { name: webhook.clone() };
    wait_for("the webhook to be disabled", async || {
        let found = client.clone().webhooks.get_webhook(get.clone()).await.unwrap().into_inner();
        found.webhook.unwrap().disabled.then_some(())
    })
    .await;

    let delete = proto::DeleteWebhookRequest { name: webhook.clone() };
    client.webhooks.delete_webhook(delete.clone()).await.unwrap();
    let gone = client.webhooks.delete_webhook(delete).await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
    let audit = proto::ListAuditEntriesRequest { parent: SITE.into(), ..Default::default() };
    let entries =
        client.reviews.list_audit_entries(audit).await.unwrap().into_inner().audit_entries;
    let actions: Vec<_> = entries.iter().map(|entry| entry.action.as_str()).collect();
    for action in ["create-webhook", "rotate-webhook-secret", "replay-delivery", "delete-webhook"] {
        assert!(actions.contains(&action), "{action} is not in {actions:?}");
    }
    let gone = entries.iter().find(|entry| entry.actor == "webhooks").unwrap();
    assert_eq!(gone.action, "update-webhook");
    let secrets = [old, new];
    let shown = format!("{entries:?}");
    assert!(secrets.iter().all(|secret| !shown.contains(secret)));
    assert!(shown.contains("/?…") && !shown.contains("sesame"), "moderators read the log too");
}

/// What a message of Akismet's tells: guid and result of each comment.
fn akismet_told(arrived: &Arrived) -> Vec<(String, String)> {
    let comments = arrived.json()["comments"].as_array().cloned().unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    comments.iter().map(|one| (text(&one["guid"]), text(&one["result"]))).collect()
}

/// A dead delivery that was replayed published what was called spam since.
#[tokio::test]
async fn akismets_clients_hear_where_a_comment_stands_now() {
    let receiver = Receiver::start().await;
    let (service, mut client) = service_for(&receiver).await;
    let key = service.first.akismet_key.clone().unwrap();
    let callback = receiver.uri("/akismet");
    let fields = [
        ("api_key", key.as_str()),
        ("blog", "https://blog.example.org"),
        ("comment_author", "Ada"),
        ("comment_author_email", "ada@example.org"),
        ("comment_content", "Does the dough rise in a cold kitchen as well, or only by an oven?"),
        ("comment_post_ID", "1"),
        ("callback", callback.as_str()),
    ];
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let held = send_body(&service, "rest.akismet.com", "/1.1/comment-check", &body).await;
    assert_eq!(held.status, 422, "{}", held.body);
    let guid = held.guid().to_owned();
    let comment = format!("{SITE}/comments/{guid}");
    let list = proto::ListWebhooksRequest { parent: SITE.into(), ..Default::default() };
    let webhooks = client.webhooks.list_webhooks(list).await.unwrap().into_inner().webhooks;
    let webhook = webhooks[0].name.clone();

    // Decided twice while nobody is told: told once.
    set_disabled(&mut client, &webhook, true).await;
    decide(&mut client, &comment, DecisionAction::Approve).await;
    decide(&mut client, &comment, DecisionAction::RejectSpam).await;
    set_disabled(&mut client, &webhook, false).await;
    let messages = arrived(&receiver, 1).await;
    assert_eq!(akismet_told(&messages[0]), [(guid.clone(), "true".to_owned())]);
    let first = delivery_in(&mut client, &webhook, DeliveryState::Delivered).await;

    // Replayed after somebody changed his mind.
    decide(&mut client, &comment, DecisionAction::Approve).await;
    let messages = arrived(&receiver, 2).await;
    assert_eq!(akismet_told(&messages[1]), [(guid.clone(), "false".to_owned())]);
    delivery_in(&mut client, &webhook, DeliveryState::Delivered).await;
    let replay = proto::ReplayDeliveryRequest { name: first.name };
    client.webhooks.replay_delivery(replay.clone()).await.unwrap();
    let messages = arrived(&receiver, 3).await;
    assert_eq!(akismet_told(&messages[2]), [(guid, "false".to_owned())]);

    // It knows no word for what waits again: the delivery is done, and nothing is sent.
    decide(&mut client, &comment, DecisionAction::Reopen).await;
    all_delivered(&client, &webhook, 3).await;
    client.webhooks.replay_delivery(replay).await.unwrap();
    all_delivered(&client, &webhook, 3).await;
    assert_eq!(receiver.arrived().len(), 3);
}

#[tokio::test]
async fn targets_of_the_own_network_are_refused() {
    let receiver = Receiver::start().await;
    let (_service, mut client) = service_that_holds_with(&[]).await;
    for (uri, reason) in [
        ("https://127.0.0.1:8443/", "private-target"),
        ("https://[::ffff:10.0.0.1]/", "private-target"),
        ("https://2852039166/latest/meta-data", "private-target"),
        ("http://blog.example.org/", "unencrypted"),
        ("https://me:password@blog.example.org/", "credentials"),
        ("blog.example.org", "invalid-uri"),
        ("", "invalid-uri"),
        ("file:///etc/passwd", "invalid-uri"),
    ] {
        let status = create(&mut client, uri).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{uri}");
        let details = status.get_error_details();
        let field = &details.bad_request().unwrap().field_violations[0];
        assert_eq!(field.field, "webhook.uri", "{uri}");
        assert!(field.description.starts_with(reason), "{uri}: {}", field.description);
    }
    // A name shows what it is only when it is asked for.
    let (webhook, _) = create(&mut client, &receiver.uri("/")).await.unwrap();
    let test = proto::TestWebhookRequest { name: webhook };
    let tested = client.webhooks.test_webhook(test).await.unwrap().into_inner();
    assert_eq!((tested.failure.as_str(), tested.status_code), ("private-target", None));
    assert!(receiver.arrived().is_empty());
}

#[tokio::test]
async fn a_webhook_that_the_settings_came_to_forbid_can_still_be_stopped() {
    let flags = ["--webhook-private-targets", "true"];
    let (mut service, mut client) = service_that_holds_with(&flags).await;
    let (webhook, _) = create(&mut client, "http://127.0.0.1:9/").await.unwrap();
    service.restart_with(&[]).await;
    let mut client = service.client().await;
    assert!(set_disabled(&mut client, &webhook, true).await.disabled);
    let on = proto::UpdateWebhookRequest {
        webhook: Some(proto::Webhook { name: webhook, ..Default::default() }),
        update_mask: Some(FieldMask { paths: vec!["disabled".into()] }),
    };
    let refused = client.webhooks.update_webhook(on).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn only_administrators_see_webhooks() {
    let (service, mut client) = service_that_holds_with(&[]).await;
    let (webhook, _) = create(&mut client, "https://blog.example.org/").await.unwrap();
    let request = proto::CreateKeyRequest {
        parent: SITE.into(),
        display_name: "the form".into(),
        scopes: vec![proto::KeyScope::Check.into(), proto::KeyScope::Review.into()],
    };
    let key = client.sites.create_key(request).await.unwrap().into_inner().secret;
    let mut other = service.client_with(Some(&key)).await;
    let unknown = format!("{SITE}/webhooks/{}", uuid::Uuid::nil());
    for name in [webhook, unknown.clone()] {
        let get = proto::GetWebhookRequest { name: name.clone() };
        let status = other.webhooks.get_webhook(get).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied, "{name}");
    }
    let get = proto::GetWebhookRequest { name: unknown };
    assert_eq!(client.webhooks.get_webhook(get).await.unwrap_err().code(), Code::NotFound);
    for _ in 1..20 {
        create(&mut client, "https://blog.example.org/").await.unwrap();
    }
    let status = create(&mut client, "https://blog.example.org/").await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(status.get_error_details().error_info().unwrap().reason, "too-many-webhooks");
}

/// A sender that trusts `certificate`.
fn sender(certificate: Option<&str>, timeout: Duration) -> HttpsSender {
    let ca_file = certificate.map(Into::into);
    HttpsSender::new(&SenderOptions { private_targets: true, ca_file, timeout }).unwrap()
}

fn message(uri: &str) -> WebhookMessage {
    WebhookMessage { uri: uri.parse().unwrap(), headers: Vec::new(), body: b"{}".to_vec() }
}

#[tokio::test]
async fn receivers_that_hang_lie_or_babble_end_in_a_word() {
    let receiver = Receiver::start().await;
    let patient = sender(Some(receiver.certificate()), Duration::from_secs(30));
    let hasty = sender(Some(receiver.certificate()), Duration::from_millis(300));
    receiver.answer([Answer::Hang]);
    assert_eq!(hasty.send(message(&receiver.uri("/"))).await, Err(SendError::TimedOut));

    let elsewhere = vec![("location", receiver.uri("/elsewhere"))];
    receiver.answer([Answer::Status(307, elsewhere)]);
    let moved = patient.send(message(&receiver.uri("/"))).await.unwrap();
    assert_eq!(moved.status, 307);
    assert_eq!(receiver.arrived().len(), 2, "a redirect was followed");

    let busy = vec![("retry-after", "120".to_owned())];
    receiver.answer([Answer::Status(503, busy)]);
    let busy = patient.send(message(&receiver.uri("/"))).await.unwrap();
    assert_eq!((busy.status, busy.retry_after_s), (503, Some(120)));

    // Nobody vouches for the certificate, or it is another host's.
    let doubtful = sender(None, Duration::from_secs(30));
    assert_eq!(doubtful.send(message(&receiver.uri("/"))).await, Err(SendError::Untrusted));
    let other = receiver.uri("/").replace("localhost", "127.0.0.1");
    assert_eq!(patient.send(message(&other)).await, Err(SendError::Untrusted));
    assert_eq!(receiver.arrived().len(), 3);

    let unknown = patient.send(message("https://no-such-host.invalid/")).await;
    assert_eq!(unknown, Err(SendError::Unresolved));
}

/// What was taken was sent again and again, since the answer's body was waited for within the
/// message's own time.
#[tokio::test]
async fn an_answer_whose_body_does_not_end_is_as_good_as_its_head() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let receiver = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = [0; 4_096];
        let _ = stream.read(&mut asked).await;
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf ";
        stream.write_all(head).await.unwrap();
        // Until the sender has enough of it.
        while stream.read(&mut asked).await.is_ok_and(|count| count > 0) {}
    });
    // Less than the body is waited for.
    let hasty = sender(None, Duration::from_millis(1_500));
    let sent = hasty.send(message(&format!("http://{address}/"))).await;
    assert_eq!(sent.map(|receipt| receipt.status), Ok(200));
    receiver.await.unwrap();
}

#[tokio::test]
async fn other_protocols_are_garbled_answers() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let babbler = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = [0; 16];
            let _ = stream.read(&mut asked).await;
            let _ = stream.write_all(b"220 mail.example.org ESMTP\r\n").await;
        }
    });
    let sender = sender(None, Duration::from_secs(30));
    for scheme in ["http", "https"] {
        let sent = sender.send(message(&format!("{scheme}://{address}/"))).await;
        assert_eq!(sent, Err(SendError::Garbled), "{scheme}");
    }
    babbler.abort();
    let _ = babbler.await;
    let nobody = sender.send(message(&format!("http://{address}/"))).await;
    assert_eq!(nobody, Err(SendError::Unreachable));
}
