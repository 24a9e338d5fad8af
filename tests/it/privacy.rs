//! No e-mail address and no IP is ever on disk, in Redis, in a log, a metric, an error or an
//! answer: marked ones go through every path and are searched for everywhere.

use replyguard::grpc::proto;
use replyguard::grpc::proto::explain_comment_request::Subject;
use replyguard::grpc::proto::export_author_request::Author;
use tokio_stream::StreamExt;

use crate::console::administrator;
use crate::support::backend::{Backend, on_each_backend};
use crate::support::desk::SITE;
use crate::support::receiver::Receiver;
use crate::support::redis::RedisServer;
use crate::support::service::{check, comment, wait_for};
use crate::support::visitor::Visitor;

on_each_backend!(
    marked_addresses_are_found_nowhere,
    moderators_and_receivers_see_no_address,
    other_ways_in_and_out_keep_no_address,
);

/// What must not be found again, in any of the forms in which it was sent.
const MARKS: [&str; 10] = [
    "xanthippe.marked",
    "quokka-mailbox",
    "zebra.hidden",
    "ocelot77",
    "axolotl-name",
    "203.0.113.77",
    "2001:db8:77:77::77",
    "narwhal+tag",
    "pangolin#odd",
    "203.0.113.99",
];

/// A comment with marked addresses in every field and disguise.
pub fn marked() -> proto::Comment {
    proto::Comment {
        text: "Write to quokka-mailbox@example.org or zebra.hidden [at] example [dot] com, or \
               ocelot77(at)example.net, ocelot77&#64;example.net, ocelot77＠example.net; my \
               address is 203.0.113.77... source:203.0.113.77: by the way."
            .into(),
        author: "axolotl-name@example.org".into(),
        email: "xanthippe.marked@example.org".into(),
        url:
            "https://example.org/?contact=xanthippe.marked%40example.org&u=narwhal+tag@example.org"
                .into(),
        ip: "203.0.113.77".into(),
        user_agent: "Browser (xanthippe.marked@example.org)".into(),
        referrer: "https://example.net/?mail=quokka-mailbox@example.org&ip=203.0.113.77".into(),
        page_uri: "https://blog.example/post?from=zebra.hidden@example.com".into(),
        page_title: "Ask quokka-mailbox@example.org".into(),
        parent_comment: "reply-to-xanthippe.marked@example.org".into(),
        ..comment("")
    }
}

pub fn assert_clean(place: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).to_lowercase();
    for mark in MARKS {
        assert!(!text.contains(mark), "`{mark}` was found in {place}");
    }
}

async fn marked_addresses_are_found_nowhere(backend: Backend) {
    let redis = RedisServer::start().await;
    let service = backend.start(&["--redis-url", &redis.url(), "--log", "trace"]).await;
    let mut client = service.client().await;
    let answer = client.comments.check_comment(check(marked())).await.unwrap().into_inner();
    let checked = answer.comment.unwrap();
    assert_clean("the answer", format!("{checked:?}").as_bytes());
    let name = checked.name.clone();
    let read = client.comments.get_comment(proto::GetCommentRequest { name: name.clone() }).await;
    assert_clean("the comment read back", format!("{read:?}").as_bytes());

    // A Redis that misses its 25 ms on a busy machine lets one more through.
    let flood = wait_for("a flood to be refused", async || {
        client.clone().comments.check_comment(check(marked())).await.err()
    })
    .await;
    assert_clean("the flood's error", format!("{flood:?}").as_bytes());
    let invalid = proto::Comment {
        email: "xanthippe.marked@@example.org".into(),
        ip: "203.0.113.777".into(),
        url: "ftp://xanthippe.marked@example.org".into(),
        ..marked()
    };
    let invalid = client.comments.check_comment(check(invalid)).await.unwrap_err();
    assert_clean("the invalid fields' error", format!("{invalid:?}").as_bytes());
    let v6 = proto::Comment {
        ip: "2001:db8:77:77::77".into(),
        email: "narwhal+tag@example.org".into(),
        text: "My router says 2001:db8:77:77::77..., source:2001:db8:77:77::77. Write to \
               narwhal+tag@example.org"
            .into(),
        author: "Jo".into(),
        ..proto::Comment::default()
    };
    let v6 = client.comments.check_comment(check(v6)).await.unwrap().into_inner();
    assert_clean("the second answer", format!("{v6:?}").as_bytes());
    let odd = proto::Comment {
        email: "pangolin#odd@example.org".into(),
        text: "I am pangolin#odd@example.org, or Pangolin#Odd@Example.ORG.".into(),
        author: "Pangolin#odd@example.org".into(),
        url: "https://example.org/?me=pangolin#odd@example.org".into(),
        ..proto::Comment::default()
    };
    let odd = client.comments.check_comment(check(odd)).await.unwrap().into_inner();
    assert_clean("the third answer", format!("{odd:?}").as_bytes());
    for entry in ["spammer@evil.example.org", "203.0.113.99"] {
        let policy =
            proto::SitePolicy { reject_words: vec![entry.into()], ..proto::SitePolicy::default() };
        let site = proto::Site {
            name: "sites/default".into(),
            policy: Some(policy),
            ..proto::Site::default()
        };
        let request = proto::UpdateSiteRequest { site: Some(site), update_mask: None };
        let refused = client.sites.update_site(request).await.unwrap_err();
        assert!(refused.message().contains("contains-address"), "{refused:?}");
    }
    let feedback = proto::SubmitFeedbackRequest {
        name,
        label: proto::Label::Spam.into(),
        reporter: proto::Reporter::Reader.into(),
        reporter_name: "xanthippe.marked@example.org".into(),
        note: "seen from quokka-mailbox@example.org at 203.0.113.99".into(),
    };
    let feedback = client.comments.submit_feedback(feedback).await.unwrap();
    assert_clean("the feedback's answer", format!("{feedback:?}").as_bytes());

    let (_, metrics) = service.page("/metrics").await;
    assert_clean("the metrics", metrics.as_bytes());
    assert_clean("the log", service.printed().as_bytes());
    let dump = redis.dump();
    let holds = |part: &str| dump.windows(part.len()).any(|bytes| bytes == part.as_bytes());
    assert!(holds("{default}:author:"), "limits are counted in Redis");
    assert!(holds("{default}:recent"), "recent content is shared in Redis");
    assert_clean("Redis", &dump);
    for words in ["Write to", "by the way", "My router", "mailbox"] {
        assert!(!holds(words), "Redis has prints and no text: `{words}`");
    }
    let stored = service.stored_bytes();
    assert!(stored.len() >= 2, "database and first-site.json");
    for (path, bytes) in stored {
        assert_clean(&path.display().to_string(), &bytes);
    }
}

async fn moderators_and_receivers_see_no_address(backend: Backend) {
    let receiver = Receiver::start().await;
    let certificate = receiver.certificate();
    let flags = ["--webhook-private-targets", "true", "--webhook-ca-file", certificate];
    let flags = [&flags[..], &["--log", "trace"]].concat();
    let service = backend.start(&flags).await;
    let mut client = service.client().await;
    let uri = receiver.uri("/");
    let webhook = Some(proto::Webhook { uri, ..Default::default() });
    let webhook = proto::CreateWebhookRequest { parent: SITE.into(), webhook };
    let secret = client.webhooks.create_webhook(webhook).await.unwrap().into_inner().secret;
    let answer = client.comments.check_comment(check(marked())).await.unwrap().into_inner();
    let name = answer.comment.unwrap().name;
    let decision = proto::DecideCommentRequest {
        name: name.clone(),
        action: proto::DecisionAction::Reopen.into(),
        note: "ask quokka-mailbox@example.org, who writes from 203.0.113.99".into(),
        moderator: "xanthippe.marked@example.org".into(),
        ..Default::default()
    };
    // It may be held already; then rejecting it says more.
    let decided = client.reviews.decide_comment(decision.clone()).await;
    let action = proto::DecisionAction::RejectOther.into();
    let rejected = proto::DecideCommentRequest { action, ..decision };
    let rejected = client.reviews.decide_comment(rejected).await.unwrap();
    assert_clean("the decisions", format!("{decided:?} {rejected:?}").as_bytes());
    let arrived = wait_for("the webhook", async || {
        let arrived = receiver.arrived();
        arrived
            .iter()
            .any(|one| one.body.windows(14).any(|part| part == b"STATE_REJECTED"))
            .then_some(arrived)
    })
    .await;
    for message in arrived {
        assert_clean("a webhook's message", format!("{:?}", message.headers).as_bytes());
        assert_clean("a webhook's message", &message.body);
    }
    let reviewed = proto::GetReviewedCommentRequest { name: name.clone() };
    let reviewed = client.reviews.get_reviewed_comment(reviewed).await.unwrap().into_inner();
    assert_clean("the comment in review", format!("{reviewed:?}").as_bytes());
    let author = reviewed.comment.unwrap().author_fingerprint;
    let audit = proto::ListAuditEntriesRequest { parent: SITE.into(), ..Default::default() };
    let audit = client.reviews.list_audit_entries(audit).await.unwrap();
    assert_clean("the audit log", format!("{audit:?}").as_bytes());

    let mut admin = administrator(&service).await;
    let id = name.rsplit('/').next().unwrap();
    for rest in [
        "".to_owned(),
        format!("/comments/{id}"),
        format!("/campaigns/{id}"),
        format!("/authors/{author}"),
        "/search?q=state:rejected".into(),
        "/decisions".into(),
        "/audit".into(),
        "/overview".into(),
        "/webhooks".into(),
    ] {
        let page = admin.get(&format!("/console/sites/default{rest}")).await;
        assert_eq!(page.status, 200, "{rest}");
        assert_clean(&format!("the page {rest}"), page.body.as_bytes());
    }
    // What a moderator looks for is nobody else's business either.
    for (condition, status) in [("", 200), ("page:", 200), ("author:", 400), ("since:", 400)] {
        let sought = format!("{condition}zebra.hidden@example.com");
        let request = proto::ListCommentsRequest {
            parent: SITE.into(),
            filter: sought.clone(),
            ..Default::default()
        };
        let listed = client.reviews.list_comments(request).await;
        assert_eq!(listed.is_ok(), status == 200, "{condition}");
        assert_clean("the list or its error", format!("{listed:?}").as_bytes());
        let search = "/console/sites/default/search";
        let query = format!("{search}?order=oldest&q={}", sought.replace('@', "%40"));
        let led = admin.get(&query).await;
        assert_eq!(led.status, 303, "{}", led.body);
        assert_clean("the way on", format!("{:?} {}", led.headers, led.body).as_bytes());
        let page = admin.get(led.header("location")).await;
        assert_eq!(page.status, status, "{}", page.body);
        assert!(page.body.contains("z•••@e•••.com"), "what is sought is masked: {}", page.body);
        assert_clean("the page of the search", page.body.as_bytes());
        let all = "/console/sites/default/decide-all";
        let fields = [("filter", sought.as_str()), ("action", "reject-spam")];
        let preview = admin.submit(led.header("location"), all, &fields).await;
        assert_eq!(preview.status, status, "{}", preview.body);
        assert_clean("the preview", preview.body.as_bytes());
    }
    assert_clean("the log", service.printed().as_bytes());
    assert!(!service.printed().contains(&secret), "a secret is in the log");
    for (path, bytes) in service.stored_bytes() {
        assert_clean(&path.display().to_string(), &bytes);
    }
}

async fn other_ways_in_and_out_keep_no_address(backend: Backend) {
    let service = backend.start(&["--log", "trace"]).await;
    let mut client = service.client().await;
    // Akismet's dialect.
    let key = service.first.akismet_key.clone().unwrap();
    let sent = marked();
    let fields = [
        ("api_key", key.as_str()),
        ("blog", "https://blog.example"),
        ("user_ip", &sent.ip),
        ("user_agent", &sent.user_agent),
        ("referrer", &sent.referrer),
        ("permalink", &sent.page_uri),
        ("comment_author", &sent.author),
        ("comment_author_email", &sent.email),
        ("comment_author_url", &sent.url),
        ("comment_content", &sent.text),
    ];
    let mut wordpress = Visitor::new(&service.first.http);
    for operation in ["comment-check", "submit-spam", "submit-ham"] {
        let answer = wordpress.post(&format!("/1.1/{operation}"), &fields).await;
        assert_eq!(answer.status, 200, "{operation}: {}", answer.body);
        assert_clean(operation, format!("{:?} {}", answer.headers, answer.body).as_bytes());
    }
    // Imports, explanations, exports.
    let example = proto::Example {
        comment: Some(marked()),
        label: proto::Label::Spam.into(),
        source: "archive".into(),
        label_time: None,
    };
    let request = proto::ImportExamplesRequest { parent: SITE.into(), examples: vec![example] };
    client.models.import_examples(tokio_stream::iter([request])).await.unwrap();
    let subject = Some(Subject::Comment(marked()));
    let request =
        proto::ExplainCommentRequest { parent: SITE.into(), subject, ..Default::default() };
    let explained = client.models.explain_comment(request).await.unwrap();
    assert_clean("the explanation", format!("{explained:?}").as_bytes());
    for export in [&["export"][..], &["examples", "export"]] {
        let output = service.command(export);
        assert!(output.status.success() && !output.stdout.is_empty(), "{export:?}");
        assert_clean(&format!("{export:?}"), &[output.stdout, output.stderr].concat());
    }
    let author = Some(Author::AuthorEmail(marked().email));
    let request = proto::ExportAuthorRequest { parent: SITE.into(), author };
    let records = client.comments.export_author(request).await.unwrap().into_inner();
    let records: Vec<_> = records.collect().await;
    assert!(records.len() >= 2, "the comment and the example: {records:?}");
    assert_clean("the author's export", format!("{records:?}").as_bytes());
    // The console's page about a person, and what is left when the person is erased.
    let mut admin = administrator(&service).await;
    let privacy = "/console/sites/default/privacy";
    let found = admin.submit(privacy, privacy, &[("email", &marked().email)]).await;
    assert_eq!(found.status, 200, "{}", found.body);
    assert_clean("the page about a person", found.body.as_bytes());
    let wrong = admin.submit(privacy, privacy, &[("email", "xanthippe.marked@@example.org")]).await;
    assert_eq!(wrong.status, 400);
    assert_clean("the page about a wrong address", wrong.body.as_bytes());
    let (_, author) = found.body.split_once("name=\"author\" value=\"").expect("a person");
    let note = ("note", "asked by xanthippe.marked@example.org");
    let fields = [("author", &author[..32]), ("confirmed", "yes"), note];
    let erased = admin.submit(privacy, &format!("{privacy}/erase"), &fields).await;
    assert_eq!(erased.status, 303, "{}", erased.body);
    for rest in ["/privacy", "/audit"] {
        let page = admin.get(&format!("/console/sites/default{rest}")).await;
        assert_clean(rest, page.body.as_bytes());
    }
    assert_clean("the metrics", service.page("/metrics").await.1.as_bytes());
    assert_clean("the log", service.printed().as_bytes());
    for (path, bytes) in service.stored_bytes() {
        assert_clean(&path.display().to_string(), &bytes);
    }
}
