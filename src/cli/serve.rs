//! `replyguard serve`: the service itself.

use std::time::Duration;

use clap::Args;

use super::Failure;
use super::config_args::ConfigArgs;
use super::output::say;
use crate::app::{App, BindError, FirstStart, keep_crashes_silent};
use crate::config::{Config, StorageConfig};
use crate::telemetry;

/// How long the end of the process waits for what cannot be ended, such as looking up a name.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Arguments of `serve`.
#[derive(Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    config: ConfigArgs,
}

impl ServeArgs {
    /// Serves until SIGTERM or SIGINT, then drains.
    pub(super) fn run(self) -> Result<(), Failure> {
        serve(self.config.read()?)
    }
}

/// Serves a configuration until SIGTERM or SIGINT, then drains; during the start they end it.
pub(super) fn serve(config: Config) -> Result<(), Failure> {
    let traces = telemetry::start_logging(&config.telemetry).map_err(Failure::usage)?;
    if let Err(error) = keep_crashes_silent() {
        tracing::warn!(error = %error, "core dumps are not forbidden");
    }
    let metrics = telemetry::start_metrics().map_err(Failure::software)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::software(error.to_string()))?;
    let served = runtime.block_on(async {
        let stop = stop_signal().map_err(|error| Failure::software(error.to_string()))?;
        tokio::pin!(stop);
        // A start may take long, such as one that brings a large database up to date.
        let app = tokio::select! {
            app = App::bind(config.clone(), metrics) => app.map_err(failure)?,
            () = &mut stop => return Ok(()),
        };
        // A service whose greeting nobody reads serves all the same.
        let _ = greet(&app, &config);
        app.run(stop).await.map_err(|error| Failure::software(error.to_string()))
    });
    // A name that is being looked up cannot be given up, and may take for ever.
    runtime.shutdown_timeout(LAST_WAIT);
    if let Some(traces) = traces {
        traces.end();
    }
    served
}

/// What a failed start means on the command line.
pub(super) fn failure(error: BindError) -> Failure {
    match error {
        BindError::Config(message) => Failure::usage(message),
        other => Failure::unavailable(other.to_string()),
    }
}

/// What a person at the terminal needs to know. Printed, not logged: it holds the first key.
fn greet(app: &App, config: &Config) -> Result<(), Failure> {
    say!("replyguard {}", env!("CARGO_PKG_VERSION"))?;
    say!("  gRPC    {}", app.grpc_url())?;
    let scheme = if config.server.http_key_file.is_some() { "https" } else { "http" };
    say!("  HTTP    {scheme}://{}   /healthz /readyz /metrics", app.http_address())?;
    say!("  console {}", app.console_url())?;
    say!("  data    {}", config.storage.data_dir.display())?;
    say!("  model   {}", app.model_version())?;
    if let FirstStart::Yes(first) = app.first_start() {
        let file = config.storage.first_site();
        say!(
            "\nThis is the first start. Your first site is `{}`. Its key, shown once:",
            first.site
        )?;
        say!("\n  {}\n", first.key)?;
        say!("It is also in {}, readable by you alone.", file.display())?;
        let here = config.storage == StorageConfig::default();
        let folder = match here {
            true => String::new(),
            false => format!("--data-dir {} ", config.storage.data_dir.display()),
        };
        say!(
            "Try, in a second shell:  replyguard check {folder}\"Thanks, that helped me a lot.\""
        )?;
    }
    if let Some(first) = app.first_administrator() {
        say!("\nNobody administers the console yet. Set the password of `{}` here:", first.name)?;
        say!("\n  {}\n", first.link)?;
        say!("The link works once; each start prints a new one until it was used.")?;
    }
    Ok(())
}

/// Waits for SIGTERM or SIGINT.
pub(super) fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
            _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
        }
    })
}
