//! `google.longrunning.Operations` over the long work under way.

use std::sync::Arc;
use std::time::Duration;

use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::comments::site_id;
use super::longrunning::operations_server::Operations as OperationsService;
use super::models::any;
use super::{answer, auth, evaluations, longrunning, models_convert, proto, rpc, status};
use crate::domain::{KeyScope, SiteId};
use crate::moderation::{Moderation, ModerationError, Operation, Worked};

/// The longest wait: a bit less than the longest time for a call.
const WAIT_MAX: Duration = Duration::from_secs(8);

/// The service; cheap to clone.
#[derive(Clone)]
pub(super) struct Operations {
    moderation: Arc<Moderation>,
}

impl Operations {
    pub(super) fn new(moderation: Arc<Moderation>) -> Self {
        Self { moderation }
    }

    async fn site<T>(&self, request: &Request<T>, name: &str) -> Result<SiteId, ModerationError> {
        let caller = auth::caller(&self.moderation, request).await?;
        let site = site_id("name", name)?;
        caller.require(&site, KeyScope::Operate)?;
        Ok(site)
    }

    async fn find<T>(
        &self,
        request: &Request<T>,
        name: &str,
    ) -> Result<Operation, ModerationError> {
        let (site, id) = name.split_once("/operations/").unwrap_or((name, ""));
        let site = self.site(request, site).await?;
        let id: Uuid = id.parse().map_err(|_| ModerationError::NotFound("operation"))?;
        self.moderation.operation(&site, id)
    }

    async fn list(
        &self,
        request: Request<longrunning::ListOperationsRequest>,
    ) -> Result<longrunning::ListOperationsResponse, ModerationError> {
        let site = self.site(&request, &request.get_ref().name).await?;
        let operations = self.moderation.operations(&site).iter().map(operation).collect();
        Ok(longrunning::ListOperationsResponse { operations, next_page_token: String::new() })
    }

    async fn get(
        &self,
        request: Request<longrunning::GetOperationRequest>,
    ) -> Result<longrunning::Operation, ModerationError> {
        Ok(operation(&self.find(&request, &request.get_ref().name).await?))
    }

    async fn forget(
        &self,
        request: Request<longrunning::DeleteOperationRequest>,
    ) -> Result<(), ModerationError> {
        let found = self.find(&request, &request.get_ref().name).await?;
        self.moderation.forget_operation(&found.site, found.id)
    }

    async fn cancel(
        &self,
        request: Request<longrunning::CancelOperationRequest>,
    ) -> Result<(), ModerationError> {
        self.find(&request, &request.get_ref().name).await?.progress.cancel();
        Ok(())
    }

    async fn wait(
        &self,
        request: Request<longrunning::WaitOperationRequest>,
    ) -> Result<longrunning::Operation, ModerationError> {
        let mut found = self.find(&request, &request.get_ref().name).await?;
        let asked = request.get_ref().timeout.and_then(|wait| Duration::try_from(wait).ok());
        let wait = asked.map_or(WAIT_MAX, |wait| wait.min(WAIT_MAX));
        let _ = tokio::time::timeout(wait, found.wait()).await;
        Ok(operation(&found))
    }
}

/// An operation for the wire.
pub(super) fn operation(operation: &Operation) -> longrunning::Operation {
    use longrunning::operation::Result as Ended;
    let metadata = proto::WorkMetadata {
        example_count: operation.progress.example_count() as i64,
        stage: operation.progress.stage().as_str().into(),
    };
    let result = operation.outcome().map(|outcome| match &*outcome {
        Ok(worked) => Ended::Response(response(worked, &operation.site)),
        Err(error) => {
            let details = status::parts(error);
            Ended::Error(rpc::Status { code: details.0, message: details.1, details: Vec::new() })
        }
    });
    longrunning::Operation {
        name: format!("{}/operations/{}", operation.site.name(), operation.id),
        metadata: Some(any("WorkMetadata", &metadata)),
        done: result.is_some(),
        result,
    }
}

/// What came of work, for the wire.
fn response(worked: &Worked, site: &SiteId) -> prost_types::Any {
    match worked {
        Worked::Trained(record) => {
            let model = Some(models_convert::model(record.clone()));
            any("TrainModelResponse", &proto::TrainModelResponse { model })
        }
        Worked::Evaluated(evaluation) => {
            let evaluation = Some(evaluations::evaluation(evaluation));
            any("EvaluateModelResponse", &proto::EvaluateModelResponse { evaluation })
        }
        Worked::Proven(proof) => {
            let proof = Some(evaluations::proof(proof, site));
            any("ProveModelResponse", &proto::ProveModelResponse { proof })
        }
    }
}

#[tonic::async_trait]
impl OperationsService for Operations {
    async fn list_operations(
        &self,
        request: Request<longrunning::ListOperationsRequest>,
    ) -> Result<Response<longrunning::ListOperationsResponse>, Status> {
        answer!(self, "ListOperations", list, request)
    }

    async fn get_operation(
        &self,
        request: Request<longrunning::GetOperationRequest>,
    ) -> Result<Response<longrunning::Operation>, Status> {
        answer!(self, "GetOperation", get, request)
    }

    async fn delete_operation(
        &self,
        request: Request<longrunning::DeleteOperationRequest>,
    ) -> Result<Response<()>, Status> {
        answer!(self, "DeleteOperation", forget, request)
    }

    async fn cancel_operation(
        &self,
        request: Request<longrunning::CancelOperationRequest>,
    ) -> Result<Response<()>, Status> {
        answer!(self, "CancelOperation", cancel, request)
    }

    async fn wait_operation(
        &self,
        request: Request<longrunning::WaitOperationRequest>,
    ) -> Result<Response<longrunning::Operation>, Status> {
        answer!(self, "WaitOperation", wait, request)
    }
}
