//! The curves of an evaluation as SVG.

use std::fmt::Write as _;

use crate::classifier::evaluate::{Curve, bins};
use crate::classifier::{Evaluation, Outcome};
use crate::domain::{LogOdds, probability};

/// Width and height of a drawing area, in SVG units.
const SIDE: f64 = 260.0;
/// Room around it for the axes.
const MARGIN: f64 = 38.0;
/// The whole drawing's width and height.
pub(super) const SIZE: f64 = SIDE + 2.0 * MARGIN;
/// A curve needs no more points than the screen has.
const POINT_COUNT_MAX: usize = 400;
/// Bars of a histogram.
const BAR_COUNT: usize = 30;
/// What a good comment flagged may cost, where spam missed costs one.
const COSTS: [f64; 3] = [1.0, 10.0, 100.0];

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
pub(super) fn roc(curve: &Curve) -> String {
    const DECADES: f64 = 4.0;
    let scale = |rate: f64| ((rate.max(1e-9).log10() + DECADES) / DECADES).max(0.0);
    let (ham, spam) = (curve.ham_count.max(1) as f64, curve.spam_count.max(1) as f64);
    let points = curve.points.iter().map(|(h, s)| (scale(*h as f64 / ham), *s as f64 / spam));
    let marks = [(0.0, "0.01 %"), (0.25, "0.1 %"), (0.5, "1 %"), (0.75, "10 %"), (1.0, "100 %")];
    axes(&marks) + &line("line", points)
}

pub(super) fn precision_recall(curve: &Curve) -> String {
    let spam = curve.spam_count.max(1) as f64;
    let points = curve
        .points
        .iter()
        .filter(|(h, s)| h + s > 0)
        .map(|(h, s)| (*s as f64 / spam, *s as f64 / (h + s) as f64));
    axes(&PERCENT_MARKS) + &line("line", points)
}

pub(super) fn calibration(outcomes: &[Outcome]) -> String {
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

pub(super) fn histogram(outcomes: &[Outcome], evaluation: &Evaluation) -> String {
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

/// What errors cost by the threshold, as a share of the worst: a line for each price of a good
/// comment flagged, in comments of spam missed, and a dot where it is least. The thresholds are
/// from 1 % to 99.9 % on a scale of log-odds.
pub(super) fn cost(outcomes: &[Outcome], evaluation: &Evaluation) -> String {
    const RANGE: (f64, f64) = (-4.6, 6.9);
    let scale = |raw: f64| ((raw - RANGE.0) / (RANGE.1 - RANGE.0)).clamp(0.0, 1.0);
    let raw_of = |probability: f64| (probability / (1.0 - probability)).ln();
    let marks = [0.01, 0.1, 0.5, 0.9, 0.99, 0.999];
    let labels = ["1 %", "10 %", "50 %", "90 %", "99 %", "99.9 %"];
    let marks: Vec<(f64, &str)> =
        marks.iter().zip(labels).map(|(mark, label)| (scale(raw_of(*mark)), label)).collect();
    let mut svg = axes(&marks);
    let mut scores: [Vec<LogOdds>; 2] = Default::default();
    for outcome in outcomes {
        scores[usize::from(outcome.spam)].push(outcome.raw_score);
    }
    scores.iter_mut().for_each(|scores| scores.sort_unstable());
    let [ham, spam] = &scores;
    let below = |scores: &[LogOdds], at| scores.partition_point(|score| *score < at) as f64;
    for (index, price) in COSTS.into_iter().enumerate() {
        let worst = (ham.len() as f64 * price).min(spam.len() as f64).max(1.0);
        let points: Vec<(f64, f64)> = (0..=200)
            .map(|step| {
                let raw = RANGE.0 + (RANGE.1 - RANGE.0) * f64::from(step) / 200.0;
                let at = LogOdds::from_f64(raw);
                let flagged = ham.len() as f64 - below(ham, at);
                (scale(raw), ((flagged * price + below(spam, at)) / worst).min(1.0))
            })
            .collect();
        let least = points.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or_default();
        svg.push_str(&line(&format!("\"line cost{index}\""), points.into_iter()));
        let (x, y) = place(least.0, least.1);
        let _ = write!(
            svg,
            "<circle class=\"dot cost{index}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=4 />\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=middle>{price} : 1</text>",
            y - 8.0
        );
    }
    for threshold in [evaluation.pooled.hold.threshold, evaluation.pooled.reject.threshold] {
        let (x, top) = place(scale(raw_of(threshold)), 1.0);
        let _ = write!(svg, "<path class=mark d=\"M{x:.1} {top}v{SIDE}\"/>");
    }
    svg
}
