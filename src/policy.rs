//! Policy: from evidence to a verdict.
//!
//! A pure function of the score, the signals, what the site's owner set and what did not work.
//! Two promises hold whatever comes in, and tests draw random evidence to check them: more
//! evidence for spam never makes the verdict milder, and nothing is approved that could not be
//! looked at properly.

use std::borrow::Cow;

use crate::domain::{Degraded, Reason, Score, Signal, SignalName, SitePolicy, Verdict, signals};

/// Probabilities of spam from which the verdict changes, as a model's hold-out gave them for
/// the site's budget.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// Hold from here on, 0–1.
    pub hold: f64,
    /// Reject from here on, 0–1; not below `hold`.
    pub reject: f64,
    /// Probability of abuse to hold from, 0–1; nothing if the site does not ask.
    pub abuse: Option<f64>,
}

impl Thresholds {
    /// These thresholds, with those the site's owner set by hand in their place. A rejecting
    /// threshold below the holding one counts as equal to it, so that rejecting is never easier.
    pub fn overridden(self, policy: &SitePolicy) -> Self {
        let hold = policy.hold_threshold.unwrap_or(self.hold);
        let reject = policy.reject_threshold.unwrap_or(self.reject);
        Self { hold: hold.min(reject), reject, abuse: self.abuse }
    }
}

/// What is known when the verdict is due.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The score, signal weights included; nothing if no model could score.
    pub score: Option<&'a Score>,
    /// What the checks found.
    pub signals: &'a [Signal],
    /// What did not work.
    pub degraded: &'a [Degraded],
}

impl Evidence<'_> {
    fn has(&self, name: &SignalName) -> bool {
        self.signals.iter().any(|signal| signal.name == *name)
    }

    fn abuse(&self) -> Option<f64> {
        self.score.and_then(|score| score.abuse)
    }

    fn probability(&self) -> Option<f64> {
        // A score that is no number is no score.
        self.score.map(|score| score.probability).filter(|probability| probability.is_finite())
    }
}

/// The answer and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// What happens to the comment.
    pub verdict: Verdict,
    /// Why, the deciding reason first; never empty.
    pub reasons: Vec<Reason>,
    /// Whether it is so plainly spam that nobody needs to see it. Only rejected comments are.
    pub discard: bool,
}

/// Decides. The order of the rules:
///
/// 1. What rejects by itself: a closed page, the owner's words, a text whose like a person
///    called spam. These hold even if nothing else works.
/// 2. What was not looked at is held, unless the rest already rejects it: no score, or a
///    history, model or deadline that failed. The rate limits and the other processes' news are
///    another matter: when Redis is away each process still counts by itself and reads recent
///    content from the records, so the comment was looked at in full, and holding every comment of
///    every site until Redis is back would do more harm than a few floods. That is reported and
///    the verdict stands.
/// 3. The score against the thresholds. A text whose like a person approved, or an author whose
///    comments were welcome, is not held for its score; it is still rejected for it.
/// 4. Abuse, if the owner asks for it: that holds, whoever wrote it, and never rejects.
/// 5. A picture without words, which nobody but a person can judge, unless its like or its
///    author is known to be good.
/// 6. What the owner wants to see first.
pub fn decide(policy: &SitePolicy, thresholds: &Thresholds, evidence: &Evidence<'_>) -> Decision {
    let thresholds = thresholds.overridden(policy);
    let probability = evidence.probability();
    let above = |threshold: f64| probability.is_some_and(|probability| probability >= threshold);

    let mut reject = reasons_for(evidence, &REJECTING);
    if above(thresholds.reject) {
        reject.push(reason("score-above-reject-threshold", "The score is high enough to reject."));
    }
    let trusted =
        evidence.has(&signals::NEAR_APPROVED) || evidence.has(&signals::KNOWN_GOOD_AUTHOR);
    let mut hold = not_looked_at(evidence);
    if above(thresholds.hold) && !trusted {
        hold.push(reason("score-above-hold-threshold", "The score is high enough to hold."));
    }
    if evidence.abuse().zip(thresholds.abuse).is_some_and(|(abuse, from)| abuse >= from) {
        hold.push(reason("abuse-above-threshold", "It reads like abuse."));
    }
    if evidence.has(&signals::IMAGE_ONLY) && !trusted {
        hold.push(reason("image-only", "It is a picture without words: a person has to look."));
    }
    hold.extend(wanted_by_owner(policy, evidence));

    let reported = REPORTED.iter().filter(|(part, _, _)| evidence.degraded.contains(part));
    let reported = reported.map(|(_, name, sentence)| reason(*name, sentence));
    let (verdict, mut reasons) = if !reject.is_empty() {
        (Verdict::Reject, reject)
    } else if !hold.is_empty() {
        (Verdict::Hold, hold)
    } else {
        (Verdict::Approve, vec![approval(above(thresholds.hold), evidence)])
    };
    reasons.extend(reported);
    let discard = verdict == Verdict::Reject
        && (above(policy.discard_threshold) || evidence.has(&signals::HONEYPOT_FILLED));
    Decision { verdict, reasons, discard }
}

/// What is told and changes nothing.
const REPORTED: [(Degraded, &str, &str); 2] = [
    (
        Degraded::RateLimit,
        "degraded-rate-limit",
        "Limits were counted in one process only; this changed nothing.",
    ),
    (
        Degraded::RecentContent,
        "degraded-recent-content",
        "Other processes' last seconds are not known; this changed nothing.",
    ),
];

/// Signals that reject by themselves.
const REJECTING: [(SignalName, &str); 3] = [
    (signals::PAGE_CLOSED, "The page takes no more comments."),
    (signals::WORD_LIST_REJECT, "It has words that the site forbids."),
    (signals::NEAR_REJECTED, "A person called a text much like this one spam."),
];

/// Signals that hold by themselves, because the owner asked for it or nobody can judge.
const HOLDING: [(SignalName, &str); 4] = [
    (signals::HOST_BLOCKLISTED, "It links to a host that the site does not want."),
    (signals::WORD_LIST_HOLD, "It has words that the site wants to see first."),
    (signals::PARENT_HELD, "The comment it replies to is not published."),
    (signals::UNEXPECTED_LANGUAGE, "It is in a script that the site does not expect."),
];

fn reasons_for(evidence: &Evidence<'_>, rules: &[(SignalName, &'static str)]) -> Vec<Reason> {
    rules
        .iter()
        .filter(|(name, _)| evidence.has(name))
        .map(|(name, sentence)| reason(name.as_str().to_owned(), sentence))
        .collect()
}

/// Why the comment was not looked at in full.
fn not_looked_at(evidence: &Evidence<'_>) -> Vec<Reason> {
    let failed = |part: Degraded| evidence.degraded.contains(&part);
    let mut reasons = Vec::new();
    if failed(Degraded::History) {
        reasons.push(reason("degraded-history", "What was seen before could not be read."));
    }
    if failed(Degraded::Model) || evidence.probability().is_none() {
        reasons.push(reason("degraded-model", "No model could score it."));
    }
    if failed(Degraded::Deadline) {
        reasons.push(reason("degraded-deadline", "There was no time to check it in full."));
    }
    reasons
}

fn wanted_by_owner(policy: &SitePolicy, evidence: &Evidence<'_>) -> Vec<Reason> {
    let mut reasons = reasons_for(evidence, &HOLDING);
    if policy.hold_link_count.is_some() && evidence.has(&signals::LINK_COUNT) {
        reasons.push(reason("link-count", "It has as many links as the site wants to see first."));
    }
    if policy.hold_first_time_author && evidence.has(&signals::FIRST_TIME_AUTHOR) {
        reasons.push(reason("first-time-author", "The author has no approved comment yet."));
    }
    if policy.hold_all {
        reasons.push(reason("hold-all", "The site holds every comment."));
    }
    reasons
}

/// Why a comment is approved, given whether its score alone would have held it.
fn approval(would_hold: bool, evidence: &Evidence<'_>) -> Reason {
    if !would_hold {
        return reason("score-below-hold-threshold", "The score is too low to hold.");
    }
    if evidence.has(&signals::NEAR_APPROVED) {
        return reason("near-approved", "A person approved a text much like this one.");
    }
    reason("known-good-author", "The author's comments were welcome before.")
}

fn reason(name: impl Into<Cow<'static, str>>, sentence: &str) -> Reason {
    Reason { name: name.into(), description: sentence.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{LogOdds, probability};
    use proptest::prelude::*;

    const THRESHOLDS: Thresholds = Thresholds { hold: 0.5, reject: 0.9, abuse: Some(0.8) };

    fn score(probability: f64) -> Score {
        let raw_score = LogOdds::from_f64((probability / (1.0 - probability)).ln());
        let (contributions, model_version) = (Vec::new(), "test".into());
        Score { probability, raw_score, contributions, model_version, abuse: None }
    }

    fn found(names: &[&str]) -> Vec<Signal> {
        let signal = |name: &&str| Signal {
            name: SignalName::from_stored((*name).to_owned()),
            weight: LogOdds::ZERO,
            detail: String::new(),
        };
        names.iter().map(signal).collect()
    }

    fn outcome(
        policy: &SitePolicy,
        probability: Option<f64>,
        names: &[&str],
        degraded: &[Degraded],
    ) -> (Verdict, Vec<String>, bool) {
        let score = probability.map(score);
        let evidence = Evidence { score: score.as_ref(), signals: &found(names), degraded };
        let decision = decide(policy, &THRESHOLDS, &evidence);
        let names = decision.reasons.iter().map(|reason| reason.name.to_string()).collect();
        (decision.verdict, names, decision.discard)
    }

    #[test]
    fn verdicts_follow_the_order_of_the_rules() {
        use Degraded::{Deadline, History, Model, RateLimit, RecentContent};
        use Verdict::{Approve, Hold, Reject};
        let policy = SitePolicy::default();
        type Row<'a> = (Option<f64>, &'a [&'a str], &'a [Degraded], Verdict, &'a [&'a str]);
        let table: [Row; 25] = [
            (Some(0.1), &[], &[], Approve, &["score-below-hold-threshold"]),
            (Some(0.5), &[], &[], Hold, &["score-above-hold-threshold"]),
            (Some(0.9), &[], &[], Reject, &["score-above-reject-threshold"]),
            (Some(0.1), &["page-closed"], &[], Reject, &["page-closed"]),
            (Some(0.1), &["word-list-reject"], &[], Reject, &["word-list-reject"]),
            (Some(0.1), &["near-rejected"], &[], Reject, &["near-rejected"]),
            (
                Some(0.1),
                &["near-rejected", "page-closed"],
                &[],
                Reject,
                &["page-closed", "near-rejected"],
            ),
            (None, &["word-list-reject"], &[Model], Reject, &["word-list-reject"]),
            (None, &[], &[Model], Hold, &["degraded-model"]),
            (None, &[], &[], Hold, &["degraded-model"]),
            (Some(f64::NAN), &["near-approved"], &[], Hold, &["degraded-model"]),
            (Some(0.1), &[], &[History], Hold, &["degraded-history"]),
            (Some(0.1), &[], &[Deadline], Hold, &["degraded-deadline"]),
            (Some(0.95), &[], &[History], Reject, &["score-above-reject-threshold"]),
            (
                Some(0.1),
                &[],
                &[RateLimit],
                Approve,
                &["score-below-hold-threshold", "degraded-rate-limit"],
            ),
            (
                Some(0.1),
                &[],
                &[RateLimit, RecentContent],
                Approve,
                &["score-below-hold-threshold", "degraded-rate-limit", "degraded-recent-content"],
            ),
            (Some(0.6), &["near-approved"], &[], Approve, &["near-approved"]),
            (Some(0.6), &["known-good-author"], &[], Approve, &["known-good-author"]),
            (Some(0.95), &["known-good-author"], &[], Reject, &["score-above-reject-threshold"]),
            (Some(0.1), &["word-list-hold"], &[], Hold, &["word-list-hold"]),
            (Some(0.6), &["word-list-hold", "near-approved"], &[], Hold, &["word-list-hold"]),
            (Some(0.1), &["image-only"], &[], Hold, &["image-only"]),
            (
                Some(0.1),
                &["image-only", "known-good-author"],
                &[],
                Approve,
                &["score-below-hold-threshold"],
            ),
            (
                Some(0.1),
                &["parent-held", "unexpected-language"],
                &[],
                Hold,
                &["parent-held", "unexpected-language"],
            ),
            (
                Some(0.1),
                &["link-count", "first-time-author"],
                &[],
                Approve,
                &["score-below-hold-threshold"],
            ),
        ];
        for (probability, names, degraded, verdict, reasons) in table {
            let found = outcome(&policy, probability, names, degraded);
            assert_eq!(found.0, verdict, "{names:?}");
            assert_eq!(found.1, reasons, "{names:?}");
        }
    }

    #[test]
    fn the_owner_decides_what_to_see_first() {
        let hold = |policy: SitePolicy, names: &[&str]| outcome(&policy, Some(0.1), names, &[]);
        let policy = SitePolicy { hold_link_count: Some(2), ..SitePolicy::default() };
        assert_eq!(hold(policy, &["link-count"]).1, ["link-count"]);
        let policy = SitePolicy { hold_first_time_author: true, ..SitePolicy::default() };
        assert_eq!(hold(policy.clone(), &["first-time-author"]).1, ["first-time-author"]);
        assert_eq!(hold(policy, &[]).0, Verdict::Approve);
        let policy = SitePolicy { hold_all: true, ..SitePolicy::default() };
        assert_eq!(hold(policy, &["known-good-author"]).1, ["hold-all"]);
    }

    #[test]
    fn abuse_is_held_and_never_rejected() {
        let decided = |abuse, thresholds: &Thresholds, names: &[&str]| {
            let score = Score { abuse, ..score(0.1) };
            let signals = found(names);
            let evidence = Evidence { score: Some(&score), signals: &signals, degraded: &[] };
            decide(&SitePolicy::default(), thresholds, &evidence).verdict
        };
        assert_eq!(decided(Some(0.99), &THRESHOLDS, &[]), Verdict::Hold);
        assert_eq!(decided(Some(0.99), &THRESHOLDS, &["known-good-author"]), Verdict::Hold);
        assert_eq!(decided(Some(0.5), &THRESHOLDS, &[]), Verdict::Approve);
        assert_eq!(decided(None, &THRESHOLDS, &[]), Verdict::Approve);
        let off = Thresholds { abuse: None, ..THRESHOLDS };
        assert_eq!(decided(Some(0.99), &off, &[]), Verdict::Approve);
    }

    #[test]
    fn raw_thresholds_stand_above_the_budget() {
        let policy = SitePolicy {
            hold_threshold: Some(0.2),
            reject_threshold: Some(0.3),
            ..SitePolicy::default()
        };
        assert_eq!(outcome(&policy, Some(0.25), &[], &[]).0, Verdict::Hold);
        assert_eq!(outcome(&policy, Some(0.35), &[], &[]).0, Verdict::Reject);
        let crossed = SitePolicy { reject_threshold: Some(0.3), ..SitePolicy::default() };
        assert_eq!(outcome(&crossed, Some(0.25), &[], &[]).0, Verdict::Approve);
        assert_eq!(outcome(&crossed, Some(0.35), &[], &[]).0, Verdict::Reject);
    }

    #[test]
    fn only_the_blatant_is_discarded() {
        let policy = SitePolicy::default();
        let discard =
            |probability, names: &[&str]| outcome(&policy, Some(probability), names, &[]).2;
        assert!(discard(0.9995, &[]));
        assert!(!discard(0.95, &[]));
        assert!(discard(0.95, &["honeypot-filled"]));
        assert!(!discard(0.6, &["honeypot-filled"]));
        assert!(!discard(0.1, &["word-list-reject"]));
    }

    /// Signals that speak for spam or ask for a closer look.
    fn incriminating() -> Vec<&'static str> {
        let good = [signals::NEAR_APPROVED, signals::KNOWN_GOOD_AUTHOR];
        let leak = |name: &SignalName| &*name.as_str().to_owned().leak();
        signals::ALL_SIGNALS.iter().filter(|name| !good.contains(name)).map(leak).collect()
    }

    fn policies() -> impl Strategy<Value = SitePolicy> {
        let threshold = || prop::option::of(0.0f64..=1.0);
        (threshold(), threshold(), 0.0f64..=1.0, any::<[bool; 3]>()).prop_map(
            |(hold_threshold, reject_threshold, discard_threshold, [links, first, all])| {
                SitePolicy {
                    hold_threshold,
                    reject_threshold,
                    discard_threshold,
                    hold_link_count: links.then_some(2),
                    hold_first_time_author: first,
                    hold_all: all,
                    ..SitePolicy::default()
                }
            },
        )
    }

    proptest! {
        #[test]
        fn more_evidence_for_spam_never_makes_the_verdict_milder(
            policy in policies(),
            log_odds in -12.0f64..12.0,
            more in 0.0f64..12.0,
            names in prop::sample::subsequence(incriminating(), 0..12),
            good in prop::sample::subsequence(vec!["near-approved", "known-good-author"], 0..=2),
            cut in any::<prop::sample::Index>(),
        ) {
            let before = probability(LogOdds::from_f64(log_odds));
            let after = probability(LogOdds::from_f64(log_odds + more));
            let few = [&names[..cut.index(names.len() + 1)], &good].concat();
            let many = [&names[..], &good].concat();
            let (mild, _, discarded) = outcome(&policy, Some(before), &few, &[]);
            let (strict, _, still) = outcome(&policy, Some(after), &many, &[]);
            prop_assert!(strict >= mild);
            prop_assert!(still || !discarded);
        }

        #[test]
        fn what_could_not_be_looked_at_is_never_approved(
            policy in policies(),
            probability in prop::option::of(0.0f64..=1.0),
            names in prop::sample::subsequence(vec!["near-approved", "known-good-author", "link-count"], 0..=3),
            part in prop::sample::select(vec![Degraded::History, Degraded::Model, Degraded::Deadline]),
            limits in any::<bool>(),
        ) {
            let degraded = if limits { vec![Degraded::RateLimit, part] } else { vec![part] };
            let (verdict, reasons, _) = outcome(&policy, probability, &names, &degraded);
            prop_assert!(verdict != Verdict::Approve);
            prop_assert!(!reasons.is_empty());
            if let Some(probability) = probability {
                let (sound, _, _) = outcome(&policy, Some(probability), &names, &[]);
                prop_assert!(verdict >= sound);
            }
        }
    }
}
