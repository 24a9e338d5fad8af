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

/// The text with control and direction characters written out.
pub(super) fn safe(text: &str) -> String {
    let harmless = |c: char| {
        !c.is_control()
            && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars()
        .flat_map(|c| {
            let shown = harmless(c).then_some(c);
            let escaped = shown.is_none().then(|| c.escape_unicode());
            shown.into_iter().chain(escaped.into_iter().flatten())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_get_no_escapes() {
        assert_eq!(safe("a\u{1b}[31m\u{202e}b"), "a\\u{1b}[31m\\u{202e}b");
    }
}
