//! A text with the words that weighed marked in place.

use crate::domain::LogOdds;
use crate::features::{Field, Place};
use crate::moderation::Explanation;

/// A piece of a text; pieces follow one another without gaps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    /// The text.
    pub text: String,
    /// The classes of its mark; empty if it weighs nothing.
    pub class: String,
    /// What it weighs, for people; empty if it weighs nothing.
    pub title: String,
}

/// Log-odds from which a mark is as strong as it gets, and in between.
const STRENGTHS: [f64; 2] = [0.25, 0.8];
/// Log-odds below which nothing is marked.
const WEIGHT_MIN: f64 = 0.05;

/// The text of a field in pieces, each marked by what its bytes weigh. A part that stands in
/// several places lends each an equal share; where parts overlap, their shares add up.
pub(super) fn pieces(text: &str, field: Field, explanation: &Explanation) -> Vec<Piece> {
    let mut edges: Vec<(usize, f64)> = Vec::new();
    for part in &explanation.parts {
        let places: Vec<&Place> = part.places.iter().filter(|place| place.field == field).collect();
        let share = LogOdds::to_f64(part.weight) / part.places.len().max(1) as f64;
        for place in places {
            edges.push((place.span.start.min(text.len()), share));
            edges.push((place.span.end.min(text.len()), -share));
        }
    }
    edges.sort_by_key(|(at, _)| *at);
    let (mut pieces, mut from, mut weight) = (Vec::new(), 0, 0.0);
    for (at, change) in edges {
        push(&mut pieces, text, from..at, weight);
        from = from.max(at);
        weight += change;
    }
    push(&mut pieces, text, from..text.len(), 0.0);
    pieces
}

/// Adds a piece, joined to the one before if that looks the same.
fn push(pieces: &mut Vec<Piece>, text: &str, range: std::ops::Range<usize>, weight: f64) {
    // Places end between characters; if one did not, it must not break the page.
    let Some(piece) = text.get(range).filter(|piece| !piece.is_empty()) else { return };
    let class = class(weight);
    let title = if class.is_empty() { String::new() } else { format!("{weight:+.2} log-odds") };
    match pieces.last_mut() {
        Some(last) if last.class == class && last.title == title => last.text.push_str(piece),
        _ => pieces.push(Piece { text: piece.to_owned(), class, title }),
    }
}

fn class(weight: f64) -> String {
    if weight.abs() < WEIGHT_MIN {
        return String::new();
    }
    let strength = 1 + STRENGTHS.iter().filter(|least| weight.abs() >= **least).count();
    format!("{} s{strength}", if weight > 0.0 { "spam" } else { "ham" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_up_the_whole_text() {
        let mut pieces = Vec::new();
        push(&mut pieces, "größer", 0..2, 0.0);
        push(&mut pieces, "größer", 2..6, 0.5);
        push(&mut pieces, "größer", 6..8, -1.0);
        let texts: Vec<&str> = pieces.iter().map(|piece| piece.text.as_str()).collect();
        assert_eq!(texts, ["gr", "öß", "er"]);
        assert_eq!(pieces[1].class, "spam s2");
        assert_eq!(pieces[2].class, "ham s3");
        push(&mut pieces, "größer", 0..3, 0.5);
        assert_eq!(pieces.len(), 3, "half a character is passed over");
    }
}
