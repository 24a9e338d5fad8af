//! `replyguard doctor`: looks for trouble, or probes a running service.

use std::time::Duration;

use clap::Args;

use super::config_args::ConfigArgs;
use super::output::{print, say};
use super::{Failure, doctor_akismet};
use crate::app::diagnosis::{self, Finding, Findings};
use crate::http::client;

/// Arguments of `doctor`.
#[derive(Args)]
pub(super) struct DoctorArgs {
    /// Only ask this URL, such as http://127.0.0.1:8080/readyz, and succeed if it answers 200
    #[arg(long, value_name = "URL")]
    probe: Option<String>,
    /// Only send what each client of Akismet sends to the server at URL with KEY, and say what
    /// would break
    #[arg(long, num_args = 2, value_names = ["URL", "KEY"], conflicts_with = "probe")]
    akismet: Option<Vec<String>>,
    /// Print JSON: `ok`, and the findings
    #[arg(long, conflicts_with_all = ["probe", "akismet"])]
    json: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

/// How long a probe waits.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

impl DoctorArgs {
    /// Prints what was found; exit code 69 if anything is wrong.
    pub(super) fn run(self) -> Result<(), Failure> {
        if let Some(url) = self.probe {
            return super::block_on(probe(&url));
        }
        if let Some([url, key]) = self.akismet.as_deref() {
            return super::block_on(doctor_akismet::examine(url, key));
        }
        let file = self.config.file();
        let config = self.config.read()?;
        let findings = super::block_on(async {
            // Drawn up whole: what is found does not depend on what was found before.
            Ok(diagnosis::examine(&config, file.as_deref()).await)
        })?;
        let bad = |found: &&(&str, Finding)| matches!(found.1, Finding::Bad { .. });
        let trouble_count = findings.iter().filter(bad).count();
        if self.json {
            say!("{}", json(&findings, trouble_count == 0))?;
        } else {
            tell(&findings)?;
        }
        match trouble_count {
            0 => Ok(()),
            1 => Err(Failure::unavailable("1 trouble found")),
            count => Err(Failure::unavailable(format!("{count} troubles found"))),
        }
    }
}

fn tell(findings: &Findings) -> Result<(), Failure> {
    for (part, finding) in findings {
        match finding {
            Finding::Good(text) => say!("ok       {part}: {text}")?,
            Finding::Note(text) => say!("note     {part}: {text}")?,
            Finding::Bad { what, advice } => {
                say!("TROUBLE  {part}: {what}\n         {advice}")?;
            }
        }
    }
    Ok(())
}

fn json(findings: &Findings, ok: bool) -> serde_json::Value {
    let of = |(part, finding): &(&str, Finding)| match finding {
        Finding::Good(text) | Finding::Note(text) => {
            serde_json::json!({ "part": part, "ok": true, "text": text })
        }
        Finding::Bad { what, advice } => {
            serde_json::json!({ "part": part, "ok": false, "text": what, "advice": advice })
        }
    };
    serde_json::json!({ "ok": ok, "findings": findings.iter().map(of).collect::<Vec<_>>() })
}

async fn probe(url: &str) -> Result<(), Failure> {
    let answer = tokio::time::timeout(PROBE_TIMEOUT, client::get(url)).await;
    match answer {
        Err(_) => Err(Failure::unavailable(format!("{url}: no answer in {PROBE_TIMEOUT:?}"))),
        Ok(Err(error)) => Err(Failure::unavailable(format!("{url}: {error}"))),
        Ok(Ok((200, body))) => {
            print(format_args!("{body}"))?;
            Ok(())
        }
        Ok(Ok((status, body))) => {
            Err(Failure::unavailable(format!("{url}: status {status}: {}", body.trim_end())))
        }
    }
}
