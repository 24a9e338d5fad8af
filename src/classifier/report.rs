//! An evaluation as one HTML page: tables, curves as inline SVG, and the worst errors to read. It
//! loads nothing from anywhere; addresses in comments are masked.

mod charts;

use std::fmt::Write as _;

use super::evaluate::{Curve, Evaluation, Measures, Outcome, WorstError};
use super::{Comparison, Difference, Disagreeing, Interval, Judged};

/// The page. `title` says what was measured.
pub fn html_report(
    title: &str,
    evaluation: &Evaluation,
    judged: &[Judged],
    comparison: Option<&Comparison>,
) -> String {
    let all: Vec<Outcome> = judged.iter().map(|one| one.outcome).collect();
    let mut page = String::new();
    page.push_str(HEAD);
    let _ = write!(
        page,
        "<title>{title}</title></head><body><main><h1>{title}</h1>\
         <p class=lead>Model <code>{}</code> on {} good comments and {} spam. Small figures say \
         where the true one lies 95 times in 100.</p>",
        escaped(&evaluation.model_version),
        evaluation.pooled.ham_count,
        evaluation.pooled.spam_count,
        title = escaped(title),
    );
    tiles(&mut page, evaluation);
    figures(&mut page, &all, evaluation);
    if let Some(comparison) = comparison {
        compare(&mut page, comparison);
    }
    page.push_str("<h2>By source</h2>");
    let sources = evaluation.sources.iter().map(|(source, measures)| (source.clone(), measures));
    table(&mut page, "source", evaluation, sources);
    page.push_str("<h2>By kind of comment</h2>");
    let slices = evaluation
        .slices
        .iter()
        .map(|slice| (format!("{}: {}", slice.by, slice.value), &slice.measures));
    table(&mut page, "kind", evaluation, slices);
    for (title, spam) in [("Good comments that would be held", false), ("Spam that passes", true)] {
        worst(&mut page, title, evaluation.worst_errors.iter().filter(|one| one.spam == spam));
    }
    page.push_str("</main></body></html>\n");
    page
}

fn figures(page: &mut String, all: &[Outcome], evaluation: &Evaluation) {
    page.push_str("<section class=charts>");
    let curve = Curve::new(all);
    figure(
        page,
        "ROC",
        "How much spam is caught (up) at which share of good comments flagged \
        (right, logarithmic).",
        &charts::roc(&curve),
    );
    figure(
        page,
        "Precision and recall",
        "Share of spam among what is flagged (up) against \
        the share of spam caught (right).",
        &charts::precision_recall(&curve),
    );
    figure(
        page,
        "Calibration",
        "True share of spam (up) where the model says so much \
        (right). The diagonal is honest.",
        &charts::calibration(all),
    );
    figure(
        page,
        "Scores",
        "Good comments (filled) and spam (outlined) by probability; each \
        label's bars add up to one.",
        &charts::histogram(all, evaluation),
    );
    figure(
        page,
        "Threshold and cost",
        "What errors cost (up, as a share of flagging all or nothing) by the threshold (right), \
        where a good comment flagged costs as much as 1, 10 or 100 spam missed. Dots are the \
        cheapest thresholds; dotted lines are those for holding and rejecting.",
        &charts::cost(all, evaluation),
    );
    page.push_str("</section>");
}

const HEAD: &str = "<!doctype html><html lang=en><head><meta charset=utf-8>\
<meta name=viewport content=\"width=device-width,initial-scale=1\"><style>\
:root{--ink:#1d2733;--soft:#5d6b7a;--line:#dde3ea;--paper:#fff;--ground:#f5f7f9;--ham:#2a78b8;\
--spam:#c2452d;color-scheme:light dark}\
@media(prefers-color-scheme:dark){:root{--ink:#e6ebf0;--soft:#9aa8b6;--line:#36424f;\
--paper:#1b232c;--ground:#12181f;--ham:#64b1ec;--spam:#f08a72}}\
body{margin:0;background:var(--ground);color:var(--ink);font:15px/1.5 system-ui,sans-serif}\
main{max-width:84rem;margin:auto;padding:2rem 1rem}h1{margin:0;font-size:1.6rem}\
h2{font-size:1.15rem;margin:2rem 0 .7rem}.lead{color:var(--soft);margin:.3rem 0 1.5rem}\
.tiles,.charts{display:grid;gap:1rem;grid-template-columns:repeat(auto-fit,minmax(9rem,1fr))}\
.charts{grid-template-columns:repeat(auto-fit,minmax(20rem,1fr));margin-top:1rem}\
.tile,figure,.wide{background:var(--paper);border:1px solid var(--line);border-radius:10px;\
margin:0;padding:1rem}.tile b{display:block;font-size:1.5rem;font-variant-numeric:tabular-nums}\
.tile span,figcaption{color:var(--soft);font-size:.87rem}figcaption b{color:var(--ink);\
display:block;font-size:1rem}.wide{overflow-x:auto;padding:0}\
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}\
td,th{padding:.42rem .7rem;text-align:right;border-bottom:1px solid var(--line);\
white-space:nowrap}th{font-weight:600;color:var(--soft);font-size:.85rem}\
td:first-child,th:first-child{text-align:left}tr:last-child td{border:0}\
tr.all td{font-weight:600}svg{width:100%;height:auto}svg text{fill:var(--soft);font-size:11px}\
.axis{stroke:var(--line);fill:none}.line{stroke:var(--spam);stroke-width:2;fill:none}\
.ideal{stroke:var(--soft);stroke-dasharray:4 4;fill:none}.dot{fill:var(--spam)}\
.ham{fill:var(--ham);opacity:.6}.spam{fill:none;stroke:var(--spam);stroke-width:1.5}\
.mark{stroke:var(--ink);stroke-dasharray:2 3}.cost1{opacity:.7}.cost2{opacity:.4}\
td small{display:block;color:var(--soft);font-size:.75rem}ol{padding-left:1.4rem}\
li{margin:.6rem 0}li p{margin:.1rem 0;white-space:pre-wrap;overflow-wrap:anywhere;\
unicode-bidi:isolate}</style>";

fn tiles(page: &mut String, evaluation: &Evaluation) {
    let pooled = &evaluation.pooled;
    let figures = [
        ("AUC, pooled", decimal(pooled.auc)),
        ("AUC, mean of sources", decimal(evaluation.mean_auc)),
        ("spam caught at 1 % of ham", percent(pooled.recall_at_1_percent)),
        ("spam caught at 0.1 % of ham", percent(pooled.recall_at_0_1_percent)),
        ("ham held or rejected", percent(pooled.hold.false_positive_rate)),
        ("ham rejected", percent(pooled.reject.false_positive_rate)),
        ("calibration error", decimal(pooled.calibration_error)),
    ];
    page.push_str("<section class=tiles>");
    for (name, figure) in figures {
        let _ = write!(page, "<div class=tile><b>{figure}</b><span>{name}</span></div>");
    }
    page.push_str("</section>");
}

fn figure(page: &mut String, title: &str, caption: &str, drawing: &str) {
    let size = charts::SIZE;
    let _ = write!(
        page,
        "<figure><svg viewBox=\"0 0 {size} {size}\" role=img aria-label=\"{title}\">{drawing}</svg>\
         <figcaption><b>{title}</b>{caption}</figcaption></figure>"
    );
}

/// A table with a row for all and one for each of `rows`.
fn table<'m>(
    page: &mut String,
    head: &str,
    evaluation: &Evaluation,
    rows: impl Iterator<Item = (String, &'m Measures)>,
) {
    let _ = write!(
        page,
        "<div class=wide><table><thead><tr><th>{head}<th>ham<th>spam<th>AUC<th>caught at 1 %\
         <th>caught at 0.1 %<th>calibration error<th>ham held<th>spam held<th>ham rejected\
         <th>spam rejected</tr></thead><tbody>",
    );
    row(page, "all", "all together", &evaluation.pooled);
    for (name, measures) in rows {
        row(page, "one", &name, measures);
    }
    page.push_str("</tbody></table></div>");
}

fn row(page: &mut String, class: &str, name: &str, measures: &Measures) {
    let sure = measures.intervals.as_ref();
    let decimal = |value, interval: Option<Interval>| {
        let range = |i: Interval| format!("<small>{:.3}–{:.3}</small>", i.low, i.high);
        decimal(value) + &interval.map(range).unwrap_or_default()
    };
    let percent = |value, interval: Option<Interval>| {
        let range =
            |i: Interval| format!("<small>{:.2}–{:.2}</small>", i.low * 100.0, i.high * 100.0);
        percent(value) + &interval.map(range).unwrap_or_default()
    };
    let _ = write!(
        page,
        "<tr class={class}><td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}</tr>",
        escaped(name),
        measures.ham_count,
        measures.spam_count,
        decimal(measures.auc, sure.and_then(|sure| sure.auc)),
        percent(measures.recall_at_1_percent, sure.and_then(|sure| sure.recall_at_1_percent)),
        percent(measures.recall_at_0_1_percent, sure.and_then(|sure| sure.recall_at_0_1_percent)),
        decimal(measures.calibration_error, None),
        percent(measures.hold.false_positive_rate, sure.and_then(|sure| sure.ham_held)),
        percent(measures.hold.recall, sure.and_then(|sure| sure.spam_held)),
        percent(measures.reject.false_positive_rate, sure.and_then(|sure| sure.ham_rejected)),
        percent(measures.reject.recall, sure.and_then(|sure| sure.spam_rejected)),
    );
}

/// Two models side by side.
fn compare(page: &mut String, comparison: &Comparison) {
    let _ = write!(
        page,
        "<h2>Against <code>{}</code></h2><div class=wide><table><thead><tr><th>figure\
         <th>difference<th>95 times in 100</tr></thead><tbody>",
        escaped(&comparison.against_version)
    );
    let differences = [("AUC", comparison.auc), ("caught at 1 %", comparison.recall_at_1_percent)];
    for (name, difference) in differences {
        let Some(Difference { value, interval }) = difference else { continue };
        let _ = write!(
            page,
            "<tr><td>{name}<td>{value:+.4}<td>{:+.4} to {:+.4}</tr>",
            interval.low, interval.high
        );
    }
    page.push_str(
        "</tbody></table></div><div class=wide><table><thead><tr><th>held by<th>this alone\
         <th>the other alone<th>both<th>by chance (McNemar)</tr></thead><tbody>",
    );
    for (name, sides) in [("ham", &comparison.ham_held), ("spam", &comparison.spam_held)] {
        let Disagreeing { first_only_count, second_only_count, both_count, p_value } = sides;
        let _ = write!(
            page,
            "<tr><td>{name}<td>{first_only_count}<td>{second_only_count}<td>{both_count}\
             <td>p = {p_value:.3}</tr>"
        );
    }
    page.push_str("</tbody></table></div>");
}

/// The longest text of an error that is shown, in characters.
const ERROR_CHARACTERS_MAX: usize = 600;

/// The worst errors of one label.
fn worst<'e>(page: &mut String, title: &str, errors: impl Iterator<Item = &'e WorstError>) {
    let mut errors = errors.peekable();
    if errors.peek().is_none() {
        return;
    }
    let _ = write!(page, "<h2>{title}</h2><ol>");
    for error in errors {
        let quote = error.position.map_or_else(|| quote(&error.text), quote_mark);
        let _ = write!(
            page,
            "<li><small>{} · {}</small><p dir=auto>{}</p></li>",
            escaped(&error.source),
            percent(Some(error.score)),
            quote
        );
    }
    page.push_str("</ol>");
}

fn quote(text: &str) -> String {
    let mut quote: String = text.chars().take(ERROR_CHARACTERS_MAX).collect();
    if quote.len() < text.len() {
        quote.push('…');
    }
    escaped(&quote)
}

/// What stands for the comment of a label until it is quoted. No text can look like it.
fn quote_mark(position: i64) -> String {
    format!("<!--label {position}-->")
}

/// Puts the comment of a label where a report of a site's labels quotes it.
pub fn quote_label(report: &mut String, position: i64, text: &str) {
    *report = report.replace(&quote_mark(position), &quote(text));
}

fn decimal(figure: Option<f64>) -> String {
    figure.map_or("–".into(), |figure| format!("{figure:.3}"))
}

fn percent(figure: Option<f64>) -> String {
    figure.map_or("–".into(), |figure| format!("{:.2} %", figure * 100.0))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classifier::{Contender, Length, Traits};
    use crate::domain::LogOdds;

    #[test]
    fn the_page_has_every_source_and_no_foreign_markup() {
        let judged = |source: &str, spam, score| Judged {
            source: source.into(),
            outcome: Outcome { spam, raw_score: LogOdds::from_f64(score) },
            traits: Traits { language: "English", length: Length::Short, has_link: false },
        };
        let mut all = vec![judged("<b>a", true, 2.0), judged("<b>a", false, -1.0)];
        all.extend((0..60).map(|n| judged("good only", n % 9 == 0, 0.3 - f64::from(n) / 30.0)));
        let mut evaluation = Evaluation::new("m-1".into(), &all, LogOdds::ZERO, LogOdds::ZERO);
        evaluation.worst_errors = vec![WorstError {
            position: None,
            source: "a".into(),
            spam: true,
            score: 0.1,
            text: "<script>alert(1)</script>".into(),
        }];
        let outcomes: Vec<Outcome> = all.iter().map(|one| one.outcome).collect();
        let side = Contender { version: "m-2", outcomes: &outcomes, hold: LogOdds::ZERO };
        let comparison = Comparison::new(side, side);
        let page = html_report("A & B", &evaluation, &all, Some(&comparison));
        assert!(page.contains("&lt;b&gt;a") && !page.contains("<b>a"));
        assert!(page.contains("good only") && page.contains("A &amp; B"));
        assert!(page.contains("&lt;script&gt;") && !page.contains("<script"));
        assert!(page.contains("language: English") && page.contains("Against <code>m-2"));
        assert_eq!(page.matches("<svg").count(), 5);
        assert!(!page.contains("NaN") && !page.contains("http"));
    }
}
