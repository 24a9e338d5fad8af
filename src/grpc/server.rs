//! The server around the services: limits, health, reflection, gzip, grpc-web.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::activity::CountCalls;
use super::connection::Connection;
use futures_util::Stream;
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::codegen::http;
use tonic::transport::Server;
use tonic::{Code, Status};
use tonic_health::server::HealthReporter;
use tonic_web::GrpcWebLayer;
use tower::util::MapResponseLayer;

use super::calls::CallLayer;
use super::comments::Comments;
use super::longrunning::operations_server::OperationsServer;
use super::models::Models;
use super::moderators::Moderators;
use super::operations::Operations;
use super::proto;
use super::proto::comment_service_server::CommentServiceServer;
use super::proto::model_service_server::ModelServiceServer;
use super::proto::moderator_service_server::ModeratorServiceServer;
use super::proto::review_service_server::ReviewServiceServer;
use super::proto::site_service_server::SiteServiceServer;
use super::proto::webhook_service_server::WebhookServiceServer;
use super::reviews::Reviews;
use super::sites::Sites;
use super::status::unreadable;
use super::webhooks::Webhooks;
use crate::moderation::Moderation;
use crate::moderation::accounts::Accounts;

/// What a connection and a call may cost.
#[derive(Debug, Clone)]
pub struct GrpcLimits {
    /// Bytes of a message. A submission with every field at its longest has under 90 kB, a policy
    /// with full lists 1 MB.
    pub message_bytes_max: usize,
    /// Calls under way on one connection.
    pub stream_count_max: u32,
    /// Time for a call; a shorter `grpc-timeout` of the caller goes first.
    pub call_timeout: Duration,
    /// Bytes of the headers of a call, 32 more for each counted, so under 512 headers.
    pub header_bytes_max: u32,
    /// Streams that a client opened and took back before they were looked at; with one more the
    /// connection ends (rapid reset).
    pub pending_reset_count_max: usize,
    /// Streams of one connection that were ended because the client broke the protocol on them;
    /// with one more the connection ends.
    pub error_reset_count_max: usize,
    /// How long nothing may come from a client before it is asked whether it is there.
    pub keepalive_interval: Duration,
    /// How long it may take to say so.
    pub keepalive_timeout: Duration,
    /// Whether answers are gzipped for callers that take it. Python's grpcio always says that it
    /// does, and gzip costs more CPU than the whole check, so this is the owner's choice.
    pub compress_answers: bool,
}

impl Default for GrpcLimits {
    fn default() -> Self {
        Self {
            message_bytes_max: 2 << 20,
            stream_count_max: 1_024,
            call_timeout: Duration::from_secs(10),
            header_bytes_max: 16 << 10,
            pending_reset_count_max: 20,
            error_reset_count_max: 256,
            keepalive_interval: Duration::from_secs(60),
            keepalive_timeout: Duration::from_secs(20),
            compress_answers: false,
        }
    }
}

/// The services of one process. Clone it for each thread that serves.
#[derive(Clone)]
pub struct GrpcService {
    moderation: Arc<Moderation>,
    accounts: Arc<Accounts>,
    console_url: Arc<str>,
    limits: GrpcLimits,
    health: HealthReporter,
}

impl GrpcService {
    /// The services over the use cases. They report `SERVING` once told so. Invitations lead to
    /// the console at `console_url`.
    pub fn new(
        moderation: Arc<Moderation>,
        accounts: Arc<Accounts>,
        console_url: &str,
        limits: GrpcLimits,
    ) -> Self {
        let health = HealthReporter::new();
        Self { moderation, accounts, console_url: console_url.into(), limits, health }
    }

    /// Tells health checks whether calls can be answered.
    pub async fn report(&self, serving: bool) {
        let status = if serving {
            tonic_health::ServingStatus::Serving
        } else {
            tonic_health::ServingStatus::NotServing
        };
        for service in [
            "",
            "replyguard.v1.CommentService",
            "replyguard.v1.ModelService",
            "replyguard.v1.ReviewService",
            "replyguard.v1.ModeratorService",
            "replyguard.v1.SiteService",
            "replyguard.v1.WebhookService",
        ] {
            self.health.set_service_status(service, status).await;
        }
    }

    /// Serves connections until `shutdown`, then ends those calls that are under way.
    ///
    /// # Errors
    /// The transport's, which for single connections are only logged.
    pub async fn serve(
        &self,
        incoming: impl Stream<Item = io::Result<Connection>>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), tonic::transport::Error> {
        let limits = &self.limits;
        let mut comments = CommentServiceServer::new(Comments::new(self.moderation.clone()))
            .max_decoding_message_size(limits.message_bytes_max)
            .accept_compressed(CompressionEncoding::Gzip);
        let mut sites = SiteServiceServer::new(Sites::new(self.moderation.clone()))
            .max_decoding_message_size(limits.message_bytes_max)
            .accept_compressed(CompressionEncoding::Gzip);
        let mut models = ModelServiceServer::new(Models::new(self.moderation.clone()))
            .max_decoding_message_size(limits.message_bytes_max)
            .accept_compressed(CompressionEncoding::Gzip);
        let mut reviews = ReviewServiceServer::new(Reviews::new(self.moderation.clone()))
            .max_decoding_message_size(limits.message_bytes_max)
            .accept_compressed(CompressionEncoding::Gzip);
        let moderators = ModeratorServiceServer::new(Moderators::new(
            self.moderation.clone(),
            self.accounts.clone(),
            self.console_url.clone(),
        ))
        .max_decoding_message_size(limits.message_bytes_max)
        .accept_compressed(CompressionEncoding::Gzip);
        let webhooks = WebhookServiceServer::new(Webhooks::new(self.moderation.clone()))
            .max_decoding_message_size(limits.message_bytes_max)
            .accept_compressed(CompressionEncoding::Gzip);
        let operations = OperationsServer::new(Operations::new(self.moderation.clone()));
        if limits.compress_answers {
            reviews = reviews.send_compressed(CompressionEncoding::Gzip);
            models = models.send_compressed(CompressionEncoding::Gzip);
            comments = comments.send_compressed(CompressionEncoding::Gzip);
            sites = sites.send_compressed(CompressionEncoding::Gzip);
        }
        let health = tonic_health::pb::health_server::HealthServer::new(
            tonic_health::server::HealthService::from_health_reporter(self.health.clone()),
        );
        let descriptors = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        transport(limits)
            .layer(CountCalls)
            .layer(CallLayer)
            .layer(MapResponseLayer::new(bad_input_response))
            .layer(GrpcWebLayer::new())
            .add_service(comments)
            .add_service(sites)
            .add_service(models)
            .add_service(reviews)
            .add_service(moderators)
            .add_service(webhooks)
            .add_service(operations)
            .add_service(health)
            .add_service(descriptors().build_v1().expect("the descriptors are our own"))
            .add_service(descriptors().build_v1alpha().expect("the descriptors are our own"))
            .serve_with_incoming_shutdown(incoming, shutdown)
            .await
    }
}

/// HTTP/2 and HTTP/1.1 (for grpc-web) with these limits. Of HTTP/1.1, hyper's own apply: 100 headers,
/// 30 seconds for them.
fn transport(limits: &GrpcLimits) -> Server {
    Server::builder()
        .accept_http1(true)
        .timeout(limits.call_timeout)
        .tcp_nodelay(true)
        .max_concurrent_streams(limits.stream_count_max)
        .http2_max_header_list_size(limits.header_bytes_max)
        .http2_max_pending_accept_reset_streams(Some(limits.pending_reset_count_max))
        .http2_max_local_error_reset_streams(Some(limits.error_reset_count_max))
        .http2_keepalive_interval(Some(limits.keepalive_interval))
        .http2_keepalive_timeout(Some(limits.keepalive_timeout))
}

/// How tonic's decoder begins its message when bytes are no message of the contract, and when there
/// are too many of them.
const DECODE_FAILURE: &str = "failed to decode Protobuf message";
const LENGTH_FAILURE: &str = "Error, decoded message length too large";
/// How it begins both messages about gzip.
const GZIP_FAILURE: &str = "Error decompressing: ";

/// tonic calls undecodable bytes `INTERNAL`, as if the fault were ours, and too many of them
/// `OUT_OF_RANGE` or `RESOURCE_EXHAUSTED`; callers are to see what of theirs was wrong.
fn bad_input_response(mut response: http::Response<Body>) -> http::Response<Body> {
    let code = response.headers().get(Status::GRPC_STATUS);
    let suspect = code.is_some_and(|code| code == "13" || code == "11" || code == "8");
    if suspect && let Some(status) = Status::from_header_map(response.headers()) {
        let status = as_bad_input(status);
        if status.code() == Code::InvalidArgument {
            // The headers were written once by tonic, so they can be written again.
            let _ = status.add_header(response.headers_mut());
        }
    }
    response
}

/// The status with `INVALID_ARGUMENT` and a reason if it is about bytes that were not read.
pub(super) fn as_bad_input(status: Status) -> Status {
    match status.code() {
        Code::Internal if status.message().starts_with(DECODE_FAILURE) => unreadable(
            "malformed-message",
            "the bytes are no message of the contract; texts must be UTF-8.",
        ),
        Code::OutOfRange if status.message().starts_with(LENGTH_FAILURE) => {
            // Both lengths, in tonic's words.
            let lengths = status.message().rsplit_once(": found ").map_or("", |(_, rest)| rest);
            unreadable("message-too-large", &format!("{lengths}."))
        }
        Code::ResourceExhausted if status.message().starts_with(GZIP_FAILURE) => unreadable(
            "message-too-large",
            &format!("{}.", &status.message()[GZIP_FAILURE.len()..]),
        ),
        Code::Internal if status.message().starts_with(GZIP_FAILURE) => {
            unreadable("malformed-message", "the bytes are not gzip, though the call says so.")
        }
        _ => status,
    }
}
