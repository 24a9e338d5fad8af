//! `google.longrunning.Operations` over the long work of all replicas.

use std::sync::Arc;
use std::time::Duration;

use prost::{DecodeError, Message};
use prost_types::Any;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::comments::site_id;
use super::longrunning::operation::Result as Ended;
use super::longrunning::operations_server::Operations as OperationsService;
use super::models::any;
use super::{answer, auth, evaluations, longrunning, models_convert, proto, rpc, status};
use crate::classifier::quote_label;
use crate::domain::{KeyScope, SiteId};
use crate::moderation::ports::StoreError;
use crate::moderation::ports::operations::{OperationRecord, WorkKind, WorkState};
use crate::moderation::{AnswerFormat, Moderation, ModerationError, Outcome, Worked};

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

    /// The site and the id in an operation's name.
    async fn named<T>(
        &self,
        request: &Request<T>,
        name: &str,
    ) -> Result<(SiteId, Uuid), ModerationError> {
        let (site, id) = name.split_once("/operations/").unwrap_or((name, ""));
        let site = self.site(request, site).await?;
        let id = id.parse().map_err(|_| ModerationError::NotFound("operation"))?;
        Ok((site, id))
    }

    async fn list(
        &self,
        request: Request<longrunning::ListOperationsRequest>,
    ) -> Result<longrunning::ListOperationsResponse, ModerationError> {
        let site = self.site(&request, &request.get_ref().name).await?;
        let mut operations = Vec::new();
        for record in self.moderation.operations(&site).await? {
            operations.push(self.told(record).await?);
        }
        Ok(longrunning::ListOperationsResponse { operations, next_page_token: String::new() })
    }

    async fn get(
        &self,
        request: Request<longrunning::GetOperationRequest>,
    ) -> Result<longrunning::Operation, ModerationError> {
        let (site, id) = self.named(&request, &request.get_ref().name).await?;
        self.told(self.moderation.operation(&site, id).await?).await
    }

    async fn forget(
        &self,
        request: Request<longrunning::DeleteOperationRequest>,
    ) -> Result<(), ModerationError> {
        let (site, id) = self.named(&request, &request.get_ref().name).await?;
        self.moderation.forget_operation(&site, id).await
    }

    async fn cancel(
        &self,
        request: Request<longrunning::CancelOperationRequest>,
    ) -> Result<(), ModerationError> {
        let (site, id) = self.named(&request, &request.get_ref().name).await?;
        self.moderation.cancel_operation(&site, id).await
    }

    async fn wait(
        &self,
        request: Request<longrunning::WaitOperationRequest>,
    ) -> Result<longrunning::Operation, ModerationError> {
        let (site, id) = self.named(&request, &request.get_ref().name).await?;
        let asked = request.get_ref().timeout.and_then(|wait| Duration::try_from(wait).ok());
        let wait = asked.map_or(WAIT_MAX, |wait| wait.min(WAIT_MAX));
        self.told(self.moderation.wait_for_operation(&site, id, wait).await?).await
    }

    /// An operation for the wire, with the comments that its answer quotes.
    async fn told(
        &self,
        record: OperationRecord,
    ) -> Result<longrunning::Operation, ModerationError> {
        let mut operation = operation(&record)?;
        if record.kind == WorkKind::Evaluate
            && let Some(Ended::Response(response)) = &mut operation.result
        {
            self.quote(&record.site, response).await?;
        }
        Ok(operation)
    }

    async fn quote(&self, site: &SiteId, response: &mut Any) -> Result<(), ModerationError> {
        let mut answer: proto::EvaluateModelResponse = read(&response.value)?;
        let Some(evaluation) = &mut answer.evaluation else { return Ok(()) };
        let positions = evaluation.worst_errors.iter().map(|error| error.position).collect();
        let quotes = self.moderation.quotes(site, positions).await?;
        for error in &mut evaluation.worst_errors {
            let text = quotes.get(&error.position).map_or("", String::as_str);
            quote_label(&mut evaluation.html, error.position, text);
            error.text = text.to_owned();
        }
        *response = any("EvaluateModelResponse", &answer);
        Ok(())
    }
}

/// An operation for the wire; an evaluation without the comments that it quotes.
///
/// # Errors
/// `Unavailable` if no version of this program wrote its answer.
pub(super) fn operation(
    record: &OperationRecord,
) -> Result<longrunning::Operation, ModerationError> {
    let metadata = proto::WorkMetadata {
        example_count: record.example_count as i64,
        stage: record.stage.as_str().into(),
    };
    let result = match &record.state {
        WorkState::Running => None,
        WorkState::Ended(answer) => read::<longrunning::Operation>(answer)?.result,
        WorkState::Interrupted => Some(failed(&ModerationError::Interrupted)),
        WorkState::Erased => Some(failed(&ModerationError::ErasedMeanwhile)),
    };
    Ok(longrunning::Operation {
        name: format!("{}/operations/{}", record.site.name(), record.id),
        metadata: Some(any("WorkMetadata", &metadata)),
        done: record.state != WorkState::Running,
        result,
    })
}

fn read<M: Message + Default>(stored: &[u8]) -> Result<M, ModerationError> {
    let corrupt = |error: DecodeError| StoreError::Corrupt(format!("an operation: {error}"));
    M::decode(stored).map_err(|error| ModerationError::Unavailable(corrupt(error)))
}

fn failed(error: &ModerationError) -> Ended {
    let (code, message) = status::parts(error);
    Ended::Error(rpc::Status { code, message, details: Vec::new() })
}

/// Writes what came of work as the result of an operation of the contract, which stays readable.
pub struct WireAnswers;

impl AnswerFormat for WireAnswers {
    fn write(&self, site: &SiteId, outcome: &Outcome) -> Vec<u8> {
        let result = match outcome {
            Ok(worked) => Ended::Response(response(worked, site)),
            Err(error) => failed(error),
        };
        longrunning::Operation { result: Some(result), done: true, ..Default::default() }
            .encode_to_vec()
    }
}

/// What came of work, for the wire.
fn response(worked: &Worked, site: &SiteId) -> Any {
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
