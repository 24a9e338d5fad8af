//! A site sees nothing of another: every RPC, every page and form of the console, and every
//! operation of Akismet's dialect is tried by somebody of another site. What is not listed here
//! fails the test, so that nothing new is forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bytes::{Buf, BufMut};
use hyper::Method;
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor};
use replyguard::grpc::client::{Client, Message, to_json};
use replyguard::grpc::proto;
use serde_json::{Value, json};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::console::{administrator, moderator};
use crate::support::desk::{SITE, send, service_that_holds, variant};
use crate::support::models::{archive, import, train, without_limits};
use crate::support::service::{PATIENCE, Service};
use crate::support::visitor::{Answer, Visitor};

/// A word that stands in everything of the first site that has words.
const MARK: &str = "xyzzymark";

/// The names of what the first site has.
struct Names {
    comment: String,
    campaign: String,
    author: String,
    decision: String,
    model: String,
    operation: String,
    webhook: String,
    key: String,
}

/// Fills the first site, so that there is something to be seen.
async fn filled() -> (Service, Client, Names) {
    let (service, mut client) = service_that_holds().await;
    without_limits(&mut client).await;
    let marked = |n: usize| {
        let mut comment = variant(n);
        comment.text = format!("{} {MARK}", comment.text);
        comment.author = format!("Author {MARK}");
        comment
    };
    let comment = send(&mut client, marked(1)).await.name;
    for n in 2..5 {
        send(&mut client, marked(n)).await;
    }
    let decided = proto::DecideCommentRequest {
        name: comment.clone(),
        action: proto::DecisionAction::Approve.into(),
        note: format!("a note with {MARK}"),
        ..Default::default()
    };
    client.reviews.decide_comment(decided).await.unwrap();
    let parent = SITE.to_owned();
    let list = proto::ListDecisionsRequest { parent: parent.clone(), ..Default::default() };
    let decisions = client.reviews.list_decisions(list).await.unwrap().into_inner().decisions;
    let read = proto::GetReviewedCommentRequest { name: comment.clone() };
    let read = client.reviews.get_reviewed_comment(read).await.unwrap().into_inner();
    let read = to_json("replyguard.v1.GetReviewedCommentResponse", &read);
    let webhook = proto::CreateWebhookRequest {
        parent: parent.clone(),
        webhook: Some(proto::Webhook {
            uri: format!("https://hooks.example.org/{MARK}"),
            ..Default::default()
        }),
    };
    let webhook = client.webhooks.create_webhook(webhook).await.unwrap().into_inner();
    let key = proto::CreateKeyRequest {
        parent: parent.clone(),
        display_name: format!("key {MARK}"),
        scopes: vec![proto::KeyScope::Check.into()],
    };
    let key = client.sites.create_key(key).await.unwrap().into_inner().key.unwrap();
    import(&mut client, archive(240)).await;
    let model = train(&mut client).await.unwrap();
    let names = Names {
        campaign: last(&comment),
        author: find(&read, "author_id").unwrap_or_else(|| "0".repeat(32)),
        comment,
        decision: decisions[0].name.clone(),
        operation: format!("{SITE}/operations/{}", uuid()),
        model: model.name,
        webhook: webhook.webhook.unwrap().name,
        key: key.name,
    };
    (service, client, names)
}

fn uuid() -> &'static str {
    "00000000-0000-7000-8000-000000000000"
}

/// The last part of a name.
fn last(name: &str) -> String {
    name.rsplit('/').next().unwrap().to_owned()
}

/// The first text under a field anywhere in a message.
fn find(value: &Value, field: &str) -> Option<String> {
    match value {
        Value::Object(fields) => fields.iter().find_map(|(name, value)| match value.as_str() {
            Some(text) if name == field && !text.is_empty() => Some(text.to_owned()),
            _ => find(value, field),
        }),
        Value::Array(items) => items.iter().find_map(|item| find(item, field)),
        _ => None,
    }
}

/// What a call needs: a scope of the site, one of two, a scope of any site, or any key of the site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    Scope(proto::KeyScope),
    OperateOrAdminister,
    Administer,
    AnyKeyOfTheSite,
}

/// Every RPC with a request about the first site.
fn requests(names: &Names) -> BTreeMap<&'static str, (Needs, Value)> {
    let comment =
        json!({ "text": "Hello there, well said.", "author": "Eve", "email": "eve@example.org" });
    let check = Needs::Scope(proto::KeyScope::Check);
    let review = Needs::Scope(proto::KeyScope::Review);
    let operate = Needs::Scope(proto::KeyScope::Operate);
    let parent = || json!({ "parent": SITE });
    let named = |name: &str| json!({ "name": name });
    let selection = json!({ "comments": [names.comment] });
    let delivery = format!("{}/deliveries/{}", names.webhook, uuid());
    let administer = |service: &str, list: Vec<(&'static str, Value)>| -> Vec<_> {
        assert!(!service.is_empty());
        list.into_iter().map(|(rpc, request)| (rpc, (Needs::Administer, request))).collect()
    };
    let mut all = vec![
        ("CommentService.CheckComment", (check, json!({ "parent": SITE, "comment": comment }))),
        (
            "CommentService.BatchCheckComments",
            (check, json!({ "parent": SITE, "comment": comment })),
        ),
        ("CommentService.GetComment", (check, named(&names.comment))),
        (
            "CommentService.SubmitFeedback",
            (check, json!({ "name": names.comment, "label": 1, "reporter": 1 })),
        ),
        (
            "CommentService.WatchDecisions",
            (check, json!({ "parent": SITE, "resume_token": "start" })),
        ),
        (
            "CommentService.EraseAuthor",
            (Needs::OperateOrAdminister, json!({ "parent": SITE, "comment": names.comment })),
        ),
        (
            "CommentService.ExportAuthor",
            (Needs::OperateOrAdminister, json!({ "parent": SITE, "comment": names.comment })),
        ),
        ("ReviewService.ListQueueEntries", (review, parent())),
        ("ReviewService.ListComments", (review, parent())),
        ("ReviewService.GetReviewedComment", (review, named(&names.comment))),
        ("ReviewService.DecideComment", (review, json!({ "name": names.comment, "action": 2 }))),
        (
            "ReviewService.PreviewDecision",
            (review, json!({ "parent": SITE, "selection": selection, "action": 2 })),
        ),
        (
            "ReviewService.BatchDecideComments",
            (review, json!({ "parent": SITE, "selection": selection, "action": 2 })),
        ),
        ("ReviewService.UndoDecision", (review, named(&names.decision))),
        ("ReviewService.ListDecisions", (review, parent())),
        ("ReviewService.ClaimComment", (review, named(&names.comment))),
        ("ReviewService.ReleaseComment", (review, named(&names.comment))),
        ("ReviewService.WatchQueue", (review, parent())),
        ("ReviewService.ListAuditEntries", (review, parent())),
        ("ReviewService.GetOverview", (review, parent())),
        ("ModelService.TrainModel", (operate, parent())),
        ("ModelService.EvaluateModel", (operate, named(&names.model))),
        ("ModelService.ProveModel", (operate, named(&names.model))),
        ("ModelService.ListModels", (operate, parent())),
        ("ModelService.GetModel", (operate, named(&names.model))),
        ("ModelService.PromoteModel", (operate, json!({ "name": names.model, "force": true }))),
        ("ModelService.RollBackModel", (operate, parent())),
        ("ModelService.ShadowModel", (operate, named(&names.model))),
        ("ModelService.ReportShadow", (operate, parent())),
        ("ModelService.ImportExamples", (operate, parent())),
        ("ModelService.ExportExamples", (operate, parent())),
        (
            "ModelService.RetractExamples",
            (operate, json!({ "parent": SITE, "comment": names.comment })),
        ),
        ("ModelService.ReportDrift", (operate, parent())),
        ("ModelService.PreviewBudget", (operate, parent())),
        (
            "ModelService.ExplainComment",
            (operate, json!({ "parent": SITE, "name": names.comment })),
        ),
        ("Operations.ListOperations", (operate, named(SITE))),
        ("Operations.GetOperation", (operate, named(&names.operation))),
        ("Operations.DeleteOperation", (operate, named(&names.operation))),
        ("Operations.CancelOperation", (operate, named(&names.operation))),
        ("Operations.WaitOperation", (operate, named(&names.operation))),
        ("SiteService.GetSite", (Needs::AnyKeyOfTheSite, named(SITE))),
    ];
    all.extend(administer(
        "SiteService",
        vec![
            ("SiteService.CreateSite", json!({ "site_id": "default" })),
            ("SiteService.ListSites", json!({})),
            ("SiteService.UpdateSite", json!({ "site": { "name": SITE } })),
            ("SiteService.CreateKey", parent()),
            ("SiteService.ListKeys", parent()),
            ("SiteService.RotateKey", named(&names.key)),
            ("SiteService.RevokeKey", named(&names.key)),
            ("SiteService.RotateFingerprintKey", named(SITE)),
            ("SiteService.ExportSite", named(SITE)),
        ],
    ));
    all.extend(administer(
        "WebhookService",
        vec![
            (
                "WebhookService.CreateWebhook",
                json!({ "parent": SITE, "webhook": { "uri": "https://hooks.example.org/" } }),
            ),
            ("WebhookService.ListWebhooks", parent()),
            ("WebhookService.GetWebhook", named(&names.webhook)),
            ("WebhookService.UpdateWebhook", json!({ "webhook": { "name": names.webhook } })),
            ("WebhookService.RotateWebhookSecret", named(&names.webhook)),
            ("WebhookService.DeleteWebhook", named(&names.webhook)),
            ("WebhookService.TestWebhook", named(&names.webhook)),
            ("WebhookService.ListDeliveries", parent()),
            ("WebhookService.ReplayDelivery", named(&delivery)),
        ],
    ));
    all.extend(administer(
        "ModeratorService",
        vec![
            (
                "ModeratorService.CreateModerator",
                json!({ "moderator": { "display_name": "eve", "role": 1, "sites": [SITE] } }),
            ),
            ("ModeratorService.ListModerators", json!({})),
            (
                "ModeratorService.UpdateModerator",
                json!({ "moderator": { "name": format!("moderators/{}", uuid()) } }),
            ),
            ("ModeratorService.ResetModerator", named(&format!("moderators/{}", uuid()))),
        ],
    ));
    all.into_iter().collect()
}

/// Messages as bytes, whatever their types.
#[derive(Clone, Default)]
struct Bare;

impl Codec for Bare {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Bare {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Bare {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut bytes = vec![0; buffer.remaining()];
        buffer.copy_to_slice(&mut bytes);
        Ok(Some(bytes))
    }
}

/// Calls by name, with one key.
struct Caller {
    channel: Channel,
    key: Option<String>,
}

impl Caller {
    /// Everything that a caller gets to see, as text: the status with its details, or the first
    /// message.
    async fn call(&self, method: &MethodDescriptor, request: &Value) -> String {
        let message = DynamicMessage::deserialize(method.input(), request)
            .unwrap_or_else(|error| panic!("{}: {error}", method.full_name()));
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        let path = PathAndQuery::try_from(path).unwrap();
        let mut request = Request::new(tokio_stream::iter([message.encode_to_vec()]));
        if let Some(key) = &self.key {
            request.metadata_mut().insert("x-api-key", key.parse().unwrap());
        }
        let mut client = tonic::client::Grpc::new(self.channel.clone());
        client.ready().await.unwrap();
        let first = async {
            let mut answers = client.streaming(request, path, Bare).await?.into_inner();
            answers.message().await
        };
        match tokio::time::timeout(PATIENCE, first).await {
            Err(_) => panic!("{}: a stream that is open", method.full_name()),
            Ok(Ok(None)) => "nothing".to_owned(),
            Ok(Ok(Some(bytes))) => {
                let answer = DynamicMessage::decode(method.output(), bytes.as_slice()).unwrap();
                format!("{answer:?}")
            }
            Ok(Err(status)) => format!(
                "{:?} {} {}",
                status.code(),
                status.message(),
                String::from_utf8_lossy(status.details())
            ),
        }
    }
}

async fn key(client: &mut Client, site: &str, scopes: &[proto::KeyScope]) -> String {
    let request = proto::CreateKeyRequest {
        parent: site.into(),
        display_name: "a key".into(),
        scopes: scopes.iter().map(|scope| i32::from(*scope)).collect(),
    };
    client.sites.create_key(request).await.unwrap().into_inner().secret
}

/// The same request about a site that is not there.
fn elsewhere(request: &Value) -> Value {
    let text = request.to_string().replace("sites/default", "sites/nowhere");
    serde_json::from_str(&text.replace("\"default\"", "\"nowhere\"")).unwrap()
}

fn methods() -> BTreeMap<String, MethodDescriptor> {
    let pool = DescriptorPool::decode(proto::DESCRIPTORS).unwrap();
    let services: Vec<_> = pool.services().collect();
    let all = services.iter().flat_map(|service| service.methods());
    all.map(|method| (format!("{}.{}", method.parent_service().name(), method.name()), method))
        .collect()
}

#[tokio::test]
async fn no_rpc_tells_a_foreign_key_anything() {
    use proto::KeyScope::{Administer, Check, Operate, Review};
    let (service, mut admin, names) = filled().await;
    let requests = requests(&names);
    let methods = methods();
    let listed: BTreeSet<&str> = requests.keys().copied().collect();
    let known: BTreeSet<&str> = methods.keys().map(String::as_str).collect();
    assert_eq!(listed, known, "each RPC has a request in this test (left), the contract (right)");

    let site = proto::CreateSiteRequest { site_id: "other".into(), site: None };
    admin.sites.create_site(site).await.unwrap();
    let endpoint = Endpoint::from_shared(format!("http://{}", service.first.grpc)).unwrap();
    let channel = endpoint.connect().await.unwrap();
    let caller = |key: Option<String>| Caller { channel: channel.clone(), key };
    let foreign = caller(Some(key(&mut admin, "sites/other", &[Check, Review, Operate]).await));
    let (akismet, nobody) = (caller(service.first.akismet_key.clone()), caller(None));
    let all = [Check, Review, Operate, Administer];
    let mut without = Vec::new();
    for scope in all {
        let others: Vec<_> = all.into_iter().filter(|other| *other != scope).collect();
        without.push((scope, caller(Some(key(&mut admin, SITE, &others).await))));
    }
    let modest = caller(Some(key(&mut admin, SITE, &[Check, Review]).await));
    // Keys that were right before are not slowed down by the wrong ones that follow.
    let read = &methods["SiteService.GetSite"];
    for known in without.iter().map(|(_, caller)| caller).chain([&foreign, &modest]) {
        known.call(read, &json!({ "name": SITE })).await;
    }
    for (name, (needs, request)) in &requests {
        let method = &methods[*name];
        let (here, nowhere) =
            (foreign.call(method, request).await, foreign.call(method, &elsewhere(request)).await);
        assert_eq!(here, nowhere, "{name}: a foreign site looks like one that is not there");
        let refusal = if *needs == Needs::Administer { "scope-missing" } else { "foreign-site" };
        assert!(here.contains(refusal), "{name}: {here}");
        assert!(!here.contains(MARK), "{name}: {here}");
        for (who, caller, refusal) in
            [("nobody", &nobody, "api-key-missing"), ("Akismet's key", &akismet, "api-key-invalid")]
        {
            let answer = caller.call(method, request).await;
            // From the 20th wrong key on, some are not even looked up.
            let slowed = who != "nobody" && answer.contains("failed-key-limit");
            let refused = answer.starts_with("Unauthenticated") && answer.contains(refusal);
            assert!(slowed || refused, "{name} by {who}: {answer}");
            assert!(!answer.contains(MARK), "{name} by {who}: {answer}");
        }
        let lacks = |wrong| without.iter().find(|(scope, _)| *scope == wrong).map(|(_, key)| key);
        let wrong = match needs {
            Needs::AnyKeyOfTheSite => continue,
            Needs::OperateOrAdminister => Some(&modest),
            Needs::Administer => lacks(Administer),
            Needs::Scope(scope) => lacks(*scope),
        };
        let wrong = wrong.expect("a key without it");
        let answer = wrong.call(method, request).await;
        assert!(answer.contains("scope-missing"), "{name} with a wrong scope: {answer}");
        assert!(!answer.contains(MARK), "{name}: {answer}");
    }
    // All of that changed nothing.
    let read = proto::GetReviewedCommentRequest { name: names.comment.clone() };
    let read = admin.reviews.get_reviewed_comment(read).await.unwrap().into_inner();
    let read = to_json("replyguard.v1.GetReviewedCommentResponse", &read).to_string();
    assert!(read.contains("STATE_APPROVED") && read.contains(MARK), "{read}");
    let webhook = proto::GetWebhookRequest { name: names.webhook };
    admin.webhooks.get_webhook(webhook).await.expect("the webhook is still there");
}

/// The text of each source below a folder.
fn sources(folder: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = walkdir::WalkDir::new(root).into_iter().map(Result::unwrap);
    let files = files.filter(|file| file.path().extension().is_some_and(|end| end == "rs"));
    files.map(|file| std::fs::read_to_string(file.path()).unwrap()).collect()
}

/// The routes of the console, as its sources have them: path and method.
fn routes() -> BTreeSet<(String, Method)> {
    let text = sources("src/http/console");
    let mut found = BTreeSet::new();
    for rest in text.split(".route(").skip(1) {
        let Some((_, rest)) = rest.split_once('"') else { continue };
        let (path, rest) = rest.split_once('"').unwrap();
        let handlers = rest.split(".route(").next().unwrap();
        let handlers = handlers.split("\n}").next().unwrap();
        for (word, method) in [("get(", Method::GET), ("post(", Method::POST)] {
            if handlers.contains(word) {
                found.insert((path.to_owned(), method));
            }
        }
    }
    found
}

/// A page with what differs between any two loads taken out.
fn comparable(answer: &Answer, site: &str) -> String {
    format!("{} {} {}", answer.status, answer.header("location"), answer.body)
        .replace(&format!("sites/{site}"), "sites/SITE")
}

#[tokio::test]
async fn no_page_tells_a_foreign_moderator_anything() {
    let (service, mut client, names) = filled().await;
    let site = proto::CreateSiteRequest { site_id: "other".into(), site: None };
    client.sites.create_site(site).await.unwrap();
    let mut chief = administrator(&service).await;
    let mut foreign = moderator(&service, &mut chief, "eve", &["other"]).await;
    let routes = routes();
    let of_sites = routes.iter().filter(|(path, _)| path.contains("{site}")).count();
    assert!(of_sites >= 19, "the routes are read from the sources: {routes:?}");
    for (path, method) in &routes {
        let filled = path
            .replace("{comment}", &last(&names.comment))
            .replace("{campaign}", &names.campaign)
            .replace("{author}", &names.author)
            .replace("{decision}", &last(&names.decision))
            .replace("{delivery}", uuid())
            .replace("{action}", "disable")
            .replace("{token}", &"0".repeat(64))
            .replace("{name}", "console.css");
        let filled = match path.contains("/keys/") {
            true => filled.replace("{id}", &last(&names.key)),
            false => filled.replace("{id}", &last(&names.webhook)),
        };
        if path.contains("{site}") {
            let mut answers = Vec::new();
            for site in ["default", "nowhere"] {
                let page = format!("/console{}", filled.replace("{site}", site));
                let answer = visit(&mut foreign, method, &page).await;
                assert_eq!(answer.status, 404, "{method} {page}: {}", answer.body);
                assert!(!answer.body.contains(MARK), "{method} {page}: {}", answer.body);
                answers.push(comparable(&answer, site));
            }
            assert_eq!(answers[0], answers[1], "{method} {path}: as one that is not there");
            continue;
        }
        let page = format!("/console{}", filled.trim_end_matches('/'));
        if ["/log-out", "/console/"].contains(&path.as_str()) {
            continue;
        }
        let answer = visit(&mut foreign, method, &page).await;
        assert!(!answer.body.contains(MARK), "{method} {page}: {}", answer.body);
        assert!(!answer.body.contains("sites/default"), "{method} {page}: {}", answer.body);
        if path.starts_with("/moderators") {
            assert_eq!(answer.status, 403, "{method} {page}: {}", answer.body);
        }
    }
    // Her own site is there for her, so that it is not the session that was refused.
    assert_eq!(foreign.get("/console/sites/other").await.status, 200);
    let comment = format!("/console/sites/default/comments/{}", last(&names.comment));
    let page = chief.get(&comment).await;
    assert!(page.status == 200 && page.body.contains(MARK), "and the site has something to hide");
}

/// Loads a page, or sends a form with a good token.
async fn visit(visitor: &mut Visitor, method: &Method, page: &str) -> Answer {
    match *method {
        Method::GET => visitor.get(page).await,
        _ => visitor.submit("/console/password", page, &[("action", "approve")]).await,
    }
}

#[tokio::test]
async fn no_operation_of_akismet_tells_a_foreign_key_anything() {
    let (service, mut client, names) = filled().await;
    let site = proto::CreateSiteRequest { site_id: "other".into(), site: None };
    client.sites.create_site(site).await.unwrap();
    let foreign = key(&mut client, "sites/other", &[proto::KeyScope::Akismet]).await;
    let text = sources("src/http/akismet");
    let operations: BTreeSet<&str> = text
        .split("{version}/")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .filter(|name| *name != "test")
        .collect();
    assert!(operations.len() >= 10, "the operations are read from the source: {operations:?}");
    let read = proto::GetCommentRequest { name: names.comment.clone() };
    let before = client.comments.get_comment(read.clone()).await.unwrap().into_inner();
    let full = last(&service.first.key);
    for operation in operations {
        for (who, key) in [("foreign", &*foreign), ("wrong", "0123456789ab"), ("gRPC's", &*full)] {
            let guid = last(&names.comment);
            let fields = [
                ("api_key", key),
                ("key", key),
                ("blog", "https://default.example.org"),
                ("site", SITE),
                ("user_ip", "198.51.100.7"),
                ("user_agent", "Browser/1.0"),
                ("comment_author", "Eve"),
                ("comment_content", "What does the other site say?"),
                ("comment_id", &guid),
                ("akismet_guid", &guid),
                ("guid", &guid),
                ("recheck_reason", "edit"),
            ];
            let mut visitor = Visitor::new(&service.first.http);
            let answer = visitor.post(&format!("/1.1/{operation}"), &fields).await;
            let seen = format!("{:?} {}", answer.headers, answer.body);
            assert!(!seen.contains(MARK), "{operation} by {who}: {seen}");
            assert!(!seen.contains("sites/default"), "{operation} by {who}: {seen}");
            if who != "foreign" {
                let refused = answer.body.contains("invalid") || answer.status >= 400;
                let silent = operation == "deactivate" || refused;
                assert!(silent, "{operation} by {who}: {} {seen}", answer.status);
            }
        }
    }
    let after = client.comments.get_comment(read).await.unwrap().into_inner();
    assert_eq!(before, after, "nothing of the first site was changed");
}
