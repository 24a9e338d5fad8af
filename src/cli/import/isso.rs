//! Comments of Isso, from its database.

use std::path::Path;

use super::comment::{ForeignComment, LeftOut, Opinions, Place, Problem, Sink, Standing, date};
use crate::domain::{Example, Label};
use crate::storage::foreign::{IssoComment, IssoDatabase};

/// Reads all comments.
pub(super) fn read(path: &Path, sink: &mut dyn Sink) -> Result<(), Problem> {
    let failed =
        |error: crate::storage::foreign::ForeignError| Problem::at(Place::File, error.to_string());
    let database = IssoDatabase::open(path).map_err(failed)?;
    let mut taken = Ok(());
    let take = |comment| {
        taken = sink.comment(foreign(comment));
        taken.is_ok()
    };
    database.for_each(take).map_err(failed)?;
    taken
}

fn foreign(comment: IssoComment) -> ForeignComment {
    let standing = match comment.mode {
        1 => Standing::As(Label::Ham),
        2 => Standing::Out(LeftOut::Pending),
        4 => Standing::Out(LeftOut::Deleted),
        _ => Standing::Out(LeftOut::OtherState),
    };
    // The sender's address has lost its last part, so it would be another's.
    let example = Example {
        text: comment.text,
        author: comment.author,
        email: comment.email,
        url: comment.website,
        page_uri: comment.page_uri,
        page_title: comment.page_title,
        date: date(&comment.created.to_string()),
        ..Example::default()
    };
    ForeignComment { id: None, example, standing, opinions: Opinions::default() }
}
