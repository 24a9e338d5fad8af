//! Standard output. `println!` panics when the reader went away, as `head` does.

use std::fmt;
use std::io::{self, Write};

use super::Failure;

/// Prints a text as it is.
///
/// # Errors
/// [`Failure::quiet`] if nobody reads any more, else what the system said.
pub(super) fn print(text: fmt::Arguments<'_>) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written = out.write_fmt(text).and_then(|()| out.flush());
    written.map_err(|error| Failure::from(anyhow::Error::from(error)))
}

/// Prints a line like `println!`, but is an expression that can fail.
macro_rules! say {
    ($($part:tt)*) => {
        $crate::cli::output::print(format_args!("{}\n", format_args!($($part)*)))
    };
}

pub(super) use say;
