//! Charts as inline SVG, drawn by the server. Each bar has its figures as a title, and the page
//! has them as a table too.

use std::fmt::Write;

/// Width and height of a chart in its own units.
const SIZE: (f64, f64) = (1_000.0, 230.0);
/// Room for figures at the left and days below.
const MARGIN: (f64, f64) = (44.0, 24.0);
/// Room above, and at the right.
const PADDING: f64 = 12.0;

/// One column of a chart.
pub(super) struct Column {
    /// What stands below it.
    pub label: String,
    /// The heights of its pieces, from below.
    pub values: Vec<u64>,
}

/// Columns of stacked pieces; `classes` are those of the pieces, `names` what they are called.
pub(super) fn stacked(columns: &[Column], classes: &[&str], names: &[&str]) -> String {
    let highest = columns.iter().map(|column| column.values.iter().sum()).max().unwrap_or(0);
    let top = round_up(highest.max(1));
    let (width, height) = (SIZE.0 - MARGIN.0 - PADDING, SIZE.1 - MARGIN.1 - PADDING);
    let step = width / columns.len().max(1) as f64;
    let mut svg = format!(
        "<svg class=\"chart\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">",
        SIZE.0,
        SIZE.1,
        names.join(", ")
    );
    for part in 0..=2u64 {
        let (y, value) = (height - height * part as f64 / 2.0 + PADDING, top * part / 2);
        // Writing to a text cannot fail.
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{value}</text>",
            MARGIN.0,
            SIZE.0 - PADDING,
            MARGIN.0 - 6.0,
            y + 4.0
        );
    }
    for (index, column) in columns.iter().enumerate() {
        let x = MARGIN.0 + step * index as f64;
        let _ = write!(svg, "<g><title>{}", column.label);
        for (name, value) in names.iter().zip(&column.values) {
            let _ = write!(svg, "; {name}: {value}");
        }
        svg.push_str("</title>");
        let mut y = height + PADDING;
        for (class, value) in classes.iter().zip(&column.values) {
            let piece = height * *value as f64 / top as f64;
            y -= piece;
            if *value > 0 {
                let _ = write!(
                    svg,
                    "<rect class=\"{class}\" x=\"{:.1}\" y=\"{y:.1}\" width=\"{:.1}\" \
                     height=\"{piece:.1}\"/>",
                    x + step * 0.12,
                    step * 0.76
                );
            }
        }
        svg.push_str("</g>");
        // Days stand close on a month's chart: each seventh is named, the last among them.
        if columns.len() <= 10 || (columns.len() - 1 - index).is_multiple_of(7) {
            let _ = write!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                x + step / 2.0,
                SIZE.1 - 4.0,
                column.label
            );
        }
    }
    svg.push_str("</svg>");
    svg
}

/// The next even number of one or two digits and zeros.
fn round_up(value: u64) -> u64 {
    let mut unit = 1;
    while value > unit * 20 {
        unit *= 10;
    }
    value.div_ceil(2 * unit) * 2 * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        assert_eq!(
            [1, 2, 3, 19, 21, 199, 201, 4_321].map(round_up),
            [2, 2, 4, 20, 40, 200, 400, 6_000]
        );
    }

    #[test]
    fn every_piece_is_drawn_with_its_figure() {
        let columns = [Column { label: "11-24".into(), values: vec![3, 0, 1] }];
        let svg =
            stacked(&columns, &["approve", "hold", "reject"], &["approved", "held", "rejected"]);
        assert_eq!(svg.matches("<rect").count(), 2, "nothing is drawn for nothing");
        assert!(svg.contains("<title>11-24; approved: 3; held: 0; rejected: 1</title>"), "{svg}");
    }
}
