//! Traces and request ids: what belongs to one call is found again, and nothing of the comment is.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::trace::v1::Span;
use replyguard::http::client;
use tokio::net::TcpListener;

use crate::privacy;
use crate::support::collector::{Collector, attribute};
use crate::support::models::without_limits;
use crate::support::pki::Authority;
use crate::support::service::{Service, check, command, comment, wait_for};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

fn traceparent() -> String {
    format!("00-{TRACE}-{PARENT}-01")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Waits for a span that a test looks for.
async fn arrives(collector: &Collector, what: &str, is_it: impl Fn(&Span) -> bool) -> Span {
    wait_for(what, || async { collector.spans().into_iter().find(|span| is_it(span)) }).await
}

#[tokio::test]
async fn a_check_is_part_of_its_callers_trace_and_says_nothing_of_the_comment() {
    let collector = Collector::start().await;
    let endpoint = collector.endpoint();
    let service = Service::start_with(&["--otlp-endpoint", &endpoint, "--log", "trace"]).await;
    let mut client = service.client().await;
    let mut request = tonic::Request::new(check(privacy::marked()));
    let metadata = request.metadata_mut();
    metadata.insert("traceparent", traceparent().parse().unwrap());
    metadata.insert("tracestate", "vendor=xanthippe.marked".parse().unwrap());
    metadata.insert("x-request-id", "form-77".parse().unwrap());
    let answer = client.comments.check_comment(request).await.unwrap();
    assert_eq!(answer.metadata().get("x-request-id").unwrap(), "form-77");

    let call = arrives(&collector, "the span of the call", |span| {
        span.name == "replyguard.v1.CommentService/CheckComment"
    })
    .await;
    assert_eq!(hex(&call.trace_id), TRACE);
    assert_eq!(hex(&call.parent_span_id), PARENT);
    assert_eq!(call.kind(), opentelemetry_proto::tonic::trace::v1::span::SpanKind::Server);
    assert_eq!(attribute(&call, "request.id"), "form-77");
    assert_eq!(attribute(&call, "rpc.grpc.status_code"), "0");
    for part in ["limits", "history", "judge", "record"] {
        let span = arrives(&collector, part, |span| span.name == part).await;
        assert_eq!((&span.trace_id, &span.parent_span_id), (&call.trace_id, &call.span_id));
    }

    let url = format!("http://{}/1.1/comment-check", service.first.http);
    let key = service.first.akismet_key.clone().unwrap();
    let form = format!(
        "api_key={key}&blog=http%3A%2F%2Fblog.example&user_ip=2001:db8:77:77::77\
         &comment_author_email=narwhal%2Btag%40example.org&comment_content=quokka-mailbox"
    );
    let headers = [("traceparent", &*traceparent()), ("x-request-id", "xanthippe.marked@x")];
    let answer = client::post(&url, &headers, form).await.unwrap();
    assert_eq!(answer.status, 200);
    let drawn = answer.headers.get("x-request-id").unwrap().to_str().unwrap().to_owned();
    assert!(!drawn.contains("marked"), "what cannot be an id is not taken: {drawn}");
    let name = "POST /1.1/comment-check";
    let web = arrives(&collector, "the span of the request", |span| span.name == name).await;
    assert_eq!((hex(&web.trace_id), hex(&web.parent_span_id)), (TRACE.into(), PARENT.into()));
    assert_eq!(attribute(&web, "http.response.status_code"), "200");
    assert_eq!(attribute(&web, "request.id"), drawn);

    // A path may hold a token, so the route stands for it.
    service.page("/console/invitation/ocelot77-token").await;
    let page =
        arrives(&collector, "the page's span", |span| span.name.contains("invitation")).await;
    assert!(!page.name.contains("ocelot77"), "{}", page.name);
    privacy::assert_clean("the traces", collector.everything().as_bytes());
    privacy::assert_clean("the log", service.printed().as_bytes());
    let names: BTreeSet<_> = collector.spans().iter().map(|span| span.name.clone()).collect();
    assert!(names.len() < 10, "names are few: {names:?}");
    assert!(!service.printed().contains("otel."), "spans of traces stay out of logs");
}

#[tokio::test]
async fn callers_that_do_not_sample_are_obeyed_and_the_last_spans_arrive() {
    let collector = Collector::start().await;
    let endpoint = collector.endpoint();
    let mut service = Service::start_with(&["--otlp-endpoint", &endpoint]).await;
    let mut client = service.client().await;
    let mut send = async |id: &str, sampled: &str| {
        let mut request = tonic::Request::new(check(comment("Thank you, that was the part.")));
        let metadata = request.metadata_mut();
        metadata.insert("traceparent", format!("00-{TRACE}-{PARENT}-{sampled}").parse().unwrap());
        metadata.insert("x-request-id", id.parse().unwrap());
        client.comments.check_comment(request).await.unwrap();
    };
    send("unsampled", "00").await;
    send("sampled", "01").await;
    assert!(service.stop().await.success());
    let spans = collector.spans();
    let named = |span: &Span| span.name == "replyguard.v1.CommentService/CheckComment";
    assert!(spans.iter().any(named), "{spans:?}");
    let has = |id: &str| spans.iter().any(|span| attribute(span, "request.id") == id);
    assert!(has("sampled"), "what waited was sent at the end: {}", spans.len());
    assert!(!has("unsampled"));
}

#[tokio::test]
async fn a_collector_behind_tls_gets_the_spans_and_the_headers_it_asks_for() {
    let authority = Authority::new();
    let collector = Collector::start_with_tls(authority.sign(2100)).await;
    let endpoint = collector.endpoint();
    let key = ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=gazette");
    let (endpoint, ca) = (["--otlp-endpoint", &endpoint], authority.ca());
    let trusting = [&endpoint[..], &["--otlp-ca-file", &ca]].concat();
    let service = Service::start_among(&[key], &trusting).await;
    let mut client = service.client().await;
    client.comments.check_comment(check(comment("Thank you for the map."))).await.unwrap();
    arrives(&collector, "the span of the call", |span| span.name.ends_with("/CheckComment")).await;
    assert_eq!(collector.header("x-tenant").first().map(String::as_str), Some("gazette"));

    // Without the authority's certificate it is a stranger, and gets nothing.
    let stranger = Collector::start_with_tls(authority.sign(2100)).await;
    let mut service = Service::start_with(&["--otlp-endpoint", &stranger.endpoint()]).await;
    let mut client = service.client().await;
    client.comments.check_comment(check(comment("Thank you for the map."))).await.unwrap();
    assert!(service.stop().await.success());
    assert_eq!(stranger.spans().len(), 0);
}

#[test]
fn a_file_without_certificates_ends_the_start_with_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, "not a certificate").unwrap();
    let (data, file) = (folder.path().to_str().unwrap(), file.to_str().unwrap());
    let arguments = ["serve", "--data-dir", data, "--otlp-endpoint", "https://127.0.0.1:1"];
    let output = command(&[&arguments[..], &["--otlp-ca-file", file]].concat()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(said.contains("telemetry.otlp_ca_file: ") && said.contains("no certificate"), "{said}");
}

/// Checks comments on several connections at once; gives the longest wait for an answer.
async fn longest_check(service: &Service, count: usize) -> Duration {
    let mut workers = Vec::new();
    for worker in 0..4 {
        let mut client = service.client().await;
        workers.push(tokio::spawn(async move {
            let mut longest = Duration::ZERO;
            for number in 0..count / 4 {
                let text = format!("Reader {worker} says thank you for the {number} answers.");
                let begin = Instant::now();
                client.comments.check_comment(check(comment(&text))).await.unwrap();
                longest = longest.max(begin.elapsed());
            }
            longest
        }));
    }
    let mut longest = Duration::ZERO;
    for worker in workers {
        longest = longest.max(worker.await.unwrap());
    }
    longest
}

#[tokio::test]
async fn a_collector_that_is_dead_or_hangs_slows_no_check() {
    // It takes connections and never says a word.
    let hangs = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hanging = format!("http://{}", hangs.local_addr().unwrap());
    for endpoint in ["http://127.0.0.1:1", &hanging] {
        let mut service = Service::start_with(&["--otlp-endpoint", endpoint]).await;
        without_limits(&mut service.client().await).await;
        // Five spans each: more than the queue holds.
        let longest = longest_check(&service, 1_200).await;
        assert!(longest < Duration::from_secs(2), "{endpoint}: {longest:?}");
        let begin = Instant::now();
        assert!(service.stop().await.success(), "{endpoint}");
        let stopping = begin.elapsed();
        assert!(stopping < Duration::from_secs(20), "{endpoint}: {stopping:?}");
    }
}

#[tokio::test]
async fn every_log_line_of_a_call_has_its_request_id() {
    // Redis that is not there makes one of the first checks log.
    let flags = ["--redis-url", "redis://127.0.0.1:1", "--log-format", "json", "--log", "warn"];
    let service = Service::start_with(&flags).await;
    let mut client = service.client().await;
    for number in 0..20 {
        let text = format!("Thanks, I had not known the {number} ways to do that.");
        let mut request = tonic::Request::new(check(comment(&text)));
        let id = format!("form_2026-11-A{number}");
        request.metadata_mut().insert("x-request-id", id.parse().unwrap());
        client.comments.check_comment(request).await.unwrap();
    }
    let line = wait_for("the log line", || async {
        let printed = service.printed();
        let line = printed.lines().find(|line| line.contains("Redis does not answer"))?;
        serde_json::from_str::<serde_json::Value>(line).ok()
    })
    .await;
    let id = line["span"]["request.id"].as_str().unwrap_or_default();
    assert!(id.starts_with("form_2026-11-A"), "{line}");
    // Errors say it too, and a call without one gets one.
    let error = client.comments.check_comment(check(comment(""))).await.unwrap_err();
    let drawn = error.metadata().get("x-request-id").unwrap().to_str().unwrap();
    assert!(drawn.len() >= 18, "{drawn}");
}

#[test]
fn a_collectors_address_that_cannot_be_is_refused() {
    let output =
        crate::support::service::command(&["serve", "--otlp-endpoint", "collector:4317"]).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(64));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("telemetry.otlp_endpoint"), "{message}");
}
