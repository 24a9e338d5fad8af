//! `replyguard doctor`: looks for trouble, or probes a running service.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use clap::Args;

use super::config_args::ConfigArgs;
use super::output::{print, say};
use super::{Failure, doctor_akismet};
use crate::app::diagnosis::{self, Finding};
use crate::config::Config;
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
        let config = self.config.read()?;
        say!("ok       configuration")?;
        let mut findings = vec![key_file(&config)];
        super::block_on(async {
            findings.extend(diagnosis::examine(&config).await);
            Ok(())
        })?;
        let mut trouble_count = 0;
        for finding in findings {
            match finding {
                Finding::Good(text) => say!("ok       {text}")?,
                Finding::Bad { what, advice } => {
                    trouble_count += 1;
                    say!("TROUBLE  {what}\n         {advice}")?;
                }
            }
        }
        match trouble_count {
            0 => Ok(()),
            1 => Err(Failure::unavailable("1 trouble found")),
            count => Err(Failure::unavailable(format!("{count} troubles found"))),
        }
    }
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

/// The first key must be its owner's alone.
fn key_file(config: &Config) -> Finding {
    let path = config.storage.first_site();
    match std::fs::metadata(&path) {
        Err(_) => Finding::Good("no first-site.json here, so no key in it".into()),
        Ok(metadata) if metadata.permissions().mode() & 0o077 == 0 => {
            Finding::Good(format!("{} is readable by its owner alone", path.display()))
        }
        Ok(_) => Finding::Bad {
            what: format!("{} can be read by others", path.display()),
            advice: format!(
                "chmod 600 {}; if others may have read it, replace the key",
                path.display()
            ),
        },
    }
}
