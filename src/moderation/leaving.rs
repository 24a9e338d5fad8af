//! Work that goes on when its caller leaves: a deadline passed, or a page was closed.
//!
//! What is handed to a store is written though nobody waits for it any more. What the other parts
//! of the process are to learn of it must then be told all the same.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinError;
use tracing::Instrument;

use super::ModerationError;
use super::ports::StoreError;

/// Checks that are finished at once after their callers left: as many as a store's queue holds.
/// Beyond, near duplicates of such a check are found only after the next start.
const LEFT_COUNT_MAX: usize = 1_024;

/// Does work in a task of its own.
pub(super) async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, ModerationError>> + Send + 'static,
) -> Result<T, ModerationError> {
    let broken = |error: JoinError| {
        Err(ModerationError::Unavailable(StoreError::Unavailable(error.to_string())))
    };
    tokio::spawn(work.in_current_span()).await.unwrap_or_else(broken)
}

/// Does the same for work that comes thousands of times a second: it becomes a task only if its
/// caller leaves, and only so many of them.
pub(super) struct Leavers {
    places: Arc<Semaphore>,
}

impl Default for Leavers {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(LEFT_COUNT_MAX)) }
    }
}

impl Leavers {
    /// Does the work where the caller waits, and goes on elsewhere if it does not wait any more.
    pub(super) fn finish<F>(&self, work: F) -> impl Future<Output = F::Output> + Send
    where
        F: Future<Output: Send> + Send + 'static,
    {
        Finish { work: Some(Box::pin(work)), places: &self.places }
    }
}

struct Finish<'a, F>
where
    F: Future<Output: Send> + Send + 'static,
{
    /// Until it is done.
    work: Option<Pin<Box<F>>>,
    places: &'a Arc<Semaphore>,
}

impl<F> Future for Finish<'_, F>
where
    F: Future<Output: Send> + Send + 'static,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Some(work) = &mut self.work else { return Poll::Pending };
        let polled = work.as_mut().poll(context);
        if polled.is_ready() {
            self.work = None;
        }
        polled
    }
}

impl<F> Drop for Finish<'_, F>
where
    F: Future<Output: Send> + Send + 'static,
{
    fn drop(&mut self) {
        // Work that panicked cannot go on.
        let Some(work) = self.work.take().filter(|_| !std::thread::panicking()) else { return };
        let (runtime, place) = (Handle::try_current(), self.places.clone().try_acquire_owned());
        if let (Ok(runtime), Ok(place)) = (runtime, place) {
            runtime.spawn(async move {
                let _place = place;
                work.await;
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::{Notify, oneshot};

    use super::*;

    /// Polls once.
    async fn poll_once<F: Future>(work: &mut Pin<Box<F>>) -> bool {
        std::future::poll_fn(|context| Poll::Ready(work.as_mut().poll(context).is_ready())).await
    }

    #[tokio::test]
    async fn who_waits_has_the_answer_and_leaves_nothing() {
        let leavers = Leavers::default();
        assert_eq!(leavers.finish(async { 7 }).await, 7);
        assert_eq!(leavers.places.available_permits(), LEFT_COUNT_MAX);
    }

    #[tokio::test]
    async fn work_goes_on_when_its_caller_left_and_only_so_much_of_it() {
        let leavers = Leavers { places: Arc::new(Semaphore::new(1)) };
        let begin = Arc::new(Notify::new());
        let work = |done: oneshot::Sender<()>| {
            let begin = begin.clone();
            Box::pin(leavers.finish(async move {
                begin.notified().await;
                done.send(()).unwrap();
            }))
        };
        let ((done, finished), (other, given_up)) = (oneshot::channel(), oneshot::channel());
        let (mut first, mut second) = (work(done), work(other));
        assert!(!poll_once(&mut first).await && !poll_once(&mut second).await);
        drop(first);
        drop(second);
        given_up.await.expect_err("there was one place");
        begin.notify_waiters();
        begin.notify_one();
        finished.await.expect("it went on");
        while leavers.places.available_permits() == 0 {
            tokio::task::yield_now().await;
        }
    }
}
