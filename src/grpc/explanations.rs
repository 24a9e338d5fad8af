//! Explanations on their way to the wire.

use super::{convert, proto};
use crate::domain::{LogOdds, probability};
use crate::features::{Group, Place};
use crate::moderation::{Explanation, Flip, Part};

/// An explanation for the wire.
pub(super) fn explanation(explanation: Explanation) -> proto::Explanation {
    let groups = explanation.groups();
    let group = |group: &Group| {
        groups.get(group).map(|weight| proto::ExplanationGroup {
            name: group.as_str().to_owned(),
            weight: weight.to_f64(),
        })
    };
    let reasons = explanation.reasons.into_iter().map(|reason| proto::Reason {
        name: reason.name.into_owned(),
        description: reason.description,
    });
    let submission = explanation.submission;
    proto::Explanation {
        score: probability(explanation.raw_score),
        raw_score: explanation.raw_score.to_f64(),
        bias: explanation.bias.to_f64(),
        model_version: explanation.model_version,
        verdict: i32::from(convert::verdict(explanation.verdict)),
        reasons: reasons.collect(),
        hold_threshold: explanation.thresholds.hold,
        reject_threshold: explanation.thresholds.reject,
        groups: Group::ALL.iter().filter_map(group).collect(),
        parts: explanation.parts.into_iter().map(part).collect(),
        flip: explanation.flip.map(flip),
        text: submission.text,
        author: submission.author.unwrap_or_default(),
        url: submission.url.unwrap_or_default(),
    }
}

fn part(part: Part) -> proto::ExplanationPart {
    proto::ExplanationPart {
        group: part.group.as_str().to_owned(),
        name: part.name,
        weight: LogOdds::to_f64(part.weight),
        spans: part.places.iter().map(span).collect(),
    }
}

fn flip(flip: Flip) -> proto::Flip {
    proto::Flip {
        verdict: i32::from(convert::verdict(flip.verdict)),
        removed: flip.removed.iter().map(span).collect(),
        score: probability(flip.raw_score),
    }
}

fn span(place: &Place) -> proto::Span {
    let byte = |at: usize| i32::try_from(at).unwrap_or(i32::MAX);
    proto::Span {
        field: place.field.as_str().to_owned(),
        start: byte(place.span.start),
        end: byte(place.span.end),
    }
}
