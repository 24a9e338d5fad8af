//! Keeps what callers sent out of what a crash leaves behind: no core dump, and of a panic its
//! place alone, since its message may quote the text that was at hand.

use std::backtrace::{Backtrace, BacktraceStatus};

/// Forbids core dumps of this process and logs panics by their place. Debuggers of other users than
/// root can no longer attach to it, either (Linux).
///
/// # Errors
/// Of the operating system, which then dumps as it is set to.
pub fn keep_crashes_silent() -> std::io::Result<()> {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or_default();
        let backtrace = Backtrace::capture();
        match backtrace.status() {
            BacktraceStatus::Captured => {
                tracing::error!(place, thread, %backtrace, "a thread panicked");
            }
            _ => tracing::error!(place, thread, "a thread panicked"),
        }
    }));
    forbid_dumps()
}

#[cfg(unix)]
fn forbid_dumps() -> std::io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    // The limit does not hold for dumps that the system pipes into a program.
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}

#[cfg(not(unix))]
fn forbid_dumps() -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Says to the test below that it is the child whose output is looked at.
    const CHILD: &str = "REPLYGUARD_TEST_PANICS";

    /// The child of the next test: handles something as a service would, and panics in it.
    #[test]
    fn a_handler_that_panics() {
        if std::env::var_os(CHILD).is_none() {
            return;
        }
        tracing_subscriber::fmt().with_writer(std::io::stderr).init();
        keep_crashes_silent().unwrap();
        let comment = "é xanthippe.marked@example.org, 203.0.113.77".to_owned();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let handler = async move { comment[1..].len() };
        let broken = runtime.block_on(async { tokio::spawn(handler).await });
        assert!(broken.is_err_and(|error| error.is_panic()), "it is between two bytes of a letter");
        eprintln!("the handler ended");
    }

    #[test]
    fn panics_do_not_quote_what_was_sent() {
        let name = "app::crash::tests::a_handler_that_panics";
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture", "--test-threads=1"])
            .env(CHILD, "1")
            .env("RUST_BACKTRACE", "1")
            .output()
            .unwrap();
        let printed = [child.stdout, child.stderr].concat();
        let printed = String::from_utf8_lossy(&printed);
        assert!(printed.contains("the handler ended"), "{printed}");
        assert!(printed.contains("a thread panicked"), "{printed}");
        assert!(printed.contains("src/app/crash.rs:"), "its place is told: {printed}");
        assert!(!printed.contains("xanthippe") && !printed.contains("203.0.113"), "{printed}");
    }
}
