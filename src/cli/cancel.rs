//! Ctrl-C ends long work at once and leaves nothing behind.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Exit code of a shell for a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// While it is not held, Ctrl-C ends the process.
pub(super) struct Cancel(Arc<Mutex<()>>);

impl Cancel {
    /// Waits for Ctrl-C beside the work.
    ///
    /// # Errors
    /// What the system said.
    pub(super) fn watch() -> anyhow::Result<Self> {
        let held = Arc::new(Mutex::new(()));
        let waiting = held.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::spawn(move || {
            if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
                let _ended = waiting.lock().unwrap_or_else(PoisonError::into_inner);
                eprintln!("replyguard: cancelled, nothing is written");
                std::process::exit(INTERRUPTED);
            }
        });
        Ok(Self(held))
    }

    /// From here on the work ends by itself, since what it writes is either whole or not there.
    pub(super) fn hold(&self) -> MutexGuard<'_, ()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
