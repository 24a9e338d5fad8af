//! `replyguard models explain`: why a comment is judged as it is.

use std::fmt::Write as _;
use std::io::IsTerminal;

use clap::Args;

use super::Failure;
use super::first_site::refused;
use super::output::{print, safe, say};
use crate::domain::CommentId;
use crate::grpc::client::{Client, to_json};
use crate::grpc::proto;
use crate::grpc::proto::explain_comment_request::Subject;

/// Parts that are printed.
const PARTS_SHOWN: usize = 16;
/// Characters of the longest bar.
const BAR_LENGTH: f64 = 24.0;
/// Weight from which a word is coloured, in log-odds.
const COLOURED_MIN: f64 = 0.15;

/// Arguments of `models explain`.
#[derive(Args)]
pub(super) struct ExplainArgs {
    /// The text of a comment, or the name of a checked one (`sites/…/comments/…`), of whichever site
    /// that is; `-` reads the text from standard input
    comment: String,
    /// The author's name
    #[arg(long, default_value = "A reader")]
    author: String,
    /// The author's address
    #[arg(long, default_value = "reader@example.org")]
    email: String,
    /// The author's website
    #[arg(long, default_value = "")]
    url: String,
    /// The title or subject of the page
    #[arg(long, default_value = "")]
    page_title: String,
    /// The model to explain by [default: the one that scored the comment, else the one that
    /// decides now]
    #[arg(long, default_value = "", value_name = "VERSION")]
    model: String,
}

impl ExplainArgs {
    /// Asks and prints the answer. `is_chosen` says that the site was given, and is not the one that
    /// is meant if nothing is said.
    pub(super) async fn run(
        self,
        client: &mut Client,
        site: String,
        is_chosen: bool,
        json: bool,
    ) -> Result<(), Failure> {
        let (site, is_name) = place(&self.comment, site, is_chosen)?;
        let subject = if is_name {
            Subject::Name(self.comment)
        } else {
            let text = match self.comment.as_str() {
                "-" => std::io::read_to_string(std::io::stdin())
                    .map_err(|error| Failure::data(format!("standard input: {error}")))?,
                _ => self.comment,
            };
            Subject::Comment(proto::Comment {
                text,
                author: self.author,
                email: self.email,
                url: self.url,
                page_title: self.page_title,
                ..proto::Comment::default()
            })
        };
        let request = proto::ExplainCommentRequest {
            parent: site,
            subject: Some(subject),
            model_version: self.model,
        };
        let answer = client.models.explain_comment(request).await;
        let explanation = answer.map_err(|status| refused(&status))?.into_inner().explanation;
        let explanation = explanation.unwrap_or_default();
        if json {
            return say!("{}", to_json("replyguard.v1.Explanation", &explanation));
        }
        print(format_args!("{}", for_people(&explanation, std::io::stdout().is_terminal())))
    }
}

/// The site to ask, and whether `comment` is the name of a checked comment and no text.
fn place(comment: &str, site: String, is_chosen: bool) -> Result<(String, bool), Failure> {
    let Ok((owner, _)) = CommentId::from_name(comment) else {
        // A name that is not whole is for the service to refuse.
        let is_name = comment.starts_with(&format!("{site}/comments/"));
        return Ok((site, is_name));
    };
    let owner = owner.name();
    if is_chosen && owner != site {
        let text = format!("the comment is of {owner}, and --site says {}", safe(&site));
        return Err(Failure::usage(text));
    }
    Ok((owner, true))
}

/// The explanation as a page of text.
fn for_people(explanation: &proto::Explanation, colours: bool) -> String {
    let mut out = format!(
        "{}  score {:.4}  (hold from {:.4}, reject from {:.4})  {}\n",
        verdict(explanation.verdict()),
        explanation.score,
        explanation.hold_threshold,
        explanation.reject_threshold,
        explanation.model_version,
    );
    for reason in &explanation.reasons {
        let _ = writeln!(out, "  because  {}: {}", reason.name, safe(&reason.description));
    }
    let _ = writeln!(out, "\n{}\n", marked(explanation, colours));
    let bias = proto::ExplanationGroup { name: "bias".into(), weight: explanation.bias };
    let groups: Vec<_> = explanation.groups.iter().chain([&bias]).collect();
    let longest = groups.iter().map(|group| group.weight.abs()).fold(1e-9, f64::max);
    for group in groups {
        let length = (group.weight.abs() / longest * BAR_LENGTH).round() as usize;
        let bar = (if group.weight > 0.0 { "█" } else { "░" }).repeat(length);
        let _ = writeln!(out, "  {:13} {:+7.3}  {bar}", group.name, group.weight);
    }
    let _ = writeln!(out, "  {:13} {:+7.3}  log-odds: the sum\n", "score", explanation.raw_score);
    for part in explanation.parts.iter().take(PARTS_SHOWN) {
        let shown = part.spans.first().map(|span| slice(explanation, span));
        let place = shown.map_or(String::new(), |text| format!("  in “{}”", short(text)));
        let _ = writeln!(out, "  {:+7.3}  {}{place}", part.weight, safe(&part.name));
    }
    let rest = explanation.parts.len().saturating_sub(PARTS_SHOWN);
    if rest > 0 {
        let sum: f64 = explanation.parts[PARTS_SHOWN..].iter().map(|part| part.weight).sum();
        let _ = writeln!(out, "  {sum:+7.3}  {rest} smaller ones");
    }
    out.push_str(&flip(explanation));
    out
}

/// The smallest change, as a sentence.
fn flip(explanation: &proto::Explanation) -> String {
    let Some(flip) = &explanation.flip else {
        return "\nno small change was found that changes the verdict\n".to_owned();
    };
    let removed: Vec<String> = flip
        .removed
        .iter()
        .map(|span| match span.field.as_str() {
            "comment.author" => "the name".to_owned(),
            "comment.url" => "the website".to_owned(),
            _ => format!("“{}”", short(slice(explanation, span))),
        })
        .collect();
    format!(
        "\nwithout {}: {}, score {:.4}\n",
        removed.join(", "),
        verdict(flip.verdict()),
        flip.score
    )
}

/// The text with what weighs in colour: red speaks for spam, green against.
fn marked(explanation: &proto::Explanation, colours: bool) -> String {
    let text = explanation.text.as_str();
    let mut weights = vec![0.0; text.len()];
    for part in explanation.parts.iter().filter(|part| !part.name.starts_with("words:")) {
        for span in part.spans.iter().filter(|span| span.field == "comment.text") {
            let Some(place) = weights.get_mut(span.start as usize..span.end as usize) else {
                continue;
            };
            place.iter_mut().for_each(|weight: &mut f64| *weight += part.weight);
        }
    }
    let style = |weight: f64| match weight {
        weight if !colours || weight.abs() < COLOURED_MIN => "",
        weight if weight > 0.0 => "\u{1b}[31m",
        _ => "\u{1b}[32m",
    };
    let mut out = String::from("  ");
    let mut current = "";
    for (at, c) in text.char_indices() {
        let wanted = style(weights[at]);
        if wanted != current {
            out.push_str(if wanted.is_empty() { "\u{1b}[0m" } else { wanted });
            current = wanted;
        }
        match c {
            '\n' => out.push_str("\n  "),
            c => out.push_str(&safe(c.encode_utf8(&mut [0; 4]))),
        }
    }
    if !current.is_empty() {
        out.push_str("\u{1b}[0m");
    }
    out
}

/// The part of a field that a span means.
fn slice<'e>(explanation: &'e proto::Explanation, span: &proto::Span) -> &'e str {
    let field = match span.field.as_str() {
        "comment.author" => &explanation.author,
        "comment.url" => &explanation.url,
        _ => &explanation.text,
    };
    field.get(span.start.max(0) as usize..span.end.max(0) as usize).unwrap_or_default()
}

fn short(text: &str) -> String {
    let cut = text.char_indices().nth(48).map_or(text.len(), |(at, _)| at);
    safe(&text[..cut]) + if cut < text.len() { "…" } else { "" }
}

fn verdict(verdict: proto::Verdict) -> String {
    verdict.as_str_name().trim_start_matches("VERDICT_").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The name of a comment of another site was explained as a text.
    #[test]
    fn a_name_is_a_name_whichever_site_it_is_of() {
        let name = "sites/news/comments/0192f0c1-2b7a-7c3e-9d4f-0123456789ab";
        let place = |comment: &str, site: &str, is_chosen: bool| {
            super::place(comment, site.to_owned(), is_chosen).map_err(|error| format!("{error:?}"))
        };
        let of_news = Ok(("sites/news".to_owned(), true));
        assert_eq!(place(name, "sites/default", false), of_news);
        assert_eq!(place(name, "sites/news", true), of_news);
        let error = place(name, "sites/default", true).unwrap_err();
        assert!(error.contains("64") && error.contains("--site says sites/default"), "{error}");
        let of_default = |is_name| Ok(("sites/default".to_owned(), is_name));
        assert_eq!(place("Read sites/news/comments/", "sites/default", true), of_default(false));
        assert_eq!(place("sites/default/comments/7", "sites/default", true), of_default(true));
    }

    #[test]
    fn colours_stand_where_the_weight_is_and_nothing_else_is_printed_raw() {
        let span = proto::Span { field: "comment.text".into(), start: 2, end: 8 };
        let part = proto::ExplanationPart {
            group: "words".into(),
            name: "word:casino".into(),
            weight: 2.0,
            spans: vec![span.clone()],
        };
        let explanation = proto::Explanation {
            text: "a casino\u{1b}[2J é".into(),
            parts: vec![part],
            flip: Some(proto::Flip { removed: vec![span], ..proto::Flip::default() }),
            ..proto::Explanation::default()
        };
        let coloured = marked(&explanation, true);
        assert_eq!(coloured, "  a \u{1b}[31mcasino\u{1b}[0m\\u{1b}[2J é");
        let plain = for_people(&explanation, false);
        assert!(!plain.contains('\u{1b}') && plain.contains("without “casino”"), "{plain}");
    }
}
