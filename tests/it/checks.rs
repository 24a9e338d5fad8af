//! Checks against comments in `tests/fixtures/checks/*.jsonl`. A new case needs no Rust.
//!
//! A line is one comment: the form's fields by their names, `policy` (what differs from the
//! default), what was looked up (`neighbours`, `author_record`, `parent_held`), and in `signals`
//! exactly the signals expected, in the order of the checks. `not` names signals that the case
//! only just does not fire; each signal has at least four cases and three of those.

use std::collections::BTreeMap;
use std::path::PathBuf;

use replyguard::checks::{self, CheckInput, Facts, SiteRules};
use replyguard::domain::signals::ALL_SIGNALS;
use replyguard::domain::{
    AuthorRecord, Neighbours, RawSubmission, RequiredFields, SitePolicy, SiteSecret, Submission,
};
use replyguard::text::{self, Analysis};
use serde::Deserialize;
use time::OffsetDateTime;
use time::macros::datetime;

/// The time of every check in the fixtures.
const NOW: OffsetDateTime = datetime!(2026-06-01 12:00 UTC);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    case: String,
    text: String,
    #[serde(default)]
    author: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    url: String,
    #[serde(default)]
    user_agent: String,
    honeypot: Option<String>,
    elapsed_ms: Option<i64>,
    #[serde(default)]
    page_closed: bool,
    #[serde(default, with = "time::serde::rfc3339::option")]
    page_publish_time: Option<OffsetDateTime>,
    #[serde(default)]
    parent_comment: String,
    #[serde(default)]
    policy: SitePolicy,
    #[serde(default)]
    neighbours: Neighbours,
    /// Left out: an author with one approved comment, of whom no check has anything to say.
    #[serde(default = "somebody")]
    author_record: Option<AuthorRecord>,
    #[serde(default)]
    parent_held: bool,
    signals: Vec<String>,
    #[serde(default)]
    not: Vec<String>,
}

fn somebody() -> Option<AuthorRecord> {
    Some(AuthorRecord { approved_count: 1, ..AuthorRecord::default() })
}

impl Case {
    /// The names of the signals that the checks find.
    fn found(&self) -> Vec<String> {
        let raw = RawSubmission {
            text: self.text.clone(),
            author: self.author.clone(),
            email: self.email.clone(),
            url: self.url.clone(),
            user_agent: self.user_agent.clone(),
            honeypot: self.honeypot.clone(),
            elapsed_ms: self.elapsed_ms,
            page_closed: self.page_closed,
            page_publish_time: self.page_publish_time,
            parent_comment: self.parent_comment.clone(),
            ..RawSubmission::default()
        };
        let required = RequiredFields { author: false, email: false };
        let submission = Submission::parse(raw, &required)
            .unwrap_or_else(|violations| panic!("{}: {violations:?}", self.case));
        let blind = text::hide(submission, &SiteSecret::from_bytes([7; 32]));
        let facts = Facts {
            neighbours: self.neighbours,
            author: self.author_record,
            parent_held: self.parent_held,
            now: NOW,
        };
        let input = CheckInput {
            analysis: &Analysis::new(&blind),
            rules: &SiteRules::new(self.policy.clone()),
            facts: &facts,
        };
        checks::run(&input).into_iter().map(|signal| signal.name.to_string()).collect()
    }
}

fn cases() -> Vec<Case> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/checks");
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(&folder).expect("the fixtures are there") {
        let path = entry.expect("the folder can be read").path();
        let lines = std::fs::read_to_string(&path).expect("a fixture is UTF-8");
        for (number, line) in lines.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
            let case = serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("{}:{}: {error}", path.display(), number + 1));
            cases.push(case);
        }
    }
    cases
}

#[test]
fn every_case_has_exactly_its_signals() {
    let wrong: Vec<String> = cases()
        .iter()
        .filter_map(|case| {
            let found = case.found();
            (found != case.signals).then(|| {
                format!("{} ({:?}): {found:?}, expected {:?}", case.case, case.text, case.signals)
            })
        })
        .collect();
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_signal_has_cases_where_it_fires_and_where_it_does_not() {
    let mut fires: BTreeMap<String, usize> = BTreeMap::new();
    let mut spares: BTreeMap<String, usize> = BTreeMap::new();
    for case in cases() {
        for name in &case.not {
            assert!(!case.signals.contains(name), "{}: {name} is in both lists", case.case);
            *spares.entry(name.clone()).or_default() += 1;
        }
        for name in case.signals {
            *fires.entry(name).or_default() += 1;
        }
    }
    for name in ALL_SIGNALS.iter().map(|name| name.as_str()) {
        assert!(fires.remove(name).unwrap_or(0) >= 4, "{name} fires in too few cases");
        assert!(spares.remove(name).unwrap_or(0) >= 3, "{name} is spared in too few cases");
    }
    assert!(fires.is_empty() && spares.is_empty(), "unknown: {fires:?} {spares:?}");
}

/// Texts that make careless code slow or wrong, as one unit to repeat.
const HOSTILE_UNITS: [&str; 30] = [
    "http://x.com/a ",
    "abcdefghij",
    "a\u{300}\u{301}\u{302}\u{303}",
    "\u{202E}a\u{202C}b",
    "a\u{200B}",
    "at at dot ",
    "a@b",
    "@",
    "a(at)b(dot)c ",
    "j o @ c . d ",
    "%25",
    "&#",
    "&#64;",
    "\"@",
    "a(",
    "<a ",
    "<a href=x>",
    "[url",
    "[url]",
    "](",
    "[x](",
    "://",
    "http://",
    ".",
    "a.",
    "a[dot]",
    "加",
    "ㅠ",
    "аa",
    "👨\u{200D}👩\u{200D}👧",
];

#[test]
fn hostile_texts_get_an_answer() {
    for unit in HOSTILE_UNITS {
        let text = unit.repeat(65_000 / unit.len());
        let raw = RawSubmission {
            text: text.clone(),
            author: unit.repeat(240 / unit.len()),
            ip: "2001:db8::1".into(),
            ..RawSubmission::default()
        };
        let required = RequiredFields { author: false, email: false };
        let Ok(submission) = Submission::parse(raw, &required) else { panic!("{unit}: refused") };
        let blind = text::hide(submission, &SiteSecret::from_bytes([7; 32]));
        let analysis = Analysis::new(&blind);
        let rules = SiteRules::new(SitePolicy {
            words: serde_json::from_str(r#"{"hold": ["a", "aa", "аа", ".", "加加"]}"#)
                .expect("a word list"),
            ..SitePolicy::default()
        });
        let facts = Facts::unknown(NOW);
        let input = CheckInput { analysis: &analysis, rules: &rules, facts: &facts };
        assert!(!checks::run(&input).is_empty(), "{unit}");
        assert!(analysis.links.len() <= text.len() / 5, "{unit}");
        // Masking writes at most 9 characters more than it takes away.
        assert!(blind.text.len() <= text.len() * 10, "{unit}");
    }
}
