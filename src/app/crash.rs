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
