//! Labels that a site sends back: entries of the ledger that move a comment like a decision.

use crate::moderation::ports::{AppliedLabel, LabelEntry, StoreError};

use super::db::Db;

pub(super) async fn append_label(
    db: &Db,
    site_number: i64,
    _entry: &LabelEntry,
) -> Result<AppliedLabel, StoreError> {
    db.lock_site(site_number).await?;
    Err(StoreError::Unavailable("not written yet".into()))
}
