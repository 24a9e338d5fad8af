//! Sites and their policies.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, Serialize};
use time::OffsetDateTime;

use super::{FieldViolation, RetentionPolicy, SiteId, SiteSecret};

/// A place that publishes comments, and the unit of isolation.
#[derive(Clone)]
pub struct Site {
    /// The id.
    pub id: SiteId,
    /// What people call it.
    pub display_name: String,
    /// The key of its fingerprints.
    pub secret: SiteSecret,
    /// What its owner set.
    pub policy: SitePolicy,
    /// Counts the changes of the policy, from 1.
    pub revision: i64,
    /// When it was created.
    pub create_time: OffsetDateTime,
}

/// What a key may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyScope {
    /// Check comments, read them back, send feedback.
    Check,
    /// See and decide the review queue.
    Review,
    /// Train and change models.
    Operate,
    /// Create sites and keys, change policies; for every site.
    Administer,
    /// Check comments and send feedback in Akismet's dialect, and nothing else. A key of this
    /// scope has no other, and another form.
    Akismet,
}

impl KeyScope {
    /// All scopes of gRPC, from the least to the most powerful.
    pub const ALL: [Self; 4] = [Self::Check, Self::Review, Self::Operate, Self::Administer];

    /// The kebab-case name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Review => "review",
            Self::Operate => "operate",
            Self::Administer => "administer",
            Self::Akismet => "akismet",
        }
    }
}

/// Which fields of the form must be filled. WordPress: "Comment author must fill out name and
/// email".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RequiredFields {
    /// The name.
    pub author: bool,
    /// The e-mail address.
    pub email: bool,
}

impl Default for RequiredFields {
    fn default() -> Self {
        Self { author: true, email: true }
    }
}

/// How many good comments a site is willing to have stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// Hold at most one in so many good comments.
    pub hold_one_in: u32,
    /// Reject at most one in so many good comments.
    pub reject_one_in: u32,
}

impl Default for Budget {
    /// Half of what a site should at most lose on comments like none in training (1 in 100 held,
    /// 1 in 1,000 rejected), since the thresholds are measured on sources left out of training.
    fn default() -> Self {
        Self { hold_one_in: 200, reject_one_in: 2_000 }
    }
}

/// A site's words. A comment, name, address domain or website that has one is held or rejected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WordLists {
    /// Words that send a comment to a moderator.
    pub hold: Vec<String>,
    /// Words that reject a comment.
    pub reject: Vec<String>,
    /// Whether only whole words count; WordPress counts parts of words too.
    pub whole_words: bool,
}

impl Default for WordLists {
    fn default() -> Self {
        Self { hold: Vec::new(), reject: Vec::new(), whole_words: true }
    }
}

/// A rate: `burst` at once, then one in each `period_ms` (GCRA, ITU-T I.371).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitRule {
    /// How many may come at once; at least 1.
    pub burst: u32,
    /// Milliseconds until one more may come; at least 1.
    pub period_ms: u32,
}

/// How fast comments may come, by what they share. `None` sets no limit; in a policy file,
/// `"off"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitPolicy {
    /// From one IP address.
    #[serde(deserialize_with = "rule_or_off")]
    pub ip: Option<LimitRule>,
    /// From one network.
    #[serde(deserialize_with = "rule_or_off")]
    pub ip_prefix: Option<LimitRule>,
    /// By one author (the mailbox behind the address).
    #[serde(deserialize_with = "rule_or_off")]
    pub author: Option<LimitRule>,
    /// On one page.
    #[serde(deserialize_with = "rule_or_off")]
    pub page: Option<LimitRule>,
    /// On the whole site.
    #[serde(deserialize_with = "rule_or_off")]
    pub site: Option<LimitRule>,
    /// With the same text.
    #[serde(deserialize_with = "rule_or_off")]
    pub identical_text: Option<LimitRule>,
}

impl Default for LimitPolicy {
    /// One in 15 s by IP and by author is WordPress's `check_comment_flood_db`; the others only
    /// stop floods.
    fn default() -> Self {
        let rule = |burst, period_ms| Some(LimitRule { burst, period_ms });
        Self {
            ip: rule(1, 15_000),
            ip_prefix: rule(20, 3_000),
            author: rule(1, 15_000),
            page: rule(60, 1_000),
            site: rule(1_000, 50),
            identical_text: rule(5, 60_000),
        }
    }
}

/// What a site's owner set. The defaults suit a small blog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SitePolicy {
    /// Fields that must be filled.
    pub required: RequiredFields,
    /// Good comments it may cost; gives the thresholds.
    pub budget: Budget,
    /// Probability from which comments are held; overrides the budget.
    pub hold_threshold: Option<f64>,
    /// Probability from which comments are rejected; overrides the budget.
    pub reject_threshold: Option<f64>,
    /// Probability from which rejected comments are marked `discard`.
    pub discard_threshold: f64,
    /// Hold comments with at least so many links. WordPress: "contains N or more links".
    pub hold_link_count: Option<u32>,
    /// Hold authors without an approved comment. WordPress: "must have a previously approved
    /// comment".
    pub hold_first_time_author: bool,
    /// Hold everything. WordPress: "Comment must be manually approved".
    pub hold_all: bool,
    /// Hold comments that look like abuse, at most one in so many clean ones. Without it nobody
    /// asks how abusive a comment is.
    pub hold_abuse_one_in: Option<u32>,
    /// Reject comments on pages older than so many days.
    pub close_after_days: Option<u32>,
    /// Forms sent faster than this are suspicious; 0 switches the check off.
    pub elapsed_ms_min: i64,
    /// The site's words.
    pub words: WordLists,
    /// Hosts that may not be linked, with all below them.
    pub host_blocklist: BTreeSet<String>,
    /// Hosts that count as no link, with all below them.
    pub host_allowlist: BTreeSet<String>,
    /// Languages expected on the site (primary subtags); empty: any.
    pub languages: BTreeSet<String>,
    /// Whether Akismet's clients are told to wait for a moderator's decision on a held comment,
    /// if they gave an address for it; else they keep it by themselves.
    pub akismet_rechecks: bool,
    /// Whether Akismet's clients are told which comments nobody needs to see.
    pub akismet_discards: bool,
    /// How fast comments may come.
    pub limits: LimitPolicy,
    /// How long what was recorded is kept.
    pub retention: RetentionPolicy,
}

impl Default for SitePolicy {
    fn default() -> Self {
        Self {
            required: RequiredFields::default(),
            budget: Budget::default(),
            hold_threshold: None,
            reject_threshold: None,
            discard_threshold: 0.999,
            hold_link_count: None,
            hold_first_time_author: false,
            hold_all: false,
            hold_abuse_one_in: None,
            close_after_days: None,
            elapsed_ms_min: 2_000,
            words: WordLists::default(),
            host_blocklist: BTreeSet::new(),
            host_allowlist: BTreeSet::new(),
            languages: BTreeSet::new(),
            akismet_rechecks: false,
            akismet_discards: true,
            limits: LimitPolicy::default(),
            retention: RetentionPolicy::default(),
        }
    }
}

impl SitePolicy {
    /// All that is wrong with the policy; empty if it can be used.
    pub fn violations(&self) -> Vec<FieldViolation> {
        let mut violations = Vec::new();
        let mut add = |field, reason, description: String| {
            violations.push(FieldViolation { field, reason, description });
        };
        for (field, count) in [
            ("policy.hold_one_in", self.budget.hold_one_in),
            ("policy.reject_one_in", self.budget.reject_one_in),
            ("policy.hold_abuse_one_in", self.hold_abuse_one_in.unwrap_or(1)),
        ] {
            if count == 0 {
                add(field, "out-of-range", "At least 1 is expected.".into());
            }
        }
        for (field, threshold) in [
            ("policy.hold_threshold", self.hold_threshold),
            ("policy.reject_threshold", self.reject_threshold),
            ("policy.discard_threshold", Some(self.discard_threshold)),
        ] {
            if threshold.is_some_and(|value| !(0.0..=1.0).contains(&value)) {
                add(field, "out-of-range", "A number from 0 to 1 is expected.".into());
            }
        }
        if let (Some(hold), Some(reject)) = (self.hold_threshold, self.reject_threshold)
            && hold > reject
        {
            let text = "It must not be above `reject_threshold`.";
            add("policy.hold_threshold", "out-of-order", text.into());
        }
        if self.close_after_days == Some(0) {
            let text = "At least 1 is expected; without it no page closes.";
            add("policy.close_after_days", "out-of-range", text.into());
        }
        if self.elapsed_ms_min < 0 {
            add("policy.elapsed_ms_min", "negative", "At least 0 is expected.".into());
        }
        for (field, reason, description) in self.list_problems().chain(self.limits.problems()) {
            add(field, reason, description);
        }
        violations.extend(self.retention.problems());
        violations
    }
}

/// A rule; `"off"` in a file that has no null, such as TOML.
fn rule_or_off<'de, D: Deserializer<'de>>(from: D) -> Result<Option<LimitRule>, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Word {
        Off,
    }
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "`{ burst, period_ms }` or \"off\" is expected")]
    enum Setting {
        Rule(LimitRule),
        Word(Word),
        Null(()),
    }
    Ok(match Setting::deserialize(from)? {
        Setting::Rule(rule) => Some(rule),
        Setting::Word(Word::Off) | Setting::Null(()) => None,
    })
}

impl LimitPolicy {
    fn problems(&self) -> impl Iterator<Item = (&'static str, &'static str, String)> {
        let rules = [
            ("policy.limits.ip", self.ip),
            ("policy.limits.ip_prefix", self.ip_prefix),
            ("policy.limits.author", self.author),
            ("policy.limits.page", self.page),
            ("policy.limits.site", self.site),
            ("policy.limits.identical_text", self.identical_text),
        ];
        rules
            .into_iter()
            .filter(|(_, rule)| rule.is_some_and(|rule| rule.burst == 0 || rule.period_ms == 0))
            .map(|(field, _)| {
                (field, "out-of-range", "Burst and period must be at least 1.".to_owned())
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_policy_is_usable_and_bad_ones_name_every_problem() {
        assert_eq!(SitePolicy::default().violations(), []);
        let bad = SitePolicy {
            budget: Budget { hold_one_in: 0, reject_one_in: 1 },
            hold_threshold: Some(0.9),
            reject_threshold: Some(0.5),
            discard_threshold: f64::NAN,
            close_after_days: Some(0),
            elapsed_ms_min: -1,
            words: WordLists { hold: vec![" ".into()], ..WordLists::default() },
            host_blocklist: BTreeSet::from(["x".repeat(crate::domain::LIST_ENTRY_BYTES_MAX + 1)]),
            limits: LimitPolicy {
                ip: Some(LimitRule { burst: 0, period_ms: 1 }),
                ..LimitPolicy::default()
            },
            ..SitePolicy::default()
        };
        let fields: Vec<_> = bad.violations().into_iter().map(|v| (v.field, v.reason)).collect();
        assert_eq!(
            fields,
            [
                ("policy.hold_one_in", "out-of-range"),
                ("policy.discard_threshold", "out-of-range"),
                ("policy.hold_threshold", "out-of-order"),
                ("policy.close_after_days", "out-of-range"),
                ("policy.elapsed_ms_min", "negative"),
                ("policy.blocklist_hosts", "too-long"),
                ("policy.hold_words", "blank"),
                ("policy.blocklist_hosts", "invalid-host"),
                ("policy.limits.ip", "out-of-range"),
            ]
        );
    }

    #[test]
    fn the_sample_file_has_every_setting_with_its_default() {
        let sample = include_str!("../../docs/policy.toml");
        assert_eq!(toml::from_str::<SitePolicy>(sample).unwrap(), SitePolicy::default());
        let complete: String = sample
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(setting) if setting.contains(" = ") => format!("{setting}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let all: SitePolicy = toml::from_str(&complete).unwrap();
        let json = serde_json::to_value(&all).unwrap();
        for (name, value) in json.as_object().unwrap() {
            assert!(!value.is_null(), "docs/policy.toml lacks {name}");
            assert!(sample.contains(name), "docs/policy.toml lacks {name}");
        }
    }

    #[test]
    fn a_file_can_switch_a_limit_off() {
        let read = |text: &str| toml::from_str::<SitePolicy>(text);
        let policy = read("[limits]\nip = \"off\"").unwrap();
        assert_eq!(policy.limits, LimitPolicy { ip: None, ..LimitPolicy::default() });
        let error = read("[limits]\nip = \"never\"").unwrap_err();
        assert!(error.message().contains("\"off\" is expected"), "{error}");
        let stored = serde_json::to_string(&policy).unwrap();
        assert_eq!(serde_json::from_str::<SitePolicy>(&stored).unwrap(), policy);
    }
}
