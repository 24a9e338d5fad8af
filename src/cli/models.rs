//! `replyguard models`: the models of a site in the running service.

use clap::{Args, Subcommand};

use super::budget::BudgetArgs;
use super::explain::ExplainArgs;
use super::first_site::{connect_to_site, refused};
use super::model_reports::{self, ReportArgs};
use super::operations::watch;
use super::output::{print, say};
use super::{Failure, SiteArgs, block_on};
use crate::grpc::client::{Client, Message, to_json};
use crate::grpc::proto;

/// Arguments of `models`.
#[derive(Args)]
pub(super) struct ModelsArgs {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    site: SiteArgs,
}

#[derive(Subcommand)]
enum Action {
    /// List the site's models, the newest first, and which one decides
    List,
    /// Show a model and how it did on the labels held out
    Show {
        /// The model's version
        version: String,
    },
    /// Train a model on the site's ledger; it decides nothing before it is promoted
    Train {
        /// The last entry of the ledger to learn from [default: all]
        #[arg(long)]
        ledger_position: Option<i64>,
        /// The seed of all shuffling
        #[arg(long, default_value_t = 1)]
        seed: i64,
    },
    /// Let a model decide from the next comment on
    Promote {
        /// The model's version
        version: String,
        /// Promote although the hold-out does not speak for it; needs --note
        #[arg(long, requires = "note")]
        force: bool,
        /// Why, for the audit log
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Let the model decide again that decided before
    Rollback {
        /// Only if this version decides now
        #[arg(long, value_name = "VERSION", default_value = "")]
        from: String,
        /// Why, for the audit log
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Let a model score live comments without deciding
    Shadow {
        /// The model's version
        version: String,
        /// End it
        #[arg(long)]
        stop: bool,
    },
    /// Tell how often the shadow would have decided otherwise. Of several replicas the one that
    /// answers tells of the comments that it checked itself
    Disagreements,
    /// Judge a model on the last fifth of ham and spam, with intervals and by kind of comment
    Evaluate {
        /// The model's version [default: the one that decides]
        version: Option<String>,
        #[command(flatten)]
        report: ReportArgs,
    },
    /// Compare two models by paired tests, on the labels that neither knows
    Compare {
        /// The model's version
        version: String,
        /// The other one's
        other: String,
        #[command(flatten)]
        report: ReportArgs,
    },
    /// Tell what a budget would do: thresholds, traffic and time for review, spam missed
    Budget(BudgetArgs),
    /// Compare the last comments with those that the model was made for
    Drift,
    /// Prove what a model was made of: train it again, also without anything that was taken back,
    /// and compare the bytes; list the labels that moved it most
    Prove {
        /// The model's version
        version: String,
    },
    /// Tell why a comment is judged as it is: every part of its score, and what would change it
    Explain(ExplainArgs),
}

impl ModelsArgs {
    /// Does it and prints what came of it.
    pub(super) fn run(self) -> Result<(), Failure> {
        block_on(async {
            let (client, site) = connect_to_site(&self.site).await?;
            let is_chosen = self.site.site.is_some();
            let desk = Desk { client, site, is_chosen, json: self.site.service.json };
            desk.run(self.action).await
        })
    }
}

/// A connection, the site's name and how to print.
struct Desk {
    client: Client,
    site: String,
    /// Whether `--site` gave it.
    is_chosen: bool,
    json: bool,
}

impl Desk {
    async fn run(mut self, action: Action) -> Result<(), Failure> {
        match action {
            Action::List => self.list().await,
            Action::Show { version } => {
                let request = proto::GetModelRequest { name: self.name(&version) };
                let answer = self.client.models.get_model(request).await;
                let answer = answer.map_err(|status| refused(&status))?.into_inner();
                self.show(&answer.model.unwrap_or_default())
            }
            Action::Train { ledger_position, seed } => self.train(ledger_position, seed).await,
            Action::Promote { version, force, note } => {
                let name = self.name(&version);
                let request = proto::PromoteModelRequest { name, force, note };
                let answer = self.client.models.promote_model(request).await;
                let answer = answer.map_err(|status| refused(&status))?.into_inner();
                self.show(&answer.model.unwrap_or_default())
            }
            Action::Rollback { from: active_version, note } => {
                let parent = self.site.clone();
                let request = proto::RollBackModelRequest { parent, note, active_version };
                let answer = self.client.models.roll_back_model(request).await;
                let answer = answer.map_err(|status| refused(&status))?.into_inner();
                if self.json {
                    return say!("{}", json("RollBackModelResponse", &answer));
                }
                say!("{} decides now", answer.active_version)
            }
            Action::Shadow { version, stop } => {
                let request = proto::ShadowModelRequest { name: self.name(&version), stop };
                let answer = self.client.models.shadow_model(request).await;
                let answer = answer.map_err(|status| refused(&status))?.into_inner();
                self.show(&answer.model.unwrap_or_default())
            }
            Action::Disagreements => self.disagreements().await,
            Action::Evaluate { version, report } => {
                let name = match version {
                    Some(version) => self.name(&version),
                    None => self.active().await?,
                };
                let (folder, json) = (report.folder(), self.json);
                model_reports::evaluate(&mut self.client, name, String::new(), folder, json).await
            }
            Action::Compare { version, other, report } => {
                let (name, folder) = (self.name(&version), report.folder());
                model_reports::evaluate(&mut self.client, name, other, folder, self.json).await
            }
            Action::Budget(args) => args.run(&mut self.client, self.site, self.json).await,
            Action::Drift => model_reports::drift(&mut self.client, self.site, self.json).await,
            Action::Prove { version } => {
                let name = self.name(&version);
                model_reports::prove(&mut self.client, name, self.json).await
            }
            Action::Explain(args) => {
                args.run(&mut self.client, self.site, self.is_chosen, self.json).await
            }
        }
    }

    /// The name of a version; a whole name stays as it is.
    fn name(&self, version: &str) -> String {
        if version.contains('/') {
            return version.to_owned();
        }
        format!("{}/models/{version}", self.site)
    }

    async fn list(&mut self) -> Result<(), Failure> {
        let mut page_token = String::new();
        loop {
            let parent = self.site.clone();
            let request = proto::ListModelsRequest { parent, page_size: 1_000, page_token };
            let answer = self.client.models.list_models(request).await;
            let answer = answer.map_err(|status| refused(&status))?.into_inner();
            if self.json {
                say!("{}", json("ListModelsResponse", &answer))?;
            } else {
                for model in &answer.models {
                    say!("{}", line(model))?;
                }
            }
            page_token = answer.next_page_token;
            if page_token.is_empty() {
                return match self.json {
                    true => Ok(()),
                    false => say!("{} decides", answer.active_version),
                };
            }
        }
    }

    async fn train(&mut self, ledger_position: Option<i64>, seed: i64) -> Result<(), Failure> {
        let site = self.site.clone();
        let model = train(&mut self.client, site, ledger_position, seed).await?;
        self.show(&model)
    }

    /// The name of the model that decides.
    async fn active(&mut self) -> Result<String, Failure> {
        let parent = self.site.clone();
        let request = proto::ListModelsRequest { parent, page_size: 1, page_token: String::new() };
        let answer = self.client.models.list_models(request).await;
        let version = answer.map_err(|status| refused(&status))?.into_inner().active_version;
        Ok(self.name(&version))
    }

    async fn disagreements(&mut self) -> Result<(), Failure> {
        let request = proto::ReportShadowRequest { parent: self.site.clone() };
        let answer = self.client.models.report_shadow(request).await;
        let answer = answer.map_err(|status| refused(&status))?.into_inner();
        if self.json {
            return say!("{}", json("ReportShadowResponse", &answer));
        }
        if answer.shadow_version.is_empty() {
            return say!("no shadow");
        }
        for one in &answer.disagreements {
            say!(
                "{}  {} {:.3}, the shadow {} {:.3}",
                one.comment,
                verdict(one.verdict),
                one.score,
                verdict(one.shadow_verdict),
                one.shadow_score
            )?;
        }
        say!(
            "{} disagreed about {} of {} comments checked by this replica",
            answer.shadow_version,
            answer.disagreement_count,
            answer.compared_count
        )
    }

    fn show(&self, model: &proto::Model) -> Result<(), Failure> {
        if self.json {
            return say!("{}", json("Model", model));
        }
        print(format_args!("{}", card(model)))
    }
}

/// Trains a model of a site and gives it.
///
/// # Errors
/// What the service said.
pub(super) async fn train(
    client: &mut Client,
    parent: String,
    ledger_position: Option<i64>,
    seed: i64,
) -> Result<proto::Model, Failure> {
    let request = proto::TrainModelRequest { parent, ledger_position, seed: Some(seed) };
    let begun = client.models.train_model(request).await;
    let operation = begun.map_err(|status| refused(&status))?.into_inner();
    let response: proto::TrainModelResponse = watch(client, operation, "training").await?;
    Ok(response.model.unwrap_or_default())
}

fn json(name: &str, message: &impl Message) -> serde_json::Value {
    to_json(&format!("replyguard.v1.{name}"), message)
}

fn verdict(value: i32) -> String {
    let verdict = proto::Verdict::try_from(value).unwrap_or_default();
    verdict.as_str_name().trim_start_matches("VERDICT_").to_lowercase()
}

fn state(model: &proto::Model) -> String {
    model.state().as_str_name().trim_start_matches("MODEL_STATE_").to_lowercase()
}

fn version(model: &proto::Model) -> &str {
    model.name.rsplit('/').next().unwrap_or_default()
}

fn line(model: &proto::Model) -> String {
    format!(
        "{:28} {:10} {:>7} ham {:>7} spam, ledger to {}",
        version(model),
        state(model),
        model.ham_count,
        model.spam_count,
        model.ledger_position
    )
}

/// A model and its hold-out as a table.
pub(super) fn card(model: &proto::Model) -> String {
    let mut text = line(model) + "\n";
    text += &format!("over {}\n", model.base_version);
    let Some(hold_out) = &model.hold_out else {
        return text + "too few labels to hold both kinds out: only --force promotes it\n";
    };
    text += &format!(
        "\n{} ham and {} spam held out, the last fifth of each:\n\
         {:10} {:>9} {:>10} {:>7} {:>9}\n",
        hold_out.ham_count, hold_out.spam_count, "", "ham held", "spam held", "auc", "log loss"
    );
    let rows =
        [("this", &hold_out.candidate), ("active", &hold_out.active), ("base", &hold_out.base)];
    for (name, figures) in rows {
        let Some(figures) = figures else { continue };
        let auc = figures.auc.map_or_else(|| "-".to_owned(), |auc| format!("{auc:.3}"));
        text += &format!(
            "{name:10} {:>9} {:>10} {auc:>7} {:>9.4}\n",
            figures.ham_held_count, figures.spam_held_count, figures.log_loss
        );
    }
    text
}
