//! The smallest change that would change a verdict.
//!
//! A change leaves things out of what was sent: words, links, the name, the website. Each is tried
//! for real, on the whole way from checks to policy, since a signal or a rule of the site may
//! decide and not the words. Among the things that weigh most, single ones, pairs and triples are
//! tried in full; beyond, things are left out one after the other, the heaviest first.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::Scorer;
use super::explain::{Case, Part};
use crate::domain::{BlindSubmission, LogOdds, Signal, Verdict};
use crate::features::{Field, Group, Place};
use crate::text::{Analysis, find_links};

/// Things of which all pairs are tried.
const PAIRED_COUNT: usize = 12;
/// Things of which all triples are tried.
const TRIPLED_COUNT: usize = 8;
/// Things left out together at most: more is another comment.
const REMOVED_COUNT_MAX: usize = 12;

/// A change that changes the verdict.
#[derive(Debug, Clone, PartialEq)]
pub struct Flip {
    /// The verdict after it.
    pub verdict: Verdict,
    /// What is left out, in the order of the comment.
    pub removed: Vec<Place>,
    /// The calibrated log-odds after it.
    pub raw_score: LogOdds,
}

/// A thing that can be left out: all places of one word, a link, a field.
type Thing = Vec<Place>;

/// The smallest change that changes the verdict; nothing if none was found.
pub(super) fn find(
    case: &Case,
    scorer: &Scorer,
    carried: &[Signal],
    verdict: Verdict,
    parts: &[Part],
) -> Option<Flip> {
    let things = things(case, parts, verdict == Verdict::Approve);
    let attempt = |left_out: &[usize]| {
        let removed: BTreeSet<Place> =
            left_out.iter().flat_map(|thing| things[*thing].iter().cloned()).collect();
        let changed = without(&case.submission, &removed);
        let analysis = Analysis::new(&changed);
        let find = || case.signals(&analysis, carried);
        let judged = scorer.judge_by(&analysis, &case.rules, find, case.degraded.clone());
        let after = judged.decision.verdict;
        let raw_score = judged.score.map_or(LogOdds::ZERO, |score| score.raw_score);
        let removed = removed.into_iter().collect();
        (after != verdict).then_some(Flip { verdict: after, removed, raw_score })
    };
    let (pairs, triples) = (things.len().min(PAIRED_COUNT), things.len().min(TRIPLED_COUNT));
    let single = (0..pairs).map(|a| vec![a]);
    let paired = (0..pairs).flat_map(|b| (0..b).map(move |a| vec![a, b]));
    let tripled =
        (0..triples).flat_map(|c| (0..c).flat_map(move |b| (0..b).map(move |a| vec![a, b, c])));
    let more = (4..=things.len().min(REMOVED_COUNT_MAX)).map(|count| (0..count).collect());
    single.chain(paired).chain(tripled).chain(more).find_map(|left_out| attempt(&left_out))
}

/// What can be left out, what weighs most for the verdict first.
fn things(case: &Case, parts: &[Part], approved: bool) -> Vec<Thing> {
    let mut things: BTreeMap<Thing, LogOdds> = BTreeMap::new();
    let links: Vec<Range<usize>> =
        find_links(&case.submission.text).into_iter().map(|link| link.span).collect();
    // What stands inside a link goes with the link.
    let widened = |place: &Place| {
        let around =
            links.iter().find(|link| link.start <= place.span.start && place.span.end <= link.end);
        Place { field: place.field, span: around.unwrap_or(&place.span).clone() }
    };
    for part in parts {
        let thing = match part.group {
            // A pair of words goes with its words.
            Group::Words if part.name.starts_with("words:") => continue,
            Group::Words | Group::Links => {
                let places: BTreeSet<Place> = part.places.iter().map(widened).collect();
                places.into_iter().collect()
            }
            Group::Name => whole(Field::Author, case.submission.author.as_deref()),
            Group::Website => whole(Field::Url, case.submission.url.as_deref()),
            Group::Phrases | Group::AddressShape | Group::Style | Group::Page | Group::Signals => {
                continue;
            }
        };
        if !thing.is_empty() {
            *things.entry(thing).or_default() += part.weight;
        }
    }
    let weight = |weight: LogOdds| if approved { weight.steps() } else { -weight.steps() };
    let mut things: Vec<(Thing, LogOdds)> = things.into_iter().collect();
    things.sort_by_key(|(_, sum)| weight(*sum));
    let helps = |(_, sum): &&(Thing, LogOdds)| weight(*sum) < 0;
    things.iter().filter(helps).map(|(thing, _)| thing.clone()).collect()
}

/// A field from end to end; nothing if it is empty.
fn whole(field: Field, value: Option<&str>) -> Thing {
    let value = value.filter(|value| !value.is_empty());
    value.map(|value| Place { field, span: 0..value.len() }).into_iter().collect()
}

/// What was sent without some of it.
fn without(submission: &BlindSubmission, removed: &BTreeSet<Place>) -> BlindSubmission {
    let spans = |field: Field| {
        removed.iter().filter(move |place| place.field == field).map(|place| place.span.clone())
    };
    let mut changed = submission.clone();
    changed.text = cut(&submission.text, spans(Field::Text));
    if spans(Field::Author).next().is_some() {
        changed.author = None;
    }
    if spans(Field::Url).next().is_some() {
        changed.url = None;
    }
    changed
}

/// A text without these parts, which are in order and may overlap.
fn cut(text: &str, spans: impl Iterator<Item = Range<usize>>) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut end = 0;
    for span in spans {
        if span.start > end {
            kept.push_str(&text[end..span.start]);
        }
        end = end.max(span.end);
    }
    kept.push_str(&text[end..]);
    kept
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::checks::{Facts, SiteRules};
    use crate::classifier::base_model;
    use crate::domain::{RawSubmission, RequiredFields, SitePolicy, SiteSecret, Submission};
    use crate::moderation::examples::OFFLINE_TIME;
    use crate::moderation::explain::Explanation;
    use crate::text::hide;

    fn explain(text: &str, policy: SitePolicy) -> Explanation {
        let raw = RawSubmission { text: text.into(), ..RawSubmission::default() };
        let optional = RequiredFields { author: false, email: false };
        let submission = Submission::parse(raw, &optional).unwrap();
        let case = Case {
            submission: hide(submission, &SiteSecret::from_bytes([1; 32])),
            rules: Arc::new(SiteRules::new(policy)),
            facts: Facts::unknown(OFFLINE_TIME),
            recorded: Vec::new(),
            degraded: Vec::new(),
        };
        case.explain(&Scorer::new(Arc::new(base_model())))
    }

    const SPAM: &str =
        "Great bonus at our casino, free spins, play now: https://casino-bonus.example.com/win";

    #[test]
    fn parts_sum_exactly_and_groups_too() {
        for text in [SPAM, "Does the dough rest overnight?", "加微信abc 看片"] {
            let explanation = explain(text, SitePolicy::default());
            let groups: LogOdds = explanation.groups().into_values().sum();
            assert_eq!(groups + explanation.bias, explanation.raw_score);
            let scorer = Scorer::new(Arc::new(base_model()));
            let rules = SiteRules::new(SitePolicy::default());
            let analysis = Analysis::new(&explanation.submission);
            let judged = scorer.judge(&analysis, &rules, &Facts::unknown(OFFLINE_TIME), Vec::new());
            assert_eq!(judged.score.unwrap().raw_score, explanation.raw_score);
        }
    }

    #[test]
    fn what_the_change_leaves_is_judged_otherwise() {
        let explanation = explain(SPAM, SitePolicy::default());
        assert_ne!(explanation.verdict, Verdict::Approve);
        let flip = explanation.flip.expect("without its link it is milder");
        let left = cut(&explanation.submission.text, flip.removed.iter().map(|p| p.span.clone()));
        let again = explain(&left, SitePolicy::default());
        assert_eq!((again.verdict, again.raw_score), (flip.verdict, flip.raw_score));
        assert_ne!(again.verdict, explanation.verdict);
    }

    #[test]
    fn a_rule_of_the_owner_has_the_last_word() {
        let policy = SitePolicy { hold_all: true, ..SitePolicy::default() };
        assert_eq!(explain("Does the dough rest overnight?", policy).flip, None);
    }

    #[test]
    fn cuts_may_overlap() {
        assert_eq!(cut("abcdefg", [0..2, 1..3, 5..6].into_iter()), "deg");
        assert_eq!(cut("abc", std::iter::empty()), "abc");
    }
}
