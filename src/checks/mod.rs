//! Checks: each looks for one kind of evidence in a submission and says what it found.
//!
//! A check is a pure function of what was sent, what the site's owner set and what the use case
//! looked up before ([`Facts`]). It only finds: what a finding weighs is data (`weights.toml`),
//! and what follows from it is the policy's choice.

mod author;
mod bidi;
mod duplicate;
mod elapsed;
mod email;
mod honeypot;
mod hosts;
mod image;
mod invisible;
mod language;
mod link_anchor;
mod link_count;
mod link_shortener;
mod markup;
mod name;
mod page;
mod repeats;
mod scripts;
mod shouting;
mod site_rules;
mod weights;
mod word_list;
mod zalgo;

use time::OffsetDateTime;

use crate::domain::{AuthorRecord, BlindSubmission, Neighbours, Signal, SignalName, SitePolicy};
use crate::text::Analysis;

pub use site_rules::SiteRules;
pub use weights::is_learnt;

/// What the use case looked up before the checks run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Recent texts like this one.
    pub neighbours: Neighbours,
    /// How the author fared; nothing for an author without an address, or if it is not known.
    pub author: Option<AuthorRecord>,
    /// Whether the comment replies to one that is held.
    pub parent_held: bool,
    /// The time of the check.
    pub now: OffsetDateTime,
}

impl Facts {
    /// Nothing is known but the time.
    pub fn unknown(now: OffsetDateTime) -> Self {
        Self { neighbours: Neighbours::default(), author: None, parent_held: false, now }
    }
}

/// All that a check may look at.
#[derive(Clone, Copy)]
pub struct CheckInput<'a> {
    /// What was sent and what its text says.
    pub analysis: &'a Analysis<'a>,
    /// What the site's owner set, ready for use.
    pub rules: &'a SiteRules,
    /// What was looked up.
    pub facts: &'a Facts,
}

impl<'a> CheckInput<'a> {
    /// What was sent.
    pub fn submission(&self) -> &'a BlindSubmission {
        self.analysis.submission
    }

    /// What the site's owner set.
    pub fn policy(&self) -> &'a SitePolicy {
        self.rules.policy()
    }
}

/// A check.
pub type Check = fn(&CheckInput<'_>, &mut Findings);

/// What the checks found so far.
#[derive(Default)]
pub struct Findings(Vec<Signal>);

impl Findings {
    /// Adds a signal with the weight it has in `weights.toml`.
    fn add(&mut self, name: &SignalName, detail: impl Into<String>) {
        let weight = weights::weight(name);
        self.0.push(Signal { name: name.clone(), weight, detail: detail.into() });
    }
}

/// Every check, in the order of the signals in an answer.
pub const fn all() -> &'static [(&'static str, &'static [Check])] {
    &[
        ("How the form was filled in.", &[honeypot::check, elapsed::check]),
        ("Where the comment is to stand.", &[page::check_closed, page::check_parent]),
        (
            "Where its links lead.",
            &[link_count::check, link_shortener::check, link_anchor::check, hosts::check],
        ),
        (
            "Markup that robots leave, and pictures in place of words.",
            &[markup::check_bbcode, markup::check_html, image::check],
        ),
        ("Who says to have written it.", &[name::check, name::check_address, email::check]),
        (
            "Letters that are not what they seem.",
            &[
                scripts::check_mixed,
                scripts::check_look_alikes,
                scripts::check_styled_name,
                invisible::check,
                bidi::check,
                zalgo::check,
            ],
        ),
        ("The manner of writing.", &[shouting::check, repeats::check]),
        ("What was seen or decided before.", &[duplicate::check, author::check]),
        ("What the site's owner wants.", &[word_list::check, language::check]),
    ]
}

/// Runs every check.
pub fn run(input: &CheckInput<'_>) -> Vec<Signal> {
    let mut findings = Findings::default();
    for (_, checks) in all() {
        for check in *checks {
            check(input, &mut findings);
        }
    }
    findings.0
}
