//! Clients that mean harm: each limit of the ports, against the real service. Others are served
//! meanwhile.

use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use h2::client::SendRequest;
use hyper::{Method, Request};
use replyguard::grpc::client::Client;
use replyguard::grpc::proto;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tonic_types::StatusExt;

use crate::support::desk::{SITE, send, service_that_holds_with, variant};
use crate::support::service::{PATIENCE, Service, check, comment, wait_for};

const CHECK: &str = "/replyguard.v1.CommentService/CheckComment";

/// A bare HTTP/2 connection to gRPC, and what becomes of it.
async fn connection(service: &Service) -> (SendRequest<Bytes>, JoinHandle<Result<(), h2::Error>>) {
    let stream = TcpStream::connect(&service.first.grpc).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    (sender, tokio::spawn(connection))
}

fn request(service: &Service) -> Request<()> {
    Request::builder()
        .method(Method::POST)
        .uri(format!("http://{}{CHECK}", service.first.grpc))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("x-api-key", &service.first.key)
        .body(())
        .unwrap()
}

/// Somebody else's call, which has to be answered.
async fn others_are_served(client: &mut Client) {
    let call = client.comments.check_comment(check(comment("Somebody else's comment.")));
    let answer = tokio::time::timeout(Duration::from_secs(20), call).await;
    answer.expect("others are answered in time").expect("others are served");
}

#[tokio::test]
async fn rapid_reset_ends_the_connection_and_no_other() {
    let service = Service::start().await;
    let mut other = service.client().await;
    let (sender, connection) = connection(&service).await;
    let mut opened = 0;
    // Opened and taken back at once, as fast as the line takes it.
    'attack: while opened < 50_000 {
        let Ok(mut ready) = sender.clone().ready().await else { break };
        for _ in 0..200 {
            match ready.send_request(request(&service), false) {
                Ok((_, mut stream)) => stream.send_reset(Reason::CANCEL),
                Err(error) if error.is_remote() || error.is_go_away() || error.is_io() => {
                    break 'attack;
                }
                // The client's own limit of open streams: the next turn is free of it.
                Err(_) => break,
            }
            opened += 1;
        }
        tokio::task::yield_now().await;
        if opened % 1_000 == 0 {
            others_are_served(&mut other).await;
        }
    }
    let ended = tokio::time::timeout(PATIENCE, connection).await;
    let error = ended.expect("the connection ends").unwrap().expect_err("it is ended");
    // The service hangs up while bytes are on their way, so its reason may be lost.
    let calmed = error.reason() == Some(Reason::ENHANCE_YOUR_CALM);
    assert!(calmed || error.is_io(), "after {opened}: {error}");
    assert!(opened < 50_000);
    others_are_served(&mut other).await;
}

#[tokio::test]
async fn streams_of_a_connection_are_counted_and_end_with_the_call_timeout() {
    let service = Service::start_with(&["--call-timeout-ms", "1500"]).await;
    let mut other = service.client().await;
    let (sender, connection) = connection(&service).await;
    let mut ready = sender.ready().await.unwrap();
    wait_for("the service's settings", || async {
        (ready.clone().current_max_send_streams() == 1_024).then_some(())
    })
    .await;
    // Calls whose message never comes.
    let mut open = Vec::new();
    while open.len() < 1_000 {
        ready = ready.ready().await.unwrap();
        open.push(ready.send_request(request(&service), false).unwrap());
    }
    others_are_served(&mut other).await;
    for (answer, _stream) in open {
        let answer = tokio::time::timeout(PATIENCE, answer).await.expect("an end").unwrap();
        let code = answer.headers().get("grpc-status").expect("a status").to_str().unwrap();
        assert!(["1", "4"].contains(&code), "cancelled or out of time: {code}");
    }
    connection.abort();
}

#[tokio::test]
async fn headers_have_a_size_and_a_count() {
    let service = Service::start().await;
    let (sender, connection) = connection(&service).await;
    let mut sender = sender.ready().await.unwrap();
    // Above 16 KiB for all, 32 bytes counted for each.
    let mut many = request(&service);
    for number in 0..600 {
        let name = hyper::header::HeaderName::try_from(format!("x-{number}")).unwrap();
        many.headers_mut().insert(name, "1".parse().unwrap());
    }
    let (answer, _) = sender.send_request(many, true).unwrap();
    let refused = match answer.await {
        Ok(answer) => answer.status().as_u16() == 431,
        Err(error) => error.is_reset() || error.is_go_away(),
    };
    assert!(refused, "600 headers are too many");
    connection.abort();

    let long = |count: usize, bytes: usize| {
        let mut text = String::from("GET /healthz HTTP/1.1\r\nHost: localhost\r\n");
        for number in 0..count {
            text.push_str(&format!("X-{number}: {}\r\n", "a".repeat(bytes)));
        }
        text + "Connection: close\r\n\r\n"
    };
    assert!(answer_to(&service.first.http, &long(50, 10)).await.starts_with("HTTP/1.1 200"));
    for address in [&service.first.http, &service.first.grpc] {
        let answer = answer_to(address, &long(150, 10)).await;
        assert!(answer.starts_with("HTTP/1.1 431"), "150 headers: {answer}");
    }
    let answer = answer_to(&service.first.http, &long(3, 40 << 10)).await;
    // The service hangs up while bytes are on their way, so its answer may be lost.
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "120 kB: {answer}");
    others_are_served(&mut service.client().await).await;
}

/// What a port answers to these bytes, until it hangs up.
async fn answer_to(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The service may hang up while bytes are still on their way.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Sends `begin`, then a byte of `rest` now and then, for ever; ends when it is hung up on.
async fn trickle(address: String, begin: Vec<u8>, rest: u8) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&begin).await.unwrap();
    let mut beat = tokio::time::interval(Duration::from_millis(50));
    let mut bytes = [0; 1_024];
    loop {
        tokio::select! {
            _ = beat.tick() => if stream.write_all(&[rest]).await.is_err() { return },
            read = stream.read(&mut bytes) => if matches!(read, Ok(0) | Err(_)) { return },
        }
    }
}

#[tokio::test]
async fn slow_headers_are_hung_up_on() {
    let flags = ["--connection-count-max", "2", "--grpc-idle-timeout-s", "3"];
    let service = Service::start_with(&flags).await;
    let slow = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ".to_vec();
    // HTTP/2: the preface, empty settings, and the beginning of a frame of headers that is
    // announced as 16,000 bytes long.
    let mut slow_h2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    slow_h2.extend(b"\0\x3e\x80\x01\x04\0\0\0\x01");
    let (http, grpc) = (service.first.http.clone(), service.first.grpc.clone());
    let attacks = [
        tokio::spawn(trickle(http.clone(), slow.clone(), b'a')),
        tokio::spawn(trickle(http, slow.clone(), b'a')),
        tokio::spawn(trickle(grpc.clone(), slow, b'a')),
        tokio::spawn(trickle(grpc, slow_h2, 0)),
    ];
    // Every place is taken; these wait until the slow ones are gone.
    let (page, client) = tokio::join!(service.page("/healthz"), service.client());
    assert_eq!(page.0, 200);
    others_are_served(&mut client.clone()).await;
    for attack in attacks {
        tokio::time::timeout(PATIENCE, attack).await.expect("it is hung up on").unwrap();
    }
}

/// The beginning of a form of 200,000 bytes.
fn begun_form(path: &str, cookie: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nContent-Type: \
         application/x-www-form-urlencoded\r\nContent-Length: 200000\r\n\r\nkey="
    )
}

#[tokio::test]
async fn slow_bodies_are_hung_up_on() {
    let service = Service::start_with(&["--connection-count-max", "4"]).await;
    let http = service.first.http.clone();
    let check = begun_form("/1.1/verify-key", "a=b");
    // The console looks at a form only if a browser brings a visit.
    let visit = format!("replyguard_visit={}", "0".repeat(64));
    let log_in = begun_form("/console/log-in", &visit);
    let trickles = [&check, &log_in]
        .map(|form| tokio::spawn(trickle(http.clone(), form.clone().into(), b'a')));
    let silent = [check, log_in].map(|form| {
        let http = http.clone();
        tokio::spawn(async move { answer_to(&http, &form).await })
    });
    // Every place is taken; this waits until the slow ones are gone.
    assert_eq!(service.page("/healthz").await.0, 200);
    for attack in trickles {
        tokio::time::timeout(PATIENCE, attack).await.expect("it is hung up on").unwrap();
    }
    for attack in silent {
        let answer = tokio::time::timeout(PATIENCE, attack).await.expect("an answer").unwrap();
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
        assert!(answer.to_lowercase().contains("\r\nconnection: close\r\n"), "{answer}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn who_never_reads_is_hung_up_on() {
    let service = Service::start_with(&["--connection-count-max", "1"]).await;
    let mut stream = TcpStream::connect(&service.first.http).await.unwrap();
    // Answers pile up until the service can write no more, and then reads no more.
    let attack = tokio::spawn(async move {
        let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(100);
        while stream.write_all(request.as_bytes()).await.is_ok() {}
    });
    tokio::time::timeout(PATIENCE, attack).await.expect("it is hung up on").unwrap();
    // The only place is free again.
    assert_eq!(service.page("/healthz").await.0, 200);
}

#[tokio::test]
async fn idle_connections_are_closed_and_streams_are_not_idle() {
    let (service, _) = service_that_holds_with(&["--grpc-idle-timeout-s", "2"]).await;
    let watch = proto::WatchDecisionsRequest { parent: SITE.into(), resume_token: "start".into() };
    let mut watching = service.client().await;
    let mut decisions = watching.comments.watch_decisions(watch).await.unwrap().into_inner();
    let (sender, idle) = connection(&service).await;
    let (answer, _) = sender.clone().send_request(request(&service), true).unwrap();
    answer.await.expect("an answer, if only that the message is missing");
    // Answering pings does not help.
    let ended = tokio::time::timeout(PATIENCE, idle).await.expect("it is closed").unwrap();
    assert!(ended.is_ok(), "{ended:?}");

    let mut client = service.client().await;
    let held = send(&mut client, variant(1)).await;
    let decide = proto::DecideCommentRequest {
        name: held.name.clone(),
        action: proto::DecisionAction::Approve.into(),
        ..Default::default()
    };
    client.reviews.decide_comment(decide).await.expect("a decision");
    let heard = async {
        // Responses with a token alone come in between.
        while let Some(heard) = decisions.message().await.expect("the stream goes on") {
            if format!("{heard:?}").contains(&held.name) {
                return true;
            }
        }
        false
    };
    assert!(tokio::time::timeout(PATIENCE, heard).await.expect("news in time"), "the decision");
}

#[tokio::test]
async fn messages_have_a_size() {
    let service = Service::start().await;
    let mut client = service.client().await;
    let huge = proto::CreateSiteRequest {
        site_id: "huge".into(),
        site: Some(proto::Site { display_name: "a".repeat(3 << 20), ..Default::default() }),
    };
    let status = client.sites.create_site(huge.clone()).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::InvalidArgument, "{status:?}");
    let reason = status.get_details_error_info().map(|info| info.reason);
    assert_eq!(reason.as_deref(), Some("message-too-large"), "{status:?}");
    assert!(status.message().contains("3145"), "the length: {status:?}");
    let mut zipping = client.sites.clone().send_compressed(tonic::codec::CompressionEncoding::Gzip);
    let status = zipping.create_site(huge).await.unwrap_err();
    let reason = status.get_details_error_info().map(|info| info.reason);
    assert_eq!(reason.as_deref(), Some("message-too-large"), "zipped: {status:?}");
    let body = format!("comment_content={}", "a".repeat(300 << 10));
    let post = format!(
        "POST /1.1/comment-check HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\nContent-Type: \
         application/x-www-form-urlencoded\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let answer = answer_to(&service.first.http, &post).await;
    assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    others_are_served(&mut client).await;
}
