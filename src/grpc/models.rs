//! `ModelService` over the use cases.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::Stream;
use prost::Message;
use prost_types::Any;
use tonic::{Request, Response, Status, Streaming};

use super::comments::site_id;
use super::ledger::{comment_of, export};
use super::proto::model_service_server::ModelService;
use super::{
    answer, auth, convert, evaluations, explanations, longrunning, models_convert, operations,
    proto, status,
};
use crate::domain::{KeyScope, Site};
use crate::moderation::ports::StoreError;
use crate::moderation::{
    Caller, Explained, Moderation, ModerationError, TrainSettings, Work, note,
};
use crate::telemetry::Call;

/// The service; cheap to clone.
#[derive(Clone)]
pub(super) struct Models {
    pub(super) moderation: Arc<Moderation>,
}

impl Models {
    pub(super) fn new(moderation: Arc<Moderation>) -> Self {
        Self { moderation }
    }

    /// The caller and the site, if the caller may operate it.
    pub(super) async fn operator<T>(
        &self,
        request: &Request<T>,
        field: &'static str,
        parent: &str,
    ) -> Result<(Caller, Arc<Site>), ModerationError> {
        let caller = auth::caller(&self.moderation, request).await?;
        let id = site_id(field, parent)?;
        caller.require(&id, KeyScope::Operate)?;
        Ok((caller, self.moderation.site(&id).await?))
    }

    /// The caller, the site and the version in a model's name.
    async fn of_model<T>(
        &self,
        request: &Request<T>,
        name: &str,
    ) -> Result<(Caller, Arc<Site>, String), ModerationError> {
        let (site, version) = name.split_once("/models/").unwrap_or((name, ""));
        let (caller, site) = self.operator(request, "name", site).await?;
        if version.is_empty() {
            let text = "`sites/{site}/models/{model}` is expected.";
            return Err(ModerationError::field("name", "invalid-name", text));
        }
        Ok((caller, site, version.to_owned()))
    }

    async fn begin(
        &self,
        caller: &Caller,
        site: Arc<Site>,
        work: Work,
    ) -> Result<longrunning::Operation, ModerationError> {
        operations::operation(&self.moderation.begin(caller.actor(), site, work).await?)
    }

    async fn train(
        &self,
        request: Request<proto::TrainModelRequest>,
    ) -> Result<longrunning::Operation, ModerationError> {
        let (caller, site) = self.operator(&request, "parent", &request.get_ref().parent).await?;
        let request = request.into_inner();
        if request.ledger_position.is_some_and(|position| position < 0) {
            let text = "A position of the ledger is expected.";
            return Err(ModerationError::field("ledger_position", "negative", text));
        }
        let settings = TrainSettings {
            ledger_position: request.ledger_position,
            seed: request.seed.unwrap_or(1) as u64,
        };
        self.begin(&caller, site, Work::Train(settings)).await
    }

    async fn evaluate(
        &self,
        request: Request<proto::EvaluateModelRequest>,
    ) -> Result<longrunning::Operation, ModerationError> {
        let (caller, site, version) = self.of_model(&request, &request.get_ref().name).await?;
        let against = Some(request.into_inner().against_version).filter(|name| !name.is_empty());
        let work = Work::Evaluate { version, against };
        self.begin(&caller, site, work).await
    }

    async fn prove(
        &self,
        request: Request<proto::ProveModelRequest>,
    ) -> Result<longrunning::Operation, ModerationError> {
        let (caller, site, version) = self.of_model(&request, &request.get_ref().name).await?;
        let work = Work::Prove { version };
        self.begin(&caller, site, work).await
    }

    async fn list(
        &self,
        request: Request<proto::ListModelsRequest>,
    ) -> Result<proto::ListModelsResponse, ModerationError> {
        let (_, site) = self.operator(&request, "parent", &request.get_ref().parent).await?;
        let request = request.into_inner();
        let count_max = super::sites::page_size(request.page_size)?;
        let from: usize = match request.page_token.as_str() {
            "" => 0,
            token => token.parse().map_err(|_| super::sites::bad_token())?,
        };
        let (models, active_version) = self.moderation.models(&site.id).await?;
        let next = from.saturating_add(count_max);
        let more = models.len() > next;
        let page = models.into_iter().skip(from).take(count_max);
        Ok(proto::ListModelsResponse {
            models: page.map(models_convert::model).collect(),
            next_page_token: if more { next.to_string() } else { String::new() },
            active_version,
        })
    }

    async fn get(
        &self,
        request: Request<proto::GetModelRequest>,
    ) -> Result<proto::GetModelResponse, ModerationError> {
        let (_, site, version) = self.of_model(&request, &request.get_ref().name).await?;
        let model = self.moderation.model(&site.id, &version).await?;
        Ok(proto::GetModelResponse { model: Some(models_convert::model(model)) })
    }

    async fn promote(
        &self,
        request: Request<proto::PromoteModelRequest>,
    ) -> Result<proto::PromoteModelResponse, ModerationError> {
        let (caller, site, version) = self.of_model(&request, &request.get_ref().name).await?;
        let request = request.into_inner();
        let (actor, force) = (caller.actor(), request.force);
        let note = note(request.note)?;
        let moderation = self.moderation.clone();
        let model = to_the_end(async move {
            moderation.promote_model(&actor, &site.id, &version, force, note).await
        });
        let model = model.await?;
        Ok(proto::PromoteModelResponse { model: Some(models_convert::model(model)) })
    }

    async fn roll_back(
        &self,
        request: Request<proto::RollBackModelRequest>,
    ) -> Result<proto::RollBackModelResponse, ModerationError> {
        let (caller, site) = self.operator(&request, "parent", &request.get_ref().parent).await?;
        let request = request.into_inner();
        let (expected, note) = (request.active_version, note(request.note)?);
        let (moderation, actor) = (self.moderation.clone(), caller.actor());
        let active_version = to_the_end(async move {
            let expected = Some(expected.as_str()).filter(|version| !version.is_empty());
            moderation.roll_back_model(&actor, &site.id, expected, note).await
        });
        let active_version = active_version.await?;
        Ok(proto::RollBackModelResponse { active_version })
    }

    async fn shadow(
        &self,
        request: Request<proto::ShadowModelRequest>,
    ) -> Result<proto::ShadowModelResponse, ModerationError> {
        let (caller, site, version) = self.of_model(&request, &request.get_ref().name).await?;
        let (actor, stop) = (caller.actor(), request.get_ref().stop);
        let moderation = self.moderation.clone();
        let model =
            to_the_end(
                async move { moderation.shadow_model(&actor, &site.id, &version, stop).await },
            );
        let model = model.await?;
        Ok(proto::ShadowModelResponse { model: Some(models_convert::model(model)) })
    }

    async fn disagreements(
        &self,
        request: Request<proto::ReportShadowRequest>,
    ) -> Result<proto::ReportShadowResponse, ModerationError> {
        let (_, site) = self.operator(&request, "parent", &request.get_ref().parent).await?;
        let report = self.moderation.shadow_report(&site.id);
        Ok(models_convert::shadow_report(&site.id, report))
    }
}

impl Models {
    async fn drift(
        &self,
        request: Request<proto::ReportDriftRequest>,
    ) -> Result<proto::ReportDriftResponse, ModerationError> {
        let (_, site) = self.operator(&request, "parent", &request.get_ref().parent).await?;
        Ok(evaluations::drift(self.moderation.drift(&site).await?))
    }

    async fn budget(
        &self,
        request: Request<proto::PreviewBudgetRequest>,
    ) -> Result<proto::PreviewBudgetResponse, ModerationError> {
        let (_, site) = self.operator(&request, "parent", &request.get_ref().parent).await?;
        let budget = evaluations::budget(request.get_ref())?;
        let preview = self.moderation.preview_budget(&site, budget).await?;
        Ok(evaluations::preview(preview))
    }

    async fn explain(
        &self,
        request: Request<proto::ExplainCommentRequest>,
    ) -> Result<proto::ExplainCommentResponse, ModerationError> {
        use proto::explain_comment_request::Subject;
        let (_, site) = self.operator(&request, "parent", &request.get_ref().parent).await?;
        let request = request.into_inner();
        let subject = match request.subject {
            Some(Subject::Name(name)) => Explained::Recorded(comment_of(&site.id, &name)?),
            Some(Subject::Comment(comment)) => {
                Explained::New(Box::new(convert::raw_submission(Some(comment))?))
            }
            None => {
                let text = "A comment or the name of one is required.";
                return Err(ModerationError::field("subject", "required", text));
            }
        };
        let version = Some(request.model_version.as_str()).filter(|version| !version.is_empty());
        let explanation = self.moderation.explain(&site, subject, version).await?;
        Ok(proto::ExplainCommentResponse {
            explanation: Some(explanations::explanation(explanation)),
        })
    }
}

/// Runs a change to its end, also if the caller goes away meanwhile: what the store has, memory
/// must have too.
async fn to_the_end<T: Send + 'static>(
    change: impl Future<Output = Result<T, ModerationError>> + Send + 'static,
) -> Result<T, ModerationError> {
    let broken = |error: tokio::task::JoinError| {
        let cause = StoreError::Unavailable(format!("a change of models: {error}"));
        Err(ModerationError::Unavailable(cause))
    };
    tokio::spawn(change).await.unwrap_or_else(broken)
}

#[tonic::async_trait]
impl ModelService for Models {
    async fn train_model(
        &self,
        request: Request<proto::TrainModelRequest>,
    ) -> Result<Response<longrunning::Operation>, Status> {
        answer!(self, "TrainModel", train, request)
    }

    async fn evaluate_model(
        &self,
        request: Request<proto::EvaluateModelRequest>,
    ) -> Result<Response<longrunning::Operation>, Status> {
        answer!(self, "EvaluateModel", evaluate, request)
    }

    async fn prove_model(
        &self,
        request: Request<proto::ProveModelRequest>,
    ) -> Result<Response<longrunning::Operation>, Status> {
        answer!(self, "ProveModel", prove, request)
    }

    async fn list_models(
        &self,
        request: Request<proto::ListModelsRequest>,
    ) -> Result<Response<proto::ListModelsResponse>, Status> {
        answer!(self, "ListModels", list, request)
    }

    async fn get_model(
        &self,
        request: Request<proto::GetModelRequest>,
    ) -> Result<Response<proto::GetModelResponse>, Status> {
        answer!(self, "GetModel", get, request)
    }

    async fn promote_model(
        &self,
        request: Request<proto::PromoteModelRequest>,
    ) -> Result<Response<proto::PromoteModelResponse>, Status> {
        answer!(self, "PromoteModel", promote, request)
    }

    async fn roll_back_model(
        &self,
        request: Request<proto::RollBackModelRequest>,
    ) -> Result<Response<proto::RollBackModelResponse>, Status> {
        answer!(self, "RollBackModel", roll_back, request)
    }

    async fn shadow_model(
        &self,
        request: Request<proto::ShadowModelRequest>,
    ) -> Result<Response<proto::ShadowModelResponse>, Status> {
        answer!(self, "ShadowModel", shadow, request)
    }

    async fn report_shadow(
        &self,
        request: Request<proto::ReportShadowRequest>,
    ) -> Result<Response<proto::ReportShadowResponse>, Status> {
        answer!(self, "ReportShadow", disagreements, request)
    }

    async fn import_examples(
        &self,
        request: Request<Streaming<proto::ImportExamplesRequest>>,
    ) -> Result<Response<proto::ImportExamplesResponse>, Status> {
        answer!(self, "ImportExamples", import, request)
    }

    type ExportExamplesStream =
        Pin<Box<dyn Stream<Item = Result<proto::ExportExamplesResponse, Status>> + Send>>;

    async fn export_examples(
        &self,
        request: Request<proto::ExportExamplesRequest>,
    ) -> Result<Response<Self::ExportExamplesStream>, Status> {
        let call = Call::begin("ExportExamples");
        let admitted = self.operator(&request, "parent", &request.get_ref().parent).await;
        call.end(admitted.as_ref().err().map(ModerationError::reason));
        let (_, site) = admitted.map_err(status::status)?;
        let examples = export(self.moderation.clone(), site);
        let metadata = request.metadata().clone();
        Ok(Response::new(auth::while_valid(self.moderation.clone(), metadata, examples)))
    }

    async fn retract_examples(
        &self,
        request: Request<proto::RetractExamplesRequest>,
    ) -> Result<Response<proto::RetractExamplesResponse>, Status> {
        answer!(self, "RetractExamples", retract, request)
    }

    async fn report_drift(
        &self,
        request: Request<proto::ReportDriftRequest>,
    ) -> Result<Response<proto::ReportDriftResponse>, Status> {
        answer!(self, "ReportDrift", drift, request)
    }

    async fn preview_budget(
        &self,
        request: Request<proto::PreviewBudgetRequest>,
    ) -> Result<Response<proto::PreviewBudgetResponse>, Status> {
        answer!(self, "PreviewBudget", budget, request)
    }

    async fn explain_comment(
        &self,
        request: Request<proto::ExplainCommentRequest>,
    ) -> Result<Response<proto::ExplainCommentResponse>, Status> {
        answer!(self, "ExplainComment", explain, request)
    }
}

/// A message of the contract as `Any`.
pub(super) fn any(name: &str, message: &impl Message) -> Any {
    let type_url = format!("type.googleapis.com/replyguard.v1.{name}");
    Any { type_url, value: message.encode_to_vec() }
}
