//! `replyguard doctor --akismet`: what each client of Akismet would make of a running server.

use std::time::{Duration, Instant};

use url::form_urlencoded;

use super::Failure;
use super::output::say;
use crate::http::client::{self, Answer};

/// The shortest time-out of a client: PyPI's `akismet`.
const TIMEOUT: Duration = Duration::from_secs(1);
const THANKS: &str = "Thanks for making the web a better place.";

/// A request as some clients send it, and what they need in the answer.
struct Shape {
    /// Whose it is.
    clients: &'static str,
    path: &'static str,
    /// Where the key stands.
    key: KeyPlace,
    fields: &'static [(&'static str, &'static str)],
    need: Need,
}

#[derive(Clone, Copy)]
enum KeyPlace {
    Field(&'static str),
    Host,
    /// A key that nobody has.
    Wrong,
}

#[derive(Clone, Copy)]
enum Need {
    /// This body, and no headers that speak of errors.
    Word(&'static str),
    /// `true` or `false`; or no success and `X-akismet-error`.
    Verdict,
    /// `invalid`, with `X-akismet-debug-help`.
    Invalid,
    /// JSON with these fields.
    Json(&'static [&'static str]),
}

const BLOG: (&str, &str) = ("blog", "https://blog.example.org");

/// What WordPress sends of a comment, in short. It is a test, so nothing is recorded.
const COMMENT: &[(&str, &str)] = &[
    BLOG,
    ("is_test", "1"),
    ("user_ip", "::ffff:192.0.2.7"),
    ("user_agent", "Mozilla/5.0"),
    ("referrer", ""),
    ("permalink", "https://blog.example.org/a-page"),
    ("comment_type", "comment"),
    ("comment_author", "Ada"),
    ("comment_content", "It\\'s fine, \\\"thank you\\\"."),
    ("blog_lang", "en_US"),
    ("blog_charset", "UTF-8"),
    ("user_role", ""),
    ("comment_context[0]", "bread"),
    ("POST_ak_hp_textarea", ""),
    ("POST_ak_js", "4000"),
    ("akismet_comment_nonce", "inactive"),
];
const SPAM: &[(&str, &str)] =
    &[BLOG, ("user_ip", "192.0.2.7"), ("comment_author", "viagra-test-123")];
const ADMINISTRATOR: &[(&str, &str)] = &[
    BLOG,
    ("user_ip", "192.0.2.7"),
    ("comment_content", "buy casino pills"),
    ("user_role", "administrator"),
];

const SHAPES: &[Shape] = &[
    Shape {
        clients: "WordPress, PHP SDK",
        path: "/1.1/verify-key",
        key: KeyPlace::Field("key"),
        fields: &[BLOG],
        need: Need::Word("valid"),
    },
    Shape {
        clients: "npm @cedx/akismet",
        path: "/1.1/verify-key",
        key: KeyPlace::Field("api_key"),
        fields: &[BLOG],
        need: Need::Word("valid"),
    },
    Shape {
        clients: "npm akismet-api, Perl, Go (key in the host name)",
        path: "/1.1/verify-key",
        key: KeyPlace::Host,
        fields: &[BLOG],
        need: Need::Word("valid"),
    },
    Shape {
        clients: "all, with a wrong key",
        path: "/1.1/verify-key",
        key: KeyPlace::Wrong,
        fields: &[BLOG],
        need: Need::Invalid,
    },
    Shape {
        clients: "WordPress (takes no key without it)",
        path: "/1.1/get-subscription",
        key: KeyPlace::Field("key"),
        fields: &[BLOG],
        need: Need::Json(&["account_id", "account_name", "status", "next_billing_date"]),
    },
    Shape {
        clients: "WordPress",
        path: "/1.1/comment-check",
        key: KeyPlace::Field("api_key"),
        fields: COMMENT,
        need: Need::Verdict,
    },
    Shape {
        clients: "npm akismet-api, Perl, Go",
        path: "/1.1/comment-check",
        key: KeyPlace::Host,
        fields: COMMENT,
        need: Need::Verdict,
    },
    Shape {
        clients: "the test suites of PyPI akismet, Ruby akismet and others: spam",
        path: "/1.1/comment-check",
        key: KeyPlace::Field("api_key"),
        fields: SPAM,
        need: Need::Word("true"),
    },
    Shape {
        clients: "the same: ham",
        path: "/1.1/comment-check",
        key: KeyPlace::Field("api_key"),
        fields: ADMINISTRATOR,
        need: Need::Word("false"),
    },
    Shape {
        clients: "Ruby akismet (compares the sentence)",
        path: "/1.1/submit-ham",
        key: KeyPlace::Host,
        fields: COMMENT,
        need: Need::Word(THANKS),
    },
    Shape {
        clients: "WordPress, PHP SDK: figures",
        path: "/1.1/get-stats",
        key: KeyPlace::Field("key"),
        fields: &[BLOG, ("from", "60-days")],
        need: Need::Json(&["spam", "ham", "missed_spam", "false_positives", "breakdown"]),
    },
    Shape {
        clients: "PHP SDK: sites",
        path: "/1.2/key-sites",
        key: KeyPlace::Field("api_key"),
        fields: &[],
        need: Need::Json(&["limit", "offset", "total"]),
    },
];

/// Prints what each client would make of the server at `url`; exit code 69 if one would break.
pub(super) async fn examine(url: &str, key: &str) -> Result<(), Failure> {
    let url = url.trim_end_matches('/');
    let mut trouble_count = 0;
    for shape in SHAPES {
        let name = shape.path.rsplit('/').next().unwrap_or_default();
        match shape.try_on(url, key).await {
            Ok(word) => say!("ok       {name:<16} {:<16} {}", word, shape.clients)?,
            Err(why) => {
                trouble_count += 1;
                say!("TROUBLE  {name:<16} {why}\n         breaks: {}", shape.clients)?;
            }
        }
    }
    match trouble_count {
        0 => Ok(()),
        count => Err(Failure::unavailable(format!("{count} of {} requests fail", SHAPES.len()))),
    }
}

impl Shape {
    async fn try_on(&self, url: &str, key: &str) -> Result<String, String> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(self.fields);
        let host = format!("{key}.rest.akismet.com");
        let mut headers = vec![("user-agent", "WordPress/7.1 | Akismet/5.7.2")];
        match self.key {
            KeyPlace::Field(name) => _ = form.append_pair(name, key),
            KeyPlace::Wrong => _ = form.append_pair("key", "000000000000"),
            KeyPlace::Host => headers.push(("host", &host)),
        }
        let begin = Instant::now();
        let url = format!("{url}{}", self.path);
        let sent = client::post(&url, &headers, form.finish());
        let answer = tokio::time::timeout(TIMEOUT, sent).await;
        let answer = answer.map_err(|_| format!("no answer in {TIMEOUT:?}"))??;
        self.need.look(&answer).map(|word| {
            let word = if word == THANKS { "Thanks …" } else { word };
            format!("{word} {} ms", begin.elapsed().as_millis())
        })
    }
}

impl Need {
    /// What the answer is, or what is wrong with it.
    fn look(self, answer: &Answer) -> Result<&str, String> {
        let has = |name: &str| answer.headers.contains_key(name);
        let body = answer.body.as_str();
        if !has("x-akismet-guid") {
            return Err("there is no X-akismet-guid: WordPress ignores the verdict".into());
        }
        let complains = has("x-akismet-debug-help") || has("x-akismet-alert-code");
        match self {
            Self::Invalid if body == "invalid" && has("x-akismet-debug-help") => Ok(body),
            Self::Invalid => {
                Err(format!("`invalid` was expected, with X-akismet-debug-help: {body:?}"))
            }
            _ if complains => Err("an error header on a good request".into()),
            Self::Word(word) if answer.status == 200 && body == word => Ok(body),
            Self::Word(word) => Err(format!("`{word}` was expected: {} {body:?}", answer.status)),
            Self::Verdict => match body {
                "true" | "false" if answer.status == 200 => Ok(body),
                "" if answer.status != 200 && has("x-akismet-error") => Ok("held"),
                _ => Err(format!("no verdict: {} {body:?}", answer.status)),
            },
            Self::Json(names) => {
                let json: serde_json::Value =
                    serde_json::from_str(body).map_err(|error| format!("no JSON: {error}"))?;
                match names.iter().find(|name| json.get(name).is_none()) {
                    Some(name) => Err(format!("the field `{name}` is missing")),
                    None => Ok("JSON"),
                }
            }
        }
    }
}
