//! There are no others: a lock on a file keeps them out.

use async_trait::async_trait;

use crate::domain::SiteId;
use crate::moderation::ports::StoreError;
use crate::moderation::ports::replicas::{News, Replicas};

use super::store::SqliteStore;

#[async_trait]
impl Replicas for SqliteStore {
    async fn next_news(&self) -> News {
        std::future::pending().await
    }

    async fn tell_relabelled(&self, _site: &SiteId) -> Result<(), StoreError> {
        Ok(())
    }

    async fn hold(&self, _work: &str) -> Result<bool, StoreError> {
        Ok(true)
    }

    async fn release(&self, _work: &str) -> Result<(), StoreError> {
        Ok(())
    }
}
