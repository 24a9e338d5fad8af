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

    /// Exit code 74 (`EX_IOERR`): a disk is full or fails.
    pub fn io(message: impl Into<String>) -> Self {
        Self { code: 74, message: message.into() }
    }

    /// Exit code 130, as a shell says it of a program that Ctrl-C ended.
    pub fn interrupted(message: impl Into<String>) -> Self {
        Self { code: 130, message: message.into() }
    }

    /// Nothing to say and exit code 0: the reader of the output has seen enough.
    pub fn quiet() -> Self {
        Self { code: 0, message: String::new() }
    }

    /// The same with more to say.
    pub fn with(mut self, more: &str) -> Self {
        self.message.push_str(more);
        self
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
            // Help that nobody reads is no failure.
            let _ = super::output::print(format_args!("{}", self.message));
        } else {
            eprintln!("replyguard: {}", self.message);
        }
        ExitCode::from(self.code)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        let system = error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>());
        if system.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe) {
            return Self::quiet();
        }
        Self { code: 1, message: format!("{error:#}") }
    }
}
