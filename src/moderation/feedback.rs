//! Labels that sites send back, and comments read again.

use std::sync::Arc;

use super::leaving::to_the_end;
use super::ports::{AppliedLabel, LabelEntry, Reporter};
use super::{Moderation, ModerationError};
use crate::domain::{CheckedComment, CommentId, Label, Site};
use crate::text;

/// Bytes of a reporter's name.
pub const REPORTER_NAME_BYTES_MAX: usize = 245;
/// Bytes of a note.
pub const NOTE_BYTES_MAX: usize = 2_048;

/// What somebody says a comment really was.
pub struct Feedback {
    /// What it was.
    pub label: Label,
    /// Who says so.
    pub reporter: Reporter,
    /// The reporter's account name; may be empty.
    pub reporter_name: String,
    /// Why; may be empty.
    pub note: String,
}

impl Moderation {
    /// Reads a comment of a site.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn comment(
        &self,
        site: &Site,
        id: CommentId,
    ) -> Result<CheckedComment, ModerationError> {
        let comment = self.store.get_comment(&site.id, id).await;
        comment.map_err(ModerationError::Unavailable)?.ok_or(ModerationError::NotFound("comment"))
    }

    /// Takes a label: appends it to the ledger, moves the comment, and lets its near duplicates
    /// follow at once. It goes on to the end if the caller stops waiting.
    ///
    /// # Errors
    /// Invalid fields, `NotFound`, `Unavailable`.
    pub async fn submit_feedback(
        self: &Arc<Self>,
        site: &Site,
        id: CommentId,
        feedback: Feedback,
    ) -> Result<AppliedLabel, ModerationError> {
        let entry = LabelEntry {
            comment: id,
            site: site.id.clone(),
            label: feedback.label,
            reporter: feedback.reporter,
            reporter_name: masked(
                feedback.reporter_name,
                "reporter_name",
                REPORTER_NAME_BYTES_MAX,
            )?,
            note: masked(feedback.note, "note", NOTE_BYTES_MAX)?,
            time: self.clock.now(),
        };
        let moderation = self.clone();
        to_the_end(async move { moderation.append_label(entry).await }).await
    }

    async fn append_label(&self, entry: LabelEntry) -> Result<AppliedLabel, ModerationError> {
        let (site, label) = (entry.site.clone(), entry.label);
        let labels = [("reporter", entry.reporter.as_str()), ("label", label.as_str())];
        let applied = self.store.append_label(entry).await;
        let applied = applied.map_err(ModerationError::store("comment"))?;
        metrics::counter!("replyguard_labels_total", &labels).increment(1);
        self.changes.tell();
        let print = applied.comment.print();
        if let Err(error) = self.recent.set_label(&site, print, label).await {
            tracing::warn!(site.id = %site, error = %error, "a label did not reach the index of recent content");
        }
        Ok(applied)
    }
}

/// The value in one line without e-mail and IP addresses; nothing if it is blank.
pub(super) fn masked(
    value: String,
    field: &'static str,
    bytes_max: usize,
) -> Result<Option<String>, ModerationError> {
    if value.len() > bytes_max {
        return Err(ModerationError::field(field, "too-long", "The text is too long."));
    }
    if value.contains('\0') {
        return Err(ModerationError::field(field, "nul-character", "NUL is not taken."));
    }
    if value.trim().is_empty() {
        return Ok(None);
    }
    let one_line = value.replace(char::is_control, " ");
    Ok(Some(text::mask_every_ip(&text::mask_addresses(&one_line).0)))
}
