//! The way back from the writing thread: the answers of a batch reach each calling thread at once.
//!
//! If every answer woke its caller by itself, a serving thread would begin with the first while
//! the writer still gives the second, and would send each response alone: two system calls and a
//! switch between threads for each call, a seventh of a check (measured in November 2026). So a
//! thread that calls has one task that takes its answers and hands them on; the callers then run
//! one after the other, and the connection sends what all of them wrote.

use std::cell::RefCell;
use std::sync::Arc;

use tokio::runtime::{Handle, Id};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::writer::Job;

/// Jobs that are done, and why their transaction was not committed, if so.
pub(super) struct Answers {
    pub jobs: Vec<Box<dyn Job>>,
    pub failure: Option<Arc<str>>,
}

impl Answers {
    fn give(self) {
        for job in self.jobs {
            job.reply(self.failure.as_deref());
        }
    }
}

/// Where the answers for a thread go. The channel needs no bound of its own: it holds at most one
/// answer for each caller that waits.
#[derive(Clone)]
pub(super) struct Home(Option<UnboundedSender<Answers>>);

thread_local! {
    /// The place of this thread in the runtime that it last worked for.
    static HOME: RefCell<(Option<Id>, Home)> = const { RefCell::new((None, Home(None))) };
}

impl Home {
    /// The place of this thread. Outside of a runtime there is none: callers are woken directly.
    pub fn here() -> Self {
        let Ok(runtime) = Handle::try_current() else { return Self(None) };
        HOME.with_borrow_mut(|(owner, home)| {
            // A runtime that ended took its task with it, and its id may be another's now.
            let gone = home.0.as_ref().is_none_or(UnboundedSender::is_closed);
            if gone || *owner != Some(runtime.id()) {
                let (sender, receiver) = unbounded_channel();
                runtime.spawn(hand_on(receiver));
                *owner = Some(runtime.id());
                home.0 = Some(sender);
            }
            home.clone()
        })
    }

    /// Whether answers for both go the same way.
    pub fn is(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(other)) => one.same_channel(other),
            (None, None) => true,
            _ => false,
        }
    }

    /// Sends answers to the thread.
    pub fn send(&self, answers: Answers) {
        match &self.0 {
            // Callers may outlive the task that would have handed it on.
            Some(sender) => sender.send(answers).unwrap_or_else(|error| error.0.give()),
            None => answers.give(),
        }
    }
}

async fn hand_on(mut receiver: UnboundedReceiver<Answers>) {
    while let Some(answers) = receiver.recv().await {
        answers.give();
    }
}
