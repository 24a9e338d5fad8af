//! What a site knows from before: how an author fared, and which recent texts are like this one.

use serde::{Deserialize, Serialize};

use super::{CommentId, Label};

/// How an author fared on a site so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthorRecord {
    /// Comments that stand approved.
    pub approved_count: u32,
    /// Comments that are held.
    pub held_count: u32,
    /// Comments that stand rejected.
    pub rejected_count: u32,
    /// Comments that a person, by feedback or decision, called spam.
    pub spam_label_count: u32,
    /// Comments that a person called ham.
    pub ham_label_count: u32,
}

/// Bits of 128 in which the SimHashes of near duplicates may differ. One changed word in a comment
/// of twenty changes 16 on average; unlike comments on one subject differ in 45 or more, with a
/// standard deviation of 5.5.
pub const NEAR_DISTANCE_MAX: u32 = 24;

/// Two hashes of a text: one for equality, one for likeness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentPrint {
    /// Hash of the normalised text.
    pub content_hash: u64,
    /// SimHash of the normalised text.
    pub simhash: u128,
    /// Whether the text is long enough for likeness to mean something.
    pub comparable: bool,
}

/// What the index knows of texts like this one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Neighbours {
    /// Recent comments with the same text.
    pub exact_count: u32,
    /// Recent comments with nearly the same text, the exact ones included.
    pub near_count: u32,
    /// What a person called the nearest labelled one, the newest if several are as near.
    pub label: Option<Label>,
    /// Whether that one has exactly the same text.
    pub label_exact: bool,
    /// The campaign of the nearest one.
    #[serde(skip)]
    pub campaign: Option<CommentId>,
}
