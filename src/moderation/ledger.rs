//! The label ledger from outside: imports, exports and retractions.

use std::sync::Arc;

use time::OffsetDateTime;

use super::feedback::NOTE_BYTES_MAX;
use super::leaving::to_the_end;
use super::ports::models::{ImportedExample, LedgerExample, Retraction};
use super::{Actor, Moderation, ModerationError, examples};
use crate::domain::{CommentId, EmailAddress, Example, Label, Site};
use crate::text::{self, Analysis};

/// Bytes of the name of an import.
const SOURCE_BYTES_MAX: usize = 100;
/// The name of an import that has none.
const SOURCE_DEFAULT: &str = "import";

/// A labelled comment from elsewhere.
pub struct ForeignExample {
    /// The comment; its fields that are not valid are left out.
    pub example: Example,
    /// What it was.
    pub label: Label,
    /// When it was labelled or written, if that is known.
    pub time: Option<OffsetDateTime>,
}

/// Whose or which labels to take back.
pub enum RetractionRequest {
    /// The label at this position.
    Position(i64),
    /// All labels of a comment or example.
    Comment(CommentId),
    /// All labels by reporters of this name, and by moderators whom it calls in decisions.
    ReporterName(String),
    /// All labels of what the author with this address wrote.
    AuthorEmail(String),
    /// All labels of an import.
    Source(String),
}

impl Moderation {
    /// Puts examples into the ledger, after hiding their addresses. Answers with how many were
    /// new.
    ///
    /// # Errors
    /// `Invalid` for the first that cannot be used, and then none is stored; `Unavailable`.
    pub async fn import_examples(
        &self,
        actor: &Actor,
        site: &Site,
        foreign: Vec<ForeignExample>,
    ) -> Result<u64, ModerationError> {
        let imported: Result<Vec<ImportedExample>, ModerationError> =
            foreign.into_iter().map(|example| self.imported(site, example)).collect();
        let imported = self
            .model_store
            .import_examples(&site.id, imported?, actor.as_str(), self.clock.now())
            .await;
        imported.map_err(ModerationError::store("site"))
    }

    fn imported(
        &self,
        site: &Site,
        foreign: ForeignExample,
    ) -> Result<ImportedExample, ModerationError> {
        let ForeignExample { example, label, time } = foreign;
        let source = source_name(example.source.as_deref().unwrap_or_default());
        let source = source.ok_or_else(|| {
            let text = "One line of at most 100 bytes without addresses is expected.";
            ModerationError::field("examples.source", "invalid-source", text)
        })?;
        let submission = examples::submission(example).map_err(|error| {
            ModerationError::field("examples.comment", "invalid-example", &error.to_string())
        })?;
        let submission = text::hide(submission, &site.secret);
        let print = Analysis::new(&submission).print;
        let now = self.clock.now();
        Ok(ImportedExample {
            id: self.random.comment_id(now),
            label,
            source,
            time: time.unwrap_or(now),
            content_hash: print.content_hash,
            submission,
        })
    }

    /// The examples of the ledger that count, after a position, oldest label first.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn export_examples(
        &self,
        site: &Site,
        after: i64,
        count_max: usize,
    ) -> Result<Vec<LedgerExample>, ModerationError> {
        let examples = self.model_store.ledger_examples(&site.id, after, None, count_max).await;
        examples.map_err(ModerationError::Unavailable)
    }

    /// Takes labels back and answers with how many there were. Near duplicates and authors' records
    /// forget them at once; what a model learnt from them is gone with the next training. Where the
    /// comments stand does not change. No undo of a decision brings them back. It goes on to the end if
    /// the caller stops waiting.
    ///
    /// # Errors
    /// `Invalid`, `Unavailable`.
    pub async fn retract_examples(
        self: &Arc<Self>,
        actor: &Actor,
        site: &Site,
        request: RetractionRequest,
        note: Option<String>,
    ) -> Result<u64, ModerationError> {
        let what = match request {
            RetractionRequest::Position(position) => Retraction::Position(position),
            RetractionRequest::Comment(id) => Retraction::Comment(id),
            RetractionRequest::ReporterName(name) => {
                // Stored masked, and a mask may be shared by several.
                let stored = self::note(name.clone())?;
                if stored.as_deref() != Some(&name) {
                    let text = "A name with an address in it is stored masked; retract by comment.";
                    return Err(ModerationError::field("reporter_name", "invalid-name", text));
                }
                Retraction::ReporterName(name)
            }
            RetractionRequest::Source(source) => Retraction::Source(source),
            RetractionRequest::AuthorEmail(address) => {
                let address = EmailAddress::parse(address.trim()).map_err(|_| {
                    let text = "This is not an e-mail address.";
                    ModerationError::field("author_email", "invalid-email", text)
                })?;
                Retraction::Author(address.folded_fingerprint(&site.secret))
            }
        };
        let (moderation, id) = (self.clone(), site.id.clone());
        let (actor, now) = (actor.as_str().to_owned(), self.clock.now());
        to_the_end(async move {
            let retracted =
                moderation.model_store.retract_labels(&id, what, &actor, note, now).await;
            let count = retracted.map_err(ModerationError::store("site"))?;
            if count > 0 {
                moderation.forget_recent(&id).await;
            }
            Ok(count)
        })
        .await
    }
}

/// A note of a person in one line without addresses; nothing if it is blank.
///
/// # Errors
/// `Invalid` if it is too long or has a NUL.
pub fn note(text: String) -> Result<Option<String>, ModerationError> {
    super::feedback::masked(text, "note", NOTE_BYTES_MAX)
}

/// The name of an import as the ledger has it; nothing if it is not one line of at most 100 bytes
/// without addresses.
pub fn source_name(name: &str) -> Option<String> {
    let name = name.trim();
    let fits = name.len() <= SOURCE_BYTES_MAX && !name.contains(char::is_control);
    if !fits || text::mask_addresses(name).1 > 0 || text::mask_every_ip(name) != name {
        return None;
    }
    Some(if name.is_empty() { SOURCE_DEFAULT } else { name }.to_owned())
}
