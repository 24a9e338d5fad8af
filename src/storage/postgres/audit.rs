//! Entries of the audit log, written in the transaction of what they tell.

use time::OffsetDateTime;

use crate::moderation::ports::StoreError;
use crate::storage::values::millis;

use super::db::Db;

/// An entry that is about to be written.
pub(super) struct Audit<'a> {
    /// None: it belongs to no site.
    pub site_number: Option<i64>,
    pub time: OffsetDateTime,
    pub actor: &'a str,
    pub action: &'static str,
    pub subject: String,
    pub before: Option<String>,
    pub after: Option<String>,
    pub note: Option<&'a str>,
}

impl Audit<'_> {
    pub async fn write(self, db: &Db) -> Result<(), StoreError> {
        let sql = "INSERT INTO audit_entries \
             (site, time, actor, action, subject, before, after, note) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        let time = millis(self.time);
        db.execute(
            sql,
            &[
                &self.site_number,
                &time,
                &self.actor,
                &self.action,
                &self.subject,
                &self.before,
                &self.after,
                &self.note,
            ],
        )
        .await
        .map(drop)
    }
}
