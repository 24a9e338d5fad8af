//! The least a tonic service can do: decode the request, answer with a prepared response.

use std::io::Read;
use std::pin::Pin;

use prost::Message;
use replyguard::grpc::proto;
use replyguard::grpc::proto::comment_service_server::{CommentService, CommentServiceServer};
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

struct Echo {
    response: proto::CheckCommentResponse,
}

#[tonic::async_trait]
impl CommentService for Echo {
    async fn check_comment(
        &self,
        request: Request<proto::CheckCommentRequest>,
    ) -> Result<Response<proto::CheckCommentResponse>, Status> {
        std::hint::black_box(request.into_inner());
        Ok(Response::new(self.response.clone()))
    }

    type BatchCheckCommentsStream =
        Pin<Box<dyn Stream<Item = Result<proto::BatchCheckCommentsResponse, Status>> + Send>>;

    async fn batch_check_comments(
        &self,
        _: Request<Streaming<proto::BatchCheckCommentsRequest>>,
    ) -> Result<Response<Self::BatchCheckCommentsStream>, Status> {
        Err(Status::unimplemented("only CheckComment is measured"))
    }

    async fn get_comment(
        &self,
        _: Request<proto::GetCommentRequest>,
    ) -> Result<Response<proto::GetCommentResponse>, Status> {
        Err(Status::unimplemented("only CheckComment is measured"))
    }

    type WatchDecisionsStream =
        Pin<Box<dyn Stream<Item = Result<proto::WatchDecisionsResponse, Status>> + Send>>;

    async fn watch_decisions(
        &self,
        _: Request<proto::WatchDecisionsRequest>,
    ) -> Result<Response<Self::WatchDecisionsStream>, Status> {
        Err(Status::unimplemented("only CheckComment is measured"))
    }

    async fn submit_feedback(
        &self,
        _: Request<proto::SubmitFeedbackRequest>,
    ) -> Result<Response<proto::SubmitFeedbackResponse>, Status> {
        Err(Status::unimplemented("only CheckComment is measured"))
    }

    async fn erase_author(
        &self,
        _: Request<proto::EraseAuthorRequest>,
    ) -> Result<Response<proto::EraseAuthorResponse>, Status> {
        Err(Status::unimplemented("only CheckComment is measured"))
    }

    type ExportAuthorStream =
        Pin<Box<dyn Stream<Item = Result<proto::ExportAuthorResponse, Status>> + Send>>;

    async fn export_author(
        &self,
        _: Request<proto::ExportAuthorRequest>,
    ) -> Result<Response<Self::ExportAuthorStream>, Status> {
        Err(Status::unimplemented("only CheckComment is measured"))
    }
}

/// Reads the response from standard input, prints the address, serves until killed.
pub fn serve() {
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes).expect("the response on standard input");
    let response = proto::CheckCommentResponse::decode(bytes.as_slice()).expect("a response");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("{}", listener.local_addr().expect("an address"));
        // The server's own setting does not reach streams that come from outside.
        let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener)
            .map(|stream| stream.and_then(|stream| stream.set_nodelay(true).map(|()| stream)));
        tonic::transport::Server::builder()
            .add_service(CommentServiceServer::new(Echo { response }))
            .serve_with_incoming(incoming)
            .await
            .expect("the echo serves");
    });
}
