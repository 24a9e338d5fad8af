//! The command line: one file a subcommand.

mod audit;
mod authors;
mod backup;
mod budget;
mod cancel;
mod check;
mod config_args;
mod corpus;
mod demo;
mod doctor;
mod doctor_akismet;
mod evaluate;
mod evaluation_table;
mod examples;
mod explain;
mod export;
mod failure;
mod files;
mod learning_curve;
mod first_site;
mod import;
mod migrate;
mod model_reports;
mod models;
mod moderators;
mod operations;
mod output;
mod progress;
mod queue;
mod recover_key;
mod sampling;
mod score;
mod scored;
mod serve;
mod sites;
mod spill;
mod train;
mod webhooks;

use clap::{Args, Parser, Subcommand};

use crate::classifier::{Model, base_model};
use crate::grpc::client::ClientTls;

pub use failure::Failure;
#[cfg(any(test, fuzzing))]
pub use import::fuzz_import;

/// Guards the form "Leave a Reply": checks comments, hides addresses, stops spam.
#[derive(Parser)]
#[command(version, about, args_conflicts_with_subcommands = true, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::ServeArgs,
}

#[derive(Subcommand)]
enum Command {
    /// Serve gRPC and HTTP (also what happens without a subcommand).
    Serve(serve::ServeArgs),
    /// Serve a believable week of two sites from a throw-away folder, to look around.
    Demo(demo::DemoArgs),
    /// Send one comment to the running service and print the verdict with its reasons.
    Check(check::CheckArgs),
    /// Score comments from standard input, one JSON object a line, without service or store.
    Score(score::ScoreArgs),
    /// Train a model on labelled examples.
    Train(train::TrainArgs),
    /// Measure a model on labelled examples.
    Evaluate(evaluate::EvaluateArgs),
    /// List, train, promote and take back the models of a site in the running service.
    Models(models::ModelsArgs),
    /// Import, export and take back the labels of a site in the running service.
    Examples(examples::ExamplesArgs),
    /// Bring the comments of another system into the label ledger of a site: WordPress, Disqus,
    /// Isso, Remark42, JSON lines, tables.
    Import(import::ImportArgs),
    /// See the review queue of a site in the running service, decide, and take decisions back.
    Queue(queue::QueueArgs),
    /// Show the audit log of a site in the running service.
    Audit(audit::AuditArgs),
    /// Create sites and keys, show and set policies, in the running service.
    Sites(sites::SitesArgs),
    /// Erase or export what a person wrote on a site of the running service.
    Authors(authors::AuthorsArgs),
    /// Print a site of the running service with its comments, labels and policy, as JSON lines.
    Export(export::ExportArgs),
    /// Say who may sign in to the console of the running service.
    Moderators(moderators::ModeratorsArgs),
    /// Say where the running service sends what is decided on a site.
    Webhooks(webhooks::WebhooksArgs),
    /// Make a key with every scope while the service is stopped, for an owner who lost theirs.
    RecoverKey(recover_key::RecoverKeyArgs),
    /// Bring the database to this version's schema.
    Migrate(migrate::MigrateArgs),
    /// Copy the whole installation into one file, also while the service runs.
    Backup(backup::BackupArgs),
    /// Put a backup into a data folder that has no database.
    Restore(backup::RestoreArgs),
    /// Look for trouble in a deployment, or probe a running one.
    Doctor(doctor::DoctorArgs),
}

impl Cli {
    /// Runs what was asked for.
    ///
    /// # Errors
    /// A message for people and an exit code.
    pub fn run(self) -> Result<(), Failure> {
        match self.command {
            None => self.serve.run(),
            Some(Command::Serve(args)) => args.run(),
            Some(Command::Demo(args)) => args.run(),
            Some(Command::Check(args)) => args.run(),
            Some(Command::Score(args)) => args.run(),
            Some(Command::Train(args)) => args.run(),
            Some(Command::Evaluate(args)) => args.run(),
            Some(Command::Models(args)) => args.run(),
            Some(Command::Examples(args)) => args.run(),
            Some(Command::Import(args)) => args.run(),
            Some(Command::Queue(args)) => args.run(),
            Some(Command::Audit(args)) => args.run(),
            Some(Command::Sites(args)) => args.run(),
            Some(Command::Authors(args)) => args.run(),
            Some(Command::Export(args)) => args.run(),
            Some(Command::Moderators(args)) => args.run(),
            Some(Command::Webhooks(args)) => args.run(),
            Some(Command::RecoverKey(args)) => args.run(),
            Some(Command::Migrate(args)) => args.run(),
            Some(Command::Backup(args)) => args.run(),
            Some(Command::Restore(args)) => args.run(),
            Some(Command::Doctor(args)) => args.run(),
        }
    }
}

/// Where the running service is and how to be let in.
#[derive(Args)]
struct ServiceArgs {
    /// The service's gRPC address, https://HOST:PORT with TLS [default: as in first-site.json,
    /// else 127.0.0.1:50051]
    #[arg(long, global = true, env = "REPLYGUARD_SERVER", value_name = "HOST:PORT")]
    server: Option<String>,
    /// The API key [default: the one in first-site.json]
    #[arg(long, global = true, env = "REPLYGUARD_KEY", hide_env_values = true)]
    key: Option<String>,
    /// The data folder, where first-site.json is looked for
    #[arg(
        long,
        global = true,
        env = "REPLYGUARD_DATA_DIR",
        default_value = "data",
        value_name = "DIR"
    )]
    data_dir: std::path::PathBuf,
    #[command(flatten)]
    tls: TlsArgs,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

/// Certificates for a service that speaks TLS.
#[derive(Args)]
struct TlsArgs {
    /// Certificates (PEM) that are trusted instead of those of the web
    #[arg(long, global = true, env = "REPLYGUARD_CA_FILE", value_name = "FILE")]
    ca_file: Option<std::path::PathBuf>,
    /// The client's own certificate (PEM), with --client-key-file
    #[arg(long, global = true, env = "REPLYGUARD_CLIENT_CERTIFICATE_FILE", value_name = "FILE")]
    client_certificate_file: Option<std::path::PathBuf>,
    /// The key (PEM) of that certificate
    #[arg(long, global = true, env = "REPLYGUARD_CLIENT_KEY_FILE", value_name = "FILE")]
    client_key_file: Option<std::path::PathBuf>,
}

impl TlsArgs {
    /// What the client needs.
    ///
    /// # Errors
    /// Exit code 64 if a certificate has no key, or a key no certificate.
    fn read(&self) -> Result<ClientTls, Failure> {
        let identity = match (&self.client_certificate_file, &self.client_key_file) {
            (Some(certificate), Some(key)) => Some((certificate.clone(), key.clone())),
            (None, None) => None,
            _ => {
                let text = "--client-certificate-file and --client-key-file go together";
                return Err(Failure::usage(text));
            }
        };
        Ok(ClientTls { ca_file: self.ca_file.clone(), identity })
    }
}

/// A site of the running service.
#[derive(Args)]
struct SiteArgs {
    /// The site [default: as in first-site.json]
    #[arg(long, global = true)]
    site: Option<String>,
    #[command(flatten)]
    service: ServiceArgs,
}

/// The model in a file, or the bundled one.
fn load_model(path: Option<&std::path::Path>) -> Result<Model, Failure> {
    let read = |path| crate::app::read_model(path).map_err(Failure::usage);
    path.map_or_else(|| Ok(base_model()), read)
}

/// Runs a client's work on a small runtime.
fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::software(error.to_string()))?.block_on(work)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
