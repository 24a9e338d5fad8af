//! Failures of the command line, with the exit codes of BSD's sysexits.

use std::process::ExitCode;

use clap::error::ErrorKind;

/// A message for people and an exit code.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// Exit code 64 (`EX_USAGE`): the command line or the configuration is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { code: 64, message: message.into() }
    }

    /// Exit code 65 (`EX_DATAERR`): the input is wrong.
    pub fn data(message: impl Into<String>) -> Self {
        Self { code: 65, message: message.into() }
    }

    /// Exit code 69 (`EX_UNAVAILABLE`): the service or something it needs is not there.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self { code: 69, message: message.into() }
    }

    /// Exit code 70 (`EX_SOFTWARE`): something that should not happen.
    pub fn software(message: impl Into<String>) -> Self {
        Self { code: 70, message: message.into() }
    }

    /// What clap says: help and versions succeed, a bad value is one line.
    pub fn from_clap(error: clap::Error) -> Self {
        match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                Self { code: 0, message: error.to_string() }
            }
            ErrorKind::ValueValidation | ErrorKind::InvalidValue => {
                let text = error.to_string();
                let line = text.lines().next().unwrap_or_default();
                Self::usage(line.strip_prefix("error: ").unwrap_or(line))
            }
            _ => {
                let text = error.to_string();
                Self::usage(text.strip_prefix("error: ").unwrap_or(&text).trim_end())
            }
        }
    }

    /// Prints the message and gives the exit code.
    pub fn report(self) -> ExitCode {
        if self.code == 0 {
            print!("{}", self.message);
        } else {
            eprintln!("replyguard: {}", self.message);
        }
        ExitCode::from(self.code)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self { code: 1, message: format!("{error:#}") }
    }
}
