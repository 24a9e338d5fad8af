//! A believable week of two sites, for those who want to see the desk before they have comments
//! of their own: the seed corpus and some campaigns, sent through the real use cases by a clock
//! that runs through the week.

use std::sync::{Arc, Mutex, PoisonError};

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use time::{Duration, OffsetDateTime};

use super::records::Records;
use super::system::{SystemClock, SystemRandom};
use super::{BindError, load_model};
use crate::config::Config;
use crate::domain::{
    Action, Budget, Example, Label, RawSubmission, Site, SiteId, SitePolicy, State, WordLists,
};
use crate::grpc::WireAnswers;
use crate::limits::{MemoryLimiter, MemoryLimits, MemoryRecent, RecentOptions, RefilledRecent};
use crate::moderation::ports::review::Target;
use crate::moderation::ports::{Clock, Reporter};
use crate::moderation::{
    Actor, CheckOptions, Feedback, Moderation, ModerationError, Ports, Reviewer, Scorer,
    seed_examples,
};

/// The seed of all chance in the demo: it looks the same each time.
const SEED: u64 = 7;
/// Days of traffic.
const DAYS: i64 = 7;
/// How old a held comment is when a moderator has decided on it: the last ones wait still.
const DECIDE_AFTER: Duration = Duration::hours(20);
/// The moderators of the demo.
const MODERATORS: [&str; 2] = ["maria", "tom"];

/// Texts that are neither plainly good nor plainly spam: what moderators are there for.
const GREY: [&str; 12] = [
    "Great write-up! I covered the same ground on my own page last week, with a few more figures.",
    "We had this very problem in our office. A small firm in Leeds sorted it out for us, happy to share their name.",
    "Interesting point of view, although I think most readers would rather have a tool that does it for them.",
    "Bookmarked. Does anybody know a shop that ships these outside of Europe?",
    "I have been following this site for years and never commented. Please keep it up, and have a look at my profile.",
    "This is so helpful, exactly what I was searching for. Thank you for sharing with us.",
    "My cousin makes a living with this now. If somebody wants to know how she began, just ask.",
    "Nice article. I wish there was a course for beginners, many of us would pay for it.",
    "Is this still valid in 2026? The price on their page says something else.",
    "I tried three of them and only one did what it says. I wrote it up on my website.",
    "Good summary, but you left out the cheaper way. I explained it elsewhere.",
    "What theme do you use? Mine loads slowly and I am ready to pay somebody to fix it.",
];

/// Campaigns: the same text again and again with a word changed. `{}` is the word.
const CAMPAIGNS: [(&str, &str, &[&str]); 3] = [
    (
        "Chrono Deals",
        "Our {} collection of luxury watches is now half the price, with free shipping to your door and a full year of warranty, see https://chrono-deals.example before the stock is gone",
        &[
            "autumn",
            "winter",
            "new",
            "classic",
            "finest",
            "limited",
            "private",
            "exclusive",
            "latest",
            "golden",
            "silver",
            "vintage",
        ],
    ),
    (
        "Anna Trade",
        "I was in debt until a {} friend showed me how to trade from my phone, now I earn in a week what my boss pays in a month, write to me and I will show you the way I did it",
        &["good", "dear", "close", "clever", "kind", "trusted", "patient", "certain"],
    ),
    (
        "essayhelp",
        "Students of every {} find help with essays, term papers and theses here, written from scratch by people with degrees and delivered on time https://essay-desk.example/order",
        &["faculty", "subject", "country", "level", "age", "college"],
    ),
];

const PAGES: [[(&str, &str); 5]; 2] = [
    [
        ("/sourdough", "Sourdough without a schedule"),
        ("/bike-light", "A bike light that survives winter"),
        ("/allotment", "A year on the allotment"),
        ("/kettle", "Descaling a kettle, the lazy way"),
        ("/night-train", "By night train to Trieste"),
    ],
    [
        ("/council-budget", "Council passes the budget by one vote"),
        ("/bridge-closed", "River bridge closed until spring"),
        ("/school-meals", "School meals: what changes in January"),
        ("/flood-wall", "Flood wall: the cost doubles again"),
        ("/tram-line", "Tram line 5 gets a new terminus"),
    ],
];

/// The clock of the demo: it stands where it was last put.
struct DemoClock(Mutex<OffsetDateTime>);

impl DemoClock {
    fn put(&self, time: OffsetDateTime) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = time;
    }
}

impl Clock for DemoClock {
    fn now(&self) -> OffsetDateTime {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One comment that is going to be sent.
struct Planned {
    time: OffsetDateTime,
    site: usize,
    raw: RawSubmission,
    label: Label,
}

/// Fills the empty data folder of a configuration with the week; `progress` hears of each comment
/// out of how many. Answers with how many were sent, or with nothing if `stop` came first. In each
/// case nobody writes into the folder any more.
///
/// # Errors
/// [`BindError`]: one line that says what to change.
pub async fn fill_demo(
    config: &Config,
    progress: impl Fn(usize, usize),
    stop: impl Future<Output = ()>,
) -> Result<Option<usize>, BindError> {
    let records = Records::open(config).await?;
    let store = records.store.clone();
    let now = SystemClock.now();
    let clock = Arc::new(DemoClock(Mutex::new(now - Duration::days(DAYS))));
    let recent = MemoryRecent::new(RecentOptions::default());
    let ports = Ports {
        store: records.store,
        model_store: records.models,
        review_store: records.reviews,
        privacy_store: records.privacy,
        webhook_store: records.webhooks,
        operation_store: records.operations,
        answers: Arc::new(WireAnswers),
        replicas: records.replicas,
        webhook_sender: super::webhook_sender(config)?,
        limiter: Arc::new(MemoryLimiter::new(MemoryLimits::default())),
        recent: Arc::new(RefilledRecent::new(recent, store.clone())),
        clock: clock.clone(),
        random: Arc::new(SystemRandom),
    };
    let moderation = Arc::new(Moderation::new(ports, Scorer::new(Arc::new(load_model(config)?))));
    let failed = |error: ModerationError| BindError::Storage(format!("the demo: {error}"));
    let demo = Demo { moderation, clock, now };
    let sent = tokio::select! {
        sent = demo.run(progress) => sent.map(Some).map_err(failed),
        () = stop => Ok(None),
    };
    store.close().await;
    sent
}

struct Demo {
    moderation: Arc<Moderation>,
    clock: Arc<DemoClock>,
    now: OffsetDateTime,
}

impl Demo {
    async fn run(&self, progress: impl Fn(usize, usize)) -> Result<usize, ModerationError> {
        let sites = [self.blog().await?, self.news().await?];
        let planned = plan(self.now);
        let mut waiting: Vec<(OffsetDateTime, usize, Target, Label)> = Vec::new();
        for (index, comment) in planned.iter().enumerate() {
            self.decide_due(&sites, &mut waiting, comment.time).await?;
            self.clock.put(comment.time);
            let site = &sites[comment.site];
            match self.moderation.check(site, comment.raw.clone(), CheckOptions::default()).await {
                Ok(answer) if answer.comment.state == State::Held => {
                    let target = Target { comment: answer.comment.id, revision: None };
                    waiting.push((comment.time, comment.site, target, comment.label));
                }
                Ok(answer) => self.mend(site, &answer.comment, comment.label).await?,
                // Floods are part of the week.
                Err(ModerationError::Limited { .. }) => {}
                Err(error) => return Err(error),
            }
            progress(index + 1, planned.len());
        }
        self.clock.put(self.now);
        self.moderation.index_words(usize::MAX).await?;
        Ok(planned.len())
    }

    /// A garden and travel blog that holds what it is not sure of.
    async fn blog(&self) -> Result<Arc<Site>, ModerationError> {
        let policy = SitePolicy {
            budget: Budget { hold_one_in: 20, reject_one_in: 500 },
            // Rather to a moderator than away.
            reject_threshold: Some(0.999),
            words: WordLists { hold: ["essay".into()].into(), ..WordLists::default() },
            ..SitePolicy::default()
        };
        self.site("default", "The Garden Blog", policy).await
    }

    /// A town's news, which holds whoever writes for the first time with a link.
    async fn news(&self) -> Result<Arc<Site>, ModerationError> {
        let policy = SitePolicy {
            budget: Budget { hold_one_in: 50, reject_one_in: 1_000 },
            reject_threshold: Some(0.995),
            hold_link_count: Some(1),
            hold_abuse_one_in: Some(50),
            ..SitePolicy::default()
        };
        self.site("town-news", "Town News", policy).await
    }

    async fn site(
        &self,
        id: &str,
        name: &str,
        policy: SitePolicy,
    ) -> Result<Arc<Site>, ModerationError> {
        let id: SiteId = id.parse().expect("a DNS label");
        let actor = Actor::first_start();
        self.moderation.create_site(&actor, id.clone(), name.into(), policy).await?;
        self.moderation.site(&id).await
    }

    /// Moderators decide on what waited long enough.
    async fn decide_due(
        &self,
        sites: &[Arc<Site>; 2],
        waiting: &mut Vec<(OffsetDateTime, usize, Target, Label)>,
        now: OffsetDateTime,
    ) -> Result<(), ModerationError> {
        while let Some((time, site, target, label)) = waiting.first().copied() {
            if now - time < DECIDE_AFTER {
                return Ok(());
            }
            waiting.remove(0);
            self.clock.put(time + DECIDE_AFTER);
            let index = waiting.len() % MODERATORS.len();
            let action = if label == Label::Ham { Action::Approve } else { Action::RejectSpam };
            let reviewer =
                Reviewer { actor: Actor::moderator(MODERATORS[index]), administrator: false };
            let decided = self.moderation.decide_comment(
                &reviewer,
                &sites[site],
                target,
                action,
                String::new(),
            );
            decided.await?;
        }
        Ok(())
    }

    /// Now and then a person notices what the filter did wrong.
    async fn mend(
        &self,
        site: &Site,
        comment: &crate::domain::CheckedComment,
        label: Label,
    ) -> Result<(), ModerationError> {
        let wrong = match comment.state {
            State::Approved => label == Label::Spam,
            State::Rejected => label == Label::Ham,
            State::Held => false,
        };
        if wrong && comment.content_hash.is_multiple_of(3) {
            let feedback = Feedback {
                label,
                reporter: Reporter::Moderator,
                reporter_name: MODERATORS[0].into(),
                note: "seen on the page".into(),
            };
            self.moderation.submit_feedback(site, comment.id, feedback).await?;
        }
        Ok(())
    }
}

/// What is sent in the week before `now`, in order.
fn plan(now: OffsetDateTime) -> Vec<Planned> {
    let mut chance = Xoshiro256PlusPlus::seed_from_u64(SEED);
    let begin = now - Duration::days(DAYS);
    let mut planned = Vec::new();
    let examples = seed_examples();
    for (index, (example, label)) in examples.iter().enumerate() {
        // One site is in English; the other has readers from everywhere.
        let english = example.lang.as_deref() == Some("en");
        let site = usize::from(!english || chance.gen_bool(0.3));
        let time = daytime(begin, &mut chance);
        let raw = submission(example, site, index, time, &mut chance);
        planned.push(Planned { time, site, raw, label: *label });
    }
    for (index, text) in GREY.iter().enumerate() {
        let label = if index % 2 == 0 { Label::Spam } else { Label::Ham };
        let time = now - Duration::minutes(chance.gen_range(30..1_100));
        let example = Example { text: (*text).into(), ..Example::default() };
        let raw = submission(&example, 0, 10_000 + index, time, &mut chance);
        planned.push(Planned { time, site: 0, raw, label });
    }
    for (number, (author, template, words)) in CAMPAIGNS.iter().enumerate() {
        let start = now - Duration::hours(2 + 5 * number as i64);
        for (index, word) in words.iter().enumerate() {
            let time = start + Duration::minutes(3 * index as i64);
            let example = Example {
                text: template.replace("{}", word),
                author: Some((*author).into()),
                ..Example::default()
            };
            let id = 20_000 + 100 * number + index;
            let raw = submission(&example, number % 2, id, time, &mut chance);
            planned.push(Planned { time, site: number % 2, raw, label: Label::Spam });
        }
    }
    planned.retain(|planned| planned.time < now);
    planned.sort_by_key(|planned| planned.time);
    planned
}

/// A time of the week, more often by day than by night.
fn daytime(begin: OffsetDateTime, chance: &mut Xoshiro256PlusPlus) -> OffsetDateTime {
    let day = Duration::days(chance.gen_range(0..DAYS));
    let hours = *[7, 8, 9, 10, 12, 13, 16, 17, 18, 19, 19, 20, 20, 21, 22, 2]
        .choose(chance)
        .expect("there are hours");
    begin + day + Duration::hours(hours) + Duration::seconds(chance.gen_range(0..3_600))
}

/// The comment as the form would send it.
fn submission(
    example: &Example,
    site: usize,
    number: usize,
    time: OffsetDateTime,
    chance: &mut Xoshiro256PlusPlus,
) -> RawSubmission {
    let (path, title) = PAGES[site].choose(chance).expect("there are pages");
    let host = ["garden-blog.example", "town-news.example"][site];
    // Some people write more than once.
    let person = if chance.gen_bool(0.4) { chance.gen_range(0..40) } else { number };
    let languages = ["en", "en"];
    RawSubmission {
        text: example.text.clone(),
        author: example.author.clone().unwrap_or_else(|| format!("reader{}", person % 997)),
        email: example.email.clone().unwrap_or_else(|| format!("reader{person}@mail.example")),
        url: example.url.clone().unwrap_or_default(),
        ip: format!("203.0.{}.{}", person / 250 % 250, person % 250 + 1),
        user_agent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0".into(),
        page_uri: format!("https://{host}{path}"),
        page_title: (*title).into(),
        page_publish_time: Some(time - Duration::days(12)),
        lang: example.lang.clone().unwrap_or_else(|| languages[site].into()),
        honeypot: Some(String::new()),
        elapsed_ms: Some(chance.gen_range(8_000..240_000)),
        ..RawSubmission::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_week_is_the_same_each_time_and_in_order() {
        let now = OffsetDateTime::from_unix_timestamp(1_790_000_000).unwrap();
        let (first, second) = (plan(now), plan(now));
        assert!(first.len() > 1_000);
        assert!(first.is_sorted_by_key(|planned| planned.time));
        assert!(first.iter().zip(&second).all(|(a, b)| a.raw.text == b.raw.text));
    }
}
