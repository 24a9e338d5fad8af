//! Comments that come in while something breaks, and what may not happen meanwhile.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt};
use replyguard::grpc::client::{Client, Code, FieldMask};
use replyguard::grpc::proto;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::models::spelled;
use super::service::{PATIENCE, Service, check, comment};

/// A word that the site forbids: whoever approves it is broken.
const FORBIDDEN: &str = "zyxgambling";
/// The limit of a call (`server.call_timeout_ms`), and something for a busy machine.
const LATE: Duration = Duration::from_secs(12);
/// Calls of a caller for each label: so many that in a soak the campaign's own would fall out of the
/// 4,096 that are known at once, were it not in use.
const LABEL_EACH: usize = 16;
/// Comments that are looked for at once in the end.
const READERS: usize = 16;
/// Between two attempts of a caller who found nobody.
const RETRY: Duration = Duration::from_millis(20);

/// What was seen so far.
#[derive(Debug, Default)]
pub struct Report {
    /// Names of comments whose check was answered.
    pub acknowledged: Vec<String>,
    /// Names of comments whose label was taken.
    pub labelled: Vec<String>,
    /// Comments that must not be approved and were.
    pub wrong: Vec<String>,
    /// Calls that ended with an error, by code.
    pub refused: BTreeMap<String, usize>,
    /// Answers that named a part that did not do its work.
    pub degraded: BTreeMap<String, usize>,
    /// How long each answered call took.
    pub times: Vec<Duration>,
    /// How long the longest call took, answered or not.
    pub longest: Duration,
    /// Answers without any degraded part since the last one with some.
    pub sound_in_a_row: usize,
}

impl Report {
    /// The time that this share of the answers took at most.
    pub fn quantile(&self, share: f64) -> Duration {
        let mut times = self.times.clone();
        times.sort_unstable();
        let last = times.len().saturating_sub(1) as f64;
        times.get((last * share) as usize).copied().unwrap_or_default()
    }

    /// Answers that named this part.
    pub fn degraded(&self, part: &str) -> usize {
        self.degraded.get(part).copied().unwrap_or_default()
    }

    /// Calls that ended with an error.
    pub fn refused(&self) -> usize {
        self.refused.values().sum()
    }
}

/// Where the callers find the service.
#[derive(Clone)]
struct Target {
    address: String,
    key: String,
}

struct Shared {
    targets: Mutex<Vec<Target>>,
    report: Mutex<Report>,
    stop: AtomicBool,
    next: AtomicUsize,
}

/// Callers who send comments, good and bad ones, and label some, until they are told to stop.
pub struct Load {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts so many callers, who take the services in turns. `pause` is the time from one call of
    /// one of them to the next, if that was answered by then.
    pub async fn start(services: &[&Service], callers: usize, pause: Duration) -> Self {
        for service in services {
            prepare(service).await;
        }
        let shared = Arc::new(Shared {
            targets: Mutex::default(),
            report: Mutex::default(),
            stop: AtomicBool::new(false),
            next: AtomicUsize::new(0),
        });
        let mut load = Self { shared, tasks: Vec::new() };
        load.redirect(services);
        for number in 0..callers {
            let shared = Arc::clone(&load.shared);
            load.tasks.push(tokio::spawn(call(shared, number, pause)));
        }
        load.await_calls(20 * callers).await;
        load
    }

    /// Where the services are from now on: those that were started again have other ports.
    pub fn redirect(&self, services: &[&Service]) {
        let target = |service: &&Service| Target {
            address: service.first.grpc.clone(),
            key: service.first.key.clone(),
        };
        *self.shared.targets.lock().unwrap() = services.iter().map(target).collect();
    }

    /// What was seen so far.
    pub fn report(&self) -> MutexGuard<'_, Report> {
        self.shared.report.lock().unwrap()
    }

    /// What was seen so far; counting begins again, but for what has to be there in the end.
    pub fn take_phase(&self) -> Report {
        let mut report = self.report();
        let mut phase = std::mem::take(&mut *report);
        report.acknowledged = std::mem::take(&mut phase.acknowledged);
        report.labelled = std::mem::take(&mut phase.labelled);
        report.wrong.clone_from(&phase.wrong);
        phase
    }

    /// Waits until something was seen.
    pub async fn await_seen(&self, what: &str, seen: impl Fn(&Report) -> bool) {
        let begin = Instant::now();
        loop {
            {
                let report = self.report();
                if seen(&report) {
                    return;
                }
                let (answers, refused) = (report.times.len(), &report.refused);
                let degraded = &report.degraded;
                let text = format!("{answers} answers, refused {refused:?}, degraded {degraded:?}");
                assert!(begin.elapsed() < PATIENCE, "gave up waiting for {what}: {text}");
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Waits for so many more answers.
    pub async fn await_calls(&self, count: usize) {
        let before = self.report().times.len();
        self.await_seen("answers", |report| report.times.len() >= before + count).await;
    }

    /// Waits until this part is named by an answer from now on.
    pub async fn await_degraded(&self, part: &str) {
        let before = self.report().degraded(part);
        self.await_seen(&format!("an answer with {part}"), |seen| seen.degraded(part) > before)
            .await;
    }

    /// Waits until a hundred answers in a row lack nothing.
    pub async fn await_sound(&self) {
        self.report().sound_in_a_row = 0;
        self.await_seen("sound answers", |report| report.sound_in_a_row >= 100).await;
    }

    /// Ends the callers, and looks for all that was acknowledged on these services. Panics if
    /// something is lost, was approved wrongly or came late.
    pub async fn end(self, services: &[&Service]) -> Report {
        self.shared.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("a caller ended well");
        }
        let report = std::mem::take(&mut *self.shared.report.lock().unwrap());
        assert_eq!(report.wrong, [""; 0], "wrongly approved");
        assert!(report.longest < LATE, "a call took {:?}", report.longest);
        let mut clients = Vec::new();
        for service in services {
            clients.push(service.client().await);
        }
        let look = |name: String| read(clients.clone(), name);
        let all = stream::iter(report.acknowledged.clone()).map(look).buffer_unordered(READERS);
        all.for_each(|_| async {}).await;
        let labelled = stream::iter(report.labelled.clone()).map(look).buffer_unordered(READERS);
        labelled
            .for_each(|comment| async move {
                let state = comment.state();
                assert_eq!(state, proto::State::Rejected, "the label of {} is lost", comment.name);
            })
            .await;
        report
    }
}

/// A comment from whichever of the services has it.
async fn read(mut clients: Vec<Client>, name: String) -> proto::CheckedComment {
    for client in &mut clients {
        let request = proto::GetCommentRequest { name: name.clone() };
        match client.comments.get_comment(request).await {
            Ok(found) => return found.into_inner().comment.unwrap(),
            Err(status) => assert_eq!(status.code(), Code::NotFound, "{status:?}"),
        }
    }
    panic!("{name} was acknowledged and is lost");
}

/// Limits that count and never limit, a forbidden word, and a campaign that a person called spam.
async fn prepare(service: &Service) {
    let mut client = service.client().await;
    let rule = Some(proto::LimitRule { burst_count: i32::MAX, period_ms: 1 });
    let limits = proto::Limits { ip: rule, author: rule, site: rule, ..proto::Limits::default() };
    let policy = proto::SitePolicy {
        limits: Some(limits),
        reject_words: vec![FORBIDDEN.into()],
        ..proto::SitePolicy::default()
    };
    let site =
        proto::Site { name: "sites/default".into(), policy: Some(policy), ..Default::default() };
    let paths = vec!["policy.limits".into(), "policy.reject_words".into()];
    let request =
        proto::UpdateSiteRequest { site: Some(site), update_mask: Some(FieldMask { paths }) };
    client.sites.update_site(request).await.expect("the policy");
    let sent = client.comments.check_comment(check(comment(&campaign(0)))).await.unwrap();
    label(&mut client, sent.into_inner().comment.unwrap().name).await.unwrap();
}

/// The `n`th near duplicate of what a person called spam.
fn campaign(n: usize) -> String {
    format!(
        "Nice page! By the way, our roofers work quickly and at very low prices all year round in \
         your town, just ask for Max on the phone, number {n}"
    )
}

async fn label(client: &mut Client, name: String) -> Result<(), replyguard::grpc::client::Status> {
    let feedback = proto::SubmitFeedbackRequest {
        name,
        label: proto::Label::Spam.into(),
        ..proto::SubmitFeedbackRequest::default()
    };
    client.comments.submit_feedback(feedback).await.map(drop)
}

async fn call(shared: Arc<Shared>, number: usize, pause: Duration) {
    let mut sent = 0;
    let mut turns = tokio::time::interval(pause.max(Duration::from_micros(1)));
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !shared.stop.load(Ordering::Relaxed) {
        let turn = shared.next.fetch_add(1, Ordering::Relaxed);
        let target = {
            let targets = shared.targets.lock().unwrap();
            targets[turn % targets.len()].clone()
        };
        let Ok(mut client) = Client::connect(&target.address, Some(&target.key)).await else {
            *shared.report.lock().unwrap().refused.entry("nobody".into()).or_default() += 1;
            tokio::time::sleep(RETRY).await;
            continue;
        };
        // For some calls; then perhaps another replica.
        for _ in 0..50 {
            sent += 1;
            if shared.stop.load(Ordering::Relaxed) || !one(&shared, &mut client, number, sent).await
            {
                break;
            }
            if !pause.is_zero() {
                turns.tick().await;
            }
        }
    }
}

/// One comment; whether it was answered.
async fn one(shared: &Shared, client: &mut Client, number: usize, sent: usize) -> bool {
    let (text, forbidden) = match sent % 4 {
        0 => (format!("Come to {FORBIDDEN} {} now, says {number}", spelled(sent)), true),
        1 => (campaign(sent * 100 + number), true),
        _ => (format!("Remark {} of reader {number}: the crust was fine", spelled(sent)), false),
    };
    let begin = Instant::now();
    let answer = client.comments.check_comment(check(comment(&text))).await;
    let took = begin.elapsed();
    let checked = answer.map(|answer| answer.into_inner().comment.unwrap());
    let name = {
        let mut report = shared.report.lock().unwrap();
        report.longest = report.longest.max(took);
        match checked {
            Err(status) => {
                *report.refused.entry(format!("{:?}", status.code())).or_default() += 1;
                None
            }
            Ok(checked) => {
                report.times.push(took);
                if forbidden && checked.verdict() == proto::Verdict::Approve {
                    report.wrong.push(format!("{text}: {checked:?}"));
                }
                let sound = checked.degraded_parts.is_empty();
                report.sound_in_a_row = if sound { report.sound_in_a_row + 1 } else { 0 };
                for part in checked.degraded_parts {
                    *report.degraded.entry(part).or_default() += 1;
                }
                report.acknowledged.push(checked.name.clone());
                Some(checked.name)
            }
        }
    };
    let answered = name.is_some();
    if let Some(name) = name.filter(|_| sent % LABEL_EACH == 2)
        && label(client, name.clone()).await.is_ok()
    {
        shared.report.lock().unwrap().labelled.push(name);
    }
    if !answered {
        tokio::time::sleep(RETRY).await;
    }
    answered
}
