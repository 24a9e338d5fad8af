//! Why a comment was judged as it was: every part of its score, where it stands in what was sent,
//! and the smallest change that would have changed the verdict.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::flip::{self, Flip};
use super::{Moderation, ModerationError, Scorer};
use crate::checks::{self, CheckInput, Facts, SiteRules};
use crate::domain::{
    BlindSubmission, CommentId, Degraded, LogOdds, RawSubmission, Reason, Signal, Site, Submission,
    Verdict,
};
use crate::features::{FeatureBuilder, Group, Names, Place, Places};
use crate::policy::Thresholds;
use crate::text::{Analysis, hide};

/// What is to be explained.
pub enum Explained {
    /// A comment that was checked. What the site knew of its author and of like texts then counts
    /// as it did then.
    Recorded(CommentId),
    /// A comment that is not recorded. What the site knows of its author and of like texts is not
    /// asked.
    New(Box<RawSubmission>),
}

/// Why a comment is judged as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// What was sent, after hiding; places refer to it.
    pub submission: BlindSubmission,
    /// The model that scored.
    pub model_version: String,
    /// The calibrated log-odds of spam: exactly the bias and the sum of all parts.
    pub raw_score: LogOdds,
    /// What a comment without any evidence scores.
    pub bias: LogOdds,
    /// All parts, the heaviest first.
    pub parts: Vec<Part>,
    /// The verdict that this model gives.
    pub verdict: Verdict,
    /// Why; never empty.
    pub reasons: Vec<Reason>,
    /// Where the verdict changes.
    pub thresholds: Thresholds,
    /// The smallest change that was found to change the verdict; nothing if none was.
    pub flip: Option<Flip>,
}

/// A named part of a score.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// What it speaks of.
    pub group: Group,
    /// Its name, such as `word:casino`.
    pub name: String,
    /// How much it weighs; above zero speaks for spam.
    pub weight: LogOdds,
    /// Where it stands; nothing if it speaks of the comment as a whole.
    pub places: Vec<Place>,
}

impl Explanation {
    /// What each group weighs together; groups without parts are left out.
    pub fn groups(&self) -> BTreeMap<Group, LogOdds> {
        let mut groups = BTreeMap::new();
        for part in &self.parts {
            *groups.entry(part.group).or_default() += part.weight;
        }
        groups
    }
}

impl Moderation {
    /// Explains a comment by the site's model of `version`; without one, by the model that scored
    /// it or, if that is gone or the comment is new, by the one that decides now.
    ///
    /// # Errors
    /// `Invalid`; `NotFound` without the comment or the model; `Unavailable`.
    pub async fn explain(
        &self,
        site: &Arc<Site>,
        what: Explained,
        version: Option<&str>,
    ) -> Result<Explanation, ModerationError> {
        let rules = self.rules.of(site);
        let case = match what {
            Explained::New(raw) => {
                let submission = Submission::parse(*raw, &site.policy.required)
                    .map_err(ModerationError::Invalid)?;
                let submission = hide(submission, &site.secret);
                let facts = Facts::unknown(self.clock.now());
                Case { submission, rules, facts, recorded: Vec::new(), degraded: Vec::new() }
            }
            Explained::Recorded(id) => {
                let comment = self.comment(site, id).await?;
                let facts = Facts::unknown(comment.check_time);
                let (recorded, degraded) = (comment.signals, comment.degraded);
                let scored_by = comment.score.map(|score| score.model_version);
                let case =
                    Case { submission: comment.submission, rules, facts, recorded, degraded };
                if let (None, Some(scored_by)) = (version, scored_by)
                    && let Ok(scorer) = self.scorer_of_version(site, &scored_by).await
                {
                    return explained(case, scorer).await;
                }
                case
            }
        };
        let scorer = match version {
            Some(version) => self.scorer_of_version(site, version).await?,
            None => self.models.of(&site.id).scorer,
        };
        explained(case, scorer).await
    }
}

/// Tens of milliseconds for the longest comments; not on a thread that answers calls.
async fn explained(case: Case, scorer: Scorer) -> Result<Explanation, ModerationError> {
    super::blocking("explaining", move || Ok(case.explain(&scorer))).await
}

/// A comment to be explained, and what is known of it.
#[derive(Clone)]
pub(super) struct Case {
    pub(super) submission: BlindSubmission,
    pub(super) rules: Arc<SiteRules>,
    /// Nothing but the time.
    pub(super) facts: Facts,
    /// The signals it was recorded with.
    pub(super) recorded: Vec<Signal>,
    pub(super) degraded: Vec<Degraded>,
}

impl Case {
    pub(super) fn explain(self, scorer: &Scorer) -> Explanation {
        let carried = self.carried();
        let analysis = Analysis::new(&self.submission);
        let find = || self.signals(&analysis, &carried);
        let judged = scorer.judge_by(&analysis, &self.rules, find, self.degraded.clone());
        let parts = parts(&analysis, scorer, &judged.signals);
        let bias = scorer.model().spam().bias();
        let flip = flip::find(&self, scorer, &carried, judged.decision.verdict, &parts);
        Explanation {
            model_version: scorer.model_version().to_owned(),
            raw_score: parts.iter().map(|part| part.weight).sum::<LogOdds>() + bias,
            bias,
            parts,
            verdict: judged.decision.verdict,
            reasons: judged.decision.reasons,
            thresholds: scorer.thresholds(self.rules.policy()).overridden(self.rules.policy()),
            flip,
            submission: self.submission,
        }
    }

    /// The recorded signals that the text alone does not give: those that came from what was known
    /// of the author, of like texts and of the parent. They hold whatever the text were.
    pub(super) fn carried(&self) -> Vec<Signal> {
        let found = self.signals(&Analysis::new(&self.submission), &[]);
        let new = |signal: &&Signal| !found.iter().any(|other| other.name == signal.name);
        self.recorded.iter().filter(new).cloned().collect()
    }

    /// The signals of the text as `analysis` has it, and those of `carried`.
    pub(super) fn signals(&self, analysis: &Analysis<'_>, carried: &[Signal]) -> Vec<Signal> {
        let input = CheckInput { analysis, rules: &self.rules, facts: &self.facts };
        let mut signals = checks::run(&input);
        signals.extend_from_slice(carried);
        signals
    }
}

/// Every part of a score that weighs anything, the heaviest first.
fn parts(analysis: &Analysis<'_>, scorer: &Scorer, signals: &[Signal]) -> Vec<Part> {
    let mut names = Names::default();
    let learnt = signals.iter().filter(|signal| checks::is_learnt(&signal.name));
    let mut builder = FeatureBuilder::default();
    let vector = builder.build_named(analysis, learnt, &mut names);
    let places = Places::new(analysis);
    let model = scorer.model();
    let features = model.spam().parts(vector, &names).map(|((kind, value), weight)| Part {
        group: Group::of(kind, value),
        name: [kind, ":", value].concat(),
        weight,
        places: places.of(kind, value).to_vec(),
    });
    let by_hand = signals.iter().filter(|signal| signal.weight != LogOdds::ZERO).map(|signal| {
        let name = ["signal:", signal.name.as_str()].concat();
        Part { group: Group::Signals, name, weight: signal.weight, places: Vec::new() }
    });
    let mut parts: Vec<Part> = features.chain(by_hand).collect();
    let size = |part: &Part| part.weight.steps().unsigned_abs();
    parts.sort_by(|a, b| size(b).cmp(&size(a)).then_with(|| a.name.cmp(&b.name)));
    parts
}
