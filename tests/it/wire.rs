//! What stands around the services on the wire: health, reflection, gzip, grpc-web, and bytes
//! that are none of the contract.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use prost::Message;
use replyguard::grpc::proto;
use tokio_stream::StreamExt;
use tonic::codec::CompressionEncoding;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_prost::ProstCodec;

use crate::support::service::{Service, check, comment, wait_for};

async fn channel(service: &Service) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{}", service.first.grpc)).unwrap();
    endpoint.connect().await.unwrap()
}

#[tokio::test]
async fn health_is_served_for_each_service() {
    use tonic_health::pb::health_client::HealthClient;
    use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};
    let service = Service::start().await;
    let mut health = HealthClient::new(channel(&service).await);
    for name in [
        "",
        "replyguard.v1.CommentService",
        "replyguard.v1.ModeratorService",
        "replyguard.v1.SiteService",
    ] {
        let request = HealthCheckRequest { service: name.into() };
        let answer = health.check(request).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{name}");
    }
}

/// Asks a version of the reflection service for the names of all services.
macro_rules! reflected_services {
    ($version:ident, $channel:expr) => {{
        use tonic_reflection::pb::$version as pb;
        let mut client = pb::server_reflection_client::ServerReflectionClient::new($channel);
        let request = pb::ServerReflectionRequest {
            host: String::new(),
            message_request: Some(pb::server_reflection_request::MessageRequest::ListServices(
                String::new(),
            )),
        };
        let answers = client.server_reflection_info(tokio_stream::iter([request])).await;
        let answer = answers.unwrap().into_inner().next().await.unwrap().unwrap();
        match answer.message_response.unwrap() {
            pb::server_reflection_response::MessageResponse::ListServicesResponse(list) => {
                list.service.into_iter().map(|service| service.name).collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        }
    }};
}

#[tokio::test]
async fn reflection_is_served_in_both_versions() {
    let service = Service::start().await;
    let channel = channel(&service).await;
    for names in [reflected_services!(v1, channel.clone()), reflected_services!(v1alpha, channel)] {
        for expected in ["replyguard.v1.CommentService", "replyguard.v1.SiteService"] {
            assert!(names.contains(&expected.to_owned()), "{names:?}");
        }
    }
}

#[tokio::test]
async fn gzip_is_taken_and_given_where_switched_on() {
    let service = Service::start_with(&["--compress-answers", "true"]).await;
    let client = service.client().await;
    let mut comments = client
        .comments
        .send_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Gzip);
    let long = "A long comment that repeats itself. ".repeat(100);
    let answer = comments.check_comment(check(comment(&long))).await.unwrap();
    assert_eq!(answer.metadata().get("grpc-encoding").unwrap(), "gzip");
    assert_eq!(answer.into_inner().comment.unwrap().public_comment.unwrap().text, long);
}

/// A gRPC frame: not compressed, with its length in front.
fn frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], &length[..], message].concat()
}

/// Posts a grpc-web body over HTTP/1.1; answers with status, headers' grpc-status and body.
async fn post_web(service: &Service, key: &str, body: Vec<u8>) -> (StatusCode, String, Vec<u8>) {
    let stream = tokio::net::TcpStream::connect(&service.first.grpc).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::post("/replyguard.v1.CommentService/CheckComment")
        .header("host", &service.first.grpc)
        .header("content-type", "application/grpc-web+proto")
        .header("x-grpc-web", "1")
        .header("x-api-key", key)
        .body(Full::new(Bytes::from(body)))
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    let status = response.status();
    let code = response.headers().get("grpc-status").map(|code| code.to_str().unwrap().to_owned());
    let body = response.into_body().collect().await.unwrap().to_bytes().to_vec();
    let in_trailers = String::from_utf8_lossy(&body)
        .split("grpc-status:")
        .nth(1)
        .map(|rest| rest.trim_start().chars().take_while(char::is_ascii_digit).collect());
    (status, code.or(in_trailers).unwrap_or_default(), body)
}

#[tokio::test]
async fn browsers_can_call_by_grpc_web() {
    let service = Service::start().await;
    let message = check(comment("Hello from a browser.")).encode_to_vec();
    let (status, code, body) = post_web(&service, &service.first.key, frame(&message)).await;
    assert_eq!((status, code.as_str()), (StatusCode::OK, "0"));
    let length = u32::from_be_bytes(body[1..5].try_into().unwrap()) as usize;
    let answer = proto::CheckCommentResponse::decode(&body[5..5 + length]).unwrap();
    assert!(answer.comment.unwrap().score.is_some());
}

#[tokio::test]
async fn truncated_frames_are_refused_and_the_service_lives() {
    let service = Service::start().await;
    let message = check(comment("Cut short.")).encode_to_vec();
    let whole = frame(&message);
    for cut in [1, 4, 5, 12, whole.len() - 1] {
        let (_, code, _) = post_web(&service, &service.first.key, whole[..cut].to_vec()).await;
        assert!(!code.is_empty() && code != "0", "cut at {cut}: {code}");
    }
    let lying = [&[0, 0xff, 0xff, 0xff, 0xff][..], &message].concat();
    let (_, code, _) = post_web(&service, &service.first.key, lying).await;
    assert_ne!(code, "0");
    let (_, code, _) = post_web(&service, &service.first.key, whole).await;
    assert_eq!(code, "0");
}

#[tokio::test]
async fn silent_connections_lock_nobody_out() {
    let service = Service::start_with(&["--connection-count-max", "2"]).await;
    let silent = [
        tokio::net::TcpStream::connect(&service.first.grpc).await.unwrap(),
        tokio::net::TcpStream::connect(&service.first.grpc).await.unwrap(),
    ];
    let answer = wait_for("a place beside silent connections", || async {
        let key = Some(service.first.key.as_str());
        let mut client =
            replyguard::grpc::client::Client::connect(&service.first.grpc, key).await.ok()?;
        client.comments.check_comment(check(comment("Is anybody there? It seems so."))).await.ok()
    })
    .await;
    assert!(answer.into_inner().comment.is_some());
    drop(silent);
}

#[tokio::test]
async fn silent_http_connections_lock_nobody_out() {
    let service = Service::start_with(&["--connection-count-max", "2"]).await;
    let silent = [
        tokio::net::TcpStream::connect(&service.first.http).await.unwrap(),
        tokio::net::TcpStream::connect(&service.first.http).await.unwrap(),
    ];
    let (status, _) = service.page("/readyz").await;
    assert_eq!(status, 200, "answered once the silent ones are closed");
    drop(silent);
}

/// The contract's request, with bytes where it has texts, and more than it has.
#[derive(Clone, PartialEq, Message)]
struct LooseRequest {
    #[prost(string, tag = "1")]
    parent: String,
    #[prost(message, optional, tag = "2")]
    comment: Option<LooseComment>,
    #[prost(int32, repeated, packed = "false", tag = "999")]
    unknown: Vec<i32>,
}

#[derive(Clone, PartialEq, Message)]
struct LooseComment {
    #[prost(bytes = "vec", tag = "1")]
    text: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    author: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    email: Vec<u8>,
}

async fn send_loose(
    service: &Service,
    request: LooseRequest,
) -> Result<proto::CheckCommentResponse, Status> {
    let mut grpc = tonic::client::Grpc::new(channel(service).await);
    grpc.ready().await.unwrap();
    let mut request = tonic::Request::new(request);
    request.metadata_mut().insert("x-api-key", service.first.key.parse().unwrap());
    let path = PathAndQuery::from_static("/replyguard.v1.CommentService/CheckComment");
    let codec: ProstCodec<LooseRequest, proto::CheckCommentResponse> = ProstCodec::new();
    grpc.unary(request, path, codec).await.map(tonic::Response::into_inner)
}

fn loose(text: &[u8]) -> LooseRequest {
    LooseRequest {
        parent: "sites/default".into(),
        comment: Some(LooseComment {
            text: text.into(),
            author: b"Jo".to_vec(),
            email: b"jo.bytes@example.org".to_vec(),
        }),
        unknown: Vec::new(),
    }
}

#[tokio::test]
async fn bytes_that_are_no_text_are_the_callers_fault() {
    let service = Service::start().await;
    let status = send_loose(&service, loose(b"caf\xe9")).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert!(status.message().contains("UTF-8"), "{status:?}");
    let status = send_loose(&service, loose(b"a\0b")).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("nul-character"), "{status:?}");
}

#[tokio::test]
async fn unknown_fields_are_skipped_by_the_hundred_thousand() {
    let service = Service::start().await;
    let many =
        LooseRequest { unknown: vec![1; 600_000], ..loose(b"Full of fields, still a comment.") };
    assert!(many.encoded_len() < 2 << 20);
    assert!(send_loose(&service, many).await.unwrap().comment.is_some());
    let million = LooseRequest { unknown: vec![1; 1_000_000], ..loose(b"Too many fields.") };
    let status = send_loose(&service, million).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert!(status.message().starts_with("message-too-large: "), "{status:?}");
}

/// The contract's item of a batch, with bytes where it has a text.
#[derive(Clone, PartialEq, Message)]
struct LooseItem {
    #[prost(string, tag = "1")]
    correlation_id: String,
    #[prost(string, tag = "2")]
    parent: String,
    #[prost(message, optional, tag = "3")]
    comment: Option<LooseComment>,
}

#[tokio::test]
async fn an_undecodable_item_ends_a_batch_after_all_before_it_are_answered() {
    let service = Service::start().await;
    let item = |number: usize, text: &[u8]| LooseItem {
        correlation_id: number.to_string(),
        parent: "sites/default".into(),
        comment: Some(LooseComment {
            text: text.into(),
            author: b"Jo".to_vec(),
            email: format!("jo{number}@example.org").into_bytes(),
        }),
    };
    let good = |number| item(number, format!("The {number}. remark of the day.").as_bytes());
    let items = (0..50).map(good).chain([item(50, b"caf\xe9"), good(51)]);
    let mut grpc = tonic::client::Grpc::new(channel(&service).await);
    grpc.ready().await.unwrap();
    let mut request = tonic::Request::new(tokio_stream::iter(items.collect::<Vec<_>>()));
    request.metadata_mut().insert("x-api-key", service.first.key.parse().unwrap());
    let path = PathAndQuery::from_static("/replyguard.v1.CommentService/BatchCheckComments");
    let codec: ProstCodec<LooseItem, proto::BatchCheckCommentsResponse> = ProstCodec::new();
    let mut answers = grpc.streaming(request, path, codec).await.unwrap().into_inner();
    let mut answered = 0;
    let status = loop {
        match answers.message().await {
            Ok(answer) => {
                answered += usize::from(answer.expect("an end with a reason").result.is_some())
            }
            Err(status) => break status,
        }
    };
    assert_eq!((answered, status.code()), (50, Code::InvalidArgument), "{status:?}");
}
