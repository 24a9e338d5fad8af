//! An evaluation as one HTML page: tables, and curves as inline SVG. It loads nothing from
//! anywhere and shows no comment.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::evaluate::{Curve, Evaluation, Measures, Outcome, bins};
use crate::domain::probability;

/// Width and height of a drawing area, in SVG units.
const SIDE: f64 = 260.0;
/// Room around it for the axes.
const MARGIN: f64 = 38.0;
/// A curve needs no more points than the screen has.
const POINT_COUNT_MAX: usize = 400;
/// Bars of a histogram.
const BAR_COUNT: usize = 30;

/// The page. `title` says what was measured.
pub fn html_report(
    title: &str,
    evaluation: &Evaluation,
    outcomes: &BTreeMap<String, Vec<Outcome>>,
) -> String {
    let all: Vec<Outcome> = outcomes.values().flatten().copied().collect();
    let mut page = String::new();
    page.push_str(HEAD);
    let _ = write!(
        page,
        "<title>{title}</title></head><body><main><h1>{title}</h1>\
         <p class=lead>Model <code>{}</code> on {} good comments and {} spam.</p>",
        escaped(&evaluation.model_version),
        evaluation.pooled.ham_count,
        evaluation.pooled.spam_count,
        title = escaped(title),
    );
    tiles(&mut page, evaluation);
    page.push_str("<section class=charts>");
    let curve = Curve::new(&all);
    figure(
        &mut page,
        "ROC",
        "How much spam is caught (up) at which share of good comments flagged \
        (right, logarithmic).",
        &roc(&curve),
    );
    figure(
        &mut page,
        "Precision and recall",
        "Share of spam among what is flagged (up) against \
        the share of spam caught (right).",
        &precision_recall(&curve),
    );
    figure(
        &mut page,
        "Calibration",
        "True share of spam (up) where the model says so much \
        (right). The diagonal is honest.",
        &calibration(&all),
    );
    figure(
        &mut page,
        "Scores",
        "Good comments (filled) and spam (outlined) by probability; each \
        label's bars add up to one.",
        &histogram(&all, evaluation),
    );
    page.push_str("</section><h2>By source</h2>");
    source_table(&mut page, evaluation);
    page.push_str("</main></body></html>\n");
    page
}

const HEAD: &str = "<!doctype html><html lang=en><head><meta charset=utf-8>\
<meta name=viewport content=\"width=device-width,initial-scale=1\"><style>\
:root{--ink:#1d2733;--soft:#5d6b7a;--line:#dde3ea;--paper:#fff;--ground:#f5f7f9;--ham:#2a78b8;\
--spam:#c2452d;color-scheme:light dark}\
@media(prefers-color-scheme:dark){:root{--ink:#e6ebf0;--soft:#9aa8b6;--line:#36424f;\
--paper:#1b232c;--ground:#12181f;--ham:#64b1ec;--spam:#f08a72}}\
body{margin:0;background:var(--ground);color:var(--ink);font:15px/1.5 system-ui,sans-serif}\
main{max-width:72rem;margin:auto;padding:2rem 1rem}h1{margin:0;font-size:1.6rem}\
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
.mark{stroke:var(--ink);stroke-dasharray:2 3}</style>";

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
    let size = SIDE + 2.0 * MARGIN;
    let _ = write!(
        page,
        "<figure><svg viewBox=\"0 0 {size} {size}\" role=img aria-label=\"{title}\">{drawing}</svg>\
         <figcaption><b>{title}</b>{caption}</figcaption></figure>"
    );
}

/// A point of the unit square as SVG coordinates.
fn place(x: f64, y: f64) -> (f64, f64) {
    (MARGIN + x * SIDE, MARGIN + (1.0 - y) * SIDE)
}

fn axes(x_marks: &[(f64, &str)]) -> String {
    let (left, top) = place(0.0, 1.0);
    let mut svg =
        format!("<rect class=axis x=\"{left}\" y=\"{top}\" width=\"{SIDE}\" height=\"{SIDE}\"/>");
    for (x, label) in x_marks {
        let (x, y) = place(*x, 0.0);
        let _ = write!(
            svg,
            "<text x=\"{x:.0}\" y=\"{:.0}\" text-anchor=middle>{label}</text>",
            y + 16.0
        );
    }
    for step in 0..=4 {
        let value = f64::from(step) / 4.0;
        let (x, y) = place(0.0, value);
        let (right, _) = place(1.0, value);
        let _ = write!(
            svg,
            "<path class=axis d=\"M{x:.0} {y:.1}H{right:.0}\"/>\
             <text x=\"{:.0}\" y=\"{:.1}\" text-anchor=end>{:.0} %</text>",
            x - 5.0,
            y + 4.0,
            value * 100.0
        );
    }
    svg
}

const PERCENT_MARKS: [(f64, &str); 3] = [(0.0, "0 %"), (0.5, "50 %"), (1.0, "100 %")];

fn line(class: &str, points: impl Iterator<Item = (f64, f64)>) -> String {
    let points: Vec<(f64, f64)> = points.collect();
    let step = points.len().div_ceil(POINT_COUNT_MAX).max(1);
    let mut path = String::new();
    for (index, (x, y)) in points.iter().enumerate() {
        if index % step == 0 || index + 1 == points.len() {
            let (x, y) = place(*x, *y);
            let _ = write!(path, "{}{x:.1} {y:.1}", if path.is_empty() { 'M' } else { 'L' });
        }
    }
    format!("<path class={class} d=\"{path}\"/>")
}

/// The curve with the ham side from 0.01 % to 100 % on a logarithmic scale, since all thresholds
/// of use are below 1 %.
fn roc(curve: &Curve) -> String {
    const DECADES: f64 = 4.0;
    let scale = |rate: f64| ((rate.max(1e-9).log10() + DECADES) / DECADES).max(0.0);
    let (ham, spam) = (curve.ham_count.max(1) as f64, curve.spam_count.max(1) as f64);
    let points = curve.points.iter().map(|(h, s)| (scale(*h as f64 / ham), *s as f64 / spam));
    let marks = [(0.0, "0.01 %"), (0.25, "0.1 %"), (0.5, "1 %"), (0.75, "10 %"), (1.0, "100 %")];
    axes(&marks) + &line("line", points)
}

fn precision_recall(curve: &Curve) -> String {
    let spam = curve.spam_count.max(1) as f64;
    let points = curve
        .points
        .iter()
        .filter(|(h, s)| h + s > 0)
        .map(|(h, s)| (*s as f64 / spam, *s as f64 / (h + s) as f64));
    axes(&PERCENT_MARKS) + &line("line", points)
}

fn calibration(outcomes: &[Outcome]) -> String {
    let filled: Vec<(f64, f64)> = bins(outcomes)
        .iter()
        .filter(|bin| bin.count > 0)
        .map(|bin| {
            let count = bin.count as f64;
            (bin.probability_sum / count, bin.spam_count as f64 / count)
        })
        .collect();
    let mut svg = axes(&PERCENT_MARKS);
    svg.push_str(&line("ideal", [(0.0, 0.0), (1.0, 1.0)].into_iter()));
    svg.push_str(&line("line", filled.iter().copied()));
    for (x, y) in filled {
        let (x, y) = place(x, y);
        let _ = write!(svg, "<circle class=dot cx=\"{x:.1}\" cy=\"{y:.1}\" r=3.5 />");
    }
    svg
}

fn histogram(outcomes: &[Outcome], evaluation: &Evaluation) -> String {
    let mut svg = axes(&PERCENT_MARKS);
    for spam in [false, true] {
        let mut bars = [0u64; BAR_COUNT];
        for outcome in outcomes.iter().filter(|outcome| outcome.spam == spam) {
            let bar = (probability(outcome.raw_score) * BAR_COUNT as f64) as usize;
            bars[bar.min(BAR_COUNT - 1)] += 1;
        }
        let total = bars.iter().sum::<u64>().max(1) as f64;
        let class = if spam { "spam" } else { "ham" };
        for (index, count) in bars.iter().enumerate().filter(|(_, count)| **count > 0) {
            let (x, y) = place(index as f64 / BAR_COUNT as f64, *count as f64 / total);
            let (_, base) = place(0.0, 0.0);
            let _ = write!(
                svg,
                "<rect class={class} x=\"{:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
                x + 0.5,
                SIDE / BAR_COUNT as f64 - 1.0,
                base - y
            );
        }
    }
    for threshold in [evaluation.pooled.hold.threshold, evaluation.pooled.reject.threshold] {
        let (x, top) = place(threshold, 1.0);
        let _ = write!(svg, "<path class=mark d=\"M{x:.1} {top}v{SIDE}\"/>");
    }
    svg
}

fn source_table(page: &mut String, evaluation: &Evaluation) {
    page.push_str(
        "<div class=wide><table><thead><tr><th>source<th>ham<th>spam<th>AUC<th>caught at 1 %\
         <th>caught at 0.1 %<th>calibration error<th>ham held<th>spam held<th>ham rejected\
         <th>spam rejected</tr></thead><tbody>",
    );
    row(page, "all", "all together", &evaluation.pooled);
    for (source, measures) in &evaluation.sources {
        row(page, "one", source, measures);
    }
    page.push_str("</tbody></table></div>");
}

fn row(page: &mut String, class: &str, name: &str, measures: &Measures) {
    let _ = write!(
        page,
        "<tr class={class}><td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}</tr>",
        escaped(name),
        measures.ham_count,
        measures.spam_count,
        decimal(measures.auc),
        percent(measures.recall_at_1_percent),
        percent(measures.recall_at_0_1_percent),
        decimal(measures.calibration_error),
        percent(measures.hold.false_positive_rate),
        percent(measures.hold.recall),
        percent(measures.reject.false_positive_rate),
        percent(measures.reject.recall),
    );
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
    use crate::domain::LogOdds;

    #[test]
    fn the_page_has_every_source_and_no_foreign_markup() {
        let outcome = |spam, score| Outcome { spam, raw_score: LogOdds::from_f64(score) };
        let outcomes = BTreeMap::from([
            ("<b>a".to_owned(), vec![outcome(true, 2.0), outcome(false, -1.0)]),
            ("good only".to_owned(), vec![outcome(false, 0.3)]),
        ]);
        let evaluation = Evaluation::new("m-1".into(), &outcomes, LogOdds::ZERO, LogOdds::ZERO);
        let page = html_report("A & B", &evaluation, &outcomes);
        assert!(page.contains("&lt;b&gt;a") && !page.contains("<b>a"));
        assert!(page.contains("good only") && page.contains("A &amp; B"));
        assert_eq!(page.matches("<svg").count(), 4);
        assert!(!page.contains("NaN") && !page.contains("http"));
    }
}
