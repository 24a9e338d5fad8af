//! Akismet's dialect over real HTTP, in the shapes in which its clients write it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use replyguard::grpc::client::Client;
use replyguard::grpc::proto;
use replyguard::moderation::ports::webhooks::{WebhookMessage, WebhookSender};
use replyguard::webhooks::{HttpsSender, SenderOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::form_urlencoded;

use crate::support::clock::Clock;
use crate::support::desk::{SITE, service_that_holds, service_that_holds_with, variant};
use crate::support::models::set_policy;
use crate::support::receiver::Receiver;
use crate::support::service::{Service, command, wait_for};

const THANKS: &str = "Thanks for making the web a better place.";

/// An answer, as bytes on the wire.
pub struct Reply {
    pub status: u16,
    head: String,
    pub body: String,
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1);
        lines.find_map(|line| {
            let (known, value) = line.split_once(':')?;
            known.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    pub fn guid(&self) -> &str {
        self.header("x-akismet-guid").expect("a guid on every answer")
    }

    fn json(&self) -> serde_json::Value {
        assert_eq!(self.header("content-type"), Some("application/json"));
        serde_json::from_str(&self.body).expect("JSON")
    }
}

/// Sends bytes as they are and reads the answer to the end.
async fn send_raw(service: &Service, request: &[u8]) -> Reply {
    let mut stream = TcpStream::connect(&service.first.http).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Reply { status, head: head.to_owned(), body: body.to_owned() }
}

pub async fn send_body(service: &Service, host: &str, path: &str, body: &str) -> Reply {
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nUser-Agent: WordPress/7.1 | \
         Akismet/5.7.2\r\nContent-Type: application/x-www-form-urlencoded; charset=UTF-8\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    send_raw(service, request.as_bytes()).await
}

fn form(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// Sends fields with the key in the body.
async fn send(service: &Service, operation: &str, fields: &[(&str, &str)]) -> Reply {
    let key = service.first.akismet_key.clone().expect("a key for Akismet's clients");
    let fields = [&[("api_key", key.as_str())], fields].concat();
    send_body(service, "rest.akismet.com", &format!("/1.1/{operation}"), &form(&fields)).await
}

/// A good comment.
fn comment() -> Vec<(&'static str, &'static str)> {
    vec![
        ("blog", "https://blog.example.org"),
        ("user_ip", "::ffff:192.0.2.7"),
        ("user_agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("permalink", "https://blog.example.org/rye-bread"),
        ("comment_type", "comment"),
        ("comment_author", "Ada"),
        ("comment_author_email", "ada@example.org"),
        (
            "comment_content",
            "It\\'s the first recipe with rye that worked in my oven. How long do you let it rest?",
        ),
        ("comment_date_gmt", "2026-11-24 09:30:00"),
        ("comment_post_ID", "1"),
        ("blog_lang", "en_US"),
        ("POST_ak_hp_textarea", ""),
        ("POST_ak_js", "41000"),
        ("HTTP_COOKIE", "wordpress_logged_in=secret"),
        ("akismet_comment_nonce", "inactive"),
    ]
}

/// With another value of a field.
fn with<'a>(
    fields: &[(&'a str, &'a str)],
    name: &'a str,
    value: &'a str,
) -> Vec<(&'a str, &'a str)> {
    let kept = fields.iter().filter(|(known, _)| *known != name).copied();
    kept.chain([(name, value)]).collect()
}

fn spam() -> Vec<(&'static str, &'static str)> {
    let fields = with(&comment(), "comment_author", "Best Online Casino Bonus");
    let fields = with(&fields, "comment_author_url", "https://casino-bonus.example.com/free-spins");
    let fields = with(&fields, "comment_author_email", "promo@casino-bonus.example.com");
    let fields = with(&fields, "user_ip", "198.51.100.9");
    with(
        &fields,
        "comment_content",
        "Play at the best online casino now: free spins, no deposit bonus, instant payout! \
         <a href=\\\"https://casino-bonus.example.com/free-spins\\\">casino bonus</a> \
         https://casino-bonus.example.com/slots https://casino-bonus.example.com/poker cheap viagra",
    )
}

#[tokio::test]
async fn good_is_false_and_spam_is_true() {
    let service = Service::start().await;
    let good = send(&service, "comment-check", &comment()).await;
    assert_eq!((good.status, good.body.as_str()), (200, "false"), "{}", good.head);
    assert_eq!(good.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(good.header("x-replyguard-verdict"), Some("approve"));
    let score: f64 = good.header("x-replyguard-score").unwrap().parse().unwrap();
    assert!(score < 0.5 && good.header("x-replyguard-model").is_some());
    for name in ["x-akismet-error", "x-akismet-debug-help", "x-akismet-alert-code"] {
        assert!(good.header(name).is_none(), "one client throws when it sees {name}");
    }
    let spam = send(&service, "comment-check", &spam()).await;
    assert_eq!((spam.status, spam.body.as_str()), (200, "true"), "{}", spam.head);
    assert_ne!(spam.guid(), good.guid());

    // Three copies of a slow WordPress are one comment.
    let again = send(&service, "comment-check", &comment()).await;
    assert_eq!((again.body.as_str(), again.guid()), ("false", good.guid()));

    // It is recorded as a gRPC comment is, without the backslashes and the address.
    let mut client = service.client().await;
    let name = format!("{SITE}/comments/{}", good.guid());
    let read = client.comments.get_comment(proto::GetCommentRequest { name }).await.unwrap();
    let read = read.into_inner().comment.unwrap();
    assert!(read.public_comment.unwrap().text.starts_with("It's the first recipe"));
    assert!(good.header("x-replyguard-comment").unwrap().ends_with(good.guid()));
    let stored = service.stored_bytes();
    for (path, bytes) in stored {
        let text = String::from_utf8_lossy(&bytes);
        for mark in ["ada@example.org", "192.0.2.7", "wordpress_logged_in"] {
            assert!(!text.contains(mark), "{mark} is in {}", path.display());
        }
    }
}

#[tokio::test]
async fn keys_are_taken_wherever_clients_put_them() {
    let service = Service::start().await;
    let key = service.first.akismet_key.clone().unwrap();
    assert!(
        key.len() == 12 && key.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase())
    );
    let blog = "blog=https%3A%2F%2Fblog.example.org";
    for (host, path, body) in [
        ("rest.akismet.com", "/1.1/verify-key", format!("key={key}&{blog}")),
        ("rest.akismet.com", "/1.1/verify-key", format!("api_key={key}")),
        ("rest.akismet.com", &*format!("/1.1/verify-key?api_key={key}"), blog.to_owned()),
        (&*format!("{key}.rest.akismet.com"), "/1.1/verify-key", blog.to_owned()),
        (&*format!("{key}.rest.akismet.com:80"), "/1.1/verify-key", String::new()),
    ] {
        let reply = send_body(&service, host, path, &body).await;
        assert_eq!((reply.status, reply.body.as_str()), (200, "valid"), "{host} {path} {body}");
        assert!(!reply.guid().is_empty());
    }
    for body in ["key=0123456789ab", "key=", "", "key=zz", &format!("key={}", service.first.key)] {
        let reply = send_body(&service, "rest.akismet.com", "/1.1/verify-key", body).await;
        assert_eq!((reply.status, reply.body.as_str()), (200, "invalid"), "{body}");
        assert!(reply.header("x-akismet-debug-help").is_some() && !reply.guid().is_empty());
    }
    // The key is good for this dialect and nothing else.
    let mut other = service.client_with(Some(&key)).await;
    let request = proto::GetSiteRequest { name: SITE.into() };
    assert!(other.sites.get_site(request).await.is_err());
}

#[tokio::test]
async fn who_guesses_keys_is_slowed_down_and_the_site_is_not() {
    let service = Service::start().await;
    let known = send(&service, "verify-key", &[]).await;
    assert_eq!(known.body, "valid");
    assert!(guess(&service, 22).await > 0);
    assert_eq!(send(&service, "verify-key", &[]).await.body, "valid");
}

/// Sends wrong keys until so many were looked up. How many were refused unseen: with the reason, and
/// none for longer than a second.
async fn guess(service: &Service, count: usize) -> usize {
    let refused_count = AtomicUsize::new(0);
    for n in 0..count {
        let body = format!("key={n:012x}");
        let reply = wait_for("a key to be looked up", async || {
            let path = "/1.1/verify-key";
            let reply = send_body(service, "rest.akismet.com", path, &body).await;
            if reply.status != 429 {
                return Some(reply);
            }
            refused_count.fetch_add(1, Ordering::Relaxed);
            assert!(reply.header("x-akismet-error").unwrap().contains("wrong keys"));
            let seconds: u64 = reply.header("retry-after").unwrap().parse().unwrap();
            assert!(seconds <= 2 && reply.body.is_empty(), "{}", reply.head);
            None
        })
        .await;
        assert_eq!((reply.status, reply.body.as_str()), (200, "invalid"));
    }
    refused_count.into_inner()
}

#[tokio::test]
async fn a_key_that_was_not_seen_yet_gets_in_between_wrong_ones() {
    let service = Service::start().await;
    assert!(guess(&service, 23).await > 0);
    // As after a restart, this process never saw its key.
    wait_for("the site to get in", async || {
        (send(&service, "verify-key", &[]).await.body == "valid").then_some(())
    })
    .await;
}

#[tokio::test]
async fn odd_requests_get_an_answer_with_a_guid() {
    let service = Service::start().await;
    let key = service.first.akismet_key.clone().unwrap();
    // HTTP/1.0, a field without `=`, bytes that are no UTF-8, a lone per cent sign.
    let body = format!("api_key={key}&blog=x&user_role&comment_content=caf%e9+%&user_ip=nowhere");
    let request = format!(
        "POST /1.1/comment-check HTTP/1.0\r\nHost: rest.akismet.com\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let odd = send_raw(&service, request.as_bytes()).await;
    assert!(["true", "false", ""].contains(&odd.body.as_str()), "{}", odd.body);
    assert!(!odd.guid().is_empty());

    let blank = send(&service, "comment-check", &with(&comment(), "blog", "")).await;
    assert_eq!(blank.body, "invalid");
    assert!(blank.header("x-akismet-debug-help").unwrap().contains("blog"));
    let empty = send(&service, "comment-check", &[("blog", "https://blog.example.org")]).await;
    assert_eq!(empty.body, "invalid");

    // Fields that gRPC would refuse are left out; a long comment is cut.
    let long = "x".repeat(100_000);
    let fields = with(&comment(), "comment_author_email", "not an address");
    let fields = with(&fields, "comment_author_url", "javascript:alert(1)");
    let fields = with(&fields, "comment_content", &long);
    let checked = send(&service, "comment-check", &fields).await;
    assert!(checked.status == 200 || checked.status == 422, "{}", checked.head);
    let huge = "x".repeat(300_000);
    let refused =
        send(&service, "comment-check", &with(&comment(), "comment_content", &huge)).await;
    assert_eq!(refused.status, 413);
    assert!(!refused.guid().is_empty());
}

#[tokio::test]
async fn a_hidden_field_counts_whatever_a_robot_wrote_into_it() {
    let service = Service::start().await;
    let mut client = service.client().await;
    let long = "x".repeat(70_000);
    let filled = [("POST_ak_hp_textarea", "filled"), ("POST_ak_hp_textarea", "\0"), ("hp", &*long)];
    for (n, (field, value)) in filled.into_iter().enumerate() {
        let (email, ip) = (format!("robot{n}@example.org"), format!("198.51.100.{n}"));
        let fields = with(&spam(), "comment_author_email", &email);
        let fields = with(&fields, "user_ip", &ip);
        let fields = with(&fields, "honeypot_field_name", "hp");
        let caught = check_in_time(&service, &with(&fields, field, value)).await;
        assert_eq!((caught.status, &*caught.body), (200, "true"), "{n}: {}", caught.head);
        let read = read(&mut client, &caught).await;
        assert!(has(&read, "honeypot-filled"), "{n}: {:?}", read.signals);
    }
}

/// The answer to a check. A machine with other tests to run may take longer for it than the 300 ms
/// that a reader waits.
async fn check_in_time(service: &Service, fields: &[(&str, &str)]) -> Reply {
    wait_for("an answer in time", async || {
        let reply = send(service, "comment-check", fields).await;
        (reply.status != 503).then_some(reply)
    })
    .await
}

/// The comment that was checked.
async fn read(client: &mut Client, reply: &Reply) -> proto::CheckedComment {
    let request = proto::GetCommentRequest { name: format!("{SITE}/comments/{}", reply.guid()) };
    client.comments.get_comment(request).await.unwrap().into_inner().comment.unwrap()
}

fn has(comment: &proto::CheckedComment, name: &str) -> bool {
    comment.signals.iter().any(|signal| signal.name == name)
}

#[tokio::test]
async fn a_bad_byte_hides_neither_name_nor_website() {
    let (service, mut client) = service_that_holds().await;
    let fields = with(&comment(), "comment_author", "Cheap\tViagra\0");
    let fields = with(&fields, "comment_author_url", "casino.example/?x=://");
    let held = check_in_time(&service, &fields).await;
    let known = read(&mut client, &held).await;
    assert!(has(&known, "keyword-name"), "{:?}", known.signals);
    let public = known.public_comment.unwrap();
    assert_eq!((&*public.author, &*public.url), ("Cheap Viagra", "http://casino.example/?x=://"));

    // What was approved without a website speaks for nobody who signs with one, readable or not.
    let text =
        "Our oven takes three loaves at once. How would you change the time for all of them?";
    let approved = with(&comment(), "comment_content", text);
    let approved = with(&approved, "comment_author_email", "bo@example.org");
    let approved = with(&approved, "user_ip", "192.0.2.8");
    let held = check_in_time(&service, &approved).await;
    decide(&mut client, held.guid(), proto::DecisionAction::Approve).await;
    for (n, (url, lent)) in
        [("", true), ("https:/casino.example", false), ("ftp://casino.example", false)]
            .into_iter()
            .enumerate()
    {
        let (email, ip) = (format!("robot{n}@example.org"), format!("198.51.100.{n}"));
        let fields = with(&approved, "comment_author_email", &email);
        let fields = with(&fields, "user_ip", &ip);
        let sent = check_in_time(&service, &with(&fields, "comment_author_url", url)).await;
        let known = read(&mut client, &sent).await;
        assert_eq!(has(&known, "near-approved"), lent, "{url}: {:?}", known.signals);
    }
}

#[tokio::test]
async fn fixed_answers_and_tests_record_nothing() {
    let service = Service::start().await;
    for (name, value, expected) in [
        ("comment_author", "viagra-test-123", "true"),
        ("comment_author", "akismet-guaranteed-spam", "true"),
        ("comment_author_email", "akismet-guaranteed-spam@example.com", "true"),
        ("user_role", "editor,administrator", "false"),
    ] {
        let reply = send(&service, "comment-check", &with(&comment(), name, value)).await;
        assert_eq!(reply.body, expected, "{value}");
    }
    let administrator = with(&spam(), "user_role", "administrator");
    assert_eq!(send(&service, "comment-check", &administrator).await.body, "false");
    // WordPress asks about a pingback before it has fetched the text, too.
    for (field, value) in [("is_test", "1"), ("is_test", "True"), ("akismet_pre_check", "1")] {
        let tried = send(&service, "comment-check", &with(&spam(), field, value)).await;
        assert_eq!(tried.body, "true");
    }
    let learnt = send(&service, "submit-ham", &with(&spam(), "is_test", "1")).await;
    assert_eq!(learnt.body, THANKS);
    let usage = send(&service, "usage-limit", &[]).await.json();
    assert_eq!(usage["usage"], 0);
    // `is_test=False` is a live comment.
    let live = send(&service, "comment-check", &with(&spam(), "is_test", "False")).await;
    assert_eq!(live.body, "true");
    assert_eq!(send(&service, "usage-limit", &[]).await.json()["usage"], 1);
}

async fn decide(client: &mut Client, guid: &str, action: proto::DecisionAction) {
    let request = proto::DecideCommentRequest {
        name: format!("{SITE}/comments/{guid}"),
        action: action.into(),
        ..Default::default()
    };
    client.reviews.decide_comment(request).await.unwrap();
}

#[tokio::test]
async fn held_comments_wait_and_decisions_reach_those_who_ask_again() {
    let (service, mut client) = service_that_holds().await;
    let held = send(&service, "comment-check", &comment()).await;
    assert_eq!((held.status, held.body.as_str()), (422, ""));
    assert!(held.header("x-akismet-error").unwrap().contains("moderator"));
    let guid = held.guid().to_owned();

    // WordPress asks again by cron: the same, until somebody decides.
    let retry = with(&comment(), "recheck_reason", "retry");
    let asked = send(&service, "comment-check", &retry).await;
    assert_eq!((asked.status, asked.guid()), (422, guid.as_str()));
    decide(&mut client, &guid, proto::DecisionAction::Approve).await;
    assert_eq!(send(&service, "comment-check", &retry).await.body, "false");
    decide(&mut client, &guid, proto::DecisionAction::RejectSpam).await;
    let asked = send(&service, "comment-check", &retry).await;
    assert_eq!((asked.body.as_str(), asked.guid()), ("true", guid.as_str()));
    let usage = send(&service, "usage-limit", &[]).await.json();
    assert_eq!(usage["usage"], 1, "asking again is no new comment");
}

#[tokio::test]
async fn not_spam_stays_ham_when_it_is_checked_again() {
    let service = Service::start().await;
    let mut client = service.client().await;
    let rejected = send(&service, "comment-check", &spam()).await;
    assert_eq!(rejected.body, "true");
    // What is sent back is not escaped, and has no guid.
    let plain = spam().into_iter().find(|(name, _)| *name == "comment_content").unwrap().1;
    let plain = plain.replace("\\\"", "\"");
    let feedback = with(&spam(), "comment_content", &plain);
    let feedback = with(&feedback, "reporter", "jane@example.org");
    let thanks = send(&service, "submit-ham", &feedback).await;
    assert_eq!((thanks.status, thanks.body.as_str()), (200, THANKS));
    let queue = with(&spam(), "recheck_reason", "recheck_queue");
    let again = send(&service, "comment-check", &queue).await;
    assert_eq!((again.body.as_str(), again.guid()), ("false", rejected.guid()));
    let name = format!("{SITE}/comments/{}", rejected.guid());
    let read = proto::GetReviewedCommentRequest { name };
    let read = client.reviews.get_reviewed_comment(read).await.unwrap().into_inner();
    assert_eq!(read.comment.unwrap().label(), proto::Label::Ham);

    // WordPress saves links with a `rel` and sends them so when it checks again.
    let saved = plain.replace("free-spins\">", "free-spins\" rel=\"nofollow ugc\">");
    assert_ne!(saved, plain);
    let of_saved = with(&queue, "comment_content", &saved);
    let again = send(&service, "comment-check", &of_saved).await;
    assert_eq!((again.body.as_str(), again.guid()), ("false", rejected.guid()));

    let by_guid = [("blog", "https://blog.example.org"), ("guid", rejected.guid())];
    assert_eq!(send(&service, "submit-spam", &by_guid).await.body, THANKS);
    let again = send(&service, "comment-check", &queue).await;
    assert_eq!(again.body, "true", "the last word counts");
}

#[tokio::test]
async fn a_comment_that_another_release_checked_is_known_by_its_text() {
    let (service, mut client) = service_that_holds().await;
    let held = check_in_time(&service, &comment()).await;
    decide(&mut client, held.guid(), proto::DecisionAction::Approve).await;
    // As if its text had been normalised in another way.
    let database = rusqlite::Connection::open(service.data().join("replyguard.sqlite3")).unwrap();
    assert_eq!(database.execute("UPDATE comments SET content_hash = 7", []).unwrap(), 1);
    for name in ["", held.guid()] {
        let again = with(&comment(), "recheck_reason", "recheck_queue");
        let again = check_in_time(&service, &with(&again, "guid", name)).await;
        assert_eq!((&*again.body, again.guid()), ("false", held.guid()), "{name}");
    }
    let plain =
        "It's the first recipe with rye that worked in my oven. How long do you let it rest?";
    let feedback = with(&comment(), "comment_content", plain);
    assert_eq!(send(&service, "submit-spam", &feedback).await.body, THANKS);
    let name = format!("{SITE}/comments/{}", held.guid());
    let read = proto::GetReviewedCommentRequest { name };
    let read = client.reviews.get_reviewed_comment(read).await.unwrap().into_inner();
    assert_eq!(read.comment.unwrap().label(), proto::Label::Spam);
}

#[tokio::test]
async fn the_last_word_on_a_comment_that_was_never_checked_counts_at_once() {
    let service = Service::start().await;
    let mut client = service.client().await;
    // A comment from before, in the spam box.
    let text = "Play at the best online casino now: free spins, no deposit bonus, instant payout! \
        https://casino-bonus.example.com/slots https://casino-bonus.example.com/poker";
    let old = with(&spam(), "comment_content", text);
    let said = with(&old, "reporter", "jane");
    let queue = with(&old, "recheck_reason", "recheck_queue");
    let mut guids = Vec::new();
    for (operation, expected, label) in [
        ("submit-ham", "false", proto::Label::Ham),
        ("submit-spam", "true", proto::Label::Spam),
        ("submit-ham", "false", proto::Label::Ham),
        ("submit-spam", "true", proto::Label::Spam),
    ] {
        assert_eq!(send(&service, operation, &said).await.body, THANKS);
        let asked = send(&service, "comment-check", &queue).await;
        assert_eq!(asked.body, expected, "{operation}: {}", asked.head);
        let name = format!("{SITE}/comments/{}", asked.guid());
        let read = proto::GetReviewedCommentRequest { name };
        let read = client.reviews.get_reviewed_comment(read).await.unwrap().into_inner();
        assert_eq!(read.comment.unwrap().label(), label);
        guids.push(asked.guid().to_owned());
    }
    guids.dedup();
    assert_eq!(guids.len(), 1, "it is recorded once");
    // What learns reads the last word, of one comment.
    let request = proto::ExportExamplesRequest { parent: SITE.into() };
    let mut stream = client.models.export_examples(request).await.unwrap().into_inner();
    let mut labels = Vec::new();
    while let Some(example) = stream.message().await.unwrap() {
        labels.push(example.label);
    }
    assert_eq!(labels, [i32::from(proto::Label::Spam)]);

    // Near duplicates follow.
    let text = "Does it work with spelt flour as well, I wonder, or does the crust get hard then?";
    let said = with(&comment(), "comment_content", text);
    assert_eq!(send(&service, "submit-spam", &said).await.body, THANKS);
    let other = with(&said, "comment_author_email", "bo@example.org");
    let other = with(&other, "user_ip", "203.0.113.5");
    assert_eq!(send(&service, "comment-check", &other).await.body, "true");
}

#[tokio::test]
async fn an_edited_comment_is_checked_anew_whatever_its_guid_says() {
    let (service, mut client) = service_that_holds().await;
    let held = send(&service, "comment-check", &comment()).await;
    decide(&mut client, held.guid(), proto::DecisionAction::Approve).await;
    let again = with(&comment(), "recheck_reason", "edit");
    for name in ["guid", "akismet_guid"] {
        let named = with(&again, name, held.guid());
        let same = send(&service, "comment-check", &named).await;
        assert_eq!((&*same.body, same.guid()), ("false", held.guid()), "nothing was edited");
        for (field, value) in [
            ("comment_content", "Free spins at https://casino-bonus.example.com/free-spins now!"),
            ("comment_author_url", "https://casino-bonus.example.com/free-spins"),
            ("comment_author", "Casino Bonus"),
        ] {
            let edited = send(&service, "comment-check", &with(&named, field, value)).await;
            assert_ne!(edited.guid(), held.guid(), "{field} was edited");
            let whole = field == "comment_content";
            assert!(!whole || edited.body != "false", "what was approved was another text");
        }
    }
    // Feedback goes by the guid alone.
    let edited = with(&comment(), "comment_content", "Free spins for all!");
    let feedback = with(&edited, "guid", held.guid());
    assert_eq!(send(&service, "submit-spam", &feedback).await.body, THANKS);
    let name = format!("{SITE}/comments/{}", held.guid());
    let read = proto::GetReviewedCommentRequest { name };
    let read = client.reviews.get_reviewed_comment(read).await.unwrap().into_inner();
    assert_eq!(read.comment.unwrap().label(), proto::Label::Spam);
}

/// A comment of gRPC's as a form sends it.
fn form_of(of: &proto::Comment) -> Vec<(&str, &str)> {
    let fields = with(&comment(), "comment_content", &of.text);
    let fields = with(&fields, "comment_author_email", &of.email);
    with(&fields, "user_ip", &of.ip)
}

#[tokio::test]
async fn near_duplicates_follow_a_decision_when_they_are_checked_again() {
    let service = Service::start().await;
    let mut client = service.client().await;
    // All that is not known to be good is held.
    let policy = proto::SitePolicy { hold_threshold: Some(0.0), ..Default::default() };
    set_policy(&mut client, policy, "policy.hold_threshold").await;
    let twins = [variant(1), variant(2)];
    let mut held = Vec::new();
    for twin in &twins {
        let reply = send(&service, "comment-check", &form_of(twin)).await;
        assert_eq!((reply.status, &*reply.body), (422, ""), "{}", reply.head);
        held.push(reply);
    }
    let queue = with(&form_of(&twins[1]), "recheck_reason", "recheck_queue");
    let asked = send(&service, "comment-check", &queue).await;
    assert_eq!((asked.status, asked.guid()), (422, held[1].guid()), "nobody decided yet");
    decide(&mut client, held[0].guid(), proto::DecisionAction::Approve).await;
    let asked = send(&service, "comment-check", &queue).await;
    assert_eq!((asked.status, &*asked.body), (200, "false"), "{}", asked.head);
    assert_eq!(asked.header("x-replyguard-reasons"), Some("near-approved"));
    let again = send(&service, "comment-check", &queue).await;
    assert_eq!((&*again.body, again.guid()), ("false", asked.guid()), "it is recorded once");
    // The check of before may still be decided on in the console.
    decide(&mut client, held[1].guid(), proto::DecisionAction::RejectSpam).await;
    let asked = send(&service, "comment-check", &queue).await;
    assert_eq!((&*asked.body, asked.guid()), ("true", held[1].guid()));
}

#[tokio::test]
async fn a_changed_policy_counts_when_a_comment_is_checked_again() {
    let service = Service::start().await;
    let mut client = service.client().await;
    let first = send(&service, "comment-check", &comment()).await;
    assert_eq!(first.body, "false");
    let queue = with(&comment(), "recheck_reason", "recheck_queue");
    let mut guids = vec![first.guid().to_owned()];
    for (reject_words, expected) in [(vec!["oven".to_owned()], "true"), (Vec::new(), "false")] {
        let policy = proto::SitePolicy { reject_words, ..Default::default() };
        set_policy(&mut client, policy, "policy.reject_words").await;
        let asked = send(&service, "comment-check", &queue).await;
        assert_eq!((asked.status, &*asked.body), (200, expected), "{}", asked.head);
        assert!(!guids.iter().any(|guid| guid == asked.guid()));
        guids.push(asked.guid().to_owned());
        // What was sent before is this very comment.
        let name = format!("{SITE}/comments/{}", asked.guid());
        let read = client.comments.get_comment(proto::GetCommentRequest { name }).await;
        let signals = read.unwrap().into_inner().comment.unwrap().signals;
        let names: Vec<_> = signals.iter().map(|signal| signal.name.as_str()).collect();
        for name in ["exact-duplicate", "near-duplicate", "known-bad-author"] {
            assert!(!names.contains(&name), "{names:?}");
        }
    }
}

#[tokio::test]
async fn copies_without_a_date_are_one_for_a_moment_and_then_a_flood() {
    let clock = Clock::new();
    let service = Service::start_among(&clock.environment(), &[]).await;
    let undated = with(&comment(), "comment_date_gmt", "");
    let begin = Instant::now();
    let first = send(&service, "comment-check", &undated).await;
    assert_eq!(first.body, "false");
    // The last copy of a slow WordPress.
    clock.set("+30");
    let copy = send(&service, "comment-check", &undated).await;
    assert_eq!((&*copy.body, copy.guid()), ("false", first.guid()));
    // The limits go by a clock that nobody sets, so they count it with the first one, unless this
    // machine was as slow as they are.
    clock.set("+3m");
    let flood = send(&service, "comment-check", &undated).await;
    assert_ne!(flood.guid(), first.guid(), "{}", flood.head);
    assert!(flood.status == 429 || begin.elapsed() > Duration::from_secs(14), "{}", flood.head);
    // A date tells a copy.
    let dated = with(&comment(), "user_ip", "192.0.2.8");
    let dated = with(&dated, "comment_author_email", "bo@example.org");
    let first = send(&service, "comment-check", &dated).await;
    clock.set("+9m");
    let copy = send(&service, "comment-check", &dated).await;
    assert_eq!((&*copy.body, copy.guid()), (&*first.body, first.guid()));
    assert_eq!(copy.status, first.status);
}

#[tokio::test]
async fn accounts_are_told_what_clients_ask_for() {
    let service = Service::start().await;
    send(&service, "comment-check", &comment()).await;
    send(&service, "comment-check", &spam()).await;
    let subscription = send(&service, "get-subscription", &[]).await.json();
    assert_eq!(subscription["status"], "active");
    assert!(subscription["account_id"].is_u64() && subscription["next_billing_date"] == false);
    let stats = send(&service, "get-stats", &[("from", "60-days")]).await.json();
    assert_eq!((&stats["spam"], &stats["ham"]), (&1.into(), &1.into()));
    assert_eq!(stats["breakdown"].as_object().unwrap().len(), 60);
    let key = service.first.akismet_key.clone().unwrap();
    let path = format!("/1.2/key-sites?api_key={key}&limit=5");
    let get = format!("GET {path} HTTP/1.1\r\nHost: rest.akismet.com\r\nConnection: close\r\n\r\n");
    let sites = send_raw(&service, get.as_bytes()).await.json();
    assert!(sites["limit"] == 5 && sites["offset"] == 0 && sites["total"] == 1);
    let months: Vec<_> = sites.as_object().unwrap().iter().filter(|(_, v)| v.is_array()).collect();
    assert_eq!(months.len(), 1);
    assert_eq!(months[0].1[0]["api_calls"], 2);
    let csv = send(&service, "key-sites", &[("format", "csv")]).await;
    assert_eq!(csv.body.lines().count(), 2);
    assert_eq!(send(&service, "deactivate", &[]).await.body, "deactivated");
    assert!(!send(&service, "token", &[]).await.body.is_empty());
    let get = "GET /1.1/test HTTP/1.1\r\nHost: rest.akismet.com\r\nConnection: close\r\n\r\n";
    assert_eq!(send_raw(&service, get.as_bytes()).await.body, "connected");
}

#[tokio::test]
async fn a_store_that_hangs_is_no_decision() {
    let service = Service::start().await;
    assert_eq!(send(&service, "verify-key", &[]).await.body, "valid");
    // Another process holds the database.
    let path = service.data().join("replyguard.sqlite3");
    let lock = rusqlite::Connection::open(path).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let held_up = send(&service, "comment-check", &comment()).await;
    assert_eq!((held_up.status, held_up.body.as_str()), (503, ""));
    assert!(held_up.header("x-akismet-error").is_some() && !held_up.guid().is_empty());
    lock.execute_batch("ROLLBACK").unwrap();
    // WordPress asks again by cron, and no flood rule is in its way.
    let retry = with(&comment(), "recheck_reason", "retry");
    let checked = send(&service, "comment-check", &retry).await;
    assert_eq!(checked.body, "false", "{}", checked.head);
}

#[tokio::test]
async fn a_decision_in_the_console_calls_the_client_back() {
    let receiver = Receiver::start().await;
    let certificate = receiver.certificate();
    let flags = ["--webhook-private-targets", "true", "--webhook-ca-file", certificate];
    let (service, mut client) = service_that_holds_with(&flags).await;
    let callback = receiver.uri("/wp-json/akismet/v1/webhook");
    let asked = with(&comment(), "callback", &callback);
    // By default it is held as ever, and told all the same.
    let held = send(&service, "comment-check", &asked).await;
    assert_eq!((held.status, held.body.as_str()), (422, ""));
    // A comment of another client is none of its business.
    let other = with(&spam(), "comment_content", "Something else that nobody asked about here");
    let other = send(&service, "comment-check", &other).await;
    decide(&mut client, other.guid(), proto::DecisionAction::RejectSpam).await;
    decide(&mut client, held.guid(), proto::DecisionAction::Approve).await;
    let arrived = wait_for("the callback", async || receiver.arrived().into_iter().next()).await;
    assert_eq!(arrived.path, "/wp-json/akismet/v1/webhook");
    assert_eq!(arrived.header("x-akismet-webhook"), "1");
    let body = arrived.json();
    assert_eq!(body["key"].as_str(), service.first.akismet_key.as_deref());
    assert_eq!(body["endpoint"], "comment-check");
    let expected =
        serde_json::json!([{ "guid": held.guid(), "result": "false", "comment_post_ID": 1 }]);
    assert_eq!(body["comments"], expected);
    decide(&mut client, held.guid(), proto::DecisionAction::RejectSpam).await;
    let second = wait_for("the next", async || receiver.arrived().into_iter().nth(1)).await;
    assert_eq!(second.json()["comments"][0]["result"], "true");

    // A site may tell its client to wait.
    let policy = proto::SitePolicy { akismet_rechecks: Some(true), ..Default::default() };
    let site = proto::Site { name: SITE.into(), policy: Some(policy), ..Default::default() };
    let mask = prost_types::FieldMask { paths: vec!["policy.akismet_rechecks".into()] };
    let request = proto::UpdateSiteRequest { site: Some(site), update_mask: Some(mask) };
    client.sites.update_site(request).await.unwrap();
    let fields = with(&asked, "user_ip", "192.0.2.88");
    let fields = with(&fields, "comment_author_email", "bo@example.org");
    let fields =
        with(&fields, "comment_content", "Does it work with spelt flour as well, I wonder?");
    let waits = send(&service, "comment-check", &fields).await;
    assert_eq!((waits.status, waits.body.as_str()), (200, "false"));
    assert!(waits.header("x-akismet-recheck-after").is_some());
    // Nor is a webhook that somebody stopped a reason to wait, or to publish.
    let list = proto::ListWebhooksRequest { parent: SITE.into(), ..Default::default() };
    let known = client.webhooks.list_webhooks(list).await.unwrap().into_inner().webhooks;
    let stopped =
        proto::Webhook { name: known[0].name.clone(), disabled: true, ..Default::default() };
    let mask = prost_types::FieldMask { paths: vec!["disabled".into()] };
    let stop = proto::UpdateWebhookRequest { webhook: Some(stopped), update_mask: Some(mask) };
    client.webhooks.update_webhook(stop).await.unwrap();
    let unheard = with(&fields, "user_ip", "192.0.2.77");
    let unheard = with(&unheard, "comment_author_email", "di@example.org");
    let refused = send(&service, "comment-check", &unheard).await;
    assert_eq!((refused.status, refused.body.as_str()), (422, ""));
    // An address that nobody may be called at is no reason to publish.
    let fields = with(&fields, "callback", "ftp://blog.example.org/");
    let fields = with(&fields, "user_ip", "192.0.2.99");
    let fields = with(&fields, "comment_author_email", "cy@example.org");
    let refused = send(&service, "comment-check", &fields).await;
    assert_eq!((refused.status, refused.body.as_str()), (422, ""));
}

#[tokio::test]
async fn the_doctor_says_what_clients_would_break() {
    let receiver = Receiver::start().await;
    let service = Service::start().await;
    let key = service.first.akismet_key.clone().unwrap();
    let url = format!("http://{}", service.first.http);
    let good = command(&["doctor", "--akismet", &url, &key]).output().unwrap();
    let text = String::from_utf8_lossy(&good.stdout).into_owned();
    assert!(good.status.success(), "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("ok ")).count(), 12, "{text}");
    assert_eq!(send(&service, "usage-limit", &[]).await.json()["usage"], 0, "nothing is recorded");
    // A wrong key, something that is no such server, and nobody.
    for (url, key) in [
        (url.as_str(), "0123456789ab"),
        (&format!("http://{}/console", service.first.http), key.as_str()),
        (&receiver.uri("/"), key.as_str()),
    ] {
        let bad = command(&["doctor", "--akismet", url, key]).output().unwrap();
        let text = String::from_utf8_lossy(&bad.stdout).into_owned();
        assert_eq!(bad.status.code(), Some(69), "{text}");
        assert!(text.contains("TROUBLE") && text.contains("breaks: "), "{text}");
    }
}

#[tokio::test]
async fn the_http_port_speaks_tls() {
    // Its certificate serves here as the service's own.
    let receiver = Receiver::start().await;
    let (certificate, key) = (receiver.certificate(), receiver.key());
    let flags = ["--http-certificate-file", certificate, "--http-key-file", key];
    let service = Service::start_with(&flags).await;
    let sender = HttpsSender::new(&SenderOptions {
        private_targets: true,
        ca_file: Some(certificate.into()),
        ..SenderOptions::default()
    });
    let port = service.first.http.rsplit(':').next().unwrap();
    let message = WebhookMessage {
        uri: format!("https://localhost:{port}/1.1/test").parse().unwrap(),
        headers: Vec::new(),
        body: Vec::new(),
    };
    let receipt = sender.unwrap().send(message).await.unwrap();
    assert_eq!(receipt.status, 200);
    let plain = format!("http://{}/healthz", service.first.http);
    assert!(replyguard::http::client::get(&plain).await.is_err(), "the port speaks nothing else");
    let bad = command(&["serve", "--http-certificate-file", certificate]).output().unwrap();
    assert_eq!(bad.status.code(), Some(64));
}

#[tokio::test]
async fn keys_say_when_they_were_last_used() {
    let mut service = Service::start().await;
    send(&service, "verify-key", &[]).await;
    assert!(service.stop().await.success());
    service.kill_and_restart().await;
    let request = proto::ListKeysRequest { parent: SITE.into(), ..Default::default() };
    let mut client = service.client().await;
    let keys = client.sites.list_keys(request).await.unwrap().into_inner().keys;
    let akismet = i32::from(proto::KeyScope::Akismet);
    let mut used: Vec<_> =
        keys.iter().map(|key| (key.scopes == [akismet], key.last_use_time.is_some())).collect();
    // Both were made at once, so neither is the first.
    used.sort_unstable();
    assert_eq!(used, [(false, false), (true, true)]);
}

#[tokio::test]
async fn a_key_is_rotated_with_overlap() {
    let service = Service::start().await;
    let json = |output: std::process::Output| -> Vec<serde_json::Value> {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let keys = json(service.command(&["sites", "keys", "default", "--json"]));
    let akismet = keys.iter().find(|key| key["scopes"][0] == "KEY_SCOPE_AKISMET").unwrap();
    let name = akismet["name"].as_str().unwrap();
    let made = json(service.command(&["sites", "rotate-key", name, "--keep", "--json"]));
    let secret = made[0]["secret"].as_str().unwrap().to_owned();
    let valid = async |key: &str| {
        let body = format!("key={key}");
        send_body(&service, "rest.akismet.com", "/1.1/verify-key", &body).await.body
    };
    let old = service.first.akismet_key.clone().unwrap();
    assert_eq!((&*valid(&old).await, &*valid(&secret).await), ("valid", "valid"));
    json(service.command(&["sites", "rotate-key", name, "--json"]));
    assert_eq!((&*valid(&old).await, &*valid(&secret).await), ("invalid", "valid"));
    let again = service.command(&["sites", "rotate-key", name]);
    assert_eq!(again.status.code(), Some(65), "a revoked key cannot be rotated");
}
