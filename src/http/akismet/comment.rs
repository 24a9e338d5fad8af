//! A comment in Akismet's words.

use time::OffsetDateTime;

use crate::domain::{COMMENT_BYTES_MAX, OTHER_BYTES_MAX, RawSubmission, RequestId, Site, is_blank};
use crate::text::cut;

use super::fields::{Fields, as_written, unescaped};

/// `POST_ak_js` up to this says that no script ran.
const SCRIPTLESS_MS_MAX: i64 = 250;
/// `POST_ak_js` from this on is no time that passed but the instant, by the reader's clock, at
/// which the form was shown: that is what the script of WordPress's plugin 5.0.2 writes. Nobody
/// took three years for a comment.
const INSTANT_MS_MIN: i64 = 100_000_000_000;
/// Seconds in which the copies of a comment without a date are one, at the least; twice as many at
/// the most. WordPress sends its last copy within 46. A robot's next one is no copy but a flood.
const UNDATED_PERIOD_S: i64 = 60;

/// What was sent, as a submission. Only what a check uses is read; of the rest nothing is kept.
pub(super) fn submission(fields: &Fields, escaped: bool) -> RawSubmission {
    let written = |name: &str| {
        let value = fields.get(name);
        if escaped { as_written(&unescaped(value)) } else { as_written(value) }
    };
    let plain = |name: &str| {
        let value = fields.get(name);
        if escaped { unescaped(value) } else { value.to_owned() }
    };
    let content = written("comment_content").replace('\0', " ");
    let names = ["comment_author", "comment_author_url", "permalink"];
    // Sign-ups and the like have no text that anybody sees; what they have is looked at instead.
    let text = if is_blank(&content) { fields.first(&names).replace('\0', " ") } else { content };
    let context: Vec<_> = fields.list("comment_context").collect();
    RawSubmission {
        // Blanks in front, however many, do not push a text beyond its end.
        text: cut(text.trim_start(), COMMENT_BYTES_MAX).to_owned(),
        author: written("comment_author"),
        email: plain("comment_author_email"),
        url: plain("comment_author_url"),
        ip: ip(fields.get("user_ip")),
        user_agent: fields.get("user_agent").to_owned(),
        referrer: fields.first(&["referrer", "referer"]).to_owned(),
        page_uri: plain("permalink"),
        page_title: cut(&context.join(", "), OTHER_BYTES_MAX).to_owned(),
        page_publish_time: None,
        page_closed: false,
        parent_comment: Some(fields.get("comment_parent"))
            .filter(|id| *id != "0")
            .unwrap_or_default()
            .to_owned(),
        lang: lang(fields),
        honeypot: honeypot(fields),
        elapsed_ms: elapsed_ms(fields),
    }
}

/// An address without the prefix of version 4 in version 6.
fn ip(text: &str) -> String {
    let text = text.trim();
    let mapped = text.strip_prefix("::ffff:").filter(|rest| rest.contains('.'));
    mapped.unwrap_or(text).to_owned()
}

/// The first of the site's languages: `en_US, fr` is `en-US`.
fn lang(fields: &Fields) -> String {
    fields.list("blog_lang").next().unwrap_or_default().replace('_', "-")
}

/// How long the author was at the form, if the client says so.
fn elapsed_ms(fields: &Fields) -> Option<i64> {
    let ms = fields.get("POST_ak_js").parse().ok()?;
    (ms > SCRIPTLESS_MS_MAX && ms < INSTANT_MS_MIN).then_some(ms)
}

/// What stands in the form's hidden field, if it has one.
fn honeypot(fields: &Fields) -> Option<String> {
    let name = fields.first(&["honeypot_field_name"]);
    let named = (!name.is_empty()).then(|| fields.find(name)).flatten();
    named.or_else(|| fields.find("POST_ak_hp_textarea")).map(str::to_owned)
}

/// The id by which the copies of one comment are known: a slow WordPress sends the same request three
/// times. A digest of all of it under the site's key, so that it tells nothing about what was sent,
/// and so that whoever sends a form twice, a moment later, sends another one.
///
/// Where the client says no date, nothing tells a copy from the same text sent again, so the id is
/// that of a short period. The second id is that of the period before, under which the first copy
/// may have come.
pub(super) fn request_ids(
    site: &Site,
    fields: &Fields,
    now: OffsetDateTime,
) -> (RequestId, Option<RequestId>) {
    let mut bytes = Vec::new();
    for part in fields.parts() {
        bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    if !fields.first(&["comment_date_gmt"]).is_empty() {
        return (id_of(site, &bytes), None);
    }
    let period = now.unix_timestamp().div_euclid(UNDATED_PERIOD_S);
    let in_period = |period: i64| id_of(site, &[&bytes, &period.to_le_bytes()[..]].concat());
    (in_period(period), Some(in_period(period - 1)))
}

fn id_of(site: &Site, bytes: &[u8]) -> RequestId {
    let print = site.secret.fingerprint("akismet-request", bytes);
    RequestId::from_uuid(uuid::Builder::from_custom_bytes(*print.as_bytes()).into_uuid())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{SitePolicy, SiteSecret};
    use time::Duration;
    use time::macros::datetime;

    /// The ids of a form that was sent some seconds after twelve.
    fn ids(text: &str, seconds: i64) -> (RequestId, Option<RequestId>) {
        let site = Site {
            id: "blog".parse().unwrap(),
            display_name: String::new(),
            secret: SiteSecret::from_bytes([7; 32]),
            policy: SitePolicy::default(),
            revision: 1,
            create_time: time::OffsetDateTime::UNIX_EPOCH,
        };
        let now = datetime!(2026-11-24 12:00 UTC) + Duration::seconds(seconds);
        request_ids(&site, &Fields::parse(text.as_bytes()), now)
    }

    #[test]
    fn copies_without_a_date_are_one_for_a_moment() {
        let text = "comment_content=a&comment_date_gmt=&POST_ak_js=4000";
        // Also over the edge of a period.
        for begin in [0, 30, 59] {
            let (first, _) = ids(text, begin);
            for later in [0, 1, 46, 60] {
                let (id, earlier) = ids(text, begin + later);
                assert!(id == first || earlier == Some(first), "{later} s after {begin}");
            }
            for later in [120, 3_600, -120] {
                let (id, earlier) = ids(text, begin + later);
                assert!(id != first && earlier != Some(first), "{later} s after {begin}");
            }
        }
        let dated = "comment_content=a&comment_date_gmt=2026-11-24+11:59:58";
        assert_eq!(ids(dated, 0), ids(dated, 80_000));
        assert_eq!(ids(dated, 0).1, None);
    }

    #[test]
    fn copies_have_one_id_and_a_form_sent_twice_has_two() {
        let id = |text: &str| ids(text, 0).0;
        assert_eq!(
            id("comment_content=a&POST_ak_js=4000"),
            id("comment_content=a&POST_ak_js=4000")
        );
        assert_ne!(
            id("comment_content=a&POST_ak_js=4000"),
            id("comment_content=a&POST_ak_js=9000")
        );
        assert_ne!(id("comment_content=a&user_agent=x"), id("comment_content=a&user_agent=y"));
        assert_ne!(id("a=bc"), id("ab=c"));
    }

    fn parse(text: &str) -> RawSubmission {
        submission(&Fields::parse(text.as_bytes()), true)
    }

    #[test]
    fn a_comment_is_the_same_when_it_is_sent_and_when_it_was_saved() {
        let sent = parse(
            "comment_author=Flo+O%5C%27Brien+%26+Sons&comment_content=Salt+%26+rye%2C+1+%3C+2+\
             %3Ca+href%3D%5C%22https%3A%2F%2Fa.example%2F%5C%22%3Ehere%3C%2Fa%3E",
        );
        let saved = parse(
            "comment_author=Flo+O%27Brien+%26amp%3B+Sons&comment_content=Salt+%26amp%3B+rye%2C+1+%26lt%3B+2+\
             %3Ca+href%3D%22https%3A%2F%2Fa.example%2F%22+rel%3D%22nofollow+ugc%22%3Ehere%3C%2Fa%3E",
        );
        assert_eq!(sent.author, "Flo O'Brien & Sons");
        assert_eq!(sent.text, r#"Salt & rye, 1 < 2 <a href="https://a.example/">here</a>"#);
        assert_eq!((saved.author, saved.text), (sent.author, sent.text));
    }

    #[test]
    fn a_comment_of_wordpress_is_read() {
        let raw = parse(
            "comment_content=It%5C%27s+fine&comment_author=Ada&user_ip=::ffff:192.0.2.7\
             &blog_lang=de_AT,en&comment_parent=0&POST_ak_js=250&POST_ak_hp_textarea\
             &comment_context[]=bread&comment_context[]=rye&HTTP_COOKIE=x",
        );
        assert_eq!(raw.text, "It's fine");
        assert_eq!((raw.ip.as_str(), raw.lang.as_str()), ("192.0.2.7", "de-AT"));
        assert_eq!((raw.parent_comment.as_str(), raw.elapsed_ms), ("", None));
        assert_eq!(raw.honeypot.as_deref(), Some(""));
        assert_eq!(raw.page_title, "bread, rye");
        let blanks = "+".repeat(COMMENT_BYTES_MAX) + "%00";
        assert_eq!(parse(&format!("comment_content={blanks}late")).text, "late");
        assert_eq!(parse("comment_content=%00+&comment_author=Bo").text, "Bo");
        let other = parse("honeypot_field_name=hp&hp=filled&POST_ak_js=4000&comment_author=Bo");
        assert_eq!(other.honeypot.as_deref(), Some("filled"));
        assert_eq!(other.elapsed_ms, Some(4_000));
        assert_eq!(other.text, "Bo", "a sign-up has no text");
        assert_eq!(parse("POST_ak_js=1795856400000").elapsed_ms, None, "an instant, no time");
    }
}
