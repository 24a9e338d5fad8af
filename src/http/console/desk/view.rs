//! Comments as the pages show them. Everything is text here; the templates escape it.

use time::OffsetDateTime;
use time::macros::format_description;
use url::Url;

use super::super::frame::site_path;
use crate::domain::{CommentId, Label, Site, SiteId, State};
use crate::moderation::ports::review::ReviewedComment;

/// Characters of a comment in a list; the whole is on its page.
const EXCERPT_CHARACTERS: usize = 600;
/// Lines of a comment in a list, as its author broke them.
const EXCERPT_LINES: usize = 12;
/// Characters of a name or address in a list.
const SHORT_CHARACTERS: usize = 80;

/// A comment of a list.
#[derive(Debug, Clone)]
pub(super) struct CommentView {
    /// What a form sends to mean it as it was seen: `id.revision`.
    pub key: String,
    pub href: String,
    pub author: String,
    pub author_href: String,
    pub website: String,
    pub email: String,
    pub text: String,
    pub cut: bool,
    pub state: &'static str,
    pub label: &'static str,
    pub score: Option<ScoreView>,
    pub time: String,
    pub datetime: String,
    pub age: String,
    pub page: String,
    pub page_title: String,
    pub reasons: Vec<String>,
    pub claim: String,
    pub campaign_href: String,
}

/// A score in words and as a bar.
#[derive(Debug, Clone)]
pub(super) struct ScoreView {
    /// For people, such as `99.3 %`.
    pub percent: String,
    /// For the bar, 0–1.
    pub value: String,
    /// The colour of its verdict.
    pub class: &'static str,
}

impl CommentView {
    /// A comment as a line of a list.
    pub fn new(site: &Site, reviewed: &ReviewedComment, now: OffsetDateTime) -> Self {
        let comment = &reviewed.comment;
        let submission = &comment.submission;
        let path = site_path(&site.id);
        let (text, cut) = beginning(&submission.text);
        let short = |text: &Option<String>| {
            excerpt(text.as_deref().unwrap_or_default(), SHORT_CHARACTERS).0
        };
        let email = submission.email.as_ref();
        Self {
            key: format!("{}.{}", comment.id, reviewed.revision),
            href: format!("{path}/comments/{}", comment.id),
            author: short(&submission.author),
            author_href: email
                .map(|email| format!("{path}/authors/{}", email.folded_fingerprint))
                .unwrap_or_default(),
            website: short(&submission.url),
            email: email.map(|email| email.masked.clone()).unwrap_or_default(),
            text,
            cut,
            state: comment.state.as_str(),
            label: reviewed.label.map(Label::as_str).unwrap_or_default(),
            score: comment.score.as_ref().map(|score| score_view(score.probability, comment.state)),
            time: instant(comment.check_time),
            datetime: datetime(comment.check_time),
            age: age(now - comment.check_time),
            page: short(&submission.page_uri),
            page_title: short(&submission.page_title),
            reasons: comment.reasons.iter().map(|reason| reason.description.clone()).collect(),
            claim: reviewed.claim.as_ref().map(|claim| claim.actor.clone()).unwrap_or_default(),
            campaign_href: campaign_href(&site.id, &comment.campaign.to_string()),
        }
    }
}

/// The page of a campaign.
pub(super) fn campaign_href(site: &SiteId, campaign: &str) -> String {
    format!("{}/campaigns/{campaign}", site_path(site))
}

/// What a form sends to mean the held comments of a campaign as they were seen, up to the newest.
/// Those that join it while somebody reads wait for a look of their own.
pub(super) fn campaign_key(campaign: CommentId, newest: CommentId) -> String {
    format!("campaign.{campaign}.{newest}")
}

pub(super) fn score_view(probability: f64, state: State) -> ScoreView {
    let class = match state {
        State::Held => "hold",
        State::Approved => "approve",
        State::Rejected => "reject",
    };
    ScoreView {
        percent: format!("{:.1} %", probability * 100.0),
        value: format!("{probability:.4}"),
        class,
    }
}

/// The beginning of a comment, and whether there is more. Lists show all of it, so that nothing that
/// decides is out of sight without a word.
fn beginning(text: &str) -> (String, bool) {
    let (short, cut) = excerpt(text, EXCERPT_CHARACTERS);
    match short.match_indices('\n').nth(EXCERPT_LINES - 1) {
        Some((end, _)) => (format!("{}…", &short[..end]), true),
        None => (short, cut),
    }
}

/// The beginning of a text, and whether there is more.
pub(super) fn excerpt(text: &str, characters: usize) -> (String, bool) {
    match text.char_indices().nth(characters) {
        Some((end, _)) => (format!("{}…", &text[..end]), true),
        None => (text.to_owned(), false),
    }
}

/// An instant for people; the server knows no other time zone.
pub(super) fn instant(time: OffsetDateTime) -> String {
    let form = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    time.format(&form).unwrap_or_default()
}

/// An instant for `<time datetime>`.
pub(super) fn datetime(time: OffsetDateTime) -> String {
    let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    time.format(&form).unwrap_or_default()
}

/// How long ago, in one unit.
pub(super) fn age(age: time::Duration) -> String {
    let minutes = age.whole_minutes();
    match minutes {
        ..1 => "just now".into(),
        1..60 => format!("{minutes} min"),
        60..2_880 => format!("{} h", minutes / 60),
        _ => format!("{} days", minutes / 1_440),
    }
}

/// The address if a browser may be sent there: only what pages of sites have.
pub(super) fn safe_href(address: &str) -> String {
    let parsed = Url::parse(address).ok();
    let safe = parsed.filter(|url| ["http", "https"].contains(&url.scheme()));
    safe.map(String::from).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(excerpt("añb", 2), ("añ…".into(), true));
        assert_eq!(excerpt("añb", 3), ("añb".into(), false));
        let lines = |count: usize| vec!["a"; count].join("\n");
        assert_eq!(beginning(&lines(EXCERPT_LINES)), (lines(EXCERPT_LINES), false));
        assert_eq!(beginning(&lines(30)), (format!("{}…", lines(EXCERPT_LINES)), true));
    }

    #[test]
    fn only_web_addresses_are_linked() {
        assert_eq!(safe_href("https://blog.example/a"), "https://blog.example/a");
        for bad in ["javascript:alert(1)", "data:text/html,x", "//blog.example", "mailto:a"] {
            assert_eq!(safe_href(bad), "", "{bad}");
        }
    }

    #[test]
    fn ages_are_in_one_unit() {
        assert_eq!(age(time::Duration::seconds(20)), "just now");
        assert_eq!(age(time::Duration::minutes(59)), "59 min");
        assert_eq!(age(time::Duration::hours(47)), "47 h");
        assert_eq!(age(time::Duration::hours(49)), "2 days");
    }
}
