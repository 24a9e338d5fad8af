//! Which texts models have learnt from, so that none is judged by what it was told. The position
//! of a label does not say: a text can be sent and labelled again, and a label can be changed.

use std::collections::HashSet;

use super::ports::models::LedgerExample;
use super::progress::WorkProgress;
use super::training::PAGE_SIZE;
use super::{Moderation, ModerationError};
use crate::domain::Site;

/// The prints of texts that models have learnt from.
#[derive(Debug)]
pub(super) struct Learnt(HashSet<u64>);

impl Learnt {
    /// Whether the text of an example is one of them.
    pub(super) fn has(&self, example: &LedgerExample) -> bool {
        self.0.contains(&example.content_hash)
    }
}

impl Moderation {
    /// The texts whose labels counted at one of these positions of a site's ledger. What a training
    /// passed over, such as the twenty-first copy of a campaign, counts as learnt, too.
    ///
    /// # Errors
    /// `Cancelled`, `Unavailable`.
    pub(super) async fn learnt_texts(
        &self,
        site: &Site,
        positions: &[i64],
        progress: &WorkProgress,
    ) -> Result<Learnt, ModerationError> {
        let mut texts = HashSet::new();
        for until in positions.iter().copied() {
            let mut after = 0;
            while after < until {
                progress.check()?;
                let page =
                    self.model_store.ledger_examples(&site.id, after, Some(until), PAGE_SIZE).await;
                let page = page.map_err(ModerationError::Unavailable)?;
                let Some(last) = page.last() else { break };
                after = last.position;
                texts.extend(page.iter().map(|example| example.content_hash));
            }
        }
        Ok(Learnt(texts))
    }
}
