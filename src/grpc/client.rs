//! A client of the service, for the command line and for tests.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

pub use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
pub use prost_types::{Duration as WireDuration, FieldMask, Timestamp};
use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
pub use tonic::{Code, Response, Status, Streaming};
use tonic_types::{FieldViolation, StatusExt};

use super::longrunning::operations_client::OperationsClient;
use super::policy;
use super::proto;
use super::proto::comment_service_client::CommentServiceClient;
use super::proto::model_service_client::ModelServiceClient;
use super::proto::moderator_service_client::ModeratorServiceClient;
use super::proto::review_service_client::ReviewServiceClient;
use super::proto::site_service_client::SiteServiceClient;
use super::proto::webhook_service_client::WebhookServiceClient;
use crate::domain::SitePolicy;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a call may take; longer than the service's own limit.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// What is wrong with each field of a request that was refused, a line each.
pub fn field_violations(status: &Status) -> Vec<String> {
    let found = status.get_details_bad_request().map(|bad| bad.field_violations);
    let line = |one: FieldViolation| format!("{}: {}", one.field, one.description);
    found.unwrap_or_default().into_iter().map(line).collect()
}

/// Adds the key to each call.
#[derive(Clone)]
pub struct KeyInterceptor(Option<MetadataValue<Ascii>>);

impl Interceptor for KeyInterceptor {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(key) = &self.0 {
            request.metadata_mut().insert("x-api-key", key.clone());
        }
        Ok(request)
    }
}

/// What a connection with TLS needs besides the web's certificates, all files in PEM.
#[derive(Debug, Clone, Default)]
pub struct ClientTls {
    /// Certificates that are trusted instead of those of the web.
    pub ca_file: Option<PathBuf>,
    /// The client's own certificate and its key, for services that ask for one.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl ClientTls {
    fn is_wanted(&self) -> bool {
        self.ca_file.is_some() || self.identity.is_some()
    }

    fn config(&self) -> Result<ClientTlsConfig, String> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
        };
        let config = match &self.ca_file {
            None => ClientTlsConfig::new().with_webpki_roots(),
            Some(path) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(path)?)),
        };
        let Some((certificate, key)) = &self.identity else { return Ok(config) };
        Ok(config.identity(Identity::from_pem(read(certificate)?, read(key)?)))
    }
}

/// Whether the service at `address`, such as `127.0.0.1:50051`, says that it serves.
///
/// # Errors
/// One sentence: nobody listens there, or it is no gRPC service with health checks.
pub async fn is_serving(address: &str) -> Result<bool, String> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"));
    let endpoint = endpoint.map_err(|error| error.to_string())?.connect_timeout(CONNECT_TIMEOUT);
    let channel = endpoint.connect().await.map_err(|error| error.to_string())?;
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel);
    let request = tonic_health::pb::HealthCheckRequest::default();
    let answer = health.check(request).await.map_err(|status| status.message().to_owned())?;
    let serving = tonic_health::ServingStatus::Serving as i32;
    Ok(answer.into_inner().status == serving)
}

/// The service, as called with one key.
#[derive(Clone)]
pub struct Client {
    /// Checks comments.
    pub comments: CommentServiceClient<InterceptedService<Channel, KeyInterceptor>>,
    /// Creates sites and keys.
    pub sites: SiteServiceClient<InterceptedService<Channel, KeyInterceptor>>,
    /// Says who may sign in to the console.
    pub moderators: ModeratorServiceClient<InterceptedService<Channel, KeyInterceptor>>,
    /// Trains and promotes models.
    pub models: ModelServiceClient<InterceptedService<Channel, KeyInterceptor>>,
    /// Reviews comments.
    pub reviews: ReviewServiceClient<InterceptedService<Channel, KeyInterceptor>>,
    /// Says where decisions are sent.
    pub webhooks: WebhookServiceClient<InterceptedService<Channel, KeyInterceptor>>,
    /// Watches trainings.
    pub operations: OperationsClient<InterceptedService<Channel, KeyInterceptor>>,
}

impl Client {
    /// Connects to `address`, such as `127.0.0.1:50051` or `https://guard.example.org:50051`.
    ///
    /// # Errors
    /// As those of [`Self::connect_with`].
    pub async fn connect(address: &str, key: Option<&str>) -> Result<Self, String> {
        Self::connect_with(address, key, &ClientTls::default()).await
    }

    /// Connects to `address` with `tls`: if the address begins with `https://`, or if there is
    /// something in `tls`.
    ///
    /// # Errors
    /// One sentence: the address is none, a file cannot be used, the key has characters that no
    /// header may have, or nobody listens.
    pub async fn connect_with(
        address: &str,
        key: Option<&str>,
        tls: &ClientTls,
    ) -> Result<Self, String> {
        let encrypted = address.starts_with("https://") || tls.is_wanted();
        if encrypted && address.starts_with("http://") {
            return Err(format!("`{address}` is without TLS, but certificates are given"));
        }
        let host = address.split_once("://").map_or(address, |(_, host)| host);
        let scheme = if encrypted { "https" } else { "http" };
        let mut endpoint = Endpoint::from_str(&format!("{scheme}://{host}"))
            .map_err(|error| format!("`{address}` is no address: {error}"))?;
        if encrypted {
            endpoint = endpoint.tls_config(tls.config()?).map_err(|error| whole(&error))?;
        }
        let endpoint = endpoint.connect_timeout(CONNECT_TIMEOUT).timeout(CALL_TIMEOUT);
        let key = key
            .map(MetadataValue::from_str)
            .transpose()
            .map_err(|_| "the key has characters that no key has".to_owned())?;
        let channel = endpoint.connect().await.map_err(|error| match encrypted {
            // Here it may be the certificate, too.
            true => format!("no connection to {address}: {}", whole(&error)),
            false => format!("nobody answers at {address}; is `replyguard serve` running?"),
        })?;
        let keyed = KeyInterceptor(key);
        Ok(Self {
            comments: CommentServiceClient::with_interceptor(channel.clone(), keyed.clone()),
            sites: SiteServiceClient::with_interceptor(channel.clone(), keyed.clone()),
            moderators: ModeratorServiceClient::with_interceptor(channel.clone(), keyed.clone()),
            models: ModelServiceClient::with_interceptor(channel.clone(), keyed.clone()),
            reviews: ReviewServiceClient::with_interceptor(channel.clone(), keyed.clone()),
            webhooks: WebhookServiceClient::with_interceptor(channel.clone(), keyed.clone()),
            operations: OperationsClient::with_interceptor(channel, keyed),
        })
    }
}

/// An error with its causes.
fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// A policy of a file as the wire has it.
pub fn policy_to_wire(policy: SitePolicy) -> proto::SitePolicy {
    policy::to_wire(policy)
}

/// A message as its canonical JSON, with the field names of the contract.
///
/// `name` is the message's full name, such as `replyguard.v1.CheckedComment`.
///
/// # Panics
/// If `name` is not the name of `message`'s type in the contract: a mistake in the program.
pub fn to_json(name: &str, message: &impl Message) -> serde_json::Value {
    let pool = DescriptorPool::decode(proto::DESCRIPTORS).expect("the descriptors are our own");
    let descriptor = pool.get_message_by_name(name).expect("a message of the contract");
    let bytes = message.encode_to_vec();
    let dynamic = DynamicMessage::decode(descriptor, bytes.as_slice()).expect("bytes just encoded");
    let options = SerializeOptions::new().use_proto_field_name(true).skip_default_fields(false);
    dynamic
        .serialize_with_options(serde_json::value::Serializer, &options)
        .expect("messages are maps with text keys")
}
