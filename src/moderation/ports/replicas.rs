//! What a process needs to know of others that work on the same records.

use async_trait::async_trait;
use uuid::Uuid;

use super::{ContentPrint, StoreError};
use crate::domain::{Label, SiteId};

/// What another process changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A model of the site changed its state.
    Models(SiteId),
    /// People said what texts of the site are.
    Labels(SiteId, Vec<(ContentPrint, Label)>),
    /// Labels of the site changed otherwise: what is known of them is to be read anew.
    Relabelled(SiteId),
    /// Somebody asked this long work to end.
    Cancelled(Uuid),
    /// There may have been news that did not arrive: all is to be read anew.
    Missed,
}

/// The other processes on the same records.
///
/// Workload: some news a second at most; one question a minute for each kind of background work.
#[async_trait]
pub trait Replicas: Send + Sync + 'static {
    /// The next news, within a second of the change; waits for ever if there are no others. One
    /// caller at a time.
    async fn next_news(&self) -> News;
    /// Tells the others that what is known of the site's texts is to be read anew: each hears
    /// [`News::Relabelled`].
    async fn tell_relabelled(&self, site: &SiteId) -> Result<(), StoreError>;
    /// Takes the work of this name, or keeps it: while a process has it, no other one does. It is
    /// kept until [`Self::release`] for as long as the process lives and reaches the records, and
    /// passes to another one some seconds later.
    async fn hold(&self, work: &str) -> Result<bool, StoreError>;
    /// Gives up the work of this name, if this process has it.
    async fn release(&self, work: &str) -> Result<(), StoreError>;
}
