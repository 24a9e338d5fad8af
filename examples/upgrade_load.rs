//! The callers of `scripts/upgrade.sh`: they send comments and label some while replicas are replaced,
//! and in the end read back each that was acknowledged.
//!
//! ```sh
//! upgrade_load ADDRESS KEY STOP_FILE
//! ```
//!
//! A call that fails is sent again with the same request id, as a CMS does; both are counted. The
//! exit code is 0 if no call failed for good and nothing is missing.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use replyguard::grpc::client::{Client, FieldMask, Status};
use replyguard::grpc::proto;
use uuid::Builder;

/// Callers, each with a connection of its own.
const CALLER_COUNT: usize = 16;
/// From one call of a caller to the next: some 500 calls a second together, which a machine of two
/// cores carries beside everything else.
const PAUSE: Duration = Duration::from_millis(30);
/// How often a call is sent until it has failed for good.
const TRY_COUNT_MAX: usize = 5;
/// One call in so many is followed by a label.
const LABEL_EACH: u64 = 50;
/// Comments read back at once.
const READER_COUNT: usize = 8;
const SITE: &str = "sites/default";

type Failure = Box<dyn Error + Send + Sync>;

/// What happened so far.
#[derive(Default)]
struct Seen {
    acknowledged: Mutex<Vec<(String, bool)>>,
    calls: AtomicU64,
    /// Calls that were sent again, by what went wrong.
    repeated: Mutex<BTreeMap<String, u64>>,
    failed: AtomicU64,
    longest_ms: AtomicU64,
}

impl Seen {
    fn note_repeated(&self, status: &Status) {
        let mut repeated = self.repeated.lock().unwrap_or_else(PoisonError::into_inner);
        *repeated.entry(format!("{:?}: {}", status.code(), status.message())).or_default() += 1;
    }

    /// A call that is sent again when it fails; nothing if it failed for good.
    async fn call<T, F: Future<Output = Result<T, Status>> + Send>(
        &self,
        send: impl Fn() -> F,
    ) -> Option<T> {
        let begin = Instant::now();
        self.calls.fetch_add(1, Ordering::Relaxed);
        let mut answer = None;
        for _ in 0..TRY_COUNT_MAX {
            match send().await {
                Ok(answered) => {
                    answer = Some(answered);
                    break;
                }
                Err(status) => self.note_repeated(&status),
            }
            tokio::time::sleep(PAUSE).await;
        }
        self.failed.fetch_add(u64::from(answer.is_none()), Ordering::Relaxed);
        self.longest_ms.fetch_max(begin.elapsed().as_millis() as u64, Ordering::Relaxed);
        answer
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, key, stop] = arguments.try_into().map_err(|_| "ADDRESS KEY STOP_FILE")?;
    let mut client = Client::connect(&address, Some(&key)).await?;
    lift_limits(&mut client).await?;
    let (seen, stop) = (Arc::new(Seen::default()), PathBuf::from(stop));
    let mut callers = Vec::new();
    for number in 0..CALLER_COUNT as u64 {
        let client = Client::connect(&address, Some(&key)).await?;
        callers.push(tokio::spawn(send_until(client, seen.clone(), stop.clone(), number)));
    }
    for caller in callers {
        caller.await?;
    }
    report(&seen, &client).await
}

/// Rate limits that count and never limit.
async fn lift_limits(client: &mut Client) -> Result<(), Failure> {
    let rule = Some(proto::LimitRule { burst_count: i32::MAX, period_ms: 1 });
    let limits = proto::Limits { ip: rule, author: rule, site: rule, ..proto::Limits::default() };
    let policy = proto::SitePolicy { limits: Some(limits), ..proto::SitePolicy::default() };
    let site = proto::Site { name: SITE.into(), policy: Some(policy), ..proto::Site::default() };
    let update_mask = Some(FieldMask { paths: vec!["policy.limits".into()] });
    client.sites.update_site(proto::UpdateSiteRequest { site: Some(site), update_mask }).await?;
    Ok(())
}

async fn send_until(client: Client, seen: Arc<Seen>, stop: PathBuf, number: u64) {
    let mut sent = 0;
    while !stop.exists() {
        sent += 1;
        let request = check(number, sent);
        let check = || {
            let (mut client, request) = (client.clone(), request.clone());
            async move { client.comments.check_comment(request).await }
        };
        let checked = seen.call(check).await.and_then(|answer| answer.into_inner().comment);
        if let Some(comment) = checked {
            let labelled = (sent + number).is_multiple_of(LABEL_EACH) && {
                let feedback = proto::SubmitFeedbackRequest {
                    name: comment.name.clone(),
                    label: proto::Label::Spam.into(),
                    ..proto::SubmitFeedbackRequest::default()
                };
                let label = || {
                    let (mut client, feedback) = (client.clone(), feedback.clone());
                    async move { client.comments.submit_feedback(feedback).await }
                };
                seen.call(label).await.is_some()
            };
            let mut acknowledged = seen.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
            acknowledged.push((comment.name, labelled));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// A comment of its own, by an author of its own.
fn check(number: u64, sent: u64) -> proto::CheckCommentRequest {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    id[8..].copy_from_slice(&sent.to_be_bytes());
    proto::CheckCommentRequest {
        parent: SITE.into(),
        comment: Some(proto::Comment {
            text: format!("Remark {sent} of reader {number}: the crust was fine"),
            author: format!("Reader {number}"),
            email: format!("reader{number}.{sent}@example.org"),
            ..proto::Comment::default()
        }),
        request_id: Builder::from_random_bytes(id).into_uuid().to_string(),
    }
}

/// Reads back what was acknowledged, and tells of it.
async fn report(seen: &Seen, client: &Client) -> Result<(), Failure> {
    let acknowledged = {
        let mut acknowledged = seen.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *acknowledged)
    };
    let (count, labels) =
        (acknowledged.len(), acknowledged.iter().filter(|(_, labelled)| *labelled).count());
    let missing = stream::iter(acknowledged)
        .map(|(name, labelled)| is_missing(client.clone(), name, labelled))
        .buffer_unordered(READER_COUNT)
        .filter(|missing| std::future::ready(*missing))
        .count()
        .await;
    let repeated = seen.repeated.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let failed = seen.failed.load(Ordering::Relaxed);
    println!("calls:                          {}", seen.calls.load(Ordering::Relaxed));
    println!("sent again:                     {}", repeated.values().sum::<u64>());
    println!("failed:                         {failed}");
    println!("acknowledged comments:          {count}, labels: {labels}");
    println!("acknowledged and missing:       {missing}");
    println!("longest call:                   {} ms", seen.longest_ms.load(Ordering::Relaxed));
    for (status, times) in repeated {
        println!("    {times} times {status}");
    }
    if failed == 0 && missing == 0 && count > 0 { Ok(()) } else { Err("not without loss".into()) }
}

async fn is_missing(mut client: Client, name: String, labelled: bool) -> bool {
    let request = proto::GetCommentRequest { name };
    for _ in 0..TRY_COUNT_MAX {
        if let Ok(answer) = client.comments.get_comment(request.clone()).await {
            let comment = answer.into_inner().comment.unwrap_or_default();
            return labelled && comment.state() != proto::State::Rejected;
        }
    }
    true
}
