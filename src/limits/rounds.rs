//! One question for many: whoever comes while a site's question is under way waits for the next
//! one, which is asked for all of them. A busy site has a hundred checks under way, and each asked
//! by itself would get the same answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tracing::{Instrument, Span};

use crate::domain::SiteId;

/// Sites with a round under way, each with those who wait for the next one.
type Sites<E, A> = Mutex<HashMap<SiteId, Vec<Caller<E, A>>>>;

/// Rounds of questions that carry events `E` and are answered by an `A`. Rounds of one site come
/// one after the other, those of different sites are independent.
pub(super) struct Rounds<E, A> {
    sites: Arc<Sites<E, A>>,
}

/// One who waits for an answer, and what is to be told in the same round.
struct Caller<E, A> {
    event: Option<E>,
    /// The round is logged in the name of its first caller.
    span: Span,
    answer: oneshot::Sender<A>,
}

/// The right to ask for a site; given up when the last round is over, however it ends.
struct Lead<E, A> {
    site: SiteId,
    sites: Arc<Sites<E, A>>,
    is_over: bool,
}

impl<E, A> Default for Rounds<E, A> {
    fn default() -> Self {
        Self { sites: Arc::default() }
    }
}

impl<E: Send + 'static, A: Clone + Send + 'static> Rounds<E, A> {
    /// The answer of a round that began after this call, with the event in it. `ask` is asked with
    /// the events of all who wait, in the order in which they came; if it answers with an error,
    /// those who came meanwhile get it as well, so that nobody waits for two failures. Rounds go on
    /// when callers stop waiting. Nothing if the round panicked.
    pub(super) async fn join<F>(
        &self,
        site: &SiteId,
        event: Option<E>,
        ask: impl Fn(Vec<E>) -> F + Send + 'static,
    ) -> Option<A>
    where
        F: Future<Output = Result<A, A>> + Send + 'static,
    {
        let (sender, answer) = oneshot::channel();
        let caller = Caller { event, span: Span::current(), answer: sender };
        if let Some(first) = self.wait(site, caller) {
            let sites = Arc::clone(&self.sites);
            let lead = Lead { site: site.clone(), sites, is_over: false };
            tokio::spawn(lead.run(first, ask));
        }
        answer.await.ok()
    }

    /// Queues the caller, or gives it back if no round is under way.
    fn wait(&self, site: &SiteId, caller: Caller<E, A>) -> Option<Caller<E, A>> {
        let mut sites = lock(&self.sites);
        if let Some(waiting) = sites.get_mut(site) {
            waiting.push(caller);
            return None;
        }
        sites.insert(site.clone(), Vec::new());
        Some(caller)
    }
}

impl<E, A: Clone> Lead<E, A> {
    async fn run<F>(mut self, first: Caller<E, A>, ask: impl Fn(Vec<E>) -> F)
    where
        F: Future<Output = Result<A, A>>,
    {
        let mut callers = vec![first];
        while !callers.is_empty() {
            let events = callers.iter_mut().filter_map(|caller| caller.event.take()).collect();
            let span = callers[0].span.clone();
            match ask(events).instrument(span).await {
                Ok(answer) => {
                    tell(callers, &answer);
                    callers = self.next();
                }
                Err(answer) => {
                    callers.extend(self.next());
                    tell(std::mem::take(&mut callers), &answer);
                    // Whoever came between the two lines above waits for the next round.
                    if !self.is_over {
                        callers = self.next();
                    }
                }
            }
        }
    }

    /// Those who wait; if nobody does, rounds are over.
    fn next(&mut self) -> Vec<Caller<E, A>> {
        let mut sites = lock(&self.sites);
        let waiting = sites.get_mut(&self.site).map(std::mem::take).unwrap_or_default();
        if waiting.is_empty() {
            sites.remove(&self.site);
            self.is_over = true;
        }
        waiting
    }
}

impl<E, A> Drop for Lead<E, A> {
    fn drop(&mut self) {
        if !self.is_over {
            // Those who wait hear that there is no answer.
            lock(&self.sites).remove(&self.site);
        }
    }
}

fn tell<E, A: Clone>(callers: Vec<Caller<E, A>>, answer: &A) {
    for caller in callers {
        // Who went away needs no answer.
        let _ = caller.answer.send(answer.clone());
    }
}

fn lock<E, A>(sites: &Sites<E, A>) -> MutexGuard<'_, HashMap<SiteId, Vec<Caller<E, A>>>> {
    sites.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    /// Rounds that end when they get a permit, and are answered with the events they carried.
    struct Asked {
        rounds: Rounds<u32, Vec<u32>>,
        permits: Arc<Semaphore>,
        begun: Arc<AtomicUsize>,
        fails: bool,
    }

    impl Asked {
        fn new(fails: bool) -> Arc<Self> {
            let permits = Arc::new(Semaphore::new(0));
            Arc::new(Self { rounds: Rounds::default(), permits, begun: Arc::default(), fails })
        }

        fn join(
            self: &Arc<Self>,
            site: &str,
            event: u32,
        ) -> tokio::task::JoinHandle<Option<Vec<u32>>> {
            let (asked, site) = (Arc::clone(self), site.parse().unwrap());
            tokio::spawn(async move {
                let (permits, begun) = (Arc::clone(&asked.permits), Arc::clone(&asked.begun));
                let fails = asked.fails;
                let ask = move |events: Vec<u32>| {
                    let permits = Arc::clone(&permits);
                    begun.fetch_add(1, Ordering::SeqCst);
                    async move {
                        permits.acquire().await.unwrap().forget();
                        assert!(!events.contains(&13), "thirteen panics");
                        if fails { Err(events) } else { Ok(events) }
                    }
                };
                asked.rounds.join(&site, Some(event), ask).await
            })
        }

        /// Lets the other tasks run until nothing changes any more: there is one thread.
        async fn settle() {
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
        }

        fn is_idle(&self) -> bool {
            lock(&self.rounds.sites).is_empty()
        }
    }

    #[tokio::test]
    async fn those_who_come_meanwhile_share_the_next_round() {
        let asked = Asked::new(false);
        let first = asked.join("blog", 1);
        Asked::settle().await;
        let (second, leaving, third) =
            (asked.join("blog", 2), asked.join("blog", 3), asked.join("blog", 4));
        let other = asked.join("news", 5);
        Asked::settle().await;
        assert_eq!(asked.begun.load(Ordering::SeqCst), 2, "a round each for two sites");
        leaving.abort();
        asked.permits.add_permits(3);
        assert_eq!(first.await.unwrap(), Some(vec![1]));
        assert_eq!(other.await.unwrap(), Some(vec![5]));
        // The event of one who went away is told as well.
        assert_eq!(second.await.unwrap(), Some(vec![2, 3, 4]));
        assert_eq!(third.await.unwrap(), Some(vec![2, 3, 4]));
        Asked::settle().await;
        assert!(asked.is_idle());
    }

    #[tokio::test]
    async fn a_failure_is_everybodys_who_waits() {
        let asked = Asked::new(true);
        let first = asked.join("blog", 1);
        Asked::settle().await;
        let second = asked.join("blog", 2);
        Asked::settle().await;
        asked.permits.add_permits(1);
        assert_eq!(first.await.unwrap(), Some(vec![1]));
        assert_eq!(second.await.unwrap(), Some(vec![1]));
        Asked::settle().await;
        assert!(asked.is_idle());
        assert_eq!(asked.begun.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_panic_ends_the_round_and_no_later_one() {
        let asked = Asked::new(false);
        let first = asked.join("blog", 13);
        Asked::settle().await;
        let second = asked.join("blog", 2);
        Asked::settle().await;
        asked.permits.add_permits(1);
        assert_eq!((first.await.unwrap(), second.await.unwrap()), (None, None));
        assert!(asked.is_idle());
        asked.permits.add_permits(1);
        assert_eq!(asked.join("blog", 3).await.unwrap(), Some(vec![3]));
    }
}
